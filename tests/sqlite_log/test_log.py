"""Writing and reading, topics, compaction, groups."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sqlite_log import Partition, SqliteLog, log_url
from streams.ports import Log, Rejected, Unavailable

Entry = tuple[int, bytes | None, bytes | None]


async def everything(log: SqliteLog, topic: str, partition: int, start: int = 0) -> list[Entry]:
    return [entry async for entry in log.read(topic, partition, start)]


def test_it_is_a_log(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            as_port: Log = log
            await as_port.ensure_topic("t", 2)
            assert await as_port.append("t", b"a", partition=1) == 0
            assert await as_port.append("t", b"b", partition=1, key=b"k") == 1
            assert await as_port.end("t", 1) == 2
            assert await as_port.end("t", 0) == 0
            assert [entry async for entry in as_port.read("t", 1)] == [(0, None, b"a"), (1, b"k", b"b")]
            assert [entry async for entry in as_port.read("t", 1, 1)] == [(1, b"k", b"b")]
            assert [entry async for entry in as_port.read("t", 1, 5)] == []

    asyncio.run(scenario())


def test_it_is_there_when_opened_again(url: str) -> None:
    async def write() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            await asyncio.gather(*(log.append("t", b"%d" % n) for n in range(500)))

    async def read() -> None:
        async with SqliteLog(url) as log:
            assert await everything(log, "t", 0) == [(n, None, b"%d" % n) for n in range(500)]
            assert await log.append("t", b"next") == 500

    asyncio.run(write())
    asyncio.run(read())


def test_a_read_ends_where_the_log_ended_when_it_began(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            for n in range(3):
                await log.append("t", b"%d" % n)
            found = []
            async for offset, _, _ in log.read("t", 0):
                found.append(offset)
                await log.append("t", b"more")
            assert found == [0, 1, 2]

    asyncio.run(scenario())


def test_without_a_key_partitions_take_turns_and_with_one_it_decides(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 3)
            for _ in range(6):
                await log.append("t", b"x")
            assert [await log.end("t", p) for p in range(3)] == [2, 2, 2]
            for _ in range(4):
                await log.append("t", b"x", key=b"21")
            # murmur2("21") = -973932308, without its sign 1173551340
            assert 1173551340 % 3 == 0
            assert [await log.end("t", p) for p in range(3)] == [6, 2, 2]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topic": "nowhere", "value": b""}, "no topic 'nowhere'"),
        ({"topic": "t", "value": b"", "partition": 2}, "expected a partition 0 … 1, got 2"),
        ({"topic": "t", "value": b"", "partition": -1}, "expected a partition 0 … 1, got -1"),
        ({"topic": "c", "value": b""}, "expected a key"),
        ({"topic": "t", "value": bytes(64 * 2**20 + 1)}, "expected at most 67108864 bytes"),
    ],
)
def test_what_cannot_be_written_is_refused(url: str, arguments: dict[str, object], message: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 2)
            await log.ensure_topic("c", 2, compact=True)
            with pytest.raises(Rejected, match="refused") as caught:
                await log.append(**arguments)  # type: ignore[arg-type]
            assert message in str(caught.value)
            assert await log.append("t", b"the next is well", partition=0) == 0

    asyncio.run(scenario())


def test_a_topic_is_made_once(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            assert log.partitions("t") is None
            await log.ensure_topic("t", 2)
            await log.ensure_topic("t", 2)
            await log.ensure_topic("c", 3, settings={"cleanup.policy": "compact"})
            await log.ensure_topic("c", 3, compact=True, settings={"min.cleanable.dirty.ratio": "0.1"})
            assert log.topics() == ["c", "t"]
            assert log.partitions("t") == 2
            with pytest.raises(Rejected, match="expected 3 partitions, not compacted; it exists with 2, not"):
                await log.ensure_topic("t", 3)
            with pytest.raises(Rejected, match="expected 2 partitions, compacted; it exists with 2, not"):
                await log.ensure_topic("t", 2, compact=True)
            with pytest.raises(Rejected, match=r"retention\.ms: expected a whole number, got 'long'"):
                await log.ensure_topic("x", 2, settings={"retention.ms": "long"})
            with pytest.raises(Rejected, match="at least 1 partition"):
                await log.ensure_topic("x", 0)

    asyncio.run(scenario())


def test_many_topics_do_not_mix(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            for n in range(20):
                await log.ensure_topic(f"t{n}", n % 5 + 1)
            for n in range(20):
                for p in range(n % 5 + 1):
                    await log.append(f"t{n}", b"%d/%d" % (n, p), partition=p)
            for n in range(20):
                for p in range(n % 5 + 1):
                    assert await everything(log, f"t{n}", p) == [(0, None, b"%d/%d" % (n, p))]

    asyncio.run(scenario())


Step = tuple[int, int, bytes | None]  # partition, key, value


def compacted(steps: Sequence[Step], partition: int) -> list[Entry]:
    """The obvious way: of each key the newest."""
    newest: dict[bytes, Entry] = {}
    offset = 0
    for p, key, value in steps:
        if p == partition:
            newest[b"%d" % key] = (offset, b"%d" % key, value)
            offset += 1
    return sorted(newest.values())


steps = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 5), st.none() | st.binary(max_size=3)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_compaction_keeps_the_newest_of_each_key(made: list[Step], groups: list[int]) -> None:
    """However the records are cut into transactions."""

    async def scenario(path: Path) -> None:
        async with SqliteLog(log_url(path / "log.db", durability="off")) as log:
            await log.ensure_topic("c", 2, compact=True)
            left = list(made)
            sizes = iter(groups * len(made))
            while left:
                size = next(sizes)
                part, left = left[:size], left[size:]
                await asyncio.gather(*(log.append("c", v, key=b"%d" % k, partition=p) for p, k, v in part))
            for p in range(2):
                assert await everything(log, "c", p) == compacted(made, p)
                assert await log.end("c", p) == sum(1 for step in made if step[0] == p)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(Path(directory)))


def test_groups_and_their_lag(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 2)
            await asyncio.gather(*(log.append("t", b"x", partition=n % 2) for n in range(20)))
            await log.register("worker", [("t", 0), ("t", 1)])
            assert log.committed("worker") == {Partition("t", 0): None, Partition("t", 1): None}
            await log.commit("worker", {("t", 0): 4})
            await log.commit("other", {("t", 1): 10})
            await log.register("worker", [("t", 0), ("t", 1)])  # changes nothing
            assert log.committed("worker") == {("t", 0): 4, ("t", 1): None}
            assert log.lag() == {"worker": {("t", 0): 6, ("t", 1): 10}, "other": {("t", 1): 0}}
            await log.commit("worker", {("t", 0): 2})  # back
            assert log.committed("worker")[Partition("t", 0)] == 2
            await log.forget_group("worker")
            assert log.committed("worker") == {}
            assert log.lag().keys() == {"other"}

    asyncio.run(scenario())


def test_offsets_are_written_behind_the_records_that_were_sent_before(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            order: list[str] = []
            sent = [log.submit("t", bytes(100_000)) for _ in range(200)]  # more than one transaction
            sent[-1].add_done_callback(lambda _: order.append("records"))
            commit = asyncio.ensure_future(log.commit("g", {("t", 0): 200}))
            commit.add_done_callback(lambda _: order.append("offsets"))
            await commit
            assert all(future.done() for future in sent)
            assert order == ["records", "offsets"]

    asyncio.run(scenario())


def test_many_records_share_a_transaction(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 4)
            await asyncio.gather(*(log.append("t", b"x") for _ in range(2000)))
            assert log.stats.commits < 100
            assert log.stats.jobs >= 2000

    asyncio.run(scenario())


def test_a_large_backlog_is_cut_into_short_transactions(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            before = log.stats.commits
            await asyncio.gather(*(log.append("t", bytes(2**20)) for _ in range(64)))
            assert log.stats.commits - before >= 8
            # one that is larger than a transaction should be
            assert await log.append("t", bytes(20 * 2**20)) == 64

    asyncio.run(scenario())


def test_a_fast_sender_is_held_back(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            sent = []
            for _ in range(200):
                sent.append(log.submit("t", bytes(2**20)))
                await log.room()
                # Where there is room nothing above gives way to the loop, which tells what was written.
                await asyncio.sleep(0)
                # 64 MiB may wait; what was written a moment ago may not know of it yet.
                assert sum(1 for future in sent if not future.done()) <= 80
            await log.flush()
            assert [future.result() for future in sent] == list(range(200))

    asyncio.run(scenario())


def test_whoever_gives_up_waiting_harms_nobody(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            tasks = [asyncio.create_task(log.append("t", b"%d" % n)) for n in range(100)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, int) for result in done[1::2])
            values = {value for _, _, value in await everything(log, "t", 0)}
            assert {b"%d" % n for n in range(1, 100, 2)} <= values

    asyncio.run(scenario())


def test_two_that_open_the_same_file_share_it(url: str, path: Path) -> None:
    async def scenario() -> None:
        one, two = SqliteLog(url), SqliteLog(url)
        await one.ensure_topic("t", 1)
        assert two.partitions("t") == 1
        await two.append("t", b"x")
        await one.close()
        assert await two.append("t", b"y") == 1
        with pytest.raises(Rejected, match="open in this process as"):
            SqliteLog(log_url(path, durability="full"))
        await two.close()
        async with SqliteLog(log_url(path, durability="full")) as three:
            assert await three.end("t", 0) == 2

    asyncio.run(scenario())


def test_after_closing_nothing_is_written(url: str) -> None:
    async def scenario() -> None:
        log = SqliteLog(url)
        await log.ensure_topic("t", 1)
        last = log.submit("t", b"still written")
        await log.close()
        await log.close()
        assert await last == 0
        with pytest.raises(Unavailable, match="was closed"):
            await log.append("t", b"x")

    asyncio.run(scenario())


def test_headers_and_times(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            await log.append("t", b"x", headers=[("a", b"1"), ("a", b"2")], timestamp_ms=123)
            await log.append("t", None)
            first, second = log.fetch("t", 0, 0, 10, 10_000)
            assert (first.headers, first.timestamp_ms) == ((("a", b"1"), ("a", b"2")), 123)
            assert (second.value, second.headers) == (None, ())
            assert second.timestamp_ms > 1_700_000_000_000

    asyncio.run(scenario())


def test_a_fetch_keeps_its_bounds(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            for _ in range(10):
                await log.append("t", bytes(1000))
            assert [r.offset for r in log.fetch("t", 0, 2, 3, 10**6)] == [2, 3, 4]
            assert [r.offset for r in log.fetch("t", 0, 0, 100, 2500)] == [0, 1, 2]
            assert [r.offset for r in log.fetch("t", 0, 8, 100, 1)] == [8]
            assert log.fetch("t", 0, 10, 100, 10**6) == []

    asyncio.run(scenario())
