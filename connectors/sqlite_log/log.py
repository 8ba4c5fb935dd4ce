"""The embedded log as the flow sees it: ``streams.ports.Log`` on an SQLite file."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from connectors.sqlite_log.changes import Change, create_topic, forget_group, register_group
from connectors.sqlite_log.engine import Engine, Listener
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.partitioner import partition_of_key
from connectors.sqlite_log.records import (
    MAX_RECORD,
    Append,
    Headers,
    Payload,
    Record,
    Topic,
    TopicSettings,
    Waiter,
    pack_headers,
)
from connectors.sqlite_log.stats import Stats
from streams.ports import Rejected, Unavailable

__all__ = ["Partition", "SqliteLog"]

#: a sender waits while more than this is on its way to the disk [bytes]
MAX_WAITING = 64 * 2**20

#: one slice of a read, after which others get the event loop
SLICE_RECORDS, SLICE_BYTES = 256, 2**20


class Partition(NamedTuple):
    """A partition of a topic; equal to Faust's ``TP`` and to any pair."""

    topic: str
    partition: int


class SqliteLog:
    """A durable log in one SQLite file, for any number of processes that write.

    url : ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db`` (``options.Options``)

    Opens the file at once; the first to come creates it. May be used from any event loop,
    and as an async context manager. Raises ValueError for a bad URL, Unavailable or
    SchemaMismatch if the file cannot be used.
    """

    def __init__(self, url: str | Options) -> None:
        self.options = Options.from_url(url) if isinstance(url, str) else url
        self._engine = Engine.open(self.options)
        self._closed = False
        self._consuming = False
        self._turn = itertools.count()

    # -- writing

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
    ) -> int:
        """Append one record and return its offset once it is durable.

        Without a partition the key decides (murmur2, as Kafka's default); without a key
        too, the partitions take turns. Raises Unavailable when it may be retried (LogFull
        when there is no room), Rejected for an unknown topic or partition, a record of
        more than 64 MiB, or one without a key in a compacted topic.
        """
        return await self.submit(  # type: ignore[no-any-return]
            topic, value, key=key, partition=partition, timestamp_ms=timestamp_ms, headers=headers
        )

    def submit(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Headers | None = None,
        result: Callable[[int], Any] | None = None,
    ) -> asyncio.Future[Any]:
        """Queue one record, in the order of calls; the future brings the offset, or ``result(offset)``."""
        if self._closed:
            raise Unavailable(self.options.endpoint, "it was closed")
        found = self._engine.topic(topic)
        if partition is None:
            partition = self._choose(found, key)
        if found.compact and key is None:
            raise Rejected(
                f"topic {topic}",
                "expected a key: the topic is compacted, and a record without one could not stay",
            )
        payload = Payload(
            None if key is None else bytes(key),
            None if value is None else bytes(value),
            timestamp_ms,
            pack_headers(headers) if headers else None,
        )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        job = Append(found, found.tp(partition), payload, Waiter(loop, future, result))
        if job.size > MAX_RECORD:
            raise Rejected(
                f"topic {topic}", f"expected at most {MAX_RECORD} bytes in a record, got {job.size}"
            )
        self._engine.submit(job)
        return future

    async def room(self) -> None:
        """Wait while much is on its way to the disk (64 MiB): keeps a fast sender's memory flat."""
        loop = asyncio.get_running_loop()
        while self._engine.waiting > MAX_WAITING:
            progress = self._engine.progress(loop)
            if self._engine.waiting <= MAX_WAITING:
                return
            await progress

    def partition_for(self, topic: str, key: bytes | None) -> int:
        """Return the partition that a key's records go to; without a key any, in turn."""
        return self._choose(self._engine.topic(topic), key)

    def _choose(self, topic: Topic, key: bytes | None) -> int:
        if topic.partitions == 1:
            return 0
        if key is None:
            return next(self._turn) % topic.partitions
        return partition_of_key(key, topic.partitions)

    # -- topics

    async def ensure_topic(
        self, topic: str, partitions: int, *, compact: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic unless it exists.

        settings : by Kafka's names: ``cleanup.policy``, ``retention.ms`` (-1: no bound),
                   ``retention.bytes`` (of each partition), ``delete.retention.ms``. What it
                   says of retention also changes a topic that exists.

        Raises Rejected if the topic exists with another number of partitions or, asked to
        compact or not, does the other.
        """
        if partitions < 1 or not topic:
            raise Rejected(f"topic {topic!r}", f"expected a name and at least 1 partition, got {partitions}")
        wanted = TopicSettings.from_kafka(compact, settings)
        await self._change(create_topic(topic, partitions, wanted, (settings or {}).keys()))

    def partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has, None if there is no such topic."""
        found = self._engine.find_topic(topic)
        return None if found is None else found.partitions

    def topics(self) -> list[str]:
        """Return the names of all topics."""
        return sorted(self._engine.reader.topics())

    # -- reading

    async def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        """Yield (offset, key, value) from ``start`` to the end as it is now; a deletion has no value."""
        tp = self._engine.topic(topic).tp(partition)
        end = self._engine.reader.ends([tp])[tp]
        while start < end:
            records = self._engine.reader.fetch(tp, start, SLICE_RECORDS, SLICE_BYTES, end)
            for record in records:
                yield record.offset, record.key, record.value
            if not records:
                return
            start = records[-1].offset + 1
            await asyncio.sleep(0)

    def fetch(self, topic: str, partition: int, start: int, max_records: int, max_bytes: int) -> list[Record]:
        """Return records from ``start``: at least one if there is any, then up to the bounds."""
        tp = self._engine.topic(topic).tp(partition)
        return self._engine.reader.fetch(tp, start, max_records, max_bytes)

    async def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next record of a partition will get."""
        return self.ends([(topic, partition)])[Partition(topic, partition)]

    def ends(self, partitions: Iterable[tuple[str, int]]) -> dict[Partition, int]:
        """Return the next offset of each partition."""
        names = self._names(partitions)
        return {names[tp]: end for tp, end in self._engine.reader.ends(list(names)).items()}

    def starts(self, partitions: Iterable[tuple[str, int]]) -> dict[Partition, int]:
        """Return the first offset that each partition still holds."""
        names = self._names(partitions)
        return {names[tp]: start for tp, start in self._engine.reader.starts(list(names)).items()}

    def version(self) -> int:
        """Return a number that changes when another process, or this one, has written. Costs 5 µs."""
        return self._engine.reader.version()

    def listen(self, listener: Callable[[Mapping[Partition, int]], None]) -> Listener:
        """Call ``listener(ends)`` in the running loop after each transaction of this process.

        Returns what ``unlisten`` takes.
        """
        engine = self._engine
        names: dict[int, Partition] = {}

        def told(ends: Mapping[int, int]) -> None:
            if not ends.keys() <= names.keys():
                names.update(_all_partitions(engine.reader.topics()))
            listener({names[tp]: end for tp, end in ends.items()})

        engine.listen(asyncio.get_running_loop(), told)
        return told

    def unlisten(self, listener: Listener) -> None:
        """End what ``listen`` began."""
        self._engine.unlisten(listener)

    # -- groups

    def consume(self) -> None:
        """Become the one process that consumes this log; ConsumerTaken if another is."""
        if not self._consuming:
            self._engine.consume()
            self._consuming = True

    async def register(self, group: str, partitions: Iterable[tuple[str, int]]) -> None:
        """Say that a group reads these partitions: what it has not read is kept from now on."""
        await self._change(register_group(group, list(self._names(partitions))))

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Write the offsets that a group has read to, durably, after all that was sent before."""
        numbers = {self._engine.topic(topic).tp(p): offset for (topic, p), offset in offsets.items()}
        await self._engine.commit(group, numbers, asyncio.get_running_loop())

    def committed(self, group: str) -> dict[Partition, int | None]:
        """Return what a group has committed; None where it has registered only."""
        names = _all_partitions(self._engine.reader.topics())
        return {names[tp]: offset for tp, offset in self._engine.reader.committed(group).items()}

    async def forget_group(self, group: str) -> None:
        """Remove a group that will not come back, so that it keeps nothing in the log any more."""
        await self._change(forget_group(group))

    # -- watching

    def lag(self) -> dict[str, dict[Partition, int]]:
        """Return for every group how many records of each partition it has not committed."""
        names = _all_partitions(self._engine.reader.topics())
        groups = self._engine.reader.groups()
        tps = sorted({tp for offsets in groups.values() for tp in offsets})
        ends, starts = self._engine.reader.ends(tps), self._engine.reader.starts(tps)
        return {
            group: {names[tp]: ends[tp] - max(offset or 0, starts[tp]) for tp, offset in offsets.items()}
            for group, offsets in groups.items()
        }

    def dropped_unread(self) -> dict[str, int]:
        """Return how many records of each topic were dropped before a group had read them, ever."""
        return self._engine.reader.dropped()

    @property
    def stats(self) -> Stats:
        """Counters of this process."""
        return self._engine.stats

    # -- ending

    async def flush(self) -> None:
        """Wait until everything that this process has sent is written or has failed."""
        loop = asyncio.get_running_loop()
        while self._engine.waiting:
            progress = self._engine.progress(loop)
            if not self._engine.waiting:
                return
            await progress

    async def close(self) -> None:
        """Wait for what is under way and let go."""
        if self._closed:
            return
        self._closed = True
        await self.flush()
        if self._consuming:
            self._engine.release()
        # the last one waits for the writer's thread, and SQLite moves the WAL into the database
        await asyncio.to_thread(self._engine.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _change(self, change: Change) -> None:
        if self._closed:
            raise Unavailable(self.options.endpoint, "it was closed")
        await self._engine.call(change, asyncio.get_running_loop())

    def _names(self, partitions: Iterable[tuple[str, int]]) -> dict[int, Partition]:
        return {
            self._engine.topic(topic).tp(number): Partition(topic, number) for topic, number in partitions
        }


def _all_partitions(topics: Mapping[str, Topic]) -> dict[int, Partition]:
    return {
        topic.first_tp + number: Partition(name, number)
        for name, topic in topics.items()
        for number in range(topic.partitions)
    }
