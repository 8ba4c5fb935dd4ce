"""A day ends: its hours become a line in the meter's book, and the habit learns from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import (
    DAYS,
    FIGURES,
    MEAN,
    PEAK1,
    PEAK6,
    PEAK6A,
    Book,
    blank,
    keep,
    levels,
    past,
)
from detectors.features import FEW, LEAD, REFERENCE, window_means
from detectors.holding import STILL
from detectors.hours import HOURS, Ring, hours_of
from detectors.kernel import kernel
from detectors.static_value import NOTHING

SLOW = 90.0  # days over which the slow mean forgets
FORGET = 0.99  # a day, of the longest runs that are remembered
PACE = (1.0 / 8.0, 1.0 / 4.0)  # of learning a working day's hours, and a day off's
STEP = 2.0  # most that one day may move an hour's usual use, before the pace [scale]
SPAN = LEAD + 24  # hours before and of the day

F8 = NDArray[np.float64]
Profile = NDArray[np.float32]  # (meters, 48): hours of a working day, then of a day off


@kernel
def day_off(day: int) -> int:
    """1 on Saturday and Sunday, else 0."""
    return 1 if (day + 3) % 7 >= 5 else 0  # 1970 began on a Thursday


@kernel
def run_of(residual: F8, width: int) -> float:
    """Largest sum of ``width`` hours in a row that ends within the day, NaN where too few are known."""
    best, seen = -np.inf, False
    for last in range(LEAD if width < 24 else SPAN - 1, SPAN):
        total, known = 0.0, 0
        for h in range(last - width + 1, last + 1):
            if h >= 0 and residual[h] == residual[h]:
                total += residual[h]
                known += 1
        if 2 * known >= width:
            best, seen = max(best, total), True
    return best if seen else np.nan


@kernel
def scale_of(
    s: Row, book: Book, j: int, day: int, figures: F8, real: NDArray[np.float32], bits: NDArray[np.uint32]
) -> float:
    """What an hour of this meter usually uses: mean of the 28 days before the last 7. [unit/h]"""
    past(book, s, j, day - 1, MEAN, figures, real, bits)
    usual = window_means(figures, 6, REFERENCE, FEW)
    scale = max(usual, 0.1 * s.slow) if usual == usual else s.slow
    return scale if scale > 0 else np.nan


@kernel
def residual_of(
    s: Row, ring: Ring, profile: Profile, j: int, begin: int, scale: float, hours: F8, residual: F8
) -> None:
    """Each of 24 hours from ``begin`` on, and the five before, less what is usual at that time. (SPAN,) [scale]"""
    for h in range(SPAN):
        hour = begin + h - LEAD
        own = hour // 24
        off = day_off(own)
        if h < LEAD:
            x = ring[j, hour % HOURS] if s.hour - HOURS < hour <= s.hour and own >= s.known else np.nan
        else:
            x = hours[h - LEAD]
        residual[h] = (
            (x - profile[j, off * 24 + hour % 24]) / scale if (s.off if off else s.working) > 0 else np.nan
        )


@kernel
def count_rest(s: Row, hours: F8) -> None:
    """Runs of hours at rest, and of the same number, go on or end."""
    for x in hours:
        if x != x:
            continue
        if x <= NOTHING:
            s.zero_run += 1
        else:
            s.zero_past = max(s.zero_past, s.zero_run)
            s.zero_run = 0
        if np.float32(x) == s.flat_last:
            s.flat_run += 1
        else:
            # What was told to be a fault is no habit.
            if s.flat_last > NOTHING and not s.open & (1 << STILL):
                s.flat_past = max(s.flat_past, s.flat_run)
            s.flat_run = 0.0
        s.flat_last = x


@kernel
def learn(s: Row, profile: Profile, j: int, day: int, scale: float, hours: F8, mean: float) -> None:
    """Move the habit towards a day that has ended; runs of rest go on or end."""
    count_rest(s, hours)
    s.zero_past *= FORGET
    s.flat_past *= FORGET
    if mean == mean:
        age = day - s.known
        s.slow += (mean - s.slow) / min(age + 1.0, SLOW) if s.slow > 0 or age > 0 else mean
        off = day_off(day)
        seen = min((s.off if off else s.working) + 1, 60000)
        if off:
            s.off = seen
        else:
            s.working = seen
        pace = max(PACE[off], 1.0 / seen)
        for h in range(24):
            if hours[h] == hours[h]:
                move = hours[h] - profile[j, off * 24 + h]
                if seen > 3 and scale == scale:
                    move = min(max(move, -STEP * scale), STEP * scale)
                profile[j, off * 24 + h] += pace * move
    s.day = day


@kernel
def turn(
    s: Row, ring: Ring, profile: Profile, book: Book, j: int, day: int, scratch: F8,
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Write down a day that nobody will judge. ``scratch``: 128 numbers."""
    hours, figures, residual, ordered = (
        scratch[:24],
        scratch[24 : 24 + DAYS],
        scratch[72:101],
        scratch[101:125],
    )
    if day - s.day > DAYS:
        blank(book, j, day - DAYS, day - 1)
    hours_of(ring, s, j, day * 24, hours)
    scale = scale_of(s, book, j, day, figures, real, bits)
    residual_of(s, ring, profile, j, day * 24, scale, hours, residual)
    levels(hours, ordered, figures)
    if figures[MEAN] == figures[MEAN]:
        figures[PEAK1], figures[PEAK6] = run_of(residual, 1), run_of(residual, 6)
        figures[PEAK6A] = figures[PEAK6]
    mean = figures[MEAN]
    s.near = 0
    keep(book, j, day, figures[:FIGURES], real, bits)
    learn(s, profile, j, day, scale, hours, mean)
