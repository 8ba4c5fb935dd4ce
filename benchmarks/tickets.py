"""100,000 tickets in the store: lists, searches, details, a ticket a flag, and thousands of flags of one area's ticket.

    python -m benchmarks tickets

SQLite and, where it is installed, PostgreSQL, each fresh. Flags come in transactions of 500, as the
worker folds them in; each opens a ticket of its own. Then every question is asked 400 times, at
random places, and the 50th and 95th percentile given. Last, 5,000 flags of an area join its one ticket, in
transactions of ten with news of the area in each, and their events are delivered to a desk that answers at
once: the first tenth and the last.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from benchmarks.measure import table
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.search import Wanted
from streams.clock import SystemClock
from streams.deliver import Deliverer
from streams.messages import NS, Flag
from streams.trade.deliveries import TicketEvent
from streams.trade.rules import Rules
from tests.services.postgres import Postgres

TICKETS = 100_000
BATCH = 500  # flags in a transaction, as in ``streams.open_tickets``
JOINED = 5_000  # flags of one area's ticket
TOGETHER = 10  # of them in a transaction
ASKED = 400
NOON = 1_780_315_200 * NS
_KINDS = (("high_usage", "usage_high"), ("silent", "data"), ("leak", "leak"), ("voltage_low", "supply"))
_AREAS = 400


def _flag(n: int) -> Flag:
    kind, family = _KINDS[n % len(_KINDS)]
    return Flag(
        id=f"f{n:07d}",
        meter_id=f"m{n:07d}",
        kind=kind,
        family=family,
        status="raised",
        at="2026-06-01T00:00:00Z",
        start="2026-05-01T00:00:00Z",
        end="2026-06-01T00:00:00Z",
        score=1.0 + n % 7,
        observed=12.0,
        expected=8.0,
        unit="m3",
        evidence={"periods": [{"start": "2011", "end": "2012", "days": 366.0, "amount": 176.0}] * 6},
        service_point_id=f"p{n:07d}",
        area=f"area-{n % _AREAS}",
        commodity="water",
        place={"bill_day": 1 + n % 28, "route": f"r{n % 50}"},
    )


def _fill(store: Store, tickets: int) -> float:
    """Flags a second that became tickets."""
    rules = Rules()
    begun = time.perf_counter()
    for start in range(0, tickets, BATCH):
        flags = [_flag(n) for n in range(start, min(start + BATCH, tickets))]
        store.apply_flags(flags, NOON + start * NS, rules)
    return tickets / (time.perf_counter() - begun)


def _questions(tickets: int) -> dict[str, Callable[[Store, random.Random], object]]:
    def page(store: Store, chance: random.Random) -> object:
        at = chance.randrange(tickets)
        return store.tickets("open", 100, before=(NOON + at * NS, "FS-"))

    def detail(store: Store, chance: random.Random) -> object:
        found = store.tickets(None, 1, service_point=f"p{chance.randrange(tickets):07d}")
        return store.ticket(found[0].id), store.episodes(found[0].id)

    def named(store: Store, chance: random.Random) -> object:
        return store.tickets(None, 100, wanted=Wanted(text=f"m{chance.randrange(tickets // 10):06d}"))

    return {
        "list, the newest 100": lambda store, _: store.tickets(None, 100),
        "list, the newest 100 open": lambda store, _: store.tickets("open", 100),
        "list, a page of open ones anywhere": page,
        "search by what a meter begins with": named,
        "search by area, priority and department": lambda store, chance: store.tickets(
            "open",
            100,
            wanted=Wanted(area=f"area-{chance.randrange(_AREAS)}", priority="P3", department="marketing"),
        ),
        "search for what is overdue": lambda store, _: store.tickets(
            None, 100, wanted=Wanted(overdue_ns=NOON + 7 * 86_400 * NS, drill=False)
        ),
        "detail with history, checks and flags": detail,
    }


class _Prompt:
    """A desk that answers at once."""

    name = endpoint = "area"

    def wants(self, event: TicketEvent) -> bool:
        return True

    async def find(self, event: TicketEvent) -> str | None:
        return None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        return event.ticket_id

    async def close(self) -> None:
        """There is nothing to close."""


def _area(url: str, joined: int) -> tuple[str, str]:
    """Milliseconds of a flag that joins its area's ticket, and of an event of it that is delivered."""
    store, rules = Store(url, lambda _event: ["area"]), Rules()
    gaps = [
        replace(_flag(10**6 + n), kind="gap", family="data", area="flood", place={}) for n in range(joined)
    ]
    members = [gap.meter_id for gap in gaps[:100]]
    news = replace(
        gaps[0], id="flood", kind="area_silent", evidence={"members": members, "members_silent": joined}
    )
    store.apply_flags([news], NOON, rules)
    marks = [time.perf_counter()]
    for start in range(0, joined, TOGETHER):
        # an instant of its own: the same event again would be passed over
        told = replace(
            news,
            status="updated",
            at=f"2026-06-02T{start // 3600:02d}:{start // 60 % 60:02d}:{start % 60:02d}Z",
        )
        store.apply_flags([*gaps[start : start + TOGETHER], told], NOON + start * NS, rules)
        marks.append(time.perf_counter())
    written = _tenths(marks, joined)

    async def deliver() -> tuple[list[float], int]:
        deliverer, marks, events = Deliverer(store, [_Prompt()], SystemClock()), [time.perf_counter()], 0
        while claimed := await deliverer.round("area"):
            marks.append(time.perf_counter())
            events += claimed
        return marks, events

    marks, events = asyncio.run(deliver())
    store.close()
    return written, _tenths(marks, events)


def _tenths(marks: list[float], things: int) -> str:
    """The first tenth's time and the last one's, of as many steps of the same size."""
    steps = len(marks) - 1
    some = max(1, steps // 10)
    each = 1000 * steps / things / some
    return f"{each * (marks[some] - marks[0]):.2f} … {each * (marks[-1] - marks[-1 - some]):.2f} ms"


@contextmanager
def _stores(directory: Path) -> Iterator[dict[str, str]]:
    urls = {"SQLite": f"sqlite:///{directory / 'tickets.db'}"}
    if Postgres.missing():
        yield urls
        return
    with Postgres() as server:
        yield {**urls, "PostgreSQL": server.new_database()}


def run(share: float = 1.0) -> str:
    """The table; ``share`` of the tickets."""
    tickets = max(BATCH, round(TICKETS * share))
    columns: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as directory, _stores(Path(directory)) as urls:
        for name, url in urls.items():
            upgrade(url)
            store = Store(url, lambda _event: ["webhook"])
            cells = [f"{_fill(store, tickets):,.0f} flags/s"]
            for ask in _questions(tickets).values():
                chance = random.Random(1)
                took = []
                for _ in range(ASKED):
                    begun = time.perf_counter()
                    ask(store, chance)
                    took.append(1000 * (time.perf_counter() - begun))
                cells.append("{:.1f} / {:.1f} ms".format(*np.percentile(took, [50, 95])))
            columns[name] = [*cells, *_area(url, max(10 * TOGETHER, round(JOINED * share)))]
            store.close()
    labels = [
        "a ticket a flag, with its outbox",
        *_questions(tickets),
        "a flag more of an area's ticket: first tenth, last",
        "an event of it delivered: first tenth, last",
    ]
    rows = [(label, *(cells[i] for cells in columns.values())) for i, label in enumerate(labels)]
    return table((f"{tickets:,} tickets (p50 / p95)", *columns), rows)
