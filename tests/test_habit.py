"""Days against their habit: the features by the obvious twin, the weights by a walk through the trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Habit, Intervals
from detectors.daybook import DAYS as KEPT
from detectors.daybook import MEAN
from detectors.features import NAMES
from detectors.heads import weigh
from streams.programs import compose
from streams.registry import Meter
from tests.books import book_of
from tests.habit_tools import mute, obvious, obvious_all, trees, watch, watch_all
from tests.naive.habit import leaf
from tests.streams_of_readings import (
    DAY,
    HOUR,
    NS,
    ZONES,
    Row,
    Stream,
    _series,
    accidents,
    examples,
    feed,
    instant,
    make_bank,
)


@st.composite
def districts(draw: st.DrawFn) -> Stream:
    """An area large enough to be compared with, a small one of its class, and one shop; with accidents."""
    start = instant(draw(st.sampled_from(("2023-02-20", "2023-09-20"))))
    days = draw(st.integers(45, 70))
    zone = draw(st.sampled_from(ZONES))
    meters, rows = [], []
    for number in range(draw(st.integers(13, 15))):
        spacing = draw(st.sampled_from((HOUR, HOUR, HOUR // 2)))
        meter = Meter(
            meter_id=f"m{number}",
            commodity="water",
            unit="m3",
            kind=draw(st.sampled_from(("register", "interval"))),
            interval_s=draw(st.sampled_from((None, spacing / NS))),
            area="large" if number < 10 else "small",
            meter_class="shop" if number == 12 else "home",
            tz=zone,
        )
        meters.append(meter)
        seed = draw(st.integers(0, 10_000))
        # A first reading that is corrected and then guessed at is a matter of validation, not of habits.
        mishaps = [one for one in draw(accidents()) if one[0] > 0.01]
        rows += _series(meter, start, spacing, days * DAY // spacing, seed, mishaps)
    rows.sort(key=lambda row: row.received)
    return Stream(meters, rows)


@examples(3)
@given(districts())
def test_features_are_those_of_the_obvious_twin(stream: Stream) -> None:
    ours, _ = watch(stream)
    twins = obvious(stream)
    assert ours.keys() == twins.keys()
    assert len(ours) > 400
    for day, row in ours.items():
        twin = np.array([twins[day][name] for name in NAMES])
        assert twins[day].keys() == set(NAMES)
        off = ~np.isclose(row, twin, rtol=2e-2, atol=2e-2, equal_nan=True)
        assert not off.any(), (day, [(NAMES[i], row[i], twin[i]) for i in np.flatnonzero(off)])


@examples(3)
@given(districts())
def test_what_is_seen_at_a_mark_is_what_the_obvious_twin_sees(stream: Stream) -> None:
    """Heads that weigh 0, so near to which everybody comes, every day."""
    _, ours, flags = watch_all(stream, mute(), suspect=50.0)
    _, twins = obvious_all(stream)
    assert {f.kind for f in flags} <= {"spike"}  # gross hours and days, of which no head is asked
    assert ours.keys() <= twins.keys()
    assert len(ours) > max(800, 0.95 * len(twins))
    for mark, row in ours.items():
        twin = np.array([twins[mark][name] for name in NAMES])
        off = ~np.isclose(row, twin, rtol=2e-2, atol=2e-2, equal_nan=True)
        assert not off.any(), (mark, [(NAMES[i], row[i], twin[i]) for i in np.flatnonzero(off)])


def test_the_hour_that_comes_twice_loses_nothing() -> None:
    """Half hours through the end of summer time: the clock shows 2:30, then 2:00 once more."""
    meter = Meter(
        meter_id="m", commodity="water", unit="m3", kind="interval", interval_s=1800.0, tz="Europe/Madrid"
    )
    begin, last = instant("2023-10-25"), instant("2023-10-29")
    bank = make_bank([meter], (Intervals(), Habit()))
    feed(bank, [Row("m", begin + i * HOUR // 2, 1.0) for i in range(6 * 48)])
    mean = book_of(bank.state.of("habit", "book"))[0, last // DAY % KEPT, MEAN]
    assert mean * 24 == pytest.approx(50, rel=4e-3)  # half a number; less one reading it were 49


@examples(20)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.sampled_from([-np.inf, -3.0, 0.0, 3.0]))
def test_a_weight_is_the_sum_of_the_leaves(seed: int, unknown: float, enough: float) -> None:
    """Rows drawn around the cuts of all trees, some numbers not known; −inf for what is not enough."""
    heads, told = compose.heads(), trees()
    rng = np.random.default_rng(seed)
    row = np.full(len(NAMES), np.nan, np.float32)
    for i in range(len(NAMES)):
        cuts = heads.cut[heads.feature == i]
        if len(cuts) and rng.random() >= unknown:
            row[i] = rng.choice(cuts) + rng.choice([0.0, 1e-3, -1e-3, 10.0, -10.0])  # on a cut is left of it
    numbers = dict(enumerate(row.tolist()))
    for h, head in enumerate(told["heads"]):
        weight = weigh(
            row, heads.first[h], heads.first[h + 1], heads.root, heads.depth, heads.node, heads.leaf, heads.rest,
            enough,
        )  # fmt: skip
        whole = sum(leaf(tree, numbers) for tree in head["trees"])
        assert weight == pytest.approx(whole, abs=1e-4) or (weight == -np.inf and whole < enough)
