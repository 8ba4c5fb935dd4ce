"""The page in a real browser, with a real store and history behind it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from streams.messages import NS, Kind
from streams.trade.lifecycle import Move, move
from streams.trade.sla import Targets
from streams.trade.tickets import State
from tests.browser_tools import (
    NARROW,
    WIDE,
    ZONE,
    beating,
    boxes,
    drawn,
    furnished,
    golden,
    opened,
    speak,
    tickets,
)
from tests.web_tools import MESSAGE, Place, columns, flag, process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("pages")) as made, beating(made):
        yield made


@pytest.fixture(scope="module")
def web(place: Place) -> Iterator[str]:
    with process(store=place.store_url, history=str(place.history_path)) as (base, _):
        yield base


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
        detail.get_by_text("Digests of the raw messages").click()
        messages = detail.get_by_role("table", name="Digests of the raw messages").locator("tbody tr")
        expect(messages).to_have_count(1)  # all three reads came in one
        expect(messages).to_contain_text("the reading that decided")
        expect(messages).to_contain_text("forestall/readings/test")
        expect(messages).to_contain_text(MESSAGE.hex())
        expect(detail.locator(".history")).to_contain_text("opened")
        expect(detail.locator("figcaption")).to_have_text("Use a day (m³/d)")
        assert drawn(page)
        expect(detail.get_by_role("link", name="PDF", exact=True)).to_have_attribute(
            "href", re.compile("format=pdf&language=en$")
        )
        with page.expect_popup() as popup:
            detail.get_by_role("link", name="HTML", exact=True).click()
        expect(popup.value.locator("h1")).to_have_text("Evidence pack")
        expect(popup.value.locator("svg polyline").first).to_be_attached()
        popup.value.close()
        # the row is marked, the browser's own way back leads back
        expect(golden(page)).to_have_class(re.compile("chosen"))
        page.go_back()
        expect(page.locator("#readings")).to_be_visible()
        page.go_forward()
        expect(detail).to_be_visible()
        detail.get_by_role("link", name="Back to the lists").click()
        expect(page.locator("#flags")).to_be_visible()
        expect(page).to_have_url(f"{web}/")


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
    now = time.time_ns()
    [ticket] = place.flags([flag("w-22", "spike", "2026-05-01T00:00:00Z")], now)
    wish = Move(to=State.FALSE_ALARM, actor="wang", note="a party")
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
