"""MQTT → log: payloads become columnar batches, one a partition; acknowledged when durable."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np

from streams.clock import Clock
from streams.columns import Columns, Tick, encode, encode_control, from_rows, split
from streams.messages import DEAD_LETTERS, READINGS, DeadLetter, Mark, RawMessage, Source
from streams.ports import Decoded, Log, Rows, Unavailable
from streams.roster import Roster

log = logging.getLogger(__name__)

MOST_RAW = 64 * 1024  # bytes of a payload that a dead letter keeps
MOST_ROWS = 50_000  # readings in one batch message: a larger payload is cut
_json = msgspec.json.Encoder().encode

Delivery = tuple[RawMessage, int]


class Messages(Protocol):
    """Where raw messages come from: MQTT, or files."""

    async def take(self, max_messages: int, linger_s: float) -> list[Delivery]:
        """Wait for the first message, then up to ``linger_s`` for more."""

    def ack(self, tokens: Sequence[int]) -> None:
        """These are durable."""

    def reply(self, topic: str, payload: bytes) -> None:
        """Publish, at most once."""


class Decoder(Protocol):
    """Picks the dialect of a message and reads it."""

    def decode(self, message: RawMessage) -> tuple[str, Decoded]:
        """Name of the dialect, and what came of the payload. Never raises on bad input."""

    def snapshot(self) -> bytes:
        """What the dialects must remember over a restart; b"" if nothing."""


@dataclass(slots=True)
class Gathered:
    """A batch ready for the log."""

    parts: list[tuple[int, bytes]] = field(default_factory=list)  # (partition, message)
    letters: list[tuple[bytes, bytes]] = field(default_factory=list)  # (key, dead letter)
    tokens: list[int] = field(default_factory=list)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    messages: int = 0
    readings: int = 0
    remember: bytes = b""  # what the dialects know now


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


def digest(message: RawMessage) -> bytes:
    """What a redelivery of the same message is known by: 16 bytes of SHA-256."""
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()[:16]


def dead_letter(source: str, adapter: str, reason: str, raw: bytes, received_ns: int, size: int = 0) -> bytes:
    """Encode a dead letter."""
    size = max(size, len(raw))
    return _json(
        DeadLetter(
            source=source,
            adapter=adapter,
            reason=reason[:1000],
            raw=raw[:MOST_RAW],
            received_ns=received_ns,
            truncated=size > MOST_RAW,
            size=size,
        )
    )


class Gather:
    """Turns deliveries into batches. Decides nothing but where a reading goes."""

    def __init__(self, decoder: Decoder, roster: Roster) -> None:
        self._decoder = decoder
        self._roster = roster

    def __call__(self, deliveries: Sequence[Delivery]) -> Gathered:
        """Decode, group by partition, encode. Every delivery's token is in the result."""
        out = Gathered()
        rows = Rows()
        sources: list[Source] = []
        lengths: list[int] = []
        for message, token in deliveries:
            out.tokens.append(token)
            out.messages += 1
            if message.full_size:
                reason = f"expected a payload of at most {len(message.payload)} bytes, got {message.full_size}"
                self._dead(out, message, "mqtt", reason, message.payload, message.full_size)
                continue
            adapter, decoded = self._decoder.decode(message)
            for reject in decoded.rejects:
                self._dead(out, message, adapter, reject.reason, reject.raw)
            out.replies += decoded.replies
            count = len(decoded.rows)
            if not count:
                continue
            mark = 0
            if message.retained:
                mark = Mark.RETAINED
            if mark:
                decoded.rows.marks = [marks | mark for marks in decoded.rows.marks]
            timed = not any(marks & Mark.ARRIVAL_TIME for marks in decoded.rows.marks)
            sources.append(
                Source(
                    adapter=adapter,
                    topic=message.topic,
                    received_ns=message.received_ns,
                    sequence=decoded.sequence,
                    digest=digest(message) if timed else b"",
                )
            )
            lengths.append(count)
            rows.extend(decoded.rows)
        if len(rows):
            source = np.repeat(np.arange(len(sources), dtype=np.uint32), lengths)
            self._batch(out, from_rows(rows, sources, source))
        out.readings = len(rows)
        out.remember = self._decoder.snapshot()
        return out

    def _batch(self, out: Gathered, columns: Columns) -> None:
        home = np.array(self._roster.homes(columns.meters), np.int64)[columns.meter]
        for partition, part in split(columns, home):
            if len(part) <= MOST_ROWS:
                out.parts.append((partition, encode(part)))
                continue
            for first in range(0, len(part), MOST_ROWS):
                piece = part.select(np.arange(first, min(first + MOST_ROWS, len(part))))
                # The pieces are one message: each under a digest of its own.
                number = (first // MOST_ROWS).to_bytes(4, "big")
                piece.digests = b"".join(
                    hashlib.sha256(piece.digests[i : i + 16] + number).digest()[:16]
                    if any(piece.digests[i : i + 16])
                    else bytes(16)
                    for i in range(0, len(piece.digests), 16)
                )
                out.parts.append((partition, encode(piece)))

    def _dead(self, out: Gathered, message: RawMessage, adapter: str, reason: str, raw: bytes, size: int = 0) -> None:
        letter = dead_letter(message.topic, adapter, reason, raw, message.received_ns, size)
        out.letters.append((message.topic.encode(), letter))


class Ingest:
    """The ingest process: takes, gathers, makes durable, acknowledges."""

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
                gathered = self._gather(taking.result())
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
        delay = 0.1
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
                log.warning("log unavailable, nothing is acknowledged until it is back: %s", self.stats.log_error)
                if await _waits(stop, delay):
                    return
                delay = min(2 * delay, 5.0)
        self.stats.log_error = ""
        self._messages.ack(gathered.tokens)
        for topic, payload in gathered.replies:
            self._messages.reply(topic, payload)
        stats = self.stats
        stats.messages += gathered.messages
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
