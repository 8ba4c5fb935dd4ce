"""What is put into real meters where nothing else is wrong: where there is room, how readings change, what is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.score import DAY, HOUR, I8, nanoseconds
from benchmarks.sets import Set
from connectors.reading_files import FileOptions, read_files
from connectors.registry_csv import read_registry
from streams.messages import Flag, Reject
from streams.programs.replay import Replay
from streams.settings import Settings
from streams.state.bank import BankConfig

F8 = NDArray[np.float64]

HOLE = 6 * HOUR  # longer between two reads of a register, and what was used on the days is not known
STEP = 3  # days further on, where a fault is too near


@dataclass(frozen=True, slots=True)
class Room:
    """Days that a stretch keeps from a meter's first reading, from the stretch before, from faults ahead and after."""

    warm: int
    between: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Readings of a meter stamped after ``start``, up to ``end`` [ns]."""

    meter_id: str
    start: int
    end: int


def clean(
    readings: pd.DataFrame,
    truth: pd.DataFrame,
    room: Room,
    turns: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> list[Stretch]:
    """Stretches without a fault. ``turns``: the hour of the day [UTC] and the days of each, in turn."""
    put: list[Stretch] = []
    for name, own in readings.groupby("meter_id"):
        at, faults = nanoseconds(own["time"]), truth[truth["meter_id"] == name]
        begun, ended = nanoseconds(faults["start"]), nanoseconds(faults["end"])
        day, last = int(at.min()) // DAY + room.warm + int(rng.integers(0, room.between)), int(at.max())
        while True:
            hour, lasts = turns[len(put) % len(turns)]
            if (day + lasts + room.after) * DAY > last:
                break
            start = day * DAY + hour * HOUR
            end = start + lasts * DAY
            if ((begun < end + room.after * DAY) & (ended > start - room.before * DAY)).any():
                day += STEP
                continue
            put.append(Stretch(str(name), start, end))
            day += lasts + room.between
    return put


def rewritten(readings: pd.DataFrame, registers: bool, amounts: Callable[[str, I8, F8], F8]) -> pd.DataFrame:
    """The readings with other amounts; of a register what it counts changes, and what it shows follows.

    amounts : meter, instants [ns] and what was used up to each since the one before, to what is put there
    """
    parts = []
    for name, own in readings.sort_values(["meter_id", "time"]).groupby("meter_id"):
        value = own["value"].to_numpy(np.float64)
        used = np.diff(value, prepend=value[0]) if registers else value
        put = amounts(str(name), nanoseconds(own["time"]), used)
        parts.append(own.assign(value=value[0] + np.cumsum(put) if registers else put))
    return pd.concat(parts)


def tables(each: Set) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readings and truth of a set."""
    readings = pd.read_parquet(each.directory / "readings.parquet", columns=["meter_id", "time", "value"])
    readings["meter_id"] = readings["meter_id"].astype(str)
    truth = pd.read_csv(each.directory / "truth.csv", dtype={"meter_id": str}, parse_dates=["start", "end"])
    return readings, truth


def daily(each: Set, directory: Path) -> Set:
    """A set's totals of UTC days, as amounts of meters read daily; days with a hole are left out."""
    readings, _ = tables(each)
    registers, parts = each.registers, []
    for name, own in readings.sort_values(["meter_id", "time"]).groupby("meter_id"):
        at, value = nanoseconds(own["time"]), own["value"].to_numpy(np.float64)
        counted = value if registers else np.cumsum(value)
        marks = np.arange(-(-at[0] // DAY), at[-1] // DAY + 1) * DAY
        totals, whole = np.diff(np.interp(marks, at, counted)), np.ones(len(marks) - 1, bool)
        most = HOLE if registers else 1.5 * float(np.median(np.diff(at)))
        for hole in np.flatnonzero(np.diff(at) > most).tolist():
            first, after = at[hole] // DAY, -(-at[hole + 1] // DAY)
            whole[max(0, first - marks[0] // DAY) : max(0, after - marks[0] // DAY)] = False
        times = pd.to_datetime(marks[1:][whole], utc=True)
        parts.append(pd.DataFrame({"meter_id": name, "time": times, "value": totals[whole]}))
    directory.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_parquet(directory / "readings.parquet", index=False)
    meters = pd.read_csv(each.directory / "meters.csv", dtype=str)
    meters.assign(kind="interval", interval_s="86400").to_csv(directory / "meters.csv", index=False)
    (directory / "truth.csv").write_bytes((each.directory / "truth.csv").read_bytes())
    return Set(each.name, directory)


def told(readings: Path, meters: Path, config: BankConfig | None = None) -> list[Flag]:
    """All flags that come of a file of readings, by the default detectors or those given."""
    known, _ = read_registry(meters)
    run = Replay(Settings(), known, config)
    flags: list[Flag] = []
    rejects: list[Reject] = []
    for chunk in read_files([readings], rejects.append, _unseen, FileOptions()):
        flags += run.take(chunk)
    return flags


def _unseen(done: int, of: int) -> None:
    """No bar."""
