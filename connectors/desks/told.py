"""What a ticket event says, for desks that do not send it as it is.

Events wait in the outbox for days: one that an older program wrote may lack what was added since.
"""

from __future__ import annotations

import re
from typing import Any

from streams.trade.deliveries import TicketEvent
from streams.trade.states import TMF621, State

#: event types after which nothing more is to be done
_ENDED = frozenset({"closed", "archived", "false_alarm", "merged"})
_SEQUENCE = re.compile(r"\.(\d+)$")


class Told:
    """One event, read."""

    def __init__(self, event: TicketEvent) -> None:
        self.event = event
        self.ticket: dict[str, Any] = event.data.get("ticket", {})
        self.change: dict[str, Any] = event.data.get("change", {})

    @property
    def sequence(self) -> int:
        """The line of history that the event tells of: events of a ticket are numbered by it."""
        found = _SEQUENCE.search(self.event.id)
        return int(found[1]) if found else 0

    @property
    def state(self) -> str:
        return str(self.ticket.get("state", State.NEW))

    @property
    def status(self) -> str:
        """The state as a status of TMF621."""
        try:
            return TMF621[State(self.state)]
        except ValueError:
            return "acknowledged"

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    def title(self, language: str) -> str:
        """One line, in ``zh`` or ``en``."""
        return str(self._text(language).get("title", self.event.ticket_id))

    def body(self, language: str) -> str:
        """Several lines, in ``zh`` or ``en``."""
        return str(self._text(language).get("body", ""))

    def text(self, name: str) -> str:
        """A field of the ticket as text; empty where it has none."""
        value = self.ticket.get(name)
        return "" if value is None else str(value)

    def _text(self, language: str) -> dict[str, Any]:
        found = self.event.data.get("text", {}).get(language, {})
        return found if isinstance(found, dict) else {}


def wanted(event: TicketEvent, types: tuple[str, ...], urgencies: tuple[str, ...], *, drills: bool) -> bool:
    """Whether an event is of the types and urgencies that a desk is set to; empty: of any."""
    return (
        (not types or event.type in types)
        and (not urgencies or event.urgency in urgencies)
        and (drills or not event.drill)
    )
