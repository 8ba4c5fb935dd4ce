"""Which raw messages a flag comes from: of the row that decided it, and the last of each meter.

A finding of a row names that row's message, with its topic; where the row is a register's, whose
use is the difference of two reads, also the message before. A finding of the watermark, such as a
day that closes, has no row: it names the last message of its meter. Of each meter the bank keeps
the digest of the last message and its time of receipt, 24 bytes; topics it does not keep.
Readings of files have no message.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.base import Column
from detectors.batch import REGISTER, Batch
from streams.columns import Columns
from streams.messages import RAW_MESSAGES, written_digest
from streams.state.episodes import iso

DECIDED, BEFORE, LAST = "decided", "before", "last"  # what a message is to its flag

_CELL = np.dtype("V24")
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
    """The column of the state that holds the last message of each meter. It belongs to no detector."""

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

    def keep(self, last: Cells, slot: NDArray[np.int64], first: int) -> None:
        """Write down the messages of the rows from ``first`` on, whose slots are given: of each the last stays."""
        # As cells of 24 bytes: three times as fast as rows of three numbers.
        source = self._columns.source[first : first + len(slot)]
        _whole(last)[slot] = _whole(self._cells).take(source)

    def told(self, last: Cells, batch: Batch, first: int, row: int) -> list[dict[str, Any]]:
        """The message that a row of a part of the batch came from, and of a register the one before.

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
            earlier = np.flatnonzero(batch.slot[:row] == slot)
            before = self._cells[source[first + earlier[-1]]] if len(earlier) else last[slot]
            if before.any() and (before != cell).any():
                out.append({"role": BEFORE, **_told(before)})
        return out


def _whole(cells: Cells) -> NDArray[np.void]:
    return cells.view(_CELL)[:, 0]


def last_told(last: Cells, slot: int) -> list[dict[str, Any]]:
    """The last message of a meter; empty where nothing is known of it."""
    return [{"role": LAST, **_told(last[slot])}] if last[slot].any() else []


def _told(cell: NDArray[np.uint64]) -> dict[str, Any]:
    digest = cell[:2].tobytes()
    return {"digest": written_digest(digest), "received": iso(int(cell.view(np.int64)[2]))}
