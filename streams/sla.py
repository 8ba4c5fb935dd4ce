"""When a ticket is due: working days, limits by priority, and the clock that pauses.

The limits are ours (the trade's guides leave them open) and configurable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from streams.messages import NS
from streams.tickets import Sla

_YEAR_DAYS = 366  # no calendar has a year without a working day


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days are worked, and when the offices open and close.

    holidays : days off that would be worked
    makeup   : days worked that would be off (调休)
    Raises ValueError if no weekday is worked or the office closes before it opens.
    """

    tz: str = "UTC"
    opens: time = time(8, 30)
    closes: time = time(17, 30)
    weekdays: frozenset[int] = frozenset({0, 1, 2, 3, 4})  # Monday is 0
    holidays: frozenset[date] = frozenset()
    makeup: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= set(range(7)):
            raise ValueError(f"expected weekdays between 0 and 6, got {sorted(self.weekdays)}")
        if self.opens >= self.closes:
            raise ValueError(f"expected opens < closes, got {self.opens} and {self.closes}")
        ZoneInfo(self.tz)

    def works(self, day: date) -> bool:
        """Tell whether a day is a working day."""
        return day in self.makeup or (day.weekday() in self.weekdays and day not in self.holidays)

    def after_days(self, start_ns: int, days: int) -> int:
        """The close of the ``days``-th working day after the day of ``start_ns``. [ns]"""
        day = self._local(start_ns).date()
        for _ in range(days):
            day = self._next_working(day)
        return self._instant(day, self.closes)

    def next_opening(self, start_ns: int) -> int:
        """The next time that the offices open, after ``start_ns``. [ns]"""
        local = self._local(start_ns)
        if self.works(local.date()) and local.time() < self.opens:
            return self._instant(local.date(), self.opens)
        return self._instant(self._next_working(local.date()), self.opens)

    def _next_working(self, day: date) -> date:
        for _ in range(_YEAR_DAYS):
            day += timedelta(days=1)
            if self.works(day):
                return day
        raise ValueError(f"expected a working day within a year before {day}, got none: check the holidays")

    def _local(self, ns: int) -> datetime:
        return datetime.fromtimestamp(ns // NS, UTC).astimezone(ZoneInfo(self.tz))

    def _instant(self, day: date, at: time) -> int:
        return int(datetime.combine(day, at, ZoneInfo(self.tz)).timestamp()) * NS


@dataclass(frozen=True, slots=True)
class Limit:
    """How soon a priority is to be acknowledged and resolved; seconds or working days."""

    ack_s: float | None = None
    ack_days: int | None = None
    resolve_s: float | None = None
    resolve_days: int | None = None


_LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "P1": Limit(ack_s=300, resolve_s=24 * 3600),
        "P2": Limit(ack_s=3600, resolve_days=2),
        "P3": Limit(ack_days=1, resolve_days=5),
        "P4": Limit(),  # with the next batch
    }
)


@dataclass(frozen=True, slots=True)
class Targets:
    """The limits of all priorities, the calendar that they count by, and the days to the callback."""

    calendar: Calendar = field(default_factory=Calendar)
    limits: Mapping[str, Limit] = field(default_factory=lambda: _LIMITS)
    callback_days: int = 2

    def due(self, priority: str, opened_ns: int) -> Sla:
        """When a ticket of this priority, opened now, is due."""
        limit = self.limits.get(priority, Limit())
        ack = self._due(limit.ack_s, limit.ack_days, opened_ns)
        return Sla(
            # the next batch begins when the offices open
            ack_due_ns=self.calendar.next_opening(opened_ns) if ack is None else ack,
            resolve_due_ns=self._due(limit.resolve_s, limit.resolve_days, opened_ns),
        )

    def tighten(self, sla: Sla, priority: str, now_ns: int) -> Sla:
        """The earlier of what was due and what a raised priority asks for from now on."""
        fresh = self.due(priority, now_ns)
        return replace(
            sla,
            ack_due_ns=_earlier(sla.ack_due_ns, fresh.ack_due_ns),
            resolve_due_ns=_earlier(sla.resolve_due_ns, fresh.resolve_due_ns),
        )

    def callback(self, sla: Sla, now_ns: int) -> Sla:
        """The work is done now: when the customer is to be called."""
        return replace(sla, callback_due_ns=self.calendar.after_days(now_ns, self.callback_days))

    def _due(self, seconds: float | None, days: int | None, start_ns: int) -> int | None:
        if seconds is not None:
            return start_ns + int(seconds * NS)
        return None if days is None else self.calendar.after_days(start_ns, days)


def pause(sla: Sla, now_ns: int) -> Sla:
    """Stop the clock: somebody else has to move (customer, laboratory)."""
    return sla if sla.paused_since_ns is not None else replace(sla, paused_since_ns=now_ns)


def resume(sla: Sla, now_ns: int) -> Sla:
    """Let the clock run again; what is due moves on by the time that it stood still."""
    if sla.paused_since_ns is None:
        return sla
    stood = max(0, now_ns - sla.paused_since_ns)
    return replace(
        sla,
        paused_since_ns=None,
        paused_ns=sla.paused_ns + stood,
        # an acknowledgement is ours to give, whoever else we wait for
        resolve_due_ns=None if sla.resolve_due_ns is None else sla.resolve_due_ns + stood,
    )


def breached(sla: Sla, now_ns: int) -> tuple[str, ...]:
    """Which limits are past: of ``acknowledge``, ``resolve``, ``callback``."""
    late = []
    if sla.acknowledged_ns is None and sla.ack_due_ns is not None and now_ns > sla.ack_due_ns:
        late.append("acknowledge")
    running = sla.paused_since_ns is None
    if running and sla.resolve_due_ns is not None and now_ns > sla.resolve_due_ns:
        late.append("resolve")
    if sla.callback_due_ns is not None and now_ns > sla.callback_due_ns:
        late.append("callback")
    return tuple(late)


def _earlier(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)
