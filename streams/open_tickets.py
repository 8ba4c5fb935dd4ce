"""flags.v1 → tickets, in the order of each partition, in transactions of many."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec
from faust.types import TP

from streams.dead_letters import dead_letter
from streams.dispatch import Dispatcher
from streams.in_order import InOrder
from streams.messages import DEAD_LETTERS, FLAGS, Flag
from streams.ports import Log, Unavailable
from streams.topology import Topology, commit

log = logging.getLogger(__name__)

MOST = 500  # flags in a transaction
MOST_BYTES = 8 << 20  # of flags that wait for the store: their evidence has no bound of its own
_decoder = msgspec.json.Decoder(Flag)
_json = msgspec.json.Encoder().encode


class TicketOpener:
    """Gathers flags while a transaction runs; commits their offsets when it is through.

    A flag that is read again after a kill changes nothing: the store knows it.
    """

    def __init__(self, topology: Topology, dispatcher: Dispatcher, read_log: Log) -> None:
        self._topology = topology
        self._dispatcher = dispatcher
        self.order = InOrder(topology.app, FLAGS, read_log)
        self._waiting: list[tuple[int, int, bytes | None]] = []
        self._bytes = 0
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._room.set()
        self.flags = 0
        self.tickets = 0  # ticket changes
        self.error = ""

    async def take(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One flag event; waits while two transactions' worth is waiting, or 8 MiB."""
        await self._room.wait()
        if not await self.order.take(partition, offset):
            return
        self._waiting.append((partition, offset, raw))
        self._bytes += len(raw or b"")
        if len(self._waiting) >= 2 * MOST or self._bytes >= MOST_BYTES:
            self._room.clear()
        self._work.set()

    def forget(self) -> None:
        """A rebalance: what is waiting will be delivered again to whoever owns it."""
        self._waiting.clear()
        self._bytes = 0
        self._room.set()

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
                    self._bytes = sum(len(raw or b"") for _, _, raw in self._waiting)
                    offsets = {TP(FLAGS, partition): offset + 1 for partition, offset, _ in batch}
                    await commit(self._topology.app, offsets)
                    for tp, offset in offsets.items():
                        self.order.done(tp.partition, offset)
                self.flags += len(flags)
                self.tickets += len(handled.tickets)
                if len(self._waiting) < MOST and self._bytes < MOST_BYTES:
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
    topology.state.on_recover(opener.order.assigned)

    @app.agent(topology.flags, name="open_tickets", concurrency=1)
    async def open_tickets(stream: Any) -> None:
        """Flags into tickets; committed once they are in the store."""
        async for event in stream.noack().events():
            await opener.take(event.message.partition, event.message.offset, event.value)

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(*_: Any, **__: Any) -> None:
        opener.forget()
