"""The durable log on Apache Kafka: ``streams.ports.Log`` over aiokafka."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer, errors
from aiokafka.admin import NewTopic
from aiokafka.partitioner import DefaultPartitioner

from connectors.kafka_client import LARGEST, TOO_LARGE, Cluster, KafkaSecurity, servers
from connectors.kafka_reader import Reader
from connectors.kafka_topics import create_topic
from streams.ports import Rejected, Unavailable

__all__ = ["KafkaLog", "KafkaSecurity", "servers"]

log = logging.getLogger(__name__)

_BATCH = 1 << 20  # bytes that are sent to a partition at once
_REMEMBERED_S = 300.0  # how long the outcome of an append is known that nobody waited for


class _Call(NamedTuple):
    """What an append is known by: the same call means the same record."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def __str__(self) -> str:
        return self.topic if self.partition is None else f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """A record that was handed to a producer."""

    producer: AIOKafkaProducer
    done: asyncio.Future[Any]  # RecordMetadata, once the cluster has acknowledged it
    alone: bool = False  # in a batch of its own


class KafkaLog:
    """A durable log on a Kafka cluster; bound to the event loop that uses it first.

    url         : ``kafka://h1:9092,h2:9092``
    replication : copies of the topics that it creates; with n of them an append is durable
                  once n − 1 have it
    patience_s  : how long a call waits for a cluster that does not answer

    Connects when first used. Raises ValueError for a bad URL or certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        security: KafkaSecurity | None = None,
        replication: int = 1,
        patience_s: float = 10.0,
    ) -> None:
        self._cluster = Cluster(url, security or KafkaSecurity(), patience_s)
        self._reader = Reader(self._cluster)
        self._replication = replication
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._turns: defaultdict[tuple[str, int | None], asyncio.Lock] = defaultdict(asyncio.Lock)
        # appends that were given up while under way: the same call again goes on waiting for its record
        self._left: dict[_Call, list[_Sent]] = {}
        self._letting_go: set[asyncio.Task[None]] = set()

    # -- writing

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> int:
        """Append one record and return its offset once the cluster has acknowledged it.

        Without a partition the key decides (murmur2, as Kafka's default); without a key too, chance.
        Appends to a partition keep the order of their calls, whatever is sent again underneath.

        Raises Unavailable when it may be retried. The record may then be under way still: the
        same call again waits for that one, and does not write a second. Raises Rejected for a
        partition that the topic has not and for a record that is too large, ValueError for one
        with neither key nor value.
        """
        if value is None and key is None:
            raise ValueError("expected a key or a value, got neither")
        call = _Call(topic, partition, key, value, tuple(headers or ()))
        what = f"append to {call}"
        sent = self._resume(call)
        if sent is None:
            sent = await self._cluster.answer(self._send(call), what)
        await self._wait(call, sent)
        if isinstance(sent.done.exception(), TOO_LARGE) and not sent.alone:
            # Perhaps another record of the same batch was.
            self._let_go(sent.producer)
            sent = await self._cluster.answer(self._send(call, alone=True), what)
            await self._wait(call, sent)
        error = sent.done.exception()
        if error is None:
            return int(sent.done.result().offset)
        # It has used up a number of its producer's sequence: with that one, the next would be refused.
        self._let_go(sent.producer)
        raise self._cluster.meaning(error, what) from error

    async def _wait(self, call: _Call, sent: _Sent) -> None:
        try:
            await asyncio.wait({sent.done}, timeout=self._cluster.patience)
        finally:
            # Out of patience, or cancelled.
            if not sent.done.done():
                self._leave(call, sent)
        if not sent.done.done():
            patience = self._cluster.patience
            raise Unavailable(
                self._cluster.endpoint, f"append to {call}: no acknowledgement in {patience:g} s"
            )

    async def _send(self, call: _Call, *, alone: bool = False) -> _Sent:
        async with self._turns[call.topic, call.partition]:
            producer = await self._started()
            known = await producer.partitions_for(call.topic)
            if call.partition is not None and call.partition not in known:
                raise Rejected(
                    self._cluster.endpoint, f"append to {call}: the topic has {len(known)} partitions"
                )
            # Cancelled before it is handed over, it is not sent; afterwards nothing is waited for in there.
            if not alone:
                done = await producer.send(
                    call.topic,
                    call.value,
                    key=call.key,
                    partition=call.partition,
                    headers=list(call.headers),
                )
                return _Sent(producer, done)
            partition = call.partition
            if partition is None:
                partition = DefaultPartitioner()(call.key, sorted(known), sorted(known))
            batch = producer.create_batch()
            batch.append(key=call.key, value=call.value, timestamp=None, headers=list(call.headers))
            return _Sent(
                producer, await producer.send_batch(batch, call.topic, partition=partition), alone=True
            )

    async def _started(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._cluster.client,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=1,
                    max_batch_size=_BATCH,
                    max_request_size=LARGEST,
                )
                await self._cluster.start(producer, "connect")
                self._producer = producer
            return self._producer

    def _resume(self, call: _Call) -> _Sent | None:
        """The record of an earlier call like this one that nobody waits for."""
        left = self._left.get(call) if self._left else None
        if not left:
            return None
        sent = left.pop(0)
        if not left:
            del self._left[call]
        return sent

    def _leave(self, call: _Call, sent: _Sent) -> None:
        self._left.setdefault(call, []).append(sent)

        def forget() -> None:
            left = self._left.get(call, [])
            if sent in left:
                left.remove(sent)
            if not left:
                self._left.pop(call, None)

        def done(future: asyncio.Future[Any]) -> None:
            # Looked at, so that asyncio does not report an error that nobody came back for.
            if not future.cancelled():
                future.exception()
            future.get_loop().call_later(_REMEMBERED_S, forget)

        sent.done.add_done_callback(done)

    def _let_go(self, producer: AIOKafkaProducer) -> None:
        """Take a new producer from now on; what the old one has under way gets a moment."""
        if self._producer is not producer:
            return
        self._producer = None
        task = asyncio.get_running_loop().create_task(self._end(producer))
        self._letting_go.add(task)
        task.add_done_callback(self._letting_go.discard)

    async def _end(self, producer: AIOKafkaProducer) -> None:
        try:
            await asyncio.wait_for(producer.stop(), self._cluster.patience)
        except (TimeoutError, errors.KafkaError):
            # An idempotent producer never gives a record up: stop() would wait for ever.
            log.warning(
                "%s: gave up on records under way; sent again, they may be there twice",
                self._cluster.endpoint,
            )
            await producer.client.close()
            await producer._sender.close()
            producer._message_accumulator.fail_all(errors.ProducerClosed())

    async def ensure_topic(
        self, topic: str, partitions: int, *, compact: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic unless it exists, and return when it can be written to.

        Records may have 16 MiB; a compacted topic keeps the last record of each key. ``settings``
        are Kafka's own, over ours. Raises Rejected if it exists with another number of
        partitions or the cluster refuses it, Unavailable.
        """
        configs = {
            "cleanup.policy": "compact" if compact else "delete",
            "max.message.bytes": str(LARGEST),
            "min.insync.replicas": str(max(1, self._replication - 1)),
            **(settings or {}),
        }
        await create_topic(
            self._cluster, NewTopic(topic, partitions, self._replication, topic_configs=configs)
        )

    def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        """Yield (offset, key, value) from ``start`` to the end as it is now.

        Records below the first that the log has still are left out. Raises Unavailable.
        """
        return self._reader.read(topic, partition, start)

    async def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next record of a partition will get. Raises Unavailable."""
        return await self._reader.end(topic, partition)

    async def close(self) -> None:
        """Wait for what is under way, not longer than our patience, and let go."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._end(producer)
        if self._letting_go:
            await asyncio.wait(set(self._letting_go))
        await self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
