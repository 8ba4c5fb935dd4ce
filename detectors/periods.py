"""Meters that are read rarely: each read ends a period, which is held against those before it."""

from __future__ import annotations

import numpy as np

from detectors.base import CLEAR, RAISE
from detectors.batch import DAY, NS, Records, Row
from detectors.kernel import kernel
from detectors.level import HIGH, LOW, MOST_SCORE, over, say

PERIODS = 13  # remembered: a year of months and one
LONG = 20 * DAY  # a reading that covers this much is a period of its own
YEAR, YEAR_SLACK = 365 * 86400, 45 * 86400  # [s]

#: An ended period: its end [s since 1970], its length [s], what was used [unit]; length 0 = none.
PERIOD = np.dtype([("end", np.uint32), ("span", np.uint32), ("amount", np.float32)])


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
def judge_period(
    level: Records, ring: Records, notes: Records, row: int, j: int, t: int, amount: float, span: int,
    live: bool, floor: float, high: float, low: float, back: float, most: int, out: Records, n: int,
) -> int:  # fmt: skip
    """A period has ended at ``t``: compare its daily use with the one before and the same one last year."""
    s = level[j]
    days = span / DAY
    rate = amount / days
    if s.kept > 0:
        last = ring[j, (s.next + PERIODS - 1) % PERIODS]
        before = last.amount * 86400.0 / last.span
        year = last_year(s, ring, j, t)
        first = n
        if s.open and over(s, rate, s.base, s.base, back, most):
            kind = HIGH if s.open == 1 else LOW
            n = say(out, n, row, j, kind, CLEAR, t, s.start, 0.0, days, rate, s.base, s.base, year, np.nan)
            s.open = 0
        if s.open == 0 and live:
            # All comparisons that exist must fail.
            most_usual = max(before, year) if year == year else before
            least_usual = min(before, year) if year == year else before
            if rate > high * most_usual and rate - before > floor:
                s.open, s.held, s.start, s.base = 1, 0, t - span, before
                score = rate / (high * before) if before > 0 else MOST_SCORE
                n = say(
                    out, n, row, j, HIGH, RAISE, t, s.start, score, days, rate, s.base, s.base, year, np.nan
                )
            elif rate < low * least_usual and before - rate > floor:
                s.open, s.held, s.start, s.base = 2, 0, t - span, before
                score = low * before / rate if rate > 0 else MOST_SCORE
                n = say(
                    out, n, row, j, LOW, RAISE, t, s.start, score, days, rate, s.base, s.base, year, np.nan
                )
        for i in range(first, n):
            # Later rows of the same batch will turn the ring on: keep what this judgement saw.
            for k in range(PERIODS):
                notes[i, k] = ring[j, k]
    new = ring[j, s.next]
    new.end, new.span, new.amount = t // NS, span // NS, amount
    s.next = (s.next + 1) % PERIODS
    s.kept = min(s.kept + 1, PERIODS)
    return n
