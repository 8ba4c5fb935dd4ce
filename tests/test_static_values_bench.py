"""Values that stand, put into real readings: what is held at what, daily totals, what is made of the flags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.score import DAY, HOUR, nanoseconds
from benchmarks.sets import Set, at_hand, make_demo
from benchmarks.static_values import (
    BEFORE,
    DAILY,
    HOURLY,
    Draws,
    Reading,
    Run,
    measure,
    outside,
    standing,
    table,
)
from benchmarks.stretches import Stretch, daily
from tests.test_units_bench import FAULT, START, faults, hourly

PUT = Stretch("a", START.value + 100 * DAY + 9 * HOUR, START.value + 103 * DAY + 9 * HOUR)


@pytest.fixture
def small(tmp_path: Path) -> Set:
    """Two meters read by the hour, one of which has a fault."""
    amounts = hourly()
    amounts["value"] *= 1 + 0.1 * np.random.default_rng(0).random(len(amounts))
    amounts.to_parquet(tmp_path / "readings.parquet", index=False)
    faults().to_csv(tmp_path / "truth.csv", index=False)
    (tmp_path / "meters.csv").write_text(
        "meter_id,unit,kind,interval_s\na,kW.h,interval,3600\nb,kW.h,interval,3600\n"
    )
    return Set("small", tmp_path)


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("held", ["last", "mean"])
def test_a_stretch_is_held_at_what_was_before_it_and_all_else_stays(registers: bool, held: str) -> None:
    amounts = hourly(("a",))
    used, at = amounts["value"].to_numpy(), nanoseconds(amounts["time"])
    given = amounts.assign(value=1000 + np.cumsum(used)) if registers else amounts
    changed, shares = standing(given, registers, [PUT], held)
    put = changed["value"].to_numpy()
    put = np.diff(put, prepend=1000.0) if registers else put
    inside = (at > PUT.start) & (at <= PUT.end)
    before = used[(at > PUT.start - BEFORE * DAY) & (at <= PUT.start)]
    expected = before[-1] if held == "last" else round(before.mean(), 3)
    assert inside.sum() == 72
    assert np.allclose(put[inside], expected)
    assert np.allclose(put[~inside], used[~inside])
    assert shares == {PUT: pytest.approx(expected / before.mean())}


def test_a_register_that_is_read_late_counts_on_as_fast() -> None:
    amounts = hourly(("a",))
    register = amounts.assign(value=1000 + np.cumsum(amounts["value"]))
    late = nanoseconds(register["time"]) == PUT.start + 30 * HOUR
    changed, _ = standing(register[~late], True, [PUT], "mean")
    whole, _ = standing(register, True, [PUT], "mean")
    assert np.allclose(changed["value"], whole["value"][~late])


def test_a_stretch_that_was_hardly_read_or_follows_nothing_is_left_as_it_is() -> None:
    amounts = hourly(("a",))
    at = nanoseconds(amounts["time"])
    thin = amounts[~((at > PUT.start + 10 * HOUR) & (at <= PUT.start + 20 * HOUR))]
    nought = amounts.assign(value=np.where(at <= PUT.start, 0.0, amounts["value"]))
    for given in (thin, nought):
        changed, shares = standing(given, False, [PUT], "last")
        assert shares == {}
        assert changed["value"].tolist() == given["value"].tolist()


@pytest.mark.parametrize("registers", [False, True])
def test_daily_totals_are_sums_of_whole_days(registers: bool, tmp_path: Path) -> None:
    amounts = hourly(("a",))
    sums = amounts["value"].to_numpy().reshape(-1, 24).sum(1)
    given = amounts.assign(value=1000 + np.cumsum(amounts["value"])) if registers else amounts
    at = nanoseconds(given["time"])
    hole = (at > START.value + 50 * DAY + 5 * HOUR) & (at <= START.value + 51 * DAY + 2 * HOUR)
    given[~hole].to_parquet(tmp_path / "readings.parquet", index=False)
    faults().to_csv(tmp_path / "truth.csv", index=False)
    kind = "register" if registers else "interval"
    (tmp_path / "meters.csv").write_text(f"meter_id,unit,kind,interval_s\na,kW.h,{kind},3600\n")
    made = daily(Set("small", tmp_path), tmp_path / "daily")
    totals = pd.read_parquet(made.directory / "readings.parquet")
    days = (nanoseconds(totals["time"]) - START.value) // DAY - 1
    # A register's first reading says nothing of what was used before it.
    known = [day for day in range(len(sums)) if day not in (50, 51) and (day > 0 or not registers)]
    assert set(days.tolist()) - {0} == set(known) - {0}
    assert np.allclose(totals["value"].to_numpy()[days > 0], sums[days[days > 0]])
    assert not made.registers


@pytest.mark.parametrize("how", [HOURLY, DAILY])
def test_meters_that_stand_are_told_of_and_cleared_and_not_as_they_are(
    how: Reading, small: Set, tmp_path: Path
) -> None:
    own = small if how is HOURLY else daily(small, tmp_path / "daily")
    measured = measure(own, how, Draws(1, 9), tmp_path)
    stretches = measured.stretches
    assert len(stretches) >= 10
    assert stretches["enough"].all()
    assert stretches["found"].all()
    assert stretches["told"].between(48, 8 * 24).all()
    assert stretches["cleared"].between(0, 72).all()
    assert (measured.as_is, measured.as_is_outside) == ([], 0)
    assert set(measured.outside.values()) == {0}
    rows = table([measured], how).splitlines()
    assert len(rows) == 2 + 2 * len(how.held)
    own_sides = stretches.loc[stretches["held"] == how.held[0], "side"].tolist()
    assert "".join(f" | {n} of {n}" for n in (own_sides.count(0), own_sides.count(1))) in rows[2]


def test_what_touches_a_stretch_or_the_truth_is_not_outside() -> None:
    def run(name: str, day: float, meter: str = "a") -> Run:
        at = START.value + int(day * DAY)
        return Run(name, meter, at - 2 * DAY, at, np.inf)

    begun = (FAULT[0] - START) / pd.Timedelta(days=1)
    found = [run("put", 102), run("truth", begun + 1), run("free", 150), run("free", 160), run("b", 102, "b")]
    left = outside(found, {PUT: 1.0}, faults(), HOURLY)
    assert [(one.name, one.meter_id) for one in left] == [("free", "a"), ("b", "b")]
    assert len(outside(found, {}, faults(), HOURLY)) == 3


def test_the_demo_as_it_is_has_no_fault_and_the_same_meters(tmp_path: Path) -> None:
    plain = Set("demo", make_demo(tmp_path / "plain", faults=False)).load()
    (faulty,), _ = at_hand(tmp_path, tmp_path, ("demo",))
    assert plain.faults.empty
    assert plain.first.keys() == faulty.load().first.keys()
    assert plain.gaps["meter_id"].tolist() == faulty.load().gaps["meter_id"].tolist()
