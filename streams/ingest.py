"""MQTT → log: what was gathered is made durable, then acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.clock import Clock
from streams.columns import Tick, encode_control
from streams.gather import Delivery, Gather, Gathered
from streams.messages import DEAD_LETTERS, READINGS
from streams.ports import Log, Unavailable
from streams.roster import Roster

log = logging.getLogger(__name__)


class Messages(Protocol):
    """Where raw messages come from: MQTT, or files."""

    async def take(self, max_messages: int, linger_s: float) -> list[Delivery]:
        """Wait for the first message, then up to ``linger_s`` for more."""

    def ack(self, tokens: Sequence[int]) -> None:
        """These are durable."""

    def reply(self, topic: str, payload: bytes) -> None:
        """Publish, at most once."""


@dataclass(slots=True)
class IngestStats:
    """Running totals, for metrics and heartbeats."""

    messages: int = 0
    readings: int = 0
    batches: int = 0
    dead_letters: int = 0
    ticks: int = 0
    retries: int = 0
    last_reading_ns: int = 0
    log_error: str = ""


class Ingest:
    """Takes, gathers, makes durable, acknowledges."""

    def __init__(self, messages: Messages, gather: Gather, log_: Log, roster: Roster, clock: Clock) -> None:
        self._messages = messages
        self._gather = gather
        self._log = log_
        self._roster = roster
        self._clock = clock
        self.stats = IngestStats()

    async def run(self, stop: asyncio.Event, max_messages: int, linger_s: float) -> None:
        """Until ``stop``. While one batch is made durable the next is decoded; order is kept."""
        writing: asyncio.Task[None] | None = None
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                taking = asyncio.ensure_future(self._messages.take(max_messages, linger_s))
                await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    break
                for gathered in self._gather(taking.result()):
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(self.write(gathered, stop))
                    # Let the write be queued before the next batch is decoded.
                    await asyncio.sleep(0)
        finally:
            stopping.cancel()
            if writing is not None:
                await writing

    async def write(self, gathered: Gathered, stop: asyncio.Event) -> None:
        """Make a batch durable, then acknowledge its messages. Retries until ``stop``.

        On stop without success nothing is acknowledged: the broker delivers again.
        """
        todo: list[Callable[[], Awaitable[object]]] = [
            *(self._appender(READINGS, value, partition=partition) for partition, value in gathered.parts),
            *(self._appender(DEAD_LETTERS, value, key=key) for key, value in gathered.letters),
            lambda: self._roster.remember(gathered.remember),
        ]
        delay, told = 0.1, ""
        while todo:
            results = await asyncio.gather(*(append() for append in todo), return_exceptions=True)
            failed = []
            for append, result in zip(todo, results, strict=True):
                if isinstance(result, Unavailable):
                    self.stats.log_error = str(result)
                    failed.append(append)
                elif isinstance(result, BaseException):
                    raise result
            todo = failed
            if todo:
                self.stats.retries += 1
                if not told:
                    # once: what it waits for stands in readiness, metrics and heartbeats all the while
                    told = self.stats.log_error
                    log.error("log unavailable, nothing is acknowledged until it is back: %s", told)
                if await _waits(stop, delay):
                    return
                delay = min(2 * delay, 5.0)
        if told:
            log.warning("the log takes records again, after %d attempts", self.stats.retries)
        self.stats.log_error = ""
        self._messages.ack(gathered.tokens)
        for topic, payload in gathered.replies:
            self._messages.reply(topic, payload)
        stats = self.stats
        stats.messages += len(gathered.tokens)
        stats.readings += gathered.readings
        stats.batches += len(gathered.parts)
        stats.dead_letters += len(gathered.letters)
        if gathered.readings:
            stats.last_reading_ns = self._clock.now_ns()

    def _appender(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int | None = None
    ) -> Callable[[], Awaitable[int]]:
        return lambda: self._log.append(topic, value, key=key, partition=partition)

    async def tick(self, stop: asyncio.Event, every_s: float) -> None:
        """Write the clock into every partition, so that time passes in quiet ones too."""
        while not await _waits(stop, every_s):
            raw = encode_control(Tick(self._clock.now_ns()))
            try:
                for partition in range(self._roster.partitions):
                    await self._log.append(READINGS, raw, partition=partition)
                self.stats.ticks += 1
            except Unavailable as error:
                log.warning("no clock tick: %s", error)


async def _waits(stop: asyncio.Event, seconds: float) -> bool:
    """Whether ``stop`` came within so long."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
