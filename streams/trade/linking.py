"""Complaints and the tickets that were there before them (投诉与工单关联).

``Linking`` works on the book of one transaction, as ``rules`` does for flags: no I/O, no
clock of its own. A complaint that we knew of earns a *lead time*: the wall-clock time of the
complaint minus that of the ticket's opening. One that nobody had told us of opens a ticket, and
is a *miss* where it is about metering.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from streams.messages import FAMILY_OF, NS, Flag, Status
from streams.trade.book import Book
from streams.trade.causes import hypotheses
from streams.trade.complaints import Complaint, Outcome, Site
from streams.trade.credit import hold_for
from streams.trade.fitting import first_lead, fit, placed
from streams.trade.lifecycle import Refused, record
from streams.trade.old_complaints import keep
from streams.trade.opening import Case, open_case
from streams.trade.routing import PRIORITIES, Placement, Routing
from streams.trade.sla import Targets
from streams.trade.states import PAUSED, RESOLVED, TRANSITIONS
from streams.trade.subjects import SUBJECTS, Subject
from streams.trade.tickets import Callback, Category, Origin, State, Ticket, Urgency, iso
from streams.trade.work import merge

__all__ = ["SUBJECTS", "Linking", "unlinked_point"]

DAY_NS = 86_400 * NS
_URGENCIES = (Urgency.EMERGENCY, Urgency.NORMAL, Urgency.LOW)


@dataclass(frozen=True, slots=True)
class Linking:
    """How complaints meet tickets.

    routing       : departments, and kinds that are urgent whatever they say
    targets       : due dates
    window_days   : a ticket that is closed counts as known to complaints of so many days after its opening
    grave_impacts : impact classes of customers whose complaints are P2
    language      : of tickets that complaints open
    hold_subjects : complaints of these hold the bill (争议账单暂缓), unless they say that it is not to wait
    """

    routing: Routing = field(default_factory=Routing)
    targets: Targets = field(default_factory=Targets)
    window_days: float = 90.0
    grave_impacts: frozenset[str] = frozenset({"vip", "hospital", "school", "dialysis", "key_account"})
    language: str = "zh"
    hold_subjects: frozenset[str] = frozenset({"disputed_amount"})

    @property
    def window_ns(self) -> int:
        """``window_days`` in nanoseconds."""
        return round(self.window_days * DAY_NS)

    def take(self, book: Book, complaint: Complaint, site: Site, now_ns: int) -> Complaint:
        """Bring a complaint to its ticket, or open one; the same complaint again changes nothing.

        book : with the tickets of the site and of the groups that hold it: the open ones, and those
            opened since ``window_ns`` before the complaint
        site : without a service point, the complaint gets a ticket at a place of its own
        """
        known = book.complaints.get(complaint.id)
        if known is not None:
            return known
        if complaint.archive:
            return keep(book, complaint, site, self.window_ns, _actor(complaint), now_ns)
        complaint = placed(complaint, site)
        found = self._first(book, complaint, site)
        if found is None:
            complaint = self._open(book, complaint, site, now_ns)
        else:
            complaint = self._link(book, found, complaint, now_ns)
        self._hold(book, complaint, _actor(complaint), now_ns)
        book.put_complaint(complaint)
        return complaint

    def assign(self, book: Book, complaint: Complaint, site: Site, actor: str, now_ns: int) -> Complaint:
        """Tell an unlinked complaint's service point: it joins the ticket there, or takes its own there.

        Raises Refused where the complaint has a service point already, or the site has none.
        """
        if complaint.service_point_id:
            raise Refused(
                f"expected a complaint without a service point, it has {complaint.service_point_id}"
            )
        if not site.service_point_id:
            raise Refused("expected a meter, service point or alias that is known, got none of these")
        if not actor:
            raise Refused("expected the name of whoever assigns the complaint, got none")
        if complaint.archive:
            return keep(book, complaint, site, self.window_ns, actor, now_ns)
        own = book.tickets[complaint.ticket_id]
        alone = own.service_point_id == unlinked_point(complaint)
        complaint = placed(complaint, site)
        found = self._first(book, complaint, site) if alone else None
        if not alone:
            # staff have folded it into a case of another place already: there it stays
            record(book, own, now_ns, "located", actor, note=complaint.id)
        elif found is None:
            moved = self._relate(book, _at(own, site), now_ns, actor)
            record(book, moved, now_ns, "located", actor, note=complaint.id)
        else:
            complaint = self._link(book, found, complaint, now_ns)
            self._hold(book, complaint, actor, now_ns)
            joined = book.tickets[found.id]
            if _folds(own, joined):
                # also where the work there is over: the complaint is an old one, and nobody works on it twice
                merge(book, own, joined, actor, now_ns, note=complaint.id, ended=True)
            else:
                self._pass_on(book, own, joined, complaint, site, actor, now_ns)
        book.put_complaint(complaint)
        return complaint

    def _pass_on(
        self,
        book: Book,
        own: Ticket,
        joined: Ticket,
        complaint: Complaint,
        site: Site,
        actor: str,
        now_ns: int,
    ) -> None:
        """What was done on a complaint's own ticket stands, money too; the complaint, and the answer due, go.

        The ticket takes its place at the point, unless another of its family is open there.
        """
        left = tuple(one for one in own.complaint_ids if one != complaint.id)
        related = tuple(sorted({*own.related, joined.id}))
        own = replace(own, complaint_ids=left, related=related)
        there = book.open_at(site.service_point_id, own.drill)
        if not own.open or all(other.family != own.family for other in there):
            own = _at(own, site)
        record(book, own, now_ns, "passed_on", actor, note=joined.id)
        named = replace(joined, related=tuple(sorted({*joined.related, own.id})))
        record(book, named, now_ns, "linked", actor, note=own.id)

    def _first(self, book: Book, complaint: Complaint, site: Site) -> Ticket | None:
        """The ticket that was there first and is about the same; None: there is none.

        Open ones before closed ones; the likeliest family first; of equals the oldest that is open, the
        newest that is closed.
        """
        if not site.service_point_id:
            return None
        ranked = []
        for ticket in _standing(book):
            rank = fit(ticket, complaint, site, standing=ticket.open)
            if rank is None or not self._within(ticket, complaint):
                continue
            age = ticket.opened_ns if ticket.open else -ticket.opened_ns
            grouped = ticket.service_point_id != site.service_point_id
            ranked.append((not ticket.open, rank, grouped, age, ticket.id))
        return book.tickets[min(ranked)[-1]] if ranked else None

    def _within(self, ticket: Ticket, complaint: Complaint) -> bool:
        return ticket.open or complaint.at_ns - self.window_ns <= ticket.opened_ns <= complaint.at_ns

    def _link(self, book: Book, ticket: Ticket, complaint: Complaint, now_ns: int) -> Complaint:
        """Tie a complaint to a ticket: lead time, urgency, and the ticket reopened where its work is doubted."""
        lead_s = (complaint.at_ns - ticket.opened_ns) / NS
        ours = ticket.origin is not Origin.COMPLAINT and lead_s >= 0
        linked = replace(
            ticket,
            complaint_ids=(*ticket.complaint_ids, complaint.id),
            lead_time_s=first_lead(ticket, lead_s),
            first_owner=ticket.first_owner or complaint.taken_by,
            impact=ticket.impact or complaint.impact,
        )
        linked = self._graver(linked, complaint, now_ns)
        if self._doubted(book, ticket, complaint):
            due = self.targets.due(linked.priority, now_ns)
            linked = replace(linked, state=State.REOPENED, sla=due, callback=Callback(), closed_ns=None)
        record(
            book,
            linked,
            now_ns,
            "complained",
            _actor(complaint),
            note=complaint.id,
            before=ticket.state,
            after=linked.state,
        )
        return replace(
            complaint,
            ticket_id=ticket.id,
            outcome=Outcome.KNOWN if ours else Outcome.JOINED,
            lead_time_s=lead_s if ours else None,
            miss=complaint.category is Category.METERING_BILLING and not ours,
        )

    def _hold(self, book: Book, complaint: Complaint, actor: str, now_ns: int) -> None:
        """Let the bill wait, where the complaint is about it and says so, or its subject does."""
        asked = complaint.hold_bill == "yes" or complaint.subject in self.hold_subjects
        if asked and complaint.hold_bill != "no" and complaint.category is Category.METERING_BILLING:
            hold_for(book, book.tickets[complaint.ticket_id], complaint.id, complaint.subject, actor, now_ns)

    def _doubted(self, book: Book, ticket: Ticket, complaint: Complaint) -> bool:
        """Whether a complaint contradicts the end of the work: it came after the last that was done.

        Nothing is reopened beside an open ticket of the family, and an archived case stays one.
        """
        if State.REOPENED not in TRANSITIONS[ticket.state] or complaint.at_ns < ticket.updated_ns:
            return False
        if ticket.open:
            return ticket.state in RESOLVED
        others = book.open_at(ticket.service_point_id, ticket.drill)
        return not any(other.family == ticket.family for other in others)

    def _open(self, book: Book, complaint: Complaint, site: Site, now_ns: int) -> Complaint:
        """A ticket of the complaint's own, with the causes and checks of a flag of its kind."""
        subject = SUBJECTS[complaint.subject]
        point = site.service_point_id or unlinked_point(complaint)
        commodity = site.commodity or subject.commodity
        case = Case(
            key=complaint.id,
            service_point_id=point,
            meter_id=site.meter_id,
            family=subject.family,
            kind=complaint.subject,
            causes=hypotheses(_as_flag(subject, point, commodity)) if subject.like else (),
            place=self._place(subject, complaint),
            origin=Origin.COMPLAINT,
            facts={
                "area": site.area,
                "commodity": commodity,
                "event_at": iso(complaint.at_ns),
                "complaint_ids": (complaint.id,),
                # what the customer says stays in the complaint
                "evidence": {
                    "complaint_id": complaint.id,
                    "channel": complaint.channel,
                    "start": iso(complaint.at_ns),
                },
                "first_owner": complaint.taken_by,
            },
        )
        language = complaint.language or self.language
        ticket = open_case(book, case, self.targets, language, _actor(complaint), now_ns)
        return replace(
            complaint,
            ticket_id=ticket.id,
            outcome=Outcome.OPENED,
            miss=complaint.category is Category.METERING_BILLING,
        )

    def _relate(self, book: Book, ticket: Ticket, now_ns: int, actor: str) -> Ticket:
        """Let a ticket that is new at a point and those that are open there name each other."""
        others = [t for t in book.open_at(ticket.service_point_id, ticket.drill) if t.id != ticket.id]
        for other in others:
            if ticket.id not in other.related:
                named = replace(other, related=(*other.related, ticket.id))
                record(book, named, now_ns, "linked", actor, note=ticket.id)
        return replace(ticket, related=tuple(sorted({*ticket.related, *(t.id for t in others)})))

    def _graver(self, ticket: Ticket, complaint: Complaint, now_ns: int) -> Ticket:
        """The ticket at least as urgent as the complaint asks; lowering is for staff."""
        if complaint.category is Category.SAFETY and ticket.category is not Category.SAFETY:
            helpers = self.routing.helpers.get(Category.SAFETY, ())
            ticket = replace(
                ticket,
                category=Category.SAFETY,
                owner_department=self.routing.owners[Category.SAFETY],
                co_departments=tuple(dict.fromkeys((ticket.owner_department, *helpers))),
                hand_offs=ticket.hand_offs + 1,
            )
        if _URGENCIES.index(complaint.urgency) < _URGENCIES.index(ticket.urgency):
            ticket = replace(ticket, urgency=complaint.urgency)
        priority = self._place(SUBJECTS[complaint.subject], complaint).priority
        if PRIORITIES.index(priority) < PRIORITIES.index(ticket.priority):
            sla = self.targets.tighten(self.targets.resume(ticket.sla, now_ns), priority, now_ns)
            state = State.INVESTIGATING if ticket.state in PAUSED else ticket.state
            ticket = replace(ticket, priority=priority, sla=sla, state=state)
        return ticket

    def _place(self, subject: Subject, complaint: Complaint) -> Placement:
        """Priority and departments: those of category and urgency, P2 for grave matters and customers."""
        place = dataclasses.replace(
            self.routing.of_category(complaint.category, complaint.urgency), impact=complaint.impact
        )
        urgent = subject.like in self.routing.urgent_kinds and complaint.subject != "outage_not_told"
        if urgent or complaint.impact in self.grave_impacts:
            return dataclasses.replace(place, priority=min(place.priority, "P2"))
        return place


def _at(ticket: Ticket, site: Site) -> Ticket:
    return replace(
        ticket,
        service_point_id=site.service_point_id,
        meter_id=site.meter_id,
        area=site.area,
        commodity=site.commodity or ticket.commodity,
    )


def _folds(own: Ticket, joined: Ticket) -> bool:
    """Whether a complaint's own ticket goes into the one that was there first, and no money is lost by it."""
    held = own.bill_hold and (joined.group or not joined.open)
    return State.MERGED in TRANSITIONS[own.state] and not own.credits and not held


def _actor(complaint: Complaint) -> str:
    """Who brings a complaint in: whoever took it, else the system that told us."""
    return complaint.taken_by or complaint.source


def unlinked_point(complaint: Complaint) -> str:
    """Where the ticket of a complaint is kept whose service point is not known."""
    return f"complaint/{complaint.id}"


def _standing(book: Book) -> Iterable[Ticket]:
    """Real tickets that work can go on with, each once; in a merged one's place what it was merged into."""
    found: dict[str, None] = {}
    for one in book.tickets.values():
        ticket, seen = one, {""}
        while ticket.state is State.MERGED and ticket.id not in seen and ticket.merged_into in book.tickets:
            seen.add(ticket.id)
            ticket = book.tickets[ticket.merged_into]
        if not ticket.drill and ticket.state not in (State.MERGED, State.ARCHIVED):
            found[ticket.id] = None
    return [book.tickets[key] for key in found]


def _as_flag(subject: Subject, point: str, commodity: str) -> Flag:
    """A flag as it would have been, for the causes and checks that it would have brought."""
    return Flag(
        id="",
        meter_id=point,
        kind=subject.like,
        family=FAMILY_OF[subject.like],
        status=Status.RAISED,
        at="",
        start="",
        end="",
        score=0.0,
        observed=None,
        expected=None,
        unit="",
        evidence={},
        service_point_id=point,
        commodity=commodity,
    )
