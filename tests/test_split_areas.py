"""Areas that do not move as one: which meters have moved together, and whether what is left is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.cohort import MIDDLE, PEERS, held_against, parts_of
from tests.streams_of_readings import examples
from tests.weather import district, judged, two_dates, when

ONE = np.zeros(200, np.int64)


def parts(course: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Parts of rows that are all of one group, or of several."""
    key = ONE[: len(course)] if groups is None else groups
    found: NDArray[np.uint8] = parts_of(
        course.astype(np.float32), np.argsort(key, kind="mergesort"), key, PEERS
    )
    return found


def halves(seed: int, each: int = 20, size: float = -1.5) -> NDArray[np.float64]:
    """Courses (2 · each, 6): the latter half has fallen by ``size`` [ln] ten days ago."""
    course = np.random.default_rng(seed).normal(0, 0.15, (2 * each, 6))
    course[each:, :4] += size
    return course


@examples(40)
@given(st.integers(0, 10_000), st.integers(9, 60))
def test_two_halves_are_told_apart_whatever_their_order(seed: int, each: int) -> None:
    course = halves(seed, each)
    found = parts(course)
    assert set(found[:each]) == {2}
    assert set(found[each:]) == {1}
    order = np.random.default_rng(seed).permutation(2 * each)
    assert (parts(course[order]) == found[order]).all()


@examples(40)
@given(st.integers(0, 10_000), st.integers(2, 150), st.floats(0.05, 1.5))
def test_one_hump_is_not_cut_in_two(seed: int, count: int, spread: float) -> None:
    """An area that moves as one, each meter by its own: wide or narrow, it is a whole."""
    rng = np.random.default_rng(seed)
    course = rng.normal(rng.normal(), spread, (count, 1)) + rng.normal(0, 0.1, (count, 6))
    assert count < 40 or not parts(course).any()
    assert count >= 2 * (PEERS + 1) or not parts(course).any()


def test_few_that_have_fallen_are_no_part() -> None:
    """Less than a quarter: these are the ones to be told of."""
    course = halves(1)
    course[20:31, :4] += 1.5  # nine of forty have fallen
    assert not parts(course).any()


def test_who_has_fallen_at_another_time_is_with_those_that_have_not() -> None:
    """As far as a half that moved ten days ago, but only since yesterday: the days between tell."""
    course = halves(3)
    course[7, 0] = -1.5
    assert parts(course)[7] == parts(course)[0] == 2


def test_what_is_not_known_of_a_meter_does_not_move_it() -> None:
    course = halves(4)
    course[3, :2] = course[30, 2:] = np.nan
    found = parts(course)
    assert (found[3], found[30]) == (2, 1)


def test_each_area_is_parted_by_itself() -> None:
    """Of areas in one partition the one that has split is told in parts, the others as they were."""
    rng = np.random.default_rng(5)
    course = np.concatenate([rng.normal(0, 0.15, (30, 6)), halves(5), rng.normal(-1.5, 0.15, (30, 6))])
    found = parts(course, np.repeat([0, 1, 2], [30, 40, 30]))
    assert not found[:30].any()
    assert not found[70:].any()
    assert sorted(set(found[30:70])) == [1, 2]


@examples(20)
@given(st.integers(0, 10_000))
def test_a_part_is_held_against_its_middle_half_and_a_whole_against_its_median(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (60, 3)).astype(np.float32)
    part = np.repeat(np.array([0, 1, 2], np.uint8), 20)
    key = part.astype(np.int64)
    told = held_against(values, np.argsort(key, kind="mergesort"), key, ONE[:60], part)
    assert told[:20] == pytest.approx(np.tile(np.median(values[:20], axis=0), (20, 1)), abs=1e-6)
    for own in (slice(20, 40), slice(40, 60)):
        low, high = np.quantile(values[own], [0.5 - MIDDLE / 2, 0.5 + MIDDLE / 2], axis=0)
        assert told[own] == pytest.approx(np.clip(values[own], low, high), abs=1e-5)


def test_heating_that_goes_off_on_two_dates_is_no_fault_and_a_theft_between_them_is() -> None:
    """Forty houses, half on day 60, half on day 81; one of the latter uses two fifths from day 70 on."""
    uses = two_dates(40, 110, 60, 81, seed=1)
    uses[5][70:] *= 0.4
    flags = [f for f in judged(district(uses)) if f.status == "raised"]
    stolen = [f for f in flags if f.meter_id == "g5" and f.kind == "low_usage"]
    assert stolen
    assert 70 < when(stolen[0]) < 81
    assert [f for f in flags if f.meter_id != "g5"] == []  # with one median for all of them: 37 flags
