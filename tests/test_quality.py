"""What is counted and not raised."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.messages import Flag, Quality
from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.quality import by_area, by_meter, write_quality
from tests.streams_of_readings import DAY, HOUR, MINUTE, NS, Row, feed, instant, make_bank

START = instant("2024-03-01")


def hourly(values: Sequence[float | None], meter: str = "m") -> list[Row]:
    return [Row(meter, START + i * HOUR, value) for i, value in enumerate(values) if value is not None]


def bank_of(rows: Sequence[Row], kind: str = "interval", **more: Any) -> Bank:
    names = sorted({row.meter for row in rows})
    known = [Meter(meter_id=n, kind=kind, interval_s=3600, area="north", unit="m3", **more) for n in names]
    bank = make_bank(known)
    feed(bank, rows)
    return bank


def counts(rows: Sequence[Row], kind: str = "interval", **more: Any) -> dict[str, int]:
    """What is not zero of the only meter."""
    (one,) = by_meter(bank_of(rows, kind, **more))
    return {
        name: cell
        for name in one.__struct_fields__
        if isinstance(cell := getattr(one, name), int) and cell and name != "readings"
    }


def stating(row: Row, period: int) -> Row:
    """The reading with the start of its period."""
    return row.but(sparse={"period_start_ns": row.time - period})


def test_each_finding_is_counted() -> None:
    good = hourly([1.0] * 6)
    assert counts(good) == {}
    assert counts([*good, good[3]]) == {"duplicates": 1}
    assert counts([*good, good[5].but(value=2.0)]) == {"corrections": 1}
    assert counts([*good, good[5].but(time=START + 6 * HOUR, quality=Quality.BAD)]) == {"bad": 1}
    assert counts([*good, good[5].but(time=START + 6 * HOUR, value=float("nan"))]) == {"bad": 1}
    assert counts([*good, good[5].but(time=START + 6 * HOUR, value=-0.2)]) == {"negative": 1}
    assert counts([*good, good[5].but(time=START + 6 * HOUR + 2 * MINUTE)]) == {}
    assert counts([*good, good[5].but(time=START + 6 * HOUR + 4 * MINUTE)]) == {"off_grid": 1}
    assert counts([*good, good[5].but(time=START + DAY, received=START + 6 * HOUR)]) == {"ahead": 1}


def test_intervals_of_another_size_are_counted() -> None:
    quarters = [Row("m", START + i * HOUR // 4, 1.0) for i in range(9)]
    assert counts(quarters) == {"off_grid": 6, "off_size": 8}
    stated = [stating(Row("m", START + i * 2 * HOUR, 1.0), 2 * HOUR) for i in range(4)]
    assert counts(stated)["off_size"] == 3
    assert "off_size" not in counts([stating(row, HOUR) for row in hourly([1.0] * 6)])
    # a reading a little early is beside its grid, one that is missing is missing; registers have no length
    early = [*hourly([1.0] * 3), Row("m", START + 3 * HOUR - 10 * MINUTE, 1.0)]
    assert counts(early) == {"off_grid": 1}
    assert counts(hourly([1.0, 1.0, None, 1.0])) == {"missing": 1}
    assert counts(quarters, kind="register") == {"off_grid": 6}


@pytest.mark.parametrize(
    ("zone", "spacing"),
    [("Europe/Madrid", DAY), ("Asia/Shanghai", DAY), ("Asia/Kolkata", HOUR), ("Australia/Lord_Howe", DAY)],
)
def test_the_grid_is_that_of_utc_or_of_the_meters_zone(zone: str, spacing: int) -> None:
    first = datetime(2024, 3, 20, tzinfo=ZoneInfo(zone))
    step = timedelta(seconds=spacing // NS)
    at_home = [round((first + i * step).timestamp()) * NS for i in range(20)]
    in_utc = [instant("2024-03-20") + i * spacing for i in range(20)]
    for times in (at_home, in_utc):
        rows = [Row("m", time, 1.0) for time in times]
        meter = Meter(meter_id="m", kind="interval", interval_s=spacing / NS, tz=zone)
        bank = make_bank([meter])
        feed(bank, rows)
        assert [one.off_grid for one in by_meter(bank)] == [0]
        bank = make_bank([meter])
        feed(bank, [row.but(time=row.time + 10 * MINUTE) for row in rows])
        assert [one.off_grid for one in by_meter(bank)] == [19]


def test_an_amount_below_zero_is_counted_once() -> None:
    bank = make_bank([Meter(meter_id="m", kind="interval", interval_s=3600, unit="m3")])
    rows = hourly([1.0, 1.0, -0.001, 1.0])
    assert "correction" not in feed(bank, rows).counts
    assert [(one.negative, one.corrections) for one in by_meter(bank)] == [(1, 0)]
    assert feed(bank, [rows[3].but(value=2.0)]).counts["correction"] == 1
    assert [(one.negative, one.corrections) for one in by_meter(bank)] == [(1, 1)]


def test_what_comes_late_is_missing_no_longer() -> None:
    rows = hourly([1.0, 1.0, None, None, 1.0, 1.0])
    assert counts(rows) == {"missing": 2}
    assert counts([*rows, Row("m", START + 2 * HOUR, 1.0)]) == {"missing": 1, "late": 1}


def test_a_register_that_turns_over_is_counted_and_no_alarm() -> None:
    rows = hourly([9990.0, 9996.0, 3.0, 8.0])
    bank = bank_of(rows, "register", digits=4)
    assert [one.rollovers for one in by_meter(bank)] == [1]
    assert float(bank.state.of("intervals", "pulse")["usage"][0]) == 18
    flags: list[Flag] = feed(make_bank([bank.meter(0)]), rows).flags
    assert flags == []


def test_an_area_is_the_sum_of_its_meters() -> None:
    rows = [*hourly([1.0, None, 1.0, 1.0], "a"), *hourly([1.0, 1.0, None, 1.0], "b"), *hourly([1.0] * 4, "c")]
    bank = bank_of(sorted(rows, key=lambda row: row.time))
    (north,) = by_area(by_meter(bank))
    assert (north.area, north.meter_id, north.missing, north.readings) == ("north", "", 2, 10)
    out = io.StringIO()
    assert write_quality(out, [bank]) == 4
    table = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["meter_id"] for row in table] == ["a", "b", "c", ""]
    assert [row["missing"] for row in table] == ["1", "1", "0", "2"]


def test_a_meter_that_never_spoke_has_no_row() -> None:
    assert list(by_meter(make_bank([Meter(meter_id="m")]))) == []


def test_replay_writes_the_table(tmp_path: Path) -> None:
    readings, meters = tmp_path / "readings.csv", tmp_path / "meters.csv"
    readings.write_text(
        "meter_id,time,value\n"
        + "".join(f"m,2024-03-01T{hour:02}:00:00Z,1\n" for hour in range(12) if hour not in (4, 5))
    )
    meters.write_text("meter_id,commodity,unit,kind,interval_s,area\nm,water,m3,interval,3600,north\n")
    table = tmp_path / "quality.csv"
    done = CliRunner().invoke(
        app,
        [
            "replay",
            str(readings),
            "--meters",
            str(meters),
            "--flags",
            str(tmp_path / "f"),
            "--quality",
            str(table),
        ],
    )
    assert done.exit_code == 0, done.output
    meter, area = csv.DictReader(io.StringIO(table.read_text()))
    assert (meter["meter_id"], meter["readings"], meter["missing"]) == ("m", "10", "2")
    assert (area["meter_id"], area["area"], area["missing"]) == ("", "north", "2")


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_summer_time_neither_loses_nor_doubles_an_hour(day: str, hours: int) -> None:
    """The days on which the clocks change in Madrid have 23 and 25 hours, of which none is missing or seen twice."""
    first = instant(f"{day}T00:00:00+01:00" if hours == 23 else f"{day}T00:00:00+02:00")
    rows = [Row("m", first + i * HOUR, 1.0) for i in range(-24 * 3, 24 * 4)]
    bank = make_bank([Meter(meter_id="m", kind="interval", interval_s=3600, tz="Europe/Madrid", unit="m3")])
    assert feed(bank, rows).flags == []
    (one,) = by_meter(bank)
    assert (one.readings, one.missing, one.duplicates, one.late) == (len(rows), 0, 0, 0)
    # The same wall clock hour twice, an hour apart in UTC, is two readings; a stamp counts by UTC.
    pulse = bank.state.of("intervals", "pulse")[0]
    assert float(pulse["usage"]) == len(rows)
