"""What a report is counted from: facts of tickets, complaints, reads and outages, as the store has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from streams.trade.settlement import Credit, CreditState
from streams.trade.tickets import Callback, Hypothesis, Sla


class TicketDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Of what travels with a ticket: the fields that are counted."""

    sla: Sla = Sla()
    hand_offs: int = 0
    verdict: str = ""
    verdict_reason: str = ""
    responsibility: str = ""
    resolution: str = ""
    callback: Callback = Callback()
    credit: Credit | None = None
    earlier_credits: tuple[Credit, ...] = ()
    record: dict[str, str] = {}
    hypotheses: tuple[Hypothesis, ...] = ()
    complaint_ids: tuple[str, ...] = ()

    @property
    def credits(self) -> tuple[Credit, ...]:
        """All credits of the ticket, oldest first."""
        return self.earlier_credits if self.credit is None else (*self.earlier_credits, self.credit)

    @property
    def amount(self) -> Decimal | None:
        """What its credits come to that were not refused, in the currency of the newest of them; None: no money."""
        some = [
            one for one in self.credits if one.amount is not None and one.state is not CreditState.REFUSED
        ]
        same = [one.amount for one in some if one.currency == some[-1].currency and one.amount is not None]
        return sum(same, Decimal(0)) if same else None


class TicketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket that opened within the span, as it stands.

    found       : the cause that a check has found; empty: none has
    resolved_ns : when its work was done last, or it ended; None: not yet, or it has been reopened since
    reopened    : how often by people, doubted by a customer's complaint, relapsed by a flag that came back
    """

    id: str
    drill: bool
    family: str
    kind: str
    category: str
    priority: str
    state: str
    area: str
    department: str
    opened_ns: int
    details: TicketDetails
    found: str = ""
    resolved_ns: int | None = None
    reopened: int = 0
    doubted: int = 0
    relapsed: int = 0


class ComplaintFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One complaint of the span, and what its ticket says of it."""

    id: str
    category: str
    subject: str
    area: str
    channel: str
    stage: str
    outcome: str
    lead_time_s: float | None
    miss: bool
    ticket_id: str = ""
    responsibility: str = ""
    found: str = ""
    resolution: str = ""
    drill: bool = False


class ReadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the reads of one area, route or concentrator within the span, on its meters' days."""

    scope: str  # area, route, concentrator
    name: str
    meters: int  # that the registry names for it now
    readings: int
    missing: int
    late: int
    corrections: int
    bad: int
    misreads: int  # flags misread that people have confirmed


class OutageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One flag of an outage: its line, and from when to when, ISO 8601 UTC."""

    line: str
    start: str
    end: str
    counted: int  # outages of the line as the detector counts them; 0: it does not say


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One section of a report: codes as column names, a tuple of cells a row."""

    code: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report on a span of time."""

    span: str  # 2026-06, or 2026-06-01/2026-06-14
    start_ns: int
    end_ns: int
    zone: str
    made_ns: int
    tables: tuple[Table, ...]
