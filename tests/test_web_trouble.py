"""The page in a real browser when something is wrong, and who may look at it."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from connectors.migrations import upgrade
from connectors.store import Store
from streams.messages import Kind
from streams.trade.rules import Rules
from tests.browser_tools import beating, boxes, furnished, golden, opened, tickets
from tests.services.postgres import Postgres
from tests.services.process import free_port
from tests.web_tools import Place, columns, flag, golden_flags, process

TOKEN = "a-token-of-some-length"
#: what a meter may call itself, if it means harm
EVIL = "<img src=x onerror='window.pwned=1'>{{7*7}}${7*7}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("pages")) as made, beating(made):
        yield made


@pytest.fixture(scope="module")
def web(place: Place) -> Iterator[str]:
    with process(store=place.store_url, history=str(place.history_path)) as (base, _):
        yield base


# -- when something is wrong ------------------------------------------------------------------


def test_nothing_that_a_payload_brings_is_taken_for_html(browser: Browser, web: str, place: Place) -> None:
    now = time.time_ns()
    place.readings(columns([(EVIL, now, 1.5, Kind.GAUGE, "<b>V</b>")]))
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    evidence = {
        EVIL: EVIL,
        "reason": EVIL,
        "periods": [{"start": EVIL, "days": EVIL}],
        "parameters": {EVIL: 1},
    }
    place.flags([flag(EVIL, "spike", at, unit=EVIL, evidence=evidence, service_point_id=EVIL)], now)
    with opened(browser, web) as page:
        row = tickets(page).filter(has_text="<img")
        expect(row).to_be_visible()
        expect(page.locator("#readings tbody tr", has_text="<img")).to_contain_text("{{7*7}}${7*7}")
        expect(page.locator("#flags tbody tr", has_text="<img")).to_be_visible()
        row.locator("a").click()
        expect(page.locator("#ticket .evidence")).to_contain_text("<img src=x")
        page.locator(".detail details summary").click()
        page.locator(".chart").hover()
        expect(page.locator("#ticket .facts")).to_contain_text("{{7*7}}")
        assert page.evaluate("window.pwned") is None
        assert page.locator("img[src=x]").count() == 0


def test_the_empty_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'tickets.db'}")
    store = f"sqlite:///{tmp_path / 'tickets.db'}"
    with (
        process(store=store, history=str(tmp_path / "history.db")) as (base, _),
        opened(browser, base) as page,
    ):
        expect(page.locator("#tickets .empty")).to_contain_text("run make demo")
        expect(page.locator("#readings .empty")).to_contain_text("Start it with forestall run")
        expect(page.locator(".processes")).to_contain_text("start forestall run")
        beats = Store(store)
        beats.heartbeat("ingest@host:1", {"role": "ingest"}, time.time_ns())
        expect(page.locator("#readings .empty")).to_contain_text("Publish JSON to the MQTT topic")
        expect(page.locator("#flags .empty")).to_contain_text("forestall import")
        beats.close()


def test_without_a_history_the_page_says_where_it_is(browser: Browser, place: Place) -> None:
    kept_at = "InfluxDB http://10.1.2.3:8086 (forestall)"
    with (
        process(store=place.store_url, kept_at=kept_at) as (base, _),
        opened(browser, base) as page,
    ):
        expect(page.locator("#readings .empty")).to_contain_text(kept_at)
        golden(page).locator("a").click()
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")
        expect(page.locator("#ticket")).to_contain_text(kept_at)


def test_a_database_that_goes_away_is_said_so_and_comes_back(browser: Browser, postgres: Postgres) -> None:
    url = postgres.new_database()
    upgrade(url)
    store = Store(url)
    store.apply_flags(golden_flags(), time.time_ns(), Rules())
    with process(store=url) as (base, _), opened(browser, base) as page:
        expect(golden(page)).to_be_visible()
        page.evaluate("window.same = true")
        before = boxes(page)
        postgres.kill()
        expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=20_000)
        expect(page.locator(".live")).to_contain_text("Not up to date")
        expect(golden(page)).to_be_visible()
        assert boxes(page) == before
        # opened while it is away: the page comes, and says so
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=20_000)
        page.evaluate("window.same = true")
        postgres.start()
        expect(page.get_by_role("alert")).to_be_hidden(timeout=30_000)
        store.apply_flags([flag("w-back", "spike", "2026-05-01T00:00:00Z")], time.time_ns(), Rules())
        expect(tickets(page).first).to_contain_text("w-back")
        assert page.evaluate("window.same")
    store.close()


def test_a_web_process_that_is_killed_and_started_again(browser: Browser, place: Place) -> None:
    port = free_port()
    settings: dict[str, Any] = {"store": place.store_url, "history": str(place.history_path), "port": port}
    with process(**settings) as (base, running), opened(browser, base, quiet=False) as page:
        expect(golden(page)).to_be_visible()
        running.send_signal(signal.SIGKILL)
        running.wait()
        expect(page.locator("#popup")).to_contain_text("Connection lost")
        with process(**settings):
            place.flags([flag("w-after", "spike", "2026-05-01T00:00:00Z")], time.time_ns())
            expect(tickets(page).filter(has_text="w-after")).to_be_visible(timeout=30_000)


# -- who may look -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(place: Place) -> Iterator[str]:
    with process(store=place.store_url, history=str(place.history_path), token=TOKEN) as (base, _):
        yield base


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_and_out(browser: Browser, guarded: str, place: Place) -> None:
    ticket = place.store.tickets(None, 100, service_point="wei")[0].id
    with opened(browser, f"{guarded}/tickets/{ticket}", quiet=False) as page:
        expect(page).to_have_url(re.compile("/login"))
        sign_in(page, "wrong")
        expect(page.get_by_role("alert")).to_contain_text("This is not the token")
        sign_in(page, TOKEN)
        expect(page).to_have_url(re.compile(f"/tickets/{ticket}$"))
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")
        # scripts cannot read the session
        assert "session" not in page.evaluate("document.cookie")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(re.compile("/login"))
        page.goto(guarded)
        expect(page).to_have_url(re.compile("/login"))


def test_a_link_from_another_site_needs_no_second_login(browser: Browser, guarded: str, place: Place) -> None:
    ticket = place.store.tickets(None, 100, service_point="wei")[0].id
    with opened(browser, f"{guarded}/login", quiet=False) as page:
        sign_in(page, TOKEN)
        expect(golden(page)).to_be_visible()
        with site(f'<a href="{guarded}/tickets/{ticket}">the ticket</a>') as elsewhere:
            page.goto(elsewhere)
            page.get_by_role("link").click()
            expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")


def test_another_site_reads_nothing(browser: Browser, web: str) -> None:
    """Not even where no token is set and the browser is on this machine."""
    attempt = """async (base) => {
      const told = {};
      const ways = {cors: {}, opaque: {mode: 'no-cors'}};
      for (const [name, options] of Object.entries(ways))
        told[name] = await fetch(base + '/api/tickets', options).then(r => r.text()).catch(e => 'refused');
      told.polling = await fetch(base + '/_nicegui_ws/socket.io/?EIO=4&transport=polling')
        .then(r => r.text()).catch(e => 'refused');
      told.socket = await new Promise(done => {
        const s = new WebSocket(base.replace('http', 'ws') + '/_nicegui_ws/socket.io/?EIO=4&transport=websocket');
        s.onmessage = e => done(e.data);
        s.onerror = () => done('refused');
      });
      told.frame = await new Promise(done => {
        const f = document.createElement('iframe');
        f.onload = () => { try { done(f.contentDocument ? 'blank' : 'refused') } catch { done('refused') } };
        f.src = base;
        document.body.append(f);
      });
      return told;
    }"""
    with site("<p>a page of somebody else</p>") as elsewhere, opened(browser, elsewhere, quiet=False) as page:
        told = page.evaluate(attempt, web)
    assert told["cors"] == "refused"
    assert told["opaque"] in ("", "refused")
    assert told["polling"] == "refused"
    assert told["socket"] == "refused"
    assert told["frame"] == "refused"


@contextmanager
def site(body: str) -> Iterator[str]:
    """Another site: one page, under the name localhost (we are under 127.0.0.1)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><link rel=icon href=data:,>{body}".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
