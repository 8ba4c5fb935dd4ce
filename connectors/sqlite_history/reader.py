"""Questions to the embedded history, from any process, while another writes it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from connectors.sqlite_history.cells import Cells, join, read
from connectors.sqlite_history.runs import prepare, transaction
from streams.messages import Flag
from streams.ports import PortError, Rejected, Unavailable

T = TypeVar("T")

EVER = (-(2**63), 2**63 - 1)
_FEW = 1000  # series; of so many each is looked up, of more those that spoke last are found by time


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one register of one meter by time; arrays of shape (n,).

    unit : a UCUM code a reading, for a meter may change it; empty: the registry's
    """

    meter_id: str
    register: str  # empty: the total
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    kind: NDArray[np.uint8]  # of streams.messages.Kind
    quality: NDArray[np.uint8]  # of Quality
    marks: NDArray[np.uint16]  # of Mark
    unit: list[str]

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest reading of a meter."""

    meter_id: str
    register: str
    time_ns: int
    value: float
    kind: int
    quality: int
    marks: int
    unit: str


class HistoryReader:
    """Reads a history file; one that is not there yet is empty.

    Its calls run in a thread of their own, one after another.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._connection: sqlite3.Connection | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="history-read")

    async def series(self, meter_id: str, start_ns: int = EVER[0], end_ns: int = EVER[1]) -> list[Series]:
        """A meter's readings from ``start_ns`` to ``end_ns``, both included: one Series a register.

        A meter that is not known has none. Raises Unavailable, or Rejected for a file that is no history.
        """
        return (await self.series_of([meter_id], start_ns, end_ns))[meter_id]

    async def series_of(
        self, meter_ids: Iterable[str], start_ns: int = EVER[0], end_ns: int = EVER[1]
    ) -> dict[str, list[Series]]:
        """``series`` of several meters at once, by meter id."""
        names = list(dict.fromkeys(meter_ids))
        empty: dict[str, list[Series]] = {name: [] for name in names}
        return await self._ask(lambda db: _series(db, names, start_ns, end_ns), empty)

    async def latest(self, limit: int = 100) -> list[Latest]:
        """The newest reading of each meter, newest first, of the ``limit`` meters that spoke last."""
        return await self._ask(lambda db: _latest(db, limit), [])

    async def flags(self, limit: int = 100, meter_id: str = "") -> list[Flag]:
        """Flag events by their ``at``, newest first; of one meter if one is named."""
        return [flag for _, flag in await self.flag_page(limit, meter_id)]

    async def flag_page(
        self, limit: int = 100, meter_id: str = "", before: tuple[int, int] | None = None
    ) -> list[tuple[tuple[int, int], Flag]]:
        """The same, each with its mark; ``before`` is the mark of the last of the page before."""
        return await self._ask(lambda db: _flags(db, limit, meter_id, before), [])

    async def close(self) -> None:
        """Let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._asking, self._hang_up)
        self._asking.shutdown()

    async def _ask(self, question: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, self._answer, question, nothing)

    def _answer(self, question: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        try:
            if self._connection is None:
                if not Path(self.path).exists():
                    return nothing
                connection = connect(self.path)
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'flags'").fetchone():
                    # made, but its tables are not there yet
                    connection.close()
                    return nothing
                prepare(connection, self.path)
                connection.execute("PRAGMA query_only = 1")
                self._connection = connection
            # one state of the file for all that a question reads
            with transaction(self._connection, "DEFERRED"):
                return question(self._connection)
        except sqlite3.Error as error:
            self._hang_up()
            raise failure(self.path, error) from error
        except ValueError as error:
            self._hang_up()
            raise Rejected(self.path, str(error)) from error

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(path: str) -> sqlite3.Connection:
    """Open a history file in autocommit mode, to be used by one thread at a time."""
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cache_size = -16384")  # KiB
    return connection


def failure(path: str, error: sqlite3.Error) -> PortError:
    """What an error of SQLite means for the caller."""
    what = f"{type(error).__name__}: {error}"
    # locked, full, cannot be opened or written: a person or time may help, the call may be repeated
    if isinstance(error, sqlite3.OperationalError):
        return Unavailable(path, what)
    return Rejected(path, f"{what}; move the file away, or put a copy in its place")


def _series(db: sqlite3.Connection, names: Sequence[str], start: int, end: int) -> dict[str, list[Series]]:
    keys = {
        int(key): (name, register)
        for name in names
        for key, register in db.execute(
            "SELECT key, register FROM series WHERE meter = ? ORDER BY register", (name,)
        )
    }
    out: dict[str, list[Series]] = {name: [] for name in names}
    if not keys:
        return out
    cells = _gather(db, np.array(sorted(keys), np.uint32), start, end)
    units = dict(db.execute("SELECT key, name FROM units"))
    for key, (name, register) in keys.items():
        first, last = np.searchsorted(cells.series, [key, key + 1])
        if first < last:
            c = cells.take(slice(int(first), int(last)))
            unit = [units[code] for code in c.unit.tolist()]
            out[name].append(Series(name, register, c.time_ns, c.value, c.kind, c.quality, c.marks, unit))
    return out


def _gather(db: sqlite3.Connection, keys: NDArray[np.uint32], start: int, end: int) -> Cells:
    """The readings of some series (sorted keys) in a span of time, sorted by series and time."""
    low, high = int(keys[0]), int(keys[-1])
    parts = []
    for (run,) in db.execute(
        "SELECT seq FROM runs WHERE newest >= ? AND oldest <= ? ORDER BY seq", (start, end)
    ).fetchall():
        chunks = db.execute(
            "SELECT id, first, last FROM chunks WHERE run = ? AND last >= ? AND first <= ? "
            "AND newest >= ? AND oldest <= ? ORDER BY last, id",
            (run, low, high, start, end),
        ).fetchall()
        for chunk, first, last in chunks:
            if np.searchsorted(keys, first) == np.searchsorted(keys, last, side="right"):
                continue  # none of ours between its first and its last
            cells = read(db.execute("SELECT data FROM chunks WHERE id = ?", (chunk,)).fetchone()[0])
            wanted = (cells.time_ns >= start) & (cells.time_ns <= end)
            wanted &= cells.series == low if len(keys) == 1 else np.isin(cells.series, keys)
            if wanted.any():
                parts.append(cells.take(wanted))
    return join(parts).newest_of_each()


class _Found(NamedTuple):
    """A meter's newest reading so far; of two, the later, and at one instant the later written."""

    time_ns: int
    run: int
    key: int
    value: float
    unit: int
    kind: int
    quality: int
    marks: int


def _latest(db: sqlite3.Connection, limit: int) -> list[Latest]:
    some = db.execute("SELECT key, meter, register FROM series LIMIT ?", (max(limit, _FEW) + 1,)).fetchall()
    names = {int(key): (meter, register) for key, meter, register in some}
    # by time alone, a meter that fell silent long ago would cost the reading of all since
    best = _look_up(db, names) if len(some) <= max(limit, _FEW) else _by_time(db, limit, names)
    units = dict(db.execute("SELECT key, name FROM units"))
    newest = sorted(best.items(), key=lambda item: (-item[1].time_ns, item[0]))[: max(limit, 0)]
    return [
        Latest(meter, names[f.key][1], f.time_ns, f.value, f.kind, f.quality, f.marks, units[f.unit])
        for meter, f in newest
    ]


def _look_up(db: sqlite3.Connection, names: dict[int, tuple[str, str]]) -> dict[str, _Found]:
    """The newest reading of every meter, by the index: a chunk or two of each series are read."""
    runs = db.execute("SELECT seq, newest FROM runs ORDER BY newest DESC, seq DESC").fetchall()

    @lru_cache(maxsize=64)
    def cells_of(chunk: int) -> Cells:
        return read(db.execute("SELECT data FROM chunks WHERE id = ?", (chunk,)).fetchone()[0])

    best: dict[str, _Found] = {}
    for key, (meter, _) in sorted(names.items()):
        found: _Found | None = None
        for run, newest in runs:
            if found is not None and newest < found.time_ns:
                break
            for upto, chunk in _chunks_with(db, run, key):
                if found is not None and upto < found.time_ns:
                    break
                cells = cells_of(chunk)
                rows = np.flatnonzero(cells.series == key)
                if len(rows):
                    # of one instant the last row: it was written later
                    row = int(rows[::-1][np.argmax(cells.time_ns[rows][::-1])])
                    series, time_ns, *rest = (column[row].item() for column in cells.columns)
                    here = _Found(time_ns, run, series, *rest)
                    if found is None or here[:2] > found[:2]:
                        found = here
        if found is not None and (meter not in best or found[:2] > best[meter][:2]):
            best[meter] = found
    return best


def _chunks_with(db: sqlite3.Connection, run: int, key: int) -> list[tuple[int, int]]:
    """Chunks of a run that may hold a series, as (newest time, id), newest first; from the index alone."""
    out = []
    for chunk, first, newest in db.execute(
        "SELECT id, first, newest FROM chunks WHERE run = ? AND last >= ? ORDER BY last, first", (run, key)
    ):
        if first > key:
            break  # a run is sorted by series: so are all that follow
        out.append((int(newest), int(chunk)))
    return sorted(out, reverse=True)


def _by_time(db: sqlite3.Connection, limit: int, names: dict[int, tuple[str, str]]) -> dict[str, _Found]:
    """The newest reading of the ``limit`` meters that spoke last, of many; ``names`` learns their series."""
    best: dict[str, _Found] = {}
    cutoff = EVER[0]
    for run, newest, data in db.execute(
        "SELECT run, newest, data FROM chunks ORDER BY newest DESC, run DESC"
    ):
        if limit < 1 or newest < cutoff:
            break
        cells = read(data)
        # what ties with the last of the list matters only if it may be a correction of that one
        ours = np.fromiter((found.key for found in best.values()), np.uint32)
        wanted = cells.time_ns > cutoff
        wanted |= (cells.time_ns == cutoff) & np.isin(cells.series, ours)
        cells = cells.take(wanted).newest_of_each()
        seen: set[str] = set()
        for row in np.argsort(-cells.time_ns, kind="stable").tolist():
            key = int(cells.series[row])
            if key not in names:
                names[key] = db.execute("SELECT meter, register FROM series WHERE key = ?", (key,)).fetchone()
            meter = names[key][0]
            if meter in seen:
                continue
            if len(seen) == limit:
                break
            seen.add(meter)
            series, time_ns, *rest = (column[row].item() for column in cells.columns)
            found = _Found(time_ns, run, series, *rest)
            if meter not in best or found[:2] > best[meter][:2]:
                best[meter] = found
        if len(best) >= limit:
            keep = sorted(best.items(), key=lambda item: (-item[1].time_ns, item[0]))[:limit]
            best, cutoff = dict(keep), keep[-1][1].time_ns
    return best


def _flags(
    db: sqlite3.Connection, limit: int, meter_id: str, before: tuple[int, int] | None
) -> list[tuple[tuple[int, int], Flag]]:
    given: list[str | int] = []
    where = []
    if meter_id:
        where.append("meter = ?")
        given.append(meter_id)
    if before is not None:
        where.append("(at_ns, key) < (?, ?)")
        given += before
    which = f"WHERE {' AND '.join(where)} " if where else ""
    # of our own words alone; what is given stands in the parameters
    query = f"SELECT at_ns, key, body FROM flags {which}ORDER BY at_ns DESC, key DESC LIMIT ?"  # noqa: S608
    rows = db.execute(query, (*given, limit))
    return [((at, key), msgspec.json.decode(body, type=Flag)) for at, key, body in rows]
