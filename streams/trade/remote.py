"""What another system says of its ticket that is ours too: the values."""

from __future__ import annotations

from typing import Literal

import msgspec

#: statuses of TMF621, and ``open``: of a helpdesk that does not say whether somebody works on it
STATUSES = (
    "open",
    "acknowledged",
    "rejected",
    "pending",
    "held",
    "inProgress",
    "cancelled",
    "closed",
    "resolved",
)
_OPEN = frozenset({"open", "acknowledged", "inProgress"})


class RemoteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a desk about one ticket. It is known by our ``reference`` or its own number."""

    desk: str
    event_id: str  # the same at every repetition
    at_ns: int  # when it happened there
    status: str  # of STATUSES
    before: str = ""  # what it was there as far as we know; filled in by the store
    reference: str = ""  # our ticket's id
    remote_id: str = ""  # its number there
    merged_into: str = ""  # of a cancelled one: the ticket that goes on, ours or theirs; by the store: ours
    note: str = ""  # in the other side's words


class Heeded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change.

    ``moved``; ``reported`` in the history; ``nothing`` was to be done; ``repeated``: it was taken before;
    ``overtaken`` by a later one; ``unknown``: no ticket of ours.
    """

    outcome: Literal["moved", "reported", "nothing", "repeated", "overtaken", "unknown"]
    ticket_id: str = ""
    state: str = ""


def same(one: str, other: str) -> bool:
    """Whether two statuses say the same."""
    if "open" in (one, other):
        return one in _OPEN and other in _OPEN
    return one == other
