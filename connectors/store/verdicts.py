"""What flags turned out to be, and the bars that follow from it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, select

from connectors.store.engine import reading
from connectors.store.tables_trade import bars as bars_table


def bars_in(connection: Connection) -> dict[str, float]:
    """Kind of flag → its bar, of kinds that ever had one other than 1."""
    newest = select(func.max(bars_table.c.seq)).group_by(bars_table.c.kind)
    rows = connection.execute(select(bars_table.c.kind, bars_table.c.bar).where(bars_table.c.seq.in_(newest)))
    return {str(kind): float(bar) for kind, bar in rows}


class Verdicts:
    """The tables ``verdicts`` and ``bars``. Part of ``Store``."""

    _engine: Engine

    def bars(self) -> dict[str, float]:
        """Kind of flag → score below which it opens no ticket; a kind that is not here: 1."""
        with reading(self._engine) as connection:
            return bars_in(connection)
