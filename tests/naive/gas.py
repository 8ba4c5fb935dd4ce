"""Gas that never stops, for 72 hours or for weeks, the obvious way: every run is a list of its flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.naive import DAY, HOUR, NS, Line, Taken, single


@dataclass
class Home:
    """One gas meter."""

    meter: str
    cohort: tuple[str, ...]
    start_flow: float
    first: int = 0
    since: int = 0
    rested: float = 0.0
    flows: list[float] = field(default_factory=list)
    kind: str = ""  # of the open flag
    last: Taken | None = None

    def heard(self, now: int) -> bool:
        """Whether its newest reading is live and still says something."""
        t = self.last
        return t is not None and t.live and t.usual > 0 and now <= t.reading.time + 3 * t.usual


@dataclass
class Gas:
    """All gas meters of a partition."""

    homes: Sequence[Home]
    warm_days: float
    long_days: float
    habit: float
    hours: float = 72.0
    together: float = 0.2
    lines: list[Line] = field(default_factory=list)

    def take(self, meter: str, t: Taken) -> None:
        home = next((one for one in self.homes if one.meter == meter), None)
        if home is None:
            return
        if t.live or t.since or t.status in ("first", "ok", "level"):
            home.last = t
        if t.status != "ok" or not 0 < t.span <= 2 * HOUR:
            return
        at = t.reading.time
        begin = max((at - t.span) // NS, 1)
        home.first = home.first or begin
        rate = t.usage / (t.span / HOUR)
        weight = min(t.span / (28 * DAY), 1)
        if rate <= home.start_flow:
            home.rested = single(home.rested + weight * (1 - home.rested))
            if home.kind:
                self.say(home, "cleared", at, rate)
            home.kind, home.since, home.flows = "", 0, []
            return
        if not home.since or (t.since > t.span + t.span // 2 and not home.kind):
            home.since, home.flows = begin, []
        home.flows.append(rate)
        if not home.kind:
            home.rested = single(home.rested - weight * home.rested)
        known = at // NS - home.first >= self.warm_days * 86400 and home.rested >= self.habit
        if t.live and known and not home.kind and (at // NS - home.since) / 3600 >= self.hours:
            home.kind = "continuous_flow"
            self.say(home, "raised", at, rate)

    def advance(self, now: int) -> None:
        second = now // NS
        for home in self.homes:
            long = home.since and second - home.since >= self.long_days * 86400
            known = second - home.first >= self.warm_days * 86400 and home.rested >= self.habit
            if not long or home.kind == "leak" or not known or not home.heard(now):
                continue
            peers = [one for one in self.homes if one.first and one.cohort == home.cohort and one.heard(now)]
            flowing = [one for one in peers if one.since and one.since <= second - self.long_days * 86400 / 2]
            if len(peers) > 4 and len(flowing) - 1 > self.together * (len(peers) - 1):
                continue
            status = "updated" if home.kind else "raised"
            home.kind = "leak"
            self.say(home, status, now, min(home.flows))

    def say(self, home: Home, status: str, at: int, rate: float) -> None:
        told = {
            "hours": (at - home.since * NS) / HOUR, "least_flow_per_hour": min(home.flows),
            "start_flow_per_hour": home.start_flow, "usual_quiet_share": home.rested,
        }  # fmt: skip
        start = home.since * NS
        self.lines.append(Line(status, home.kind, at, start, rate, home.start_flow, told, home.meter))
