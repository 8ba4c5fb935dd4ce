"""Ingest between its ports, for tests: a dialect, an inbox and a clock of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec

from streams.columns import Columns, decode
from streams.gather import Delivery, Gather, Gathered
from streams.ingest import Ingest
from streams.messages import DEAD_LETTERS, DeadLetter, Kind, RawMessage, Reject
from streams.ports import Decoded
from streams.roster import Roster
from tests.memory_log import MemoryLog
from tests.streams_of_readings import instant

START = instant("2024-01-01")
NOW = instant("2024-02-01")


class Plain:
    """A dialect: JSON rows [meter, time, value, marks?]; anything that is no such row is rejected."""

    def __init__(self) -> None:
        self.births = 0

    def decode(self, message: RawMessage) -> tuple[str, Decoded]:
        out = Decoded()
        if message.topic == "birth":
            self.births += 1
            out.replies.append(("rebirth", b"please"))
            return "plain", out
        try:
            rows = json.loads(message.payload)
        except ValueError as error:
            out.rejects.append(Reject(f"expected JSON, got {error}", message.payload))
            return "plain", out
        for row in rows:
            if isinstance(row, list) and len(row) >= 3:
                marks = row[3] if len(row) > 3 else 0
                out.rows.add(row[0], row[1], float(row[2]), Kind.INTERVAL, marks=marks)
            else:
                out.rejects.append(Reject(f"expected [meter, time, value], got {row!r}", repr(row).encode()))
        return "plain", out

    def snapshot(self) -> bytes:
        return str(self.births).encode() if self.births else b""


class Inbox:
    """Messages to take, and what became of them."""

    def __init__(self, batches: Sequence[Sequence[Delivery]] = ()) -> None:
        self.batches = [list(batch) for batch in batches]
        self.acked: list[int] = []
        self.replies: list[tuple[str, bytes]] = []
        self.empty = asyncio.Event()

    async def take(self, max_messages: int, linger_s: float) -> list[Delivery]:
        if not self.batches:
            self.empty.set()
            await asyncio.Event().wait()
        return self.batches.pop(0)

    def ack(self, tokens: Sequence[int]) -> None:
        self.acked += tokens

    def reply(self, topic: str, payload: bytes) -> None:
        self.replies.append((topic, payload))


class Still:
    """A clock that stands still."""

    def now_ns(self) -> int:
        return NOW


def message(
    rows: Sequence[object], topic: str = "t", retained: bool = False, received: int = NOW
) -> RawMessage:
    return RawMessage(topic=topic, payload=json.dumps(rows).encode(), received_ns=received, retained=retained)


def delivered(*messages: RawMessage) -> list[Delivery]:
    return [(one, 100 + number) for number, one in enumerate(messages)]


async def made(log: MemoryLog, inbox: Inbox | None = None) -> tuple[Ingest, Gather, Roster, Inbox]:
    roster = Roster(log, log.partitions)
    await roster.load()
    gather = Gather(Plain(), roster)
    box = inbox or Inbox()
    return Ingest(box, gather, log, roster, Still()), gather, roster, box


async def gathered(*messages: RawMessage, partitions: int = 4) -> list[Gathered]:
    _, gather, _, _ = await made(MemoryLog(partitions))
    return gather(delivered(*messages))


def columns(raw: bytes) -> Columns:
    part = decode(raw)
    assert isinstance(part, Columns)
    return part


def rows_of(part: Columns) -> list[tuple[str, int, float]]:
    return [
        (part.meters[part.meter[i]], int(part.time_ns[i]), float(part.value[i])) for i in range(len(part))
    ]


def letters(log: MemoryLog) -> list[DeadLetter]:
    raw = [value for p in range(log.partitions) for value in log.values(DEAD_LETTERS, p)]
    return [msgspec.json.decode(value, type=DeadLetter) for value in raw]
