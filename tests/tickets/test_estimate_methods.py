"""The methods side by side: last year's season, the use after a swap, and why one of them gives nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trade.estimate import (
    AFTER_SWAP,
    HISTORY_MEAN,
    LAST_YEAR,
    Period,
    after_swap,
    history_mean,
    of_history,
    same_season,
)
from streams.trade.wording import ESTIMATE

#: use a day now and a year before: medians 0.6 and 0.5, so the area uses 1.2 times as much
NEIGHBOURS = [(0.5, 0.4), (0.55, 0.5), (0.6, 0.5), (0.72, 0.6), (0.9, 0.6)]


def test_last_years_season_moves_with_the_area() -> None:
    found = same_season(Period(61, 30.5), NEIGHBOURS, 273.0, 61, "m3").estimate
    assert found is not None
    assert (found.expected, found.billed, found.excess, found.method) == (36.6, 273.0, 236.4, LAST_YEAR)
    # quartiles of 1.1, 1.2, 1.2, 1.25, 1.5 are 1.2 and 1.25
    assert (found.low, found.high) == (273 - 38.1, 236.4)
    assert set(found.assumptions) == {"days_not_months", "area_change_median", "range_of_neighbours"}


def test_a_neighbour_that_was_not_there_does_not_count() -> None:
    found = same_season(Period(61, 30.5), [*NEIGHBOURS[:4], (9.0, 0.0)], 273.0, 61, "m3").estimate
    assert found is not None
    assert (found.expected, found.low, found.high) == (30.5, None, None)
    assert "area_unchanged" in found.assumptions


def test_use_since_the_swap_stands_for_the_use_before() -> None:
    found = after_swap([Period(30, 15), Period(30, 12)], 273.0, 61, "m3").estimate
    assert found is not None
    assert (found.expected, found.excess, found.method) == (27.4, 245.6, AFTER_SWAP)  # 27 / 60 × 61 = 27.45
    assert (found.low, found.high) == (242.5, 248.6)
    one = after_swap([Period(30, 15)], 273.0, 61, "m3").estimate
    assert one is not None
    assert (one.low, one.high) == (None, None)
    assert "one_period_no_range" in one.assumptions


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (same_season(None, NEIGHBOURS, 273.0, 61, "m3"), "no_last_year"),
        (same_season(Period(0, 3), NEIGHBOURS, 273.0, 61, "m3"), "no_last_year"),
        (same_season(Period(61, 3), NEIGHBOURS, 273.0, 0, "m3"), "no_billed_period"),
        (after_swap(None, 273.0, 61, "m3"), "no_swap"),
        (after_swap([], 273.0, 61, "m3"), "too_short_after_swap"),
        (after_swap([Period(13, 7)], 273.0, 61, "m3"), "too_short_after_swap"),
        (after_swap([Period(30, 7)], float("nan"), 61, "m3"), "no_billed_period"),
        (of_history([], 273.0, 61, "m3"), "no_past_period"),
        (of_history([Period(366, 176)], 273.0, 0, "m3"), "no_billed_period"),
    ],
)
def test_what_cannot_be_given_says_why(found: object, code: str) -> None:
    assert (getattr(found, "estimate"), getattr(found, "why_not")) == (None, code)  # noqa: B009
    assert all(ESTIMATE[code])


def test_a_stuck_meter_is_billed_too_little() -> None:
    found = of_history([Period(366, 176)], 0.0, 61, "m3").estimate
    assert found is not None
    assert (found.expected, found.billed, found.excess) == (29.333, 0.0, -29.333)


def test_every_method_has_words() -> None:
    for code in (HISTORY_MEAN, LAST_YEAR, AFTER_SWAP):
        assert all(ESTIMATE[code])


days = st.floats(1, 400)
use = st.floats(0.1, 5000)


@given(st.lists(st.tuples(days, use), min_size=1, max_size=6), use, days, st.sampled_from(NEIGHBOURS))
def test_litres_give_what_cubic_metres_give(
    past: list[tuple[float, float]], billed: float, length: float, pair: tuple[float, float]
) -> None:
    metres = [Period(d, a) for d, a in past]
    litres = [Period(d, a * 1000) for d, a in past]
    neighbours = [pair, *NEIGHBOURS]
    both = (
        (history_mean(metres, billed, length, "m3"), history_mean(litres, billed * 1000, length, "L")),
        (
            same_season(metres[0], neighbours, billed, length, "m3").estimate,
            same_season(
                litres[0], [(a * 1000, b * 1000) for a, b in neighbours], billed * 1000, length, "L"
            ).estimate,
        ),
        (
            after_swap([Period(14, 5), *metres], billed, length, "m3").estimate,
            after_swap([Period(14, 5000), *litres], billed * 1000, length, "L").estimate,
        ),
    )
    for one, other in both:
        assert one is not None
        assert other is not None
        for name in ("expected", "billed", "excess", "low", "high"):
            here, there = getattr(one, name), getattr(other, name)
            assert (here is None) == (there is None)
            if here is not None:
                # what differs is the rounding: each unit is rounded as it stands on paper
                assert here == pytest.approx(there / 1000, abs=0.11, rel=1e-9)


@given(st.lists(st.tuples(use, use), min_size=5, max_size=9), use, days)
def test_the_range_holds_the_estimate(
    neighbours: list[tuple[float, float]], amount: float, length: float
) -> None:
    found = same_season(Period(length, amount), neighbours, 100.0, length, "m3").estimate
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low - 0.11 <= found.excess <= found.high + 0.11
