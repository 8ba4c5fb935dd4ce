"""Whatever may happen to a store of tickets, drawn by seeds, and what must hold after all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import func, select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import flags_seen, outbox, ticket_history, tickets
from connectors.store.tables_trade import audit, complaints, muted_flags, verdicts
from streams.messages import FAMILY_OF, Flag
from streams.trade.credit import Proposal, approve, booked, hold_bill, propose
from streams.trade.deliveries import Outcome
from streams.trade.heed import heed
from streams.trade.lifecycle import Refused
from streams.trade.limits import Limits
from streams.trade.linking import Linking
from streams.trade.points import Point
from streams.trade.remote import STATUSES, RemoteChange
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.staff import Finding, Staff
from streams.trade.states import RESOLUTIONS, TRANSITIONS
from streams.trade.tend import Tend
from streams.trade.tickets import State, Ticket
from streams.trade.verdicts import judge
from streams.trade.wording import UNTOLD
from tests.tickets.complaint_tools import filled
from tests.tickets.tools import DAY, HOUR, SECOND, Turned, flag, open_by_key

KINDS = (
    "spike", "misread", "continuous_flow", "gap", "silent", "tamper", "concentrator_silent", "stuck", "outage",
)  # fmt: skip
POINTS = 3
SUBJECTS = ("high_bill", "misread", "meter_stopped", "staff_attitude", "gas_leak", "no_supply")
PEOPLE = (Actor("ann", Role.BILLING), Actor("bob", Role.ADMIN))
RULES, LINKING, TARGETS = Rules(), Linking(), Targets()
DEED = st.integers(0, 10**9)  # a seed: what is done is drawn from it and from what is there


class Trade:
    """Everything that may happen to one store, each by a seed; what was refused must have changed nothing."""

    def __init__(self, store: Store, clock: Turned, name: str = "", guarded: bool = True) -> None:
        self.store, self.clock = store, clock
        self.name = name  # of the writer: numbers of its own
        self.guarded = guarded  # nobody else writes: a refusal can be seen to have changed nothing
        self.staff = Staff(store, RULES, clock)
        self.tend = Tend(store, RULES, clock)
        self.count = 0
        self.writes = 0  # of staff that were taken

    def points(self) -> None:
        self.store.keep_points(
            [
                Point(meter_id=f"m{n}", service_point_id=f"p{n}", area="a", concentrator="C1")
                for n in range(POINTS)
            ]
        )

    def flags(self, seed: int) -> None:
        r = Random(seed)
        made = [self._flag(r) for _ in range(r.randrange(1, 4))]
        self.store.apply_flags(made, self.clock.now_ns(), RULES)

    def _flag(self, r: Random) -> Flag:
        kind, n = r.choice(KINDS), r.randrange(POINTS)
        members = [f"m{k}" for k in range(POINTS)]
        evidence: dict[str, Any] = {"members": members} if kind == "concentrator_silent" else {}
        if r.random() < 0.1:
            evidence["drill"] = True
        drill = "drill" if evidence.get("drill") else ""
        return flag(
            kind, r.choice(("raised", "raised", "updated", "cleared")),
            id=f"{FAMILY_OF[kind]}-{n}-{r.randrange(4)}{drill}", meter_id=f"m{n}", service_point_id=f"p{n}", area="a",
            at=f"2026-06-01T00:{r.randrange(60):02d}:00Z", score=r.choice((1.0, 1.5, 2.0)),
            commodity=r.choice(("water", "gas")), evidence=evidence, place={"concentrator": "C1"},
        )  # fmt: skip

    def complain(self, seed: int) -> None:
        r, now = Random(seed), self.clock.now_ns()
        self.count += 1
        number = self.count if r.random() < 0.8 else max(1, self.count - 1)
        made = now - r.choice((0, 0, HOUR, 3 * DAY))
        named = r.choice((*(f"p{n}" for n in range(POINTS)), "m1", "nowhere"))
        form = filled(
            made,
            now,
            reference=f"{self.name}{number}",
            service_point=named,
            subject=r.choice(SUBJECTS),
            matter="请核实",
        )
        self.store.take_complaint(*form, LINKING, now)

    def assign(self, seed: int) -> None:
        with reading(self.store._engine) as connection:
            query = (
                select(complaints.c.id).where(complaints.c.service_point_id == "").order_by(complaints.c.id)
            )
            lost = list(connection.execute(query).scalars())
        if lost:
            r = Random(seed)
            named = f"p{r.randrange(POINTS)}"
            with self._whole():
                self.store.assign_complaint(r.choice(lost), named, PEOPLE[0], LINKING, self.clock.now_ns())

    def work(self, seed: int) -> None:
        """One verb of staff on one ticket."""
        r = Random(seed)
        known = self.store.tickets(limit=200)
        if not known:
            return
        ticket, other, actor = r.choice(known), r.choice(known), r.choice(PEOPLE)
        staff, name = self.staff, ticket.id
        likely = sorted(TRANSITIONS[ticket.state]) or sorted(State)
        wish = staff.wish(
            actor,
            {
                "to": r.choice(likely if r.random() < 0.8 else sorted(State)), "note": "说明",
                "verdict": r.choice(("", "confirmed", "explained", "false_alarm")), "verdict_reason": "own_habit",
                "archive_class": r.choice(("", "metering")), "resolution": r.choice(RESOLUTIONS),
                **r.choice(({"satisfied": True}, {"no_callback": "不在"}, {})),
            },
        )  # fmt: skip
        verbs = (
            *(partial(staff.move, actor, name, wish),) * 6,
            partial(
                staff.check,
                actor,
                name,
                r.randrange(1, 5),
                "结果",
                r.choice(("positive", "negative", "unclear")),
            ),
            partial(staff.add_check, actor, name, "meter_test"),
            partial(staff.hand_off, actor, name, r.choice(("operations", "marketing")), "li"),
            partial(staff.merge, actor, name, other.id),
            partial(staff.escalate, actor, name, "急"),
            partial(staff.explain, actor, name, "用量属实"),
            partial(staff.note, actor, name, r.choice(("", "记"))),
            partial(staff.set_impact, actor, name, "vip"),
            partial(self._money, ticket, actor, r),
            partial(self._judge, ticket, actor, r),
        )
        with self._whole():
            r.choice(verbs)()
            self.writes += 1

    def _money(self, ticket: Ticket, actor: Actor, r: Random) -> None:
        now = self.clock.now_ns()
        wish = Proposal(
            method="own",
            reason="退补",
            quantity=5.0,
            unit="m3",
            amount=None,
            currency="CNY",
            billed=(9.0, None),
        )
        revision = ticket.credit.revision if ticket.credit else 0
        verb: Any = r.choice(
            (
                lambda b, t: propose(b, t, wish, Limits(), actor, now),
                lambda b, t: approve(b, t, revision, actor, "同意", now),
                lambda b, t: booked(b, t, revision, "B1", actor, now),
                lambda b, t: hold_bill(b, t, not t.bill_hold, actor, "争议", now),
            )
        )
        self.store.change(ticket.id, verb, now, audited=(actor, "credit", ""))

    def _judge(self, ticket: Ticket, actor: Actor, r: Random) -> None:
        now, word = self.clock.now_ns(), r.choice(("confirmed", "false_alarm"))
        flags = ticket.flag_ids[:1] if r.random() < 0.5 else ()
        self.store.change(
            ticket.id,
            lambda b, t: judge(b, t, word, "own_habit", actor.name, now, flags),
            now,
            audited=(actor, "judged", word),
        )

    def find(self, seed: int) -> None:
        r = Random(seed)
        n = r.randrange(POINTS)
        seen = Finding(
            meter_id=f"m{n}", service_point_id=f"p{n}", kind=r.choice(KINDS[:4]), drill=r.random() < 0.5
        )
        with self._whole():
            self.staff.open(PEOPLE[0], seen)
            self.writes += 1

    def quiet(self, seed: int) -> None:
        r, now = Random(seed), self.clock.now_ns()
        place, kind = (
            f"service_point/p{r.randrange(POINTS)}",
            r.choice(("snooze", "vacancy", "planned_outage")),
        )
        with self._whole():
            self.staff.quiet(PEOPLE[0], kind, place, (), None, now + r.randrange(HOUR, 2 * DAY), "已知")
            self.writes += 1

    def tick(self, seed: int) -> None:
        self.clock.advance(Random(seed).choice((HOUR, DAY, 6 * DAY, 40 * DAY)))
        self.tend.tick()

    def deliver(self, seed: int) -> None:
        r, now = Random(seed), self.clock.now_ns()
        waits: set[str] = set()  # nothing overtakes what comes again
        for item in self.store.outbox_claim("desk", 5, now, 60 * SECOND):
            done: Any = r.choice(("done", "retry", "release", "dead"))
            if item.event.ticket_id in waits:
                done = "release"
            if done in ("retry", "release"):
                waits.add(item.event.ticket_id)
            self.store.outbox_settle(
                [
                    Outcome(
                        item=item, verdict=done, remote_id=f"R-{item.event.ticket_id}", due_ns=now, reason="x"
                    )
                ],
                now,
            )

    def hook(self, seed: int) -> None:
        r = Random(seed)
        known = self.store.tickets(limit=200)
        if known:
            ticket, other = r.choice(known), r.choice(known)
            self.count += 1
            change = RemoteChange(
                desk="desk", event_id=f"{self.name}{r.randrange(30)}", at_ns=self.clock.now_ns() - r.choice((0, HOUR)),
                status=r.choice(STATUSES), reference=ticket.id,
                merged_into=other.id if r.random() < 0.2 and other.id != ticket.id else "",
            )  # fmt: skip
            self.store.take_remote(
                change, lambda b, t, c: heed(b, t, c, TARGETS, self.clock.now_ns()), self.clock.now_ns()
            )

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A verb that is refused leaves everything as it was."""
        before = fingerprint(self.store) if self.guarded else None
        try:
            yield
        except (Refused, KeyError):
            if self.guarded:
                assert fingerprint(self.store) == before


DEEDS = ("flags", "complain", "assign", "work", "find", "quiet", "tick", "deliver", "hook")


def fingerprint(store: Store) -> list[tuple[Any, ...]]:
    """What a write would change: versions of tickets, and how many rows there are."""
    counted = [
        select(func.count()).select_from(t)
        for t in (ticket_history, outbox, audit, complaints, verdicts, muted_flags, flags_seen)
    ]
    with reading(store._engine) as connection:
        rows = connection.execute(
            select(tickets.c.id, tickets.c.version, tickets.c.state).order_by(tickets.c.id)
        )
        return [*(tuple(row) for row in rows), *(tuple(connection.execute(one).one()) for one in counted)]


def holds(store: Store, staff_writes: int | None = None) -> None:
    """All that must be so, whatever has happened."""
    found = [whole for one in store.tickets(limit=5000) if (whole := store.ticket(one.id)) is not None]
    assert len({one.dedup_key for one in found}) == len(found)
    assert all(len(there) == 1 for there in open_by_key(found).values())
    verified = store.verify_audit()
    assert (verified.faults, verified.unchained) == ((), 0)
    for ticket in found:
        legal(ticket)
        assert ticket.lead_time_s is None or ticket.lead_time_s >= 0
    with reading(store._engine) as connection:
        taken = connection.execute(
            select(complaints.c.id, complaints.c.ticket_id, complaints.c.lead_time_s)
        ).all()
        # what a desk has done itself it is not told of: the other one is
        told = Counter(
            connection.execute(select(outbox.c.event_id).where(outbox.c.desk == "other")).scalars()
        )
        twice = Counter(
            connection.execute(select(outbox.c.event_id).where(outbox.c.desk == "desk")).scalars()
        )
        acts = Counter(connection.execute(select(audit.c.action)).scalars())
    by_id = {one.id: one for one in found}
    named = Counter(one for t in found if t.state is not State.MERGED for one in t.complaint_ids)
    for complaint, ticket_id, lead in taken:
        assert lead is None or lead >= 0
        assert by_id[ticket_id].state is not State.MERGED
        assert complaint in by_id[ticket_id].complaint_ids
        assert named[complaint] == 1
    assert acts["complaint.taken"] == len(taken)
    for one in found:
        for episode in store.episodes(one.id):
            assert episode.flag_id in one.flag_ids
            assert one.state is not State.MERGED
    assert {*told.values(), *twice.values()} <= {1}
    lines = {
        f"{t.id}.{e.seq}" for t in found for e in t.history if e.action not in UNTOLD and not quiet_end(t, e)
    }
    assert lines <= told.keys()
    assert told.keys() <= {f"{t.id}.{e.seq}" for t in found for e in t.history}
    if staff_writes is not None:
        assert sum(n for action, n in acts.items() if action.startswith(("ticket.", "mute."))) == staff_writes


def quiet_end(ticket: Ticket, entry: Any) -> bool:
    """The end of a flag whose ticket has ended itself is told to nobody."""
    return bool(entry.action == "cleared")


def legal(ticket: Ticket) -> None:
    """The history leads from new to the state by moves of the table alone, without a gap."""
    assert [line.seq for line in ticket.history] == list(range(1, ticket.version + 1))
    state = State.NEW
    assert ticket.history[0].after == state
    for line in ticket.history[1:]:
        if line.after and line.before:
            assert line.before == state, (line, state)
            assert line.after == line.before or State(line.after) in TRANSITIONS[state], line
            state = State(line.after)
    assert state is ticket.state
