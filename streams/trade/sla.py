"""When a ticket is due: limits by priority, and the clock that pauses.

The limits are ours (the trade's guides leave them open). Minutes and hours count by the clock on the
wall, days are working days; the pauses of an emergency count by the wall too, all others in working time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec.structs import replace

from streams.messages import NS
from streams.trade.tickets import Sla
from streams.trade.working_time import Calendar

WALL = "wall"  # ``Sla.clock`` of an emergency, which knows no calendar
WORKING = "working"


@dataclass(frozen=True, slots=True)
class Limit:
    """How soon a priority is to be acknowledged and resolved.

    ack_s, resolve_s       : seconds of the clock on the wall
    ack_days, resolve_days : working days; what is due ends with the last of them
    clock                  : how long a pause counts, ``wall`` or ``working``
    """

    ack_s: float | None = None
    ack_days: int | None = None
    resolve_s: float | None = None
    resolve_days: int | None = None
    clock: str = WORKING


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "P1": Limit(ack_s=300, resolve_s=24 * 3600, clock=WALL),
        "P2": Limit(ack_s=3600, resolve_days=2),
        "P3": Limit(ack_days=1, resolve_days=5),
        "P4": Limit(),  # with the next batch
    }
)


@dataclass(frozen=True, slots=True)
class Targets:
    """The limits of all priorities, the calendar that they count by, and the days to the callback.

    watch_days : how long a meter is watched after its ticket was closed
    """

    calendar: Calendar = field(default_factory=Calendar)
    limits: Mapping[str, Limit] = field(default_factory=lambda: LIMITS)
    callback_days: int = 2
    watch_days: float = 30.0

    @property
    def watch_ns(self) -> int:
        """How long a meter is watched after the work. [ns]"""
        return int(self.watch_days * 86_400 * NS)

    def due(self, priority: str, opened_ns: int) -> Sla:
        """When a ticket of this priority, opened now, is due."""
        limit = self.limits.get(priority, Limit())
        ack = self._due(limit.ack_s, limit.ack_days, opened_ns)
        return Sla(
            # the next batch begins when the offices open
            ack_due_ns=self.calendar.next_opening(opened_ns) if ack is None else ack,
            resolve_due_ns=self._due(limit.resolve_s, limit.resolve_days, opened_ns),
            clock=limit.clock,
        )

    def tighten(self, sla: Sla, priority: str, now_ns: int) -> Sla:
        """The earlier of what was due and what a raised priority asks for from now on."""
        fresh = self.due(priority, now_ns)
        resolve = _earlier(sla.resolve_due_ns, fresh.resolve_due_ns)
        return replace(
            sla,
            ack_due_ns=_earlier(sla.ack_due_ns, fresh.ack_due_ns),
            resolve_due_ns=resolve,
            # pauses count as the limit does that is nearer
            clock=sla.clock if resolve == sla.resolve_due_ns else fresh.clock,
        )

    def callback(self, sla: Sla, now_ns: int) -> Sla:
        """The work is done now: when the customer is to be called."""
        return replace(sla, callback_due_ns=self.calendar.after_days(now_ns, self.callback_days))

    def resume(self, sla: Sla, now_ns: int) -> Sla:
        """Let the clock run again; what is due moves on by the time that it stood still.

        Working time, but for an emergency: a pause over a weekend gives nobody two days more.
        """
        if sla.paused_since_ns is None:
            return sla
        wall = sla.clock == WALL
        since, due = sla.paused_since_ns, sla.resolve_due_ns
        stood = max(0, now_ns - since) if wall else self.calendar.between(since, now_ns)
        if due is not None:
            due = due + stood if wall else self.calendar.after_hours(due, stood)
        return replace(
            sla,
            paused_since_ns=None,
            paused_ns=sla.paused_ns + stood,
            # an acknowledgement is ours to give, whoever else we wait for
            resolve_due_ns=due,
        )

    def _due(self, seconds: float | None, days: int | None, start_ns: int) -> int | None:
        if seconds is not None:
            return start_ns + int(
                seconds * NS
            )  # what is asked for within the hour does not wait for the offices
        return None if days is None else self.calendar.after_days(start_ns, days)


def pause(sla: Sla, now_ns: int) -> Sla:
    """Stop the clock: somebody else has to move (customer, laboratory)."""
    return sla if sla.paused_since_ns is not None else replace(sla, paused_since_ns=now_ns)


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
