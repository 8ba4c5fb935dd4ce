"""Cases for evidence packs: the golden one with its neighbours, settled or not, and the least there can be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from streams.messages import NS, Kind
from streams.papers.document import Document, Language, Table
from streams.papers.exhibits import Case, Exhibits, Trace
from streams.trade.causes import steps
from streams.trade.complaints import Channel, Complaint
from streams.trade.points import Point
from streams.trade.settlement import Alternative, Credit, CreditState, Estimate, Money
from streams.trade.tickets import Category, HistoryEntry, State, Step, Ticket, Urgency
from tests.documents.tools import DAY
from tests.tickets.tools import MemoryStore, golden
from tests.web_tools import NOW, ns

LANGUAGES: tuple[Language, ...] = ("zh", "en")
READS = (("2011-04-10T00:00:00", 0.0), ("2012-04-10T00:00:00", 176.0), ("2012-06-10T00:00:00", 449.0))
NEGATIVE = ("misread", "leak", "meter_fault", "true_up", "real_use")


def trace(meter: str, reads: Any, kind: Kind = Kind.REGISTER, unit: str = "m3") -> Trace:
    """Good readings without marks: (instant [ns], value), oldest first."""
    time = np.array([t for t, _ in reads], np.int64)
    value = np.array([v for _, v in reads], np.float64)
    zeros = np.zeros(len(time))
    return Trace(meter, "", unit, kind, time, value, zeros.astype(np.uint8), zeros.astype(np.uint16))


def golden_trace() -> Trace:
    """The household's three reads."""
    return trace("wei", [(ns(day), value) for day, value in READS])


def neighbours(count: int, a_day: float = 0.5) -> dict[str, list[Trace]]:
    """Meters that are read every 30 days and use the same all along, each a little more than the one before."""
    start = ns("2011-04-01T00:00:00")
    return {
        f"n-{i}": [
            trace(f"n-{i}", [(start + k * 30 * DAY, k * 30 * a_day * (1 + i / 10)) for k in range(17)])
        ]
        for i in range(count)
    }


def golden_ticket(**fields: Any) -> Ticket:
    """The golden ticket as the rules open it, with its checks to be done."""
    (ticket,) = MemoryStore().take(golden())
    return replace(ticket, **{"steps": steps(ticket.hypotheses), **fields})


def done(ticket: Ticket, **findings: str) -> Ticket:
    """The ticket with findings by cause; the others stay as they are."""
    made = [
        replace(
            step,
            finding=findings[step.cause],
            result=f"result of {step.check}",
            by="u-12",
            done_ns=NOW + n * DAY,
        )
        if step.cause in findings
        else step
        for n, step in enumerate(ticket.steps)
    ]
    return replace(ticket, steps=tuple(made))


def settled() -> Ticket:
    """All checks negative, a credit approved, the bill held."""
    ticket = done(golden_ticket(), **dict.fromkeys(NEGATIVE, "negative"))
    estimate = ticket.estimate
    assert isinstance(estimate, Estimate)
    priced = replace(estimate, money=Money(amount=Decimal("646.81"), currency="CNY", tariff="gas"))
    return replace(
        ticket,
        state=State.PROPOSED,
        bill_hold=True,
        first_owner="u-12",
        estimate=priced,
        estimates=(
            Alternative(method=estimate.method, estimate=priced),
            Alternative(method="last_year_area_change", why_not="no_last_year"),
        ),
        credit=Credit(
            revision=1,
            state=CreditState.APPROVED,
            method=estimate.method,
            quantity=243.7,
            unit="m3",
            amount=Decimal("646.81"),
            currency="CNY",
            reason="one past period",
            proposed_by="u-12",
            proposed_ns=NOW,
            second_person=True,
            decided_by="u-99",
            decided_ns=NOW + 3600 * NS,
        ),
        history=(
            HistoryEntry(seq=1, at_ns=NOW, actor="forestall", action="opened", after="new"),
            HistoryEntry(
                seq=2, at_ns=NOW + DAY, actor="u-12", action="moved", note="to the lab", after="waiting_lab"
            ),
        ),
    )


def complaint(**fields: Any) -> Complaint:
    """A call two days after the ticket."""
    given: dict[str, Any] = {
        "id": "c-1",
        "source": "crm",
        "reference": "T-2026-88",
        "at_ns": NOW + 2 * DAY,
        "received_ns": NOW + 2 * DAY,
        "channel": Channel.HOTLINE,
        "category": Category.METERING_BILLING,
        "lead_time_s": 48 * 3600.0,
        "content": "SECRET-CONTENT",
        "person_id": "SECRET-PERSON",
    }
    return Complaint(**{**given, **fields})


def exhibits(ticket: Ticket, **fields: Any) -> Exhibits:
    """The golden case, gathered."""
    around = fields.pop("neighbours", neighbours(12))
    case = Case(
        ticket,
        complaints=fields.pop("complaints", ()),
        episodes=fields.pop("episodes", ()),
        point=fields.pop(
            "point", Point(meter_id="wei", service_point_id="wei", serial="G4-778", tz="Asia/Shanghai")
        ),
        neighbours=tuple(around),
        of_area=len(around) + 3 if around else 0,
    )
    given: dict[str, Any] = {
        "traces": [golden_trace()],
        "neighbours": around,
        "digests": {"": "ab" * 32},
        "made_ns": NOW,
        "zone": "UTC",
        "version": "0.1.0",
    }
    return Exhibits(case, **{**given, **fields})


def bare() -> Exhibits:
    """A ticket with nothing but what it must have."""
    ticket = Ticket(
        id="FS-BARE",
        dedup_key="p|x|1",
        service_point_id="p",
        meter_id="m",
        family="usage_high",
        kind="high_usage",
        category=Category.METERING_BILLING,
        urgency=Urgency.NORMAL,
        priority="P3",
        opened_ns=NOW,
        updated_ns=NOW,
    )
    return Exhibits(Case(ticket), made_ns=NOW)


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


__all__ = [
    "LANGUAGES",
    "NEGATIVE",
    "Step",
    "bare",
    "blocks",
    "complaint",
    "done",
    "exhibits",
    "golden_ticket",
    "golden_trace",
    "rows",
    "settled",
    "told",
]
