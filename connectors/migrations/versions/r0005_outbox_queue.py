"""The queue of the outbox names the tickets: others are found behind a ticket that has thousands of events waiting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAME = "ix_outbox_queue"


def _make(*columns: str) -> None:
    waits = sa.text("state = 'pending'")
    op.drop_index(_NAME, table_name="outbox")
    op.create_index(_NAME, "outbox", list(columns), sqlite_where=waits, postgresql_where=waits)


def upgrade() -> None:
    """Make the index anew, with the ticket."""
    _make("desk", "rank", "id", "ticket_id")


def downgrade() -> None:
    """As it was."""
    _make("desk", "rank", "id")
