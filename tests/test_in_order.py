"""The order of one topic: it begins where the group has committed, whenever that comes to be known."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from faust.types import TP

from streams.in_order import InOrder
from streams.messages import VERDICTS
from streams.topology import App
from tests.memory_log import MemoryLog


class _Signal:
    def connect(self, handler: Any, weak: bool) -> None:
        self.handler = handler


class _Consumer:
    """Of a group that has committed ten messages; it tells so when ``gate`` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sought: list[dict[TP, int]] = []

    def assignment(self) -> set[TP]:
        return {TP(VERDICTS, 0), TP(VERDICTS, 1), TP("other.v1", 0)}

    async def committed(self) -> dict[TP, int | None]:
        await self.gate.wait()
        return {TP(VERDICTS, 0): 10, TP("other.v1", 0): 3}

    def pause_partitions(self, tps: list[TP]) -> None: ...

    def resume_partitions(self, tps: list[TP]) -> None: ...

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought.append(offsets)


class _App:
    def __init__(self) -> None:
        self.on_partitions_revoked = _Signal()
        self.consumer = _Consumer()


async def _made(messages: int) -> tuple[InOrder, _App, MemoryLog]:
    app, log = _App(), MemoryLog(2)
    for _ in range(messages):
        await log.append(VERDICTS, b"", partition=0)
    return InOrder(cast(App, app), VERDICTS, log), app, log


def test_a_message_that_comes_before_what_is_committed_is_known_waits_and_goes_back_nowhere() -> None:
    async def run() -> None:
        order, app, _ = await _made(12)
        first = asyncio.create_task(order.take(0, 10))
        await order.assigned()
        await asyncio.sleep(0.01)
        assert not first.done()
        assert await order.behind() == 0  # nobody knows yet
        app.consumer.gate.set()
        assert await first
        assert [await order.take(0, offset) for offset in (9, 10, 11)] == [False, False, True]
        assert await order.take(1, 0)  # of which nothing was committed
        assert not await order.take(2, 0)  # is not ours
        assert app.consumer.sought == []
        assert await order.behind() == 2
        order.done(0, 11)
        order.done(2, 5)
        assert await order.behind() == 1
        await app.on_partitions_revoked.handler()
        assert await order.behind() == 0

    asyncio.run(run())


def test_after_partitions_were_taken_away_it_is_asked_again() -> None:
    async def run() -> None:
        order, app, _ = await _made(12)
        app.consumer.gate.set()
        await order.assigned()
        assert await order.take(0, 10)
        await app.on_partitions_revoked.handler()
        app.consumer.gate.clear()
        await order.assigned()
        again = asyncio.create_task(order.take(0, 10))  # it was not committed
        await asyncio.sleep(0.01)
        assert not again.done()
        app.consumer.gate.set()
        assert await again

    asyncio.run(run())


def test_what_was_passed_over_is_gone_back_to() -> None:
    async def run() -> None:
        order, app, _ = await _made(12)
        app.consumer.gate.set()
        await order.assigned()
        assert not await order.take(0, 11)
        while not app.consumer.sought:
            await asyncio.sleep(0.01)
        assert app.consumer.sought[0] == {TP(VERDICTS, 0): 10}
        assert await order.take(0, 10)
        assert await order.take(0, 11)

    asyncio.run(run())
