"""The high/low check, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from statistics import fmean, median, pstdev

import numpy as np

from tests.naive import DAY, HOUR, NAN, NS, Line, Taken, local, single


@dataclass
class Episode:
    """An open high or low."""

    kind: str
    start: int
    base: float
    held: int = 0


def usual_now(line: Line) -> Line:
    """The end of an episode whose use has not come back: it has lasted for long enough."""
    return replace(line, evidence={**line.evidence, "new_habit": True})


#: a, b of ln(false flags per 1,000 periods) = a − b · weight, and the weight where it is 2.2
RATES = {"high": (4.03, 1.11), "low": (3.50, 0.81)}
LINES = {side: (a - math.log(2.2)) / b for side, (a, b) in RATES.items()}


def in_wave(end: float, span: float) -> tuple[float, float]:
    """The year's cosine and sine, in the mean of the seconds of a period: by their integrals."""
    turn = 2 * math.pi / (365.25 * 86400)
    first, last = turn * (end - span), turn * end
    cosine, sine = math.sin(last) - math.sin(first), math.cos(first) - math.cos(last)
    return cosine / (turn * span), sine / (turn * span)


class Season:
    """A year's wave through the logarithms of periods, if there is one: Bayesian regression, mean apart."""

    def __init__(self, past: Sequence[tuple[int, int, float]], size: float) -> None:
        y = np.array([math.log(max(use, 0) + size) for _, _, use in past])
        x = np.array([in_wave(end, span) for end, span, _ in past])
        self.size = size
        y, x = y - y.mean(), x - x.mean(axis=0)
        covariance = np.eye(len(y)) + 8 * x @ x.T  # of the numbers, in variances of what the wave leaves
        left = float(y @ np.linalg.solve(covariance, y))
        factor = ((0.75 + left) / (0.75 + float(y @ y))) ** (-(len(y) + 2) / 2) / math.sqrt(
            float(np.linalg.det(covariance))
        )
        belief = 0.03 * factor / (1 + 0.03 * factor)
        self.known = belief > 0.5
        self.wave = belief * 8 * x.T @ np.linalg.solve(covariance, y)

    def at(self, end: float, span: float) -> float:
        return float(self.wave @ np.array(in_wave(end, span)))

    def move(self, use: float, by: float) -> float:
        return (max(use, 0) + self.size) * math.exp(by) - self.size

    def early(self, end: float, span: float) -> float:
        """What ten days make, by the slope in the middle."""
        cosine, sine = in_wave(end, span)
        return float(self.wave @ np.array([-sine, cosine])) * 2 * math.pi * 10 / 365.25


def weights(past: Sequence[float], rate: float, size: float, early: float = 0.0) -> dict[str, float]:
    """How far a use a day lies beyond those of the past (newest first), in spreads."""
    logs = [math.log(max(use, 0) + size) for use in past]
    now = math.log(max(rate, 0) + size)
    squares = sum((x - fmean(logs)) ** 2 for x in logs)
    spread = math.sqrt((3 * 0.5**2 + squares) / (3 + len(logs)) + early**2)
    return {
        "high": (now - 0.7 * median(logs[:3]) - 0.3 * max(logs)) / spread,
        "low": (0.5 * median(logs[:6]) + 0.5 * min(logs) - now) / spread,
    }


def covers(t: Taken, past: Sequence[tuple[int, int, float]], usual: float) -> int:
    """The length of a period: of a bill that does not say, its meter's usual one where that fits better."""
    bill = t.reading.kind == "interval" and t.reading.period == 0
    if not bill or len(past) < 3 or t.usage <= 0 or usual <= 0:
        return t.span
    other = max(int(median([new[0] - old[0] for old, new in pairwise(past)])), 1) * NS
    odd = {span: abs(math.log(t.usage * DAY / span / usual)) for span in (t.span, other)}
    return other if odd[other] < odd[t.span] else t.span


def is_period(t: Taken) -> bool:
    """What covers 20 days and more; 8 where that is usual."""
    return t.span >= 20 * DAY or min(t.span, t.usual) >= 8 * DAY


def periods(taken: Iterable[Taken], floor: float) -> list[Line]:
    """Reads that cover 20 days and more: each against the twelve or thirteen before."""
    lines: list[Line] = []
    past: list[tuple[int, int, float]] = []  # (end, span, use a day), whole seconds as they are kept
    episode: Episode | None = None
    for t in taken:
        while t.swapped and past and past[-1][2] <= 0:
            past.pop()  # the device that is gone stood still
        if t.status != "ok" or not is_period(t) or t.usual <= 2 * HOUR:
            continue
        at, span = t.reading.time, t.span
        if past:
            rates = [use for _, _, use in reversed(past)]
            span = covers(t, past, median(rates[:6]))
            days = span / DAY
            rate = t.usage / days
            ended = [
                (abs(at // NS - end - 365 * 86400), -i, use) for i, (end, _, use) in enumerate(past[:-1])
            ]
            year = min(ended)[2] if ended and min(ended)[0] < 45 * 86400 else NAN
            told = {"billed_amount": t.usage, "billed_days": days, "use_a_day": rate}
            if not math.isnan(year):
                told["use_a_day_last_year"] = year
            known = sum(length for _, length, _ in past)
            total = sum(max(use, 0) * length for _, length, use in past)
            size = (2 * floor if floor > 0 else 0.01 * total / known) + 1e-12
            whole = [one for one in past if episode is None or one[0] <= episode.start // NS]
            season = None if math.isnan(year) or len(whole) < 2 else Season(whole, size)
            early, since = 0.0, 0.0
            if season and season.known:
                now = season.at(at // NS, span // NS)
                rates = [season.move(use, now - season.at(end, long)) for end, long, use in reversed(past)]
                early = season.early(at // NS, span // NS)
                told["season"] = math.exp(now)
                if episode is not None:
                    since = now - season.at(episode.start / NS + span // NS, span // NS)
            new, steady = median(rates[:3]), median(rates[:6])
            weight = {}
            if known >= 150 * 86400 or len(past) == 13:
                weight = weights(rates, rate, size, early)

            def line(status: str, kind: str, start: int, base: float) -> Line:
                side = "high" if kind == "high_usage" else "low"
                more = {**told, "use_a_day_before": base}  # noqa: B023 – used in its own turn
                if weight:  # noqa: B023
                    a, b = RATES[side]
                    more["weight"], more["threshold"] = weight[side], LINES[side]  # noqa: B023
                    more["false_per_1000_days"] = math.exp(a - b * weight[side]) / days  # noqa: B023
                return Line(status, kind, at, start, t.usage, base * days, more)  # noqa: B023

            held = 0.0
            if episode is not None:
                episode.held += 1
                held = max(season.move(episode.base, since), 0.0) if season and since else episode.base
                calm = rate <= 1.5 * held if episode.kind == "high_usage" else rate >= held / 1.5
                if calm or episode.held == 3:
                    over = line("cleared", episode.kind, episode.start, held)
                    replaced = episode.kind == "low_usage" and t.usage <= 0
                    lines.append(over if calm or replaced else usual_now(over))
                    episode = None
            others = [] if math.isnan(year) else [year]
            kind, base = "", steady
            if not weight or not t.live or (t.true_up and t.reading.kind == "interval"):
                pass
            elif weight["high"] > LINES["high"] and rate > 2 * max([new, *others]) and rate - new > floor:
                kind, base = "high_usage", new
            elif (
                weight["low"] > LINES["low"] and rate < 0.5 * min([steady, *others]) and steady - rate > floor
            ):
                kind = "low_usage" if t.usage > 0 else "zero_usage"
            if episode is not None and episode.kind == "low_usage" and kind == "zero_usage":
                lines.append(line("cleared", "low_usage", episode.start, held))
                episode = None
            if kind and episode is None:
                episode = Episode(kind, at - span, base)
                lines.append(line("raised", kind, at - span, base))
        seconds = span // NS
        past = [*past[-12:], (at // NS, seconds, single(t.usage) * 86400 / seconds)]
    return lines


class Days:
    """One meter's use by local day; judged by ``judge_days`` when the watermark enters a new day."""

    def __init__(self, meter: str, zone: str, floor: float, cohort: tuple[str, ...]) -> None:
        self.meter, self.zone, self.floor, self.cohort = meter, zone, floor, cohort
        self.use: dict[int, float] = {}
        self.first: int | None = None  # first whole day
        self.newest = 0  # newest day that an amount reached
        self.judged = 0
        self.spoken = 0
        self.live = False
        self.episode: Episode | None = None
        self.amounts: list[float] = []  # of readings in a row that told the same

    def take(self, t: Taken) -> None:
        if t.status in ("ok", "first", "suspect", "level"):
            self.live = t.live
        if t.swapped and self.first is not None:
            still = self.newest
            while still >= self.first and self.use.get(still, NAN) <= 1e-9:
                still -= 1
            if self.newest - still >= 3:
                for d in range(still + 1, self.newest + 1):
                    del self.use[d]
        if t.status in ("ok", "first", "suspect"):
            self.spoken = max(self.spoken, t.reading.local // DAY)
        if t.span <= 0 or is_period(t) or t.usual <= 2 * HOUR or not math.isfinite(t.usage):
            return  # what is read every two hours is judged by its hours
        end = t.reading.local
        begin = end - t.span
        day = (end - 1) // DAY
        if t.status == "ok":
            if self.first is not None and t.back and t.span > t.since:
                self._add(begin, end - t.since, -t.back, t.span - t.since, -1)
            if self.first is None:
                self.first = -(-begin // DAY)
                self.newest = self.first - 1
                self.judged = day
            for d in range(max(begin // DAY, self.newest + 1), day + 1):
                self.use.setdefault(d, 0.0)
            self.newest = max(self.newest, day)
            self._add(begin, end, t.usage, t.span, -1)
            sure = not t.reading.guess and t.back == 0 and t.span <= 1.5 * DAY
            if not (sure and self.amounts and near(t.usage, self.amounts[-1])):
                self.amounts = []
            self.amounts += [t.usage] * sure
        elif t.status in ("late", "correction") and self.first is not None and day <= self.newest:
            self._add(begin, end, t.usage, t.span, self.judged)

    def _add(self, begin: int, end: int, amount: float, span: int, after: int) -> None:
        for d in range(begin // DAY, (end - 1) // DAY + 1):
            if d > after:
                inside = min(end, (d + 1) * DAY) - max(begin, d * DAY)
                self.use[d] = single(self.use.get(d, 0.0) + single(amount * inside / span))


def near(x: float, y: float) -> bool:
    return abs(x - y) <= 1e-5 * x


def alike(m: Days, day: int) -> list[float]:
    """Days in a row up to this one that are like it, and no more than readings."""
    known = [m.use[d] for d in range(day, day - 35, -1) if d in m.use]
    if day not in m.use:
        return []
    run = list(takewhile(lambda use: near(known[0], use), known))
    return run[: max(len(m.amounts), 1)]


def static(m: Days, day: int) -> int:
    """How many days of the same amount end with this one, where they are more than this meter knows."""
    run = alike(m, day)
    rest = [m.use[d] for d in range(day, day - 35, -1) if d in m.use][len(run) :]
    if len(run) < 7 or not run[0] > m.floor or len(rest) < 14:
        return 0
    lengths = [1]
    for new, old in pairwise(rest):
        lengths.append(lengths[-1] + 1 if old > 1e-5 and abs(old - new) <= 1e-5 * old else 1)
    gaps = [b - a for a, b in pairwise(sorted(rest)) if b - a > 1e-5 * fmean(rest)]
    moves = bool(gaps) and pstdev(rest) >= 10 * min(gaps)
    return len(run) if moves and run[0] >= fmean(rest) / 4 and len(run) >= 3 * max(lengths) else 0


def judge_days(meters: Sequence[Days], before: int, watermark: int) -> list[Line]:
    """The watermark has moved: judge the meters whose local day has closed, with their cohorts."""
    due: list[tuple[Days, int, float, float, float, float]] = []
    for m in meters:
        today = local(m.zone, watermark - 1) // DAY
        if m.first is None or local(m.zone, before - 1) // DAY == today:
            continue
        day = min(today - 1, m.spoken - 1, m.newest)
        if day <= m.judged:
            continue
        m.judged = day
        if day - 34 < m.first:
            continue
        week = [m.use[d] for d in range(day - 6, day + 1) if d in m.use]
        reference = [m.use[d] for d in range(day - 34, day - 6) if d in m.use]
        if len(week) < 4 or (len(reference) < 15 and not m.episode):
            continue
        base = m.episode.base if m.episode else fmean(reference)
        move = math.log((fmean(week) + m.floor + 1e-12) / (base + m.floor + 1e-12))
        due.append((m, day, fmean(week), base, pstdev(reference or [0]), move))
    lines = []
    for m, day, now, base, spread, _ in due:
        peers = [move for other, *_, move in due if other.cohort == m.cohort]
        area = math.exp(median(peers)) if len(peers) > 8 else 1.0
        line = _judge(m, day, now, base, spread, area, watermark)
        if line:
            lines.append(line)
    return sorted(lines, key=lambda line: line.meter)


def in_use(m: Days, day: int) -> list[float]:
    """The reference without its weeks in which nobody used anything."""
    runs: list[list[float]] = [[]]
    for d in range(day - 34, day - 6):
        use = m.use.get(d, NAN)
        if math.isnan(use) or use > 1e-9 or (runs[-1] and runs[-1][0] > 1e-9):
            runs.append([])
        if not math.isnan(use):
            runs[-1].append(use)
    return [use for run in runs for use in run if len(run) < 7 or run[0] > 1e-9]


def _judge(
    m: Days, day: int, now: float, base: float, spread: float, area: float, watermark: int
) -> Line | None:
    rise, fall = base * max(area, 1), base * min(area, 1)
    told = {
        "billed_amount": 7 * now, "billed_days": 7.0, "use_a_day": now, "use_a_day_before": base, "area_move": area,
    }  # fmt: skip
    week = range(day - 6, day + 1)
    still = 0
    while still < 7 and m.use.get(day - still, NAN) <= 1e-9:
        still += 1
    # Midnight by the offset from UTC that holds when it is said.
    offset = local(m.zone, watermark - 1) - (watermark - 1)
    if m.episode and m.episode.kind == "stuck":
        if len(alike(m, day)) > 1:
            return None
        start, m.episode = m.episode.start, None
        return Line("cleared", "stuck", watermark, start, 7 * now, 7 * base, told, m.meter)
    if m.episode:
        e = m.episode
        e.held += 1
        calm = now <= 1.5 * rise if e.kind == "high_usage" else now >= fall / 1.5
        if not calm and e.held < 56:
            if e.kind == "low_usage" and still == 7:
                e.kind = "zero_usage"
                return Line("updated", e.kind, watermark, e.start, 7 * now, 7 * fall, told, m.meter)
            return None
        m.episode = None
        over = Line("cleared", e.kind, watermark, e.start, 7 * now, 7 * base, told, m.meter)
        return over if calm else usual_now(over)
    if not m.live:
        return None
    if static(m, day):
        start = (day - static(m, day) + 1) * DAY - offset
        m.episode = Episode("stuck", start, base)
        return Line("raised", "stuck", watermark, start, 7 * now, 7 * base, told, m.meter)
    if now > 2 * rise + m.floor:
        days = in_use(m, day)
        if len(days) < 15:
            return None
        base, spread = fmean(days), pstdev(days)
        rise = base * max(area, 1)
        known = sorted(m.use[d] for d in week if d in m.use)
        if not (now > 2 * rise + m.floor and now - rise > 4 * spread / math.sqrt(7)):
            return None
        if not fmean(known[:-1]) > 1.5 * rise:
            return None
        told["use_a_day_before"] = base
        kind, expected = "high_usage", rise
        begin = next((d for d in week if m.use.get(d, NAN) > 2 * rise), week[0])
    elif now + m.floor < 0.5 * fall and fall - now > 4 * spread / math.sqrt(7):
        stopped = still >= 3 and now * 7 >= 0.5 * fall * (7 - still)
        kind, expected = "zero_usage" if stopped else "low_usage", fall
        begin = next((d for d in week if m.use.get(d, NAN) < 0.5 * fall), week[0])
    else:
        return None
    start = begin * DAY - offset
    m.episode = Episode(kind, start, base)
    return Line("raised", kind, watermark, start, 7 * now, 7 * expected, told, m.meter)
