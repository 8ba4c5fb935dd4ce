"""Who has fallen silent, the obvious way."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.naive import DAY, HOUR, NAN, NS, Line, Taken, single


@dataclass
class Heard:
    """One meter as far as it has been heard."""

    meter: str
    concentrator: str
    area: str
    stated: bool
    count: int = 0
    last: int = 0
    usual: int = 0
    live: bool = False
    quiet: float = 0.0  # longest silence since its last word, once it is notable [s]
    allow: float = 0.0
    state: str = ""  # "", gap, silent, held, holder
    start: int = 0
    told: int = 0  # when its flag was last heard of

    def need(self) -> int:
        return 6 * HOUR if self.usual <= 2 * HOUR else 3 * self.usual

    def lost(self, now: int) -> int:
        return (now - 1 - self.last) // self.usual * self.usual

    def due(self, now: int) -> bool:
        return self.lost(now) >= self.need() + int(self.allow * NS)

    def watched(self) -> bool:
        return self.live and self.usual > 0 and self.count >= (1 if self.stated else 3) and not self.rare()

    def rare(self) -> bool:
        return not self.stated and self.usual >= 20 * DAY

    def whole(self) -> tuple[str, str]:
        """What it falls silent with."""
        return ("concentrator", self.concentrator) if self.concentrator else ("area", self.area)

    def line(self, status: str, kind: str, at: int, members: float = NAN, silent: float = NAN) -> Line:
        told = {
            "hours_silent": (at - self.start) / HOUR,
            "usual_hours": self.usual / HOUR,
            "missing_readings": float(max((at - self.start - 1) // self.usual, 0)),
            "concentrator_members" if self.concentrator else "area_members": members,
            "members_silent": silent,
        }
        told = {name: cell for name, cell in told.items() if cell == cell}
        # What ends it may be older than the watermark that raised it.
        self.told = at if status == "raised" else max(at, self.told)
        return Line(status, kind, self.told, self.start, NAN, NAN, told, self.meter)

    def hear(self, t: Taken) -> list[Line]:
        """A reading."""
        if t.status == "late":
            self.count += 1
        newest = t.status in ("ok", "first", "suspect", "level") or (t.status == "correction" and t.since)
        if not newest:
            return []
        lines = []
        now = t.reading.time
        self.usual = t.usual
        if t.since and t.usual:
            if self.state and self.state != "held":
                kind = f"{self.whole()[0]}_silent" if self.state == "holder" else self.state
                lines.append(self.line("cleared", kind, now))
            elif not self.state and self.live and t.live and not self.rare() and self.due(now):
                self.start = self.last
                lines += [self.line(status, "gap", now) for status in ("raised", "cleared")]
            self.state = ""
            self.allow = single(self.allow - self.allow * min(t.since / (28 * DAY), 1))
            if t.since <= 1.5 * t.usual:
                self.allow = single(max(self.allow, 1.25 * self.quiet))
            elif not self.stated:
                self.allow = single(max(self.allow, t.since / NS))
            self.quiet = 0.0
        self.live = t.live if t.since else self.live or t.live
        self.last = now
        self.count += 1
        return lines


def look_around(meters: Sequence[Heard], now: int) -> list[Line]:
    """The watermark has entered a new hour: who is silent, and who together."""
    lines: list[Line] = []
    due: list[Heard] = []
    for m in meters:
        if not m.watched() or m.state not in ("", "gap") or m.lost(now) < m.need():
            continue
        m.quiet = single((now - m.last) / NS)
        if m.state == "gap" and m.lost(now) >= max(3 * DAY, 2 * m.need()):
            m.state = "silent"
            lines.append(m.line("updated", "silent", now))
        elif not m.state and m.due(now):
            due.append(m)
    for whole in sorted({m.whole() for m in meters}):
        lines += _together([m for m in meters if m.whole() == whole and m.watched()], due, now)
    for m in due:
        m.state = "silent" if m.lost(now) >= max(3 * DAY, 2 * m.need()) else "gap"
        m.start = m.last
        lines.append(m.line("raised", m.state, now))
    return lines


def _together(group: list[Heard], due: list[Heard], now: int) -> list[Line]:
    quiet = [m for m in group if m.state or m in due or 2 * m.lost(now) >= m.need()]
    holder = next((m for m in quiet if m.state == "holder"), None)
    fresh = [m for m in quiet if m in due or m.state == "held"]
    if holder is None and not fresh:
        return []
    since = holder.start if holder else max(m.last for m in fresh)
    part = [m for m in quiet if abs(m.last - since) <= 6 * HOUR]
    living = len(group) - sum(m.last < since - 6 * HOUR for m in quiet)
    down = len(part) >= 5 and len(part) >= 0.6 * living
    lines = []
    told = (float(living), float(len(part)))
    if not down:
        for m in quiet:
            if m.state == "held":
                m.state = ""
                due.append(m)
        if holder:
            holder.state = "gap"
            lines.append(holder.line("updated", "gap", now))
        return lines
    chosen = holder or min((m for m in fresh if m in part), key=lambda m: zlib.crc32(m.meter.encode()))
    for m in quiet:
        if m in part:
            if m in due:
                due.remove(m)
            if m is not chosen and m.state != "held":
                if m.state:
                    lines.append(m.line("cleared", m.state, now, *told))
                m.state, m.start = "held", m.last
        elif m.state == "held":
            m.state = ""
            due.append(m)
    if chosen is not holder:
        open_ = chosen.state in ("gap", "silent")
        if not open_:
            chosen.start = chosen.last
        chosen.state = "holder"
        lines.append(chosen.line("updated" if open_ else "raised", f"{chosen.whole()[0]}_silent", now, *told))
    return lines
