"""Day after day of the same amount, of a meter read daily whose days differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY, Records, Row
from detectors.kernel import kernel
from detectors.static_value import BROKEN, SHARE, TIMES

FEWEST = 7  # days in a row: offices that are closed have a week of one number from a register of whole kWh
WINDOW = 35  # days that are looked at
REST = 14  # of them before the run must be known
STEPS = 10.0  # of the register that the days before must scatter by
NEAR = 1e-5  # of an amount: what differences of large registers leave
LONG = DAY + DAY // 2  # what covers more is spread over its days, which are then alike


@kernel
def count_same(level: Records, j: int, amount: float, span: int, sure: bool) -> None:
    """Count a reading that tells the amount of the one before; ``sure``: it was measured, and takes nothing back."""
    s = level[j]
    same = sure and span <= LONG and abs(amount - s.amount) <= NEAR * amount
    s.same = min(s.same + 1, 255) if same else 0
    s.amount = amount if sure and span <= LONG else BROKEN


@kernel
def equal_days(daily: NDArray[np.float32], s: Row, j: int, day: int) -> int:
    """Known days in a row up to ``day`` that are like it, each with a reading of its own."""
    last = daily[j, day % daily.shape[1]]
    run = 0
    for back in range(WINDOW):
        x = daily[j, (day - back) % daily.shape[1]]
        if x == x:
            if not abs(x - last) <= NEAR * last:
                break
            run += 1
    readings: int = s.same + 1
    return min(run, readings)


@kernel
def static_days(daily: NDArray[np.float32], s: Row, j: int, day: int, floor: float) -> float:
    """Known days in a row of the same amount, over how many it takes for this meter; 0 where that is less than 1.

    The days before must scatter by more than the register's steps, and not have stood themselves for a third as long.
    """
    size = daily.shape[1]
    last = daily[j, day % size]
    run = equal_days(daily, s, j, day)
    if run < FEWEST or not last > floor:
        return 0.0
    rest = np.empty(WINDOW)
    n, left, alike, longest = 0, run, 1, 1
    for back in range(WINDOW):
        x = daily[j, (day - back) % size]
        if x != x:
            continue
        if left > 0:
            left -= 1
            continue
        if n > 0 and x > NEAR and abs(x - rest[n - 1]) <= NEAR * x:
            alike += 1
            longest = max(longest, alike)
        else:
            alike = 1
        rest[n] = x
        n += 1
    if n < REST:
        return 0.0
    known = rest[:n]
    mean = known.mean()
    spread = known.std()
    known.sort()
    step = np.inf
    for i in range(n - 1):
        gap = known[i + 1] - known[i]
        if gap > NEAR * mean:
            step = min(step, gap)
    if last < SHARE * mean or not spread >= STEPS * step:
        return 0.0
    over = run / max(float(FEWEST), TIMES * longest)
    return over if over >= 1 else 0.0
