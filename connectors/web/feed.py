"""What all pages show, read once for all of them, and no oftener than once a second."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sqlite_history.reader import Latest
from connectors.web.figures import Process, Totals, processes, totals
from connectors.web.sources import Reader, TicketStore
from streams.messages import NS, Flag
from streams.ports import PortError
from streams.tickets import Counts, Heartbeat, Ticket

MOST_TICKETS = 200
MOST_READINGS = 60
MOST_FLAGS = 100
_EVENTS = 400  # flag events read for that: an episode has several
_RATE_NS = 30 * NS  # the rate of readings is that of so long


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at everything. What could not be read is what it was before, with the error."""

    at_ns: int = 0
    open: list[Ticket] = field(default_factory=list)  # newest first
    all: list[Ticket] = field(default_factory=list)
    counts: Counts | None = None
    beats: list[Heartbeat] = field(default_factory=list)
    store_error: str = ""
    store_ns: int | None = None  # when the store answered last
    readings: list[Latest] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)  # the newest event of each episode
    history_error: str = ""
    rate: float | None = None  # readings taken in a second

    @property
    def processes(self) -> list[Process]:
        """The processes as they stand."""
        return processes(self.beats, self.at_ns)

    @property
    def totals(self) -> Totals:
        """Their figures added up."""
        return totals(self.processes)


class Feed:
    """Hands out snapshots; many askers at once cost one look."""

    def __init__(self, reader: Reader, *, every_s: float = 1.0) -> None:
        self._reader = reader
        self._every_s = every_s
        self._last = Snapshot()
        self._asked = float("-inf")
        self._looking: asyncio.Task[Snapshot] | None = None
        self._seen: deque[tuple[int, dict[str, int]]] = deque()  # wall clock, readings so far by process

    async def snapshot(self) -> Snapshot:
        """The newest, not older than the interval. Never raises for a source that is away."""
        loop = asyncio.get_running_loop()
        if self._looking is None and loop.time() - self._asked < self._every_s * 0.9:
            return self._last
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        # whoever leaves meanwhile leaves the look to the others
        return await asyncio.shield(self._looking)

    async def _look(self) -> Snapshot:
        try:
            told, recorded = await asyncio.gather(self._tickets(), self._history())
            now = self._reader.sources.now_ns()
            self._last = replace(self._last, at_ns=now, **told, **recorded)
            return self._last
        finally:
            self._asked = asyncio.get_running_loop().time()
            self._looking = None

    async def _tickets(self) -> dict[str, Any]:
        def look(store: TicketStore) -> tuple[list[Ticket], list[Ticket], Counts, list[Heartbeat]]:
            every = store.tickets(None, MOST_TICKETS)
            return store.tickets("open", MOST_TICKETS), every, store.counts(), store.heartbeats()

        try:
            open_, every, counts, beats = await self._reader.ask(look)
        except PortError as error:
            return {"store_error": str(error)}
        return {
            "open": open_,
            "all": every,
            "counts": counts,
            "beats": beats,
            "store_error": "",
            "store_ns": self._reader.sources.now_ns(),
            "rate": self._rate(beats),
        }

    async def _history(self) -> dict[str, Any]:
        try:
            readings = await self._reader.latest(MOST_READINGS)
            events = await self._reader.flags(_EVENTS)
        except PortError as error:
            return {"history_error": str(error)}
        newest: dict[str, Flag] = {}
        for flag in events:
            newest.setdefault(flag.id, flag)
        flags = list(newest.values())[:MOST_FLAGS]
        return {"readings": readings, "flags": flags, "history_error": ""}

    def _rate(self, beats: list[Heartbeat]) -> float | None:
        """Readings a second over the last half minute; None until there are two signs of life.

        By process, so that one that is started anew and counts from zero takes nothing off.
        """
        seen, taken = self._seen, {}
        for beat in beats:
            count = beat.figures.get("readings")
            if beat.figures.get("role") == "ingest" and isinstance(count, int):
                taken[beat.process] = count
        if not taken:
            return None
        at = max(beat.at_ns for beat in beats if beat.process in taken)
        if not seen or at > seen[-1][0]:
            seen.append((at, taken))
        while at - seen[0][0] > _RATE_NS and len(seen) > 1:
            seen.popleft()
        (first, before), (last, after) = seen[0], seen[-1]
        if first == last:
            return None
        return sum(max(0, n - before.get(name, n)) for name, n in after.items()) / ((last - first) / NS)
