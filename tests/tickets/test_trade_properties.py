"""Whatever happens in whatever order: only legal states, nothing lost, one open ticket for one matter."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.migrations import upgrade
from connectors.store import Store
from streams.trade.lifecycle import Refused
from tests.services.postgres import Postgres
from tests.tickets.tools import NOON, Turned, sqlite_url
from tests.tickets.trade_walk import DEED, DEEDS, Trade, holds


class OnSqlite(RuleBasedStateMachine):
    """One writer, everything looked at after each step."""

    @initialize()
    def begin(self) -> None:
        self.place = TemporaryDirectory(prefix="trade-")
        url = sqlite_url(Path(self.place.name))
        upgrade(url)
        self.store = Store(url, lambda event: ["desk", "other"])
        self.trade = Trade(self.store, Turned())
        self.trade.points()

    @rule(deeds=st.lists(st.tuples(st.sampled_from(DEEDS), DEED), min_size=1, max_size=4))
    def some(self, deeds: Sequence[tuple[str, int]]) -> None:
        for what, seed in deeds:
            getattr(self.trade, what)(seed)

    @rule(seeds=st.lists(DEED, min_size=1, max_size=4))
    def staff_at_work(self, seeds: Sequence[int]) -> None:
        for seed in seeds:
            self.trade.work(seed)

    @invariant()
    def all_holds(self) -> None:
        if hasattr(self, "store"):
            holds(self.store, self.trade.writes)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.place.cleanup()


OnSqlite.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestOnSqlite = OnSqlite.TestCase


def test_three_writers_at_once_on_postgresql(postgres: Postgres) -> None:
    """Three threads with stores of their own do what they like to the same three points."""
    url = postgres.new_database()
    upgrade(url)
    clock = Turned(NOON)
    stores = [Store(url, lambda event: ["desk", "other"]) for _ in range(3)]
    writers = [Trade(store, clock, f"w{n}-", guarded=False) for n, store in enumerate(stores)]
    writers[0].points()

    def write(n: int) -> None:
        r = Random(n)
        for _ in range(70):
            what = r.choice((*DEEDS, "work", "work", "work", "flags"))
            with suppress(Refused, KeyError):
                getattr(writers[n], what)(r.randrange(10**9))

    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, range(3)))
        holds(stores[0], sum(one.writes for one in writers))
        assert sum(one.writes for one in writers) > 20
    finally:
        for store in stores:
            store.close()
