"""A worker killed in the middle of its work loses nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transport_suite.backend import Backend, Sender, until

PARTITIONS = 4
RECORDS = 3000


def spawn(backend: Backend, source: str, target: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.transport_suite.worker"),
                *(backend.kind, backend.url, backend.tag, source, target),
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.soak
def test_kill_9_under_load_loses_nothing(backend: Backend, tmp_path: Path, rounds: int) -> None:
    async def scenario() -> None:
        source = await backend.declare("work")
        target = await backend.declare("done")
        log = tmp_path / "worker.log"
        kills = rounds + 2
        async with backend.sender() as sender:
            sending = asyncio.create_task(produce(sender, source, RECORDS * kills))
            worker = spawn(backend, source, target, log)
            try:
                for _ in range(kills):
                    done = await total(sender, target)
                    more = random.randint(100, 1000)
                    await grows(sender, target, done + more, worker, log)
                    worker.send_signal(signal.SIGKILL)
                    worker.wait()
                    # killed in the middle: there was more to do
                    assert await behind(sender, source, target)
                    worker = spawn(backend, source, target, log)
                await sending
                await complete(sender, target, RECORDS * kills, worker, log)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(10) == 0, tail(log)
            finally:
                worker.kill()
                worker.wait()
                await sending
            for partition in range(PARTITIONS):
                expected = [b"%d" % n for n in range(RECORDS * kills) if n % PARTITIONS == partition]
                copied = [value for _, _, value in await sender.read(target, partition)]
                assert set(copied) == set(expected)
                # each worker began again at or before where the last one had got to, in order
                first = dict.fromkeys(copied)
                assert list(first) == expected

    asyncio.run(scenario())


def tail(log: Path) -> str:
    return log.read_text()[-3000:]


async def produce(sender: Sender, topic: str, count: int) -> None:
    for start in range(0, count, 50):
        numbers = range(start, min(start + 50, count))
        await asyncio.gather(*(sender.send(topic, b"%d" % n, n % PARTITIONS) for n in numbers))
        await asyncio.sleep(0.005)


async def total(sender: Sender, topic: str) -> int:
    return sum([await sender.end(topic, p) for p in range(PARTITIONS)])


async def behind(sender: Sender, source: str, target: str) -> bool:
    """Tell whether something was sent that is not copied."""
    for partition in range(PARTITIONS):
        copied = {value for _, _, value in await sender.read(target, partition)}
        if len(copied) < await sender.end(source, partition):
            return True
    return False


async def grows(sender: Sender, topic: str, size: int, worker: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(6000):
        if await total(sender, topic) >= size:
            return
        assert worker.poll() is None, tail(log)
        await asyncio.sleep(0.01)
    raise TimeoutError(f"expected {size} records copied, got {await total(sender, topic)}")


async def complete(
    sender: Sender, topic: str, count: int, worker: subprocess.Popen[bytes], log: Path
) -> None:
    """Wait until every number is there."""
    await grows(sender, topic, count, worker, log)

    found = 0

    async def look() -> None:
        nonlocal found
        while found < count:
            copied = [await sender.read(topic, p) for p in range(PARTITIONS)]
            found = sum(len({value for _, _, value in part}) for part in copied)
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        await until(lambda: found >= count, f"{count} numbers copied", 60)
    finally:
        looking.cancel()
