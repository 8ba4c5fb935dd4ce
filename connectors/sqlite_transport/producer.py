"""Sending through Faust: every send is resolved when the record is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import ProducerSendError
from faust.transport import base
from faust.types import TP, FutureMessage, HeadersArg, RecordMetadata
from mode.utils.times import Seconds

from connectors.sqlite_log import SqliteLog
from connectors.sqlite_transport.topics import create_topic
from streams.ports import PortError, Rejected

if TYPE_CHECKING:
    from connectors.sqlite_transport import Transport

__all__ = ["Producer"]


class Producer(base.Producer):
    """Appends to the embedded log.

    Records of one partition are written in the order of the calls to ``send``, whoever
    calls. What cannot be written at all (unknown topic, too large) raises ProducerSendError
    at once; what fails on the way (disk full) fails the future with Unavailable.
    """

    _log: SqliteLog | None = None

    def __post_init__(self) -> None:
        #: why a record was lost that nobody waits for (a table's change); nothing may be committed then
        self.lost: BaseException | None = None

    async def on_start(self) -> None:
        """Open the log."""
        await super().on_start()
        self.lost = None
        self._log = cast("Transport", self.transport).open_log()

    async def on_stop(self) -> None:
        """Write what is left, then let go."""
        await super().on_stop()
        log, self._log = self._log, None
        if log is not None:
            await log.close()

    def _opened(self) -> SqliteLog:
        if self._log is None:
            raise ProducerSendError("the producer is not running: send after the app has started")
        return self._log

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Queue a record; waits only while 64 MiB are on their way to the disk."""
        log = self._opened()
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        self.app.on_produce_message.send(
            key=key, value=value, partition=partition, timestamp=timestamp, headers=pairs
        )
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if size > self.max_request_size:
            # Kafka refuses it too: a program that runs on one must run on the other
            raise ProducerSendError(
                f"topic {topic}: a record of {size} bytes exceeds producer_max_request_size="
                f"{self.max_request_size}; raise the setting or send less"
            )
        timestamp_ms = None if not timestamp else int(timestamp * 1000)
        try:
            number = self._partition(log, topic, key) if partition is None else partition
            future = log.submit(
                topic,
                value,
                key=key,
                partition=number,
                timestamp_ms=timestamp_ms,
                headers=cast(Any, pairs),
                result=partial(_metadata, TP(topic, number), timestamp),
            )
        except PortError as error:
            raise ProducerSendError(str(error)) from error
        await log.room()
        return cast("Awaitable[RecordMetadata]", future)

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Append a record and wait until it is durable."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    def send_soon(self, fut: FutureMessage) -> None:
        """Queue a record that nobody waits for: Faust sends the changes of its tables so."""
        fut.add_done_callback(self._sent_soon)
        super().send_soon(fut)

    def _sent_soon(self, fut: asyncio.Future[RecordMetadata]) -> None:
        if not fut.cancelled() and fut.exception() is not None:
            self.lost = fut.exception()

    async def flush(self) -> None:
        """Wait until everything sent is written or has failed, and whoever waited has been told."""
        await self.buffer.flush()
        if self._log is not None:
            await self._log.flush()
            # a failure reaches ``_sent_soon`` over two callbacks, each in a turn of the loop of its own
            for _ in range(3):
                await asyncio.sleep(0)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 20.0,
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic unless it exists; there is nothing to replicate to."""
        if not self.app.conf.topic_allow_declare:
            self.log.warning("topic_allow_declare is off: not creating topic %s", topic)
            return
        await create_topic(
            self._opened(),
            topic,
            partitions,
            config=config,
            retention=retention,
            compacting=compacting,
            deleting=deleting,
            ensure_created=ensure_created,
        )

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition that a key's records go to."""
        return TP(topic, self._partition(self._opened(), topic, key))

    def _partition(self, log: SqliteLog, topic: str, key: bytes | None) -> int:
        if self.partitioner is None:
            return log.partition_for(topic, key)
        count = log.partitions(topic)
        if count is None:
            raise Rejected(f"topic {topic}", "it does not exist: declare it before sending")
        numbers = list(range(count))
        return self.partitioner(key, numbers, numbers)

    def supports_headers(self) -> bool:
        """Records carry headers."""
        return True


def _metadata(tp: TP, timestamp: float | None, offset: int) -> RecordMetadata:
    return RecordMetadata(tp.topic, tp.partition, tp, offset, timestamp, 0)
