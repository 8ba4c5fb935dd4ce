"""What the meters of an area do together, and the parts that an area falls into.

What the whole area does is the weather, and no anomaly: a meter is held against the median of its
area's meters of the same class. Where half of an area does one thing and half another (heating is
switched off house by house), that median belongs to one half, and the other looks like faults. Such
an area has split, and each meter is held against the part that it has moved with (docs/adr/0018).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Records
from detectors.daybook import quantile
from detectors.kernel import kernel

PEERS = 8  # neighbours that a comparison needs, itself apart
SHARE = 4  # a part is a quarter of the area at least
SHARP = 0.45  # of the spread may be left within the parts: one hump cut in two leaves .6 to .7
APART = 0.5  # least distance of the parts [ln]
MIDDLE = 0.5  # of a part has moved with it, each by as much as it has
TURNS = 2  # times that the parts' middles are found anew

I8 = NDArray[np.int64]
F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def median_of(values: F8, n: int) -> float:
    """Median of the first n numbers, 0 where there are too few; sorts them."""
    if n <= PEERS:
        return 0.0
    part = values[:n]
    part.sort()
    return float(0.5 * (part[(n - 1) // 2] + part[n // 2]))


@kernel
def gather(
    values: F4,
    order: I8,
    c: int,
    start: int,
    stop: int,
    column: F8,
) -> int:
    """The known numbers of a column, of the rows start … stop − 1 in order, into ``column``; how many they are."""
    count = 0
    for i in range(start, stop):
        x = values[order[i], c]
        if x == x:
            column[count] = x
            count += 1
    return count


@kernel
def shared(values: F4, order: I8, key: I8, wide: I8) -> F4:
    """For each row the median of its group, column by column; of its class where the group is small.

    values  (n, columns), NaN = not known
    key     (n,) code of the group; ``order`` sorts by it
    wide    (n,) code of the class; groups of one class stand together in ``order``
    """
    n, columns = values.shape
    out = np.zeros((n, columns), np.float32)
    column = np.empty(n)
    start = 0
    while start < n:
        stop = start
        while stop < n and wide[order[stop]] == wide[order[start]]:
            stop += 1
        for c in range(columns):
            general, asked = 0.0, False
            first = start
            while first < stop:
                last = first
                while last < stop and key[order[last]] == key[order[first]]:
                    last += 1
                count = gather(values, order, c, first, last, column)
                if count > PEERS:
                    middle = median_of(column, count)
                else:
                    if not asked:
                        general, asked = (
                            median_of(column, gather(values, order, c, start, stop, column)),
                            True,
                        )
                    middle = general
                for i in range(first, last):
                    out[order[i], c] = middle
                first = last
        start = stop
    return out


@kernel
def _spread(sums: F8, first: int, last: int) -> float:
    """Sum of distances from the median of ordered numbers first … last − 1; ``sums`` are those of all before each."""
    low, high = (first + last) // 2, (first + last + 1) // 2
    return float((sums[last] - sums[high]) - (sums[low] - sums[first]))


@kernel
def _cut(ordered: F8, n: int, few: int, sums: F8) -> tuple[float, float]:
    """Where n ordered numbers are best cut in two: share of the spread that is left within, and the place.

    Each part has ``few`` at least and its median is APART from the other's; a share of 1 where none is so. The
    best cut leaves the least sum of distances from the parts' medians (1-D k-medians, k = 2) [1]_.

    .. [1] H. Vinod, "Integer programming and the theory of grouping", Journal of the American Statistical
       Association 64 (1969).
    """
    sums[0] = 0.0
    for i in range(n):
        sums[i + 1] = sums[i] + ordered[i]
    whole = _spread(sums, 0, n)
    left, at = np.inf, 0
    for i in range(few, n - few + 1):
        within = _spread(sums, 0, i) + _spread(sums, i, n)
        if within < left:
            left, at = within, i
    if at == 0 or whole <= 0.0:
        return 1.0, 0.0
    apart = 0.5 * (ordered[(at + n - 1) // 2] + ordered[(at + n) // 2]) - 0.5 * (
        ordered[(at - 1) // 2] + ordered[at // 2]
    )
    if apart <= APART:
        return 1.0, 0.0
    return left / whole, 0.5 * (ordered[at - 1] + ordered[at])


@kernel
def parts_of(course: F4, order: I8, key: I8, peers: int) -> NDArray[np.uint8]:
    """The part of its group that each row has moved with, 1 or 2; 0 where the group has not split.

    A group has split where some spell's moves leave less than SHARP of their spread within two parts of a
    quarter of the group, and of more than ``peers``, each. A row then belongs to the part whose middle is
    nearer over all spells: what has moved with nobody at the time is not taken for one of a part that moved
    at another.

    course  (n, spells) moves, NaN = not known
    key     (n,) code of the group; ``order`` sorts by it
    peers   neighbours that a comparison needs, itself apart
    """
    n, spells = course.shape
    part = np.zeros(n, np.uint8)
    column, sums = np.empty(n), np.empty(n + 1)
    middle = np.empty((2, spells))
    first = 0
    while first < n:
        last = first
        while last < n and key[order[last]] == key[order[first]]:
            last += 1
        size = last - first
        few = max(peers + 1, (size + SHARE - 1) // SHARE)
        sharp, where, at = 1.0, -1, 0.0
        if size >= 2 * few:
            for w in range(spells):
                known = gather(course, order, w, first, last, column)
                if known < 2 * few:
                    continue
                column[:known].sort()
                left, cut = _cut(column, known, few, sums)
                if left < sharp:
                    sharp, where, at = left, w, cut
        if sharp < SHARP:
            for i in range(first, last):
                part[order[i]] = 1 if course[order[i], where] > at else 0
            for _ in range(TURNS):
                _nearest(course, order, first, last, part, column, middle)
            upper = 0
            for i in range(first, last):
                upper += part[order[i]]
            whole = upper < few or size - upper < few
            for i in range(first, last):
                part[order[i]] = 0 if whole else part[order[i]] + 1
        first = last
    return part


@kernel
def _nearest(
    course: F4, order: I8, first: int, last: int, part: NDArray[np.uint8], column: F8, middle: F8
) -> None:
    """Put each row into the part whose middle (median, spell by spell) is nearer."""
    for p in range(2):
        for w in range(course.shape[1]):
            count = 0
            for i in range(first, last):
                x = course[order[i], w]
                if part[order[i]] == p and x == x:
                    column[count] = x
                    count += 1
            middle[p, w] = np.nan
            if count > 0:
                own = column[:count]
                own.sort()
                middle[p, w] = 0.5 * (own[(count - 1) // 2] + own[count // 2])
    for i in range(first, last):
        nearer = 0.0
        for w in range(course.shape[1]):
            x = course[order[i], w]
            if x == x and middle[0, w] == middle[0, w] and middle[1, w] == middle[1, w]:
                nearer += (x - middle[0, w]) ** 2 - (x - middle[1, w]) ** 2
        part[order[i]] = 1 if nearer > 0 else 0


@kernel
def held_against(values: F4, order: I8, key: I8, wide: I8, part: NDArray[np.uint8]) -> F4:
    """What the area has done, for each row and column: the median of its group, as ``shared`` says.

    Houses whose heating has gone off do not all fall by as much. In a part of a split group, which is told
    by such a move, a row is held against the nearest of the part's MIDDLE instead: where it is itself among
    these, against itself.

    part  (n,) as of ``parts_of``; ``key`` tells the parts apart
    """
    out = shared(values, order, key, wide)
    n, columns = values.shape
    column = np.empty(n)
    first = 0
    while first < n:
        last = first
        while last < n and key[order[last]] == key[order[first]]:
            last += 1
        if part[order[first]] > 0:
            for c in range(columns):
                count = gather(values, order, c, first, last, column)
                if count <= PEERS:
                    continue
                column[:count].sort()
                low = quantile(column, count, 0.5 - 0.5 * MIDDLE)
                high = quantile(column, count, 0.5 + 0.5 * MIDDLE)
                for i in range(first, last):
                    x = values[order[i], c]
                    if x == x:
                        out[order[i], c] = min(max(x, low), high)
        first = last
    return out


@kernel
def median_moves(
    due: NDArray[np.int64], move: NDArray[np.float64], meters: Records, peers: int
) -> NDArray[np.float64]:
    """The median move of each meter's cohort (area, commodity, class, unit), 0 where it is too small.

    Of the part of it that has moved alike, where the cohort has split.

    due    (n,) slots of the meters that are judged now
    move   (n,) natural logarithm of each one's use over its usual use [-]
    peers  neighbours that a comparison needs, the meter itself apart
    """
    key = np.empty(due.size, np.int64)
    for i in range(due.size):
        m = meters[due[i]]
        key[i] = np.int64(m.area) * 256 + m.cohort
    order = np.argsort(key, kind="mergesort")
    part = parts_of(move[: due.size].astype(np.float32).reshape(-1, 1), order, key, peers)
    if part.any():
        for i in range(due.size):
            key[i] = 4 * key[i] + part[i]
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
