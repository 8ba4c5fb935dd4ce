"""flags.v1 → tickets, in the order of each partition, in transactions of many."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from faust.types import TP

from streams.dead_letters import dead_letter
from streams.dispatch import Dispatcher
from streams.messages import DEAD_LETTERS, FLAGS, Flag
from streams.ports import Log, Unavailable
from streams.topology import Topology, commit

log = logging.getLogger(__name__)

MOST = 500  # flags in a transaction
LOOK_S = 2.0  # after partitions were assigned: has what is not committed come?
_decoder = msgspec.json.Decoder(Flag)
_json = msgspec.json.Encoder().encode


class TicketOpener:
    """Gathers flags while a transaction runs; commits their offsets when it is through.

    A flag that is read again after a kill changes nothing: the store knows it. Around a rebalance
    Faust may pass over messages (those that it fetched while a partition was paused, and where
    nothing was committed yet it does not go back); what is missing is read again.
    """

    def __init__(self, topology: Topology, dispatcher: Dispatcher, read_log: Log) -> None:
        self._topology = topology
        self._dispatcher = dispatcher
        self._log = read_log
        self._next: dict[int, int] = {}  # partition → the offset that must come next
        self._rewinding: dict[int, asyncio.Task[None]] = {}
        self._came = asyncio.Event()  # what was missing
        self._waiting: list[tuple[int, int, bytes | None]] = []
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._room.set()
        self.flags = 0
        self.tickets = 0  # ticket changes
        self.error = ""

    async def take(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One flag event; waits while two transactions' worth is waiting."""
        await self._room.wait()
        expected = self._next.get(partition)
        if expected is None:
            expected = self._next[partition] = self._committed(partition)
        if offset != expected:
            if offset > expected and partition not in self._rewinding:
                self._rewinding[partition] = asyncio.create_task(self._guarded(partition, self._rewind))
            return
        self._next[partition] = offset + 1
        if partition in self._rewinding:
            self._came.set()
        self._waiting.append((partition, offset, raw))
        if len(self._waiting) >= 2 * MOST:
            self._room.clear()
        self._work.set()

    def forget(self) -> None:
        """A rebalance: what is waiting will be delivered again to whoever owns it."""
        self._waiting.clear()
        self._next.clear()
        for task in self._rewinding.values():
            task.cancel()
        self._rewinding.clear()
        self._room.set()

    async def assigned(self) -> None:
        """Partitions are ours: see to it that what is not committed comes, also where nothing follows it."""
        for tp in self._topology.app.consumer.assignment():
            if tp.topic == FLAGS and tp.partition not in self._rewinding:
                self._next.setdefault(tp.partition, self._committed(tp.partition))
                self._rewinding[tp.partition] = asyncio.create_task(self._guarded(tp.partition, self._look))

    def _committed(self, partition: int) -> int:
        """As Faust found it when the partition was given to us; without any, all is to be read."""
        consumer: Any = self._topology.app.consumer
        return int(consumer._committed_offset.get(TP(FLAGS, partition)) or 0)

    async def _look(self, partition: int) -> None:
        """Where nothing has come although there is something, it was passed over."""
        expected = self._next[partition]
        await asyncio.sleep(LOOK_S)
        if self._next[partition] == expected and await self._log.end(FLAGS, partition) > expected:
            await self._rewind(partition)

    async def _guarded(self, partition: int, work: Callable[[int], Awaitable[None]]) -> None:
        """A task whose failure stops the worker: started again, it goes on from what is committed."""
        try:
            await work(partition)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must not go on without them
            log.error("flags of partition %d cannot be read again: %s", partition, error)
            await self._topology.app.crash(error)
        else:
            del self._rewinding[partition]

    async def _rewind(self, partition: int) -> None:
        """Seek back to what is missing, until it comes; what has left the log cannot come."""
        tp = TP(FLAGS, partition)
        consumer: Any = self._topology.app.consumer
        expected = self._next[partition]
        async for first, _, _ in self._log.read(FLAGS, partition, expected):
            if first > expected:
                gone = f"flags {expected} to {first - 1} are no longer in the log"
                log.error("%s/%d: %s", FLAGS, partition, gone)
                expected = self._next[partition] = first
            break
        while self._next[partition] == expected:
            self._came.clear()
            consumer.pause_partitions([tp])
            await asyncio.sleep(0.05)
            await consumer.seek_wait({tp: expected})
            consumer.resume_partitions([tp])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), 1.0)

    async def run(self) -> None:
        """Until cancelled."""
        delay = 0.2
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                batch = self._waiting[:MOST]
                flags, letters = [], []
                for partition, _, raw in batch:
                    try:
                        flags.append(_decoder.decode(raw or b""))
                    except msgspec.DecodeError as error:
                        letters.append((partition, f"expected a flag event in JSON, got {error}", raw or b""))
                try:
                    handled = await self._dispatcher.handle_all(flags)
                except Unavailable as error:
                    self.error = str(error)
                    log.warning("tickets wait: %s", error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, 10.0)
                    continue
                delay, self.error = 0.2, ""
                letters += [(batch[0][0], reason, _json(flag)) for flag, reason in handled.rejected]
                await self._dead(letters)
                if self._waiting[: len(batch)] == batch:
                    # Nothing was taken away by a rebalance meanwhile: this much is done.
                    del self._waiting[: len(batch)]
                    offsets = {TP(FLAGS, partition): offset + 1 for partition, offset, _ in batch}
                    await commit(self._topology.app, offsets)
                self.flags += len(flags)
                self.tickets += len(handled.tickets)
                if len(self._waiting) < MOST:
                    self._room.set()

    async def _dead(self, letters: list[tuple[int, str, bytes]]) -> None:
        producer = self._topology.app.producer
        for partition, reason, raw in letters:
            source = f"{FLAGS}/{partition}"
            letter = dead_letter(source, "tickets", reason, raw, time.time_ns())
            await producer.send_and_wait(DEAD_LETTERS, source.encode(), letter, None, None, None)


def attach(topology: Topology, opener: TicketOpener) -> None:
    """Give the app its ticket agent."""
    app = topology.app
    topology.state.on_recover(opener.assigned)

    @app.agent(topology.flags, name="open_tickets", concurrency=1)
    async def open_tickets(stream: Any) -> None:
        """Flags into tickets; committed once they are in the store."""
        async for event in stream.noack().events():
            await opener.take(event.message.partition, event.message.offset, event.value)

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(*_: Any, **__: Any) -> None:
        opener.forget()
