"""Stretches of the calendar in one time zone: what a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from streams.messages import NS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """From one instant to before another, by the calendar of a zone. [ns since 1970]"""

    name: str  # 2026-06, or 2026-06-01/2026-06-14: its days, both included
    start_ns: int
    end_ns: int


def midnight(day: date, zone: str) -> int:
    """The instant at which a day begins in a zone. [ns since 1970]"""
    begins = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone or "UTC"))
    # by way of UTC: arithmetic within one zone takes no notice of its changes
    past = begins.astimezone(UTC) - _EPOCH
    return (past.days * 86_400 + past.seconds) * NS


def day_of(time_ns: int, zone: str) -> date:
    """The day that an instant falls on in a zone."""
    return (_EPOCH + timedelta(seconds=time_ns // NS)).astimezone(ZoneInfo(zone or "UTC")).date()


def day_number(time_ns: int, zone: str) -> int:
    """The day that an instant falls on in a zone, counted since 1970."""
    return (day_of(time_ns, zone) - _EPOCH.date()).days


def month(text: str, zone: str) -> Span:
    """The month ``YYYY-MM``. Raises ValueError for another text."""
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
        after = _next(first)
        if not 1970 <= first.year <= 2200:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"expected a month as YYYY-MM, got {text!r}") from None
    return Span(f"{first:%Y-%m}", midnight(first, zone), midnight(after, zone))


def days(first: date, last: date, zone: str) -> Span:
    """The days from first to last, both included. Raises ValueError where the last is before the first."""
    if not date(1970, 1, 1) <= first <= last <= date(2200, 12, 31):
        raise ValueError(
            f"expected first and last day in order, between 1970 and 2200, got {first} and {last}"
        )
    return Span(f"{first}/{last}", midnight(first, zone), midnight(last + timedelta(days=1), zone))


def months(start_ns: int, end_ns: int, zone: str) -> list[Span]:
    """The months that [start, end) touches, cut to it, in order."""
    out = []
    first = day_of(start_ns, zone).replace(day=1)
    while (begins := midnight(first, zone)) < end_ns:
        after = _next(first)
        out.append(Span(f"{first:%Y-%m}", max(start_ns, begins), min(end_ns, midnight(after, zone))))
        first = after
    return out


def _next(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
