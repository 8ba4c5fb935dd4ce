"""Who may do what. The tenant is that of the credentials: an installation serves one (ADR 13)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec


class Role(StrEnum):
    """What a credential is for."""

    OPERATOR = "operator"
    BILLING = "billing"
    COMPLAINTS = "complaints"  # the complaint system
    AUDITOR = "auditor"
    ADMIN = "admin"


class Actor(msgspec.Struct, frozen=True):
    """Who asks: the name and role of a credential."""

    name: str
    role: Role

    def may(self, right: str) -> bool:
        """Tell whether this role has a right of ``RIGHTS``."""
        return self.role in RIGHTS[right]


_ALL = frozenset(Role)
_STAFF = frozenset({Role.OPERATOR, Role.BILLING, Role.ADMIN})
_ADMIN = frozenset({Role.ADMIN})
#: right → roles that have it
RIGHTS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "read": _ALL,  # readings, flags, tickets: pseudonymous
        "work": _STAFF,  # move tickets, results of checks, hand-offs, snoozes, notes
        "money": frozenset({Role.BILLING, Role.ADMIN}),  # estimates, credits, approval of them
        "complain": _STAFF | {Role.COMPLAINTS},  # complaints in, people by telephone number (masked)
        "unmask": _STAFF,  # names and telephone numbers, with a reason, logged
        "audit": frozenset({Role.AUDITOR, Role.ADMIN}),  # the audit log, the access log among it
        "tune": _ADMIN,  # bars of detectors
        "desks": _ADMIN,  # dead letters, desks that are switched off
        "people": _ADMIN,  # export and erase by service point
    }
)
#: who asks where no token is configured: whoever sits at this machine
LOCAL = Actor("admin", Role.ADMIN)
#: names that stand in the audit log for ourselves
RESERVED = frozenset({"forestall", "system"})
