"""Documents over HTTP: the evidence pack of a ticket, and what other routes hand to ``rendered``."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response

from connectors.documents import FontMissing, Fonts, render_html, render_pdf
from connectors.sqlite_history.reader import Series
from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.problems import Problem
from connectors.web.sources import Papers, Reader
from streams.papers.document import Document, Language, canonical
from streams.papers.exhibits import Exhibits, Trace, kind_of, window

Format = Literal["html", "pdf", "json"]
MEDIA_TYPES: dict[str, str] = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "json": "application/json",
}
#: documents that are put together at once: each takes a processor for a while
_AT_ONCE = 2
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The document; json: the content that its SHA-256 is of",
        "content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()},
    },
    404: {"description": "There is no such ticket"},
    503: {"description": "A database does not answer, or a PDF in Chinese has no font"},
}


def router(reader: Reader, papers: Papers) -> APIRouter:
    """The routes of documents, below ``/api``."""
    api = APIRouter(prefix="/api", tags=["documents"], dependencies=[needs("read")])
    turns = asyncio.Semaphore(_AT_ONCE)

    @api.get(
        "/tickets/{ticket_id}/pack",
        summary="Evidence pack of a ticket",
        response_class=Response,
        responses=_CONTENT,
    )
    async def pack(
        ticket_id: str,
        format: Annotated[Format, Query(description="html, pdf or json")] = "html",  # noqa: A002
        language: Annotated[Literal["zh", "en", ""], Query(description="zh or en; empty: the ticket's")] = "",
    ) -> Response:
        """What was seen, checked, estimated and decided, to be handed out. No names, no addresses."""
        async with turns:
            exhibits = await gather(reader, papers, ticket_id)
            own: Language = "en" if exhibits.case.ticket.language == "en" else "zh"
            document = await asyncio.to_thread(papers.pack, exhibits, language or own)
            return await rendered(document, format, papers.fonts)

    return api


async def rendered(document: Document, form: Format, fonts: Fonts) -> Response:
    """A document as an answer, rendered beside the event loop. Raises Problem 503 where a font is missing."""
    try:
        body = await asyncio.to_thread(_render, document, form, fonts)
    except FontMissing as error:
        raise Problem(
            503,
            expected=error.expected,
            got=error.got,
            action=error.action,
            headers={"Retry-After": "600"},
        ) from error
    name = _ODD.sub("-", document.reference)[:80].strip("-") or "document"
    headers = {"Content-Disposition": f'inline; filename="{name}-{document.language}.{form}"'}
    return Response(body, headers=headers, media_type=MEDIA_TYPES[form])


def _render(document: Document, form: Format, fonts: Fonts) -> bytes:
    if form == "pdf":
        return render_pdf(document, fonts)
    return canonical(document) if form == "json" else render_html(document).encode()


async def gather(reader: Reader, papers: Papers, ticket_id: str) -> Exhibits:
    """Everything that is known of a ticket. Raises Problem 404 where there is none, PortError where nobody answers."""
    case = await reader.case(ticket_id)
    if case is None:
        raise Problem(
            404, expected="the id of a ticket", got=repr(ticket_id[:64]), action="GET /api/tickets lists them"
        )
    shown, sources = window(case), reader.sources
    found = await reader.series(case.ticket.meter_id, shown.start_ns, shown.end_ns)
    around = await reader.series_of(case.neighbours, shown.start_ns, shown.end_ns) if found else {}

    def put_together() -> Exhibits:
        return Exhibits(
            case=case,
            traces=[_trace(series) for series in found],
            neighbours={meter: _main(series) for meter, series in around.items() if series},
            digests=_digests(case.ticket.meter_id, found),
            history_here=sources.history is not None,
            kept_at=sources.kept_at,
            made_ns=sources.now_ns(),
            zone=papers.zone,
            version=papers.version,
        )

    return await asyncio.to_thread(put_together)


def _trace(series: Series) -> Trace:
    return Trace(
        series.meter_id,
        series.register,
        series.unit[-1] if series.unit else "",
        kind_of(series.kind, series.value),
        np.asarray(series.time_ns, np.int64),
        series.value,
        series.quality,
        series.marks,
    )


def _main(found: Sequence[Series]) -> list[Trace]:
    """The total of a meter, or the first of its registers."""
    return [_trace(min(found, key=lambda series: series.register))]


def _digests(meter_id: str, found: list[Series]) -> dict[str, str]:
    """Register → SHA-256 of its readings as ``/api/meters/…/series`` gives them, a line each.

    A line has time, value, unit, kind, quality and marks with tabs between them, marks with commas,
    and ends in a line feed; a value is Python's ``repr`` of it.
    """
    out: dict[str, str] = {}
    for register in shapes.series(meter_id, found, 2**31)["registers"]:
        columns = (register[name] for name in ("time", "value", "unit", "kind", "quality", "marks"))
        digest = hashlib.sha256()
        for time, value, unit, kind, quality, marks in zip(*columns, strict=True):
            digest.update("\t".join((time, repr(value), unit, kind, quality, ",".join(marks))).encode())
            digest.update(b"\n")
        out[register["register"]] = digest.hexdigest()
    return out
