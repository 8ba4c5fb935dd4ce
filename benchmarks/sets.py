"""The sets that detectors are measured on: those at hand, and the packaged demo meters with faults put in.

The demo's faults are those of ``benchmarks.faults``, and of the line and the register: a misread that is
made up for an hour later, a fall that is not, six hours to seven days without a word. Where its own
readings have a hole or stand still for a day and longer is marked ``ignore``, as in the other sets.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.faults import put_in
from benchmarks.score import Scoring, load_set

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "streams" / "programs" / "demo_data"
#: Name → what it is, as a reader of the table wants to know.
SETS = {
    "water_homes": "47 homes in Alicante, hourly registers, 2016–17 (DAIAD, CC BY-SA 4.0)",
    "power_homes": "48 homes in London, half-hourly, 2013 (no licence stated: measured on, none of it is kept here)",
    "power_sites": "37 university buildings, electricity, hourly, 2018–21 (Cambridge, MIT)",
    "gas_sites": "36 university buildings, gas, hourly, 2018–21 (Cambridge, MIT)",
    "billing_water": "2,433 customers in Santa Monica, bills of two months, 2014–16 (MIT)",
    "demo": "the packaged demo meters, 25 university buildings, hourly, 2017–18 (Cambridge, MIT), "
    "with faults put in by `benchmarks/sets.py`",
}
BILLS = frozenset({"billing_water"})
KINDS = ("spike", "leak", "stuck", "theft", "drift")
LINE_KINDS = ("misread", "rollback", "gap")
AWAY = np.timedelta64(72, "h")  # from other faults
WARM = np.timedelta64(45 * 24, "h")
LONG = 24  # hours without change that are marked
HOUR = np.timedelta64(1, "h")
SEED = 7


@dataclass(frozen=True)
class Set:
    """A set on the disk: readings.parquet, meters.csv, truth.csv."""

    name: str
    directory: Path

    @property
    def bills(self) -> bool:
        """Whether it is of bills rather than of hours."""
        return self.name in BILLS

    @property
    def registers(self) -> bool:
        """Whether its values count up."""
        meters = pd.read_csv(self.directory / "meters.csv")
        return bool((meters["kind"] == "register").all())

    def load(self) -> Scoring:
        """Its readings and faults."""
        return load_set(self.directory, self.bills)


def half(meter_id: str) -> int:
    """0: the half on which ours is fitted; 1: the other."""
    return zlib.crc32(meter_id.encode()) & 1


def at_hand(data: Path, scratch: Path, names: tuple[str, ...] = tuple(SETS)) -> tuple[list[Set], list[str]]:
    """Sets that are there, the demo made in ``scratch``; and the names of those that are not there."""
    sets, missing = [], []
    for name in names:
        if name == "demo":
            sets.append(Set(name, make_demo(scratch / name)))
        elif (data / name / "truth.csv").is_file():
            sets.append(Set(name, data / name))
        else:
            missing.append(name)
    return sets, missing


def make_demo(directory: Path, faults: bool = True) -> Path:
    """Write the demo meters, with faults put in, the same ones each time, or as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    meters = pd.read_csv(DEMO / "meters.csv", dtype=str)
    meters = meters[(meters["kind"] == "interval") & (meters["interval_s"] == "3600")]
    readings = pd.read_parquet(DEMO / "readings.parquet", columns=["meter_id", "time", "value"])
    readings["meter_id"] = readings["meter_id"].astype(str)
    readings = readings[readings["meter_id"].isin(meters["meter_id"])]
    natural = holes(readings)
    truth = natural.assign(type="ignore", size=0.0)
    if faults:
        rng = np.random.default_rng(SEED)
        readings, put = put_in(readings, False, natural, KINDS, rng)
        readings, line = put_in_line(readings, pd.concat([natural, put]), rng)
        truth = pd.concat([put, line, truth])
    for column in ("start", "end"):
        truth[column] = pd.to_datetime(truth[column]).dt.tz_localize("UTC")
    truth = truth.sort_values(["meter_id", "start"], kind="stable")
    truth[["meter_id", "type", "size", "start", "end"]].to_csv(directory / "truth.csv", index=False)
    readings.to_parquet(directory / "readings.parquet", index=False)
    meters.to_csv(directory / "meters.csv", index=False)
    return directory


def holes(readings: pd.DataFrame) -> pd.DataFrame:
    """Times of hourly meters without a reading for three hours, or without change for a day: meter_id, start, end."""
    rows = []
    for name, own in readings.sort_values("time").groupby("meter_id"):
        time = own["time"].dt.tz_convert(None).to_numpy().astype("datetime64[ns]")
        missing = np.flatnonzero(np.diff(time) > 3 * HOUR).tolist()
        rows += [(str(name), time[k], time[k + 1]) for k in missing]
        value = own["value"].to_numpy(np.float64)
        turns = np.flatnonzero(np.diff(value, prepend=np.nan, append=np.nan) != 0)
        for first, after in zip(turns[:-1].tolist(), turns[1:].tolist(), strict=True):
            if after - first >= LONG:
                rows.append((str(name), time[first], time[after - 1]))
    return pd.DataFrame(rows, columns=["meter_id", "start", "end"])


def put_in_line(
    readings: pd.DataFrame, taken: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Misreads, rollbacks and gaps in hourly amounts, where nothing else is: one of each a meter, given room."""
    parts, rows = [], []
    for name, own in readings.groupby("meter_id", sort=True):
        frame = own.sort_values("time").reset_index(drop=True)
        time = frame["time"].dt.tz_convert(None).to_numpy().astype("datetime64[ns]")
        value = frame["value"].to_numpy(np.float64).copy()
        busy = taken[taken["meter_id"] == name]
        low = busy["start"].to_numpy().astype("datetime64[ns]") - AWAY
        high = busy["end"].to_numpy().astype("datetime64[ns]") + AWAY
        keep = np.ones(len(frame), bool)
        for kind in LINE_KINDS:
            length = int(rng.choice([6, 24, 72, 168])) if kind == "gap" else 1
            free = np.array([
                time[k] > time[0] + WARM and not ((low < time[k + length]) & (high > time[k])).any()
                for k in range(1, len(time) - length - 24)
            ])  # fmt: skip
            if not free.any():
                continue
            k = 1 + int(rng.choice(np.flatnonzero(free)))
            size = float(length) / 24
            day = max(float(np.nansum(value[max(0, k - 24 * 28) : k])) / 28, 1.0)
            if kind == "misread":
                # A wrong digit of the register, the lowest that is worth a day's use.
                size = float(10 ** np.ceil(np.log10(day))) * (1 if rng.random() < 0.5 else -1)
                value[k], value[k + 1] = value[k] + size, value[k + 1] - size
            elif kind == "rollback":
                size = float(rng.choice([7, 30]))  # days' use that the register falls by
                value[k] -= size * day
                length = 0
            else:
                keep[k + 1 : k + length + 1] = False
            rows.append((str(name), kind, size, time[k], time[k + length]))
            low, high = np.append(low, time[k] - AWAY), np.append(high, time[k + length] + AWAY)
        frame["value"] = value
        parts.append(frame[keep])
    return pd.concat(parts), pd.DataFrame(rows, columns=["meter_id", "type", "size", "start", "end"])
