"""Tickets: the values, their states and codes, and the book of one transaction.

The values are frozen; the verbs that change them are in ``dispatch`` (flags) and
``lifecycle`` (staff). Names ending in ``_ns`` are wall-clock times in nanoseconds
since 1970 UTC; ``at``, ``start`` and ``end`` are event times in ISO 8601, as the flag
has them.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from streams.messages import NS, Flag
from streams.states import ENDED, OPEN, Category, Origin, State, StepKind, Urgency, label

__all__ = [
    "ENDED",
    "OPEN",
    "Book",
    "Callback",
    "Category",
    "Episode",
    "Estimate",
    "HistoryEntry",
    "Hypothesis",
    "Origin",
    "Sla",
    "State",
    "Step",
    "StepKind",
    "Ticket",
    "TicketEvent",
    "Urgency",
    "cloud_event",
    "event_key",
    "iso",
    "label",
    "point_of",
    "ticket_id",
]


class Hypothesis(msgspec.Struct, frozen=True):
    """A possible cause, how likely we hold it, and what to check next."""

    cause: str  # a code of ``causes``
    weight: float  # prior share, the weights of a ticket sum to 1
    next_check: str  # a code of ``causes``


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What should have been billed, and the difference: the basis of a credit (退补).

    ``low`` and ``high`` bound the *excess*; None where the history gives no spread.
    """

    expected: float
    billed: float
    excess: float  # billed − expected
    unit: str
    method: str  # a code of ``wording``
    low: float | None = None
    high: float | None = None
    money: float | None = None  # needs a tariff
    assumptions: tuple[str, ...] = ()  # codes of ``wording``


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
    """The call to the customer after the work (回访)."""

    done_ns: int | None = None
    satisfied: bool | None = None
    none_because: str = ""  # why there was none


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One check of an investigation, in its order, with its result."""

    seq: int
    kind: StepKind
    check: str  # a code of ``causes``
    cause: str  # the hypothesis that it decides
    result: str = ""  # empty: not done yet
    by: str = ""
    done_ns: int | None = None


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
    drill: bool = False
    service_point_id: str
    meter_id: str
    area: str = ""
    commodity: str = ""
    family: str
    kind: str  # of the leading flag
    lead_flag_id: str = ""  # the flag that evidence and estimate come from
    event_at: str = ""  # event time of the flag that opened it
    flag_ids: tuple[str, ...] = ()
    complaint_ids: tuple[str, ...] = ()
    related: tuple[str, ...] = ()  # tickets of other families at the same service point
    lead_time_s: float | None = None  # first complaint − flag
    category: Category
    urgency: Urgency
    impact: str = ""
    priority: str  # P1 … P4
    hypotheses: tuple[Hypothesis, ...] = ()
    checks: tuple[str, ...] = ()  # those that have a step, in the steps' order
    evidence: dict[str, Any] = {}
    estimate: Estimate | None = None
    first_owner: str = ""
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
    callback: Callback = Callback()
    merged_into: str = ""
    language: str = "zh"
    opened_ns: int
    updated_ns: int
    closed_ns: int | None = None
    version: int = 0  # lines of history written so far
    history: tuple[HistoryEntry, ...] = ()
    steps: tuple[Step, ...] = ()
    external_refs: dict[str, str] = {}  # desk → its own number for this ticket

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in OPEN

    @property
    def opened_at(self) -> str:
        """Wall-clock time of opening, ISO 8601 UTC."""
        return iso(self.opened_ns)


class TicketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a ticket: what the outbox holds and desks are told.

    ``data`` is what goes out (JSON types only); the other fields are for choosing.
    """

    id: str  # ticket id . line of history: the same for every retry
    type: str  # opened, updated, joined, cleared, linked, moved
    ticket_id: str
    time_ns: int
    category: str
    urgency: str
    priority: str
    drill: bool = False
    data: dict[str, Any] = {}


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that somebody has claimed."""

    number: int
    event: TicketEvent
    desk: str
    attempts: int  # this one included
    created_ns: int
    lease: str
    remote_id: str = ""  # the desk's number for the ticket, from an earlier event


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one claimed delivery.

    ``done`` (with the other side's number), ``retry`` (not before ``due_ns``), ``dead``, or
    ``release`` (it was not tried); retry and dead have a reason.
    """

    item: OutboxItem
    verdict: Literal["done", "retry", "dead", "release"]
    remote_id: str = ""
    due_ns: int = 0
    reason: str = ""


class DeadDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that was given up."""

    number: int
    event: TicketEvent
    desk: str
    attempts: int
    reason: str
    dead_ns: int


class DisabledDesk(msgspec.Struct, frozen=True, kw_only=True):
    """A desk whose receiver wants nothing more at this endpoint."""

    name: str
    endpoint: str
    reason: str
    disabled_ns: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The last sign of life of a process."""

    process: str  # role@host:pid
    since_ns: int  # of its first
    at_ns: int
    figures: dict[str, Any]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is in the store."""

    tickets: dict[str, int]  # by state
    open: int
    outbox_pending: int
    outbox_oldest_ns: int | None  # when the oldest waiting event was written
    dead: int


class Book:
    """What one transaction has read from the store and will write back.

    The verbs change the book; the store saves what changed, all of it or nothing.
    """

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.episodes: dict[str, Episode] = {}  # by flag
        self.seen: set[str] = set()  # event keys
        self.ignored = 0  # flag events that were seen before, or that concern no ticket
        self.new_seen: list[Flag] = []
        self.changed_tickets: dict[str, None] = {}
        self.changed_episodes: dict[str, None] = {}
        self.history: list[tuple[str, HistoryEntry]] = []
        self.steps: list[tuple[str, Step]] = []
        self.events: list[TicketEvent] = []

    def first_time(self, flag: Flag) -> bool:
        """Tell whether this flag event is new, and remember it."""
        key = event_key(flag)
        if key in self.seen:
            return False
        self.seen.add(key)
        self.new_seen.append(flag)
        return True

    def open_at(self, point: str, drill: bool) -> list[Ticket]:
        """The open tickets of a service point; drills and real ones never meet."""
        return [
            t for t in self.tickets.values() if t.open and t.service_point_id == point and t.drill == drill
        ]

    def put(self, ticket: Ticket) -> None:
        """Keep a new or changed ticket."""
        self.tickets[ticket.id] = ticket
        self.changed_tickets[ticket.id] = None

    def put_episode(self, episode: Episode) -> None:
        """Keep a new or changed episode."""
        self.episodes[episode.flag_id] = episode
        self.changed_episodes[episode.flag_id] = None


def point_of(flag: Flag) -> str:
    """The service point that a flag's ticket is opened for."""
    return flag.service_point_id or flag.meter_id


def event_key(flag: Flag) -> str:
    """What makes a flag event the same event again: flag, status, instant and content.

    The content counts because two detectors may update one episode at one instant.
    128 bits of BLAKE2b, in hexadecimal.
    """
    return hashlib.blake2b(msgspec.json.encode(flag), digest_size=16).hexdigest()


def ticket_id(dedup_key: str, drill: bool) -> str:
    """A ticket's number, made of its key: a replay into an empty store gives the same.

    64 bits of BLAKE2b in base 32; a drill's begins with DRILL, so that nobody drives out for it.
    """
    digest = hashlib.blake2b(dedup_key.encode(), digest_size=8).digest()
    return ("DRILL-" if drill else "FS-") + base64.b32encode(digest).decode().rstrip("=")


def iso(time_ns: int) -> str:
    """ISO 8601 UTC with milliseconds, of nanoseconds since 1970."""
    seconds, rest = divmod(time_ns, NS)
    stamp = datetime.fromtimestamp(seconds, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def cloud_event(event: TicketEvent, source: str) -> dict[str, Any]:
    """The event as CloudEvents 1.0, structured JSON (https://cloudevents.io, specification 1.0.2)."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": f"forestall.ticket.{event.type}.v1",
        "subject": event.ticket_id,
        "time": iso(event.time_ns),
        "datacontenttype": "application/json",
        "data": event.data,
    }
