"""Consuming through Faust: all partitions of the app's topics, from where its group was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import ConsumerNotStarted
from faust.transport import base
from faust.types import TP, ConsumerMessage, Message
from mode import Service
from mode.utils.times import Seconds

from connectors.sqlite_log import Partition, Record, SqliteLog, partition_of_key
from connectors.sqlite_transport.positions import Positions
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


class Consumer(base.Consumer):
    """Reads the embedded log on behalf of one Faust app.

    Where Faust's own bookkeeping would lose a record (a partition paused in the middle of
    a fetch, a seek while a record is being handed on, an acknowledgement out of order, the
    record behind a gap), this consumer keeps it: see ``getmany``, ``_new_offset`` and
    ``_note_gap``.
    """

    _log: SqliteLog | None = None

    def __post_init__(self) -> None:
        self._subscribed: set[str] = set()
        self._missing: set[str] = set()
        self._at = Positions()
        self._generation = 0
        self._rebalancing = asyncio.Lock()
        self._something: asyncio.Future[None] | None = None
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

    def _opened(self) -> SqliteLog:
        if self._log is None:
            raise ConsumerNotStarted("the consumer is not running")
        return self._log

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
        starts, ends = _tps(log.starts(assigned)), _tps(log.ends(assigned))
        committed = {} if self.app.client_only else _tps(log.committed(self.app.conf.id))
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
                at.reached(_tps(log.ends(idle)))
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

    async def _nap(self, seconds: float) -> None:
        """Wait until something happens, or so long."""
        loop = asyncio.get_running_loop()
        self._something = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._something
        finally:
            timer.cancel()
            self._something = None

    def _wake(self) -> None:
        if self._something is not None and not self._something.done():
            self._something.set_result(None)

    def _told(self, ends: Mapping[Partition, int]) -> None:
        """Take note of what this process has written."""
        if self._at.reached(_tps(ends)):
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

    # -- positions

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        return self._at.position(tp) if tp in self._at else None

    async def _seek(self, partition: TP, offset: int) -> None:
        self._at.seek(partition, offset)
        self._wake()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to these offsets."""
        for tp, offset in partitions.items():
            self._at.seek(tp, offset)
            self._read_offset[tp] = offset or None
        self._wake()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:  # type: ignore[override]
        """Go to where the group was, and return it.

        A partition without a committed offset goes to where it began, unless it is one
        whose records are not acknowledged (a changelog).
        """
        committed = _tps(self._opened().committed(self.app.conf.id))
        found: dict[TP, int | None] = {}
        for tp in self.assignment():
            offset = found[tp] = committed.get(tp)
            if offset is not None:
                self._at.seek(tp, offset)
            elif self.app.topics.acks_enabled_for(tp.topic):
                self._at.seek(tp, self._at.start(tp))
        return found

    def highwater(self, tp: TP) -> int:
        """Return the next offset of a partition, as far as it is known."""
        return self._at.end(tp)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the next offsets of partitions."""
        return _tps(self._opened().ends(partitions))

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offsets that partitions still hold."""
        return _tps(self._opened().starts(partitions))

    # -- acknowledging

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Write the group's offsets; keeps trying while the log is unavailable, until stopped."""
        log = self._opened()
        return await self._retry(
            lambda: log.commit(self.app.conf.id, {(tp.topic, tp.partition): n for tp, n in offsets.items()})
        )

    async def _retry(self, change: Any) -> bool:
        pause = 0.1
        while True:
            try:
                await change()
            except Unavailable as error:
                self.log.error("%s", error)
                if self.should_stop:
                    return False
                await self.sleep(pause)
                pause = min(5.0, pause * 2)
            else:
                return True

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset up to which everything is acknowledged; None if it has not moved.

        Faust's own would pass an unacknowledged record where nothing is committed yet or
        where it is a single one.
        """
        acked = self._acked_index[tp]
        if not acked or tp not in self._at:
            return None
        floor = self._committed_offset[tp]
        first = offset = self._at.start(tp) if floor is None else floor
        gaps = self._gap[tp]
        while True:
            if offset in acked:
                offset += 1
            elif gap := gaps.at(offset):
                offset = max(interval.end for interval in gap)
            else:
                break
        if offset == first:
            return None
        acked.difference_update(range(first, offset))
        self._acked[tp] = [number for number in self._acked[tp] if number >= offset]
        gaps.chop(0, offset)
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: Faust's idea of a gap takes in the record behind it; ``_note_gap`` has ours."""

    def _note_gap(self, tp: TP, first: int, behind: int) -> None:
        """Note that there are no records from ``first`` up to, but not including, ``behind``."""
        self._gap[tp].addi(first, behind)
        self._gap[tp].merge_overlaps(strict=False)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)


def _tps(values: Mapping[Any, Any]) -> dict[TP, Any]:
    """Return the same with Faust's own names of partitions, which compare equal."""
    return {TP(*name): value for name, value in values.items()}
