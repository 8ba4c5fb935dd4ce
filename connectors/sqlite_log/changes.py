"""Rare changes, each a function of the connection that runs alone in its transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence

from connectors.sqlite_log.records import TopicSettings
from streams.ports import Rejected

__all__ = ["Change", "create_topic", "forget_group", "register_group"]

Change = Callable[[sqlite3.Connection], None]

#: what may be changed in a topic that exists: Kafka's name → column
CHANGEABLE = {"retention.ms": "retention_ms", "retention.bytes": "retention_bytes"}


def create_topic(topic: str, partitions: int, wanted: TopicSettings, given: Collection[str]) -> Change:
    """Create a topic, or give one that exists the retention that was ``given`` (Kafka's names).

    The change raises Rejected if the topic exists in another shape.
    """

    def change(connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT partitions, compact FROM topics WHERE name = ?", (topic,)
        ).fetchone()
        if found is None:
            _insert(connection, topic, partitions, wanted)
            return
        if found != (partitions, wanted.compact):
            raise Rejected(
                f"topic {topic}",
                f"expected {partitions} partitions, {_policy(wanted.compact)}; "
                f"it exists with {found[0]}, {_policy(found[1])}",
            )
        for name in given:
            column = CHANGEABLE.get(name)
            if column is not None:
                connection.execute(
                    f"UPDATE topics SET {column} = ? WHERE name = ?",  # noqa: S608 - of constants
                    (getattr(wanted, column), topic),
                )

    return change


def _insert(connection: sqlite3.Connection, topic: str, partitions: int, wanted: TopicSettings) -> None:
    # the numbers of its partitions follow those of the topic made last
    free = connection.execute("SELECT coalesce(max(first_tp + partitions), 1) FROM topics").fetchone()[0]
    connection.execute(
        "INSERT INTO topics(name, partitions, first_tp, compact, expire, retention_ms, retention_bytes, "
        "tombstone_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        (
            topic,
            partitions,
            free,
            wanted.compact,
            wanted.expire,
            wanted.retention_ms,
            wanted.retention_bytes,
            wanted.tombstone_ms,
        ),
    )


def _policy(compact: bool) -> str:
    return "compacted" if compact else "not compacted"


def register_group(group: str, tps: Sequence[int]) -> Change:
    """Note that a group reads these partitions; what it has committed already stays."""
    now_ms = time.time_ns() // 1_000_000

    def change(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO group_offsets VALUES(?, ?, NULL, ?) ON CONFLICT DO NOTHING",
            [(group, tp, now_ms) for tp in tps],
        )

    return change


def forget_group(group: str) -> Change:
    """Remove everything that is known of a group."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM group_offsets WHERE name = ?", (group,))

    return change
