"""Readings in SQLite as sorted runs: what one thread with one connection does.

A batch is appended as one row, the columns as they came (a *run* of level 0). When enough of
them lie there, they are merged into one run of level 1, sorted by series and time, cut into
chunks and packed; eight neighbours of one level are merged into one of the next. So every
write is sequential whatever the number of meters, and a meter's days are one or two chunks of
each run. See docs/adr/0006-history.md for what rows and indexes cost instead.

Of one series' readings at one instant the later written wins: runs are ordered by ``seq``, and
only neighbours are merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from connectors.sqlite_history.cells import Cells, join, packed, plain, read

VERSION = 1
APPLICATION = 0x464F5248  # "FORH", in the file's header

FRESH_RUNS, FRESH_ROWS = 128, 65_536  # level 0 is merged when it has so many
FAN = 8  # neighbours of a higher level that are merged
LARGEST = 1_000_000  # rows of a run; bounds a merge's memory to about 100 MB
CHUNK = 2048  # rows
SPANS = 16  # a run's readings were written within this part of the time that they are kept
STEP = 256  # chunks deleted in one transaction

_SCHEMA = """
CREATE TABLE series (
    key INTEGER PRIMARY KEY, meter TEXT NOT NULL, register TEXT NOT NULL, UNIQUE (meter, register)
);
CREATE TABLE units (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY, level INTEGER NOT NULL, rows INTEGER NOT NULL,
    oldest INTEGER NOT NULL, newest INTEGER NOT NULL,
    written_first INTEGER NOT NULL, written_last INTEGER NOT NULL
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    oldest INTEGER NOT NULL, newest INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX chunks_by_series ON chunks (run, last, first, oldest, newest);
CREATE INDEX chunks_by_time ON chunks (newest);
CREATE TABLE flags (
    key INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, at_ns INTEGER NOT NULL, meter TEXT NOT NULL,
    written INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX flags_by_time ON flags (at_ns);
CREATE INDEX flags_by_meter ON flags (meter, at_ns);
CREATE INDEX flags_by_age ON flags (written);
"""

_INSERT = "INSERT INTO chunks (run, first, last, oldest, newest, data) VALUES (?, ?, ?, ?, ?, ?)"


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables of an empty file.

    Raises ValueError for a file of another program or of a newer version.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION and version == VERSION:
        return
    if tables:
        what = f"a history of version {version}" if application == APPLICATION else "something else"
        raise ValueError(
            f"{path}: expected a history of version {VERSION} or an empty file, got {what}; "
            "name another file, or run the Forestall that wrote it"
        )
    made = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {made} COMMIT;")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """One transaction; rolled back on any error."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Runs:
    """The runs of a history file, over a connection in autocommit mode.

    keep_ns : how long a reading is kept after it was written
    """

    def __init__(self, connection: sqlite3.Connection, keep_ns: int) -> None:
        self._db = connection
        self._keep_ns = keep_ns
        self._span_ns = max(keep_ns // SPANS, 1)
        self._span = -1  # that the newest batch was written in
        self._fresh_runs = self._fresh_rows = 0
        self._count_fresh()

    def append(self, cells: Cells, now_ns: int) -> None:
        """Add a batch of at least one reading, within the caller's transaction."""
        seq = self._db.execute("SELECT coalesce(max(seq), 0) + 1 FROM runs").fetchone()[0]
        oldest, newest = int(cells.time_ns.min()), int(cells.time_ns.max())
        self._db.execute(
            "INSERT INTO runs VALUES (?, 0, ?, ?, ?, ?, ?)", (seq, cells.rows, oldest, newest, now_ns, now_ns)
        )
        first, last = int(cells.series.min()), int(cells.series.max())
        self._db.execute(_INSERT, (seq, first, last, oldest, newest, plain(cells)))
        self._fresh_runs += 1
        self._fresh_rows += cells.rows

    def merge(self, now_ns: int) -> None:
        """Merge what is due, a transaction each."""
        span = now_ns // self._span_ns
        if self._fresh_runs < FRESH_RUNS and self._fresh_rows < FRESH_ROWS and span == self._span:
            return
        self._span = span
        while True:
            with transaction(self._db):
                group = self._due(span)
                if not group:
                    break
                self._merge(group)
        self._count_fresh()

    def _count_fresh(self) -> None:
        query = "SELECT count(*), coalesce(sum(rows), 0) FROM runs WHERE level = 0"
        self._fresh_runs, self._fresh_rows = self._db.execute(query).fetchone()

    def _due(self, span: int) -> list[int]:
        """The ``seq`` of neighbours to be merged, in their order; empty where nothing is due."""
        runs = self._db.execute(
            "SELECT seq, level, rows, written_first / ? FROM runs ORDER BY seq", (self._span_ns,)
        ).fetchall()
        for (level, written), members in groupby(runs, key=lambda run: (run[1], run[3])):
            group = list(members)
            if level == 0:
                rows = sum(run[2] for run in group)
                due = len(group) >= FRESH_RUNS or rows >= FRESH_ROWS or (written < span and len(group) > 1)
            else:
                due = len(group) >= FAN
                group = group[:FAN]
            while len(group) > 1 and sum(run[2] for run in group) > LARGEST:
                group.pop()
            if due and (level == 0 or len(group) > 1):
                return [run[0] for run in group]
        return []

    def _merge(self, group: list[int]) -> None:
        """Put runs that follow each other into one of the next level."""
        db, low, high = self._db, group[0], group[-1]
        level, first, last = db.execute(
            "SELECT max(level), min(written_first), max(written_last) FROM runs WHERE seq BETWEEN ? AND ?",
            (low, high),
        ).fetchone()
        parts = db.execute(
            "SELECT data FROM chunks WHERE run BETWEEN ? AND ? ORDER BY run, last, id", (low, high)
        )
        cells = join([read(data) for (data,) in parts]).newest_of_each()
        db.execute("DELETE FROM chunks WHERE run BETWEEN ? AND ?", (low, high))
        db.execute("DELETE FROM runs WHERE seq BETWEEN ? AND ?", (low, high))
        oldest, newest = int(cells.time_ns.min()), int(cells.time_ns.max())
        db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
            (high, level + 1, cells.rows, oldest, newest, first, last),
        )
        for start in range(0, cells.rows, CHUNK):
            chunk = cells.take(slice(start, start + CHUNK))
            ends = (
                int(chunk.series[0]),
                int(chunk.series[-1]),
                int(chunk.time_ns.min()),
                int(chunk.time_ns.max()),
            )
            db.execute(_INSERT, (high, *ends, packed(chunk)))

    def expire(self, now_ns: int) -> bool:
        """Delete a little of what is too old; tell whether there was something."""
        limit = now_ns - self._keep_ns
        with transaction(self._db):
            run = self._db.execute("SELECT seq FROM runs WHERE written_last < ? LIMIT 1", (limit,)).fetchone()
            if run is not None:
                gone = self._db.execute(
                    "DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE run = ? LIMIT ?)",
                    (run[0], STEP),
                ).rowcount
                if gone < STEP:
                    self._db.execute("DELETE FROM runs WHERE seq = ?", run)
            flags = self._db.execute(
                "DELETE FROM flags WHERE key IN (SELECT key FROM flags WHERE written < ? LIMIT ?)",
                (limit, STEP),
            ).rowcount
        if run is not None or flags:
            # gives pages back to the file system, a few at a time
            self._db.execute(f"PRAGMA incremental_vacuum({STEP})").fetchall()
        return run is not None or flags > 0
