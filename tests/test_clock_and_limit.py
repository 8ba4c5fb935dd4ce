"""Clocks that fall behind their readings' arrival, and flow above the meter's limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Clock, Intervals, OverLimit
from streams.messages import Flag, Mark
from streams.registry import Meter
from tests.naive.bounds import clock, over_limit
from tests.streams_of_readings import (
    DAY,
    HOUR,
    MINUTE,
    NS,
    Row,
    Stream,
    examples,
    feed,
    instant,
    make_bank,
    streams,
)
from tests.twins import assert_same, by_meter, named, run, validated

START = instant("2024-01-01")


@examples(40)
@given(
    streams(days=60, spacings=(HOUR, 6 * HOUR, DAY)),
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(0, 55), st.integers(1, 45), st.integers(-40, 60)), max_size=5),
)
def test_clocks_are_those_of_the_obvious_loop(
    stream: Stream, seed: int, faults: list[tuple[int, int, int]]
) -> None:
    rng = np.random.default_rng(seed)
    begin = stream.rows[0].time
    rows = []
    for row in stream.rows:
        late = int(rng.integers(0, 1200)) if rng.random() < 0.5 else 10
        day = (row.time - begin) // DAY
        late += sum(60 * minutes for first, days, minutes in faults if first <= day < first + days)
        rows.append(changed(row, received=max(row.received + late * NS, 1)))
    # Stamps ahead are told by validation, in an episode of the same family.
    stream = Stream(stream.meters, [row for row in rows if row.time <= row.received + 900 * NS])
    flags = [f for f in run(stream, Clock()) if f.kind == "clock_drift"]
    parts = by_meter(stream, validated(stream)[0])
    assert_same(flags, [line for name, part in parts.items() for line in named(clock(part), name)])


@examples(40)
@given(
    streams(days=20, spacings=(2 * MINUTE, HOUR // 2, 6 * HOUR), most_rows=900),
    st.sampled_from((0.25, 1.0, 4.0)),
)
def test_flow_above_the_limit_is_that_of_the_obvious_loop(stream: Stream, limit: float) -> None:
    stream = Stream([msgspec.structs.replace(m, q_max=limit) for m in stream.meters], stream.rows)
    flags = [f for f in run(stream, OverLimit()) if f.kind == "over_limit"]
    parts = by_meter(stream, validated(stream)[0])
    assert_same(
        flags, [line for name, part in parts.items() for line in named(over_limit(part, limit), name)]
    )


# --- by hand ---------------------------------------------------------------------------------------


def said(flags: Sequence[Flag]) -> list[tuple[str, str, float]]:
    return [(f.kind, f.status, (instant(f.at) - START) / DAY) for f in flags]


def days(behind: Sequence[int], marks: int = 0) -> list[Row]:
    """Four readings a day, each day so many minutes behind; what they bring is a minute old."""
    rows = []
    for day, minutes in enumerate(behind):
        for hour in (0, 6, 12, 18):
            now = START + day * DAY + hour * HOUR + 12 * HOUR
            rows.append(Row("m", now - minutes * MINUTE, 1.0, received=now + MINUTE, marks=marks))
    return rows


def drift(rows: Sequence[Row]) -> list[Flag]:
    bank = make_bank([Meter(meter_id="m", kind="interval")], (Intervals(), Clock()))
    return feed(bank, rows).flags


def test_a_clock_that_falls_behind_is_flagged_after_three_days() -> None:
    flags = drift(days([0] * 6 + [20, 21, 22, 23, 24] + [0] * 4))
    assert [(f.kind, f.status) for f in flags] == [("clock_drift", "raised"), ("clock_drift", "cleared")]
    assert flags[0].evidence["seconds_behind"] == 22 * 60
    assert 9 <= (instant(flags[0].at) - START) / DAY < 11


def test_one_late_day_and_history_are_no_drift() -> None:
    assert drift(days([0] * 6 + [50, 50] + [0] * 6)) == []
    assert drift(days([0] * 6 + [50] * 6, int(Mark.HISTORICAL))) == []
    assert drift([row.but(received=0) for row in days([0] * 6 + [50] * 6)]) == []


def test_what_comes_late_every_day_is_no_drift() -> None:
    assert drift(days([120] * 20)) == []


def test_a_lag_that_stays_is_taken_for_normal() -> None:
    flags = drift(days([0] * 6 + [60] * 50))
    assert [f.status for f in flags] == ["raised", "cleared"]


def test_a_stamp_ahead_is_known_when_it_comes_and_over_no_earlier() -> None:
    """Stamped two hours ahead; the next, of before, comes in the same minute; then one ahead of the same arrival."""
    came = START + 10 * HOUR
    rows = [
        Row("m", START + hour * HOUR, 1.0, received=START + hour * HOUR + 20 * MINUTE) for hour in range(10)
    ]
    ahead = Row("m", came + 2 * HOUR, 1.0, received=came)
    rows += [ahead, Row("m", came - MINUTE, 1.0, received=came), ahead.but(time=came + 3 * HOUR)]
    flags = drift([*rows, Row("m", came + HOUR, 1.0, received=came + HOUR)])
    assert [(f.kind, f.status, f.start, f.at) for f in flags] == [
        ("clock_drift", "raised", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("clock_drift", "cleared", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
    ]
    # Cut at the arrival of any of them, the log gives what was known by then.
    for count in range(len(rows) + 1):
        known = drift(rows[:count])
        assert known == flags[: len(known)]
        assert all(instant(f.at) <= rows[count - 1].received for f in known)


def flow(amounts: Sequence[float], minutes: int = 30, **more: Any) -> list[tuple[str, str, float]]:
    meter = Meter(meter_id="m", kind="interval", interval_s=minutes * 60, unit="m3", commodity="gas", **more)
    rows = [Row("m", START + i * minutes * MINUTE, amount) for i, amount in enumerate(amounts)]
    return said(feed(make_bank([meter], (Intervals(), OverLimit())), rows).flags)


def test_more_than_the_meter_is_made_for() -> None:
    amounts = [1.0, 1.0, 3.5, 3.5, 1.0, 1.0, 1.0]
    half = 30 / 60 / 24
    assert flow(amounts, q_max=6.0) == [
        ("over_limit", "raised", 2 * half), ("over_limit", "cleared", pytest.approx(5 * half)),
    ]  # fmt: skip
    assert flow(amounts) == []
    assert flow(amounts, q_max=7.0) == []


@pytest.mark.parametrize(("phases", "most"), [(None, 13.2), (1, 13.2), (3, 39.6)])
def test_an_electricity_meter_s_current_limits_it(phases: int | None, most: float) -> None:
    """60 A at 220 V, by phase."""
    meter = Meter(
        meter_id="m", kind="interval", unit="kW.h", commodity="electricity", i_max=60.0, phases=phases
    )
    for amount, kinds in ((most - 0.1, []), (most + 0.1, ["over_limit"])):
        rows = [Row("m", START + i * 60 * MINUTE, amount) for i in range(4)]
        flags = feed(make_bank([meter], (Intervals(), OverLimit())), rows).flags
        assert [f.kind for f in flags] == kinds


def test_a_pulse_in_a_minute_is_no_flow() -> None:
    assert flow([0.1, 0, 0, 0, 0, 0.1, 0, 0, 0, 0, 0.1], 1, q_max=4.0) == []
    assert flow([0.1] * 20, 1, q_max=4.0)[0][:2] == ("over_limit", "raised")
