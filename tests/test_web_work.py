"""Staff at work on the pages, in a real browser, through the process as it is started."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from streams.trade.roles import Role
from tests.browser_tools import furnished
from tests.desk_tools import act, as_role, send, served
from tests.web_tools import Place, columns, flag, golden_flags, golden_readings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("desk")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(place, tmp_path_factory.mktemp("web")) as base:
        yield base


def ticket_of(place: Place, point: str) -> str:
    return place.store.tickets(None, 10, service_point=point)[0].id


def result(page: Page, seq: int, finding: str, text: str) -> None:
    form = act(page, f"check-{seq}")
    form.locator("[name=finding]").select_option(finding)
    form.locator("[name=result]").fill(text)
    send(form)


def test_the_golden_case_from_new_to_closed(browser: Browser, web: str, place: Place) -> None:
    url = f"{web}/tickets/{ticket_of(place, 'wei')}"
    with as_role(browser, url, Role.OPERATOR) as page:
        chips = page.locator(".chips")
        expect(chips).to_contain_text("new")
        # only what may follow is offered
        moves = page.locator("[data-act^='move-']")
        expect(page.locator("[data-act='move-closed']")).to_have_count(0)
        expect(page.locator("[data-act='move-implemented']")).to_have_count(0)
        form = act(page, "hand-off")
        form.locator("[name=department]").select_option("operations")
        form.locator("[name=owner]").fill("li")
        form.get_by_role("checkbox", name="marketing and billing").check()
        send(form)
        expect(chips).to_contain_text("assigned")
        facts = page.locator(".facts").first
        expect(facts).to_contain_text("operations and maintenance")
        expect(facts).to_contain_text("operator-1")
        expect(facts).to_contain_text("marketing and billing")
        send(act(page, "move-investigating"))
        expect(chips).to_contain_text("investigating")
        # 抄错 → 漏气 → 校表: the next one is suggested
        expect(page.locator(".step.next")).to_contain_text("check the read")
        result(page, 1, "negative", "photo agrees")
        expect(page.locator(".step.next")).to_contain_text("look for a leak")
        result(page, 2, "negative", "register stands still with everything shut")
        expect(page.locator(".step.next")).to_contain_text("have the meter tested")
        result(page, 3, "positive", "report 17: 8 % fast")
        expect(page.locator(".step.finding-positive")).to_contain_text("found: meter fault")
        causes = page.get_by_role("table", name="Possible causes")
        expect(causes.locator("tbody tr").first).to_contain_text("meter fault")
        # a refused verb says why, at its place
        form = act(page, "swap")
        for name, value in (
            ("old_serial", "A1"),
            ("stop_read", "449"),
            ("new_serial", "A1"),
            ("start_read", "0"),
        ):
            form.locator(f"[name={name}]").fill(value)
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_contain_text("two serial numbers")
        form.locator("[name=new_serial]").fill("B2")
        send(form)
        expect(page.get_by_role("table", name="Meter swap")).to_contain_text("449 m³")
        form = act(page, "move-implemented")
        form.locator("[name=resolution]").select_option("replacement")
        form.locator("[name=responsibility]").select_option("company")
        send(form)
        expect(page.locator("[data-act^='move-']")).to_have_text(["callback due", "closed", "reopened"])
        send(act(page, "move-callback"))
        form = act(page, "move-closed")
        form.locator("[name=archive_class]").select_option("metering")
        expect(form.locator("[name=verdict]")).to_have_value("confirmed")
        form.locator("[name=callback]").select_option("none")
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_contain_text("a callback result or the reason for none")
        form.locator("[name=callback]").select_option("yes")
        form.locator("[name=rating]").select_option("5")
        form.locator("[name=signed]").fill("app")
        send(form)
        expect(chips).to_contain_text("closed")
        expect(page.locator(".outcome")).to_contain_text("satisfied · 5 of 5 · app")
        expect(moves).to_have_text(["reopened", "archived"])
        closed = place.store.ticket(url.rpartition("/")[2])
        assert closed is not None
        assert (closed.state, closed.cause, closed.verdict) == ("closed", "meter_fault", "confirmed")
        assert (closed.callback.rating, closed.hand_offs) == (5, 1)
        assert {line.actor for line in closed.history} == {"forestall", "operator-1"}


def test_an_auditor_sees_no_buttons(browser: Browser, web: str, place: Place) -> None:
    url = f"{web}/tickets/{ticket_of(place, 'sp-w-flow')}"
    with as_role(browser, url, Role.AUDITOR) as page:
        expect(page.locator("#ticket .title")).to_have_text("flow that never stops")
        expect(page.locator("#ticket")).to_contain_text("your role (auditor) does not work on tickets")
        expect(page.locator("#ticket button")).to_have_count(0)
        expect(page.locator("#ticket .step")).not_to_have_count(0)
        expect(page.locator(".bar nav a")).to_have_text(["Tickets", "Planned quiet", "Reports", "Audit log"])


def test_a_snooze_in_chinese(browser: Browser, web: str, place: Place) -> None:
    url = f"{web}/tickets/{ticket_of(place, 'sp-w-03')}"
    with as_role(browser, url, Role.OPERATOR, language="zh") as page:
        form = act(page, "snooze")
        form.locator("[name=end]").fill("2020-01-01T00:00")
        form.locator("[name=reason]").fill("已约用户周五换表")
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_have_text("结束时间须晚于开始时间和现在，且不超过一年。")
        form.locator("[name=end]").fill("")
        form.locator("[name=end]").fill(
            page.evaluate(
                "(d => { d.setDate(d.getDate() + 3); return d.toISOString().slice(0, 16) })(new Date())"
            )
        )
        send(form)
        expect(page.locator(".quiet-line")).to_contain_text("已约用户周五换表")
        found = place.store.mutes(0, "service_point/sp-w-03")
        assert [(one.kind, one.kinds, one.by) for one in found] == [("snooze", ("rollback",), "operator-1")]


def test_what_somebody_types_stays_while_the_ticket_changes(browser: Browser, web: str, place: Place) -> None:
    ticket = ticket_of(place, "sp-w-flow")
    with as_role(browser, f"{web}/tickets/{ticket}", Role.OPERATOR) as page:
        form = act(page, "note")
        form.locator("[name=text]").fill("the fitter is on the way")
        with as_role(browser, f"{web}/tickets/{ticket}", Role.ADMIN) as other:
            mine = act(other, "escalate")
            mine.locator("[name=note]").fill("no answer yet")
            send(mine)
        expect(page.locator(".chips")).to_contain_text("escalated")
        expect(form.locator("[name=text]")).to_have_value("the fitter is on the way")
        page.wait_for_timeout(2500)  # refreshes
        expect(form.locator("[name=text]")).to_have_value("the fitter is on the way")
        send(form)
        expect(page.locator(".history")).to_contain_text("the fitter is on the way")


def test_everything_by_keyboard(browser: Browser, web: str, place: Place) -> None:
    ticket = ticket_of(place, "sp-w-flow")
    with as_role(browser, f"{web}/tickets/{ticket}", Role.OPERATOR) as page:
        page.locator("[data-act='note']").focus()
        page.keyboard.press("Enter")
        expect(page.locator("form.form textarea")).to_be_focused()
        page.keyboard.type("by hand")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".history li").first).to_contain_text(re.compile("by hand"))


def test_a_credit_is_proposed_by_one_and_approved_by_another(
    browser: Browser, web: str, place: Place
) -> None:
    now = time.time_ns()
    [ticket] = place.flags(golden_flags("wei-2"), now)
    place.readings(columns(golden_readings("wei-2")))
    url = f"{web}/tickets/{ticket}"
    with as_role(browser, url, Role.OPERATOR) as page:
        expect(page.locator(".amounts .excess dd")).to_have_text("243.7 m³")
        expect(page.locator("[data-act='estimates']")).to_have_count(0)
    with as_role(browser, url, Role.BILLING) as page:
        page.locator("[data-act='estimates']").click()
        methods = page.get_by_role("table", name="Methods side by side")
        expect(methods.locator("tbody tr")).to_have_count(3)
        expect(methods.locator("tbody tr").first).to_contain_text("29.3 m³")
        form = page.locator(".money form.form")
        expect(form.locator("[name=method]")).to_have_value("history_mean_days")
        form.locator("[name=reason]").fill("the test found it fast")
        form.locator("[name=in_kind]").select_option("yes")
        send(form)
        card = page.locator(".card.credit-proposed")
        expect(card).to_contain_text("243.7 m³ · in kind")
        expect(card).to_contain_text("a second person has to approve it")
        # nobody approves what they have proposed
        expect(card.get_by_role("button")).to_have_text(["Withdraw"])
    with as_role(browser, url, Role.ADMIN) as page:
        page.locator(".card.credit-proposed").get_by_role("button", name="Approve").click()
        send(page.locator(".money form.form"))
        expect(page.locator(".card.credit-approved")).to_contain_text("decided by admin-1")
        page.get_by_role("button", name="Hold the bill").click()
        form = page.locator(".money form.form")
        form.locator("[name=reason]").fill("the customer disputes it")
        send(form)
        expect(page.locator(".chips")).to_contain_text("The bill is on hold")
        # what the customer is told: drafted, approved, sent
        page.get_by_role("button", name="Draft a message").click()
        form = page.locator(".notices form.form")
        form.locator("[name=situation]").select_option("credit_approved")
        send(form)
        notice = page.locator("article.card")
        expect(notice.locator("[lang=zh-CN]").first).to_contain_text("尊敬的用户")
        expect(notice.locator("[lang=en]").first).to_contain_text("Dear customer")
        notice.get_by_role("button", name="Approve").click()
        notice.get_by_role("button", name="Mark as sent").click()
        send(page.locator(".notices form.form"))
        expect(page.locator("article.notice-sent")).to_contain_text("sent by admin-1")
    found = place.store.ticket(ticket)
    assert found is not None
    assert found.credit is not None
    assert (found.credit.state, found.credit.decided_by, found.bill_hold) == ("approved", "admin-1", True)


def test_a_further_credit_is_for_a_period_that_staff_name(browser: Browser, web: str, place: Place) -> None:
    now = time.time_ns()
    [ticket] = place.flags(golden_flags("wei-7"), now)
    place.readings(columns(golden_readings("wei-7")))
    with as_role(browser, f"{web}/tickets/{ticket}", Role.BILLING) as page:
        page.locator("[data-act='estimates']").click()
        form = page.locator(".money form.form")
        form.locator("[name=reason]").fill("the test report is missing")
        send(form)
        card = page.locator(".card.credit-proposed")
        expect(card).to_contain_text("For the period: 2012-04-10 to 2012-06-10")
        card.get_by_role("button", name="Withdraw").click()
        form = page.locator(".money form.form")
        form.locator("[name=reason]").fill("not yet")
        send(form)
        expect(page.locator(".card.credit-refused")).to_have_count(1)
        page.locator("[data-act='period']").click()
        form = page.locator(".money form.form")
        form.locator("[name=start]").fill("2011-05-01T00:00")
        form.locator("[name=end]").fill("2011-07-01T00:00")
        form.locator("button[type=submit]").click()  # the form to propose takes its place
        form = page.locator(".money form.form")
        form.locator("[name=method]").select_option("own")
        form.locator("[name=quantity]").fill("10")
        form.locator("[name=reason]").fill("agreed")
        send(form)
        # both are there; what was refused counts for nothing
        expect(page.locator(".money .card")).to_have_count(2)
        expect(page.locator(".card.credit-proposed")).to_contain_text("2011-05-01 to 2011-07-01")
        expect(page.locator(".credit-sum")).to_have_text("Credits approved and booked, in sum: –")
        expect(page.locator(".card.credit-refused").get_by_role("button")).to_have_count(0)


def test_the_meters_of_a_group_are_shown(browser: Browser, web: str, place: Place) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    evidence = {"members": [f"c12-{number:03d}" for number in range(200)], "members_silent": 500}
    whole = flag("c12-000", "concentrator_silent", at, evidence=evidence, place={"concentrator": "C12"})
    place.flags([whole], time.time_ns())
    with as_role(browser, f"{web}/tickets/{ticket_of(place, 'concentrator/C12')}", Role.OPERATOR) as page:
        meters = page.locator(".group-meters")
        expect(meters.locator("summary")).to_have_text("Meters of the group (500)")
        expect(meters.locator("li").first).to_be_hidden()
        meters.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(meters.locator("li").first).to_have_text("c12-000")
        expect(meters.locator("li").last).to_have_text("c12-059")
        expect(meters).to_contain_text("and 440 more")
        expect(page.locator(".facts").first).to_contain_text("concentrator/C12")


def test_two_tickets_are_merged(browser: Browser, web: str, place: Place) -> None:
    now, at = time.time_ns(), "2026-05-01T00:00:00Z"
    first, second = place.flags([flag("w-15", "spike", at), flag("w-15", "leak", at)], now)
    with as_role(browser, f"{web}/tickets/{second}", Role.OPERATOR) as page:
        form = act(page, "merge")
        form.locator("[name=into]").fill("FS-NOBODY")
        form.locator("button[type=submit]").click()
        expect(form.locator(".refusal")).to_contain_text("the id of another ticket")
        form.locator("[name=into]").fill(first)
        form.locator("[name=note]").fill("the same pipe")
        send(form)
        expect(page.locator(".chips")).to_contain_text("merged")
        # it has ended, and says where the case is
        expect(page.locator("[data-act^='move-']")).to_have_count(0)
        page.locator(".work").get_by_role("link", name=first).click()
        expect(page.locator(".history")).to_contain_text(second)
    merged, kept = place.store.ticket(second), place.store.ticket(first)
    assert merged is not None
    assert kept is not None
    assert (merged.state, merged.merged_into, merged.open, kept.open) == ("merged", first, False, True)
    assert set(merged.flag_ids) <= set(kept.flag_ids)


def test_the_four_parts_of_a_low_voltage_record(browser: Browser, web: str, place: Place) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    low = flag("w-16", "voltage_low", at, commodity="electricity", observed=189.0, expected=220.0, unit="V")
    [ticket] = place.flags([low], time.time_ns())
    told = {
        "complaint": "晚间空调无法启动",
        "tracking": "台区首端 231 V，末端 189 V",
        "strategy": "负荷改接 B 相",
        "control": "连续 30 天监测末端电压",
    }
    with as_role(browser, f"{web}/tickets/{ticket}", Role.OPERATOR, language="zh") as page:
        for part, words in told.items():
            form = act(page, "record")
            # the one that is missing is offered
            expect(form.locator("[name=part]")).to_have_value(part)
            form.locator("[name=text]").fill(words)
            send(form)
            expect(page.locator(".outcome")).to_contain_text(words)
        parts = page.locator(".outcome > div")
        expect(parts.locator("dt")).to_have_text(
            ["一投诉：投诉内容", "一跟踪：跟踪情况", "一策略：治理策略", "一管控：管控措施"]
        )
        expect(parts.locator("dd")).to_have_text(list(told.values()))
    found = place.store.ticket(ticket)
    assert found is not None
    assert found.record == told
