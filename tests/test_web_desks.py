"""The pages beside the tickets, in a real browser: the telephone, the list narrowed, quiet, bills, reports."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from streams.messages import Flag
from streams.trade.points import Point
from streams.trade.roles import Role
from tests.browser_tools import NARROW, furnished, tickets
from tests.desk_tools import TOKENS, as_role, served
from tests.web_tools import Place, flag


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(place, tmp_path_factory.mktemp("web")) as base:
        yield base


def post(web: str, path: str, **body: object) -> dict[str, object]:
    answer = httpx.post(
        f"{web}/api/{path}", json=body, headers={"Authorization": f"Bearer {TOKENS[Role.ADMIN]}"}, timeout=30
    )
    assert answer.is_success, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_leak_at_the_phone_is_answered_at_once(browser: Browser, web: str) -> None:
    with as_role(browser, f"{web}/complaints", Role.COMPLAINTS, language="zh") as page:
        form = page.locator(".take form")
        form.locator("[name=name]").fill("王小明")
        form.locator("[name=service_point]").fill("w-flow")
        form.locator("[name=matter]").fill("厨房有很浓的燃气味")
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_have_text("请填写：联系方式（电话、邮箱或地址）。")
        form.locator("[name=phone]").fill("13800001234")
        form.locator("button[type=submit]").click()
        answer = page.locator("#answer")
        expect(answer.locator(".emergency li")).to_have_count(5)
        expect(answer.locator(".emergency")).to_contain_text("不要开关电灯")
        assert (
            float(
                answer.locator(".emergency li").first.evaluate(
                    "e => parseFloat(getComputedStyle(e).fontSize)"
                )
            )
            >= 18
        )
        expect(answer.locator(".verdict.known")).to_have_text(re.compile(r"^先于用户 \d+ 分钟发现$"))
        expect(answer.locator(".ticket-link")).to_contain_text("持续不断流")
        expect(page.locator("#complaints li").first).to_contain_text("厨房有很浓的燃气味")
        # the form is empty for the next caller
        expect(page.locator(".take form [name=name]")).to_have_value("")


def test_a_caller_is_looked_up_and_shown_in_full_only_with_a_reason(browser: Browser, web: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    post(
        web,
        "complaints",
        time=now,
        name="Li Lei",
        phone="13911112222",
        matter="bill too high",
        service_point="wei",
    )
    with as_role(browser, f"{web}/complaints", Role.OPERATOR) as page:
        page.locator("[name=named]").fill("139 1111 2222")
        page.keyboard.press("Enter")
        answer = page.locator("#answer")
        expect(answer.locator(".person")).to_contain_text("139****2222")
        expect(answer.locator(".say .words")).to_contain_text("We found this before you called")
        expect(answer).not_to_contain_text("13911112222")
        answer.get_by_role("button", name="Show in full").click()
        reason = answer.locator("[name=reason]")
        expect(reason).to_be_focused()
        reason.fill("x")
        page.keyboard.press("Enter")
        expect(answer.locator(".refusal")).to_be_visible()
        reason.fill("appointment for the meter test")
        page.keyboard.press("Enter")
        expect(answer.locator(".person")).to_contain_text("13911112222")
        page.locator("[name=named]").fill("nowhere-1")
        page.keyboard.press("Enter")
        expect(answer.locator(".words")).to_contain_text("not known")


def test_an_unlinked_complaint_is_assigned(browser: Browser, web: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    post(web, "complaints", time=now, name="Han", phone="13700000001", matter="bill far too high")
    with as_role(browser, f"{web}/complaints", Role.COMPLAINTS) as page:
        page.get_by_role("button", name="Unlinked").click()
        row = page.locator("#complaints li", has_text="bill far too high")
        expect(row).to_contain_text("place not found")
        row.get_by_role("button", name="Say where it belongs").click()
        row.locator("[name=service_point]").fill("no-such-meter")
        page.keyboard.press("Enter")
        expect(row.locator(".refusal")).to_contain_text("a meter, service point or alias that is known")
        row.locator("[name=service_point]").fill("w-03")
        page.keyboard.press("Enter")
        expect(page.locator("#answer .taken")).to_contain_text("CP-")
        expect(row).to_have_count(0)


def test_the_list_is_narrowed_and_drills_stand_apart(browser: Browser, web: str) -> None:
    post(web, "tickets", meter_id="w-09", kind="leak", commodity="gas", note="practice", drill=True)
    with as_role(browser, web, Role.OPERATOR) as page:
        expect(tickets(page).filter(has_text="w-09")).to_have_count(0)
        page.locator(".filters [name=text]").fill("wei")
        expect(tickets(page)).to_have_count(1)
        expect(tickets(page).first).to_contain_text("unusually high use")
        page.locator(".filters [name=text]").fill("")
        page.locator(".filters summary").click()
        page.locator(".filters [name=priority]").select_option("P1")
        expect(tickets(page)).to_have_count(1)
        expect(tickets(page).first).to_contain_text("w-flow")
        page.locator(".filters [name=category]").select_option("metering_billing")
        expect(page.locator("#tickets")).to_contain_text("No ticket fits")
        for name in ("priority", "category"):
            page.locator(f".filters [name={name}]").select_option("")
        page.get_by_role("button", name="Drills").click()
        drill = tickets(page).filter(has_text="w-09")
        expect(drill.locator("td.c-prio")).to_contain_text("DRILL")
        drill.locator("a").click()
        expect(page.locator(".drill-banner")).to_contain_text("DRILL")
        # no customer is told of it, and no money moves
        expect(page.locator("#ticket").get_by_role("button", name="Draft a message")).to_have_count(0)
        expect(page.locator("#ticket .money button")).to_have_count(0)


def test_a_planned_outage_is_added_told_and_ended(browser: Browser, web: str, place: Place) -> None:
    with as_role(browser, f"{web}/mutes", Role.OPERATOR) as page:
        page.locator("[data-act='add']").click()
        form = page.locator("#mutes form.form")
        form.locator("[name=place]").fill("the line")
        form.locator("[name=end]").fill(
            page.evaluate("new Date(Date.now() + 864e5).toISOString().slice(0, 16)")
        )
        form.locator("[name=reason]").fill("a valve is replaced")
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_contain_text("a place such as meter/123")
        form.locator("[name=place]").fill("line/L7")
        form.locator("button[type=submit]").click()
        row = page.locator(".mute-row", has_text="line/L7")
        expect(row).to_contain_text("customers were not told")
        row.get_by_role("button", name="Customers were told").click()
        row.locator("form button[type=submit]").click()
        expect(row).to_contain_text("customers were told 20")
        row.get_by_role("button", name="End now").click()
        row.locator("[name=note]").fill("done early")
        row.locator("form button[type=submit]").click()
        expect(row).to_have_count(0)
        assert [one.place for one in place.store.mutes(time.time_ns(), "line/L7")] == []
    with as_role(browser, f"{web}/mutes", Role.AUDITOR) as page:
        expect(page.locator("#mutes h2")).to_be_visible()
        expect(page.locator(".sheet button")).to_have_count(0)


def test_the_report_of_the_month(browser: Browser, web: str, place: Place) -> None:
    ticket = place.store.tickets(None, 10, service_point="wei")[0].id
    post(web, f"tickets/{ticket}/verdict", verdict="confirmed")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    post(
        web,
        "complaints",
        time=now,
        name="Wu",
        phone="13600000001",
        matter="bill too high",
        service_point="wei",
    )
    for language, heading in (("en", "Complaints by category"), ("zh", "投诉类别分布")):
        with as_role(browser, f"{web}/reports", Role.AUDITOR, language=language) as page:
            known = page.locator("[data-figure='known_before'] dd").first
            expect(known).to_have_text(re.compile(r"^\d+\.\d%$"))
            expect(page.locator("[data-figure='precision'] dd").first).to_have_text("100.0%")
            table = page.get_by_role("table", name=heading, exact=True)
            expect(table.locator("tbody tr").first.locator(".meter-bar")).to_be_attached()
            page.locator("[name=month]").fill("2001-01")
            page.locator(".report form button").click()
            expect(page.locator("[data-figure='known_before'] dd").first).to_have_text("–")
            expect(page.get_by_role("link", name="PDF")).to_have_attribute(
                "href", re.compile("month=2001-01")
            )
            expect(page.locator("#bars button")).to_have_count(0)


def test_verdicts_propose_a_bar_that_is_applied_and_taken_back(
    browser: Browser, web: str, place: Place
) -> None:
    now, at = time.time_ns(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def spike(number: int, score: float) -> Flag:
        return flag(f"bar-{number}", "spike", at, score=score, evidence={"detector": "habit"})

    def opened_for(number: int, score: float) -> int:
        place.flags([spike(number, score)], time.time_ns())
        return len(place.store.tickets(None, 10, service_point=f"sp-bar-{number}"))

    tickets_of = place.flags([spike(number, 1.05 if number < 25 else 1.5) for number in range(50)], now)
    for ticket in tickets_of:
        found = place.store.ticket(ticket)
        assert found is not None
        good = int(found.meter_id.removeprefix("bar-")) >= 25
        said = {"verdict": "confirmed"} if good else {"verdict": "false_alarm", "reason": "rule_too_strict"}
        post(web, f"tickets/{ticket}/verdict", **said)
    with as_role(browser, f"{web}/reports", Role.ADMIN) as page:
        bars = page.locator("#bars")
        precision = bars.get_by_role("table", name="Precision by detector")
        expect(precision.get_by_role("row", name="habit")).to_contain_text("50.0%")
        row = bars.locator(".mute-row", has_text="spike in use")
        expect(row).to_contain_text("Bar: 1")
        expect(row).to_contain_text("Proposed: 1.1")
        row.get_by_role("button", name="Apply").click()
        reason = row.locator("[name=reason]")
        expect(reason).to_be_focused()
        reason.fill("half of the weak ones were nothing")
        page.keyboard.press("Enter")
        expect(row).to_contain_text("Bar: 1.1")
        moves = bars.get_by_role("table", name="Moves of the bars")
        expect(moves).to_contain_text("half of the weak ones were nothing")
        assert place.store.bars() == {"spike": 1.1}
        # what is below it opens no ticket, and is counted
        assert opened_for(51, 1.05) == 0
        page.reload()
        expect(row).to_contain_text("Held back: 1")
        row.get_by_role("button", name="Take back").click()
        reason.fill("real cases were missed")
        page.keyboard.press("Enter")
        expect(moves.locator("tbody tr")).to_have_count(2)
        expect(moves.locator("tbody tr").first).to_contain_text("1.1 → 1")
        assert place.store.bars() == {"spike": 1.0}
        assert opened_for(52, 1.05) == 1


def test_all_tickets_are_reached_a_page_at_a_time(browser: Browser, web: str, place: Place) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    # all opened in one instant: the number decides
    place.flags([flag(f"page-{number:03d}", "leak", at) for number in range(230)], time.time_ns())
    real = [ticket.id for ticket in place.store.tickets(None, 1000) if not ticket.drill]

    def seen(page: Page) -> list[str]:
        links = tickets(page).locator("td.c-what a")
        return [str(link).rpartition("/")[2] for link in links.evaluate_all("all => all.map(e => e.href)")]

    with as_role(browser, web, Role.OPERATOR) as page:
        page.get_by_role("button", name="All", exact=True).click()
        expect(tickets(page)).to_have_count(200)
        newest = seen(page)
        page.locator("#tickets [data-page=older]").click()
        expect(page.locator("#tickets .pager")).to_contain_text("page 2")
        expect(tickets(page)).to_have_count(len(real) - 200)
        assert newest + seen(page) == real
        # what is opened meanwhile moves nothing here, and stands at the head of the first page
        place.flags([flag("page-new", "leak", at)], time.time_ns())
        page.wait_for_timeout(1500)
        assert seen(page) == real[200:]
        page.locator("#tickets [data-page=newest]").click()
        expect(tickets(page).first).to_contain_text("page-new")
        # a search is paged too, and begins with its newest
        page.locator("#tickets [data-page=older]").click()
        expect(page.locator("#tickets .pager")).to_contain_text("page 2")
        page.locator(".filters [name=text]").fill("page-")
        expect(tickets(page).first).to_contain_text("page-new")
        expect(tickets(page)).to_have_count(200)
        page.locator("#tickets [data-page=older]").click()
        expect(tickets(page)).to_have_count(31)
        expect(tickets(page).filter(has_text="page-")).to_have_count(31)


def test_misses_are_all_misses_however_old(browser: Browser, web: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    person = {"time": now, "name": "Zhao", "phone": "13500000001"}
    for number in range(55):
        post(web, "complaints", **person, matter=f"bill too high, case {number}", reference=f"miss-{number}")
    for number in range(60):
        post(web, "complaints", **person, matter="staff were rude", reference=f"rude-{number}")
    with as_role(browser, f"{web}/complaints", Role.COMPLAINTS) as page:
        rows = page.locator("#complaints li")
        expect(rows).to_have_count(50)
        expect(rows.first).to_be_visible()
        page.get_by_role("button", name="Misses").click()
        expect(rows.locator(".chip-of.miss")).to_have_count(50)
        first = rows.all_inner_texts()
        page.locator("#complaints [data-page=older]").click()
        expect(page.locator("#complaints .pager")).to_contain_text("page 2")
        expect(rows.first).not_to_have_text(first[0])
        rest = rows.all_inner_texts()
        assert rows.locator(".chip-of.miss").count() == len(rest) >= 5
        told = "\n".join(first + rest)
        assert all(re.search(rf"bill too high, case {number}\b", told) for number in range(55))
        assert "staff were rude" not in told


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_fits_a_narrow_screen(browser: Browser, web: str, place: Place, language: str) -> None:
    billed_today = [
        Point(
            meter_id="wei",
            service_point_id="wei",
            commodity="gas",
            unit="m3",
            bill_day=int(time.strftime("%d")),
        )
    ]
    place.store.keep_points(billed_today)
    with as_role(browser, web, Role.ADMIN, NARROW, language) as page:
        for path in ("", "complaints", "bills", "mutes", "reports"):
            page.goto(f"{web}/{path}")
            expect(page.locator(".sheet, .board")).to_be_visible()
            expect(page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en-US")
            page.wait_for_timeout(300)
            if path == "bills":
                page.locator("[name=date]").fill(time.strftime("%Y-%m-%d"))
                page.keyboard.press("Enter")
                expect(page.locator(".bills tbody tr")).to_have_count(1)
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], path


def test_bills_of_a_day_with_their_advice(browser: Browser, web: str, place: Place) -> None:
    place.store.keep_points(
        [Point(meter_id="wei", service_point_id="wei", commodity="gas", unit="m3", bill_day=17)]
    )
    with as_role(browser, f"{web}/bills", Role.BILLING) as page:
        page.locator("[name=date]").fill("2026-06-17")
        page.get_by_role("button", name="Show").click()
        row = page.locator(".bills tbody tr")
        expect(row).to_have_count(1)
        expect(row.locator("td.c-advice")).to_contain_text("hold")
        expect(row.locator("td.c-excess")).to_have_text("243.7 m³")
        expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", re.compile("date=2026-06-17"))
        page.locator("[name=date]").fill("2026-06-18")
        page.keyboard.press("Enter")
        expect(page.locator(".bills")).to_contain_text("No bill of that day has an open ticket")
    with as_role(browser, f"{web}/bills", Role.OPERATOR) as page:
        expect(page.locator(".sheet")).to_contain_text("Your role (operator) has no use of this page")
