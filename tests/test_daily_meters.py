"""Meters read every day, every fortnight, by the bill: one day is no level, a standstill is not little use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.messages import Flag, Mark
from streams.registry import Meter
from tests.streams_of_readings import DAY, HOUR, Row, feed, instant, make_bank

START = instant("2024-01-01")


def home(days: int, seed: int = 0) -> NDArray[np.float64]:
    """A home's use by the day. [m3]"""
    return np.random.default_rng(seed).lognormal(np.log(0.4), 0.2, days)


def flags_of(
    amounts: Sequence[float] | NDArray[np.float64],
    every: int = 1,
    register: bool = False,
    guesses: Sequence[int] = (),
    **more: str | float,
) -> list[Flag]:
    """What all detectors say of amounts (of a register: of reads), one every so many days."""
    meter = Meter(
        meter_id="home", commodity="water", unit="m3", meter_class="residential", interval_s=every * 86400,
        kind="register" if register else "interval", **more,  # type: ignore[arg-type]
    )  # fmt: skip
    rows = [
        Row("home", START + n * every * DAY, float(amount), marks=int(Mark.ESTIMATED) if n in guesses else 0)
        for n, amount in enumerate(amounts)
    ]
    end = Row("clock", START + len(rows) * every * DAY + HOUR, 0.0)  # lets the last day close
    flags = feed(make_bank([meter]), [*rows, end]).flags
    return [flag for flag in flags if flag.meter_id == "home"]


def told(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    return [(flag.kind, flag.status) for flag in flags]


def test_a_day_of_ten_times_the_usual_stays_a_spike() -> None:
    amounts = home(80)
    amounts[60] *= 10
    assert told(flags_of(amounts)) == [("spike", "raised"), ("spike", "cleared")]


def test_days_of_nine_times_the_usual_become_a_level_at_the_second() -> None:
    amounts = home(80)
    amounts[60:] *= 9
    flags = flags_of(amounts)
    assert told(flags)[:2] == [("spike", "raised"), ("high_usage", "updated")]
    assert flags[1].at <= "2024-03-04"


def test_a_read_too_high_that_the_next_one_takes_back_leaves_nothing_behind() -> None:
    reads = 100 + np.cumsum(home(80))
    reads[60] += 90
    flags = flags_of(reads, register=True)
    spikes = [flag for flag in flags if flag.family == "usage_high"]
    assert told(spikes) == [("spike", "raised"), ("spike", "cleared")]
    assert spikes[1].at == "2024-03-02T00:00:00Z"  # with the read that takes it back
    assert ("misread", "raised") in told(flags)


def test_a_meter_that_stands_still_is_told_of_as_such() -> None:
    amounts = home(80)
    amounts[60:] = 0
    low = [flag for flag in flags_of(amounts) if flag.family == "usage_low"]
    assert told(low)[0] == ("zero_usage", "raised")
    assert {flag.kind for flag in low} == {"zero_usage"}


def test_little_use_that_becomes_none_is_the_same_episode_by_its_new_name() -> None:
    amounts = home(90)
    amounts[60:70] *= 0.15
    amounts[70:] = 0
    assert told(flags_of(amounts))[:2] == [("low_usage", "raised"), ("zero_usage", "updated")]


@pytest.mark.parametrize("away", [30, 60])
def test_people_who_come_home_are_no_anomaly(away: int) -> None:
    amounts = home(60 + away + 40)
    amounts[60 : 60 + away] = 0
    flags = flags_of(amounts)
    assert {flag.family for flag in flags} == {"usage_low"}
    assert flags[-1].status == "cleared"


def test_an_empty_home_that_uses_more_than_any_home_is_told_of() -> None:
    amounts = home(130)
    amounts[60:] = 0
    amounts[120:] = 12.0
    assert ("spike", "raised") in told(flags_of(amounts))


@pytest.mark.parametrize("contract", ["vacant", "terminated"])
@pytest.mark.parametrize("every", [1, 30])
def test_no_use_where_the_registry_knows_of_nobody_is_as_it_should_be(contract: str, every: int) -> None:
    amounts = home(80) * every
    amounts[60:] = 0
    assert flags_of(amounts, every, contract=contract) == [] or all(
        flag.kind == "inactive_use" for flag in flags_of(amounts, every, contract=contract)
    )
    assert {flag.kind for flag in flags_of(amounts, every)} == {"zero_usage"}


@pytest.mark.parametrize("every", [8, 10, 14, 16, 17, 18, 19, 20])
def test_a_meter_that_is_read_every_other_week_is_judged_by_its_periods(every: int) -> None:
    for n in range(3):
        amounts = home(40, seed=n) * every
        amounts[32] *= 9
        assert told(flags_of(amounts, every))[:1] == [("high_usage", "raised")]
        amounts = home(40, seed=n) * every
        amounts[32:] = 0
        assert told(flags_of(amounts, every))[:1] == [("zero_usage", "raised")]


def test_a_bill_after_estimated_ones_trues_them_up_and_is_no_high_use() -> None:
    amounts = home(24) * 61
    amounts[18:20] = 8.0
    amounts[20] += 35.0
    flags = flags_of(amounts, 61, guesses=(18, 19))
    assert told(flags) == [("true_up", "raised"), ("true_up", "cleared")]
    (first, _) = flags
    assert first.expected == pytest.approx(8.0)
    assert first.observed == pytest.approx(amounts[20])
