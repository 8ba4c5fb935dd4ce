"""Reads by place and day: what has come, what is missing, what came late, each on its own day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK
from detectors.batch import AHEAD, BAD, CORRECTION, DAY, DUPLICATE, I64, LATE, U8, Records
from detectors.kernel import kernel

KEPT = 400  # days behind the newest on which a reading still counts on its own day
RING = KEPT + 1  # the newest, those kept, and the day after the newest
EARLIER = -1  # stands for all days before those, and for those that cannot be
LEAP = 100  # days that a reading whose arrival nobody states may be later than any known arrival
UNKNOWN = 2**62  # a limit that nobody has stated

#: What is counted of a place on a day; "place" is an index of the partition's. 64 bytes.
READS = np.dtype(
    [
        ("day", np.int32),  # since 1970, in the meters' zones; or EARLIER
        ("place", np.int32),
        ("readings", np.int64),  # distinct ones taken in
        ("missing", np.int64),  # intervals that never came, on the days on which they were due
        ("late", np.int64),
        ("duplicates", np.int64),
        ("corrections", np.int64),
        ("bad", np.int64),
        ("ahead", np.int64),
    ],
    align=True,
)

#: Cells of ``top``: rows in use; the newest day of a reading that is believed, of an arrival that is known. −1 = none.
USED, NEWEST, ARRIVED = 0, 1, 2


@kernel
def _row(
    reads: Records, changed: U8, dirty: U8, index: NDArray[np.int32], top: I64, day: int, place: int
) -> int:
    """The row of a place and day; a fresh one where there is none."""
    ring = day % RING
    if day < 0 or day <= top[NEWEST] - KEPT:
        day, ring = EARLIER, RING
    row: int = index[ring, place]
    if row < 0 or reads[row].day != day:  # the ring has come round: that day's row changes no more
        row = top[USED]
        top[USED] += 1
        index[ring, place] = row
        reads[row].day = day
        reads[row].place = place
    changed[row] = 1
    dirty[row // BLOCK] = 1
    return row


@kernel
def count_reads(
    reads: Records, changed: U8, dirty: U8, index: NDArray[np.int32], top: I64, meters: Records,
    where: NDArray[np.int32], slot: I64, time: I64, local: I64, limit: I64, since: I64, missed: I64, status: U8,
    start: int,
) -> int:  # fmt: skip
    """Count validated readings from row ``start`` on; the row that it could not go on at, else their number.

    It cannot where there is no more room, or where ``top[NEWEST]`` is more than LEAP beyond the first known arrival.

    reads    READS, shape (room,), of which ``top[USED]`` are in use
    changed  (room,), set to 1 where a row changes; dirty: (room / BLOCK,), where a block does
    where    for each place of the registry, the place under which it counts
    index    (RING + 1, places): row of the day modulo RING, −1 = none; the last line is EARLIER's
    time, local, limit, since, missed, status: as in ``Batch``

    A reading counts on its own day, in its meter's zone; what nobody believes, at most on the day after the
    newest. A reading of unknown arrival (from a file) that leaps beyond the known ones has a wrong year: it
    counts without a day, and so do the intervals that it seems to have missed. Else those are spread evenly
    over the gap, which for a fixed spacing is when they were due.
    """
    for i in range(start, slot.size):
        if top[USED] + RING + 2 > reads.size:
            return i
        place = where[meters[slot[i]].place]
        what = status[i]
        shift = local[i] - time[i]
        if limit[i] < UNKNOWN:
            top[ARRIVED] = max(top[ARRIVED], (limit[i] + shift) // DAY)
            if top[NEWEST] > top[ARRIVED] + LEAP:
                return i
        day = (min(time[i], limit[i]) + shift) // DAY
        if what in (BAD, AHEAD):
            day = min(day, top[NEWEST] + 1) if top[NEWEST] >= 0 else EARLIER
        elif top[ARRIVED] >= 0 and day > top[ARRIVED] + LEAP:
            day = EARLIER
        elif day > top[NEWEST]:
            top[NEWEST] = day
        row = _row(reads, changed, dirty, index, top, day, place)
        if what == BAD:
            reads[row].bad += 1
        elif what == AHEAD:
            reads[row].ahead += 1
        elif what == DUPLICATE:
            reads[row].duplicates += 1
        elif what == CORRECTION and since[i] == 0:  # one at a time of its own takes back, and is a reading
            reads[row].corrections += 1
        else:
            reads[row].readings += 1
            if what == LATE:
                reads[row].late += 1
        gone = missed[i]
        if gone < 0:
            reads[row].missing += gone
        elif gone > 0:
            before = local[i] - since[i]
            spacing = max(since[i] // (gone + 1), 1)
            so_far = 0
            for other in range(min(max(before // DAY, top[NEWEST] - KEPT), day), day + 1):
                upto = gone
                if other < day:
                    upto = min(gone, ((other + 1) * DAY - before - 1) // spacing)
                if upto > so_far:
                    row = _row(reads, changed, dirty, index, top, other, place)
                    reads[row].missing += upto - so_far
                    so_far = upto
    return slot.size
