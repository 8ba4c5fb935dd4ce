"""Facts for reports, and a report made of them."""

from __future__ import annotations

from typing import Any

from streams.papers.report_document import as_json
from streams.papers.report_facts import (
    ComplaintFacts,
    TicketDetails,
    TicketFacts,
)
from streams.papers.reports import Figures
from streams.papers.spans import month
from tests.tickets.tools import DAY, NOON

JUNE = month("2026-06", "Asia/Shanghai")


def complaint(**fields: Any) -> ComplaintFacts:
    given_: dict[str, Any] = {
        "id": "c", "category": "metering_billing", "subject": "high_bill", "area": "a1", "channel": "hotline",
        "stage": "use", "outcome": "known", "lead_time_s": 3600.0, "miss": False,
    }  # fmt: skip
    return ComplaintFacts(**(given_ | fields))


def ticket(**fields: Any) -> TicketFacts:
    given_: dict[str, Any] = {
        "id": "FS-1", "drill": False, "family": "usage_high", "kind": "spike", "category": "metering_billing",
        "priority": "P3", "state": "new", "area": "a1", "department": "marketing", "opened_ns": NOON,
        "details": TicketDetails(),
    }  # fmt: skip
    return TicketFacts(**(given_ | fields))


def made(
    complaints: list[ComplaintFacts], tickets: list[TicketFacts], now_ns: int = NOON + 30 * DAY, **more: Any
) -> dict[str, list[dict[str, Any]]]:
    figures = Figures(JUNE, "Asia/Shanghai", now_ns)
    for one in complaints:
        figures.add_complaint(one)
    for other in tickets:
        figures.add_ticket(other)
    report = figures.report(
        more.get("words", []),
        more.get("reads", []),
        more.get("outages", []),
        more.get("held", {}),
        more.get("moves", []),
    )
    tables: dict[str, list[dict[str, Any]]] = as_json(report)["tables"]
    return tables


def line(table: list[dict[str, Any]], what: str) -> Any:
    [found] = [row["value"] for row in table if row["what"] == what]
    return found
