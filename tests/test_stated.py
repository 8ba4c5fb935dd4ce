"""What a sender states beside the value: the period of an interval, the stop and start reads of a swap."""

from __future__ import annotations

import math

import pytest

from detectors import Intervals
from streams.messages import Flag
from streams.registry import Meter
from tests.streams_of_readings import DAY, HOUR, Row, feed, instant, make_bank
from tests.twins import Tap

START = instant("2024-01-01")


def taken(rows: list[Row], kind: str) -> tuple[list[tuple[str, float, float]], list[Flag]]:
    """Status, amount and hours covered of each reading; the flags."""
    tap = Tap()
    flags = feed(make_bank([Meter(meter_id="m", kind=kind)], (Intervals(), tap)), rows).flags
    return [(row[1], row[2], row[3] / HOUR) for row in tap.rows], flags


def test_an_interval_covers_the_period_that_it_states() -> None:
    """Daily amounts; a hole of three days, of which the next amount states that it covers all."""
    days = [0, 1, 2, 6]
    plain = [Row("m", START + d * DAY, 1.0) for d in days]
    told, _ = taken(plain, "interval")
    assert told[-1] == ("ok", 1.0, 24)
    stated = [*plain[:-1], plain[-1].but(value=4.0, sparse={"period_start_ns": START + 2 * DAY})]
    bank = make_bank([Meter(meter_id="m", kind="interval")], (Intervals(), tap := Tap()))
    feed(bank, stated)
    assert tap.rows[-1][1:4] == ("ok", 4.0, 4 * DAY)
    # What the amount covers is not missing.
    assert int(bank.state.of("intervals", "pulse")["missing"][0]) == 0


def test_a_first_interval_counts_where_it_states_its_period() -> None:
    row = Row("m", START, 7.0)
    assert taken([row], "interval")[0][0][0] == "first"
    told, _ = taken([row.but(sparse={"period_start_ns": START - 31 * DAY})], "interval")
    assert told == [("ok", 7.0, 31 * 24)]


def test_stop_and_start_reads_tell_of_a_swap_without_a_serial_number() -> None:
    note = {"attributes": {"stop_read": "905", "start_read": "0"}}
    values = [900.0, 903.0, 1.5, 4.0]
    rows = [Row("m", START + i * DAY, v) for i, v in enumerate(values)]
    told, flags = taken(rows, "register")
    assert [f.kind for f in flags] == ["rollback"]
    # Some go on sending it: it is one swap all the same.
    swap = [row.but(sparse=note) if i >= 2 else row for i, row in enumerate(rows)]
    told, flags = taken(swap, "register")
    assert told[1:] == [("ok", 3.0, 24), ("ok", 3.5, 24), ("ok", 2.5, 24)]
    assert [(f.kind, f.status) for f in flags] == [("meter_swap", "raised"), ("meter_swap", "cleared")]
    assert flags[0].evidence["stated_stop"] == 905


@pytest.mark.parametrize(("stop", "start"), [("500", "0"), ("905", "3")])
def test_reads_that_do_not_fit_are_no_swap(stop: str, start: str) -> None:
    """A stop below what the device has counted; a start above what the new one reads."""
    note = {"attributes": {"stop_read": stop, "start_read": start}}
    rows = [Row("m", START + i * DAY, v) for i, v in enumerate([900.0, 903.0, 1.5])]
    told, flags = taken([*rows[:2], rows[2].but(sparse=note)], "register")
    assert math.isnan(told[2][1])
    assert [f.kind for f in flags] == ["rollback"]
