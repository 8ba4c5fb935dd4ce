"""When a meter is billed next: by its day of the month, in its own time zone."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta

from streams.messages import NS
from streams.zones import offset_at


def local_time(tz: str, now_ns: int) -> datetime:
    """What calendar and clock show in a zone at an instant; UTC where the zone is not known."""
    try:
        offset = offset_at(tz, now_ns)
    except ValueError:
        offset = 0
    return datetime.fromtimestamp(now_ns // NS + offset, UTC)


def local_day(tz: str, now_ns: int) -> date:
    """The day that the calendar shows in a zone at an instant; UTC where the zone is not known."""
    return local_time(tz, now_ns).date()


def bill_date(year: int, month: int, bill_day: int) -> date:
    """The day of a month's bill; in a shorter month its last."""
    return date(year, month, min(bill_day, calendar.monthrange(year, month)[1]))


def next_bill(bill_day: object, tz: str, now_ns: int) -> date | None:
    """The day of the next bill, today included; None where no day from 1 to 31 is stated."""
    if not isinstance(bill_day, int) or not 1 <= bill_day <= 31:
        return None
    today = local_day(tz, now_ns)
    here = bill_date(today.year, today.month, bill_day)
    if here >= today:
        return here
    following = today.replace(day=1) + timedelta(days=32)
    return bill_date(following.year, following.month, bill_day)


def days_to_bill(bill_day: object, tz: str, now_ns: int) -> int | None:
    """Whole days until the next bill, 0 on its day; None where the registry states no bill day."""
    found = next_bill(bill_day, tz, now_ns)
    return None if found is None else (found - local_day(tz, now_ns)).days
