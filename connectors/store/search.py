"""Finding tickets: by what they are, whose they are, when they opened, and by what a name begins with."""

from __future__ import annotations

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Select, select, tuple_

from connectors.store import rows
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import tickets
from connectors.store.tables_trade import aliases
from streams.trade.points import folded
from streams.trade.tickets import Ticket

_MOST = 1000  # tickets that a search by name looks at
_LAST = "\U0010ffff"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What tickets are looked for. Empty and None: any.

    state         : a state, or ``open`` for all that are open
    text          : what the ticket's number, its meter or its service point begin with, or an alias of the point
    overdue_ns    : something was due before this
    drill         : True: drills alone; False: real ones alone
    """

    state: str = ""
    priority: str = ""
    category: str = ""
    urgency: str = ""
    department: str = ""
    owner: str = ""
    family: str = ""
    kind: str = ""
    area: str = ""
    purpose: str = ""
    origin: str = ""
    service_point: str = ""
    text: str = ""
    escalated: bool | None = None
    drill: bool | None = None
    overdue_ns: int | None = None
    opened_from_ns: int | None = None
    opened_to_ns: int | None = None


class Search(Part):
    """Lists of tickets. Part of ``Store``."""

    def tickets(
        self,
        state: str | None = None,
        limit: int = 100,
        *,
        service_point: str = "",
        before: tuple[int, str] | None = None,
        wanted: Wanted | None = None,
    ) -> list[Ticket]:
        """Tickets, newest first, without history and steps.

        state  : a state, ``open`` for all that are open, None for all
        before : (opened_ns, id) of the last ticket of the page before
        wanted : further conditions
        """
        query = select(tickets).order_by(tickets.c.opened_ns.desc(), tickets.c.id.desc()).limit(limit)
        given = wanted or Wanted()
        conditions = [*_conditions(given), *_state(str(state or given.state))]
        if service_point:
            conditions.append(tickets.c.service_point_id == service_point)
        if before is not None:
            # as a pair, so that an index begins where the page does
            conditions.append(tuple_(tickets.c.opened_ns, tickets.c.id) < before)
        with reading(self._engine) as connection:
            if given.text:
                conditions.append(tickets.c.id.in_(_named(connection, given.text.strip())))
            return [rows.ticket_of(row) for row in connection.execute(query.where(*conditions)).mappings()]


def _state(state: str) -> list[ColumnElement[bool]]:
    if not state:
        return []
    return [tickets.c.open if state == "open" else tickets.c.state == state]


def _conditions(given: Wanted) -> list[ColumnElement[bool]]:
    equal = {
        tickets.c.priority: given.priority,
        tickets.c.category: given.category,
        tickets.c.urgency: given.urgency,
        tickets.c.owner_department: given.department,
        tickets.c.owner: given.owner,
        tickets.c.family: given.family,
        tickets.c.kind: given.kind,
        tickets.c.area: given.area,
        tickets.c.purpose: given.purpose,
        tickets.c.origin: given.origin,
        tickets.c.service_point_id: given.service_point,
    }
    made = [column == value for column, value in equal.items() if value]
    if given.escalated is not None:
        made.append(tickets.c.escalated if given.escalated else ~tickets.c.escalated)
    if given.drill is not None:
        made.append(tickets.c.drill if given.drill else ~tickets.c.drill)
    if given.overdue_ns is not None:
        made.append(tickets.c.open & (tickets.c.due_ns < given.overdue_ns))
    if given.opened_from_ns is not None:
        made.append(tickets.c.opened_ns >= given.opened_from_ns)
    if given.opened_to_ns is not None:
        made.append(tickets.c.opened_ns < given.opened_to_ns)
    return made


def _named(connection: Connection, text: str) -> list[str]:
    """The newest tickets whose number, meter or service point begins so, or whose point has this alias."""
    found: dict[str, None] = {}
    points = connection.execute(
        select(aliases.c.service_point_id).where(aliases.c.alias == folded(text))
    ).scalars()
    for query in (
        *(
            _begins(connection, column, text)
            for column in (tickets.c.id, tickets.c.meter_id, tickets.c.service_point_id)
        ),
        *(select(tickets.c.id).where(tickets.c.service_point_id == point) for point in points),
    ):
        found.update(dict.fromkeys(connection.execute(query.limit(_MOST)).scalars()))
    return list(found)


def _begins(connection: Connection, column: Column[str], text: str) -> Select[tuple[str]]:
    """Tickets whose column begins with a text, by an index of each database."""
    if connection.dialect.name == "postgresql":
        return select(tickets.c.id).where(column.startswith(text, autoescape=True))
    return select(tickets.c.id).where(column >= text, column < text + _LAST)
