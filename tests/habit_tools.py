"""The habit's features of every day, by the detector and by its obvious twin."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import Habit, Intervals
from detectors.base import State
from detectors.batch import Records
from detectors.features import NAMES
from detectors.heads import NONE, Heads
from streams.messages import Flag
from streams.state.bank import STEP
from tests.naive.habit import Book, Figures, close
from tests.streams_of_readings import (
    Stream,
    feed,
    make_bank,
)
from tests.twins import validated

Seen = dict[tuple[str, int], NDArray[np.float32]]


class Watched(Habit):
    """The detector, with the features of every day laid aside."""

    __slots__ = ("seen",)

    def __init__(self, heads: Heads) -> None:
        super().__init__(heads=heads)
        object.__setattr__(self, "seen", [])

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Close the days, and keep what was seen."""
        trace = np.full((meters, len(NAMES) + 2), -1, np.float32)
        found = self.close(state, meters, watermark, out, trace)
        self.seen.extend(trace[trace[:, 0] >= 0])  # type: ignore[attr-defined]
        return found


def watch(stream: Stream, heads: Heads = NONE) -> tuple[Seen, list[Flag]]:
    """Features by meter and day, and the flags."""
    habit = Watched(heads)
    bank = make_bank(stream.meters, (Intervals(), habit))
    flags = [f for f in feed(bank, stream.rows).flags if f.kind in Habit.kinds]
    rows: list[NDArray[np.float32]] = habit.seen  # type: ignore[attr-defined]
    return {(bank.channels[int(row[0])], int(row[1])): row[2:] for row in rows}, flags


def obvious(stream: Stream) -> dict[tuple[str, int], Figures]:
    """The same by the twin: days close when the watermark enters a new hour."""
    taken, _ = validated(stream)
    books = {
        m.meter_id: Book(m.meter_id, m.tz, (m.home_area,), (m.commodity, m.meter_class, m.unit))
        for m in stream.meters
    }
    seen: dict[tuple[str, int], Figures] = {}
    newest: int | None = None
    for row, one in zip(stream.rows, taken, strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is not None and (row.time - 1) // STEP != (newest - 1) // STEP:
                seen |= close(list(books.values()), row.time)
            newest = row.time
        books[row.meter].take(one)
    return seen


def trees() -> Any:
    """The trees that are shipped, as they are written."""
    return json.loads((files("detectors") / "heads.json").read_text("utf-8"))
