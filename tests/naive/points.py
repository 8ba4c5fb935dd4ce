"""Rules for supervised points, the obvious way: one point, its readings, plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tests.naive import DAY, HOUR, NAN, NS, Line, Taken, single


def is_stale(t: Taken) -> bool:
    return t.usual > 0 and t.since > 3 * t.usual


def second(time: int) -> int:
    return time // NS


@dataclass
class Point:
    """What every rule keeps: the newest reading, and what waits to last long enough."""

    lines: list[Line] = field(default_factory=list)
    last: Taken | None = None
    waits: str = ""
    first: int = 0  # second in which the waiting began
    open: str = ""

    def fresh(self, now: int) -> bool:
        t = self.last
        return t is not None and t.live and t.usual > 0 and now <= t.reading.time + 3 * t.usual

    def wait(self, what: str, t: Taken) -> None:
        if what != self.waits or is_stale(t):
            self.waits, self.first = what, second(t.reading.time)


@dataclass
class Limits(Point):
    """HH, H, L, LL of one point; limits that it has not are left out of ``limits``."""

    limits: dict[str, float] = field(default_factory=dict)
    deadband: float | None = None
    delay: float = 10.0

    def level(self, value: float) -> str:
        has = self.limits
        for name in ("hh", "h"):
            if name in has and value > has[name]:
                return name
        for name in ("ll", "l"):
            if name in has and value < has[name]:
                return name
        return ""

    def side(self, level: str) -> float:
        """The first limit of a level's side."""
        first, second_ = ("h", "hh") if level[0] == "h" else ("l", "ll")
        return self.limits.get(first, self.limits.get(second_, NAN))

    def width(self, level: str) -> float:
        if self.deadband is not None:
            return self.deadband
        span = self.side("h") - self.side("l")
        return 0.02 * (span if span > 0 else abs(self.side(level)))

    def say(self, status: str, at: int, level: str, value: float) -> None:
        limit = self.limits.get(level, self.side(level))
        told = {
            "limit": limit,
            "deadband": self.width(level),
            "seconds_beyond": float(second(at) - self.first),
        }
        self.lines.append(Line(status, "limit", at, self.first * NS, value, limit, told))

    def take(self, t: Taken) -> None:
        if t.status != "level":
            return
        self.last = t
        at, value = t.reading.time, t.reading.value
        level = self.level(value)
        if self.open:
            up = self.open[0] == "h"
            inside = self.side(self.open) - value if up else value - self.side(self.open)
            if inside >= self.width(self.open):
                self.say("cleared", at, self.open, value)
                self.open = self.waits = ""
            else:
                if level in ("hh", "ll") and level[0] == self.open[0] and len(self.open) == 1:
                    self.wait("graver", t)
                    if t.live and second(at) - self.first >= self.delay:
                        self.open, self.waits = level, ""
                        self.say("updated", at, level, value)
                else:
                    self.waits = ""
                return
        if not level:
            self.waits = ""
            return
        self.wait(level[0], t)
        if t.live and second(at) - self.first >= self.delay:
            self.open, self.waits = level, ""
            self.say("raised", at, level, value)

    def advance(self, now: int) -> None:
        if self.last is None or self.open or not self.waits:
            return
        level = self.level(self.last.reading.value)
        if level and self.fresh(now) and now > (self.first + self.delay) * NS:
            self.open, self.waits = level, ""
            self.say("raised", now, level, self.last.reading.value)


@dataclass
class Voltage(Point):
    """220 V +7 % / −10 % for an hour."""

    near: int = 0

    def band(self, x: float) -> str:
        if x > 220.0 * 1.07:
            return "voltage_high"
        return "voltage_low" if 22.0 <= x < 198.0 else ""

    def say(self, status: str, at: int, kind: str, x: float) -> None:
        limit = 198.0 if kind == "voltage_low" else 220.0 * 1.07
        told = {"nominal": 220.0, "limit": limit, "hours": (at - self.first * NS) / HOUR}
        self.lines.append(Line(status, kind, at, self.first * NS, x, 220.0, told))

    def take(self, t: Taken) -> None:
        if t.status != "level":
            return
        self.last = t
        at, x = t.reading.time, t.reading.value
        self.near += abs(x - 220) < 66
        if self.open:
            if not (x >= 200.2 or x < 22 if self.open == "voltage_low" else x <= 220 * 1.07 - 2.2):
                return
            self.say("cleared", at, self.open, x)
            self.open = ""
        kind = self.band(x)
        if not kind:
            self.waits = ""
            return
        self.wait(kind, t)
        if t.live and self.near >= 12 and second(at) - self.first >= 3600:
            self.open, self.waits = kind, ""
            self.say("raised", at, kind, x)

    def advance(self, now: int) -> None:
        if self.last is None or not self.waits or self.near < 12:
            return
        x = self.last.reading.value
        if self.band(x) == self.waits and self.fresh(now) and now > (self.first + 3600) * NS:
            self.open, self.waits = self.waits, ""
            self.say("raised", now, self.open, x)


def rates(
    taken: list[Taken], moves: int, warm_days: float, factor: float = 1.5, volts: bool = False
) -> list[Line]:
    """Changes beyond the 99.9 % quantile of those before, and half as much again."""
    lines: list[Line] = []
    up, down = math.exp(0.25 * 0.999), math.exp(-0.25 * (1 - 0.999))
    begun: int | None = None
    before = quantile = 0.0
    seen = calm = 0
    is_open = gone = False
    for t in taken:
        if t.status != "level":
            continue
        at, x = t.reading.time, t.reading.value
        if volts and abs(x) < abs(before) / 10:
            gone = True  # no supply: nothing of how the point moves
            continue
        last, before = before, x
        was_gone, gone = gone, False
        if begun is None:
            begun = second(at)
            continue
        if was_gone:
            continue
        if t.since <= 0 or is_stale(t):
            continue
        rate = single(abs(x - last) / (max(t.since, t.usual) / HOUR))
        line = single(factor * quantile)
        told = {"change_per_hour": rate, "line_per_hour": line, "usual_highest_per_hour": quantile}
        if is_open:
            calm = 0 if rate > line / 2 else calm + 1
            if calm == 3:
                is_open = False
                lines.append(Line("cleared", "rate", at, at, x, last, told))
            continue
        if rate == 0:
            continue
        judged = seen >= moves and second(at) - begun >= warm_days * 86400
        learnt = single(quantile * (up if rate > quantile else down))
        quantile = learnt if seen >= moves else max(quantile, rate)
        seen += 1
        if judged and t.live and rate > line:
            is_open, calm = True, 0
            lines.append(Line("raised", "rate", at, at - t.since, x, last, told))
    return lines


def _still(length: int, at: int, start: int, longest: float, step: float) -> dict[str, float]:
    hours = (at - start) / HOUR
    return {"samples": float(length), "hours": hours, "usual_longest_run": longest, "usual_step": step}


def frozen(
    taken: list[Taken], warm_days: float, samples: float = 6, times: float = 2, volts: bool = False
) -> list[Line]:
    """Runs without a move that are longer than any the point has had of itself."""
    lines: list[Line] = []
    begun: int | None = None
    run: list[float] = []
    step = longest = 0.0
    moves = 0
    is_open = False
    for t in taken:
        if t.status != "level":
            continue
        at, x = t.reading.time, t.reading.value
        if volts and run and abs(x) < abs(run[0]) / 10:
            continue
        if begun is None:
            begun, run = second(at), [x]
            continue
        still = abs(x - run[0]) <= 0.02 * step if run else False
        if is_stale(t):
            if not (is_open and still):
                run = [x]
                if is_open:
                    is_open, start, length = False, at, 1
                    lines.append(
                        Line("cleared", "frozen", at, at, x, NAN, _still(length, at, start, longest, step))
                    )
            continue
        if still:
            run.append(x)
            need = max(samples, times * longest)
            judged = moves >= 100 and second(at) - begun >= warm_days * 86400
            if not is_open and t.live and judged and len(run) >= need:
                is_open, length = True, len(run)
                start = at - (length - 1) * t.usual
                lines.append(
                    Line("raised", "frozen", at, start, x, NAN, _still(length, at, start, longest, step))
                )
            continue
        length = len(run)
        if is_open:
            start = at - length * t.usual
            lines.append(
                Line("cleared", "frozen", at, start, x, NAN, _still(length, at, start, longest, step))
            )
            longest = single(max(longest, min(length, 2 * max(longest, samples / times))))
            is_open = False
        else:
            longest = single(max(longest * max(1 - length * t.usual / (30 * DAY), 0.5), length))
            move = abs(x - run[0])
            step = single(step + (min(move, 4 * step) - step) / 64) if step > 0 else move
            moves += 1
        run = [x]
    return lines
