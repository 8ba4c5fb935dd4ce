"""What fails as a whole is one ticket: a concentrator, a transformer, a line, a district or another area."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streams.messages import Flag

#: kind of flag → what failed as a whole: the key of ``Flag.place``, or ``area``
_WHOLE: Mapping[str, str] = MappingProxyType(
    {
        "concentrator_silent": "concentrator",
        "area_silent": "area",
        "transformer_outage": "transformer",
        "repeated_outage": "line",
        "balance": "area",
        "night_minimum": "area",
        "line_loss": "area",
    }
)
#: kind of a single meter's flag → the wholes whose open ticket it belongs to
_PART: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gap": ("concentrator", "transformer", "area"),
        "silent": ("concentrator", "transformer", "area"),
        "outage": ("transformer", "line"),
        "voltage_low": ("transformer",),
    }
)
#: family of a whole's ticket
FAMILY: Mapping[str, str] = MappingProxyType(
    {"concentrator": "data", "transformer": "supply", "line": "supply", "area": "balance"}
)
_LISTED = 500


def whole_of(flag: Flag) -> str:
    """What this flag says has failed as a whole, such as ``concentrator/C12``; empty for a single meter."""
    return _named(flag, _WHOLE.get(flag.kind, ""))


def wholes_around(flag: Flag) -> tuple[str, ...]:
    """What a single meter's flag may be a part of."""
    scopes = _PART.get(flag.kind, ())
    if flag.place.get("concentrator"):
        scopes = tuple(scope for scope in scopes if scope != "area")
    named = (_named(flag, scope) for scope in scopes)
    return tuple(name for name in named if name)


def hangs_on(place: Mapping[str, Any], area: str, whole: str) -> bool:
    """Whether a meter of this area, whose registry row states this place, hangs on what failed as a whole.

    A meter falls silent with its concentrator; with its area where none is stated.
    """
    scope, _, name = whole.partition("/")
    if scope == "area":
        return bool(name) and area == name and not place.get("concentrator")
    return bool(name) and place.get(scope) == name


def point_of(flag: Flag) -> str:
    """The place that a flag's ticket is opened for: what failed as a whole, else the service point."""
    return whole_of(flag) or flag.service_point_id or flag.meter_id


def places_of(flag: Flag) -> tuple[str, ...]:
    """Everything that holds this flag's meter and may be muted, as ``scope/name``."""
    own = (
        ("meter", flag.meter_id),
        ("service_point", flag.service_point_id or flag.meter_id),
        ("area", flag.area),
    )
    hangs = ((scope, flag.place.get(scope)) for scope in ("line", "transformer", "concentrator"))
    return tuple(f"{scope}/{name}" for scope, name in (*own, *hangs) if name)


def members_of(flag: Flag) -> tuple[str, ...]:
    """The meters that failed together, as far as the flag lists them; else its own."""
    for name in ("members", "meters"):
        listed = flag.evidence.get(name)
        if isinstance(listed, list) and listed:
            return tuple(str(one) for one in listed[:_LISTED])
    return (flag.meter_id,)


def count_of(flag: Flag) -> int:
    """How many meters a flag is about."""
    for name in ("members_silent", "silent_meters", "meters"):
        told = flag.evidence.get(name)
        # a flag of thousands of meters may give their number only
        if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
            return int(told)
    return len(members_of(flag))


def _named(flag: Flag, scope: str) -> str:
    name = flag.area if scope == "area" else flag.place.get(scope, "") if scope else ""
    return f"{scope}/{name}" if name else ""
