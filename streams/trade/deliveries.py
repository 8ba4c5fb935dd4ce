"""What is told of tickets and to whom: the event, its delivery, and how much of it there is.

``TicketEvent`` is what the outbox holds; everything else says how far it has come.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from streams.trade.tickets import iso


class TicketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a ticket: what the outbox holds and desks are told.

    ``data`` is what goes out (JSON types only); the other fields are for choosing.
    """

    id: str  # ticket id . line of history: the same for every retry
    type: str  # opened, updated, joined, cleared, linked, moved
    ticket_id: str
    time_ns: int
    category: str
    urgency: str
    priority: str
    drill: bool = False
    data: dict[str, Any] = {}


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that somebody has claimed."""

    number: int
    event: TicketEvent
    desk: str
    attempts: int  # this one included
    created_ns: int
    lease: str
    remote_id: str = ""  # the desk's number for the ticket, from an earlier event


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one claimed delivery.

    ``done`` (with the other side's number), ``retry`` (not before ``due_ns``), ``dead``, or
    ``release`` (it was not tried); retry and dead have a reason.
    """

    item: OutboxItem
    verdict: Literal["done", "retry", "dead", "release"]
    remote_id: str = ""
    due_ns: int = 0
    reason: str = ""


class DeadDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that was given up."""

    number: int
    event: TicketEvent
    desk: str
    attempts: int
    reason: str
    dead_ns: int


class DisabledDesk(msgspec.Struct, frozen=True, kw_only=True):
    """A desk whose receiver wants nothing more at this endpoint."""

    name: str
    endpoint: str
    reason: str
    disabled_ns: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The last sign of life of a process."""

    process: str  # role@host:pid
    since_ns: int  # of its first
    at_ns: int
    figures: dict[str, Any]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is in the store."""

    tickets: dict[str, int]  # by state
    open: int
    outbox_pending: int
    outbox_oldest_ns: int | None  # when the oldest waiting event was written
    dead: int


def cloud_event(event: TicketEvent, source: str) -> dict[str, Any]:
    """The event as CloudEvents 1.0, structured JSON (https://cloudevents.io, specification 1.0.2)."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": f"forestall.ticket.{event.type}.v1",
        "subject": event.ticket_id,
        "time": iso(event.time_ns),
        "datacontenttype": "application/json",
        "data": event.data,
    }
