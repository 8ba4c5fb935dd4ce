"""What the embedded history costs: CPU and room a reading, and how long its questions take.

    python -m benchmarks.history [--readings 1000000]

Each line is a fresh file; all meters report every 15 minutes, each time in another order, values with
three decimals.
The CPU time is of the whole process, merges and all, over what ``write`` does; making the
batches is not counted. For comparison: the same readings as rows of a plain table, by
``INSERT … ON CONFLICT DO UPDATE`` on (meter, time), one transaction a batch.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

from connectors.history_sqlite import HistoryReader, SqliteHistory
from streams.columns import Columns

T0 = 1_700_000_000_000_000_000
QUARTER_NS = 900_000_000_000


def batches(meters: int, readings: int, batch: int) -> list[Columns]:
    """The readings of a fleet in the order in which they come."""
    noise = np.random.default_rng(7)
    made = []
    turns = -(-readings // meters)
    order = np.concatenate([noise.permutation(meters) for _ in range(turns)])
    for start in range(0, readings, batch):
        number = np.arange(start, start + batch)
        who, which = np.unique(order[number], return_inverse=True)
        turn = number // meters
        zeros = np.zeros(batch, np.uint8)
        made.append(
            Columns(
                [f"meter-{m:07d}" for m in who.tolist()],
                which.astype(np.uint32),
                T0 + turn * QUARTER_NS,
                np.round(order[number] * 3.1 + turn * 0.137 + noise.random(batch) / 8, 3),
                zeros + 1,
                ["m3"],
                zeros,
                zeros,
                zeros.astype(np.uint16),
                zeros.astype(np.uint32),
            )
        )
    return made


def sqlite_cost(path: Path, meters: int, readings: int, batch: int) -> float:
    """CPU microseconds a reading of ``SqliteHistory.write``."""
    made = batches(meters, readings, batch)

    async def run() -> float:
        history = SqliteHistory(path)
        before = time.process_time()
        for columns in made:
            await history.write(columns)
        spent = time.process_time() - before
        await history.close()
        return spent

    return asyncio.run(run()) / readings * 1e6


def rows_cost(path: Path, meters: int, readings: int, batch: int) -> float:
    """CPU microseconds a reading of a table with one row a reading."""
    made = batches(meters, readings, batch)
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;")
    db.execute(
        "CREATE TABLE readings (meter INTEGER, time INTEGER, value REAL, more INTEGER, "
        "PRIMARY KEY (meter, time)) WITHOUT ROWID"
    )
    upsert = (
        "INSERT INTO readings VALUES (?, ?, ?, 0) "
        "ON CONFLICT DO UPDATE SET value = excluded.value, more = excluded.more"
    )
    before = time.process_time()
    for c in made:
        meter = np.array([int(name[6:]) for name in c.meters])[c.meter]
        db.execute("BEGIN")
        db.executemany(upsert, zip(meter.tolist(), c.time_ns.tolist(), c.value.tolist(), strict=True))
        db.execute("COMMIT")
    spent = time.process_time() - before
    db.close()
    return spent / readings * 1e6


def questions(path: Path, meters: int) -> tuple[float, float, float]:
    """Milliseconds for a meter's readings, for the latest hundred, and for a hundred meters' readings."""

    async def run() -> tuple[float, float, float]:
        reader = HistoryReader(path)
        hundred = [f"meter-{m:07d}" for m in range(0, meters, max(1, meters // 100))]
        await reader.series(hundred[0])
        marks = [time.perf_counter()]
        for question in (reader.series(hundred[-1]), reader.latest(100), reader.series_of(hundred)):
            await question
            marks.append(time.perf_counter())
        await reader.close()
        one, latest, many = (1000 * float(ms) for ms in np.diff(marks))
        return one, latest, many

    return asyncio.run(run())


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--readings", type=int, default=600_000)
    readings = parser.parse_args().readings
    print(f"{readings:,} readings; CPU in µs a reading; ms for one meter, the latest 100, 100 meters")
    print("   meters   batch    CPU  bytes  CPU of rows  meter  latest     100")
    for meters, batch in ((1000, 1000), (10_000, 1000), (100_000, 1000), (10_000, 10_000), (10_000, 100)):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "history.db"
            cost = sqlite_cost(path, meters, readings, batch)
            room = path.stat().st_size / readings
            one, latest, many = questions(path, meters)
            rows = rows_cost(Path(directory) / "rows.db", meters, readings, batch)
        what = f"{meters:>9,} {batch:>7,} {cost:>6.2f} {room:>6.1f} {rows:>12.2f}"
        print(f"{what} {one:>6.1f} {latest:>7.1f} {many:>7.1f}")


if __name__ == "__main__":
    main()
