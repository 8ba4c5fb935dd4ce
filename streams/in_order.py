"""Holds the offsets of a topic against each other: nothing that Faust passes over is missed.

Around a rebalance Faust drops what it fetched while a partition was paused, and where nothing
was committed yet it does not go back. What is missing is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from faust.types import TP

from streams.ports import Log
from streams.topology import App, committed

log = logging.getLogger(__name__)

LOOK_S = 2.0  # after partitions were assigned: has what is not committed come?


class InOrder:
    """The order of one topic's messages in one app, for an agent that commits by itself."""

    def __init__(self, app: App, topic: str, read_log: Log) -> None:
        self._app = app
        self._topic = topic
        self._log = read_log
        self._next: dict[int, int] = {}  # partition → the offset that must come next
        self._done: dict[int, int] = {}  # partition → the offset after the last one that is done with
        self._known = asyncio.Event()  # where the partitions that are ours go on
        self._asking: asyncio.Task[None] | None = None
        self._rewinding: dict[int, asyncio.Task[None]] = {}
        self._came = asyncio.Event()  # what was missing
        app.on_partitions_revoked.connect(self._revoked, weak=False)

    async def take(self, partition: int, offset: int) -> bool:
        """Whether this message is the next one. An earlier one has been; a later one will come again.

        Waits until it is known where the partition goes on.
        """
        if partition not in self._next:
            await self._known.wait()
        expected = self._next.get(partition)
        if expected is None:
            return False  # not ours any more
        if offset != expected:
            if offset > expected and partition not in self._rewinding:
                self._rewinding[partition] = asyncio.create_task(self._guarded(partition, self._rewind))
            return False
        self._next[partition] = offset + 1
        if partition in self._rewinding:
            self._came.set()
        return True

    async def _revoked(self, *_: Any, **__: Any) -> None:
        self._known.clear()
        self._next.clear()
        self._done.clear()
        for task in (*self._rewinding.values(), *([self._asking] if self._asking else ())):
            task.cancel()
        self._rewinding.clear()

    async def assigned(self, *_: Any, **__: Any) -> None:
        """To be called when partitions are ours and recovered.

        Sees to it that what is not committed comes, also where nothing follows it.
        """
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        """Where each partition goes on. That it is not known would be taken for the log's beginning."""
        mine = [tp for tp in self._app.consumer.assignment() if tp.topic == self._topic]
        try:
            found = await committed(self._app, mine)
        except Exception as error:  # noqa: BLE001 - whatever it is, the app must not go on without it
            log.error("%s: what is committed is not known: %s", self._topic, error)
            await self._app.crash(error)
            return
        for tp, offset in found.items():
            self._next.setdefault(tp.partition, offset)
            self._done.setdefault(tp.partition, offset)
            if tp.partition not in self._rewinding:
                self._rewinding[tp.partition] = asyncio.create_task(self._guarded(tp.partition, self._look))
        self._known.set()

    def done(self, partition: int, offset: int) -> None:
        """All before this offset is durable where it belongs, and committed."""
        if partition in self._done:
            self._done[partition] = offset

    async def behind(self) -> int:
        """How many messages of the partitions that are ours are not done with. Raises PortError."""
        mine = list(self._done.items())
        return sum([max(0, await self._log.end(self._topic, number) - done) for number, done in mine])

    async def _look(self, partition: int) -> None:
        """Where nothing has come although there is something, it was passed over."""
        await asyncio.sleep(LOOK_S)
        expected = self._next[partition]
        await asyncio.sleep(LOOK_S)
        if self._next[partition] == expected and await self._log.end(self._topic, partition) > expected:
            await self._rewind(partition)

    async def _guarded(self, partition: int, work: Callable[[int], Awaitable[None]]) -> None:
        """A task whose failure stops the app: started again, it goes on from what is committed."""
        try:
            await work(partition)
        except Exception as error:  # noqa: BLE001 - whatever it is, the app must not go on without them
            log.error("%s/%d cannot be read again: %s", self._topic, partition, error)
            await self._app.crash(error)
        else:
            self._rewinding.pop(partition, None)

    async def _rewind(self, partition: int) -> None:
        """Seek back to what is missing, until it comes; what has left the log cannot come."""
        tp = TP(self._topic, partition)
        consumer: Any = self._app.consumer
        expected = self._next[partition]
        async for first, _, _ in self._log.read(self._topic, partition, expected):
            if first > expected:
                log.error("%s/%d: messages %d to %d are no longer in the log", *tp, expected, first - 1)
                expected = self._next[partition] = first
            break
        while self._next[partition] == expected:
            self._came.clear()
            consumer.pause_partitions([tp])
            await asyncio.sleep(0.05)
            await consumer.seek_wait({tp: expected})
            consumer.resume_partitions([tp])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), 1.0)
