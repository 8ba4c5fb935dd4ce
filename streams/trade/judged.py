"""What flags have turned out to be: the values, and which detector a flag came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from streams.trade.tickets import Episode, Ticket, Verdict

#: detector of a kind, for flags whose evidence does not name it: of several the one that is asked first
DETECTOR_OF: Mapping[str, str] = MappingProxyType(
    {
        "area_silent": "silence",
        "balance": "balance",
        "bill_shock": "bill_shock",
        "clock_drift": "intervals",
        "concentrator_silent": "silence",
        "continuous_flow": "continuous_flow",
        "estimated_run": "estimates",
        "frozen": "frozen",
        "gap": "silence",
        "high_usage": "high_low",
        "inactive_use": "shut_off",
        "leak": "habit",
        "limit": "limits",
        "line_loss": "balance",
        "low_usage": "habit",
        "meter_swap": "intervals",
        "misread": "intervals",
        "night_minimum": "night_minimum",
        "outage": "interruptions",
        "over_limit": "over_limit",
        "pressure_high": "limits",
        "pressure_low": "limits",
        "rate": "rate",
        "repeated_outage": "interruptions",
        "rollback": "intervals",
        "sentinel": "sentinels",
        "silent": "silence",
        "spike": "habit",
        "stuck": "habit",
        "sum_mismatch": "sum_check",
        "tamper": "tampering",
        "transformer_outage": "transformer",
        "true_up": "estimates",
        "unit_error": "steps",
        "use_on_closed_valve": "shut_off",
        "voltage_high": "voltage",
        "voltage_low": "voltage",
        "zero_usage": "high_low",
    }
)
#: a flag of another system, or of a detector that is gone
UNKNOWN = "unknown"
_SELF = "self_watch"
_Z = 1.959963984540054  # of a two-sided interval of 95 %


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The newest word about one flag of a ticket that is no drill.

    single    : said of this flag alone; a word about the whole ticket on its closing leaves it
    score     : of the flag's newest event; 1 = at the threshold
    raised_ns : when the flag first came onto a ticket, wall clock
    """

    flag_id: str
    ticket_id: str
    detector: str
    kind: str
    family: str
    area: str
    verdict: Verdict
    reason: str
    by: str
    single: bool = False
    score: float | None = None
    raised_ns: int
    at_ns: int


class BarMove(msgspec.Struct, frozen=True, kw_only=True):
    """One move of the bar of a kind, with the figures that it was made on."""

    seq: int = 0  # given by the store
    kind: str
    bar: float
    before: float
    at_ns: int
    by: str
    why: str
    figures: dict[str, Any] = {}


class VerdictIn(msgspec.Struct, frozen=True, kw_only=True):
    """A message of ``verdicts.v1``: what somebody says of a ticket, or of some of its flags.

    One of ``ticket_id`` and ``flag_ids`` is there. A verdict that comes from another system
    names it in ``by``.
    """

    verdict: Verdict
    by: str
    ticket_id: str = ""
    flag_ids: tuple[str, ...] = ()
    reason: str = ""


def detector_of(kind: str, family: str, evidence: Mapping[str, Any]) -> str:
    """The detector that a flag came from: what its evidence says, else by its kind."""
    named = evidence.get("detector")
    if isinstance(named, str) and named:
        return named
    return _SELF if family == "operations" else DETECTOR_OF.get(kind, UNKNOWN)


def judged(
    ticket: Ticket,
    episode: Episode,
    verdict: Verdict,
    reason: str,
    by: str,
    at_ns: int,
    came_ns: int | None = None,
) -> Judged:
    """The word about one flag.

    ticket  : with its history, which tells when the flag came
    came_ns : when it came onto another ticket, which was merged into this one; None: it did not
    """
    own = (line.at_ns for line in ticket.history if line.flag_id == episode.flag_id)
    came = next(own, ticket.opened_ns) if came_ns is None else came_ns
    return Judged(
        flag_id=episode.flag_id,
        ticket_id=ticket.id,
        detector=detector_of(episode.kind, episode.family, episode.evidence),
        kind=episode.kind,
        family=episode.family,
        area=ticket.area,
        verdict=verdict,
        reason=reason,
        by=by,
        score=episode.score,
        raised_ns=came,
        at_ns=at_ns,
    )


def wilson(good: int, of: int, z: float = _Z) -> tuple[float, float]:
    """The score interval of a share (Wilson, 1927, JASA 22:209); of none: (0, 1)."""
    if not 0 <= good <= of:
        raise ValueError(f"expected 0 <= good <= of, got {good} of {of}")
    if of == 0:
        return 0.0, 1.0
    p, zz = good / of, z * z
    middle = (p + zz / (2 * of)) / (1 + zz / of)
    half = z / (1 + zz / of) * math.sqrt(p * (1 - p) / of + zz / (4 * of * of))
    # at the ends the bound is the end itself, but for rounding
    return (0.0 if good == 0 else middle - half), (1.0 if good == of else middle + half)
