"""What the configuration decides about tickets: routing, due dates, what the clock does."""

from __future__ import annotations

from dataclasses import replace

from streams.settings import ConfigError, Settings
from streams.ticket_sections import LimitSettings
from streams.trade.calendar_file import CalendarError, load_calendar
from streams.trade.notice_words import Signature
from streams.trade.routing import DEPARTMENTS, Routing
from streams.trade.rules import Rules
from streams.trade.sla import LIMITS, WALL, Limit, Targets
from streams.trade.states import Category
from streams.trade.tend import TendConfig
from streams.trade.working_time import Calendar


def rules(settings: Settings) -> Rules:
    """How flags become tickets, due by the calendar of the configuration. Raises ConfigError."""
    own = settings.tickets
    try:
        calendar = load_calendar(own.calendar, own.time_zone) if own.calendar else Calendar(own.time_zone)
    except CalendarError as error:
        raise ConfigError(f"tickets.calendar: {error}") from None
    limits = dict(LIMITS)
    for priority, given in own.limits.items():
        limits[priority] = _limit(given, limits[priority].clock == WALL)
    targets = Targets(calendar, limits, own.callback_days, own.watch_days)
    return Rules(routing=routing(settings), targets=targets, signature=Signature(own.company, own.hotline))


def routing(settings: Settings) -> Routing:
    """Whose tickets are whose, and which are urgent. Raises ConfigError."""
    own = settings.tickets
    # names are words, for every text that names a department
    DEPARTMENTS.update(own.department_names)
    plain = Routing()
    named = {*own.departments.values(), *(one for some in own.co_departments.values() for one in some)}
    strangers = sorted(named - DEPARTMENTS.keys())
    if strangers:
        known = ", ".join(DEPARTMENTS)
        raise ConfigError(
            f"tickets: expected departments of {known}, got {', '.join(strangers)}; name them in department_names"
        )
    return replace(
        plain,
        owners={**plain.owners, **{Category(name): value for name, value in own.departments.items()}},
        helpers={**plain.helpers, **{Category(name): value for name, value in own.co_departments.items()}},
        excess_limits={**plain.excess_limits, **own.excess_limits},
        large_excess={**plain.large_excess, **own.large_excess},
        large_classes=frozenset(own.large_classes),
        many_meters=own.many_meters,
        bill_days=own.bill_days,
    )


def tending(settings: Settings) -> TendConfig:
    """What the clock does to tickets."""
    return TendConfig(archive_days=settings.tickets.archive_days, escalate=settings.tickets.escalate)


def _limit(given: LimitSettings, wall: bool) -> Limit:
    return Limit(
        ack_s=None if given.ack_minutes is None else given.ack_minutes * 60,
        ack_days=given.ack_days,
        resolve_s=None if given.resolve_hours is None else given.resolve_hours * 3600,
        resolve_days=given.resolve_days,
        clock=WALL if wall else Limit().clock,
    )
