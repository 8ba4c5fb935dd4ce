"""Due dates: working days, limits by priority, and a clock that pauses."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sla import Calendar, Targets, breached, pause, resume
from streams.tickets import Sla, iso
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
    assert due.resolve_due_ns == at("2026-06-09T17:30:00Z")
    assert Targets().due("P3", friday).ack_due_ns == at("2026-06-08T17:30:00Z")


def test_the_next_batch_begins_when_the_offices_open() -> None:
    targets = Targets()
    assert targets.due("P4", at("2026-06-05T12:00:00Z")) == Sla(ack_due_ns=at("2026-06-08T08:30:00Z"))
    assert targets.due("P4", at("2026-06-08T06:00:00Z")) == Sla(ack_due_ns=at("2026-06-08T08:30:00Z"))


def test_holidays_and_make_up_days_count_as_the_calendar_says() -> None:
    # National Day 2026: the first of October is a Thursday; Saturday the tenth is worked instead
    calendar = Calendar(
        tz="Asia/Shanghai",
        holidays=frozenset(date(2026, 10, day) for day in range(1, 8)),
        makeup=frozenset({date(2026, 10, 10)}),
    )
    wednesday = at("2026-09-30T04:00:00Z")
    assert iso(calendar.after_days(wednesday, 1)) == "2026-10-08T09:30:00.000Z"
    assert iso(calendar.after_days(wednesday, 3)) == "2026-10-10T09:30:00.000Z"
    assert iso(calendar.after_days(wednesday, 4)) == "2026-10-12T09:30:00.000Z"


def test_a_calendar_without_working_days_is_refused() -> None:
    with pytest.raises(ValueError, match="expected weekdays"):
        Calendar(weekdays=frozenset())
    with pytest.raises(ValueError, match="opens < closes"):
        Calendar(opens=Calendar().closes)
    none = Calendar(
        weekdays=frozenset({0}), holidays=frozenset(date.fromordinal(n) for n in range(739000, 741000))
    )
    with pytest.raises(ValueError, match="check the holidays"):
        none.after_days(NOON, 1)


def test_the_clock_stands_while_others_have_to_move() -> None:
    due = Targets().due("P2", NOON)
    waiting = pause(due, NOON + HOUR)
    assert pause(waiting, NOON + 2 * HOUR) == waiting
    assert breached(waiting, NOON + 30 * DAY) == ("acknowledge",)
    back = resume(waiting, NOON + 4 * HOUR)
    assert due.resolve_due_ns is not None
    assert back.resolve_due_ns == due.resolve_due_ns + 3 * HOUR
    assert back.ack_due_ns == due.ack_due_ns
    assert back.paused_ns == 3 * HOUR
    assert resume(back, NOON + 9 * HOUR) == back
    assert breached(back, NOON + 30 * DAY) == ("acknowledge", "resolve")


def test_a_raised_priority_never_moves_a_date_back() -> None:
    targets = Targets()
    slow = targets.due("P3", NOON)
    raised = targets.tighten(slow, "P1", NOON + MINUTE)
    assert raised.ack_due_ns == NOON + 6 * MINUTE
    assert targets.tighten(raised, "P3", NOON + 2 * MINUTE) == raised


@given(st.integers(0, 4_000_000_000), st.integers(0, 30))
def test_after_n_days_lies_on_a_working_day_and_counts_n(start_s: int, days: int) -> None:
    calendar = Calendar()
    due = datetime.fromtimestamp(calendar.after_days(start_s * SECOND, days) // SECOND, UTC)
    start = datetime.fromtimestamp(start_s, UTC)
    worked = sum(
        calendar.works(date.fromordinal(n))
        for n in range(start.date().toordinal() + 1, due.date().toordinal() + 1)
    )
    assert worked == days
    assert days == 0 or calendar.works(due.date())
    assert (due.hour, due.minute) == (17, 30)
