"""Whatever stands in a ticket and in its readings gives a pack, and is only text in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.documents import render_html, render_pdf
from streams.messages import NS, Kind
from streams.papers.document import Figure, Table, digest
from streams.papers.pack import build
from streams.trade.tickets import Ticket
from tests.documents.pack_tools import (
    LANGUAGES,
    blocks,
    complaint,
    exhibits,
    golden_ticket,
    settled,
    told,
    trace,
)
from tests.documents.tools import fonts, html_parts, pdf_pages
from tests.web_tools import ns

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
