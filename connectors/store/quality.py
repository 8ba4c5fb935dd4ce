"""The data-quality table: what is counted of meters and areas, and raised by nobody."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from connectors.store.book import put
from connectors.store.engine import reading, writing
from connectors.store.part import Part
from connectors.store.tables import quality as table
from streams.messages import Counts

NAMES = Counts.__struct_fields__


class Quality(Part):
    """The table ``quality``. Part of ``Store``."""

    def keep_quality(self, counts: Sequence[Counts], now_ns: int) -> None:
        """Put the newest counts of meters and areas in the place of what was known of them."""
        rows = []
        for one in counts:
            row = {name: getattr(one, name) for name in NAMES}
            # An area has no meter: its name stands where a meter has its register.
            rows.append({**row, "register": one.register if one.meter_id else one.area, "at_ns": now_ns})
        with writing(self._engine) as connection:
            put(connection, table, rows)

    def quality(self, meter_id: str, area: str, areas: bool, by: str, limit: int) -> list[tuple[Counts, int]]:
        """Counts and when they were told, most of ``by`` first.

        meter_id, area : of these alone, where not empty
        areas          : whole areas in place of meters
        """
        column = table.c[by]
        query = select(table).order_by(column.desc(), table.c.meter_id, table.c.register).limit(limit)
        query = query.where(table.c.meter_id == "" if areas else table.c.meter_id != "")
        if meter_id:
            query = query.where(table.c.meter_id == meter_id)
        if area:
            query = query.where(table.c.area == area)
        with reading(self._engine) as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        told = []
        for row in found:
            if areas:
                row["register"] = ""
            told.append((Counts(**{name: row[name] for name in NAMES}), int(row["at_ns"])))
        return told
