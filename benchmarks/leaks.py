"""Leaks in homes' water: how many of 2 L/h and more are told within 26 and 74 hours, at what price.

    python -m benchmarks.leaks [--budgets 1,5] [--data DIR]

On water_homes (the goals are of this set), one `forestall replay` a budget with all else at its default.
How large a leak is: its size times the home's mean use an hour, of the hours in which no fault was put in.
A leak is found by the first flag of any kind inside it or within a day of its end, as the scorer takes it;
false leak flags are those named *leak* or *continuous_flow* that hit no fault, per 1,000 meter-days.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.budget import replay
from benchmarks.detection import DATA
from benchmarks.score import FALSE, HOUR, Scoring, counted, match, nanoseconds
from benchmarks.sets import at_hand, half

LEAST = 2.0  # [L/h]
WITHIN = (26, 74)  # [h]
MOST = 5_000.0  # litres in an hour beyond which a register has not counted but jumped
LEAKS = ("leak", "continuous_flow")


def rates(of: Scoring) -> pd.Series[float]:
    """What each leak of the set loses, by the row of ``faults``. [L/h]"""
    usual: dict[str, float] = {}
    for name, own in of.readings.sort_values(["meter_id", "time"]).groupby("meter_id"):
        at, used = nanoseconds(own["time"])[1:], np.diff(own["value"].to_numpy(np.float64))
        hours = np.diff(nanoseconds(own["time"])) / HOUR
        sound = (used >= 0) & (used < MOST)
        faults = of.faults[of.faults["meter_id"] == name]
        for begin, end in zip(nanoseconds(faults["start"]), nanoseconds(faults["end"]), strict=True):
            sound &= (at < begin) | (at > end)
        usual[str(name)] = float(used[sound].sum() / hours[sound].sum())
    leaks = of.faults[of.faults["type"] == "leak"]
    return leaks["size"].astype(float) * leaks["meter_id"].map(usual)


def told(of: Scoring, flags: pd.DataFrame, large: pd.Series[bool]) -> dict[str, float]:
    """Share of the large leaks found within each of WITHIN; false leak flags per 1,000 meter-days."""
    flags = counted(of, flags)
    at = nanoseconds(flags["at"])
    hit = match(of, flags["meter_id"].to_numpy(object), at)
    begin = nanoseconds(of.faults["start"])
    after = pd.Series((at - begin[np.maximum(hit, 0)]) / HOUR).groupby(hit).min()
    mine = after.reindex(large.index[large])
    shares = {f"within {hours} h": float((mine <= hours).mean()) for hours in WITHIN}
    false = int(((hit == FALSE) & flags["kind"].isin(LEAKS).to_numpy()).sum())
    return {**shares, "leaks": float(len(mine)), "false leak flags": 1000 * false / of.exposure}


def main() -> None:
    """Measure, and print a line for each budget and half."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", default="1,5")
    parser.add_argument("--data", type=Path, default=DATA, help="where the sets are")
    given = parser.parse_args()
    print("| budget | meters | leaks | within 26 h | within 74 h | false leak flags per 1,000 |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        (each,), _ = at_hand(given.data, Path(directory), ("water_homes",))
        of = each.load()
        for budget in map(float, given.budgets.split(",")):
            flags = replay(each, budget, Path(directory) / "flags.jsonl")
            for name, sides in (("all", (0, 1)), ("fitted", (0,)), ("other", (1,))):
                meters = {meter for meter in of.first if half(meter) in sides}
                own = of.only(meters)
                found = told(own, flags[flags["meter_id"].isin(meters)], rates(own) >= LEAST)
                print(
                    f"| {budget:g} | {name} | {found['leaks']:.0f} | {found['within 26 h']:.3f} "
                    f"| {found['within 74 h']:.3f} | {found['false leak flags']:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
