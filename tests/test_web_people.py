"""People and the audit log through a real server: masks, reasons, records; each role at each route."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.app import WebConfig, make_app
from connectors.web.guard import Guard, User
from connectors.web.sources import Sources
from streams.programs.routes import routes
from streams.settings import Settings, load
from streams.trade.linking import Linking
from streams.trade.roles import RIGHTS, Role
from tests.services.postgres import Postgres
from tests.tickets.complaint_tools import filled, home, put_points
from tests.tickets.tools import NOON, Turned, sqlite_url
from tests.web_tools import VOCABULARY, Talk, answering

USERS = tuple(User(f"{role}-1", role, (f"token-of-the-{role}",)) for role in Role)
CANARY = {
    "name": "欧阳金雀",
    "phone": "13987650042",
    "email": "canary-bird@example.org",
    "address": "广东省深圳市南山区金丝雀路42号",
    "matter": "金丝雀投诉正文",
}


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer token-of-the-{role}"}


class House:
    """One installation: store, settings, what came in."""

    def __init__(self, url: str, directory: Path) -> None:
        upgrade(url)
        self.settings: Settings = load(None, data_dir=directory, store=url)
        self.store = Store(url, lambda _event: ["webhook"])
        put_points(self.store, home())
        given = filled(NOON, None, **CANARY)
        self.complaint, _ = self.store.take_complaint(given.complaint, given.person, Linking(), NOON)
        self.told: list[Any] = []

    def app(self) -> Guard:
        sources = Sources(store=self.store, history=None, vocabulary=VOCABULARY)
        made = routes(self.settings, self.store, Turned(), self.told)
        return make_app(sources, WebConfig(users=USERS), pages=False, routers=made)

    def talk(self, talk: Talk) -> None:
        async def run() -> None:
            async with answering(self.app()) as client:
                await talk(client)

        asyncio.run(run())


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database().replace("postgresql+psycopg:", "postgresql:")
    made = House(url, tmp_path)
    yield made
    made.store.close()


def rights_of(route: APIRoute) -> set[str]:
    """The rights that a route asks for, its own and its router's."""
    found, waiting = set(), [route.dependant]
    while waiting:
        one = waiting.pop()
        waiting += one.dependencies
        if (right := getattr(one.call, "right", None)) is not None:
            found.add(right)
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    made = House(sqlite_url(directory), directory)
    yield made
    made.store.close()


def of_the_api(app: Guard) -> list[APIRoute]:
    inner: Any = app._app
    found, waiting = [], list(inner.routes)
    while waiting:
        one = waiting.pop()
        # a router that was included keeps its routes to itself
        waiting += getattr(getattr(one, "original_router", None), "routes", [])
        if isinstance(one, APIRoute) and one.path.startswith("/api"):
            found.append(one)
    assert {"/api/tickets", "/api/audit", "/api/complaints"} <= {route.path for route in found}
    return found


#: signed by the helpdesk that calls, in place of a credential
_SIGNED = ("/api/hooks/",)


def test_every_route_names_a_right_and_every_write_more_than_reading(small: House) -> None:
    seen = set()
    for route in of_the_api(small.app()):
        if route.path.startswith(_SIGNED):
            continue
        rights = rights_of(route)
        assert rights, f"{route.methods} {route.path} asks for no right"
        seen |= rights
        if route.include_in_schema and (route.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            assert rights - {"read"}, f"{route.methods} {route.path} can be written by who may read"
    assert seen <= set(RIGHTS)


def test_each_role_at_each_route(small: House) -> None:
    app = small.app()
    wrong = []

    async def talk(client: httpx.AsyncClient) -> None:
        for route in of_the_api(app):
            if route.path.startswith(_SIGNED):
                continue
            rights = rights_of(route)
            path = route.path
            for name in route.param_convertors:
                path = re.sub(rf"\{{{name}(:path)?\}}", "x", path)
            for method in sorted((route.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}):
                for role in Role:
                    answer = await client.request(method, path, headers=bearer(role))
                    may = all(role in RIGHTS[right] for right in rights)
                    if (answer.status_code == 403) == may:
                        wrong.append((method, path, role, answer.status_code, rights))
                assert (await client.request(method, path)).status_code == 401, path

    small.talk(talk)
    assert wrong == []


def test_masked_until_somebody_says_why(house: House) -> None:
    person = house.complaint.person_id

    async def talk(client: httpx.AsyncClient) -> None:
        desk, agent, audit = bearer(Role.OPERATOR), bearer(Role.COMPLAINTS), bearer(Role.AUDITOR)
        shown = (await client.get(f"/api/people/{person}", headers=agent)).json()
        assert (shown["name"], shown["phone"], shown["masked"]) == ("欧阳**", "139****0042", True)
        assert shown["address"] == "广东省深圳市南山区***"
        for reason in ("", "test", "打 13987650042", "to anna@example.com please"):
            refused = await client.post(f"/api/people/{person}/unmask", json={"reason": reason}, headers=desk)
            assert refused.status_code == 422
            assert "13987650042" not in refused.text
        assert (await client.post(f"/api/people/{person}/unmask", headers=desk)).status_code == 422
        answer = await client.post(
            f"/api/people/{person}/unmask", json={"reason": "预约上门检表"}, headers=desk
        )
        assert answer.json()["name"] == CANARY["name"]
        assert answer.headers["cache-control"] == "no-store"
        found = await client.post("/api/people/find", json={"phone": "+86 139 8765 0042"}, headers=agent)
        assert [one["person_id"] for one in found.json()["items"]] == [person]
        assert CANARY["phone"] not in found.text
        assert (await client.get("/api/people/PN-none", headers=agent)).status_code == 404

        log = (await client.get("/api/audit", headers=audit)).json()
        seen = [(line["actor"], line["action"], line["reason"]) for line in log["items"]]
        assert seen == [
            ("complaints-1", "person.sought", ""),
            ("operator-1", "person.unmasked", "预约上门检表"),
            ("complaints-1", "person.shown", ""),
            ("call-centre", "complaint.taken", ""),
        ]
        again = (await client.get("/api/audit", params={"action": "audit.read"}, headers=audit)).json()
        assert [line["actor"] for line in again["items"]] == ["auditor-1"]
        page = (await client.get("/api/audit", params={"limit": 3}, headers=audit)).json()
        rest = (await client.get("/api/audit", params={"before": page["next"]}, headers=audit)).json()
        assert [line["seq"] for line in (*page["items"], *rest["items"])] == [6, 5, 4, 3, 2, 1]
        checked = (await client.get("/api/audit/verify", headers=audit)).json()
        assert (checked["rows"], checked["faults"]) == (8, [])
        # a number that somebody has typed into the search stays out of what can never be taken back
        await client.get("/api/audit", params={"object": "13987650042"}, headers=audit)
        last = (await client.get("/api/audit", params={"limit": 2}, headers=audit)).json()["items"][0]
        assert "13987650042" not in str(last)

    house.talk(talk)


def test_given_out_and_erased(house: House) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        admin, place = bearer(Role.ADMIN), "/api/service-points/point-1"
        told = await client.post(f"{place}/export", json={"reason": "用户书面申请查阅"}, headers=admin)
        assert told.json()["people"][0]["phone"] == CANARY["phone"]
        assert told.json()["complaints"][0]["id"] == house.complaint.id
        body: dict[str, Any] = {"reason": "用户书面申请删除"}
        refused = await client.post(f"{place}/erase", json=body, headers=admin)
        assert refused.status_code == 409
        assert refused.json()["got"] == house.complaint.ticket_id
        body["also_open"] = True
        done = (await client.post(f"{place}/erase", json=body, headers=admin)).json()
        assert (done["people"], done["complaints"], done["tickets"]) == (1, 1, 1)
        told = await client.post(f"{place}/export", json={"reason": "再次核对一遍"}, headers=admin)
        assert not [word for word in CANARY.values() if word in told.text]
        assert (
            await client.get(f"/api/tickets/{house.complaint.ticket_id}", headers=admin)
        ).status_code == 200

    house.talk(talk)
    assert house.store.verify_audit().faults == ()


def test_what_was_typed_to_find_somebody_is_not_on_record(house: House) -> None:
    typed = ("13800000000", "王小明", "wang@example.test", "PN-王小明", CANARY["phone"], CANARY["name"])

    async def talk(client: httpx.AsyncClient) -> None:
        admin = bearer(Role.ADMIN)
        for one in typed:
            held = (await client.get(f"/api/service-points/{one}/held", headers=admin)).json()
            assert (held["people"], set(held["counts"].values())) == ([], {0})
            for path in (f"/api/service-points/{one}/answer", f"/api/people/{one}"):
                await client.get(path, headers=admin)
            await client.post("/api/people/find", json={"phone": one}, headers=admin)
        assert (await client.get("/api/service-points/point-1/held", headers=admin)).json()["people"]

    house.talk(talk)
    log = house.store.audit_log(500)
    assert [line.object for line in log if line.action == "people.listed"] == ["service_point/point-1"]
    assert len([line for line in log if line.action == "person.sought"]) == len(typed)
    said = "".join(f"{line.object} {line.reason} {line.details}" for line in log)
    assert [one for one in typed if one in said] == []


def filling(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """Something that a schema takes: what it requires, and no more."""
    if "$ref" in schema:
        return filling(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        return filling(schema["anyOf"][0], known)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        required = schema.get("required", ())
        return {name: filling(schema["properties"][name], known) for name in required}
    if kind == "array":
        return [filling(schema["items"], known)] * schema.get("minItems", 0)
    if kind in ("number", "integer"):
        return max(1, schema.get("minimum", 1))
    return True if kind == "boolean" else "x" * max(3, schema.get("minLength", 0))


def test_every_write_refuses_a_tenant_and_says_so(small: House) -> None:
    before = small.store.audit_log(500)
    seen: list[str] = []

    async def talk(client: httpx.AsyncClient) -> None:
        api = (await client.get("/api/openapi.json", headers=bearer(Role.ADMIN))).json()
        known = api["components"]["schemas"]
        for path, methods in api["paths"].items():
            for method, said in methods.items():
                if method not in ("post", "put", "patch") or path.startswith(
                    ("/hooks/", "/login", "/logout")
                ):
                    continue
                target = re.sub(r"\{[^}]*(seq|number)[^}]*\}", "1", path)
                target = re.sub(r"\{[^}]*\}", "x", target)
                taken = said["requestBody"]["content"]["application/json"]["schema"]
                body = filling(taken, known)
                answer = await client.request(
                    method, target, json={**body, "tenant": "another"}, headers=bearer(Role.ADMIN)
                )
                assert answer.status_code == 422, (method, path, answer.text)
                assert "tenant: " in answer.json()["expected"], (method, path, answer.text)
                seen.append(path)

    small.talk(talk)
    assert len(seen) >= 25
    assert {"/api/complaints", "/api/mutes", "/api/tickets/{ticket_id}/move"} <= set(seen)
    # and none of it was done
    assert small.store.audit_log(500) == before


def test_nothing_personal_leaves_by_pages_logs_metrics_or_events(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []

    async def talk(client: httpx.AsyncClient) -> None:
        every = bearer(Role.ADMIN)
        form = {**CANARY, "reference": "77", "time": "2026-06-01T12:30:00Z", "service_point": "nowhere"}
        for body in (form, {**form, "time": "never"}, {"phone": CANARY["phone"]}, [CANARY["matter"]]):
            said.append((await client.post("/api/complaints", json=body, headers=every)).text)
        said.append(
            (await client.post("/api/people/find", json={"phone": CANARY["phone"]}, headers=every)).text
        )
        for path in ("/api/tickets", "/api/status", "/metrics", f"/api/tickets/{house.complaint.ticket_id}"):
            said.append((await client.get(path, headers=every)).text)

    house.talk(talk)
    said += [
        json.dumps(item.event.data, ensure_ascii=False)
        for item in house.store.outbox_claim("webhook", 50, NOON, 1)
    ]
    said += [str(line.details) for line in house.store.audit_log(500)]
    said += [record.getMessage() for record in caplog.records]
    everything = "\n".join(said)
    for name in ("name", "phone", "email", "address"):
        assert CANARY[name] not in everything, name
