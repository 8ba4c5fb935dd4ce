"""The embedded history: readings and flags in one SQLite file, bounded by age.

    history = SqliteHistory("history.db", keep_days=400)
    rejects = await history.write(columns)              # in the worker
    reader = HistoryReader("history.db")                # in the web process
    for series in await reader.series("w-17", start_ns, end_ns): ...

One process writes, any number read. What counts for its age is when a reading was written, not
its own time: imports and replays are years old, and clocks go wrong.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from connectors.history_gate import Gate
from connectors.sqlite_history.reader import HistoryReader, Latest, Series, failure
from connectors.sqlite_history.writer import Writer
from streams.columns import Columns
from streams.messages import NS, Flag, Reject
from streams.ports import Rejected

__all__ = ["HistoryReader", "Latest", "Series", "SqliteHistory", "SqliteHistoryCounts"]

T = TypeVar("T")


@dataclass(slots=True)
class SqliteHistoryCounts:
    """What has happened since the start, for metrics."""

    readings: int = 0
    flags: int = 0
    rejects: int = 0
    failures: int = 0  # calls that ended as Unavailable or Rejected


class SqliteHistory(HistoryReader):
    """Writes a history file, and reads it; ``streams.ports.History``.

    path      : of the file, made if it is not there
    keep_days : what was written longer ago is deleted, at the latest a sixteenth of that time later
    full      : wait for the disk at every write; else a power cut, not a kill, may lose the last ones
    now_ns    : the wall clock
    """

    def __init__(
        self,
        path: str | Path,
        keep_days: float = 400.0,
        *,
        full: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not keep_days > 0:
            raise ValueError(f"expected keep_days > 0, got {keep_days}")
        super().__init__(path)
        self.counts = SqliteHistoryCounts()
        self._keep_ns = round(keep_days * 86_400 * NS)
        self._full = full
        self._now_ns = now_ns
        self._gate = Gate()
        self._writer: Writer | None = None
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="history-write")

    async def write(self, columns: Columns) -> list[Reject]:
        """Write a batch; see the port."""
        return await self._write(lambda writer: self._readings(writer, columns))

    async def write_flags(self, flags: Sequence[Flag]) -> list[Reject]:
        """Write flag events; see the port."""
        return await self._write(lambda writer: self._flags(writer, flags))

    async def tend(self) -> None:
        """Delete what is too old. Writing does so by itself; for times when nothing is written."""
        await self._write(lambda writer: writer.tend(self._now_ns(), to_the_end=True))

    async def close(self) -> None:
        """Wait for what is under way and let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._let_go)
        self._writing.shutdown()
        await super().close()

    def _readings(self, writer: Writer, columns: Columns) -> list[Reject]:
        kept, rejects = self._gate.sieve(columns)
        writer.write(kept, self._now_ns())
        self.counts.readings += len(kept)
        self.counts.rejects += len(rejects)
        return rejects

    def _flags(self, writer: Writer, flags: Sequence[Flag]) -> list[Reject]:
        rejects = writer.write_flags(flags, self._now_ns())
        self.counts.flags += len(flags) - len(rejects)
        self.counts.rejects += len(rejects)
        return rejects

    async def _write(self, work: Callable[[Writer], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._work, work)

    def _work(self, work: Callable[[Writer], T]) -> T:
        """Open the file if need be and do the work; what SQLite says becomes what the port says."""
        try:
            if self._writer is None:
                self._writer = self._open()
            return work(self._writer)
        except sqlite3.Error as error:
            self.counts.failures += 1
            self._let_go()  # the next call begins anew
            raise failure(self.path, error) from error

    def _open(self) -> Writer:
        try:
            return Writer(self.path, self._keep_ns, full=self._full)
        except ValueError as error:
            self.counts.failures += 1
            raise Rejected(self.path, str(error)) from error

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
