"""What the tests in a browser share: the browser, content for the page, and ways to look at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from connectors.store import Store
from streams.messages import NS, Kind
from tests.conftest import Servers
from tests.services.chromium import Chromium
from tests.web_tools import Place, columns, flag, golden_flags, golden_readings

WIDE, NARROW = (1280, 800), (390, 844)
expect.set_options(timeout=20_000)  # a loaded machine is no fault of the page's
ZONE = "Asia/Shanghai"


@contextmanager
def chromium(servers: Servers) -> Iterator[Browser]:
    """The session's browser."""
    started = servers.get(Chromium)
    with sync_playwright() as playwright:
        connected = playwright.chromium.connect_over_cdp(started.url)
        yield connected
        connected.close()


@contextmanager
def furnished(directory: Path) -> Iterator[Place]:
    """The golden ticket, an emergency, a register that went back; readings of 25 meters."""
    made = Place(directory)
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
    try:
        yield made
    finally:
        made.close()


@contextmanager
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
    try:
        yield
    finally:
        stop.set()
        thread.join()


#: NiceGUI's chart says so where it is taken away before its library has come to draw it: nothing of it is seen
UNDRAWN = "reading 'dispose'"


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

    def note(text: str) -> None:
        if UNDRAWN not in text:
            wrong.append(text)

    page.on("console", lambda message: note(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: note(str(error)))
    host = url.split("/")[2]
    page.on("request", lambda sent: wrong.append(sent.url) if host not in sent.url else None)
    try:
        page.goto(url)
        yield page
        if quiet:
            assert not wrong, wrong
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


def boxes(page: Page) -> dict[str, Any]:
    """Where the panels, tiles and columns are."""
    found: dict[str, Any] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.panel, .tile, .bar, th')].map(
             (e, i) => [i + e.className, Object.values(e.getBoundingClientRect().toJSON()).map(Math.round)]))"""
    )
    return found
