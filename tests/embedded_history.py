"""What the tests of the embedded history share: readings, a clock, and the obvious dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from connectors.history_sqlite import Series, SqliteHistory
from connectors.sqlite_history import runs
from streams.columns import Columns, from_rows
from streams.messages import Flag, Source
from streams.ports import Rows

T = TypeVar("T")

DAY = 86_400_000_000_000
T0 = 1_700_000_000_000_000_000
SOURCE = Source(adapter="test", topic="t", received_ns=T0)

#: meter, register, time, value, unit, kind, quality, marks
Reading = tuple[str, str, int, float, str, int, int, int]


def batch(readings: list[Reading]) -> Columns:
    rows = Rows()
    for meter, register, time_ns, value, unit, kind, quality, marks in readings:
        rows.add(meter, time_ns, value, kind, unit, quality, marks)
        if register:
            rows.note("register", register)
    return from_rows(rows, [SOURCE], np.zeros(len(rows), np.uint32))


def one(meter: str, time_ns: int, value: float, register: str = "") -> Reading:
    return meter, register, time_ns, value, "m3", 1, 0, 0


def flag(number: int, **more: Any) -> Flag:
    plain: dict[str, Any] = {
        "id": f"f-{number}", "meter_id": "m", "kind": "leak", "family": "leak", "status": "raised",
        "at": f"2023-01-01T00:{number:02}:00Z", "start": "2023-01-01T00:00:00Z",
        "end": "2023-01-01T00:00:00Z", "score": 1.5, "observed": 2.0, "expected": None,
        "unit": "m3/h", "evidence": {"nights": [1, 2]},
    }  # fmt: skip
    return Flag(**{**plain, **more})


class Clock:
    """A wall clock set by hand."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


def run(work: Callable[[SqliteHistory], Awaitable[T]], path: Path | str, **more: Any) -> T:
    """Open a history, do something with it, close it."""

    async def inside() -> T:
        history = SqliteHistory(path, **more)
        try:
            return await work(history)
        finally:
            await history.close()

    return asyncio.run(inside())


def flat(found: list[Series]) -> list[Reading]:
    return [
        (s.meter_id, s.register, *row)
        for s in found
        for row in zip(
            s.time_ns.tolist(), s.value.tolist(), s.unit, s.kind.tolist(), s.quality.tolist(),
            s.marks.tolist(), strict=True,
        )
    ]  # fmt: skip


class Naive:
    """What a history is: the newest write by meter, register and time."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, int], Reading] = {}

    def write(self, readings: list[Reading]) -> None:
        for reading in readings:
            self.kept[reading[:3]] = reading

    def series(self, meter: str, start: int, end: int) -> list[Reading]:
        return [r for key, r in sorted(self.kept.items()) if key[0] == meter and start <= key[2] <= end]

    def latest(self, limit: int) -> list[tuple[int, str]]:
        newest: dict[str, int] = {}
        for meter, _, time_ns in self.kept:
            newest[meter] = max(newest.get(meter, 0), time_ns)
        return sorted(((t, m) for m, t in newest.items()), key=lambda pair: (-pair[0], pair[1]))[:limit]


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs so small that a few batches make several levels of many chunks."""
    for name, value in {"FRESH_RUNS": 3, "FRESH_ROWS": 12, "FAN": 2, "CHUNK": 4, "LARGEST": 60}.items():
        monkeypatch.setattr(runs, name, value)
