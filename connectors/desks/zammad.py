"""Tickets in Zammad: one there for each of ours, later events as articles and changes of state.

Our ticket's id stands in brackets in the title, and the event's id in brackets in the subject of
each article, so that both are found again after a create or an article whose answer was lost.

Looking a title up goes by ``condition`` and not by ``query``: a query is answered by the search
index, which learns of a ticket some seconds later, a condition by the database itself.

.. [1] Zammad REST API, tickets and articles, https://docs.zammad.org/en/latest/api/ticket/index.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors.desks.http import LONG, CallConfig, Caller, Reply, check_url, judge, number
from connectors.desks.http_desk import HttpDesk
from connectors.desks.told import Told
from streams.messages import NS
from streams.ports import Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.tickets import iso

_TITLE = 250  # characters that Zammad keeps of a title and of a subject
_DAY = 86_400
#: our state → Zammad's; the pending ones need the time at which they end
STATES = {
    "new": "new",
    "waiting_customer": "pending reminder",
    "waiting_lab": "pending reminder",
    "implemented": "pending close",
    "callback": "pending close",
    "closed": "closed",
    "archived": "closed",
    "false_alarm": "closed",
    # Zammad's own merging takes two of its tickets: the article says which of ours goes on
    "merged": "closed",
}
PRIORITIES = {"P1": "3 high", "P2": "3 high", "P3": "2 normal", "P4": "1 low"}
_PENDING = frozenset({"pending reminder", "pending close"})
_OURS = re.compile(r"^\[(?P<ticket>[A-Z0-9-]+)\.(?P<sequence>\d+)\]")


@dataclass(frozen=True, slots=True)
class ZammadConfig:
    """One Zammad.

    url          : its address, without ``/api/v1``
    token        : an access token of an agent with ``ticket.agent`` in the group
    group        : that tickets are created in
    customer     : login or address of the customer that they are created for; it must exist
    internal     : whether articles are hidden from the customer
    pending_days : after which a pending ticket comes up again there
    types, urgencies, drills : what is sent; empty: all
    """

    url: str
    token: str = field(repr=False)
    customer: str
    group: str = "Users"
    internal: bool = False
    language: str = "zh"
    pending_days: float = 7.0
    types: tuple[str, ...] = ()
    urgencies: tuple[str, ...] = ()
    drills: bool = True
    call: CallConfig = LONG
    name: str = "zammad"

    def __post_init__(self) -> None:
        check_url(self.name, self.url, allow_private=self.call.allow_private)
        for what in ("token", "group", "customer"):
            if not getattr(self, what):
                raise ValueError(f"{self.name}: expected {what} beside url, got none")


class Zammad(HttpDesk):
    """Delivers ticket events to one Zammad."""

    def __init__(self, config: ZammadConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._base = f"{config.url.rstrip('/')}/api/v1"
        super().__init__(config, Caller(config.call, now_ns=now_ns))

    async def find(self, event: TicketEvent) -> str | None:
        """The number of the ticket that a create may have left; articles are looked for as they are added."""
        return await self._search(event.ticket_id) if event.type == "opened" else None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Create the ticket, or add to the one that is there."""
        if not remote_id and event.type != "opened":
            # what opened it is a dead letter, or was before this desk was set up
            remote_id = await self._search(event.ticket_id) or ""
        return await (self._add(event, remote_id) if remote_id else self._create(event))

    async def _create(self, event: TicketEvent) -> str:
        config, told = self._config, Told(event)
        body = {
            "title": f"[{event.ticket_id}] {told.title(config.language)}"[:_TITLE],
            "group": config.group,
            "customer": config.customer,
            **self._standing(told),
            "article": self._article(told),
        }
        answer = await self._ask("POST", "/tickets", body)
        found = number(answer.json)
        if not found:
            raise Unavailable(self.endpoint, f"expected the new ticket with its id, got {answer.said}")
        return found

    async def _add(self, event: TicketEvent, remote_id: str) -> str:
        """One article and the state; nothing where the article is there, no state where a later one is."""
        told = Told(event)
        answer = await self._ask("GET", f"/ticket_articles/by_ticket/{remote_id}")
        articles = answer.json
        if not isinstance(articles, list):
            raise Unavailable(self.endpoint, f"expected the ticket's articles, got {answer.said}")
        there = {n for article in articles if (n := _sequence(article, event.ticket_id))}
        if told.sequence in there:
            return remote_id
        body: dict[str, Any] = {"article": self._article(told)}
        if told.sequence > max(there, default=0):
            body |= self._standing(told)
        await self._ask("PUT", f"/tickets/{remote_id}", body)
        return remote_id

    async def _search(self, reference: str) -> str | None:
        """The number of the oldest ticket with our reference in its title; None where there is none."""
        marked = f"[{reference}]"
        query = urlencode(
            {
                "condition[ticket.title][operator]": "contains",
                "condition[ticket.title][value]": marked,
                "expand": "true",
                "limit": 50,
            }
        )
        answer = await self._ask("GET", f"/tickets/search?{query}")
        rows = answer.json
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable(self.endpoint, f"expected a list of tickets, got {answer.said}")
        if not all(marked in str(row.get("title", "")) for row in rows):
            raise Unavailable(
                self.endpoint, f"expected only tickets with {marked} in their title, got others"
            )
        found = sorted(int(row["id"]) for row in rows if number(row).isdecimal())
        return str(found[0]) if found else None

    def _standing(self, told: Told) -> dict[str, Any]:
        """State and priority as Zammad names them."""
        state = STATES.get(told.state, "open")
        standing = {"state": state, "priority": PRIORITIES.get(told.event.priority, "2 normal")}
        if state in _PENDING:
            until = self._now_ns() + round(self._config.pending_days * _DAY) * NS
            standing["pending_time"] = iso(until)
        return standing

    def _article(self, told: Told) -> dict[str, Any]:
        language = self._config.language
        return {
            "subject": f"[{told.event.id}] {told.title(language)}"[:_TITLE],
            "body": told.body(language) or told.title(language),
            "content_type": "text/plain",
            "type": "note",
            "internal": self._config.internal,
        }

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        headers = {"authorization": f"Token token={self._config.token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        reply = await self._caller.call(
            method, f"{self._base}{path}", None if body is None else msgspec.json.encode(body), headers
        )
        if reply.status == 404 and method in ("GET", "PUT") and "search" not in path:
            raise Rejected(self.endpoint, f"{reply.said}; the ticket is not there any more: {path}")
        if reply.status == 422 and b"No lookup value found" in reply.content:
            # of group, customer, state or priority: true of every ticket until somebody mends it
            raise Unavailable(
                self.endpoint, f"{reply.said}; see group and customer in desks.{self.name}", 60.0
            )
        judge(self.endpoint, reply)
        return reply


def _sequence(article: Any, reference: str) -> int:
    """The number of the event that an article tells of; 0 where it is none of this ticket's."""
    found = _OURS.match(str(article.get("subject") or "")) if isinstance(article, dict) else None
    return int(found["sequence"]) if found and found["ticket"] == reference else 0
