"""Small stand-ins: a desk and a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from connectors.store import Store
from streams.ports import PortError, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.rules import Rules
from tests.tickets.tools import Turned, flag


class FakeDesk:
    """A desk that fails as told: ``faults`` are used up one by one."""

    def __init__(self, name: str = "webhook") -> None:
        self._name = name
        self.endpoint = "fake:desk"
        self.faults: list[PortError | None] = []
        self.got: list[str] = []
        self.known: list[str] = []  # its numbers for the tickets, as they came with the events
        self.tried = 0
        self.found: dict[str, str] = {}
        self.running = 0
        self.most = 0
        self.closed = False
        self.pace: Callable[[], Any] | None = None

    @property
    def name(self) -> str:
        return self._name

    def wants(self, event: TicketEvent) -> bool:
        return True

    async def find(self, event: TicketEvent) -> str | None:
        return self.found.get(event.id)

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        self.tried += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            if self.pace is not None:
                await self.pace()
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None:
                raise fault
            self.got.append(event.id)
            self.known.append(remote_id)
            return f"remote-{event.ticket_id}"
        finally:
            self.running -= 1

    async def close(self) -> None:
        self.closed = True


class FakeLog:
    """A log that remembers what was appended."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes | None, bytes | None]] = []

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> int:
        self.records.append((topic, key, value))
        return len(self.records) - 1

    async def ensure_topic(
        self, topic: str, partitions: int, *, compact: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        """All topics are there."""

    async def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        for offset, (_, key, value) in enumerate(self.records):
            yield offset, key, value

    async def end(self, topic: str, partition: int) -> int:
        return len(self.records)

    async def close(self) -> None:
        """Nothing to let go."""


def away(wait: float = 1.0) -> Unavailable:
    return Unavailable("fake:desk", "it is away", wait)


def fill(store: Store, clock: Turned, tickets: int, events: int = 1) -> None:
    """So many tickets with so many events each."""
    for n in range(events):
        flags = [flag("spike", id=f"{t}-{n}", service_point_id=f"p{t:03d}") for t in range(tickets)]
        store.apply_flags(flags, clock.now_ns(), Rules())
