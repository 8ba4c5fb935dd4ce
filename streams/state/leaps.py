"""A row of a file far beyond all before it: a long pause of the feed, or a wrong year.

In the flow a reading's arrival tells that its clock is wrong. A file that states no arrival has nothing but the
readings themselves: one row of the year 2031 would move everybody's event time there, and make all other meters
silent. So such a row is kept aside until another meter comes near it; it is taken in then, and nothing that comes
of it is known earlier. What nothing follows is never taken in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY
from streams.columns import Columns
from streams.state.slots import NEVER

LEAP = 35 * DAY  # beyond all readings so far, of a meter that is read more often
SPACINGS = 3  # … and so many of its own spacings
FIRST = 400 * DAY  # the same of a meter whose spacing is not known


class Known(NamedTuple):
    """What is known of a meter when one of its rows leaps."""

    readings: int
    spacing_ns: int  # 0: not known yet
    alone: bool  # no other meter has ever spoken


class Aside(NamedTuple):
    """A row that waits for another to bear it out."""

    meter_id: str
    time_ns: int
    after_ns: int  # the newest of all readings before
    row: Columns
    own: bool  # a later row of its own may bear it out: there is no other meter, or nobody knows this one


class Leaps:
    """Parts columns where time leaps; rows that nothing bears out yet wait in ``aside``."""

    def __init__(self, ahead_ns: int) -> None:
        self.aside: list[Aside] = []
        self._ahead = ahead_ns
        self._newest = NEVER

    def believed(self, columns: Columns) -> NDArray[np.int64]:
        """Event times, shape (n,); NEVER where the arrival tells that the clock is wrong. [ns]"""
        arrival = columns.received_ns[columns.source]
        ahead = (arrival > 0) & (columns.time_ns > arrival + self._ahead)
        return np.where(ahead, NEVER, columns.time_ns)

    def parts(self, columns: Columns, known: Callable[[str], Known]) -> Iterator[tuple[Columns, int]]:
        """Columns to be taken in, one after the other, and the time before which nothing of them was known.

        The latter is NEVER for what was not kept aside. ``known`` is asked when all parts before have been taken in.
        """
        time = self.believed(columns)
        stated = columns.received_ns[columns.source] > 0
        first, n = 0, len(columns)
        while first < n:
            newest = np.maximum.accumulate(np.concatenate([[self._newest], time[first:]]))
            # Differences of what is nobody's time would overflow.
            base = np.where(newest[:-1] == NEVER, newest[1:], newest[:-1])
            leaps = (~stated[first:]) & (newest[1:] - base > LEAP)
            stop = first + int(np.argmax(leaps)) if leaps.any() else n
            if stop > first and not self.aside:
                yield self._whole(columns, first, stop), NEVER
                self._newest = int(newest[stop - first])
                first = stop
                continue
            last = first + 1
            name = columns.meters[columns.meter[first]]
            at = int(time[first])
            row = columns.select(np.arange(first, last))
            meter = known(name)
            near = at != NEVER and at - self._newest <= self._most(meter)
            if at == NEVER or stated[first] or near or self._borne_out(name, at):
                if at != NEVER and any(one.time_ns <= at + LEAP for one in self.aside):
                    for one in self.aside:
                        yield one.row, at
                    self.aside.clear()
                yield row, NEVER
                self._newest = max(self._newest, at)
            else:
                own = meter.alone or meter.readings == 0
                self.aside.append(Aside(name, at, self._newest, row, own))
            first = last

    def _whole(self, columns: Columns, first: int, stop: int) -> Columns:
        whole = first == 0 and stop == len(columns)
        return columns if whole else columns.select(np.arange(first, stop))

    def _most(self, known: Known) -> int:
        """How far a row of a meter may lie beyond all readings so far. [ns]"""
        if known.readings < 2 or known.spacing_ns <= 0:
            return FIRST
        return max(LEAP, SPACINGS * known.spacing_ns)

    def _borne_out(self, name: str, at: int) -> bool:
        for one in self.aside:
            if one.meter_id != name and at - one.time_ns <= LEAP:
                return True
            if one.own and at - one.time_ns <= max(LEAP, one.time_ns - one.after_ns):
                return True
        return False
