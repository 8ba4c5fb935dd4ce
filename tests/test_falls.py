"""What a falling meter means, reading by reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from detectors import Intervals
from detectors.base import FINDING, ROOM
from detectors.batch import CORRECTION, FIRST, LATE, OK, SUSPECT, Batch
from streams.messages import Mark
from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.intake import place, prepare
from streams.state.outcome import Outcome
from tests.streams_of_readings import HOUR, Row, as_columns, feed, instant, make_bank

START = instant("2024-01-01")


def meter(kind: str = "interval", **more: Any) -> Meter:
    return Meter(meter_id="m", kind=kind, interval_s=3600, unit="kW.h", commodity="electricity", **more)


def rows(values: Sequence[float], marks: int = 0) -> list[Row]:
    return [Row("m", START + i * HOUR, value, marks=marks) for i, value in enumerate(values)]


def taken(values: Sequence[float], who: Meter, late: float | None = None) -> Batch:
    """The batch as validation leaves it."""
    bank = make_bank([who], [Intervals()])
    sent = rows(values)
    if late is not None:
        sent.append(Row("m", START - 5 * HOUR, late))
    columns = as_columns(sent)
    batch = prepare(bank, columns, place(bank, columns, Outcome()), 0, Outcome())
    bank.detectors[0].update(bank.state, batch, np.empty(ROOM * len(batch), FINDING))
    return batch


def flags(values: Sequence[float], who: Meter, marks: int = 0) -> list[tuple[str, str, int]]:
    """Kind, status, and the number of the reading at which it was said."""
    found = feed(make_bank([who], [Intervals()]), rows(values, marks)).flags
    return [(flag.kind, flag.status, (instant(flag.at) - START) // HOUR) for flag in found]


def pulse(bank: Bank) -> Any:
    return bank.state.of("intervals", "pulse")[0]


def test_a_meter_that_counts_both_ways_undeclared_is_told_once() -> None:
    """Panels on the roof: by day the meter gives back, by night it takes; nobody has stated the direction."""
    day = [0.5] * 8 + [-1.5] * 8 + [0.5] * 8
    for kind, values in (("interval", day * 20), ("register", list(1000 + np.cumsum(day * 20)))):
        found = flags(values, meter(kind))
        raised = [said for said in found if said[1] == "raised"]
        assert len(raised) == 3, found
        # The third stays open, and says how often it fell.
        assert raised[-1][0] == found[-1][0] == "rollback"
        assert found[-1] == raised[-1]
        told = feed(make_bank([meter(kind)], [Intervals()]), rows(values)).flags[-1]
        assert told.evidence["falls_of_late"] == 3
        assert flags(values, meter(kind, direction="both")) == []
        # A week without a fall ends it.
        assert flags(values + [values[-1] + i for i in range(1, 200)], meter(kind))[-1][:2] == (
            "rollback", "cleared",
        )  # fmt: skip


def test_falls_far_apart_are_told_each() -> None:
    values = [1.0] * 1000
    for hour in (100, 400, 700, 950):
        values[hour] = -50.0
    assert [said[1] for said in flags(values, meter())] == ["raised", "cleared"] * 4


def test_an_amount_taken_back_by_the_next_was_misread() -> None:
    values = [2.0, 102.0, -97.0, 3.0]
    assert flags(values, meter()) == [("misread", "raised", 2), ("misread", "cleared", 2)]
    batch = taken(values, meter())
    assert batch.status.tolist() == [OK, OK, OK, OK]
    assert batch.usage.tolist() == [2, 102, 5, 3]
    assert batch.back[2] == 102
    assert batch.span.tolist() == [HOUR, HOUR, 2 * HOUR, HOUR]
    # What is booked, less what is taken back, is what the meter counted.
    assert batch.usage.sum() - batch.back.sum() == sum(values)


def test_an_amount_below_zero_made_up_for_by_the_next_was_misread() -> None:
    values = [2.0, 2.0, -98.0, 103.0, 3.0]
    assert flags(values, meter()) == [
        ("rollback", "raised", 2), ("misread", "updated", 3), ("misread", "cleared", 3),
    ]  # fmt: skip
    batch = taken(values, meter())
    assert batch.status.tolist() == [OK, OK, SUSPECT, OK, OK]
    assert np.isnan(batch.usage[2])
    assert batch.usage[3] == 5
    assert batch.span[3] == 2 * HOUR
    assert not batch.back.any()
    assert np.nansum(batch.usage) == sum(values)


def test_a_rollback_ends_when_the_meter_goes_on_as_before() -> None:
    values = [2.0, 2.0, -98.0, 2.0, 3.0, 2.0, 2.0]
    assert flags(values, meter()) == [("rollback", "raised", 2), ("rollback", "cleared", 5)]
    batch = taken(values, meter())
    assert np.nansum(batch.usage) == 13
    assert batch.span[3] == HOUR


def test_a_second_fall_does_not_raise_a_second_rollback() -> None:
    values = [2.0, -98.0, 2.0, -98.0, 2.0, 2.0, 2.0, 2.0]
    assert flags(values, meter()) == [("rollback", "raised", 1), ("rollback", "cleared", 6)]


@pytest.mark.parametrize("value", [-0.01, -0.5])
def test_what_is_small_amends(value: float) -> None:
    values = [2.0, 2.0, value, 2.0]
    assert flags(values, meter()) == []
    batch = taken(values, meter())
    assert batch.status[2] == CORRECTION
    assert batch.usage.tolist() == values


def test_the_first_amount_below_zero_is_not_counted() -> None:
    assert flags([-98.0, 2.0, 2.0], meter()) == []
    batch = taken([-98.0, 2.0, 2.0], meter())
    assert batch.status.tolist() == [FIRST, OK, OK]
    assert np.isnan(batch.usage[0])


def test_a_late_amount_below_zero_changes_no_day() -> None:
    batch = taken([2.0, 2.0], meter(), late=-98.0)
    assert batch.status[-1] == LATE
    assert np.isnan(batch.usage[-1])


def test_falls_are_counted() -> None:
    bank = make_bank([meter()], [Intervals()])
    feed(bank, rows([2.0, -98.0, 2.0, -1.0, 2.0]))
    assert pulse(bank)["negative"] == 2


@pytest.mark.parametrize("direction", ["export", "both"])
@pytest.mark.parametrize("kind", ["register", "interval"])
def test_a_meter_that_counts_both_ways_falls_by_right(kind: str, direction: str) -> None:
    who = meter(kind, direction=direction)
    values = [50.0, 60.0, -40.0, 30.0, -70.0, -75.0]
    assert flags(values, who) == []
    batch = taken(values, who)
    assert batch.status.tolist() == [OK if kind == "interval" else FIRST, *[OK] * 5]
    assert batch.usage[1:].tolist() == (values[1:] if kind == "interval" else [10, -100, 70, -100, -5])


@pytest.mark.parametrize("mark", [Mark.HISTORICAL, Mark.RETAINED])
def test_history_raises_nothing(mark: Mark) -> None:
    for values in ([2.0, 102.0, -97.0, 3.0], [2.0, 2.0, -98.0, 103.0], [2.0, -98.0, 2.0, 2.0, 2.0, 2.0]):
        assert flags(values, meter(), int(mark)) == []


def test_a_register_read_too_high_is_taken_back() -> None:
    batch = taken([10.0, 12.0, 112.0, 15.0, 16.0], meter("register"))
    assert batch.usage.tolist()[1:] == [2, 100, 3, 1]
    assert batch.back.tolist() == [0, 0, 0, 100, 0]
    assert batch.span[3] == 2 * HOUR
    assert np.nansum(batch.usage) - batch.back.sum() == 6


def test_a_prepaid_balance_is_a_gauge_and_its_top_up_no_anomaly() -> None:
    who = Meter(meter_id="m", kind="gauge", unit="CNY", interval_s=3600)
    balance = [20.0, 15.0, 10.0, 110.0, 105.0]
    assert flags(balance, who) == []
    assert np.isnan(taken(balance, who).usage).all()
