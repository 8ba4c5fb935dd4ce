"""A group's place in its partitions: where it reads, what it has acknowledged and committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from faust.exceptions import ConsumerNotStarted
from faust.transport import base
from faust.types import TP

from connectors.sqlite_log import SqliteLog
from connectors.sqlite_transport.positions import Positions
from streams.ports import Unavailable

__all__ = ["GroupConsumer", "tps"]


class GroupConsumer(base.Consumer):
    """The part of the consumer that keeps count. ``consumer.Consumer`` fetches.

    Where Faust's own reckoning would pass a record that is not acknowledged, this one does
    not: see ``_new_offset`` and ``_note_gap``.
    """

    _log: SqliteLog | None = None

    def __post_init__(self) -> None:
        self._at = Positions()
        self._something: asyncio.Future[None] | None = None

    def _opened(self) -> SqliteLog:
        if self._log is None:
            raise ConsumerNotStarted("the consumer is not running")
        return self._log

    # -- positions

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        return self._at.position(tp) if tp in self._at else None

    async def _seek(self, partition: TP, offset: int) -> None:
        self._at.seek(partition, offset)
        self._wake()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to these offsets."""
        for tp, offset in partitions.items():
            self._at.seek(tp, offset)
            self._read_offset[tp] = offset or None
        self._wake()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:  # type: ignore[override]
        """Go to where the group was, and return it.

        A partition without a committed offset goes to where it began, unless it is one
        whose records are not acknowledged (a changelog).
        """
        committed = tps(self._opened().committed(self.app.conf.id))
        found: dict[TP, int | None] = {}
        for tp in self.assignment():
            offset = found[tp] = committed.get(tp)
            if offset is not None:
                self._at.seek(tp, offset)
            elif self.app.topics.acks_enabled_for(tp.topic):
                self._at.seek(tp, self._at.start(tp))
        return found

    async def committed(self) -> Mapping[TP, int | None]:
        """Return what the group has committed, of all partitions that it has committed anything of."""
        return tps(self._opened().committed(self.app.conf.id))

    def highwater(self, tp: TP) -> int:
        """Return the next offset of a partition, as far as it is known."""
        return self._at.end(tp)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the next offsets of partitions."""
        return tps(self._opened().ends(partitions))

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offsets that partitions still hold."""
        return tps(self._opened().starts(partitions))

    # -- acknowledging

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Write the group's offsets; keeps trying while the log is unavailable, until stopped.

        Where a table's change was lost (disk full), nothing is committed and the app ends: it
        comes back with the state that the log has, and the records behind it once more.
        """
        log = self._opened()
        lost = getattr(self.app.producer, "lost", None)
        if lost is not None:
            await self.crash(lost)
            return False
        return await self._retry(
            lambda: log.commit(self.app.conf.id, {(tp.topic, tp.partition): n for tp, n in offsets.items()})
        )

    async def _retry(self, change: Callable[[], Awaitable[None]]) -> bool:
        """Change something in the log; False if it could not be done before the app was stopped."""
        pause = 0.1
        while True:
            try:
                await change()
            except Unavailable as error:
                self.log.error("%s", error)
                if self.should_stop:
                    return False
                await self.sleep(pause)
                pause = min(5.0, pause * 2)
            else:
                return True

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset up to which everything is acknowledged; None if it has not moved.

        Faust's own would pass an unacknowledged record where nothing is committed yet or
        where it is a single one.
        """
        acked = self._acked_index[tp]
        if not acked or tp not in self._at:
            return None
        floor = self._committed_offset[tp]
        first = offset = self._at.start(tp) if floor is None else floor
        gaps = self._gap[tp]
        while True:
            if offset in acked:
                offset += 1
            elif gap := gaps.at(offset):
                offset = max(interval.end for interval in gap)
            else:
                break
        if offset == first:
            return None
        acked.difference_update(range(first, offset))
        self._acked[tp] = [number for number in self._acked[tp] if number >= offset]
        gaps.chop(0, offset)
        return offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: Faust's idea of a gap takes in the record behind it; ``_note_gap`` has ours."""

    def _note_gap(self, tp: TP, first: int, behind: int) -> None:
        """Note that there are no records from ``first`` up to, but not including, ``behind``."""
        self._gap[tp].addi(first, behind)
        self._gap[tp].merge_overlaps(strict=False)

    # -- waiting

    async def _nap(self, seconds: float) -> None:
        """Wait until something happens, or so long."""
        loop = asyncio.get_running_loop()
        self._something = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._something
        finally:
            timer.cancel()
            self._something = None

    def _wake(self) -> None:
        if self._something is not None and not self._something.done():
            self._something.set_result(None)


def tps(values: Mapping[Any, Any]) -> dict[TP, Any]:
    """Return the same with Faust's own names of partitions, which compare equal."""
    return {TP(*name): value for name, value in values.items()}
