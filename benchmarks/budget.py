"""What the ticket budget comes to: false flags and F1 of both halves of each set, budget by budget.

    python -m benchmarks.budget [--sets water_homes,…] [--budgets 0.5,1,2,5] [--data DIR]

Each line is one `forestall replay` with ``detection.budget`` set and all else at its default. Of bills the
false flags are those per 1,000 bills, high, low and zero use together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.detection import DATA
from benchmarks.score import Scoring, load_flags, score
from benchmarks.sets import ROOT, SETS, Set, at_hand, half


def replay(each: Set, budget: float, out: Path) -> pd.DataFrame:
    """The flags that come of a set at a budget. Raises CalledProcessError where replay fails."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("FORESTALL_")}
    own["FORESTALL_DETECTION__BUDGET"] = f"{budget:g}"
    subprocess.run(
        [sys.executable, "-m", "streams.cli", "replay", str(each.directory / "readings.parquet"),
         "--meters", str(each.directory / "meters.csv"), "--flags", str(out)],
        cwd=ROOT, env=own, check=True, capture_output=True,
    )  # fmt: skip
    return load_flags(out)


def halves(of: Scoring, flags: pd.DataFrame) -> list[tuple[str, dict[str, object]]]:
    """Figures of all meters, of the half on which ours is fitted, and of the other."""
    told = [("all", score(of, flags))]
    for side, name in enumerate(("fitted", "other")):
        meters = {meter for meter in of.first if half(meter) == side}
        told.append((name, score(of.only(meters), flags[flags["meter_id"].isin(meters)])))
    return told


def main() -> None:
    """Measure, and print a line for each set, budget and half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(SETS), help="which, separated by commas")
    parser.add_argument("--budgets", default="0.5,1,2,5")
    parser.add_argument("--data", type=Path, default=DATA, help="where the sets are")
    given = parser.parse_args()
    print("| set | budget | meters | false per 1,000 | recall | F1 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        sets, _ = at_hand(given.data, Path(directory), tuple(given.sets.split(",")))
        for each in sets:
            of = each.load()
            for budget in map(float, given.budgets.split(",")):
                for name, own in halves(of, replay(each, budget, Path(directory) / "flags.jsonl")):
                    print(
                        f"| {each.name} | {budget:g} | {name} | {own['false_per_1000']:.2f} "
                        f"| {own['recall']:.3f} | {own['f1']:.3f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
