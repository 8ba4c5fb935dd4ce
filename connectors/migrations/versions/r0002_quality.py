"""What is counted of meters and areas and raised by nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNTS = (
    "readings", "missing", "late", "duplicates", "corrections", "negative", "off_grid", "rollovers", "bad", "ahead",
)  # fmt: skip


def upgrade() -> None:
    """Make the table; workers fill it within a minute."""
    op.create_table(
        "quality",
        sa.Column("meter_id", sa.Text(), nullable=False),
        sa.Column("register", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("meter_id", "register", name=op.f("pk_quality")),
    )
    op.create_index("ix_quality_area", "quality", ["area"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_quality_area", table_name="quality")
    op.drop_table("quality")
