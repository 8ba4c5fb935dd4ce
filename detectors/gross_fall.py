"""Days in a row far below all of the weeks before: what no tree has seen the like of is said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import DAYS, MEAN, ZEROS, Book, past
from detectors.kernel import kernel

LEAST = 3  # days in a row that are low: two come with any long weekend
MOST = 14  # and as many are held against the days before them; what lasts longer is the habit
KNOWN = 28  # days before them that must be known
SHARE = 1.0 / 3.0  # of the lowest of these, from which on a day is low
NOTHING = 1e-9  # what differences of large registers leave [unit/h]


@kernel
def fall_of(
    book: Book, s: Row, j: int, day: int, area: float, floor: float, figures: NDArray[np.float64],
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> float:  # fmt: skip
    """How far the days that end with ``day`` are below ``SHARE`` of the lowest before.

    ln(SHARE · lowest / highest of the last n days) for the n, ``LEAST`` to ``MOST``, for which it is largest;
    −inf where it is not above 0, or is worth nobody's time. A day without use, and one with more hours at rest
    than any before, says that somebody is away, not that the meter counts too little.

    area   ln of the neighbours' move; where their use has fallen, the days before count as fallen too
    floor  what is not worth a person's time [unit/d]
    """
    past(book, s, j, day, MEAN, figures, real, bits)
    if not figures[0] > NOTHING:
        return -np.inf
    lowest, known, rests = np.empty(MOST + 1), np.zeros(MOST + 1, np.int64), np.zeros(MOST + 1)
    low, count = np.inf, 0
    for d in range(DAYS - 1, LEAST - 1, -1):
        if figures[d] == figures[d]:
            low = min(low, figures[d])
            count += 1
        if d <= MOST:
            lowest[d], known[d] = low, count
    highs, days, high = np.empty(MOST + 1), 0, 0.0
    while days < MOST and figures[days] > NOTHING:
        high = max(high, figures[days])
        days += 1
        highs[days] = high
    if days < LEAST:
        return -np.inf
    past(book, s, j, day, ZEROS, figures, real, bits)
    rest = 0.0
    for d in range(DAYS - 1, LEAST - 1, -1):
        if figures[d] == figures[d]:
            rest = max(rest, figures[d])
        if d <= MOST:
            rests[d] = rest
    best, rest = -np.inf, 0.0
    for n in range(1, days + 1):
        rest = max(rest, figures[n - 1])
        usual = lowest[n] * np.exp(min(area, 0.0)) if n >= LEAST else 0.0
        if n < LEAST or known[n] < KNOWN or rest > rests[n]:
            continue
        if highs[n] < SHARE * usual and 24.0 * (usual - highs[n]) > floor:
            best = max(best, np.log(SHARE * usual / highs[n]))
    return best
