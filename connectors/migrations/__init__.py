"""The schema of the ticket store and its history (Alembic)."""

from connectors.migrations.upgrade import upgrade

__all__ = ["upgrade"]
