"""Bills after a corrected period, at the place in the tiers where they belong now (阶梯重新计费).

With tiers of a year (年阶梯) what was used before a bill decides what the bill costs. When a period turns out to have
been billed too much, or too little, every later bill of that tariff year stood at the wrong place. Here they are
found by the reads and computed anew; nothing is changed in the billing system.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np

from streams.messages import NS
from streams.trade.bill_days import bill_date, local_day
from streams.trade.decisions import DAY, Use, since_1970
from streams.trade.points import Point
from streams.trade.reads import Amounts
from streams.trade.settlement import Credit, CreditState, ReratedBill, Rerating
from streams.trade.tariff import NoPrice, Tariff, Tariffs
from streams.zones import offset_at

_RARELY = 20 * DAY  # a meter read less often is billed by its reads
#: after the last corrected period: its tariff year, and that of one that lies over the turn
_LONGEST = 732 * DAY
_COVERED = 0.8
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Correction:
    """A period that was billed wrongly: local days from ``start`` to before ``end``.

    excess    : billed − expected; below zero: billed too little
    low, high : its range; None: none is known
    unit      : of all three
    """

    start: date
    end: date
    excess: float
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill after the first corrected period: its days, its use, and what was used before it in the tariff year."""

    start: date
    end: date
    amount: Decimal
    before: Decimal


def corrections_of(credits_: Iterable[Credit], tz: str, also: int = 0) -> list[Correction]:
    """What the booked credits of a ticket correct; one of money alone says nothing of the use.

    also : the revision of one that is being booked
    """
    found = []
    for one in credits_:
        if one.state is not CreditState.BOOKED and one.revision != also:
            continue
        if one.quantity is None or one.start_ns is None or one.end_ns is None:
            continue
        start = local_day(tz, one.start_ns)
        end = max(local_day(tz, one.end_ns), start + timedelta(days=1))
        low, high = (None, None) if one.estimate is None else (one.estimate.low, one.estimate.high)
        found.append(Correction(start, end, one.quantity, one.unit, low, high))
    return found


def rerating(
    point: Point,
    own: Amounts | None,
    unit: str,
    corrections: Sequence[Correction],
    tariffs: Tariffs,
    now_ns: int,
    told: Sequence[ReratedBill] = (),
) -> Rerating | None:
    """The bills up to now that stand at the wrong place in the tiers, with what they were and what they would be.

    own  : the meter's amounts [unit]; None: no reads can be had
    told : bills that were told before: they are listed also where they cost by now what they did, and stand as they
           were told where their reads are no longer there
    None : the tariff has no tiers of a year, or nothing is corrected
    """
    if not corrections:
        return None
    try:
        tariff = tariffs.at(point.tariff, min(one.start for one in corrections))
        if tariff.by != "year":
            return None
        if own is None or not len(own.end):
            return Rerating(made_ns=now_ns, why_not="no_reads_here")
        spans, notes, why_not = _spans(point, own, sorted({one.end for one in corrections}), now_ns)
        if why_not:
            return Rerating(made_ns=now_ns, why_not=why_not)
        bills, more = _bills(point, own, unit, spans, tariffs)
        return _rerated(point.tariff, corrections, bills, tariffs, now_ns, (*notes, *more), told)
    except NoPrice as error:
        return Rerating(made_ns=now_ns, why_not=error.code)


def _rerated(
    name: str,
    corrections: Sequence[Correction],
    bills: Sequence[Bill],
    tariffs: Tariffs,
    now_ns: int,
    notes: tuple[str, ...],
    told: Sequence[ReratedBill],
) -> Rerating:
    found = [one for one in told if not any(bill.start < one.end and one.start < bill.end for bill in bills)]
    known = {(one.start, one.end) for one in told}
    currency = ""
    for bill in bills:
        tariff = tariffs.at(name, bill.start)
        if tariff.by != "year":
            continue
        year = tariff.year_of(bill.start)
        shift, low, high = (
            sum((_part(one, tariff, year, bill.start, which) for one in corrections), _ZERO)
            for which in ("excess", "low", "high")
        )
        # what was credited of the bill's own use is settled, at the place that it had
        credited = sum((_part(one, tariff, bill.start, bill.end, "excess") for one in corrections), _ZERO)
        amount = max(_ZERO, bill.amount - credited)

        def cost(before: Decimal, bill: Bill = bill, amount: Decimal = amount) -> Decimal:
            use = Use(start=bill.start, end=bill.end, before=max(_ZERO, before))
            return tariffs.bill(name, amount, use)

        old, new = cost(bill.before), cost(bill.before - shift)
        least, most = sorted((cost(bill.before - low), cost(bill.before - high)))
        ranged = (low, high) != (shift, shift)
        if old == new == least == most and (bill.start, bill.end) not in known:
            continue
        currency = tariff.currency
        found.append(
            ReratedBill(
                start=bill.start,
                end=bill.end,
                amount=amount,
                unit=tariff.unit,
                before=bill.before,
                before_now=max(_ZERO, bill.before - shift),
                old=old,
                new=new,
                low=least if ranged else None,
                high=most if ranged else None,
            )
        )
    found.sort(key=lambda one: one.start)
    return Rerating(
        made_ns=now_ns,
        bills=tuple(found),
        currency=currency,
        difference=sum((one.new - one.old for one in found), _ZERO),
        assumptions=(
            *notes,
            "later_use_as_read",
            *(["range_of_credit"] if any(b.low for b in found) else []),
        ),
    )


def _part(one: Correction, tariff: Tariff, start: date, end: date, which: str) -> Decimal:
    """What of a correction lies in these days, by their number. [the tariff's unit]"""
    inside = (min(one.end, end) - max(one.start, start)).days
    if inside <= 0:
        return _ZERO
    value = getattr(one, which)
    amount = Tariffs.amount(one.excess if value is None else value, one.unit, tariff)
    return amount * inside / (one.end - one.start).days


def _spans(
    point: Point, own: Amounts, ends: Sequence[date], now_ns: int
) -> tuple[list[tuple[int, int]], tuple[str, ...], str]:
    """The periods billed since the first correction ended, by reads or by the bill day; or why they are not known. [ns]

    ends : of the corrections, in order; a period that one of them ends amid is divided there
    """
    after, cuts = ends[0], [_ns(point.tz, end) for end in ends]
    begin = cuts[0]
    until = min(now_ns, int(own.end.max()), cuts[-1] + _LONGEST)
    if float(np.median(own.end - own.start)) >= _RARELY:
        pairs = sorted(zip(own.start.tolist(), own.end.tolist(), strict=True))
        note = "bills_by_reads"
    elif point.bill_day is None:
        return [], (), "no_bill_day"
    else:
        days = [begin]
        year, month = after.year, after.month
        while days[-1] <= until:
            day = _ns(point.tz, bill_date(year, month, point.bill_day))
            if day > days[-1]:
                days.append(day)
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        pairs, note = list(pairwise(days)), "bills_by_bill_day"
    # a read may be taken at any hour of the day that a period ends on
    return (
        [
            part
            for start, end in pairs
            if end <= until
            for part in _divided(start, end, cuts)
            if part[0] >= begin - DAY
        ],
        (note,),
        "",
    )


def _divided(start: int, end: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """A period, divided at what lies inside of it by more than a day. [ns]"""
    inside = [cut for cut in cuts if start + DAY < cut < end - DAY]
    return list(pairwise([start, *inside, end]))


def _bills(
    point: Point, own: Amounts, unit: str, spans: Sequence[tuple[int, int]], tariffs: Tariffs
) -> tuple[list[Bill], list[str]]:
    """The bills of these periods; and what is to be said of those that reads do not cover."""
    found: list[Bill] = []
    notes: dict[str, None] = {}
    for start_ns, end_ns in spans:
        used = own.known(start_ns, end_ns)
        if used is None:
            notes["bills_unread"] = None
            continue
        start = local_day(point.tz, start_ns)
        end = max(local_day(point.tz, end_ns), start + timedelta(days=1))
        tariff = tariffs.at(point.tariff, start)
        begun = _ns(point.tz, tariff.year_of(start))
        before = own.over(begun, start_ns)
        if before.days < _COVERED * (start_ns - begun) / DAY:
            notes["tier_place_unsure"] = None
        found.append(
            Bill(
                start,
                end,
                tariffs.amount(used.amount, unit, tariff),
                tariffs.amount(before.amount, unit, tariff),
            )
        )
    return found, list(notes)


def _ns(tz: str, day: date) -> int:
    """When a day begins in a zone; UTC where the zone is not known."""
    midnight = since_1970(datetime(day.year, day.month, day.day, tzinfo=UTC))
    try:
        return midnight - offset_at(tz, midnight) * NS
    except ValueError:
        return midnight
