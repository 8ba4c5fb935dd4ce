"""Every detector against its obvious twin in ``tests.naive``, on streams with everything that goes wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import HighLow, Intervals, Spike
from detectors.batch import REPLACED, SENTINEL, SWAPPED, TRUE_UP
from streams.registry import Meter
from tests.naive.spike import spikes
from tests.streams_of_readings import (
    DAY,
    HOUR,
    ZONES,
    Row,
    Stream,
    examples,
    feed,
    instant,
    make_bank,
    streams,
)
from tests.twins import Tap, assert_same, high_low, named, of_each_meter, run, validated

ANY_SPACING = (HOUR // 4, HOUR, 6 * HOUR, DAY, 31 * DAY)


@examples(25)
@given(
    streams(
        days=40,
        kinds=("register", "interval", "gauge"),
        spacings=ANY_SPACING,
        most_rows=600,
        directions=("", "import", "export", "both"),
    )
)
def test_each_reading_is_what_the_obvious_loop_says(stream: Stream) -> None:
    tap = Tap()
    bank = make_bank(stream.meters, (Intervals(), tap))
    flags = feed(bank, stream.rows).flags
    taken, checks = validated(stream)
    for ours, twin in zip(tap.rows, taken, strict=True):
        assert ours[:2] == (twin.reading.time, twin.status)
        assert ours[2] == pytest.approx(twin.usage, nan_ok=True, abs=1e-9), twin
        assert ours[4:7] == (twin.usual, twin.live, twin.since), twin
        assert ours[7] == pytest.approx(twin.back, abs=1e-9), twin
        noted = TRUE_UP * twin.true_up + SENTINEL * twin.sentinel + SWAPPED * twin.swapped
        assert ours[8] == noted + REPLACED * twin.replaced, twin
        if not math.isnan(twin.usage):
            assert ours[3] == twin.span, twin
    assert_same(flags, [line for name, check in checks.items() for line in named(check.lines, name)])
    for name, check in checks.items():
        pulse = bank.state.of("intervals", "pulse")[bank.slots[name]]
        assert float(pulse["usage"]) == pytest.approx(check.total, abs=1e-9)
        assert int(pulse["count"]) == check.count
        assert int(pulse["negative"]) == check.negative


@examples(25)
@given(streams(spacings=(HOUR, 2 * HOUR, 6 * HOUR, DAY)))
def test_spikes_are_those_of_the_obvious_loop(stream: Stream) -> None:
    assert_same(
        (f for f in run(stream, Spike()) if f.kind == "spike"), of_each_meter(stream, spikes, "floor")
    )


@examples(25)
@given(streams(days=75, spacings=(6 * HOUR, 7 * HOUR, DAY, 3 * DAY)))
def test_days_are_judged_as_the_obvious_loop_judges_them(stream: Stream) -> None:
    flags = [f for f in run(stream, HighLow()) if f.family in ("usage_high", "usage_low")]
    assert_same(flags, high_low(stream))


@examples(25)
@given(streams(days=900, spacings=(25 * DAY, 30 * DAY, 31 * DAY, 61 * DAY), zones=("", "Europe/Madrid")))
def test_periods_are_judged_as_the_obvious_loop_judges_them(stream: Stream) -> None:
    flags = [f for f in run(stream, HighLow()) if f.family in ("usage_high", "usage_low")]
    assert_same(flags, high_low(stream))


@st.composite
def areas(draw: st.DrawFn) -> Stream:
    """Two areas, one large enough to be compared with, whose days rise and fall together."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    start, days = instant("2024-01-01"), 60
    sizes_of = {"large": draw(st.integers(8, 12)), "small": 3}
    zone = draw(st.sampled_from(ZONES))
    meters, rows = [], []
    weather = {area: rng.choice([1.0, 3.0, 0.3], days, p=[0.9, 0.05, 0.05]) for area in sizes_of}
    for area in sizes_of:
        from_day = int(rng.integers(36, days))
        weather[area][from_day:] *= rng.choice([2.6, 0.3, 1.0])
    for area, count in sizes_of.items():
        for number in range(count):
            name = f"{area}{number}"
            meters.append(
                Meter(meter_id=name, kind="interval", unit="m3", commodity="gas", area=area, tz=zone,
                      meter_class="shop" if number == 7 else "home")
            )  # fmt: skip
            own = np.ones(days)
            if rng.random() < 0.3:
                own[int(rng.integers(36, days)) :] = rng.choice([4.0, 0.15])
            use = rng.uniform(5, 9) * rng.uniform(0.8, 1.2, days) * weather[area] * own
            rows += [
                Row(name, start + (d + 1) * DAY, round(float(use[d]) * 64) / 64)
                for d in range(days)
                if rng.random() > 0.02
            ]
    rows.sort(key=lambda row: (row.time, row.meter))
    return Stream(meters, rows)


@examples(25)
@given(areas())
def test_an_area_is_compared_as_the_obvious_loop_compares_it(stream: Stream) -> None:
    flags = [f for f in run(stream, HighLow()) if f.family in ("usage_high", "usage_low")]
    assert_same(flags, high_low(stream))
