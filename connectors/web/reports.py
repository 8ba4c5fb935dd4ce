"""The API of reports: a month, or any days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from connectors.documents import FontMissing
from connectors.web.guard import needs
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.papers.document import Language
from streams.papers.spans import Span, days, month

PATIENCE_S = 120.0  # a year of a large utility takes this long


class Reports(Protocol):
    """What is asked (``streams.programs.reports``); blocks."""

    zone: str

    def made(self, span: Span, form: str, language: Language, table: str = "") -> tuple[bytes, str, str]: ...


def router(reader: Reader, desk: Reports) -> APIRouter:
    """The route."""
    api = APIRouter(prefix="/api", tags=["reports"], dependencies=[needs("read")])

    @api.get("/reports", summary="The report of a month, or of any days", response_class=Response)
    async def report(
        of: Annotated[str, Query(alias="month", max_length=16, description="YYYY-MM")] = "",
        first: Annotated[date | None, Query(description="first day, where no month is given")] = None,
        last: Annotated[date | None, Query(description="last day, included")] = None,
        form: Annotated[Literal["json", "csv", "html", "pdf"], Query(alias="format")] = "json",
        language: Annotated[Literal["zh", "en"], Query()] = "zh",
        table: Annotated[str, Query(max_length=64, description="CSV of this table alone; none: a ZIP")] = "",
    ) -> Response:
        """Complaints, what we knew before them, precision, deadlines kept, reads, outages: docs/reports.md."""
        span = _span(of, first, last, desk.zone)
        try:
            body, media_type, name = await reader.ask(
                lambda _: desk.made(span, form, language, table), PATIENCE_S
            )
        except KeyError as error:
            expected, _, got = str(error.args[0]).partition(", got ")
            raise Problem(
                422, expected=expected.removeprefix("expected "), got=got, action="mend table"
            ) from error
        except FontMissing as error:
            raise Problem(503, expected="a font for Chinese", got="none", action=str(error)) from error
        look = "inline" if form in ("json", "html") else "attachment"
        headers = {"Content-Disposition": f"{look}; filename*=UTF-8''{quote(name)}"}
        return Response(body, media_type=media_type, headers=headers)

    return api


def _span(of: str, first: date | None, last: date | None, zone: str) -> Span:
    try:
        if of and (first or last):
            raise ValueError("expected month, or first and last, got both")
        if of:
            return month(of, zone)
        if first is None or last is None:
            raise ValueError("expected month, or first and last, got neither")
        return days(first, last, zone)
    except ValueError as error:
        expected, _, got = str(error).partition(", got ")
        raise Problem(
            422, expected=expected.removeprefix("expected "), got=got, action="month=2026-06, for instance"
        ) from error
