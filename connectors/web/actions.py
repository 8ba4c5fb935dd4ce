"""What staff do with tickets, over the API: each route is one verb, one transaction, one line of history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from connectors.web import action_bodies as bodies
from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.instants import instant_if, instant_of
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.papers.written import instant
from streams.trade.mutes import Mute, Muted
from streams.trade.roles import Actor
from streams.trade.tickets import Swap, Ticket

T = TypeVar("T")

Told = Callable[[str, Callable[[], Ticket]], Awaitable[dict[str, Any]]]
Worker = Annotated[Actor, needs("work")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    403: {"description": "The role of this credential has not the right"},
    404: {"description": "There is no such ticket"},
    409: {"description": "The trade forbids it as the ticket stands now; the body says what was expected"},
}


class Staff(Protocol):
    """The verbs (``streams.trade.staff.Staff``)."""

    def wish(self, actor: Actor, facts: dict[str, Any]) -> Any: ...

    def move(self, actor: Actor, ticket_id: str, wish: Any) -> Ticket: ...

    def check(
        self, actor: Actor, ticket_id: str, seq: int, result: str, finding: str, cause: str = ""
    ) -> Ticket: ...

    def add_check(self, actor: Actor, ticket_id: str, check: str) -> Ticket: ...

    def hand_off(
        self,
        actor: Actor,
        ticket_id: str,
        department: str,
        owner: str,
        note: str = "",
        co_departments: Sequence[str] | None = None,
    ) -> Ticket: ...

    def merge(self, actor: Actor, ticket_id: str, into: str, note: str = "") -> Ticket: ...

    def escalate(self, actor: Actor, ticket_id: str, note: str) -> Ticket: ...

    def explain(self, actor: Actor, ticket_id: str, note: str) -> Ticket: ...

    def note(self, actor: Actor, ticket_id: str, text: str) -> Ticket: ...

    def swap(self, actor: Actor, ticket_id: str, swap: Swap) -> Ticket: ...

    def keep_record(self, actor: Actor, ticket_id: str, part: str, text: str) -> Ticket: ...

    def set_impact(self, actor: Actor, ticket_id: str, impact: str) -> Ticket: ...

    def open(self, actor: Actor, finding: Any) -> Ticket: ...

    def seen(self, facts: dict[str, Any]) -> Any: ...

    def quiet(
        self,
        actor: Actor,
        kind: str,
        place: str,
        kinds: Sequence[str],
        start_ns: int | None,
        end_ns: int,
        reason: str,
    ) -> Mute: ...

    def notice_given(self, actor: Actor, mute_id: str, at_ns: int | None) -> Mute: ...

    def end_quiet(self, actor: Actor, mute_id: str, reason: str) -> Mute: ...

    def mutes(self, place: str, limit: int) -> list[Mute]: ...

    def muted_flags(self, limit: int, waiting: bool) -> list[Muted]: ...


class MuteOut(BaseModel):
    """A mute."""

    id: str
    kind: str
    place: str
    kinds: list[str]
    start: str
    end: str
    reason: str
    by: str
    notice: str | None = Field(description="when customers were told of a planned outage")


class MutesOut(BaseModel):
    """Mutes that hold or will."""

    items: list[MuteOut]


class MutedOut(BaseModel):
    """A flag that waits."""

    flag_id: str
    meter_id: str
    service_point_id: str
    family: str
    kind: str
    why: str
    since: str
    until: str | None = Field(description="null: until it reaches the bar of its kind, or ends")
    outcome: str = Field(description="empty: it waits; cleared; opened")


class MutedsOut(BaseModel):
    """Flags that wait, newest first."""

    items: list[MutedOut]


def router(staff: Staff) -> Callable[[Reader], APIRouter]:
    """The routes, for ``make_app``."""

    def routes(reader: Reader) -> APIRouter:
        api = APIRouter(prefix="/api", tags=["work"], responses=_PROBLEMS)

        async def do(verb: Callable[[], T]) -> T:
            try:
                return await reader.ask(lambda _store: verb())
            except KeyError as error:
                got = str(error.args[0]).rpartition(", got ")[2]
                raise Problem(
                    404, expected="the id of something that is there", got=got, action="look it up"
                ) from None

        async def told(ticket_id: str, verb: Callable[[], Ticket]) -> dict[str, Any]:
            await do(verb)
            found = await reader.ticket(ticket_id)
            assert found is not None
            return shapes.detail(*found)

        _tickets(api, staff, told)
        _mutes(api, staff, do)

        @api.post(
            "/tickets",
            summary="Open a ticket by hand",
            status_code=201,
            response_model=shapes.TicketDetailOut,
        )
        async def open_(body: bodies.OpenIn, actor: Worker) -> dict[str, Any]:
            """Or a drill's. Where one of this family is open at the point, it joins that."""
            opened = await do(lambda: staff.open(actor, staff.seen(body.model_dump())))
            return await told(opened.id, lambda: opened)

        return api

    return routes


def _tickets(api: APIRouter, staff: Staff, told: Told) -> None:
    """The verbs on one ticket."""
    ticket: dict[str, Any] = {"response_model": shapes.TicketDetailOut}

    @api.post("/tickets/{ticket_id}/move", summary="Bring it into another state", **ticket)
    async def move(ticket_id: str, body: bodies.MoveIn, actor: Worker) -> dict[str, Any]:
        return await told(
            ticket_id, lambda: staff.move(actor, ticket_id, staff.wish(actor, body.model_dump()))
        )

    @api.post("/tickets/{ticket_id}/checks/{seq}", summary="The result of a check", **ticket)
    async def check(ticket_id: str, seq: int, body: bodies.CheckIn, actor: Worker) -> dict[str, Any]:
        return await told(
            ticket_id, lambda: staff.check(actor, ticket_id, seq, body.result, body.finding, body.cause)
        )

    @api.post("/tickets/{ticket_id}/checks", summary="One more check", **ticket)
    async def add_check(ticket_id: str, body: bodies.NewCheckIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.add_check(actor, ticket_id, body.check))

    @api.post("/tickets/{ticket_id}/hand-off", summary="Give it to another department or person", **ticket)
    async def hand_off(ticket_id: str, body: bodies.HandOffIn, actor: Worker) -> dict[str, Any]:
        return await told(
            ticket_id,
            lambda: staff.hand_off(
                actor, ticket_id, body.department, body.owner, body.note, body.co_departments
            ),
        )

    @api.post("/tickets/{ticket_id}/merge", summary="Fold it into another", **ticket)
    async def merge(ticket_id: str, body: bodies.MergeIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.merge(actor, ticket_id, body.into, body.note))

    @api.post("/tickets/{ticket_id}/escalate", summary="Mark it as escalated", **ticket)
    async def escalate(ticket_id: str, body: bodies.ReasonIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.escalate(actor, ticket_id, body.note))

    @api.post("/tickets/{ticket_id}/explain", summary="The use is real: the customer is to be told", **ticket)
    async def explain(ticket_id: str, body: bodies.ReasonIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.explain(actor, ticket_id, body.note))

    @api.post("/tickets/{ticket_id}/note", summary="Write something down", **ticket)
    async def note(ticket_id: str, body: bodies.NoteIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.note(actor, ticket_id, body.text))

    @api.post("/tickets/{ticket_id}/swap", summary="A meter swap with stop and start reads", **ticket)
    async def swap(ticket_id: str, body: bodies.SwapIn, actor: Worker) -> dict[str, Any]:
        instant_of("at", body.at)
        return await told(ticket_id, lambda: staff.swap(actor, ticket_id, Swap(**body.model_dump())))

    @api.post("/tickets/{ticket_id}/record", summary="A part of a low-voltage record", **ticket)
    async def record(ticket_id: str, body: bodies.RecordIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.keep_record(actor, ticket_id, body.part, body.text))

    @api.post("/tickets/{ticket_id}/impact", summary="The class of impact", **ticket)
    async def impact(ticket_id: str, body: bodies.ImpactIn, actor: Worker) -> dict[str, Any]:
        return await told(ticket_id, lambda: staff.set_impact(actor, ticket_id, body.impact))


def _mutes(api: APIRouter, staff: Staff, do: Callable[..., Any]) -> None:
    """Quiet for a while, and what waits for its end."""

    @api.get("/mutes", summary="Snoozes, planned outages, vacancies", response_model=MutesOut)
    async def mutes(
        _reader: Annotated[Actor, needs("read")],
        place: Annotated[str, Query(max_length=300, description="such as line/L1; empty: all")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """Those that hold or will, by their end."""
        return {"items": [_mute(one) for one in await do(lambda: staff.mutes(place, limit))]}

    @api.post("/mutes", summary="Let the flags of a place wait", status_code=201, response_model=MuteOut)
    async def add(body: bodies.MuteIn, actor: Worker) -> dict[str, Any]:
        """Emergencies never wait. What waits is kept, and becomes a ticket after the end unless it has ended too."""
        start = instant_if("start", body.start)
        end = instant_of("end", body.end)
        return _mute(
            await do(lambda: staff.quiet(actor, body.kind, body.place, body.kinds, start, end, body.reason))
        )

    @api.post("/mutes/{mute_id}/end", summary="End it now", response_model=MuteOut)
    async def end_mute(mute_id: str, body: bodies.ReasonIn, actor: Worker) -> dict[str, Any]:
        return _mute(await do(lambda: staff.end_quiet(actor, mute_id, body.note)))

    @api.post("/mutes/{mute_id}/notice", summary="Customers have been told", response_model=MuteOut)
    async def notice(mute_id: str, body: bodies.NoticeIn, actor: Worker) -> dict[str, Any]:
        at = instant_if("at", body.at)
        return _mute(await do(lambda: staff.notice_given(actor, mute_id, at)))

    @api.get("/muted-flags", summary="Flags that wait", response_model=MutedsOut)
    async def muted(
        _reader: Annotated[Actor, needs("read")],
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        all: Annotated[bool, Query(description="also those that have waited")] = False,  # noqa: A002
    ) -> dict[str, Any]:
        """With the reason, newest first."""
        return {"items": [_waiting(one) for one in await do(lambda: staff.muted_flags(limit, not all))]}


def _mute(mute: Mute) -> dict[str, Any]:
    fields = msgspec.to_builtins(mute)
    return {
        **{name: fields[name] for name in ("id", "kind", "place", "kinds", "reason", "by")},
        "start": instant(mute.start_ns),
        "end": instant(mute.end_ns),
        "notice": None if mute.notice_ns is None else instant(mute.notice_ns),
    }


def _waiting(muted: Muted) -> dict[str, Any]:
    fields = msgspec.to_builtins(muted)
    names = ("flag_id", "meter_id", "service_point_id", "family", "kind", "why", "outcome")
    return {
        **{name: fields[name] for name in names},
        "since": instant(muted.since_ns),
        "until": instant(muted.until_ns) if muted.mute_id else None,
    }
