"""verdicts.v1 → words about tickets and flags, in the order of each partition."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from faust.types import TP

from streams.clock import Clock
from streams.dead_letters import dead_letter
from streams.in_order import InOrder
from streams.messages import DEAD_LETTERS, VERDICTS
from streams.ports import Log, Rejected, Unavailable
from streams.topology import Topology, commit, raw_topic
from streams.trade.book import Book
from streams.trade.judged import VerdictIn
from streams.trade.lifecycle import Refused
from streams.trade.tickets import Ticket
from streams.trade.verdicts import judge

log = logging.getLogger(__name__)

MOST = 100  # messages that wait for the store
_decoder = msgspec.json.Decoder(VerdictIn)


class VerdictStore(Protocol):
    """What is asked of the store; blocks, raises Unavailable and Rejected."""

    def tickets_of(self, flag_ids: Sequence[str]) -> dict[str, str]: ...

    def take_verdict(
        self, key: str, ticket_ids: Sequence[str], verb: Callable[[Book, Ticket], Ticket], now_ns: int
    ) -> bool: ...


class VerdictTaker:
    """Takes what other systems say of our tickets; an offset is committed once its word is in the store.

    A message that is read again after a kill is known by its place in the log, and changes nothing.
    """

    def __init__(self, topology: Topology, store: VerdictStore, clock: Clock, read_log: Log) -> None:
        self._topology = topology
        self._store = store
        self._clock = clock
        self.order = InOrder(topology.app, VERDICTS, read_log)
        self._waiting: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue(MOST)
        self._round = 0  # counts rebalances
        self.taken = 0
        self.dead_letters = 0
        self.error = ""

    async def take(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One message; waits while a hundred are waiting."""
        if await self.order.take(partition, offset):
            await self._waiting.put((partition, offset, raw or b""))

    def forget(self) -> None:
        """A rebalance: what is waiting will be delivered again to whoever owns it."""
        self._round += 1
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            partition, offset, raw = await self._waiting.get()
            turn, delay = self._round, 0.2
            while turn == self._round:
                try:
                    reason = await asyncio.to_thread(self.say, partition, offset, raw)
                except Unavailable as error:
                    self.error = str(error)
                    log.warning("verdicts wait: %s", error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, 10.0)
                    continue
                self.error = ""
                if reason:
                    await self._dead(partition, reason, raw)
                else:
                    self.taken += 1
                if turn == self._round:
                    await commit(self._topology.app, {TP(VERDICTS, partition): offset + 1})
                    self.order.done(partition, offset + 1)
                break

    def say(self, partition: int, offset: int, raw: bytes) -> str:
        """Write one message's word; why it cannot be, else nothing. Raises Unavailable."""
        try:
            said = _decoder.decode(raw)
        except msgspec.DecodeError as error:
            return f"expected a verdict in JSON, got {error}"
        if not said.ticket_id and not said.flag_ids:
            return "expected ticket_id or flag_ids, got neither"
        now = self._clock.now_ns()
        key = hashlib.blake2b(b"%s/%d/%d\0" % (VERDICTS.encode(), partition, offset) + raw, digest_size=16)
        try:
            tickets = [said.ticket_id]
            places = self._store.tickets_of(said.flag_ids) if said.flag_ids else {}
            if not said.ticket_id:
                unknown = sorted(set(said.flag_ids) - places.keys())
                if unknown:
                    return f"expected flags that are on tickets, got {', '.join(unknown[:5])}"
                tickets = sorted(set(places.values()))

            def verb(book: Book, ticket: Ticket) -> Ticket:
                flags = said.flag_ids
                if not said.ticket_id:
                    flags = tuple(flag for flag in flags if places[flag] == ticket.id)
                return judge(book, ticket, said.verdict, said.reason, said.by, now, flags)

            self._store.take_verdict(key.hexdigest(), tickets, verb, now)
        except KeyError as error:
            return str(error.args[0])
        except Refused as error:
            return str(error)
        except Rejected as error:
            return error.reason
        return ""

    async def _dead(self, partition: int, reason: str, raw: bytes) -> None:
        self.dead_letters += 1
        source = f"{VERDICTS}/{partition}"
        letter = dead_letter(source, "verdicts", reason, raw, time.time_ns())
        producer = self._topology.app.producer
        await producer.send_and_wait(DEAD_LETTERS, source.encode(), letter, None, None, None)


def attach(topology: Topology, taker: VerdictTaker) -> None:
    """Give the app its agent on ``verdicts.v1``."""
    app = topology.app
    topology.state.on_recover(taker.order.assigned)

    @app.agent(raw_topic(app, VERDICTS), name="take_verdicts", concurrency=1)
    async def take_verdicts(stream: Any) -> None:
        """Words of other systems; committed once they are in the store."""
        async for event in stream.noack().events():
            await taker.take(event.message.partition, event.message.offset, event.value)

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(*_: Any, **__: Any) -> None:
        taker.forget()
