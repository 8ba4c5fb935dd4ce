"""Our tickets as trouble tickets of TMF621 v5, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.web import tmf621
from connectors.web.app import WebConfig, make_app
from connectors.web.tmf621 import FIELDS, PREFIX
from streams.trade.deliveries import Outcome
from streams.trade.states import TMF621
from streams.trade.tickets import State
from tests.tickets.helpdesks import work
from tests.tickets.tmf621_server import FVO, faults
from tests.web_tools import Place, answering, filled, sources

LIST = f"{PREFIX}/troubleTicket"
TOKEN = "a token of sixteen characters"
#: of TroubleTicket, beside what a client may give
SERVED = FVO | {"href", "creationDate", "lastUpdate", "statusChangeHistory"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(Path(tmp_path_factory.mktemp("view"))) as made:
        yield made


def get(place: Place, *paths: str, token: str = TOKEN) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        found, store = sources(place.store_url, None)
        app = make_app(found, WebConfig(token=TOKEN), pages=False, routers=[tmf621.routes(store)])
        try:
            async with answering(app) as client:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                return [await client.get(path, headers=headers) for path in paths]
        finally:
            store.close()

    return asyncio.run(run())


def check(ticket: dict[str, Any]) -> None:
    """It is as the schema of TroubleTicket has it."""
    assert faults(ticket, SERVED, create=True) == []
    for name in ("creationDate", "lastUpdate"):
        assert datetime.fromisoformat(ticket[name]).tzinfo is not None
    assert ticket["href"].endswith(ticket["id"])


def test_all_of_them_are_trouble_tickets_by_the_schema(place: Place) -> None:
    (answer,) = get(place, LIST)
    found = answer.json()
    assert answer.headers["x-total-count"] == answer.headers["x-result-count"] == str(len(found)) == "3"
    for ticket in found:
        check(ticket)
    emergency = found[0]
    assert (emergency["severity"], emergency["ticketType"]) == ("critical", "safety")
    assert emergency["status"] == "acknowledged"
    golden = found[-1]
    assert golden["name"] == "计量收费类：用量异常放大（wei）"
    assert golden["description"].endswith("差额 243.7 m3")
    assert [one["role"] for one in golden["relatedEntity"]] == ["servicePoint", "meter"]


def test_pages_fields_and_filters(place: Place) -> None:
    store = place.store
    tickets = store.tickets()
    work(store, tickets[1], State.INVESTIGATING)
    item = store.outbox_claim("webhook", 1, tickets[0].opened_ns, 10**9)[0]
    store.outbox_settle([Outcome(item=item, verdict="done", remote_id="HD-9")], tickets[0].opened_ns)
    second, few, working, both, none, known, other, mine = get(
        place,
        f"{LIST}?offset=1&limit=1",
        f"{LIST}?fields=status,name&limit=2",
        f"{LIST}?status=inProgress",
        f"{LIST}?status=inProgress,acknowledged",
        f"{LIST}?status=held",
        f"{LIST}?externalIdentifier.id=HD-9",
        f"{LIST}?externalId=HD-10",
        f"{LIST}?id={tickets[2].id}&status=acknowledged",
    )
    assert [t["id"] for t in second.json()] == [tickets[1].id]
    assert (second.headers["x-total-count"], second.headers["x-result-count"]) == ("3", "1")
    assert [list(t) for t in few.json()] == [["id", "href", "@type", "name", "status"]] * 2
    assert [t["id"] for t in working.json()] == [tickets[1].id]
    assert len(both.json()) == 3
    assert none.json() == other.json() == []
    assert known.json()[0]["externalIdentifier"] == [
        {
            "@type": "ExternalIdentifier",
            "id": "HD-9",
            "owner": "webhook",
            "externalIdentifierType": "troubleTicket",
        }
    ]
    assert [t["id"] for t in mine.json()] == [tickets[2].id]


def test_one_has_its_notes_and_the_changes_of_its_status(place: Place) -> None:
    ticket = place.store.tickets()[2]
    work(place.store, ticket, State.ASSIGNED, State.WAITING_CUSTOMER)
    full, short = get(place, f"{LIST}/{ticket.id}", f"{LIST}/{ticket.id}?fields=note")
    body = full.json()
    check(body)
    assert [line["status"] for line in body["statusChangeHistory"]] == [
        "acknowledged",
        "acknowledged",
        "pending",
    ]
    assert body["statusChangeDate"] == body["statusChangeHistory"][-1]["changeDate"]
    assert [note["id"] for note in body["note"]] == [f"{ticket.id}.{n}" for n in (1, 2, 3)]
    assert body["note"][0]["text"] == "新建工单"
    assert list(short.json()) == ["id", "href", "@type", "note"]
    assert set(body) <= set(FIELDS)
    assert {TMF621[State.ASSIGNED], TMF621[State.WAITING_CUSTOMER]} == {"acknowledged", "pending"}


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (f"{LIST}?state=new", 400, "one of the parameters"),
        (f"{LIST}?status=open", 400, "status to be one of"),
        (f"{LIST}?limit=501", 400, "limit as a number up to 500"),
        (f"{LIST}?offset=-1", 400, "offset as a number"),
        (f"{LIST}?fields=owner", 400, "fields of"),
        (f"{LIST}?id=%00", 400, "id as plain text"),
        (f"{LIST}/FS-NONE", 404, "the id of a trouble ticket"),
        (f"{LIST}/%00", 404, "the id of a trouble ticket"),
    ],
)
def test_what_cannot_be_answered_is_said(place: Place, path: str, status: int, expected: str) -> None:
    (answer,) = get(place, path)
    assert (answer.status_code, answer.json()["expected"].startswith(expected)) == (status, True)


def test_it_is_behind_the_guard_and_reads_only(place: Place) -> None:
    without, another = get(place, LIST, token=""), get(place, LIST, token="another token of ours")
    assert [answer.status_code for answer in (*without, *another)] == [401, 401]
