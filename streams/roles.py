"""Who may do what. The tenant is that of the credentials: an installation serves one."""

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
#: right → roles that have it
RIGHTS: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "read": _ALL,  # readings, flags, tickets: pseudonymous
        "work": _STAFF,  # move tickets, results of checks, hand-offs, snoozes, notes
        "money": frozenset({Role.BILLING, Role.ADMIN}),  # estimates, credits, approval of them
        "complain": frozenset({Role.COMPLAINTS, Role.OPERATOR, Role.BILLING, Role.ADMIN}),
        "unmask": _STAFF,  # names and telephone numbers, with a reason, logged
        "audit": frozenset({Role.AUDITOR, Role.ADMIN}),  # the audit log and the access log
        "tune": frozenset({Role.ADMIN}),  # bars of detectors
        "people": frozenset({Role.ADMIN}),  # export and erase by service point, dead letters
    }
)
