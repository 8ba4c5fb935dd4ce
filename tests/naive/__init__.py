"""Every detector once more, the obvious way: one meter, a list of readings, plain loops.

Written from what the detectors' docstrings promise, with lists that are never cut short where
the detectors have rings. What they keep in single precision is rounded here as well, since a
comparison may hang on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

NS = 1_000_000_000
HOUR, DAY = 3600 * NS, 86400 * NS
NAN = float("nan")


def single(number: float) -> float:
    """As single precision keeps it."""
    return float(np.float32(number))


def local(zone: str, time: int) -> int:
    """The wall clock of a zone as nanoseconds since its own 1970."""
    seconds, rest = divmod(time, NS)
    there = datetime.fromtimestamp(seconds, ZoneInfo(zone or "UTC")).replace(tzinfo=UTC)
    return int(there.timestamp()) * NS + rest


@dataclass
class Reading:
    """A reading as a detector takes it."""

    time: int
    local: int
    value: float
    kind: str  # register, interval, gauge
    bad: bool = False
    may: bool = True  # may raise an alarm: not history, not retained
    limit: int | None = None  # later than this its stamp is not believed
    came: int = 0  # when it arrived
    serial: str = ""
    stop: float | None = None
    start: float | None = None
    guess: bool = False  # estimated
    period: int = 0  # stated length of an interval
    events: frozenset[str] = frozenset()  # valve_open, tampered, …
    code: str = ""  # the value is an error code as sent: weak or sure


@dataclass
class Taken:
    """What validation makes of it."""

    reading: Reading
    status: str
    usage: float = NAN
    span: int = 0
    usual: int = 0
    live: bool = False
    since: int = 0
    back: float = 0.0
    true_up: bool = False
    sentinel: bool = False
    swapped: bool = False
    replaced: bool = False  # a correction that stands in the place of the newest


@dataclass
class Line:
    """A flag event."""

    status: str
    kind: str
    at: int
    start: int
    observed: float
    expected: float
    evidence: dict[str, float] = field(default_factory=dict)
    meter: str = ""
