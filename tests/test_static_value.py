"""Hour after hour of the same amount, whatever the trees say; and what is said where nobody is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from detectors.habit import HABIT
from detectors.static_value import static_of
from detectors.turning import learn
from streams.messages import Flag, Mark
from tests.habit_tools import mute
from tests.naive.static_value import static
from tests.streams_of_readings import DAY, HOUR, Row, Stream, examples, feed, instant, make_bank
from tests.test_habit_days import BEGIN, days_of, flat, home, household, judged, raised

NAN = float("nan")
FIRST = 1000  # day


@st.composite
def weeks(draw: st.DrawFn) -> tuple[list[list[float]], list[int]]:
    """Hours of a coarse register, which stood at one number now and then, some of them unknown; days with a flag."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    days = draw(st.integers(26, 50))
    hours = rng.integers(0, draw(st.sampled_from([2, 5, 50])), days * 24) / 4
    for _ in range(draw(st.integers(0, 3))):
        begin = int(rng.integers(0, len(hours)))
        hours[begin : begin + int(rng.integers(2, 80))] = rng.integers(0, 5) / 4
    hours[len(hours) - draw(st.integers(0, 200)) :] = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    hours[rng.random(len(hours)) < draw(st.sampled_from([0.0, 0.05]))] = NAN
    told = np.flatnonzero(rng.random(days) < draw(st.sampled_from([0.0, 0.3]))).tolist()
    return hours.reshape(days, 24).tolist(), told


def found(days: list[list[float]], told: list[int], scale: float, floor: float) -> float:
    """What the kernel says of them, day by day."""
    habit, profile = np.zeros(1, HABIT), np.zeros((1, 48), np.float32)
    habit["known"], habit["slow"] = FIRST, scale
    for day, hours in enumerate(days):
        habit["open"] = 4 if day in told else 0
        learn(habit[0], profile, 0, FIRST + day, scale, np.array(hours), float(np.nanmean([*hours, 0.0])))
    over: float = static_of(habit[0], FIRST + len(days) - 1, scale, floor)
    return over


@examples(300)
@given(weeks(), st.sampled_from([0.5, 1.5, 5.0]), st.sampled_from([0.0, 10.0]))
def test_runs_are_those_of_the_obvious_twin(
    weeks: tuple[list[list[float]], list[int]], scale: float, floor: float
) -> None:
    assert found(*weeks, scale, floor) == pytest.approx(static(*weeks, scale, floor), abs=1e-4)


def test_two_days_of_the_same_amount_are_found_and_not_less() -> None:
    rng = np.random.default_rng(1)
    weeks = rng.uniform(0.5, 1.5, (30, 24)).tolist()
    still = [[1.0] * 24, [1.0] * 24]
    assert found([*weeks, *still], [], 1.0, 0.0) == pytest.approx(np.log(49 / 48))
    assert found([*weeks, [0.9, *[1.0] * 23], still[0]], [], 1.0, 0.0) == -np.inf
    assert found([*weeks, *still], [], 4.5, 0.0) == -np.inf  # less than a quarter of what is usual
    assert found([*weeks[:26], *still], [], 1.0, 0.0) == -np.inf  # four weeks are not known


def held(use: NDArray[np.float64], first: int, last: int, amount: float | None = None) -> NDArray[np.float64]:
    """The hours first … last − 1 as the one before them, or as the amount."""
    hours = use.ravel().copy()
    hours[first:last] = hours[first - 1] if amount is None else amount
    return hours.reshape(-1, 24)


def told(use: NDArray[np.float64], **given: Any) -> list[Flag]:
    return judged(household(use, "electricity", "kW.h"), **given)


def test_a_value_that_stands_is_stuck_at_the_close_of_its_second_whole_day_and_clears_when_it_moves() -> None:
    first, last = 46 * 24 + 20, 56 * 24 + 20
    use = held(flat(), first, last)
    flags = told(use, heads=mute(), margin=0.0)
    assert [(f.kind, f.status) for f in flags] == [("stuck", "raised"), ("stuck", "cleared")]
    # Four hours and one of the first day, and two days.
    assert days_of(flags, "stuck", "raised") == [pytest.approx(49, abs=1 / 24 + 1e-9)]
    assert flags[0].evidence["equal_hours"] == 5 + 48
    assert flags[0].evidence["weight"] > flags[0].evidence["threshold"]
    assert days_of(flags, "stuck", "cleared") == [pytest.approx(58, abs=1 / 24 + 1e-9)]
    assert "equal_hours" not in flags[1].evidence


@pytest.mark.parametrize("seed", range(3))
def test_with_the_trees_that_ship(seed: int) -> None:
    use = held(flat(seed), 46 * 24 + 9, 56 * 24, float(flat(seed)[:46].mean()))
    flags = told(use)
    assert "stuck" in raised(flags)
    assert 48 < days_of(flags, "stuck", "raised")[0] <= 49 + 1 / 24
    assert 57 < days_of(flags, "stuck", "cleared")[0] <= 56 + 14


def test_a_register_that_counts_on_evenly_is_stuck_too() -> None:
    stream = household(held(flat(), 46 * 24, 56 * 24), "electricity", "kW.h")
    counted = 4711.5 + np.cumsum([row.value for row in stream.rows])
    rows = [row.but(value=float(x)) for row, x in zip(stream.rows, counted, strict=True)]
    meter = replace(stream.meters[0], kind="register")
    assert raised(judged(Stream([meter], rows), heads=mute())) == ["stuck"]


def test_the_next_time_is_told_as_the_first() -> None:
    use = held(held(flat(), 40 * 24, 50 * 24), 60 * 24, 64 * 24)
    flags = told(use, heads=mute(), margin=0.0)
    assert days_of(flags, "stuck", "raised") == [pytest.approx(day, abs=1 / 24 + 1e-9) for day in (42, 62)]


def test_what_a_coarse_register_has_for_days_now_and_then_is_no_fault() -> None:
    """A warehouse of whole kWh: the same number on Saturdays and Sundays; then a holiday of five days."""
    use = np.round(flat() * 20)
    for day in range(70):
        if day % 7 in (5, 6):  # the first of January 2024 was a Monday
            use[day] = 6
    assert told(use, heads=mute()) == []
    use[51:56] = 6
    assert told(use, heads=mute()) == []
    assert told(held(use, 50 * 24, 58 * 24, 6), heads=mute()) != []


def test_somebody_who_is_away_is_not_stuck() -> None:
    use = flat()
    use[48:58] = 0.05  # a tenth of the usual hour, all day
    assert raised(told(use, heads=mute())) == ["low_usage"]
    water = home()
    water[48:58] = 0
    assert judged(household(water), heads=mute()) == []


def test_what_is_not_worth_a_day_is_not_stuck() -> None:
    assert told(held(flat() / 20, 46 * 24, 56 * 24), heads=mute()) == []


def test_estimates_that_are_all_the_same_say_nothing_of_the_meter() -> None:
    stream = household(held(flat(), 46 * 24, 56 * 24), "electricity", "kW.h")
    begin, end = BEGIN + 46 * DAY, BEGIN + 56 * DAY

    def marked(mark: Mark) -> list[Row]:
        return [row.but(marks=int(mark)) if begin < row.time <= end else row for row in stream.rows]

    assert raised(judged(stream, heads=mute())) == ["stuck"]
    for mark in (Mark.ESTIMATED, Mark.HISTORICAL):
        assert judged(Stream(stream.meters, marked(mark)), heads=mute()) == []


@pytest.mark.parametrize("last", [46 * 24 + 30, 48 * 24 + 23, 50 * 24, 58 * 24 + 1])
def test_a_part_of_the_readings_says_what_all_of_them_say_up_to_there(last: int) -> None:
    stream = household(held(flat(), 46 * 24 + 9, 56 * 24), "electricity", "kW.h")
    whole = judged(stream)
    part = judged(Stream(stream.meters, stream.rows[:last]))
    until = BEGIN + last * HOUR
    assert part == [f for f in whole if instant(f.at) <= until]
    assert len(whole) > 1


# --- where nobody is there -------------------------------------------------------------------------


def still(days: slice, contract: str) -> list[Flag]:
    use = home()
    use[days] = 0
    stream = household(use)
    return judged(Stream([replace(stream.meters[0], contract=contract)], stream.rows))


@pytest.mark.parametrize("contract", ["vacant", "terminated"])
def test_no_use_where_the_registry_knows_of_nobody_is_as_it_should_be(contract: str) -> None:
    assert raised(still(slice(46, 58), "active")) == ["stuck"]
    assert still(slice(46, 58), contract) == []


@pytest.mark.parametrize("contract", ["vacant", "terminated"])
def test_less_use_where_the_registry_knows_of_nobody_is_as_it_should_be(contract: str) -> None:
    for share, heads in ((0.2, {}), (0.03, {"heads": mute()})):
        use = flat()
        use[48:60] *= share
        stream = household(use, "electricity", "kW.h")
        assert raised(judged(stream, **heads)) == ["low_usage"]
        assert judged(Stream([replace(stream.meters[0], contract=contract)], stream.rows), **heads) == []


def test_use_of_nobody_that_stops_is_over() -> None:
    """The rest that follows is no *stuck* that would hold *inactive_use* open."""
    use = home()
    use[46:] = 0
    stream = household(use)

    def told(contract: str) -> list[Flag]:
        bank = make_bank([replace(stream.meters[0], contract=contract)])
        return [f for f in feed(bank, stream.rows).flags if f.family == "usage_low"]

    assert {f.kind for f in told("active")} == {"stuck"}
    low = told("vacant")
    assert {f.kind for f in low} == {"inactive_use"}
    assert {f.evidence["detector"] for f in low} == {"shut_off"}
    assert low[-1].status == "cleared"
    assert (instant(low[-1].at) - BEGIN) / DAY < 46 + 15
