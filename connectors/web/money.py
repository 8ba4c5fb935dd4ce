"""The API of money: estimates side by side, credits, bills on hold, messages to customers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.paging import NO_NUL
from connectors.web.problems import Problem
from connectors.web.sources import HistorySource, Reader
from streams.papers.written import instant
from streams.trade.decisions import Choice, Draft, Place, SideBySide, since_1970
from streams.trade.roles import Actor
from streams.trade.settlement import Rerating

_ID = re.compile(r"[A-Z0-9-]{1,64}")
Money = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=3, allow_inf_nan=False, description="in text, to lose no digit"),
]
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)]
Clerk = Annotated[Actor, needs("money")]
Worker = Annotated[Actor, needs("work")]
_TICKET: Any = {"response_model": shapes.TicketDetailOut}  # what a verb answers


class MoneyActions(Protocol):
    """What staff do about money (``streams.trade.money.MoneyDesk``). All but one method block."""

    def place(self, ticket_id: str) -> Place | None: ...

    async def side_by_side(
        self, place: Place, history: HistorySource | None, window: tuple[int, int] | None = None
    ) -> SideBySide: ...

    async def moved_by(
        self, place: Place, history: HistorySource | None, found: SideBySide, choice: Choice
    ) -> Rerating | None: ...

    def propose(
        self, place: Place, found: SideBySide, choice: Choice, actor: Actor, *, later: Rerating | None
    ) -> None: ...

    def approve(self, ticket_id: str, revision: int, note: str, actor: Actor) -> None: ...

    def refuse(self, ticket_id: str, revision: int, reason: str, actor: Actor) -> None: ...

    async def later_bills(
        self, place: Place, history: HistorySource | None, revision: int
    ) -> Rerating | None: ...

    def booked(
        self, ticket_id: str, revision: int, reference: str, actor: Actor, rerating: Rerating | None = None
    ) -> None: ...

    def rerated(self, ticket_id: str, difference: Decimal, reference: str, actor: Actor) -> None: ...

    def hold_bill(self, ticket_id: str, hold: bool, reason: str, actor: Actor) -> None: ...

    def draft(self, place: Place, wish: Draft, actor: Actor) -> None: ...

    def approve_notice(self, ticket_id: str, number: int, actor: Actor) -> None: ...

    def sent_notice(self, ticket_id: str, number: int, channel: str, actor: Actor) -> None: ...


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NothingIn(_In):
    """No fields, and no body either: the path says it all."""


class CreditIn(_In):
    """A credit to propose: a method's figures, or one's own (``method`` = ``own``)."""

    method: str = Field(max_length=64, examples=["history_mean_days"])
    reason: Reason = Field(examples=["检定不合格，按历史用量退补"])
    quantity: float | None = Field(
        None, allow_inf_nan=False, description="of one's own; above zero back, below zero charged"
    )
    amount: Money | None = Field(None, description="of one's own, with its currency", examples=["646.81"])
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", examples=["CNY"])
    in_kind: bool = Field(False, description="give use, not money (补气)")
    seen: int | None = Field(None, ge=0, description="revision of the credit that was on the screen, 0: none")
    start: datetime | None = Field(
        None, description="period billed, with its zone; none: that of the leading flag"
    )
    end: datetime | None = None


class DecisionIn(_In):
    """An approval."""

    revision: int = Field(ge=1, description="of the credit that was looked at", examples=[1])
    note: str = Field("", max_length=1000, pattern=NO_NUL)


class RefusalIn(_In):
    """A refusal with its reason."""

    revision: int = Field(ge=1, examples=[1])
    reason: Reason = Field(examples=["缺检定报告"])


class BookingIn(_In):
    """The booking in the billing system."""

    revision: int = Field(ge=1, examples=[1])
    reference: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] = Field(
        examples=["CIS-4711"]
    )


class ReratedIn(_In):
    """What billing has done with the later bills."""

    difference: Money = Field(
        description="of all the later bills, as it was told and acted on", examples=["-47.70"]
    )
    reference: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] = Field(
        examples=["CIS-4712"]
    )


class HoldIn(_In):
    """Hold a bill, or release it."""

    hold: bool = Field(examples=[True])
    reason: Reason = Field(examples=["用户质疑用量，待检定"])


class WrittenIn(_In):
    """A message in words of one's own."""

    text: Annotated[str, Field(min_length=1, max_length=4000, pattern=NO_NUL)]
    sms: Annotated[str, Field(max_length=700, pattern=NO_NUL)] = ""


class NoticeIn(_In):
    """A message to draft, from the ticket's facts or in words of one's own."""

    situation: str = Field(max_length=64, examples=["usage_rise"])
    channel: str = Field("sms", max_length=16, examples=["sms"])
    zh: WrittenIn | None = None
    en: WrittenIn | None = None
    start: datetime | None = Field(None, description="of a planned outage, with its zone")
    end: datetime | None = None
    cause: str = Field("", max_length=200, pattern=NO_NUL)


class SentIn(_In):
    """That a message has gone out."""

    channel: str = Field("", max_length=16, description="empty: as drafted", examples=["phone"])


def router(desk: MoneyActions) -> Callable[[Reader], APIRouter]:
    """The routes below ``/api``, for ``make_app``."""

    def routes(reader: Reader) -> APIRouter:
        api = APIRouter(prefix="/api", tags=["money"])
        _credits(api, reader, desk)
        _notices(api, reader, desk)
        return api

    return routes


def _credits(api: APIRouter, reader: Reader, desk: MoneyActions) -> None:
    done = partial(_done, reader)

    @api.get("/tickets/{ticket_id}/estimates", summary="What should have been billed, by all methods")
    async def estimates(
        ticket_id: str,
        _actor: Clerk,
        start: Annotated[datetime | None, Query(description="period billed, with its zone")] = None,
        end: Annotated[datetime | None, Query(description="the same")] = None,
    ) -> dict[str, Any]:
        """Computed now, from the flag's evidence and the history; each with its money, or why there is none."""
        place = await _place(reader, desk, ticket_id)
        found = await desk.side_by_side(place, reader.sources.history, _window(start, end))
        return _shown(found, place)

    @api.post("/tickets/{ticket_id}/credit", summary="Propose a credit", **_TICKET)
    async def propose(ticket_id: str, wish: CreditIn, actor: Clerk) -> dict[str, Any]:
        """Approved at once within the limit of its currency; else by somebody else."""
        place = await _place(reader, desk, ticket_id)
        found = await desk.side_by_side(place, reader.sources.history, _window(wish.start, wish.end))
        choice = Choice(
            method=wish.method,
            reason=wish.reason,
            quantity=wish.quantity,
            amount=wish.amount,
            currency=wish.currency,
            in_kind=wish.in_kind,
            seen=wish.seen,
        )
        later = await desk.moved_by(place, reader.sources.history, found, choice)
        return await done(ticket_id, lambda: desk.propose(place, found, choice, actor, later=later))

    @api.post("/tickets/{ticket_id}/credit/approve", summary="Approve a credit", **_TICKET)
    async def approve(ticket_id: str, said: DecisionIn, actor: Clerk) -> dict[str, Any]:
        """By a second person: whoever has proposed it cannot."""
        return await done(ticket_id, lambda: desk.approve(ticket_id, said.revision, said.note, actor))

    @api.post("/tickets/{ticket_id}/credit/refuse", summary="Refuse a credit", **_TICKET)
    async def refuse(ticket_id: str, said: RefusalIn, actor: Clerk) -> dict[str, Any]:
        """Or withdraw one's own."""
        return await done(ticket_id, lambda: desk.refuse(ticket_id, said.revision, said.reason, actor))

    @api.post("/tickets/{ticket_id}/credit/booked", summary="A credit is booked", **_TICKET)
    async def booked(ticket_id: str, said: BookingIn, actor: Clerk) -> dict[str, Any]:
        """The billing system has it, under this reference; later bills that it moves in the tiers are told."""
        place = await _place(reader, desk, ticket_id)
        later = await desk.later_bills(place, reader.sources.history, said.revision)
        return await done(
            ticket_id, lambda: desk.booked(ticket_id, said.revision, said.reference, actor, later)
        )

    @api.post("/tickets/{ticket_id}/rerated", summary="Later bills are rated anew", **_TICKET)
    async def rerated(ticket_id: str, said: ReratedIn, actor: Clerk) -> dict[str, Any]:
        """Billing has acted on the difference that was told; a later event says what is left to do."""
        return await done(ticket_id, lambda: desk.rerated(ticket_id, said.difference, said.reference, actor))

    @api.post("/tickets/{ticket_id}/bill-hold", summary="Hold a disputed bill", **_TICKET)
    async def hold(ticket_id: str, said: HoldIn, actor: Clerk) -> dict[str, Any]:
        """Or release it."""
        return await done(ticket_id, lambda: desk.hold_bill(ticket_id, said.hold, said.reason, actor))


def _notices(api: APIRouter, reader: Reader, desk: MoneyActions) -> None:
    done = partial(_done, reader)

    @api.get("/tickets/{ticket_id}/notices", summary="Messages to the customer")
    async def listed(ticket_id: str, _actor: Worker) -> dict[str, Any]:
        """Drafts, approved ones, and those that have gone out."""
        place = await _place(reader, desk, ticket_id)
        return {"items": shapes.ticket(place.ticket)["notices"]}

    @api.post("/tickets/{ticket_id}/notices", summary="Draft a message", **_TICKET)
    async def draft(ticket_id: str, wish: NoticeIn, actor: Worker) -> dict[str, Any]:
        """In Chinese and English, from the ticket's facts, to be approved by a person."""
        place = await _place(reader, desk, ticket_id)
        given = {"zh": wish.zh, "en": wish.en}
        asked = Draft(
            situation=wish.situation,
            channel=wish.channel,
            written={language: (own.text, own.sms) for language, own in given.items() if own},
            start_ns=None if wish.start is None else _instant("start", wish.start),
            end_ns=None if wish.end is None else _instant("end", wish.end),
            cause=wish.cause,
        )
        return await done(ticket_id, lambda: desk.draft(place, asked, actor))

    @api.post("/tickets/{ticket_id}/notices/{number}/approve", summary="Approve a message", **_TICKET)
    async def approve_notice(
        ticket_id: str, number: int, actor: Worker, _: NothingIn | None = None
    ) -> dict[str, Any]:
        """Desks are told, with its text."""
        return await done(ticket_id, lambda: desk.approve_notice(ticket_id, number, actor))

    @api.post("/tickets/{ticket_id}/notices/{number}/sent", summary="A message has gone out", **_TICKET)
    async def sent(ticket_id: str, number: int, said: SentIn, actor: Worker) -> dict[str, Any]:
        """By hand, or by whoever asks."""
        return await done(ticket_id, lambda: desk.sent_notice(ticket_id, number, said.channel, actor))


async def _place(reader: Reader, desk: MoneyActions, ticket_id: str) -> Place:
    found = await reader.ask(lambda _: desk.place(ticket_id)) if _ID.fullmatch(ticket_id) else None
    if found is None:
        raise _unknown(ticket_id)
    return found


async def _done(reader: Reader, ticket_id: str, action: Callable[[], None]) -> dict[str, Any]:
    """Do it, and answer the changed ticket."""
    if not _ID.fullmatch(ticket_id):
        raise _unknown(ticket_id)
    try:
        await reader.ask(lambda _: action())
    except KeyError:
        raise _unknown(ticket_id) from None
    changed = await reader.ticket(ticket_id)
    if changed is None:
        raise _unknown(ticket_id)
    return shapes.detail(*changed)


def _unknown(ticket_id: str) -> Problem:
    return Problem(
        404, expected="the id of a ticket", got=repr(ticket_id[:64]), action="GET /api/tickets lists them"
    )


def _window(start: datetime | None, end: datetime | None) -> tuple[int, int] | None:
    """The period that staff name. Raises Problem where it is none."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise Problem(422, expected="start and end of the period", got="one of them", action="state both")
    window = _instant("start", start), _instant("end", end)
    if not 0 < window[1] - window[0] <= 3 * 366 * 86_400 * 1_000_000_000:
        raise Problem(
            422,
            expected="a period that ends after it begins, of at most three years",
            got=f"{start.isoformat()} to {end.isoformat()}",
            action="mend it",
        )
    return window


def _instant(name: str, stamp: datetime) -> int:
    if stamp.tzinfo is None or not 1900 < stamp.year < 2200:
        raise Problem(
            422,
            expected=f"{name} as ISO 8601 with its zone, such as 2012-06-10T00:00:00Z",
            got=stamp.isoformat(),
            action="add Z or an offset; in a URL a + is written %2B",
        )
    return since_1970(stamp.astimezone(UTC))


def _shown(found: SideBySide, place: Place) -> dict[str, Any]:
    window = found.window
    return {
        "ticket_id": place.ticket.id,
        "start": None if window is None else instant(window.start_ns),
        "end": None if window is None else instant(window.end_ns),
        "days": None if window is None else round(window.days, 4),
        "billed": found.billed,
        "unit": found.unit,
        "tariff": found.tariff,
        "used_before": None if found.use is None else str(found.use.before),
        "billed_money": None if found.billed_money is None else str(found.billed_money),
        "currency": found.currency,
        "items": [msgspec.to_builtins(one) for one in found.alternatives],
    }
