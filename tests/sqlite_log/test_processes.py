"""Several processes on one file: writers in turn, one consumer, kills in the middle of a commit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sqlite_log import ConsumerTaken, SqliteLog, log_url
from tests.sqlite_log.child import whole


@contextlib.contextmanager
def child(what: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ``child.py``, killed at the end at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sqlite_log.child", what, *arguments], stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def lines_until(process: subprocess.Popen[bytes], word: str) -> list[str]:
    """Return the lines up to the one that begins with ``word``."""
    assert process.stdout is not None
    found: list[str] = []
    for raw in process.stdout:
        found.append(raw.decode().rstrip("\n"))
        if found[-1].startswith(word):
            return found
    raise AssertionError(f"expected a line {word!r}, the process ended after {found[-3:]}")


def declare(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 4)

    asyncio.run(scenario())


def contents(url: str) -> dict[tuple[int, int], bytes]:
    """Return (partition, offset) → value; every value must be whole and offsets without holes."""

    async def scenario() -> dict[tuple[int, int], bytes]:
        found: dict[tuple[int, int], bytes] = {}
        async with SqliteLog(url) as log:
            for p in range(4):
                offsets = []
                async for offset, _, value in log.read("t", p):
                    assert value is not None
                    assert whole(value)
                    offsets.append(offset)
                    found[p, offset] = value
                assert offsets == list(range(await log.end("t", p)))
        return found

    return asyncio.run(scenario())


@pytest.mark.soak
def test_kill_9_in_a_commit_keeps_all_that_returned_and_halves_nothing(path: Path, rounds: int) -> None:
    url = log_url(path)  # durability=full
    declare(url)
    done: dict[tuple[int, int], str] = {}
    for number in range(rounds + 4):
        name = f"w{number}"
        with child("write", url, name, "64", "5000", "60") as process:
            lines = lines_until(process, "done")
            time.sleep(random.uniform(0.02, 0.4))  # a random moment of its work, not a wait for anything
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            lines += process.stdout.read().decode().split("\n")
        said = [line.split() for line in lines if line.startswith("done") and len(line.split()) == 4]
        assert len(said) >= 64
        done.update({(int(p), int(offset)): f"{name}/{n}/" for _, n, p, offset in said})
    found = contents(url)
    assert len(found) >= len(done)
    for place, start in done.items():
        assert found[place].startswith(start.encode())


def test_two_writers_and_a_rare_third_all_get_their_turn(path: Path) -> None:
    url = log_url(path, durability="normal")
    declare(url)
    with (
        child("write", url, "a", "64", "5000", "4", "quiet") as one,
        child("write", url, "b", "64", "5000", "4", "quiet") as two,
        child("now_and_then", url, "c", "3") as rare,
    ):
        ends = [lines_until(process, "end")[-1].split() for process in (one, two, rare)]
        assert [process.wait(30) for process in (one, two, rare)] == [0, 0, 0]
    counts = [int(end[1]) for end in ends]
    found = contents(url)
    assert len(found) == sum(counts)
    shares = sorted(counts[:2])
    assert shares[0] > 0.2 * shares[1], "one writer starves the other"
    assert counts[2] >= 20
    assert float(ends[2][2]) < 1.0, "the rare writer waited for long"
    # nobody's records are out of order
    for name in (b"a/", b"b/"):
        for p in range(4):
            mine = [
                int(v.split(b"/")[1]) for (q, _), v in sorted(found.items()) if q == p and v.startswith(name)
            ]
            assert mine == sorted(mine)


def test_a_second_consumer_is_refused_and_told_who_the_first_is(url: str) -> None:
    declare(url)

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            with child("consume", url) as first:
                lines_until(first, "ready")
                with pytest.raises(ConsumerTaken, match=f"consumed by process {first.pid}: one process"):
                    log.consume()
                assert await log.append("t", b"others may write", partition=0) == 0
                first.send_signal(signal.SIGKILL)
                first.wait()
            # the lock went with the process
            log.consume()
            with child("consume", url) as second:
                assert second.wait(20) == 1
        with child("consume", url) as third:
            lines_until(third, "ready")
            third.send_signal(signal.SIGTERM)
            assert third.wait(10) == 0

    asyncio.run(scenario())


def test_what_another_process_writes_is_seen_soon(url: str) -> None:
    declare(url)

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            with child("now_and_then", url, "c", "5") as other:
                lines_until(other, "ready")
                version = log.version()
                deadline = time.monotonic() + 10
                while await log.end("t", 0) < 5:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.005)
                assert log.version() != version

    asyncio.run(scenario())


def test_a_full_disk_fails_loudly_and_passes(path: Path) -> None:
    url = log_url(path)
    declare(url)
    with child("full_disk", url) as process:
        lines = lines_until(process, "offset")
        assert process.wait(20) == 0
    failed = next(line for line in lines if line.startswith("failed")).split(maxsplit=3)
    written = int(failed[2])
    assert failed[1] == "True"
    assert 1 <= written < 20
    assert "is unavailable (the disk failed" in failed[3] or "is unavailable (no room" in failed[3]
    assert lines[-1] == f"offset {written}"

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            values = [value async for _, _, value in log.read("t", 1)]
            assert values[-1] == b"after"
            assert len(values) == written + 1
            assert all(whole(value) for value in values[:-1] if value)

    asyncio.run(scenario())


def test_a_forked_child_has_a_log_of_its_own(url: str) -> None:
    declare(url)

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.append("t", b"parent", partition=0)

    asyncio.run(scenario())
    pid = os.fork()
    if pid == 0:  # the child
        try:
            asyncio.run(scenario())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    asyncio.run(scenario())

    async def check() -> None:
        async with SqliteLog(url) as log:
            assert await log.end("t", 0) == 3

    asyncio.run(check())
