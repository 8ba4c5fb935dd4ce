"""Trouble tickets by TM Forum's TMF621 v5: created once, then patched.

Our ticket's id is an ``externalIdentifier`` there, and each event's id that of a ``note``: both are
looked for before anything is written a second time.

.. [1] TMF621 Trouble Ticket Management API, v5.0, https://www.tmforum.org/oda/open-apis/directory
.. [2] TMF630 REST API Design Guidelines (filtering, merge patch)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from connectors.desks.http import LONG, CallConfig, Caller, Reply, check_url, judge, number
from connectors.desks.http_desk import HttpDesk
from connectors.desks.told import Told
from streams.ports import Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.tickets import iso

OWNER = "Forestall"
SEVERITIES = {"P1": "critical", "P2": "major", "P3": "minor", "P4": "warning"}


@dataclass(frozen=True, slots=True)
class Tmf621Config:
    """One trouble ticket system.

    url    : of the API, such as ``https://…/tmf-api/troubleTicket/v5``
    token  : sent as ``Authorization: Bearer``; empty: none
    types, urgencies, drills : what is sent; empty: all
    """

    url: str
    token: str = field(default="", repr=False)
    language: str = "zh"
    types: tuple[str, ...] = ()
    urgencies: tuple[str, ...] = ()
    drills: bool = True
    call: CallConfig = LONG
    name: str = "tmf621"

    def __post_init__(self) -> None:
        check_url(self.name, self.url, allow_private=self.call.allow_private)


class Tmf621(HttpDesk):
    """Delivers ticket events to one trouble ticket system."""

    def __init__(self, config: Tmf621Config, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._base = f"{config.url.rstrip('/')}/troubleTicket"
        super().__init__(config, Caller(config.call, now_ns=now_ns))

    async def find(self, event: TicketEvent) -> str | None:
        """The number of the ticket that a create may have left; notes are looked for as they are added."""
        return await self._search(event.ticket_id) if event.type == "opened" else None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Create the ticket, or patch the one that is there."""
        if not remote_id and event.type != "opened":
            remote_id = await self._search(event.ticket_id) or ""
        return await (self._patch(event, remote_id) if remote_id else self._create(event))

    async def _create(self, event: TicketEvent) -> str:
        told = Told(event)
        body = {
            "@type": "TroubleTicket",
            "name": told.title(self._config.language),
            **self._standing(told),
            "status": told.status,
            "ticketType": event.category,
            "externalIdentifier": [
                {
                    "@type": "ExternalIdentifier",
                    "id": event.ticket_id,
                    "owner": OWNER,
                    "externalIdentifierType": "troubleTicket",
                }
            ],
            "relatedEntity": _related(told),
            "note": [self._note(told)],
        }
        answer = await self._ask("POST", "", body)
        found = number(answer.json)
        if not found:
            # 202: it is taken, and its number is not known yet
            found = await self._search(event.ticket_id) or ""
        return found

    async def _patch(self, event: TicketEvent, remote_id: str) -> str:
        """Status and one note more; nothing where the note is there, no status where a later one is."""
        told, path = Told(event), f"/{quote(remote_id, safe='')}"
        answer = await self._ask("GET", path)
        there = answer.json
        if not isinstance(there, dict):
            raise Unavailable(self.endpoint, f"expected the trouble ticket, got {answer.said}")
        notes = [note for note in there.get("note") or () if isinstance(note, dict)]
        sequences = {n for note in notes if (n := _sequence(note, event.ticket_id))}
        if told.sequence in sequences:
            return remote_id
        # a merge patch replaces an array: what others have written must be in it
        body: dict[str, Any] = {"@type": "TroubleTicket", "note": [*notes, self._note(told)]}
        if told.sequence > max(sequences, default=0):
            body |= self._standing(told)
            if there.get("status") != told.status:
                body |= {"status": told.status, "statusChangeReason": self._reason(told)}
        tag = answer.headers.get("etag", "")
        await self._ask("PATCH", path, body, {"if-match": tag} if tag else {})
        return remote_id

    async def _search(self, reference: str) -> str | None:
        """The number of the ticket that has our reference; None where there is none."""
        query = urlencode(
            {"externalIdentifier.id": reference, "fields": "id,externalIdentifier", "limit": 50}
        )
        answer = await self._ask("GET", f"?{query}")
        rows = answer.json
        if not isinstance(rows, list):
            raise Unavailable(self.endpoint, f"expected a list of trouble tickets, got {answer.said}")
        found = [row for row in rows if _has(row, reference)]
        if rows and not found:
            raise Unavailable(
                self.endpoint,
                "expected tickets with the externalIdentifier.id that was asked for, got others",
            )
        return min((number(row) for row in found), default=None)

    def _standing(self, told: Told) -> dict[str, Any]:
        language = self._config.language
        return {
            "description": told.body(language) or told.title(language),
            "severity": SEVERITIES.get(told.event.priority, "minor"),
            "priority": told.event.priority,
        }

    def _reason(self, told: Told) -> str:
        return told.body(self._config.language).partition("\n")[0] or told.event.type

    def _note(self, told: Told) -> dict[str, Any]:
        return {
            "@type": "Note",
            "id": told.event.id,
            "author": OWNER,
            "date": iso(told.event.time_ns),
            "text": told.body(self._config.language) or told.title(self._config.language),
        }

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, more: dict[str, str] | None = None
    ) -> Reply:
        headers = dict(more or {})
        if self._config.token:
            headers["authorization"] = f"Bearer {self._config.token}"
        if body is not None:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers["content-type"] = f"application/{kind}"
        reply = await self._caller.call(
            method, f"{self._base}{path}", None if body is None else msgspec.json.encode(body), headers
        )
        if reply.status == 404 and path.startswith("/"):
            raise Rejected(self.endpoint, f"{reply.said}; the ticket is not there any more: {path}")
        judge(self.endpoint, reply)
        return reply


def _related(told: Told) -> list[dict[str, Any]]:
    """Service point and meter as related entities."""
    return [
        {
            "@type": "RelatedEntity",
            "role": role,
            "entity": {"@type": "EntityRef", "@referredType": kind, "id": told.text(name)},
        }
        for role, kind, name in (
            ("servicePoint", "ServicePoint", "service_point_id"),
            ("meter", "Meter", "meter_id"),
        )
        if told.text(name)
    ]


def _has(row: Any, reference: str) -> bool:
    ids = row.get("externalIdentifier") if isinstance(row, dict) else None
    return isinstance(ids, list) and any(isinstance(one, dict) and one.get("id") == reference for one in ids)


def _sequence(note: dict[str, Any], reference: str) -> int:
    """The number of the event that a note tells of; 0 where it is none of this ticket's."""
    ticket, _, sequence = str(note.get("id") or "").rpartition(".")
    return int(sequence) if ticket == reference and sequence.isdecimal() else 0
