"""Bars: what stays below one, and how verdicts move them."""

from __future__ import annotations

import pytest

from connectors.store import Store
from streams.bars import NO_END_NS, below, held
from streams.states import Category, Urgency
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
