"""Tickets: the values, their states and codes.

The values are frozen; the verbs that change them are in ``rules`` (flags), ``lifecycle``
(staff) and ``linking`` (complaints), each on the ``book`` of one transaction. Names ending
in ``_ns`` are wall-clock times in nanoseconds since 1970 UTC; ``at``, ``start`` and ``end`` are
event times in ISO 8601, as the flag has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec.structs import replace

from streams.messages import NS
from streams.trade.settlement import Alternative, Credit, Estimate, Money, Notice, Rerating
from streams.trade.states import ENDED, OPEN, RESOLVED, Category, Origin, State, StepKind, Urgency, label

__all__ = [
    "ENDED",
    "LARGE",
    "NAMED",
    "OPEN",
    "Alternative",
    "Callback",
    "Category",
    "Credit",
    "Episode",
    "Estimate",
    "HistoryEntry",
    "Hypothesis",
    "Money",
    "Notice",
    "Origin",
    "Purpose",
    "Sla",
    "State",
    "Step",
    "StepKind",
    "Swap",
    "Ticket",
    "Urgency",
    "Verdict",
    "iso",
    "label",
    "with_flags",
]


#: how many of its flags a ticket names itself: it is written with each that joins
NAMED = 50
#: ``Ticket.impact`` of a large customer
LARGE = "large_customer"


class Purpose(StrEnum):
    """What a ticket is for."""

    CASE = "case"  # something is wrong until it is excluded
    EXPLAIN = "explain"  # the use is real and will shock: the customer is told before the bill


class Verdict(StrEnum):
    """What a flag has turned out to be."""

    CONFIRMED = "confirmed"
    FALSE_ALARM = "false_alarm"
    EXPLAINED = "explained"  # the flag was right and nothing was wrong: real use


class Hypothesis(msgspec.Struct, frozen=True):
    """A possible cause, how likely we hold it, and what to check next."""

    cause: str  # a code of ``causes``
    weight: float  # prior share, the weights of a ticket sum to 1
    next_check: str  # a code of ``causes``


class Sla(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When something is due, and whether the clock stands still."""

    ack_due_ns: int | None = None
    resolve_due_ns: int | None = None
    callback_due_ns: int | None = None
    acknowledged_ns: int | None = None
    paused_since_ns: int | None = None
    paused_ns: int = 0  # in all pauses so far, by this clock:
    clock: str = "working"  # or ``wall``, for an emergency


class Callback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The call to the customer after the work (回访), with sign-off (签字确认) and rating (评价)."""

    done_ns: int | None = None
    satisfied: bool | None = None
    none_because: str = ""  # why there was none
    rating: int | None = None  # 1 (worst) to 5
    signed: str = ""  # how the customer signed off: paper, app, telephone


class Swap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A meter swap as the customer is told of it: the stop read and the start read (起止码)."""

    old_serial: str
    new_serial: str
    stop_read: float
    start_read: float
    unit: str
    at: str  # when, ISO 8601
    by: str = ""
    told_ns: int | None = None  # when the customer was told of both reads
    seen_at: str = ""  # event time of the new device's first read, ISO 8601


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One check of an investigation, in its order, with its result."""

    seq: int
    kind: StepKind
    check: str  # a code of ``causes``
    cause: str  # the hypothesis that it decides
    result: str = ""  # empty: not done yet
    by: str = ""
    done_ns: int | None = None
    finding: str = ""  # positive: the cause is found, negative: excluded, unclear


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a ticket's history; never changed once written."""

    seq: int
    at_ns: int
    actor: str
    action: str  # opened, joined, updated, cleared, linked, moved, relapsed, …
    note: str = ""
    flag_id: str = ""
    before: str = ""  # state
    after: str = ""  # state
    digest: str = ""  # of this line and the one before: a line that is changed or taken away shows


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """What is last known of one flag, and the ticket that it is on."""

    flag_id: str
    ticket_id: str
    meter_id: str
    kind: str
    family: str
    status: str
    at: str  # of the last event
    start: str
    end: str
    score: float | None
    observed: float | None
    expected: float | None
    unit: str
    evidence: dict[str, Any]
    estimate: Estimate | None = None
    updates: int = 0


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """One case for a person. ``history``, ``steps`` and ``external_refs`` are filled by ``Store.ticket``."""

    id: str
    dedup_key: str  # service point | family | flag that opened it
    origin: Origin = Origin.PROACTIVE
    purpose: Purpose = Purpose.CASE
    drill: bool = False
    service_point_id: str
    meter_id: str
    area: str = ""
    commodity: str = ""
    place: dict[str, Any] = {}  # what the registry states of where the meter hangs and when it is billed
    family: str
    kind: str  # of the leading flag
    lead_flag_id: str = ""  # the flag that evidence and estimate come from
    event_at: str = ""  # event time of the flag that opened it
    flag_ids: tuple[str, ...] = ()  # the newest 50; all are known by their episodes
    flags: int = 0  # how many it has
    complaint_ids: tuple[str, ...] = ()
    group: str = ""  # what failed as a whole: "concentrator/C12", "transformer/T7", "area/D3"
    meters: tuple[str, ...] = ()  # of a group: those that failed with it, the first 500
    meter_count: int = 1  # all of them
    related: tuple[str, ...] = ()  # tickets of other families at the same service point
    lead_time_s: float | None = None  # first complaint − flag
    category: Category
    urgency: Urgency
    impact: str = ""
    priority: str  # P1 … P4
    hypotheses: tuple[Hypothesis, ...] = ()  # the likeliest first, after the checks that are done
    prior: tuple[Hypothesis, ...] = ()  # as they were before the first check; empty: none is done
    checks: tuple[str, ...] = ()  # those that have a step, in the steps' order
    evidence: dict[str, Any] = {}
    estimate: Estimate | None = None
    estimates: tuple[Alternative, ...] = ()  # side by side, as staff saw them when they chose
    credit: Credit | None = None  # the newest
    earlier_credits: tuple[Credit, ...] = ()  # booked or refused before it, oldest first
    rerating: Rerating | None = None  # later bills that the booked credits have moved in the tiers
    notices: tuple[Notice, ...] = ()  # messages to the customer, the first 100
    first_owner: str = ""  # 首问责任: kept on every transfer
    owner: str = ""  # who has it now
    owner_department: str = ""
    co_departments: tuple[str, ...] = ()
    hand_offs: int = 0
    sla: Sla = Sla()
    state: State = State.NEW
    escalated: bool = False
    responsibility: str = ""
    resolution: str = ""
    verdict: str = ""
    archive_class: str = ""
    verdict_reason: str = ""
    cause: str = ""  # what it was, a code of ``causes``
    callback: Callback = Callback()
    swap: Swap | None = None
    record: dict[str, str] = {}  # of low voltage: 一投诉、一跟踪、一策略、一管控
    bill_hold: bool = False  # the bill is disputed and waits
    hold_reason: str = ""  # why
    watch_until_ns: int | None = None  # after the fix the meter is watched: a relapse reopens
    merged_into: str = ""
    language: str = "zh"
    opened_ns: int
    updated_ns: int
    closed_ns: int | None = None
    version: int = 0  # lines of history written so far
    digest: str = ""  # of the last of them
    history: tuple[HistoryEntry, ...] = ()
    steps: tuple[Step, ...] = ()
    external_refs: dict[str, str] = {}  # desk → its own number for this ticket

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in OPEN

    @property
    def held(self) -> bool:
        """Whether a person looks first, before other systems hear of it (large customers, 人工研判)."""
        waits = self.state is State.NEW and not self.complaint_ids and self.urgency is not Urgency.EMERGENCY
        return waits and self.impact == LARGE

    @property
    def due_ns(self) -> int | None:
        """What is due next: acknowledgement, solution or callback; None while the clock stands or nothing is."""
        sla = self.sla
        due = [sla.ack_due_ns] if sla.acknowledged_ns is None and self.open else []
        if self.open and sla.paused_since_ns is None and self.state not in RESOLVED:
            due.append(sla.resolve_due_ns)
        if self.state in RESOLVED and self.callback.done_ns is None and not self.callback.none_because:
            due.append(sla.callback_due_ns)
        return min((one for one in due if one is not None), default=None)

    @property
    def credits(self) -> tuple[Credit, ...]:
        """All its credits, oldest first."""
        return self.earlier_credits if self.credit is None else (*self.earlier_credits, self.credit)

    @property
    def opened_at(self) -> str:
        """Wall-clock time of opening, ISO 8601 UTC."""
        return iso(self.opened_ns)


def with_flags(ticket: Ticket, flag_ids: Sequence[str], count: int | None = None) -> Ticket:
    """The ticket with flags that have come to it; ``count``: how many they are, where not all are named."""
    more = len(flag_ids) if count is None else count
    return replace(ticket, flag_ids=(*ticket.flag_ids, *flag_ids)[-NAMED:], flags=ticket.flags + more)


def iso(time_ns: int) -> str:
    """ISO 8601 UTC with milliseconds, of nanoseconds since 1970."""
    seconds, rest = divmod(time_ns, NS)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"
