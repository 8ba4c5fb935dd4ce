"""An hour so far above all others that nobody need wait for the day, or for the neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import RAISE
from detectors.batch import Records, Row
from detectors.daybook import DAYS, MEAN, MOST, Book, past
from detectors.features import FEW
from detectors.kernel import kernel

LIKELY = 12.0  # hours of mean use: an hour below it is not looked at
MORE = 2.0  # times `gross`: single hours go further than days

SPIKE = 0  # head


@kernel
def highest(
    book: Book, s: Row, j: int, k: int, figures: NDArray[np.float64], real: NDArray[np.float32],
    bits: NDArray[np.uint32],
) -> float:  # fmt: skip
    """The highest of a figure of all days in the book; infinite where too few are known."""
    past(book, s, j, s.day, k, figures, real, bits)
    best, n = 0.0, 0
    for d in range(DAYS):
        if figures[d] == figures[d]:
            best = max(best, figures[d])
            n += 1
    return best if n >= FEW else np.inf


@kernel
def is_gross(
    book: Book, s: Row, j: int, rate: float, floor: float, gross: float, figures: NDArray[np.float64],
    real: NDArray[np.float32], bits: NDArray[np.uint32],
) -> bool:  # fmt: skip
    """Whether an hour of a meter that is in use is gross.

    Above ``MORE * gross`` times the highest hour, and more than the whole of the highest day.

    rate   its use [unit/h]
    floor  what is not worth a person's time [unit/d]
    """
    if rate <= floor or rate <= LIKELY * s.slow or 24.0 * s.slow <= floor:
        return False
    most = highest(book, s, j, MOST, figures, real, bits)
    return bool(
        most > 0.0  # else it was off for six weeks, and has been turned on
        and rate > MORE * gross * most
        and rate > 24.0 * highest(book, s, j, MEAN, figures, real, bits)
    )


@kernel
def say(
    s: Row, j: int, row: int, at: int, begin: int, most: float, gross: float, line: float, a: float, b: float,
    out: Records, n: int,
) -> int:  # fmt: skip
    """The finding, of the hour that ``s.gross`` remembers; weighed as a gross day is."""
    f = out[n]
    f.slot, f.row, f.kind, f.verb = j, row, SPIKE, RAISE
    f.at, f.start, f.end = at, begin, at
    weight = line + np.log(s.gross / (MORE * gross * most)) if most > 0 else line
    cost = np.exp(a - b * weight)
    f.score = max(-np.log10(cost), 0.0)
    f.observed, f.expected = s.gross, most
    f.e0, f.e1, f.e2 = np.nan, 24.0 * s.slow, np.nan
    f.e3, f.e4, f.e5 = weight, line, cost
    return n + 1
