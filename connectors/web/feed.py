"""What all pages show, read once for all of them, and no oftener than once a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from connectors.sqlite_history.reader import Latest
from connectors.web.figures import Process, Totals, processes, totals
from connectors.web.sources import Reader, TicketStore
from streams.messages import NS, Flag
from streams.ports import PortError
from streams.trade.deliveries import Counts, Heartbeat
from streams.trade.tickets import Ticket

T = TypeVar("T")

MOST_TICKETS = 200
MOST_READINGS = 60
MOST_FLAGS = 100
PATIENCE_S = 5.0  # of a program that asks; a page has less
_LEISURE = 5  # times as long as a look has taken, until the next
_MOST_PAUSE_S = 30.0
_RATE_NS = 30 * NS  # the rate of readings is that of so long


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at everything. What could not be read is what it was before, with the error."""

    at_ns: int = 0
    open: list[Ticket] = field(default_factory=list)  # newest first
    all: list[Ticket] = field(default_factory=list)
    counts: Counts | None = None
    beats: list[Heartbeat] = field(default_factory=list)
    store_error: str = "no answer yet"
    store_ns: int | None = None  # when the store answered last
    readings: list[Latest] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)  # the newest event of each episode
    flags_next: tuple[int, int] | None = None  # after which mark older ones come; None: there are none
    history_error: str = ""
    history_asked: bool = False  # whether the history has said anything yet
    rate: float | None = None  # readings taken in a second

    @property
    def processes(self) -> list[Process]:
        """The processes as they stand."""
        return processes(self.beats, self.at_ns)

    @property
    def totals(self) -> Totals:
        """Their figures added up."""
        return totals(self.processes)


class _Look:
    """One source: at most one question at a time, and none while its last answer is fresh.

    ask : puts the question; tells whether there was an answer
    """

    def __init__(self, ask: Callable[[], Awaitable[bool]], every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._due = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None] | None:
        """The question under way, put now if it is due; None while the last answer is fresh."""
        if self._task is None and time.monotonic() >= self._due:
            self._task = asyncio.create_task(self._run())
        return self._task

    async def _run(self) -> None:
        begun = time.monotonic()
        pause = self._every_s
        try:
            if await self._ask():
                # what is slow to answer is asked less often: looking must not be the load
                pause = max(pause, min(_LEISURE * (time.monotonic() - begun), _MOST_PAUSE_S))
        finally:
            # a little early, so that a page that asks every second finds it due every second
            self._due = time.monotonic() + 0.9 * pause
            self._task = None


class Feed:
    """Hands out snapshots. Many askers at once cost one look; a slow source holds up no other."""

    def __init__(self, reader: Reader, *, every_s: float = 1.0) -> None:
        self._reader = reader
        self._every_s = every_s
        self._last = Snapshot()
        self._looks = (_Look(self._tickets, every_s), _Look(self._history, every_s))
        self._seen: deque[tuple[int, dict[str, int]]] = deque()  # wall clock, readings so far by process

    async def snapshot(self, patience_s: float | None = None) -> Snapshot:
        """What is known now. Raises for no source that is away.

        patience_s : how long a source is waited for (the interval, unless said); after that what
                     was known before is handed out, and the answer is there for the next who asks
        """
        asked = {task for look in self._looks if (task := look.start()) is not None}
        if asked:
            done, _ = await asyncio.wait(asked, timeout=self._every_s if patience_s is None else patience_s)
            for task in done:
                task.result()
        return replace(self._last, at_ns=self._reader.sources.now_ns())

    async def _tickets(self) -> bool:
        def look(store: TicketStore) -> tuple[list[Ticket], list[Ticket], Counts, list[Heartbeat]]:
            every = store.tickets(None, MOST_TICKETS)
            return store.tickets("open", MOST_TICKETS), every, store.counts(), store.heartbeats()

        try:
            open_, every, counts, beats = await self._reader.ask(look)
        except PortError as error:
            self._last = replace(self._last, store_error=str(error))
            return False
        last = self._last
        self._last = replace(
            last,
            open=_kept(open_, last.open),
            all=_kept(every, last.all),
            counts=last.counts if counts == last.counts else counts,
            beats=beats,
            store_error="",
            store_ns=self._reader.sources.now_ns(),
            rate=self._rate(beats),
        )
        return True

    async def _history(self) -> bool:
        try:
            readings = await self._reader.latest(MOST_READINGS)
            episodes = await self._reader.episodes(MOST_FLAGS, rounds=1)
        except PortError as error:
            self._last = replace(self._last, history_error=str(error), history_asked=True)
            return False
        last = self._last
        self._last = replace(
            last,
            readings=_kept(readings, last.readings),
            flags=_kept(episodes.flags, last.flags),
            flags_next=episodes.following,
            history_error="",
            history_asked=True,
        )
        return True

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


def _kept(new: list[T], old: list[T]) -> list[T]:
    """The old list where the new one is equal: what has not changed is drawn by no page again."""
    return old if new == old else new
