"""Due dates: working days, limits by priority, and a clock that pauses."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trade.sla import Targets, breached, pause
from streams.trade.tickets import Sla, iso
from streams.trade.working_time import Calendar
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, SECOND


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


def test_an_emergency_is_acknowledged_in_five_minutes_on_any_day() -> None:
    saturday = at("2026-06-06T03:00:00Z")
    due = Targets().due("P1", saturday)
    assert due.ack_due_ns == saturday + 5 * MINUTE
    assert due.resolve_due_ns == saturday + DAY


def test_working_days_pass_over_the_weekend() -> None:
    friday = at("2026-06-05T12:00:00Z")
    due = Targets().due("P2", friday)
    assert due.ack_due_ns == friday + HOUR
    assert due.resolve_due_ns == at("2026-06-09T18:00:00Z")
    assert Targets().due("P3", friday).ack_due_ns == at("2026-06-08T18:00:00Z")


def test_the_next_batch_begins_when_the_offices_open() -> None:
    targets = Targets()
    assert targets.due("P4", at("2026-06-05T12:00:00Z")) == Sla(ack_due_ns=at("2026-06-08T09:00:00Z"))
    assert targets.due("P4", at("2026-06-08T06:00:00Z")) == Sla(ack_due_ns=at("2026-06-08T09:00:00Z"))


def test_holidays_and_make_up_days_count_as_the_calendar_says() -> None:
    # National Day 2026: the first of October is a Thursday; Saturday the tenth is worked instead
    calendar = Calendar(
        tz="Asia/Shanghai",
        holidays=frozenset(date(2026, 10, day) for day in range(1, 8)),
        makeup=frozenset({date(2026, 10, 10)}),
    )
    wednesday = at("2026-09-30T04:00:00Z")
    assert iso(calendar.after_days(wednesday, 1)) == "2026-10-08T10:00:00.000Z"
    assert iso(calendar.after_days(wednesday, 3)) == "2026-10-10T10:00:00.000Z"
    assert iso(calendar.after_days(wednesday, 4)) == "2026-10-12T10:00:00.000Z"


def test_a_calendar_without_working_days_is_refused() -> None:
    with pytest.raises(ValueError, match="expected hours on at least one weekday"):
        Calendar(week={})
    with pytest.raises(ValueError, match="closes after it opens"):
        Calendar(week={0: ((540, 540),)})
    none = Calendar(holidays=frozenset(date.fromordinal(n) for n in range(739000, 741000)))
    with pytest.raises(ValueError, match="check the holidays"):
        none.after_days(NOON, 1)
    with pytest.raises(ValueError, match="check the holidays"):
        none.check()


def test_the_clock_stands_while_others_have_to_move() -> None:
    due = Targets().due("P2", NOON)
    waiting = pause(due, NOON + HOUR)
    assert pause(waiting, NOON + 2 * HOUR) == waiting
    assert breached(waiting, NOON + 30 * DAY) == ("acknowledge",)
    back = Targets().resume(waiting, NOON + 4 * HOUR)
    assert due.resolve_due_ns == at("2026-06-03T18:00:00Z")
    assert back.resolve_due_ns == at("2026-06-04T12:00:00Z")  # three working hours later
    assert back.ack_due_ns == due.ack_due_ns
    assert back.paused_ns == 3 * HOUR
    assert Targets().resume(back, NOON + 9 * HOUR) == back
    assert breached(back, NOON + 30 * DAY) == ("acknowledge", "resolve")


def test_a_pause_counts_the_working_time_in_it() -> None:
    targets = Targets()
    friday = at("2026-06-05T16:00:00Z")
    due = targets.due("P2", friday)
    assert due.resolve_due_ns == at("2026-06-09T18:00:00Z")
    # from Friday 17:00 to Monday 10:00: an hour and an hour
    back = targets.resume(pause(due, friday + HOUR), at("2026-06-08T10:00:00Z"))
    assert back.paused_ns == 2 * HOUR
    assert back.resolve_due_ns == at("2026-06-10T11:00:00Z")
    # within a weekend nothing was lost, and nothing is given
    again = targets.resume(pause(back, at("2026-06-13T00:00:00Z")), at("2026-06-14T12:00:00Z"))
    assert again == back
    # a clock that was set back gives nothing either
    assert targets.resume(pause(back, friday + HOUR), friday) == back


def test_an_emergency_pauses_by_the_clock_on_the_wall() -> None:
    targets = Targets()
    saturday = at("2026-06-06T03:00:00Z")
    due = targets.due("P1", saturday)
    back = targets.resume(pause(due, saturday + HOUR), saturday + 3 * HOUR)
    assert back.resolve_due_ns == saturday + DAY + 2 * HOUR
    # raised from a lesser priority it does so too
    raised = targets.tighten(targets.due("P3", saturday), "P1", saturday)
    assert raised == due
    assert targets.tighten(raised, "P2", saturday) == raised


def test_what_is_asked_for_within_the_hour_does_not_wait_for_the_offices() -> None:
    saturday = at("2026-06-06T03:00:00Z")
    assert Targets().due("P2", saturday).ack_due_ns == saturday + HOUR


def test_a_raised_priority_never_moves_a_date_back() -> None:
    targets = Targets()
    slow = targets.due("P3", NOON)
    raised = targets.tighten(slow, "P1", NOON + MINUTE)
    assert raised.ack_due_ns == NOON + 6 * MINUTE
    assert targets.tighten(raised, "P3", NOON + 2 * MINUTE) == raised


@given(st.integers(0, 4_000_000_000), st.integers(1, 30))
def test_after_n_days_lies_on_a_working_day_and_counts_n(start_s: int, days: int) -> None:
    calendar = Calendar()
    due = datetime.fromtimestamp(calendar.after_days(start_s * SECOND, days) // SECOND, UTC)
    start = datetime.fromtimestamp(start_s, UTC)
    worked = sum(
        calendar.works(date.fromordinal(n))
        for n in range(start.date().toordinal() + 1, due.date().toordinal() + 1)
    )
    assert worked == days
    assert calendar.works(due.date())
    assert (due.hour, due.minute) == (18, 0)
