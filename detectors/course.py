"""How a meter's use has gone in the last four weeks: what tells which part of its area it has moved with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import DAYS, MEAN, Book, past
from detectors.features import EPS
from detectors.kernel import kernel
from detectors.turning import day_off

#: Days back, first and past the last, of the spells that are told apart; the usual is of the days from SINCE on.
SPELLS = ((0, 1), (1, 3), (3, 7), (7, 14), (14, 21), (21, 28))
SINCE = 28
MOST = 3.0  # farther than this is as far [ln]

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def course_of(
    book: Book, s: Row, j: int, day: int, today: float, scale: float, figures: F8,
    real: NDArray[np.float32], bits: NDArray[np.uint32], out: F4,
) -> None:  # fmt: skip
    """How a meter's use has gone in four weeks: ln of each spell's use over the usual of such days. (SPELLS,)

    The usual is the mean of the days 28 to 43 back, of working days and days off apart.

    today   mean use of an hour of the day itself, which is not in the book yet [unit/h]
    """
    past(book, s, j, day - 1, MEAN, figures, real, bits)
    usual, seen = np.zeros(2), np.zeros(2)
    for back in range(SINCE, DAYS):
        x = figures[back - 1]
        if x == x:
            off = day_off(day - back)
            usual[off] += x
            seen[off] += 1
    for w in range(len(SPELLS)):
        use, expected, known = 0.0, 0.0, 0
        for back in range(SPELLS[w][0], SPELLS[w][1]):
            x = today if back == 0 else figures[back - 1]
            off = day_off(day - back)
            if x == x and seen[off] > 0:
                use += x
                expected += usual[off] / seen[off]
                known += 1
        if 2 * known < SPELLS[w][1] - SPELLS[w][0] or known == 0:
            out[w] = np.nan
        else:
            move = np.log((use / known + EPS * scale) / (expected / known + EPS * scale))
            out[w] = min(max(move, -MOST), MOST)
