"""Our defaults beside textbook rules, PyOD and river, on real meters with faults of known kind and time.

    python -m benchmarks detection [--sets water_homes,demo] [--no-peers] [--data DIR] [--out PAGE]

Ours is `forestall replay` as it is, in a process of its own; every other method is a process of its own
too (``benchmarks.peers``). A peer's scores become flags at a threshold, which is chosen with the truth in
hand, for the best F1 of that set; ours and the rules have none to choose. Scored by ``benchmarks.score``
and, where it is at hand, by ../shared/scoring/score_tickets.py: both must agree.

CPU is that of a method's whole process tree, one thread for numerical libraries, less what the method takes
for two meters and 60 days: imports, and kernels loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import detection_page, peers
from benchmarks.days import Found, episodes, flags
from benchmarks.score import Scoring, at_a_cut, counted, figures, load_flags, match, nanoseconds, score
from benchmarks.sets import ROOT, SETS, Set, at_hand, half

PAGE = ROOT / "docs" / "detection-bench.md"
DATA = ROOT.parent / "shared" / "data"
SCORER = ROOT.parent / "shared" / "scoring" / "score_tickets.py"
OURS = "Forestall"
BUDGET = 1.0  # false flags per 1,000 meter-days
SMALL_METERS, SMALL_DAYS = 2, 60
THRESHOLDS = 120


@dataclass(frozen=True)
class Result:
    """What a method came to on a set.

    told     figures of ``benchmarks.score``; halves: the same of the half on which ours is fitted, and the other
    at_most  best F1 at no more than BUDGET false flags, cut with the truth in hand; None: no scores to cut by
    cpu      seconds beyond ``start``, those of a method that has hardly any readings
    """

    method: str
    name: str
    readings: int
    meters: int
    exposure: float
    told: dict[str, Any]
    halves: tuple[dict[str, Any], dict[str, Any]]
    at_most: float | None
    cpu: float
    start: float
    state_bytes: float


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    sets: tuple[str, ...] = tuple(SETS)
    peers: bool = True
    data: Path = DATA
    out: Path | None = None


def run(share: float = 1.0, options: Options | None = None) -> str:
    """Measure; write the page where everything was measured or a place was named; return it."""
    given = options or Options()
    methods, left_out = available(given.peers)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        sets, missing = at_hand(given.data, scratch, given.sets)
        if not sets:
            raise SystemExit(f"expected a set under {given.data}, found none of {', '.join(given.sets)}")
        if share < 1:
            sets = [cut(each, scratch / f"part-{each.name}", share=share) for each in sets]
        small = next((each for each in sets if not each.bills), None)
        if small is not None:
            small = cut(small, scratch / "small", meters=SMALL_METERS, days=SMALL_DAYS)
        for method in methods:
            start = 0.0
            if small is not None:
                # Once to compile what is not compiled yet, twice to measure.
                measured(method, small, scratch)
                start = min(measured(method, small, scratch)[0] for _ in range(2))
            for each in sets:
                results.append(one(method, each, start, scratch))
                told = results[-1].told
                sys.stderr.write(
                    f"{method}, {each.name}: F1 {told['f1']:.3f}, {told['false_per_1000']:.2f} false\n"
                )
    left_out += [f"{name} is not under {given.data.name}" for name in missing]
    page = detection_page.write(results, left_out)
    everything = not left_out and given.sets == tuple(SETS) and given.peers and share == 1
    out = given.out or (PAGE if everything else None)
    if out is None:
        return (
            page + "\n\nNot written to docs/: not everything was measured. --out PAGE writes it all the same."
        )
    out.write_text(page + "\n", "utf-8")
    return page + f"\n\nWritten to {out.name}."


def available(wanted: bool) -> tuple[list[str], list[str]]:
    """The methods that can run, and why others cannot. Fetches the peers where they are not installed."""
    methods = [OURS, "rules"]
    left_out: list[str] = []
    if not wanted:
        return methods, left_out
    if missing := [package for package in peers.PACKAGES.values() if not installed(package)]:
        why = fetch()
        importlib.invalidate_caches()
        left_out = [
            f"{name} is not installed: {why}; pip install --require-hashes -r requirements-peers.txt brings it"
            for name, package in peers.PACKAGES.items()
            if package in missing and not installed(package)
        ]
    methods += [
        method
        for method in peers.METHODS
        if (package := peers.PACKAGES.get(method.partition(" ")[0])) is not None and installed(package)
    ]
    for line in left_out:
        sys.stderr.write(f"left out: {line}\n")
    return methods, left_out


def installed(package: str) -> bool:
    """Whether it can be imported."""
    return importlib.util.find_spec(package) is not None


def fetch() -> str:
    """Install the peers into .venv; why it did not work, where it did not."""
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        return "this Python is not the one of .venv, and is left as it is"
    done = subprocess.run(["sh", "scripts/setup.sh", "peers"], cwd=ROOT, stdout=sys.stderr, check=False)
    return "" if done.returncode == 0 else "it could not be fetched (see above)"


# --- one method, one set -----------------------------------------------------------------------


def one(method: str, each: Set, start: float, scratch: Path) -> Result:
    """Run a method on a set and score it."""
    of = each.load()
    cpu, found, size, at_most = measured(method, each, scratch, of)
    told = score(of, found)
    check(each, found, told, scratch)
    if method == OURS:
        at_most = at_a_cut(of, found, BUDGET)
    halves = []
    for side in (0, 1):
        meters = {name for name in of.first if half(name) == side}
        halves.append(score(of.only(meters), found[found["meter_id"].isin(meters)]))
    return Result(
        method, each.name, len(of.readings), len(of.first), of.exposure, told, (halves[0], halves[1]),
        at_most, max(0.0, cpu - start), start, size,
    )  # fmt: skip


def measured(
    method: str, each: Set, scratch: Path, of: Scoring | None = None
) -> tuple[float, pd.DataFrame, float, float | None]:
    """CPU [s], flags, bytes of state a meter, best F1 within the budget; without ``of`` only the first is told."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = scratch / ("flags.jsonl" if method == OURS else "scores.npz")
    told = _ours(each, out) if method == OURS else _other(method, each, out)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if of is None:
        return cpu, flags([]), 0.0, None
    if method == OURS:
        state = re.search(r"([\d,]+) B of state a meter", told)
        if state is None:
            raise RuntimeError(f"expected forestall replay to tell its bytes of state a meter, got: {told}")
        return cpu, load_flags(out), float(state[1].replace(",", "")), None
    with np.load(out) as kept:
        found, at_most = flagged(of, dict(kept))
        return cpu, found, float(kept["bytes"]), at_most


def _ours(each: Set, out: Path) -> str:
    return _run(
        "-m", "streams.cli", "replay", str(each.directory / "readings.parquet"),
        "--meters", str(each.directory / "meters.csv"), "--flags", str(out),
    )  # fmt: skip


def _other(method: str, each: Set, out: Path) -> str:
    bills = ["--bills"] if each.bills else []
    return _run("-W", "ignore", "-m", "benchmarks.peers", method, str(each.directory), str(out), *bills)


def _run(*arguments: str) -> str:
    """Our Python on it, with one thread and no settings of this machine. Raises RuntimeError with its last words."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FORESTALL_")}
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | threads,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} … ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stderr


def flagged(of: Scoring, told: dict[str, Any]) -> tuple[pd.DataFrame, float | None]:
    """A method's flags: those that need no threshold, and its scores' at the threshold of the best F1."""
    fixed = [Found(**each) for each in json.loads(str(told["found"]))]
    scores, at = told["score"], told["at"]
    known = np.isfinite(scores)
    if not known.any():
        return flags(fixed), None
    names = told["names"].astype(object)
    meter = np.repeat(names, scores.shape[1])
    label = match(of, meter, at.reshape(-1)).reshape(scores.shape)
    begin = np.array([of.first[name] for name in names], np.int64)[:, None] + of.warm
    sure = counted(of, flags(fixed))
    hit = match(of, sure["meter_id"].to_numpy(object), nanoseconds(sure["at"]))
    best, at_most, line = -1.0, 0.0, np.inf
    for q in thresholds(scores[known]):
        raised = episodes(scores >= q, known)[0] & (at >= begin)
        came = figures(np.concatenate([hit, label[raised]]), len(of.faults), of.exposure)
        if came["f1"] > best:
            best, line = came["f1"], q
        if came["false_per_1000"] <= BUDGET:
            at_most = max(at_most, came["f1"])
    begins, stays = episodes(scores >= line, known)
    rows, columns = (part.tolist() for part in np.nonzero(begins))
    high, low = (str(kind) for kind in told["kinds"])
    own = [
        Found(str(names[m]), int(at[m, d]), high if told["high"][m, d] else low, float(scores[m, d]), bool(stays[m, d]))
        for m, d in zip(rows, columns, strict=True)
    ]  # fmt: skip
    return flags(fixed + own), at_most


def thresholds(scores: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """Scores to try: the highest, and quantiles down to the upper fifth."""
    tried = np.quantile(scores, 1 - np.geomspace(1e-4, 0.2, THRESHOLDS))
    return np.unique(np.append(tried, scores.max())).tolist()  # type: ignore[no-any-return]


def check(each: Set, found: pd.DataFrame, told: dict[str, Any], scratch: Path) -> None:
    """Hold our scorer against the shared one, where that is at hand. Raises RuntimeError where they differ."""
    if not SCORER.is_file():
        return
    path = scratch / "check.jsonl"
    write_flags(path, found)
    bills = ["--bills"] if each.bills else []
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCORER), str(each.directory), str(path), "--json", *bills],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{SCORER.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    theirs = json.loads(done.stdout)
    differ = {
        key: (told[key], theirs[key]) for key in told.keys() & theirs.keys() if told[key] != theirs[key]
    }
    if differ:
        raise RuntimeError(
            f"{each.name}: expected benchmarks.score and {SCORER.name} to agree; (ours, theirs): {differ}"
        )


def write_flags(path: Path, found: pd.DataFrame) -> None:
    """As `forestall replay` would write them, as far as scoring reads."""
    with path.open("w", encoding="utf-8") as out:
        for row in found.to_dict("records"):
            line = {
                "id": row["id"], "meter_id": row["meter_id"], "kind": row["kind"], "score": row["score"],
                "at": row["at"].isoformat(), "status": "raised",
            }  # fmt: skip
            out.write(json.dumps(line) + "\n")
            if not row["open"]:
                out.write(json.dumps(line | {"status": "cleared"}) + "\n")


def cut(each: Set, directory: Path, share: float = 1.0, meters: int = 0, days: float = 0.0) -> Set:
    """Some of a set's meters, and their first days, in a directory of its own."""
    directory.mkdir()
    readings = pd.read_parquet(each.directory / "readings.parquet")
    readings["meter_id"] = readings["meter_id"].astype(str)
    truth = pd.read_csv(each.directory / "truth.csv", dtype={"meter_id": str})
    registry = pd.read_csv(each.directory / "meters.csv", dtype=str)
    names: Sequence[str] = sorted(readings["meter_id"].unique())
    names = names[: meters or max(1, round(share * len(names)))]
    readings = readings[readings["meter_id"].isin(names)]
    if days:
        readings = readings[readings["time"] < readings["time"].min() + pd.Timedelta(days=days)]
    readings.to_parquet(directory / "readings.parquet", index=False)
    truth[truth["meter_id"].isin(names)].to_csv(directory / "truth.csv", index=False)
    registry[registry["meter_id"].isin(names)].to_csv(directory / "meters.csv", index=False)
    return replace(each, directory=directory)
