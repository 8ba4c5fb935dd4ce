"""Figures of reports against plain loops."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.papers.report_facts import (
    ComplaintFacts,
    OutageFacts,
    ReadFacts,
    TicketDetails,
    TicketFacts,
)
from streams.papers.report_tables import outage_table, quantile
from streams.trade.judged import BarMove
from streams.trade.settlement import Credit, CreditState
from streams.trade.tickets import Callback, Sla
from tests.tickets.report_tools import complaint, line, made, ticket
from tests.tickets.tools import DAY, NOON

CODES = st.sampled_from(["metering_billing", "safety", "supply_quality"])
PLACES = st.sampled_from(["", "a1", "a2"])


COMPLAINTS = st.lists(
    st.builds(
        complaint,
        category=CODES,
        area=PLACES,
        outcome=st.sampled_from(["known", "opened", "joined", ""]),
        lead_time_s=st.none() | st.floats(0, 1e7),
        miss=st.booleans(),
        drill=st.booleans(),
        found=st.sampled_from(["", "meter_fault"]),
        resolution=st.sampled_from(["", "repair"]),
    ),
    max_size=60,
)


@given(COMPLAINTS)
def test_complaints_are_counted_as_a_loop_counts_them(complaints: list[ComplaintFacts]) -> None:
    tables = made(complaints, [])
    real = [one for one in complaints if not one.drill]
    metering = [one for one in real if one.category == "metering_billing"]
    head = tables["headline"]
    assert line(head, "complaints") == len(real)
    known = sum(1 for one in metering if one.outcome == "known")
    assert line(head, "known_share") == (known / len(metering) if metering else None)
    assert line(head, "misses") == sum(one.miss for one in metering)
    leads = sorted(one.lead_time_s for one in metering if one.lead_time_s is not None)
    median = line(head, "lead_median_h")
    if leads:
        assert median == pytest.approx(float(pd.Series(leads).quantile(0.5)) / 3600)
        assert line(head, "lead_90_h") == pytest.approx(float(pd.Series(leads).quantile(0.9)) / 3600)
    else:
        assert median is None
    causes = Counter(one.found or one.resolution or "unknown" for one in real)
    rows = tables["complaints_by_cause"]
    assert {row["cause"]: row["count"] for row in rows} == causes
    shares = [row["cumulated_share"] for row in rows]
    assert shares == sorted(shares)
    assert not shares or shares[-1] == 1.0
    assert [row["count"] for row in rows] == sorted(causes.values(), reverse=True)


TICKETS = st.lists(
    st.builds(
        ticket,
        drill=st.booleans(),
        family=st.sampled_from(["usage_high", "operations"]),
        priority=st.sampled_from(["P1", "P2", "P3", "P4"]),
        department=st.sampled_from(["marketing", "operations"]),
        state=st.sampled_from(["new", "closed", "merged"]),
        resolved_ns=st.none() | st.integers(NOON, NOON + 60 * DAY),
        reopened=st.integers(0, 2),
        doubted=st.integers(0, 1),
        relapsed=st.integers(0, 1),
        details=st.builds(
            TicketDetails,
            hand_offs=st.integers(0, 9),
            verdict=st.sampled_from(["", "confirmed", "false_alarm"]),
            verdict_reason=st.sampled_from(["data_error", "x"]),
            sla=st.builds(
                Sla,
                ack_due_ns=st.none() | st.integers(NOON, NOON + 60 * DAY),
                acknowledged_ns=st.none() | st.integers(NOON, NOON + 60 * DAY),
                resolve_due_ns=st.none() | st.integers(NOON, NOON + 60 * DAY),
                paused_since_ns=st.none() | st.just(NOON),
            ),
        ),
    ),
    max_size=40,
)


@given(TICKETS)
def test_tickets_are_counted_as_a_loop_counts_them(tickets: list[TicketFacts]) -> None:
    now = NOON + 30 * DAY
    tables = made([], tickets, now)
    real = [one for one in tickets if not one.drill and one.family != "operations"]
    assert line(tables["headline"], "tickets") == len(real)
    assert {row["priority"]: row["count"] for row in tables["tickets_by_priority"]} == Counter(
        t.priority for t in real
    )
    assert [row["count"] for row in tables["apart"]] == [
        sum(t.drill for t in tickets),
        sum(t.family == "operations" and not t.drill for t in tickets),
    ]
    due = kept = pending = 0
    for one in real:
        sla = one.details.sla
        waits = sla.paused_since_ns is not None and one.resolved_ns is None
        if one.state == "merged" or sla.resolve_due_ns is None or waits:
            continue
        if one.resolved_ns is None and sla.resolve_due_ns > now:
            pending += 1
        else:
            due += 1
            kept += one.resolved_ns is not None and one.resolved_ns <= sla.resolve_due_ns
    rows = [row for row in tables["sla"] if row["deadline"] == "resolve" and not row["department"]]
    found = [(row["due"], row["kept"], row["pending"]) for row in rows]
    assert found == ([(due, kept, pending)] if due or pending else [])
    work = tables["work"]
    assert line(work, "hand_offs_most") == max((t.details.hand_offs for t in real), default=0)
    assert line(work, "reopened_by_staff") == sum(bool(t.reopened) for t in real)
    assert line(work, "reopened_by_complaint") == sum(bool(t.doubted) for t in real)
    assert line(work, "relapsed") == sum(bool(t.relapsed) for t in real)
    assert line(work, "reopened") == sum(bool(t.reopened + t.doubted + t.relapsed) for t in real)
    for name in ("due", "kept", "pending"):
        # each department and each priority add up to the same
        whole = [row[name] for row in tables["sla"] if not row["department"]]
        for table in ([row for row in tables["sla"] if row["department"]], tables["sla_by_priority"]):
            assert sum(row[name] for row in table) == sum(whole)
    reasons = Counter(t.details.verdict_reason for t in real if t.details.verdict == "false_alarm")
    assert {row["reason"]: row["count"] for row in tables["false_alarm_reasons"]} == reasons


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles_are_those_of_pandas(values: list[float], share: float) -> None:
    assert quantile(values, share) == pytest.approx(float(pd.Series(values).quantile(share)), abs=1e-6)


def test_credits_callbacks_reads_and_cases() -> None:
    credit = Credit(
        revision=1, state=CreditState.BOOKED, method="history", quantity=243.7, unit="m3", amount=Decimal("731.10"),
        currency="CNY", reason="", proposed_by="wang", proposed_ns=NOON, second_person=False,
    )  # fmt: skip
    earlier = replace(credit, amount=Decimal("100.00"))
    undone = replace(credit, state=CreditState.REFUSED, amount=Decimal("5000.00"))
    details = TicketDetails(
        verdict="confirmed", resolution="replacement", credit=credit, earlier_credits=(undone, earlier),
        complaint_ids=("c",),
        callback=Callback(done_ns=NOON + DAY, satisfied=True, rating=4), sla=Sla(callback_due_ns=NOON + DAY),
    )  # fmt: skip
    plain = TicketDetails(
        verdict="confirmed", resolution="replacement", callback=Callback(none_because="moved")
    )
    reads = [
        ReadFacts(
            scope="route",
            name="R1",
            meters=2,
            readings=100,
            missing=20,
            late=10,
            corrections=3,
            bad=1,
            misreads=2,
        ),
        ReadFacts(
            scope="concentrator",
            name="C1",
            meters=1,
            readings=0,
            missing=0,
            late=0,
            corrections=0,
            bad=0,
            misreads=0,
        ),
    ]
    tables = made(
        [],
        [
            ticket(id="FS-1", found="meter_fault", details=plain),
            ticket(id="FS-2", found="meter_fault", details=details),
        ],
        reads=reads,
        held={"spike": 3},
        moves=[
            BarMove(
                seq=1,
                kind="spike",
                bar=1.1,
                before=1.0,
                at_ns=NOON,
                by="wang",
                why="",
                figures={"why": "person"},
            )
        ],
    )
    assert tables["credits"] == [
        {
            "credit_state": "booked",
            "currency": "CNY",
            "unit": "",
            "count": 2,
            "amount": "831.10",
            "quantity": 0.0,
        },
        {
            "credit_state": "refused",
            "currency": "CNY",
            "unit": "",
            "count": 1,
            "amount": "5000.00",
            "quantity": 0.0,
        },
    ]
    assert (line(tables["callbacks"], "satisfied_share"), line(tables["callbacks"], "rating_mean")) == (
        1.0,
        4.0,
    )
    assert line(tables["callbacks"], "no_callback") == 1
    [route] = tables["reads_by_route"]
    assert (route["accuracy_share"], route["timeliness_share"]) == (
        pytest.approx(0.95),
        pytest.approx(90 / 120),
    )
    assert tables["reads_by_concentrator"][0]["accuracy_share"] is None
    [case] = tables["typical_cases"]
    assert (case["ticket"], case["alike"], case["cause"], case["amount"]) == (
        "FS-2",
        2,
        "meter_fault",
        "831.10",
    )
    assert tables["held_back"] == [{"kind": "spike", "flags": 3}]
    assert tables["bar_moves"][0]["why"] == "person"
    [callback] = [row for row in tables["sla"] if row["deadline"] == "callback" and not row["department"]]
    assert (callback["due"], callback["kept"]) == (1, 1)


def test_a_line_is_warned_of_after_two_outages_and_studied_after_three() -> None:
    def out(line: str, start: int, end: int, counted: int = 0) -> OutageFacts:
        return OutageFacts(
            line=line,
            start=f"2026-06-{start:02d}T00:00:00Z",
            end=f"2026-06-{end:02d}T00:00:00Z",
            counted=counted,
        )

    found = outage_table(
        [
            out("L1", 1, 3),
            out("L1", 2, 4),
            out("L2", 1, 1),
            out("L2", 5, 6),
            out("L3", 1, 2),
            out("L3", 4, 4),
            out("L3", 9, 9),
            out("L4", 1, 1, 5),
        ]
    )
    assert found.rows == (("L4", 5, "study"), ("L3", 3, "study"), ("L2", 2, "warning"), ("L1", 1, ""))


def test_low_voltage_is_kept_in_four_parts() -> None:
    details = TicketDetails(record={"complaint": "x", "strategy": "y"})
    tables = made([], [ticket(kind="voltage_low", details=details)])
    [row] = tables["low_voltage"]
    parts = [row[f"record_{part}"] for part in ("complaint", "tracking", "strategy", "control")]
    assert parts == [True, False, True, False]
