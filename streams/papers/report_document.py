"""A report as people get it: a printable document, CSV for a spreadsheet, JSON for a program."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from streams.messages import NS
from streams.papers.document import Column, Document, Language, Paragraph, Section
from streams.papers.document import Table as Shown
from streams.papers.report_facts import Report, Table
from streams.papers.report_words import COLUMNS, FRAME, TITLES, said, word
from streams.trade.tickets import iso

_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of a ZIP's entries: the same report gives the same bytes
#: what a spreadsheet takes for the beginning of a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PLACES = 6


def as_json(report: Report) -> dict[str, Any]:
    """Codes and figures, an object a row."""
    return {
        "span": report.span,
        "start": iso(report.start_ns),
        "end": iso(report.end_ns),
        "zone": report.zone,
        "made": iso(report.made_ns),
        "tables": {
            table.code: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            for table in report.tables
        },
    }


def document(report: Report, language: Language) -> Document:
    """The report to be printed."""
    made = datetime.fromtimestamp(report.made_ns // NS, UTC).astimezone(ZoneInfo(report.zone or "UTC"))
    zone = report.zone or "UTC"
    span = said(FRAME, "span", language).format(span=report.span, zone=zone)
    sections = [
        Section(said(TITLES, table.code, language), (_shown(table, language),)) for table in report.tables
    ]
    about = Section(said(FRAME, "scope", language), (Paragraph(said(FRAME, "about", language), "small"),))
    return Document(
        title=said(FRAME, "title", language),
        subtitle=span,
        reference=report.span.replace("/", "_"),
        language=language,
        made=f"{made:%Y-%m-%d %H:%M} {zone}",
        sections=(about, *sections),
    )


def sheet(table: Table, language: str) -> bytes:
    """One table as CSV that a spreadsheet opens as it is meant: UTF-8 with its mark, CRLF.

    Text that would be taken for a formula has an apostrophe before it.
    """
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow([said(COLUMNS, name, language) for name in table.columns])
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        lines.writerow([_plain(name, cell, row[0], language) for name, cell in cells])
    return out.getvalue().encode("utf-8-sig")


def sheets(report: Report, language: str) -> bytes:
    """All tables as a ZIP of CSV files, numbered in their order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, table in enumerate(report.tables, 1):
            name = f"{number:02d}-{table.code}-{said(TITLES, table.code, language).replace(' ', '_')}.csv"
            entry = zipfile.ZipInfo(name.replace("/", "_").replace(":", "").replace("：", "-"), _FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, sheet(table, language))
    return out.getvalue()


def _plain(column: str, cell: Any, _first: Any, language: str) -> Any:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return said(FRAME, "yes" if cell else "no", language)
    if isinstance(cell, float):
        return round(cell, _PLACES)
    if isinstance(cell, int):
        return cell
    text = word(column, str(cell), language)
    if column == "amount":
        return text  # a decimal number, written out
    return f"'{text}" if text.startswith(_FORMULA) else text


def _shown(table: Table, language: str) -> Shown:
    figures = [
        all(isinstance(row[n], int | float | None) and not isinstance(row[n], bool) for row in table.rows)
        or name in ("value", "amount")
        for n, name in enumerate(table.columns)
    ]
    return Shown(
        columns=tuple(
            Column(said(COLUMNS, name, language), "right" if right else "left")
            for name, right in zip(table.columns, figures, strict=True)
        ),
        rows=tuple(
            tuple(
                _written(name, cell, row[0], language) for name, cell in zip(table.columns, row, strict=True)
            )
            for row in table.rows
        ),
        empty=said(FRAME, "none", language),
    )


def _written(column: str, cell: Any, first: Any, language: str) -> str:
    """A cell as it is printed; ``first`` names the line, where the column does not say what it is."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return said(FRAME, "yes" if cell else "no", language)
    if isinstance(cell, int | float):
        share = column.endswith("share") or (column == "value" and str(first).endswith("share"))
        if share:
            return f"{cell:.1%}"
        return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.2f}"
    return word(column, str(cell), language)
