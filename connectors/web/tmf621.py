"""Our tickets as trouble tickets of TMF621 v5, to be read: ``/tmf-api/troubleTicket/v5/troubleTicket``.

.. [1] TMF621 Trouble Ticket Management API, v5.0; TMF630 REST API Design Guidelines (fields, offset, limit)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request, Response

from connectors.desks.tmf621 import OWNER, SEVERITIES
from connectors.web.guard import needs
from connectors.web.problems import Problem
from connectors.web.sources import Reader, Vocabulary
from streams.trade.states import TMF621, State
from streams.trade.tickets import Ticket, iso, label

PREFIX = "/tmf-api/troubleTicket/v5"
_MOST, _USUAL = 500, 100
_FILTERS = ("status", "id", "externalIdentifier.id", "externalId")
_KNOWN = (*_FILTERS, "fields", "offset", "limit")
#: always there, whatever fields are asked for
_FIRST = ("id", "href", "@type")
FIELDS = (
    *_FIRST, "name", "description", "severity", "ticketType", "priority", "status", "creationDate", "lastUpdate",
    "statusChangeDate", "resolutionDate", "expectedResolutionDate", "externalIdentifier", "relatedEntity", "note",
    "statusChangeHistory",
)  # fmt: skip


class PageStore(Protocol):
    """What is asked of the store."""

    def page(
        self, offset: int, limit: int, *, states: Sequence[str] = (), ticket_id: str = "", number: str = ""
    ) -> tuple[list[Ticket], int]: ...

    def ticket(self, ticket_id: str) -> Ticket | None: ...


def routes(store: PageStore) -> Callable[[Reader], APIRouter]:
    """The maker of the routes."""
    return lambda reader: router(reader, store)


def router(reader: Reader, store: PageStore) -> APIRouter:
    """The routes of the view."""
    api = APIRouter(prefix=PREFIX, tags=["TMF621"], dependencies=[needs("read")])
    words = reader.sources.vocabulary

    @api.get("/troubleTicket", summary="Trouble tickets")
    async def trouble_tickets(request: Request) -> Response:
        """Newest first. ``X-Total-Count`` is how many fit, ``X-Result-Count`` how many are here."""
        asked = _asked(request)
        fields = _fields(asked.get("fields", ""))
        offset, limit = _number("offset", asked, 0, 1 << 31), _number("limit", asked, _USUAL, _MOST)
        states = _states(asked["status"]) if "status" in asked else ()
        wanted = asked.get("externalIdentifier.id", asked.get("externalId", ""))
        found: list[Ticket] = []
        count = 0
        if states or "status" not in asked:
            found, count = await reader.ask(
                lambda _store: store.page(
                    offset, limit, states=states, ticket_id=asked.get("id", ""), number=wanted
                )
            )
        shown = [_chosen(trouble_ticket(ticket, words), fields) for ticket in found]
        headers = {"X-Total-Count": str(count), "X-Result-Count": str(len(shown))}
        return Response(msgspec.json.encode(shown), media_type="application/json", headers=headers)

    @api.get("/troubleTicket/{ticket_id}", summary="One trouble ticket")
    async def one(ticket_id: str, request: Request) -> Response:
        """With its notes and the changes of its status."""
        asked = _asked(request, ("fields",))
        fields = _fields(asked.get("fields", ""))
        plain = ticket_id.replace("-", "").isalnum() and len(ticket_id) <= 64
        ticket = await reader.ask(lambda _store: store.ticket(ticket_id)) if plain else None
        if ticket is None:
            raise Problem(
                404,
                expected="the id of a trouble ticket",
                got=repr(ticket_id[:64]),
                action=f"GET {PREFIX}/troubleTicket lists them",
            )
        body = _chosen(trouble_ticket(ticket, words, detail=True), fields)
        return Response(msgspec.json.encode(body), media_type="application/json")

    return api


def trouble_ticket(ticket: Ticket, words: Vocabulary, *, detail: bool = False) -> dict[str, Any]:
    """The ticket in TMF621's shape; ``detail``: with what only ``Store.ticket`` fills in."""
    name = _name(ticket, words)
    made: dict[str, Any] = {
        "id": ticket.id,
        "href": f"{PREFIX}/troubleTicket/{quote(ticket.id, safe='')}",
        "@type": "TroubleTicket",
        "name": name,
        "description": _description(ticket, name),
        "severity": SEVERITIES.get(ticket.priority, "minor"),
        "ticketType": str(ticket.category),
        "priority": ticket.priority,
        "status": TMF621[ticket.state],
        "creationDate": iso(ticket.opened_ns),
        "lastUpdate": iso(ticket.updated_ns),
        "externalIdentifier": [
            {
                "@type": "ExternalIdentifier",
                "id": number,
                "owner": desk,
                "externalIdentifierType": "troubleTicket",
            }
            for desk, number in sorted(ticket.external_refs.items())
        ],
        "relatedEntity": [
            _related("servicePoint", "ServicePoint", ticket.service_point_id),
            _related("meter", "Meter", ticket.meter_id),
        ],
    }
    if ticket.closed_ns is not None:
        made["resolutionDate"] = iso(ticket.closed_ns)
    if ticket.sla.resolve_due_ns is not None:
        made["expectedResolutionDate"] = iso(ticket.sla.resolve_due_ns)
    if detail:
        moves = [line for line in ticket.history if line.after]
        made["statusChangeHistory"] = [
            {
                "@type": "StatusChange",
                "status": TMF621[State(line.after)],
                "changeDate": iso(line.at_ns),
                **({"changeReason": line.note} if line.note else {}),
            }
            for line in moves
        ]
        if moves:
            made["statusChangeDate"] = iso(moves[-1].at_ns)
        made["note"] = [
            {
                "@type": "Note",
                "id": f"{ticket.id}.{line.seq}",
                "author": OWNER,
                "date": iso(line.at_ns),
                "text": f"{_word(words.actions, line.action, ticket.language)} {line.note}".strip(),
            }
            for line in ticket.history
        ]
    return made


def _name(ticket: Ticket, words: Vocabulary) -> str:
    """Class, what, where, in the ticket's language."""
    kind = _word(words.kinds, ticket.kind, ticket.language)
    category = label(ticket.category, ticket.language)
    zh = ticket.language == "zh"
    drill = ("【演练】" if zh else "[DRILL] ") if ticket.drill else ""
    where = ticket.service_point_id
    return f"{drill}{category}：{kind}（{where}）" if zh else f"{drill}{category}: {kind} at {where}"


def _description(ticket: Ticket, name: str) -> str:
    if ticket.estimate is None:
        return name
    excess = f"{ticket.estimate.excess:.10g} {ticket.estimate.unit}"
    return f"{name}；差额 {excess}" if ticket.language == "zh" else f"{name}; excess {excess}"


def _related(role: str, kind: str, number: str) -> dict[str, Any]:
    return {
        "@type": "RelatedEntity",
        "role": role,
        "entity": {"@type": "EntityRef", "@referredType": kind, "id": number},
    }


def _word(table: Mapping[str, tuple[str, str]], code: str, language: str) -> str:
    pair = table.get(code)
    return code if pair is None else pair[0 if language == "zh" else 1]


def _asked(request: Request, known: Iterable[str] = _KNOWN) -> dict[str, str]:
    """The parameters, each once. A filter that is not known is an error: ignored, it would find too much."""
    asked: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise Problem(
                400,
                expected=f"one of the parameters {', '.join(known)}",
                got=name[:64],
                action="leave it out",
            )
        if "\0" in value or len(value) > 1000:
            raise Problem(400, expected=f"{name} as plain text", got=repr(value[:64]), action="mend it")
        asked[name] = f"{asked[name]},{value}" if name in asked else value
    return asked


def _fields(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    if strange := [name for name in names if name not in FIELDS]:
        raise Problem(
            400, expected=f"fields of {', '.join(FIELDS)}", got=strange[0][:64], action="leave it out"
        )
    return names


def _states(text: str) -> list[str]:
    statuses = text.split(",")
    known = sorted({*TMF621.values(), "held"})
    if strange := [status for status in statuses if status not in known]:
        raise Problem(
            400,
            expected=f"status to be one of {', '.join(known)}",
            got=repr(strange[0][:64]),
            action="mend it",
        )
    return [str(state) for state, status in TMF621.items() if status in statuses]


def _number(name: str, asked: Mapping[str, str], otherwise: int, most: int) -> int:
    text = asked.get(name, str(otherwise))
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= most):
        raise Problem(400, expected=f"{name} as a number up to {most}", got=repr(text[:64]), action="mend it")
    return int(text)


def _chosen(body: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return (
        {name: value for name, value in body.items() if name in _FIRST or name in fields} if fields else body
    )
