"""Forestall watches itself: what is wrong with it becomes a ticket to operations.

``watch.judge`` decides; ``SelfWatch`` turns what it finds into flags of the family
``operations``, so that they open, join and clear like any other: one ticket a condition,
and no second one when it comes back before that is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from streams.clock import Clock
from streams.messages import NS, Flag, Status
from streams.ports import PortError
from streams.trade.deliveries import Counts, DisabledDesk, Heartbeat
from streams.trade.rules import Rules
from streams.trade.tickets import Episode, Ticket, iso
from streams.watch import Finding, View, WatchConfig, judge, succeeded

__all__ = ["FAMILY", "METER", "SelfWatch", "WatchConfig", "WatchStore"]

log = logging.getLogger(__name__)

FAMILY = "operations"
METER = "forestall"


class WatchStore(Protocol):
    """What the self-watch needs of the store."""

    def heartbeats(self) -> list[Heartbeat]: ...

    def counts(self) -> Counts: ...

    def outbox_oldest(self) -> dict[str, tuple[int, int]]: ...

    def desks_disabled(self) -> list[DisabledDesk]: ...

    def open_episodes(self, family: str) -> list[Episode]: ...

    def forget(self, process: str) -> None: ...

    def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]: ...


class SelfWatch:
    """Looks, and writes what it finds into the store as flags.

    Which conditions are open is read from the store every time: a restart forgets nothing,
    and two that run at once write to the same ticket.
    """

    def __init__(
        self, store: WatchStore, rules: Rules, clock: Clock, config: WatchConfig | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._config = config or WatchConfig()
        self._views: deque[View] = deque()

    async def run(self, stop: asyncio.Event) -> None:
        """Look every ``every_s`` until ``stop`` is set."""
        while not stop.is_set():
            try:
                await self.tick()
            except PortError as error:
                # nobody can be told by ticket; the log and the health page say it
                log.error("self-watch: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), self._config.every_s)
            except TimeoutError:
                continue

    async def tick(self) -> list[Ticket]:
        """Look once; returns the tickets that changed. Raises Unavailable when the store is away."""
        return await asyncio.to_thread(self._tick)

    def _tick(self) -> list[Ticket]:
        now = self._clock.now_ns()
        view = View(
            now_ns=now,
            heartbeats=self._store.heartbeats(),
            outbox=self._store.outbox_oldest(),
            disabled=self._store.desks_disabled(),
            dead=self._store.counts().dead,
        )
        episodes = {
            (e.kind, str(e.evidence.get("subject", ""))): e for e in self._store.open_episodes(FAMILY)
        }
        found = {f.key: f for f in judge(view, self._earlier(view), frozenset(episodes), self._config)}
        flags = [_raised(f, now) for key, f in found.items() if key not in episodes]
        flags += [_cleared(e, now) for key, e in episodes.items() if key not in found]
        changed = self._store.apply_flags(flags, now, self._rules)
        for process in succeeded(view, self._config):
            self._store.forget(process)
        return changed

    def _earlier(self, view: View) -> View | None:
        """Keep this view; return the newest that is at least ``window_s`` old, else the oldest there is."""
        self._views.append(view)
        start = view.now_ns - int(self._config.window_s * NS)
        while len(self._views) > 1 and self._views[1].now_ns <= start:
            self._views.popleft()
        return self._views[0] if self._views[0] is not view else None


def _raised(finding: Finding, now_ns: int) -> Flag:
    at = iso(now_ns)
    identity = f"{FAMILY}\0{finding.kind}\0{finding.subject}\0{now_ns}".encode()
    return Flag(
        id=hashlib.blake2b(identity, digest_size=12).hexdigest(),
        meter_id=METER,
        kind=finding.kind,
        family=FAMILY,
        status=Status.RAISED,
        at=at,
        start=at,
        end=at,
        score=round(min(finding.observed / finding.limit, 10.0), 3) if finding.limit else 10.0,
        observed=round(finding.observed, 3),
        expected=finding.limit,
        unit=finding.unit,
        evidence={"subject": finding.subject, **finding.evidence},
        # a ticket of its own for each condition
        service_point_id=f"{METER}/{finding.kind}/{finding.subject}",
    )


def _cleared(episode: Episode, now_ns: int) -> Flag:
    at = iso(now_ns)
    subject = str(episode.evidence.get("subject", ""))
    return Flag(
        id=episode.flag_id,
        meter_id=METER,
        kind=episode.kind,
        family=FAMILY,
        status=Status.CLEARED,
        at=at,
        start=episode.start,
        end=at,
        score=0.0,
        observed=None,
        expected=episode.expected,
        unit=episode.unit,
        evidence={"subject": subject},
        service_point_id=f"{METER}/{episode.kind}/{subject}",
    )
