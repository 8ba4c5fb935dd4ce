"""The topic ``tickets.v1`` as a desk, and which desks are told of what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from streams.messages import TICKETS
from streams.ports import Desk, Log
from streams.trade.deliveries import TicketEvent, cloud_event

#: what says that a record's value is a whole CloudEvent (Kafka protocol binding 1.0.2, structured mode)
STRUCTURED = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


class LogDesk:
    """The topic ``tickets.v1`` as a desk: CloudEvents in the Kafka binding, keyed by ticket."""

    def __init__(self, target: Log, source: str = "/forestall") -> None:
        self._log = target
        self._source = source

    @property
    def name(self) -> str:
        return TICKETS

    @property
    def endpoint(self) -> str:
        return f"log:{TICKETS}"

    def wants(self, event: TicketEvent) -> bool:
        return True

    async def find(self, event: TicketEvent) -> str | None:
        """A log is not searched; its readers know an event by its id."""
        return None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        body = msgspec.json.encode(cloud_event(event, self._source))
        await self._log.append(TICKETS, body, key=event.ticket_id.encode(), headers=STRUCTURED)
        return ""

    async def close(self) -> None:
        """The log belongs to whoever made it."""


def wanted_by(desks: Sequence[Desk]) -> Callable[[TicketEvent], Sequence[str]]:
    """What the store asks when it writes the outbox: the names of the desks that want an event."""
    chosen = tuple(desks)
    return lambda event: [desk.name for desk in chosen if desk.wants(event)]
