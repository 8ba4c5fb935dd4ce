"""The habit's features of every day, by the detector and by its obvious twin."""

from __future__ import annotations

import json
from dataclasses import replace
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
from streams.programs import compose
from streams.state.bank import STEP
from tests.naive.habit import Book, Figures, close, look
from tests.streams_of_readings import (
    Stream,
    feed,
    make_bank,
)
from tests.twins import validated

Seen = dict[tuple[str, int], NDArray[np.float32]]


class Watched(Habit):
    """The detector, with the features of every day laid aside, and those of every mark."""

    __slots__ = ("marks", "seen")

    def __init__(self, heads: Heads, **given: float) -> None:
        super().__init__(heads=heads, **given)  # type: ignore[arg-type]
        object.__setattr__(self, "seen", [])
        object.__setattr__(self, "marks", [])

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Close the days, and keep what was seen."""
        trace = np.full((meters, len(NAMES) + 2), -1, np.float32)
        found = self.close(state, meters, watermark, out, trace)
        self.seen.extend(trace[trace[:, 0] >= 0])  # type: ignore[attr-defined]
        more, rows = self.look(state, meters, watermark, out[found:], trace := np.empty_like(trace))
        self.marks.extend(trace[:rows])  # type: ignore[attr-defined]
        return found + more


def watch(stream: Stream, heads: Heads = NONE) -> tuple[Seen, list[Flag]]:
    """Features by meter and day, and the flags."""
    seen, _, flags = watch_all(stream, heads)
    return seen, flags


def watch_all(stream: Stream, heads: Heads, **given: float) -> tuple[Seen, Seen, list[Flag]]:
    """Features by meter and day, those of the marks by meter and hour, and the flags."""
    habit = Watched(heads, **given)
    bank = make_bank(stream.meters, (Intervals(), habit))
    flags = [f for f in feed(bank, stream.rows).flags if f.kind in Habit.kinds]
    kept: list[list[NDArray[np.float32]]] = [habit.seen, habit.marks]  # type: ignore[attr-defined]
    days, marks = ({(bank.channels[int(row[0])], int(row[1])): row[2:] for row in rows} for rows in kept)
    return days, marks, flags


def mute() -> Heads:
    """The heads that ship, without a tree: their weight is 0 on every day."""
    heads = compose.heads()
    return replace(heads, first=np.zeros_like(heads.first))


def obvious(stream: Stream) -> dict[tuple[str, int], Figures]:
    """Features by meter and day, by the twin."""
    return obvious_all(stream)[0]


def obvious_all(stream: Stream) -> tuple[dict[tuple[str, int], Figures], dict[tuple[str, int], Figures]]:
    """Of days and of marks by the twin: both are looked for when the watermark enters a new hour."""
    taken, _ = validated(stream)
    books = {
        m.meter_id: Book(m.meter_id, m.tz, (m.home_area,), (m.commodity, m.meter_class, m.unit))
        for m in stream.meters
    }
    seen: dict[tuple[str, int], Figures] = {}
    marks: dict[tuple[str, int], Figures] = {}
    newest: int | None = None
    for row, one in zip(stream.rows, taken, strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is not None and (row.time - 1) // STEP != (newest - 1) // STEP:
                seen |= close(list(books.values()), row.time)
                marks |= look(list(books.values()), row.time)
            newest = row.time
        books[row.meter].take(one)
    return seen, marks


def trees() -> Any:
    """The trees that are shipped, as they are written."""
    return json.loads((files("detectors") / "heads.json").read_text("utf-8"))
