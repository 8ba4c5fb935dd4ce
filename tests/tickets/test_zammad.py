"""Tickets in Zammad, against a server that refuses what the real one refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.desks.zammad import PRIORITIES, STATES, ZammadConfig
from connectors.store import Store
from streams.ports import Gone, Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.tickets import State
from tests.tickets import zammad_server
from tests.tickets.helpdesks import case, deliver_all, golden_in, opened, told, work, zammad
from tests.tickets.json_server import Said
from tests.tickets.tools import MINUTE, Turned
from tests.tickets.zammad_server import ZammadServer


@pytest.fixture
def server() -> Iterator[ZammadServer]:
    with ZammadServer() as made:
        yield made


def deliver(server: ZammadServer, event: TicketEvent, remote: str = "", **more: Any) -> str:
    async def run() -> str:
        desk = zammad(server, **more)
        try:
            return await desk.deliver(event, remote)
        finally:
            await desk.close()

    return asyncio.run(run())


def find(server: ZammadServer, event: TicketEvent) -> str | None:
    async def run() -> str | None:
        desk = zammad(server)
        try:
            return await desk.find(event)
        finally:
            await desk.close()

    return asyncio.run(run())


def test_a_case_from_its_opening_to_its_end(store: Store, clock: Turned, server: ZammadServer) -> None:
    ticket = golden_in(store, clock)
    work(
        store,
        ticket,
        State.ASSIGNED,
        State.INVESTIGATING,
        State.WAITING_LAB,
        State.PROPOSED,
        State.IMPLEMENTED,
    )
    facts: dict[str, Any] = {"verdict": "confirmed", "satisfied": True, "archive_class": "metering"}
    work(store, ticket, State.CALLBACK, State.CLOSED, State.ARCHIVED, **facts)
    deliver_all(store, zammad(server), clock)
    (there,) = server.tickets.values()
    assert there["title"].startswith(f"[{ticket.id}] 计量收费类：用量异常放大")
    assert (there["group"], there["customer"]) == ("Users", "meters@utility.example")
    assert there["priority"] == PRIORITIES[ticket.priority]
    assert [put.json["state"] for put in server.asked if put.method == "PUT"] == [
        "open", "open", "pending reminder", "open", "pending close", "pending close", "closed", "closed",
    ]  # fmt: skip
    articles = server.articles[there["id"]]
    assert [a["subject"].partition("]")[0] for a in articles] == [f"[{ticket.id}.{n}" for n in range(1, 10)]
    assert "差额 243.7 m3" in articles[0]["body"]
    assert (articles[0]["type"], articles[0]["internal"], articles[0]["content_type"]) == (
        "note",
        False,
        "text/plain",
    )
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "1"}


@pytest.mark.parametrize("state", State)
def test_every_state_of_ours_is_one_of_zammads(server: ZammadServer, state: State) -> None:
    ticket = replace(case(), state=state)
    deliver(server, told(ticket, 1))
    assert server.tickets[1]["state"] == STATES.get(state, "open")
    assert server.tickets[1]["state"] in zammad_server.STATES


def test_in_english_and_hidden_from_the_customer(server: ZammadServer) -> None:
    deliver(server, opened(), language="en", internal=True, group="抄表班")
    assert server.tickets[1]["title"].endswith("metering and billing: unusually high use at wei")
    assert server.tickets[1]["group"] == "抄表班"
    assert server.articles[1][0]["internal"] is True


def test_a_create_whose_answer_was_lost_is_found_again_before_the_index_knows_it(
    store: Store, clock: Turned, server: ZammadServer
) -> None:
    ticket = golden_in(store, clock)
    server.lost = 1
    deliver_all(store, zammad(server), clock)
    assert len(server.tickets) == len(server.articles[1]) == 1
    assert not server.indexed
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "1"}
    assert [a.method for a in server.asked] == ["POST", "GET"]


def test_an_article_whose_answer_was_lost_is_not_written_twice(
    store: Store, clock: Turned, server: ZammadServer
) -> None:
    ticket = golden_in(store, clock)
    deliver_all(store, zammad(server), clock)
    work(store, ticket, State.ASSIGNED)
    desk = zammad(server)
    lost = iter([False, True])  # the articles are read, then the change is lost

    original = server.answer

    def answer(asked: Any) -> Said:
        if next(lost, False):
            server.lost = 1
        return original(asked)

    server.answer = answer  # type: ignore[method-assign]
    deliver_all(store, desk, clock)
    assert [a["subject"].partition("]")[0] for a in server.articles[1]] == [
        f"[{ticket.id}.1",
        f"[{ticket.id}.2",
    ]


def test_what_comes_late_neither_repeats_nor_turns_the_state_back(server: ZammadServer) -> None:
    """A revived dead letter: its article is added, the state of the later event stays."""
    ticket = case()
    number = deliver(server, opened())
    deliver(server, told(replace(ticket, state=State.INVESTIGATING), 3), number)
    deliver(server, told(replace(ticket, state=State.ASSIGNED), 2), number)
    assert server.tickets[1]["state"] == "open"
    assert [a["subject"].partition("]")[0][-1] for a in server.articles[1]] == ["1", "3", "2"]
    deliver(server, told(replace(ticket, state=State.CLOSED), 4), number)
    deliver(server, opened(), number)
    assert server.tickets[1]["state"] == "closed"
    assert len(server.articles[1]) == 4


def test_a_later_event_without_a_number_finds_the_ticket_or_opens_it(server: ZammadServer) -> None:
    later = told(replace(case(), state=State.INVESTIGATING), 2)
    assert deliver(server, later) == "1"
    assert server.tickets[1]["state"] == "open"
    assert deliver(server, told(case(), 3)) == "1"
    assert len(server.tickets) == 1
    assert len(server.articles[1]) == 2


def test_a_reference_that_is_part_of_another_is_not_taken_for_it(server: ZammadServer) -> None:
    event = opened()
    deliver(server, event)
    assert find(server, replace(event, ticket_id=event.ticket_id[:-1])) is None
    assert find(server, event) == "1"
    assert find(server, told(case(), 2)) is None  # articles are looked for as they are added


def test_a_wrong_group_waits_for_a_person_and_holds_no_dead_letters(
    store: Store, clock: Turned, server: ZammadServer
) -> None:
    golden_in(store, clock)
    desk = zammad(server, group="Billing")
    deliver_all(store, desk, clock, rounds=30)
    assert (store.counts().outbox_pending, store.counts().dead) == (1, 0)
    server.groups.add("Billing")
    clock.advance(10 * MINUTE)
    deliver_all(store, zammad(server, group="Billing"), clock)
    assert len(server.tickets) == 1


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (Said(401, {"error": "Invalid token"}), Unavailable, "HTTP 401"),
        (Said(403, {"error": "Not authorized"}), Unavailable, "HTTP 403"),
        (Said(422, {"error": "Cannot follow-up on a closed ticket."}), Rejected, "closed ticket"),
        (Said(410), Gone, "HTTP 410"),
        (Said(500), Unavailable, "HTTP 500"),
        (Said(201, {"error": "no id"}), Unavailable, "expected the new ticket with its id"),
    ],
)
def test_what_an_answer_means(server: ZammadServer, said: Said, kind: type[Exception], words: str) -> None:
    server.instead = [said]
    with pytest.raises(kind, match=words):
        deliver(server, opened())


def test_a_ticket_that_was_deleted_there_is_a_dead_letter_that_says_so(server: ZammadServer) -> None:
    with pytest.raises(Rejected, match="not there any more"):
        deliver(server, told(case(), 2), "17")


def test_an_answer_that_ignores_the_condition_is_not_believed(server: ZammadServer) -> None:
    server.instead = [Said(200, [{"id": 9, "title": "Welcome to Zammad!"}])]
    with pytest.raises(Unavailable, match="got others"):
        find(server, opened())
    server.instead = [Said(200, {"tickets": [9]})]
    with pytest.raises(Unavailable, match="expected a list of tickets"):
        find(server, opened())


def test_the_token_shows_nowhere() -> None:
    config = ZammadConfig(url="https://z.example", token="secret-token", customer="c")
    assert "secret-token" not in repr(config)
    right: dict[str, Any] = {"url": "https://z.example", "token": "t", "customer": "c"}
    for missing in ({"token": ""}, {"customer": ""}, {"url": "http://z.example"}, {"url": "z.example"}):
        with pytest.raises(ValueError, match="expected"):
            ZammadConfig(**(right | missing))
