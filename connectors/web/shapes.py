"""The API's bodies: codes and figures as they are kept, instants in ISO 8601 UTC.

A ticket has the fields that its events carry (``tickets.v1``, webhooks), under the same names.
"""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, Field

from connectors.sqlite_history.reader import Latest, Series
from streams.messages import NS, Counts, Flag, Kind, Mark, Quality
from streams.papers.written import instant
from streams.trade.settlement import sums
from streams.trade.tickets import Episode, Ticket, iso

_KINDS = {int(kind): kind.name.lower() for kind in Kind}
_FLAGS = 50  # as many as an event carries
_QUALITIES = {int(quality): quality.name.lower() for quality in Quality}


class ReadingOut(BaseModel):
    """One reading."""

    meter_id: str
    register_: str = Field(alias="register", description="OBIS code or local name; empty: the total")
    time: str
    value: float
    unit: str = Field(description="UCUM code; empty where neither payload nor registry states one")
    kind: str = Field(description="register, interval, gauge, or unstated: the registry decides")
    quality: str = Field(description="good, uncertain or bad")
    marks: list[str] = Field(description="retained, historical, estimated, edited, arrival_time, gap")


class ReadingsOut(BaseModel):
    """Readings, newest first."""

    items: list[ReadingOut]
    kept_at: str = Field(description="where readings are kept besides")


class RegisterOut(BaseModel):
    """The readings of one register as columns of one length, by time."""

    register_: str = Field(alias="register")
    time: list[str]
    value: list[float]
    unit: list[str]
    kind: list[str]
    quality: list[str]
    marks: list[list[str]]


class SeriesOut(BaseModel):
    """The readings of a meter."""

    meter_id: str
    registers: list[RegisterOut]
    truncated: bool = Field(description="there are more: ask again with start = next")
    next: str | None = Field(description="time of the first reading left out")


class FlagOut(BaseModel):
    """One flag event, as ``flags.v1`` has it."""

    id: str
    meter_id: str
    kind: str
    family: str
    status: str
    at: str
    start: str
    end: str
    score: float
    observed: float | None
    expected: float | None
    unit: str
    evidence: dict[str, Any]
    service_point_id: str
    area: str
    commodity: str
    historical: bool


class FlagsOut(BaseModel):
    """Flag events by their ``at``, newest first."""

    items: list[FlagOut]
    next: str | None = Field(description="for the page after this one: before = next")
    kept_at: str


COUNTS = Counts.__struct_fields__[3:]


class CountsOut(BaseModel):
    """Of a meter, one of its registers, or an area, since its state began."""

    area: str
    meter_id: str = Field(description="empty: the whole area")
    register_: str = Field(alias="register", description="empty: the meter's main one")
    readings: int = Field(description="distinct ones taken in")
    missing: int = Field(description="intervals that never came")
    late: int
    duplicates: int
    corrections: int
    negative: int = Field(description="amounts below zero")
    off_grid: int = Field(description="stamps more than 3 min beside the interval's end")
    off_size: int = Field(description="intervals of another length than the registry states")
    rollovers: int = Field(description="registers that passed their highest value")
    bad: int = Field(description="of bad quality, no number, or an error code")
    ahead: int = Field(description="stamped later than they arrived")
    at: str = Field(description="when a worker last told of it")


class QualityOut(BaseModel):
    """What is counted and not raised."""

    items: list[CountsOut]


class HypothesisOut(BaseModel):
    """A possible cause, and what to check next."""

    cause: str
    weight: float
    next_check: str


class EstimateOut(BaseModel):
    """What should have been billed, and the difference; ``low`` and ``high`` bound the excess."""

    expected: float
    billed: float
    excess: float
    unit: str
    method: str
    low: float | None
    high: float | None
    money: dict[str, Any] | None = Field(description="amount, low, high, currency, tariff; amounts as text")
    assumptions: list[str]


class TicketOut(BaseModel):
    """One ticket."""

    id: str
    dedup_key: str
    origin: str
    drill: bool
    service_point_id: str
    meter_id: str
    area: str
    commodity: str
    family: str
    kind: str
    purpose: str = Field(description="case, or explain: the use is real, the customer is to be told")
    place: dict[str, Any] = Field(description="what the registry states of where the meter hangs")
    group: str = Field(description="what failed as a whole, such as concentrator/C12; empty: one meter")
    meters: list[str] = Field(description="of a group, the first 500")
    meter_count: int
    lead_flag_id: str
    event_at: str
    flags: int = Field(description="how many flags it has")
    flag_ids: list[str] = Field(description="the newest 50 of them")
    complaints: int = Field(description="how many complaints it has")
    complaint_ids: list[str] = Field(description="the newest 50 of them")
    related: list[str]
    lead_time_s: float | None
    category: str
    urgency: str
    impact: str
    priority: str
    hypotheses: list[HypothesisOut]
    checks: list[str]
    evidence: dict[str, Any]
    estimate: EstimateOut | None
    estimates: list[dict[str, Any]] = Field(
        description="methods side by side, as staff saw them when they chose"
    )
    credit: dict[str, Any] | None = Field(description="the newest")
    earlier_credits: list[dict[str, Any]] = Field(
        description="booked or refused before it, oldest first; each is for a period of its own"
    )
    credit_sums: list[dict[str, Any]] = Field(
        description="what the approved and booked ones come to, by currency, or by unit where given in kind"
    )
    rerating: dict[str, Any] | None = Field(
        description="bills after a credited period that stand at the wrong place in the tiers: what they were, what "
        "they would be; told when the credit was booked"
    )
    bill_hold: bool = Field(description="the bill is disputed and waits")
    hold_reason: str = Field(description="why; of a complaint its number and subject")
    notices: list[dict[str, Any]] = Field(description="messages to the customer")
    first_owner: str
    owner: str
    owner_department: str
    co_departments: list[str]
    hand_offs: int
    sla: dict[str, Any]
    state: str
    escalated: bool
    responsibility: str
    resolution: str
    verdict: str
    verdict_reason: str
    cause: str = Field(description="what it was")
    archive_class: str
    callback: dict[str, Any]
    swap: dict[str, Any] | None
    record: dict[str, str] = Field(description="the four parts of a low-voltage record")
    watch_until_at: str | None = Field(description="until when what comes back reopens it")
    merged_into: str
    language: str
    opened_at: str
    updated_at: str
    closed_at: str | None
    version: int


class TicketsOut(BaseModel):
    """Tickets, newest first."""

    items: list[TicketOut]
    next: str | None = Field(description="for the page after this one: before = next")


class TicketDetailOut(TicketOut):
    """One ticket with its history, checks, flags, and the numbers that other systems gave it."""

    history: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    external_refs: dict[str, str]
    episodes: list[dict[str, Any]]


class ProcessOut(BaseModel):
    """One process of ours."""

    process: str = Field(description="role@host:pid")
    role: str
    alive: bool
    age_s: float = Field(description="since its last sign of life")
    since: str
    at: str
    figures: dict[str, Any]


class StatusOut(BaseModel):
    """How it goes."""

    now: str
    version: str
    processes: list[ProcessOut]
    totals: dict[str, int | float | str | None]
    tickets: dict[str, int] = Field(description="by state; open: all that are open")
    outbox: dict[str, int | float | str | None]
    history: dict[str, bool | str]


def marks(bits: int) -> list[str]:
    """The names of a reading's marks."""
    return [str(mark.name).lower() for mark in Mark if mark & bits]


def reading(found: Latest) -> dict[str, Any]:
    """A reading, for ``ReadingOut``."""
    return {
        "meter_id": found.meter_id,
        "register": found.register,
        "time": instant(found.time_ns),
        "value": found.value,
        "unit": found.unit,
        "kind": _KINDS.get(found.kind, str(found.kind)),
        "quality": _QUALITIES.get(found.quality, str(found.quality)),
        "marks": marks(found.marks),
    }


def series(meter_id: str, found: list[Series], limit: int) -> dict[str, Any]:
    """Readings as columns, the oldest ``limit`` of each register, for ``SeriesOut``."""
    left_out = [int(s.time_ns[limit]) for s in found if len(s) > limit]
    # every register ends before the same instant, so that the next page begins there for all
    until = min(left_out, default=None)
    registers = []
    for s in found:
        rows = len(s) if until is None else int((s.time_ns < until).sum())
        registers.append(
            {
                "register": s.register,
                "time": [instant(t) for t in s.time_ns[:rows].tolist()],
                "value": s.value[:rows].tolist(),
                "unit": s.unit[:rows],
                "kind": [_KINDS.get(k, str(k)) for k in s.kind[:rows].tolist()],
                "quality": [_QUALITIES.get(q, str(q)) for q in s.quality[:rows].tolist()],
                "marks": [marks(m) for m in s.marks[:rows].tolist()],
            }
        )
    return {
        "meter_id": meter_id,
        "registers": registers,
        "truncated": until is not None,
        "next": None if until is None else instant(until),
    }


def quality(counts: Counts, at_ns: int) -> dict[str, Any]:
    """One row of the data-quality table."""
    return {**msgspec.structs.asdict(counts), "at": instant(at_ns)}


def flag(found: Flag) -> dict[str, Any]:
    """A flag event, for ``FlagOut``."""
    fields: dict[str, Any] = msgspec.structs.asdict(found)
    return fields


def ticket(found: Ticket) -> dict[str, Any]:
    """A ticket, for ``TicketOut``."""
    fields: dict[str, Any] = msgspec.to_builtins(found)
    for name in ("history", "steps", "external_refs", "prior", "digest"):
        del fields[name]
    fields["flag_ids"] = list(found.flag_ids[-_FLAGS:])
    fields["complaints"] = len(found.complaint_ids)
    fields["complaint_ids"] = list(found.complaint_ids[-_FLAGS:])
    fields["credit_sums"] = msgspec.to_builtins(sums(found.credits))
    return _dated(fields)


def detail(found: Ticket, episodes: list[Episode]) -> dict[str, Any]:
    """A ticket with all its parts, for ``TicketDetailOut``."""
    return {
        **ticket(found),
        "history": [_dated(msgspec.to_builtins(entry)) for entry in found.history],
        "steps": [_dated(msgspec.to_builtins(step)) for step in found.steps],
        "external_refs": found.external_refs,
        "episodes": [msgspec.to_builtins(episode) for episode in episodes],
    }


#: parts of a ticket that have instants of their own
_DATED = frozenset({"sla", "callback", "swap", "credit", "earlier_credits", "rerating", "notices"})


def _dated(fields: dict[str, Any]) -> dict[str, Any]:
    """``x_ns`` becomes ``x_at``, an instant; a length of time becomes seconds. Evidence stays as it is."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "paused_ns":
            out["paused_s"] = value / NS
        elif name == "at_ns":
            out["at"] = iso(value)
        elif name.endswith("_ns"):
            out[f"{name[:-3]}_at"] = None if value is None else iso(value)
        else:
            out[name] = _inner(value) if name in _DATED else value
    return out


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return _dated(value)
    return [_dated(item) for item in value] if isinstance(value, list | tuple) else value
