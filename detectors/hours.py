"""The last days of a meter by the hour of its local clock, and the runs of hours at rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY, HOUR, Row
from detectors.kernel import kernel

HOURS = 96  # hours remembered, a ring by local hour modulo 96; NaN = not known
HOLE = 6 * HOUR  # amounts that cover more than this say nothing of single hours

PAST = 0.5  # of the day's use
CRUMB = 1e-4  # differences of large register reads leave so much below zero

Ring = NDArray[np.float32]


@kernel
def reach(s: Row, ring: Ring, j: int, hour: int) -> None:
    """Move the newest hour on; hours between are not known until something covers them."""
    for h in range(max(s.hour + 1, hour - HOURS + 1), hour + 1):
        ring[j, h % HOURS] = np.nan
    s.hour = max(s.hour, hour)  # where summer time ends, the clock goes back


@kernel
def add(s: Row, ring: Ring, j: int, local: int, span: int, amount: float, after: int) -> None:
    """Spread an amount evenly over the local hours that it covers, those later than ``after`` only.

    local  end of the time covered, in the meter's zone [ns]
    span   its length [ns]
    after  newest hour that is closed [h since 1970]
    """
    begin, end = local - span, local
    hour = (local - 1) // HOUR
    oldest = max(after, s.hour - HOURS)
    while end > begin and hour > oldest:
        start = max(hour * HOUR, begin)
        share = np.float32(amount * (end - start) / span)
        if hour <= s.hour:
            cell = ring[j, hour % HOURS]
            ring[j, hour % HOURS] = share if cell != cell else cell + share
        end = start
        hour -= 1


@kernel
def remember(s: Row, day: int, amount: float) -> None:
    """Some of a day's use was marked as history, or retained: it is taken in, and raises nothing."""
    if day != s.past_day:
        s.past_day, s.past = day, 0.0
    s.past += amount


@kernel
def of_now(s: Row, day: int, mean: float) -> bool:
    """Whether most of a day's use, of so much an hour, came as it was used."""
    return bool(day != s.past_day or s.past < PAST * 24.0 * mean)


@kernel
def gave_back(ring: Ring, s: Row, j: int, begin: int) -> bool:
    """Whether a meter that counts both ways gave more than it took in any of 24 local hours."""
    for hour in range(begin, begin + 24):
        if s.hour - HOURS < hour <= s.hour and ring[j, hour % HOURS] < -CRUMB * (1.0 + s.slow):
            return True
    return False


@kernel
def hours_of(ring: Ring, s: Row, j: int, begin: int, out: NDArray[np.float64]) -> int:
    """The 24 local hours from ``begin`` on into ``out``; returns how many are known. [unit/h]"""
    known = 0
    for h in range(24):
        hour = begin + h
        cell = ring[j, hour % HOURS] if s.hour - HOURS < hour <= s.hour else np.float32(np.nan)
        # Differences of large register reads leave crumbs below zero.
        out[h] = max(cell, 0.0) if cell == cell else np.nan
        known += cell == cell
    return known


@kernel
def least(ring: Ring, s: Row, j: int, end: int, days: int) -> float:
    """Least of so many times 24 hours before the hour ``end``, NaN where fewer than 70 % are known. [unit/h]"""
    low, known = np.inf, 0
    for hour in range(end - days * 24, end):
        if s.hour - HOURS < hour <= s.hour:
            cell = ring[j, hour % HOURS]
            if cell == cell:
                known += 1
                low = min(low, cell)
    return max(low, 0.0) if known >= 0.7 * 24 * days else np.nan


@kernel
def local_day(watermark: int, offset: int) -> int:
    """Local day that an instant belongs to; midnight ends a day. [d since 1970]"""
    return int((watermark - 1 + offset * 1_000_000_000) // DAY)
