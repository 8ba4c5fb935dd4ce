"""Reading the log: records, ends, offsets of groups.

Reads run on the caller's thread, in small slices. A row takes about 10 µs; handing the
work to another thread would cost more, because every row would give up Python's lock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.sqlite_log.append import bounds, next_offsets
from connectors.sqlite_log.failures import broken, unavailable
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.records import Record, Topic, offset_of, record_id, unpack_headers
from connectors.sqlite_log.schema import open_reader

__all__ = ["Reader"]

FETCH = (
    "SELECT id, written_ms, timestamp_ms, headers, key, value FROM records "
    "WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
)


class Reader:
    """Reads one log file; of any thread, one call at a time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection; turn SQLite's errors into Unavailable."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = open_reader(self._options)
                yield self._connection
            except sqlite3.Error as error:
                if broken(error):
                    self._forget()
                raise unavailable(self._options.path, error) from error

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def topics(self) -> dict[str, Topic]:
        """Return every topic."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT name, partitions, first_tp, compact, tombstone_ms FROM topics"
            ).fetchall()
        return {row[0]: Topic(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows}

    def version(self) -> int:
        """Return a number that changes when another connection has written."""
        with self._reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def ends(self, tps: Sequence[int]) -> dict[int, int]:
        """Return the next offset of each partition."""
        with self._reading() as connection:
            return next_offsets(connection, tps)

    def starts(self, tps: Sequence[int]) -> dict[int, int]:
        """Return the first offset that each partition still holds, or its next where it holds none."""
        found: dict[int, int] = {}
        with self._reading() as connection:
            for tp in tps:
                first = connection.execute(
                    "SELECT min(id) FROM records WHERE id BETWEEN ? AND ?", bounds(tp)
                ).fetchone()[0]
                found[tp] = 0 if first is None else offset_of(first)
        return found

    def fetch(
        self, tp: int, start: int, max_records: int, max_bytes: int, end: int | None = None
    ) -> list[Record]:
        """Return records from offset ``start`` (before ``end``), at least one if there is any.

        The list stops at ``max_records``, or after the record that reaches ``max_bytes``.
        """
        first, last = record_id(tp, start), bounds(tp)[1] if end is None else record_id(tp, end) - 1
        found: list[Record] = []
        room = max_bytes
        with self._reading() as connection:
            cursor = connection.execute(FETCH, (first, last, max_records))
            for row, written_ms, timestamp_ms, headers, key, value in cursor:
                found.append(
                    Record(
                        offset_of(row),
                        key,
                        value,
                        written_ms if timestamp_ms is None else timestamp_ms,
                        unpack_headers(headers),
                    )
                )
                room -= (len(value) if value else 0) + (len(key) if key else 0)
                if room <= 0:
                    break
            cursor.close()
        return found

    def committed(self, group: str) -> dict[int, int | None]:
        """Return what a group has committed: partition → next offset, None where only registered."""
        with self._reading() as connection:
            return dict(
                connection.execute("SELECT tp, next_offset FROM group_offsets WHERE name = ?", (group,))
            )

    def groups(self) -> Mapping[str, dict[int, int | None]]:
        """Return every group with what it has committed."""
        with self._reading() as connection:
            rows = connection.execute("SELECT name, tp, next_offset FROM group_offsets").fetchall()
        found: dict[str, dict[int, int | None]] = {}
        for name, tp, offset in rows:
            found.setdefault(name, {})[tp] = offset
        return found

    def dropped(self) -> dict[str, int]:
        """Return how many records of each topic went before a group had read them."""
        with self._reading() as connection:
            return dict(connection.execute("SELECT name, dropped_unread FROM topics"))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._forget()
