"""Bars: what stays below one, and how verdicts move them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.store import Store
from streams.trade.bars import NO_END_NS, Policy, below, held, suggest
from streams.trade.judged import wilson
from streams.trade.states import Category, Urgency
from tests.tickets.tools import NOON, flag


def test_a_flag_below_the_bar_of_its_kind_waits() -> None:
    bars = {"spike": 1.3}
    assert below(bars, flag("spike", score=1.29))
    assert not below(bars, flag("spike", score=1.3))
    assert not below(bars, flag("high_usage", score=1.0))


@pytest.mark.parametrize("kind", ["leak", "continuous_flow", "night_flow", "tamper", "use_on_closed_valve"])
def test_safety_knows_no_bar(kind: str) -> None:
    assert not below({kind: 2.0}, flag(kind, score=1.0))


def test_where_a_flag_goes_counts_as_well_as_its_family() -> None:
    one = flag("pressure_low", score=1.0)
    bars = {"pressure_low": 2.0}
    assert below(bars, one, Category.SUPPLY_QUALITY)
    assert not below(bars, one, Category.SAFETY)
    assert not below(bars, one, Category.SUPPLY_QUALITY, Urgency.EMERGENCY)


def test_a_drill_and_forestall_itself_pass() -> None:
    assert not below({"spike": 2.0}, flag("spike", score=1.0, evidence={"drill": True}))
    assert not below({"process_silent": 2.0}, flag("process_silent", family="operations", score=0.0))


def test_what_is_held_waits_for_no_instant() -> None:
    one = held(flag("spike", score=1.1), NOON)
    assert (one.mute_id, one.why, one.until_ns, one.since_ns) == ("", "below the bar", NO_END_NS, NOON)


def test_a_new_store_has_no_bars(store: Store) -> None:
    assert store.bars() == {}


# -- verdicts move bars ------------------------------------------------------------------------

POLICY = Policy(target=0.5, least=20)


def naive(words: list[tuple[float, bool]], policy: Policy) -> float | None:
    """The lowest bar at which the lower bound reaches the target, by trying them all."""
    for tenth in range(10, 21):
        of = good = 0
        for score, right in words:
            if score >= tenth / 10:
                of += 1
                good += right
        if of >= policy.least and wilson(good, of)[0] >= policy.target:
            return tenth / 10
    return None


WORDS = st.lists(st.tuples(st.floats(1.0, 3.0), st.booleans()), max_size=120)


@given(WORDS, st.integers(10, 20), st.floats(0.2, 0.8), st.integers(1, 40))
def test_a_bar_moves_one_step_towards_what_the_words_want(
    words: list[tuple[float, bool]], tenth: int, target: float, least: int
) -> None:
    policy = Policy(target=target, least=least)
    wanted = naive(words, policy)
    bar = tenth / 10
    found = suggest("spike", "usage_high", words, bar, policy)
    passing = [right for score, right in words if score >= bar]
    short = wilson(sum(passing), len(passing))[0] < target - policy.slack
    if wanted is not None and wanted > bar and short:
        assert found is not None
        assert (found.bar, found.why) == (round(bar + 0.1, 1), "below_target")
    elif found is not None:
        assert found.bar == round(bar - 0.1, 1) >= 1.0
        if found.why == "above_target":
            lower = [right for score, right in words if score >= found.bar]
            assert wilson(sum(lower), len(lower))[0] >= target + policy.slack
    for family in ("leak", "tamper", "operations"):
        assert suggest("x", family, words, bar, policy) is None


@given(WORDS, st.integers(10, 20))
def test_runs_on_the_same_words_come_to_rest(words: list[tuple[float, bool]], tenth: int) -> None:
    bar, way = tenth / 10, []
    while (found := suggest("spike", "usage_high", words, bar, POLICY)) is not None:
        assert abs(found.bar - bar) == pytest.approx(0.1)
        assert 1.0 <= found.bar <= 2.0
        bar = found.bar
        way.append(found.bar)
        assert len(way) <= 10  # in one direction only


def test_bad_words_raise_the_bar_to_where_the_good_ones_begin_and_their_age_lowers_it() -> None:
    words = [(1.05, False)] * 40 + [(1.35, True)] * 30
    bar = 1.0
    for expected in (1.1, 1.1, 1.1):
        found = suggest("spike", "usage_high", words, bar, POLICY)
        if found is None:
            break
        assert (found.bar, found.why) == (expected, "below_target")
        bar = found.bar
    assert bar == 1.1  # nothing lies between 1.1 and the good ones: no higher than it must be
    assert found is None
    assert suggest("spike", "usage_high", words[40:], bar, POLICY) is not None
    aged = suggest("spike", "usage_high", [], 1.4, POLICY)
    assert aged is not None
    assert (aged.bar, aged.why) == (1.3, "evidence_aged")


def test_too_few_words_or_no_bar_that_would_do_move_nothing() -> None:
    assert suggest("spike", "usage_high", [(1.0, False)] * 19, 1.0, POLICY) is None
    assert suggest("spike", "usage_high", [(1.5, False)] * 400, 1.0, POLICY) is None


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected target and slack as shares"):
        Policy(target=1.2)
