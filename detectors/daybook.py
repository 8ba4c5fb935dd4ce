"""What is kept of each day of a meter: a few numbers that describe its 24 hours.

Six weeks of days in half the room: the upper half of a single-precision number, rounded to the
nearest, is three digits of any size, and zero stays zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.kernel import kernel

DAYS = 44  # days remembered, a ring by local day modulo 44
Q10, Q25, Q50, Q75, Q90, MEAN, LEAST, MOST, BUSY, RMS, PEAK1, PEAK6, PEAK6A, ZEROS = range(14)
FIGURES = 14
AMOUNTS = RMS + 1  # the first of them, which are in the meter's unit
LEVELS = 6  # the first of them: quantiles and mean, which rise and fall together when all of the use does
UNKNOWN = np.uint16(0x7FC0)  # NaN

Book = NDArray[np.uint16]  # (meters, DAYS * FIGURES)


@kernel
def pack(x: float, real: NDArray[np.float32], bits: NDArray[np.uint32]) -> int:
    """Upper half of a single-precision number; ``bits`` is a view of ``real``, shape (1,)."""
    if x != x:
        return 0x7FC0
    real[0] = x
    word = np.uint64(bits[0])
    return int((word + np.uint64(0x7FFF) + ((word >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16))


@kernel
def unpack(word: int, real: NDArray[np.float32], bits: NDArray[np.uint32]) -> float:
    """The number again."""
    bits[0] = np.uint32(word) << np.uint32(16)
    return float(real[0])


@kernel
def quantile(ordered: NDArray[np.float64], n: int, q: float) -> float:
    """Quantile of the first ``n`` of ordered numbers, linear between them."""
    place = q * (n - 1)
    low = int(place)
    high = min(low + 1, n - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


@kernel
def put_in_order(numbers: NDArray[np.float64], n: int) -> None:
    """Sort the first ``n`` numbers, none NaN, by insertion: of a few dozen that takes half of quicksort's time."""
    for i in range(1, n):
        x = numbers[i]
        place = i
        while place > 0 and numbers[place - 1] > x:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = x


@kernel
def levels(hours: NDArray[np.float64], ordered: NDArray[np.float64], out: NDArray[np.float64]) -> int:
    """Quantiles, mean, least, most and share of zeros of a day's known hours; how many those are.

    And the upper quartile of the hours with use (NaN where there are none), and the root of their mean square.
    """
    n, total, squares, zeros = 0, 0.0, 0.0, 0
    for h in range(24):
        x = hours[h]
        if x == x:
            ordered[n] = x
            n += 1
            total += x
            squares += x * x
            zeros += x <= 1e-9
    if n < 12:
        for k in range(FIGURES):
            out[k] = np.nan
        return n
    put_in_order(ordered, n)
    out[Q10], out[Q25], out[Q50] = (
        quantile(ordered, n, 0.1),
        quantile(ordered, n, 0.25),
        quantile(ordered, n, 0.5),
    )
    out[Q75], out[Q90], out[MEAN] = quantile(ordered, n, 0.75), quantile(ordered, n, 0.9), total / n
    out[LEAST], out[MOST], out[ZEROS] = ordered[0], ordered[n - 1], zeros / n
    out[BUSY] = quantile(ordered[zeros:n], n - zeros, 0.75) if n > zeros else np.nan
    out[RMS] = np.sqrt(squares / n)
    return n


@kernel
def keep(book: Book, j: int, day: int, figures: NDArray[np.float64], real: NDArray[np.float32],
         bits: NDArray[np.uint32]) -> None:  # fmt: skip
    """Write a day down."""
    place = (day % DAYS) * FIGURES
    for k in range(FIGURES):
        book[j, place + k] = pack(figures[k], real, bits)


@kernel
def blank(book: Book, j: int, first: int, last: int) -> None:
    """The days first … last are not known."""
    for day in range(max(first, last - DAYS + 1), last + 1):
        place = (day % DAYS) * FIGURES
        for k in range(FIGURES):
            book[j, place + k] = UNKNOWN


@kernel
def past(book: Book, s: Row, j: int, day: int, k: int, out: NDArray[np.float64], real: NDArray[np.float32],
         bits: NDArray[np.uint32]) -> None:  # fmt: skip
    """One figure of the days that end with ``day``, newest first, into ``out`` (DAYS,)."""
    for i in range(DAYS):
        d = day - i
        out[i] = unpack(book[j, (d % DAYS) * FIGURES + k], real, bits) if d >= s.known else np.nan
