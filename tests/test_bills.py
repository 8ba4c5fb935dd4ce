"""Meters that are billed every month or two: what docs/detectors.md says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from detectors import HighLow
from streams.messages import Flag, Kind
from streams.registry import Meter
from tests.streams_of_readings import NS, Row, feed, make_bank

START = datetime(2020, 1, 1, tzinfo=UTC)
USUAL = (40.0, 44.0, 38.0, 41.0, 43.0)


def bills(amounts: Sequence[float], every: Sequence[int] | int = 61) -> list[Row]:
    """Amounts of whole cubic metres without periods; the first says nothing of its length."""
    gaps = [every] * len(amounts) if isinstance(every, int) else every
    rows = [Row("home", int(START.timestamp()) * NS, amounts[0], kind=Kind.INTERVAL)]
    day = START
    for amount, gap in zip(amounts, gaps, strict=True):
        day += timedelta(days=gap)
        rows.append(Row("home", int(day.timestamp()) * NS, amount, kind=Kind.INTERVAL))
    return rows


def flags_of(rows: Sequence[Row], **more: str | float) -> list[Flag]:
    meter = Meter(meter_id="home", commodity="water", unit="m3", kind="interval", **more)  # type: ignore[arg-type]
    return feed(make_bank([meter]), list(rows)).flags


def said(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    return [(flag.kind, flag.status) for flag in flags]


def test_a_bill_of_five_times_the_usual_is_told_at_once() -> None:
    rows = bills([*USUAL, 210.0])
    (flag,) = flags_of(rows)
    assert said([flag]) == [("high_usage", "raised")]
    assert flag.observed == 210.0
    assert flag.expected == pytest.approx(41.0)
    told = flag.evidence
    assert told["weight"] > told["threshold"]
    assert flag.score == pytest.approx(-math.log10(told["false_per_1000_days"]), abs=1e-3)


def test_twice_the_usual_is_nobodys_business_and_a_wild_meter_is_left_alone() -> None:
    assert flags_of(bills([*USUAL, 84.0])) == []
    assert flags_of(bills([10.0, 80.0, 15.0, 60.0, 9.0, 210.0])) == []


def test_no_use_at_all_ends_little_use() -> None:
    flags = flags_of(bills([232.0, 239.0, 237.0, 273.0, 285.0, 321.0, 45.0, 0.0]))
    assert said(flags) == [
        ("low_usage", "raised"), ("low_usage", "cleared"), ("zero_usage", "raised"),
    ]  # fmt: skip
    assert flags[1].at == flags[2].at
    assert "new_habit" not in flags[1].evidence


def test_it_is_cleared_when_use_is_back_and_when_it_has_become_usual() -> None:
    assert said(flags_of(bills([*USUAL, 0.0, 42.0]))) == [("zero_usage", "raised"), ("zero_usage", "cleared")]
    lasted = flags_of(bills([*USUAL, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert said(lasted) == [("zero_usage", "raised"), ("zero_usage", "cleared")]
    assert lasted[1].evidence["new_habit"] is True
    assert "new_habit" not in flags_of(bills([*USUAL, 0.0, 42.0]))[1].evidence
    (_, back) = flags_of(bills([*USUAL, 210.0, 42.0]))
    assert "new_habit" not in back.evidence
    (_, stayed) = flags_of(bills([*USUAL, 210.0, 215.0, 205.0, 210.0]))
    assert stayed.evidence["new_habit"] is True


def test_a_home_that_is_often_empty_is_not_told_of() -> None:
    assert flags_of(bills([40.0, 0.0, 38.0, 0.0, 43.0, 0.0, 41.0, 0.0])) == []


def test_a_bill_that_comes_early_covers_what_the_others_cover() -> None:
    early = [61, 61, 61, 61, 61, 30, 61]
    assert flags_of(bills([*USUAL, 85.0, 41.0], early)) == []
    (flag,) = flags_of(bills([*USUAL, 210.0], early[:6]))
    assert flag.evidence["billed_days"] == 61.0


def test_less_than_five_months_say_nothing() -> None:
    assert flags_of(bills([40.0, 44.0, 210.0])) == []


def test_a_missing_bill_is_counted_not_told() -> None:
    late = [61, 61, 61, 61, 61, 400]
    assert flags_of(bills([*USUAL, 43.0], late)) == []
    assert said(flags_of(bills([*USUAL, 43.0], late), interval_s=61 * 86400.0)) == [
        ("silent", "raised"), ("silent", "cleared"),
    ]  # fmt: skip


def test_the_budget_draws_the_line() -> None:
    lines = [HighLow(budget=budget).lines for budget in (0.5, 2.2, 4.0)]
    assert all((stricter > laxer).all() for stricter, laxer in pairwise(lines))
