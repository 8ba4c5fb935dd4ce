"""A TMF621 v5 trouble ticket system: the schemas of TroubleTicket_FVO and _MVO, filtering, merge patch.

Written from the published tables: FVO asks for @type, description, severity, ticketType; its parts
for @type and what identifies them; statuses are the eight of TroubleTicketStatusType.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.tickets.json_server import Asked, JsonServer, Said

TOKEN = "a token of the trouble ticket system"
BASE = "/tmf-api/troubleTicket/v5"
STATUSES = ("acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "closed", "resolved")
_STRINGS = ("name", "description", "severity", "ticketType", "priority", "statusChangeReason")
_DATES = ("requestedResolutionDate", "expectedResolutionDate", "resolutionDate", "statusChangeDate")
_LISTS = (
    "attachment",
    "externalIdentifier",
    "note",
    "relatedEntity",
    "relatedParty",
    "troubleTicketRelationship",
    "troubleTicketCharacteristic",
)
_OTHERS = ("@type", "@baseType", "@schemaLocation", "id", "status", "channel", "troubleTicketSpecification")
FVO = {*_STRINGS, *_DATES, *_LISTS, *_OTHERS}
MVO = FVO - {"id", "statusChangeDate"} | {"statusChangeHistory"}


def faults(body: Any, known: set[str], *, create: bool) -> list[str]:
    """What of a body is not as the schema has it."""
    if not isinstance(body, dict):
        return ["expected an object"]
    out = [f"{name} is not of the schema" for name in body.keys() - known]
    required = ("description", "severity", "ticketType") if create else ()
    out += [f"{name} is required" for name in required if not body.get(name)]
    out += [
        f"{name} must be a string" for name in _STRINGS if name in body and not isinstance(body[name], str)
    ]
    out += [
        f"{name} must be an array" for name in _LISTS if name in body and not isinstance(body[name], list)
    ]
    for name in _DATES:
        if name in body:
            datetime.fromisoformat(body[name])
    if body.get("@type") != "TroubleTicket":
        out.append('@type must be "TroubleTicket"')
    if "status" in body and body["status"] not in STATUSES:
        out.append(f"status must be one of {', '.join(STATUSES)}")
    parts: dict[str, Callable[[Any], bool]] = {
        "externalIdentifier": lambda x: x["@type"] == "ExternalIdentifier" and isinstance(x["id"], str),
        "note": lambda x: (
            x["@type"] == "Note" and isinstance(x["text"], str) and bool(datetime.fromisoformat(x["date"]))
        ),
        "relatedEntity": lambda x: (
            x["@type"] == "RelatedEntity"
            and isinstance(x["role"], str)
            and isinstance(x["entity"]["id"], str)
            and bool(x["entity"]["@type"])
        ),
    }
    for name, right in parts.items():
        for one in body.get(name, ()):
            try:
                good = right(one)
            except (KeyError, TypeError, ValueError):
                good = False
            if not good:
                out.append(f"{name}: {one} lacks what its schema requires")
    return out


class Tmf621Server(JsonServer):
    def __init__(self) -> None:
        super().__init__()
        self.tickets: dict[str, dict[str, Any]] = {}
        self.accepts = False  # answers 202 without a body to a create

    @property
    def api(self) -> str:
        return self.url + BASE

    def answer(self, asked: Asked) -> Said:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "unauthorized")
        path = asked.path.removeprefix(f"{BASE}/troubleTicket")
        assert path != asked.path, f"expected {BASE}/troubleTicket, got {asked.path}"
        if not path:
            return self._create(asked) if asked.method == "POST" else self._list(asked.query)
        there = self.tickets.get(path.removeprefix("/"))
        if there is None:
            return _error(404, "no such trouble ticket")
        return (
            self._patch(there, asked)
            if asked.method == "PATCH"
            else Said(200, there, (("ETag", _tag(there)),))
        )

    def _create(self, asked: Asked) -> Said:
        if asked.headers.get("content-type") != "application/json":
            return _error(415, "expected application/json")
        body = asked.json
        if found := faults(body, FVO, create=True):
            return _error(400, "; ".join(found))
        number = f"TT-{len(self.tickets) + 1}"
        self.tickets[number] = {
            "id": number,
            "href": f"{self.api}/troubleTicket/{number}",
            "status": "acknowledged",
        } | body
        return Said(202) if self.accepts else Said(201, self.tickets[number])

    def _patch(self, there: dict[str, Any], asked: Asked) -> Said:
        if asked.headers.get("content-type") != "application/merge-patch+json":
            return _error(415, "expected application/merge-patch+json")
        if asked.headers.get("if-match", _tag(there)) != _tag(there):
            return _error(412, "changed by another")
        if found := faults(asked.json, MVO, create=False):
            return _error(400, "; ".join(found))
        there |= asked.json
        return Said(200, there)

    def _list(self, query: dict[str, str]) -> Said:
        wanted = query.get("externalIdentifier.id")
        found = [
            ticket
            for ticket in self.tickets.values()
            if wanted is None or any(one["id"] == wanted for one in ticket.get("externalIdentifier", ()))
        ]
        names = query.get("fields", "").split(",")
        return Said(200, [{name: ticket[name] for name in names if name in ticket} for ticket in found])


def _tag(ticket: dict[str, Any]) -> str:
    return f'"{hashlib.sha256(json.dumps(ticket, sort_keys=True).encode()).hexdigest()[:16]}"'


def _error(status: int, reason: str) -> Said:
    return Said(status, {"@type": "Error", "code": str(status), "reason": reason})
