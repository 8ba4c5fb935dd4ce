"""Reading partitions of Apache Kafka from any offset, without a consumer group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.kafka_client import LARGEST, Cluster
from streams.ports import Unavailable


class Reader:
    """Reads partitions of one cluster; every ``read`` has a connection of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asker: AIOKafkaConsumer | None = None  # for offsets alone
        self._connecting = asyncio.Lock()

    async def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        """Yield (offset, key, value) from ``start`` to the end as it is now; see ``Log.read``."""
        what = f"read {topic}/{partition}"
        tp = TopicPartition(topic, partition)
        reader = self._consumer()
        await self._cluster.start(reader, what)
        try:
            await self._known(reader, tp)
            reader.assign([tp])
            end = (await self._cluster.answer(reader.end_offsets([tp]), what))[tp]
            position = max(start, (await self._cluster.answer(reader.beginning_offsets([tp]), what))[tp])
            reader.seek(tp, position)
            heard = time.monotonic()
            while position < end:
                fetched = await self._cluster.answer(reader.getmany(tp, timeout_ms=200), what)
                for record in fetched.get(tp, ()):
                    if record.offset >= end:
                        return
                    yield record.offset, record.key, record.value
                before, position = position, await self._cluster.answer(reader.position(tp), what)
                if position > before:
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._cluster.patience:
                    # aiokafka itself would go on asking for ever
                    raise Unavailable(
                        self._cluster.endpoint,
                        f"{what}: no answer in {self._cluster.patience:g} s at offset {position}",
                    )
        finally:
            await reader.stop()

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get; see ``Log.end``."""
        what = f"look up the end of {topic}/{partition}"
        tp = TopicPartition(topic, partition)
        async with self._connecting:
            if self._asker is None:
                asker = self._consumer()
                await self._cluster.start(asker, what)
                self._asker = asker
            asker = self._asker
        await self._known(asker, tp)
        return int((await self._cluster.answer(asker.end_offsets([tp]), what))[tp])

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._cluster.client,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=LARGEST,
        )

    async def _known(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """Raise Unavailable for a partition that there is not: aiokafka would wait for it for ever."""
        end = time.monotonic() + self._cluster.patience
        while tp.partition not in (consumer.partitions_for_topic(tp.topic) or ()):
            # metadata of a topic that it does not read is only fetched when asked for
            await self._cluster.answer(
                consumer._client._wait_on_metadata(tp.topic), f"find {tp.topic} (ensure_topic() creates it)"
            )
            if time.monotonic() > end:
                raise Unavailable(
                    self._cluster.endpoint, f"there is no partition {tp.partition} of {tp.topic}"
                )
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Let go of the connections."""
        asker, self._asker = self._asker, None
        if asker is not None:
            await asker.stop()
