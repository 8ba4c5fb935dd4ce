"""Meters that are read rarely: each read ends a period, which is held against all those remembered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE
from detectors.batch import DAY, NS, Records, Row
from detectors.kernel import kernel
from detectors.level import HIGH, LOW, ZERO, over, say
from detectors.season import SURE, drift, season, wave

PERIODS = 13  # remembered: a year of months and one, two years of two months
LONG = 20 * DAY  # a reading that covers this much is a period of its own
RARE = (
    8 * DAY
)  # … and so is this much where it is usual: less often than weekly, a week has no days of its own
YEAR, YEAR_SLACK = 365 * 86400, 45 * 86400  # [s]
MATURE = 150 * 86400  # less history than this says nothing of a meter [s]

NEW, STEADY = 3, 6  # periods whose median is usual: few, to follow a rise; many, to sit out a fall
TO_MOST, TO_LEAST = 0.3, 0.5  # how far the line is drawn from there to the highest, the lowest of all
SPREAD, PRIOR = (
    0.5,
    3.0,
)  # of ln(use a day) between the periods of a meter, and the periods that it counts for
SMALL = 2.0  # floors: added to a use a day before its logarithm is taken

#: ln(false flags per 1,000 periods) = a − b · weight, high and low (``python -m benchmarks.fit_bills``).
RATES = ((4.03, 1.11), (3.50, 0.81))

#: An ended period: its end [s since 1970], its length [s], what was used [unit]; length 0 = none.
PERIOD = np.dtype([("end", np.uint32), ("span", np.uint32), ("amount", np.float32)])

F8 = NDArray[np.float64]


@kernel
def is_period(span: int, usual: int) -> bool:
    """Whether an amount over ``span`` is judged as a period, of a meter that is usually read every ``usual``. [ns]"""
    return span >= LONG or (span >= RARE and usual >= RARE)


@kernel
def last_year(s: Row, ring: Records, j: int, t: int) -> float:
    """Use a day in the period that ended nearest to a year before ``t``, NaN if none did. [unit/d]"""
    found = np.nan
    nearest = YEAR_SLACK
    for k in range(1, s.kept):  # the newest is the one before, whatever its age
        p = ring[j, (s.next + PERIODS - 1 - k) % PERIODS]
        away = abs(t // NS - int(p.end) - YEAR)
        if away < nearest:
            nearest = away
            found = p.amount * 86400.0 / p.span
    return found


@kernel
def middle(values: F8, n: int) -> float:
    """Median of the first n numbers."""
    part = np.sort(values[:n])
    return float(0.5 * (part[(n - 1) // 2] + part[n // 2]))


@kernel
def length(s: Row, ring: Records, j: int, amount: float, span: int, usual: float) -> int:
    """What a bill covers whose sender did not say: ``span``, or the usual time between this meter's bills. [ns]

    Billing rounds shift: a bill a month after the last may well be of the usual two months. Of the two
    lengths the one is taken that makes the bill the more usual (``usual``: use a day).
    """
    if s.kept < 3 or amount <= 0 or usual <= 0:
        return span
    gaps = np.empty(PERIODS)
    for k in range(s.kept - 1):
        newer = ring[j, (s.next + PERIODS - 1 - k) % PERIODS]
        older = ring[j, (s.next + PERIODS - 2 - k) % PERIODS]
        gaps[k] = float(newer.end) - float(older.end)
    other = max(int(middle(gaps, s.kept - 1)), 1) * NS
    rate = amount * DAY / span
    another = amount * DAY / other
    return other if abs(np.log(another / usual)) < abs(np.log(rate / usual)) else span


@kernel
def forget_noughts(level: Records, ring: Records, j: int) -> bool:
    """The meter is exchanged: its newest periods without use say nothing; whether there were any."""
    s = level[j]
    some = False
    while s.kept > 0 and ring[j, (s.next + PERIODS - 1) % PERIODS].amount <= 0:
        s.next = (s.next + PERIODS - 1) % PERIODS
        s.kept -= 1
        gone = ring[j, s.next]
        gone.end, gone.span, gone.amount = 0, 0, 0.0
        some = True
    return some


@kernel
def to_season(
    s: Row, ring: Records, j: int, rates: F8, size: float, t: int, span: int
) -> tuple[float, float, float]:
    """Move the uses a day ``rates`` (newest first) from their time of year to that of the period up to ``t``.

    Returns what the season makes of the year's mean (NaN: the meter has none, and nothing is moved), what
    it makes by now of the use in the first period of the open episode, and what it may still be off by
    where it comes early or late. [-, -, ln]
    """
    n, whole = int(s.kept), 0
    logs, ends, spans = np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        cell = ring[j, (s.next + PERIODS - 1 - (n - 1 - k)) % PERIODS]  # oldest first
        logs[k] = np.log(max(rates[n - 1 - k], 0.0) + size)
        ends[k], spans[k] = float(cell.end), float(cell.span)
        # What an open episode covers says nothing of the season.
        whole += 1 if s.open == 0 or cell.end <= s.start // NS else 0
    if whole < 2:
        return np.nan, 1.0, 0.0
    p, q, belief = season(logs, ends, spans, whole, PRIOR * SPREAD * SPREAD, PRIOR)
    if belief <= SURE:
        return np.nan, 1.0, 0.0
    end, length = float(t // NS), float(span // NS)
    cosine, sine = wave(end, length)
    now = p * cosine + q * sine
    for k in range(n):
        cosine, sine = wave(ends[n - 1 - k], spans[n - 1 - k])
        rates[k] = (max(rates[k], 0.0) + size) * np.exp(now - p * cosine - q * sine) - size
    since = 1.0
    if s.open:
        cosine, sine = wave(s.start / NS + length, length)
        since = np.exp(now - p * cosine - q * sine)
    return np.exp(now), since, drift(p, q, end, length)


@kernel
def weigh_period(rates: F8, n: int, rate: float, size: float, early: float) -> tuple[float, float]:
    """How far ``rate`` lies beyond the ``n`` uses a day ``rates`` (newest first): upwards, downwards. [spreads]

    early  what the season does to use where it comes sooner or later than last year [ln]
    """
    logs = np.empty(PERIODS)
    total, most, least = 0.0, -np.inf, np.inf
    for k in range(n):
        logs[k] = np.log(max(rates[k], 0.0) + size)
        total += logs[k]
        most, least = max(most, logs[k]), min(least, logs[k])
    mean = total / n
    square = 0.0
    for k in range(n):
        square += (logs[k] - mean) ** 2
    spread = np.sqrt((PRIOR * SPREAD * SPREAD + square) / (PRIOR + n) + early * early)
    x = np.log(max(rate, 0.0) + size)
    up = x - (1.0 - TO_MOST) * middle(logs, min(n, NEW)) - TO_MOST * most
    down = (1.0 - TO_LEAST) * middle(logs, min(n, STEADY)) + TO_LEAST * least - x
    return up / spread, down / spread


@kernel
def false_flags(side: int, weight: float, span: int) -> float:
    """False flags per 1,000 meter-days at this weight, where a period lasts ``span`` ns."""
    a, b = RATES[side]
    return float(np.exp(a - b * weight) * DAY / span)


@kernel
def judge_period(
    level: Records, ring: Records, notes: Records, weights: F8, row: int, j: int, t: int, amount: float,
    span: int, unsure: bool, live: bool, empty: bool, floor: float, lines: F8, high: float, low: float, back: float,
    most: int, out: Records, n: int,
) -> int:  # fmt: skip
    """A period has ended at ``t``: weigh its daily use against all those remembered.

    unsure   the period's length was not stated with it
    empty    the registry knows that nobody is there: no use is as it should be
    lines    (2,) weights beyond which a period is high, low
    weights  (rows, 3) of the batch: its own are written there, and its season (``to_season``)
    """
    s = level[j]
    if s.kept > 0:
        rates = np.empty(PERIODS)
        known, total = np.int64(0), 0.0
        for k in range(s.kept):
            p = ring[j, (s.next + PERIODS - 1 - k) % PERIODS]
            rates[k] = p.amount * 86400.0 / p.span
            known += np.int64(p.span)
            total += max(p.amount, 0.0)
        steady = middle(rates, min(s.kept, STEADY))
        if unsure:
            span = length(s, ring, j, amount, span, steady)
        days = span / DAY
        rate = amount / days
        year = last_year(s, ring, j, t)
        # Where nobody knows what is little, a hundredth of the mean use is.
        size = (SMALL * floor if floor > 0 else 0.01 * total * 86400.0 / known) + 1e-12
        held, early = s.base, 0.0
        if year == year:
            # The season has been seen once: what was used counts as what it would have been at this time of year.
            weights[row, 2], since, early = to_season(s, ring, j, rates, size, t, span)
            if since != 1.0:
                held = max((max(held, 0.0) + size) * since - size, 0.0)
            steady = middle(rates, min(s.kept, STEADY))
        new = middle(rates, min(s.kept, NEW))
        first = n
        if s.open and (over(s, rate, held, held, back, most) or (empty and s.open != HIGH + 1)):
            n = say(out, n, row, j, s.open - 1, CLEAR, t, s.start, 0.0, days, rate, held, held, year, np.nan)
            s.open = 0
        if known >= MATURE or s.kept == PERIODS:
            up, down = weigh_period(rates, s.kept, rate, size, early)
            weights[row, 0], weights[row, 1] = up, down
            # All comparisons that exist must fail.
            most_usual = max(new, year) if year == year else new
            least_usual = min(steady, year) if year == year else steady
            may = live and s.open == 0
            # Nothing at all is another matter than little.
            stopped = live and s.open == LOW + 1 and amount <= 0
            if may and up > lines[HIGH] and rate > high * most_usual and rate - new > floor:
                s.open, s.held, s.start, s.base = HIGH + 1, 0, t - span, new
                score = -np.log10(max(false_flags(HIGH, up, span), 1e-300))
                n = say(out, n, row, j, HIGH, RAISE, t, s.start, score, days, rate, new, new, year, np.nan)
            elif (
                (may or stopped)
                and not empty
                and down > lines[LOW]
                and rate < low * least_usual
                and steady - rate > floor
            ):
                if stopped:
                    n = say(out, n, row, j, LOW, CLEAR, t, s.start, 0.0, days, rate, held, held, year, np.nan)
                kind = LOW if amount > 0 else ZERO
                s.open, s.held, s.start, s.base = kind + 1, 0, t - span, steady
                score = -np.log10(max(false_flags(LOW, down, span), 1e-300))
                n = say(
                    out, n, row, j, kind, RAISE, t, s.start, score, days, rate, steady, steady, year, np.nan
                )
        for i in range(first, n):
            # Later rows of the same batch will turn the ring on: keep what this judgement saw.
            for k in range(PERIODS):
                notes[i, k] = ring[j, k]
    new_one = ring[j, s.next]
    new_one.end, new_one.span, new_one.amount = t // NS, span // NS, amount
    s.next = (s.next + 1) % PERIODS
    s.kept = min(s.kept + 1, PERIODS)
    return n
