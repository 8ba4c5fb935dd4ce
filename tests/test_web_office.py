"""The pages for auditors and for people's data, in a real browser: read, checked, given out, erased."""

from __future__ import annotations

import ast
import json
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
from connectors.web.pages import PAGES
from connectors.web.pages.audit import target
from connectors.web.pages.frame import PLACES
from connectors.web.words_office import DEEDS, TARGETS
from streams.trade.lifecycle import Move, move
from streams.trade.roles import RIGHTS, Actor, Role
from streams.trade.sla import Targets
from streams.trade.tickets import State
from tests.browser_tools import NARROW, chromium, furnished
from tests.conftest import Servers
from tests.desk_tools import TOKENS, as_role, served
from tests.web_tools import Place

ROOT = Path(__file__).parents[1]
PHONE = "13911112222"


@pytest.fixture(scope="module")
def browser(servers: Servers) -> Iterator[Browser]:
    with chromium(servers) as connected:
        yield connected


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with furnished(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="module")
def web(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(place, tmp_path_factory.mktemp("web")) as base:
        for point in ("wei", "w-flow"):
            complain(base, point)
        yield base


def complain(web: str, point: str, phone: str = PHONE) -> dict[str, str]:
    """Li Lei complains about a place; the complaint."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {"time": now, "name": "Li Lei", "phone": phone, "matter": "bill too high", "service_point": point}
    body["reference"] = f"{time.time_ns()}"  # each one is another
    answer = httpx.post(f"{web}/api/complaints", json=body, headers=bearer(Role.COMPLAINTS), timeout=30)
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.json()["complaint"]
    return found


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


def lines(page: Page) -> list[str]:
    """What was done, by the page, newest first."""
    return page.locator(".trail tbody td.c-deed").all_inner_texts()


# -- who may see what -------------------------------------------------------------------------


def test_each_role_at_each_page(browser: Browser, web: str) -> None:
    rights = {path: right for path, _, right in PLACES}
    assert set(rights) == {"/", *PAGES}
    for role in Role:
        with as_role(browser, web, role) as page:
            named = page.locator(".bar nav a")
            offered = [one.get_attribute("href") for one in named.all()]
            assert offered == [path for path, right in rights.items() if role in RIGHTS[right]]
            for path, right in rights.items():
                page.goto(f"{web}{path}")
                expect(page.locator(".sheet, .board")).to_be_visible()
                refused = page.get_by_text(re.compile("has no use of this page"))
                expect(refused).to_have_count(0 if role in RIGHTS[right] else 1)


# -- the audit log ----------------------------------------------------------------------------


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
            seen += [one.split()[-1] for one in targets.all_inner_texts()]
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


# -- people's data ----------------------------------------------------------------------------


def find(page: Page, named: str) -> None:
    page.locator("#find [name=named]").fill(named)
    page.keyboard.press("Enter")


def test_a_person_is_found_given_their_data_and_erased(browser: Browser, web: str, place: Place) -> None:
    complaint = complain(web, "w-flow")
    point = complaint["service_point_id"]
    with as_role(browser, f"{web}/people", Role.ADMIN) as page:
        find(page, "139 1111 2222")
        people = page.locator("#find .person")
        expect(people).to_have_count(2)
        expect(people.first).to_contain_text("139****2222")
        page.get_by_role("button", name=point, exact=True).click()
        held = page.locator("#held")
        expect(held.locator("h2")).to_have_text(f"What is held of {point}")
        expect(held).not_to_contain_text(PHONE)
        expect(held.get_by_role("row", name="Complaints")).to_contain_text("2")
        expect(held.get_by_role("link", name=complaint["ticket_id"])).to_be_visible()
        # in the clear with a reason only
        held.get_by_role("button", name="Show in full").click()
        held.locator("[name=reason]").fill("identity checked at the counter")
        page.keyboard.press("Enter")
        expect(held.locator(".person")).to_contain_text(PHONE)
        # a copy into the browser's downloads
        held.locator("[data-act=export]").click()
        reason = held.locator("[name=reason]")
        expect(reason).to_be_focused()
        reason.fill(f"he said call {PHONE}")
        page.keyboard.press("Enter")
        expect(held.locator(".refusal")).to_contain_text("without personal data")
        reason.fill("access asked for in writing")
        with page.expect_download() as downloading:
            page.keyboard.press("Enter")
        copy = json.loads(Path(downloading.value.path()).read_text(encoding="utf-8"))
        assert downloading.value.suggested_filename.startswith(f"forestall-{point}-")
        assert [one["phone"] for one in copy["people"]] == [PHONE]
        assert complaint["id"] in [one["id"] for one in copy["complaints"]]
        assert copy["readings"][0]["meter_id"] == "w-flow"
        expect(held.locator(".taken")).to_contain_text("Exported")
        # not while a ticket is open, unless that is said; and not without the name of the place again
        held.locator("[data-act=erase]").click()
        reason.fill("no")
        page.keyboard.press("Enter")
        expect(held.locator(".refusal")).to_contain_text("too little")
        reason.fill("erasure asked for in writing")
        page.keyboard.press("Enter")
        expect(held.locator(".refusal")).to_contain_text("Tickets are open there")
        held.get_by_role("checkbox").check()
        held.get_by_role("button", name="Next: confirm").click()
        expect(held.locator(".grave-words")).to_contain_text("It cannot be taken back")
        again = held.locator("[name=again]")
        expect(again).to_be_focused()
        again.fill("wei")
        page.keyboard.press("Enter")
        expect(held.locator(".refusal")).to_contain_text(f"That is not {point}")
        assert place.store.audit_log(wanted=LogFilter(action="people.erased")) == []
        again.fill(point)
        page.keyboard.press("Enter")
        done = page.locator("#done")
        expect(done).to_contain_text(f"Erased at {point}")
        expect(done).to_be_focused()
        expect(done.get_by_role("row", name="People")).to_contain_text("1")
        expect(held.locator(".person")).to_contain_text("erased 20")
        expect(page.locator("body")).not_to_contain_text(PHONE)
        # the other place of the same person stands as it was
        find(page, PHONE)
        expect(page.locator("#held h2")).to_have_text("What is held of wei")
        expect(page.locator("#held .person")).to_contain_text("139****2222")
    newest_last = reversed(place.store.audit_log(100, LogFilter(actor="admin-1")))
    log = {line.action: line for line in newest_last}
    assert log["people.erased"].reason == "erasure asked for in writing"
    assert log["people.exported"].reason == "access asked for in writing"
    assert log["people.listed"].object == "service_point/wei"
    assert log["person.unmasked"].reason == "identity checked at the counter"
    assert place.store.verify_audit().faults == ()


def test_a_place_is_found_by_any_of_its_names(browser: Browser, web: str) -> None:
    complaint = complain(web, "wei")
    with as_role(browser, f"{web}/people", Role.ADMIN, language="zh") as page:
        title = page.locator("#held h2")
        numbers = [complaint[name] for name in ("id", "person_id", "ticket_id")]
        for named in ("wei", *numbers, *map(str.lower, numbers)):
            find(page, named)
            expect(title).to_be_visible()
            expect(title).to_have_text("用户点 wei 的留存信息")
            find(page, "nowhere-1")
            expect(page.locator("#find .refusal")).to_have_text("没有查到：nowhere-1")
            expect(title).to_be_hidden()
        find(page, "PN-nobody")
        expect(page.locator("#find .refusal")).to_have_text("没有查到：PN-nobody")
        find(page, "13000000000")
        expect(page.locator("#find .refusal")).to_have_text("没有查到该电话的用户。")


def test_who_has_no_place_yet_is_found_given_their_data_and_erased(browser: Browser, web: str) -> None:
    phone = "13922223333"
    placed, lost = complain(web, "wei", phone), complain(web, "nobody knows where", phone)
    person = lost["person_id"]
    with as_role(browser, f"{web}/people", Role.ADMIN) as page:
        find(page, phone)
        expect(page.locator("#find .person")).to_have_count(2)
        expect(page.locator("#find .warn")).to_contain_text("has no service point yet")
        held, title = page.locator("#held"), page.locator("#held h2")
        expect(title).to_have_text(re.compile(f"What is held of (wei|{person})"))
        page.get_by_role("button", name=person, exact=True).click()
        expect(title).to_have_text(f"What is held of {person}")
        for named in (lost["id"], person, lost["ticket_id"].lower()):
            find(page, "wei")
            expect(title).to_have_text("What is held of wei")
            find(page, named)
            expect(title).to_have_text(f"What is held of {person}")
        expect(held.locator(".warn").first).to_contain_text("has no service point yet")
        expect(held.get_by_role("link", name=lost["ticket_id"])).to_be_visible()
        held.locator("[data-act=export]").click()
        held.locator("[name=reason]").fill("access asked for in writing")
        with page.expect_download() as downloading:
            page.keyboard.press("Enter")
        copy = json.loads(Path(downloading.value.path()).read_text(encoding="utf-8"))
        assert [one["id"] for one in copy["complaints"]] == [lost["id"]]
        held.locator("[data-act=erase]").click()
        held.locator("[name=reason]").fill("erasure asked for in writing")
        held.get_by_role("checkbox").check()
        held.get_by_role("button", name="Next: confirm").click()
        held.locator("[name=again]").fill(person)
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_contain_text(f"Erased at {person}")
        find(page, phone)
        expect(title).to_have_text(f"What is held of {placed['service_point_id']}")


def test_what_is_typed_and_names_no_place_is_not_on_record(browser: Browser, web: str, place: Place) -> None:
    typed = {
        "13700001111": "Nobody with this number",
        "+86 137 0000 1111": "Nobody with this number",
        "王小明": "Nothing is known of 王小明",
        "han.meimei@example.org": "Nothing is known of han.meimei@example.org",
        "PN-Han": "Nothing is known of PN-Han",
    }
    with as_role(browser, f"{web}/people", Role.ADMIN) as page:
        for one, told in typed.items():
            find(page, one)
            expect(page.locator("#find .refusal")).to_contain_text(told)
            expect(page.locator("#held")).to_be_hidden()
        find(page, "w-flow")
        expect(page.locator("#held h2")).to_be_visible()
    log = place.store.audit_log(200)
    assert log[0].object == "service_point/sp-w-flow"
    said = "".join(f"{line.object} {line.reason} {line.details}" for line in log)
    assert [one for one in (*typed, "13700001111", "Han") if one in said] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_both_pages_fit_a_narrow_screen(browser: Browser, web: str, language: str) -> None:
    with as_role(browser, f"{web}/audit", Role.ADMIN, NARROW, language) as page:
        page.locator(".trail summary").first.click()
        page.locator("#chain button[type=submit]").click()
        expect(page.locator("#chain .verdict")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
        page.goto(f"{web}/people")
        find(page, "wei")
        page.locator("#held [data-act=erase]").click()
        expect(page.locator("#held form")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
        nameless = """[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
          .filter(e => !e.labels?.length && !e.ariaLabel).map(e => e.name)"""
        assert page.evaluate(nameless) == []
