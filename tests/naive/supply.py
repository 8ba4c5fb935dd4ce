"""Interruptions, and transformers that fall silent, the obvious way."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.naive import DAY, NAN, NS, Line, Taken, single


@dataclass
class Supply:
    """One voltage point."""

    meter: str
    line: str
    last: Taken | None = None
    near: int = 0
    gone: int | None = None  # second since which there is no voltage
    open: str = ""
    told: bool = False  # by the device itself


@dataclass
class Interruptions:
    """All points of a partition, and the outages of their lines."""

    points: dict[str, Supply]
    lines: list[Line] = field(default_factory=list)
    outages: dict[str, list[int]] = field(default_factory=dict)

    def take(self, meter: str, t: Taken) -> None:
        p = self.points[meter]
        at, x, now = t.reading.time, t.reading.value, t.reading.time // NS
        measures = (t.status == "level" and x >= 110) or (t.status == "ok" and t.usage > 0)
        if t.live and "outage" in t.reading.events:
            p.gone = now if p.gone is None and not p.open else p.gone
            p.told = True
        elif t.live and ("restored" in t.reading.events or (p.told and measures)):
            if not p.open and p.told and p.gone is not None and now - p.gone > 60:
                self.begin(p, at, NAN)
            if p.open:
                self.say(p, "cleared", at, NAN, NAN)
            p.open, p.gone, p.told = "", None, False
        if t.status == "level":
            p.last = t
        if t.status != "level" or p.told:
            return
        p.near += abs(x - 220) < 66
        if x < 22:
            if p.gone is None:
                p.gone = now
            if not p.open and t.live and p.near >= 12 and now - p.gone > 60:
                self.begin(p, t.reading.time, x)
        elif not p.open:
            p.gone = None
        elif x >= 110:
            self.say(p, "cleared", t.reading.time, x, NAN)
            p.open, p.gone = "", None

    def advance(self, now: int) -> None:
        due = []
        for p in self.points.values():
            t = p.last
            if p.told and p.gone is not None and not p.open:
                if now > (p.gone + 60) * NS:
                    due.append((p.gone, zlib.crc32(p.meter.encode()), p, NAN))
                continue
            if t is None or p.gone is None or p.open or p.near < 12 or t.reading.value >= 22:
                continue
            proven = (p.gone + 60) * NS
            if t.live and t.usual > 0 and proven < t.reading.time + 3 * t.usual and now > proven:
                due.append((p.gone, zlib.crc32(p.meter.encode()), p, t.reading.value))
        for _, _, p, x in sorted(due, key=lambda one: one[:2]):
            self.begin(p, now, x)

    def begin(self, p: Supply, at: int, x: float) -> None:
        assert p.gone is not None
        key = p.line or f"only {p.meter}"
        known = self.outages.setdefault(key, [])
        out = any(q.open for q in self.points.values() if q is not p and p.line and q.line == p.line)
        new = not out and all(abs(p.gone - other) > 900 for other in known[-3:])
        if new:
            known.append(p.gone)
            known.sort()
        count = sum(known[-1] - other < 365 * 86400 for other in known[-3:])
        p.open = "repeated_outage" if new and count >= 2 else "outage"
        self.say(p, "raised", at, x, float(count))

    def say(self, p: Supply, status: str, at: int, x: float, count: float) -> None:
        assert p.gone is not None
        told = {"minutes_without": (at - p.gone * NS) / (60 * NS), "window_days": 365.0}
        if count == count:
            told["outages_of_line"] = count
        self.lines.append(Line(status, p.open, at, p.gone * NS, x, 220.0 if x == x else NAN, told, p.meter))


@dataclass
class Heard:
    """One meter of a transformer."""

    meter: str
    transformer: str
    last: int = 0
    usual: int = 0
    count: int = 0
    live: bool = False

    def take(self, t: Taken) -> None:
        if t.status not in ("duplicate", "late", "correction", "bad", "ahead"):
            self.last, self.usual, self.live = t.reading.time, t.usual, t.live
            self.count += 1


@dataclass
class Transformers:
    """All transformers of a partition."""

    meters: Sequence[Heard]
    lines: list[Line] = field(default_factory=list)
    leader: dict[str, Heard] = field(default_factory=dict)
    usual: dict[str, float] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)

    def advance(self, now: int, warm: int) -> None:
        heard = [m for m in self.meters if m.count >= 2]
        counts = {}
        everybody = [0, 0]
        for name in sorted({m.transformer for m in heard}):
            reference = self.since.get(name, now)
            living = [
                m
                for m in heard
                if m.transformer == name
                and m.live
                and m.usual > 0
                and reference - m.last <= max(7 * DAY, 6 * m.usual)
            ]
            silent = [m for m in living if now - m.last > max(3 * m.usual, 900 * NS)]
            counts[name] = (living, silent)
            everybody[0] += len(living)
            everybody[1] += len(silent)
        groups = sum(len(living) >= 3 for name, (living, _) in counts.items() if name)
        feed = groups > 1 and everybody[1] >= 0.9 * everybody[0]
        for name, (living, silent) in counts.items():
            if not name or len(living) < 3:
                continue
            if name not in self.leader:
                mine = [m for m in heard if m.transformer == name]
                self.leader[name] = min(mine, key=lambda m: zlib.crc32(m.meter.encode()))
            share = len(silent) / len(living)
            usual = self.usual.get(name, 0.0)
            told = {
                "silent_meters": float(len(silent)), "living_meters": float(len(living)), "silent_share": share,
                "usual_silent_share": usual,
            }  # fmt: skip
            if name in self.since:
                if share <= 0.3:
                    self.say(name, "cleared", now, len(silent), told)
                    del self.since[name]
            elif share >= 0.6 and self.looks.get(name, 0) >= warm and usual <= 0.3 and not feed:
                self.since[name] = max(m.last for m in silent) // NS * NS
                self.say(name, "raised", now, len(silent), told)
            else:
                if not feed:
                    self.usual[name] = max(single(share), single(usual * single(1 - 1 / 168)))
                self.looks[name] = self.looks.get(name, 0) + 1

    def say(self, name: str, status: str, now: int, silent: int, told: dict[str, float]) -> None:
        start = self.since[name]
        meter = self.leader[name].meter
        self.lines.append(Line(status, "transformer_outage", now, start, float(silent), NAN, told, meter))
