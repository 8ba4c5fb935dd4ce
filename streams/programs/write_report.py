"""``forestall report``: a report into a file."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Literal

from connectors.documents import FontMissing
from connectors.store import Store
from streams.papers.spans import Span, days, month
from streams.ports import PortError
from streams.programs import compose
from streams.programs.reports import FORMATS, ReportDesk
from streams.settings import Settings


class ReportError(Exception):
    """What was asked for cannot be written, and why."""


def write_report(
    settings: Settings, asked: tuple[str, str, str], form: str, language: str, table: str, output: Path | None
) -> str:
    """Write the report; return a sentence that says where it is.

    asked  : month, first day, last day: the one or the other two
    output : none: a file of the report's own name in the current directory; ``-``: standard output
    Raises ReportError, OSError.
    """
    if form not in FORMATS:
        raise ReportError(f"expected --format {', '.join(FORMATS)}, got {form!r}")
    if language not in ("zh", "en"):
        raise ReportError(f"expected --language zh or en, got {language!r}")
    spoken: Literal["zh", "en"] = "zh" if language == "zh" else "en"
    try:
        span = _span(asked, settings.tickets.time_zone)
        store = Store(settings.store_url)
        try:
            desk = ReportDesk(settings, store, compose.make_clock(settings))
            body, _, name = desk.made(span, form, spoken, table)
        finally:
            store.close()
    except KeyError as error:
        raise ReportError(str(error.args[0])) from error
    except (ValueError, PortError, FontMissing) as error:
        raise ReportError(str(error)) from error
    if output is not None and str(output) == "-":
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return f"report on {span.name}"
    path = output or Path(name)
    path.write_bytes(body)
    return f"report on {span.name}: {path}"


def _span(asked: tuple[str, str, str], zone: str) -> Span:
    of, first, last = asked
    if bool(of) == bool(first or last) or (not of and not (first and last)):
        raise ValueError(
            f"expected --month, or --first and --last, got {', '.join(filter(None, asked)) or 'none'}"
        )
    return month(of, zone) if of else days(date.fromisoformat(first), date.fromisoformat(last), zone)
