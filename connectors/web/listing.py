"""The list of tickets, and what it may be narrowed to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from msgspec.structs import replace

from connectors.store.search import Wanted
from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.instants import instant_if
from connectors.web.paging import NO_NUL, Before, Limit, mark_of, page
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.trade.roles import Actor
from streams.trade.tickets import State

STATES = ("open", *(str(state) for state in State))
Name = Annotated[str, Query(max_length=256, pattern=NO_NUL)]


def _wanted(
    state: Annotated[str, Query(description="a state, or open for all open ones; empty: all")] = "",
    text: Annotated[
        str,
        Query(
            max_length=256,
            pattern=NO_NUL,
            description="what number, meter or service point begin with, or an alias of the point",
        ),
    ] = "",
    service_point: Name = "",
    priority: Name = "",
    category: Name = "",
    urgency: Name = "",
    department: Name = "",
    owner: Name = "",
    family: Name = "",
    kind: Name = "",
    area: Name = "",
    purpose: Name = "",
    origin: Name = "",
    escalated: bool | None = None,
    drill: Annotated[bool | None, Query(description="drills alone, or real ones alone; else both")] = None,
    opened_from: Annotated[str, Query(description="ISO 8601 with its zone, included")] = "",
    opened_to: Annotated[str, Query(description="the same, not included")] = "",
) -> Wanted:
    if state and state not in STATES:
        raise Problem(
            422, expected=f"state to be one of {', '.join(STATES)}", got=repr(state[:64]), action="mend it"
        )
    return Wanted(
        state=state,
        text=text,
        service_point=service_point,
        priority=priority,
        category=category,
        urgency=urgency,
        department=department,
        owner=owner,
        family=family,
        kind=kind,
        area=area,
        purpose=purpose,
        origin=origin,
        escalated=escalated,
        drill=drill,
        opened_from_ns=instant_if("opened_from", opened_from),
        opened_to_ns=instant_if("opened_to", opened_to),
    )


def routes(reader: Reader) -> APIRouter:
    """``GET /api/tickets``."""
    api = APIRouter(prefix="/api", tags=["forestall"])

    @api.get("/tickets", summary="Tickets", response_model=shapes.TicketsOut)
    async def tickets(
        _actor: Annotated[Actor, needs("read")],
        wanted: Annotated[Wanted, Depends(_wanted)],
        limit: Limit = 100,
        before: Before = "",
        overdue: Annotated[
            bool, Query(description="those of which something is due and was not done")
        ] = False,
    ) -> dict[str, Any]:
        """Newest first."""
        narrowed = replace(wanted, overdue_ns=reader.sources.now_ns()) if overdue else wanted
        cursor = mark_of(before)
        # one more than asked for: whether there is a next page
        found = await reader.ask(lambda store: store.tickets(None, limit + 1, before=cursor, wanted=narrowed))
        return page(found, limit, shapes.ticket, lambda ticket: (ticket.opened_ns, ticket.id))

    return api
