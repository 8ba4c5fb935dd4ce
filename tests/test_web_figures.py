"""What the pages show: snapshots of the sources, and the figures of the processes added up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.history_sqlite import HistoryReader, Latest
from connectors.store import Store
from connectors.web.feed import Feed
from connectors.web.figures import metrics, processes, totals
from connectors.web.sources import Reader, Sources
from streams.messages import NS, Flag, Kind
from streams.trade.deliveries import Heartbeat
from tests.web_tools import VOCABULARY, Place, columns, filled, flag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


class _Counting(HistoryReader):
    """A history that notes how many meters it was asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.limits: list[int] = []

    async def latest(self, limit: int = 100) -> list[Latest]:
        self.limits.append(limit)
        return await super().latest(limit)


def test_few_meters_do_not_cost_the_whole_history(tmp_path: Path) -> None:
    made = Place(tmp_path)
    made.readings(columns([("a", NS, 1.0, Kind.GAUGE, ""), ("b", 2 * NS, 1.0, Kind.GAUGE, "")]))

    async def run() -> None:
        history = _Counting(made.history_path)
        reader = Reader(Sources(store=made.store, history=history, vocabulary=VOCABULARY))

        async def names(limit: int) -> list[str]:
            return [reading.meter_id for reading in await reader.latest(limit)]

        assert await names(60) == ["b", "a"]
        assert await names(60) == ["b", "a"]
        assert await names(1) == ["b"]
        assert await names(500) == ["b", "a"]
        assert history.limits == [60, 2, 1, 2]
        # a meter that speaks for the first time is noticed by its speaking
        await asyncio.to_thread(made.readings, columns([("c", 3 * NS, 1.0, Kind.GAUGE, "")]))
        assert await names(60) == ["c", "b", "a"]
        assert await names(2) == ["c", "b"]
        assert await names(60) == ["c", "b", "a"]
        assert history.limits[4:] == [2, 60, 2, 3]
        await history.close()
        reader.close()

    asyncio.run(run())
    made.close()


class _Chatty(HistoryReader):
    """A history in which the first of three episodes has a thousand events."""

    async def flag_page(
        self, limit: int = 100, meter_id: str = "", before: tuple[int, int] | None = None
    ) -> list[tuple[tuple[int, int], Flag]]:
        names = ["a"] * 1000 + ["b", "a", "c"]
        first = 0 if before is None else before[1] + 1
        made = [((2000 - n, n), flag(name, "leak", "2026-06-01T12:00:00Z")) for n, name in enumerate(names)]
        return made[first : first + limit]


def test_episodes_are_paged_however_many_events_they_have(tmp_path: Path) -> None:
    async def run() -> None:
        history = _Chatty(tmp_path / "none")
        reader = Reader(
            Sources(store=Store(f"sqlite:///{tmp_path / 't.db'}"), history=history, vocabulary=VOCABULARY)
        )
        pages, seen, mark = [], set[str](), None
        while True:
            found, mark = await reader.episodes(1, mark, seen)
            pages.append([one.meter_id for one in found])
            seen |= {one.id for one in found}
            if mark is None:
                break
        assert pages == [["a"], ["b"], ["c"]]
        # no more is read than is asked for: then the mark is where the reading has come to
        assert [one.meter_id for one in (await reader.episodes(2, rounds=1)).flags] == ["a"]
        found, mark = await reader.episodes(2, rounds=2)
        assert ([one.meter_id for one in found], mark) == (["a"], (1201, 799))
        await history.close()
        reader.close()

    asyncio.run(run())


class _Stuck(Store):
    """A store whose database does not answer until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.let_go = threading.Event()

    def heartbeats(self) -> list[Heartbeat]:
        self.asked += 1
        self.let_go.wait(30)
        return super().heartbeats()


def test_a_database_that_hangs_holds_nobody_up(place: Place) -> None:
    stuck = _Stuck(place.store_url)

    async def run() -> None:
        reader = Reader(Sources(store=stuck, history=None, vocabulary=VOCABULARY), patience_s=0.5)
        feed = Feed(reader, every_s=0.01)
        begun = time.monotonic()
        # before there is any answer: nobody waits, and nobody is told that all is well
        for shown in await asyncio.gather(*(feed.snapshot() for _ in range(50))):
            assert shown.store_error == "no answer yet"
        # fifty askers, one question
        assert stuck.asked <= 1
        while "no answer within 0.5 s" not in (await feed.snapshot()).store_error:
            assert time.monotonic() - begun < 10
        for _ in range(100):
            assert (await feed.snapshot()).store_error
        assert time.monotonic() - begun < 10
        stuck.let_go.set()
        end = time.monotonic() + 10
        while (found := await feed.snapshot()).store_error:
            assert time.monotonic() < end
        assert [t.kind for t in found.open] == ["continuous_flow", "spike", "high_usage"]
        reader.close()

    asyncio.run(run())
    stuck.close()


def test_what_was_known_stays_while_a_source_is_away(place: Place, tmp_path: Path) -> None:
    class Flaky(Store):
        away = False

        def counts(self) -> Any:
            return Store(f"sqlite:///{tmp_path / 'no' / 't.db'}").counts() if self.away else super().counts()

    store = Flaky(place.store_url)

    async def run() -> None:
        history = HistoryReader(place.history_path)
        feed = Feed(Reader(Sources(store=store, history=history, vocabulary=VOCABULARY)), every_s=0.01)
        before = await feed.snapshot(10)
        assert before.store_error == ""
        store.away = True
        end = time.monotonic() + 10
        while not (after := await feed.snapshot(10)).store_error:
            assert time.monotonic() < end
        assert "unable to open" in after.store_error
        assert after.open == before.open
        assert after.store_ns == before.store_ns
        assert len(after.readings) == 2
        await history.close()

    asyncio.run(run())
    store.close()


# -- figures ----------------------------------------------------------------------------------


def beat(name: str, at_s: float, since_s: float = 0.0, **figures: Any) -> Heartbeat:
    return Heartbeat(
        process=name,
        since_ns=round(since_s * NS),
        at_ns=round(at_s * NS),
        figures={"role": name.partition("@")[0], **figures},
    )


def test_a_silent_process_is_shown_until_another_takes_its_place() -> None:
    beats = [beat("worker@a:1", 100), beat("ingest@a:2", 195), beat("web@a:3", 199), beat("other@a:4", 199)]
    shown = processes(beats, 200 * NS)
    assert [(p.role, p.alive) for p in shown] == [
        ("ingest", True),
        ("worker", False),
        ("web", True),
        ("other", True),
    ]
    assert shown[1].age_s == 100
    heir = processes([*beats, beat("worker@a:9", 199, since_s=110)], 200 * NS)
    assert [p.name for p in heir if p.role == "worker"] == ["worker@a:9"]
    # one on another machine, or one that ran beside it, takes nobody's place
    beside = processes([*beats, beat("worker@b:9", 199, 110), beat("worker@a:8", 199, 90)], 200 * NS)
    assert len([p for p in beside if p.role == "worker"]) == 3


def test_a_clock_that_is_ahead_is_no_reason_to_be_dead() -> None:
    assert processes([beat("web@a:1", 500)], 200 * NS)[0].alive


def test_totals_take_figures_that_are_missing_or_odd_as_nothing() -> None:
    beats = [
        beat("ingest@a:1", 1, readings=5, batches=None, dead_letters=True),
        beat("ingest@b:1", 1, readings=7, last_reading_ns=0),
        beat("worker@a:2", 1, lag="many", counts=[1], lag_s=2.5, error="history waits"),
        beat("worker@b:2", 1, lag=4, lag_s=1.0, last_reading_ns=77),
    ]
    sums = totals(processes(beats, NS))
    assert (sums.readings_in, sums.batches, sums.dead_letters, sums.lag, sums.lag_s) == (12, 0, 0, 4, 2.5)
    assert sums.last_reading_ns == 77
    assert totals([]).last_reading_ns is None


def test_the_rate_is_of_the_last_half_minute_and_survives_a_restart(place: Place) -> None:
    feed = Feed(Reader(Sources(store=place.store, history=None, vocabulary=VOCABULARY)))
    told = [
        feed._rate([beat("ingest@a:1", t, readings=10 * t), beat("worker@a:2", t, readings=1)])
        for t in range(0, 60, 2)
    ]
    assert told[0] is None
    assert told[1:] == pytest.approx([10.0] * 29)
    # started anew: it counts from zero, and nothing is taken off
    assert feed._rate([beat("ingest@a:9", 60, readings=3)]) == 0.0
    assert feed._rate([]) is None


def test_without_an_answer_the_metrics_say_that_alone() -> None:
    assert [(m.name, m.value) for m in metrics(None, [], NS)] == [("forestall_store_up", 0.0)]
