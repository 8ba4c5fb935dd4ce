"""What keeps a flag from becoming a ticket for a while: planned outages, vacancies, snoozes.

A muted flag is kept with its reason; when the mute ends and the flag has not been cleared,
it becomes a ticket after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from streams.messages import Flag


class MuteKind(StrEnum):
    """Why there is quiet."""

    PLANNED_OUTAGE = "planned_outage"  # 计划停供
    VACANCY = "vacancy"  # 空置
    SNOOZE = "snooze"  # staff know of it


#: families that a mute of this kind is about, unless it names its own; None: all but safety
_ABOUT: Mapping[MuteKind, frozenset[str] | None] = MappingProxyType(
    {
        MuteKind.PLANNED_OUTAGE: frozenset({"supply", "data", "usage_low", "scada"}),
        MuteKind.VACANCY: frozenset({"usage_low", "data"}),
        MuteKind.SNOOZE: None,
    }
)
_SAFETY = frozenset({"leak", "tamper"})


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of quiet at one place.

    place     : ``meter/…``, ``service_point/…``, ``area/…``, ``line/…``, ``transformer/…``, ``concentrator/…``
    kinds     : kinds of flags that it is about; none: those of its own kind's families
    start_ns, end_ns : wall clock; a snooze always ends
    notice_ns : when customers were told of a planned outage; None: not yet
    """

    id: str
    kind: MuteKind
    place: str
    kinds: tuple[str, ...] = ()
    start_ns: int
    end_ns: int
    reason: str
    by: str
    created_ns: int
    notice_ns: int | None = None

    def covers(self, flag: Flag, now_ns: int) -> bool:
        """Tell whether this flag, at one of the places of its meter, is to wait."""
        if not self.start_ns <= now_ns < self.end_ns:
            return False
        if self.kinds:
            return flag.kind in self.kinds
        about = _ABOUT[self.kind]
        return flag.family not in _SAFETY if about is None else flag.family in about


class Muted(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that waits: its last event, and why. ``mute_id`` empty: below the bar of its kind.

    until_ns : the mute's end; of one that has waited when that was over, if it was before
    heard_ns : when its detector last spoke of it
    """

    flag_id: str
    service_point_id: str
    meter_id: str
    family: str
    kind: str
    mute_id: str
    why: str
    until_ns: int
    flag: Flag
    since_ns: int
    heard_ns: int
    outcome: str = ""  # empty: it waits; cleared: it ended by itself; opened: it became a ticket after all

    def ended(self, flag: Flag, outcome: str, now_ns: int) -> Muted:
        """The flag as one that waits no more."""
        until_ns = min(self.until_ns, now_ns)
        return replace(self, flag=flag, outcome=outcome, until_ns=until_ns, heard_ns=now_ns)


def first_covering(mutes: Iterable[Mute], flag: Flag, now_ns: int) -> Mute | None:
    """The mute that a flag waits for: of several the one that ends last."""
    found = [mute for mute in mutes if mute.covers(flag, now_ns)]
    return max(found, key=lambda mute: (mute.end_ns, mute.id), default=None)
