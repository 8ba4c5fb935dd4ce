"""What staff are shown and what they ask for where money is concerned: the values between desk and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from streams.messages import NS
from streams.trade.points import Point
from streams.trade.settlement import Alternative, Estimate, Rerating
from streams.trade.tickets import Ticket

DAY = 86_400 * NS


class Advice(StrEnum):
    """What to do with a bill."""

    HOLD = "hold"
    SEND = "send"
    ESTIMATE = "send_estimated"
    RERATE = "rerate"  # bills of before, which stand at the wrong place in the tiers


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One open ticket whose meter is billed on a day: what billing staff decide by."""

    bill_date: str
    meter_id: str
    service_point_id: str
    ticket_id: str
    kind: str
    priority: str
    state: str
    held: bool
    advice: Advice
    why: str  # a code of ``money_words``
    estimate: Estimate | None = None
    rerating: Rerating | None = None  # the earlier bills that are to be rated anew


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """The period that is billed: local days from ``start`` to before ``end``.

    before : use since the tariff year began and before ``start``, in the tariff's unit
    """

    start: date
    end: date
    before: Decimal = Decimal(0)


class Window(msgspec.Struct, frozen=True):
    """The period billed: from ``start_ns`` to ``end_ns``."""

    start_ns: int
    end_ns: int

    @property
    def days(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / DAY

    def year_before(self) -> Window:
        """The same days of the year before."""
        return Window(_year_before(self.start_ns), _year_before(self.end_ns))


class SideBySide(msgspec.Struct, frozen=True, kw_only=True):
    """What was billed, and what each method says should have been."""

    window: Window | None  # None: not known
    unit: str
    billed: float | None
    tariff: str
    billed_money: Decimal | None
    currency: str
    use: Use | None  # the period as the tariff sees it
    alternatives: tuple[Alternative, ...]

    def of(self, method: str) -> Alternative | None:
        """One of the methods."""
        return next((one for one in self.alternatives if one.method == method), None)


@dataclass(frozen=True, slots=True)
class Place:
    """A ticket, its meter, and the others of the area."""

    ticket: Ticket
    point: Point
    neighbours: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Choice:
    """What staff have chosen: a method, or figures of their own (method ``own``).

    quantity, amount : of their own; above zero back to the customer, below zero to be charged
    in_kind          : give use, not money (补气)
    seen             : revision of the credit that was on the screen, 0: none; None: any
    """

    method: str
    reason: str
    quantity: float | None = None
    amount: Decimal | None = None
    currency: str = ""
    in_kind: bool = False
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that staff ask for."""

    situation: str
    channel: str = "sms"
    written: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    start_ns: int | None = None
    end_ns: int | None = None
    cause: str = ""


def since_1970(stamp: datetime) -> int:
    """Nanoseconds since 1970 of an instant with its zone."""
    past = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1000


def _year_before(time_ns: int) -> int:
    stamp = datetime.fromtimestamp(time_ns // NS, UTC)
    day = stamp.day if (stamp.month, stamp.day) != (2, 29) else 28
    return since_1970(stamp.replace(year=stamp.year - 1, day=day))
