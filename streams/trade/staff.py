"""What people at their desks may do, each as one call: the API and the pages are made of it.

Every call is one transaction with its line of history and its row in the audit log. It raises
``Refused`` where the trade forbids it, KeyError where there is no such ticket, Unavailable when
the database is away; nothing is half done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec.structs import replace

from streams.clock import Clock
from streams.messages import FAMILY_OF, NS, Flag, Status
from streams.trade import work
from streams.trade.book import Book
from streams.trade.grouping import point_of
from streams.trade.lifecycle import Move, Refused, move
from streams.trade.mutes import Mute, Muted, MuteKind
from streams.trade.notices import explain_before_bill
from streams.trade.roles import Actor
from streams.trade.rules import Rules
from streams.trade.tickets import State, Swap, Ticket, iso

_SCOPES = ("meter", "service_point", "area", "line", "transformer", "concentrator")
_LONGEST_NS = 366 * 86_400 * NS


@dataclass(frozen=True, slots=True)
class ByHand:
    """The rules for what a person has seen: it becomes work now, or nothing at all."""

    rules: Rules

    def apply(self, book: Book, flag: Flag, now_ns: int) -> None:
        """Fold the finding in. Raises Refused where the place is muted: nothing waits that nobody knows of."""
        if flag.id in book.episodes:
            raise Refused(
                f"expected a finding that is new, got one told of already: {book.episodes[flag.id].ticket_id}"
            )
        self.rules.apply(book, flag, now_ns)
        if flag.id not in book.episodes:
            raise Refused(f"expected a place that is not muted, got {point_of(flag)}: see its mutes")


class StaffStore(Protocol):
    """What is asked of the store."""

    def change(
        self,
        ticket_id: str,
        verb: Callable[[Book, Ticket], Ticket],
        now_ns: int,
        *,
        also: Sequence[str] = (),
        audited: tuple[Actor, str, str] | None = None,
    ) -> Ticket: ...

    def apply_flags(
        self,
        flags: Sequence[Flag],
        now_ns: int,
        rules: ByHand,
        audited: tuple[Actor, str, str] | None = None,
    ) -> list[Ticket]: ...

    def put_mute(self, mute: Mute, actor: Actor, now_ns: int) -> None: ...

    def end_mute(self, mute_id: str, actor: Actor, reason: str, now_ns: int) -> Mute: ...

    def mute(self, mute_id: str) -> Mute | None: ...

    def mutes(self, now_ns: int, place: str = "", limit: int = 500) -> list[Mute]: ...

    def muted_flags(self, limit: int = 100, waiting: bool = True) -> list[Muted]: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person has seen: a ticket by hand, or the scene of a drill."""

    meter_id: str
    kind: str
    service_point_id: str = ""
    area: str = ""
    commodity: str = ""
    unit: str = ""
    note: str = ""
    drill: bool = False


class Staff:
    """The verbs of ``lifecycle`` and ``work`` on the store, for one installation."""

    def __init__(self, store: StaffStore, rules: Rules, clock: Clock) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock

    def wish(self, actor: Actor, facts: Mapping[str, Any]) -> Move:
        """A move of an actor, of its fields; Refused where the state is none."""
        try:
            to = State(facts["to"])
        except ValueError:
            raise Refused(f"expected one of {', '.join(State)}, got {facts['to']!r}") from None
        return Move(**{**facts, "to": to, "actor": actor.name})

    def seen(self, facts: Mapping[str, Any]) -> Finding:
        """What a person has seen, of its fields."""
        return Finding(**facts)

    def mutes(self, place: str, limit: int) -> list[Mute]:
        """Mutes that hold now or will."""
        return self._store.mutes(self._clock.now_ns(), place, limit)

    def muted_flags(self, limit: int, waiting: bool) -> list[Muted]:
        """Flags that wait, or have waited."""
        return self._store.muted_flags(limit, waiting)

    def move(self, actor: Actor, ticket_id: str, wish: Move) -> Ticket:
        """Bring a ticket into another state; ``wish.actor`` is the actor's name."""
        now = self._clock.now_ns()
        return self._change(
            actor,
            ticket_id,
            f"moved.{wish.to}",
            lambda book, ticket: move(book, ticket, wish, self._rules.targets, now),
            wish.note,
        )

    def check(
        self, actor: Actor, ticket_id: str, seq: int, result: str, finding: str, cause: str = ""
    ) -> Ticket:
        """The result of a check."""
        return self._work(
            actor,
            ticket_id,
            "checked",
            work.finish_step,
            seq=seq,
            result=result,
            finding=finding,
            cause=cause,
        )

    def add_check(self, actor: Actor, ticket_id: str, check: str) -> Ticket:
        """One more check."""
        return self._work(actor, ticket_id, "check_added", work.add_step, check=check)

    def hand_off(
        self,
        actor: Actor,
        ticket_id: str,
        department: str,
        owner: str,
        note: str = "",
        co_departments: Sequence[str] | None = None,
    ) -> Ticket:
        """Give a ticket to another department or person."""
        return self._work(
            actor,
            ticket_id,
            "handed_off",
            work.hand_off,
            department=department,
            owner=owner,
            note=note,
            co_departments=co_departments,
        )

    def merge(self, actor: Actor, ticket_id: str, into: str, note: str = "") -> Ticket:
        """Fold a ticket into another; returns the one that was folded in."""
        now = self._clock.now_ns()

        def verb(book: Book, ticket: Ticket) -> Ticket:
            if into not in book.tickets:
                raise Refused(f"expected the id of another ticket, got {into!r}")
            return work.merge(book, ticket, book.tickets[into], actor.name, now, note)

        return self._change(actor, ticket_id, "merged", verb, note, also=(into,))

    def escalate(self, actor: Actor, ticket_id: str, note: str) -> Ticket:
        """Mark a ticket as escalated."""
        return self._work(actor, ticket_id, "escalated", work.escalate, note=note)

    def explain(self, actor: Actor, ticket_id: str, note: str) -> Ticket:
        """Make a ticket one that explains real use, and draft what the customer is told."""

        def verb(book: Book, ticket: Ticket, now_ns: int, **given: Any) -> Ticket:
            changed = work.explain(book, ticket, now_ns=now_ns, **given)
            return explain_before_bill(book, changed, self._rules.signature, now_ns)

        return self._work(actor, ticket_id, "to_explain", verb, note=note)

    def note(self, actor: Actor, ticket_id: str, text: str) -> Ticket:
        """Write something down."""
        return self._work(actor, ticket_id, "noted", work.note, text=text)

    def swap(self, actor: Actor, ticket_id: str, swap: Swap) -> Ticket:
        """A meter swap with stop and start reads."""
        return self._work(actor, ticket_id, "swapped", work.record_swap, swap=swap)

    def keep_record(self, actor: Actor, ticket_id: str, part: str, text: str) -> Ticket:
        """One of the four parts of a low-voltage record."""
        return self._work(actor, ticket_id, "recorded", work.keep_record, part=part, text=text)

    def set_impact(self, actor: Actor, ticket_id: str, impact: str) -> Ticket:
        """The class of impact."""
        return self._work(actor, ticket_id, "impact", work.set_impact, impact=impact)

    def open(self, actor: Actor, finding: Finding) -> Ticket:
        """Open a ticket by hand, or a drill's: it joins the open one of its point and family as a flag would.

        Raises Refused for a kind that is none, or where the flags of this place are muted.
        """
        now = self._clock.now_ns()
        if finding.kind not in FAMILY_OF:
            raise Refused(f"expected a kind of flag, got {finding.kind!r}")
        at = iso(now)
        seen = {"by": actor.name, "note": finding.note, **({"drill": True} if finding.drill else {})}
        identity = f"{finding.meter_id}\0{finding.kind}\0{finding.drill}\0{actor.name}\0{now}".encode()
        flag = Flag(
            id=hashlib.blake2b(identity, digest_size=12).hexdigest(),
            meter_id=finding.meter_id,
            kind=finding.kind,
            family=FAMILY_OF[finding.kind],
            status=Status.RAISED,
            at=at,
            start=at,
            end=at,
            score=1.0,
            observed=None,
            expected=None,
            unit=finding.unit,
            evidence=seen,
            service_point_id=finding.service_point_id or finding.meter_id,
            area=finding.area,
            commodity=finding.commodity,
        )
        rules = ByHand(self._rules.by_hand(actor.name))
        changed = self._store.apply_flags([flag], now, rules, (actor, "opened", finding.note))
        return next(ticket for ticket in changed if flag.id in ticket.flag_ids)

    def quiet(
        self,
        actor: Actor,
        kind: str,
        place: str,
        kinds: Sequence[str],
        start_ns: int | None,
        end_ns: int,
        reason: str,
    ) -> Mute:
        """Let flags of a place wait: a snooze, a planned outage, a vacancy. Raises Refused for what cannot be.

        start_ns : None: now
        """
        now = self._clock.now_ns()
        start_ns = now if start_ns is None else start_ns
        scope, _, name = place.partition("/")
        if scope not in _SCOPES or not name:
            raise Refused(
                f"expected a place such as meter/123 or line/L1 ({', '.join(_SCOPES)}), got {place!r}"
            )
        if kind not in set(MuteKind):
            raise Refused(f"expected one of {', '.join(MuteKind)}, got {kind!r}")
        unknown = sorted(set(kinds) - FAMILY_OF.keys())
        if unknown:
            raise Refused(f"expected kinds of flags, got {', '.join(unknown)}")
        if not max(start_ns, now) < end_ns <= start_ns + _LONGEST_NS:
            raise Refused("expected an end after the start and after now, within a year of the start")
        if not reason.strip():
            raise Refused("expected the reason, got none")
        identity = f"{kind}\0{place}\0{start_ns}\0{end_ns}\0{','.join(kinds)}".encode()
        mute = Mute(
            id=f"M-{hashlib.blake2b(identity, digest_size=8).hexdigest()}",
            kind=MuteKind(kind),
            place=place,
            kinds=tuple(kinds),
            start_ns=start_ns,
            end_ns=end_ns,
            reason=reason,
            by=actor.name,
            created_ns=now,
        )
        self._store.put_mute(mute, actor, now)
        return mute

    def notice_given(self, actor: Actor, mute_id: str, at_ns: int | None) -> Mute:
        """Customers have been told of a planned outage; None: now."""
        now = self._clock.now_ns()
        mute = self._store.mute(mute_id)
        if mute is None:
            raise KeyError(f"expected the id of a mute, got {mute_id!r}")
        if mute.kind is not MuteKind.PLANNED_OUTAGE:
            raise Refused(f"expected a planned outage, got a {mute.kind}")
        told = replace(mute, notice_ns=now if at_ns is None else at_ns)
        self._store.put_mute(told, actor, now)
        return told

    def end_quiet(self, actor: Actor, mute_id: str, reason: str) -> Mute:
        """End a mute now; what waited for it is looked at again within seconds."""
        return self._store.end_mute(mute_id, actor, reason, self._clock.now_ns())

    def _work(
        self, actor: Actor, ticket_id: str, action: str, verb: Callable[..., Ticket], **given: Any
    ) -> Ticket:
        now = self._clock.now_ns()
        reason = str(given.get("note") or "")
        return self._change(
            actor,
            ticket_id,
            action,
            lambda book, ticket: verb(book, ticket, actor=actor.name, now_ns=now, **given),
            reason,
        )

    def _change(
        self,
        actor: Actor,
        ticket_id: str,
        action: str,
        verb: Callable[[Book, Ticket], Ticket],
        reason: str,
        also: Sequence[str] = (),
    ) -> Ticket:
        now = self._clock.now_ns()
        return self._store.change(ticket_id, verb, now, also=also, audited=(actor, action, reason))
