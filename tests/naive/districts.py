"""The balance of districts and their nights, the obvious way: every amount spread over its minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.naive import DAY, HOUR, NAN, Line, Taken, single


@dataclass
class Usual:
    """A recursive centre and deviation, innovations cut at three σ."""

    centre: float = 0.0
    deviation: float = 0.0
    seen: int = 0

    def learn(self, x: float) -> None:
        if self.seen == 0:
            self.centre = single(x)
        else:
            gain = max(1 / (self.seen + 1), 1 / 28)
            off = x - self.centre
            if self.seen >= 5 and self.deviation > 0:
                most = 3 * 1.2533 * self.deviation
                off = min(max(off, -most), most)
            self.centre = single(self.centre + gain * off)
            self.deviation = single(self.deviation + gain * (abs(off) - self.deviation))
        self.seen += 1


@dataclass
class Member:
    """One meter of a district; ``offset`` is its zone's, which does not change here."""

    meter: str
    role: str  # "", inflow, outflow, storage
    flow: bool  # a flow meter, else it counts amounts
    offset: int = 0
    parts: list[tuple[int, int, float]] = field(default_factory=list)  # begin, end (local), amount
    held: list[tuple[int, float]] = field(default_factory=list)  # of a storage: local time, volume
    last: int = 0  # newest event time
    usual: int = 0
    count: int = 0
    live: bool = False

    def take(self, t: Taken) -> None:
        if t.status in ("ok", "first", "level", "suspect"):
            self.last, self.usual, self.live = t.reading.time, t.usual, t.live
            self.count += 1
        end = t.reading.local
        if self.role == "storage":
            if t.status == "level":
                self.held.append((end, t.reading.value))
        elif t.status == "ok" and t.span > 0:
            length = max(t.span, t.since)
            self.parts.append((end - length, end, (t.usage - t.back) * length / t.span))
        elif t.status == "level" and self.flow and self.role and t.since > 0:
            self.parts.append((end - t.since, end, t.reading.value * t.since / HOUR))

    def within(self, begin: int, end: int) -> float:
        return sum(
            amount * max(min(e, end) - max(b, begin), 0) / (e - b) for b, e, amount in self.parts if e > begin
        )

    def hours(self, begin: int, end: int) -> float:
        return sum(max(min(e, end) - max(b, begin), 0) for b, e, _ in self.parts) / HOUR

    def of_day(self, day: int) -> float:
        begin, end = day * DAY, (day + 1) * DAY
        if self.last + self.offset < end:
            return NAN
        if self.role == "storage":
            before = [volume for at, volume in self.held if at <= end]
            return before[-1] if before else NAN
        if not self.parts or self.parts[0][0] > begin:
            return NAN
        return self.within(begin, end)


@dataclass
class Balance:
    """One district."""

    members: Sequence[Member]
    leader: str
    energy: bool = False
    lines: list[Line] = field(default_factory=list)
    usual: Usual = field(default_factory=Usual)
    held: tuple[int, float] = (-1, NAN)
    open: bool = False
    start: int = 0

    def advance(self, before: int, now: int) -> None:
        offset = self.members[0].offset
        day = (now - 1 + offset - 2 * HOUR) // DAY
        if (before - 1 + offset - 2 * HOUR) // DAY != day:
            self.close(day - 1, now, offset)

    def close(self, day: int, now: int, offset: int) -> None:
        end = (day + 1) * DAY - offset
        amounts = {m.meter: m.of_day(day) for m in self.members}

        def total(role: str) -> float:
            return sum(amounts[m.meter] for m in self.members if m.role == role)

        daily = [
            m
            for m in self.members
            if not m.role and m.parts and 0 < m.usual <= 1.5 * DAY and m.last >= end - 3 * DAY
        ]
        covered = [amounts[m.meter] for m in daily if amounts[m.meter] == amounts[m.meter]]
        flow_in, flow_out, stored = total("inflow"), total("outflow"), total("storage")
        change = 0.0
        if any(m.role == "storage" for m in self.members):
            change = stored - self.held[1] if self.held[0] == day - 1 else NAN
        whole = flow_in + flow_out + stored
        self.held = (day, stored if whole == whole else NAN)
        lost = flow_in - flow_out - change - sum(covered)
        if lost != lost or not daily or len(covered) < 0.9 * len(daily) or flow_in <= 0:
            return
        x = lost / flow_in if self.energy else lost
        u = self.usual
        margin = max(3 * 1.2533 * u.deviation, 0.05 * (1 if self.energy else flow_in))
        beyond = x - u.centre
        high = self.energy and u.centre > 0.1
        if u.seen >= 14:
            if self.open:
                if abs(beyond) <= margin / 2 and not high:
                    self.open = False
                    self.say("cleared", now, x, lost, flow_in, flow_out, change, sum(covered), margin)
            elif (beyond if self.energy else abs(beyond)) > margin or high:
                self.open, self.start = True, day * DAY - offset
                self.say("raised", now, x, lost, flow_in, flow_out, change, sum(covered), margin)
        if u.seen < 14 or abs(beyond) <= margin:
            u.learn(x)

    def say(
        self, status: str, now: int, x: float, lost: float, flow_in: float, flow_out: float, change: float,
        metered: float, margin: float,
    ) -> None:  # fmt: skip
        u = self.usual
        per = 24.0 if next(m for m in self.members if m.meter == self.leader).flow else 1.0
        told = {"inflow": flow_in / per, "outflow": flow_out / per, "metered": metered / per}
        if self.energy:
            told |= {"loss_share": x, "usual_loss_share": u.centre, "loss_limit": 0.1}
        else:
            told |= {
                "storage_change": change / per, "margin": margin / per,
                "usual_deviation": 1.2533 * u.deviation / per,
            }  # fmt: skip
        usual = u.centre * flow_in if self.energy else u.centre
        kind = "line_loss" if self.energy else "balance"
        self.lines.append(Line(status, kind, now, self.start, lost / per, usual / per, told, self.leader))


@dataclass
class Night:
    """One district's nights."""

    members: Sequence[Member]
    leader: str
    lines: list[Line] = field(default_factory=list)
    usual: Usual = field(default_factory=Usual)
    run: int = 0
    open: bool = False
    start: int = 0

    def advance(self, before: int, now: int) -> None:
        offset = self.members[0].offset
        day = (now - 1 + offset - 6 * HOUR) // DAY
        if (before - 1 + offset - 6 * HOUR) // DAY == day:
            return
        begin, end = day * DAY + 2 * HOUR, day * DAY + 4 * HOUR
        net = 0.0
        for m in self.members:
            if m.role in ("inflow", "outflow"):
                fine = Member(m.meter, m.role, m.flow, parts=[p for p in m.parts if p[1] - p[0] <= 6 * HOUR])
                hours = fine.hours(begin, end)
                if hours < 1.5 or (fine.parts and (fine.parts[-1][1] - 1) // DAY != day):
                    return
                net += fine.within(begin, end) / hours * (1 if m.role == "inflow" else -1)
        u = self.usual
        margin = max(3 * 1.2533 * u.deviation, 0.1 * abs(u.centre))
        beyond = net - u.centre
        above = u.seen >= 28 and beyond > margin
        self.run = self.run + 1 if above else 0
        told = {
            "night_flow": net, "usual_night_flow": u.centre, "usual_deviation": 1.2533 * u.deviation,
            "margin": margin, "nights": float(self.run),
        }  # fmt: skip
        if self.open:
            if beyond <= margin / 2:
                self.open = False
                self.lines.append(
                    Line("cleared", "night_minimum", now, self.start, net, u.centre, told, self.leader)
                )
        elif above and self.run >= 3:
            self.open, self.start = True, (day - self.run + 1) * DAY - offset
            self.lines.append(
                Line("raised", "night_minimum", now, self.start, net, u.centre, told, self.leader)
            )
        if not above:
            u.learn(net)
