"""The API, asked over real sockets; a real store and history behind it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.history_sqlite import HistoryReader
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web import shapes
from connectors.web.app import WebConfig, make_app
from connectors.web.feed import Feed
from connectors.web.figures import processes, totals
from connectors.web.guard import COOKIE, SESSION_S, Access, loopback
from connectors.web.login import local
from connectors.web.server import PortTaken, serve
from connectors.web.sources import Reader, Sources
from streams import wording
from streams.messages import NS, Kind, Quality
from streams.rules import Rules
from streams.tickets import Heartbeat
from tests.services.postgres import Postgres
from tests.web_tools import (
    VOCABULARY,
    Place,
    columns,
    flag,
    golden_flags,
    golden_readings,
    ns,
    process,
    sources,
)

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,application/xhtml+xml"}
NOW = ns("2026-06-01T12:00:00")

Talk = Callable[[httpx.AsyncClient], Awaitable[None]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("web"))
    made.readings(columns(golden_readings()))
    made.readings(columns([("w/1", NOW + i * 60 * NS, i / 4, Kind.INTERVAL, "m3") for i in range(50)]))
    made.readings(columns([("w/1", NOW + 9000 * NS, 7.0, Kind.GAUGE, "")], 2 | 4, Quality.UNCERTAIN))
    made.flags(golden_flags(), NOW)
    made.flags([flag("w/1", "spike", "2026-06-01T12:30:00Z")], NOW + NS)
    made.flags([flag("w-2", "continuous_flow", "2026-06-01T12:40:00Z", commodity="gas")], NOW + 2 * NS)
    now = time.time_ns()
    made.beat("ingest", now, readings=1000, batches=10, dead_letters=1, last_reading_ns=now)
    made.beat("worker", now, readings=900, lag=2, lag_s=0.5, flags=3, counts={"late": 4}, meters_warming_up=5)
    yield made
    made.close()


def talking(
    place: Place | None,
    talk: Talk,
    *,
    found: Sources | None = None,
    host: str = "127.0.0.1",
    **config: Any,
) -> None:
    """Serve the API in this process while ``talk`` asks it."""

    async def run() -> None:
        if found is None:
            assert place is not None
            made, store = sources(place.store_url, str(place.history_path))
        else:
            made, store = found, None
        stop = asyncio.Event()
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        app = make_app(made, WebConfig(**config), pages=False)
        serving = asyncio.create_task(serve(app, host, 0, stop, port.set_result))
        try:
            while not port.done() and not serving.done():
                await asyncio.sleep(0.005)
            if serving.done():
                serving.result()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.result()}") as client:
                await talk(client)
        finally:
            stop.set()
            await serving
            if store is not None:
                store.close()

    asyncio.run(run())


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
            "/api/tickets",
            "/api/tickets/{ticket_id}",
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
        ("GET /api/tickets/FS-NONE", 404, "the id of a ticket"),
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
        assert body["instance"] == path.partition("?")[0]

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
        assert refused.json() == {"ready": False, "reason": "the ticket database does not answer"}
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


class _Stuck(Store):
    """A store whose database does not answer until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.let_go = threading.Event()

    def heartbeats(self) -> list[Heartbeat]:
        self.let_go.wait(30)
        return super().heartbeats()


def test_a_database_that_hangs_holds_nobody_up(place: Place) -> None:
    stuck = _Stuck(place.store_url)

    async def run() -> None:
        reader = Reader(Sources(store=stuck, history=None, vocabulary=VOCABULARY), patience_s=0.1)
        feed = Feed(reader, every_s=0.01)
        begun = time.monotonic()
        shown = await asyncio.gather(*(feed.snapshot() for _ in range(50)))
        assert time.monotonic() - begun < 5
        # fifty askers, one question
        assert len({id(one) for one in shown}) == 1
        assert "no answer within 0.1 s" in shown[0].store_error
        for _ in range(100):
            assert (await feed.snapshot()).store_error
        stuck.let_go.set()
        end = time.monotonic() + 10
        while (found := await feed.snapshot()).store_error:
            assert time.monotonic() < end
        assert [t.kind for t in found.open] == ["continuous_flow", "spike", "high_usage"]
        reader.close()

    asyncio.run(run())
    stuck.close()


def test_what_was_known_stays_while_a_source_is_away(place: Place, tmp_path: Path) -> None:
    class Flaky(Store):
        away = False

        def counts(self) -> Any:
            return Store(f"sqlite:///{tmp_path / 'no' / 't.db'}").counts() if self.away else super().counts()

    store = Flaky(place.store_url)

    async def run() -> None:
        history = HistoryReader(place.history_path)
        feed = Feed(Reader(Sources(store=store, history=history, vocabulary=VOCABULARY)), every_s=0.001)
        before = await feed.snapshot()
        assert before.store_error == ""
        store.away = True
        await asyncio.sleep(0.002)
        after = await feed.snapshot()
        assert "unable to open" in after.store_error
        assert after.open == before.open
        assert after.store_ns == before.store_ns
        assert len(after.readings) == 2
        await history.close()

    asyncio.run(run())
    store.close()


# -- who may ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "got"),
    [
        ({"Host": "evil.example"}, "evil.example"),
        ({"Host": "127.0.0.1.evil.example:80"}, "evil.example"),
        ({"Host": "10.0.0.1:8080"}, "10.0.0.1"),
        ({"Host": ""}, "Host"),
        ({"Host": "[::1"}, "Host"),
        ({"Origin": "http://evil.example"}, "Origin http://evil.example"),
        ({"Origin": "null"}, "Origin null"),
        ({"Origin": "http://["}, "Origin http://["),
        ({"X-Forwarded-For": "203.0.113.9"}, "x-forwarded-for"),
        ({"Forwarded": "for=203.0.113.9"}, "forwarded"),
    ],
)
def test_without_a_token_this_machine_alone_is_served(
    place: Place, headers: dict[str, str], got: str
) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/tickets", headers=headers)
        assert answer.status_code == 403
        assert got in answer.json()["got"]
        # a supervisor's probe asks under any name
        if headers.get("Host"):
            assert (await client.get("/health", headers={"Host": headers["Host"]})).status_code == 200

    talking(place, talk)


def test_without_a_token_loopback_names_and_own_origins_are_served(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        port = client.base_url.port
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST", "127.9.9.9"):
            own = {"Host": host, "Origin": f"http://{host}"}
            assert (await client.get("/api/tickets", headers=own)).status_code == 200, host
        assert (await client.get("/login")).status_code == 303

    talking(place, talk)


def test_without_a_token_another_machine_is_refused(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address of ours would be used
        except OSError:
            pytest.skip("this machine has no address beside loopback")
        ours = probe.getsockname()[0]

    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get(
            f"http://{ours}:{client.base_url.port}/api/tickets", headers={"Host": "localhost"}
        )
        assert answer.status_code == 403
        assert answer.json()["got"] == f"a request from {ours}"

    talking(place, talk, host="0.0.0.0")


def test_loopback_names() -> None:
    assert all(
        map(loopback, ("localhost", "LocalHost.", "a.localhost", "127.0.0.1", "[::1]", "::ffff:127.0.0.1"))
    )
    assert not any(
        map(loopback, ("", "localhost.evil.example", "0.0.0.0", "::", "192.168.0.1", "example.org"))
    )


def test_a_token_is_asked_for(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for path in ("/api/tickets", "/metrics", "/api/openapi.json", "/api/nothing"):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == 'Bearer realm="forestall"'
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer \xff\xfe"):
            answer = await client.get("/api/tickets", headers=[(b"authorization", wrong.encode("latin-1"))])
            assert answer.status_code == 401, wrong
        assert (await client.get("/api/tickets", headers=BEARER)).status_code == 200
        # behind a proxy, under a public name
        named = {**BEARER, "Host": "meters.example", "X-Forwarded-For": "203.0.113.9"}
        assert (await client.get("/api/tickets", headers=named)).status_code == 200
        foreign = {**named, "Origin": "https://evil.example"}
        assert (await client.get("/api/tickets", headers=foreign)).status_code == 403
        found = (await client.get("/api/openapi.json", headers=BEARER)).json()
        assert "HTTPBearer" in found["components"]["securitySchemes"]

    talking(place, talk, token=TOKEN)


def test_a_browser_signs_in_once(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        led = await client.get("/tickets/FS-1?a=b", headers=HTML)
        assert led.status_code == 303
        assert led.headers["location"] == "/login?next=/tickets/FS-1%3Fa%3Db"
        form = await client.get(led.headers["location"], headers=HTML)
        assert form.status_code == 200
        assert 'type="password"' in form.text
        assert "script" not in form.headers["content-security-policy"]
        wrong = await client.post(led.headers["location"], data={"token": "wrong"})
        assert wrong.status_code == 401
        assert "This is not the token" in wrong.text
        assert COOKIE not in client.cookies
        right = await client.post(led.headers["location"], data={"token": f" {TOKEN} "})
        assert (right.status_code, right.headers["location"]) == (303, "/tickets/FS-1?a=b")
        cookie = right.headers["set-cookie"].lower()
        assert all(
            part in cookie for part in ("httponly", "samesite=strict", "path=/", f"max-age={SESSION_S}")
        )
        assert "secure" not in cookie
        assert TOKEN not in cookie
        assert (await client.get("/api/tickets")).status_code == 200
        assert (await client.get("/login", headers=HTML)).status_code == 303
        await client.post("/logout")
        assert (await client.get("/api/tickets")).status_code == 401

    talking(place, talk, token=TOKEN)


def test_behind_tls_the_cookie_is_for_tls_only(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        proxied = {"X-Forwarded-Proto": "https", "Host": "meters.example", "Origin": "https://meters.example"}
        answer = await client.post("/login", data={"token": TOKEN}, headers=proxied)
        assert answer.status_code == 303
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["strict-transport-security"]

    talking(place, talk, token=TOKEN)


def test_the_login_speaks_chinese(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        form = await client.get("/login", headers=HTML)
        assert '<html lang="zh-CN">' in form.text
        assert "访问令牌" in form.text
        chosen = await client.get("/login", headers={**HTML, "Cookie": "forestall_language=en"})
        assert '<html lang="en">' in chosen.text

    talking(place, talk, token=TOKEN, language="zh")


def test_a_form_that_is_too_large_or_odd_is_refused(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        assert (await client.post("/login", data={"token": "x" * 10_000})).status_code == 413
        assert (await client.post("/login", content=b"\xff\xfe=\x00")).status_code == 401
        assert (await client.post("/login", content=b"")).status_code == 401

    talking(place, talk, token=TOKEN)


def test_a_link_from_elsewhere_is_led_on_by_us(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get('/tickets/FS-"><x', headers={**HTML, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200
        assert 'url=/tickets/FS-%22%3E%3Cx"' in answer.text
        assert "<x" not in answer.text

    talking(place, talk, token=TOKEN)


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/", "/"),
        ("/tickets/FS-1?a=b", "/tickets/FS-1?a=b"),
        ("", "/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/login", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_the_login_leads_to_pages_of_ours_only(target: str, safe: str) -> None:
    assert local(target) == safe


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    now = 1_000_000.0
    access = Access(TOKEN, lambda: now)
    cookie = access.cookie()

    def allowed(by: Access, value: str) -> bool:
        return by.allows(httpx_headers({"cookie": f"{COOKIE}={value}"}))

    assert allowed(access, cookie)
    assert not allowed(Access(TOKEN + "2", lambda: now), cookie)
    expiry, signature = cookie.split(".")
    assert not allowed(access, f"{int(expiry) + 1}.{signature}")
    for forged in ("", ".", "1", f"{expiry}.", f"{expiry}.{'0' * 64}", f"{'9' * 5000}.{signature}", "é.é"):
        assert not allowed(access, forged)
    now += SESSION_S
    assert not allowed(access, cookie)
    # without a token there is nothing to sign with
    nobody = Access("", lambda: now)
    assert not allowed(nobody, nobody.cookie())
    assert not nobody.right("")


def httpx_headers(given: dict[str, str]) -> Any:
    from starlette.datastructures import Headers

    return Headers(given)


def test_every_answer_carries_the_security_headers(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for path in ("/api/tickets", "/health", "/login", "/nothing", "/api/tickets/x"):
            for headers in (BEARER, {}):
                answer = await client.get(path, headers={**headers, **HTML})
                got = answer.headers
                assert got["x-content-type-options"] == "nosniff", path
                assert got["x-frame-options"] == "DENY", path
                assert "frame-ancestors 'none'" in got["content-security-policy"], path
                assert got["cache-control"] == "no-store", path
                assert "server" not in got, path
                assert "access-control-allow-origin" not in got, path

    talking(place, talk, token=TOKEN)


# -- the server -------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_to_be(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        made, store = sources(place.store_url, None)
        app = make_app(made, WebConfig(), pages=False)
        with pytest.raises(PortTaken, match="another program listens there"):
            await serve(app, "127.0.0.1", client.base_url.port or 0, asyncio.Event())
        store.close()

    talking(place, talk)


def test_stopping_waits_for_nobody_longer_than_three_seconds(place: Place) -> None:
    stuck = _Stuck(place.store_url)

    async def run() -> None:
        stop = asyncio.Event()
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        app = make_app(Sources(store=stuck, history=None, vocabulary=VOCABULARY), WebConfig(), pages=False)
        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop, port.set_result))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await port}") as client:
            asking = asyncio.create_task(client.get("/api/status", timeout=30))
            while not stuck_in(stuck):
                await asyncio.sleep(0.01)
            begun = time.monotonic()
            stop.set()
            await serving
            assert time.monotonic() - begun < 3
            stuck.let_go.set()
            with pytest.raises(httpx.HTTPError):
                (await asking).raise_for_status()

    asyncio.run(run())
    stuck.close()


def stuck_in(store: _Stuck) -> bool:
    """Whether a thread waits within the store."""
    return any(t.name.startswith("web-store") for t in threading.enumerate()) and not store.let_go.is_set()


def test_pages_and_their_socket_are_behind_the_guard(place: Place) -> None:
    with process(store=place.store_url, history=str(place.history_path), token=TOKEN) as (base, running):
        assert httpx.get(f"{base}/", headers=HTML).headers["location"] == "/login?next=/"
        assert httpx.get(f"{base}/", headers={"Accept": "*/*"}).status_code == 401
        page = httpx.get(f"{base}/", headers={**HTML, **BEARER})
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        asset = re.search(r"/_nicegui/[^\"]+/static/nicegui.js", page.text)
        assert asset is not None
        assert httpx.get(base + asset[0]).status_code == 401
        cached = httpx.get(base + asset[0], headers=BEARER)
        assert "immutable" in cached.headers["cache-control"]
        # nothing comes from elsewhere
        assert not re.findall(r"(?:src|href)=\"https?://", page.text)
        assert "forestall_test 1.0" in httpx.get(f"{base}/metrics", headers=BEARER).text

        socket_path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        assert httpx.get(base + socket_path).status_code == 401
        assert httpx.get(base + socket_path, headers=BEARER).status_code == 200
        foreign = {**BEARER, "Origin": "http://evil.example"}
        assert httpx.get(base + socket_path, headers=foreign).status_code == 403
        asyncio.run(_sockets(base.replace("http", "ws"), running.pid))
        assert running.wait(5) == 0


async def _sockets(base: str, pid: int) -> None:
    import os
    import signal

    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    url = f"{base}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    for headers in ({}, {**BEARER, "Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 403
    async with connect(url, additional_headers=BEARER) as open_:
        assert json.loads(str(await open_.recv()).lstrip("0"))["sid"]
        begun = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            while True:
                await asyncio.wait_for(open_.recv(), 5)
        assert time.monotonic() - begun < 3


# -- figures ----------------------------------------------------------------------------------


def beat(name: str, at_s: float, since_s: float = 0.0, **figures: Any) -> Heartbeat:
    return Heartbeat(
        process=name,
        since_ns=round(since_s * NS),
        at_ns=round(at_s * NS),
        figures={"role": name.partition("@")[0], **figures},
    )


def test_a_silent_process_is_shown_until_another_takes_its_place() -> None:
    beats = [beat("worker@a:1", 100), beat("ingest@a:2", 195), beat("web@a:3", 199), beat("other@a:4", 199)]
    shown = processes(beats, 200 * NS)
    assert [(p.role, p.alive) for p in shown] == [
        ("ingest", True),
        ("worker", False),
        ("web", True),
        ("other", True),
    ]
    assert shown[1].age_s == 100
    heir = processes([*beats, beat("worker@a:9", 199, since_s=110)], 200 * NS)
    assert [p.name for p in heir if p.role == "worker"] == ["worker@a:9"]
    # one on another machine, or one that ran beside it, takes nobody's place
    beside = processes([*beats, beat("worker@b:9", 199, 110), beat("worker@a:8", 199, 90)], 200 * NS)
    assert len([p for p in beside if p.role == "worker"]) == 3


def test_a_clock_that_is_ahead_is_no_reason_to_be_dead() -> None:
    assert processes([beat("web@a:1", 500)], 200 * NS)[0].alive


def test_totals_take_figures_that_are_missing_or_odd_as_nothing() -> None:
    beats = [
        beat("ingest@a:1", 1, readings=5, batches=None, dead_letters=True),
        beat("ingest@b:1", 1, readings=7, last_reading_ns=0),
        beat("worker@a:2", 1, lag="many", counts=[1], lag_s=2.5, error="history waits"),
        beat("worker@b:2", 1, lag=4, lag_s=1.0, last_reading_ns=77),
    ]
    sums = totals(processes(beats, NS))
    assert (sums.readings_in, sums.batches, sums.dead_letters, sums.lag, sums.lag_s) == (12, 0, 0, 4, 2.5)
    assert sums.last_reading_ns == 77
    assert totals([]).last_reading_ns is None


def test_the_rate_is_of_the_last_half_minute_and_survives_a_restart(place: Place) -> None:
    feed = Feed(Reader(Sources(store=place.store, history=None, vocabulary=VOCABULARY)))
    told = [
        feed._rate([beat("ingest@a:1", t, readings=10 * t), beat("worker@a:2", t, readings=1)])
        for t in range(0, 60, 2)
    ]
    assert told[0] is None
    assert told[1:] == pytest.approx([10.0] * 29)
    # started anew: it counts from zero, and nothing is taken off
    assert feed._rate([beat("ingest@a:9", 60, readings=3)]) == 0.0
    assert feed._rate([]) is None
