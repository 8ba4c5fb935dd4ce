"""The list of tickets, and what it may be narrowed to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from msgspec.structs import replace

from connectors.store.search import Wanted
from connectors.web import shapes
from connectors.web.api import page_after
from connectors.web.guard import needs
from connectors.web.instants import instant_of
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.trade.roles import Actor
from streams.trade.tickets import State

STATES = ("open", *(str(state) for state in State))
_NAME = r"^[^\x00]*$"  # PostgreSQL takes no NUL
Name = Annotated[str, Query(max_length=256, pattern=_NAME)]


def _wanted(
    state: Annotated[str, Query(description="a state, or open for all open ones; empty: all")] = "",
    text: Annotated[
        str,
        Query(
            max_length=256,
            pattern=_NAME,
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
        opened_from_ns=instant_of("opened_from", opened_from) if opened_from else None,
        opened_to_ns=instant_of("opened_to", opened_to) if opened_to else None,
    )


def routes(reader: Reader) -> APIRouter:
    """``GET /api/tickets``."""
    api = APIRouter(prefix="/api", tags=["forestall"])

    @api.get("/tickets", summary="Tickets", response_model=shapes.TicketsOut)
    async def tickets(
        _actor: Annotated[Actor, needs("read")],
        wanted: Annotated[Wanted, Depends(_wanted)],
        limit: Annotated[int, Query(ge=1, le=500, description="at most so many")] = 100,
        before: Annotated[
            str, Query(max_length=64, pattern=_NAME, description="next of the page before")
        ] = "",
        overdue: Annotated[
            bool, Query(description="those of which something is due and was not done")
        ] = False,
    ) -> dict[str, Any]:
        """Newest first."""
        narrowed = replace(wanted, overdue_ns=reader.sources.now_ns()) if overdue else wanted
        cursor = page_after(before) if before else None
        # one more than asked for: whether there is a next page
        found = await reader.ask(lambda store: store.tickets(None, limit + 1, before=cursor, wanted=narrowed))
        last = found[limit - 1] if len(found) > limit else None
        return {
            "items": [shapes.ticket(one) for one in found[:limit]],
            "next": None if last is None else f"{last.opened_ns}.{last.id}",
        }

    return api
