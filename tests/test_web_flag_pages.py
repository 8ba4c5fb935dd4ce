"""The way through all flags in a real browser, on a page that has no others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from streams.trade.roles import Role
from tests.browser_tools import furnished
from tests.desk_tools import as_role, served
from tests.web_tools import Place, flag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(place, tmp_path_factory.mktemp("web")) as base:
        yield base


def test_all_flags_are_reached_a_page_at_a_time(browser: Browser, web: str, place: Place) -> None:
    begun = time.time()
    names = [f"old-{number:03d}" for number in range(230)]
    for number, name in enumerate(names):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun - 3600 * (number + 48)))
        place.flags([flag(name, "leak", at)], time.time_ns())
    with as_role(browser, web, Role.OPERATOR) as page:
        shown = page.locator("#flags tbody tr")
        older, newer = (page.locator(f"#flags [data-page={name}]") for name in ("older", "newer"))
        expect(shown).to_have_count(100)
        seen = shown.locator("td.c-what .sub").all_inner_texts()
        older.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#flags .pager")).to_contain_text("page 2")
        expect(shown.filter(has_text="old-100")).to_have_count(1)
        second = shown.locator("td.c-what .sub").all_inner_texts()
        seen += second
        # an episode is told of once, by its newest event, however many there are of it
        told = place.store.tickets(None, 10, service_point=f"sp-{seen[150]}")[0]
        place.flags([flag(seen[150], "leak", at, id=told.flag_ids[0], status="updated")], time.time_ns())
        older.click()
        expect(page.locator("#flags .pager")).to_contain_text("page 3")
        last = shown.filter(has_text="old-229")
        expect(last).to_have_count(1)
        seen += shown.locator("td.c-what .sub").all_inner_texts()
        assert [name for name in seen if name.startswith("old-")] == names
        # its ticket is not among the newest that all pages share, and is linked all the same
        link = last.get_by_role("link")
        [ticket] = place.store.tickets(None, 10, service_point="sp-old-229")
        expect(link).to_have_attribute("href", f"/tickets/{ticket.id}")
        # what is raised meanwhile moves nothing here, and stands at the head of the first page
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun))
        place.flags([flag("raised-now", "leak", at)], time.time_ns())
        newer.click()
        expect(page.locator("#flags .pager")).to_contain_text("page 2")
        expect(shown.filter(has_text="old-100")).to_have_count(1)
        assert shown.locator("td.c-what .sub").all_inner_texts() == second
        page.locator("#flags [data-page=newest]").click()
        expect(shown.filter(has_text="raised-now")).to_have_count(1)
