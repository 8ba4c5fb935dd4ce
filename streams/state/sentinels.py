"""Values that devices send where they have no reading."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from detectors.batch import SURE, WEAK

#: All bits set, of counters of so many bits; 16 bits only with decimals: 65535 is a plausible reading.
SURE_BITS, WEAK_BITS = (24, 31, 32), (16,)


@cache
def _codes(listed: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Values in order, and how surely each is an error."""
    table: dict[float, int] = {}
    for bits, first, sure in [(b, 0, SURE) for b in SURE_BITS] + [(b, 1, WEAK) for b in WEAK_BITS]:
        for decimals in range(first, 4):
            value = (2**bits - 1) / 10**decimals
            table[value] = table[float(np.float32(value))] = sure
    table |= dict.fromkeys(listed, SURE)
    values = sorted(table)
    return np.array(values), np.array([table[value] for value in values], np.uint8)


def error_codes(values: NDArray[np.float64], listed: tuple[float, ...] = ()) -> NDArray[np.uint8]:
    """WEAK or SURE for each value, as sent, that is an error code: 2ⁿ − 1 with 0 to 3 decimals, or listed."""
    known, sure = _codes(listed)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, sure[place], np.uint8(0))
