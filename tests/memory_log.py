"""A log in memory that fails when it is told to."""

from __future__ import annotations

import asyncio
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from streams.messages import READINGS
from streams.ports import Unavailable

Record = tuple[bytes | None, bytes | None]


class MemoryLog:
    """The port ``Log``. ``fails``: the numbers of the appends, from 0, that fail.

    An append that ``forgets`` is written, but its confirmation is lost. ``gate``, where it is
    set, holds every append back until it is opened.
    """

    def __init__(
        self, partitions: int = 4, fails: Callable[[int], bool] | None = None, forgets: bool = False
    ) -> None:
        self.partitions = partitions
        self.records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.appends = 0
        self.gate: asyncio.Event | None = None
        self._fails = fails or (lambda number: False)
        self._forgets = forgets

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> int:
        number = self.appends
        self.appends += 1
        if self.gate is not None:
            await self.gate.wait()
        if partition is None:
            partition = zlib.crc32(key or b"") % self.partitions
        if self._fails(number):
            if self._forgets:
                self.records[topic, partition].append((key, value))
            raise Unavailable("memory", f"append {number} was to fail", 0.01)
        # Durable a moment later, as in a real log: others may be confirmed meanwhile.
        self.records[topic, partition].append((key, value))
        await asyncio.sleep(0)
        return len(self.records[topic, partition]) - 1

    async def ensure_topic(
        self, topic: str, partitions: int, *, compact: bool = False, settings: Mapping[str, str] | None = None
    ) -> None:
        pass

    async def read(
        self, topic: str, partition: int, start: int = 0
    ) -> AsyncIterator[tuple[int, bytes | None, bytes | None]]:
        for offset, (key, value) in list(enumerate(self.records[topic, partition]))[start:]:
            yield offset, key, value

    async def end(self, topic: str, partition: int) -> int:
        return len(self.records[topic, partition])

    async def close(self) -> None:
        pass

    def values(self, topic: str, partition: int) -> list[bytes]:
        """All values of a partition."""
        return [value for _, value in self.records[topic, partition] if value is not None]

    def readings(self) -> list[list[bytes]]:
        """The messages of ``readings.v1``, by partition."""
        return [self.values(READINGS, partition) for partition in range(self.partitions)]
