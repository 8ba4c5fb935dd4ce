"""Credits whose money follows from tariffs, on the pages: from the proposal to later bills that are rated anew."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from streams.messages import Kind
from streams.trade.points import Point
from streams.trade.roles import Role
from tests.browser_tools import furnished
from tests.desk_tools import TOKENS, as_role, send, served
from tests.tickets.money_tools import EXAMPLE
from tests.web_tools import Place, columns, golden_flags, golden_readings, ns

TARIFFS = f"[tickets]\ntariffs = {json.dumps(str(EXAMPLE))}\ncredit_limit = {{CNY = 500}}\n"
#: two bills after the golden case's, whose use stands in a higher tier than it should
LATER = (("2012-08-10", 489.0), ("2012-10-10", 539.0))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("credits")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(place, tmp_path_factory.mktemp("web"), TARIFFS) as base:
        yield base


def household(place: Place, meter: str) -> str:
    """A household as in the golden case, with a tariff, and bills after that; its ticket."""
    point = Point(
        meter_id=meter,
        service_point_id=meter,
        commodity="gas",
        unit="m3",
        tz="Asia/Shanghai",
        tariff="gas-residential",
        bill_day=31,
    )
    place.store.keep_points([point])
    later = [(meter, ns(f"{day}T00:00:00"), read, Kind.REGISTER, "m3") for day, read in LATER]
    place.readings(columns([*golden_readings(meter), *later]))
    [ticket] = place.flags(golden_flags(meter), time.time_ns())
    return ticket


def test_later_bills_are_rated_anew_and_marked(browser: Browser, web: str, place: Place) -> None:
    ticket = household(place, "wei-9")
    url = f"{web}/tickets/{ticket}"
    with as_role(browser, url, Role.BILLING) as page:
        page.locator("[data-act='estimates']").click()
        form = page.locator(".money form.form")
        form.locator("[name=reason]").fill("the test found it fast")
        send(form)
        expect(page.locator(".card.credit-proposed")).to_contain_text("243.7 m³ · 646.81 CNY")
    with as_role(browser, url, Role.ADMIN) as page:
        page.locator(".card.credit-proposed").get_by_role("button", name="Approve").click()
        send(page.locator(".money form.form"))
        # nothing is told before the credit is booked: it may still be another
        expect(page.locator(".card.credit-approved")).to_be_visible()
        expect(page.locator(".money .rerating")).to_have_count(0)
    with as_role(browser, url, Role.BILLING) as page:
        money = page.locator(".money")
        page.locator(".card.credit-approved").get_by_role("button", name="Mark as booked").click()
        money.locator("form [name=reference]").fill("CIS-1")
        send(money.locator("form.form"))
        told = money.locator(".rerating")
        expect(told).to_have_text(
            "Later bills to be re-rated (their place in the tiers has moved): -47.70 CNY"
        )
        bills = money.get_by_role("table", name="Later bills to be re-rated")
        expect(bills.locator("tbody tr")).to_have_count(2)
        # 40 m³ behind 321.1 m³ are of the second tier; behind 77.4 of the first
        expect(bills.locator("tbody tr").first.locator("td")).to_have_text(
            ["2012-06-10 to 2012-08-10", "40 m³", "126.40 CNY", "105.20 CNY", "–"]
        )
        # an operator sees it and is offered nothing; nor is it taken from one
        with as_role(browser, url, Role.OPERATOR) as other:
            expect(other.locator(".money .rerating")).to_contain_text("-47.70 CNY")
            expect(other.get_by_role("button", name="Mark as re-rated")).to_have_count(0)
        refused = httpx.post(
            f"{web}/api/tickets/{ticket}/rerated",
            json={"difference": "-47.70", "reference": "CIS-9"},
            headers={"Authorization": f"Bearer {TOKENS[Role.OPERATOR]}"},
            timeout=30,
        )
        assert refused.status_code == 403
        money.get_by_role("button", name="Mark as re-rated").click()
        form = money.locator("form.form")
        form.locator("button[type=submit]").click()
        expect(form).to_be_visible()  # not without its reference
        form.locator("[name=reference]").fill("CIS-9")
        send(form)
        expect(told).to_have_text("Later bills re-rated (their place in the tiers had moved): -47.70 CNY")
        expect(money).to_contain_text("re-rated by billing-1")
        expect(money).to_contain_text("as CIS-9")
        expect(page.get_by_role("button", name="Mark as re-rated")).to_have_count(0)
        expect(page.locator(".history li").first).to_contain_text("later bills have been re-rated")
    found = place.store.ticket(ticket)
    assert found is not None
    assert found.rerating is not None
    assert (found.rerating.waits, found.rerating.reference, found.rerating.done_by) == (
        False, "CIS-9", "billing-1",
    )  # fmt: skip
