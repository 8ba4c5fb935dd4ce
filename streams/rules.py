"""Which flag opens a ticket, which joins one, and what of it is told.

``Rules`` works on the book of one transaction: no I/O, no clock of its own, so that the
same flags on the same book give the same tickets on every database.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from streams.book import Book, point_of, ticket_id
from streams.causes import hypotheses, steps
from streams.estimate import better, of_flag
from streams.lifecycle import record
from streams.messages import Flag, Status
from streams.routing import PRIORITIES, Placement, Routing
from streams.sla import Targets
from streams.states import PAUSED, RESOLVED
from streams.tickets import Category, Episode, Estimate, State, Ticket, Urgency

ACTOR = "forestall"
_URGENCIES = (Urgency.EMERGENCY, Urgency.NORMAL, Urgency.LOW)


@dataclass(frozen=True, slots=True)
class Rules:
    """How flags become tickets.

    routing           : category, urgency, priority, department
    targets           : due dates
    open_historical   : whether a flag about the past (import, backfill) opens a ticket
    moved_by          : an estimate that moves by this share is worth telling
    language          : of new tickets
    """

    routing: Routing = field(default_factory=Routing)
    targets: Targets = field(default_factory=Targets)
    open_historical: bool = False
    moved_by: float = 0.2
    language: str = "zh"

    def apply(self, book: Book, flag: Flag, now_ns: int) -> None:
        """Fold one flag event into the book. The same event again changes nothing."""
        if not book.first_time(flag):
            book.ignored += 1
            return
        episode = book.episodes.get(flag.id)
        if episode is not None:
            self._continue(book, episode, flag, now_ns)
        elif flag.status == Status.CLEARED or (flag.historical and not self.open_historical):
            # nothing was opened for it, and nothing is to be done about it any more
            book.ignored += 1
        else:
            self._begin(book, flag, now_ns)

    def _begin(self, book: Book, flag: Flag, now_ns: int) -> None:
        """A new episode: it joins the open ticket of its point and family, or opens one."""
        estimate = of_flag(flag)
        place = self.routing.place(flag, estimate)
        drill = flag.evidence.get("drill") is True
        neighbours = book.open_at(point_of(flag), drill)
        ticket = next((t for t in neighbours if t.family == flag.family), None)
        if ticket is None:
            ticket = self._open(book, flag, estimate, place, now_ns)
            for other in neighbours:
                self._link(book, ticket, other, now_ns)
        else:
            ticket = self._join(book, ticket, flag, estimate, place, now_ns)
        book.put_episode(_episode(flag, ticket.id, estimate, 0))

    def _open(
        self, book: Book, flag: Flag, estimate: Estimate | None, place: Placement, now_ns: int
    ) -> Ticket:
        key = f"{point_of(flag)}|{flag.family}|{flag.id}"
        drill = flag.evidence.get("drill") is True
        causes = hypotheses(flag)
        checks = steps(causes)
        fresh = Ticket(
            id=ticket_id(key, drill),
            dedup_key=key,
            drill=drill,
            service_point_id=point_of(flag),
            meter_id=flag.meter_id,
            area=flag.area,
            commodity=flag.commodity,
            family=flag.family,
            kind=flag.kind,
            lead_flag_id=flag.id,
            event_at=flag.at,
            flag_ids=(flag.id,),
            category=place.category,
            urgency=place.urgency,
            priority=place.priority,
            hypotheses=causes,
            checks=tuple(step.check for step in checks),
            evidence=_evidence(flag),
            estimate=estimate,
            owner_department=place.department,
            co_departments=place.co_departments,
            sla=self.targets.due(place.priority, now_ns),
            language=self.language,
            opened_ns=now_ns,
            updated_ns=now_ns,
        )
        # linked before it is told: whoever hears of it hears of its neighbours too
        others = [t.id for t in book.open_at(fresh.service_point_id, drill)]
        fresh = replace(fresh, related=tuple(sorted(others)))
        book.steps += [(fresh.id, step) for step in checks]
        return record(book, fresh, now_ns, "opened", ACTOR, flag_id=flag.id, after=State.NEW)

    def _link(self, book: Book, ticket: Ticket, other: Ticket, now_ns: int) -> None:
        linked = replace(other, related=(*other.related, ticket.id))
        record(book, linked, now_ns, "linked", ACTOR, note=ticket.id)

    def _join(
        self, book: Book, ticket: Ticket, flag: Flag, estimate: Estimate | None, place: Placement, now_ns: int
    ) -> Ticket:
        joined = replace(ticket, flag_ids=(*ticket.flag_ids, flag.id))
        # the graver flag leads; of equals the newer
        if _rank(place.priority) <= _rank(ticket.priority):
            joined = self._lead(book, joined, flag, estimate)
        joined = self._raise(joined, place, now_ns)
        relapsed = ticket.state in RESOLVED  # the work done did not last
        if relapsed:
            due = self.targets.due(joined.priority, now_ns)
            joined = replace(joined, state=State.REOPENED, sla=due)
        return record(
            book,
            joined,
            now_ns,
            "relapsed" if relapsed else "joined",
            ACTOR,
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
                replace(episode, status=flag.status, at=flag.at, end=flag.end, updates=episode.updates + 1)
            )
            # a cleared anomaly does not close its ticket: the bill is still wrong
            record(book, ticket, now_ns, "cleared", ACTOR, tell=ticket.open, flag_id=flag.id)
            return
        estimate = better(of_flag(flag), episode.estimate)
        book.put_episode(_episode(flag, ticket.id, estimate, episode.updates + 1))
        if not ticket.open:
            return  # what staff have closed stays as they closed it
        place = self.routing.place(flag, estimate)
        changed = ticket
        if flag.id == ticket.lead_flag_id or _rank(place.priority) < _rank(ticket.priority):
            changed = self._lead(book, changed, flag, estimate)
        changed = self._raise(changed, place, now_ns)
        note = self._worth_telling(ticket, changed)
        if note:
            record(book, changed, now_ns, "updated", ACTOR, note=note, flag_id=flag.id)
        elif changed != ticket:
            book.put(replace(changed, updated_ns=now_ns))

    def _lead(self, book: Book, ticket: Ticket, flag: Flag, estimate: Estimate | None) -> Ticket:
        """The ticket with this flag's evidence, kind and causes."""
        causes = hypotheses(flag) if flag.kind != ticket.kind else ticket.hypotheses
        fresh = steps(causes, known=ticket.checks)
        book.steps += [(ticket.id, step) for step in fresh]
        return replace(
            ticket,
            kind=flag.kind,
            lead_flag_id=flag.id,
            meter_id=flag.meter_id,
            hypotheses=causes,
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
