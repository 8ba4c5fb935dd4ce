"""An area with a thermometer: what the cold does to a meter is taken off before it is judged."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from detectors import Habit, Intervals
from detectors.batch import TEMPERATURE
from detectors.warmth import HEATED, ZERO
from streams.cli import app
from streams.programs.compose import heads
from streams.registry import Meter
from streams.state.constants import Sizes, constants
from tests.streams_of_readings import Stream, feed, make_bank
from tests.weather import BEGIN, F8, district, house, outdoors

DAYS, SNAP = 100, range(70, 76)


def replayed(stream: Stream, folder: Path) -> list[dict[str, Any]]:
    """Flags of ``habit`` that `forestall replay` raises, from files as a utility has them."""
    with (folder / "readings.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("meter_id", "time", "value"))
        table.writerows(
            (row.meter, str(np.datetime64(row.time, "ns")) + "Z", row.value) for row in stream.rows
        )
    columns = ("meter_id", "commodity", "unit", "kind", "interval_s", "area", "class")
    with (folder / "METERS.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for m in stream.meters:
            table.writerow((m.meter_id, m.commodity, m.unit, m.kind, m.interval_s, m.area, m.meter_class))
    done = CliRunner().invoke(
        app,
        ["replay", str(folder / "readings.csv"), "--meters", str(folder / "METERS.csv"),
         "--flags", str(folder / "flags.jsonl")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in (folder / "flags.jsonl").read_text("utf-8").splitlines()]
    return [f for f in told if f["status"] == "raised" and f["evidence"]["detector"] == "habit"]


def winter(count: int, seed: int) -> tuple[F8, list[F8]]:
    """A cold snap in a winter, and houses that are heated."""
    air = outdoors(DAYS, seed, SNAP)
    return air, [house(air, 10 * seed + k) for k in range(count)]


@pytest.mark.parametrize(("count", "seed", "unit"), [(3, 3, "Cel"), (3, 1, "[degF]"), (1, 2, "Cel")])
def test_a_cold_snap_is_no_fault_where_there_is_a_thermometer(
    tmp_path: Path, count: int, seed: int, unit: str
) -> None:
    """Three houses, or one alone: neighbours are too few to tell the weather."""
    air, uses = winter(count, seed)
    assert replayed(district(uses), tmp_path), "the weather alone must look like faults, or nothing is shown"
    assert replayed(district(uses, air, unit), tmp_path) == []


def test_what_the_weather_alone_still_raises() -> None:
    """Of six winters of three houses each: hardly anything with a thermometer, much without."""
    told = {True: 0, False: 0}
    for seed in range(6):
        air, uses = winter(3, seed)
        for known in told:
            stream = district(uses, air if known else None)
            bank = make_bank(stream.meters, (Intervals(), Habit(heads=heads())))
            told[known] += sum(
                f.status == "raised" and f.kind in Habit.kinds for f in feed(bank, stream.rows).flags
            )
    assert told[True] <= 1
    assert told[False] >= 10


def test_a_theft_in_the_cold_is_told_in_spite_of_it(tmp_path: Path) -> None:
    """One of three houses uses a seventh from the first day of the snap on, when the others use twice as much."""
    air, uses = winter(3, 3)
    uses[1][SNAP[0] :] *= 0.15
    flags = replayed(district(uses, air), tmp_path)
    assert {(f["meter_id"], f["kind"]) for f in flags} == {("g1", "low_usage")}
    at = (np.datetime64(flags[0]["at"].rstrip("Z")) - np.datetime64(BEGIN, "ns")) / np.timedelta64(1, "D")
    assert SNAP[0] < at < SNAP[0] + 8
    assert flags[0]["evidence"]["area_move"] > 1, "the weather asks for more on that day, and is told"


def test_a_thermometer_that_falls_silent_leaves_the_meters_to_themselves(tmp_path: Path) -> None:
    """From day 40 on nothing is known of the weather: it looks like faults again, and nothing breaks."""
    air, uses = winter(3, 0)
    stream = district(uses, air)
    broken = [row for row in stream.rows if row.meter != "air" or row.time < BEGIN + 40 * 86_400 * 10**9]
    assert replayed(Stream(stream.meters, broken), tmp_path)


@pytest.mark.parametrize(("unit", "reading"), [("Cel", 15.5), ("K", 288.65), ("[degF]", 59.9)])
def test_any_unit_of_temperature_makes_a_thermometer(unit: str, reading: float) -> None:
    told = constants(Meter(meter_id="air", unit=unit, kind="gauge"), Sizes())
    assert told["quantity"] == TEMPERATURE
    assert told["zero"] + told["base"] * reading == pytest.approx(HEATED + ZERO)
