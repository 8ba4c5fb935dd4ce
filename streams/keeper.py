"""Keeps the partitions that this worker owns: recovery, order, checkpoints, hand-back.

Input is acknowledged (the group's offset committed) only after a checkpoint that reflects it is
durable, and nothing is deleted before the broker has accepted that commit: it refuses it to a
worker that has lost the partition. See docs/adr/0001.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from faust.types import TP

from streams.dead_letters import dead_letter
from streams.messages import DEAD_LETTERS, FLAGS, READINGS
from streams.ports import Log
from streams.state.bank import BankConfig, Outcome
from streams.state.checkpoint import highest_epoch
from streams.state.partition import Partition, Sends
from streams.topology import Topology, commit

log = logging.getLogger(__name__)

_json = msgspec.json.Encoder().encode
MOST_PENDING = 2_000  # sends under way a partition, before reading goes on


@dataclass(slots=True)
class Kept:
    """One partition that is ours."""

    partition: Partition
    pending: list[asyncio.Future[Any]] = field(default_factory=list)  # must be durable before a checkpoint
    task: asyncio.Task[None] | None = None
    rewinding: asyncio.Task[None] | None = None
    rewound: asyncio.Event = field(default_factory=asyncio.Event)
    last: float = 0.0  # when its last checkpoint ended [s, monotonic]
    cost: float = 0.0  # what the last one took [s]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def drain(self) -> None:
        """Wait for the sends under way and let go of those that have arrived.

        What failed stays, for the checkpoint to fall over. Left as they are, they would grow until
        the next checkpoint, however many flags come before it.
        """
        await asyncio.wait(self.pending)
        self.pending = [sent for sent in self.pending if not _arrived(sent)]


def _arrived(sent: asyncio.Future[Any]) -> bool:
    return sent.done() and not sent.cancelled() and sent.exception() is None


@dataclass(slots=True)
class KeeperStats:
    """Running totals, for metrics and heartbeats."""

    readings: int = 0
    batches: int = 0
    flags: int = 0
    dead_letters: int = 0
    checkpoints: int = 0
    checkpoint_bytes: int = 0
    checkpoint_seconds: float = 0.0
    fenced: int = 0
    gaps: int = 0
    lost_offsets: int = 0
    skipped: int = 0
    recovered_seconds: float = 0.0
    last_reading: float = 0.0  # [s, monotonic]
    counts: dict[str, int] = field(default_factory=dict)  # late, duplicates, …


class Keeper:
    """All partitions of one worker. ``read_log`` is a log of our own, to ask what is there."""

    def __init__(
        self,
        topology: Topology,
        config: BankConfig,
        read_log: Log,
        checkpoint_s: float,
        checkpoint_share: float,
    ) -> None:
        self.topology = topology
        self.config = config
        self.stats = KeeperStats()
        self.ready = False
        self.kept: dict[int, Kept] = {}
        self._log = read_log
        self._every = checkpoint_s
        self._share = checkpoint_share
        self._generation = 0
        self._one = asyncio.Lock()  # one checkpoint at a time: the memory of one copy
        app = topology.app
        app.before_stop = self.close
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        topology.state.on_recover(self._recovered)

    # -- taking ---------------------------------------------------------------------------

    async def take(self, number: int, offset: int, raw: bytes | None) -> None:
        """One message of the log, in order; what was handled before a kill or rebalance is skipped."""
        kept = self.kept.get(number)
        if kept is None:
            return
        partition = kept.partition
        if offset != partition.next_offset:
            if offset < partition.next_offset:
                self.stats.skipped += 1
            elif kept.rewinding is None:
                self.stats.gaps += 1
                kept.rewound = asyncio.Event()
                kept.rewinding = asyncio.create_task(self._guarded(self._rewind(number, kept)))
            return
        if kept.rewinding is not None:
            kept.rewound.set()
            kept.rewinding = None
        outcome, sends = partition.handle(raw or b"")
        partition.next_offset = offset + 1
        await self._emit(number, kept, outcome, sends)

    async def _emit(self, number: int, kept: Kept, outcome: Outcome, sends: Sends) -> None:
        stats = self.stats
        stats.batches += 1
        readings = outcome.counts.pop("readings", 0)
        if readings:
            stats.readings += readings
            stats.last_reading = time.monotonic()
        for what, count in outcome.counts.items():
            stats.counts[what] = stats.counts.get(what, 0) + count
        for flag in outcome.flags:
            await self._send(kept, FLAGS, flag.service_point_id.encode(), _json(flag), None)
        for reject in outcome.rejects:
            stats.dead_letters += 1
            source = f"{READINGS}/{number}"
            letter = dead_letter(source, "worker", reject.reason, reject.raw, time.time_ns())
            await self._send(kept, DEAD_LETTERS, source.encode(), letter, None)
        for target, message in sends:
            await self._send(kept, READINGS, None, message, target)
        stats.flags += len(outcome.flags)
        if len(kept.pending) > MOST_PENDING:
            await kept.drain()

    async def _send(
        self, kept: Kept, topic: str, key: bytes | None, value: bytes, partition: int | None
    ) -> None:
        producer = self.topology.app.producer
        kept.pending.append(
            asyncio.ensure_future(await producer.send(topic, key, value, partition, None, None))
        )

    async def _rewind(self, number: int, kept: Kept) -> None:
        """Input is missing: seek back to where it should go on, until it comes.

        Whether it is there at all is asked of the log itself: arriving offsets do not tell.
        """
        partition = kept.partition
        tp = TP(READINGS, number)
        async for first, _, _ in self._log.read(READINGS, number, partition.next_offset):
            if first > partition.next_offset:
                lost = first - partition.next_offset
                self.stats.lost_offsets += lost
                log.error(
                    "%s/%d: messages %d to %d are no longer in the log (retention?): %d messages were never read",
                    READINGS, number, partition.next_offset, first - 1, lost,
                )  # fmt: skip
                partition.next_offset = first
            break
        consumer = self.topology.app.consumer
        while not kept.rewound.is_set():
            consumer.pause_partitions([tp])
            await asyncio.sleep(0.05)
            await consumer.seek_wait({tp: partition.next_offset})
            consumer.resume_partitions([tp])
            try:
                await asyncio.wait_for(kept.rewound.wait(), 1.0)
            except TimeoutError:
                continue

    # -- checkpoints ------------------------------------------------------------------------

    async def _checkpoints(self, number: int, kept: Kept) -> None:
        while True:
            # Rarely enough that checkpoints take their share of the time and no more.
            wait = max(self._every, kept.cost / self._share)
            await asyncio.sleep(max(0.05, kept.last + wait - time.monotonic()))
            await self.checkpoint(number, kept)

    async def checkpoint(self, number: int, kept: Kept) -> bool:
        """Write what has changed; commit; delete what that replaced. True if it was accepted."""
        async with self._one, kept.lock:
            started = time.monotonic()
            partition = kept.partition
            pending, kept.pending = kept.pending, []
            draft = partition.draft()
            if draft is None:
                kept.pending = pending + kept.pending
                kept.last = time.monotonic()
                return True
            try:
                for sent in pending:
                    await sent
                await self._write(number, draft.records)
                await self._write(number, [draft.marker])
                accepted = await commit(self.topology.app, {TP(READINGS, number): draft.next_offset})
            except asyncio.CancelledError:
                partition.ledger.abandon(draft, partition.bank)
                kept.pending = pending + kept.pending
                raise
            except Exception as error:
                # A broker that is away fails in many ways; what was sent and not confirmed is sent again
                # only by a restart from the last checkpoint, so that is what happens.
                partition.ledger.abandon(draft, partition.bank)
                raise CheckpointFailedError(number, error) from error
            if not accepted or self._generation != self._current_generation():
                self.stats.fenced += 1
                partition.ledger.abandon(draft, partition.bank)
                log.warning("partition %d: another worker owns it, its checkpoint was refused", number)
                return False
            stale = partition.ledger.complete(draft)
            await self._write(number, [(key, None) for key in stale])
            kept.last = time.monotonic()
            kept.cost = kept.last - started
            self.stats.checkpoints += 1
            self.stats.checkpoint_bytes += draft.size
            self.stats.checkpoint_seconds += kept.cost
            return True

    async def _write(self, number: int, records: list[Any]) -> None:
        producer = self.topology.app.producer
        sends = []
        for key, value in records:
            sends.append(await producer.send(self.topology.changelog, key, value, number, None, None))
            # Detection goes on between two blocks.
            await asyncio.sleep(0)
        if sends:
            await asyncio.gather(*sends)

    # -- ownership ----------------------------------------------------------------------------

    async def _recovered(self) -> None:
        try:
            await self._recover()
        except Exception as error:
            # Faust would lose an exception of this callback; a state that cannot be read must stop the worker.
            log.exception("recovery failed")
            await self.topology.app.crash(error)

    async def _recover(self) -> None:
        started = time.monotonic()
        app = self.topology.app
        self._generation = self._current_generation()
        store = self.topology.state.data
        tables: dict[int, dict[bytes, bytes]] = {}
        for key, value in store.data.items():
            tables.setdefault(int(key.partition(b"/")[0]), {})[key] = value
        mine = sorted(tp.partition for tp in app.consumer.assignment() if tp.topic == READINGS)
        for number in set(self.kept) - set(mine):
            del self.kept[number]
        commits: dict[TP, int] = {}
        for number in mine:
            table = tables.get(number, {})
            kept = self.kept.get(number)
            if kept is None:
                kept = self.kept[number] = Kept(Partition(self.config, number, table), last=time.monotonic())
            else:
                self._resume(kept.partition, table)
            kept.rewinding = None
            commits[TP(READINGS, number)] = await self._start(number, kept.partition)
            await self._write(number, [kept.partition.ledger.claim])
        # The state is in the banks now; in the table it would be in memory twice.
        store.data.clear()
        store._key_partition.clear()
        if commits and not await commit(app, commits):
            log.warning("the partitions were taken away during recovery; waiting for the next assignment")
            return
        for number in mine:
            kept = self.kept[number]
            kept.task = asyncio.create_task(self._guarded(self._checkpoints(number, kept)))
        self.ready = True
        self.stats.recovered_seconds = time.monotonic() - started
        meters = sum(len(kept.partition.bank) for kept in self.kept.values())
        log.info("ready: %d partitions, %d meters", len(mine), meters)

    async def _start(self, number: int, partition: Partition) -> int:
        """Where input goes on; without a checkpoint, at the first message that the log has."""
        if partition.next_offset < 0:
            partition.next_offset = await self._log.end(READINGS, number)
            async for first, _, _ in self._log.read(READINGS, number):
                partition.next_offset = first
                break
        return max(partition.ledger.next_offset, 0) if partition.ledger.marker else partition.next_offset

    def _resume(self, partition: Partition, table: dict[bytes, bytes]) -> None:
        """A partition that stayed ours. Had another worker it meanwhile, all must be written again."""
        top = highest_epoch(partition.ledger.partition, table)
        if top > partition.ledger.epoch:
            partition.ledger.epoch = top + 1
            partition.ledger.garbage += list(table)
            partition.ledger.live = {}
            partition.ledger.rewrite(partition.bank)

    async def _revoked(self, *_: Any, **__: Any) -> None:
        self.ready = False
        await self._stop_tasks()

    async def _stop_tasks(self) -> None:
        tasks = [t for kept in self.kept.values() for t in (kept.task, kept.rewinding) if t is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for kept in self.kept.values():
            kept.task = kept.rewinding = None

    async def close(self) -> None:
        """Orderly stop: a last checkpoint of everything."""
        ready, self.ready = self.ready, False
        await self._stop_tasks()
        if ready:
            for number, kept in self.kept.items():
                try:
                    await asyncio.wait_for(self.checkpoint(number, kept), 8.0)
                except (CheckpointFailedError, TimeoutError) as error:
                    log.warning("no last checkpoint of partition %d, input is read again: %s", number, error)

    def _current_generation(self) -> int:
        """The generation in which we own our partitions; aiokafka's own is −1 as soon as the group has left us."""
        consumer: Any = self.topology.app.consumer
        thread = getattr(consumer, "_thread", None)
        if thread is not None and getattr(thread, "_consumer", None) is not None:
            return int(thread._consumer._coordinator.generation)
        return int(self.topology.app.consumer_generation_id)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """A task whose failure stops the worker: its supervisor starts it from the last checkpoint."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 – the worker's supervisor: whatever it was, it starts anew
            log.error("worker stops: %s", error)
            await self.topology.app.crash(error)


class CheckpointFailedError(Exception):
    """A checkpoint could not be written."""

    def __init__(self, partition: int, cause: BaseException) -> None:
        super().__init__(
            f"checkpoint of partition {partition} failed ({cause!r}); the worker starts again from the last one"
        )
