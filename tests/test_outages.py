"""Log, database, InfluxDB and webhook receiver away for a while: nothing lost, memory flat, it catches up."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.faults.fixtures import AWAY_S, Backend, Reference
from tests.faults.outcome import compare, outcome
from tests.faults.processes import memory_mb
from tests.faults.proof import LogWatch
from tests.faults.publisher import Publisher
from tests.faults.site import Site
from tests.services.process import wait_until
from tests.services.victoria import Victoria
from tests.tickets.receiver import SECRET, Receiver

pytest_plugins = ["tests.faults.fixtures"]
pytestmark = pytest.mark.soak

#: What a process may grow by while something is away. It holds what is in flight and not more. [MB]
GROWTH_MB = 200.0  # what buffers and thread pools fill once; it must not grow with the length of the absence


def test_everything_is_away_for_a_while(
    backend: Backend,
    reference: Callable[[int], Reference],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """One after the other goes away under load and comes back; `forestall run` is left to itself."""
    require(Victoria)
    wanted = reference(10)
    messages = wanted.load.messages
    grown: dict[str, dict[str, float]] = {}
    with Victoria() as victoria, Receiver() as receiver:
        site = backend.site(
            tmp_path / "site",
            wanted.load,
            wall_clock=True,
            more=f"""
[history]
keep_days = 0
[influx]
url = "{victoria.url}"
token = "any"
[desks.webhook]
url = "{receiver.url}"
secrets = ["{SECRET}"]
allow_private = true
""",
        )
        absences: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "log": lambda: _log_away(backend, site),
            "database": lambda: _database_away(backend, site),
            "influx": lambda: _service_away(victoria),
            "webhook": lambda: _receiver_away(receiver),
        }
        rate = len(messages) / (len(absences) + 1) / (AWAY_S + 3)
        publisher = Publisher(backend.mqtt.url, messages, rate=rate)
        publisher.allow(0)
        try:
            site.launch_all()
            publisher.start()
            with LogWatch(site) as log:
                for number, (what, absence) in enumerate(absences.items()):
                    publisher.allow((number + 1) / len(absences))
                    moment = round((number + 0.3) / len(absences) * len(messages))
                    wait_until(lambda at=moment: publisher.confirmed >= at, "the load to go on", 60)  # type: ignore[misc]
                    _flows(log)
                    before = {pid: memory_mb(pid) for pid in site.children().values()}
                    with absence():
                        _while_away(AWAY_S, site)
                        grown[what] = {
                            role: memory_mb(pid) - before[pid]
                            for role, pid in site.children().items()
                            # one that was started meanwhile has grown from nothing: by what it imports
                            if pid in before
                        }
            publisher.allow(1)
            publisher.rate = 0
            wait_until(lambda: publisher.done, "the load to be published", 120)
            site.settle(deadline_s=180)
            _recorded(victoria, wanted.load.readings)
            site.stop_all()
        finally:
            publisher.stop()
            site.close()
        print({what: {role: f"{mb:+.0f} MB" for role, mb in told.items()} for what, told in grown.items()})
        record_property("grown_mb", grown)
        found = outcome(site)
        compare(found, wanted.outcome, publisher.readings, wall_clock=True)
        events = [json.loads(got.body) for got in receiver.got if got.method == "POST"]
        assert all(got.verified for got in receiver.got)
        assert {event["id"] for event in events} == found.events, "each ticket event reached the receiver"
    for what, by_role in grown.items():
        for role, mb in by_role.items():
            assert mb < GROWTH_MB, f"{role} grew by {mb:.0f} MB while the {what} was away"


def _flows(log: LogWatch) -> None:
    start = log.end()
    wait_until(lambda: log.end() > start, "the load to go on", 60)


def _while_away(seconds: float, site: Site) -> None:
    """Let it be away; `forestall run` itself must live all the time."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end or site.alive() is not None, "the time to pass", seconds + 5)  # type: ignore[func-returns-value]


@contextlib.contextmanager
def _log_away(backend: Backend, site: Site) -> Iterator[None]:
    if backend.kafka is not None:
        with _service_away(backend.kafka):
            yield
        return
    with _locked(site.settings.data_dir / "log.db"):
        yield


@contextlib.contextmanager
def _database_away(backend: Backend, site: Site) -> Iterator[None]:
    if backend.postgres is not None:
        with _service_away(backend.postgres):
            yield
        return
    with _locked(site.settings.data_dir / "tickets.db"):
        yield


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite file, as a backup that hangs would."""
    db = sqlite3.connect(file, isolation_level=None, timeout=30)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
    finally:
        db.close()


@contextlib.contextmanager
def _service_away(service: Any) -> Iterator[None]:
    service.stop()
    try:
        yield
    finally:
        service.start()


@contextlib.contextmanager
def _receiver_away(receiver: Receiver) -> Iterator[None]:
    receiver.stop()
    try:
        yield
    finally:
        receiver.start()


def _recorded(victoria: Victoria, readings: int) -> None:
    """Wait until each reading is a point."""

    def points() -> int:
        return sum(len(series["values"]) for series in victoria.export('{__name__="reading_value"}'))

    wait_until(lambda: points() >= readings, f"{readings} points", 60, 0.5)
    assert points() == readings
