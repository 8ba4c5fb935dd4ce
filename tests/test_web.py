"""The API, asked over real sockets; a real store and history behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.history_sqlite import HistoryReader
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web import shapes
from connectors.web.sources import Sources
from streams.trade import wording
from streams.trade.rules import Rules
from tests.services.postgres import Postgres
from tests.web_tools import (
    NOW,
    VOCABULARY,
    Place,
    filled,
    golden_flags,
    talking,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


# -- what is served ---------------------------------------------------------------------------


def test_readings_newest_first_one_of_each_meter(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        items = (await client.get("/api/readings")).json()["items"]
        assert [item["meter_id"] for item in items] == ["w/1", "wei"]
        assert items[0] == {
            "meter_id": "w/1",
            "register": "",
            "time": "2026-06-01T14:30:00Z",
            "value": 7.0,
            "unit": "",
            "kind": "gauge",
            "quality": "uncertain",
            "marks": ["historical", "estimated"],
        }
        assert items[1]["kind"] == "register"
        assert len((await client.get("/api/readings?limit=1")).json()["items"]) == 1

    talking(place, talk)


def test_readings_of_one_meter(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        items = (await client.get("/api/readings", params={"meter": "w/1", "limit": 3})).json()["items"]
        assert [item["value"] for item in items] == [7.0, 49 / 4, 48 / 4]
        # years old, and found all the same
        wei = (await client.get("/api/readings?meter=wei")).json()["items"]
        assert [item["value"] for item in wei] == [449, 176, 0]
        assert (await client.get("/api/readings?meter=nobody")).json()["items"] == []

    talking(place, talk)


def test_a_unit_that_the_payload_left_out_is_the_registrys(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        items = (await client.get("/api/readings")).json()["items"]
        assert [item["unit"] for item in items] == ["kW.h", "m3"]
        series = (await client.get("/api/meters/w/1/series")).json()["registers"][0]
        assert series["unit"][-2:] == ["m3", "kW.h"]

    made = Sources(
        store=place.store,
        history=HistoryReader(place.history_path),
        vocabulary=VOCABULARY,
        unit_of=lambda meter: {"w/1": "kW.h"}.get(meter, ""),
    )
    talking(None, talk, found=made)


def test_flags_newest_first_and_by_meter(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        items = (await client.get("/api/flags")).json()["items"]
        assert [item["kind"] for item in items] == ["continuous_flow", "spike", "high_usage"]
        one = (await client.get("/api/flags?meter=wei")).json()["items"]
        assert [item["meter_id"] for item in one] == ["wei"]
        assert one[0]["evidence"]["billed_amount"] == 273.0
        first = (await client.get("/api/flags?limit=2")).json()
        rest = (await client.get("/api/flags", params={"limit": 2, "before": first["next"]})).json()
        assert [*first["items"], *rest["items"]] == items
        assert rest["next"] is None

    talking(place, talk)


def test_tickets_by_state_service_point_and_page(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        body = (await client.get("/api/tickets")).json()
        assert [t["kind"] for t in body["items"]] == ["continuous_flow", "spike", "high_usage"]
        assert body["next"] is None
        first = (await client.get("/api/tickets?limit=2&state=open")).json()
        assert [t["kind"] for t in first["items"]] == ["continuous_flow", "spike"]
        rest = (await client.get("/api/tickets", params={"limit": 2, "before": first["next"]})).json()
        assert [t["kind"] for t in rest["items"]] == ["high_usage"]
        assert rest["next"] is None
        assert (await client.get("/api/tickets?state=closed")).json()["items"] == []
        one = (await client.get("/api/tickets", params={"service_point": "sp-w/1"})).json()["items"]
        assert [t["meter_id"] for t in one] == ["w/1"]

    talking(place, talk)


def test_the_golden_ticket_in_full(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        listed = (await client.get("/api/tickets?service_point=wei")).json()["items"][0]
        ticket = (await client.get(f"/api/tickets/{listed['id']}")).json()
        assert {key: ticket["estimate"][key] for key in ("expected", "billed", "excess", "unit")} == {
            "expected": 29.3,
            "billed": 273.0,
            "excess": 243.7,
            "unit": "m3",
        }
        assert ticket["estimate"]["method"] == "history_mean_days"
        assert [h["cause"] for h in ticket["hypotheses"]][:3] == ["misread", "leak", "meter_fault"]
        assert [step["check"] for step in ticket["steps"]][:3] == ["read_again", "leak_test", "meter_test"]
        assert ticket["history"][0]["action"] == "opened"
        assert ticket["history"][0]["at"] == "2026-06-01T12:00:00.000Z"
        assert ticket["evidence"]["periods"][0]["amount"] == 176.0
        assert ticket["episodes"][0]["observed"] == 273.0
        assert {key: ticket[key] for key in listed} == listed

    talking(place, talk)


def test_a_ticket_has_the_fields_that_its_events_carry(place: Place) -> None:
    ticket = place.store.tickets(None, 10, service_point="wei")[0]
    assert json.loads(json.dumps(shapes.ticket(ticket))) == json.loads(json.dumps(wording.public(ticket)))
    assert set(shapes.TicketOut.model_fields) == set(wording.public(ticket))


def test_series_in_a_span_and_in_pages(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        everything = (await client.get("/api/meters/wei/series")).json()
        shapes.SeriesOut.model_validate(everything)
        register = everything["registers"][0]
        assert register["time"] == ["2011-04-10T00:00:00Z", "2012-04-10T00:00:00Z", "2012-06-10T00:00:00Z"]
        assert register["value"] == [0.0, 176.0, 449.0]
        span = {"start": "2012-04-10T08:00:00+08:00", "end": "2012-04-10T00:00:00Z"}
        cut = (await client.get("/api/meters/wei/series", params=span)).json()
        assert cut["registers"][0]["value"] == [176.0]
        got: list[float] = []
        start = ""
        while True:
            page = (await client.get("/api/meters/w/1/series", params={"limit": 20, "start": start})).json()
            got += page["registers"][0]["value"]
            if not page["truncated"]:
                break
            start = page["next"]
        assert got == [i / 4 for i in range(50)] + [7.0]
        assert (await client.get("/api/meters/nobody/series")).json()["registers"] == []

    talking(place, talk)


def test_status_adds_up(place: Place) -> None:
    now = time.time_ns()
    place.beat("ingest", now, readings=1000, batches=10, dead_letters=1, last_reading_ns=now)
    place.beat(
        "worker", now, readings=900, lag=2, lag_s=0.5, flags=3, counts={"late": 4}, meters_warming_up=5
    )

    async def talk(client: httpx.AsyncClient) -> None:
        body = (await client.get("/api/status")).json()
        assert body["version"] == "1.2.3"
        assert [(p["role"], p["alive"]) for p in body["processes"]] == [("ingest", True), ("worker", True)]
        sums = body["totals"]
        assert (sums["readings_in"], sums["readings_detected"], sums["batches"]) == (1000, 900, 10)
        assert (sums["lag"], sums["lag_s"], sums["late"], sums["dead_letters"]) == (2, 0.5, 4, 1)
        assert sums["meters_warming_up"] == 5
        assert body["tickets"] == {"new": 3, "open": 3}
        assert body["outbox"]["pending"] == 3
        assert body["outbox"]["oldest"] == "2026-06-01T12:00:00Z"
        assert body["history"] == {"here": True, "error": "", "kept_at": ""}

    talking(place, talk, version="1.2.3")


def test_metrics_health_and_readiness(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        found = {
            (s.name, s.labels.get("state", s.labels.get("role", ""))): s.value
            for family in text_string_to_metric_families((await client.get("/metrics")).text)
            for s in family.samples
        }
        assert found["forestall_store_up", ""] == 1
        assert found["forestall_tickets", "new"] == 3
        assert found["forestall_outbox_pending", ""] == 3
        assert found["forestall_outbox_age_seconds", ""] > 0
        assert ("forestall_process_up", "worker") in found
        assert (await client.get("/health")).json() == {"alive": True}
        assert (await client.get("/ready")).json() == {"ready": True}

    talking(place, talk)


def test_where_no_history_is_kept_it_is_said(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        body = (await client.get("/api/readings")).json()
        assert body == {"items": [], "kept_at": "InfluxDB http://10.1.2.3:8086"}
        assert (await client.get("/api/flags")).json()["items"] == []
        assert (await client.get("/api/readings?meter=x")).json()["items"] == []
        assert (await client.get("/api/meters/x/series")).json()["registers"] == []
        assert not (await client.get("/api/status")).json()["history"]["here"]

    made = Sources(
        store=place.store, history=None, vocabulary=VOCABULARY, kept_at="InfluxDB http://10.1.2.3:8086"
    )
    talking(None, talk, found=made)


def test_openapi_describes_every_route_and_so_does_the_document(place: Place) -> None:
    document = (Path(__file__).parents[1] / "docs" / "web.md").read_text(encoding="utf-8")

    async def talk(client: httpx.AsyncClient) -> None:
        found = (await client.get("/api/openapi.json")).json()
        assert found["info"]["title"] == "Forestall"
        routes = set(found["paths"])
        assert routes == {
            "/api/readings",
            "/api/flags",
            "/api/quality",
            "/api/tickets",
            "/api/tickets/{ticket_id}",
            "/api/tickets/{ticket_id}/pack",
            "/api/meters/{meter_id}/series",
            "/api/status",
            "/metrics",
            "/health",
            "/ready",
        }
        assert all(
            set(methods) == {"get"} and methods["get"]["summary"] for methods in found["paths"].values()
        )
        for route in routes:
            assert f"`GET {route}`" in document, f"expected {route} in docs/web.md"

    talking(place, talk)


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "expected"),
    [
        ("GET /api/readings?limit=0", 422, "limit: input should be greater than or equal to 1"),
        ("GET /api/readings?limit=many", 422, "limit: input should be a valid integer"),
        ("GET /api/tickets?state=lost", 422, "state to be one of open, new"),
        ("GET /api/tickets?before=yesterday", 422, "next of an earlier page"),
        ("GET /api/tickets?before=9999999999999999999.FS-1", 422, "next of an earlier page"),
        ("GET /api/flags?before=17.x", 422, "next of an earlier page"),
        ("GET /api/tickets/FS-NONE", 404, "the id of a ticket"),
        ("GET /api/tickets/%00", 404, "the id of a ticket"),
        ("GET /api/tickets?service_point=%00", 422, "service_point: string should match"),
        ("GET /api/meters/x/series?start=2012-06-10", 422, "start as ISO 8601 with its zone"),
        ("GET /api/meters/x/series?end=0001-01-01T00:00:00Z", 422, "end between the years"),
        ("GET /api/nothing", 404, "a route of this API"),
        ("POST /api/tickets", 404, "a route of this API"),
        ("DELETE /health", 405, "a method that it takes"),
        ("GET /nothing", 404, "a route of this server"),
    ],
)
def test_an_error_says_what_was_expected_what_came_and_what_to_do(
    place: Place, request_: str, status: int, expected: str
) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        method, path = request_.split(" ")
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == status
        assert expected in body["expected"]
        assert body["got"]
        assert body["action"]
        assert body["instance"] == unquote(path.partition("?")[0])

    talking(place, talk)


def test_a_database_that_is_away_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'later' / 'tickets.db'}"

    async def talk(client: httpx.AsyncClient) -> None:
        for path in ("/api/tickets", "/api/tickets/FS-1", "/api/status"):
            answer = await client.get(path)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) >= 1
            assert "unable to open database file" in answer.json()["got"]
        refused = await client.get("/ready")
        assert refused.status_code == 503
        reason = "the ticket database is not there yet: it has not answered since the start"
        assert refused.json() == {"ready": False, "reason": reason}
        assert (await client.get("/health")).status_code == 200
        assert "forestall_store_up 0.0" in (await client.get("/metrics")).text
        upgrade(url)
        end = time.monotonic() + 10
        while (await client.get("/ready")).status_code != 200:
            assert time.monotonic() < end
        assert (await client.get("/api/tickets")).json()["items"] == []

    store = Store(url)
    talking(None, talk, found=Sources(store=store, history=None, vocabulary=VOCABULARY))
    store.close()


def test_postgresql_that_is_killed_comes_back(postgres: Postgres) -> None:
    url = postgres.new_database()
    upgrade(url)
    store = Store(url)
    store.apply_flags(golden_flags(), NOW, Rules())

    async def talk(client: httpx.AsyncClient) -> None:
        before = (await client.get("/api/tickets")).json()["items"]
        assert [t["estimate"]["excess"] for t in before] == [243.7]
        await asyncio.to_thread(postgres.kill)
        answer = await client.get("/api/tickets", timeout=20)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert (await client.get("/health")).status_code == 200
        await asyncio.to_thread(postgres.start)
        end = time.monotonic() + 20
        while (answer := await client.get("/api/tickets", timeout=20)).status_code != 200:
            assert time.monotonic() < end
        assert answer.json()["items"] == before

    talking(None, talk, found=Sources(store=store, history=None, vocabulary=VOCABULARY))
    store.close()


def test_a_file_that_is_no_history_is_said_to_be_none(place: Place, tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"not a database, but long enough to look like one" * 100)

    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/readings")
        assert answer.status_code == 500
        assert "move the file away" in answer.json()["got"]
        # tickets do not depend on it
        assert (await client.get("/api/tickets")).status_code == 200
        assert (await client.get("/ready")).status_code == 200
        assert (await client.get("/api/status")).json()["history"]["error"]

    made = Sources(store=place.store, history=HistoryReader(tmp_path / "history.db"), vocabulary=VOCABULARY)
    talking(None, talk, found=made)
