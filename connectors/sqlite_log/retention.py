"""What leaves the log: by age, by size, and deletions that everyone has seen.

What a registered group has not read stays, whatever its age. Where the size bound is
reached, records that every group has read go first, the oldest of all topics first. If
that is not enough, the log refuses new records (``when_full=refuse``), or drops unread
ones with an error in the log and a count in the file (``when_full=drop``).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from connectors.sqlite_log.append import bounds
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.records import offset_of
from connectors.sqlite_log.schema import page_size

__all__ = ["Retention", "used_bytes"]

logger = logging.getLogger(__name__)

#: fractions of retention_size: where sweeping begins, how far it goes
HIGH, LOW = 0.85, 0.80

#: one transaction removes at most so much: others wait for it
CHUNK_RECORDS, CHUNK_BYTES = 512, 8 * 2**20

#: free pages beyond both of these are given back to the file system, so many at a time
SPARE_PAGES, SPARE_SHARE, VACUUM_PAGES = 2048, 4, 256

Writing = Callable[[], AbstractContextManager[sqlite3.Connection]]


class Part(NamedTuple):
    """A partition whose records may leave."""

    topic: str
    partition: int
    tp: int
    last: int  # its last record's row number: that one stays, offsets count on from it
    unread: int  # row number of the first record that a group has not read; last where there is none
    compact: bool
    age_ms: int | None
    max_bytes: int | None


class Retention:
    """Removes what may go, in short transactions.

    writing : lends the connection within a transaction of its own
    """

    def __init__(self, options: Options, writing: Writing) -> None:
        self._options = options
        self._writing = writing
        age = options.retention_age_s
        self.interval_s = 30.0 if age is None else min(30.0, max(0.2, age / 4))

    def claim(self, now_ms: int) -> bool:
        """Tell whether a sweep is due, and take it on: one process does it for all."""
        with self._writing() as connection:
            row = connection.execute("SELECT done_ms FROM chores WHERE name = 'retention'").fetchone()
            # a time in the future: somebody has set the clock back
            if row and now_ms - self.interval_s * 1000 < row[0] <= now_ms:
                return False
            connection.execute("INSERT OR REPLACE INTO chores VALUES('retention', ?)", (now_ms,))
        return True

    def sweep(self, now_ms: int) -> Iterator[None]:
        """Remove what is too old or too much; each step is one short transaction."""
        with self._writing() as connection:
            parts = self._parts(connection)
        for part in parts:
            if part.age_ms is not None:
                yield from self._by_age(part, now_ms - part.age_ms)
            if part.max_bytes is not None:
                yield from self._by_bytes(part, part.max_bytes)
        yield from self._tombstones(now_ms)
        if self._options.retention_size is not None:
            yield from self.make_room(int(self._options.retention_size * LOW), HIGH / LOW)
        yield from self._vacuum()

    def make_room(self, goal: int, slack: float = 1.0) -> Iterator[None]:
        """Remove the oldest records until ``goal`` bytes are used, if more than goal × slack are.

        The last one of a partition stays, and what is unread unless ``when_full=drop``.
        """
        with self._writing() as connection:
            if used_bytes(connection) <= goal * slack:
                return
            parts = self._parts(connection)
        for unread in (False, True) if self._options.when_full == "drop" else (False,):
            while True:
                with self._writing() as connection:
                    if used_bytes(connection) <= goal or not self._drop_oldest(connection, parts, unread):
                        break
                yield

    def holders(self) -> list[str]:
        """Say which groups keep records from leaving: ``group (topic/partition: n unread)``."""
        with self._writing() as connection:
            parts = {part.tp: part for part in self._parts(connection)}
            rows = connection.execute(
                "SELECT name, tp, coalesce(next_offset, 0) FROM group_offsets"
            ).fetchall()
        behind = sorted(
            ((offset_of(parts[tp].last) + 1 - offset, name, tp) for name, tp, offset in rows if tp in parts),
            reverse=True,
        )
        return [
            f"{name} ({parts[tp].topic}/{parts[tp].partition}: {count} unread)"
            for count, name, tp in behind
            if count > 0
        ]

    def _parts(self, connection: sqlite3.Connection) -> list[Part]:
        read = dict(
            connection.execute("SELECT tp, min(coalesce(next_offset, 0)) FROM group_offsets GROUP BY tp")
        )
        log_age = self._options.retention_age_s
        parts = []
        for topic, count, first_tp, compact, own_age_ms, max_bytes in connection.execute(
            "SELECT name, partitions, first_tp, compact, retention_ms, retention_bytes FROM topics "
            "WHERE expire = 1"
        ).fetchall():
            if own_age_ms is None:
                age_ms = None if log_age is None else int(log_age * 1000)
            else:
                age_ms = own_age_ms if own_age_ms >= 0 else None
            for tp in range(first_tp, first_tp + count):
                first, final = bounds(tp)
                last = connection.execute(
                    "SELECT max(id) FROM records WHERE id BETWEEN ? AND ?", (first, final)
                ).fetchone()[0]
                if last is not None:
                    unread = min(first + read[tp], last) if tp in read else last
                    parts.append(
                        Part(topic, tp - first_tp, tp, last, unread, bool(compact), age_ms, max_bytes)
                    )
        return parts

    def _by_age(self, part: Part, cutoff_ms: int) -> Iterator[None]:
        while True:
            with self._writing() as connection:
                rows = connection.execute(
                    "SELECT id, length(value), written_ms FROM records WHERE id >= ? AND id < ? "
                    "ORDER BY id LIMIT ?",
                    (bounds(part.tp)[0], part.unread, CHUNK_RECORDS),
                ).fetchall()
                old = 0
                while old < len(rows) and rows[old][2] < cutoff_ms:
                    old += 1
                if _delete(connection, part, rows[:old]) == old < CHUNK_RECORDS:
                    return
            yield

    def _by_bytes(self, part: Part, max_bytes: int) -> Iterator[None]:
        with self._writing() as connection:
            room, cut = max_bytes, None
            cursor = connection.execute(
                "SELECT id, length(value) FROM records WHERE id BETWEEN ? AND ? ORDER BY id DESC",
                (bounds(part.tp)[0], part.last),
            )
            for row, size in cursor:
                room -= size or 0
                if room < 0:
                    cut = min(row + 1, part.unread)
                    break
            cursor.close()
        while cut is not None:
            with self._writing() as connection:
                rows = connection.execute(
                    "SELECT id, length(value) FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                    (bounds(part.tp)[0], cut, CHUNK_RECORDS),
                ).fetchall()
                if not _delete(connection, part, rows):
                    return
            yield

    def _drop_oldest(self, connection: sqlite3.Connection, parts: list[Part], unread: bool) -> bool:
        """Remove some records of the partition whose first one is the oldest; False if none may go."""
        oldest: tuple[int, Part, int] | None = None
        for part in parts:
            end = part.last if unread else part.unread
            row = connection.execute(
                "SELECT written_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
                (bounds(part.tp)[0], end),
            ).fetchone()
            if row and (oldest is None or row[0] < oldest[0]):
                oldest = row[0], part, end
        if oldest is None:
            return False
        _, part, end = oldest
        rows = connection.execute(
            "SELECT id, length(value) FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 64",
            (bounds(part.tp)[0], end),
        ).fetchall()
        rows = rows[: _delete(connection, part, rows)]
        lost = sum(1 for row in rows if row[0] >= part.unread)
        if lost:
            connection.execute(
                "UPDATE topics SET dropped_unread = dropped_unread + ? WHERE name = ?", (lost, part.topic)
            )
            logger.error(
                "%s reached retention_size=%s: dropped %d records of %s/%d that a group had not read "
                "(offsets %d to %d)",
                self._options.endpoint,
                self._options.retention_size,
                lost,
                part.topic,
                part.partition,
                offset_of(max(rows[0][0], part.unread)),
                offset_of(rows[-1][0]),
            )
        return True

    def _tombstones(self, now_ms: int) -> Iterator[None]:
        """Remove deletions whose time is over and that no group still has to read."""
        after = 0
        while True:
            with self._writing() as connection:
                ids = [
                    row[0]
                    for row in connection.execute(
                        "SELECT record FROM tombstones WHERE expires_ms <= ? AND record > ? "
                        "ORDER BY record LIMIT ?",
                        (now_ms, after, CHUNK_RECORDS),
                    )
                ]
                for record in ids:
                    self._forget_tombstone(connection, record)
                if len(ids) < CHUNK_RECORDS:
                    return
                after = ids[-1]
            yield

    def _forget_tombstone(self, connection: sqlite3.Connection, record: int) -> None:
        tp = record >> 40
        last = connection.execute(
            "SELECT max(id) FROM records WHERE id BETWEEN ? AND ?", bounds(tp)
        ).fetchone()[0]
        read = connection.execute(
            "SELECT min(coalesce(next_offset, 0)) FROM group_offsets WHERE tp = ?", (tp,)
        ).fetchone()[0]
        if record == last or (read is not None and read <= offset_of(record)):
            return
        key = connection.execute("SELECT key FROM records WHERE id = ?", (record,)).fetchone()
        connection.execute("DELETE FROM tombstones WHERE record = ?", (record,))
        if key is not None:
            connection.execute("DELETE FROM latest WHERE tp = ? AND key = ?", (tp, key[0]))
            connection.execute("DELETE FROM records WHERE id = ?", (record,))

    def _vacuum(self) -> Iterator[None]:
        """Give free pages back to the file system where there are many."""
        while True:
            with self._writing() as connection:
                free = connection.execute("PRAGMA freelist_count").fetchone()[0]
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                bound = self._options.retention_size
                # a file that is beyond a bound that was lowered gives back all it can
                beyond = bound is not None and pages * page_size(connection) > bound
                if free <= (0 if beyond else max(SPARE_PAGES, pages // SPARE_SHARE)):
                    return
                connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            yield


def _delete(connection: sqlite3.Connection, part: Part, rows: list[tuple[int, ...]]) -> int:
    """Remove a run of records, at most CHUNK_BYTES beside the first; return how many."""
    count, room = 0, CHUNK_BYTES
    for row in rows:
        if count and room <= 0:
            break
        room -= row[1] or 0
        count += 1
    if count:
        run = (rows[0][0], rows[count - 1][0])
        if part.compact:
            connection.execute(
                "DELETE FROM latest WHERE tp = ? "
                "AND key IN (SELECT key FROM records WHERE id BETWEEN ? AND ?)",
                (part.tp, *run),
            )
            connection.execute("DELETE FROM tombstones WHERE record BETWEEN ? AND ?", run)
        connection.execute("DELETE FROM records WHERE id BETWEEN ? AND ?", run)
    return count


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file's pages that hold something."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return int((pages - free) * page_size(connection))
