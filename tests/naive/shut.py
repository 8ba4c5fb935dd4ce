"""Tamper contacts, and use where there should be none, the obvious way."""

from __future__ import annotations

from collections.abc import Iterable

from tests.naive import DAY, HOUR, NAN, Line, Taken


def tampering(taken: Iterable[Taken]) -> list[Line]:
    """From the first reading that tells of it to the end that is believed."""
    lines: list[Line] = []
    told: list[int] = []
    for t in taken:
        now, events = t.reading.time, t.reading.events
        if not t.live:
            continue
        status = ""
        if "tampered" in events:
            told.append(now)
            status = "raised" if len(told) == 1 else ""
        elif told:
            wait = DAY if "untampered" in events else 7 * DAY
            status = "cleared" if now - told[-1] >= wait else ""
        if status:
            more = {"times_told": float(len(told)), "hours": (told[-1] - told[0]) / HOUR}
            lines.append(Line(status, "tamper", now, told[0], NAN, NAN, more))
        if status == "cleared":
            told = []
    return lines


class Line7:
    """What is used while nothing may be, in stretches of seven days."""

    def __init__(self, kind: str, floor: float) -> None:
        self.kind, self.floor = kind, floor
        self.since = 0
        self.start: int | None = None
        self.used: list[tuple[int, float]] = []
        self.window = 0
        self.lines: list[Line] = []

    def say(self, status: str, now: int, let_pass: float) -> None:
        amount = sum(one for _, one in self.used)
        told = {
            "used_since_shut": amount,
            "hours_since_shut": (now - self.since) / HOUR,
            "let_pass": let_pass,
        }
        assert self.start is not None
        self.lines.append(Line(status, self.kind, now, self.start, amount, 0.0, told))

    def late(self, time: int, amount: float) -> None:
        if self.since and amount == amount and time > self.window:
            self.used.append((self.window, amount))

    def take(self, now: int, shut: bool, amount: float, may: bool) -> None:
        if not shut:
            if self.start is not None:
                self.say("cleared", now, self.floor)
            self.since, self.start, self.used = 0, None, []
            return
        if not self.since:
            self.since = self.window = now
            return
        if amount == amount:
            self.used.append((self.window, amount))
        days = (now - self.window) / DAY
        let_pass = self.floor * max(1.0, days / 7)
        over = sum(one for window, one in self.used if window == self.window) > let_pass
        if over and self.start is None and may:
            self.start = self.window
            self.say("raised", now, let_pass)
        elif over and self.start is not None and days >= 7:
            self.say("updated", now, let_pass)
        elif not over and self.start is not None and days >= 7:
            self.say("cleared", now, let_pass)
            self.start = None
        if days >= 7:
            self.window = now


def shut_off(taken: Iterable[Taken], floor: float, valve: str, contract: str) -> list[Line]:
    """A meter's valve and its contract."""
    closed, ended = Line7("use_on_closed_valve", floor), Line7("inactive_use", floor)
    said = False
    for t in taken:
        now = t.reading.time
        amount = t.usage - t.back if t.status == "ok" else NAN
        if t.status in ("late", "correction"):
            closed.late(now, t.usage)
            ended.late(now, t.usage)
        if not (t.live or t.since):
            continue
        said = ("closed" in t.reading.events) or (said and "open" not in t.reading.events)
        closed.take(now, said or valve == "closed", amount, t.live)
        ended.take(now, contract in ("vacant", "terminated"), amount, t.live)
    return closed.lines + ended.lines
