"""When a meter is billed next, and what is to become of its bill."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.trade.bill_days import days_to_bill, next_bill
from streams.trade.bill_run import advise, bill_days_of, lines
from streams.trade.decisions import Advice
from streams.trade.money_words import MONEY
from streams.trade.points import Point
from streams.trade.settlement import Credit, CreditState, Notice, NoticeState, NoticeText
from streams.trade.tickets import Purpose, State, Ticket
from tests.tickets.tools import NOON, MemoryStore, flag, golden

CHINA = "Asia/Shanghai"


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def point(bill_day: int | None, tz: str = CHINA, meter: str = "wei") -> Point:
    return Point(meter_id=meter, service_point_id=f"sp-{meter}", bill_day=bill_day, tz=tz)


def opened(kind: str = "high_usage", **fields: object) -> Ticket:
    made = golden() if kind == "high_usage" else flag(kind, meter_id="wei", service_point_id="wei")
    (ticket,) = MemoryStore().take(made)
    return replace(ticket, **fields)


@pytest.mark.parametrize(
    ("now", "bill_day", "found", "days"),
    [
        ("2026-06-01T12:00:00+08:00", 4, date(2026, 6, 4), 3),
        ("2026-06-04T00:00:00+08:00", 4, date(2026, 6, 4), 0),
        ("2026-06-04T23:59:59+08:00", 4, date(2026, 6, 4), 0),
        ("2026-06-05T00:00:00+08:00", 4, date(2026, 7, 4), 29),
        # 04:00 in Shanghai, still the day before in UTC
        ("2026-06-03T20:00:00+00:00", 4, date(2026, 6, 4), 0),
        ("2026-02-10T12:00:00+08:00", 31, date(2026, 2, 28), 18),
        ("2028-02-10T12:00:00+08:00", 30, date(2028, 2, 29), 19),
        ("2026-12-31T12:00:00+08:00", 30, date(2027, 1, 30), 30),
        ("2026-01-31T12:00:00+08:00", 30, date(2026, 2, 28), 28),
    ],
)
def test_the_next_bill_is_that_of_the_meters_calendar(
    now: str, bill_day: int, found: date, days: int
) -> None:
    assert next_bill(bill_day, CHINA, at(now)) == found
    assert days_to_bill(bill_day, CHINA, at(now)) == days


def test_without_a_bill_day_nothing_is_known() -> None:
    assert days_to_bill(None, CHINA, NOON) is None


@given(st.integers(1, 31), st.integers(0, 800))
def test_every_bill_day_comes_once_a_month(bill_day: int, ahead: int) -> None:
    now = NOON + ahead * 86_400_000_000_000
    found = next_bill(bill_day, "UTC", now)
    assert found is not None
    assert bill_day in bill_days_of(found)
    today = datetime.fromtimestamp(now / 1e9, UTC).date()
    between = [today + timedelta(days=n) for n in range((found - today).days)]
    assert not any(bill_day in bill_days_of(day) for day in between)
    assert (found - today).days <= 31


def credit(state: CreditState) -> Credit:
    return Credit(
        revision=1, state=state, method="own", quantity=1.0, unit="m3", amount=None, currency="", reason="r",
        proposed_by="a", proposed_ns=NOON, second_person=True,
    )  # fmt: skip


def notice(state: NoticeState) -> Notice:
    text = NoticeText(text="t", sms="t", sms_parts=1)
    return Notice(
        number=1, situation="real_use", state=state, channel="sms", zh=text, en=text, drafted_by="a", drafted_ns=NOON
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ticket", "advice", "why"),
    [
        (opened(), Advice.HOLD, "excess_open"),
        (opened(bill_hold=True), Advice.HOLD, "held"),
        (opened(credit=credit(CreditState.PROPOSED)), Advice.HOLD, "credit_pending"),
        (opened(credit=credit(CreditState.APPROVED)), Advice.SEND, "credit_settled"),
        (opened(credit=credit(CreditState.REFUSED)), Advice.HOLD, "excess_open"),
        (opened(purpose=Purpose.EXPLAIN), Advice.SEND, "tell_first"),
        (opened(purpose=Purpose.EXPLAIN, notices=(notice(NoticeState.APPROVED),)), Advice.SEND, "tell_first"),
        (opened(purpose=Purpose.EXPLAIN, notices=(notice(NoticeState.SENT),)), Advice.SEND, "customer_told"),
        (opened(verdict="explained"), Advice.SEND, "tell_first"),
        (opened(state=State.IMPLEMENTED), Advice.SEND, "work_done"),
        (opened("silent"), Advice.ESTIMATE, "no_read"),
        (opened("stuck"), Advice.ESTIMATE, "stands_still"),
        (opened("misread"), Advice.HOLD, "read_in_doubt"),
        (opened("continuous_flow"), Advice.SEND, "tell_first"),
        (opened("voltage_low"), Advice.SEND, "bill_not_touched"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_bill(ticket: Ticket, advice: Advice, why: str) -> None:
    assert advise(ticket) == (advice, why)
    assert all(MONEY[advice])
    assert all(MONEY[why])


def test_the_list_has_those_to_hold_first_and_no_drill() -> None:
    points = {name: point(10, meter=name) for name in ("wei", "m-1", "m-2")}
    group = opened(
        "concentrator_silent", id="g", meter_id="c-1", meters=("m-2", "m-1", "m-9"), group="concentrator/c-1"
    )
    closed = opened(id="x", state=State.CLOSED)
    found = lines([group, opened(), opened(id="d", drill=True), closed], points, date(2026, 6, 10))
    assert [(line.meter_id, line.advice) for line in found] == [
        ("wei", Advice.HOLD),
        ("m-1", Advice.ESTIMATE),
        ("m-2", Advice.ESTIMATE),
    ]
    assert found[0].bill_date == "2026-06-10"
    assert found[0].estimate is not None
    assert found[0].estimate.excess == 243.7
    assert found[1].estimate is None
