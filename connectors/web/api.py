"""The API: what is known, as JSON. It reads and writes nothing. ``/api/openapi.json`` describes it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from connectors.sqlite_history.reader import EVER
from connectors.web import shapes
from connectors.web.feed import PATIENCE_S, Feed, Snapshot
from connectors.web.guard import needs
from connectors.web.instants import instant_of
from connectors.web.paging import NO_NUL, Before, Limit, flag_mark_of, page
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.messages import NS
from streams.papers.written import instant

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or another one"},
    422: {"description": "A parameter cannot be used; the body says what was expected"},
    503: {"description": "A database does not answer; Retry-After says when to ask again"},
}


def router(reader: Reader, feed: Feed, version: str) -> APIRouter:
    """The routes below ``/api``."""
    api = APIRouter(prefix="/api", responses=_ERRORS, tags=["forestall"], dependencies=[needs("read")])
    kept_at = reader.sources.kept_at

    @api.get("/readings", summary="The newest readings", response_model=shapes.ReadingsOut)
    async def readings(
        limit: Limit = 100,
        meter: Annotated[str, Query(max_length=256, description="of this meter; else one of each")] = "",
    ) -> dict[str, Any]:
        """Newest first: the newest of each meter, or the newest ones of one meter."""
        found = await (reader.readings_of(meter, limit) if meter else reader.latest(limit))
        return {"items": [shapes.reading(one) for one in found], "kept_at": kept_at}

    @api.get("/flags", summary="Flag events", response_model=shapes.FlagsOut)
    async def flags(
        limit: Limit = 100,
        meter: Annotated[str, Query(max_length=256, description="of this meter")] = "",
        before: Before = "",
    ) -> dict[str, Any]:
        """Raised, updated and cleared, by the event time of the decision, newest first."""
        # one more than asked for: whether there is a next page
        found = await reader.flag_page(limit + 1, meter, flag_mark_of(before))
        shown = page(found, limit, lambda one: shapes.flag(one[1]), lambda one: (one[0][0], str(one[0][1])))
        return {**shown, "kept_at": kept_at}

    @api.get("/quality", summary="What is counted and not raised", response_model=shapes.QualityOut)
    async def quality(
        meter: Annotated[str, Query(max_length=256, pattern=NO_NUL, description="of this meter")] = "",
        area: Annotated[str, Query(max_length=256, pattern=NO_NUL, description="of this area")] = "",
        of: Annotated[str, Query(description="meters or areas")] = "meters",
        by: Annotated[str, Query(description="the count that puts them in order")] = "missing",
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Missing intervals, duplicates, late and corrected readings …, most of them first.

        Meters without any are left out.
        """
        for name, given, known in (("of", of, ("meters", "areas")), ("by", by, shapes.COUNTS)):
            if given not in known:
                raise Problem(
                    422,
                    expected=f"{name} to be one of {', '.join(known)}",
                    got=repr(given[:64]),
                    action="mend it",
                )
        found = await reader.ask(lambda store: store.quality(meter, area, of == "areas", by, limit))
        return {"items": [shapes.quality(*one) for one in found]}

    @api.get("/tickets/{ticket_id}", summary="One ticket", response_model=shapes.TicketDetailOut)
    async def ticket(ticket_id: str) -> dict[str, Any]:
        """With history, checks, flags, estimate, hypotheses, evidence."""
        found = await reader.ticket(ticket_id)
        if found is None:
            raise Problem(
                404,
                expected="the id of a ticket",
                got=repr(ticket_id[:64]),
                action="GET /api/tickets lists them",
            )
        return shapes.detail(*found)

    @api.get("/meters/{meter_id:path}/series", summary="Readings of a meter", response_model=shapes.SeriesOut)
    async def series(
        meter_id: str,
        start: Annotated[str, Query(description="ISO 8601 with its zone, included; empty: all")] = "",
        end: Annotated[str, Query(description="the same, included")] = "",
        limit: Annotated[int, Query(ge=1, le=50_000, description="readings of each register")] = 5000,
    ) -> Response:
        """As columns, by register, oldest first. A meter that is not known has none."""
        begin, finish = instant_of("start", start, EVER[0]), instant_of("end", end, EVER[1])
        found = await reader.series(meter_id, begin, finish)
        # tens of thousands of rows: written by another thread, and not checked against the model again
        body = await asyncio.to_thread(lambda: msgspec.json.encode(shapes.series(meter_id, found, limit)))
        return Response(body, media_type="application/json")

    @api.get("/status", summary="How it goes", response_model=shapes.StatusOut)
    async def status() -> dict[str, Any]:
        """Signs of life, running totals, lag, dead letters, outbox."""
        found = await feed.snapshot(PATIENCE_S)
        if found.store_error:
            raise Problem(
                503,
                expected="the ticket database to answer",
                got=found.store_error,
                action="ask again in 2 s",
                headers={"Retry-After": "2"},
            )
        return _status(found, reader, version)

    @api.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def nothing(request: Request) -> Response:
        raise Problem(
            404,
            expected="a route of this API",
            got=f"{request.method} {request.url.path[:200]}",
            action="GET /api/openapi.json lists them; nothing can be written here",
        )

    return api


def _status(found: Snapshot, reader: Reader, version: str) -> dict[str, Any]:
    sums, counts = found.totals, found.counts
    newest = sums.last_reading_ns
    oldest = counts.outbox_oldest_ns if counts else None
    return {
        "now": instant(found.at_ns),
        "version": version,
        "processes": [
            {
                "process": p.name,
                "role": p.role,
                "alive": p.alive,
                "age_s": round(p.age_s, 3),
                "since": instant(p.since_ns),
                "at": instant(p.at_ns),
                "figures": dict(p.figures),
            }
            for p in found.processes
        ],
        "totals": {
            "readings_in": sums.readings_in,
            "readings_per_s": None if found.rate is None else round(found.rate, 2),
            "readings_detected": sums.readings_detected,
            "batches": sums.batches,
            "lag": sums.lag,
            "lag_s": sums.lag_s,
            "late": sums.late,
            "dead_letters": sums.dead_letters,
            "flags": sums.flags,
            "meters": sums.meters,
            "meters_warming_up": sums.meters_warming_up,
            "meters_unknown": sums.meters_unknown,
            "last_reading": None if newest is None else instant(newest),
        },
        "tickets": {**(counts.tickets if counts else {}), "open": counts.open if counts else 0},
        "outbox": {
            "pending": counts.outbox_pending if counts else 0,
            "oldest": None if oldest is None else instant(oldest),
            "oldest_age_s": None if oldest is None else max(0.0, (found.at_ns - oldest) / NS),
            "dead": counts.dead if counts else 0,
        },
        "history": {
            "here": reader.sources.history is not None,
            "error": found.history_error,
            "kept_at": reader.sources.kept_at,
        },
    }
