"""Reports put together: what the API and ``forestall report`` call."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from connectors.documents import Fonts, render_html, render_pdf
from connectors.store import Store
from streams.clock import Clock
from streams.papers.document import Language
from streams.papers.report_document import as_json, document, sheet, sheets
from streams.papers.report_facts import Report
from streams.papers.reports import Figures
from streams.papers.spans import Span, day_number
from streams.programs.verdicts import VerdictDesk
from streams.settings import Settings
from streams.trade.tickets import iso

FORMATS = ("json", "csv", "html", "pdf")
_YEAR_NS = round(timedelta(days=365).total_seconds()) * 1_000_000_000


class ReportDesk:
    """Makes reports. All methods block, for as long as the span is large."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._desk = VerdictDesk(settings, store, clock)
        own = settings.documents
        self._fonts = Fonts(str(own.font or ""), own.subfont)
        self.zone = settings.tickets.time_zone

    def report(self, span: Span) -> Report:
        """The figures of a span as they are now. Raises Unavailable."""
        figures = Figures(span, self.zone, self._clock.now_ns())
        for complaint in self._store.complaint_facts(span.start_ns, span.end_ns):
            figures.add_complaint(complaint)
        for ticket in self._store.ticket_facts(span.start_ns, span.end_ns):
            figures.add_ticket(ticket)
        return figures.report(
            self._desk.rows(span.start_ns, span.end_ns),
            self._store.read_facts(
                day_number(span.start_ns, self.zone),
                day_number(span.end_ns - 1, self.zone),
                iso(span.start_ns),
                iso(span.end_ns),
            ),
            self._store.outage_facts(iso(span.end_ns - _YEAR_NS), iso(span.end_ns)),
            self._store.held_back(),
            self._store.bar_moves(limit=10_000),
        )

    def made(self, span: Span, form: str, language: Language, table: str = "") -> tuple[bytes, str, str]:
        """The report as bytes, their media type, and the name of a file for them.

        table : CSV of this table alone; empty: a ZIP of all
        Raises Unavailable, FontMissing (PDF in Chinese), KeyError for a table that there is not.
        """
        found = self.report(span)
        name = f"forestall-{span.name.replace('/', '_')}"
        if form == "json":
            body = msgspec.json.format(msgspec.json.encode(as_json(found)), indent=1)
            return body, "application/json", f"{name}.json"
        if form == "csv":
            if not table:
                return sheets(found, language), "application/zip", f"{name}.zip"
            wanted = {one.code: one for one in found.tables}
            if table not in wanted:
                raise KeyError(f"expected one of {', '.join(wanted)}, got {table}")
            return sheet(wanted[table], language), "text/csv; charset=utf-8", f"{name}-{table}.csv"
        paper = document(found, language)
        if form == "html":
            return render_html(paper).encode(), "text/html; charset=utf-8", f"{name}.html"
        return render_pdf(paper, self._fonts), "application/pdf", f"{name}.pdf"
