"""Read counts of a partition: a row for each place of the registry and each day of the readings.

A place is what area, route and concentrator have in common, so that a reading is counted once and can be summed by
any of them. Rows are part of the state, counted from the log alone and told as absolute values: a replay comes to
the same rows. A day that is more than ``KEPT`` behind the newest changes no more; once told, its row may go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK
from detectors.batch import Batch, Records
from detectors.reads import ARRIVED, EARLIER, KEPT, LEAP, NEWEST, READS, RING, USED, count_reads

__all__ = ["EARLIER", "KEPT", "LEAP", "Place", "Reads", "ReadsBlock"]

Place = tuple[str, str, str]  # area, route, concentrator, each "" where the registry states none
NAMED = (1000, 1500, 1999)  # places of a partition until concentrators, routes and areas are named no longer
_COUNTS: tuple[str, ...] = (READS.names or ())[2:]


class ReadsBlock(msgspec.Struct, frozen=True, array_like=True):
    """Some rows for a checkpoint: named columns of int64, one after the other; places are indexes in ``places``."""

    format: int
    places: list[Place]
    columns: list[str]
    data: bytes


class Snapshot(NamedTuple):
    """Rows that were not told yet, as they were at an instant."""

    rows: NDArray[np.int64]
    cells: Records  # READS, shape (rows,)


class Reads:
    """The rows of one partition, of at most 2,000 places; those beyond count without their concentrator or route.

    registered : the places of its bank, to which the registry adds
    """

    def __init__(self, registered: dict[Place, int]) -> None:
        self._registered = registered
        self._where = np.zeros(
            0, np.int32
        )  # for each of these the place under which it counts, −1 = none yet
        self._coarse = np.zeros(0, np.bool_)  # that is not its own
        self._places: dict[Place, int] = {}  # in the order of their first readings
        self._cells = np.zeros(BLOCK, READS)
        self._changed = np.zeros(BLOCK, np.uint8)  # not told yet
        self._index = np.full((RING + 1, 0), -1, np.int32)
        self._top = np.array([0, EARLIER, EARLIER], np.int64)
        self.dirty = np.zeros(1, np.uint8)  # (blocks,) 1 = changed since the last checkpoint

    def __len__(self) -> int:
        return int(self._top[USED])

    @property
    def newest(self) -> int:
        """The newest day of a reading that is believed, since 1970; EARLIER: none has come."""
        return int(self._top[NEWEST])

    @property
    def arrived(self) -> int:
        """The newest day on which a reading is known to have arrived, since 1970; EARLIER: none is."""
        return int(self._top[ARRIVED])

    def count(self, meters: Records, batch: Batch) -> int:
        """Count a batch that the detectors have seen; the readings that count under less than their place."""
        codes = meters["place"][batch.slot]
        self._settle(codes)
        if len(self._places) > self._index.shape[1]:
            self._widen(2 * len(self._places))
        done = 0
        while done < len(batch):
            done = count_reads(
                self._cells, self._changed, self.dirty, self._index, self._top, meters, self._where,
                batch.slot, batch.time, batch.local, batch.limit, batch.since, batch.missed, batch.status, done,
            )  # fmt: skip
            if done < len(batch):
                if 0 <= self.arrived < self.newest - LEAP:
                    self._fall()
                else:
                    self._grow(2 * len(self._cells))
        return int(self._coarse[codes].sum())

    def _settle(self, codes: NDArray[np.int32]) -> None:
        """Decide under which place the readings of each new place of the registry count."""
        if len(self._registered) > len(self._where):
            more = 2 * len(self._registered) - len(self._where)
            self._where = np.concatenate([self._where, np.full(more, -1, np.int32)])
            self._coarse = np.concatenate([self._coarse, np.zeros(more, np.bool_)])
        new = codes[self._where[codes] < 0]
        if not len(new):
            return
        names = list(self._registered)
        for code in dict.fromkeys(new.tolist()):
            place = self._named(names[code])
            self._where[code] = self._places.setdefault(place, len(self._places))
            self._coarse[code] = place != names[code]

    def _named(self, place: Place) -> Place:
        """As much of a place as there is room for: by the places with rows alone, which a replay has too."""
        area, route, concentrator = place
        for most, one, more in zip(
            NAMED, (place, (area, route, ""), (area, "", "")), (concentrator, route, area), strict=True
        ):
            if one in self._places or (more and len(self._places) < most):
                return one
        return ("", "", "")

    def _fall(self) -> None:
        """Give up days that cannot be: a file had a wrong year before any arrival was known. They have no day then."""
        cells = self._cells[: len(self)]
        beyond = cells["day"] > self.arrived + LEAP
        wrong = cells[beyond].copy()
        self._top[NEWEST] = max(self.arrived, int(cells["day"][~beyond].max(initial=EARLIER)))
        self._keep(~beyond)
        places = np.unique(wrong["place"])
        while len(self) + len(places) > len(self._cells):
            self._grow(2 * len(self._cells))
        for place in places.tolist():
            row = int(self._index[RING, place])
            if row < 0:
                row = len(self)
                self._top[USED] += 1
                self._index[RING, place] = row
                self._cells["day"][row], self._cells["place"][row] = EARLIER, place
            self._changed[row] = 1
            for name in _COUNTS:
                self._cells[name][row] += wrong[name][wrong["place"] == place].sum()
        self.dirty[:] = 1

    def rows(self) -> Iterator[tuple[int, Place, tuple[int, ...]]]:
        """Day, place and counts of every row, in no order."""
        return self.named(self._cells[: len(self)])

    def named(self, cells: Records) -> Iterator[tuple[int, Place, tuple[int, ...]]]:
        """Day, place and counts of some rows."""
        places = list(self._places)
        for day, place, *counts in cells.tolist():
            yield day, places[place], tuple(counts)

    # -- telling -----------------------------------------------------------------------------

    def untold(self, most: int) -> Snapshot:
        """At most so many rows that have changed since they were told, the latest ones made first."""
        rows = np.flatnonzero(self._changed[: len(self)])[::-1][:most]
        return Snapshot(rows, self._cells[rows])

    def told(self, snapshot: Snapshot) -> None:
        """They are known now; those that have changed again meanwhile are not. Days long over go."""
        same = self._cells[snapshot.rows] == snapshot.cells
        self._changed[snapshot.rows[same]] = 0
        used = len(self)
        day = self._cells["day"][:used]
        # Not by a newest day that no arrival bears out: it may fall, and then these count again.
        newest = min(self.newest, self.arrived + LEAP) if self.arrived >= 0 else EARLIER
        over = (day != EARLIER) & (day <= newest - KEPT) & (self._changed[:used] == 0)
        # A place that has been given room keeps it: of each, a row stays.
        over[np.unique(self._cells["place"][:used], return_index=True)[1]] = False
        if int(over.sum()) >= BLOCK:
            self._keep(~over)

    def _keep(self, wanted: NDArray[np.bool_]) -> None:
        cells, changed = self._cells[: len(self)][wanted], self._changed[: len(self)][wanted]
        self._cells[: len(cells)], self._changed[: len(cells)] = cells, changed
        self._cells[len(cells) :], self._changed[len(cells) :] = np.zeros((), READS), 0
        self._top[USED] = len(cells)
        self.dirty[:] = 1
        self._find()

    # -- checkpoints -------------------------------------------------------------------------

    def block(self, number: int, form: int) -> ReadsBlock:
        """The rows of one block, for a checkpoint."""
        cells = self._cells[: len(self)][number * BLOCK : (number + 1) * BLOCK]
        names = list(self._places)
        used, code = np.unique(cells["place"], return_inverse=True)
        table = np.stack([cells["day"], code, *(cells[name] for name in _COUNTS)]).astype(np.int64)
        return ReadsBlock(
            form, [names[i] for i in used.tolist()], ["day", "place", *_COUNTS], table.tobytes()
        )

    def restore(self, blocks: Iterable[ReadsBlock], newest: int, arrived: int) -> None:
        """Take the rows of a checkpoint over; all are to be told again. Raises ValueError for what is none."""
        parts = []
        for block in blocks:
            table = np.frombuffer(block.data, np.int64).reshape(len(block.columns), -1)
            cells = np.zeros(table.shape[1], READS)
            for name, column in zip(block.columns, table, strict=True):
                if name in (READS.names or ()):
                    cells[name] = column
            code = np.array([self._places.setdefault(p, len(self._places)) for p in block.places], np.int32)
            cells["place"] = code[cells["place"]]
            parts.append(cells)
        found = np.concatenate([np.zeros(0, READS), *parts])
        self._grow(-(-max(len(found), 1) // BLOCK) * BLOCK)
        self._cells[: len(found)] = found
        self._changed[: len(found)] = 1
        self._top[:] = len(found), newest, arrived
        self._widen(len(self._places))
        self._find()

    def _grow(self, room: int) -> None:
        for name, kind in (("_cells", READS), ("_changed", np.uint8)):
            longer = np.zeros(room, kind)
            longer[: len(self)] = getattr(self, name)[: len(self)]
            setattr(self, name, longer)
        dirty = np.zeros(room // BLOCK, np.uint8)
        dirty[: len(self.dirty)] = self.dirty
        self.dirty = dirty

    def _widen(self, places: int) -> None:
        wider = np.full((RING + 1, places), -1, np.int32)
        wider[:, : self._index.shape[1]] = self._index
        self._index = wider

    def _find(self) -> None:
        """Write the index anew."""
        self._index[:] = -1
        cells = self._cells[: len(self)]
        kept = (cells["day"] == EARLIER) | (cells["day"] > self.newest - KEPT)
        rows = np.flatnonzero(kept)
        day = cells["day"][rows]
        self._index[np.where(day == EARLIER, RING, day % RING), cells["place"][rows]] = rows
