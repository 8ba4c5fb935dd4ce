"""Working time against a loop that looks at the clock on the wall, minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.trade.working_time import Calendar, Hours
from tests.tickets.tools import HOUR, MINUTE, SECOND

# half an hour of summer time, changes at midnight, a day left out (2011-12-30), changes at 02:00 and 03:00
ZONES = (
    "UTC", "Asia/Shanghai", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "America/Havana",
    "Pacific/Apia", "Asia/Kathmandu",
)  # fmt: skip
DAYS = (date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 4), date(2026, 11, 1), date(2011, 12, 30))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def worked_minute(calendar: Calendar, ns: int) -> bool:
    """Whether the minute that begins at ``ns`` is worked, by the words of the definition."""
    local = datetime.fromtimestamp(ns // SECOND, UTC).astimezone(ZoneInfo(calendar.tz))
    day, minute = local.date(), local.hour * 60 + local.minute
    hours = calendar.week.get(day.weekday(), ())
    if day in calendar.makeup:
        first = next(calendar.week[n] for n in range(7) if calendar.week.get(n))
        hours = calendar.makeup_hours or hours or first
    elif day in calendar.holidays:
        hours = ()
    return any(opens <= minute < closes for opens, closes in hours)


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    marks = sorted(draw(st.sets(st.integers(0, 48), max_size=6)))
    return tuple((a * 30, b * 30) for a, b in zip(marks[::2], marks[1::2], strict=False))


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Calendar, int]:
    """A calendar, and an instant near a change of its clocks."""
    near = draw(st.sampled_from(DAYS))
    some = st.frozensets(st.integers(-3, 6).map(lambda n: near + timedelta(days=n)), max_size=4)
    week = draw(st.dictionaries(st.integers(0, 6), hours()).filter(lambda w: any(w.values())))
    calendar = Calendar(draw(st.sampled_from(ZONES)), week, draw(some), draw(some), draw(hours()))
    noon = int(datetime(near.year, near.month, near.day, 12, tzinfo=UTC).timestamp()) * SECOND
    return calendar, noon + draw(st.integers(-2 * 1440, 2 * 1440)) * MINUTE


@settings(deadline=None, max_examples=150)
@given(calendars(), st.integers(-60, 4 * 1440))
def test_between_is_what_a_loop_over_the_minutes_counts(made: tuple[Calendar, int], minutes: int) -> None:
    calendar, start = made
    naive = sum(worked_minute(calendar, start + n * MINUTE) for n in range(minutes))
    assert calendar.between(start, start + minutes * MINUTE) == naive * MINUTE


@settings(deadline=None, max_examples=150)
@given(calendars(), st.integers(0, 1200))
def test_after_hours_is_where_a_loop_over_the_minutes_stops(made: tuple[Calendar, int], minutes: int) -> None:
    calendar, start = made
    due = calendar.after_hours(start, minutes * MINUTE)
    if due - start > 9 * 24 * HOUR:  # a week with little work: too long for the loop
        assert calendar.between(start, due) == minutes * MINUTE
        return
    left, now = minutes, start
    while left:
        left -= worked_minute(calendar, now)
        now += MINUTE
    assert due == now


@settings(deadline=None)
@given(calendars(), st.integers(0, 10**15), st.integers(0, 10**14), st.integers(0, 10**14))
def test_working_time_adds_up(made: tuple[Calendar, int], one: int, two: int, three: int) -> None:
    """To the nanosecond: what is added is what lies between, in one piece or in two."""
    calendar, start = made
    middle = start + one
    assert calendar.between(start, middle) + calendar.between(middle, middle + two) == calendar.between(
        start, middle + two
    )
    added = calendar.after_hours(start, two)
    assert calendar.between(start, added) == two
    assert calendar.after_hours(start, two + three) == calendar.after_hours(added, three)


@settings(deadline=None)
@given(calendars(), st.integers(0, 8))
def test_working_days_end_with_the_last_worked_minute(made: tuple[Calendar, int], days: int) -> None:
    calendar, start = made
    due = calendar.after_days(start, days)
    zone = ZoneInfo(calendar.tz)
    first, last = (
        datetime.fromtimestamp(ns // SECOND, UTC).astimezone(zone).date() for ns in (start, due - 1)
    )
    between = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    counted = sum(calendar.works(day) for day in between)
    assert counted == days or (days == 0 and not calendar.works(first) and counted == 1)
    assert worked_minute(calendar, due - MINUTE)
    assert calendar.spans(last)[-1][1] == due


@settings(deadline=None, max_examples=60)
@given(calendars())
def test_the_next_opening_is_the_first_worked_minute_of_a_day(made: tuple[Calendar, int]) -> None:
    calendar, start = made
    opens = calendar.next_opening(start)
    assert opens > start
    assert worked_minute(calendar, opens)
    local = datetime.fromtimestamp(opens // SECOND, UTC).astimezone(ZoneInfo(calendar.tz))
    assert calendar.spans(local.date())[0][0] == opens


def test_a_night_on_which_the_clock_is_set_on_has_an_hour_less() -> None:
    round_the_clock = Calendar("Europe/Madrid", dict.fromkeys(range(7), ((0, 1440),)))
    assert round_the_clock.between(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")) == 23 * HOUR
    night = Calendar("Europe/Madrid", {6: ((120, 180),)})  # Sundays from two to three
    assert not night.works(date(2026, 3, 29))  # there is no such hour
    assert night.between(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z")) == 2 * HOUR  # and here two


def test_no_working_days_is_the_close_of_today_or_of_the_next_working_day() -> None:
    calendar = Calendar()
    assert calendar.after_days(at("2026-06-05T20:00:00Z"), 0) == at("2026-06-05T18:00:00Z")
    assert calendar.after_days(at("2026-06-06T20:00:00Z"), 0) == at("2026-06-08T18:00:00Z")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="working time of 0 ns or more"):
        Calendar().after_hours(0, -1)
    with pytest.raises(ValueError, match="IANA database"):
        Calendar("Mars/Olympus")
    for bad in (((600, 540),), ((0, 1441),), ((0, 600), (540, 700))):
        with pytest.raises(ValueError, match="got "):
            Calendar(week={0: bad})
