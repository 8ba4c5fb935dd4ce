"""What the meters beside a meter did: the median move of its area's meters of the same class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Records
from detectors.kernel import kernel


@kernel
def median_moves(
    due: NDArray[np.int64], move: NDArray[np.float64], meters: Records, peers: int
) -> NDArray[np.float64]:
    """The median move of each meter's cohort (area, commodity, class, unit), 0 where it is too small.

    due    (n,) slots of the meters that are judged now
    move   (n,) natural logarithm of each one's use over its usual use [-]
    peers  neighbours that a comparison needs, the meter itself apart
    """
    key = np.empty(due.size, np.int64)
    for i in range(due.size):
        m = meters[due[i]]
        key[i] = np.int64(m.area) * 256 + m.cohort
    order = np.argsort(key, kind="mergesort")
    shared = np.zeros(due.size)
    first = 0
    while first < due.size:
        last = first
        while last < due.size and key[order[last]] == key[order[first]]:
            last += 1
        if last - first > peers:
            middle = np.median(move[order[first:last]])
            for i in range(first, last):
                shared[order[i]] = middle
        first = last
    return shared
