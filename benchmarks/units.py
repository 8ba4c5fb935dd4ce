"""Units that change: how many jumps by a factor *unit_error* finds, by the hour at which they begin.

    python -m benchmarks.units [--sets water_homes,…] [--draws 8] [--data DIR]

Real meters read by the hour, each multiplied for 20 days at a time, by each factor and from each hour of the
day in turn, where no fault is within 21 days before and a day after; 60 days pass between two such stretches.
``steps`` alone runs behind validation, as `forestall replay` has it. A jump is found when a flag is raised while
it lasts; *right* is a flag of its own factor. Then the flags on the same readings as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.detection import DATA
from benchmarks.score import I8
from benchmarks.sets import BILLS, SETS, Set, at_hand, half
from benchmarks.stretches import F8, Room, clean, rewritten, tables, told
from detectors import Intervals, Steps
from detectors.batch import DAY
from streams.messages import Flag
from streams.programs import compose
from streams.settings import Settings

FACTORS = (10.0, 35.3147, 100.0, 1000.0, 1 / 10.0, 1 / 35.3147, 1 / 100.0, 1 / 1000.0)
HOURS = (0, 9, 15)  # of the day, at which they begin
WARM, LASTS, BETWEEN, BEFORE = 60, 20, 60, 21  # [d]
ROOM = Room(WARM, BETWEEN, BEFORE, 1)
NEAR = 0.01  # of the factor named


@dataclass(frozen=True, slots=True)
class Jump:
    """What is put in: readings stamped after ``start``, up to ``end`` [ns], are multiplied."""

    meter_id: str
    start: int
    end: int
    hour: int
    factor: float


def jumps(readings: pd.DataFrame, truth: pd.DataFrame, rng: np.random.Generator) -> list[Jump]:
    """Where meters can be multiplied, each by the next factor from the next hour in turn."""
    turns = [(hour, factor) for hour in HOURS for factor in FACTORS]
    rng.shuffle(turns)
    put = clean(readings, truth, ROOM, [(hour, LASTS) for hour, _ in turns], rng)
    return [
        Jump(one.meter_id, one.start, one.end, hour, factor)
        for one, (hour, factor) in zip(put, cycle(turns), strict=False)
    ]


def multiplied(readings: pd.DataFrame, registers: bool, put: list[Jump]) -> pd.DataFrame:
    """The readings with these jumps; of a register what it counts is multiplied, not what it shows."""

    def amounts(name: str, at: I8, used: F8) -> F8:
        times = np.ones(len(used))
        for jump in put:
            if jump.meter_id == name:
                times[(at > jump.start) & (at <= jump.end)] = jump.factor
        return used * times

    return rewritten(readings, registers, amounts)


def raised(readings: Path, meters: Path) -> list[Flag]:
    """The unit errors that `steps` tells of them, behind validation."""
    config = replace(compose.bank_config(Settings()), detectors=(Intervals(), Steps()))
    flags = told(readings, meters, config)
    return [flag for flag in flags if flag.kind == "unit_error" and flag.status == "raised"]


def outcome(put: list[Jump], flags: list[Flag]) -> pd.DataFrame:
    """The jumps, each with the factor that its first flag names (nan: none came), and the days until then."""
    rows = []
    for jump in put:
        named_at = [
            (pd.Timestamp(flag.at).value, float(flag.evidence["factor"]))
            for flag in flags
            if flag.meter_id == jump.meter_id
        ]
        at, named = min((one for one in named_at if jump.start < one[0] <= jump.end), default=(0, np.nan))
        rows.append(
            {
                "hour": jump.hour,
                "factor": jump.factor,
                "side": half(jump.meter_id),
                "told": named == named,
                "right": abs(named / jump.factor - 1) < NEAR,
                "after": (at - jump.start) / DAY,
            }
        )
    return pd.DataFrame(rows)


def table(of: pd.DataFrame) -> str:
    """Right of all, in per cent, by factor and hour; misnamed in brackets."""
    lines = ["| from | " + " | ".join(_word(f) for f in FACTORS) + " |", "|---" * (len(FACTORS) + 1) + "|"]
    for hour in HOURS:
        cells = []
        for factor in FACTORS:
            own = of[(of["hour"] == hour) & (of["factor"] == factor)]
            wrong = int((own["told"] & ~own["right"]).sum())
            cells.append(f"{int(own['right'].sum())}/{len(own)}" + (f" ({wrong})" if wrong else ""))
        lines.append(f"| {hour:02}:00 | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _word(factor: float) -> str:
    return f"×{factor:.4g}" if factor >= 1 else f"÷{1 / factor:.4g}"


def measure(each: Set, draws: int, scratch: Path) -> tuple[pd.DataFrame, list[Flag]]:
    """All jumps of a set, and the flags on its readings as they are."""
    readings, truth = tables(each)
    meters = each.directory / "meters.csv"
    parts = []
    for draw in range(draws):
        put = jumps(readings, truth, np.random.default_rng(draw))
        path = scratch / "multiplied.parquet"
        multiplied(readings, each.registers, put).to_parquet(path, index=False)
        parts.append(outcome(put, raised(path, meters)).assign(set=each.name))
    return pd.concat(parts), raised(each.directory / "readings.parquet", meters)


def main() -> None:
    """Measure, and print a table of all, and of each half, and what came of the readings as they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hourly = [name for name in SETS if name not in BILLS and name != "demo"]  # too short for a clean stretch
    parser.add_argument("--sets", default=",".join(hourly), help="which, separated by commas")
    parser.add_argument("--draws", type=int, default=8, help="how often each set is multiplied")
    parser.add_argument("--data", type=Path, default=DATA, help="where the sets are")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        sets, _ = at_hand(given.data, Path(directory), tuple(given.sets.split(",")))
        measured = [measure(each, given.draws, Path(directory)) for each in sets]
    found = pd.concat([part for part, _ in measured])
    for name, sides in (("all", (0, 1)), ("fitted half", (0,)), ("other half", (1,))):
        own = found[found["side"].isin(sides)]
        hours = ", ".join(
            f"{days:.1f} d" for days in own.loc[own["right"], "after"].quantile([0.5, 0.9]).tolist()
        )
        print(f"\n{name}: right {own['right'].mean():.3f} of {len(own)}; after (median, 90 %) {hours}\n")
        print(table(own))
    for each, (part, flags) in zip(sets, measured, strict=True):
        where = ", ".join(f"{f.meter_id} {f.at[:10]} {_word(float(f.evidence['factor']))}" for f in flags)
        print(
            f"\n{each.name}: right {part['right'].mean():.3f} of {len(part)}; as it is {len(flags)} flags {where}"
        )


if __name__ == "__main__":
    main()
