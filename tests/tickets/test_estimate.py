"""The credit estimate: the golden case to the decimal, and no figure where none can be given."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trade.estimate import DETECTOR, HISTORY_MEAN, Period, better, history_mean, of_flag
from tests.tickets.tools import GOLDEN_EVIDENCE, flag, golden

READS = """meter_id,time,value
wei,2011-04-10T00:00:00Z,0
wei,2012-04-10T00:00:00Z,176
wei,2012-06-10T00:00:00Z,449
"""


def test_the_golden_case() -> None:
    found = of_flag(golden())
    assert found is not None
    assert (found.expected, found.billed, found.excess, found.unit) == (29.3, 273.0, 243.7, "m3")
    assert found.method == HISTORY_MEAN
    assert (found.low, found.high, found.money) == (None, None, None)
    assert "one_period_no_range" in found.assumptions


def test_the_golden_case_from_its_three_reads(tmp_path: Path) -> None:
    place = tmp_path / "two_reads.csv"
    place.write_text(READS)
    with place.open() as file:
        reads = [(datetime.fromisoformat(row["time"]), float(row["value"])) for row in csv.DictReader(file)]
    (first, a), (second, b), (third, c) = reads
    found = history_mean([Period((second - first).days, b - a)], c - b, (third - second).days, "m3")
    assert found is not None
    assert found.expected == pytest.approx(176 / 12 * 2, abs=0.05)  # as counted on paper, by months
    assert found.excess == pytest.approx(449 - 176 - 2 * 176 / 12, abs=0.05)


def test_a_range_comes_from_the_spread_of_past_periods() -> None:
    past = [Period(30, 12), Period(31, 18.6), Period(28, 14)]  # 0.4, 0.6 and 0.5 a day
    found = history_mean(past, 60.0, 30, "m3")
    assert found is not None
    assert found.expected == pytest.approx(44.6 / 89 * 30, abs=0.05)
    assert (found.low, found.high) == (42.0, 48.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.excess <= found.high


def test_small_amounts_keep_three_decimals() -> None:
    found = history_mean([Period(10, 0.5)], 1.2345, 3, "m3")
    assert found is not None
    assert (found.expected, found.billed, found.excess) == (0.15, 1.234, 1.084)


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"billed_amount": 273.0, "billed_days": 61.0},
        {"billed_amount": 273.0, "billed_days": 0.0, "periods": GOLDEN_EVIDENCE["periods"]},
        {"billed_amount": 273.0, "billed_days": 61.0, "periods": [{"days": 0.0, "amount": 3.0}]},
        {"billed_amount": "much", "billed_days": 61.0, "periods": GOLDEN_EVIDENCE["periods"]},
        {"billed_amount": 273.0, "billed_days": 61.0, "periods": "none"},
        {"billed_amount": True, "billed_days": 61.0, "periods": [None, {"days": 3}]},
    ],
)
def test_no_history_no_estimate(evidence: dict[str, object]) -> None:
    assert of_flag(flag("spike", evidence=evidence)) is None


def test_high_use_without_periods_has_what_its_detector_expected() -> None:
    found = of_flag(flag(observed=40.0, expected=10.0))
    assert found is not None
    assert (found.expected, found.excess, found.method) == (10.0, 30.0, DETECTOR)
    assert of_flag(flag(observed=40.0, expected=10.0, unit="m3/h")) is None
    assert of_flag(flag(observed=40.0, expected=10.0, evidence={"seen_as": "spike"})) is None
    assert of_flag(flag("spike", observed=40.0, expected=10.0)) is None


def test_a_detectors_figure_never_replaces_the_historys() -> None:
    history, detector = of_flag(golden()), of_flag(flag(observed=40.0, expected=10.0))
    assert better(detector, history) is history
    assert better(history, detector) is history
    assert better(None, history) is history
    assert better(detector, None) is detector


finite = st.floats(0, 1e9)


@given(
    st.lists(st.tuples(st.floats(0.01, 1000), finite), min_size=1, max_size=8), finite, st.floats(0.01, 1000)
)
def test_the_figures_on_paper_add_up(past: list[tuple[float, float]], billed: float, days: float) -> None:
    found = history_mean([Period(*period) for period in past], billed, days, "m3")
    assert found is not None
    assert found.expected + found.excess == pytest.approx(found.billed, abs=1e-3, rel=1e-9)
    if len(past) > 1:
        assert found.low is not None
        assert found.high is not None
        slack = 0.2 + 1e-9 * max(abs(found.low), abs(found.high))
        assert found.low - slack <= found.excess <= found.high + slack
