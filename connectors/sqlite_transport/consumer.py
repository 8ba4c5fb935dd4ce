"""Consuming through Faust: all partitions of the app's topics, from where its group was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.types import TP, ConsumerMessage, Message
from mode import Service
from mode.utils.times import Seconds

from connectors.sqlite_log import Partition, Record, partition_of_key
from connectors.sqlite_transport.group import GroupConsumer, tps
from connectors.sqlite_transport.topics import all_partitions, assign_all, create_topic
from streams.ports import Unavailable

if TYPE_CHECKING:
    from connectors.sqlite_transport import Transport

__all__ = ["Consumer"]

#: records in one fetch where broker_max_poll_records does not say, and bytes at most
FETCH_RECORDS, FETCH_BYTES = 512, 4 * 2**20

#: how often an idle consumer looks for what other processes have written: from, to [s]
LOOK_SOON_S, LOOK_LATE_S = 0.005, 0.05

#: how often it looks for topics that were not there when it subscribed [s]
LOOK_FOR_TOPICS_S = 1.0


class Consumer(GroupConsumer):
    """Reads the embedded log on behalf of one Faust app.

    Where Faust's own bookkeeping would lose a record (a partition paused in the middle of
    a fetch, a seek while a record is being handed on, an acknowledgement out of order, the
    record behind a gap), this consumer keeps it: see ``getmany``, ``_new_offset`` and
    ``_note_gap``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._subscribed: set[str] = set()
        self._missing: set[str] = set()
        self._generation = 0
        self._rebalancing = asyncio.Lock()
        self._look_s = LOOK_SOON_S
        self._version = -1
        self._listener: Any = None

    # -- starting and stopping

    async def on_start(self) -> None:
        """Open the log and become its consumer; ConsumerTaken if another process is."""
        log = cast("Transport", self.transport).open_log()
        try:
            # a client reads without a group: it may do so beside the consumer
            if not self.app.client_only:
                log.consume()
        except BaseException:
            await log.close()
            raise
        self._log = log
        self._listener = log.listen(self._told)

    async def on_stop(self) -> None:
        """Commit what is acknowledged, then let go of the log."""
        self._wake()
        try:
            await super().on_stop()
        finally:
            log, self._log = self._log, None
            if log is not None:
                log.unlisten(self._listener)
                await log.close()

    def close(self) -> None:
        """Faust calls this when it is stopped in a rebalance; ``on_stop`` does the work."""

    # -- subscription

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to topics. Returns before the assignment, which waits for this call to be over."""
        self._subscribed = set(topics)
        self.add_future(self._rebalance())

    async def _rebalance(self) -> None:
        log = self._opened()
        async with self._rebalancing:
            counts = {topic: count for topic in self._subscribed if (count := log.partitions(topic))}
            missing = self._subscribed - counts.keys()
            if missing:
                self.log.warning(
                    "waiting for topics that do not exist yet: %s; declare them", ", ".join(sorted(missing))
                )
            self._missing = missing
            if self.app.client_only:
                await self._place(set(all_partitions(counts)))
                self._set_active_tps(self.assignment())
                return
            self.app.on_rebalance_start()
            # Faust stops the flow only where there was an assignment; recovery starts it again
            self.stop_flow()
            await self.on_partitions_revoked(self.assignment())
            assigned = assign_all(self.app, counts)
            acked = [tp for tp in assigned if self.app.topics.acks_enabled_for(tp.topic)]
            await self._retry(lambda: log.register(self.app.conf.id, acked))
            await self._place(assigned)
            self._generation += 1
            self.app.consumer_generation_id = self._generation
            await self.on_partitions_assigned(assigned, self._generation)

    async def _place(self, assigned: set[TP]) -> None:
        """Put every partition where its group was, or where ``consumer_auto_offset_reset`` says."""
        log = self._opened()
        starts, ends = tps(log.starts(assigned)), tps(log.ends(assigned))
        committed = {} if self.app.client_only else tps(log.committed(self.app.conf.id))
        latest = self.app.conf.consumer_auto_offset_reset == "latest" and not self.app.client_only
        self._at.assign(
            {
                tp: offset if (offset := committed.get(tp)) is not None else (ends if latest else starts)[tp]
                for tp in assigned
            },
            ends,
        )
        self._version = -1

    @Service.task
    async def _look_for_topics(self) -> None:
        """Rebalance when a topic appears that was subscribed to before it existed."""
        while not self.should_stop:
            await self.sleep(LOOK_FOR_TOPICS_S)
            log = self._log
            if log is not None and any(log.partitions(topic) for topic in self._missing):
                await self._rebalance()

    def assignment(self) -> set[TP]:
        """Return the partitions that this consumer reads."""
        return self._at.partitions()

    def topic_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has."""
        return self._opened().partitions(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key; None if there is no such topic."""
        count = self._opened().partitions(topic)
        if count is None or partition is not None:
            return partition if count is not None else None
        return 0 if key is None else partition_of_key(key, count)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 30.0,
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic unless it exists."""
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

    # -- fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Yield what there is to read, taking turns between topics and partitions.

        A record that cannot be handed on now (its partition was paused, the flow stopped, a
        rebalance came) is read again later, and everything behind it with it.
        """
        records = await self._fetch(timeout)
        generation = self.app.consumer_generation_id
        acks_enabled_for = self.app.topics.acks_enabled_for
        at = self._at
        marks = {tp: at.mark(tp) for tp in records}
        following = {tp: at.read_from(tp) for tp in records}
        held: set[TP] = set()
        try:
            for tp, record in self.scheduler.iterate(records):
                if self.should_stop or not self.flow_active:
                    break
                if self.app.consumer_generation_id != generation:
                    break
                if tp in held or at.mark(tp) != marks[tp] or not self._wanted(tp):
                    held.add(tp)
                    continue
                if record.offset > following[tp] and acks_enabled_for(tp.topic):
                    self._note_gap(tp, following[tp], record.offset)
                following[tp] = record.offset + 1
                self.app.monitor.track_tp_end_offset(tp, at.end(tp))
                yield tp, self._to_message(tp, record)
                if at.mark(tp) != marks[tp]:
                    # It was moved while Faust handed the record on. Faust has now noted the
                    # record's offset, and would drop what is read again below it.
                    self._read_offset[tp] = at.position(tp) or None
        finally:
            for tp, batch in records.items():
                if at.mark(tp) == marks[tp] and following[tp] <= batch[-1].offset:
                    at.back(tp, following[tp])

    def _wanted(self, tp: TP) -> bool:
        return self.app.client_only or tp in self._active_partitions or tp in self._buffered_partitions

    async def _fetch(self, timeout: float) -> dict[TP, list[Record]]:
        """Read what is there, or wait for something, at most ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self.not_waiting_next_records.clear()
        try:
            while not self.should_stop and self._log is not None:
                look_s, self._look_s = self._look_s, min(LOOK_LATE_S, self._look_s * 1.2)
                if self.flow_active:
                    try:
                        records = self._read()
                    except Unavailable as error:
                        self.log.error("%s", error)
                        records, look_s = {}, error.retry_after
                    if records:
                        self._look_s = LOOK_SOON_S
                        return records
                rest = end - loop.time()
                if rest <= 0:
                    break
                await self._nap(min(rest, look_s))
        finally:
            self.not_waiting_next_records.set()
        return {}

    def _read(self) -> dict[TP, list[Record]]:
        """Read from every partition that has something, an equal share of the bytes from each."""
        log = self._opened()
        at = self._at
        active = self.assignment() if self.app.client_only else self._active_partitions
        version = log.version()
        if version != self._version:
            idle = [tp for tp in active if not at.pending(tp)]
            if idle:
                at.reached(tps(log.ends(idle)))
            self._version = version
        ready = at.in_turn(tp for tp in active if at.pending(tp))
        if not ready:
            return {}
        most = self.app.conf.broker_max_poll_records or FETCH_RECORDS
        count = max(1, most // len(ready))
        size = max(1, min(FETCH_BYTES, self.app.conf.consumer_max_fetch_size * len(ready)) // len(ready))
        records: dict[TP, list[Record]] = {}
        for tp in ready[:most]:
            batch = log.fetch(tp.topic, tp.partition, at.position(tp), count, size)
            if batch:
                records[tp] = batch
                at.advance(tp, batch[-1].offset + 1)
        return records

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Any]]:
        """Faust's own way in, which ``getmany`` goes around."""
        return cast("dict[TP, list[Any]]", await self._fetch(timeout))

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp_ms / 1000.0,
            0,
            list(record.headers),
            record.key,
            record.value,
            None,
            len(record.key) if record.key is not None else -1,
            len(record.value) if record.value is not None else -1,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    # -- waiting

    def _told(self, ends: Mapping[Partition, int]) -> None:
        """Take note of what this process has written."""
        if self._at.reached(tps(ends)):
            self._wake()

    def on_buffer_drop(self, tp: TP) -> None:
        """A stream has room again."""
        super().on_buffer_drop(tp)
        self._wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Read from partitions again."""
        super().resume_partitions(tps)
        self._wake()

    def resume_flow(self) -> None:
        """Read again."""
        super().resume_flow()
        self._wake()

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)
