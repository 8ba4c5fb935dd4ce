"""An old device that stood still until it was exchanged does not say what is used there.

The habit belongs to the household and outlives the device (docs/adr/0017): what the new one counts is held
against the weeks before. But of the days on which the old one had stopped it knows nothing, and a week of
ordinary use after a month of noughts would look like a burst.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Row
from detectors.daybook import DAYS, FIGURES, MEAN, Book, blank, unpack
from detectors.hours import HOURS, Ring
from detectors.kernel import kernel

STILL = 3  # whole days without use that make a device one that stood still
LONG = 10  # more of them have worn away what was learnt of the hours too
NOTHING = 1e-9  # what differences of large registers leave


@kernel
def unlearn(
    s: Row, ring: Ring, profile: NDArray[np.float32], book: Book, j: int, real: NDArray[np.float32],
    bits: NDArray[np.uint32],
) -> bool:  # fmt: skip
    """The days up to now on which the old device stood still are not known; whether there were any.

    Where they were more than ``LONG``, the meter begins anew.
    """
    if s.known == 0:
        return False
    for hour in range(max((s.day + 1) * 24, s.hour - HOURS + 1), s.hour + 1):
        if ring[j, hour % HOURS] > NOTHING:
            return False
    days = 0
    while days < DAYS and s.day - days >= s.known:
        if not unpack(book[j, ((s.day - days) % DAYS) * FIGURES + MEAN], real, bits) <= NOTHING:
            break
        days += 1
    if days < STILL:
        return False
    s.zero_run = s.flat_run = 0.0
    s.near = 0
    if days > LONG:
        s.known, s.working, s.off = 0, 0, 0
        s.slow, s.zero_past, s.flat_past, s.flat_last = 0.0, 0.0, 0.0, 0.0
        ring[j] = np.nan
        profile[j] = 0.0
        return True
    blank(book, j, s.day - days + 1, s.day)
    for hour in range(max((s.day - days + 1) * 24, s.hour - HOURS + 1), s.hour + 1):
        ring[j, hour % HOURS] = np.nan
    return True
