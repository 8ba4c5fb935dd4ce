"""Forestall watches itself: what is wrong with it becomes a ticket to operations.

``judge`` decides, from heartbeats and counts, and does nothing else. ``SelfWatch`` turns
what it finds into flags of the family ``operations``, so that they open, join and clear like
any other: one ticket a condition, and no second one when it comes back before that is closed.

Heartbeats (``Store.heartbeat``) may carry these figures; what is missing is not judged:

====================  =======================================================================
``role``              ``ingest``, ``worker``, ``web``
``started_ns``        wall clock of the process's start
``last_reading_ns``   wall clock of the newest reading taken in (ingest)
``lag_s``             age of the oldest input not yet processed (worker)
``lag``               records behind (worker)
``dead_letters``      unreadable messages since the start
====================  =======================================================================
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from streams.clock import Clock
from streams.messages import NS, Flag, Status
from streams.ports import PortError
from streams.rules import Rules
from streams.tickets import Counts, DisabledDesk, Episode, Heartbeat, Ticket, iso

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

    def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]: ...


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """From when on it is worth a ticket.

    silent_s         : no reading at all for so long
    lag_s            : a worker is behind by so much
    heartbeat_s      : a process has given no sign of life for so long
    outbox_s         : the oldest event that a desk has not taken is so old
    dead_letters     : so many unreadable messages, and undeliverable events, within ``window_s``
    calm             : it is over when the figure is below this share of its limit
    every_s          : between looks
    """

    silent_s: float = 900.0
    lag_s: float = 300.0
    heartbeat_s: float = 120.0
    outbox_s: float = 900.0
    dead_letters: int = 100
    window_s: float = 600.0
    calm: float = 0.5
    every_s: float = 15.0

    def __post_init__(self) -> None:
        limits = (
            self.silent_s,
            self.lag_s,
            self.heartbeat_s,
            self.outbox_s,
            self.dead_letters,
            self.window_s,
        )
        if min(limits) <= 0 or not 0 < self.calm <= 1 or self.every_s <= 0:
            raise ValueError(f"need limits > 0, 0 < calm <= 1 and every_s > 0, got {self}")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one moment."""

    now_ns: int
    heartbeats: list[Heartbeat] = []
    outbox: dict[str, tuple[int, int]] = {}  # desk → events waiting, when the oldest was written
    disabled: list[DisabledDesk] = []
    dead: int = 0  # deliveries given up


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    kind: str
    subject: str
    observed: float
    limit: float
    unit: str
    evidence: dict[str, Any] = {}

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same condition."""
        return (self.kind, self.subject)


def judge(
    view: View, earlier: View | None, open_: frozenset[tuple[str, str]], config: WatchConfig
) -> list[Finding]:
    """What is wrong now.

    earlier : the view of about ``window_s`` ago, for what is judged by its growth
    open_   : conditions that hold already; they last until they are below ``calm`` × limit
    """
    found = [*_readings(view, config), *_workers(view, config), *_processes(view, config)]
    found += _outbox(view, config)
    found += _dead_letters(view, earlier, config)
    wrong = [f for f in found if f.observed > f.limit * (config.calm if f.key in open_ else 1.0)]
    wrong += [
        Finding(
            kind="desk_disabled",
            subject=desk.name,
            observed=1.0,
            limit=0.0,
            unit="",
            evidence={"endpoint": desk.endpoint, "reason": desk.reason, "since": iso(desk.disabled_ns)},
        )
        for desk in view.disabled
    ]
    return wrong


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
        return self._store.apply_flags(flags, now, self._rules)

    def _earlier(self, view: View) -> View | None:
        """Keep this view; return the newest that is at least ``window_s`` old, else the oldest there is."""
        self._views.append(view)
        start = view.now_ns - int(self._config.window_s * NS)
        while len(self._views) > 1 and self._views[1].now_ns <= start:
            self._views.popleft()
        return self._views[0] if self._views[0] is not view else None


def _readings(view: View, config: WatchConfig) -> list[Finding]:
    """No reading at all, by any ingest."""
    seen = [
        stamp
        for beat in view.heartbeats
        if beat.figures.get("role") == "ingest"
        and (stamp := _figure(beat.figures, "last_reading_ns") or _figure(beat.figures, "started_ns"))
    ]
    if not seen:
        return []
    age = (view.now_ns - max(seen)) / NS
    evidence = {"since": iso(int(max(seen))), "ingests": len(seen)}
    return [_finding("no_readings", "ingest", age, config.silent_s, "s", evidence)]


def _workers(view: View, config: WatchConfig) -> list[Finding]:
    return [
        _finding("worker_lag", beat.process, lag, config.lag_s, "s", {"records": beat.figures.get("lag")})
        for beat in view.heartbeats
        if (lag := _figure(beat.figures, "lag_s")) is not None
    ]


def _processes(view: View, config: WatchConfig) -> list[Finding]:
    return [
        _finding(
            "process_silent",
            beat.process,
            (view.now_ns - beat.at_ns) / NS,
            config.heartbeat_s,
            "s",
            {"last": iso(beat.at_ns)},
        )
        for beat in view.heartbeats
    ]


def _outbox(view: View, config: WatchConfig) -> list[Finding]:
    return [
        _finding(
            "outbox_stuck", desk, (view.now_ns - oldest) / NS, config.outbox_s, "s", {"waiting": waiting}
        )
        for desk, (waiting, oldest) in view.outbox.items()
    ]


def _dead_letters(view: View, earlier: View | None, config: WatchConfig) -> list[Finding]:
    """What grew within the window: unreadable messages, and deliveries given up."""
    if earlier is None:
        return []
    before = {beat.process: _figure(beat.figures, "dead_letters") for beat in earlier.heartbeats}
    grown = 0.0
    for beat in view.heartbeats:
        now, was = _figure(beat.figures, "dead_letters"), before.get(beat.process)
        if now is not None and was is not None:
            # a restarted process counts from zero
            grown += now - was if now >= was else now
    limit = float(config.dead_letters)
    return [
        _finding("dead_letters", "input", grown, limit, "{messages}", {"window_s": config.window_s}),
        _finding(
            "dead_letters",
            "outbox",
            max(0.0, view.dead - earlier.dead),
            limit,
            "{events}",
            {"dead": view.dead},
        ),
    ]


def _finding(
    kind: str, subject: str, observed: float, limit: float, unit: str, evidence: dict[str, Any]
) -> Finding:
    return Finding(kind=kind, subject=subject, observed=observed, limit=limit, unit=unit, evidence=evidence)


def _figure(figures: Mapping[str, Any], name: str) -> float | None:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


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
