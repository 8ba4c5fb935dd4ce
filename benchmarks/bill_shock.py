"""How often a bill is announced as a shock: episodes of ``bill_shock`` on real meters, each with a bill day of its own.

    python -m benchmarks.bill_shock [--sets water_homes,…] [--data DIR] [--ratio 2 --confirm 2 …]

The sets state no bill day, so each meter is given 1 + crc32(id) mod 28. A line for each set:

- *flags*: episodes, and how many that is per 1,000 meter-days, all days counted from each meter's first reading on;
- *in a fault*: those of a meter in which a fault that was put in (a spike, a leak, a misread …, the natural gaps
  of the source aside) overlaps the period up to the flag;
- *without*: the others per 1,000 meter-days. What is real use that shocks counts here: nobody knows of it;
- *billed so*: of those whose period ended within the set, the share that came to ``ratio`` times the usual in the end;
- *days ahead*: median time from the flag to the bill day.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from dataclasses import fields
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.detection import DATA
from benchmarks.sets import BILLS, SETS, Set, at_hand
from connectors.reading_files import read_files
from connectors.registry_csv import read_registry
from detectors import BillShock, Intervals
from streams.messages import Flag
from streams.programs.replay import Replay
from streams.settings import load
from streams.state.bank import BankConfig


def bill_day(meter_id: str) -> int:
    """A day of the month for a meter whose own is not known, 1 to 28."""
    return 1 + zlib.crc32(meter_id.encode()) % 28


def flags_of(each: Set, detector: BillShock, scratch: Path) -> list[Flag]:
    """What the detector says of a set, by itself."""
    meters = pd.read_csv(each.directory / "meters.csv", dtype=str, keep_default_na=False)
    meters["bill_day"] = [str(bill_day(name)) for name in meters["meter_id"]]
    table = scratch / f"{each.name}.csv"
    meters.to_csv(table, index=False)
    known, _ = read_registry(table)
    replay = Replay(load(), known, BankConfig((Intervals(), detector)))
    said: list[Flag] = []
    for chunk in read_files([each.directory / "readings.parquet"], lambda _: None, lambda _, __: None):
        said += [flag for flag in replay.take(chunk) if flag.evidence["detector"] == detector.name]
    return said


def row(each: Set, flags: list[Flag], ratio: float) -> str:
    """The set's line of the table."""
    readings = pd.read_parquet(each.directory / "readings.parquet", columns=["meter_id", "time"])
    times = readings.groupby("meter_id")["time"].agg(["min", "max"])
    days = float((times["max"] - times["min"]).dt.total_seconds().sum() / 86_400)
    truth = pd.read_csv(each.directory / "truth.csv", parse_dates=["start", "end"])
    truth = truth[truth["type"] != "ignore"]
    raised = [flag for flag in flags if flag.status == "raised"]
    ended = {flag.id: flag for flag in flags if flag.status == "cleared"}
    faulty = 0
    for flag in raised:
        own = truth[truth["meter_id"] == flag.meter_id]
        faulty += bool(
            ((own["start"] <= pd.Timestamp(flag.at)) & (own["end"] >= pd.Timestamp(flag.start))).any()
        )
    came = [ended[flag.id].evidence.get("ratio", np.inf) >= ratio for flag in raised if flag.id in ended]
    ahead = [flag.evidence["period_days"] - flag.evidence["billed_days"] for flag in raised]
    per = 1000 / days
    return (
        f"| {each.name} | {days:,.0f} | {len(raised)} | {len(raised) * per:.2f} | {faulty} "
        f"| {(len(raised) - faulty) * per:.2f} | {np.mean(came) if came else np.nan:.2f} "
        f"| {median(ahead) if ahead else np.nan:.0f} |"
    )


def main() -> None:
    """Measure, and print a line for each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hourly = ",".join(name for name in SETS if name not in BILLS)
    parser.add_argument("--sets", default=hourly, help="which, separated by commas")
    parser.add_argument("--data", type=Path, default=DATA, help="where the sets are")
    for field in fields(BillShock):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    given = parser.parse_args()
    detector = BillShock(**{field.name: getattr(given, field.name) for field in fields(BillShock)})
    print(
        "| set | meter-days | flags | per 1,000 | in a fault | without, per 1,000 | billed so | days ahead |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for each in at_hand(given.data, Path(directory), tuple(given.sets.split(",")))[0]:
            print(row(each, flags_of(each, detector, Path(directory)), detector.ratio), flush=True)


if __name__ == "__main__":
    main()
