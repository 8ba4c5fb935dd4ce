"""When something of ours is wrong enough for a ticket: figures in, findings out, nothing else.

Heartbeats (``Store.heartbeat``) may carry these figures; what is missing is not judged:

====================  =======================================================================
``last_reading_ns``   wall clock of the newest reading taken in; 0: none since the start
``lag_s``             age of the oldest input not yet processed (worker)
``lag``               records behind (worker)
``dead_letters``      unreadable messages since the start
====================  =======================================================================

A process is named ``role@host:pid``. What is found is said of ``role@host``, so that a
process that was killed and started again is the same to operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.messages import NS
from streams.trade.deliveries import DisabledDesk, Heartbeat
from streams.trade.tickets import iso


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


def succeeded(view: View, config: WatchConfig) -> list[str]:
    """Processes that are silent because another took their place: started after their last sign of life."""
    return [name for name, by in _successors(view, config).items() if by is not None]


def _successors(view: View, config: WatchConfig) -> dict[str, str | None]:
    """Each silent process, and who took its place; nobody takes the place of two."""
    silent = [b for b in view.heartbeats if view.now_ns - b.at_ns > config.heartbeat_s * NS]
    free = [b for b in view.heartbeats if b not in silent]
    found: dict[str, str | None] = {}
    for dead in sorted(silent, key=lambda b: b.at_ns):
        fit = [b for b in free if _base(b) == _base(dead) and b.since_ns > dead.at_ns]
        heir = min(fit, key=lambda b: b.since_ns, default=None)
        found[dead.process] = None if heir is None else heir.process
        if heir is not None:
            free.remove(heir)
    return found


def _base(beat: Heartbeat) -> str:
    return beat.process.rpartition(":")[0] or beat.process


def _readings(view: View, config: WatchConfig) -> list[Finding]:
    """No reading at all, in any process that takes some in."""
    seen = [
        max(stamp, beat.since_ns)
        for beat in view.heartbeats
        if (stamp := _figure(beat.figures, "last_reading_ns")) is not None
    ]
    if not seen:
        return []
    age = (view.now_ns - max(seen)) / NS
    return [_finding("no_readings", "all", age, config.silent_s, "s", {"since": iso(int(max(seen)))})]


def _workers(view: View, config: WatchConfig) -> list[Finding]:
    """Those that are behind; of several on one host the worst."""
    found: dict[str, Finding] = {}
    for beat in view.heartbeats:
        lag = _figure(beat.figures, "lag_s")
        if lag is None or view.now_ns - beat.at_ns > config.heartbeat_s * NS:
            continue
        evidence = {"process": beat.process, "records": beat.figures.get("lag")}
        worst = found.get(_base(beat))
        if worst is None or worst.observed < lag:
            found[_base(beat)] = _finding("worker_lag", _base(beat), lag, config.lag_s, "s", evidence)
    return list(found.values())


def _processes(view: View, config: WatchConfig) -> list[Finding]:
    """Those that have fallen silent and were not replaced; of several on one host the longest silent."""
    replaced = _successors(view, config)
    found: dict[str, Finding] = {}
    for beat in sorted(view.heartbeats, key=lambda b: -b.at_ns):
        age = (view.now_ns - beat.at_ns) / NS
        if replaced.get(beat.process) is None:
            evidence = {"process": beat.process, "last": iso(beat.at_ns)}
            found[_base(beat)] = _finding(
                "process_silent", _base(beat), age, config.heartbeat_s, "s", evidence
            )
    return list(found.values())


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
