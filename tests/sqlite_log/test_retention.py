"""What leaves the log, and what never does."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.sqlite_log import LogFull, Partition, SqliteLog, log_url
from tests.sqlite_log.test_log import everything

MB = 2**20


async def until(condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"expected {what} within {deadline_s:g} s")
        await asyncio.sleep(0.02)


def size_of(path: Path) -> int:
    return path.stat().st_size


def start_of(log: SqliteLog, topic: str = "t", partition: int = 0) -> int:
    return next(iter(log.starts([(topic, partition)]).values()))


def test_old_records_go_when_every_group_has_read_them(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="300ms")) as log:
            await log.ensure_topic("t", 1)
            await log.ensure_topic("kept", 1, settings={"retention.ms": "-1"})
            await log.ensure_topic("state", 1, compact=True)
            await log.register("slow", [("t", 0)])
            await log.commit("fast", {("t", 0): 100})
            for n in range(100):
                await log.append("t", b"%d" % n)
                await log.append("kept", b"%d" % n)
                await log.append("state", b"%d" % n, key=b"%d" % n)
            await asyncio.sleep(1.0)
            assert start_of(log) == 0  # nobody knows yet how far the slow one has come
            await log.commit("slow", {("t", 0): 40})
            await until(lambda: start_of(log) == 40, "40 to be the first")
            await log.commit("slow", {("t", 0): 100})
            await until(lambda: start_of(log) == 99, "all but the last to be gone")
            assert await log.end("t", 0) == 100
            assert start_of(log, "kept") == 0
            assert len(await everything(log, "state", 0)) == 100
            assert log.dropped_unread() == {"kept": 0, "state": 0, "t": 0}
            assert await log.append("t", b"next") == 100
            assert log.lag()["slow"][Partition("t", 0)] == 1

    asyncio.run(scenario())


def test_a_topic_may_have_an_age_of_its_own(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="1s")) as log:
            await log.ensure_topic("t", 1, settings={"retention.ms": "3600000"})
            await log.append("t", b"a")
            await log.append("t", b"b")
            await asyncio.sleep(1.6)
            assert start_of(log) == 0
            # what is declared again may say otherwise
            await log.ensure_topic("t", 1, settings={"retention.ms": "100"})
            await until(lambda: start_of(log) == 1, "the first to be gone")

    asyncio.run(scenario())


def test_a_partition_may_have_a_size(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="400ms")) as log:
            await log.ensure_topic("t", 2, settings={"retention.ms": "-1", "retention.bytes": "100000"})
            await asyncio.gather(*(log.append("t", bytes(10_000), partition=0) for _ in range(50)))
            await asyncio.gather(*(log.append("t", bytes(10_000), partition=1) for _ in range(8)))
            await until(lambda: start_of(log) == 40, "10 of 50 to stay")
            assert start_of(log, partition=1) == 0

    asyncio.run(scenario())


def test_compacted_topics_may_expire_too(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="300ms")) as log:
            await log.ensure_topic("t", 1, settings={"cleanup.policy": "compact,delete"})
            for n in range(10):
                await log.append("t", b"%d" % n, key=b"k%d" % n)
            await until(lambda: start_of(log) == 9, "all but the last to be gone")
            # a key whose record is gone may be written again, and be replaced again
            for _ in range(2):
                await log.append("t", b"new", key=b"k3")
            assert (await everything(log, "t", 0))[-1] == (11, b"k3", b"new")
            assert len(await everything(log, "t", 0)) <= 2

    asyncio.run(scenario())


def test_a_deletion_goes_when_everyone_has_seen_it(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="400ms")) as log:
            await log.ensure_topic("c", 1, compact=True, settings={"delete.retention.ms": "100"})
            await log.register("reader", [("c", 0)])
            for n in range(4):
                await log.append("c", b"v", key=b"%d" % n)
            for n in range(3):
                await log.append("c", None, key=b"%d" % n)
            await asyncio.sleep(1.0)
            deletions = [(n + 4, b"%d" % n, None) for n in range(3)]
            assert await everything(log, "c", 0) == [(3, b"3", b"v"), *deletions]
            await log.commit("reader", {("c", 0): 7})
            deadline = time.monotonic() + 10
            # the last record of a partition stays: offsets count on from it
            while await everything(log, "c", 0) != [(3, b"3", b"v"), deletions[-1]]:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            await log.append("c", b"again", key=b"0")
            assert (await everything(log, "c", 0))[-1] == (7, b"0", b"again")

    asyncio.run(scenario())


def bounded(path: Path, size: int, **more: str) -> SqliteLog:
    return SqliteLog(log_url(path, durability="off", retention_size=str(size), retention_age="none", **more))


def test_the_size_bound_holds_while_groups_keep_up(path: Path) -> None:
    async def scenario() -> None:
        bound = 24 * MB
        async with bounded(path, bound) as log:
            await log.ensure_topic("t", 2)
            await log.ensure_topic("u", 1)
            await log.register("g", [("t", 0), ("t", 1)])
            for n in range(100):
                await asyncio.gather(
                    *(log.append("t", os.urandom(50_000), partition=i % 2) for i in range(20))
                )
                await log.append("u", os.urandom(50_000))
                await log.commit("g", {("t", 0): (n + 1) * 10, ("t", 1): (n + 1) * 10})
                assert size_of(path) <= bound
            # 105 MB went through; what is kept is the newest
            places = [("t", 0), ("t", 1), ("u", 0)]
            kept = sum(end - start_of(log, *place) for place, end in log.ends(places).items())
            assert 0.4 * bound < kept * 50_000 < bound
            assert log.dropped_unread() == {"t": 0, "u": 0}
            assert log.stats.refused == 0

    asyncio.run(scenario())


def test_at_the_bound_new_records_are_refused_until_a_group_has_read(path: Path) -> None:
    async def scenario() -> None:
        bound = 16 * MB
        async with bounded(path, bound) as log:
            await log.ensure_topic("t", 1)
            await log.register("worker", [("t", 0)])
            written = 0
            with pytest.raises(LogFull, match=r"worker \(t/0: \d+ unread\)"):
                for _ in range(400):
                    assert await log.append("t", os.urandom(100_000)) == written
                    written += 1
            assert 0.7 * bound < written * 100_000 < bound
            assert size_of(path) <= bound
            assert log.stats.refused == 1
            assert start_of(log) == 0  # nothing is lost
            # the worker may still write its results and its offsets, or nothing would ever move
            log.consume()
            await log.append("t", os.urandom(100_000))
            await log.commit("worker", {("t", 0): written // 2})
            await until(lambda: start_of(log) > 0, "what was read to go")
            assert start_of(log) <= written // 2
            for _ in range(10):
                await log.append("t", os.urandom(100_000))
            assert size_of(path) <= bound

    asyncio.run(scenario())


def test_a_group_that_is_forgotten_holds_nothing(path: Path) -> None:
    async def scenario() -> None:
        async with bounded(path, 8 * MB) as log:
            await log.ensure_topic("t", 1)
            await log.register("gone", [("t", 0)])
            with pytest.raises(LogFull):
                for _ in range(100):
                    await log.append("t", os.urandom(100_000))
            await log.forget_group("gone")
            await asyncio.sleep(0.3)
            for _ in range(100):
                await log.append("t", os.urandom(100_000))

    asyncio.run(scenario())


def test_dropping_unread_records_is_loud(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        bound = 8 * MB
        async with bounded(path, bound, when_full="drop") as log:
            await log.ensure_topic("t", 1)
            await log.register("worker", [("t", 0)])
            await log.commit("worker", {("t", 0): 10})
            with caplog.at_level(logging.ERROR):
                for n in range(200):
                    assert await log.append("t", os.urandom(100_000)) == n
            assert size_of(path) <= bound
            first = start_of(log)
            assert first > 100
            assert log.dropped_unread() == {"t": first - 10}
            assert "that a group had not read" in caplog.text
            assert await log.end("t", 0) == 200

    asyncio.run(scenario())


def test_compacted_data_alone_cannot_pass_the_bound(path: Path) -> None:
    async def scenario() -> None:
        bound = 8 * MB
        async with bounded(path, bound) as log:
            log.consume()
            await log.ensure_topic("state", 1, compact=True)
            with pytest.raises(LogFull, match="compacted topics fill it"):
                for n in range(100):
                    await log.append("state", os.urandom(100_000), key=b"%d" % n)
            assert size_of(path) <= bound
            # writing the same keys again takes no more room
            for _ in range(5):
                for n in range(20):
                    await log.append("state", os.urandom(100_000), key=b"%d" % n)
            assert size_of(path) <= bound

    asyncio.run(scenario())


def test_files_stay_small_under_a_steady_load(path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability="off", retention_age="200ms")) as log:
            await log.ensure_topic("t", 1)
            wal = path.with_name("log.db-wal")
            largest = 0
            for _ in range(150):
                await asyncio.gather(*(log.append("t", bytes(100_000)) for _ in range(30)))
                largest = max(largest, size_of(wal))
            # 450 MB went through
            assert largest < 100 * MB
            assert log.stats.checkpoints >= 5
            await until(lambda: start_of(log) == 4499, "all but the last to be gone", 30)
            # free pages go back to the file system in small steps
            await until(lambda: size_of(path) < 60 * MB, "the file to shrink", 30)

    asyncio.run(scenario())


def test_a_bound_that_is_lowered_is_reached(path: Path) -> None:
    async def fill() -> None:
        async with SqliteLog(log_url(path, durability="off")) as log:
            await log.ensure_topic("t", 1)
            await asyncio.gather(*(log.append("t", bytes(100_000)) for _ in range(300)))

    async def shrink() -> None:
        async with bounded(path, 16 * MB) as log:
            await log.append("t", b"next")
            await until(lambda: size_of(path) <= 16 * MB, "the file to shrink", 20)

    asyncio.run(fill())
    assert size_of(path) > 30_000_000
    asyncio.run(shrink())
