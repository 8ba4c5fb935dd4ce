"""What one transaction writes: records with their offsets, compaction, a group's offsets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from connectors.sqlite_log.records import OFFSET_BITS, OFFSET_MASK, Append, Commit, record_id

__all__ = ["next_offsets", "write_commits", "write_records"]

# Rows go into one statement together, because every step of a statement gives up Python's
# lock and, where another thread is busy, gets it back 5 ms later. The sizes are few, so
# that prepared statements are found again.
CHUNKS = (64, 16, 4, 1)


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    """Cut ``count`` into (start, size) with sizes of CHUNKS."""
    start = 0
    for size in CHUNKS:
        while count - start >= size:
            yield start, size
            start += size


@lru_cache(maxsize=64)
def _values(size: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * size)


def next_offsets(connection: sqlite3.Connection, tps: Sequence[int]) -> dict[int, int]:
    """Return the offset that the next record of each partition gets."""
    found: dict[int, int] = {}
    for start, size in _chunks(len(tps)):
        part = tps[start : start + size]
        row = connection.execute(_next_offsets_sql(size), [b for tp in part for b in bounds(tp)]).fetchone()
        for tp, last in zip(part, row, strict=True):
            found[tp] = 0 if last is None else (last & OFFSET_MASK) + 1
    return found


@lru_cache(maxsize=8)
def _next_offsets_sql(size: int) -> str:
    last = "(SELECT max(id) FROM records WHERE id BETWEEN ? AND ?)"
    return f"SELECT {','.join([last] * size)}"


def bounds(tp: int) -> tuple[int, int]:
    """Return the smallest and the largest row number of a partition."""
    return tp << OFFSET_BITS, (tp << OFFSET_BITS) | OFFSET_MASK


def write_records(connection: sqlite3.Connection, appends: Sequence[Append], now_ms: int) -> list[int]:
    """Write records within the open transaction and return their offsets, in order.

    Of several records of one key in a compacted topic only the last is written; the others
    have had their offsets all the same.
    """
    heads = next_offsets(connection, list({a.tp: None for a in appends}))
    offsets: list[int] = []
    rows: list[tuple[Any, ...] | None] = []
    newest: dict[tuple[int, bytes], int] = {}  # key of a compacted topic → its index in rows
    for append in appends:
        tp = append.tp
        offset = heads[tp]
        heads[tp] = offset + 1
        offsets.append(offset)
        key, value, timestamp_ms, headers = append.payload
        if append.topic.compact:
            name = (tp, key or b"")
            before = newest.get(name)
            if before is not None:
                rows[before] = None
            newest[name] = len(rows)
        rows.append((record_id(tp, offset), now_ms, timestamp_ms, headers, key, value))
    if newest:
        _compact(connection, appends, rows, newest, now_ms)
    _insert(connection, "INSERT INTO records VALUES", [row for row in rows if row is not None])
    return offsets


def _insert(
    connection: sqlite3.Connection, head: str, rows: Sequence[tuple[Any, ...]], tail: str = ""
) -> None:
    for start, size in _chunks(len(rows)):
        part = rows[start : start + size]
        statement = f"{head} {_values(size, len(part[0]))}{tail}"
        connection.execute(statement, [cell for row in part for cell in row])


def _compact(
    connection: sqlite3.Connection,
    appends: Sequence[Append],
    rows: Sequence[tuple[Any, ...] | None],
    newest: dict[tuple[int, bytes], int],
    now_ms: int,
) -> None:
    """Remove what the new records replace, and remember where each key's newest record is."""
    names = list(newest)
    for start, size in _chunks(len(names)):
        keys = f"WITH k(tp, key) AS (VALUES {_values(size, 2)})"
        # CROSS JOIN keeps the order: few keys, each looked up in the index
        old = "(SELECT l.record FROM k CROSS JOIN latest l ON l.tp = k.tp AND l.key = k.key)"
        cells = [cell for name in names[start : start + size] for cell in name]
        connection.execute(f"{keys} DELETE FROM tombstones WHERE record IN {old}", cells)  # noqa: S608
        connection.execute(f"{keys} DELETE FROM records WHERE id IN {old}", cells)  # noqa: S608
    written = [(tp, key, row[0], index) for (tp, key), index in newest.items() if (row := rows[index])]
    _insert(
        connection,
        "INSERT INTO latest VALUES",
        [(tp, key, record) for tp, key, record, _ in written],
        " ON CONFLICT(tp, key) DO UPDATE SET record = excluded.record",
    )
    _insert(
        connection,
        "INSERT INTO tombstones VALUES",
        [
            (record, now_ms + appends[index].topic.tombstone_ms)
            for _, _, record, index in written
            if appends[index].payload.value is None
        ],
    )


def write_commits(connection: sqlite3.Connection, commits: Sequence[Commit], now_ms: int) -> None:
    """Write the offsets that groups have read to, within the open transaction."""
    wanted: dict[tuple[str, int], int] = {}
    for commit in commits:
        for tp, offset in commit.offsets.items():
            wanted[commit.group, tp] = offset
    _insert(
        connection,
        "INSERT INTO group_offsets VALUES",
        [(group, tp, offset, now_ms) for (group, tp), offset in wanted.items()],
        " ON CONFLICT(name, tp) DO UPDATE SET next_offset = excluded.next_offset, "
        "updated_ms = excluded.updated_ms",
    )
