"""What an evidence pack says, by its value: the conclusion, the numbers, what is not known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from msgspec.structs import replace

from connectors.documents import render_html, render_pdf
from streams.messages import NS
from streams.papers.chart import Chart
from streams.papers.conclusion import EXCLUDED, Outcome, conclude
from streams.papers.day_use import DAY
from streams.papers.document import Document, Facts, Figure, Language, Notice, Table, digest
from streams.papers.pack import build
from streams.papers.pack_words import WORDS
from streams.trade.settlement import CreditState, Rerating
from streams.trade.states import State
from streams.trade.tickets import Sla, Swap, Verdict
from streams.trade.wording import ESTIMATE
from tests.documents.pack_tools import (
    LANGUAGES,
    NEGATIVE,
    bare,
    blocks,
    complaint,
    done,
    exhibits,
    golden_ticket,
    neighbours,
    rows,
    settled,
    told,
)
from tests.documents.tools import fonts, html_parts, pdf_pages, squeezed
from tests.tickets.credit_tools import LATER_BILL
from tests.tickets.tools import MemoryStore
from tests.web_tools import MESSAGE, NOW, golden_flags, ns


# -- the golden case ------------------------------------------------------------------------------
def test_the_golden_case_with_everything_negative_answers_the_customer() -> None:
    found = build(exhibits(settled(), complaints=[complaint()]), "zh")
    (notice,) = blocks(found, Notice)
    for words in ("未发现抄错", "未发现泄漏", "表计校验合格"):
        assert words in notice.text
    text = told(found)
    assert "应计 29.3 m³，实际计量 273.0 m³，差额 243.7 m³" in text
    assert "不能解释这一差额" in text
    assert "申请由法定计量检定机构复检" in text
    assert "暂缓催缴" in text
    english = told(build(exhibits(settled()), "en"))
    assert (
        "29.3 m³ were to be expected for the period; 273.0 m³ were metered, a difference of 243.7 m³"
        in english
    )
    assert "the meter passed its test" in english
    assert "do not explain the difference" in english


def test_reads_checks_estimates_and_course_are_in_it() -> None:
    found = build(exhibits(settled(), complaints=[complaint()]), "en")
    lines = rows(found)
    assert ("2012-06-10 08:00", "449 m³", "good", "sent by the meter") in lines
    assert ("2011-04-10", "2012-04-10", "366", "176 m³", "0.4809 m³/d") in lines
    (test,) = [line for line in lines if line[1].startswith("have the meter tested")]
    assert test == (
        "3",
        "have the meter tested and keep the report",
        "meter fault",
        "excluded: result of meter_test",
        "u-12",
        "2026-06-03 20:00",
    )
    (estimate, other) = [
        line for line in lines if line[0].startswith(("mean daily", "use of the same season"))
    ]
    assert estimate[1:6] == ("29.3 m³", "273.0 m³", "243.7 m³", "–", "CNY 646.81")
    assert other[6] == "no reads of the same season last year"
    facts = {pair for block in blocks(found, Facts) for pair in block.pairs}
    assert {
        ("Ticket", settled().id),
        ("Serial number", "G4-778"),
        ("Credit decision", "approved, needs a second person"),
        ("Decided", "u-99 (2026-06-01 21:00)"),
        ("Time zone", "Asia/Shanghai (UTC+08:00)"),
    } <= facts
    assert ("T-2026-88", "2026-06-03 20:00", "hotline", "metering and billing", "48 h") in lines
    assert ("2026-06-02 20:00", "changed state", "waiting for the meter test", "u-12", "to the lab") in lines


def test_nothing_of_a_persons_is_in_it() -> None:
    for language in LANGUAGES:
        assert "SECRET" not in told(build(exhibits(settled(), complaints=[complaint()]), language))


def test_telephone_numbers_and_addresses_that_staff_wrote_down_are_masked() -> None:
    written = "张女士 13812345678、anna@example.com，报告 JD-2026-118，表底 449"
    plain = settled()
    assert plain.credit is not None
    ticket = replace(
        plain,
        steps=tuple(replace(step, result=written) for step in plain.steps),
        history=tuple(replace(line, note=written) for line in plain.history),
        record={"complaint": written},
        verdict=Verdict.FALSE_ALARM,
        verdict_reason=written,
        credit=replace(plain.credit, reason=written, decision=written),
        earlier_credits=(replace(plain.credit, reason=f"earlier {written}", decision=written),),
    )
    for language in LANGUAGES:
        text = told(build(exhibits(ticket), language))
        assert "138****5678" in text
        assert "13812345678" not in text
        assert "anna@" not in text
        assert "JD-2026-118，表底 449" in text


def test_every_credit_is_shown_with_its_period_and_what_they_come_to() -> None:
    ticket = settled()
    assert ticket.credit is not None
    april, june = 1_333_987_200 * NS, 1_339_257_600 * NS  # 2012-04-10 and 2012-06-10, both in Shanghai
    first = replace(
        ticket.credit, state=CreditState.BOOKED, start_ns=april, end_ns=june, booked_by="u-12", booked_ns=NOW,
        reference="CIS-1",
    )  # fmt: skip
    further = replace(ticket.credit, revision=2, amount=Decimal(100), start_ns=june, end_ns=june + 61 * DAY)
    facts = told(build(exhibits(replace(ticket, earlier_credits=(first,), credit=further)), "en"))
    assert "2012-04-10 to 2012-06-10" in facts
    assert "2012-06-10 to 2012-08-10" in facts
    assert "CIS-1" in facts
    assert "CNY 746.81" in facts
    assert "退补合计" in told(build(exhibits(replace(ticket, earlier_credits=(first,))), "zh"))
    assert "退补合计" not in told(build(exhibits(ticket), "zh"))


def test_later_bills_are_shown_with_what_billing_has_done_of_them() -> None:
    second = replace(
        LATER_BILL, start=date(2012, 8, 10), end=date(2012, 10, 10), amount=Decimal(50),
        old=Decimal("158.00"), new=Decimal("131.50"), low=Decimal("131.50"), high=Decimal("158.00"),
    )  # fmt: skip
    told_first = Rerating(
        made_ns=NOW, bills=(LATER_BILL, second), currency="CNY", difference=Decimal("-47.70"),
        due=Decimal("-47.70"), assumptions=("bills_by_reads", "later_use_as_read"),
    )  # fmt: skip
    waiting = replace(settled(), rerating=told_first)
    paper = build(exhibits(waiting), "en")
    assert [row for row in rows(paper) if "CNY 126.40" in row or "CNY 158.00" in row] == [
        ("2012-06-10 to 2012-08-10", "40 m³", "CNY 126.40", "CNY 105.20", "–"),
        ("2012-08-10 to 2012-10-10", "50 m³", "CNY 158.00", "CNY 131.50", "CNY 131.50 – CNY 158.00"),
    ]
    assert "Later bills to be re-rated (their place in the tiers has moved)" in told(paper)
    assert ("Difference in sum", "−CNY 47.70") in of_money(paper)
    assert "Re-rated" not in dict(of_money(paper))
    acted = replace(
        told_first, done=Decimal("-47.70"), due=Decimal(0), done_by="u-12", done_ns=NOW, reference="CIS-9"
    )
    paper = build(exhibits(replace(waiting, rerating=acted)), "zh")
    assert "后续账单已重新计费（阶梯档位变动）" in told(paper)
    assert "待重新计费" not in told(paper)
    assert ("差额合计", "−47.70元") in of_money(paper)
    assert dict(of_money(paper))["登记重新计费"].endswith("CIS-9")
    # a further credit moves them again: what was done of it, and what is left
    again = replace(
        told_first,
        difference=Decimal("-45.05"),
        replaces=Decimal("-47.70"),
        done=Decimal("-47.70"),
        due=Decimal("2.65"),
    )
    assert of_money(build(exhibits(replace(waiting, rerating=again)), "en"))[-4:] == [
        ("Difference in sum", "−CNY 45.05"),
        ("Told before, and replaced", "−CNY 47.70"),
        ("Re-rated of it", "−CNY 47.70"),
        ("Still to be done", "CNY 2.65"),
    ]
    nobody = replace(waiting, rerating=Rerating(made_ns=NOW, why_not="no_reads_here"))
    assert ESTIMATE["no_reads_here"][1] in told(build(exhibits(nobody), "en"))
    assert "re-rated" not in told(build(exhibits(settled()), "en"))


def of_money(document: Document) -> list[tuple[str, str]]:
    """Names and values of the section of estimates."""
    section = next(one for one in document.sections if one.heading in WORDS["estimates"])
    return [pair for block in section.blocks if isinstance(block, Facts) for pair in block.pairs]


def test_the_plot_shows_the_meter_its_area_and_the_flagged_span() -> None:
    (figure,) = blocks(build(exhibits(settled()), "en"), Figure)
    chart: Chart = figure.chart
    own, others, usual = chart.lines
    assert [value for _, value in own.points] == pytest.approx([176 / 366, 273 / 61, 273 / 61])
    # twelve meters with 0.5 × 1.0 … 2.1 a day: the median is between those of the sixth and seventh
    assert [value for _, value in others.points] == pytest.approx([0.775] * 3)
    assert usual.points[0][1] == pytest.approx(176 / 366)
    assert chart.band is None
    assert chart.span is not None
    assert (chart.span.start_ns, chart.span.end_ns) == (ns("2012-04-10"), ns("2012-06-10"))
    assert chart.zone == "Asia/Shanghai"


def test_neighbours_on_the_same_days_stand_beside_it() -> None:
    found = build(exhibits(settled()), "en")
    (row,) = [row for row in rows(found) if row[-1] == "flagged"]
    assert row == ("2012-04-10", "2012-06-10", "4.475", "0.775", "9.3", "12", "5.77", "flagged")
    assert "its change is not that of the area" in told(found)
    assert "n-1" not in told(found)
    alike = neighbours(5)
    for traces in alike.values():
        past = traces[0].time_ns < ns("2012-04-10")
        steep = np.where(
            past,
            traces[0].value,
            traces[0].value[past].max() + (traces[0].value - traces[0].value[past].max()) * 9,
        )
        traces[0].value[:] = steep
    assert "the area's use has changed as well" in told(build(exhibits(settled(), neighbours=alike), "en"))
    alone = build(exhibits(settled(), neighbours={}), "en")
    assert "there is nothing to compare" in told(alone)


# -- conclusions ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("findings", "outcome", "zh", "en"),
    [
        ({"misread": "positive"}, Outcome.MISREAD, "不是实际用量", "no real use"),
        ({"misread": "negative", "leak": "positive"}, Outcome.LEAK, "请勿继续使用", "do not use the supply"),
        ({"meter_fault": "positive"}, Outcome.METER, "由计量器具引起", "cause in the meter"),
        ({"real_use": "positive"}, Outcome.REAL_USE, "用量确已发生", "the use was real"),
        (dict.fromkeys(NEGATIVE, "negative"), Outcome.UNEXPLAINED, "均未发现问题", "none found anything"),
        ({"misread": "negative"}, Outcome.UNDER_WAY, "已完成 1 项，待完成 4 项", "1 done, 4 to do"),
        ({"misread": "positive", "leak": "positive"}, Outcome.LEAK, "泄漏", "leak"),
    ],
)
def test_the_conclusion_follows_from_the_findings(
    findings: dict[str, str], outcome: Outcome, zh: str, en: str
) -> None:
    ticket = done(golden_ticket(), **findings)
    assert conclude(ticket, "zh").outcome is outcome
    assert zh in conclude(ticket, "zh").said
    assert en in conclude(ticket, "en").said


def test_a_verdict_counts_where_no_check_has_found_the_cause() -> None:
    explained = golden_ticket(verdict=Verdict.EXPLAINED, verdict_reason="three guests in May")
    found = conclude(explained, "en")
    assert found.outcome is Outcome.REAL_USE
    assert "Reason: three guests in May." in found.more
    # everything was checked, the customer asked as well, and nothing explains it
    unexplained = done(golden_ticket(verdict=Verdict.EXPLAINED), **dict.fromkeys(NEGATIVE, "negative"))
    assert conclude(unexplained, "zh").outcome is Outcome.UNEXPLAINED
    assert conclude(golden_ticket(state=State.FALSE_ALARM), "zh").outcome is Outcome.FALSE_ALARM
    leaking = done(golden_ticket(verdict=Verdict.FALSE_ALARM), leak="positive")
    assert conclude(leaking, "zh").outcome is Outcome.LEAK


def test_what_no_test_has_shown_is_not_claimed() -> None:
    ticket = done(golden_ticket(), misread="negative", leak="negative")
    two = replace(ticket, steps=tuple(step for step in ticket.steps if step.finding))
    found = conclude(two, "zh")
    assert found.outcome is Outcome.UNEXPLAINED
    assert "校验合格" not in found.said + "".join(found.more)
    assert "确已通过表计" not in "".join(found.more)
    doubtful = done(golden_ticket(), **{**dict.fromkeys(NEGATIVE, "negative"), "meter_fault": "unclear"})
    assert "不能确定的项目" in "".join(conclude(doubtful, "zh").more)


def test_every_exclusion_and_every_word_is_there_in_both_languages() -> None:
    from streams.trade.causes import CAUSES

    assert set(EXCLUDED) <= set(CAUSES)
    for pair in (*WORDS.values(), *EXCLUDED.values()):
        assert all(pair)


# -- whatever is known ------------------------------------------------------------------------------
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_ticket_with_nothing_but_the_least_gives_a_whole_pack(language: Language) -> None:
    found = build(bare(), language)
    assert len(found.sections) == 8
    assert all(section.blocks for section in found.sections)
    text = told(found)
    assert WORDS["no_reads"][language == "en"] in text
    assert WORDS["no_checks"][language == "en"] in text
    assert len(pdf_pages(render_pdf(found, fonts()))) >= 1
    assert html_parts(render_html(found))[0]


def test_without_a_history_it_says_where_the_readings_are() -> None:
    made = exhibits(
        settled(), traces=[], neighbours={}, digests={}, history_here=False, kept_at="InfluxDB at x"
    )
    assert "Readings are kept at InfluxDB at x." in told(build(made, "en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_raw_messages_of_all_flags_are_named_or_that_there_are_none(language: Language) -> None:
    store = MemoryStore()
    (ticket,) = store.take(*golden_flags())
    episodes = list(store.episodes.values())
    caption = WORDS["raw_messages"][LANGUAGES.index(language)]
    (table,) = [
        t for t in blocks(build(exhibits(ticket, episodes=episodes), language), Table) if t.caption == caption
    ]
    ((_, status, role, received, topic, shown),) = table.rows
    assert status == {"zh": "发生", "en": "raised"}[language]
    assert role == {"zh": "判定所依据的读数", "en": "the reading that decided"}[language]
    assert received == "2012-06-10 08:00:07 UTC+08:00"
    assert (topic, shown, table.columns[-1].title) == (
        "forestall/readings/test",
        MESSAGE.hex(),
        "SHA-256-128",
    )
    assert WORDS["raw_messages_more"][LANGUAGES.index(language)].format(n=5) not in told(
        build(exhibits(ticket, episodes=episodes), language)
    )
    many = build(exhibits(ticket, episodes=episodes * 65), language)
    assert WORDS["raw_messages_more"][LANGUAGES.index(language)].format(n=5) in told(many)
    episodes = [replace(one, evidence={}) for one in episodes]
    (table,) = [
        t for t in blocks(build(exhibits(ticket, episodes=episodes), language), Table) if t.caption == caption
    ]
    assert (table.rows, table.empty) == ((), WORDS["no_raw_messages"][LANGUAGES.index(language)])


def test_a_swap_is_told_with_stop_and_start_read() -> None:
    swap = Swap(
        old_serial="A",
        new_serial="B",
        stop_read=449.0,
        start_read=0.0,
        unit="m3",
        at="2026-06-08T02:00:00Z",
        told_ns=NOW,
    )
    found = build(exhibits(golden_ticket(swap=swap)), "zh")
    facts = {pair for block in blocks(found, Facts) for pair in block.pairs}
    assert {("旧表止码", "449 m³"), ("新表起码", "0 m³"), ("换表时间", "2026-06-08 10:00")} <= facts


def test_a_drill_says_so_on_every_page() -> None:
    found = build(exhibits(golden_ticket(drill=True)), "zh")
    assert all("演练" in page for page in pdf_pages(render_pdf(found, fonts())))


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_renderings_of_the_pack_say_what_it_says(language: Language) -> None:
    found = build(exhibits(settled()), language)
    html, _, _ = html_parts(render_html(found))
    pdf = "".join(pdf_pages(render_pdf(found, fonts())))
    for text in ("243.7m³", "449m³", digest(found), "ab" * 32, squeezed(found.sections[0].heading)):
        assert text in html
        assert text in pdf
    (notice,) = blocks(found, Notice)
    assert squeezed(notice.text) in html
    assert squeezed(notice.text) in pdf


@pytest.mark.parametrize(
    ("acknowledged", "said"),
    [
        (None, "2026-06-01 19:00 (missed)"),
        (-90, "2026-06-01 19:00 (kept)"),
        (-30, "2026-06-01 19:00 (missed)"),
    ],
)
def test_due_dates_say_whether_they_were_kept(acknowledged: int | None, said: str) -> None:
    due = NOW - 3600 * NS
    met = None if acknowledged is None else NOW + acknowledged * 60 * NS
    found = build(exhibits(golden_ticket(sla=Sla(ack_due_ns=due, acknowledged_ns=met))), "en")
    facts = {pair for block in blocks(found, Facts) for pair in block.pairs}
    assert ("Acknowledge by", said) in facts
