"""The two brokers behind one face, and the Faust apps that the tests run on them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP, EventT

from connectors.sqlite_log import SqliteLog

_numbers = itertools.count()
_SCRATCH = tempfile.TemporaryDirectory(prefix="forestall-faust-")  # goes with the process


@dataclass(frozen=True)
class Backend:
    """A broker. ``kind`` is sqlite or kafka; ``tag`` makes this test's names its own."""

    kind: str
    url: str
    tag: str = field(default_factory=lambda: f"{os.getpid()}-{next(_numbers)}")

    @property
    def embedded(self) -> bool:
        return self.kind == "sqlite"

    def name(self, word: str) -> str:
        """A topic or group name that no other test uses."""
        return f"{word}-{self.tag}"

    async def declare(self, word: str, partitions: int = 4, **settings: str) -> str:
        """Create a topic and return its name."""
        topic = self.name(word)
        if self.embedded:
            async with SqliteLog(self.url) as log:
                await log.ensure_topic(topic, partitions, settings=settings)
            return topic
        admin = AIOKafkaAdminClient(bootstrap_servers=self.url.removeprefix("kafka://"))
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
        finally:
            await admin.close()
        return topic

    def sender(self) -> Sender:
        """Something that writes and reads beside the apps."""
        return Sender(self)

    def app(self, word: str = "app", **settings: Any) -> faust.App:
        """Make a Faust app of this group. Apps are bound to a loop: one a run."""
        return faust.App(
            self.name(word),
            **{
                "broker": self.url,
                "store": "memory://",
                "key_serializer": "raw",
                "value_serializer": "raw",
                "topic_partitions": 4,
                "topic_replication_factor": 1,
                "topic_disable_leader": True,
                "table_standby_replicas": 0,
                "stream_wait_empty": False,
                "stream_recovery_delay": 0.0,
                "recovery_consistency_check": False,
                "broker_commit_interval": 0.2,
                "broker_session_timeout": 6.0,
                "broker_heartbeat_interval": 1.0,
                "consumer_auto_offset_reset": "earliest",
                "consumer_max_fetch_size": 8 * 2**20,
                "producer_max_request_size": 8 * 2**20,
                "web_enabled": False,
                "datadir": f"{_SCRATCH.name}/{self.name(word)}",
                **settings,
            },
        )


class Sender:
    """Writes and reads beside the apps, as another process would."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._log: SqliteLog | None = None
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        if self._backend.embedded:
            self._log = SqliteLog(self._backend.url)
        else:
            servers = self._backend.url.removeprefix("kafka://")
            self._producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
            self._consumer = AIOKafkaConsumer(bootstrap_servers=servers)
            await self._producer.start()
            await self._consumer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        for part in (self._producer, self._consumer):
            if part is not None:
                await part.stop()
        if self._log is not None:
            await self._log.close()

    async def send(self, topic: str, value: bytes, partition: int) -> int:
        """Write one record; returns when it is durable."""
        if self._log is not None:
            return await self._log.append(topic, value, partition=partition)
        assert self._producer is not None
        return int((await self._producer.send_and_wait(topic, value, partition=partition)).offset)

    async def end(self, topic: str, partition: int) -> int:
        """Return the partition's next offset."""
        if self._log is not None:
            return await self._log.end(topic, partition)
        assert self._consumer is not None
        tp = TopicPartition(topic, partition)
        return int((await self._consumer.end_offsets([tp]))[tp])

    async def read(self, topic: str, partition: int) -> list[tuple[int, bytes | None, bytes | None]]:
        """Return everything in a partition."""
        if self._log is not None:
            return [record async for record in self._log.read(topic, partition)]
        assert self._consumer is not None
        end = await self.end(topic, partition)
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, 0)
        found: list[tuple[int, bytes | None, bytes | None]] = []
        while await self._consumer.position(tp) < end:
            for records in (await self._consumer.getmany(tp, timeout_ms=200)).values():
                found += [(record.offset, record.key, record.value) for record in records]
        return found


class Seen(list[EventT[bytes]]):
    """The events that an agent has had."""

    def values(self) -> list[bytes | None]:
        return [event.value for event in self]

    def by_partition(self) -> dict[int, list[tuple[int, bytes | None]]]:
        """Partition → (offset, value) in the order of arrival."""
        found: dict[int, list[tuple[int, bytes | None]]] = {}
        for event in self:
            found.setdefault(event.message.partition, []).append((event.message.offset, event.value))
        return found


def collect(app: faust.App, topic: str, ack: Callable[[EventT[bytes]], bool] | None = None) -> Seen:
    """Give the app an agent that keeps every event of a topic.

    ack : which events to acknowledge; None: all, as Faust does by itself
    """
    seen = Seen()

    async def keep(stream: Any) -> None:
        if ack is None:
            async for event in stream.events():
                seen.append(event)
            return
        async for event in stream.noack().events():
            seen.append(event)
            if ack(event):
                event.ack()

    app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name=f"keep-{topic}")(keep)
    return seen


@contextlib.asynccontextmanager
async def running(*apps: faust.App) -> AsyncIterator[None]:
    """Run apps; leaving waits until they have stopped, also those whose start has failed.

    One that is left running starts its agents again whenever they are cancelled: the event loop would
    never come to its end.
    """
    begun: list[faust.App] = []
    try:
        for app in apps:
            app.finalize()
            begun.append(app)
            await asyncio.wait_for(app.start(), 60)
        yield
    finally:
        for app in reversed(begun):
            try:
                await asyncio.wait_for(app.stop(), 60)
            except RuntimeError:
                if app.crash_reason is None:
                    raise
                # what a crashed producer has not sent cannot be flushed, and Faust's own stop ends there
                await asyncio.wait_for(app._stop_children(), 60)
                await asyncio.wait_for(app._stop_futures(), 60)


async def until(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Wait for a condition; TimeoutError names it."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"expected {what} within {deadline_s:g} s")
        await asyncio.sleep(0.01)


async def send(
    app: faust.App,
    topic: str,
    values: Sequence[bytes | None],
    *,
    key: Callable[[int], bytes | None] = lambda _: None,
    partition: Callable[[int], int | None] = lambda _: None,
) -> list[faust.types.RecordMetadata]:
    """Send values in order, and return where they went once they are durable."""
    sent = [
        await app.producer.send(topic, key(number), value, partition(number), None, None)
        for number, value in enumerate(values)
    ]
    return list(await asyncio.gather(*sent))


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Return b"0", b"1", …"""
    return [b"%d" % number for number in range(start, start + count)]


async def committed(app: faust.App, topic: str) -> dict[TP, int]:
    """Return the offsets that the app's group has committed for a topic, as the broker knows them."""
    assignment = {tp for tp in app.consumer.assignment() if tp.topic == topic}
    consumer: Any = app.consumer
    found = await consumer.seek_to_committed()
    return {TP(*tp): offset for tp, offset in found.items() if tp in assignment and offset is not None}
