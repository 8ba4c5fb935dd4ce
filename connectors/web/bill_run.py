"""What customers must be told of in time: the bills of a day that open tickets concern, and planned outages."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Query, Response

from connectors.web.guard import needs
from connectors.web.sources import Reader
from streams.papers.written import instant
from streams.trade.decisions import BillLine
from streams.trade.mutes import Mute
from streams.trade.roles import Actor
from streams.trade.settlement import Rerating


class BillRun(Protocol):
    """The lines of a day (``streams.trade.money.MoneyDesk``); blocks."""

    @property
    def words(self) -> Mapping[str, tuple[str, str]]: ...

    def bill_run(self, day: date) -> list[BillLine]: ...

    def unannounced(self, hours: float) -> list[Mute]: ...


def router(desk: BillRun) -> Callable[[Reader], APIRouter]:
    """The route below ``/api``, for ``make_app``."""

    def routes(reader: Reader) -> APIRouter:
        api = APIRouter(prefix="/api", tags=["money"])

        @api.get("/bill-run", summary="Bills of a day that open tickets concern")
        async def bill_run(
            _actor: Annotated[Actor, needs("money")],
            day: Annotated[date, Query(alias="date", description="of the bill run")],
            as_: Annotated[
                str, Query(alias="format", pattern="^(json|csv)$", description="json or csv")
            ] = "json",
            language: Annotated[str, Query(pattern="^(zh|en)$", description="of the CSV's words")] = "zh",
        ) -> Response:
            """With estimate and advice: hold, send estimated, send. The CSV opens as it is in spreadsheets."""
            found = await reader.ask(lambda _: desk.bill_run(day))
            if as_ == "csv":
                name = f"bill-run-{day.isoformat()}.csv"
                body = await asyncio.to_thread(
                    _csv,
                    found,
                    {**reader.sources.vocabulary.kinds, **reader.sources.vocabulary.estimates, **desk.words},
                    language,
                )
                headers = {"Content-Disposition": f'attachment; filename="{name}"'}
                return Response(body, media_type="text/csv; charset=utf-8", headers=headers)
            items = [msgspec.to_builtins(line) for line in found]
            return Response(msgspec.json.encode({"date": day, "items": items}), media_type="application/json")

        @api.get("/outages/unannounced", summary="Planned outages that customers were not told of in time")
        async def unannounced(
            _actor: Annotated[Actor, needs("work")],
            hours: Annotated[float, Query(ge=1, le=720, description="before they begin")] = 24.0,
        ) -> dict[str, Any]:
            """Those that have begun or begin within so many hours, soonest first; ``notice_at``: told too late."""
            found = await reader.ask(lambda _: desk.unannounced(hours))
            return {
                "items": [
                    {
                        "id": mute.id,
                        "place": mute.place,
                        "reason": mute.reason,
                        "start": instant(mute.start_ns),
                        "end": instant(mute.end_ns),
                        "notice_at": None if mute.notice_ns is None else instant(mute.notice_ns),
                    }
                    for mute in found
                ]
            }

        return api

    return routes


_HEADS = {
    "zh": (
        "出账日", "表计", "用户编号", "工单", "异常", "优先级", "已暂缓", "建议", "原因", "已计", "应计", "差额",
        "差额下限", "差额上限", "单位", "原账单时段", "原金额", "应为金额", "应为下限", "应为上限", "币种", "说明",
    ),
    "en": (
        "bill date", "meter", "service point", "ticket", "kind", "priority", "held", "advice", "why", "billed",
        "expected", "excess", "excess low", "excess high", "unit", "earlier bill", "it was", "would be", "would be low",
        "would be high", "currency", "assumptions",
    ),
}  # fmt: skip


def _csv(found: Sequence[BillLine], words: Mapping[str, tuple[str, str]], language: str) -> bytes:
    """A table in UTF-8 with its mark, so that Excel shows Chinese."""
    place = 0 if language == "zh" else 1
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_HEADS[language])
    for line in found:
        e = line.estimate
        figures = ("",) * 6 if e is None else (e.billed, e.expected, e.excess, e.low, e.high, e.unit)
        cells = (
            line.bill_date,
            line.meter_id,
            line.service_point_id,
            line.ticket_id,
            words[line.kind][place] if line.kind in words else line.kind,
            line.priority,
            ("是", "yes")[place] if line.held else ("否", "no")[place],
            words[line.advice][place],
            words[line.why][place],
            *figures,
        )
        for more in _rerated(line.rerating, words, place):
            writer.writerow(_plain(cell) for cell in (*cells, *more))
    return out.getvalue().encode("utf-8-sig")


def _rerated(
    found: Rerating | None, words: Mapping[str, tuple[str, str]], place: int
) -> list[tuple[object, ...]]:
    """The further cells of a line: a row for each bill that is to be rated anew, else one of empty cells."""
    if found is None:
        return [("",) * 7]
    said = ("、", ", ")[place].join(
        words[code][place] if code in words else code for code in found.assumptions
    )
    return [
        (f"{one.start}/{one.end}", one.old, one.new, one.low, one.high, found.currency, said)
        for one in found.bills
    ]


def _plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell
