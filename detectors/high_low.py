"""The high/low check: average daily use against the meter's own past, over unequal periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, State, named
from detectors.batch import DAY, NS, OK, Batch, Records
from detectors.kernel import kernel

HIGH, LOW = 0, 1
BILLS = 13  # periods remembered of a meter that is read rarely: a year of months and one
DAYS = 42  # days remembered of a meter that is read often
WEEK, REFERENCE = 7, 28
LONG = 20 * DAY  # a reading that covers this much is a period of its own

BILL = np.dtype([("end", np.uint32), ("days", np.float32), ("amount", np.float32)])  # [s since 1970], [d], [unit]

LEVEL = np.dtype(
    [
        ("start", np.int64),  # of the open episode [ns]
        ("base", np.float64),  # use a day that it is held against, frozen when raised [unit/d]
        ("day", np.int32),  # newest local day that has any use, days since 1970
        ("judged", np.int32),  # newest complete day that has been judged
        ("known", np.int32),  # first local day
        ("kept", np.uint8),  # periods remembered
        ("next", np.uint8),  # place of the next period
        ("open", np.uint8),  # 0, 1 = high, 2 = low
        ("held", np.uint8),  # periods that the episode has lasted
    ],
    align=True,
)


@kernel
def _say(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float, observed: float,
    expected: float, e0: float, e1: float, e2: float, e3: float, e4: float,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, observed, expected
    f.e0, f.e1, f.e2, f.e3, f.e4 = e0, e1, e2, e3, e4
    return n + 1


@kernel
def _bill(
    level: Records, bills: Records, row: int, j: int, t: int, amount: float, days: float, live: bool, floor: float,
    high: float, low: float, back: float, most: int, out: Records, n: int,
) -> int:  # fmt: skip
    """A period has ended: compare its daily use with the one before and the same one last year."""
    s = level[j]
    rate = amount / days
    if s.kept > 0:
        last = bills[j, (s.next + BILLS - 1) % BILLS]
        before = last.amount / last.days
        begin = np.int64(last.end) * NS
        year = np.nan
        for k in range(1, s.kept):
            b = bills[j, (s.next + BILLS - 1 - k) % BILLS]
            if abs(t // NS - np.int64(b.end) - 365 * 86400) < 45 * 86400:
                year = b.amount / b.days
                break
        if s.open:
            s.held += 1
            calm = rate <= back * s.base if s.open == 1 else rate >= s.base / back
            if calm or s.held >= most:
                kind = HIGH if s.open == 1 else LOW
                n = _say(out, n, row, j, kind, CLEAR, t, s.start, 0.0, amount, s.base * days, amount, days, rate, s.base, year)
                s.open = 0
        if s.open == 0 and live:
            tall = rate > high * before and (not (year == year) or rate > high * year)
            small = rate < low * before and (not (year == year) or rate < low * year)
            if tall and (rate - before) > floor:
                s.open, s.held, s.start, s.base = 1, 0, begin, before
                score = rate / (high * before) if before > 0 else 10.0
                n = _say(out, n, row, j, HIGH, RAISE, t, begin, min(score, 10.0), amount, before * days, amount, days,
                         rate, before, year)  # fmt: skip
            elif small and (before - rate) > floor:
                s.open, s.held, s.start, s.base = 2, 0, begin, before
                score = low * before / rate if rate > 0 else 10.0
                n = _say(out, n, row, j, LOW, RAISE, t, begin, min(score, 10.0), amount, before * days, amount, days,
                         rate, before, year)  # fmt: skip
    new = bills[j, s.next]
    new.end, new.days, new.amount = t // NS, days, amount
    s.next = (s.next + 1) % BILLS
    if s.kept < BILLS:
        s.kept += 1
    return n


@kernel
def _spread(level: Records, daily: NDArray[np.float32], j: int, local: int, span: int, amount: float) -> None:
    """Add an amount to the local days that it covers, evenly over its time."""
    s = level[j]
    begin = local - span
    newest = (local - 1) // DAY
    if s.known == 0:
        s.known = begin // DAY + (1 if begin % DAY else 0)
        s.day = s.known - 1
        s.judged = newest
    if newest > s.day:
        for d in range(max(s.day + 1, newest - DAYS + 1), newest + 1):
            daily[j, d % DAYS] = 0.0
        s.day = newest
    day = newest
    end = local
    while end > begin and day > newest - DAYS:
        from_ = max(day * DAY, begin)
        daily[j, day % DAYS] += np.float32(amount * (end - from_) / span)
        end = from_
        day -= 1


@kernel
def _update(
    level: Records, bills: Records, daily: NDArray[np.float32], meters: Records, cold: NDArray[np.uint8],
    slot: NDArray[np.int64], time: NDArray[np.int64], local: NDArray[np.int64], usage: NDArray[np.float64],
    span: NDArray[np.int64], status: NDArray[np.uint8], live: NDArray[np.uint8],
    high: float, low: float, back: float, most: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or span[i] <= 0:
            continue
        j = slot[i]
        if span[i] >= LONG:
            cold[j // BLOCK] = 1
            n = _bill(level, bills, i, j, time[i], usage[i], span[i] / DAY, live[i] == 1, meters[j].floor,
                      high, low, back, most, out, n)  # fmt: skip
        else:
            _spread(level, daily, j, local[i], span[i], usage[i])
    return n


@kernel
def _advance(
    level: Records, daily: NDArray[np.float32], pulse: Records, meters: Records, hot: NDArray[np.uint8],
    used: int, before: int, watermark: int, high: float, low: float, back: float, noise: float, peers: int, most: int, out: Records,
) -> int:  # fmt: skip
    """Judge every meter whose local day has closed, against its area where that is large enough."""
    n = 0
    # Which meters have a newly complete day, and how far their week has moved.
    due = np.empty(used, np.int64)
    move = np.empty(used, np.float64)
    week = np.empty(used, np.float64)
    base = np.empty(used, np.float64)
    noise_of = np.empty(used, np.float64)
    count = 0
    for j in range(used):
        m = meters[j]
        if (before - 1 + m.offset * NS) // DAY == (watermark - 1 + m.offset * NS) // DAY and before > 0:
            continue
        s = level[j]
        if s.known == 0:
            continue
        closed = min((watermark - 1 + m.offset * NS) // DAY - 1, s.day)
        # A day is complete once its meter has spoken of its end.
        if (pulse[j].time + m.offset * NS) // DAY <= closed:
            closed = (pulse[j].time + m.offset * NS) // DAY - 1
        if closed <= s.judged or closed - s.known + 1 < WEEK + REFERENCE or s.day - closed + WEEK + REFERENCE > DAYS:
            if closed > s.judged:
                s.judged = closed
                hot[j // BLOCK] = 1
            continue
        s.judged = closed
        hot[j // BLOCK] = 1
        total = 0.0
        for d in range(closed - WEEK + 1, closed + 1):
            total += daily[j, d % DAYS]
        w = total / WEEK
        total = 0.0
        square = 0.0
        for d in range(closed - WEEK - REFERENCE + 1, closed - WEEK + 1):
            x = daily[j, d % DAYS]
            total += x
            square += x * x
        r = total / REFERENCE
        sd = np.sqrt(max(square / REFERENCE - r * r, 0.0))
        if s.open:
            r = s.base
        due[count] = j
        week[count] = w
        base[count] = r
        noise_of[count] = sd
        move[count] = np.log((w + m.floor + 1e-12) / (r + m.floor + 1e-12))
        count += 1
    if count == 0:
        return 0
    # The median move of each cohort (area, commodity, class, unit) that is large enough.
    key = np.empty(count, np.int64)
    for i in range(count):
        m = meters[due[i]]
        key[i] = np.int64(m.area) * 256 + m.cohort
    order = np.argsort(key, kind="mergesort")
    shared = np.zeros(count, np.float64)
    first = 0
    while first < count:
        last = first
        while last < count and key[order[last]] == key[order[first]]:
            last += 1
        if last - first > peers:
            middle = np.median(move[order[first:last]])
            for i in range(first, last):
                shared[order[i]] = middle
        first = last
    for i in range(count):
        j = due[i]
        s = level[j]
        floor = meters[j].floor
        w, r = week[i], base[i]
        rise = r * np.exp(max(shared[i], 0.0))
        fall = r * np.exp(min(shared[i], 0.0))
        slack = noise * noise_of[i] / np.sqrt(float(WEEK))
        day_end = (s.judged + 1) * DAY - meters[j].offset * NS
        if s.open:
            s.held += 1 if s.held < 255 else 0
            calm = w <= back * rise if s.open == 1 else w >= fall / back
            if calm or s.held >= most:
                kind = HIGH if s.open == 1 else LOW
                n = _say(out, n, -1, j, kind, CLEAR, watermark, s.start, 0.0, w * WEEK, r * WEEK, w * WEEK, WEEK, w, r,
                         np.exp(shared[i]))  # fmt: skip
                s.open = 0
        elif pulse[j].live:
            if w > high * rise + floor and w - rise > slack:
                start = day_end - WEEK * DAY
                for d in range(s.judged - WEEK + 1, s.judged + 1):
                    if daily[j, d % DAYS] > high * rise:
                        start = d * DAY - meters[j].offset * NS
                        break
                s.open, s.held, s.start, s.base = 1, 0, start, r
                n = _say(out, n, -1, j, HIGH, RAISE, watermark, start, min(w / (high * rise + floor), 10.0), w * WEEK,
                         rise * WEEK, w * WEEK, WEEK, w, r, np.exp(shared[i]))  # fmt: skip
            elif w + floor < low * fall and fall - w > slack:
                start = day_end - WEEK * DAY
                for d in range(s.judged - WEEK + 1, s.judged + 1):
                    if daily[j, d % DAYS] < low * fall:
                        start = d * DAY - meters[j].offset * NS
                        break
                s.open, s.held, s.start, s.base = 2, 0, start, r
                n = _say(out, n, -1, j, LOW, RAISE, watermark, start, min(low * fall / (w + floor), 10.0), w * WEEK,
                         fall * WEEK, w * WEEK, WEEK, w, r, np.exp(shared[i]))  # fmt: skip
    return n


@dataclass(frozen=True, slots=True)
class HighLow:
    """High/low check on average daily use (ADU).

    A meter that is read rarely (20 days and more between reads) is judged at each read: its
    ADU over the period that has ended against the period before and, where there is one, the
    same period last year; all that exist must fail [1]_. Periods may be of any length: the
    golden case is 176 m³ in 366 days, then 273 m³ in 61 days.

    A meter that is read more often is judged when the watermark closes a local day: its last
    7 days against the 28 before, divided by the median move of its cohort in the area where
    that has more than ``peers`` meters, since the weather is not an anomaly [2]_.

    high, low  ratios of ADU beyond which a meter is flagged. [-]
    back       ratio within which an episode is over. [-]
    noise      standard errors of a 7-day mean that a move must exceed. [-]
    peers      an area with no more meters than this is not used. [-]
    most_periods, most_days  after so long the new level is taken for normal. [-]
    Cost       measured by ``make bench`` on the packaged demo meters, in its table.

    .. [1] DETECTION §1 and §2, high/low row.
    .. [2] DETECTION §3, "The weather is not an anomaly".
    """

    high: float = 2.0
    low: float = 0.5
    back: float = 1.5
    noise: float = 4.0
    peers: int = 8
    most_periods: int = 3
    most_days: int = 56

    name = "high_low"
    version = 1
    kinds = ("high_usage", "low_usage")

    def __post_init__(self) -> None:
        if not (self.high > 1 > self.low > 0 and 1 <= self.back <= self.high):
            raise ValueError(
                f"need high > 1 > low > 0 and 1 <= back <= high, got {self.high}, {self.low} and {self.back}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Amount and days of the period, use a day now and before, and what it was compared with besides."""
        names = ("amount", "days", "use_a_day", "use_a_day_before", "last_year_or_area")
        return {"high_usage": names, "low_usage": names}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Episode and counters, the periods, the days."""
        return (
            Column("level", LEVEL),
            Column("bills", BILL, BILLS, cold=True),
            Column("daily", np.dtype(np.float32), DAYS),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts to days; judge a long period at its read."""
        b = batch
        found: int = _update(
            state.of(self.name, "level"), state.of(self.name, "bills"), state.of(self.name, "daily"), state.meters,
            state.cold, b.slot, b.time, b.local, b.usage, b.span, b.status, b.live,
            self.high, self.low, self.back, self.most_periods, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Judge the days that have closed."""
        found: int = _advance(
            state.of(self.name, "level"), state.of(self.name, "daily"), state.of("intervals", "pulse"), state.meters,
            state.hot, meters, before, watermark, self.high, self.low, self.back, self.noise, self.peers, self.most_days, out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared and, where periods are compared, the periods before this one, oldest first."""
        told = named(self.evidence, self.kinds[finding["kind"]], finding)
        if finding["row"] >= 0:
            ring = state.of(self.name, "bills")[finding["slot"]]
            past = sorted((int(b["end"]) * NS, float(b["days"]), float(b["amount"])) for b in ring if b["days"] > 0)
            told["periods"] = [
                {"start_ns": end - round(days * DAY), "end_ns": end, "days": days, "amount": amount}
                for end, days, amount in past
                if end < finding["at"]
            ]
        told["billed_amount"], told["billed_days"] = told.pop("amount"), told.pop("days")
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One period, or five weeks of days."""
        s = state.of(self.name, "level")[slots]
        ready: NDArray[np.bool_] = (s["kept"] >= 1) | (
            (s["known"] > 0) & (s["judged"] - s["known"] + 1 >= WEEK + REFERENCE)
        )
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(self)
