"""Which meter is in which partition, and what changes when the registry does.

What has been published is kept in the compacted topic ``registry.v1`` (a bucket of meters a
record), so that an ingest that starts knows where each meter's state is, whatever happened to
the file meanwhile.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.columns import Depart, Expect, Registry, encode_control
from streams.messages import READINGS, REGISTRY
from streams.ports import Log
from streams.registry import Meter, partition_of

BUCKETS = 1024
CHUNK = 500  # meters in a control message

_encode = msgspec.msgpack.Encoder().encode


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What ``registry.v1`` holds of a meter."""

    meter: Meter
    moves: int  # how often it has moved to another partition


_kept = msgspec.msgpack.Decoder(list[Kept])


def _bucket(meter_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(meter_id.encode(), digest_size=2).digest(), "big") % BUCKETS


class Roster:
    """Meter → partition; knows what has been published of the registry."""

    def __init__(self, log: Log, partitions: int, instance: str = "ingest") -> None:
        self._log = log
        self._key = f"dialects/{instance}".encode()
        self.partitions = partitions
        self._rows: dict[str, bytes] = {}  # meter → packed registry row
        self._moves: dict[str, int] = {}  # meter → moves, of those that have moved
        self._next = 0  # offset of registry.v1 up to which it has been read
        self.names: list[str] = []  # code → meter; unknown meters enter as they speak
        self._codes: dict[str, int] = {}
        self._homes = np.zeros(1024, np.int16)
        self._fresh = False  # no reading has ever been written
        self.dialects = b""  # what the payload dialects remembered when this ingest last kept it

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def known(self) -> int:
        """Meters that the registry names."""
        return len(self._rows)

    async def load(self) -> None:
        """Read what was published before."""
        await self._catch_up()
        self._fresh = await self._unwritten()

    async def _catch_up(self) -> None:
        """Read what has been published since, by this ingest or another."""
        async for offset, key, value in self._log.read(REGISTRY, 0, self._next):
            self._next = offset + 1
            if key == self._key:
                self.dialects = value or b""
            elif value and not (key or b"").startswith(b"dialects/"):
                for kept in _kept.decode(value):
                    self._learn(kept.meter, kept.moves)

    def _learn(self, meter: Meter, moves: int) -> None:
        self._rows[meter.meter_id] = _encode(meter)
        if moves:
            self._moves[meter.meter_id] = moves
        self._settle(meter.meter_id, partition_of(meter.home_area, self.partitions))

    async def _unwritten(self) -> bool:
        ends = [await self._log.end(READINGS, partition) for partition in range(self.partitions)]
        return not any(ends)

    def home(self, meter_id: str) -> int:
        """The partition that a meter's readings go to."""
        return int(self._homes[self._code(meter_id)])

    def codes(self, meters: list[str]) -> NDArray[np.int64]:
        """A code for each name, the same for the same meter, that indexes ``names`` and ``homes``."""
        try:
            return np.fromiter(map(self._codes.__getitem__, meters), np.int64, len(meters))
        except KeyError:
            # A meter that the registry does not name has a home of its own.
            return np.fromiter(map(self._code, meters), np.int64, len(meters))

    @property
    def homes(self) -> NDArray[np.int16]:
        """Code → partition."""
        return self._homes

    def _code(self, meter_id: str) -> int:
        code = self._codes.get(meter_id)
        if code is None:
            code = self._settle(meter_id, partition_of(meter_id, self.partitions))
        return code

    def _settle(self, meter_id: str, home: int) -> int:
        """Give a meter its partition; a new one gets a code."""
        code = self._codes.setdefault(meter_id, len(self.names))
        if code == len(self.names):
            self.names.append(meter_id)
            if code >= len(self._homes):
                self._homes = np.concatenate([self._homes, np.zeros(max(1024, code), np.int16)])
        self._homes[code] = home
        return code

    async def publish(self, meters: Mapping[str, Meter]) -> int:
        """Bring the log up to the registry's present content; return how many meters changed.

        A meter that left the file keeps its state and its last row. Raises Unavailable, and may
        then be called again: each step may be repeated.
        """
        await self._catch_up()
        changed = [m for m in meters.values() if self._rows.get(m.meter_id) != _encode(m)]
        if not changed:
            return 0
        # Readings may have been written since we looked, also by another ingest.
        self._fresh = self._fresh and await self._unwritten()
        stay: dict[int, list[Kept]] = defaultdict(list)
        move: dict[tuple[int, int], list[Kept]] = defaultdict(list)
        for meter in changed:
            new = partition_of(meter.home_area, self.partitions)
            # A meter that the registry did not name may have spoken already, as an area of its own.
            old = new if self._fresh else self.home(meter.meter_id)
            moves = self._moves.get(meter.meter_id, 0)
            if old == new:
                stay[new].append(Kept(meter, moves))
            else:
                move[old, new].append(Kept(meter, moves + 1))
        for partition, group in stay.items():
            for chunk in _chunks(group):
                await self._write(partition, Registry([kept.meter for kept in chunk]))
        for (old, new), group in move.items():
            for chunk in _chunks(group):
                await self._write(new, Expect([kept.meter for kept in chunk], [kept.moves for kept in chunk]))
                await self._write(old, Depart({kept.meter.meter_id: kept.moves for kept in chunk}, new))
        await self._keep([kept for group in (*stay.values(), *move.values()) for kept in group])
        self._fresh = False
        return len(changed)

    async def _write(self, partition: int, message: Registry | Expect | Depart) -> None:
        await self._log.append(READINGS, encode_control(message), partition=partition)

    async def remember(self, dialects: bytes) -> None:
        """Keep what the payload dialects must know after a restart (births of Sparkplug nodes)."""
        if dialects != self.dialects:
            await self._log.append(REGISTRY, dialects, key=self._key, partition=0)
            self.dialects = dialects

    async def _keep(self, changed: list[Kept]) -> None:
        rows = dict.fromkeys(self._rows) | {kept.meter.meter_id: kept for kept in changed}
        touched = {_bucket(kept.meter.meter_id) for kept in changed}
        buckets: dict[int, list[Kept]] = defaultdict(list)
        one = msgspec.msgpack.Decoder(Meter)
        for meter_id, new in rows.items():
            bucket = _bucket(meter_id)
            if bucket in touched:
                buckets[bucket].append(
                    new or Kept(one.decode(self._rows[meter_id]), self._moves.get(meter_id, 0))
                )
        for bucket, group in buckets.items():
            await self._log.append(REGISTRY, _encode(group), key=str(bucket).encode(), partition=0)
        for kept in changed:
            self._learn(kept.meter, kept.moves)


def _chunks(group: list[Kept]) -> Iterable[list[Kept]]:
    for first in range(0, len(group), CHUNK):
        yield group[first : first + CHUNK]
