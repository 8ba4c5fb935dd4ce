"""The data-quality table of a running worker: from the state to the database to the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import read_days
from streams.clock import SystemClock
from streams.messages import Counts, DayCounts
from streams.ports import Rejected, Unavailable
from streams.quality_keep import QualityKeep
from streams.reads_keep import STORED, ReadsKeep
from streams.registry import Meter
from streams.state.bank import Bank
from tests.streams_of_readings import HOUR, Row, feed, instant, make_bank
from tests.web_tools import Place, filled, talking

START = instant("2024-03-01")


def bank_of(names: str = "abc") -> Bank:
    """Meters of area north, a of which misses two hours, b one; c is in order."""
    meters = [
        Meter(meter_id=name, kind="interval", interval_s=3600, area="north", unit="m3") for name in names
    ]
    bank = make_bank(meters)
    lost = {("a", 4), ("a", 5), ("b", 7)}
    feed(bank, [Row(n, START + h * HOUR, 1.0) for h in range(12) for n in names if (n, h) not in lost])
    return bank


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'tickets.db'}"
    upgrade(url)
    made = Store(url)
    yield made
    made.close()


def told(store: Store, areas: bool = False, by: str = "missing", meter: str = "") -> list[tuple[str, int]]:
    return [(one.meter_id or one.area, getattr(one, by)) for one, _ in store.quality(meter, "", areas, by, 9)]


def test_meters_that_have_any_and_all_areas_are_told(store: Store) -> None:
    bank = bank_of()
    keep = QualityKeep(store, lambda: [bank], SystemClock())
    assert not asyncio.run(keep.tell())
    assert told(store) == [("a", 2), ("b", 1)]
    assert told(store, areas=True) == [("north", 3)]
    assert told(store, areas=True, by="readings") == [("north", 33)]
    # What comes late is no longer missing, and replaces what was told.
    feed(bank, [Row("a", START + 4 * HOUR, 1.0)])
    asyncio.run(keep.tell())
    assert told(store) == [("a", 1), ("b", 1)]
    assert told(store, by="late", meter="a") == [("a", 1)]
    # A worker that starts again tells the same.
    asyncio.run(QualityKeep(store, lambda: [bank], SystemClock()).tell())
    assert told(store) == [("a", 1), ("b", 1)]


class _Away:
    """A store that refuses once."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def keep_quality(self, counts: Sequence[Counts], now_ns: int) -> None:
        self.calls.append([one.meter_id for one in counts])
        if len(self.calls) == 1:
            raise Unavailable("the ticket database", "it is away")


def test_what_could_not_be_told_is_told_again_and_what_was_is_not() -> None:
    away, bank = _Away(), bank_of()
    keep = QualityKeep(away, lambda: [bank], SystemClock())
    with pytest.raises(Unavailable):
        asyncio.run(keep.tell())
    for _ in range(2):
        asyncio.run(keep.tell())
    assert away.calls == [["", "a", "b"], ["", "a", "b"], [""]]


def days_told(store: Store) -> dict[tuple[int, int], tuple[int, int]]:
    """Partition and day → readings and missing, of all places."""
    query = select(read_days.c.partition, read_days.c.day, read_days.c.readings, read_days.c.missing)
    with reading(store._engine) as connection:
        return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def test_reads_by_day_are_told_as_they_are(store: Store) -> None:
    bank, first = bank_of(), START // (24 * HOUR)
    keep = ReadsKeep(store, lambda: {3: bank}, SystemClock())
    assert not asyncio.run(keep.tell())
    assert days_told(store) == {(3, first): (33, 3)}
    feed(bank, [Row("c", START + 24 * HOUR, 1.0), Row("a", START + 4 * HOUR, 1.0)])
    asyncio.run(keep.tell())
    assert days_told(store) == {(3, first): (34, 2 + 12), (3, first + 1): (1, 0)}
    # A worker that was killed begins with less, reads again, and tells the same.
    again = bank_of()
    asyncio.run(ReadsKeep(store, lambda: {3: again}, SystemClock()).tell())
    assert days_told(store)[3, first] == (33, 3)
    feed(again, [Row("c", START + 24 * HOUR, 1.0), Row("a", START + 4 * HOUR, 1.0)])
    asyncio.run(ReadsKeep(store, lambda: {3: again}, SystemClock()).tell())
    assert days_told(store) == {(3, first): (34, 14), (3, first + 1): (1, 0)}


class At:
    """A clock that stands at a day."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def now_ns(self) -> int:
        return self.ns


def test_days_long_over_leave_the_database(store: Store) -> None:
    bank, first = bank_of("a"), START // (24 * HOUR)
    clock = At(START)
    keep = ReadsKeep(store, lambda: {0: bank}, clock)
    asyncio.run(keep.tell())
    clock.ns = START + 24 * HOUR * (STORED + 1)
    feed(bank, [Row("a", clock.ns, 1.0)])
    while asyncio.run(keep.tell()):
        pass
    told = days_told(store)
    assert not {(0, first), (0, first + 1)} & told.keys()
    assert (0, first + STORED + 1) in told


def test_a_wrong_year_deletes_no_day_and_its_own_goes(store: Store) -> None:
    """A file with a stamp of 2100, before any reading has arrived by itself."""
    bank, first = bank_of("abc"), START // (24 * HOUR)
    keep = ReadsKeep(store, lambda: {0: bank}, At(START + 24 * HOUR))
    asyncio.run(keep.tell())
    feed(bank, [Row("d", instant("2100-01-18"), 1.0)])
    asyncio.run(keep.tell())
    assert days_told(store) == {(0, first): (33, 3), (0, instant("2100-01-18") // (24 * HOUR)): (1, 0)}
    feed(bank, [Row("a", (at := START + 24 * HOUR), 1.0, received=at)])
    asyncio.run(keep.tell())
    assert days_told(store) == {(0, first): (33, 3 + 12), (0, first + 1): (1, 0), (0, -1): (1, 0)}


class _ReadsAway:
    """A store that refuses the first time."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def keep_reads(self, partition: int, counts: Sequence[DayCounts], first: int, last: int) -> None:
        self.calls.append((partition, len(counts)))
        if len(self.calls) == 1:
            raise Unavailable("the ticket database", "it is away")


def test_reads_that_could_not_be_told_are_told_again() -> None:
    away, bank = _ReadsAway(), bank_of()
    keep = ReadsKeep(away, lambda: {1: bank}, SystemClock())
    with pytest.raises(Unavailable):
        asyncio.run(keep.tell())
    for _ in range(2):
        asyncio.run(keep.tell())
    assert away.calls == [(1, 1), (1, 1)]


class _Picky:
    """A store that never takes what partition 1 has, and says when it is told."""

    def __init__(self, taken: Callable[[], None] = lambda: None) -> None:
        self.calls: list[int] = []
        self._taken = taken

    def keep_reads(self, partition: int, counts: Sequence[DayCounts], first: int, last: int) -> None:
        self.calls.append(partition)
        if partition == 1:
            raise Rejected("the ticket database", "a row is too long")
        self._taken()


def test_a_partition_whose_rows_are_refused_keeps_no_other_from_being_told() -> None:
    picky = _Picky()
    banks = {number: bank_of() for number in (0, 1, 2)}
    keep = ReadsKeep(picky, lambda: banks, SystemClock())
    with pytest.raises(Rejected):
        asyncio.run(keep.tell())
    assert picky.calls == [0, 1, 2]
    with pytest.raises(Rejected):
        asyncio.run(keep.tell())
    assert picky.calls == [0, 1, 2, 1]


def test_a_partition_that_is_taken_away_is_told_of_no_more() -> None:
    banks = {number: bank_of() for number in (0, 2)}
    picky = _Picky(banks.clear)  # while the first is told, the group divides the partitions anew
    assert not asyncio.run(ReadsKeep(picky, lambda: banks, SystemClock()).tell())
    assert picky.calls == [0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


def test_the_api_answers(place: Place) -> None:
    store = Store(place.store_url)
    asyncio.run(QualityKeep(store, lambda: [bank_of()], SystemClock()).tell())
    store.close()

    async def talk(client: httpx.AsyncClient) -> None:
        items = (await client.get("/api/quality")).json()["items"]
        assert [(one["meter_id"], one["missing"], one["readings"]) for one in items] == [
            ("a", 2, 10),
            ("b", 1, 11),
        ]
        assert items[0]["at"].endswith("Z")
        (area,) = (await client.get("/api/quality?of=areas&by=readings")).json()["items"]
        assert (area["area"], area["meter_id"], area["missing"]) == ("north", "", 3)
        assert (await client.get("/api/quality?area=south")).json()["items"] == []
        (one,) = (await client.get("/api/quality?meter=b&limit=1")).json()["items"]
        assert one["meter_id"] == "b"
        for wrong in ("of=everything", "by=missing;drop", "limit=0"):
            assert (await client.get(f"/api/quality?{wrong}")).status_code == 422

    talking(place, talk)
