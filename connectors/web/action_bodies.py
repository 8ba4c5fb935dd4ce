"""What requests of staff carry, field by field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_TEXT = 4000  # characters


class Body(BaseModel):
    """A body; fields that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class MoveIn(Body):
    """Into another state, with the facts that it asks for."""

    to: str = Field(description="the state", examples=["investigating"])
    note: str = Field("", max_length=_TEXT)
    department: str = ""
    owner: str = ""
    resolution: str = Field("", description="repair, replacement, explanation, fee_adjustment, apology …")
    responsibility: str = Field("", description="company, customer, third_party, force_majeure, none")
    verdict: str = Field("", description="confirmed, false_alarm, explained")
    verdict_reason: str = Field("", max_length=_TEXT)
    cause: str = Field("", description="what it was: a code of the causes")
    archive_class: str = ""
    satisfied: bool | None = Field(None, description="the customer's answer at the callback")
    rating: int | None = Field(None, ge=1, le=5)
    signed: str = Field("", max_length=100, description="how the customer signed off")
    no_callback: str = Field("", max_length=_TEXT, description="why there was none")


class CheckIn(Body):
    """What a check has shown."""

    result: str = Field(min_length=1, max_length=_TEXT)
    finding: str = Field(description="positive: the cause is found; negative: excluded; unclear")
    cause: str = Field("", description="what was found, where the check looks for more than one cause")


class NewCheckIn(Body):
    """One more check."""

    check: str


class HandOffIn(Body):
    """To whom."""

    department: str = ""
    owner: str = Field("", max_length=100)
    note: str = Field("", max_length=_TEXT)
    co_departments: list[str] | None = None


class MergeIn(Body):
    """Into which ticket."""

    into: str
    note: str = Field("", max_length=_TEXT)


class NoteIn(Body):
    """A text."""

    text: str = Field(min_length=1, max_length=_TEXT)


class ReasonIn(Body):
    """Why."""

    note: str = Field("", max_length=_TEXT)


class SwapIn(Body):
    """A meter swap, with both reads."""

    old_serial: str
    new_serial: str
    stop_read: float = Field(ge=0)
    start_read: float = Field(ge=0)
    unit: str
    at: str = Field(description="when, ISO 8601 with its zone")


class RecordIn(Body):
    """One of the four parts of a low-voltage record."""

    part: str = Field(description="complaint, tracking, strategy, control")
    text: str = Field(min_length=1, max_length=_TEXT)


class ImpactIn(Body):
    """The class of impact; empty: none."""

    impact: str = Field("", max_length=60)


class OpenIn(Body):
    """What a person has seen, or the scene of a drill."""

    meter_id: str = Field(min_length=1, max_length=256)
    kind: str
    service_point_id: str = Field("", max_length=256)
    area: str = Field("", max_length=256)
    commodity: str = ""
    unit: str = ""
    note: str = Field("", max_length=_TEXT)
    drill: bool = False


class MuteIn(Body):
    """Where flags are to wait, from when to when, and why."""

    kind: str = Field(description="planned_outage, vacancy, snooze")
    place: str = Field(description="meter/…, service_point/…, area/…, line/…, transformer/…, concentrator/…")
    kinds: list[str] = Field([], description="kinds of flags; none: those that its own kind is about")
    start: str = Field("", description="ISO 8601 with its zone; empty: now")
    end: str
    reason: str = Field(min_length=1, max_length=_TEXT)


class NoticeIn(Body):
    """When customers were told."""

    at: str = Field("", description="ISO 8601 with its zone; empty: now")
