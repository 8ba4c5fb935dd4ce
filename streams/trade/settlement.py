"""What a case is worth and what the customer is told: estimates, credits (退补), notices. The values.

The verbs are in ``credit`` and ``notices``, the figures are made in ``estimate`` and ``tariff``.
Money is a Decimal in whole smallest coins, written as text ("731.10"), never a float.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum

import msgspec


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """What an excess comes to: the bill for what was billed less the bill for what was expected.

    Above zero it goes back to the customer (退), below zero it is to be charged (补). ``low`` and
    ``high`` belong to those of the excess.
    """

    amount: Decimal
    currency: str  # ISO 4217
    tariff: str  # its name in the tariff file
    low: Decimal | None = None
    high: Decimal | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What should have been billed, and the difference: the basis of a credit (退补).

    ``low`` and ``high`` bound the *excess*; None where the history gives no spread. An excess
    below zero is use that was never billed.
    """

    expected: float
    billed: float
    excess: float  # billed − expected
    unit: str
    method: str  # a code of ``wording``
    low: float | None = None
    high: float | None = None
    money: Money | None = None  # needs a tariff
    assumptions: tuple[str, ...] = ()  # codes of ``wording``


class ReratedBill(msgspec.Struct, frozen=True, kw_only=True):
    """A bill after a corrected period: what it was, and what it would be at its right place in the tiers.

    start, end         : its days in the meter's zone, the end excluded
    amount             : its use, without what was credited of it
    before, before_now : use since the tariff year began: as it was billed, and as it is corrected
    old, new           : its money by the two; low, high: of the new one, by the range of the corrections
    """

    start: date
    end: date
    amount: Decimal
    unit: str
    before: Decimal
    before_now: Decimal
    old: Decimal
    new: Decimal
    low: Decimal | None = None
    high: Decimal | None = None
    told: Decimal | None = None  # what billing was told before that it would be


class Rerating(msgspec.Struct, frozen=True, kw_only=True):
    """The later bills of the tariff year that stand at the wrong place in the tiers; the billing system is told.

    difference : new − old of all of them; below zero the customer has paid too much
    replaces   : the difference that was told before, and that this one takes the place of; None: none was
    done       : what of the difference billing has acted on; ``due`` is left to do
    why_not    : why nobody can tell (a code of ``wording``)
    """

    made_ns: int
    bills: tuple[ReratedBill, ...] = ()
    currency: str = ""
    difference: Decimal = Decimal(0)
    assumptions: tuple[str, ...] = ()  # codes of ``wording``
    why_not: str = ""
    replaces: Decimal | None = None
    done: Decimal = Decimal(0)
    due: Decimal = Decimal(0)
    done_by: str = ""
    done_ns: int | None = None  # None: it is to be acted on
    reference: str = ""  # of the re-rating in the billing system

    @property
    def waits(self) -> bool:
        """Whether billing has something to do."""
        return self.done_ns is None and (bool(self.bills) or self.due != 0)


class Alternative(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One method beside the others: its estimate, or why it gives none (codes of ``wording``)."""

    method: str
    estimate: Estimate | None = None
    why_not: str = ""  # no estimate
    no_money: str = ""  # an estimate, and no money for it
    rerating: Rerating | None = None  # of later bills, if it is booked; tariffs with tiers of a year


class CreditState(StrEnum):
    """How far a credit has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    BOOKED = "booked"


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """A credit (退) or a charge (补) that staff propose, approve and book.

    ``quantity`` and ``amount`` are above zero for what the customer gets back, below zero for what
    is to be charged. ``amount`` None: given in kind (补气), no tariff being there to price it.
    """

    # what a later program adds below has a default: a credit that was kept before is still read

    revision: int  # counts the proposals; an approval names the one that it saw
    state: CreditState
    method: str  # of an estimate, or ``own``
    quantity: float | None
    unit: str
    amount: Decimal | None
    currency: str
    reason: str  # why this method, or this amount
    proposed_by: str
    proposed_ns: int
    second_person: bool  # whether somebody else has to approve it
    decided_by: str = ""
    decided_ns: int | None = None
    decision: str = ""  # why it was approved or refused
    booked_by: str = ""
    booked_ns: int | None = None
    reference: str = ""  # of the booking in the billing system
    start_ns: int | None = None  # the period that it is for; None: not known
    end_ns: int | None = None
    estimate: Estimate | None = None  # the one that was chosen
    later: Decimal = Decimal(0)  # what later bills move by it in the tiers, new − old; of its currency
    granted: Granted | None = None  # by the approved credit that it took the place of

    @property
    def settled(self) -> bool:
        """Whether nothing more becomes of it: another proposal is another credit."""
        return self.state in (CreditState.REFUSED, CreditState.BOOKED)


class Granted(msgspec.Struct, frozen=True):
    """What one credit moves, later bills with it, without its sign; None: use without a price, or of no period."""

    amount: Decimal | None
    currency: str = ""


class CreditSum(msgspec.Struct, frozen=True, kw_only=True):
    """What the approved and booked credits of a ticket come to, in one currency or, in kind, in one unit."""

    count: int
    amount: Decimal | None = None  # None: in kind
    currency: str = ""
    quantity: float | None = None  # of those in kind
    unit: str = ""


def sums(some: Iterable[Credit]) -> tuple[CreditSum, ...]:
    """What credits come to that were approved or booked, money first; those proposed or refused are not counted."""
    money: dict[str, list[Decimal]] = {}
    kind: dict[str, list[float]] = {}
    for one in some:
        if one.state not in (CreditState.APPROVED, CreditState.BOOKED):
            continue
        if one.amount is not None:
            money.setdefault(one.currency, []).append(one.amount)
        elif one.quantity is not None:
            kind.setdefault(one.unit, []).append(one.quantity)
    in_money = [
        CreditSum(count=len(each), amount=sum(each, Decimal(0)), currency=currency)
        for currency, each in sorted(money.items())
    ]
    in_kind = [
        # to the digits that the quantities have: floats add up to 365.40000000000003
        CreditSum(count=len(each), quantity=round(sum(each), 6), unit=unit)
        for unit, each in sorted(kind.items())
    ]
    return (*in_money, *in_kind)


class NoticeState(StrEnum):
    """How far a message to the customer has come."""

    DRAFT = "draft"
    APPROVED = "approved"
    SENT = "sent"


class NoticeText(msgspec.Struct, frozen=True, kw_only=True):
    """A message in one language: the whole text, and the short one for SMS."""

    text: str
    sms: str
    sms_parts: int  # messages that the network makes of it


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A message to the customer, in both languages, to be approved by a person before it is sent."""

    number: int  # on its ticket, from 1
    situation: str  # a code of ``notice_words``
    state: NoticeState
    channel: str  # sms, phone, app, email, letter, visit
    zh: NoticeText
    en: NoticeText
    drafted_by: str
    drafted_ns: int
    approved_by: str = ""
    approved_ns: int | None = None
    sent_by: str = ""  # a desk, or who sent it by hand
    sent_ns: int | None = None
