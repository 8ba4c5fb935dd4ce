"""The database goes away and comes back: nothing is lost, nothing is doubled, and it is said."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.engine import connect, writing
from streams.deliver import DeliverConfig, Deliverer
from streams.dispatch import Dispatcher
from streams.ports import Unavailable
from streams.selfwatch import SelfWatch
from streams.trade.rules import Rules
from streams.watch import WatchConfig
from tests.conftest import require
from tests.services.postgres import Postgres
from tests.services.process import wait_until
from tests.tickets.fakes import FakeDesk
from tests.tickets.tools import NOON, Turned, flag, golden, sqlite_url

RULES = Rules()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server of this test's own: it is going to be stopped."""
    require(Postgres)
    with Postgres() as server:
        yield server


def test_flags_are_tried_again_until_it_is_back(own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    upgrade(url)
    store, clock = Store(url), Turned()
    dispatcher = Dispatcher(store, RULES, clock)
    flags = [flag("spike", id=f"f{n}", service_point_id=f"p{n % 7}") for n in range(70)]

    async def run() -> list[str]:
        failures: list[str] = []
        for start in range(0, 70, 10):
            if start == 30:
                await asyncio.to_thread(own_postgres.kill)
            while True:
                try:
                    await dispatcher.handle_all(flags[start : start + 10])
                    break
                except Unavailable as error:
                    failures.append(str(error))
                    if len(failures) == 5:
                        await asyncio.to_thread(own_postgres.start)
        return failures

    failures = asyncio.run(run())
    assert len(failures) >= 5
    assert all("forestall@127.0.0.1" in failure for failure in failures)
    found = store.tickets(limit=1000)
    assert len(found) == 7
    assert sorted(f for t in found for f in t.flag_ids) == sorted(one.id for one in flags)
    store.close()


def test_the_deliverer_and_the_watch_outlive_it(
    own_postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = own_postgres.new_database()
    upgrade(url)
    store, clock, desk = Store(url, lambda event: ["webhook"]), Turned(), FakeDesk()

    async def run() -> None:
        config = DeliverConfig(poll_s=0.02, first_s=0.02, probe_s=0.2, lease_s=2)
        stop = asyncio.Event()
        watch = SelfWatch(store, RULES, clock, WatchConfig(every_s=0.05))
        tasks = [
            asyncio.create_task(Deliverer(store, [desk], clock, config).run(stop)),
            asyncio.create_task(watch.run(stop)),
        ]
        await asyncio.to_thread(store.apply_flags, [golden()], NOON, RULES)
        while len(desk.got) < 1:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.stop)
        with pytest.raises(Unavailable):
            await asyncio.to_thread(store.counts)
        while not ("outbox for webhook" in caplog.text and "self-watch: " in caplog.text):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.start)
        await asyncio.to_thread(store.apply_flags, [golden(id="b", service_point_id="b")], NOON, RULES)
        while len(desk.got) < 2:
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        stop.set()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(run(), 60))
    store.close()


def test_a_result_waits_for_the_database_and_nothing_is_sent_twice(own_postgres: Postgres) -> None:
    """The database is away between the delivery and its being written down."""
    url = own_postgres.new_database()
    upgrade(url)
    store, clock, desk = Store(url, lambda event: ["webhook"]), Turned(), FakeDesk()
    store.apply_flags([golden()], NOON, RULES)

    async def cut() -> None:
        await asyncio.to_thread(own_postgres.kill)

    desk.pace = cut

    async def run() -> None:
        deliverer = Deliverer(store, [desk], clock, DeliverConfig(poll_s=0.1, first_s=0.05))
        task = asyncio.create_task(deliverer.round("webhook"))
        while not desk.got:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.start)
        await task

    asyncio.run(asyncio.wait_for(run(), 60))
    assert desk.got == [desk.got[0]]
    assert store.counts().outbox_pending == 0
    store.close()


def test_sqlite_another_writer_is_waited_for(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    upgrade(url)
    store, engine = Store(url), connect(url)
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with writing(engine):
            holding.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait(10)
    writer = threading.Thread(target=store.apply_flags, args=([golden()], NOON, RULES))
    writer.start()
    assert store.tickets() == []  # reading waits for nobody
    let_go.set()
    writer.join(20)
    holder.join(20)
    assert len(store.tickets()) == 1
    store.close()
    engine.dispose()


def test_sqlite_a_disk_that_is_full(tmp_path: Path) -> None:
    """A file-size limit stands in for the disk: what is refused is refused whole, and said."""
    url = sqlite_url(tmp_path)
    upgrade(url)
    program = """
import resource, signal, sys
from connectors.store import Store
from streams.ports import Unavailable
from streams.trade.rules import Rules
from tests.tickets.tools import NOON, flag

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))
try:
    for n in range(400):
        ids = [f"{n}-{k}" for k in range(10)]
        store.apply_flags([flag("spike", id=i, service_point_id=i) for i in ids], NOON, Rules())
        print(n, flush=True)
except Unavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    *written, last = done.stdout.splitlines()
    assert "tickets.db is unavailable (" in last
    assert written
    store = Store(url)
    assert len(store.tickets(limit=10_000)) == 10 * len(written)
    store.close()


KILLED = """
import sys
from connectors.store import Store
from streams.trade.rules import Rules
from tests.tickets.tools import NOON, flag

store = Store(sys.argv[1], lambda event: ["webhook"])
n = 0
while True:
    point = f"p{n // 3}"
    flags = [flag(k, id=f"{k}-{n}", service_point_id=point) for k in ("spike", "tamper")]
    store.apply_flags(flags, NOON + n, Rules())
    print(n, flush=True)
    n += 1
"""


def write_and_kill(store_url: str) -> list[int]:
    """Let a process write, kill it after thirty transactions; return those that it had an answer for."""
    answered: list[int] = []
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, store_url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    with process.stdout as stdout:
        reader = threading.Thread(target=lambda: answered.extend(int(line) for line in stdout))
        reader.start()
        wait_until(lambda: len(answered) >= 30, "thirty transactions")
        process.kill()
        process.wait()
        reader.join()
    return answered


@pytest.mark.soak
def test_killed_while_writing_every_answered_flag_is_there_once(
    store: Store, store_url: str, rounds: int
) -> None:
    """SIGKILL under load: what was answered is there, whole, and nothing is there by half."""
    for _ in range(rounds):
        answered = write_and_kill(store_url)
        found = store.tickets(limit=100_000)
        episodes = {f for ticket in found for f in ticket.flag_ids}
        assert {f"{kind}-{n}" for n in answered for kind in ("spike", "tamper")} <= episodes
        for ticket in found:
            read = store.ticket(ticket.id)
            assert read is not None
            assert [line.seq for line in read.history] == list(range(1, ticket.version + 1))
            assert {e.flag_id for e in store.episodes(ticket.id)} == set(ticket.flag_ids)
        # a transaction is two flags; every line of history was to be told
        assert len(episodes) % 2 == 0
        assert store.counts().outbox_pending == sum(ticket.version for ticket in found)
