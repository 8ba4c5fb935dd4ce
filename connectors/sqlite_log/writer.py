"""The one thread of a process that writes the log: group commit, checkpoints, retention."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from connectors.sqlite_log.append import write_commits, write_records
from connectors.sqlite_log.chores import Chores
from connectors.sqlite_log.failures import LogFull, broken, unavailable
from connectors.sqlite_log.locks import WriteTurn
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.records import Append, Commit, Task
from connectors.sqlite_log.retention import used_bytes
from connectors.sqlite_log.schema import PAGE, open_writer
from connectors.sqlite_log.stats import Stats
from streams.ports import PortError, Unavailable

__all__ = ["Ends", "Job", "Writer"]

logger = logging.getLogger(__name__)

Job = Append | Commit | Task
#: partition number → its next offset, for those that were written to
Ends = Mapping[int, int]
#: what became of one job: its future and the result or the error
Outcome = tuple["Future[Any]", Any, PortError | None]

#: bytes in one transaction: a large checkpoint must not keep other processes waiting
GROUP_BYTES = 8 * 2**20
GROUP_JOBS = 4096

TELL_S = 10.0  # trouble that lasts is logged so often

#: what replaces older records of its keys takes no room, give or take a page
SLACK_BYTES = 4 * PAGE


class _TooMuchError(Exception):
    """A transaction would pass retention_size."""


class Writer(threading.Thread):
    """Writes what is queued, as much as has gathered in one transaction.

    options   : the log
    turn      : its turn among the processes
    stats     : where it counts
    published : called in this thread after each transaction with the ends that it moved, the
                outcomes by event loop and the bytes of the jobs; hands them to those loops
    """

    def __init__(
        self,
        options: Options,
        turn: WriteTurn,
        stats: Stats,
        published: Callable[[Ends, dict[AbstractEventLoop, list[Outcome]], int], None],
    ) -> None:
        super().__init__(name=f"log-writer {options.path.name}", daemon=True)
        self._options = options
        self._turn = turn
        self._stats = stats
        self._published = published
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._kept: Job | None = None  # taken from the queue, but too large for the group
        self._group_bytes = GROUP_BYTES
        if options.retention_size is not None:
            self._group_bytes = min(GROUP_BYTES, options.retention_size // 20)
        self._connection: sqlite3.Connection | None = None
        self.chores = Chores(options, turn, stats, self._connected, self._writing)
        self._in_trouble = False
        self._told = -TELL_S  # when trouble was last logged
        self._stopping = False

    def submit(self, job: Job) -> None:
        """Queue a job; its future is resolved in its loop after the commit."""
        self._queue.put(job)

    def stop(self) -> None:
        """Write what is queued, then end; join() waits for it."""
        self._queue.put(None)

    def run(self) -> None:
        """Work until stopped."""
        try:
            while not self._stopping:
                jobs = self._gather()
                if jobs:
                    self._write(jobs)
                self._keep_house(idle=not jobs)
        finally:
            self._fail_rest()
            if self._connection is not None:
                self._connection.close()

    # -- gathering

    def _gather(self) -> list[Job]:
        """Wait for work and return what belongs into one transaction."""
        job, self._kept = self._kept, None
        if job is None:
            try:
                job = self._queue.get(timeout=self.chores.patience())
            except queue.Empty:
                return []
            if job is None:
                self._stopping = True
                return []
        jobs = [job]
        size = job.size
        # a task stands alone, so that its failure is its own
        while not isinstance(job, Task) and size < self._group_bytes and len(jobs) < GROUP_JOBS:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            if isinstance(job, Task) or size + job.size > self._group_bytes:
                self._kept = job
                break
            jobs.append(job)
            size += job.size
        return jobs

    # -- writing

    def _write(self, jobs: Sequence[Job]) -> None:
        ends: dict[int, int] = {}
        started = time.perf_counter()
        try:
            if isinstance(jobs[0], Task):
                with self._writing() as connection:
                    results: list[Any] = [jobs[0].run(connection)]
                self.chores.groups_moved()  # one may have been forgotten
            else:
                results = self._write_group(jobs, ends)
        except PortError as error:
            self._failed(jobs, error)
            return
        except (sqlite3.Error, OSError) as error:
            self._recover(error)
            self._failed(jobs, unavailable(self._options.path, error))
            return
        except Exception as error:  # the supervisor: whoever waits must hear of it
            logger.exception(
                "%s: a transaction failed in a way that was not foreseen", self._options.endpoint
            )
            self._failed(jobs, Unavailable(self._options.endpoint, f"unexpected {error!r}"))
            return
        if self._in_trouble:
            self._in_trouble = False
            logger.warning("%s: writing works again", self._options.endpoint)
        size = sum(job.size for job in jobs)
        self.chores.wrote(size + 4 * PAGE)
        self._stats.committed(len(jobs), size, time.perf_counter() - started)
        done: dict[AbstractEventLoop, list[Outcome]] = {}
        for job, result in zip(jobs, results, strict=True):
            error_ = result if isinstance(result, PortError) else None
            done.setdefault(job.waiter.loop, []).append((job.waiter.future, result, error_))
        self._published(ends, done, size)

    def _write_group(self, jobs: Sequence[Job], ends: dict[int, int]) -> list[Any]:
        """Write records and offsets in one transaction; return the results in order."""
        appends = [job for job in jobs if isinstance(job, Append)]
        commits = [job for job in jobs if isinstance(job, Commit)]
        refusal: LogFull | None = None
        offsets: list[int] = []
        try:
            offsets = self._transact(appends, commits)
        except _TooMuchError:
            self.chores.make_room(sum(job.size for job in appends))
            try:
                offsets = self._transact(appends, commits)
            except _TooMuchError:
                refusal = self.chores.refusal()
                self._stats.refused += len(appends)
                # what has been read must be noted all the same: it makes room
                self._transact([], commits)
        written = iter(offsets)
        results: list[Any] = []
        for job in jobs:
            if not isinstance(job, Append):
                results.append(None)
            elif refusal is not None:
                results.append(refusal)
            else:
                offset = next(written)
                ends[job.tp] = offset + 1
                tell = job.waiter.result
                results.append(offset if tell is None else tell(offset))
        return results

    def _transact(self, appends: Sequence[Append], commits: Sequence[Commit]) -> list[int]:
        """Write one transaction; _TooMuchError, with nothing written, if it would pass the bound."""
        offsets: list[int] = []
        if not appends and not commits:
            return offsets
        bounded = self._options.retention_size is not None and appends
        now_ms = time.time_ns() // 1_000_000
        with self._writing() as connection:
            before = used_bytes(connection) if bounded else 0
            if commits:
                write_commits(connection, commits, now_ms)
                self.chores.groups_moved()
            if appends:
                offsets = write_records(connection, appends, now_ms)
            if bounded:
                slack = SLACK_BYTES if all(append.topic.compact for append in appends) else 0
                if self.chores.too_much(before + slack, used_bytes(connection)):
                    raise _TooMuchError
        return offsets

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection within a transaction that is committed at the end."""
        with self._turn:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_writer(self._options)
        return self._connection

    def _keep_house(self, idle: bool) -> None:
        try:
            self.chores.keep(idle)
        except (PortError, sqlite3.Error, OSError) as error:
            self._recover(error)
        except Exception:  # the supervisor: writing must go on
            logger.exception("%s: a chore failed in a way that was not foreseen", self._options.endpoint)
            self.chores.failed()

    # -- trouble

    def _recover(self, error: BaseException) -> None:
        """After a failure: say so, and begin with a new connection where that may help."""
        self._in_trouble = True
        if time.monotonic() - self._told >= TELL_S:
            self._told = time.monotonic()
            if isinstance(error, sqlite3.Error | OSError):
                logger.error("%s", unavailable(self._options.path, error))
            else:
                logger.error("%s", error)
        self.chores.failed()
        if isinstance(error, sqlite3.Error) and broken(error) and self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _failed(self, jobs: Sequence[Job], error: PortError) -> None:
        self._stats.failed += len(jobs)
        done: dict[AbstractEventLoop, list[Outcome]] = {}
        for job in jobs:
            done.setdefault(job.waiter.loop, []).append((job.waiter.future, None, error))
        self._published({}, done, sum(job.size for job in jobs))

    def _fail_rest(self) -> None:
        """Tell whoever still waits that nobody will write any more."""
        rest = [] if self._kept is None else [self._kept]
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                rest.append(job)
        if rest:
            self._failed(rest, Unavailable(self._options.endpoint, "it was closed"))
