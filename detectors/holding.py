"""What an open leak is held against: the levels before it, frozen, so that what lasts does not clear itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import LEVELS, Book, past
from detectors.features import FEW, REFERENCE, window_means
from detectors.kernel import kernel

HELD = 1  # the head whose flags are held: a small leak is what the weeks before soon have too
STILL = 2  # this head and the next: rest, and use that is lost
BEFORE = 14  # newest days that are not asked what was usual before a flag: they may be the fault's own
WEEK, MOST_OF_IT = 7, 4  # days that tell what is so now: offices rest at its end
BACK = 0.5  # share of the rise that must be gone
CELLS = LEVELS + 1

#: Levels of a day before the flag, then by how much the least risen of them had risen; NaN = nothing to hold. [unit/h]
Held = NDArray[np.float32]


@kernel
def _rise(book: Book, s: Row, j: int, day: int, days: int, held: Held, moved: NDArray[np.float32], scale: float,
          figures: NDArray[np.float64], real: NDArray[np.float32], bits: NDArray[np.uint32]) -> float:  # fmt: skip
    """The least that any level of the newest days lies above what it was, but for what the neighbours' has risen."""
    least = np.inf
    for k in range(LEVELS):
        past(book, s, j, day, k, figures, real, bits)
        own = window_means(figures, 0, days, (days + 1) // 2) - held[k]
        least = min(least, own - scale * max(moved[k], 0.0))
    return float(least)


@kernel
def _fell_by(book: Book, s: Row, j: int, day: int, figures: NDArray[np.float64],
             real: NDArray[np.float32], bits: NDArray[np.uint32]) -> float:  # fmt: skip
    """By how much half of the levels have fallen at least, from the week before the newest to the newest."""
    falls = np.empty(LEVELS)
    for k in range(LEVELS):
        past(book, s, j, day, k, figures, real, bits)
        falls[k] = window_means(figures, WEEK, WEEK, MOST_OF_IT) - window_means(figures, 0, WEEK, MOST_OF_IT)
    falls.sort()
    return float(falls[LEVELS // 2])


@kernel
def hold(book: Book, s: Row, j: int, day: int, held: Held, figures: NDArray[np.float64],
         real: NDArray[np.float32], bits: NDArray[np.uint32]) -> None:  # fmt: skip
    """A leak has been raised: remember what was usual before, and the rise."""
    for k in range(LEVELS):
        past(book, s, j, day, k, figures, real, bits)
        held[k] = window_means(figures, BEFORE, REFERENCE, FEW)
    held[LEVELS] = max(
        _rise(book, s, j, day, 1, held, held, 0.0, figures, real, bits),
        _rise(book, s, j, day, WEEK, held, held, 0.0, figures, real, bits),
    )


@kernel
def lasts(book: Book, s: Row, j: int, day: int, held: Held, moved: NDArray[np.float32], scale: float,
          figures: NDArray[np.float64], real: NDArray[np.float32], bits: NDArray[np.uint32]) -> bool:  # fmt: skip
    """Whether the rise has not gone back by half: neither to the levels before, nor from one week to the next.

    The latter since the levels before may be of another season by now; for the same reason what the neighbours'
    levels have risen by, over the newest week, is none of the leak's. What has once gone back is not held again.

    moved  (LEVELS,) the neighbours' move of the newest week's levels from the weeks before, in ``scale`` [unit/h]
    """
    size = BACK * held[LEVELS]
    if not size > 0:
        return False
    if (
        _rise(book, s, j, day, WEEK, held, moved, scale, figures, real, bits) > size
        and not _fell_by(book, s, j, day, figures, real, bits) > size
    ):
        return True
    held[LEVELS] = np.nan
    return False
