"""Everything that staff do about money: estimates side by side, credits, bills on hold, messages to customers.

``MoneyDesk`` joins the verbs with the store; its methods block, but for the one that reads the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Protocol

from streams.messages import NS
from streams.trade import credit, notices
from streams.trade import rerated as done
from streams.trade.bill_run import bill_days_of, lines, rerated
from streams.trade.book import Book, Refused
from streams.trade.credit import OWN, Proposal
from streams.trade.decisions import BillLine, Choice, Draft, Place, SideBySide, Window
from streams.trade.limits import Limits
from streams.trade.money_words import MONEY
from streams.trade.mutes import Mute
from streams.trade.notice_words import Facts, Signature
from streams.trade.points import Point
from streams.trade.rerating import Correction
from streams.trade.roles import Actor
from streams.trade.settlement import Estimate, Rerating
from streams.trade.side_by_side import History, compare, gather, later_bills
from streams.trade.tariff import Tariffs
from streams.trade.tickets import Ticket

_TOLD_FOR = 62 * 86_400 * NS  # so long bills that are to be rated anew are in the bill run: two of them
_MUTES = 10_000  # that hold or will: among them the planned outages
Verb = Callable[[Book, Ticket], Ticket]


class MoneyStore(Protocol):
    """What is asked of the store; all of it blocks and raises Unavailable or Rejected."""

    def ticket(self, ticket_id: str) -> Ticket | None: ...

    def change(
        self,
        ticket_id: str,
        verb: Verb,
        now_ns: int,
        *,
        audited: tuple[Actor, str, str] | None = None,
    ) -> Ticket: ...

    def point_of_meter(self, meter_id: str) -> Point | None: ...

    def neighbours(self, point: Point, limit: int) -> list[Point]: ...

    def billed(self, bill_days: Sequence[int]) -> tuple[list[Ticket], list[Point]]: ...

    def rerated(self, bill_days: Sequence[int], since_ns: int) -> list[Ticket]: ...

    def mutes(self, now_ns: int, place: str = "", limit: int = 500) -> list[Mute]: ...


@dataclass(frozen=True, slots=True)
class MoneyConfig:
    """What the utility decides.

    tariffs    : None: no file is configured, and nothing has a price
    limits     : up to which amounts one person is enough
    signature  : of messages to customers
    neighbours : so many meters of an area stand for its change
    """

    tariffs: Tariffs | None = None
    limits: Limits = field(default_factory=Limits)
    signature: Signature = field(default_factory=Signature)
    neighbours: int = 30


class MoneyDesk:
    """Estimates, credits, bills and messages, on a store.

    point_from : the place of a ticket's meter where the registry's row is not there
    """

    words: Mapping[str, tuple[str, str]] = MONEY

    def __init__(
        self,
        store: MoneyStore,
        config: MoneyConfig,
        now_ns: Callable[[], int],
        point_from: Callable[[Ticket], Point],
    ) -> None:
        self._store = store
        self._config = config
        self._now_ns = now_ns
        self._point_from = point_from

    def place(self, ticket_id: str) -> Place | None:
        """A ticket with its meter and the meter's neighbours; None where there is no such ticket."""
        ticket = self._store.ticket(ticket_id)
        if ticket is None:
            return None
        point = self._store.point_of_meter(ticket.meter_id) or self._point_from(ticket)
        return Place(ticket, point, self._store.neighbours(point, self._config.neighbours))

    async def side_by_side(
        self, place: Place, history: History | None, window: tuple[int, int] | None = None
    ) -> SideBySide:
        """The methods beside each other, now. Raises Unavailable or Rejected of the history.

        window : the period billed as staff name it, from and to [ns]; None: that of the leading flag
        """
        named = None if window is None else Window(*window)
        basis = await gather(place.ticket, place.point, history, place.neighbours, named)
        return compare(place.ticket, place.point, basis, self._config.tariffs, self._now_ns())

    async def later_bills(self, place: Place, history: History | None, revision: int) -> Rerating | None:
        """The bills that stand at the wrong place in the tiers once this credit is booked; None: none can."""
        tariffs = self._config.tariffs
        if tariffs is None:
            return None
        return await later_bills(place.ticket, place.point, history, tariffs, revision, self._now_ns())

    async def moved_by(
        self, place: Place, history: History | None, found: SideBySide, choice: Choice
    ) -> Rerating | None:
        """The later bills that would stand at the wrong place in the tiers if this choice were booked."""
        tariffs, use = self._config.tariffs, found.use
        if choice.method != OWN:
            one = found.of(choice.method)
            return None if one is None else one.rerating
        if tariffs is None or use is None or not choice.quantity:
            return None
        wished = Correction(use.start, use.end, choice.quantity, found.unit)
        return await later_bills(place.ticket, place.point, history, tariffs, 0, self._now_ns(), wished)

    def propose(
        self, place: Place, found: SideBySide, choice: Choice, actor: Actor, *, later: Rerating | None
    ) -> None:
        """Propose a credit, of a method or of one's own. Raises Refused.

        later : what ``moved_by`` says of it
        """
        wish = replace(self._proposal(place.point, found, choice), later=later, tz=place.point.tz)
        now, limits = self._now_ns(), self._config.limits
        self._decide(
            place.ticket.id,
            lambda book, ticket: credit.propose(book, ticket, wish, limits, actor, now),
            now, actor, "propose_credit", choice.reason,
        )  # fmt: skip

    def approve(self, ticket_id: str, revision: int, note: str, actor: Actor) -> None:
        """Approve a credit that somebody else has proposed. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: credit.approve(book, ticket, revision, actor, note, now),
            now, actor, "approve_credit", note,
        )  # fmt: skip

    def refuse(self, ticket_id: str, revision: int, reason: str, actor: Actor) -> None:
        """Refuse a credit, or withdraw one's own. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: credit.refuse(book, ticket, revision, actor, reason, now),
            now, actor, "refuse_credit", reason,
        )  # fmt: skip

    def booked(
        self,
        ticket_id: str,
        revision: int,
        reference: str,
        actor: Actor,
        rerating: Rerating | None = None,
    ) -> None:
        """Note that billing has the credit, and tell which later bills are to be rated anew. Raises Refused."""
        now, limits = self._now_ns(), self._config.limits
        self._decide(
            ticket_id,
            lambda book, ticket: credit.booked(book, ticket, revision, reference, actor, now, rerating, limits),
            now, actor, "book_credit", reference,
        )  # fmt: skip

    def rerated(self, ticket_id: str, difference: Decimal, reference: str, actor: Actor) -> None:
        """Note that billing has rated the later bills anew. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: done.rerated(book, ticket, difference, reference, actor, now),
            now, actor, "rerate_bills", reference,
        )  # fmt: skip

    def hold_bill(self, ticket_id: str, hold: bool, reason: str, actor: Actor) -> None:
        """Hold a disputed bill, or release it. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: credit.hold_bill(book, ticket, hold, actor, reason, now),
            now, actor, "hold_bill" if hold else "release_bill", reason,
        )  # fmt: skip

    def draft(self, place: Place, wish: Draft, actor: Actor) -> None:
        """Draft a message to the customer. Raises Refused."""
        now = self._now_ns()

        def work(book: Book, ticket: Ticket) -> Ticket:
            facts = self.facts(ticket, place.point, wish)
            return notices.draft(
                book, wish.situation, facts, actor.name, now, channel=wish.channel, written=dict(wish.written)
            )

        self._decide(place.ticket.id, work, now, actor, "draft_notice", wish.situation)

    def approve_notice(self, ticket_id: str, number: int, actor: Actor) -> None:
        """Approve a message. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: notices.approve(book, ticket, number, actor, now),
            now, actor, "approve_notice", str(number),
        )  # fmt: skip

    def sent_notice(self, ticket_id: str, number: int, channel: str, actor: Actor) -> None:
        """Note that an approved message has gone out by hand. Raises Refused."""
        now = self._now_ns()
        self._decide(
            ticket_id,
            lambda book, ticket: notices.sent(book, ticket, number, actor.name, now, channel=channel),
            now, actor, "send_notice", str(number),
        )  # fmt: skip

    def bill_run(self, day: date) -> list[BillLine]:
        """The bills of a day that open tickets concern."""
        days = bill_days_of(day)
        tickets, points = self._store.billed(days)
        found = lines(tickets, {point.meter_id: point for point in points}, day)
        moved = self._store.rerated(days, self._now_ns() - _TOLD_FOR)
        return [*found, *rerated(moved, day)]

    def unannounced(self, hours: float) -> list[Mute]:
        """Planned outages whose customers were not told so many hours before they begin."""
        now = self._now_ns()
        return notices.unannounced(self._store.mutes(now, limit=_MUTES), now, hours)

    def facts(self, ticket: Ticket, point: Point, wish: Draft) -> Facts:
        """What a message is made of."""
        return Facts(
            ticket,
            point.tz,
            self._config.signature.company,
            self._config.signature.hotline,
            wish.start_ns,
            wish.end_ns,
            wish.cause,
        )

    def _decide(
        self, ticket_id: str, verb: Verb, now_ns: int, actor: Actor, action: str, reason: str
    ) -> None:
        self._store.change(ticket_id, verb, now_ns, audited=(actor, action, reason))

    def _proposal(self, point: Point, found: SideBySide, choice: Choice) -> Proposal:
        """The figures of a choice. Raises Refused where its method gives none."""
        if choice.method == OWN:
            return self._own(point, found, choice)
        one = found.of(choice.method)
        if one is None:
            known = ", ".join((*(a.method for a in found.alternatives), OWN))
            raise Refused(f"expected a method among {known}, got {choice.method}")
        if one.estimate is None:
            raise Refused(f"expected a method that gives an estimate, got {choice.method}: {one.why_not}")
        if choice.quantity is not None or choice.amount is not None:
            raise Refused(f"expected no figures beside a method, got some: state the method {OWN} with them")
        return self._of_estimate(one.estimate, found, choice)

    def _own(self, point: Point, found: SideBySide, choice: Choice) -> Proposal:
        amount, currency = choice.amount, choice.currency or found.currency
        if choice.quantity is not None and found.billed is not None:
            estimate = Estimate(
                expected=found.billed - choice.quantity,
                billed=found.billed,
                excess=choice.quantity,
                unit=found.unit,
                method=OWN,
            )
            if amount is None and not choice.in_kind:
                estimate = self._priced(estimate, point, found)
            if amount is None:
                return self._of_estimate(estimate, found, choice)
        return Proposal(
            method=OWN,
            reason=choice.reason,
            quantity=choice.quantity,
            unit=found.unit,
            amount=amount,
            currency=currency,
            billed=(found.billed, found.billed_money if currency == found.currency else None),
            seen=choice.seen,
            alternatives=found.alternatives,
            period=_period(found),
        )

    def _of_estimate(self, estimate: Estimate, found: SideBySide, choice: Choice) -> Proposal:
        money = None if choice.in_kind else estimate.money
        return Proposal(
            method=choice.method,
            reason=choice.reason,
            quantity=estimate.excess,
            unit=estimate.unit,
            amount=None if money is None else money.amount,
            currency="" if money is None else money.currency,
            # as it stands on paper, like the excess
            billed=(estimate.billed, found.billed_money),
            seen=choice.seen,
            alternatives=found.alternatives,
            estimate=estimate,
            period=_period(found),
        )

    def _priced(self, estimate: Estimate, point: Point, found: SideBySide) -> Estimate:
        tariffs = self._config.tariffs
        if tariffs is None or found.use is None:
            return estimate
        return tariffs.priced(estimate, point.tariff, found.use)[0]


def _period(found: SideBySide) -> tuple[int, int] | None:
    return None if found.window is None else (found.window.start_ns, found.window.end_ns)
