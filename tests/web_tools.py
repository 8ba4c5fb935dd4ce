"""What the tests of the web process share: content for store and history, and the process itself.

Run as a program it is that process: ``python -m tests.web_tools '{"store": …, "history": …}'``
serves until SIGTERM and prints its port on the first line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from connectors.documents import Fonts
from connectors.history_sqlite import HistoryReader, SqliteHistory
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.app import Routes, WebConfig, make_app
from connectors.web.guard import Guard
from connectors.web.metrics import Metric
from connectors.web.server import serve
from connectors.web.sources import Papers, Sources
from streams.columns import Columns, from_rows
from streams.messages import FAMILY_OF, NS, Flag, Kind, Quality, Source
from streams.papers import pack
from streams.ports import Rows
from streams.programs.vocabulary import vocabulary
from streams.registry import Meter
from streams.trade.rules import Rules

VOCABULARY = vocabulary()
GOLDEN = (("2011-04-10", 0.0), ("2012-04-10", 176.0), ("2012-06-10", 449.0))

MESSAGE = bytes(range(16))  # the digest of the message that had them

Reading = tuple[str, int, float, Kind, str]
Talk = Callable[[httpx.AsyncClient], Awaitable[None]]


def ns(text: str) -> int:
    """Nanoseconds since 1970 of an ISO instant, UTC unless it says otherwise."""
    stamp = datetime.fromisoformat(text)
    return round((stamp if stamp.tzinfo else datetime.fromisoformat(f"{text}+00:00")).timestamp()) * NS


def columns(
    readings: Iterable[Reading], marks: int = 0, quality: Quality = Quality.GOOD, message: bytes = b""
) -> Columns:
    """A batch of readings; ``message``: the digest of the one that they came in."""
    rows = Rows()
    for meter, time_ns, value, kind, unit in readings:
        rows.add(meter, time_ns, value, kind, unit, quality, marks)
    received = ns(f"{GOLDEN[-1][0]}T00:00:07") if message else 0
    source = Source(adapter="native", topic="forestall/readings/test", received_ns=received, digest=message)
    return from_rows(rows, [source], np.zeros(len(rows), np.uint32))


def golden_readings(meter: str = "wei") -> list[Reading]:
    """The household's three reads."""
    return [(meter, ns(f"{day}T00:00:00"), value, Kind.REGISTER, "m3") for day, value in GOLDEN]


def golden_flags(meter: str = "wei") -> list[Flag]:
    """What the detectors make of them."""
    # here, for compiled detectors take seconds to load, and the process that serves needs none
    from detectors import CATALOGUE
    from streams.state.bank import Bank, BankConfig, Outcome

    bank, outcome = Bank(BankConfig(tuple(make() for make in CATALOGUE))), Outcome()
    row = Meter(
        meter_id=meter, commodity="gas", unit="m3", kind="register", area="block-1", meter_class="residential"
    )
    bank.register([row], outcome)
    bank.update(columns(golden_readings(meter), message=MESSAGE), outcome)
    return outcome.flags


def flag(meter: str, kind: str, at: str, **fields: Any) -> Flag:
    """A flag of some kind, raised."""
    given = {
        "id": f"{meter}-{kind}-{at}",
        "meter_id": meter,
        "kind": kind,
        "family": FAMILY_OF[kind],
        "status": "raised",
        "at": at,
        "start": at,
        "end": at,
        "score": 1.4,
        "observed": 3.2,
        "expected": 0.8,
        "unit": "m3",
        "service_point_id": f"sp-{meter}",
        "area": "block-1",
        "commodity": "water",
        **fields,
    }
    return Flag(**given)


NOW = ns("2026-06-01T12:00:00")


class Place:
    """A store and a history in a directory, as worker and ingest would fill them."""

    def __init__(self, directory: Path) -> None:
        self.store_url = f"sqlite:///{directory / 'tickets.db'}"
        self.history_path = directory / "history.db"
        upgrade(self.store_url)
        self.store = Store(self.store_url, lambda _event: ["webhook"])
        self.rules = Rules()
        self._thread = ThreadPoolExecutor(1)

    def flags(self, flags: Sequence[Flag], now_ns: int) -> list[str]:
        """Flags into tickets and history; returns the tickets' ids."""
        self._run(None, flags)
        return [ticket.id for ticket in self.store.apply_flags(flags, now_ns, self.rules)]

    def readings(self, batch: Columns) -> None:
        """Readings into the history."""
        self._run(batch, ())

    def beat(self, role: str, now_ns: int, **figures: Any) -> None:
        """A sign of life."""
        self.store.heartbeat(f"{role}@host:{os.getpid()}", {"role": role, **figures}, now_ns)

    def close(self) -> None:
        """Let go of the database."""
        self._thread.shutdown()
        self.store.close()

    def _run(self, batch: Columns | None, flags: Sequence[Flag]) -> None:
        # in a thread of its own: Playwright keeps an event loop running in the test's
        self._thread.submit(lambda: asyncio.run(self._write(batch, flags))).result()

    async def _write(self, batch: Columns | None, flags: Sequence[Flag]) -> None:
        history = SqliteHistory(self.history_path)
        try:
            if batch is not None:
                assert await history.write(batch) == []
            if flags:
                assert await history.write_flags(flags) == []
        finally:
            await history.close()


@contextmanager
def filled(directory: Path) -> Iterator[Place]:
    """A place with two meters' readings, three tickets and two processes."""
    made = Place(directory)
    made.readings(columns(golden_readings()))
    made.readings(columns([("w/1", NOW + i * 60 * NS, i / 4, Kind.INTERVAL, "m3") for i in range(50)]))
    made.readings(columns([("w/1", NOW + 9000 * NS, 7.0, Kind.GAUGE, "")], 2 | 4, Quality.UNCERTAIN))
    made.flags(golden_flags(), NOW)
    made.flags([flag("w/1", "spike", "2026-06-01T12:30:00Z")], NOW + NS)
    made.flags([flag("w-2", "continuous_flow", "2026-06-01T12:40:00Z", commodity="gas")], NOW + 2 * NS)
    now = time.time_ns()
    made.beat("ingest", now, readings=1000, batches=10, dead_letters=1, last_reading_ns=now)
    made.beat("worker", now, readings=900, lag=2, lag_s=0.5, flags=3, counts={"late": 4}, meters_warming_up=5)
    try:
        yield made
    finally:
        made.close()


def sources(
    store_url: str, history_path: str | None, kept_at: str = "", fonts: Fonts | None = None
) -> tuple[Sources, Store]:
    """The sources of a web process, and the store that is to be closed."""
    store = Store(store_url)
    history = HistoryReader(history_path) if history_path else None
    papers = Papers(pack=pack.build, fonts=fonts or Fonts(), zone="UTC", version="0.1.0")
    made = Sources(store=store, history=history, vocabulary=VOCABULARY, kept_at=kept_at, papers=papers)
    return made, store


@asynccontextmanager
async def answering(app: Guard, host: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Serve an application in this process; gives a client of it."""
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, host, 0, stop, port.set_result))
    try:
        while not port.done() and not serving.done():
            await asyncio.sleep(0.005)
        if serving.done():
            serving.result()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.result()}", timeout=30) as client:
            yield client
    finally:
        stop.set()
        await serving


def talking(
    place: Place | None,
    talk: Talk,
    *,
    found: Sources | None = None,
    host: str = "127.0.0.1",
    routers: Sequence[Routes] = (),
    **config: Any,
) -> None:
    """Serve the API in this process while ``talk`` asks it. ``routers``: further routes."""

    async def run() -> None:
        if found is None:
            assert place is not None
            made, store = sources(place.store_url, str(place.history_path))
        else:
            made, store = found, None
        app = make_app(made, WebConfig(**config), pages=False, routers=routers)
        try:
            async with answering(app, host) as client:
                await talk(client)
        finally:
            if store is not None:
                store.close()

    asyncio.run(run())


@contextmanager
def process(**settings: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A web process: its address, and the process itself. Ends it in good order."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.web_tools", json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    ) as started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            assert line, "expected the web process to print its port, it ended: see its error output above"
            yield f"http://127.0.0.1:{line.strip()}", started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                started.wait(10)


async def _serve(settings: dict[str, Any]) -> None:
    found, store = sources(settings["store"], settings.get("history"), settings.get("kept_at", ""))
    config = WebConfig(
        token=settings.get("token", ""),
        language=settings.get("language", "en"),
        version="0.1.0",
        refresh_s=0.5,
    )
    extra = Metric("forestall_test", "Given by the process", "gauge", 1.0)
    app = make_app(found, config, lambda: [extra])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(app, "127.0.0.1", settings.get("port", 0), stop, lambda port: print(port, flush=True))
    if found.history is not None:
        assert isinstance(found.history, HistoryReader)
        await found.history.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
