"""Which raw messages a flag comes from: of the row that decided it, and of its meter's newest reading.

A finding of a row names that row's message, with its topic; where the row is a register's, whose
use is the difference of two reads, also that of the meter's newest reading before it. A finding of
the watermark, such as a day that closes, has no row: it names that of the meter's newest reading.
What is bad, late, ahead or a duplicate is never a meter's newest reading: nothing counts from it.
Of each meter the bank keeps the digest and the time of receipt of one message, 24 bytes; topics it
does not keep. Readings of files have no message.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.base import Column
from detectors.batch import AHEAD, FIRST, LEVEL, OK, REGISTER, REPLACED, SUSPECT, Batch
from streams.columns import Columns
from streams.messages import RAW_MESSAGES, written_digest
from streams.state.episodes import iso

DECIDED, BEFORE, LAST = "decided", "before", "last"  # what a message is to its flag

_CELL = np.dtype("V24")
_NEWEST = np.isin(np.arange(max(AHEAD, LEVEL) + 1), (OK, FIRST, SUSPECT, LEVEL))  # by status
Cells = NDArray[np.uint64]  # shape (n, 3): the two halves of a digest, time of receipt [ns]


class Owner(Protocol):
    """Who keeps columns in the state: a detector, or the bank itself."""

    @property
    def name(self) -> str:
        """Key of its state."""

    @property
    def version(self) -> int:
        """Goes up when the meaning of its state changes."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Layout of its state."""


class LastMessages:
    """The column of the state that holds the message of each meter's newest reading. It belongs to no detector."""

    name = RAW_MESSAGES
    version = 1
    columns = (Column("last", np.dtype("<u8"), width=3),)


LAST_MESSAGES = LastMessages()


class Origins:
    """The messages that the rows of one batch came from."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._cells: Cells = np.zeros((len(columns.received_ns), 3), np.uint64)
        if columns.hashes:
            self._cells[:, :2] = np.frombuffer(columns.hashes, "<u8").reshape(-1, 2)
            self._cells[:, 2] = columns.received_ns.view(np.uint64)
            self._cells[(self._cells[:, 0] | self._cells[:, 1]) == 0] = 0
        self.known = bool(columns.hashes) and bool(self._cells.any())

    def keep(self, last: Cells, batch: Batch, first: int) -> None:
        """Write down the messages of a part of the batch, which begins at ``first``: of each meter the newest stays."""
        slot, source = batch.slot, self._columns.source[first : first + len(batch)]
        newest = _newest(batch)
        if not newest.all():
            slot, source = slot[newest], source[newest]
        # As cells of 24 bytes: three times as fast as rows of three numbers.
        _whole(last)[slot] = _whole(self._cells).take(source)

    def told(self, last: Cells, batch: Batch, first: int, row: int) -> list[dict[str, Any]]:
        """The message that a row of a part of the batch came from, and of a register the newest reading's before it.

        last  : of each meter, before this part was taken in
        first : where the part begins in the whole batch
        """
        if row < 0:
            return []
        source = self._columns.source
        at = int(source[first + row])
        cell = self._cells[at]
        if not cell.any():
            return []
        out = [{"role": DECIDED, **_told(cell), "topic": self._columns.topics[at]}]
        if batch.kind[row] == REGISTER:
            slot = batch.slot[row]
            earlier = np.flatnonzero((batch.slot[:row] == slot) & _newest(batch)[:row])
            before = self._cells[source[first + earlier[-1]]] if len(earlier) else last[slot]
            if before.any() and (before != cell).any():
                out.append({"role": BEFORE, **_told(before)})
        return out


def _newest(batch: Batch) -> NDArray[np.bool_]:
    """Which rows became their meter's newest reading, or took its place."""
    newest: NDArray[np.bool_] = _NEWEST[batch.status] | ((batch.note & REPLACED) != 0)
    return newest


def _whole(cells: Cells) -> NDArray[np.void]:
    return cells.view(_CELL)[:, 0]


def last_told(last: Cells, slot: int) -> list[dict[str, Any]]:
    """The message of a meter's newest reading; empty where nothing is known of it."""
    return [{"role": LAST, **_told(last[slot])}] if last[slot].any() else []


def _told(cell: NDArray[np.uint64]) -> dict[str, Any]:
    digest = cell[:2].tobytes()
    return {"digest": written_digest(digest), "received": iso(int(cell.view(np.int64)[2]))}
