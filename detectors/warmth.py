"""The weather where an area has a thermometer, and how each of its meters answers to it.

A thermometer is a gauge whose unit is one of temperature. Its days stand in the book where those of a
meter stand: the mean of the day, in °C. What a meter uses by the degree comes from its own last six weeks,
so that areas with few meters, or one, need no neighbours to tell a cold snap from a fault.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY, HOUR, Records, Row
from detectors.daybook import DAYS, FIGURES, LEVELS, MEAN, Book, keep, past
from detectors.features import EPS, FEW, REFERENCE, WINDOWS, window_means
from detectors.hours import HOURS, Ring, add, local_day, reach
from detectors.kernel import kernel

HEATED = 15.5  # °C: on days of a lower mean buildings are heated [1]_ of ``answer``
ZERO = 273.15  # K
WHOLE = 25 * HOUR  # a reading holds back to the one before it, for so long at most
FRESH = 7  # newest days, which may be at fault, say nothing of how a meter answers
PAIRS = 14  # days that it takes to know
DOUBT = 4.0  # squared standard errors by which a slope is drawn towards none
FADE = 0.9  # a day, of what the profile of the hours still holds of a past day

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def feel(s: Row, ring: Ring, m: Row, j: int, local: int, value: float, span: int) -> None:
    """Book a temperature to the hours that have passed since the thermometer's last reading, as kelvin hours."""
    s.spoken = max(s.spoken, local // DAY)
    hour = (local - 1) // HOUR
    if s.known == 0:
        s.known = hour // 24
        s.day = s.known - 1
        s.hour = hour - 1
    reach(s, ring, j, hour)
    if span <= 0 or span > WHOLE:
        s.zero_past = hour  # which is not known as a whole
        return
    add(
        s,
        ring,
        j,
        local,
        span,
        (m.zero + m.base * value) * span / HOUR,
        max(s.day * 24 + 23, int(s.zero_past)),
    )


@kernel
def close_weather(
    habit: Records, ring: Ring, book: Book, meters: Records, gauges: NDArray[np.int64], hot: NDArray[np.uint8],
    cold: NDArray[np.uint8], block: int, watermark: int, real: F4, bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Write down the mean of every day that has ended, half of which is known at least. [°C]"""
    figures = np.full(FIGURES, np.nan)
    for g in range(gauges.size):
        j = gauges[g]
        s = habit[j]
        newest = min(local_day(watermark, meters[j].offset), s.spoken) - 1
        for day in range(max(s.day + 1, newest - DAYS + 1), newest + 1):
            total, known = 0.0, 0
            for hour in range(day * 24, day * 24 + 24):
                x = ring[j, hour % HOURS]
                if s.hour - HOURS < hour <= s.hour and x == x:
                    total += x
                    known += 1
            figures[MEAN] = total / known - ZERO if known >= 12 else np.nan
            keep(book, j, day, figures, real, bits)
            s.day = day
            hot[j // block], cold[j // block] = 1, 1


@kernel
def degrees_of(
    habit: Records, book: Book, meters: Records, gauges: NDArray[np.int64], area: int, day: int, out: F8, scratch: F8,
    real: F4, bits: NDArray[np.uint32],
) -> bool:  # fmt: skip
    """Heating degrees of the days that end with ``day``, newest first; False where the area has no thermometer.

    The mean of all thermometers that know the day, NaN where none does. [K]
    """
    found = False
    seen = np.zeros(DAYS)
    for g in range(gauges.size):
        j = gauges[g]
        if meters[j].area != area:
            continue
        if not found:
            out[:] = 0.0
            found = True
        past(book, habit[j], j, day, MEAN, scratch, real, bits)
        ahead = max(day - habit[j].day, 0)  # days that it has not told of yet
        for back in range(ahead, DAYS):
            if scratch[back] == scratch[back]:
                out[back] += scratch[back]
                seen[back] += 1
    if found:
        for back in range(DAYS):
            out[back] = max(HEATED - out[back] / seen[back], 0.0) if seen[back] > 0 else np.nan
    return found


@kernel
def answer(
    book: Book, s: Row, j: int, day: int, degrees: F8, scale: float, figures: F8, real: F4,
    bits: NDArray[np.uint32], logs: F4, steps: F4,
) -> float:  # fmt: skip
    """What the weather alone makes of a day and the days before it.

    Use of a day is taken for a base and so much by the heating degree [1]_, level by level, by least squares
    over the days 7 to 43 back; a slope b of variance v counts b² / (b² + 4 v) times, one below none not at all.

    Returns what it adds to each hour of the day, above what the profile holds [scale]; writes
    logs, steps   (windows · LEVELS) as of ``features.compare``

    .. [1] M. Fels, "PRISM: an introduction", Energy and Buildings 9 (1986); the base of 15.5 °C is that of
       CIBSE TM41, "Degree-days: theory and application" (2006).
    """
    logs[:] = 0.0
    steps[:] = 0.0
    shift = 0.0
    for k in range(LEVELS):
        past(book, s, j, day, k, figures, real, bits)
        n, x, y, xx, xy, yy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for back in range(FRESH, DAYS):
            u, v = degrees[back], figures[back]
            if u == u and v == v:
                n += 1
                x, y = x + u, y + v
                xx, xy, yy = xx + u * u, xy + u * v, yy + v * v
        if n < PAIRS:
            continue
        x, y = x / n, y / n
        xx, xy, yy = xx - n * x * x, xy - n * x * y, yy - n * y * y
        if xx <= 1e-6 * n or xy <= 0.0:
            continue
        slope = xy / xx
        variance = max(yy - slope * xy, 0.0) / (n - 2) / xx
        slope *= slope * slope / (slope * slope + DOUBT * variance)
        base = y - slope * x
        for w in range(len(WINDOWS)):
            width = WINDOWS[w]
            now = base + slope * window_means(degrees, 0, width, (width + 1) // 2)
            then = base + slope * window_means(degrees, width, REFERENCE, FEW)
            if now == now and then == then:
                now, then = max(now, 0.0), max(then, 0.0)
                logs[w * LEVELS + k] = np.log((now + EPS * scale) / (then + EPS * scale))
                steps[w * LEVELS + k] = (now - then) / scale
        if k == MEAN and degrees[0] == degrees[0]:
            total, weight, fade = 0.0, 0.0, 1.0
            for back in range(1, DAYS):
                fade *= FADE
                if degrees[back] == degrees[back]:
                    total += fade * degrees[back]
                    weight += fade
            shift = slope * (degrees[0] - total / weight) / scale if weight > 0 else 0.0
    return shift
