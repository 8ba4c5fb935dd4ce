"""Instants as requests state them → nanoseconds since 1970."""

from __future__ import annotations

from datetime import datetime

from connectors.sqlite_history.reader import EVER
from connectors.web.problems import Problem
from streams.messages import NS

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


def instant_of(name: str, text: str, otherwise: int | None = None) -> int:
    """Nanoseconds since 1970 of an instant with its zone; ``otherwise`` for an empty one. Raises Problem (422)."""
    if not text and otherwise is not None:
        return otherwise
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        stamp = None
    if stamp is None or stamp.tzinfo is None:
        raise Problem(
            422,
            expected=f"{name} as ISO 8601 with its zone, such as 2012-06-10T00:00:00Z",
            got=repr(text[:64]),
            action="add Z or an offset; in a URL a + is written %2B",
        )
    past = stamp - _EPOCH
    found = (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1000
    if not EVER[0] <= found <= EVER[1]:
        raise Problem(
            422,
            expected=f"{name} between the years 1678 and 2262",
            got=repr(text[:64]),
            action="leave it out",
        )
    return found


def instant_if(name: str, text: str) -> int | None:
    """The same where one is stated; None for an empty one."""
    return instant_of(name, text) if text else None
