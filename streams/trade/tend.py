"""What the clock does to tickets: mutes end, due dates pass, bills come near, cases are archived.

Everything here may run in several processes at once, and again after a kill: each step asks in
its own transaction whether it is still to be done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from msgspec.structs import replace

from streams.clock import Clock
from streams.messages import NS
from streams.ports import PortError
from streams.trade.bill_days import local_day
from streams.trade.book import Book
from streams.trade.lifecycle import Move, Refused, move, record
from streams.trade.rules import ACTOR, Rules
from streams.trade.sla import breached
from streams.trade.states import RESOLVED
from streams.trade.tickets import Category, State, Ticket

log = logging.getLogger(__name__)

_DAY = 86_400 * NS
#: what is escalated when it is overdue; the rest waits for the next batch
ESCALATED = ("P1", "P2", "P3")
#: a line of the store's lists: by what they are ordered [ns], the ticket's id
Mark = tuple[int, str]
_START: Mark = (-(2**62), "")


class TendStore(Protocol):
    """What is asked of the store; all of it blocks and raises Unavailable."""

    def reconsider(self, now_ns: int, rules: Rules, limit: int = 200) -> list[Ticket]: ...

    def overdue(self, now_ns: int, priorities: Sequence[str], after: Mark, limit: int) -> list[Mark]: ...

    def to_archive(self, closed_before_ns: int, after: Mark, limit: int) -> list[Mark]: ...

    def billed_on(self, days: Sequence[int], after: Mark, limit: int) -> list[Mark]: ...

    def change(self, ticket_id: str, verb: Callable[[Book, Ticket], Ticket], now_ns: int) -> Ticket: ...


@dataclass(frozen=True, slots=True)
class TendConfig:
    """When the clock acts.

    every_s      : between looks
    archive_days : after its end a case goes into the archive by itself; 0: never
    escalate     : whether overdue tickets are escalated
    most         : tickets of each kind that one look takes up
    """

    every_s: float = 15.0
    archive_days: float = 90.0
    escalate: bool = True
    most: int = 200


class Tend:
    """Looks after tickets by the clock."""

    def __init__(
        self, store: TendStore, rules: Rules, clock: Clock, config: TendConfig | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._config = config or TendConfig()
        self._after: dict[str, Mark] = {}  # where the next look at each list goes on
        self.done: dict[str, int] = {"unmuted": 0, "overdue": 0, "billed_soon": 0, "archived": 0}

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ``every_s`` until ``stop`` is set."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.tick)
            except PortError as error:
                log.warning("tickets are not looked after: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), self._config.every_s)
            except TimeoutError:
                continue

    def tick(self) -> None:
        """Look once. Raises Unavailable when the store is away; what was not done is done the next time."""
        now = self._clock.now_ns()
        while changed := self._store.reconsider(now, self._rules):
            self.done["unmuted"] += len(changed)
        config, rules, days = self._config, self._rules, self._days(now)
        if config.escalate:
            self._each(
                "overdue",
                lambda after, limit: self._store.overdue(now, ESCALATED, after, limit),
                lambda book, ticket: overdue(book, ticket, now),
                now,
            )
        self._each(
            "billed_soon",
            lambda after, limit: self._store.billed_on(days, after, limit),
            lambda book, ticket: billed_soon(book, ticket, rules, now),
            now,
        )
        if config.archive_days > 0:
            ended_ns = now - int(config.archive_days * _DAY)
            self._each(
                "archived",
                lambda after, limit: self._store.to_archive(ended_ns, after, limit),
                lambda book, ticket: archive(book, ticket, rules, now),
                now,
            )

    def _each(
        self,
        what: str,
        page: Callable[[Mark, int], list[Mark]],
        verb: Callable[[Book, Ticket], Ticket],
        now_ns: int,
    ) -> None:
        """Do the next page of a list: from where the last look left off, and from the start after its end."""
        found = page(self._after.get(what, _START), self._config.most)
        self._after[what] = found[-1] if len(found) == self._config.most else _START
        for _, ticket_id in found:
            try:
                self._store.change(ticket_id, verb, now_ns)
            except (Refused, KeyError):
                continue  # somebody was quicker, or it is not to be done yet
            self.done[what] += 1

    def _days(self, now_ns: int) -> list[int]:
        """Days of the month that may be a bill day within ``bill_days``, in any zone; short months end on all above."""
        today = local_day("", now_ns)
        ahead = [today + timedelta(days=n) for n in range(-1, int(self._rules.routing.bill_days) + 2)]
        days = {day.day for day in ahead}
        if any((day + timedelta(days=1)).day == 1 for day in ahead):
            days.update((29, 30, 31))
        return sorted(days)


def overdue(book: Book, ticket: Ticket, now_ns: int) -> Ticket:
    """Escalate a ticket of which something was not done in time, and say what. Raises Refused where nothing is."""
    late = breached(ticket.sla, now_ns) if ticket.due_ns is not None and ticket.due_ns < now_ns else ()
    if ticket.state in RESOLVED:
        late = tuple(what for what in late if what != "resolve")  # the work is done: only the call is late
    if not ticket.open or ticket.escalated or not late or ticket.priority not in ESCALATED:
        raise Refused("expected an open ticket that is overdue and not escalated")
    return record(book, replace(ticket, escalated=True), now_ns, "overdue", ACTOR, note=", ".join(late))


def billed_soon(book: Book, ticket: Ticket, rules: Rules, now_ns: int) -> Ticket:
    """Raise a ticket about metering to P2 as its bill run comes near. Raises Refused where it does not."""
    near = rules.routing.billed_soon(ticket.place, now_ns)
    low = ticket.priority in ("P3", "P4") and ticket.category is Category.METERING_BILLING
    if not ticket.open or not low or not near or ticket.bill_hold:
        raise Refused("expected an open ticket below P2 whose meter is billed soon")
    raised = replace(ticket, priority="P2", sla=rules.targets.tighten(ticket.sla, "P2", now_ns))
    return record(book, raised, now_ns, "billed_soon", ACTOR, note=f"{ticket.priority} → P2")


def archive(book: Book, ticket: Ticket, rules: Rules, now_ns: int) -> Ticket:
    """Put a case that ended long ago into the archive."""
    return move(book, ticket, Move(to=State.ARCHIVED, actor=ACTOR), rules.targets, now_ns)
