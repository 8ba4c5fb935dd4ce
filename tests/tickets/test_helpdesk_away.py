"""A helpdesk that is away for six hours with 1,000 tickets, and one that dies in the middle of its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.desks.webhook import Webhook, WebhookConfig
from connectors.migrations import upgrade
from connectors.store import Store
from streams.deliver import Deliverer
from streams.ports import Desk
from streams.trade.tickets import State
from tests.tickets.fakes import fill
from tests.tickets.helpdesks import EVEN, deliver_all, golden_in, tmf621, work, zammad
from tests.tickets.json_server import Asked, JsonServer, Said
from tests.tickets.receiver import SECRET
from tests.tickets.tmf621_server import Tmf621Server
from tests.tickets.tools import DAY, HOUR, MINUTE, SECOND, Turned, sqlite_url
from tests.tickets.zammad_server import ZammadServer

TICKETS = 1000


class KnowingServer(JsonServer):
    """A receiver of webhooks with a look-up: it takes an event once, by its id, and knows its tickets."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.tickets: dict[str, list[str]] = {}

    def answer(self, asked: Asked) -> Said:
        if asked.method == "GET":
            found = asked.path.removeprefix("/known/")
            return Said(200, {"id": f"HD-{found}"}) if found in self.tickets else Said(404)
        event = asked.headers["webhook-id"]
        subject = asked.json["subject"]
        if event not in self.events:
            self.events.append(event)
            self.tickets.setdefault(subject, []).append(event)
        return Said(200, {"id": f"HD-{subject}"})


def webhook(server: KnowingServer) -> Webhook:
    lookup = server.url + "/known/{reference}"
    return Webhook(
        WebhookConfig(
            name="webhook", url=server.url, secrets=(SECRET,), lookup_url=lookup, allow_private=True
        )
    )


Kind = tuple[JsonServer, Callable[[], Desk], Callable[[], dict[str, list[str]]]]


def _zammad() -> Kind:
    server = ZammadServer()

    def told() -> dict[str, list[str]]:
        return {
            t["title"].partition("]")[0][1:]: [
                a["subject"].partition("]")[0][1:] for a in server.articles[number]
            ]
            for number, t in server.tickets.items()
        }

    return server, lambda: zammad(server), told


def _tmf621() -> Kind:
    server = Tmf621Server()

    def told() -> dict[str, list[str]]:
        return {
            t["externalIdentifier"][0]["id"]: [note["id"] for note in t["note"]]
            for t in server.tickets.values()
        }

    return server, lambda: tmf621(server), told


def _webhook() -> Kind:
    server = KnowingServer()
    return server, lambda: webhook(server), lambda: server.tickets


@pytest.fixture(params=[_zammad, _tmf621, _webhook], ids=["zammad", "tmf621", "webhook"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    made: Kind = request.param()
    with made[0]:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    upgrade(sqlite_url(tmp_path))
    made = Store(sqlite_url(tmp_path), lambda event: ["webhook"])
    yield made
    made.close()


def test_six_hours_away_with_a_thousand_tickets(store: Store, clock: Turned, kind: Kind) -> None:
    """Each there once afterwards, its events in their order; hardly anything asked meanwhile."""
    server, desk, told = kind
    fill(store, clock, TICKETS // 2)
    asked: list[int] = []

    async def run() -> None:
        made = desk()
        deliverer = Deliverer(store, [made], clock, EVEN)
        # it answers 503 for three hours, then it is switched off for three
        end = clock.now_ns() + 6 * HOUR
        refusing = True
        server.instead = [Said(503)] * 100_000
        while clock.now_ns() < end:
            if refusing and end - clock.now_ns() <= 3 * HOUR:
                refusing = False
                asked.append(len(server.asked))
                await asyncio.to_thread(server.stop)
                # the day goes on meanwhile: more tickets, and news of those that wait
                await asyncio.to_thread(fill, store, clock, TICKETS, 2)
            await deliverer.round("webhook")
            clock.advance(15 * SECOND)
        server.instead = []
        tried = deliverer.figures["webhook"][1]
        asked.append(tried)
        await asyncio.to_thread(server.start)
        for _ in range(400):
            await deliverer.round("webhook")
            if not store.counts().outbox_pending:
                break
            clock.advance(15 * SECOND)
        await made.close()

    asyncio.run(run())
    # eight at once, some soon after, then two a minute
    assert 3 * 60 <= asked[0] <= 3 * 60 * 2 + 16
    assert asked[1] <= 6 * 60 * 2 + 16
    assert store.counts().outbox_pending == store.counts().dead == 0
    there = told()
    assert len(there) == TICKETS
    for ticket, events in there.items():
        sequences = [int(event.removeprefix(f"{ticket}.")) for event in events]
        assert sequences == list(range(1, len(events) + 1)), ticket
    kept = [read for t in store.tickets(limit=2 * TICKETS) if (read := store.ticket(t.id)) is not None]
    assert {read.id: len(read.history) for read in kept} == {
        name: len(events) for name, events in there.items()
    }
    assert len(store.tickets(limit=2000)) == TICKETS


def test_it_dies_after_it_created_and_before_it_answered(store: Store, clock: Turned, kind: Kind) -> None:
    """Every second create is lost on its way back; all are found again by our reference."""
    server, desk, told = kind
    fill(store, clock, 40)
    original, count = server.answer, 0

    def answer(asked: Asked) -> Said:
        nonlocal count
        count += asked.method == "POST"
        if asked.method == "POST" and count % 2:
            server.lost = 1
        return original(asked)

    server.answer = answer  # type: ignore[method-assign]
    deliver_all(store, desk(), clock, step_s=60, rounds=400)
    server.answer = original  # type: ignore[method-assign]
    assert store.counts().outbox_pending == 0
    assert sorted(told()) == sorted(t.id for t in store.tickets())
    assert all(len(events) == 1 for events in told().values())
    for ticket in store.tickets():
        read = store.ticket(ticket.id)
        assert read is not None
        assert read.external_refs["webhook"]


def test_it_says_when_to_come_back(store: Store, clock: Turned, kind: Kind) -> None:
    server, desk, told = kind
    ticket = golden_in(store, clock)
    server.instead = [Said(429, None, (("retry-after", "1800"),))]

    async def run() -> list[int]:
        made = desk()
        deliverer = Deliverer(store, [made], clock, EVEN)
        counts = []
        for wait in (0, 29 * MINUTE, MINUTE):
            clock.advance(wait)
            await deliverer.round("webhook")
            counts.append(len(server.asked))
        await made.close()
        return counts

    first, early, late = asyncio.run(run())
    assert first == early == 1
    assert late > 1
    assert list(told()) == [ticket.id]


def test_a_desk_that_wants_no_more_is_left_alone(store: Store, clock: Turned, kind: Kind) -> None:
    server, desk, told = kind
    golden_in(store, clock)
    server.instead = [Said(410)]
    deliver_all(store, desk(), clock, rounds=20)
    assert len(server.asked) == 1
    assert [d.name for d in store.desks_disabled()] == ["webhook"]
    store.desk_enable("webhook")
    deliver_all(store, desk(), clock)
    assert len(told()) == 1


def test_retries_over_days_end_in_dead_letters_which_a_person_revives_in_order(
    store: Store, clock: Turned, kind: Kind
) -> None:
    server, desk, told = kind
    ticket = golden_in(store, clock)
    work(store, ticket, State.ASSIGNED, State.INVESTIGATING)
    server.stop()

    async def run() -> None:
        made = desk()
        deliverer = Deliverer(store, [made], clock, EVEN)
        for _ in range(8 * 24):
            await deliverer.round("webhook")
            clock.advance(HOUR)
        await made.close()
        assert deliverer.figures["webhook"][1] <= 8 * 24

    asyncio.run(run())
    assert store.outbox_expire(clock.now_ns() - 7 * DAY, "not delivered within 7 days", clock.now_ns()) == 3
    dead = store.dead_deliveries()
    assert len(dead) == 3
    assert "last error:" in dead[-1].reason
    server.start()
    for one in sorted(dead, key=lambda d: d.number):
        assert store.revive(one.number, clock.now_ns())
    deliver_all(store, desk(), clock)
    assert told() == {ticket.id: [f"{ticket.id}.{n}" for n in (1, 2, 3)]}
    assert store.counts().dead == 0
