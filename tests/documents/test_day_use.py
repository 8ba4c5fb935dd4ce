"""Use between reads, by the day: what a chart and a pack tell of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.messages import NS, Kind, Quality
from streams.papers.day_use import DAY, even_edges, rates, stretches, usual_range
from streams.papers.exhibits import Window
from tests.documents.pack_tools import trace
from tests.web_tools import ns


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=60),
    st.integers(1, 40),
    st.sampled_from([Kind.REGISTER, Kind.INTERVAL]),
)
def test_the_use_of_all_buckets_is_the_use_of_all_stretches(
    amounts: list[float], hours: int, kind: Kind
) -> None:
    start, step = ns("2026-01-01"), hours * 3600 * NS
    values = np.cumsum(amounts) if kind is Kind.REGISTER else np.array(amounts)
    found = stretches(trace("m", [(start + n * step, v) for n, v in enumerate(values.tolist())], kind))
    edges = list(range(int(found.begin[0]), int(found.end[-1]) + DAY, DAY))
    edges[-1] = int(found.end[-1])
    if len(edges) < 2 or edges[-1] <= edges[-2]:
        return
    used = sum(
        rate * (b - a) / DAY
        for rate, a, b in zip(rates(found, edges).tolist(), edges, edges[1:], strict=False)
    )
    assert used == pytest.approx(float(found.amount.sum()), rel=1e-6, abs=1e-6)


def test_a_fall_of_the_register_and_a_hole_give_no_invented_use() -> None:
    start = ns("2026-01-01")
    swapped = trace("m", [(start + n * DAY, v) for n, v in enumerate((100.0, 101.0, 5.0, 6.0))])
    edges = [start + n * DAY for n in range(4)]
    assert rates(stretches(swapped), edges)[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(rates(stretches(swapped), edges)[1])
    holed = trace("m", [(start + n * DAY, 2.0) for n in (1, 2, 3, 9, 10)], Kind.INTERVAL)
    found = rates(stretches(holed), [start + n * DAY for n in range(11)])
    assert found[[0, 1, 2, 8, 9]].tolist() == [2.0] * 5
    assert np.isnan(found[3:8]).all()
    bad = trace("m", [(start, 0.0), (start + DAY, 1e9), (start + 2 * DAY, 4.0)])
    bad.quality[1] = int(Quality.BAD)
    assert rates(stretches(bad), edges[:3]).tolist() == [2.0, 2.0]


def test_buckets_begin_at_the_flagged_day_and_at_local_midnights() -> None:
    window = Window(ns("2012-03-01"), ns("2012-04-20"), (ns("2012-04-10T16:00:00"), ns("2012-04-15")))
    edges = even_edges(window, "Asia/Shanghai", 7)
    assert ns("2012-04-10T16:00:00") in edges  # midnight of the 11th there
    assert window.start_ns <= edges[0] < window.start_ns + 7 * DAY
    assert edges[-1] >= window.end_ns


def test_what_was_usual_needs_more_than_one_figure() -> None:
    assert usual_range(np.array([1.0])) is None
    assert usual_range(np.array([1.0, np.nan, 3.0])) == (1.0, 3.0)
    many = usual_range(np.arange(101.0))
    assert many == pytest.approx((5.0, 95.0))
