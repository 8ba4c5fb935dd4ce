"""A million meters: memory a meter, size and time of a checkpoint, recovery.

    python -m benchmarks million [--share 0.1]

Once with all detectors, once with the four that the main job began with, each in a process of its own.

The worker's own parts in one process on the embedded log: partitions, checkpoints through
Faust's producer, recovery through Faust's table. First every meter speaks, so that all of the
state is there; then readings of random meters come at 5,000 a second of simulated load, and the
share of the time that checkpoints take is what the worker's own rule leaves them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import cpu_seconds, resident_bytes, table
from streams import detect
from streams.columns import Columns, Registry, encode, encode_control
from streams.keeper import Keeper
from streams.messages import READINGS
from streams.programs import compose
from streams.registry import Meter, partition_of
from streams.settings import Settings
from streams.settings import load as load_settings
from streams.state.bank import BankConfig
from streams.state.partition import Partition
from streams.topology import build

METERS = 1_000_000
FIRST = ("intervals", "spike", "high_low", "continuous_flow")  # the detectors of the main job
HOUR = 3_600_000_000_000
START = 1_767_225_600_000_000_000  # 2026-01-01


def _batch(names: list[str], time_ns: int, value: float) -> bytes:
    n = len(names)
    digest = hashlib.sha256(f"{names}{time_ns}{value}".encode()).digest()[:16]  # of the message
    return encode(
        Columns(
            names, np.arange(n, dtype=np.uint32), np.full(n, time_ns), np.full(n, value), np.zeros(n, np.uint8), [""],
            np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint16), np.zeros(n, np.uint32), ["bench"],
            ["bench"], np.zeros(1, np.int64), np.full(1, -1), digest, {}, digest,
        )
    )  # fmt: skip


def _config(settings: Settings, names: tuple[str, ...]) -> BankConfig:
    config = compose.bank_config(settings)
    chosen = tuple(d for d in config.detectors if not names or d.name in names)
    return replace(config, detectors=chosen)


async def _measure(directory: Path, meters: int, detectors: tuple[str, ...]) -> list[tuple[str, ...]]:
    os.environ["FORESTALL_DATA_DIR"] = str(directory)
    settings = load_settings(partitions=8, log={"durability": "full"})
    durable = compose.open_log(settings)
    await compose.prepare_log(settings, durable)
    names: list[list[str]] = [[] for _ in range(settings.partitions)]
    for i in range(meters):
        names[partition_of(f"area-{i // 250}", settings.partitions)].append(f"m{i:07d}")

    topology = build(settings)
    keeper = Keeper(topology, _config(settings, detectors), durable, 3600.0, 0.05)
    detect.attach(keeper)
    await topology.app.start()
    while len(keeper.kept) < settings.partitions:
        await asyncio.sleep(0.05)
    # What the program itself takes, kernels loaded, is not counted a meter.
    warm = Partition(_config(settings, detectors), 0)
    warm.bank.asked = [True] * len(warm.bank.detectors)
    for step in (0, 30):
        warm.handle(_batch(["warm"], START + step * HOUR, 1.0))
    empty = resident_bytes(os.getpid())
    for number, own in enumerate(names):
        for first in range(0, len(own), 1000):
            rows = [
                Meter(
                    meter_id=name, commodity="water", unit="L", kind="interval", interval_s=3600.0,
                    area=f"area-{int(name[1:]) // 250}", meter_class="residential",
                )
                for name in own[first : first + 1000]
            ]  # fmt: skip
            await durable.append(READINGS, encode_control(Registry(rows)), partition=number)
        for hour in (0, 1, 30):
            for first in range(0, len(own), 2000):
                await durable.append(
                    READINGS, _batch(own[first : first + 2000], START + hour * HOUR, 5.0), partition=number
                )

    async def caught_up() -> None:
        ends = {n: await durable.end(READINGS, n) for n in range(settings.partitions)}
        while any(keeper.kept[n].partition.next_offset < end for n, end in ends.items()):
            await asyncio.sleep(0.05)

    await caught_up()
    full = resident_bytes(os.getpid())
    told: list[tuple[str, ...]] = [
        ("memory", f"{(full - empty) / meters:,.0f} B a meter", f"{full / 2**20:,.0f} MiB in all")
    ]

    async def checkpoint_all() -> tuple[float, float, int]:
        began, cpu, written = time.perf_counter(), cpu_seconds(os.getpid()), keeper.stats.checkpoint_bytes
        for number, kept in keeper.kept.items():
            await keeper.checkpoint(number, kept)
        return (
            time.perf_counter() - began,
            cpu_seconds(os.getpid()) - cpu,
            keeper.stats.checkpoint_bytes - written,
        )

    wall, cpu, size = await checkpoint_all()
    told.append(
        ("first checkpoint, all of the state", f"{size / 2**20:,.0f} MiB", f"{wall:.1f} s, {cpu:.1f} s CPU")
    )

    # Five thousand readings a second of random meters for as long as the worker would wait.
    wait = wall / 0.05
    rng = np.random.default_rng(1)
    hour = 31
    count = round(5_000 * min(wait, 600))
    spoke = cpu_seconds(os.getpid())
    for first in range(0, count, 5_000):
        hour += 1 if first % 500_000 == 0 else 0
        for number, own in enumerate(names):
            picked = np.unique(rng.integers(0, len(own), 5_000 // settings.partitions))
            batch = _batch([own[i] for i in picked], START + hour * HOUR + first, 5.0)
            await durable.append(READINGS, batch, partition=number)
    await caught_up()
    spoke = cpu_seconds(os.getpid()) - spoke
    wall, cpu, size = await checkpoint_all()
    told.append(
        (
            f"checkpoint after {count:,} readings of random meters",
            f"{size / 2**20:,.0f} MiB",
            f"{wall:.1f} s, {cpu:.1f} s CPU",
        )
    )
    period = count / 5_000
    told.append(
        (
            "share of the worker's time at 5,000 readings/s",
            f"{100 * wall / (period + wall):.1f} %",
            f"{wall:.1f} s in every {period + wall:.0f} s",
        )
    )
    await topology.app.stop()

    began = time.perf_counter()
    topology = build(settings)
    keeper = Keeper(topology, _config(settings, detectors), durable, 3600.0, 0.05)
    detect.attach(keeper)
    await topology.app.start()
    while not keeper.ready:
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - began
    known = sum(len(kept.partition.bank) for kept in keeper.kept.values())
    if known != meters:
        raise RuntimeError(f"expected {meters} meters after recovery, got {known}")
    told.append(("recovery", f"{seconds:.1f} s", f"{known:,} meters"))
    await topology.app.stop()
    await durable.close()
    return told


def _one(share: float, detectors: tuple[str, ...]) -> str:
    meters = round(METERS * share)
    with tempfile.TemporaryDirectory() as directory:
        rows = asyncio.run(_measure(Path(directory), meters, detectors))
    which = "the first four detectors" if detectors else "all detectors"
    return table((f"{meters:,} meters, {which}", "figure", "beside it"), rows)


def run(share: float = 1.0) -> str:
    """Measure both ways; return the tables. What one leaves in memory would be in the other's figures."""
    told = []
    for names in ("", ",".join(FIRST)):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.million", str(share), names], capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the measurement ended with {done.returncode}:\n{done.stderr}")
        told.append(done.stdout)
    return "\n".join(told)


if __name__ == "__main__":
    print(_one(float(sys.argv[1]), tuple(filter(None, sys.argv[2].split(",")))))
