"""The values that move through Forestall: readings, flags, dead letters, control events.

Times are integers, nanoseconds since 1970-01-01T00:00:00Z, unless a name says
otherwise. Units are UCUM codes (``m3``, ``L``, ``kW.h``, ``m3/h``, ``V``).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import msgspec

READINGS = "readings.v1"
FLAGS = "flags.v1"
COMPLAINTS = "complaints.v1"
VERDICTS = "verdicts.v1"
TICKETS = "tickets.v1"
DEAD_LETTERS = "dead-letters.v1"
REGISTRY = "registry.v1"
TOPICS = (READINGS, FLAGS, COMPLAINTS, VERDICTS, TICKETS, DEAD_LETTERS)

NS = 1_000_000_000  # nanoseconds in a second


class Kind(IntEnum):
    """What a value measures (ESPI accumulation kinds 1, 4 and 12)."""

    UNSTATED = 0  # the payload does not say: the registry decides
    REGISTER = 1  # cumulative
    INTERVAL = 2  # used since the last one
    GAUGE = 3  # instantaneous


class Quality(IntEnum):
    """How far a value may be trusted."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Mark(IntFlag):
    """What is known of a reading beside its value."""

    NONE = 0
    RETAINED = 1  # the broker kept it: it says nothing of now
    HISTORICAL = 2  # backfill, import: never a live alarm
    ESTIMATED = 4  # substituted, not measured
    EDITED = 8  # corrected by a person
    ARRIVAL_TIME = 16  # the payload has no time of its own: the time of arrival stands in
    GAP = 32  # readings before it are known to be missing (a jump in the sequence number)


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One canonical reading (schema ``reading/1``)."""

    meter_id: str
    time_ns: int  # event time; of an interval its end unless the registry says otherwise
    value: float
    kind: Kind = Kind.UNSTATED
    unit: str = ""  # UCUM; empty: the registry's unit
    quality: Quality = Quality.GOOD
    marks: int = 0  # of Mark
    register: str = ""  # OBIS code or local name; empty: the total
    serial: str = ""  # of the physical meter
    period_start_ns: int | None = None
    multiplier: float = 1.0  # to be applied to the value
    attributes: dict[str, str] = {}  # valve, battery, tamper, native quality codes


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reading came from: one raw message."""

    adapter: str  # the dialect that read it
    topic: str  # MQTT topic or file name
    received_ns: int
    sequence: int = -1  # the sender's own number, -1: none
    digest: bytes = b""  # first 16 bytes of the SHA-256 of topic, NUL, payload; empty: it has none
    unique: bool = True  # the same digest again is the same message come again: it states its own times


DIGEST = "sha-256-128"  # RFC 6920: SHA-256, the first 128 bits
RAW_MESSAGES = "raw_messages"  # in a flag's evidence: the messages that it comes from


def written_digest(digest: bytes) -> str:
    """The digest of a raw message as flags, tickets and dead letters show it: algorithm, colon, hexadecimal."""
    return f"{DIGEST}:{digest.hex()}"


class RawMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A payload as it came off the wire."""

    topic: str
    payload: bytes
    received_ns: int
    retained: bool = False
    redelivered: bool = False  # MQTT DUP
    full_size: int = 0  # bytes on the wire where the payload was too large and cut; 0: it is whole


class Reject(msgspec.Struct, frozen=True):
    """A part of a payload that could not become a reading, and why."""

    reason: str  # expected …, got …
    raw: bytes


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What ``dead-letters.v1`` carries (JSON; ``raw`` in base64).

    ``raw`` may be a part of a payload, or cut; ``digest`` is always of the whole message.
    """

    source: str  # MQTT topic or file
    adapter: str
    reason: str
    raw: bytes
    received_ns: int
    truncated: bool = False  # raw is cut to the first 64 KiB
    size: int = 0  # of the raw payload in bytes
    digest: str = (
        ""  # of the raw message that it was in, "sha-256-128:…"; empty: none, or not all of it is here
    )


class Status:
    """The states of a flag's episode, as they stand in ``flags.v1``."""

    RAISED = "raised"
    UPDATED = "updated"
    CLEARED = "cleared"


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an episode, as ``flags.v1`` and ``forestall replay`` carry it.

    ``id`` is a function of meter, family and the episode's first instant, so that a
    replayed input repeats it. Times are ISO 8601 UTC strings.
    """

    id: str
    meter_id: str
    kind: str
    family: str
    status: str  # raised, updated, cleared
    at: str  # event time at which the decision was possible
    start: str  # first instant of the episode
    end: str  # last instant that the evidence covers
    score: float  # larger = more certain; 1 = at the threshold
    observed: float | None
    expected: float | None
    unit: str
    evidence: dict[str, Any] = {}
    service_point_id: str = ""
    area: str = ""
    commodity: str = ""
    place: dict[str, Any] = {}  # what the registry states of where the meter hangs and when it is billed
    historical: bool = False


class Counts(msgspec.Struct):
    """What came in that was counted and not raised: of one meter, or of an area, since its state began.

    readings     distinct ones taken in
    missing      intervals that never came, by the usual spacing; one that comes late is no longer missing
    late         older than the meter's newest
    duplicates   the same reading again
    corrections  the same time again, another value
    negative     amounts below zero of a meter that only counts in
    off_grid     stamps more than 3 min beside the interval's end, in UTC and in the meter's zone, where the registry
                 states the interval
    off_size     intervals of another length than the registry states
    rollovers    registers that passed their highest value
    bad          of bad quality, no number, or an error code
    ahead        stamped later than they arrived, by more than is tolerated
    """

    area: str
    meter_id: str = ""  # empty: the whole area
    register: str = ""
    readings: int = 0
    missing: int = 0
    late: int = 0
    duplicates: int = 0
    corrections: int = 0
    negative: int = 0
    off_grid: int = 0
    off_size: int = 0
    rollovers: int = 0
    bad: int = 0
    ahead: int = 0


class DayCounts(msgspec.Struct, frozen=True):
    """Reads of one day of those meters that have area, route and concentrator in common.

    day : since 1970, as the meters' own zones have it; −1: all days that were more than 400 behind the newest
          when their readings came
    The counts are those of ``Counts``; a missing interval counts on the day on which it was due.
    """

    day: int
    area: str
    route: str
    concentrator: str
    readings: int = 0
    missing: int = 0
    late: int = 0
    duplicates: int = 0
    corrections: int = 0
    bad: int = 0
    ahead: int = 0


#: family → kinds that belong to it (DESIGN §6)
FAMILIES: dict[str, tuple[str, ...]] = {
    "usage_high": ("spike", "high_usage", "bill_shock"),
    "usage_low": ("low_usage", "level_shift", "zero_usage", "stuck", "inactive_use"),
    "leak": ("leak", "continuous_flow", "night_flow", "over_limit"),
    "register": (
        "rollback",
        "rollover",
        "meter_swap",
        "misread",
        "unit_error",
        "sum_mismatch",
        "estimated_run",
        "true_up",
    ),
    "data": ("gap", "silent", "sentinel", "clock_drift", "concentrator_silent", "area_silent"),
    "tamper": ("tamper", "use_on_closed_valve"),
    "scada": ("limit", "rate", "frozen", "pressure_low", "pressure_high", "residual"),
    "supply": ("outage", "repeated_outage", "voltage_low", "voltage_high", "transformer_outage"),
    "balance": ("balance", "night_minimum", "line_loss"),
}
FAMILY_OF: dict[str, str] = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
