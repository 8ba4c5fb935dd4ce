"""The bars as they stand, for the book of a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from connectors.store.tables_trade import bars as bars_table


def bars_in(connection: Connection) -> dict[str, float]:
    """Kind of flag → its bar, of kinds that ever had one other than 1."""
    newest = select(func.max(bars_table.c.seq)).group_by(bars_table.c.kind)
    rows = connection.execute(select(bars_table.c.kind, bars_table.c.bar).where(bars_table.c.seq.in_(newest)))
    return {str(kind): float(bar) for kind, bar in rows}
