"""``forestall replay`` with every detector on one core: 10,000 meters, and the sets as they are; bytes of state.

    python -m benchmarks replay [--share 0.1] [--data DIR]

The tiled set is the first 60 days of a set's meters, over and over under other names until there are
10,000 of them; every copy has its own areas, so that neighbours are as many as they were, and the times
are kept. Wall time is what ``replay`` says of itself, from the registry read to the last flag written.
CPU time is all of the process, its start and the reading of the file included.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import table
from benchmarks.sets import DEMO, ROOT, SETS
from detectors.batch import METER
from streams.programs import compose
from streams.settings import load as load_settings
from streams.state.constants import Sizes
from streams.state.slots import Slots

DATA = ROOT.parent / "shared" / "data"
METERS = 10_000
DAYS = 60
TILED = ("gas_sites", "power_homes", "water_homes")
_SAID = re.compile(
    r"([\d,]+) readings, ([\d,]+) flag events.*?([\d.]+) s \(.*?([\d,]+) B of state a meter", re.DOTALL
)


@dataclass(frozen=True)
class Run:
    """What one replay came to: rows, seconds of wall and CPU, flag lines, bytes of state a meter."""

    readings: int
    wall: float
    cpu: float
    flags: int
    state: int

    @property
    def row(self) -> tuple[str, ...]:
        """As cells of the table."""
        return (
            f"{self.readings:,}", f"{self.flags:,}", f"{self.wall:.1f}", f"{self.cpu:.1f}",
            f"{self.readings / self.wall:,.0f}", f"{self.readings / self.cpu:,.0f}", f"{self.state:,}",
        )  # fmt: skip


def tile(source: Path, target: Path, meters: int, days: int) -> None:
    """Write so many meters' first ``days`` of a set to ``target``: readings.parquet and meters.csv."""
    known = pd.read_csv(source / "meters.csv")
    readings = pd.read_parquet(source / "readings.parquet")
    readings = readings[readings["time"] < readings["time"].min() + pd.Timedelta(days=days)]
    copies = -(-meters // len(known))
    rows = []
    for copy in range(copies):
        own = known.copy()
        own["meter_id"] = [f"{name}-{copy:04d}" for name in known["meter_id"]]
        own["area"] = [f"{name}-{copy:04d}" for name in known["area"]]
        rows.append(own)
    target.mkdir(exist_ok=True)
    registry = pd.concat(rows).head(meters)
    registry.to_csv(target / "meters.csv", index=False)
    names = known["meter_id"].astype(str).tolist()
    place = {name: code for code, name in enumerate(names)}
    code = readings["meter_id"].astype(str).map(place).to_numpy(np.int64)
    codes = np.concatenate([code + copy * len(names) for copy in range(copies)])
    keep = codes < meters
    time = pa.array(readings["time"]).cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    every = pa.table(
        {
            "meter_id": pa.DictionaryArray.from_arrays(
                pa.array(codes[keep].astype(np.int32)), pa.array(registry["meter_id"].tolist())
            ),
            "time": pa.array(np.tile(time, copies)[keep]).cast(pa.timestamp("us", "UTC")),
            "value": np.tile(readings["value"].to_numpy(np.float64), copies)[keep],
        }
    )
    pq.write_table(every, target / "readings.parquet")


def replay(directory: Path, flags: Path) -> Run:
    """Replay a set in a process of its own that has one core. Raises RuntimeError where it fails."""
    core = min(os.sched_getaffinity(0))
    single = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_IO_THREADS"), "1"
    )
    command = [sys.executable, "-m", "streams.cli", "replay", str(directory / "readings.parquet")]
    process = subprocess.Popen(
        [*command, "--meters", str(directory / "meters.csv"), "--flags", str(flags)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **single},
    )  # fmt: skip
    os.sched_setaffinity(process.pid, {core})
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = _SAID.search(told)
    if process.returncode or found is None:
        raise RuntimeError(f"expected forestall replay to say what came of it, got {told[-500:]!r}")
    readings, events, wall, state = (float(cell.replace(",", "")) for cell in found.groups())
    return Run(int(readings), wall, used.ru_utime + used.ru_stime, int(events), int(state))


def state() -> str:
    """Bytes that each detector's columns take of a meter that uses all of them."""
    rows: list[tuple[str, ...]] = []
    total = {"hot": 0, "cold": 0}
    own = METER.itemsize + Slots((), Sizes()).frame.itemsize
    for detector in compose.detectors(load_settings()):
        size = {"hot": 0, "cold": 0}
        for column in detector.columns:
            size["cold" if column.cold else "hot"] += column.dtype.itemsize * max(column.width, 1)
        told = ", ".join(f"{c.name} {c.dtype.itemsize * max(c.width, 1):,}" for c in detector.columns)
        rows.append((detector.name, f"{size['hot']:,}", f"{size['cold']:,}", told))
        total = {part: total[part] + size[part] for part in total}
    rows.append(("the registry's constants", f"{own:,}", "", ""))
    rows.append(
        ("all", f"{total['hot'] + own:,}", f"{total['cold']:,}", f"{sum(total.values()) + own:,} in all")
    )
    return table(("detector", "hot [B]", "cold [B]", "columns"), rows)


def run(share: float = 1.0, data: Path = DATA) -> str:
    """Measure; return the tables. ``share`` of the 10,000 meters, for a quick look."""
    rows: list[tuple[str, ...]] = []
    sets = {name: data / name for name in SETS if (data / name / "readings.parquet").is_file()}
    sets.setdefault("demo", DEMO)
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        replay(DEMO, scratch / "flags.jsonl")  # kernels are compiled once, and kept
        for name in [name for name in TILED if name in sets] or ["demo"]:
            meters = round(METERS * share)
            tile(sets[name], scratch / "tiled", meters, DAYS)
            told = replay(scratch / "tiled", scratch / "flags.jsonl")
            rows.append((f"{name}, {meters:,} meters, {DAYS} days", *told.row))
        rows += [(name, *replay(path, scratch / "flags.jsonl").row) for name, path in sets.items()]
    header = (
        "set", "readings", "flag lines", "wall [s]", "CPU [s]", "readings/s by wall", "by CPU", "state a meter [B]",
    )  # fmt: skip
    return f"{table(header, rows)}\n\nState of a meter that uses every column:\n\n{state()}"
