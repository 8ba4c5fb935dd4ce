"""The API of people and of the audit log: masked unless somebody says why, every look on record."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from connectors.sealing import SealError
from connectors.store.audit import AuditRow, LogFilter, Verified
from connectors.store.erasure import Erased, Held, StillOpen
from connectors.store.people import Person
from connectors.web.guard import needs
from connectors.web.instants import instant_if
from connectors.web.paging import NO_NUL, Limit
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.trade.masks import substantial, telltale
from streams.trade.roles import Actor
from streams.trade.tickets import iso

PersonId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
PointId = Annotated[str, Path(max_length=256, pattern=r"^[^\x00]+$")]


class Reason(BaseModel):
    """Why, in a sentence; without anybody's number or address, for it stays on record."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reason": "预约上门检表"}})
    reason: str = Field(max_length=500, pattern=NO_NUL)


class Erasing(Reason):
    """Why, and whether open tickets may lose their customer."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "用户书面申请删除", "also_open": False}}
    )
    also_open: bool = False


class Phone(BaseModel):
    """A telephone number: in the body, for addresses of requests stand in the logs of proxies."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"phone": "13800000000"}})
    phone: str = Field(min_length=3, max_length=64, pattern=NO_NUL)


class PeopleDesk(Protocol):
    """What is asked (``streams.programs.people``). It blocks; raises Unavailable, Rejected, SealError."""

    def person(self, person_id: str, actor: Actor) -> Person | None: ...

    def unmask(self, person_id: str, actor: Actor, reason: str) -> Person | None: ...

    def find(self, phone: str, actor: Actor) -> list[Person]: ...

    def held(self, service_point_id: str, actor: Actor) -> Held: ...

    def export(self, service_point_id: str, actor: Actor, reason: str) -> dict[str, Any]: ...

    def erase(self, service_point_id: str, actor: Actor, reason: str, also_open: bool) -> Erased: ...

    def log(self, actor: Actor, limit: int, wanted: LogFilter, before: int | None) -> list[AuditRow]: ...

    def verify(self, actor: Actor, seq: int, head: str) -> Verified: ...


def router(reader: Reader, desk: PeopleDesk) -> APIRouter:
    """The routes."""
    api = APIRouter(prefix="/api", tags=["people"])

    async def ask(question: Any) -> Any:
        try:
            return await reader.ask(lambda _: question())
        except SealError as error:
            raise Problem(
                503,
                expected="the keys that names and numbers were sealed with",
                got=str(error),
                action="put the key back behind the newest one of people.keys",
                headers={"Retry-After": "60"},
            ) from error

    @api.get("/people/{person_id}", summary="Somebody, masked")
    async def person(person_id: PersonId, actor: Annotated[Actor, needs("complain")]) -> dict[str, Any]:
        """Enough to know whom one speaks with. The look is logged."""
        return _shown(await ask(lambda: desk.person(person_id, actor)), person_id)

    @api.post("/people/{person_id}/unmask", summary="Somebody in the clear, once")
    async def unmask(
        person_id: PersonId, body: Reason, actor: Annotated[Actor, needs("unmask")]
    ) -> dict[str, Any]:
        """With a reason that an auditor will read. The answer is not to be stored."""
        reason = _reason(body.reason)
        return _shown(await ask(lambda: desk.unmask(person_id, actor, reason)), person_id)

    @api.post("/people/find", summary="People by telephone number, masked")
    async def find(body: Phone, actor: Annotated[Actor, needs("complain")]) -> dict[str, Any]:
        """For the agent at the phone; the whole number, with or without +86. That somebody looked is logged."""
        found = await ask(lambda: desk.find(body.phone, actor))
        return {"items": [_person(one) for one in found]}

    @api.get("/service-points/{service_point_id:path}/held", summary="What is held of a service point")
    async def held(service_point_id: PointId, actor: Annotated[Actor, needs("people")]) -> dict[str, Any]:
        """People masked, all else counted; open tickets, for they stand against an erasure. The look is logged."""
        found: Held = await ask(lambda: desk.held(service_point_id, actor))
        return {**msgspec.to_builtins(found), "people": [_person(one) for one in found.people]}

    @api.post(
        "/service-points/{service_point_id:path}/export", summary="Everything that is held of a service point"
    )
    async def export(
        service_point_id: PointId, body: Reason, actor: Annotated[Actor, needs("people")]
    ) -> dict[str, Any]:
        """People, complaints, tickets with history, flags, readings: one JSON document. Logged."""
        reason = _reason(body.reason)
        told: dict[str, Any] = await ask(lambda: desk.export(service_point_id, actor, reason))
        return told

    @api.post("/service-points/{service_point_id:path}/erase", summary="Erase what tells of people there")
    async def erase(
        service_point_id: PointId, body: Erasing, actor: Annotated[Actor, needs("people")]
    ) -> dict[str, Any]:
        """Names, numbers, addresses, and all text that people wrote, wherever it was copied to. Logged.

        Codes, figures and instants stay, under pseudonyms. 409 while a ticket is open, unless
        ``also_open``.
        """
        reason = _reason(body.reason)
        try:
            done = await ask(lambda: desk.erase(service_point_id, actor, reason, body.also_open))
        except StillOpen as error:
            raise Problem(
                409,
                expected="no open ticket at the service point",
                got=", ".join(error.ticket_ids),
                action="close them first, or set also_open: the customer cannot be reached for them any more",
            ) from error
        return dict(msgspec.to_builtins(done))

    @api.get("/audit", summary="The audit log")
    async def audit(
        actor: Annotated[Actor, needs("audit")],
        limit: Limit = 100,
        concerning: Annotated[
            str,
            Query(
                alias="object",
                max_length=300,
                pattern=NO_NUL,
                description="kind/id; kind/ for all of that kind",
            ),
        ] = "",
        by: Annotated[str, Query(alias="actor", max_length=64, pattern=NO_NUL)] = "",
        action: Annotated[
            str,
            Query(max_length=64, pattern=NO_NUL, description="such as person.shown; person. for all of them"),
        ] = "",
        start: Annotated[str, Query(max_length=64, description="ISO 8601 with its zone, included")] = "",
        end: Annotated[str, Query(max_length=64, description="the same, excluded")] = "",
        before: Annotated[int | None, Query(ge=1, description="next of the page before")] = None,
    ) -> dict[str, Any]:
        """Newest first. To read it is a line of it."""
        wanted = LogFilter(
            actor=by,
            action=action,
            object=concerning,
            start_ns=instant_if("start", start),
            end_ns=instant_if("end", end),
        )
        found = await ask(lambda: desk.log(actor, limit + 1, wanted, before))
        items = [_line(row) for row in found[:limit]]
        return {"items": items, "next": found[limit - 1].seq if len(found) > limit else None}

    @api.get("/audit/verify", summary="Whether the audit log and the histories are whole")
    async def verify(
        actor: Annotated[Actor, needs("audit")],
        seq: Annotated[int, Query(ge=0, description="of a row that was noted down earlier")] = 0,
        head: Annotated[str, Query(max_length=64, pattern=NO_NUL, description="its digest")] = "",
    ) -> dict[str, Any]:
        """Checks all chains; ``faults`` says where one does not hold. Note ``seq`` and ``head`` down."""
        found = await ask(lambda: desk.verify(actor, seq, head))
        return dict(msgspec.to_builtins(found))

    return api


def fault_of(reason: str) -> Problem | None:
    """What is wrong with a reason: it must say something, and nobody's number."""
    what = telltale(reason)
    if not what and substantial(reason):
        return None
    return Problem(
        422,
        expected="reason: a sentence that an auditor can follow, without personal data",
        got=what or "too little",
        action="say what it is needed for, such as 预约上门检表",
    )


def _reason(text: str) -> str:
    """A reason that says something and nobody's number."""
    fault = fault_of(text)
    if fault is not None:
        raise fault
    return text.strip()


def _shown(found: Person | None, person_id: str) -> dict[str, Any]:
    if found is None:
        raise Problem(
            404, expected="the id of a person", got=repr(person_id), action="complaints name their person"
        )
    return _person(found)


def _person(one: Person) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(one)
    for name in ("created", "updated", "erased"):
        instant = told.pop(f"{name}_ns")
        told[name] = None if instant is None else iso(instant)
    return told


def _line(row: AuditRow) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(row)
    # to the nanosecond beside the readable instant: the digest is over it
    told["at"] = iso(row.at_ns)
    return told
