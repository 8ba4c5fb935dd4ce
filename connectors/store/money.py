"""What decisions about money ask of the store."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import ColumnElement, select

from connectors.store import rows
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import tickets
from connectors.store.tables_trade import points
from streams.trade.points import Point
from streams.trade.tickets import Ticket

_CHUNK = 1000


class MoneyStore(Part):
    """Meters, their neighbours, and those that are billed on a day. Part of ``Store``."""

    def point_of_meter(self, meter_id: str) -> Point | None:
        """What the registry says of a meter; None where it says nothing."""
        found = self._points(points.c.meter_id == meter_id, 1)
        return found[0] if found else None

    def neighbours(self, point: Point, limit: int) -> list[Point]:
        """Other meters of the same area, commodity and class, by meter; none where the area is not stated."""
        if not point.area:
            return []
        same = (
            (points.c.area == point.area)
            & (points.c.commodity == point.commodity)
            & (points.c.meter_class == point.meter_class)
            & (points.c.meter_id != point.meter_id)
        )
        return self._points(same, limit)

    def billed(self, bill_days: Sequence[int]) -> tuple[list[Ticket], list[Point]]:
        """Open tickets of meters that are billed on one of these days of the month, and those meters.

        A ticket of a group is among them where one of its meters is.
        """
        said = tickets.c.bill_day.in_(bill_days)
        told = select(points.c.meter_id).where(points.c.bill_day.in_(bill_days))
        found = self._tickets(
            tickets.c.open & (said | tickets.c.meter_id.in_(told) | (tickets.c.group != ""))
        )
        known = [point for point in self._places(found) if point.bill_day in bill_days]
        billed = {point.meter_id for point in known}
        return [t for t in found if billed.intersection((t.meter_id, *t.meters))], known

    def rerated(self, bill_days: Sequence[int], since_ns: int) -> list[Ticket]:
        """Tickets whose later bills were told since, and wait, open or not: of meters billed on one of these days.

        Bills that are to be put right are never to be forgotten: a meter without a bill day is there on each.
        """
        found = self._tickets(tickets.c.rerate_ns >= since_ns)
        days = {point.meter_id: point.bill_day for point in self._places(found)}
        return [t for t in found if days.get(t.meter_id) is None or days[t.meter_id] in bill_days]

    def _places(self, found: Sequence[Ticket]) -> list[Point]:
        """The meters of tickets."""
        wanted = sorted({meter for t in found for meter in (t.meter_id, *t.meters)})
        known: list[Point] = []
        for start in range(0, len(wanted), _CHUNK):
            known += self._points(points.c.meter_id.in_(wanted[start : start + _CHUNK]))
        # what the registry says now counts, and not what it said when the flag was raised
        named = {point.meter_id for point in known}
        return known + [point_from(t) for t in found if t.meter_id not in named and not t.group]

    def _tickets(self, where: ColumnElement[bool]) -> list[Ticket]:
        with reading(self._engine) as connection:
            query = select(tickets).where(where).order_by(tickets.c.id)
            return [rows.ticket_of(row) for row in connection.execute(query).mappings()]

    def _points(self, where: ColumnElement[bool], limit: int | None = None) -> list[Point]:
        query = select(points).where(where).order_by(points.c.meter_id).limit(limit)
        with reading(self._engine) as connection:
            return [rows.struct_of(row, Point) for row in connection.execute(query).mappings()]


def point_from(ticket: Ticket) -> Point:
    """The place of a ticket's meter as its flag told it, where the registry's row is not there."""
    place = ticket.place
    point = Point(
        meter_id=ticket.meter_id,
        service_point_id=ticket.service_point_id,
        commodity=ticket.commodity,
        area=ticket.area,
        meter_class=str(place.get("class", "")),
        tz=str(place.get("tz", "")),
        tariff=str(place.get("tariff", "")),
    )
    day = place.get("bill_day")
    return replace(point, bill_day=day) if isinstance(day, int) else point
