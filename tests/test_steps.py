"""Use that jumps by a factor between units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import Intervals, Steps
from streams.messages import Flag, Mark
from streams.registry import Meter
from tests.naive.steps import steps
from tests.streams_of_readings import DAY, HOUR, Row, Stream, examples, feed, instant, make_bank
from tests.twins import assert_same, by_meter, named, run, validated

START = instant("2024-01-01")
FACTORS = (10.0, 100.0, 1000.0, 35.3147, 0.1, 0.01, 0.001, 3.0, 20.0)


@st.composite
def jumps(draw: st.DrawFn) -> Stream:
    """Meters, steady or not, read by the hour, the day or the month, that jump and may come back.

    Those read every two hours have a day's course, which may bend with the jump.
    """
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    meters, rows = [], []
    for number, spacing in enumerate(
        draw(st.lists(st.sampled_from((2 * HOUR, 6 * HOUR, DAY, 30 * DAY)), max_size=3))
    ):
        name = f"m{number}"
        meters.append(Meter(meter_id=name, kind="interval", interval_s=spacing / 1e9, unit="m3"))
        count = 40 if spacing > DAY else 60 * DAY // spacing
        use = rng.uniform(5, 50) * np.exp(rng.normal(0, rng.choice([0.05, 0.3, 1.0]), count))
        course = np.resize(rng.uniform(0.5, 2.0, max(DAY // spacing, 1)), count)
        use *= course
        for _ in range(int(rng.integers(0, 3))):
            first = int(rng.integers(0, count))
            off = slice(first, first + int(rng.integers(1, count)))
            use[off] *= rng.choice(FACTORS) * course[off] ** rng.choice([0.0, 0.0, 0.2, 1.0])
        use[rng.random(count) < 0.02] = 0.0
        marks = np.zeros(count, np.int64)
        for _ in range(int(rng.integers(0, 3))):
            first = int(rng.integers(0, count))
            marks[first : first + int(rng.integers(1, count))] = int(Mark.HISTORICAL)
        rows += [
            Row(name, START + (i + 1) * spacing, float(use[i]), marks=int(marks[i])) for i in range(count)
        ]
    rows.sort(key=lambda row: (row.time, row.meter))
    return Stream(meters, rows)


@examples(150)
@given(jumps())
def test_jumps_are_those_of_the_obvious_loop(stream: Stream) -> None:
    flags = [f for f in run(stream, Steps()) if f.kind == "unit_error"]
    parts = by_meter(stream, validated(stream)[0])
    assert_same(flags, [line for name, part in parts.items() for line in named(steps(part), name)])


def daily(values: Sequence[float], days: int = 1) -> list[Flag]:
    meter = Meter(meter_id="m", kind="interval", interval_s=days * 86400, unit="m3")
    rows = [Row("m", START + (i + 1) * days * DAY, value) for i, value in enumerate(values)]
    return feed(make_bank([meter], (Intervals(), Steps())), rows).flags


@pytest.mark.parametrize(
    ("factor", "days"), [(10, 4), (35.3147, 4), (100, 4), (1000, 4), (0.1, 8), (0.001, 8)]
)
def test_a_factor_is_told_when_it_has_stayed(factor: float, days: int) -> None:
    flags = daily([8.0, 8.2, 7.9, 8.1] * 5 + [8.1 * factor] * 20)
    assert [(f.kind, f.status, (instant(f.at) - START) // DAY) for f in flags] == [
        ("unit_error", status, 20 + days) for status in ("raised", "cleared")
    ]
    assert flags[0].evidence["factor"] == pytest.approx(factor, rel=1e-6)
    assert flags[0].start == "2024-01-21T00:00:00Z"


def test_bills_need_two() -> None:
    flags = daily([240.0, 250.0, 245.0, 240.0, 2450.0, 2400.0], 30)
    assert [(f.status, (instant(f.at) - START) // (30 * DAY)) for f in flags] == [
        ("raised", 6),
        ("cleared", 6),
    ]


def test_what_is_not_a_factor_or_does_not_stay_is_none() -> None:
    usual = [8.0, 8.2, 7.9, 8.1] * 5
    assert daily(usual + [8.0 * 5] * 20) == []
    assert daily(usual + [80.0] * 3 + usual) == []
    assert daily([8.0, 80.0, 2.0, 30.0] * 5 + [80.0] * 10) == []


def hourly(use: NDArray[np.float64]) -> list[Flag]:
    meter = Meter(meter_id="m", kind="interval", interval_s=3600, unit="m3")
    rows = [Row("m", START + i * HOUR, x) for i, x in enumerate(use.tolist())]  # the first counts nothing
    flags = feed(make_bank([meter], (Intervals(), Steps())), rows).flags
    return [f for f in flags if f.status == "raised"]


@pytest.mark.parametrize("factor", [10.0, 35.3147, 100.0, 1000.0, 0.1, 1 / 35.3147, 0.01, 0.001])
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_a_unit_that_changes_within_a_day_is_told_with_its_factor(factor: float, hour: int) -> None:
    """By the hour, steady; found as many whole days after the day of the change as when that begins at midnight."""
    use = np.tile([0.2] * 7 + [0.5] * 17, 40) * (1 + 0.1 * np.sin(np.arange(960)))
    use[20 * 24 + hour :] *= factor
    told = hourly(use)
    assert [f.evidence["factor"] for f in told] == [pytest.approx(factor, rel=1e-6)]
    whole = (instant(told[0].at) - START - 20 * DAY) / DAY
    assert whole <= (4 if factor > 1 else 8) + (hour > 0) + 0.1
    assert told[0].start in ("2024-01-21T00:00:00Z", "2024-01-20T00:00:00Z")


@pytest.mark.parametrize("hour", [0, 9, 15])
def test_ten_times_the_use_at_other_hours_is_no_unit(hour: int) -> None:
    """Heating that comes on, or goes off, moves the hours of a day unequally; a unit moves them all alike."""
    wave = 1 + 0.1 * np.sin(np.arange(960))
    usual, heated = np.tile([0.2] * 7 + [0.5] * 17, 40) * wave, np.tile([8.6] * 8 + [1.89] * 16, 40) * wave
    assert np.isclose(heated.sum() / usual.sum(), 10, rtol=0.02)
    for before, after in ((usual, heated), (heated, usual)):
        use = before.copy()
        use[20 * 24 + hour :] = after[20 * 24 + hour :]
        assert hourly(use) == []


def test_a_day_far_off_is_learnt_a_day_later() -> None:
    """Twice the use for good: the usual use follows, and ten times that is told."""
    usual = [8.0, 8.2, 7.9, 8.1] * 5
    flags = daily(usual + [16.2] * 30 + [162.0] * 5)
    assert [(f.evidence["use_a_day_before"], (instant(f.at) - START) // DAY) for f in flags[:1]] == [
        (pytest.approx(16.2, rel=0.02), 54)
    ]


def of_an_area(jumps: Sequence[float]) -> list[str]:
    """Meters of one area that are told of, after 20 days of use and 12 days of so many times that."""
    rng = np.random.default_rng(3)
    meters, rows = [], []
    for k, times in enumerate(jumps):
        meters.append(
            Meter(meter_id=f"m{k}", commodity="gas", kind="interval", interval_s=86400, unit="m3", area="a")
        )
        use = 8.0 * rng.uniform(0.95, 1.05, 32)
        use[20:] *= times
        rows += [Row(f"m{k}", START + (i + 1) * DAY, x) for i, x in enumerate(use.tolist())]
    rows.sort(key=lambda row: (row.time, row.meter))
    flags = feed(make_bank(meters, (Intervals(), Steps())), rows).flags
    return sorted({f.meter_id for f in flags if f.status == "raised"})


def test_heating_that_comes_on_in_the_area_is_no_unit_of_one_of_them() -> None:
    season = [10.0, 1.2, 2.0, 3.0, 1.0, 5.0, 6.5, 1.8, 1.0, 4.0]
    assert of_an_area(season) == []
    assert of_an_area([10.0, *[1.0] * 9]) == ["m0"]
    assert of_an_area([10.0, *[1.0] * 8, 3.0]) == ["m0"]
    assert of_an_area(season[:8]) == ["m0"]  # too few to be asked


def test_a_new_head_end_that_sends_another_unit_is_told_of_all_meters() -> None:
    assert len(of_an_area([10.0] * 10)) == 10


def test_days_that_come_and_go_and_a_level_between_factors_are_no_unit() -> None:
    usual = [8.0, 8.2, 7.9, 8.1] * 5
    assert daily(usual + [0.8, 0.0, 0.0, 0.0] * 12) == []
    assert daily(usual + [0.8, 0.0] * 12) != []
    drifting = [8.0 * 10 ** (0.84 + 0.004 * day) for day in range(60)]
    unsteady = [8.0, 10.5, 6.2, 8.1] * 5
    assert daily(unsteady + drifting) == []


def test_it_ends_when_the_unit_is_mended_or_the_level_stays() -> None:
    usual = [8.0, 8.2, 7.9, 8.1] * 5
    assert [f.status for f in daily([*usual, *[80.0] * 8, *usual])] == ["raised", "cleared"]
    assert [f.status for f in daily([*usual, *[80.0] * 120])] == ["raised", "cleared"]
