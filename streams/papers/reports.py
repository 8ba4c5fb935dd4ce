"""The figures of a report (docs/reports.md): counts over facts that come one by one.

Nothing here reads a clock or a store; what is held is the counts, and a number a linked complaint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from streams.papers.report_facts import ComplaintFacts, OutageFacts, ReadFacts, Report, Table, TicketFacts
from streams.papers.report_tables import (
    LISTED,
    UNKNOWN,
    by_scope,
    outage_table,
    pareto,
    precision_table,
    quantile,
    reads_table,
)
from streams.papers.spans import Span
from streams.trade.judged import BarMove
from streams.trade.tickets import State, Verdict, iso
from streams.trade.verdicts import Row

METERING = "metering_billing"
PRIORITIES = ("P1", "P2", "P3", "P4")
RECORD = ("complaint", "tracking", "strategy", "control")
_OWN = "operations"  # the family of tickets about Forestall itself
_CASES = 10
#: tickets that were reopened: at all, by people, by a complaint after the work, by a flag that came back
_AGAIN = ("reopened", "reopened_by_staff", "reopened_by_complaint", "relapsed")


class Figures:
    """Counts of one report. Add all facts, then ask for ``report``."""

    def __init__(self, span: Span, zone: str, made_ns: int) -> None:
        self._span = span
        self._zone = zone
        self._now = made_ns
        self._complaints: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("category", "subject", "area", "channel", "stage", "responsibility", "cause")
        }
        self._outcomes: Counter[str] = Counter()
        self._leads: list[float] = []
        self._misses = 0
        self._tickets: dict[str, Counter[str]] = {
            name: Counter() for name in ("kind", "priority", "state", "category", "area")
        }
        self._sla: dict[tuple[str, str], list[int]] = {}  # deadline, department
        self._sla_of: dict[tuple[str, str], list[int]] = {}  # deadline, priority
        self._hand_offs: list[int] = [0, 0, 0]  # tickets, sum, most
        self._again: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._credits: dict[tuple[str, str, str], list[Any]] = {}
        self._callbacks: Counter[str] = Counter()
        self._ratings: Counter[int] = Counter()
        self._voltage: list[tuple[Any, ...]] = []
        self._apart: Counter[str] = Counter()
        self._cases: dict[tuple[str, str], list[Any]] = {}

    def add_complaint(self, one: ComplaintFacts) -> None:
        """Count a complaint; one about a drill is no complaint."""
        if one.drill:
            return
        cause = one.found or one.resolution or UNKNOWN
        for name, value in (
            ("category", one.category),
            ("subject", one.subject),
            ("area", one.area),
            ("channel", one.channel),
            ("stage", one.stage),
            ("responsibility", one.responsibility),
            ("cause", cause),
        ):
            self._complaints[name][value or UNKNOWN] += 1
        if one.category == METERING:
            self._outcomes[one.outcome or UNKNOWN] += 1
            self._misses += one.miss
            if one.lead_time_s is not None:
                self._leads.append(one.lead_time_s)

    def add_ticket(self, one: TicketFacts) -> None:
        """Count a ticket; drills and those about Forestall itself are counted apart."""
        if one.drill or one.family == _OWN:
            self._apart["drill" if one.drill else "own"] += 1
            return
        for name in ("kind", "priority", "state", "category", "area"):
            self._tickets[name][str(getattr(one, name)) or UNKNOWN] += 1
        details = one.details
        if one.state != State.MERGED:
            self._count_sla(one)
        self._hand_offs[0] += 1
        self._hand_offs[1] += details.hand_offs
        self._hand_offs[2] = max(self._hand_offs[2], details.hand_offs)
        self._again["reopened"] += bool(one.reopened or one.doubted or one.relapsed)
        self._again["reopened_by_staff"] += bool(one.reopened)
        self._again["reopened_by_complaint"] += bool(one.doubted)
        self._again["relapsed"] += bool(one.relapsed)
        if details.verdict == Verdict.FALSE_ALARM:
            self._reasons[details.verdict_reason or UNKNOWN] += 1
        for credit in details.credits:
            key = (str(credit.state), credit.currency, "" if credit.amount is not None else credit.unit)
            row = self._credits.setdefault(key, [0, Decimal(0), 0.0])
            row[0] += 1
            row[1] += credit.amount or Decimal(0)
            row[2] += (credit.quantity or 0.0) if credit.amount is None else 0.0
        self._count_callback(one)
        if one.kind == "voltage_low":
            kept = tuple(bool(details.record.get(part)) for part in RECORD)
            self._voltage.append((one.id, one.area, one.state, *kept))
        self._keep_case(one)

    def _count_sla(self, one: TicketFacts) -> None:
        sla, callback = one.details.sla, one.details.callback
        paused = sla.paused_since_ns is not None
        for what, due, done in (
            ("acknowledge", sla.ack_due_ns, sla.acknowledged_ns),
            ("resolve", None if paused and one.resolved_ns is None else sla.resolve_due_ns, one.resolved_ns),
            ("callback", sla.callback_due_ns, callback.done_ns),
        ):
            if due is None or (what == "callback" and callback.none_because):
                continue
            pending = done is None and due > self._now  # nobody can tell yet
            told = (not pending, done is not None and done <= due, pending)
            for rows, key in ((self._sla, one.department or UNKNOWN), (self._sla_of, one.priority)):
                row = rows.setdefault((what, key), [0, 0, 0])
                row[:] = [n + more for n, more in zip(row, told, strict=True)]

    def _count_callback(self, one: TicketFacts) -> None:
        callback = one.details.callback
        if callback.done_ns is not None:
            said = {True: "satisfied", False: "dissatisfied", None: UNKNOWN}[callback.satisfied]
            self._callbacks[said] += 1
        elif callback.none_because:
            self._callbacks["none"] += 1
        if callback.rating is not None:
            self._ratings[callback.rating] += 1

    def _keep_case(self, one: TicketFacts) -> None:
        """Of each category and cause, the case that most complaints, then most money, are about."""
        details = one.details
        if details.verdict != Verdict.CONFIRMED:
            return
        cause = one.found or details.resolution or UNKNOWN
        rank = (len(details.complaint_ids), abs(details.amount or Decimal(0)), -one.opened_ns, one.id)
        row = self._cases.setdefault((one.category, cause), [0, rank, one])
        row[0] += 1
        if rank > row[1]:
            row[1:] = [rank, one]

    def report(
        self,
        words: Iterable[Row],
        reads: Iterable[ReadFacts],
        outages: Iterable[OutageFacts],
        held: dict[str, int],
        moves: Iterable[BarMove],
    ) -> Report:
        """All tables. ``words``: judged flags that were raised in the span."""
        rows = list(words)
        tables = [self._headline()]
        tables += [
            pareto(f"complaints_by_{name}", name, counted) for name, counted in self._complaints.items()
        ]
        tables += [pareto(f"tickets_by_{name}", name, counted) for name, counted in self._tickets.items()]
        tables += [
            precision_table("precision_by_detector", "detector", rows),
            precision_table("precision_by_kind", "kind", rows),
            precision_table("precision_by_area", "area", rows),
            precision_table("precision_by_month", "month", rows),
            self._kept(),
            _kept_table("sla_by_priority", "priority", sorted(self._sla_of.items())),
            self._work(),
            pareto("false_alarm_reasons", "reason", self._reasons),
            Table(
                code="credits",
                columns=("credit_state", "currency", "unit", "count", "amount", "quantity"),
                rows=tuple((s, c, u, n, str(a), q) for (s, c, u), (n, a, q) in sorted(self._credits.items())),
            ),
            self._callback(),
            *(reads_table(scope, reads_of) for scope, reads_of in by_scope(reads)),
            outage_table(outages),
            Table(
                code="low_voltage",
                columns=("ticket", "area", "state", *(f"record_{part}" for part in RECORD)),
                rows=tuple(sorted(self._voltage)[:LISTED]),
            ),
            Table(
                code="held_back",
                columns=("kind", "flags"),
                rows=tuple(sorted(held.items())),
            ),
            Table(
                code="bar_moves",
                columns=("at", "kind", "before", "bar", "by", "why"),
                rows=tuple(
                    (iso(m.at_ns), m.kind, m.before, m.bar, m.by, str(m.figures.get("why", m.why)))
                    for m in sorted(moves, key=lambda m: m.seq)
                    if self._span.start_ns <= m.at_ns < self._span.end_ns
                ),
            ),
            self._typical(),
            Table(
                code="apart",
                columns=("what", "count"),
                rows=(("drill", self._apart["drill"]), ("own", self._apart["own"])),
            ),
        ]
        return Report(
            span=self._span.name,
            start_ns=self._span.start_ns,
            end_ns=self._span.end_ns,
            zone=self._zone,
            made_ns=self._now,
            tables=tuple(tables),
        )

    def _headline(self) -> Table:
        """Of complaints about metering: how many we knew before the customer, and how long before."""
        of, known = sum(self._outcomes.values()), self._outcomes["known"]
        low, high = quantile(self._leads, 0.5), quantile(self._leads, 0.9)
        return Table(
            code="headline",
            columns=("what", "value"),
            rows=(
                ("complaints", sum(self._complaints["category"].values())),
                ("metering_complaints", of),
                ("known_before", known),
                ("known_share", known / of if of else None),
                ("misses", self._misses),
                ("lead_median_h", None if low is None else low / 3600),
                ("lead_90_h", None if high is None else high / 3600),
                ("tickets", sum(self._tickets["kind"].values())),
            ),
        )

    def _kept(self) -> Table:
        total: dict[str, list[int]] = {}
        for (what, _), row in self._sla.items():
            sums = total.setdefault(what, [0, 0, 0])
            for n, value in enumerate(row):
                sums[n] += value
        lines = [((what, ""), row) for what, row in sorted(total.items())] + sorted(self._sla.items())
        return _kept_table("sla", "department", lines)

    def _work(self) -> Table:
        of, total, most = self._hand_offs
        return Table(
            code="work",
            columns=("what", "value"),
            rows=(
                ("hand_offs_mean", total / of if of else None),
                ("hand_offs_most", most),
                *((how, self._again[how]) for how in _AGAIN),
                ("false_alarms", sum(self._reasons.values())),
            ),
        )

    def _callback(self) -> Table:
        said = self._callbacks
        asked = said["satisfied"] + said["dissatisfied"]
        rated = sum(self._ratings.values())
        mean = sum(stars * n for stars, n in self._ratings.items()) / rated if rated else None
        return Table(
            code="callbacks",
            columns=("what", "value"),
            rows=(
                ("satisfied", said["satisfied"]),
                ("dissatisfied", said["dissatisfied"]),
                ("satisfied_share", said["satisfied"] / asked if asked else None),
                ("no_callback", said["none"]),
                ("rated", rated),
                ("rating_mean", mean),
            ),
        )

    def _typical(self) -> Table:
        """典型案例: of the commonest groups of category and cause one case each."""
        groups = sorted(self._cases.items(), key=lambda item: (-item[1][0], item[0]))[:_CASES]
        rows = []
        for (category, cause), (count, _, one) in groups:
            amount = one.details.amount
            rows.append(
                (
                    one.id,
                    category,
                    one.kind,
                    cause,
                    count,
                    len(one.details.complaint_ids),
                    one.details.resolution,
                    None if amount is None else str(amount),
                )
            )
        return Table(
            code="typical_cases",
            columns=("ticket", "category", "kind", "cause", "alike", "complaints", "resolution", "amount"),
            rows=tuple(rows),
        )


def _kept_table(code: str, name: str, lines: Iterable[tuple[tuple[str, str], list[int]]]) -> Table:
    """Deadlines: what was due, what was kept, what is not due yet."""
    return Table(
        code=code,
        columns=("deadline", name, "due", "kept", "kept_share", "pending"),
        rows=tuple(
            (what, value, due, kept, kept / due if due else None, pending)
            for (what, value), (due, kept, pending) in lines
        ),
    )
