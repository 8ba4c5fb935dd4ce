"""Rules for supervised points: limits, rate of change, frozen, voltage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Detector, Frozen, Interruptions, Intervals, Limits, Rate, Voltage
from streams.messages import Flag, Quality
from streams.registry import Meter
from streams.state.bank import Outcome
from tests.naive import points as naive_points
from tests.scada_streams import START, alone, assert_agree, gauges, of_each, samples
from tests.streams_of_readings import DAY, HOUR, MINUTE, NS, Row, Stream, examples, feed, instant, make_bank
from tests.twins import by_meter, named, validated

PUMP = Meter(
    meter_id="p", commodity="scada", unit="kPa", kind="gauge", interval_s=10, limit_hh=600, limit_h=500,
    limit_l=200, limit_ll=100, deadband=10, delay_s=30,
)  # fmt: skip


def flags_of(meter: Meter, rows: Sequence[Row], *detectors: Detector) -> list[Flag]:
    return feed(make_bank([meter], (Intervals(), *detectors)), rows).flags


def told(flags: Sequence[Flag]) -> list[tuple[Any, ...]]:
    return [(f.status, f.kind, (instant(f.at) - START) / (60 * NS), f.observed) for f in flags]


# -- the twins -------------------------------------------------------------------------------------


@examples(40)
@given(gauges())
def test_limits_are_those_of_the_obvious_loop(stream: Stream) -> None:
    def make(m: Meter) -> naive_points.Limits:
        stated = {"hh": m.limit_hh, "h": m.limit_h, "l": m.limit_l, "ll": m.limit_ll}
        limits = {name: value for name, value in stated.items() if value is not None}
        return naive_points.Limits(
            limits=limits, deadband=m.deadband, delay=10.0 if m.delay_s is None else m.delay_s
        )

    flags = feed(make_bank(stream.meters, (Intervals(), Limits())), stream.rows).flags
    assert_agree(alone(flags, "limits"), of_each(stream, make))


@examples(40)
@given(gauges(voltage=True))
def test_voltages_are_those_of_the_obvious_loop(stream: Stream) -> None:
    flags = feed(make_bank(stream.meters, (Intervals(), Voltage())), stream.rows).flags
    assert_agree(alone(flags, "voltage"), of_each(stream, lambda _: naive_points.Voltage()))


@examples(30)
@given(st.booleans().flatmap(lambda volts: gauges(voltage=volts, most=4500)))
def test_rates_are_those_of_the_obvious_loop(stream: Stream) -> None:
    volts = stream.meters[0].unit == "V"
    rule = Rate(moves=200, warm_days=0.2)
    flags = feed(make_bank(stream.meters, (Intervals(), rule)), stream.rows).flags
    parts = by_meter(stream, validated(stream)[0])
    lines = [
        line
        for name, part in parts.items()
        for line in named(naive_points.rates(part, 200, 0.2, volts=volts), name)
    ]
    assert_agree(alone(flags, "rate"), lines)


@examples(30)
@given(st.booleans().flatmap(lambda volts: gauges(voltage=volts, most=3000)))
def test_frozen_points_are_those_of_the_obvious_loop(stream: Stream) -> None:
    volts = stream.meters[0].unit == "V"
    flags = feed(make_bank(stream.meters, (Intervals(), Frozen(warm_days=0.2))), stream.rows).flags
    parts = by_meter(stream, validated(stream)[0])
    lines = [
        line
        for name, part in parts.items()
        for line in named(naive_points.frozen(part, 0.2, volts=volts), name)
    ]
    assert_agree(alone(flags, "frozen"), lines)


# -- limits ------------------------------------------------------------------------------------------


def test_the_worked_example_of_limits() -> None:
    """H 500, HH 600, deadband 10, delay 30 s, a sample every 10 s."""
    values = [480, 505, 510, 495, 505, 506, 507, 508, 610, 611, 612, 613, 495, 491, 490, 480]
    flags = flags_of(PUMP, samples("p", values, 10 * NS), Limits())
    at = [(f.status, f.kind, (instant(f.at) - START) // NS, f.observed, f.expected) for f in flags]
    assert at == [
        # 505 at 10 s fell back at 30 s; from 40 s on it stayed above for 30 s
        ("raised", "pressure_high", 70, 508.0, 500.0),
        # beyond HH from 80 s on
        ("updated", "pressure_high", 110, 613.0, 600.0),
        # 495 and 491 are within the limit, but not by the deadband
        ("cleared", "pressure_high", 140, 490.0, 600.0),
    ]
    assert instant(flags[0].start) == START + 40 * NS
    assert (flags[0].evidence["level"], flags[1].evidence["level"]) == ("H", "HH")
    assert flags[0].evidence["limit"] == 500.0
    assert flags[1].evidence["limit"] == 600.0
    assert [f.score for f in flags[:2]] == [1.8, 3.0]
    assert flags[0].evidence["seconds_beyond"] == 30.0
    assert flags[0].evidence["deadband"] == 10.0


def test_low_pressure_and_what_is_no_pressure() -> None:
    rows = samples("p", [300, 150, 150, 150, 150, 250], 10 * NS)
    assert [f.kind for f in flags_of(PUMP, rows, Limits())] == ["pressure_low"] * 2
    level = Meter(meter_id="p", kind="gauge", unit="m", limit_l=200, delay_s=0)
    flags = flags_of(level, rows, Limits())
    assert told(flags) == [("raised", "limit", 1 / 6, 150.0), ("cleared", "limit", 5 / 6, 250.0)]
    assert flags[0].evidence["deadband"] == 4.0  # 2 % of the one limit
    mapping = [("bar", True), ("m[H2O]", True), ("[psi]", True), ("V", False), ("mg/L", False)]
    for unit, pressure in mapping:
        point = Meter(meter_id="p", kind="gauge", unit=unit, limit_l=200, delay_s=0)
        assert flags_of(point, rows, Limits())[0].kind == ("pressure_low" if pressure else "limit")


def test_the_watermark_proves_a_delay_while_the_value_is_fresh() -> None:
    """Two readings above at 00:59:20 and 00:59:30; somebody else tells that it is past one o'clock."""
    other = Meter(meter_id="other")
    rows = [Row("p", START + 59 * MINUTE + s * NS, 510.0) for s in (20, 30)]
    clock = Row("other", START + HOUR + NS, 1.0)
    # Three spacings of 10 s after its last word, the pump's pressure is not known any more.
    assert feed(make_bank([PUMP, other], (Intervals(), Limits())), [*rows, clock]).flags == []
    point = Meter(meter_id="p", kind="gauge", unit="kPa", interval_s=60, limit_h=500, delay_s=30)
    flags = feed(make_bank([point, other], (Intervals(), Limits())), [rows[0], clock]).flags
    assert [(f.status, f.kind, f.at) for f in flags] == [("raised", "pressure_high", "2024-03-01T01:00:01Z")]
    assert flags[0].start == "2024-03-01T00:59:20Z"


def test_a_stale_value_proves_no_delay() -> None:
    rows = [*samples("p", [300] * 5, 10 * NS), *samples("p", [510], 10 * NS, START + 50 * NS)]
    rows += samples("p", [510, 510], 10 * NS, START + HOUR)  # an hour of silence between
    assert flags_of(PUMP, rows, Limits()) == []
    rows += samples("p", [510, 510], 10 * NS, START + HOUR + 20 * NS)
    flags = flags_of(PUMP, rows, Limits())
    assert [(f.status, f.start) for f in flags] == [("raised", "2024-03-01T01:00:00Z")]


def test_bad_quality_is_no_value() -> None:
    rows = [row.but(quality=int(Quality.BAD)) for row in samples("p", [900] * 20, 10 * NS)]
    assert flags_of(PUMP, rows, Limits()) == []


# -- rate --------------------------------------------------------------------------------------------


def test_the_worked_example_of_a_rate() -> None:
    """A level that wanders by up to 0.5 m a minute for nine days, then rises 2 m in one."""
    rng = np.random.default_rng(7)
    steps = np.round(rng.uniform(-0.5, 0.5, 9 * 1440) * 64) / 64
    values = 50 + np.cumsum(steps) - np.arange(len(steps)) * steps.mean()
    values = np.append(np.round(values * 64) / 64, [0.0] * 5)
    values[-5:] = values[-6] + np.array([2.0, 2.1, 2.2, 2.3, 2.4])
    meter = Meter(meter_id="p", kind="gauge", unit="m", interval_s=60)
    flags = flags_of(meter, samples("p", values), Rate())
    assert [f.status for f in flags] == ["raised", "cleared"]
    evidence = flags[0].evidence
    assert evidence["change_per_hour"] == pytest.approx(120.0, rel=0.01)
    assert 28 < evidence["usual_highest_per_hour"] < 34  # 0.5 m a minute are 30 m an hour
    assert evidence["line_per_hour"] == pytest.approx(1.5 * evidence["usual_highest_per_hour"], rel=1e-5)
    assert instant(flags[0].at) == START + (9 * 1440) * MINUTE
    assert instant(flags[1].at) == START + (9 * 1440 + 3) * MINUTE  # three calm readings


def test_the_quantile_is_one() -> None:
    """Of exponential changes the 99.9 % quantile is 6.9 means."""
    rng = np.random.default_rng(11)
    signs = rng.choice([-1.0, 1.0], 60_000)
    values = np.cumsum(signs * rng.exponential(1.0, len(signs)))
    bank = make_bank([Meter(meter_id="p", kind="gauge", interval_s=60)], (Intervals(), Rate(factor=100)))
    feed(bank, samples("p", values))
    quantile = float(bank.state.of("rate", "rate")["quantile"][0]) / 60
    assert 5.0 < quantile < 9.5


def test_a_jump_after_a_hole_is_no_rate() -> None:
    rng = np.random.default_rng(7)
    values = np.round(rng.uniform(0, 1, 9 * 1440) * 64) / 64
    meter = Meter(meter_id="p", kind="gauge", unit="m", interval_s=60)
    after = samples("p", [40.0, 40.5, 40.0], start=START + 10 * DAY)
    assert flags_of(meter, [*samples("p", values), *after], Rate()) == []


# -- frozen ------------------------------------------------------------------------------------------


def test_the_worked_example_of_a_frozen_point() -> None:
    """A pressure that always moves by some 3 kPa; from day 8 on it stands at one value for an hour."""
    rng = np.random.default_rng(3)
    values = np.round((300 + rng.uniform(-5, 5, 8 * 1440 + 90)) * 64) / 64
    values[8 * 1440 : 8 * 1440 + 60] = 301.5
    meter = Meter(meter_id="p", kind="gauge", unit="kPa", interval_s=60)
    flags = flags_of(meter, samples("p", values), Frozen())
    assert [(f.status, f.kind, (instant(f.at) - START) // MINUTE - 8 * 1440) for f in flags] == [
        ("raised", "frozen", 5),  # the sixth sample of the run
        ("cleared", "frozen", 60),
    ]
    assert instant(flags[0].start) == START + 8 * DAY
    assert flags[0].evidence["samples"] == 6
    assert flags[0].evidence["hours"] == pytest.approx(5 / 60)
    assert 1 <= flags[0].evidence["usual_longest_run"] <= 3
    assert flags[0].observed == 301.5
    assert flags[0].expected is None


def test_a_point_that_rests_by_night_may_rest_by_night() -> None:
    rng = np.random.default_rng(4)
    days = []
    for _ in range(20):
        day = np.round(rng.uniform(1, 9, 96) * 64) / 64
        day[:24] = 0.0  # 0:00 to 6:00
        days.append(day)
    values = np.concatenate([*days, np.zeros(60)])
    meter = Meter(meter_id="p", kind="gauge", unit="m3/h", interval_s=900)
    flags = flags_of(meter, samples("p", values, 15 * MINUTE), Frozen())
    assert [f.status for f in flags] == ["raised"]
    assert flags[0].evidence["samples"] >= 46  # twice the night
    assert flags[0].start == "2024-03-21T00:00:00Z"


# -- what neither rate nor frozen is about --------------------------------------------------------------


def test_an_outage_is_neither_a_rate_nor_a_frozen_point() -> None:
    """Ten days of a voltage that moves by some volts, then ten minutes of none, and back at another one."""
    rng = np.random.default_rng(5)
    volts = np.round((220 + rng.normal(0, 2, 10 * 1440 + 200)) * 64) / 64
    volts[10 * 1440 : 10 * 1440 + 60] = 0.0
    volts[10 * 1440 + 60 :] -= 15
    meter = Meter(meter_id="p", kind="gauge", commodity="electricity", unit="V", interval_s=60)
    flags = flags_of(meter, samples("p", volts), Rate(), Frozen(), Interruptions())
    assert [(f.status, f.kind) for f in flags] == [("raised", "outage"), ("cleared", "outage")]
    # What moves as far without an outage is a rate.
    volts[10 * 1440 : 10 * 1440 + 60] = 190.0
    kinds = {f.kind for f in flags_of(meter, samples("p", volts), Rate(), Frozen(), Interruptions())}
    assert kinds == {"rate", "frozen"} or kinds == {"rate"}


@pytest.mark.parametrize(("unit", "role", "judged"), [
    ("kW.h", "", False), ("CNY", "", False), ("元", "", False), ("m3", "", False),
    ("m3", "storage", True), ("m", "", True),
])  # fmt: skip
def test_a_prepaid_balance_is_topped_up_and_rests_by_right(unit: str, role: str, judged: bool) -> None:
    rng = np.random.default_rng(6)
    left = 500 - np.cumsum(rng.uniform(0, 1, 60 * 24)) * 0.3
    left[50 * 24 :] += 150
    left[52 * 24 :] = left[52 * 24]
    meter = Meter(meter_id="p", kind="gauge", unit=unit, interval_s=3600, balance_role=role)
    flags = flags_of(meter, samples("p", left, HOUR), Rate(), Frozen())
    assert {f.kind for f in flags} == ({"rate", "frozen"} if judged else set())


# -- voltage -----------------------------------------------------------------------------------------

VOLTS = Meter(meter_id="p", commodity="electricity", unit="V", kind="gauge", interval_s=900)


def test_the_worked_example_of_a_low_voltage() -> None:
    """Every 15 minutes: 196 V from 04:00 on, 199 V at 06:00 (not back by the deadband), 201 V at 06:30."""
    values = [221.0] * 16 + [196.0] * 8 + [199.0, 199.0, 201.0]
    flags = flags_of(VOLTS, samples("p", values, 15 * MINUTE), Voltage())
    assert [(f.status, f.kind, f.at, f.start, f.observed) for f in flags] == [
        ("raised", "voltage_low", "2024-03-01T05:00:00Z", "2024-03-01T04:00:00Z", 196.0),
        ("cleared", "voltage_low", "2024-03-01T06:30:00Z", "2024-03-01T04:00:00Z", 201.0),
    ]
    evidence = flags[0].evidence
    assert (evidence["nominal"], evidence["limit"], evidence["hours"]) == (220.0, 198.0, 1.0)
    assert flags[0].score == pytest.approx(1 + 2 / 11, abs=1e-4)


def test_the_edges_of_the_band_are_within_it() -> None:
    for edge, beyond, kind in ((198.0, 197.99, "voltage_low"), (235.4, 235.41, "voltage_high")):
        near = [220.0] * 12
        assert flags_of(VOLTS, samples("p", near + [edge] * 9, 15 * MINUTE), Voltage()) == []
        flags = flags_of(VOLTS, samples("p", near + [beyond] * 9, 15 * MINUTE), Voltage())
        assert [f.kind for f in flags] == [kind]


def test_a_break_of_one_reading_starts_the_hour_again() -> None:
    values = [220.0] * 12 + [196.0] * 4 + [205.0] + [196.0] * 4
    assert flags_of(VOLTS, samples("p", values, 15 * MINUTE), Voltage()) == []


@pytest.mark.parametrize(("unit", "volts"), [("V", 3.6), ("V", 400.0), ("kV", 10.2), ("A", 100.0)])
def test_what_is_no_supply_voltage_is_not_judged(unit: str, volts: float) -> None:
    point = Meter(meter_id="p", unit=unit, kind="gauge", interval_s=900)
    assert flags_of(point, samples("p", [volts] * 60, 15 * MINUTE), Voltage()) == []


def test_kilovolts_are_volts() -> None:
    point = Meter(meter_id="p", unit="kV", kind="gauge", interval_s=900)
    flags = flags_of(point, samples("p", [0.22] * 12 + [0.19] * 5, 15 * MINUTE), Voltage())
    assert [(f.kind, f.observed, f.evidence["limit"]) for f in flags] == [("voltage_low", 0.19, 0.198)]


def test_household_meters_keep_no_state() -> None:
    """Only rows of supervised points are written to."""
    meter = Meter(meter_id="m", kind="register", commodity="electricity", unit="kW.h", interval_s=3600)
    bank = make_bank([meter])
    feed(bank, [Row("m", START + i * HOUR, float(i)) for i in range(200)])
    bank.tick(START + 300 * HOUR, Outcome())
    for name in ("limits", "rate", "frozen", "voltage", "interruptions", "transformer", "night_minimum"):
        (column,) = (d.columns for d in bank.detectors if d.name == name)
        assert not bank.state.of(name, column[0].name)[:1].tobytes().strip(b"\0"), name
