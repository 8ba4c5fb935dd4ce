"""Use that falls far below all of the weeks before, whatever the trees say."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.daybook import DAYS as KEPT
from detectors.daybook import FIGURES, UNKNOWN, ZEROS, keep
from detectors.gross_fall import fall_of
from detectors.habit import HABIT
from streams.messages import Flag
from tests.habit_tools import mute
from tests.naive.gross_fall import fall
from tests.naive.habit import half_number
from tests.streams_of_readings import DAY, Stream, examples
from tests.test_habit_days import BEGIN, days_of, flat, home, household, judged, raised

NAN = float("nan")


def found(days: Sequence[float], rests: Sequence[float], area: float, floor: float) -> float:
    """What the kernel says of days of such mean uses and shares of hours at rest."""
    habit, book = np.zeros(1, HABIT), np.full((1, KEPT * FIGURES), UNKNOWN)
    real = np.zeros(1, np.float32)
    bits = real.view(np.uint32)
    habit["known"] = 1000
    for d, (use, rest) in enumerate(zip(days, rests, strict=True)):
        figures = np.full(FIGURES, use)
        figures[ZEROS] = rest
        keep(book, 0, 1000 + d, figures, real, bits)
    told: float = fall_of(book, habit[0], 0, 1000 + len(days) - 1, area, floor, np.empty(KEPT), real, bits)
    return told


@st.composite
def weeks(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Days of use, some not known, that fall at the end and may have fallen before; and their rest."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    days = rng.uniform(2, 4, draw(st.integers(20, 60)))
    for _ in range(draw(st.integers(0, 2))):
        first = int(rng.integers(0, len(days)))
        days[first : first + int(rng.integers(1, 20))] *= rng.choice([0.0, 0.01, 0.2, 0.5])
    days[len(days) - draw(st.integers(0, 20)) :] *= draw(st.sampled_from([0.0, 0.02, 0.1, 0.3]))
    rests = rng.integers(0, 1 + draw(st.integers(0, 2)), len(days)) / 4
    unknown = rng.random(len(days)) < draw(st.sampled_from([0.0, 0.05]))
    days[unknown] = rests[unknown] = NAN
    return [half_number(float(np.float32(x))) for x in days], rests.tolist()


@examples(300)
@given(weeks(), st.sampled_from([0.0, 0.5, -0.5, -2.0]), st.sampled_from([0.0, 10.0]))
def test_falls_are_those_of_the_obvious_twin(
    weeks: tuple[list[float], list[float]], area: float, floor: float
) -> None:
    assert found(*weeks, area, floor) == pytest.approx(fall(*weeks, area, floor), abs=1e-6)


def test_three_days_of_a_tenth_are_found() -> None:
    assert found([2.0] * 40 + [0.2] * 3, [0.0] * 43, 0.0, 0.0) == pytest.approx(np.log(10 / 3), rel=0.01)
    assert found([2.0] * 40 + [0.2] * 3, [0.0] * 42 + [0.1], 0.0, 0.0) == -np.inf  # it rests as it never did


def fallen(share: float, first: int = 48, last: int = 60) -> list[Flag]:
    """What is told of a flat whose meter counts so much of the use of some days, without a tree."""
    use = flat()
    use[first:last] *= share
    return judged(household(use, "electricity", "kW.h"), heads=mute(), margin=0.0)


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05, 0.1])
def test_a_fall_below_a_third_of_the_lowest_day_is_told_after_three_days(share: float) -> None:
    flags = fallen(share)
    assert raised(flags) == ["low_usage"]
    assert days_of(flags, "low_usage", "raised") == [pytest.approx(51, abs=1 / 24 + 1e-9)]
    assert 60 < days_of(flags, "low_usage", "cleared")[0] <= 63
    assert flags[0].evidence["weight"] > flags[0].evidence["threshold"]


def test_nothing_at_all_is_left_to_the_head_that_knows_of_rest() -> None:
    assert fallen(0.0) == []


def test_two_days_away_and_a_little_less_are_no_fall() -> None:
    assert fallen(0.03, 48, 50) == []
    assert fallen(0.6) == []


def test_a_meter_that_has_rested_like_that_is_not_told_of() -> None:
    use = flat()
    use[30:32] *= 0.02
    use[48:60] *= 0.03
    assert judged(household(use, "electricity", "kW.h"), heads=mute()) == []


def test_what_is_not_worth_a_day_is_no_fall() -> None:
    use: NDArray[np.float64] = home() / 20
    use[48:60] *= 0.03
    assert judged(household(use), heads=mute()) == []


@pytest.mark.parametrize(("together", "told"), [(20, 0), (1, 1)])
def test_where_the_neighbours_fall_too_it_is_the_supply(together: int, told: int) -> None:
    meters, rows = [], []
    for k in range(20):
        use = flat(k)[:56].copy()
        use[48:] *= 0.05 if k < together else 1
        one = household(use, "electricity", "kW.h")
        meters.append(msgspec.structs.replace(one.meters[0], meter_id=f"m{k}"))
        rows += [row.but(meter=f"m{k}") for row in one.rows]
    stream = Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))
    assert len(raised(judged(stream, heads=mute()))) == told
    assert stream.rows[-1].time <= BEGIN + 56 * DAY
