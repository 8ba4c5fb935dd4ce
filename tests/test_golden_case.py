"""The case that the product exists for: 176 m³ in a year, then 273 m³ in two months.

``golden_case/two_reads.csv`` has the reads as they were: 0 at the installation, 176 after 366
days, 449 after another 61. The same household with daily reads is made here, with the same
totals.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.messages import Flag, Kind
from streams.registry import Meter
from tests.streams_of_readings import NS, Row, examples, feed, instant, make_bank

CASE = Path(__file__).parent / "golden_case"
CHANGE, JUNE = "2012-04-10T00:00:00Z", "2012-06-10T00:00:00Z"
YEAR, AFTER = (366, 176.0), (61, 273.0)  # days, m³
USUAL = YEAR[1] / YEAR[0] * AFTER[0]  # what the 61 days should have taken: 29.33
Periods = Sequence[tuple[int, float]]


def meters() -> dict[str, Meter]:
    with (CASE / "meters.csv").open() as file:
        return {
            row["meter_id"]: Meter(
                meter_id=row["meter_id"],
                commodity=row["commodity"],
                unit=row["unit"],
                kind=row["kind"],
                interval_s=float(row["interval_s"]) if row["interval_s"] else None,
                area=row["area"],
                meter_class=row["class"],
            )
            for row in csv.DictReader(file)
        }


def two_reads() -> list[Row]:
    with (CASE / "two_reads.csv").open() as file:
        return [
            Row(row["meter_id"], instant(row["time"]), float(row["value"])) for row in csv.DictReader(file)
        ]


def reads(meter: str, first: datetime, periods: Periods, scale: float = 1.0) -> list[Row]:
    """A register read at the ends of the periods, by the local calendar."""
    day, value = first, 0.0
    rows = [Row(meter, _ns(day), 0.0)]
    for days, amount in periods:
        day, value = day + timedelta(days=days), value + amount * scale
        rows.append(Row(meter, _ns(day), value))
    return rows


def daily(meter: str, first: datetime, periods: Periods, scale: float = 1.0, seed: int = 7) -> list[Row]:
    """The same read every day: days differ by half either way, the totals are those of the periods."""
    rng = np.random.default_rng(seed)
    amounts = []
    for days, amount in periods:
        use = rng.uniform(0.5, 1.5, days)
        amounts += (use / use.sum() * amount * scale).tolist()
    values = np.concatenate([[0.0], np.cumsum(amounts)])
    return [Row(meter, _ns(first + timedelta(days=d)), float(value)) for d, value in enumerate(values)]


def _ns(day: datetime) -> int:
    return int(day.timestamp()) * NS


def flags_of(meter: Meter, rows: Sequence[Row]) -> list[Flag]:
    return feed(make_bank([meter]), rows).flags


def high(flags: Sequence[Flag]) -> list[Flag]:
    return [flag for flag in flags if flag.family == "usage_high"]


def test_the_two_reads_alone_tell() -> None:
    (flag,) = flags_of(meters()["wei"], two_reads())
    assert (flag.kind, flag.status, flag.at, flag.start) == ("high_usage", "raised", JUNE, CHANGE)
    assert flag.observed == 273.0
    assert flag.expected == pytest.approx(29.33, abs=0.005)
    assert flag.observed - (flag.expected or 0) == pytest.approx(243.67, abs=0.005)
    assert flag.score == pytest.approx(2.18, abs=0.01)
    assert flag.evidence["billed_amount"] == 273.0
    assert flag.evidence["billed_days"] == 61.0
    assert flag.evidence["periods"] == [
        {"start": "2011-04-10T00:00:00Z", "end": CHANGE, "days": 366.0, "amount": 176.0}
    ]
    assert flag.evidence["use_a_day"] / flag.evidence["use_a_day_before"] == pytest.approx(9.3, abs=0.05)


def test_amounts_instead_of_registers_tell_as_much() -> None:
    """Bills without periods cover the time since the last one."""
    amounts = [0.0, 176.0, 273.0]
    rows = [
        row.but(value=amount, kind=Kind.INTERVAL) for row, amount in zip(two_reads(), amounts, strict=True)
    ]
    (flag,) = flags_of(meters()["wei"], rows)
    assert (flag.kind, flag.at, flag.observed) == ("high_usage", JUNE, 273.0)
    assert flag.expected == pytest.approx(29.33, abs=0.005)


def test_daily_reads_tell_within_days() -> None:
    first = datetime(2011, 4, 10, tzinfo=UTC)
    rows = daily("wei-daily", first, [YEAR, AFTER])
    assert len(rows) == 428
    assert rows[366].value == pytest.approx(176.0)
    assert rows[-1].value == pytest.approx(449.0)
    flags = high(flags_of(meters()["wei-daily"], rows))
    assert flags[0].status == "raised"
    assert flags[0].start >= CHANGE
    assert flags[0].at <= "2012-04-17T00:00:00Z"
    named = next(flag for flag in flags if flag.kind == "high_usage")
    assert named.at <= "2012-04-17T00:00:00Z"
    assert named.id == flags[0].id
    assert named.evidence["use_a_day"] > 2 * named.evidence["use_a_day_before"]


def test_a_fifth_more_is_no_case() -> None:
    first = datetime(2011, 4, 10, tzinfo=UTC)
    calm = [YEAR, (AFTER[0], USUAL * 1.2)]
    assert flags_of(meters()["wei"], reads("wei", first, calm)) == []
    assert flags_of(meters()["wei-daily"], daily("wei-daily", first, calm)) == []


@st.composite
def elsewhere(draw: st.DrawFn) -> tuple[str, datetime, float]:
    """Another name, other dates (changes of the clock and leap days among them), another size."""
    zone = draw(
        st.sampled_from(("UTC", "Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Asia/Shanghai"))
    )
    day = draw(st.integers(0, 20 * 365))
    first = datetime(2001, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
    return draw(st.text("abcdef#/-0123", min_size=1, max_size=12)), first, draw(st.floats(0.3, 3.0))


@examples(60)
@given(elsewhere())
def test_the_same_household_elsewhere_is_found(where: tuple[str, datetime, float]) -> None:
    name, first, scale = where
    meter = msgspec.structs.replace(meters()["wei"], meter_id=name, tz=str(first.tzinfo), area="")
    (flag,) = flags_of(meter, reads(name, first, [YEAR, AFTER], scale))
    assert (flag.meter_id, flag.kind, flag.status) == (name, "high_usage", "raised")
    assert flag.observed == pytest.approx(273 * scale)
    # An hour more or less by the change of the clock is a seventh of a per mille.
    assert flag.expected == pytest.approx(USUAL * scale, rel=1e-3)
    calm = reads(name, first, [YEAR, (AFTER[0], USUAL * 1.2)], scale)
    assert flags_of(meter, calm) == []


@examples(25)
@given(elsewhere(), st.integers(0, 1000))
def test_the_same_household_with_daily_reads_elsewhere_is_found(
    where: tuple[str, datetime, float], seed: int
) -> None:
    name, first, scale = where
    meter = msgspec.structs.replace(meters()["wei-daily"], meter_id=name, tz=str(first.tzinfo), area="")
    rows = daily(name, first, [YEAR, AFTER], scale, seed)
    flags = high(flags_of(meter, rows))
    changed = rows[366].time
    assert changed <= instant(flags[0].start)
    assert instant(flags[0].at) <= rows[366 + 7].time
    assert any(flag.kind == "high_usage" and instant(flag.at) <= rows[366 + 7].time for flag in flags)
    assert flags_of(meter, daily(name, first, [YEAR, (AFTER[0], USUAL * 1.2)], scale, seed)) == []
