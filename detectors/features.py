"""A closed day of a meter as numbers that mean the same for every meter, beside its neighbours.

Everything is a ratio to the meter's own use, so that litres and kilowatt hours, a flat and a
hospital are alike; and everything is given twice, as it is and less what the neighbours did.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import (
    BUSY,
    DAYS,
    LEAST,
    LEVELS,
    MEAN,
    MOST,
    PEAK1,
    PEAK6,
    PEAK6A,
    RMS,
    ZEROS,
    Book,
    past,
    put_in_order,
)
from detectors.kernel import kernel

WINDOWS = (1, 3, 7, 14)  # recent days that are held against the 28 days before them
REFERENCE = 28
FEW = 10  # days of the reference that must be known
FEW_BUSY = 3  # recent days with use that are asked for
LEAST_SHARE = 1e-3  # of the hours: what is added before a logarithm is taken
EPS = 0.05  # of the meter's scale: what is added before a logarithm is taken
LEAD = 5  # hours before the day that a run of six hours may begin in
RUNS = (1, 3, 6, 24)  # hours of the sums that a spike is looked for in
SHAPED = (7, 14)  # recent days whose hours with use are held against those of the 28 days before
SHAPES = 3  # numbers that tell of each

_WINDOWED = (
    "log_most", "log_most_area", "log_least", "log_least_area", "step_least", "step_least_area", "log_mean",
    "log_mean_area", "log_median_area", "step_spread", "log_spread",
)  # fmt: skip
_SHAPED = ("log_amount", "log_amount_area", "log_busy", "log_busy_area", "hours_of_use")
#: The features, in the order in which ``describe`` writes them.
NAMES: tuple[str, ...] = (
    *(f"{name}_{window}d" for window in WINDOWS for name in _WINDOWED),
    "scale", "zero_run", "flat_run", "zero_run_ratio", "zero_run_past", "zero_share",
    *(f"{name}_{days}d" for days in (1, 2, 3) for name in ("least", "least_over_most", "least_over_median")),
    *(f"run{hours}" for hours in RUNS), *(f"run{hours}_area" for hours in RUNS),
    *(f"{name}_{what}" for name in ("run1", "run6", "run6_area") for what in ("ratio", "over_median", "z")),
    "hour_over_most", "day_over_most", "day_over_least", "known_hours",
    *(f"{name}_{window}d" for window in SHAPED for name in _SHAPED),
)  # fmt: skip

F8 = NDArray[np.float64]


@kernel
def window_means(figures: F8, first: int, days: int, few: int) -> float:
    """Mean of known days first … first + days − 1 of a newest-first list, NaN below ``few``."""
    total, n = 0.0, 0
    for i in range(first, first + days):
        if figures[i] == figures[i]:
            total += figures[i]
            n += 1
    return total / n if n >= few else np.nan


@kernel
def _ordered(figures: F8, first: int, days: int, scratch: F8) -> int:
    n = 0
    for i in range(first, first + days):
        if figures[i] == figures[i]:
            scratch[n] = figures[i]
            n += 1
    put_in_order(scratch, n)
    return n


@kernel
def _range(figures: F8, first: int, days: int) -> tuple[float, float, int]:
    """Least and most of the known days first … first + days − 1 of a newest-first list, and how many they are."""
    low, high, n = np.inf, -np.inf, 0
    for i in range(first, first + days):
        if figures[i] == figures[i]:
            low, high = min(low, figures[i]), max(high, figures[i])
            n += 1
    return low, high, n


@kernel
def compare(
    book: Book, s: Row, j: int, day: int, scale: float, logs: F8, steps: F8, figures: F8,
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Each window against its reference: ``logs`` and ``steps``, shape (windows, LEVELS).

    logs   ln((recent + ε) / (reference + ε)), ε = 5 % of the scale
    steps  (recent − reference) / scale
    """
    for k in range(LEVELS):
        past(book, s, j, day, k, figures, real, bits)
        for w in range(len(WINDOWS)):
            width = WINDOWS[w]
            recent = window_means(figures, 0, width, (width + 1) // 2)
            before = window_means(figures, width, REFERENCE, FEW)
            steps[w, k] = (recent - before) / scale
            logs[w, k] = np.log((recent + EPS * scale) / (before + EPS * scale))


@kernel
def shape_of(
    book: Book, s: Row, j: int, day: int, scale: float, shapes: F8, figures: F8,
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """What tells a meter that counts too little from a household that uses less: ``shapes``, (windows, SHAPES).

    A factor on all amounts leaves the hours with use what they are; a household that is smaller, or away, has fewer
    of them, and uses as much in each. With the mean m and the mean square q of all hours, recent and reference:

    amount  ln of q / m: the mean hour, every hour weighed by its own use
    busy    ln of the upper quartile of a day's hours with use, mean of the days that have any
    hours   ln of m² / q: the share of hours with use, were all of these alike [1]_

    .. [1] L. Kish, *Survey Sampling* (1965): the effective number of unequal parts, (Σx)² / Σx².
    """
    for w in range(len(SHAPED)):
        width = SHAPED[w]
        past(book, s, j, day, MEAN, figures, real, bits)
        mean, usual = (
            window_means(figures, 0, width, (width + 1) // 2),
            window_means(figures, width, REFERENCE, FEW),
        )
        past(book, s, j, day, RMS, figures, real, bits)
        for d in range(DAYS):
            figures[d] *= figures[d]
        square = window_means(figures, 0, width, (width + 1) // 2)
        before = window_means(figures, width, REFERENCE, FEW)
        amount, amount_before = square / mean if mean > 0 else mean, before / usual if usual > 0 else usual
        hours, hours_before = (
            mean**2 / square if square > 0 else square,
            usual**2 / before if before > 0 else before,
        )
        shapes[w, 0] = np.log((amount + EPS * scale) / (amount_before + EPS * scale))
        past(book, s, j, day, BUSY, figures, real, bits)
        busy, busy_before = (
            window_means(figures, 0, width, FEW_BUSY),
            window_means(figures, width, REFERENCE, FEW),
        )
        shapes[w, 1] = np.log((busy + EPS * scale) / (busy_before + EPS * scale))
        shapes[w, 2] = np.log((hours + LEAST_SHARE) / (hours_before + LEAST_SHARE))


@kernel
def _extremes(values: F8) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for k in range(values.size):
        if values[k] == values[k]:
            low, high = min(low, values[k]), max(high, values[k])
    if low > high:
        return np.nan, np.nan
    return low, high


@kernel
def describe(
    f: NDArray[np.float32], book: Book, s: Row, j: int, day: int, scale: float, known: int, logs: F8, steps: F8,
    area_logs: F8, area_steps: F8, shapes: F8, area_shapes: F8, runs: F8, low: F8, figures: F8, scratch: F8,
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Write the features of one meter's day.

    area_logs, area_steps  medians of the neighbours' ``logs`` and ``steps``, 0 where there are too few
    shapes, area_shapes    as ``shape_of`` has them, and their medians
    runs  largest sums of 1, 3, 6 and 24 hours above the usual, then the same less the neighbours' [scale]
    low   least hour of the last 1, 2 and 3 days [unit/h]
    """
    i = 0
    away, apart = np.empty(LEVELS), np.empty(LEVELS)
    for w in range(len(WINDOWS)):
        for k in range(LEVELS):
            away[k], apart[k] = logs[w, k] - area_logs[w, k], steps[w, k] - area_steps[w, k]
        log_low, log_high = _extremes(logs[w])
        away_low, away_high = _extremes(away)
        step_low, step_high = _extremes(steps[w])
        apart_low, _ = _extremes(apart)
        f[i], f[i + 1], f[i + 2], f[i + 3] = log_high, away_high, log_low, away_low
        f[i + 4], f[i + 5] = step_low, apart_low
        f[i + 6], f[i + 7], f[i + 8] = logs[w, LEVELS - 1], away[LEVELS - 1], away[2]
        f[i + 9], f[i + 10] = step_high - step_low, log_high - log_low
        i += 11

    f[i] = np.log(scale / s.slow)
    f[i + 1], f[i + 2] = s.zero_run, s.flat_run
    f[i + 3], f[i + 4] = np.log((s.zero_run + 1.0) / (s.zero_past + 1.0)), s.zero_past
    past(book, s, j, day, ZEROS, figures, real, bits)
    f[i + 5] = window_means(figures, 7, REFERENCE, FEW)
    i += 6

    past(book, s, j, day, LEAST, figures, real, bits)
    for days in range(1, 4):
        if days > 1:
            for d in range(DAYS - 1):
                if not figures[d + 1] >= figures[d]:  # also where either is not known
                    figures[d] = figures[d + 1]
        n = _ordered(figures, max(days, 2), REFERENCE, scratch)
        most = scratch[n - 1] if n >= FEW else np.nan
        median = scratch[n // 2] if n >= FEW else np.nan
        f[i], f[i + 1], f[i + 2] = (
            low[days - 1] / scale,
            (low[days - 1] - most) / scale,
            (low[days - 1] - median) / scale,
        )
        i += 3

    for r in range(8):
        f[i + r] = runs[r]
    i += 8
    for which in range(3):
        now = runs[0] if which == 0 else (runs[2] if which == 1 else runs[6])
        past(book, s, j, day, PEAK1 if which == 0 else (PEAK6 if which == 1 else PEAK6A), figures, real, bits)
        n = _ordered(figures, 1, REFERENCE, scratch)
        if n >= FEW:
            mean, square = 0.0, 0.0
            for d in range(n):
                mean += scratch[d]
            mean /= n
            for d in range(n):
                square += (scratch[d] - mean) ** 2
            f[i] = now / (abs(scratch[n - 1]) + 0.1)
            f[i + 1] = now - scratch[n // 2]
            f[i + 2] = (now - scratch[n // 2]) / (np.sqrt(square / n) + 0.1)
        else:
            f[i], f[i + 1], f[i + 2] = np.nan, np.nan, np.nan
        i += 3

    past(book, s, j, day, MOST, figures, real, bits)
    _, high, n = _range(figures, 1, 42)
    f[i] = np.log((figures[0] + EPS * scale) / (high + EPS * scale)) if n >= FEW else np.nan
    past(book, s, j, day, MEAN, figures, real, bits)
    low_mean, high, n = _range(figures, 1, 42)
    f[i + 1] = np.log((figures[0] + EPS * scale) / (high + EPS * scale)) if n >= FEW else np.nan
    f[i + 2] = np.log((figures[0] + EPS * scale) / (low_mean + EPS * scale)) if n >= FEW else np.nan
    f[i + 3] = known
    i += 4
    for w in range(len(SHAPED)):
        f[i], f[i + 1] = shapes[w, 0], shapes[w, 0] - area_shapes[w, 0]
        f[i + 2], f[i + 3] = shapes[w, 1], shapes[w, 1] - area_shapes[w, 1]
        f[i + 4] = shapes[w, 2]
        i += 5
