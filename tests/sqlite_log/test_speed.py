"""Figures, asked for with ``pytest -m bench -s tests/sqlite_log``."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from connectors.sqlite_log import SqliteLog, log_url

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("durability", ["full", "normal"])
@pytest.mark.parametrize(("size", "together"), [(20_000, 1), (20_000, 64), (20_000, 256), (300, 64)])
def test_appends(path: Path, durability: str, size: int, together: int) -> None:
    async def scenario() -> None:
        count = 500 if together == 1 else 10_000
        value = os.urandom(size)
        async with SqliteLog(log_url(path, durability=durability)) as log:
            await log.ensure_topic("t", 4)
            began, before = time.perf_counter(), os.times()
            for start in range(0, count, together):
                await asyncio.gather(
                    *(log.append("t", value, partition=n % 4) for n in range(start, start + together))
                )
            seconds, after = time.perf_counter() - began, os.times()
        user, system = ((after[k] - before[k]) / count * 1e6 for k in (0, 1))
        print(
            f"\n{durability}, {size} bytes, {together} together: {count / seconds:.0f} appends/s, "
            f"{user:.0f} µs user + {system:.0f} µs system each"
        )

    asyncio.run(scenario())


def test_reads(path: Path) -> None:
    async def scenario() -> None:
        value = os.urandom(20_000)
        async with SqliteLog(log_url(path, durability="off")) as log:
            await log.ensure_topic("t", 1)
            for _ in range(40):
                await asyncio.gather(*(log.append("t", value) for _ in range(250)))
            began = time.perf_counter()
            count = sum([1 async for _ in log.read("t", 0)])
            seconds = time.perf_counter() - began
        print(f"\n{count / seconds:.0f} records/s of 20 kB, {count * 0.02 / seconds:.0f} MB/s")
        assert count == 10_000

    asyncio.run(scenario())


def test_checkpoints(path: Path) -> None:
    """A checkpoint: 200 blocks of 500 kB under the same keys, again and again."""

    async def scenario() -> None:
        block = os.urandom(500_000)
        async with SqliteLog(log_url(path)) as log:
            await log.ensure_topic("state", 1, compact=True)
            for _ in range(4):
                began = time.perf_counter()
                await asyncio.gather(*(log.append("state", block, key=b"%d" % n) for n in range(200)))
                seconds = time.perf_counter() - began
                print(f"\n100 MB in {seconds:.2f} s", end="")
        assert path.stat().st_size < 250_000_000  # noqa: ASYNC240 - a test

    asyncio.run(scenario())
