"""The page of the detectors' comparison, as Markdown."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import table
from benchmarks.sets import BILLS, ROOT, SETS

if TYPE_CHECKING:
    from benchmarks.detection import Result

PACKAGES = ("numpy", "scipy", "numba", "pandas", "pyarrow", "scikit-learn", "pyod", "river")
#: Kinds of flag that say too little; the others say too much.
LOW = frozenset({"low_usage", "zero_usage", "stuck", "level_shift", "gap", "silent"})
NOTHING = "–"

INTRODUCTION = """\
# Detection, measured

Made by `make bench ARGS=detection`; not edited by hand. Real meters with faults of known kind, size and time put in;
a flag that hits none of them is false, also where it is right about something that nobody put in. 42 days of
warm-up, 24 h of grace after a fault's end.

- **Forestall**: `forestall replay` with its defaults, the same for all sets. No threshold was chosen with these
  truths in hand.
- **rules**: what utilities have had for decades (`benchmarks/reference.py`): validation, high/low, spike check,
  minimum flow, CUSUM, no use. One set of parameters for all, their sizes set on the fitted half of the four hourly
  sets.
- **PyOD, river**: the libraries' detectors (`benchmarks/peers.py`) on the features of closed days, with the rules'
  validation (gap, rollback, misread) as a gift. **Their threshold was chosen with the truth in hand**, set by set,
  for the best F1; PyOD has also seen the whole set before it scores a day of it. Both flatter them.

*False* is false flags per 1,000 meter-days (of bills: per 1,000 bills). *F1 at ≤ 1* is the best F1 at no more than
one of these, by a cut with the truth in hand: to compare, not to expect; the rules have no scores to cut by. *Kind
right*: share of the faults found that the flag calls by their name. *Most a day*: flags on the worst day over the
whole fleet, true and false. *Rise, fall*: false flags on the 5 % of days on which the fleet's use rises (falls)
most, as a multiple of an even share. *Readings/s* are of one core's CPU time beyond start-up; times on shared
machines vary, so take the ratios. *State*: bytes a meter; of Forestall, of its columns, as `forestall replay` tells
them; of the others, pickled models divided by the meters, and 35 days of figures. The *fitted half* are the meters
whose crc32 of the id is even: what Forestall learnt, it learnt there, from sets whose licence allows it (never from
power_homes); the *other half* it has not seen."""


def write(results: Sequence[Result], left_out: Sequence[str]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, _when()]
    if left_out:
        parts.append("Left out: " + "; ".join(left_out) + ".")
    methods = list(dict.fromkeys(result.method for result in results))
    sets = list(dict.fromkeys(result.name for result in results))
    at = {(result.method, result.name): result for result in results}
    parts.append("## All sets\n\nF1 (false)\n\n" + _summary(methods, sets, at))
    for name in sets:
        own = [at[method, name] for method in methods]
        parts.append(f"## {name}\n\n{SETS[name]}. {_size(own[0])}\n\n" + _main(own))
        parts.append(f"Recall{'' if name in BILLS else ' (median delay)'}\n\n" + _types(own))
        parts.append("F1 (false, recall) of the halves\n\n" + _halves(own))
    return "\n\n".join(parts)


def _when() -> str:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    today = dt.datetime.now(dt.UTC).date()
    date = f"{today.day} {today:%B %Y}"
    return (
        f"Measured on {date} with Forestall {importlib.metadata.version('forestall')}{_commit()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}, on {os.cpu_count()} cores ({_processor()})."
    )


def _commit() -> str:
    """Where git says so."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=, changed", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" ({done.stdout.strip()})"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _summary(methods: Sequence[str], sets: Sequence[str], at: dict[tuple[str, str], Result]) -> str:
    header = ("", *sets, "false, hourly sets but the demo", "readings/s", "beside the first", "start-up [s]")
    rows = []
    speeds = {method: _speed([at[method, name] for name in sets]) for method in methods}
    first = speeds[methods[0]]
    for method in methods:
        own = [at[method, name] for name in sets]
        hourly = [result for result in own if result.name not in BILLS and result.name != "demo"]
        days = sum(result.exposure for result in hourly)
        false = sum(result.told["false_per_1000"] * result.exposure for result in hourly)
        speed = speeds[method]
        rows.append(
            (
                method,
                *(f"{_share(r.told['f1'])} ({r.told['false_per_1000']:.2f})" for r in own),
                f"{false / days:.2f}" if days else NOTHING,
                _count(speed),
                f"{speed / first:.2g} ×" if speed and first else NOTHING,
                f"{own[0].start:.1f}",
            )
        )
    return table(header, rows)


def _main(own: Sequence[Result]) -> str:
    bills = own[0].name in BILLS
    fleet = "false_on_rise_days" in own[0].told
    false = "false, high + low" if bills else "false"
    header = ["", "F1", false, "F1 at ≤ 1", "recall", "kind right", "most a day"]
    header += ["rise, fall"] * fleet + ["readings/s", "state [B]"]
    rows = []
    for result in own:
        told = result.told
        row = [
            result.method,
            _share(told["f1"]),
            _sides(result) if bills else f"{told['false_per_1000']:.2f}",
            _share(result.at_most),
            _share(told["recall"]),
            _share(told["kind_right"]),
            str(told["most_on_a_day"]),
        ]
        if fleet:
            ratios = [told[f"false_on_{side}_days"]["ratio"] for side in ("rise", "fall")]
            row.append(", ".join(NOTHING if r is None else f"{r:.1f}" for r in ratios))
        row += [_count(_speed([result])), f"{result.state_bytes:,.0f}"]
        rows.append(tuple(row))
    return table(tuple(header), rows)


def _types(own: Sequence[Result]) -> str:
    bills = own[0].name in BILLS
    types = sorted(own[0].told["recall_by_type"])
    rows = []
    for kind in types:
        cells = []
        for result in own:
            share, delay = result.told["recall_by_type"][kind], result.told["median_delay_h"].get(kind)
            cells.append(_share(share) + (f" ({_delay(delay)})" if delay is not None and not bills else ""))
        rows.append((kind, *cells))
    if "recall_spike_x5_or_more" in own[0].told:
        rows.append(("spikes × 5 and more", *(_share(r.told["recall_spike_x5_or_more"]) for r in own)))
    return table(("", *(result.method for result in own)), rows)


def _halves(own: Sequence[Result]) -> str:
    rows = [(result.method, *(_half(told) for told in result.halves)) for result in own]
    return table(("", "fitted half", "other half"), rows)


def _half(told: dict[str, Any]) -> str:
    if not told["events"]:
        return NOTHING
    return f"{_share(told['f1'])} ({told['false_per_1000']:.2f}, {_share(told['recall'])})"


def _sides(result: Result) -> str:
    """False flags per 1,000 bills on the high side and on the low."""
    sides = [0, 0]
    for kind, n in result.told["false_by_kind"].items():
        sides[kind in LOW] += n
    return " + ".join(f"{1000 * n / result.exposure:.2f}" for n in sides)


def _size(result: Result) -> str:
    days = "bills" if result.name in BILLS else "meter-days after the warm-up"
    return (
        f"{result.meters:,} meters, {result.readings:,} readings, {result.told['events']:,} faults, "
        f"{result.exposure:,.0f} {days}."
    )


def _speed(own: Sequence[Result]) -> float:
    """Readings a second of CPU beyond start-up; 0 where the CPU is too little to tell."""
    cpu = sum(result.cpu for result in own)
    start = max(result.start for result in own)
    return sum(result.readings for result in own) / cpu if cpu > 0.1 * start and cpu > 0 else 0.0


def _count(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}" if value else NOTHING


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _delay(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.0f} d"
