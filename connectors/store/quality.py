"""The data-quality tables: what is counted of meters, areas and days, and raised by nobody."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, or_, select

from connectors.store.book import put
from connectors.store.engine import reading, writing
from connectors.store.part import Part
from connectors.store.tables import quality as table
from connectors.store.tables import read_days as days
from streams.messages import Counts, DayCounts

NAMES = Counts.__struct_fields__
DAY_NAMES = DayCounts.__struct_fields__


class Quality(Part):
    """The tables ``quality`` and ``read_days``. Part of ``Store``."""

    def keep_quality(self, counts: Sequence[Counts], now_ns: int) -> None:
        """Put the newest counts of meters and areas in the place of what was known of them."""
        rows = []
        for one in counts:
            row = {name: getattr(one, name) for name in NAMES}
            # An area has no meter: its name stands where a meter has its register.
            rows.append({**row, "register": one.register if one.meter_id else one.area, "at_ns": now_ns})
        with writing(self._engine) as connection:
            put(connection, table, rows)

    def keep_reads(self, partition: int, counts: Sequence[DayCounts], first: int, last: int) -> None:
        """Put the newest counts of days and places in the place of what was known.

        Days before ``first`` and after ``last`` are forgotten, but for −1: what counts without a day.
        """
        rows = [
            {"partition": partition, **{name: getattr(one, name) for name in DAY_NAMES}} for one in counts
        ]
        outside = or_(days.c.day < first, days.c.day > last)
        old = delete(days).where(days.c.partition == partition, outside, days.c.day >= 0)
        with writing(self._engine) as connection:
            put(connection, days, rows)
            connection.execute(old)

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
