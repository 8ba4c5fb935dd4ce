"""Where meters live, and what is written when the registry changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Intervals
from streams.columns import Columns, Control, Depart, Expect, Registry, decode, encode
from streams.messages import READINGS, REGISTRY, Kind
from streams.ports import Unavailable
from streams.registry import Meter, partition_of
from streams.roster import CHUNK, Roster
from streams.state.bank import BankConfig
from streams.state.partition import Partition
from tests.memory_log import MemoryLog
from tests.streams_of_readings import HOUR, Row, as_columns, examples, instant

T = TypeVar("T")
PARTITIONS = 4
START = instant("2024-01-01")


def area_in(partition: int, other_than: str = "") -> str:
    """The name of an area that lives in a partition."""
    return next(
        f"area{i}"
        for i in range(1000)
        if partition_of(f"area{i}", PARTITIONS) == partition and f"area{i}" != other_than
    )


def meter(name: str, partition: int, tariff: str = "") -> Meter:
    return Meter(meter_id=name, area=area_in(partition), tariff=tariff)


def by_id(*meters: Meter) -> dict[str, Meter]:
    return {one.meter_id: one for one in meters}


async def loaded(log: MemoryLog, instance: str = "ingest") -> Roster:
    roster = Roster(log, PARTITIONS, instance)
    await roster.load()
    return roster


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Until the log is there."""
    while True:
        try:
            return await call()
        except Unavailable:
            continue


def written(log: MemoryLog, partition: int) -> list[Columns | Control]:
    return [decode(raw) for raw in log.values(READINGS, partition)]


async def read(log: MemoryLog, roster: Roster, row: Row) -> None:
    await log.append(READINGS, encode(as_columns([row])), partition=roster.home(row.meter))


def test_a_first_registry_is_written_to_the_partitions_of_its_areas() -> None:
    async def play() -> None:
        log = MemoryLog()
        roster = await loaded(log)
        meters = by_id(meter("a", 0), meter("b", 2), meter("c", 2))
        assert await roster.publish(meters) == 3
        assert written(log, 0) == [Registry([meters["a"]])]
        assert written(log, 2) == [Registry([meters["b"], meters["c"]])]
        assert [roster.home(name) for name in "abc"] == [0, 2, 2]
        assert roster.known == len(roster) == 3
        assert await roster.publish(meters) == 0
        changed = {**meters, "b": meter("b", 2, tariff="night")}
        assert await roster.publish(changed) == 1
        assert written(log, 2)[1:] == [Registry([changed["b"]])]

    asyncio.run(play())


def test_an_unknown_meter_is_an_area_of_its_own() -> None:
    async def play() -> None:
        roster = await loaded(MemoryLog())
        names = [f"stranger{i}" for i in range(3000)]
        codes = roster.codes(names)
        assert roster.homes[codes].tolist() == [partition_of(name, PARTITIONS) for name in names]
        assert [roster.names[code] for code in codes.tolist()] == names
        assert roster.codes(names).tolist() == codes.tolist()
        assert roster.known == 0

    asyncio.run(play())


def test_a_meter_that_changes_partition_is_expected_before_it_departs() -> None:
    async def play() -> None:
        log = MemoryLog()
        roster = await loaded(log)
        await roster.publish(by_id(meter("m", 0)))
        for number, (old, new) in enumerate(((0, 3), (3, 1), (1, 0)), 1):
            before = log.appends
            assert await roster.publish(by_id(meter("m", new))) == 1
            assert written(log, new)[-1] == Expect([meter("m", new)], [number])
            assert written(log, old)[-1] == Depart({"m": number}, new)
            assert log.appends == before + 3  # and what registry.v1 keeps of it
            assert roster.home("m") == new
        # Another area of the same partition is no move.
        other = Meter(meter_id="m", area=area_in(0, other_than=area_in(0)))
        await roster.publish(by_id(other))
        assert written(log, 0)[-1] == Registry([other])

    asyncio.run(play())


def test_a_meter_that_has_spoken_before_the_registry_came_moves_with_its_state() -> None:
    """Also where the roster was loaded before the first reading."""

    async def play() -> None:
        for early in (True, False):
            log = MemoryLog()
            roster = await loaded(log)
            assert await roster.publish({}) == 0
            home = roster.home("m")
            await read(log, roster, Row("m", START, 1.0))
            if not early:
                roster = await loaded(log)
            new = (home + 1) % PARTITIONS
            await roster.publish(by_id(meter("m", new)))
            assert written(log, new) == [Expect([meter("m", new)], [1])]
            assert written(log, home)[1:] == [Depart({"m": 1}, new)]

    asyncio.run(play())


def test_another_ingest_knows_what_this_one_has_published() -> None:
    async def play() -> None:
        log = MemoryLog()
        one, other = await loaded(log, "one"), await loaded(log, "other")
        meters = by_id(*(meter(f"m{i}", i % PARTITIONS) for i in range(50)))
        assert await one.publish(meters) == 50
        assert await other.publish(meters) == 0
        moved = {**meters, "m1": meter("m1", 3)}
        assert await other.publish(moved) == 1
        assert await one.publish(moved) == 0
        assert one.home("m1") == 3
        back = {**meters, "m1": meter("m1", 1)}
        assert await one.publish(back) == 1
        assert written(log, 3)[-1] == Depart({"m1": 2}, 1)
        late = await loaded(log, "late")
        assert [late.home(name) for name in back] == [one.home(name) for name in back]
        assert await late.publish(back) == 0

    asyncio.run(play())


def test_a_meter_that_left_the_file_stays_where_it_is() -> None:
    async def play() -> None:
        log = MemoryLog()
        roster = await loaded(log)
        await roster.publish(by_id(meter("m", 2), meter("n", 1)))
        assert await roster.publish(by_id(meter("n", 1))) == 0
        assert (await loaded(log)).home("m") == 2

    asyncio.run(play())


def test_many_meters_are_written_in_chunks() -> None:
    async def play() -> None:
        log = MemoryLog()
        roster = await loaded(log)
        meters = by_id(*(meter(f"m{i}", 0) for i in range(2 * CHUNK + 1)))
        await roster.publish(meters)
        sizes = [len(message.meters) for message in written(log, 0) if isinstance(message, Registry)]
        assert sizes == [CHUNK, CHUNK, 1]
        await roster.publish(by_id(*(meter(f"m{i}", 1) for i in range(CHUNK + 1))))
        kinds = [type(message).__name__ for message in written(log, 1)]
        assert kinds == ["Expect", "Expect"]
        assert (await loaded(log)).home(f"m{CHUNK}") == 1

    asyncio.run(play())


def test_dialects_are_remembered_by_instance() -> None:
    async def play() -> None:
        log = MemoryLog()
        one, other = await loaded(log, "one"), await loaded(log, "other")
        await one.remember(b"births")
        await one.remember(b"births")
        assert len(log.values(REGISTRY, 0)) == 1
        await other.remember(b"others")
        await one.publish(by_id(meter("m", 1)))
        assert (await loaded(log, "one")).dialects == b"births"
        assert (await loaded(log, "other")).dialects == b"others"
        assert (await loaded(log, "new")).dialects == b""
        await one.remember(b"")
        assert (await loaded(log, "one")).dialects == b""

    asyncio.run(play())


# --- a log that fails -------------------------------------------------------------------------------


class Workers:
    """All partitions, each with the log's messages taken in order until nothing is left."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        config = BankConfig((Intervals(),))
        self.partitions = [Partition(config, number) for number in range(PARTITIONS)]

    async def drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for number, partition in enumerate(self.partitions):
                done = max(partition.next_offset, 0)
                for offset, raw in list(enumerate(self.log.values(READINGS, number)))[done:]:
                    outcome, sends = partition.handle(raw)
                    assert not outcome.rejects
                    partition.next_offset = offset + 1
                    for target, message in sends:
                        await insist(partial(self.log.append, READINGS, message, partition=target))
                    busy = True

    def counts(self) -> dict[str, int]:
        """Readings of each meter, wherever it is; a meter that is in two places is none."""
        found: dict[str, int] = {}
        for partition in self.partitions:
            assert not partition.bank.moves.waiting
            for name, slot in partition.bank.slots.items():
                assert name not in found
                found[name] = int(partition.bank.state.of("intervals", "pulse")[slot]["count"])
        return found


@examples(60, shrink=True)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, PARTITIONS - 1)), min_size=1, max_size=8),
    st.sets(st.integers(0, 60)),
    st.booleans(),
    st.booleans(),
)
def test_a_publication_that_is_interrupted_and_repeated_moves_every_meter_once(
    changes: list[tuple[int, int]], fails: set[int], forgets: bool, restarts: bool
) -> None:
    """Five meters speak between the changes; appends fail, unwritten or written and not confirmed."""

    async def play() -> None:
        log = MemoryLog(PARTITIONS, lambda number: number in fails, forgets)
        roster = await insist(lambda: loaded(log))
        workers = Workers(log)
        registry: dict[str, Meter] = {}
        names = [f"m{i}" for i in range(5)]
        for step, (which, home) in enumerate(changes):
            for name in names:
                row = Row(name, START + step * HOUR, 1.0, Kind.INTERVAL, digest=f"{name}{step:014}".encode())
                await insist(partial(read, log, roster, row))
            registry = {**registry, names[which]: meter(names[which], home)}
            await _publish(log, roster, registry, restarts)
            if restarts:
                roster = await loaded(log)
            if step % 2:
                await workers.drain()
        await workers.drain()
        assert workers.counts() == dict.fromkeys(names, len(changes))
        for number, partition in enumerate(workers.partitions):
            assert all(roster.home(name) == number for name in partition.bank.slots)

    asyncio.run(play())


async def _publish(log: MemoryLog, roster: Roster, registry: Mapping[str, Meter], restarts: bool) -> None:
    while True:
        try:
            await roster.publish(registry)
            return
        except Unavailable:
            if restarts:  # the process has ended meanwhile: another begins where the log says
                roster = await loaded(log)


def test_what_cannot_be_written_is_said_and_nothing_is_taken_for_done() -> None:
    async def play() -> None:
        log = MemoryLog(PARTITIONS, lambda number: number == 1)
        roster = await loaded(log)
        meters = by_id(meter("m", 0), meter("n", 1))
        with pytest.raises(Unavailable):
            await roster.publish(meters)
        assert roster.known == 0
        assert await roster.publish(meters) == 2
        assert roster.known == 2

    asyncio.run(play())
