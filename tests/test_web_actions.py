"""Staff at work over the API: a case from its opening to its end, and what is refused on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.web import actions
from connectors.web.guard import User
from streams.trade.roles import Role
from streams.trade.staff import Staff
from tests.tickets.tools import HOUR, Turned
from tests.web_tools import NOW, Place, filled, golden_flags, talking

USERS = tuple(User(f"{role}-1", role, (f"token-of-the-{role}",)) for role in Role)
OPERATOR = {"Authorization": "Bearer token-of-the-operator"}
AUDITOR = {"Authorization": "Bearer token-of-the-auditor"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with filled(tmp_path) as made:
        yield made


def serve(place: Place, talk: Any) -> Turned:
    clock = Turned(NOW + HOUR)
    router = actions.router(Staff(place.store, place.rules, clock))
    talking(place, talk, routers=[router], users=USERS)
    return clock


async def golden(client: httpx.AsyncClient) -> str:
    found = await client.get("/api/tickets", params={"state": "open"}, headers=OPERATOR)
    ids: list[str] = [one["id"] for one in found.json()["items"] if one["meter_id"] == "wei"]
    return ids[0]


def test_a_case_from_its_checks_to_its_end(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        ticket = await golden(client)

        async def do(path: str, status: int = 200, **body: Any) -> dict[str, Any]:
            answer = await client.post(f"/api/tickets/{ticket}/{path}", json=body, headers=OPERATOR)
            assert answer.status_code == status, answer.text
            found: dict[str, Any] = answer.json()
            return found

        assert (await do("hand-off", department="operations", owner="li"))["first_owner"] == "operator-1"
        await do("move", to="investigating")
        await do("checks/1", result="photo agrees", finding="negative")
        told = await do("checks/2", result="does not move", finding="negative")
        assert told["hypotheses"][0]["cause"] == "meter_fault"
        told = await do("checks/3", result="report 17: 8 % fast", finding="positive")
        assert told["hypotheses"][0]["weight"] > 0.9
        again = await do("checks/3", 409, result="x", finding="positive")
        assert "has one already" in again["expected"]
        await do("note", text="report is in the drawer")
        swap: dict[str, Any] = {
            "old_serial": "A1",
            "new_serial": "B2",
            "stop_read": 449,
            "start_read": 0,
            "unit": "m3",
        }
        assert (await do("swap", **swap, at="2026-06-02T10:00:00+08:00"))["swap"]["stop_read"] == 449
        await do("swap", 422, **swap, at="yesterday")
        await do("move", to="implemented", resolution="replacement", responsibility="company")
        early = await do("move", 409, to="closed")
        assert "a verdict" in early["expected"]
        assert "got" not in early  # the sentence says all
        assert early["detail"] == f"expected {early['expected']}: {early['action']}"
        await do("move", to="callback")
        closed = await do(
            "move",
            to="closed",
            verdict="confirmed",
            archive_class="metering",
            satisfied=True,
            rating=5,
            signed="app",
        )
        assert (closed["state"], closed["callback"]["rating"]) == ("closed", 5)
        await do("move", 422, to="closed", wish="x")
        await do("move", 409, to="somewhere")
        actors = {line["actor"] for line in closed["history"]}
        assert actors == {"forestall", "operator-1"}

    serve(place, talk)
    assert place.store.verify_audit().faults == ()
    assert place.store.verify_audit().rows == 10


def test_roles_and_strangers(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        ticket = await golden(client)
        answer = await client.post(f"/api/tickets/{ticket}/note", json={"text": "x"}, headers=AUDITOR)
        assert answer.status_code == 403
        assert (await client.get("/api/mutes", headers=AUDITOR)).json() == {"items": []}
        answer = await client.post("/api/tickets/FS-NONE/note", json={"text": "x"}, headers=OPERATOR)
        assert (answer.status_code, answer.json()["got"]) == (404, "'FS-NONE'")
        answer = await client.post(f"/api/tickets/{ticket}/merge", json={"into": "FS-NONE"}, headers=OPERATOR)
        assert answer.status_code == 409
        assert (await client.post(f"/api/tickets/{ticket}/note", json={"text": "x"})).status_code == 401

    serve(place, talk)


def test_a_snooze_holds_what_comes_next(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        body = {
            "kind": "snooze",
            "place": "meter/new",
            "end": "2026-06-20T00:00:00Z",
            "reason": "a new boiler",
        }
        made = await client.post("/api/mutes", json=body, headers=OPERATOR)
        assert made.status_code == 201, made.text
        place.flags(golden_flags("new"), NOW + 2 * HOUR)
        waiting = (await client.get("/api/muted-flags", headers=OPERATOR)).json()["items"]
        assert [(one["meter_id"], one["why"]) for one in waiting] == [("new", "snooze: a new boiler")]
        ended = await client.post(
            f"/api/mutes/{made.json()['id']}/end", json={"note": "no"}, headers=OPERATOR
        )
        assert ended.json()["end"] < "2026-06-20"
        bad = await client.post("/api/mutes", json={**body, "place": "house/1"}, headers=OPERATOR)
        assert bad.status_code == 409
        outage = {**body, "kind": "planned_outage", "place": "line/L1"}
        made = await client.post("/api/mutes", json=outage, headers=OPERATOR)
        told = await client.post(f"/api/mutes/{made.json()['id']}/notice", json={}, headers=OPERATOR)
        assert told.json()["notice"] is not None

    serve(place, talk)


def test_opening_by_hand_and_a_drill(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        body = {"meter_id": "m9", "kind": "continuous_flow", "commodity": "gas", "note": "smell of gas"}
        made = await client.post("/api/tickets", json=body, headers=OPERATOR)
        assert made.status_code == 201, made.text
        assert (made.json()["origin"], made.json()["priority"]) == ("manual", "P1")
        drill = await client.post("/api/tickets", json={**body, "drill": True}, headers=OPERATOR)
        assert drill.json()["id"].startswith("DRILL-")
        wrong = await client.post("/api/tickets", json={**body, "kind": "smell"}, headers=OPERATOR)
        assert wrong.status_code == 409

    serve(place, talk)
