"""Hour after hour of the same amount, of a meter whose hours differ: what no tree has seen the like of is said."""

from __future__ import annotations

import numpy as np

from detectors.batch import Row
from detectors.kernel import kernel

FEWEST = 48  # hours in a row: a day of the same amount comes with what a head end fills in
TIMES = 3.0  # the longest such run that this meter has had
KNOWN = 28  # days that tell how long its runs are
SHARE = 0.25  # of the usual hour: less is what a home that is left has, of a coarse register for days
NOTHING = 1e-9  # what differences of large registers leave [unit/h]
BROKEN = -1.0  # no hour equals it


@kernel
def static_of(s: Row, day: int, scale: float, floor: float) -> float:
    """How far the hours of the same amount that end with ``day`` go beyond what this meter knows.

    ln of how many they are, and one, over ``FEWEST`` or ``TIMES`` the longest run before; −inf where there are none, or
    where they are worth nobody's time. Hours at rest are the trees' matter.

    scale  what an hour of this meter usually uses [unit/h]
    floor  what is not worth a person's time [unit/d]
    """
    if not s.flat_last > NOTHING or day - s.known < KNOWN:
        return -np.inf
    if not (s.flat_last >= SHARE * scale and 24.0 * s.flat_last > floor):
        return -np.inf
    over = np.log((s.flat_run + 2.0) / max(FEWEST, TIMES * (s.flat_past + 1.0)))
    return over if over > 0 else -np.inf
