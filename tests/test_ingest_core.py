"""Ingest between its ports: when it acknowledges, and what a log that fails does to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Intervals
from streams.columns import Tick, decode
from streams.gather import Delivery
from streams.messages import REGISTRY, Mark
from streams.ports import Rejected
from streams.state.bank import BankConfig
from streams.state.partition import Partition
from tests.ingest_tools import (
    NOW,
    START,
    Inbox,
    columns,
    delivered,
    made,
    message,
    rows_of,
)
from tests.memory_log import MemoryLog
from tests.streams_of_readings import HOUR, examples

# --- write ------------------------------------------------------------------------------------------


def test_nothing_is_acknowledged_before_all_of_it_is_durable() -> None:
    async def play() -> None:
        log = MemoryLog(3)
        ingest, gather, _, box = await made(log)
        (out,) = gather(
            delivered(message([[m, START, 1] for m in "abcdefgh"]), message("x"), message([], "birth"))
        )
        log.gate = asyncio.Event()
        writing = asyncio.create_task(ingest.write(out, asyncio.Event()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.appends == len(out.parts) + len(out.letters) + 1
        assert (box.acked, box.replies, ingest.stats.messages) == ([], [], 0)
        log.gate.set()
        await writing
        assert box.acked == [100, 101, 102]
        assert box.replies == [("rebirth", b"please")]
        assert log.values(REGISTRY, 0) == [b"1"]
        stats = ingest.stats
        assert (stats.messages, stats.readings, stats.batches, stats.dead_letters) == (
            3,
            8,
            len(out.parts),
            1,
        )
        assert stats.last_reading_ns == NOW

    asyncio.run(play())


def test_a_log_that_is_away_is_tried_again_and_only_what_failed() -> None:
    async def play() -> None:
        log = MemoryLog(4, lambda number: number in (1, 3))
        ingest, gather, _, box = await made(log)
        (out,) = gather(delivered(message([[m, START, 1] for m in "abcdefgh"])))
        assert len(out.parts) == 3
        await ingest.write(out, asyncio.Event())
        assert box.acked == [100]
        assert ingest.stats.retries == 2
        assert ingest.stats.log_error == ""
        assert sorted(len(values) for values in log.readings()) == [0, 1, 1, 1]

    asyncio.run(play())


def test_who_is_stopped_while_the_log_is_away_acknowledges_nothing() -> None:
    async def play() -> None:
        log = MemoryLog(2, lambda number: True)
        ingest, gather, _, box = await made(log)
        stop = asyncio.Event()
        (out,) = gather(delivered(message([["a", START, 1]]), message([], "birth")))
        writing = asyncio.create_task(ingest.write(out, stop))
        while not ingest.stats.retries:
            await asyncio.sleep(0)
        assert "append 0 was to fail" in ingest.stats.log_error or "append 1" in ingest.stats.log_error
        stop.set()
        await writing
        assert (box.acked, box.replies, ingest.stats.readings) == ([], [], 0)

    asyncio.run(play())


def test_a_log_that_refuses_stops_the_process_and_nothing_is_acknowledged() -> None:
    class Refusing(MemoryLog):
        async def append(self, *arguments: object, **more: object) -> int:
            raise Rejected("memory", "too large")

    async def play() -> None:
        ingest, gather, _, box = await made(Refusing(1))
        (out,) = gather(delivered(message([["a", START, 1]])))
        with pytest.raises(Rejected, match="too large"):
            await ingest.write(out, asyncio.Event())
        assert box.acked == []

    asyncio.run(play())


# --- run --------------------------------------------------------------------------------------------


async def run(log: MemoryLog, batches: Sequence[Sequence[Delivery]]) -> Inbox:
    """All batches through a running ingest, then an orderly stop."""
    box = Inbox(batches)
    ingest, _, _, _ = await made(log, box)
    stop = asyncio.Event()
    running = asyncio.create_task(ingest.run(stop, 100, 0.0))
    await asyncio.wait_for(box.empty.wait(), 20)
    # Who is stopped while the log is away leaves the rest to be delivered again: wait until it is back.
    async with asyncio.timeout(20):
        while len(box.acked) < sum(map(len, batches)):
            await asyncio.sleep(0.001)
    stop.set()
    await asyncio.wait_for(running, 20)
    return box


def spoken(log: MemoryLog) -> Counter[str]:
    """Readings of each meter as the workers count them."""
    counts: Counter[str] = Counter()
    for number, values in enumerate(log.readings()):
        partition = Partition(BankConfig((Intervals(),)), number)
        for raw in values:
            outcome, _ = partition.handle(raw)
            assert not outcome.rejects
        pulse = partition.bank.state.of("intervals", "pulse")
        counts.update({name: int(pulse["count"][slot]) for name, slot in partition.bank.slots.items()})
    return counts


@examples(25)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), min_size=1, max_size=8),
    st.sets(st.integers(0, 25), max_size=3),
    st.booleans(),
)
def test_what_was_acknowledged_is_in_the_log_once_and_in_order(
    batches: list[list[str]], fails: set[int], forgets: bool
) -> None:
    """Appends fail, unwritten or written and not confirmed; each meter's readings stay in order."""

    async def play() -> None:
        log = MemoryLog(2, lambda number: number in fails, forgets)
        seen: Counter[str] = Counter()
        sent: list[list[Delivery]] = []
        token = 0
        for batch in batches:
            one: list[Delivery] = []
            for name in batch:
                one.append((message([[name, START + seen[name] * HOUR, 1.0]], topic=name), token))
                seen[name] += 1
                token += 1
            sent.append(one)
        box = await run(log, sent)
        assert box.acked == list(range(token))
        assert spoken(log) == seen
        for values in log.readings():
            first = dict.fromkeys(values)  # what was written twice is taken once
            times: dict[str, list[int]] = {}
            for raw in first:
                for name, time, _ in rows_of(columns(raw)):
                    times.setdefault(name, []).append(time)
            assert all(order == sorted(order) for order in times.values())

    asyncio.run(play())


def test_a_stop_while_nothing_comes_is_at_once() -> None:
    async def play() -> None:
        assert (await run(MemoryLog(1), [])).acked == []

    asyncio.run(play())


def test_a_message_delivered_again_is_counted_once() -> None:
    async def play() -> None:
        log = MemoryLog(2)
        one = message([["a", START, 1], ["b", START, 1]])
        arrival = message([["c", START, 1, int(Mark.ARRIVAL_TIME)]])
        await run(log, [delivered(one, arrival), delivered(one, one)])
        assert spoken(log) == {"a": 1, "b": 1, "c": 1}

    asyncio.run(play())


def test_the_clock_is_written_into_every_partition() -> None:
    async def play() -> None:
        log = MemoryLog(3, lambda number: number == 1)
        ingest, _, _, _ = await made(log)
        stop = asyncio.Event()
        ticking = asyncio.create_task(ingest.tick(stop, 0.001))
        while ingest.stats.ticks < 2:
            await asyncio.sleep(0.001)
        stop.set()
        await ticking
        for values in log.readings():
            assert len(values) >= 2
            assert {decode(raw) for raw in values} == {Tick(NOW)}

    asyncio.run(play())
