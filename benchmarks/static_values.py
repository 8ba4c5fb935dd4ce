"""Values that stand: how many stretches of one amount, not nought, are told as *stuck*, and how soon.

    python -m benchmarks.static_values [--sets water_homes,…] [--draws 3] [--each 1] [--data DIR]

Real meters, each held once a draw at its last amount, or at the mean of the two weeks before, where no fault is within
three days; with ``--each`` so many times, 60 days apart: a run that was not told is learnt, and may hide the next. By
the hour they stand for 3, 5 or 10 days from 0:00, 9:00 or 15:00; their daily totals, of days read throughout, for
8, 10 or 14. The default detectors judge them as `forestall replay` does. Found is a stretch in which, or within a day
of whose end (two of daily totals), a run of equal amounts is told. Those held below a quarter of the two weeks before
are counted apart: they are not meant to be told. *Outside* are such flags that touch neither a stretch nor what the
set's truth names; then those on the readings as they are. The demo is the packaged one, without faults put in.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.detection import DATA
from benchmarks.score import DAY, HOUR, I8, nanoseconds
from benchmarks.sets import BILLS, SETS, Set, at_hand, half, make_demo
from benchmarks.stretches import F8, Room, Stretch, clean, daily, rewritten, tables, told
from detectors.static_value import SHARE
from streams.messages import Flag

ROOM = Room(warm=60, between=60, before=3, after=3)
BEFORE = 14  # days whose mean is held
READ = 0.95  # of a stretch's readings that must be there
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """How meters are read: what they are held at, for how many days, from which hours; what tells of it, until when."""

    name: str
    held: tuple[str, ...]
    lasts: tuple[int, ...]
    hours: tuple[int, ...]
    detector: str
    grace: int  # [d]


@dataclass(frozen=True)
class Draws:
    """How often each set is held, and how many stretches of a meter at a time."""

    number: int = 3
    each: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """Equal amounts that a flag tells of [ns]; ``cleared`` is inf where it is open to the end."""

    name: str  # the flag's id
    meter_id: str
    start: int
    at: int
    cleared: float


@dataclass(frozen=True)
class Measured:
    """A set: its stretches; flags outside, by what was held; runs told of it as it is, how many of them outside."""

    name: str
    stretches: pd.DataFrame
    outside: dict[str, int]
    as_is: list[Run]
    as_is_outside: int


HOURLY = Reading("by the hour", ("last", "mean"), (3, 5, 10), (0, 9, 15), "habit", 1)
DAILY = Reading("daily totals", ("mean",), (8, 10, 14), (0,), "high_low", 2)


def standing(
    readings: pd.DataFrame, registers: bool, put: list[Stretch], held: str
) -> tuple[pd.DataFrame, dict[Stretch, float]]:
    """The readings with these stretches held; each that was read throughout, with its share of the usual amount.

    held : *last*, the amount of the last reading before, or *mean*, of the two weeks before
    """
    shares: dict[Stretch, float] = {}

    def amounts(name: str, at: I8, used: F8) -> F8:
        own = [stretch for stretch in put if stretch.meter_id == name]
        if not own:
            return used
        steps = np.diff(at, prepend=at[0])
        usual_step = float(np.median(steps[1:]))
        # A register that was read late has counted for so much longer.
        spans = steps / usual_step if registers else np.ones(len(at))
        changed = used.copy()
        for stretch in own:
            inside = (at > stretch.start) & (at <= stretch.end)
            before = (at > stretch.start - BEFORE * DAY) & (at <= stretch.start) & (used >= 0) & (spans > 0)
            if not before.any() or inside.sum() * usual_step < READ * (stretch.end - stretch.start):
                continue
            usual = float(used[before].sum() / spans[before].sum())
            last = float(used[before][-1] / spans[before][-1])
            amount = last if held == "last" else round(usual, DECIMALS)
            if amount > 0:
                changed[inside] = amount * spans[inside]
                shares[stretch] = amount / usual
        return changed

    return rewritten(readings, registers, amounts), shares


def runs(flags: list[Flag], how: Reading) -> list[Run]:
    """What is told of equal amounts."""
    found = []
    for flag in flags:
        stuck = flag.evidence.get("seen_as", flag.kind) == "stuck" and flag.status != "cleared"
        equal = how is DAILY or "equal_hours" in flag.evidence  # by the day nothing else is *stuck*
        if stuck and equal and flag.evidence["detector"] == how.detector:
            at = _ns(flag.at)
            ends = [_ns(o.at) for o in flags if o.id == flag.id and o.status == "cleared" and _ns(o.at) >= at]
            found.append(Run(flag.id, flag.meter_id, _ns(flag.start), at, min(ends, default=np.inf)))
    return found


def outcome(shares: dict[Stretch, float], found: list[Run], how: Reading) -> pd.DataFrame:
    """The stretches: when each was told, after its start, and cleared, after its end [h]; inf: never cleared."""
    rows = []
    for one, share in shares.items():
        until = one.end + how.grace * DAY
        own = [run for run in found if run.meter_id == one.meter_id and one.start < run.at <= until]
        first = min(own, key=lambda run: run.at, default=None)
        rows.append(
            {
                "side": half(one.meter_id),
                "enough": share >= SHARE,
                "found": first is not None,
                "told": (first.at - one.start) / HOUR if first else np.nan,
                "cleared": (first.cleared - one.end) / HOUR if first else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=["side", "enough", "found", "told", "cleared"])


def outside(found: list[Run], shares: dict[Stretch, float], truth: pd.DataFrame, how: Reading) -> list[Run]:
    """One run of each flag that touches neither a stretch nor what the truth names."""
    left: dict[str, Run] = {}
    begun, ended = nanoseconds(truth["start"]), nanoseconds(truth["end"]) + how.grace * DAY
    for run in found:
        put = any(
            one.meter_id == run.meter_id and one.start < run.at and one.end + how.grace * DAY >= run.start
            for one in shares
        )
        named = (truth["meter_id"] == run.meter_id).to_numpy() & (begun <= run.at) & (ended >= run.start)
        if not put and not named.any():
            left.setdefault(run.name, run)
    return list(left.values())


def places(put: list[Stretch], most: int, rng: np.random.Generator) -> list[Stretch]:
    """So many of each meter's stretches at most."""
    left: Counter[str] = Counter()
    chosen = []
    for place in rng.permutation(len(put)).tolist():
        if left[put[place].meter_id] < most:
            left[put[place].meter_id] += 1
            chosen.append(put[place])
    return chosen


def measure(each: Set, how: Reading, draws: Draws, scratch: Path) -> Measured:
    """Hold a set's meters, each draw elsewhere, and judge them; then its readings as they are."""
    readings, truth = tables(each)
    meters, path, parts = each.directory / "meters.csv", scratch / "standing.parquet", []
    false = dict.fromkeys(how.held, 0)
    for draw in range(draws.number):
        rng = np.random.default_rng(draw)
        turns = [(hour, lasts) for hour in how.hours for lasts in how.lasts]
        rng.shuffle(turns)
        put = places(clean(readings, truth, ROOM, turns, rng), draws.each, rng)
        for held in how.held:
            changed, shares = standing(readings, each.registers, put, held)
            changed.to_parquet(path, index=False)
            found = runs(told(path, meters), how)
            parts.append(outcome(shares, found, how).assign(held=held))
            false[held] += len(outside(found, shares, truth, how))
    as_is = runs(told(each.directory / "readings.parquet", meters), how)
    false_as_is = len(outside(as_is, {}, truth, how))
    return Measured(each.name, pd.concat(parts), false, as_is, false_as_is)


def table(measured: list[Measured], how: Reading) -> str:
    """Found of tried, hours (medians) and what is outside, by what was held and set."""
    lines = [
        "| held at | set | fitted half | other half | told after [h] | cleared after [h] | below a quarter | outside |",
        "|---" * 8 + "|",
    ]
    for held in how.held:
        rows = [(one.name, one.stretches, one.outside[held]) for one in measured]
        rows.append(("all", pd.concat([part for _, part, _ in rows]), sum(false for *_, false in rows)))
        for name, part, false in rows:
            own = part[part["held"] == held]
            cells = [_of(own[own["enough"] & (own["side"] == side)]) for side in (0, 1)]
            cells += [f"{own.loc[own['enough'], what].median():.1f}" for what in ("told", "cleared")]
            cells += [_of(own[~own["enough"]]), str(false)]
            lines.append(f"| {held} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _of(part: pd.DataFrame) -> str:
    return f"{int(part['found'].sum())} of {len(part)}"


def _ns(instant: str) -> int:
    return int(pd.Timestamp(instant).value)


def main() -> None:
    """Measure meters read by the hour, then daily totals; print a table of each, and what came of them as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(name for name in SETS if name not in BILLS))
    parser.add_argument("--draws", type=int, default=Draws.number, help="how often each set is held")
    parser.add_argument("--each", type=int, default=Draws.each, help="stretches of a meter a draw, at most")
    parser.add_argument("--data", type=Path, default=DATA, help="where the sets are")
    given = parser.parse_args()
    names = tuple(given.sets.split(","))
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        sets, _ = at_hand(given.data, scratch, tuple(name for name in names if name != "demo"))
        if "demo" in names:
            sets.append(Set("demo", make_demo(scratch / "demo", faults=False)))
        for how in (HOURLY, DAILY):
            own = sets if how is HOURLY else [daily(each, scratch / f"{each.name}-daily") for each in sets]
            measured = [measure(each, how, Draws(given.draws, given.each), scratch) for each in own]
            print(f"\nread {how.name}, for {', '.join(map(str, how.lasts))} days\n\n{table(measured, how)}\n")
            for one in measured:
                days = dict.fromkeys(f"{run.meter_id} {pd.Timestamp(run.at):%Y-%m-%d}" for run in one.as_is)
                print(
                    f"{one.name} as it is: {', '.join(days) or 'nothing told'}; {one.as_is_outside} outside"
                )


if __name__ == "__main__":
    main()
