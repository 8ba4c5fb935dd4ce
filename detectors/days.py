"""Meters that are read often: use by local day, and the last week against the four weeks before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE
from detectors.batch import DAY, NS, Records, Row
from detectors.cohort import median_moves
from detectors.equal_days import equal_days, static_days
from detectors.kernel import kernel
from detectors.level import HIGH, LOW, SAME, ZERO, over, say
from detectors.standing import NOTHING, STILL

DAYS = 42  # days remembered, a ring by day modulo 42; NaN = nobody saw that day
WEEK, REFERENCE = 7, 28

Daily = NDArray[np.float32]


@kernel
def book(level: Records, daily: Daily, j: int, local: int, span: int, amount: float) -> None:
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
            # A day between two readings that neither covers is not known: it is no day without use.
            daily[j, d % DAYS] = 0.0 if d >= begin // DAY else np.nan
        s.day = newest
    _add(s, daily, j, local, span, amount, newest - DAYS)


@kernel
def take_back(level: Records, daily: Daily, j: int, local: int, span: int, amount: float) -> None:
    """What was booked up to ``local`` turned out to be wrong: it is gone from its days, judged or not."""
    s = level[j]
    if s.known > 0 and span > 0:
        _add(s, daily, j, local, span, -amount, s.day - DAYS)


@kernel
def speak(level: Records, j: int, local: int) -> None:
    """A reading has come, whatever it was worth: the days before it are complete."""
    level[j].spoken = max(level[j].spoken, local // DAY)


@kernel
def unsay(level: Records, daily: Daily, j: int) -> None:
    """The meter is exchanged: days up to now on which the old device stood still are not known."""
    s = level[j]
    first = s.day + 1
    oldest = max(s.known, s.day - DAYS + 1)
    while s.known > 0 and first > oldest and daily[j, (first - 1) % DAYS] <= NOTHING:
        first -= 1
    if s.day + 1 - first >= STILL:
        for d in range(first, s.day + 1):
            daily[j, d % DAYS] = np.nan


@kernel
def amend(level: Records, daily: Daily, j: int, local: int, span: int, amount: float) -> None:
    """Add what came late, or what a correction changes, to the days that are still open."""
    s = level[j]
    if s.known > 0 and (local - 1) // DAY <= s.day:
        _add(s, daily, j, local, span, amount, max(s.judged, s.day - DAYS))


@kernel
def _add(s: Row, daily: Daily, j: int, local: int, span: int, amount: float, after: int) -> None:
    begin, end = local - span, local
    day = (local - 1) // DAY
    while end > begin and day > after:
        start = max(day * DAY, begin)
        cell = daily[j, day % DAYS]
        share = np.float32(amount * (end - start) / span)
        daily[j, day % DAYS] = share if cell != cell else cell + share
        end = start
        day -= 1


@kernel
def _mean(daily: Daily, j: int, first: int, days: int) -> tuple[float, float, int]:
    """Mean and standard deviation of the known days from ``first`` on, and how many those are."""
    count = 0
    total = 0.0
    for d in range(first, first + days):
        x = daily[j, d % DAYS]
        if x == x:
            total += x
            count += 1
    if count == 0:
        return 0.0, 0.0, 0
    mean = total / count
    square = 0.0
    for d in range(first, first + days):
        x = daily[j, d % DAYS]
        if x == x:
            square += (x - mean) ** 2
    return mean, np.sqrt(square / count), count


@kernel
def _in_use(daily: Daily, j: int, first: int, days: int) -> tuple[float, float, int]:
    """As ``_mean``, of the days on which somebody was there: a week without use or more says nothing of a home."""
    kept = np.empty(days)
    count, still = 0, 0
    for d in range(first, first + days):
        x = daily[j, d % DAYS]
        if x != x:
            still = 0
            continue
        kept[count] = x
        count += 1
        still = still + 1 if x <= NOTHING else 0
        last = d == first + days - 1 or not daily[j, (d + 1) % DAYS] <= NOTHING
        if still >= WEEK and last:
            count -= still
    if count == 0:
        return 0.0, 0.0, 0
    part = kept[:count]
    return float(part.mean()), float(part.std()), count


@kernel
def _stopped(daily: Daily, j: int, day: int) -> int:
    """Known days without use that end with ``day``, of the last week."""
    days = 0
    while days < WEEK and daily[j, (day - days) % DAYS] <= NOTHING:
        days += 1
    return days


@kernel
def closing(level: Records, meters: Records, j: int, before: int, watermark: int) -> int:
    """The newest day to be judged now that the watermark has moved, −1 if none is."""
    m = meters[j]
    s = level[j]
    if s.known == 0:
        return -1
    today = (watermark - 1 + m.offset * NS) // DAY
    if (before - 1 + m.was * NS) // DAY == today:
        return -1
    # A day is complete once its meter has spoken of its end.
    day = min(today, s.spoken, s.day + 1) - 1
    return day if day > s.judged else -1


@kernel
def judge_days(
    level: Records, daily: Daily, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int,
    before: int, watermark: int, high: float, low: float, back: float, noise: float, peers: int, most: int,
    out: Records,
) -> int:  # fmt: skip
    """Judge every meter whose local day has closed, against its area where that is large enough."""
    due = np.empty(used, np.int64)
    week, base, spread, move = np.empty(used), np.empty(used), np.empty(used), np.empty(used)
    count = 0
    for j in range(used):
        day = closing(level, meters, j, before, watermark)
        if day < 0:
            continue
        s = level[j]
        s.judged = day
        hot[j // BLOCK] = 1
        first = day - WEEK - REFERENCE + 1
        if first < s.known or s.day - first >= DAYS:
            continue  # too young, or the days before have left the ring
        w, _, week_days = _mean(daily, j, first + REFERENCE, WEEK)
        r, deviation, reference_days = _mean(daily, j, first, REFERENCE)
        if 2 * week_days <= WEEK or (2 * reference_days <= REFERENCE and not s.open):
            continue
        if s.open:
            r = s.base
        floor = meters[j].floor
        due[count], week[count], base[count], spread[count] = j, w, r, deviation
        move[count] = np.log((w + floor + 1e-12) / (r + floor + 1e-12))
        count += 1
    shared = median_moves(due[:count], move, meters, peers)
    n = 0
    for i in range(count):
        n = _judge(
            level[due[i]], daily, due[i], meters[due[i]], pulse[due[i]].live == 1, week[i], base[i],
            spread[i], shared[i], watermark, high, low, back, noise, most, out, n,
        )  # fmt: skip
    return n


@kernel
def _judge(
    s: Row, daily: Daily, j: int, m: Row, live: bool, w: float, r: float, deviation: float, shared: float,
    watermark: int, high: float, low: float, back: float, noise: float, most: int, out: Records, n: int,
) -> int:  # fmt: skip
    """One meter's week ``w`` against its reference ``r``, both uses a day."""
    area = np.exp(shared)
    rise, fall = r * max(area, 1.0), r * min(area, 1.0)
    empty = m.contract != 0  # the registry knows that nobody is there: no use is as it should be
    still = _stopped(daily, j, s.judged)
    if s.open == SAME + 1:
        if empty or equal_days(daily, s, j, s.judged) < 2:
            n = say(out, n, -1, j, SAME, CLEAR, watermark, s.start, 0.0, WEEK, w, r, r, np.nan, area)
            s.open = 0
        return n
    if s.open:
        if over(s, w, rise, fall, back, most) or (empty and s.open != HIGH + 1):
            n = say(out, n, -1, j, s.open - 1, CLEAR, watermark, s.start, 0.0, WEEK, w, r, r, np.nan, area)
            s.open = 0
        elif s.open == LOW + 1 and still == WEEK:
            # Nothing at all is another matter than little.
            s.open = ZERO + 1
            score = low * fall / max(w + m.floor, 1e-12)
            n = say(out, n, -1, j, ZERO, UPDATE, watermark, s.start, score, WEEK, w, fall, r, np.nan, area)
        return n
    if not live:
        return n
    over_usual = 0.0 if empty else static_days(daily, s, j, s.judged, m.floor)
    if over_usual > 0:
        days = equal_days(daily, s, j, s.judged)
        s.open, s.held, s.base, s.start = SAME + 1, 0, r, (s.judged - days + 1) * DAY - m.offset * NS
        return say(out, n, -1, j, SAME, RAISE, watermark, s.start, over_usual, WEEK, w, r, r, np.nan, area)
    if w > high * rise + m.floor:
        usual, deviation, days = _in_use(daily, j, s.judged - WEEK - REFERENCE + 1, REFERENCE)
        rise = usual * max(area, 1.0)
        slack = noise * deviation / np.sqrt(float(WEEK))
        # One day is a spike: without its highest day, too, the week is beyond what would end it.
        lasts = _less_most(daily, j, s.judged - WEEK + 1) > back * rise
        if 2 * days > REFERENCE and w > high * rise + m.floor and w - rise > slack and lasts:
            score = w / (high * rise + m.floor)
            s.open, s.held, s.base, s.start = 1, 0, usual, _began(s, daily, j, m, high * rise, 1)
            return say(
                out, n, -1, j, HIGH, RAISE, watermark, s.start, score, WEEK, w, rise, usual, np.nan, area
            )
        return n
    slack = noise * deviation / np.sqrt(float(WEEK))
    if w + m.floor < low * fall and fall - w > slack and not empty:
        score = low * fall / max(w + m.floor, 1e-12)
        # Where the fall is that of the days without any use, and the others are as usual, it has stopped.
        kind = ZERO if still >= STILL and w * WEEK >= low * fall * (WEEK - still) else LOW
        s.open, s.held, s.base, s.start = kind + 1, 0, r, _began(s, daily, j, m, low * fall, -1)
        return say(out, n, -1, j, kind, RAISE, watermark, s.start, score, WEEK, w, fall, r, np.nan, area)
    return n


@kernel
def _less_most(daily: Daily, j: int, first: int) -> float:
    """Mean of the week from ``first`` on without its highest day. [unit/d]"""
    total, most, count = 0.0, -np.inf, 0
    for d in range(first, first + WEEK):
        x = daily[j, d % DAYS]
        if x == x:
            total, most, count = total + x, max(most, float(x)), count + 1
    return (total - most) / (count - 1) if count > 1 else 0.0


@kernel
def _began(s: Row, daily: Daily, j: int, m: Row, line: float, sign: int) -> int:
    """Start of the first day of the week that is beyond the line, by itself; else of the week. [ns UTC]"""
    begin: int = s.judged - WEEK + 1
    for d in range(begin, begin + WEEK):
        if sign * daily[j, d % DAYS] > sign * line:
            begin = d
            break
    start: int = begin * DAY - m.offset * NS
    return start
