"""The page for auditors, in a real browser: what was done is found, and the record checked."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from connectors.store.audit import LogFilter
from connectors.store.engine import connect
from connectors.web.pages.audit import target
from connectors.web.words_office import DEEDS, TARGETS
from streams.trade.lifecycle import Move, move
from streams.trade.roles import Actor, Role
from streams.trade.sla import Targets
from streams.trade.tickets import State
from tests.browser_tools import furnished
from tests.desk_tools import as_role
from tests.office_tools import bearer, complain, office
from tests.web_tools import Place

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with office(place, tmp_path_factory.mktemp("web")) as base:
        yield base


def lines(page: Page) -> list[str]:
    """What was done, by the page, newest first."""
    return page.locator(".trail tbody td.c-deed").all_inner_texts()


def test_an_auditor_finds_who_did_what(browser: Browser, web: str, place: Place) -> None:
    person = complain(web, "wei")["person_id"]
    reason = {"reason": "appointment for the meter test"}
    shown = httpx.post(f"{web}/api/people/{person}/unmask", json=reason, headers=bearer(Role.OPERATOR))
    assert shown.is_success
    with as_role(browser, f"{web}/audit", Role.AUDITOR) as page:
        form = page.locator("#audit form")
        form.locator("[name=action]").select_option("person.unmasked")
        form.locator("[name=action]").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # from the field that follows: the form is sent by keyboard
        row = page.locator(".trail tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text("somebody shown in full")
        expect(row).to_contain_text("operator-1")
        expect(row).to_contain_text("appointment for the meter test")
        expect(row).to_contain_text(person)
        # all of a kind; by a number alone
        form.locator("[name=action]").select_option("complaint.")
        form.locator("[name=actor]").fill("complaints-1")
        form.locator("button[type=submit]").click()
        expect(row.first).to_contain_text("complaint taken")
        assert set(lines(page)) == {"complaint taken"}
        form.locator("[name=action]").select_option("")
        form.locator("[name=actor]").fill("")
        form.locator("[name=object]").fill(person)
        form.locator("button[type=submit]").click()
        expect(row).to_have_count(1)
        # a day, and one on which there was nothing
        form.locator("[name=object]").fill("")
        form.locator("[name=end]").fill("2001-01-01")
        form.locator("button[type=submit]").click()
        expect(page.locator("#audit .empty")).to_contain_text("No line fits")
        today = page.evaluate("new Date().toLocaleDateString('sv')")
        for name in ("start", "end"):
            form.locator(f"[name={name}]").fill(today)
        form.locator("button[type=submit]").click()
        expect(row.nth(3)).to_be_visible()
    # that it was read is on record, and what was looked for
    read = place.store.audit_log(wanted=LogFilter(action="audit.read", actor="auditor-1"))
    assert {"object": f"person/{person}"} in [line.details for line in read]


def test_a_ticket_is_followed_from_its_line(browser: Browser, web: str, place: Place) -> None:
    ticket = place.store.tickets(None, 10, service_point="wei")[0].id
    wish = Move(to=State.INVESTIGATING, actor="operator-1", note="photo asked for")
    now = time.time_ns()
    actor = Actor("operator-1", Role.OPERATOR)
    place.store.change(
        ticket,
        lambda book, found: move(book, found, wish, Targets(), now),
        now,
        audited=(actor, f"moved.{wish.to}", wish.note),
    )
    with as_role(browser, f"{web}/audit", Role.AUDITOR, language="zh") as page:
        page.locator("#audit [name=object]").fill(ticket)
        page.keyboard.press("Enter")
        row = page.locator(".trail tbody tr").first
        expect(row.locator(".c-deed")).to_have_text("转入“调查中”")
        expect(row.locator(".c-reason")).to_have_text("photo asked for")
        row.get_by_role("link", name=ticket).click()
        expect(page.locator("#ticket .title")).to_have_text("用量异常放大")


def test_the_log_is_paged_without_a_gap(browser: Browser, web: str, place: Place) -> None:
    somebody = Actor("paging", Role.OPERATOR)
    for number in range(120):
        place.store.audit(time.time_ns(), somebody, "person.shown", f"person/PN-{number}")
    with as_role(browser, f"{web}/audit", Role.AUDITOR) as page:
        page.locator("#audit [name=actor]").fill("paging")
        page.keyboard.press("Enter")
        targets = page.locator(".trail tbody td.c-target")
        seen = []
        for number, count in ((1, 50), (2, 50), (3, 20)):
            expect(page.locator(".pager")).to_contain_text(f"page {number}")
            expect(targets).to_have_count(count)
            newest = 119 - 50 * (number - 1)
            expect(targets.first).to_contain_text(f"PN-{newest}")  # the rows come after the page's number
            expect(targets.last).to_contain_text(f"PN-{newest - count + 1}")
            seen += [f"PN-{one.rpartition('PN-')[2]}" for one in targets.all_inner_texts()]
            page.locator("[data-page=older]").focus()
            page.keyboard.press("Enter")
        assert seen == [f"PN-{number}" for number in reversed(range(120))]
        # at the end the button does nothing, and keeps the focus
        expect(page.locator("[data-page=older]")).to_be_focused()
        expect(page.locator("[data-page=older]")).to_have_attribute("aria-disabled", "true")
        page.locator("[data-page=newer]").click()
        expect(targets.first).to_contain_text("PN-69")
        page.locator("[data-page=newest]").click()
        expect(targets.first).to_contain_text("PN-119")


def test_the_record_is_checked_and_a_change_is_told(browser: Browser, web: str, place: Place) -> None:
    somebody = Actor("checked", Role.OPERATOR)
    number = place.store.audit(time.time_ns(), somebody, "person.shown", "person/PN-x")
    with as_role(browser, f"{web}/audit", Role.AUDITOR) as page:
        form = page.locator("#chain form")
        form.locator("button[type=submit]").click()
        expect(page.locator("#chain .verdict.known")).to_contain_text("The record is whole")
        digest = page.locator("#chain code.digest").inner_text()
        seq = place.store.audit_log(1, LogFilter(action="audit.verified"))[0].seq - 1
        form.locator("[name=seq]").fill(str(seq))
        form.locator("[name=head]").fill(digest)
        page.keyboard.press("Enter")
        expect(page.locator("#chain code.digest")).not_to_have_text(digest)  # to check is a line, too
        expect(page.locator("#chain .verdict.known")).to_be_visible()
        form.locator("[name=head]").fill("0" * 64)
        page.keyboard.press("Enter")
        expect(page.locator("#chain .faults")).to_contain_text("not the one that was noted down")
    # whoever owns the database takes the triggers away, and writes
    engine = connect(place.store_url)
    change = text("UPDATE audit SET actor = :actor WHERE seq = :seq")
    with engine.connect().execution_options(write=True) as connection:
        with connection.begin():
            guards = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'audit'"))
            triggers = [row for row in guards.all() if row.name.startswith("audit_no_")]
            for row in triggers:
                connection.execute(text(f"DROP TRIGGER {row.name}"))
            connection.execute(change, {"actor": "nobody", "seq": number})
        try:
            with as_role(browser, f"{web}/audit", Role.AUDITOR, language="zh") as page:
                page.locator("#chain button[type=submit]").click()
                expect(page.locator("#chain .verdict.miss")).to_contain_text("记录不完整：发现 1 处异常")
                expect(page.locator("#chain .faults li")).to_have_text(
                    f"审计日志 · 第 {number} 条：内容被改动，或前一条的摘要值被改动，或位置被移动"
                )
        finally:
            with connection.begin():
                connection.execute(change, {"actor": "checked", "seq": number})
                for row in triggers:
                    connection.execute(text(row.sql))
    engine.dispose()


def test_everything_that_is_written_to_the_log_has_words() -> None:
    written: set[str] = set()
    for top in ("connectors/store", "streams"):
        for path in (ROOT / top).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                    continue
                kind, dot, deed = node.value.partition(".")
                if dot and kind in TARGETS and re.fullmatch("[a-z_]+", deed):
                    written.add(node.value)
            if path.name in ("staff.py", "money.py") and path.parent.name == "trade":
                for call in ast.walk(tree):
                    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                        continue
                    if call.func.attr in ("_work", "_change", "_decide"):
                        names = [one for arg in call.args for one in ast.walk(arg)]
                        told = [n.value for n in names if isinstance(n, ast.Constant) and n.value]
                        written |= {f"ticket.{one}".rstrip(".") for one in told if isinstance(one, str)}
    assert {"person.unmasked", "ticket.hold_bill", "ticket.handed_off", "audit.pruned"} <= written
    assert written - set(DEEDS) == set()
    assert {code.partition(".")[0] for code in DEEDS} <= set(TARGETS)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("FS-ABC", "ticket/FS-ABC"),
        ("PN-1", "person/PN-1"),
        ("CP-1", "complaint/CP-1"),
        ("sp-1", "service_point/sp-1"),
        ("block 3/201", "service_point/block 3/201"),
        ("mute/M-1", "mute/M-1"),
        ("fs-abc2", "ticket/FS-ABC2"),
        ("cp-abc2", "complaint/CP-ABC2"),
        ("pn-0A1B", "person/PN-0a1b"),
        ("m-0123456789ABCDEF", "mute/M-0123456789abcdef"),
        ("M-17", "service_point/M-17"),  # a place of that name
        ("ticket/", "ticket/"),
    ],
)
def test_what_a_line_is_about_is_told_from_what_is_written(written: str, meant: str) -> None:
    assert target(written) == meant
