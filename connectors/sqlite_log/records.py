"""The values of the embedded log: topics, records, and what waits to be written."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from streams.ports import Rejected

__all__ = [
    "Append",
    "Commit",
    "Payload",
    "Record",
    "Task",
    "Topic",
    "TopicSettings",
    "Waiter",
    "offset_of",
    "pack_headers",
    "record_id",
    "unpack_headers",
]

#: a record's row number is its partition's number in the file, then its offset
OFFSET_BITS = 40
OFFSET_MASK = (1 << OFFSET_BITS) - 1

#: no record may be larger: a transaction must stay short [bytes]
MAX_RECORD = 64 * 2**20

#: how long a deletion stays visible where the topic does not say [ms]
TOMBSTONE_MS = 60_000

Headers = Sequence[tuple[str, bytes]]


def record_id(tp: int, offset: int) -> int:
    """Return the row number of a record."""
    return (tp << OFFSET_BITS) | offset


def offset_of(row: int) -> int:
    """Return the offset that a row number holds."""
    return row & OFFSET_MASK


class Record(NamedTuple):
    """A record as it is read. ``timestamp_ms`` is the sender's, else that of writing."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How a topic is kept.

    compact         : only the newest record of a key stays, at once
    expire          : age and size bounds apply (Kafka's cleanup policy ``delete``)
    retention_ms    : age bound of this topic; None: the log's; -1: none. [ms]
    retention_bytes : size bound of each partition; None: none. [bytes]
    tombstone_ms    : how long a deletion stays visible to readers. [ms]
    """

    compact: bool = False
    expire: bool = True
    retention_ms: int | None = None
    retention_bytes: int | None = None
    tombstone_ms: int = TOMBSTONE_MS

    @classmethod
    def from_kafka(cls, compact: bool, settings: Mapping[str, str] | None) -> TopicSettings:
        """Read Kafka's names (``cleanup.policy``, ``retention.ms``, ``retention.bytes``,
        ``delete.retention.ms``); others mean nothing here and are left out.

        Raises Rejected where a value cannot be read.
        """
        given = dict(settings or {})
        policies = {p.strip() for p in str(given.get("cleanup.policy", "")).split(",") if p.strip()}
        if policies - {"compact", "delete"}:
            raise Rejected(
                "the log", f"cleanup.policy: expected compact and/or delete, got {given['cleanup.policy']!r}"
            )
        if compact:
            policies.add("compact")
        compact = "compact" in policies
        age = _number(given, "retention.ms")
        size = _number(given, "retention.bytes")
        tombstone = _number(given, "delete.retention.ms")
        return cls(
            compact=compact,
            expire=not compact or "delete" in policies,
            retention_ms=age,
            retention_bytes=None if size is None or size < 0 else size,
            tombstone_ms=TOMBSTONE_MS if tombstone is None else tombstone,
        )


def _number(settings: Mapping[str, object], name: str) -> int | None:
    value = settings.get(name)
    if value is None:
        return None
    try:
        return int(str(value))
    except ValueError:
        raise Rejected("the log", f"{name}: expected a whole number, got {value!r}") from None


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it stands in the file; its partitions have the numbers first_tp …"""

    name: str
    partitions: int
    first_tp: int
    compact: bool
    tombstone_ms: int

    def tp(self, partition: int) -> int:
        """Return the number of a partition in the file; Rejected if there is none."""
        if not 0 <= partition < self.partitions:
            raise Rejected(
                f"topic {self.name}", f"expected a partition 0 … {self.partitions - 1}, got {partition}"
            )
        return self.first_tp + partition


class Payload(NamedTuple):
    """What a record is to hold; without a time of its own it gets that of writing."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None
    headers: bytes | None  # as ``pack_headers`` makes them


class Waiter(NamedTuple):
    """Who is told, and in which event loop, when a job is done.

    result : makes what a record's sender is told out of its offset; None: the offset itself
    """

    loop: AbstractEventLoop
    future: Future[Any]
    result: Callable[[int], Any] | None = None


class Append:
    """A record that waits to be written."""

    __slots__ = ("payload", "size", "topic", "tp", "waiter")

    def __init__(self, topic: Topic, tp: int, payload: Payload, waiter: Waiter) -> None:
        self.topic = topic
        self.tp = tp
        self.payload = payload
        self.size = len(payload.value or b"") + len(payload.key or b"")
        self.waiter = waiter


class Commit:
    """Offsets of a group that wait to be written: partition number → next offset to read."""

    __slots__ = ("group", "offsets", "size", "waiter")

    def __init__(self, group: str, offsets: Mapping[int, int], waiter: Waiter) -> None:
        self.group = group
        self.offsets = dict(offsets)
        self.size = 64 * len(self.offsets)
        self.waiter = waiter


class Task:
    """A rare change (a topic, a group) that runs alone in its transaction: ``run(connection)``."""

    __slots__ = ("run", "size", "waiter")

    def __init__(self, run: Callable[[Any], Any], waiter: Waiter) -> None:
        self.run = run
        self.size = 0
        self.waiter = waiter


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


def pack_headers(headers: Headers | None) -> bytes | None:
    """Encode headers for the file; none at all become NULL."""
    return _encode([(name, bytes(value)) for name, value in headers]) if headers else None


def unpack_headers(raw: bytes | None) -> tuple[tuple[str, bytes], ...]:
    """Decode what ``pack_headers`` made."""
    return _decode(raw) if raw else ()
