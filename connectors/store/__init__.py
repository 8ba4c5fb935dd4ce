"""Tickets in a database: SQLite on one machine, PostgreSQL where that is outgrown."""

from connectors.store.engine import connect, shown
from connectors.store.store import Store

__all__ = ["Store", "connect", "shown"]
