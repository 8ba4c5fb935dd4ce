"""The API of verdicts: what a flag was, how precise the detectors are by that, and the bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.instants import instant_if
from connectors.web.sources import Reader
from streams.trade.roles import Actor
from streams.trade.tickets import Episode, Ticket

Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]


class VerdictBody(BaseModel):
    """What flags have turned out to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"verdict": "false_alarm", "reason": "unrecorded_work"}},
    )
    verdict: str = Field(max_length=64, description="confirmed, false_alarm or explained")
    reason: Text = Field("", description="of a false alarm; a code or a sentence")
    flag_ids: list[Annotated[str, Field(max_length=256, pattern=r"^[^\x00]+$")]] = Field(
        [], max_length=1000, description="these flags of the ticket alone; none: all of it"
    )


class BarBody(BaseModel):
    """Where a bar is to stand, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"bar": 1.1, "reason": "too many false alarms"}}
    )
    bar: float | None = Field(None, description="score; none: what the verdicts propose")
    reason: Text


class RevertBody(BaseModel):
    """Why the newest move of a bar is taken back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "real leaks were missed"}}
    )
    reason: Text


class Verdicts(Protocol):
    """What is asked (``streams.programs.verdicts``); blocks, and raises Problem."""

    def judge(
        self, ticket_id: str, verdict: str, reason: str, flag_ids: Sequence[str], actor: Actor
    ) -> tuple[Ticket, list[Episode]]: ...

    def precision(self, by: Sequence[str], start_ns: int | None, end_ns: int | None) -> dict[str, Any]: ...

    def bars(self) -> dict[str, Any]: ...

    def set_bar(self, kind: str, bar: float | None, reason: str, actor: Actor) -> dict[str, Any]: ...

    def revert(self, kind: str, reason: str, actor: Actor) -> dict[str, Any]: ...


def router(reader: Reader, desk: Verdicts) -> APIRouter:
    """The routes."""
    api = APIRouter(prefix="/api", tags=["verdicts"], dependencies=[needs("read")])

    @api.post(
        "/tickets/{ticket_id}/verdict",
        summary="Say what a ticket's flags have turned out to be",
        response_model=shapes.TicketDetailOut,
    )
    async def judge(
        ticket_id: str, body: VerdictBody, actor: Annotated[Actor, needs("work")]
    ) -> dict[str, Any]:
        """Of all its flags, or of those named. The newest word counts; all of them are in the history."""
        found = await reader.ask(
            lambda _: desk.judge(ticket_id, body.verdict, body.reason, body.flag_ids, actor)
        )
        return shapes.detail(*found)

    @api.get("/precision", summary="How many judged flags were worth raising")
    async def precision(
        by: Annotated[
            str, Query(max_length=64, description="detector, kind, family, area, month; several with commas")
        ] = "detector",
        start: Annotated[str, Query(description="raised from then on: ISO 8601 with its zone")] = "",
        end: Annotated[str, Query(description="raised before: the same")] = "",
    ) -> dict[str, Any]:
        """(confirmed + explained) / judged with its 95 % interval (Wilson), and confirmed / judged (strict)."""
        groups = [name for name in by.split(",") if name]
        first = instant_if("start", start)
        last = instant_if("end", end)
        return await reader.ask(lambda _: desk.precision(groups, first, last))

    @api.get("/bars", summary="Scores below which flags open no ticket")
    async def bars() -> dict[str, Any]:
        """How they stand, what the verdicts propose, how many flags they hold back, and all moves."""
        return await reader.ask(lambda _: desk.bars())

    @api.post("/bars/{kind}", summary="Move a bar")
    async def move(kind: str, body: BarBody, actor: Annotated[Actor, needs("tune")]) -> dict[str, Any]:
        """To where the body says, or one step to where the verdicts propose."""
        return await reader.ask(lambda _: desk.set_bar(kind, body.bar, body.reason, actor))

    @api.post("/bars/{kind}/revert", summary="Take the newest move of a bar back")
    async def revert(kind: str, body: RevertBody, actor: Annotated[Actor, needs("tune")]) -> dict[str, Any]:
        """The bar stands where it stood before; both moves stay on record."""
        return await reader.ask(lambda _: desk.revert(kind, body.reason, actor))

    return api
