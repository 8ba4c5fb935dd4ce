"""Trouble tickets by TMF621 v5, against a server that holds what it gets to the published schemas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from connectors.desks.tmf621 import Tmf621Config
from connectors.store import Store
from streams.ports import Gone, Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.states import TMF621
from streams.trade.tickets import State
from tests.tickets.helpdesks import case, deliver_all, golden_in, opened, tmf621, told, work
from tests.tickets.json_server import Asked, Said
from tests.tickets.tmf621_server import FVO, Tmf621Server, faults
from tests.tickets.tools import Turned


@pytest.fixture
def server() -> Iterator[Tmf621Server]:
    with Tmf621Server() as made:
        yield made


def deliver(server: Tmf621Server, event: TicketEvent, remote: str = "") -> str:
    async def run() -> str:
        desk = tmf621(server)
        try:
            return await desk.deliver(event, remote)
        finally:
            await desk.close()

    return asyncio.run(run())


def find(server: Tmf621Server, event: TicketEvent) -> str | None:
    async def run() -> str | None:
        desk = tmf621(server)
        try:
            return await desk.find(event)
        finally:
            await desk.close()

    return asyncio.run(run())


def test_a_case_from_its_opening_to_its_end(store: Store, clock: Turned, server: Tmf621Server) -> None:
    ticket = golden_in(store, clock)
    work(store, ticket, State.ASSIGNED, State.INVESTIGATING, State.WAITING_LAB, State.IMPLEMENTED)
    work(store, ticket, State.CLOSED, verdict="confirmed", satisfied=True, archive_class="metering")
    deliver_all(store, tmf621(server), clock)
    (there,) = server.tickets.values()
    assert (there["ticketType"], there["severity"], there["priority"]) == ("metering_billing", "major", "P2")
    assert there["externalIdentifier"][0]["id"] == ticket.id
    assert [one["entity"]["id"] for one in there["relatedEntity"]] == ["wei", "wei"]
    assert [note["id"] for note in there["note"]] == [f"{ticket.id}.{n}" for n in range(1, 7)]
    assert "差额 243.7 m3" in there["description"]
    patched = [asked.json.get("status") for asked in server.asked if asked.method == "PATCH"]
    assert patched == [None, "inProgress", "pending", "resolved", "closed"]  # assigned is acknowledged too
    assert there["statusChangeReason"].startswith("状态变更")
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "TT-1"}


@pytest.mark.parametrize("state", State)
def test_every_state_of_ours_is_a_status(server: Tmf621Server, state: State) -> None:
    deliver(server, told(replace(case(), state=state), 1))
    assert server.tickets["TT-1"]["status"] == TMF621[state]


def test_the_server_refuses_what_the_schema_refuses() -> None:
    """The check of the check: without it the tests above could pass with anything."""
    right = {"@type": "TroubleTicket", "description": "d", "severity": "minor", "ticketType": "t"}
    assert faults(right, FVO, create=True) == []
    for wrong in (
        {k: v for k, v in right.items() if k != "severity"},
        right | {"@type": "Ticket"},
        right | {"status": "open"},
        right | {"externalId": "FS-1"},
        right | {"note": [{"@type": "Note", "date": "2026-06-01T00:00:00Z"}]},
        right | {"externalIdentifier": [{"id": "FS-1"}]},
        right | {"relatedEntity": [{"@type": "RelatedEntity", "role": "meter"}]},
    ):
        assert faults(wrong, FVO, create=True)


def test_a_create_whose_answer_was_lost_is_found_again(
    store: Store, clock: Turned, server: Tmf621Server
) -> None:
    golden_in(store, clock)
    server.lost = 1
    deliver_all(store, tmf621(server), clock)
    assert list(server.tickets) == ["TT-1"]
    assert [a.method for a in server.asked] == ["POST", "GET"]


def test_a_create_that_is_only_accepted_is_looked_up(server: Tmf621Server) -> None:
    server.accepts = True
    assert deliver(server, opened()) == "TT-1"


def test_a_note_whose_answer_was_lost_is_not_written_twice(
    store: Store, clock: Turned, server: Tmf621Server
) -> None:
    ticket = golden_in(store, clock)
    deliver_all(store, tmf621(server), clock)
    work(store, ticket, State.ASSIGNED)
    original = server.answer

    def answer(asked: Asked) -> Said:
        if asked.method == "PATCH":
            server.lost = 1
        return original(asked)

    server.answer = answer  # type: ignore[method-assign]
    deliver_all(store, tmf621(server), clock)
    assert [note["id"] for note in server.tickets["TT-1"]["note"]] == [f"{ticket.id}.1", f"{ticket.id}.2"]
    assert sum(asked.method == "PATCH" for asked in server.asked) == 1


def test_what_others_have_noted_stays_also_where_they_write_at_the_same_time(server: Tmf621Server) -> None:
    deliver(server, opened())
    there = server.tickets["TT-1"]
    there["note"].append({"@type": "Note", "id": "7", "text": "called her", "date": "2026-06-01T00:00:00Z"})
    original = server.answer

    def answer(asked: Asked) -> Said:
        said = original(asked)
        if asked.method == "GET":  # somebody writes between our reading and our writing
            there["note"] = [
                *there["note"],
                {"@type": "Note", "id": "8", "text": "again", "date": "2026-06-01T00:00:00Z"},
            ]
        return (
            Said(said.status, {**said.body, "note": there["note"][:-1]}, said.headers)
            if asked.method == "GET"
            else said
        )

    server.answer = answer  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="HTTP 412"):
        deliver(server, told(case(), 2), "TT-1")
    server.answer = original  # type: ignore[method-assign]
    deliver(server, told(case(), 2), "TT-1")
    assert [note["id"] for note in there["note"]][1:3] == ["7", "8"]
    assert len(there["note"]) == 4


def test_what_comes_late_does_not_turn_the_status_back(server: Tmf621Server) -> None:
    ticket = case()
    number = deliver(server, opened())
    deliver(server, told(replace(ticket, state=State.IMPLEMENTED), 3), number)
    deliver(server, told(replace(ticket, state=State.INVESTIGATING), 2), number)
    assert server.tickets[number]["status"] == "resolved"
    assert len(server.tickets[number]["note"]) == 3


def test_a_later_event_without_a_number_finds_the_ticket_or_opens_it(server: Tmf621Server) -> None:
    assert deliver(server, told(replace(case(), state=State.INVESTIGATING), 2)) == "TT-1"
    assert deliver(server, told(case(), 3)) == "TT-1"
    assert len(server.tickets) == 1
    assert find(server, opened()) == "TT-1"
    assert find(server, replace(opened(), ticket_id="FS-OTHER")) is None


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (Said(400, {"reason": "severity is required"}), Rejected, "severity is required"),
        (Said(401), Unavailable, "HTTP 401"),
        (Said(409), Unavailable, "HTTP 409"),
        (Said(410), Gone, "HTTP 410"),
        (Said(503), Unavailable, "HTTP 503"),
    ],
)
def test_what_an_answer_means(server: Tmf621Server, said: Said, kind: type[Exception], words: str) -> None:
    server.instead = [said]
    with pytest.raises(kind, match=words):
        deliver(server, opened())


def test_a_ticket_that_was_deleted_there_is_a_dead_letter_that_says_so(server: Tmf621Server) -> None:
    with pytest.raises(Rejected, match="not there any more"):
        deliver(server, told(case(), 2), "TT-9")


def test_a_filter_that_is_ignored_is_not_believed(server: Tmf621Server) -> None:
    server.instead = [Said(200, [{"id": "TT-5", "externalIdentifier": [{"id": "FS-OTHER"}]}])]
    with pytest.raises(Unavailable, match="got others"):
        find(server, opened())


def test_the_token_shows_nowhere() -> None:
    assert "secret-token" not in repr(Tmf621Config(url="https://t.example", token="secret-token"))
    with pytest.raises(ValueError, match="plain http needs allow_private"):
        Tmf621Config(url="http://t.example")
