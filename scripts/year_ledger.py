"""The tickets of a simulated year, kept anew from the generator's file by the rules as the documents state them.

Of ``check_year.py``: the standard library alone, nothing of ours. Instants are seconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from year_clock import DAY, Due, Offices
from year_rules import DEPARTMENTS, GRAVE, NEAR, SUBJECTS, category, estimate, priority, priority_of

#: of a flag that names no detector (docs/verdicts.md)
DETECTOR = {"misread": "intervals"}
ENDED = ("closed", "false_alarm", "archived", "merged")
DONE = ("implemented", "callback")
WAITING = ("waiting_customer", "waiting_lab")
BECOMES = {
    "hand_off": "assigned", "investigate": "investigating", "wait_customer": "waiting_customer",
    "wait_lab": "waiting_lab", "implement": "implemented", "call": "callback",
}  # fmt: skip


_AT_WORK = ("new", "assigned", "investigating", "reopened", *WAITING)
#: what staff do → the states in which it can be done (docs/tickets.md, "States")
LEGAL = {
    "hand_off": ("new", "assigned", "investigating", "reopened"),
    "investigate": ("new", "assigned", "reopened", *WAITING),
    "wait_customer": ("new", "assigned", "investigating", "reopened", "waiting_lab"),
    "wait_lab": ("new", "assigned", "investigating", "reopened", "waiting_customer"),
    "check": (*_AT_WORK, *DONE),
    "implement": ("investigating", "reopened", *WAITING),
    "call": ("implemented",),
    "close": DONE,
    "dismiss": _AT_WORK,
    "merge": _AT_WORK,
    "reopen": (*DONE, "closed", "false_alarm"),
}


class Contradiction(Exception):
    """The file says two things that cannot both be."""


#: subjects whose complaints hold the bill until somebody releases it
HOLDING = frozenset({"disputed_amount"})


class Ticket:
    """One ticket of the ledger.

    ours : whether a flag opened it, or a person on his round; else a complaint did
    """

    def __init__(self, line: dict[str, Any], point: str, family: str, ours: bool, due: Due) -> None:
        self.key, self.point, self.family, self.ours = line["id"], point, family, ours
        self.kind = line["kind"] if ours else line["subject"]
        self.lead = line["id"] if ours else ""  # the flag that the ticket shows
        self.category: str = line["category"]
        self.priority: str = line["priority"]
        self.area: str = line["area"]
        self.department, self.owner, self.hand_offs = DEPARTMENTS[self.category], "", 0
        self.due = due
        self.opened = self.updated = line["wall"]
        self.state = "new"
        self.escalated = False
        self.held = False  # its bill: a complaint disputes the amount
        self.flags: list[str] = []
        self.calls: list[str] = []
        self.into: Ticket | None = None
        self.closed: int | None = None
        self.answer, self.called, self.rating = "", 0, 0
        self.verdict = self.reason = self.resolution = self.responsibility = ""
        self.found: dict[int, str] = {}  # number of a check that has found something → what
        self.reopened: set[str] = set()  # by staff, by a complaint, relapsed

    @property
    def open(self) -> bool:
        """Whether somebody has to work on it."""
        return self.state not in ENDED

    @property
    def cause(self) -> str:
        """What the last of the checks that found something has found, else what was done."""
        return self.found[max(self.found)] if self.found else self.resolution or "unknown"

    @property
    def next_due(self) -> int | None:
        """What is due next; None: nothing, or the clock stands."""
        due = self.due
        dates = [due.acknowledge if due.acknowledged is None else None]
        if self.state in DONE:
            dates.append(due.callback if not self.answer else None)
        elif due.stands_since is None:
            dates.append(due.resolve)
        return min((one for one in dates if one is not None), default=None)

    def again(self, at: int, how: str) -> None:
        """Open once more: what was due, and what the customer said, was of the work before."""
        self.state, self.closed, self.answer, self.called, self.rating = "reopened", None, "", 0, 0
        self.due.begin(self.priority, at)
        self.reopened.add(how)
        self.updated = at

    def graver(self, category: str, priority: str, at: int) -> None:
        """At least as urgent as this asks; safety takes it to those who mend."""
        if category == "safety" and self.category != "safety":
            self.category, self.department = "safety", DEPARTMENTS["safety"]
            self.hand_offs += 1
        if GRAVE.index(priority) < GRAVE.index(self.priority):
            self.due.raise_to(priority, at)
            self.priority = priority
            if self.state in WAITING:
                self.state = "investigating"  # what has become graver waits for nobody


class Ledger:
    """The year, line by line."""

    def __init__(self, head: dict[str, Any]) -> None:
        self.head = head
        self.offices = Offices(head)
        self.tickets: dict[str, Ticket] = {}
        self.at_point: dict[str, list[Ticket]] = {}
        self.on: dict[str, Ticket] = {}  # flag → its ticket
        self.flags: dict[str, dict[str, Any]] = {}  # flag → its newest line
        self.first: dict[str, int] = {}  # flag → when it was first told of
        self.words: dict[str, dict[str, Any]] = {}  # flag → the word about it
        self.says: dict[str, dict[str, Any]] = {}  # flag that opened a ticket → what it said
        self.came: dict[str, int] = {}  # flag → when it came onto its ticket
        self.estimates: dict[str, tuple[str, float]] = {}  # flag → by what, and its excess
        self.complaints: dict[str, dict[str, Any]] = {}
        self.drills: set[str] = set()  # points: a drill joins the one that goes on there

    def take(self, line: dict[str, Any]) -> None:
        """One line of the file."""
        getattr(self, f"_{line['what']}")(line)

    def _put(self, ticket: Ticket, at: int) -> Ticket:
        self.tickets[ticket.key] = ticket
        for other in self.at_point.setdefault(ticket.point, []):
            if other.open:
                other.updated = at  # they name each other
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
        if line["status"] != "cleared":
            told, before = estimate(line), self.estimates.get(flag)
            if told is not None and not (before and (before[0], told[0]) == ("history", "detector")):
                self.estimates[flag] = told
        stands = self.estimates.get(flag)
        line["category"] = category(line)
        line["priority"] = priority(line, stands[1] if stands else None, self._billed_in(line["says"], at))
        if known is not None:
            if line["status"] != "cleared" and known.open:
                graver = GRAVE.index(line["priority"]) < GRAVE.index(known.priority)
                if flag == known.lead or graver:
                    known.kind, known.lead = line["kind"], flag
                known.graver(line["category"], line["priority"], at)
            if line["status"] == "cleared" or known.open:
                known.updated = at
            return
        ticket = self._for(line)
        ticket.flags.append(flag)
        self.on[flag], self.came[flag] = ticket, at
        if line.get("by_hand", ticket.key) != ticket.key:
            raise Contradiction(f"{line['by_hand']} was worked on, {ticket.key} was there")

    def _billed_in(self, says: dict[str, Any], at: int) -> int | None:
        return self.offices.billed_in(says["bill_day"], at) if says["bill_day"] else None

    def _for(self, line: dict[str, Any]) -> Ticket:
        """The ticket that a new flag comes onto: open, closed and watched, or one of its own."""
        at, family = line["wall"], line["family"]
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
            due = Due(self.offices, line["priority"], at)
            self.says[line["id"]] = line["says"]
            return self._put(Ticket(line, line["point"], family, True, due), at)
        if GRAVE.index(line["priority"]) <= GRAVE.index(found.priority):
            found.kind, found.lead = line["kind"], line["id"]
        found.graver(line["category"], line["priority"], at)
        if found.state in DONE or not found.open:
            found.again(at, "relapsed")
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
            line["priority"] = priority_of(line["subject"])
            due = Due(self.offices, line["priority"], line["wall"])
            line["ticket"] = self._put(Ticket(line, point, family, False, due), line["wall"])
            line["ticket"].calls.append(line["id"])
            line["ticket"].held = line["subject"] in HOLDING
            line.update(outcome="opened", lead=None)
        else:
            self._link(found, line)

    def _located(self, line: dict[str, Any]) -> None:
        complaint = self.complaints[line["id"]]
        complaint["point"], complaint["area"], own = line["point"], line["area"], complaint["ticket"]
        found = self._known(complaint)
        if found is None:
            self.at_point[own.point].remove(own)
            own.point, own.area = line["point"], line["area"]
            self._put(own, line["wall"])
        else:
            self._link(found, complaint, line["wall"])
            if own.open and own.state not in DONE and (found.open or not own.held):
                self._fold(own, found, line["wall"])
            else:
                own.calls.remove(line["id"])
                there = (t for t in self.at_point.get(line["point"], ()) if t.open)
                if not own.open or all(t.family != own.family for t in there):
                    self.at_point[own.point].remove(own)
                    own.point, own.area = line["point"], line["area"]
                    self.at_point.setdefault(own.point, []).append(own)
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
        ticket.calls.append(line["id"])
        ticket.graver(line["category"], priority_of(line["subject"]), at or line["wall"])
        if line["made"] >= ticket.updated and ticket.state in (*DONE, "closed", "false_alarm"):
            others = (t for t in self.at_point[ticket.point] if t is not ticket and t.open)
            if ticket.open or not any(t.family == ticket.family for t in others):
                ticket.again(at or line["wall"], "reopened_by_complaint")
        ticket.held |= ticket.open and line["subject"] in HOLDING
        ticket.updated = at or line["wall"]

    def _fold(self, ticket: Ticket, into: Ticket, at: int) -> None:
        ticket.state, ticket.into, ticket.closed = "merged", into, at
        into.held |= ticket.held and into.open
        for flag in ticket.flags:
            self.on[flag] = into
        into.flags += [flag for flag in ticket.flags if flag not in into.flags]
        into.calls += [call for call in ticket.calls if call not in into.calls]
        for call in ticket.calls:
            self.complaints[call]["ticket"] = into
        ticket.updated = into.updated = at

    def _staff(self, line: dict[str, Any]) -> None:
        act, at = line["act"], line["wall"]
        ticket = self.tickets.get(line["ticket_of"])
        if ticket is None:
            raise Contradiction(f"{act} on a ticket that nothing has opened: {line['ticket_of']}")
        if (ticket.point, ticket.family) != (line["point"], line["family"]):
            raise Contradiction(f"{act} at {line['point']}, the ticket {ticket.key} is at {ticket.point}")
        if act in LEGAL and ticket.state not in LEGAL[act]:
            raise Contradiction(f"{act} of {ticket.key}, which is {ticket.state}")
        if act in ("close", "dismiss") and ticket.held:
            raise Contradiction(f"{ticket.key} ends with its bill on hold")
        if act == "close" and not ticket.answer:
            raise Contradiction(f"{ticket.key} is closed without a call to the customer or a reason for none")
        if act in BECOMES:
            ticket.state = BECOMES[act]
            ticket.due.touched(at)
        if ticket.state in WAITING:
            ticket.due.stand(at)
        elif act in BECOMES and act != "hand_off":
            ticket.due.go_on(at)
        if act == "hand_off":
            other = line["owner"] != ticket.owner and ticket.owner != ""
            ticket.hand_offs += other or line["department"] != ticket.department
            ticket.department, ticket.owner = line["department"], line["owner"]
        elif act == "check" and line["finding"] == "positive":
            ticket.found[line["number"]] = line["cause"]
        elif act == "implement":
            ticket.resolution, ticket.responsibility = line["resolution"], line["responsibility"]
            ticket.due.done(at, self.head["callback_days"])
        elif act == "call":
            ticket.answer, ticket.called, ticket.rating = line["answer"], at, line["rating"]
        elif act in ("close", "dismiss"):
            ticket.state, ticket.closed = ("closed" if act == "close" else "false_alarm"), at
            ticket.due.touched(at)
            ticket.due.go_on(at)
            ticket.due.resolved = at if ticket.due.resolved is None else ticket.due.resolved
            ticket.verdict, ticket.reason = line["verdict"], line["reason"]
            single = {flag for flag in ticket.flags if self.words.get(flag, {}).get("single")}
            self._say(line, [flag for flag in ticket.flags if flag not in single], False)
        elif act == "reopen":
            ticket.again(at, "reopened_by_staff")
            ticket.due.touched(at)
        elif act == "merge":
            self._fold(ticket, self.tickets[line["into"]], at)
        elif act == "release":
            ticket.held = False
        elif act == "one_flag":
            self._say(line, [line["flag"]], True)
        elif act == "correct":
            ticket.verdict, ticket.reason = line["verdict"], line["reason"]
            self._say(line, ticket.flags, False)
        ticket.updated = at

    def _say(self, line: dict[str, Any], flags: list[str], single: bool) -> None:
        """The word about these flags; the same again leaves what stands."""
        for flag in flags:
            known = self.words.get(flag)
            said = {"verdict": line["verdict"], "reason": line["reason"], "single": single}
            if known is None or any(known[name] != value for name, value in said.items()):
                newest = self.flags[flag]
                told = {name: newest[name] for name in ("kind", "detector", "area")}
                told["month"] = self.month(self.came[flag])
                told["detector"] = told["detector"] or DETECTOR[told["kind"]]
                self.words[flag] = said | told

    def _tick(self, line: dict[str, Any]) -> None:
        for ticket in self.tickets.values():
            due = ticket.next_due
            if (
                ticket.open
                and not ticket.escalated
                and ticket.priority != "P4"
                and due
                and due < line["wall"]
            ):
                ticket.escalated, ticket.updated = True, line["wall"]
            self._bill_comes_near(ticket, line["wall"])
            long_ago = (ticket.closed or 0) < line["wall"] - self.head["archive_days"] * DAY
            if ticket.state in ("closed", "false_alarm") and long_ago:
                ticket.state = "archived"

    def _bill_comes_near(self, ticket: Ticket, at: int) -> None:
        low = ticket.open and ticket.priority in ("P3", "P4") and ticket.category == "metering_billing"
        days = self._billed_in(self.says[ticket.key], at) if low and ticket.ours else None
        if days is not None and days <= NEAR and not ticket.held:
            ticket.due.tighten("P2", at)
            ticket.priority, ticket.updated = "P2", at

    def _drill(self, line: dict[str, Any]) -> None:
        self.drills.add(line["point"])

    def month(self, at: int) -> str:
        """The month of an instant, by the offices' calendar."""
        return f"{datetime.fromtimestamp(at + self.head['zone_s'], UTC):%Y-%m}"
