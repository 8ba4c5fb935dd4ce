"""Everything that the store knows of one ticket at one moment: what an evidence pack is made of."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from connectors.store import rows
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import remote_refs, steps, ticket_flags, ticket_history, tickets
from connectors.store.tables_trade import complaints, points
from streams.papers.exhibits import Case
from streams.trade.complaints import Channel, Complaint
from streams.trade.points import Point
from streams.trade.states import Category, Urgency
from streams.trade.tickets import Ticket

_POINT = Point.__struct_fields__


class Cases(Part):
    """Part of ``Store``: cases with all that belongs to them."""

    def case(self, ticket_id: str, most: int = 30) -> Case | None:
        """One ticket with all its parts, its flags and complaints, its place, and the meters around it.

        most : how many meters of its area to name at most
        """
        with reading(self._engine) as connection:
            row = (
                connection.execute(select(tickets).where(tickets.c.id == ticket_id)).mappings().one_or_none()
            )
            if row is None:
                return None
            ticket = filled(connection, rows.ticket_of(row))
            flags = (
                select(ticket_flags)
                .where(ticket_flags.c.ticket_id == ticket_id)
                .order_by(ticket_flags.c.start)
            )
            complained = (
                select(complaints).where(complaints.c.ticket_id == ticket_id).order_by(complaints.c.at_ns)
            )
            point = connection.execute(select(points).where(points.c.meter_id == ticket.meter_id)).mappings()
            place = next((_point(one) for one in point), None)
            around, of_area = (
                _around(connection, place, most) if place is not None and place.area else ([], 0)
            )
            return Case(
                ticket=ticket,
                episodes=[rows.episode_of(one) for one in connection.execute(flags).mappings()],
                complaints=[_complaint(one) for one in connection.execute(complained).mappings()],
                point=place,
                neighbours=around,
                of_area=of_area,
            )


def _around(connection: Connection, place: Point, most: int) -> tuple[list[str], int]:
    """The other meters of an area and commodity: those of the same class first; and how many there are."""
    there = (
        (points.c.area == place.area)
        & (points.c.commodity == place.commodity)
        & (points.c.meter_id != place.meter_id)
    )
    alike = points.c.meter_class == place.meter_class
    query = select(points.c.meter_id).where(there).order_by(alike.desc(), points.c.meter_id).limit(most)
    names = [str(name) for name in connection.execute(query).scalars()]
    count = connection.execute(select(func.count()).select_from(points).where(there)).scalar_one()
    return names, int(count)


def _point(row: Any) -> Point:
    return msgspec.convert({name: row[name] for name in _POINT if name in row}, Point)


def _complaint(row: Any) -> Complaint:
    """What a document tells of a complaint: neither what it says nor who said it."""
    return Complaint(
        id=row["id"],
        source=row["source"],
        reference=row["reference"],
        at_ns=row["at_ns"],
        received_ns=row["received_ns"],
        channel=Channel(row["channel"]),
        category=Category(row["category"]),
        urgency=Urgency(row["urgency"]),
        lead_time_s=row["lead_time_s"],
    )


def filled(connection: Connection, ticket: Ticket) -> Ticket:
    """The ticket with what has tables of its own: history, steps, the numbers that others gave it."""

    def of(table: Any, order: Any) -> Any:
        return connection.execute(
            select(table).where(table.c.ticket_id == ticket.id).order_by(order)
        ).mappings()

    return replace(
        ticket,
        history=tuple(rows.entry_of(row) for row in of(ticket_history, ticket_history.c.seq)),
        steps=tuple(rows.step_of(row) for row in of(steps, steps.c.seq)),
        external_refs={row["desk"]: row["remote_id"] for row in of(remote_refs, remote_refs.c.desk)},
    )


def first_told(connection: Connection, ticket: Ticket) -> dict[str, int]:
    """Flag → when it first came onto a ticket, of those that came with tickets that this one has taken over."""
    h = ticket_history.c
    found: dict[str, int] = {}
    seen: set[str] = set()
    taken = {line.note for line in ticket.history if line.action == "took_over"}
    while more := taken - seen:
        seen |= more
        query = select(h.flag_id, h.action, h.note, h.at_ns).where(h.ticket_id.in_(more))
        for flag, action, note, at_ns in connection.execute(query):
            if action == "took_over":
                taken.add(str(note))
            if flag:
                found[flag] = min(at_ns, found.get(flag, at_ns))
    return found
