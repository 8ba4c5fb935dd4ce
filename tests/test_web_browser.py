"""The page in a real browser, with a real store and history behind it."""

from __future__ import annotations

import os
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
from playwright.sync_api import Browser, Page, expect, sync_playwright

from connectors.migrations import upgrade
from connectors.store import Store
from streams.messages import NS, Kind
from streams.rules import Rules
from tests.conftest import Servers
from tests.services.chromium import Chromium
from tests.services.postgres import Postgres
from tests.services.process import free_port
from tests.web_tools import Place, columns, flag, golden_flags, golden_readings, process

WIDE, NARROW = (1280, 800), (390, 844)
ZONE = "Asia/Shanghai"
TOKEN = "a-token-of-some-length"
#: what a meter may call itself, if it means harm
EVIL = "<img src=x onerror='window.pwned=1'>{{7*7}}${7*7}"


@pytest.fixture(scope="module")
def browser(servers: Servers) -> Iterator[Browser]:
    chromium = servers.get(Chromium)
    with sync_playwright() as playwright:
        connected = playwright.chromium.connect_over_cdp(chromium.url)
        yield connected
        connected.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("pages"))
    now = time.time_ns()
    hour = 3600 * NS
    made.readings(columns(golden_readings()))
    made.readings(
        columns([(f"w-{m:02d}", now - m * hour, m + 0.5, Kind.INTERVAL, "m3") for m in range(1, 25)])
    )
    made.readings(
        columns([("w-flow", now - h * hour, 0.08 + (h % 7) / 50, Kind.INTERVAL, "m3") for h in range(500)])
    )
    made.flags(golden_flags(), now - 9 * 60 * NS)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3 * 86_400))
    run = {"least_flow_per_hour": 0.08, "limit_per_hour": 0.01, "hours": 72}
    made.flags(
        [flag("w-flow", "continuous_flow", at, start=begun, commodity="gas", evidence=run)], now - 8 * 60 * NS
    )
    made.flags([flag("w-03", "rollback", at)], now - 7 * 60 * NS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def beating(place: Place) -> Iterator[None]:
    """Processes that live, and take readings in."""
    stop = threading.Event()

    def beat() -> None:
        store = Store(place.store_url)
        readings = 1_234_567
        while not stop.is_set():
            now = time.time_ns()
            readings += 100
            ingest = {"role": "ingest", "readings": readings, "batches": 4321, "last_reading_ns": now}
            worker = {"role": "worker", "readings": readings, "lag": 3, "lag_s": 0.2, "meters": 26}
            store.heartbeat("ingest@host:1", ingest, now)
            store.heartbeat("worker@host:2", {**worker, "meters_warming_up": 19, "counts": {"late": 14}}, now)
            stop.wait(1.0)
        store.close()

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def web(place: Place, beating: None) -> Iterator[str]:
    with process(store=place.store_url, history=str(place.history_path)) as (base, _):
        yield base


@contextmanager
def opened(
    browser: Browser, url: str, size: tuple[int, int] = WIDE, *, quiet: bool = True, **settings: Any
) -> Iterator[Page]:
    """A page in a context of its own; ``quiet``: nothing may go wrong in it, nor ask another host."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, timezone_id=ZONE, locale="en-GB", **settings
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    host = url.split("/")[2]
    page.on("request", lambda sent: wrong.append(sent.url) if host not in sent.url else None)
    try:
        page.goto(url)
        yield page
        if quiet:
            assert wrong == []
    finally:
        context.close()


def speak(page: Page, language: str) -> None:
    """Switch to a language if the page is not in it."""
    wanted = "zh-CN" if language == "zh" else "en-US"
    if page.locator("html").get_attribute("lang") != wanted:
        page.get_by_role("button", name="中文" if language == "zh" else "English").click()
        expect(page.locator("html")).to_have_attribute("lang", wanted)


def tickets(page: Page) -> Any:
    """The rows of the list of tickets."""
    return page.locator("#tickets tbody tr")


def golden(page: Page) -> Any:
    """The golden ticket's row."""
    return tickets(page).filter(has_text="wei ·")


# -- what it shows ----------------------------------------------------------------------------


def test_it_shows_readings_flags_tickets_and_how_it_goes(browser: Browser, web: str) -> None:
    with opened(browser, web) as page:
        row = golden(page)
        expect(row).to_contain_text("unusually high use")
        expect(row).to_contain_text("metering and billing")
        expect(row.locator("td.c-expected")).to_have_text("29.3m³")
        expect(row.locator("td.c-billed")).to_have_text("273.0m³")
        expect(row.locator("td.c-excess")).to_have_text("243.7m³")
        # newest first
        expect(tickets(page).first).to_contain_text("register went back")
        emergency = tickets(page).filter(has_text="w-flow")
        expect(emergency.locator("td.c-prio")).to_have_text("P1")
        expect(emergency).to_contain_text("emergency")
        expect(page.locator("#readings tbody tr")).not_to_have_count(0)
        expect(page.locator("#readings tbody tr").first).to_contain_text("w-flow")
        expect(page.locator("#flags tbody tr")).to_have_count(3)
        tile = page.locator(".tile", has_text="Readings in")
        expect(tile.locator(".figure")).to_have_text(re.compile(r"^1,23\d,\d67$"))
        expect(tile.locator(".remark")).to_have_text(re.compile(r"^\d+(\.\d)?/s$"), timeout=15_000)
        expect(page.locator(".tile", has_text="Late").locator(".figure")).to_have_text("14")
        expect(page.locator(".tile", has_text="Warming up")).to_contain_text("of 26 meters")
        expect(page.locator(".tile", has_text="Open tickets").locator(".figure")).to_have_text(
            re.compile(r"\d")
        )
        expect(page.locator(".processes li", has_text="worker")).to_contain_text("alive")


def test_times_are_those_of_the_browsers_zone_from_the_first_visit(browser: Browser, web: str) -> None:
    with opened(browser, web) as page:
        expect(page.locator(".zone")).to_have_text(f"Times in {ZONE} (UTC+08:00)")
        golden(page).locator("a").click()
        evidence = page.locator(".evidence")
        expect(evidence).to_contain_text("2012-04-10 08:00 UTC+08:00")


def test_the_golden_ticket_in_full(browser: Browser, web: str) -> None:
    with opened(browser, web) as page:
        golden(page).locator("a").click()
        expect(page).to_have_url(re.compile(r"/tickets/FS-[A-Z2-7]+$"))
        detail = page.locator("#ticket")
        expect(detail.locator(".title")).to_have_text("unusually high use")
        amounts = detail.locator(".amounts dd")
        expect(amounts).to_have_text(["29.3 m³", "273.0 m³", "243.7 m³"])
        expect(detail).to_contain_text("mean daily use of the past × days billed")
        expect(detail).to_contain_text("one past period only: no range can be given")
        causes = detail.get_by_role("table", name="Possible causes")
        expect(causes.locator("tbody tr").first).to_contain_text("misread")
        expect(causes.locator("tbody tr").nth(1)).to_contain_text("look for a leak on site")
        expect(detail.locator(".evidence")).to_contain_text("4.475 m³/d")
        expect(detail.get_by_role("table", name="Past periods")).to_contain_text("176 m³")
        expect(detail.locator(".history")).to_contain_text("opened")
        expect(detail.locator("figcaption")).to_have_text("Use a day (m³/d)")
        assert drawn(page)
        # the row is marked, the browser's own way back leads back
        expect(golden(page)).to_have_class(re.compile("chosen"))
        page.go_back()
        expect(page.locator("#readings")).to_be_visible()
        page.go_forward()
        expect(detail).to_be_visible()
        detail.get_by_role("link", name="Back to the lists").click()
        expect(page.locator("#flags")).to_be_visible()
        expect(page).to_have_url(f"{web}/")


def drawn(page: Page) -> bool:
    """Whether the chart has the colour of its line somewhere."""
    page.wait_for_selector(".chart canvas")
    script = """() => {
      const canvas = document.querySelector('.chart canvas');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      for (let i = 0; i < data.length; i += 4)
        if (data[i] === 11 && data[i + 1] === 92 && data[i + 2] === 171 && data[i + 3] === 255) return true;
      return false;
    }"""
    page.wait_for_function(script)
    return True


def test_a_ticket_has_an_address_of_its_own(browser: Browser, web: str, place: Place) -> None:
    ticket = place.store.tickets(None, 10, service_point="wei")[0].id
    with opened(browser, f"{web}/tickets/{ticket}") as page:
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")
    with opened(browser, f"{web}/tickets/FS-NOBODY") as page:
        expect(page.locator("#ticket")).to_contain_text("No ticket has the number FS-NOBODY")


def test_a_flag_leads_to_its_ticket(browser: Browser, web: str) -> None:
    with opened(browser, web) as page:
        page.locator("#flags tbody tr", has_text="w-flow").locator("a").click()
        expect(page.locator("#ticket .title")).to_have_text("flow that never stops")
        expect(page.locator("figcaption")).to_have_text("Use in each interval (m³)")
        assert drawn(page)


# -- what changes -----------------------------------------------------------------------------


def test_new_readings_and_tickets_appear_without_a_reload(browser: Browser, web: str, place: Place) -> None:
    with opened(browser, web) as page:
        expect(golden(page)).to_be_visible()
        page.evaluate("window.same = true")
        before = boxes(page)
        now = time.time_ns()
        place.readings(columns([("w-new", now, 42.125, Kind.REGISTER, "m3")]))
        row = page.locator("#readings tbody tr", has_text="w-new")
        expect(row).to_contain_text("42.125 m³")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        place.flags([flag("w-new", "spike", at)], now)
        expect(tickets(page).first).to_contain_text("w-new")
        expect(page.locator("#flags tbody tr", has_text="w-new")).to_be_visible()
        place.readings(columns([("w-new", now + NS, 43.5, Kind.REGISTER, "m3")]))
        expect(row).to_contain_text("43.5 m³")
        expect(row).to_have_count(1)
        assert page.evaluate("window.same")
        # nothing has moved but the rows
        assert boxes(page) == before


def boxes(page: Page) -> dict[str, Any]:
    """Where the panels, tiles and columns are."""
    found: dict[str, Any] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.panel, .tile, .bar, th')].map(
             (e, i) => [i + e.className, Object.values(e.getBoundingClientRect().toJSON()).map(Math.round)]))"""
    )
    return found


def test_an_open_ticket_follows_its_changes(browser: Browser, web: str, place: Place) -> None:
    now = time.time_ns()
    [ticket] = place.flags([flag("w-20", "spike", "2026-05-01T00:00:00Z", id="grows")], now)
    with opened(browser, f"{web}/tickets/{ticket}") as page:
        expect(page.locator("#ticket .title")).to_have_text("spike in use")
        later = flag(
            "w-20", "high_usage", "2026-05-02T00:00:00Z", id="grows", status="updated", observed=30.0
        )
        place.flags([later], now + NS)
        expect(page.locator("#ticket .title")).to_have_text("unusually high use")
        expect(page.locator(".history")).to_contain_text("spike in use → unusually high use")


def test_the_keyboard_reaches_everything_and_keeps_its_place(
    browser: Browser, web: str, place: Place
) -> None:
    with opened(browser, web) as page:
        expect(golden(page)).to_be_visible()
        reached: list[str] = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim()"))
            if page.evaluate("document.activeElement.closest('tr')?.textContent.includes('wei ·') ?? false"):
                break
        assert "中文" in reached
        assert {"Open", "All"} <= set(reached)
        focused = page.locator(":focus")
        expect(focused).to_have_text("unusually high use")
        # a refresh that adds rows leaves the focus where it is
        place.flags([flag("w-21", "spike", "2026-05-01T00:00:00Z")], time.time_ns())
        expect(tickets(page).first).to_contain_text("w-21")
        expect(focused).to_have_text("unusually high use")
        page.keyboard.press("Enter")
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")


def test_open_and_all(browser: Browser, web: str, place: Place) -> None:
    from streams.lifecycle import Move, move
    from streams.sla import Targets
    from streams.tickets import State

    now = time.time_ns()
    [ticket] = place.flags([flag("w-22", "spike", "2026-05-01T00:00:00Z")], now)
    wish = Move(to=State.FALSE_ALARM, actor="wang", verdict="real_use", note="a party")
    with opened(browser, web) as page:
        row = tickets(page).filter(has_text="w-22")
        expect(row).to_be_visible()
        place.store.change(ticket, lambda book, found: move(book, found, wish, Targets(), now), now)
        expect(row).to_have_count(0)
        page.get_by_role("button", name="All", exact=True).click()
        expect(row).to_contain_text("false alarm")
        row.locator("a").click()
        expect(page.locator(".history")).to_contain_text("new → false alarm · a party")


# -- languages, sizes -------------------------------------------------------------------------


def test_the_language_is_switched_and_kept(browser: Browser, web: str) -> None:
    with opened(browser, web) as page:
        speak(page, "zh")
        expect(golden(page)).to_contain_text("用量异常放大")
        expect(golden(page)).to_contain_text("计量收费类")
        expect(page.locator(".tile").first).to_contain_text("接收读数")
        golden(page).locator("a").click()
        expect(page.locator(".amounts dt")).to_have_text(["应计", "已计", "差额"])
        expect(page.locator("#ticket")).to_contain_text("历史日均用量 × 本期天数")
        page.reload()
        expect(page.locator("#ticket .title")).to_have_text("用量异常放大")
        speak(page, "en")
        expect(page.locator("#ticket .title")).to_have_text("unusually high use")
        expect(page.locator("html")).to_have_attribute("lang", "en-US")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_fits_and_is_pictured(
    browser: Browser, web: str, tmp_path: Path, language: str, size: tuple[int, int]
) -> None:
    shots = Path(os.environ.get("FORESTALL_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)

    def picture(page: Page, name: str) -> None:
        expect(page.locator(".zone")).to_contain_text(ZONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        cut = "[...document.querySelectorAll('.figure, .amounts dd')].filter(e => e.scrollWidth > e.clientWidth)"
        assert page.evaluate(f"{cut}.map(e => e.textContent)") == []
        path = shots / f"{name}-{language}-{size[0]}.png"
        page.screenshot(path=path)
        assert path.stat().st_size > 10_000

    with opened(browser, web, size) as page:
        speak(page, language)
        expect(golden(page)).to_be_visible()
        picture(page, "lists")
        if size == NARROW:
            for name in ("readings", "flags", "tickets"):
                tabs = page.locator(".tabs button")
                tabs.nth(("tickets", "flags", "readings").index(name)).click()
                expect(page.locator(f"#{name}")).to_be_visible()
                assert page.locator(".panel:visible").count() == 1
                picture(page, name)
        golden(page).locator("a").click()
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")
        assert drawn(page)
        picture(page, "ticket")


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
        page.locator("details summary").click()
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
def guarded(place: Place, beating: None) -> Iterator[str]:
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
