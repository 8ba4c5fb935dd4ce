"""A reading's place in its meter's order: the first, the newest once more, or an older one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import CORRECTION, DUPLICATE, FIRST, INTERVAL, LATE, LEVEL, OK, REGISTER, Row
from detectors.kernel import kernel
from detectors.pulse import BOOKED, FELL, KNOWN, OTHER, UNCOUNTED, see, seen_before


@kernel
def first(
    p: Row, t: int, v: float, kind: int, serial: int, step: int, covered: int, signed: bool
) -> tuple[int, float]:
    """The first reading of a meter: nothing to subtract from.

    ``covered``: the time that it covers if it is an interval, 0 = not known. [ns]
    """
    p.first = p.time = p.prev_time = t
    p.value = p.prev_value = v
    p.count = 1
    p.serial = serial
    p.spacing = step
    if kind == INTERVAL:
        # An interval without a predecessor covers the stated period or spacing, if there is one.
        if v < 0 and not signed:
            p.negative += 1
            p.newest = FELL
            return FIRST, np.nan
        p.usage = v
        p.newest = BOOKED if covered > 0 else OTHER
        return (OK, v) if covered > 0 else (FIRST, np.nan)
    return (FIRST if kind == REGISTER else LEVEL), np.nan


@kernel
def again(p: Row, v: float, kind: int, signed: bool) -> tuple[int, float, bool]:
    """The time of the newest reading once more: a duplicate, or a correction where the later wins.

    Returns status, amount (NaN = none), and whether the new value has taken the old one's place.
    """
    amount = np.nan
    won = True
    if v == (p.pend_value if p.pend > 0 else p.value):
        p.duplicates += 1
        return DUPLICATE, amount, False
    p.corrections += 1
    if kind == INTERVAL:
        if v < 0 and not signed:
            p.negative += 1
        elif p.newest == FELL:
            amount = v  # of what fell nothing was counted
            p.newest = BOOKED
            p.usage += amount
        elif p.newest != UNCOUNTED:
            amount = v - p.value
            p.usage += amount
        won = amount == amount or p.newest == FELL or (p.newest == UNCOUNTED and (v >= 0 or signed))
        if won:
            p.value = v
    elif kind != REGISTER:
        p.value = v
    elif p.prev_time == p.time and p.pend == 0:
        p.value = p.prev_value = v  # where counting begins: nothing was counted up to it
    elif p.pend == 0 and (v >= p.prev_value or signed):
        amount = v - p.value
        p.usage += amount
        p.value = v
    else:
        won = False
    return CORRECTION, amount, won


@kernel
def behind(
    p: Row, seen: NDArray[np.uint64], j: int, t: int, v: float, kind: int, step: int, signed: bool
) -> tuple[int, float]:
    """A reading older than the newest of its meter: seen before, or late."""
    if step > 0:
        known = p.time // step - t // step >= KNOWN or seen_before(seen, j, t // step)
    else:
        known = t == p.prev_time and v == (p.value if p.pend > 0 else p.prev_value)
    if known:
        p.duplicates += 1
        return DUPLICATE, np.nan
    p.late += 1
    p.missing -= min(p.missing, 1)
    p.count += 1
    if step > 0:
        see(seen, j, t // step)
    if kind != INTERVAL:
        return LATE, np.nan
    if v < 0 and not signed:
        p.negative += 1
        return LATE, np.nan
    p.usage += v
    return LATE, v
