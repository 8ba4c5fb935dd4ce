"""The API of complaints: in, out, and the answer for the agent at the phone.

A complaint that was answered with 201 or 200 is durable: it, its ticket and what is to be told of it were
written in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from connectors.web import shapes
from connectors.web.guard import needs
from connectors.web.instants import instant_if
from connectors.web.paging import NO_NUL, Before, Limit, mark_of, page
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.ports import PortError
from streams.trade.complaints import Complaint, ComplaintFilter, Faults, Site
from streams.trade.roles import Actor
from streams.trade.tickets import iso

_READS = 5
_ID = re.compile(r"[A-Z0-9-]{1,64}")

Word = Annotated[str, Query(max_length=64, pattern=NO_NUL)]
Text = Annotated[str, Query(max_length=200, pattern=NO_NUL)]


class Reception(Protocol):
    """Takes complaints and answers (``streams.trade.reception.Reception``); all of it blocks."""

    def take(self, form: Mapping[str, Any], source: str) -> tuple[Complaint, bool]: ...

    def assign(self, complaint_id: str, named: str, actor: Actor) -> Complaint: ...

    def name(self, alias: str, named: str, actor: Actor) -> Site: ...

    def complaint(self, complaint_id: str) -> Complaint | None: ...

    def complaints(
        self, wanted: ComplaintFilter, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[Complaint]: ...

    def answer(self, named: str, language: str) -> dict[str, Any]: ...

    def answer_to(self, complaint: Complaint, language: str = "") -> dict[str, Any]: ...


class AttachmentIn(BaseModel):
    """A photo, a recording, a bill; the file stays where it is."""

    name: str = Field(examples=["表照片.jpg"])
    media_type: str = ""
    sha256: str = ""
    url: str = ""


class ComplaintIn(BaseModel):
    """A complaint as it was taken. Required: time, name, one of phone, email and address, matter."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "reference": "12345-20260601-001",
                    "time": "2026-06-01T09:30:00+08:00",
                    "name": "王小明",
                    "phone": "13800001234",
                    "matter": "本期气费偏高，要求核实",
                    "demand": "退费",
                    "service_point": "sp-1",
                    "channel": "hotline",
                    "taken_by": "agent-7",
                }
            ]
        },
    )

    # what is missing or wrong is told by the reception, all of it at once
    source: str | None = Field(
        None, description="whose number the reference is; else the name of the credential"
    )
    reference: str | None = Field(None, description="its number there: the same again is the same complaint")
    time: str | None = None
    name: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    matter: str | None = None
    demand: str | None = None
    service_point: str | None = Field(None, description="a service point, a meter, or another name of it")
    channel: str | None = None
    stage: str | None = None
    category: str | None = None
    subject: str | None = None
    urgency: str | None = None
    impact: str | None = None
    attachments: list[AttachmentIn] | None = None
    taken_by: str | None = None
    language: str | None = None
    hold_bill: bool | str | None = Field(
        None, description="whether the bill waits while it is disputed: yes, no; none: as the subject has it"
    )


class PointIn(BaseModel):
    """Where a complaint belongs."""

    model_config = ConfigDict(extra="forbid")
    service_point: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["sp-1"])


class AliasIn(BaseModel):
    """Another name of a service point."""

    model_config = ConfigDict(extra="forbid")
    alias: str = Field(min_length=1, max_length=200, pattern=NO_NUL, examples=["幸福里 3 栋 201"])


class ComplaintOut(BaseModel):
    """One complaint; who complained is behind ``person_id``."""

    id: str
    source: str
    reference: str
    at: str
    received_at: str
    channel: str
    stage: str
    category: str
    urgency: str
    impact: str
    subject: str
    person_id: str
    named: str
    service_point_id: str = Field(description="empty: not found yet, the complaint is unlinked")
    meter_id: str
    area: str
    content: str
    demand: str
    attachments: list[dict[str, str]]
    taken_by: str
    language: str
    ticket_id: str
    outcome: str | None = Field(description="known, joined, opened; of an archive also kept")
    lead_time_s: float | None = Field(description="time of the complaint − opening of the ticket")
    miss: bool
    hold_bill: str = Field(description="whether the bill was asked to be held: yes, no; empty: not said")
    archive: bool = Field(description="of the time before: kept, and nothing came of it")


class ComplaintsOut(BaseModel):
    """Complaints by their time, newest first."""

    items: list[ComplaintOut]
    next: str | None = Field(description="for the page after this one: before = next")


class AnswerOut(BaseModel):
    """What the agent at the phone needs, in one answer."""

    named: str
    service_point_id: str
    meter_id: str
    area: str
    commodity: str
    situation: str = Field(
        description="emergency, known, planned_outage, opened, repeated, reopened, done, unlinked, nothing, "
        "unknown_place"
    )
    say: str = Field(description="the words to say")
    safety: list[str] = Field(description="what to do first where gas escapes")
    done: list[str] = Field(description="what was done so far")
    ticket: dict[str, Any] | None = Field(description="what it is about: state, due, first owner, hand-offs")
    tickets: list[dict[str, Any]]
    mutes: list[dict[str, Any]]
    waiting: list[dict[str, Any]] = Field(description="flags that no ticket was opened for")
    complaint: dict[str, Any] | None
    readings: list[shapes.ReadingOut] = Field(description="the newest of the meter")


class TakenOut(BaseModel):
    """A complaint that was taken, and the answer for whoever made it."""

    complaint: ComplaintOut
    answer: AnswerOut


_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or another one"},
    403: {"description": "The role may not"},
    409: {"description": "The complaint's state does not allow it"},
    422: {"description": "The body or a parameter cannot be used; everything that is wrong is named"},
    503: {"description": "The ticket database does not answer; ask again, with the same reference"},
}


def routes(reader: Reader, reception: Reception) -> APIRouter:
    """The routes of complaints below ``/api``."""
    api = APIRouter(prefix="/api", responses=_ERRORS, tags=["complaints"])

    @api.post("/complaints", status_code=201, response_model=TakenOut, summary="Take a complaint")
    async def take(
        body: ComplaintIn, response: Response, actor: Annotated[Actor, needs("complain")]
    ) -> dict[str, Any]:
        """201 with what is known and the words to say; the same reference again: 200, the same complaint."""
        form = body.model_dump(exclude_none=True)
        try:
            complaint, new = await reader.ask(lambda _: reception.take(form, actor.name))
        except Faults as faults:
            raise Problem(
                422,
                expected="a complaint with time, name, a contact (phone, email or address) and matter",
                got="; ".join(faults.faults),
                action="mend all of it and send it again; GET /api/openapi.json describes the fields",
            ) from None
        if not new:
            response.status_code = 200
        answer = await reader.ask(lambda _: reception.answer_to(complaint))
        return {"complaint": _shown(complaint), "answer": await _with_reads(reader, answer)}

    @api.get("/complaints", response_model=ComplaintsOut, summary="Complaints")
    async def complaints(
        _: Annotated[Actor, needs("complain")],
        channel: Word = "",
        category: Word = "",
        subject: Word = "",
        outcome: Word = "",
        urgency: Word = "",
        service_point: Text = "",
        ticket: Word = "",
        linked: Annotated[bool | None, Query(description="whether the service point was found")] = None,
        miss: Annotated[
            bool | None,
            Query(description="whether it is about metering and no ticket of ours was there first"),
        ] = None,
        start: Annotated[str, Query(max_length=64, description="ISO 8601 with its zone, included")] = "",
        end: Annotated[str, Query(max_length=64, description="the same, excluded")] = "",
        limit: Limit = 100,
        before: Before = "",
    ) -> dict[str, Any]:
        """By the time of the complaint, newest first."""
        wanted = ComplaintFilter(
            channel=channel,
            category=category,
            subject=subject,
            outcome=outcome,
            urgency=urgency,
            service_point_id=service_point,
            ticket_id=ticket,
            linked=linked,
            miss=miss,
            start_ns=instant_if("start", start),
            end_ns=instant_if("end", end),
        )
        mark = mark_of(before)
        found = await reader.ask(lambda _: reception.complaints(wanted, limit + 1, mark))
        return page(found, limit, _shown, lambda complaint: (complaint.at_ns, complaint.id))

    @api.get("/complaints/{complaint_id}", response_model=ComplaintOut, summary="One complaint")
    async def complaint(complaint_id: str, _: Annotated[Actor, needs("complain")]) -> dict[str, Any]:
        """With its content; who complained is behind ``person_id``."""
        known = _id(complaint_id)
        found = await reader.ask(lambda _: reception.complaint(known))
        if found is None:
            raise _no_complaint(complaint_id)
        return _shown(found)

    @api.post(
        "/complaints/{complaint_id}/service-point", response_model=TakenOut, summary="Say where it belongs"
    )
    async def assign(
        complaint_id: str, body: PointIn, actor: Annotated[Actor, needs("complain")]
    ) -> dict[str, Any]:
        """An unlinked complaint gets its service point, and is tied to the ticket that was there first."""
        known = _id(complaint_id)
        try:
            found = await reader.ask(lambda _: reception.assign(known, body.service_point, actor))
        except KeyError:
            raise _no_complaint(complaint_id) from None
        answer = await reader.ask(lambda _: reception.answer_to(found))
        return {"complaint": _shown(found), "answer": await _with_reads(reader, answer)}

    @api.get(
        "/service-points/{named:path}/answer", response_model=AnswerOut, summary="The answer at the phone"
    )
    async def answer(
        named: str,
        _: Annotated[Actor, needs("complain")],
        language: Annotated[str, Query(pattern="^(zh|en)$")] = "zh",
    ) -> dict[str, Any]:
        """What is known of a service point, a meter or another name, its state, and the words to say."""
        if "\0" in named or len(named) > 200:
            raise Problem(422, expected="a name of at most 200 characters", got="another", action="mend it")
        told = await reader.ask(lambda _: reception.answer(named, language))
        return await _with_reads(reader, told)

    @api.post("/service-points/{named:path}/aliases", status_code=201, summary="Give it another name")
    async def alias(named: str, body: AliasIn, actor: Annotated[Actor, needs("work")]) -> dict[str, str]:
        """An account, an old house number, a district's former name: complaints find the place by it."""
        site = await reader.ask(lambda _: reception.name(body.alias, named, actor))
        return {"alias": body.alias, "service_point_id": site.service_point_id}

    return api


async def _with_reads(reader: Reader, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the newest readings of its meter; without them where the history is away."""
    meter = answer["meter_id"]
    try:
        found = await reader.readings_of(meter, _READS) if meter else []
    except PortError:
        found = []
    return {**answer, "readings": [shapes.reading(one) for one in found]}


def _shown(complaint: Complaint) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(complaint)
    return {**fields, "at": iso(fields.pop("at_ns")), "received_at": iso(fields.pop("received_ns"))}


def _id(text: str) -> str:
    """An id as it is; one that cannot be one is nobody's, and a database may refuse it."""
    if not _ID.fullmatch(text):
        raise _no_complaint(text)
    return text


def _no_complaint(text: str) -> Problem:
    return Problem(
        404,
        expected="the id of a complaint",
        got=repr(text[:64]),
        action="GET /api/complaints lists them",
    )
