"""The people of a simulated year: they work on the tickets that the product shows them, and write down what they did.

Each act is a verb of ``streams.trade.staff``; one that the trade forbids by then (the ticket has come back meanwhile)
changes nothing and is no line of the generator's file.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from benchmarks.year_plan import DAY, HOUR, MINUTE, Deed
from streams.programs.verdicts import VerdictDesk
from streams.trade.lifecycle import Refused
from streams.trade.roles import Actor, Role
from streams.trade.staff import Finding, Staff
from streams.trade.states import PAUSED, RESOLVED
from streams.trade.tickets import Ticket

WANG, LI, CRM = Actor("wang", Role.OPERATOR), Actor("li", Role.OPERATOR), Actor("crm", Role.COMPLAINTS)
_ARCHIVE = {"confirmed": "metering", "explained": "explained", "false_alarm": "false_alarm"}
#: priority → within how long somebody takes it on [s]: sooner than asked for, and later
SOON = {"P1": 8 * MINUTE, "P2": 2 * HOUR, "P3": 30 * HOUR, "P4": 30 * HOUR}
_REASONS = ("data_error", "own_habit", "rule_too_strict", "unrecorded_work")

Note = Callable[..., None]
Plan = Callable[[Deed], None]


def key_of(ticket: Ticket) -> str:
    """What a ticket was opened for: the flag or the complaint that its key ends with."""
    return ticket.dedup_key.rsplit("|", 1)[1]


class People:
    """Staff with their habits.

    truth : flag → the word of the stated rule
    note  : writes a line of the generator's file
    plan  : puts something into the diary
    """

    def __init__(
        self, staff: Staff, desk: VerdictDesk, truth: dict[str, str], rng: Random, note: Note, plan: Plan
    ) -> None:
        self._staff, self._desk, self._truth = staff, desk, truth
        self._rng, self._note, self._plan = rng, note, plan
        self._order = 0

    def take_up(self, ticket: Ticket, now: int) -> None:
        """Plan the work on a ticket that is new, or open again."""
        rng = self._rng
        if ticket.drill:
            return
        begin = now + rng.randrange(5, SOON[ticket.priority])
        habit = rng.random()
        if habit < 0.08:
            return  # nobody gets to it this year
        word = self._word(ticket)
        if habit < 0.30 and word == "false_alarm":
            self._do(begin + rng.randrange(DAY), ticket, "dismiss")
            return
        if habit < 0.36:
            self._do(begin, ticket, "merge")
        self._do(begin, ticket, "hand_off")
        self._do(begin + rng.randrange(HOUR, DAY), ticket, "investigate")
        at = begin + rng.randrange(DAY, 3 * DAY)
        self._do(at, ticket, "check")
        if rng.random() < 0.25:
            self._do(at + HOUR, ticket, rng.choice(("wait_customer", "wait_lab")))
            at += rng.randrange(DAY, 4 * DAY)
            self._do(at, ticket, "investigate")
        at += rng.randrange(2 * HOUR, 2 * DAY)
        self._do(at, ticket, "implement")
        if rng.random() < 0.05:
            return  # the call to the customer is forgotten
        at += rng.randrange(HOUR, 5 * DAY)
        self._do(at, ticket, "call")
        end = at + rng.randrange(HOUR, DAY)
        self._do(end, ticket, "close")
        if rng.random() < 0.12:
            self._do(
                end + rng.randrange(DAY, 10 * DAY), ticket, rng.choice(("reopen", "one_flag", "correct"))
            )

    def act(self, ticket: Ticket, what: str, now: int) -> None:
        """Do what was planned, if it still can be done; a case ends with its bill released."""
        if what in ("close", "dismiss") and ticket.bill_hold:
            self.release(ticket)
            self._note_act(ticket, "release", {})
        try:
            facts = getattr(self, f"_{what}")(ticket)
        except Refused:
            return
        if facts is not None:
            self._note_act(ticket, what, facts)
            if what == "reopen":
                self.take_up(ticket, now)

    def _note_act(self, ticket: Ticket, what: str, facts: dict[str, Any]) -> None:
        place = {"point": ticket.service_point_id, "family": ticket.family}
        self._note("staff", act=what, ticket_of=key_of(ticket), **place, **facts)

    def _do(self, at: int, ticket: Ticket, what: str) -> None:
        self._order += 1
        self._plan(Deed(at, 10 + self._order, "staff", {"act": what, "ticket": ticket.id}))

    def _word(self, ticket: Ticket) -> str:
        """The stated rule for a ticket: the best word of the flags that it names; without any, explained."""
        words = {self._truth.get(flag, "explained") for flag in ticket.flag_ids} or {"explained"}
        return next(word for word in ("confirmed", "explained", "false_alarm") if word in words)

    def _move(self, ticket: Ticket, to: str, **facts: Any) -> dict[str, Any]:
        self._staff.move(WANG, ticket.id, self._staff.wish(WANG, {"to": to, **facts}))
        return {}

    def _dismiss(self, ticket: Ticket) -> dict[str, Any]:
        reason = self._rng.choice(_REASONS)
        self._move(ticket, "false_alarm", verdict="false_alarm", verdict_reason=reason)
        return {"verdict": "false_alarm", "reason": reason}

    def _merge(self, ticket: Ticket) -> dict[str, Any] | None:
        into = next((one for one in self._beside(ticket)), None)
        if into is None:
            return None
        self._staff.merge(LI, ticket.id, into.id)
        return {"into": key_of(into)}

    def _beside(self, ticket: Ticket) -> list[Ticket]:
        """Other open tickets of the point, as a colleague sees them in the list."""
        return [
            one
            for one in self._staff_tickets(ticket.service_point_id)
            if one.open and one.id != ticket.id and not one.drill and one.state not in RESOLVED
        ]

    def _staff_tickets(self, point: str) -> list[Ticket]:
        return self.listed(point)

    listed: Callable[[str], list[Ticket]]
    release: Callable[[Ticket], object]  # of a held bill

    def _hand_off(self, ticket: Ticket) -> dict[str, Any] | None:
        if ticket.state in PAUSED | RESOLVED:
            return None
        department = self._rng.choice(("operations", "customer_service", "emergency_repair"))
        owner = self._rng.choice(("zhang", "zhao"))
        self._staff.hand_off(WANG, ticket.id, department, owner)
        return {"department": department, "owner": owner}

    def _investigate(self, ticket: Ticket) -> dict[str, Any]:
        return self._move(ticket, "investigating")

    def _check(self, ticket: Ticket) -> dict[str, Any] | None:
        todo = next((step for step in ticket.steps if not step.result), None)
        if todo is None:
            return None
        finding = "positive" if self._word(ticket) == "confirmed" else "negative"
        self._staff.check(LI, ticket.id, todo.seq, "现场核对", finding)
        return {"number": todo.seq, "check": todo.check, "cause": todo.cause, "finding": finding}

    def _wait_customer(self, ticket: Ticket) -> dict[str, Any]:
        return self._move(ticket, "waiting_customer")

    def _wait_lab(self, ticket: Ticket) -> dict[str, Any]:
        return self._move(ticket, "waiting_lab")

    def _implement(self, ticket: Ticket) -> dict[str, Any]:
        done = {
            "resolution": self._rng.choice(("repair", "replacement", "explanation")),
            "responsibility": self._rng.choice(("company", "customer", "third_party")),
        }
        self._move(ticket, "implemented", **done)
        return done

    def _call(self, ticket: Ticket) -> dict[str, Any]:
        """The call: an answer, with or without stars, or nobody there."""
        answer = self._rng.random()
        if answer < 0.1:
            self._move(ticket, "callback", no_callback="三次未接")
            return {"answer": "none", "rating": 0}
        satisfied = answer < 0.85
        stars = self._rng.randrange(6)
        self._move(ticket, "callback", satisfied=satisfied, rating=stars or None)
        return {"answer": "satisfied" if satisfied else "dissatisfied", "rating": stars}

    def _close(self, ticket: Ticket) -> dict[str, Any]:
        word = self._word(ticket)
        reason = self._rng.choice(_REASONS) if word == "false_alarm" else ""
        self._move(ticket, "closed", verdict=word, verdict_reason=reason, archive_class=_ARCHIVE[word])
        return {"verdict": word, "reason": reason}

    def _reopen(self, ticket: Ticket) -> dict[str, Any]:
        return self._move(ticket, "reopened")

    def _one_flag(self, ticket: Ticket) -> dict[str, Any] | None:
        """A word about one flag alone, once the ticket has its own."""
        if len(ticket.flag_ids) < 2 or ticket.merged_into:
            return None
        flag = ticket.flag_ids[-1]
        self._desk_judge(ticket, "false_alarm", "own_habit", [flag])
        return {"verdict": "false_alarm", "reason": "own_habit", "flag": flag}

    def _correct(self, ticket: Ticket) -> dict[str, Any] | None:
        """Another system knows better: the word about all flags changes."""
        if ticket.merged_into:
            return None
        self._desk_judge(ticket, "explained", "", [])
        return {"verdict": "explained", "reason": ""}

    def _desk_judge(self, ticket: Ticket, verdict: str, reason: str, flags: list[str]) -> None:
        self._desk.judge(ticket.id, verdict, reason, flags, CRM)

    def drill(self, meter: str, point: str, kind: str) -> Ticket:
        """A drill: a ticket that is none."""
        seen = Finding(meter_id=meter, service_point_id=point, kind=kind, drill=True, note="演练")
        return self._staff.open(LI, seen)

    def find(self, meter: str, point: str, area: str, kind: str) -> Ticket:
        """Somebody on his round sees what no detector has."""
        seen = Finding(meter_id=meter, service_point_id=point, area=area, kind=kind)
        return self._staff.open(LI, seen)
