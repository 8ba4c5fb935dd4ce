"""A meter is exchanged: the read across it is no use, the habit goes on, the old device's standstill does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import HighLow, Intervals, Spike
from detectors.features import NAMES
from streams.messages import Flag, Mark
from streams.registry import Meter
from tests.habit_tools import obvious, watch
from tests.naive.spike import spikes
from tests.streams_of_readings import DAY, HOUR, Row, Stream, feed, instant, make_bank
from tests.twins import Tap, assert_same, high_low, of_each_meter, run

START = instant("2024-01-01")
FIRST_READ = 449.0


def home(days: int) -> NDArray[np.float64]:
    """A home's use by the hour: mornings and evenings, no two days alike. [m3]"""
    rng = np.random.default_rng(1)
    hour = np.arange(days * 24) % 24
    usual = np.select([hour < 6, hour < 9, hour < 18, hour < 22], [0.0, 0.05, 0.01, 0.06], 0.0)
    return usual * rng.gamma(2, 0.5, hour.size) * (rng.random(hour.size) < 0.8)


def exchanged(kind: str, step: int, still: int, first: float = 0.0, more: float = 0.0) -> Stream:
    """Readings of a home whose meter stands still for so many days, is exchanged, and then counts for 40 days.

    step   hours between readings
    first  of a register where the new device begins, of an interval meter its first amount, 0 = as used
    more   what is used beside from the day after the exchange on [m3/h]
    """
    before = (60 + still) * 24 + (9 if still else 0)
    use = home(60 + still + 40)
    use[60 * 24 : before] = 0.0
    use[(61 + still) * 24 :] += more
    amounts = use.reshape(-1, step).sum(1)
    swap = before // step
    values = amounts.copy()
    if kind == "register":
        values = FIRST_READ + np.cumsum(amounts)
        values[swap:] += first - values[swap - 1]
    elif first:
        values[swap] = first
    rows = [
        Row("m", START + (i + 1) * step * HOUR, float(value), sparse={"serial": "old" if i < swap else "new"})
        for i, value in enumerate(values)
    ]
    meter = Meter(
        meter_id="m",
        kind=kind,
        interval_s=3600 * step,
        commodity="water",
        unit="m3",
        meter_class="residential",
    )
    return Stream([meter], rows)


def flags_of(stream: Stream) -> list[Flag]:
    """What all detectors say."""
    return feed(make_bank(stream.meters), stream.rows).flags


def after_the_swap(flags: list[Flag]) -> list[str]:
    """Kinds raised at the exchange or later, what is updated into another kind among them."""
    at = next(f.at for f in flags if f.kind == "meter_swap")
    return [f.kind for f in flags if f.at >= at and f.status in ("raised", "updated")]


@pytest.mark.parametrize("step", [1, 24])
@pytest.mark.parametrize(("kind", "first"), [("register", 0.0), ("register", 700.0), ("interval", 0.0)])
def test_use_that_goes_on_after_an_exchange_is_nothing_new(kind: str, first: float, step: int) -> None:
    assert after_the_swap(flags_of(exchanged(kind, step, 0, first))) == ["meter_swap"]


@pytest.mark.parametrize("step", [1, 24])
@pytest.mark.parametrize("first", [700.0, -FIRST_READ])
def test_what_a_head_end_makes_of_two_registers_is_no_use(first: float, step: int) -> None:
    assert after_the_swap(flags_of(exchanged("interval", step, 0, first))) == ["meter_swap"]


@pytest.mark.parametrize(("step", "still"), [(1, 8), (1, 90), (24, 20), (24, 90)])
def test_the_old_devices_standstill_is_not_held_against_the_new_one(step: int, still: int) -> None:
    flags = flags_of(exchanged("register", step, still))
    assert after_the_swap(flags) == ["meter_swap"]
    # What was told of the standstill ends within a week of use.
    swap = instant(next(f.at for f in flags if f.kind == "meter_swap"))
    last = [f for f in flags if f.family == "usage_low"][-1]
    assert last.status == "cleared"
    assert instant(last.at) <= swap + 7 * DAY


@pytest.mark.parametrize(("step", "kind"), [(1, "leak"), (24, "high_usage")])
def test_a_household_that_changes_after_the_exchange_is_held_against_its_own_past(
    step: int, kind: str
) -> None:
    assert kind in after_the_swap(flags_of(exchanged("register", step, 0, more=0.05)))


@pytest.mark.parametrize("still", [2, 5, 14])
def test_a_standstill_is_forgotten_as_the_obvious_loops_forget_it(still: int) -> None:
    daily_reads = exchanged("register", 24, still)
    assert_same(
        (f for f in run(daily_reads, HighLow()) if f.family in ("usage_high", "usage_low")),
        high_low(daily_reads),
    )
    assert_same(
        (f for f in run(daily_reads, Spike()) if f.kind == "spike"),
        of_each_meter(daily_reads, spikes, "floor"),
    )
    hourly = exchanged("register", 1, still)
    ours, twins = watch(hourly)[0], obvious(hourly)
    assert ours.keys() == twins.keys()
    for day, row in ours.items():
        twin = np.array([twins[day][name] for name in NAMES])
        np.testing.assert_allclose(row, twin, rtol=2e-2, atol=2e-2, err_msg=str(day))


def taken(kind: str, rows: list[Row]) -> tuple[list[tuple[str, float]], list[Flag]]:
    """Status and amount of each reading; the flags."""
    tap = Tap()
    flags = feed(make_bank([Meter(meter_id="m", kind=kind, unit="m3")], (Intervals(), tap)), rows).flags
    return [(row[1], row[2]) for row in tap.rows], flags


def daily(values: list[float], swap: int, **sparse: object) -> list[Row]:
    """A value a day, of another device from ``swap`` on."""
    return [
        Row(
            "m",
            START + i * DAY,
            v,
            sparse={"serial": "new" if i >= swap else "old", **(sparse if i == swap else {})},
        )
        for i, v in enumerate(values)
    ]


def test_the_difference_of_two_devices_is_never_booked() -> None:
    told, flags = taken("register", daily([448.0, 449.0, 0.3, 1.0], 2))
    assert told[1] == ("ok", 1.0)
    assert (told[2][0], math.isnan(told[2][1])) == ("first", True)
    assert told[3][1] == pytest.approx(0.7)
    assert [f.kind for f in flags] == ["meter_swap", "meter_swap"]
    reads = {"stop_read": "450", "start_read": "0"}
    told, _ = taken("register", daily([448.0, 449.0, 0.3, 1.0], 2, attributes=reads))
    assert told[2][1] == pytest.approx(1.3)


def test_estimates_of_the_new_device_do_not_count_from_a_read_of_the_old_one() -> None:
    rows = daily([4.0, 5.0, 10.0, 12.0], 2)
    rows[2] = rows[2].but(marks=int(Mark.ESTIMATED))
    told, _ = taken("register", rows)
    assert told[3] == ("ok", 2.0)


def test_an_interval_meter_tells_of_its_exchange_by_its_serial_number() -> None:
    told, flags = taken("interval", daily([1.0, 1.0, 700.0, 2.0], 2))
    assert [status for status, _ in told[1:]] == ["ok", "first", "ok"]
    assert math.isnan(told[2][1])
    assert [(f.kind, f.status) for f in flags] == [("meter_swap", "raised"), ("meter_swap", "cleared")]
    numbers = {name: flags[0].evidence[name] for name in ("interval_before", "interval_now")}
    assert numbers == {"interval_before": 1.0, "interval_now": 700.0}
    # A correction of what was not counted is not counted either.
    rows = daily([1.0, 1.0, 700.0], 2)
    told, _ = taken("interval", [*rows, rows[2].but(value=3.0)])
    assert (told[3][0], math.isnan(told[3][1])) == ("correction", True)
    # An amount that says what it covers is believed.
    told, _ = taken("interval", daily([1.0, 1.0, 7.0, 2.0], 2, period_start_ns=START))
    assert told[2] == ("ok", 7.0)


def test_bills_of_a_device_that_stood_still_are_not_held_against_the_new_one() -> None:
    """Six monthly bills of 20 m3, fourteen of nothing; then another device, and bills of 20 m3 again."""
    reads = [100.0 + 20 * i for i in range(7)] + [220.0] * 14 + [5.0 + 20 * i for i in range(5)]
    for serial in ("new", "old"):
        values = reads if serial == "new" else [v if i < 21 else v + 215 for i, v in enumerate(reads)]
        rows = [
            Row("m", START + i * 30 * DAY, v, sparse={"serial": serial if i > 20 else "old"})
            for i, v in enumerate(values)
        ]
        meter = Meter(meter_id="m", kind="register", commodity="water", unit="m3", meter_class="residential")
        kinds = [f.kind for f in feed(make_bank([meter]), rows).flags if f.status == "raised"]
        assert "zero_usage" in kinds
        assert ("high_usage" in kinds) == (serial == "old")
