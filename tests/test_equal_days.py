"""Meters read daily whose every day shows the same amount."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import HighLow, Intervals
from streams.messages import Flag
from streams.registry import Meter
from tests.streams_of_readings import DAY, HOUR, Row, Stream, examples, feed, make_bank
from tests.test_daily_meters import START, flags_of, home, told
from tests.twins import assert_same, high_low


def standing(first: int = 60, last: int = 80, amount: float = 0.37, days: int = 100) -> NDArray[np.float64]:
    """A home whose meter tells the same amount for some days."""
    amounts = home(days)
    amounts[first:last] = amount
    return amounts


@st.composite
def streets(draw: st.DrawFn) -> Stream:
    """Meters of coarse and fine registers, which stand now and then; days missing, held back, guessed at."""
    meters, rows = [], []
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    for number in range(3):
        digits = draw(st.sampled_from((0, 1, 3, 9)))
        kind = draw(st.sampled_from(("interval", "register")))
        hour = draw(st.sampled_from((0, 7)))
        amounts = rng.lognormal(1, 0.3, 100).round(digits)
        for _ in range(draw(st.integers(1, 3))):
            first = int(rng.integers(30, 95))
            amounts[first : first + int(rng.integers(3, 25))] = rng.choice([0.6, 2.0, 3.0, 9.0])
        values = amounts if kind == "interval" else 100 + np.cumsum(amounts)
        missing = rng.random(100) < draw(st.sampled_from((0.0, 0.03)))
        guessed = rng.random(100) < draw(st.sampled_from((0.0, 0.03)))
        name = f"m{number}"
        meters.append(
            Meter(meter_id=name, commodity="water", unit="m3", kind=kind, interval_s=86400.0, area=name)
        )
        rows += [
            Row(name, START + n * DAY + hour * HOUR, float(x), marks=4 if guessed[n] else 0)
            for n, x in enumerate(values)
            if not missing[n]
        ]
    return Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))


@examples(60)
@given(streets())
def test_days_are_those_of_the_obvious_twin(stream: Stream) -> None:
    flags = feed(make_bank(stream.meters, (Intervals(), HighLow())), stream.rows).flags
    assert_same([f for f in flags if f.evidence["detector"] == "high_low"], high_low(stream))


def low(flags: Sequence[Flag]) -> list[tuple[str, str]]:
    return told([flag for flag in flags if flag.family == "usage_low"])


@pytest.mark.parametrize("register", [False, True])
def test_a_week_of_the_same_amount_is_stuck_and_clears_when_it_moves(register: bool) -> None:
    amounts = standing()
    flags = flags_of(100 + np.cumsum(amounts) if register else amounts, register=register)
    assert told(flags) == [("stuck", "raised"), ("stuck", "cleared")]
    # Seven days from the last of February on; the reading after the one that ends the last of them closes it.
    assert flags[0].start == "2024-02-29T00:00:00Z"
    assert flags[0].at == "2024-03-08T00:00:00Z"
    assert "2024-03-20" <= flags[1].at <= "2024-03-23"
    assert "new_habit" not in flags[1].evidence


def test_six_days_are_not_and_neither_is_little() -> None:
    assert flags_of(standing(60, 66)) == []
    assert ("stuck", "raised") not in told(flags_of(standing(amount=0.04)))


def test_a_register_of_whole_steps_is_not() -> None:
    amounts = np.round(home(100) * 10) / 10  # three, four or five steps a day
    amounts[60:70] = 0.4
    assert flags_of(amounts) == []


def test_a_meter_that_has_stood_like_that_is_not() -> None:
    amounts = standing(60, 68)
    amounts[45:49] = 0.41
    assert low(flags_of(amounts)) == []
    amounts = standing(60, 73)
    amounts[45:49] = 0.41
    assert low(flags_of(amounts)) == [("stuck", "raised"), ("stuck", "cleared")]


def test_a_hole_whose_amount_is_spread_over_its_days_is_not() -> None:
    reads = 100 + np.cumsum(home(100))
    meter = Meter(
        meter_id="home", commodity="water", unit="m3", kind="register", interval_s=86400.0, meter_class="residential"
    )  # fmt: skip
    rows = [Row("home", START + n * DAY, float(x)) for n, x in enumerate(reads) if not 60 <= n < 72]
    flags = feed(make_bank([meter]), rows).flags
    assert low(flags) == []


def test_estimates_and_empty_homes_are_not() -> None:
    assert low(flags_of(standing(), guesses=range(60, 80))) == []
    for contract in ("vacant", "terminated"):
        assert ("stuck", "raised") not in told(flags_of(standing(), contract=contract))
