"""The tickets of a simulated year, kept anew from the generator's file by the rules as the documents state them.

Of ``check_year.py``: the standard library alone, nothing of ours. Instants are seconds since 1970.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = 86_400
#: subject → its category, and the families of tickets that it can be about, its own first (docs/complaints.md)
SUBJECTS = {
    "gas_leak": ("safety", ("leak",)),
    "high_bill": ("metering_billing", ("usage_high", "leak", "register")),
    "disputed_amount": ("metering_billing", ("usage_high", "register", "leak")),
    "low_bill": ("metering_billing", ("usage_low", "register", "data")),
    "meter_stopped": ("metering_billing", ("usage_low", "data", "register")),
    "meter_accuracy": ("metering_billing", ("usage_high", "register", "usage_low")),
    "misread": ("metering_billing", ("register", "usage_high", "usage_low")),
    "estimated_reading": ("metering_billing", ("register", "data", "usage_high", "usage_low")),
    "missed_reading": ("metering_billing", ("data", "register")),
    "late_reading": ("metering_billing", ("data", "register")),
    "water_leak": ("metering_billing", ("leak", "usage_high", "balance")),
    "installation_delay": ("install_repair", ("installation",)),
    "staff_attitude": ("service_attitude", ("service",)),
    "policy_question": ("policy_inquiry", ("policy",)),
}
#: of a flag that names no detector (docs/verdicts.md)
DETECTOR = {"misread": "intervals"}
ENDED = ("closed", "false_alarm", "archived", "merged")
DONE = ("implemented", "callback")
BECOMES = {
    "hand_off": "assigned", "investigate": "investigating", "wait_customer": "waiting", "wait_lab": "waiting",
    "implement": "implemented", "call": "callback",
}  # fmt: skip


class Contradiction(Exception):
    """The file says two things that cannot both be."""


class Ticket:
    """One ticket of the ledger."""

    def __init__(self, key: str, point: str, family: str, category: str, ours: bool, at: int) -> None:
        self.key, self.point, self.family, self.category, self.ours = key, point, family, category, ours
        self.opened = self.updated = at
        self.state = "new"
        self.flags: list[str] = []
        self.into: Ticket | None = None
        self.closed: int | None = None
        self.call_due: int | None = None
        self.called: int | None = None
        self.answer = ""
        self.reopened: set[str] = set()  # by staff, by a complaint, relapsed

    @property
    def open(self) -> bool:
        """Whether somebody has to work on it."""
        return self.state not in ENDED

    def again(self, at: int) -> None:
        """Open once more: what was due, and what the customer said, was of the work before."""
        self.state, self.closed, self.call_due, self.called, self.answer = "reopened", None, None, None, ""
        self.updated = at


class Ledger:
    """The year, line by line."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.head = head
        self.tickets: dict[str, Ticket] = {}
        self.at_point: dict[str, list[Ticket]] = {}
        self.on: dict[str, Ticket] = {}  # flag → its ticket
        self.flags: dict[str, dict[str, Any]] = {}  # flag → its newest line
        self.first: dict[str, int] = {}  # flag → when it was first told of
        self.words: dict[str, dict[str, Any]] = {}  # flag → the word about it
        self.complaints: dict[str, dict[str, Any]] = {}
        self.drills: set[str] = set()  # points: a drill joins the one that goes on there

    def take(self, line: dict[str, Any]) -> None:
        """One line of the file."""
        getattr(self, f"_{line['what']}")(line)

    def _put(self, ticket: Ticket) -> Ticket:
        self.tickets[ticket.key] = ticket
        for other in self.at_point.setdefault(ticket.point, []):
            if other.open:
                other.updated = ticket.opened  # they name each other
        self.at_point[ticket.point].append(ticket)
        return ticket

    def _flag(self, line: dict[str, Any]) -> None:
        flag, at = line["id"], line["wall"]
        self.first.setdefault(flag, at)
        known = self.on.get(flag)
        if known is None and line["status"] == "cleared":
            return
        if line["status"] != "cleared":
            self.flags[flag] = line  # what it is by its newest event but the end
        if known is not None:
            if line["status"] == "cleared" or known.open:
                known.updated = at
            return
        ticket = self._for(line)
        ticket.flags.append(flag)
        self.on[flag] = ticket
        if line.get("by_hand", ticket.key) != ticket.key:
            raise Contradiction(f"{line['by_hand']} was worked on, {ticket.key} was there")

    def _for(self, line: dict[str, Any]) -> Ticket:
        """The ticket that a new flag comes onto: open, closed and watched, or one of its own."""
        at, family = line["wall"], line["family"]
        safety = family == "leak" and line["commodity"] == "gas"
        same = [t for t in self.at_point.get(line["point"], ()) if t.family == family]
        found = next((t for t in same if t.open), None)
        if found is None:
            watched = [
                t
                for t in same
                if t.state == "closed" and at < (t.closed or 0) + self.head["watch_days"] * DAY
            ]
            found = max(watched, key=lambda t: t.closed or 0, default=None)
        if found is None:
            category = "safety" if safety else "install_repair" if family == "data" else "metering_billing"
            found = self._put(Ticket(line["id"], line["point"], family, category, True, at))
            found.flags = []
            return found
        if found.state in DONE or not found.open:
            found.again(at)
            found.reopened.add("relapsed")
        if safety:
            found.category = "safety"
        found.updated = at
        return found

    def _complaint(self, line: dict[str, Any]) -> None:
        if line["id"] in self.complaints:
            return  # the same was sent before
        flag = line["flag"]
        if flag and flag not in self.first and line["delay_s"] >= 0:
            raise Contradiction(f"complaint {line['id']} is about flag {flag}, which has not come")
        self.complaints[line["id"]] = line
        line["category"] = SUBJECTS[line["subject"]][0]
        line["metering"] = line["category"] == "metering_billing"
        found = self._known(line) if line["point"] else None
        if found is None:
            point = line["point"] or f"complaint/{line['id']}"
            family = SUBJECTS[line["subject"]][1][0]
            line["ticket"] = self._put(
                Ticket(line["id"], point, family, line["category"], False, line["wall"])
            )
            line.update(outcome="opened", lead=None)
        else:
            self._link(found, line)

    def _located(self, line: dict[str, Any]) -> None:
        complaint = self.complaints[line["id"]]
        complaint["point"], own = line["point"], complaint["ticket"]
        found = self._known(complaint)
        if found is None:
            self.at_point[own.point].remove(own)
            own.point = line["point"]
            self._put(own)
        else:
            self._link(found, complaint, line["wall"])
            if own.open and own.state not in DONE:
                self._fold(own, found, line["wall"])
        own.updated = line["wall"]

    def _known(self, line: dict[str, Any]) -> Ticket | None:
        """The ticket that was there first: open ones before closed, then the likeliest family, then the oldest."""
        category, families = SUBJECTS[line["subject"]]
        since = line["made"] - self.head["window_days"] * DAY
        ranked = []
        for one in self.at_point.get(line["point"], ()):
            ticket = one
            while ticket.into is not None:
                ticket = ticket.into
            if ticket.state == "archived" or not (ticket.open or since <= ticket.opened <= line["made"]):
                continue
            if ticket.family in families:
                rank = families.index(ticket.family)
            elif ticket.category == category != "safety":
                rank = len(families)
            else:
                continue
            age = ticket.opened if ticket.open else -ticket.opened
            ranked.append((not ticket.open, rank, age, ticket.key))
        return self.tickets[min(ranked)[-1]] if ranked else None

    def _link(self, ticket: Ticket, line: dict[str, Any], at: int | None = None) -> None:
        lead = line["made"] - ticket.opened
        ours = ticket.ours and lead >= 0
        line.update(ticket=ticket, outcome="known" if ours else "joined", lead=lead if ours else None)
        if line["category"] == "safety":
            ticket.category = "safety"
        if line["made"] >= ticket.updated and ticket.state in (*DONE, "closed", "false_alarm"):
            others = (t for t in self.at_point[ticket.point] if t is not ticket and t.open)
            if ticket.open or not any(t.family == ticket.family for t in others):
                ticket.again(line["wall"])
                ticket.reopened.add("reopened_by_complaint")
        ticket.updated = at or line["wall"]

    def _fold(self, ticket: Ticket, into: Ticket, at: int) -> None:
        ticket.state, ticket.into, ticket.closed = "merged", into, at
        for flag in ticket.flags:
            self.on[flag] = into
        into.flags += [flag for flag in ticket.flags if flag not in into.flags]
        ticket.updated = into.updated = at

    def _staff(self, line: dict[str, Any]) -> None:
        act, at = line["act"], line["wall"]
        ticket = self.tickets.get(line["ticket_of"])
        if ticket is None:
            raise Contradiction(f"{act} on a ticket that nothing has opened: {line['ticket_of']}")
        if (ticket.point, ticket.family) != (line["point"], line["family"]):
            raise Contradiction(f"{act} at {line['point']}, the ticket {ticket.key} is at {ticket.point}")
        if act in BECOMES:
            self._legal(ticket, act, ticket.open)
            ticket.state = BECOMES[act]
        if act == "implement":
            ticket.call_due = self._second_working_day(at)
        elif act == "call":
            ticket.answer = line["answer"]
            ticket.called = None if ticket.answer == "none" else at
        elif act in ("close", "dismiss"):
            self._legal(ticket, act, ticket.open)
            ticket.state, ticket.closed = ("closed" if act == "close" else "false_alarm"), at
            single = {flag for flag in ticket.flags if self.words.get(flag, {}).get("single")}
            self._say(line, [flag for flag in ticket.flags if flag not in single], False)
        elif act == "reopen":
            self._legal(ticket, act, ticket.state in (*DONE, "closed", "false_alarm"))
            ticket.again(at)
            ticket.reopened.add("reopened_by_staff")
        elif act == "merge":
            self._fold(ticket, self.tickets[line["into"]], at)
        elif act == "one_flag":
            self._say(line, [line["flag"]], True)
        elif act == "correct":
            self._say(line, ticket.flags, False)
        ticket.updated = at

    def _legal(self, ticket: Ticket, act: str, fits: bool) -> None:
        if not fits:
            raise Contradiction(f"{act} of {ticket.key}, which is {ticket.state}")

    def _say(self, line: dict[str, Any], flags: list[str], single: bool) -> None:
        """The word about these flags; the same again leaves what stands."""
        for flag in flags:
            known = self.words.get(flag)
            said = {"verdict": line["verdict"], "reason": line["reason"], "single": single}
            if known is None or any(known[name] != value for name, value in said.items()):
                newest = self.flags[flag]
                told = {name: newest[name] for name in ("kind", "detector", "area")}
                told["detector"] = told["detector"] or DETECTOR[told["kind"]]
                self.words[flag] = said | told

    def _tick(self, line: dict[str, Any]) -> None:
        for ticket in self.tickets.values():
            long_ago = (ticket.closed or 0) < line["wall"] - self.head["archive_days"] * DAY
            if ticket.state in ("closed", "false_alarm") and long_ago:
                ticket.state = "archived"

    def _drill(self, line: dict[str, Any]) -> None:
        self.drills.add(line["point"])

    def _second_working_day(self, at: int) -> int:
        """18:00 of that day after the day of ``at``; Saturdays and Sundays are off."""
        shift = timedelta(seconds=self.head["zone_s"])
        day = (datetime.fromtimestamp(at, UTC) + shift).replace(hour=18, minute=0, second=0)
        left = self.head["callback_days"]
        while left:
            day += timedelta(days=1)
            left -= day.weekday() < 5
        return int((day - shift).timestamp())

    def figures(self) -> dict[str, Any]:
        """What the report has to say, by table and row."""
        start, end = self.head["start"], self.head["end"]
        calls = [one for one in self.complaints.values() if start <= one["made"] < end]
        metering = [one for one in calls if one["metering"]]
        known = sum(one["outcome"] == "known" for one in metering)
        leads = sorted(one["lead"] / 3600 for one in metering if one["lead"] is not None)
        tickets = list(self.tickets.values())
        out: dict[str, Any] = {
            "headline complaints": len(calls),
            "headline metering_complaints": len(metering),
            "headline known_before": known,
            "headline known_share": known / len(metering) if metering else None,
            "headline misses": len(metering) - known,
            "headline lead_median_h": quantile(leads, 0.5),
            "headline lead_90_h": quantile(leads, 0.9),
            "headline tickets": len(tickets),
            "apart drill": len(self.drills),
            "work reopened": sum(bool(one.reopened) for one in tickets),
        }
        for how in ("reopened_by_staff", "reopened_by_complaint", "relapsed"):
            out[f"work {how}"] = sum(how in one.reopened for one in tickets)
        out |= counted("complaints_by_category", (one["category"] for one in calls))
        out |= counted("complaints_by_subject", (one["subject"] for one in calls))
        out |= counted("complaints_by_channel", (one["channel"] for one in calls))
        out |= counted("tickets_by_category", (one.category for one in tickets))
        out |= counted("tickets_by_state", (state_of(one.state) for one in tickets))
        for group in ("detector", "kind", "area"):
            out |= self._precision(group)
        for answer in ("satisfied", "dissatisfied", "none"):
            name = "no_callback" if answer == "none" else answer
            out[f"callbacks {name}"] = sum(one.answer == answer for one in tickets)
        due = [t for t in tickets if t.call_due is not None and t.state != "merged" and t.answer != "none"]
        settled = [t for t in due if t.called is not None or (t.call_due or 0) <= end]
        kept = sum(t.called is not None and t.called <= (t.call_due or 0) for t in settled)
        out["sla callback due"], out["sla callback kept"] = len(settled), kept
        out["sla callback pending"] = len(due) - len(settled)
        return out

    def _precision(self, group: str) -> dict[str, Any]:
        said: dict[str, Counter[str]] = {}
        for word in self.words.values():
            said.setdefault(word[group], Counter())[word["verdict"]] += 1
        out: dict[str, Any] = {}
        for name, n in said.items():
            of, good = sum(n.values()), n["confirmed"] + n["explained"]
            low, high = wilson(good, of)
            row = {
                "judged": of, "confirmed": n["confirmed"], "explained": n["explained"],
                "false_alarms": n["false_alarm"], "precision_share": good / of, "low_share": low,
                "high_share": high, "strict_share": n["confirmed"] / of,
            }  # fmt: skip
            out |= {f"precision_by_{group} {name} {column}": value for column, value in row.items()}
        return out


def state_of(state: str) -> str:
    """States in which the work is going on, as one."""
    return state if state in (*ENDED, *DONE) else "at_work"


def quantile(ordered: list[float], share: float) -> float | None:
    """Between the two values beside the place, by proportion."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = min(int(place), max(len(ordered) - 2, 0))
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)


def wilson(good: int, of: int) -> tuple[float, float]:
    """The two roots of (p − good/of)² = z² p (1 − p) / of."""
    z = 1.959963984540054
    a, b, c = 1 + z * z / of, 2 * good / of + z * z / of, (good / of) ** 2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (b - root) / (2 * a), (b + root) / (2 * a)


def counted(table: str, values: Any) -> dict[str, int]:
    """How many of each."""
    return {f"{table} {value}": n for value, n in Counter(values).items()}
