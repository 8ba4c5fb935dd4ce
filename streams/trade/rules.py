"""Which flag opens a ticket, which joins one, and what of it is told.

``Rules`` works on the book of one transaction: no I/O, no clock of its own, so that the
same flags on the same book give the same tickets on every database.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from streams.messages import Flag, Status
from streams.trade.bars import below, held
from streams.trade.book import Book
from streams.trade.causes import hypotheses, steps, weigh
from streams.trade.estimate import better, of_flag
from streams.trade.grouping import (
    count_of,
    hangs_on,
    members_of,
    places_of,
    point_of,
    whole_of,
    wholes_around,
)
from streams.trade.lifecycle import record, relapse
from streams.trade.mutes import Muted, first_covering
from streams.trade.notice_words import Signature
from streams.trade.notices import explain_before_bill
from streams.trade.opening import Case, open_case
from streams.trade.raw_messages import carried, gathered
from streams.trade.routing import PRIORITIES, Placement, Routing
from streams.trade.sla import Targets
from streams.trade.states import PAUSED, RESOLVED, TRANSITIONS
from streams.trade.swaps import recorded, witness
from streams.trade.tickets import Category, Episode, Estimate, Origin, State, Ticket, Urgency, with_flags
from streams.trade.work import merge

ACTOR = "forestall"
MOST_LISTED = 500  # meters of a group's ticket
_URGENCIES = (Urgency.EMERGENCY, Urgency.NORMAL, Urgency.LOW)


@dataclass(frozen=True, slots=True)
class Rules:
    """How flags become tickets.

    routing           : category, urgency, priority, department
    targets           : due dates
    open_historical   : whether a flag about the past (import, backfill) opens a ticket
    moved_by          : an estimate that moves by this share is worth telling
    language          : of new tickets
    signature         : of messages to customers
    """

    routing: Routing = field(default_factory=Routing)
    targets: Targets = field(default_factory=Targets)
    open_historical: bool = False
    moved_by: float = 0.2
    language: str = "zh"
    actor: str = ACTOR
    origin: Origin = Origin.PROACTIVE
    signature: Signature = field(default_factory=Signature)

    def by_hand(self, actor: str) -> Rules:
        """The same for what a person has seen."""
        return dataclasses.replace(self, actor=actor, origin=Origin.MANUAL)

    def apply(self, book: Book, flag: Flag, now_ns: int) -> None:
        """Fold one flag event into the book. The same event again changes nothing."""
        if not book.first_time(flag):
            book.ignored += 1
            return
        episode, muted = book.episodes.get(flag.id), book.muted.get(flag.id)
        flag = gathered(flag, episode.evidence if episode else muted.flag.evidence if muted else {})
        if episode is not None:
            self._continue(book, episode, flag, now_ns)
        elif muted is not None and flag.status == Status.CLEARED:
            book.put_muted(muted.ended(flag, "cleared", now_ns))
        elif flag.status == Status.CLEARED or (flag.historical and not self.open_historical):
            # nothing was opened for it, and nothing is to be done about it any more
            book.ignored += 1
        else:
            self._begin(book, flag, now_ns)

    def reconsider(self, book: Book, muted: Muted, now_ns: int) -> None:
        """The mute of a flag has ended: unless another holds, it becomes a ticket after all."""
        self._begin(book, muted.flag, now_ns)

    def _begin(self, book: Book, flag: Flag, now_ns: int) -> None:
        """A new episode: it waits, joins the open ticket of its point and family, or opens one."""
        estimate = of_flag(flag)
        place = self.routing.place(flag, estimate, now_ns)
        muted = book.muted.get(flag.id)
        swapped = recorded(book, flag)
        waits = None if swapped else self._waits(book, flag, place, now_ns)
        if waits is not None:
            since = waits.since_ns if muted is None else muted.since_ns
            book.put_muted(replace(waits, since_ns=since))
            return
        if muted is not None and not muted.outcome:
            book.put_muted(muted.ended(flag, "opened", now_ns))
        if swapped is not None:
            book.put_episode(_episode(flag, swapped.id, estimate, 0))
            witness(book, swapped, flag, self.actor, now_ns)
            return
        drill = flag.evidence.get("drill") is True
        ticket = self._join_or_open(book, flag, estimate, place, drill, now_ns)
        book.put_episode(_episode(flag, ticket.id, estimate, 0))
        if whole_of(flag):
            self._gather(book, ticket, flag, now_ns)

    def _join_or_open(
        self, book: Book, flag: Flag, estimate: Estimate | None, place: Placement, drill: bool, now_ns: int
    ) -> Ticket:
        """The flag on the ticket of its family: the open one here, its whole's, one still watched, a new one."""
        here = (*book.open_at(point_of(flag), drill), *book.watched_at(point_of(flag), drill, now_ns))
        own = [ticket for ticket in here if ticket.family == flag.family]
        ticket = next((one for one in own if one.open), None) or self._whole(book, flag, drill)
        if ticket is None and not own:
            return self._open(book, flag, estimate, place, now_ns)
        return self._join(book, ticket or own[0], flag, estimate, place, now_ns)

    def _waits(self, book: Book, flag: Flag, place: Placement, now_ns: int) -> Muted | None:
        """The flag as one that waits, for a mute at its place or a bar that it does not reach; None: it does not."""
        if place.urgency is Urgency.EMERGENCY:
            return None
        here = set(places_of(flag))
        mute = first_covering((one for one in book.mutes if one.place in here), flag, now_ns)
        if mute is not None:
            return replace(
                held(flag, now_ns), mute_id=mute.id, why=f"{mute.kind}: {mute.reason}", until_ns=mute.end_ns
            )
        return held(flag, now_ns) if below(book.bars, flag, place.category, place.urgency) else None

    def _whole(self, book: Book, flag: Flag, drill: bool) -> Ticket | None:
        """The open ticket of what has failed as a whole around a single meter."""
        for whole in wholes_around(flag):
            for ticket in book.open_at(whole, drill):
                if ticket.family == flag.family:
                    return ticket
        return None

    def _gather(self, book: Book, ticket: Ticket, flag: Flag, now_ns: int) -> None:
        """Single meters' tickets that turn out to be part of a whole are merged into its ticket."""
        members = frozenset(members_of(flag))
        for other in list(book.tickets.values()):
            if (
                other.id != ticket.id
                and other.family == ticket.family
                and other.drill == ticket.drill
                and _is_part(other, flag, members)
            ):
                ticket = merge(book, other, book.tickets[ticket.id], ACTOR, now_ns, note=whole_of(flag))

    def _widen(
        self, book: Book, own: Ticket, flag: Flag, estimate: Estimate | None, place: Placement, now_ns: int
    ) -> Ticket:
        """A flag of one meter turns out to be about a whole: it goes to the whole's ticket, and so do the parts."""
        whole = self._join_or_open(book, flag, estimate, place, own.drill, now_ns)
        left = tuple(one for one in own.flag_ids if one != flag.id)
        book.put(replace(book.tickets[own.id], flag_ids=left, flags=own.flags - 1))
        self._gather(book, whole, flag, now_ns)
        return book.tickets[whole.id]

    def _open(
        self, book: Book, flag: Flag, estimate: Estimate | None, place: Placement, now_ns: int
    ) -> Ticket:
        case = Case(
            key=flag.id,
            service_point_id=point_of(flag),
            meter_id=flag.meter_id,
            family=flag.family,
            kind=flag.kind,
            causes=hypotheses(flag),
            place=place,
            origin=self.origin,
            drill=flag.evidence.get("drill") is True,
            facts={
                "area": flag.area,
                "commodity": flag.commodity,
                "place": flag.place,
                "group": whole_of(flag),
                "meters": members_of(flag),
                "meter_count": count_of(flag),
                "lead_flag_id": flag.id,
                "event_at": flag.at,
                "flag_ids": (flag.id,),
                "flags": 1,
                "evidence": _evidence(flag),
                "estimate": estimate,
                "escalated": _escalates(flag),
            },
        )
        opened = open_case(book, case, self.targets, self.language, self.actor, now_ns)
        return explain_before_bill(book, opened, self.signature, now_ns)

    def _join(
        self, book: Book, ticket: Ticket, flag: Flag, estimate: Estimate | None, place: Placement, now_ns: int
    ) -> Ticket:
        joined = replace(with_flags(ticket, [flag.id]), escalated=ticket.escalated or _escalates(flag))
        if ticket.group:
            listed = tuple(dict.fromkeys((*ticket.meters, *members_of(flag))))[:MOST_LISTED]
            joined = replace(
                joined, meters=listed, meter_count=max(ticket.meter_count, count_of(flag), len(listed))
            )
        # the graver flag leads; of equals the newer; what failed as a whole before a part of it
        if _rank(place.priority) <= _rank(ticket.priority) and (whole_of(flag) or not ticket.group):
            joined = self._lead(book, joined, flag, estimate)
        joined = self._raise(joined, place, now_ns)
        if ticket.state in RESOLVED or not ticket.open:
            # the work done did not last
            return relapse(book, joined, ticket.state, self.targets, self.actor, flag, now_ns)
        return record(
            book,
            joined,
            now_ns,
            "joined",
            self.actor,
            note=flag.kind,
            flag_id=flag.id,
            before=ticket.state,
            after=joined.state,
        )

    def _continue(self, book: Book, episode: Episode, flag: Flag, now_ns: int) -> None:
        """More of a known episode: an update, its end, or its kind mended."""
        ticket = book.tickets[episode.ticket_id]
        if flag.status == Status.CLEARED:
            book.put_episode(
                replace(
                    episode,
                    status=flag.status,
                    at=flag.at,
                    end=flag.end,
                    updates=episode.updates + 1,
                    evidence=carried(episode.evidence, flag),
                )
            )
            # a cleared anomaly does not close its ticket: the bill is still wrong
            record(book, ticket, now_ns, "cleared", ACTOR, tell=ticket.open, flag_id=flag.id)
            return
        estimate = better(of_flag(flag), episode.estimate)
        place = self.routing.place(flag, estimate, now_ns)
        if (
            flag.kind != episode.kind
            and whole_of(flag)
            and ticket.open
            and _is_part(ticket, flag, members_of(flag))
        ):
            ticket = self._widen(book, ticket, flag, estimate, place, now_ns)
            book.put_episode(_episode(flag, ticket.id, estimate, episode.updates + 1))
            return
        book.put_episode(_episode(flag, ticket.id, estimate, episode.updates + 1))
        if not ticket.open:
            return  # what staff have closed stays as they closed it
        changed = replace(ticket, escalated=ticket.escalated or _escalates(flag))
        if flag.id == ticket.lead_flag_id or _rank(place.priority) < _rank(ticket.priority):
            changed = self._lead(book, changed, flag, estimate)
        changed = self._raise(changed, place, now_ns)
        note = self._worth_telling(ticket, changed)
        if note:
            was, now = (ticket.state, changed.state) if changed.state is not ticket.state else ("", "")
            record(book, changed, now_ns, "updated", ACTOR, note=note, flag_id=flag.id, before=was, after=now)
        elif changed != ticket:
            book.put(replace(changed, updated_ns=now_ns))

    def _lead(self, book: Book, ticket: Ticket, flag: Flag, estimate: Estimate | None) -> Ticket:
        """The ticket with this flag's evidence, kind and causes."""
        fresh_causes = hypotheses(flag)
        causes = ticket.hypotheses
        prior = ticket.prior
        if flag.kind != ticket.kind:
            # what checks have shown so far holds for the new causes too
            causes = weigh(fresh_causes, ticket.steps) if prior else fresh_causes
            prior = fresh_causes if prior else ()
        fresh = steps(causes, known=ticket.checks)
        book.steps += [(ticket.id, step) for step in fresh]
        return replace(
            ticket,
            kind=flag.kind,
            lead_flag_id=flag.id,
            meter_id=flag.meter_id,
            hypotheses=causes,
            prior=prior,
            checks=(*ticket.checks, *(step.check for step in fresh)),
            evidence=_evidence(flag),
            estimate=better(estimate, ticket.estimate),
        )

    def _raise(self, ticket: Ticket, place: Placement, now_ns: int) -> Ticket:
        """The ticket at least as urgent as a flag asks; lowering is for staff.

        A safety flag makes the ticket a safety ticket, so that it never hides in one of billing.
        """
        if place.category is Category.SAFETY and ticket.category is not Category.SAFETY:
            ticket = replace(
                ticket,
                category=place.category,
                owner_department=place.department,
                co_departments=tuple(dict.fromkeys((ticket.owner_department, *place.co_departments))),
                hand_offs=ticket.hand_offs + 1,
            )
        if _URGENCIES.index(place.urgency) < _URGENCIES.index(ticket.urgency):
            ticket = replace(ticket, urgency=place.urgency)
        if _rank(place.priority) < _rank(ticket.priority):
            sla = self.targets.tighten(self.targets.resume(ticket.sla, now_ns), place.priority, now_ns)
            # what has become graver waits for nobody
            state = State.INVESTIGATING if ticket.state in PAUSED else ticket.state
            ticket = replace(ticket, priority=place.priority, sla=sla, state=state)
        return ticket

    def _worth_telling(self, before: Ticket, after: Ticket) -> str:
        """What of an update people should hear of; empty: nothing (most readings of an episode)."""
        told = []
        if after.kind != before.kind:
            told.append(f"{before.kind} → {after.kind}")
        for name in ("category", "urgency", "priority"):
            was, now = getattr(before, name), getattr(after, name)
            if was != now:
                told.append(f"{was} → {now}")
        if after.estimate is not None:
            was_excess = before.estimate.excess if before.estimate else 0.0
            if abs(after.estimate.excess - was_excess) > self.moved_by * abs(was_excess):
                told.append(f"{was_excess:g} → {after.estimate.excess:g} {after.estimate.unit}")
        return "; ".join(told)


def _is_part(ticket: Ticket, flag: Flag, members: Collection[str]) -> bool:
    """Whether a ticket is of a meter that failed with the whole that a flag is about, and can go into that one's."""
    whole = whole_of(flag)
    return (
        # one whose work is done waits for its callback, and ends by itself
        State.MERGED in TRANSITIONS[ticket.state]
        and not ticket.group
        and not ticket.bill_hold  # whose bill is disputed is not one of many
        and not ticket.credits
        and (ticket.meter_id in members or hangs_on(ticket.place, ticket.area, whole))
        and whole in wholes_around(replace(flag, kind=ticket.kind))
    )


def _escalates(flag: Flag) -> bool:
    """A line's second interruption within the year is escalated (提级管控)."""
    return flag.kind == "repeated_outage"


def _rank(priority: str) -> int:
    return PRIORITIES.index(priority)


def _evidence(flag: Flag) -> dict[str, object]:
    """What the ticket shows of its leading flag."""
    return {
        **flag.evidence,
        "flag_id": flag.id,
        "kind": flag.kind,
        "start": flag.start,
        "end": flag.end,
        "at": flag.at,
        "score": flag.score,
        "observed": flag.observed,
        "expected": flag.expected,
        "unit": flag.unit,
    }


def _episode(flag: Flag, ticket: str, estimate: Estimate | None, updates: int) -> Episode:
    return Episode(
        flag_id=flag.id,
        ticket_id=ticket,
        meter_id=flag.meter_id,
        kind=flag.kind,
        family=flag.family,
        status=flag.status,
        at=flag.at,
        start=flag.start,
        end=flag.end,
        score=flag.score,
        observed=flag.observed,
        expected=flag.expected,
        unit=flag.unit,
        evidence=flag.evidence,
        estimate=estimate,
        updates=updates,
    )
