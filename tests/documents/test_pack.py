"""What an evidence pack says, by its value: the conclusion, the numbers, what is not known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.documents import render_html, render_pdf
from streams.messages import NS, Kind, Quality
from streams.papers.chart import Chart
from streams.papers.conclusion import EXCLUDED, Outcome, conclude
from streams.papers.day_use import DAY, even_edges, rates, stretches, usual_range
from streams.papers.document import Document, Facts, Figure, Language, Notice, Table, digest
from streams.papers.exhibits import Window
from streams.papers.pack import build
from streams.papers.pack_words import WORDS
from streams.trade.settlement import CreditState
from streams.trade.states import State
from streams.trade.tickets import Sla, Swap, Ticket, Verdict
from tests.documents.pack_tools import (
    NEGATIVE,
    bare,
    complaint,
    done,
    exhibits,
    golden_ticket,
    neighbours,
    settled,
    trace,
)
from tests.documents.tools import fonts, html_parts, pdf_pages, squeezed
from tests.tickets.tools import MemoryStore
from tests.web_tools import MESSAGE, NOW, golden_flags, ns

LANGUAGES: tuple[Language, ...] = ("zh", "en")


def told(document: Document) -> str:
    """All text of a document, parts kept apart."""
    return "\n".join(_strings(msgspec.to_builtins(document)))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for one in value for text in _strings(one)] if isinstance(value, list | tuple) else []


def blocks(document: Document, kind: type) -> list[Any]:
    return [block for section in document.sections for block in section.blocks if isinstance(block, kind)]


def rows(document: Document) -> list[tuple[str, ...]]:
    return [row for table in blocks(document, Table) for row in table.rows]


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


HOSTILE = "<script>alert(1)</script>\x01\u202e\"'&" + "長" * 50


def test_hostile_strings_in_every_field_are_only_text() -> None:
    plain = settled()
    fields: dict[str, Any] = {
        name: HOSTILE
        for name in Ticket.__struct_fields__
        if isinstance(getattr(plain, name), str)
        and name not in ("language", "state", "category", "urgency", "origin", "purpose")
    }
    evidence = {
        HOSTILE: HOSTILE,
        "unit": HOSTILE,
        "start": HOSTILE,
        "observed": float("nan"),
        "list": [HOSTILE, {"a": [1]}],
        "periods": [{"start": HOSTILE, "days": True}, 5],
        "parameters": {HOSTILE: HOSTILE},
    }
    ticket = replace(
        plain,
        **fields,
        evidence=evidence,
        history=tuple(
            replace(line, actor=HOSTILE, action=HOSTILE, note=HOSTILE, after=HOSTILE, digest=HOSTILE)
            for line in plain.history
        ),
        steps=tuple(
            replace(step, check=HOSTILE, cause=HOSTILE, result=HOSTILE, by=HOSTILE, finding=HOSTILE)
            for step in plain.steps
        ),
        record={HOSTILE: HOSTILE},
        related=(HOSTILE,),
        meters=(HOSTILE,) * 100,
    )
    made = exhibits(
        ticket, complaints=[complaint(reference=HOSTILE)], digests={HOSTILE: HOSTILE}, kept_at=HOSTILE
    )
    for language in LANGUAGES:
        found = build(made, language)
        page = render_html(found)
        assert "script" not in html_parts(page)[1]
        assert page.count("<script") == 0
        assert pdf_pages(render_pdf(found, fonts()))


def test_many_readings_are_told_by_those_that_tell_most() -> None:
    start = ns("2012-03-01")
    flow = [(start + n * 3600 * NS, 0.08 + (n % 7) / 10) for n in range(2400)]
    flow[1300] = (flow[1300][0], 9.9)
    flow[1301] = (flow[1301][0], 0.001)
    made = exhibits(golden_ticket(), traces=[trace("wei", flow, Kind.INTERVAL)], neighbours={})
    found = build(made, "en")
    (reads,) = [table for table in blocks(found, Table) if table.caption.startswith("Reads")]
    assert "of 2,400" in reads.caption
    assert 12 <= len(reads.rows) <= 18
    amounts = [row[1] for row in reads.rows]
    assert "9.9 m³" in amounts
    assert "0.001 m³" in amounts
    assert [row[0] for row in reads.rows] == sorted(row[0] for row in reads.rows)


def test_pressure_is_drawn_as_it_was_with_its_limit() -> None:
    start = ns("2026-05-25")
    values = [(start + n * 900 * NS, 2.1 + (n % 5) / 100) for n in range(700)]
    evidence = {"start": "2026-05-31T03:00:00Z", "end": "2026-05-31T05:00:00Z", "limit": 1.6, "unit": "kPa"}
    ticket = golden_ticket(evidence=evidence)
    found = build(exhibits(ticket, traces=[trace("wei", values, Kind.GAUGE, "kPa")]), "en")
    (figure,) = blocks(found, Figure)
    drawn, limit = figure.chart.lines
    assert figure.chart.unit == "kPa"
    assert {value for _, value in drawn.points} <= {value for _, value in values}
    assert {value for _, value in limit.points} == {1.6}
    assert figure.chart.band is not None
    assert "nothing to compare" in told(found)


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


times = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(ns("2012-01-01"), ns("2012-12-31"))
amounts = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1000)
stamps = st.sampled_from(
    ["1700-01-01T00:00:00Z", "2012-04-10T00:00:00Z", "2012-06-10T00:00:00Z", "2200-01-01T00:00:00Z", "x"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(times, amounts), max_size=30),
    st.lists(st.tuples(times, amounts), max_size=30),
    st.sampled_from([Kind.REGISTER, Kind.INTERVAL, Kind.GAUGE]),
    stamps,
    stamps,
    st.sampled_from(["", "m3", "[pH]", "odd unit"]),
)
def test_any_readings_at_all_give_a_pack(
    own: list[tuple[int, float]], other: list[tuple[int, float]], kind: Kind, start: str, end: str, of: str
) -> None:
    ticket = golden_ticket(
        evidence={"start": start, "end": end, "limit": float("inf"), "unit": of}, event_at=start
    )
    by_time = [dict(sorted(reads)) for reads in (own, other)]
    mine, theirs = (trace("m", list(reads.items()), kind, of) for reads in by_time)
    found = build(exhibits(ticket, traces=[mine], neighbours={"n": [theirs]} if len(theirs) else {}), "en")
    assert len(digest(found)) == 64
    assert render_html(found)


# -- use between reads ------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=60),
    st.integers(1, 40),
    st.sampled_from([Kind.REGISTER, Kind.INTERVAL]),
)
def test_the_use_of_all_buckets_is_the_use_of_all_stretches(
    amounts: list[float], hours: int, kind: Kind
) -> None:
    start, step = ns("2026-01-01"), hours * 3600 * NS
    values = np.cumsum(amounts) if kind is Kind.REGISTER else np.array(amounts)
    found = stretches(trace("m", [(start + n * step, v) for n, v in enumerate(values.tolist())], kind))
    edges = list(range(int(found.begin[0]), int(found.end[-1]) + DAY, DAY))
    edges[-1] = int(found.end[-1])
    if len(edges) < 2 or edges[-1] <= edges[-2]:
        return
    used = sum(
        rate * (b - a) / DAY
        for rate, a, b in zip(rates(found, edges).tolist(), edges, edges[1:], strict=False)
    )
    assert used == pytest.approx(float(found.amount.sum()), rel=1e-6, abs=1e-6)


def test_a_fall_of_the_register_and_a_hole_give_no_invented_use() -> None:
    start = ns("2026-01-01")
    swapped = trace("m", [(start + n * DAY, v) for n, v in enumerate((100.0, 101.0, 5.0, 6.0))])
    edges = [start + n * DAY for n in range(4)]
    assert rates(stretches(swapped), edges)[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(rates(stretches(swapped), edges)[1])
    holed = trace("m", [(start + n * DAY, 2.0) for n in (1, 2, 3, 9, 10)], Kind.INTERVAL)
    found = rates(stretches(holed), [start + n * DAY for n in range(11)])
    assert found[[0, 1, 2, 8, 9]].tolist() == [2.0] * 5
    assert np.isnan(found[3:8]).all()
    bad = trace("m", [(start, 0.0), (start + DAY, 1e9), (start + 2 * DAY, 4.0)])
    bad.quality[1] = int(Quality.BAD)
    assert rates(stretches(bad), edges[:3]).tolist() == [2.0, 2.0]


def test_buckets_begin_at_the_flagged_day_and_at_local_midnights() -> None:
    window = Window(ns("2012-03-01"), ns("2012-04-20"), (ns("2012-04-10T16:00:00"), ns("2012-04-15")))
    edges = even_edges(window, "Asia/Shanghai", 7)
    assert ns("2012-04-10T16:00:00") in edges  # midnight of the 11th there
    assert window.start_ns <= edges[0] < window.start_ns + 7 * DAY
    assert edges[-1] >= window.end_ns


def test_what_was_usual_needs_more_than_one_figure() -> None:
    assert usual_range(np.array([1.0])) is None
    assert usual_range(np.array([1.0, np.nan, 3.0])) == (1.0, 3.0)
    many = usual_range(np.arange(101.0))
    assert many == pytest.approx((5.0, 95.0))
