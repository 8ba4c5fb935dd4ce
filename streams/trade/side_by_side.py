"""The methods of an estimate side by side, from a ticket's evidence and the history of its area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from streams.ports import PortError
from streams.trade.bill_days import local_day
from streams.trade.decisions import DAY, SideBySide, Use, Window, since_1970
from streams.trade.estimate import DETECTOR, Period, after_swap, of_history, periods_of, same_season
from streams.trade.points import Point
from streams.trade.reads import Amounts, Readings, amounts
from streams.trade.rerating import Correction, corrections_of, rerating
from streams.trade.settlement import Alternative, Estimate, ReratedBill, Rerating
from streams.trade.tariff import NoPrice, Tariffs
from streams.trade.tickets import Ticket

_AROUND = 70 * DAY  # reads on either side of a stretch, for meters that are read every two months


class History(Protocol):
    """Where readings are kept; raises Unavailable or Rejected."""

    async def series(self, meter_id: str, start_ns: int, end_ns: int) -> Sequence[Readings]:
        """A meter's readings between two instants, by register."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What the methods work on.

    own        : the meter's amounts; None: no history can be read
    neighbours : use a day now and a year before, of other meters of the area
    swapped    : what was used since a swap; None: no swap is on record
    """

    window: Window | None
    billed: float | None
    unit: str
    past: tuple[Period, ...] = ()
    own: Amounts | None = None
    neighbours: tuple[tuple[float, float], ...] = ()
    swapped: tuple[Period, ...] | None = None


async def gather(
    ticket: Ticket,
    point: Point,
    history: History | None,
    neighbours: Sequence[Point] = (),
    window: Window | None = None,
) -> Basis:
    """Read what the methods need.

    window : the period that staff have named; None: that of the leading flag
    Raises Unavailable or Rejected of the history.
    """
    past, billed, days = periods_of(ticket.evidence)
    unit = _unit(ticket, point)
    stated = _window(ticket.evidence, days)
    if window is not None:
        past, billed = [], None  # the flag's figures are of another period
    window = window or stated
    if history is None or window is None:
        return Basis(window, billed, unit, tuple(past))
    swap = None if ticket.swap is None else _instant(ticket.swap.at)
    own = await _own(ticket, point, history, unit)
    length = window.end_ns - window.start_ns
    if billed is None and (seen := own.known(window.start_ns, window.end_ns)) is not None:
        billed = seen.amount
    if not past:
        past = own.before(window.start_ns, length)
    now, then = window, window.year_before()
    rates = []
    for other in neighbours:
        both = []
        for part in (now, then):
            found = await history.series(other.meter_id, part.start_ns - _AROUND, part.end_ns + _AROUND)
            both.append(amounts(found, other, unit).known(part.start_ns, part.end_ns))
        if both[0] is not None and both[1] is not None:
            rates.append((both[0].amount / both[0].days, both[1].amount / both[1].days))
    since = None if swap is None else tuple(own.after(swap))
    return Basis(window, billed, unit, tuple(past), own, tuple(rates), since)


async def later_bills(
    ticket: Ticket,
    point: Point,
    history: History | None,
    tariffs: Tariffs,
    booking: int,
    now_ns: int,
    wished: Correction | None = None,
) -> Rerating | None:
    """What the booked credits of a ticket have done to later bills.

    booking : revision of the credit that is being booked; 0: none is
    wished  : what is to be proposed, and counts with them
    """
    corrections = corrections_of(ticket.credits, point.tz, booking)
    if wished is not None:
        corrections.append(wished)
    if history is None or not corrections:
        return rerating(point, None, "", corrections, tariffs, now_ns)
    unit = _unit(ticket, point)
    try:
        own = await _own(ticket, point, history, unit)
    except PortError:
        # a booking is on record whether or not the reads can be had
        return Rerating(made_ns=now_ns, why_not="history_away")
    return rerating(point, own, unit, corrections, tariffs, now_ns, _told(ticket))


def _told(ticket: Ticket) -> tuple[ReratedBill, ...]:
    return () if ticket.rerating is None else ticket.rerating.bills


async def _own(ticket: Ticket, point: Point, history: History, unit: str) -> Amounts:
    swap = None if ticket.swap is None else _instant(ticket.swap.at)
    start_read = None if ticket.swap is None or swap is None else (swap, ticket.swap.start_read)
    return amounts(await history.series(point.meter_id, *_EVER), point, unit, start_read)


def compare(
    ticket: Ticket, point: Point, basis: Basis, tariffs: Tariffs | None, now_ns: int | None = None
) -> SideBySide:
    """Every method's estimate with its money, or the reason why there is none.

    now_ns : up to when later bills are looked for that each would move in the tiers; None: they are not
    """
    window, unit = basis.window, basis.unit
    billed = math.nan if basis.billed is None else basis.billed
    days = 0.0 if window is None else window.days
    last_year = None
    if window is not None and basis.own is not None:
        before = window.year_before()
        last_year = basis.own.known(before.start_ns, before.end_ns)
    found = [
        of_history(basis.past, billed, days, unit),
        same_season(last_year, basis.neighbours, billed, days, unit),
        after_swap(basis.swapped, billed, days, unit),
    ]
    if ticket.estimate is not None and ticket.estimate.method == DETECTOR:
        found.append(Alternative(method=DETECTOR, estimate=replace(ticket.estimate, money=None)))
    if basis.own is None:
        unread = {"no_last_year", "no_past_period"} | ({"no_swap"} if ticket.swap is not None else set())
        found = [replace(one, why_not="no_reads_here") if one.why_not in unread else one for one in found]
    use, unsure = used(point, basis, tariffs)
    priced = tuple(_priced(one, point, tariffs, use, unsure) for one in found)
    if tariffs is not None and use is not None and now_ns is not None:
        done, told = corrections_of(ticket.credits, point.tz), _told(ticket)
        priced = tuple(
            one
            if one.estimate is None
            else replace(
                one,
                rerating=rerating(
                    point, basis.own, unit, [*done, _correction(one.estimate, use)], tariffs, now_ns, told
                ),
            )
            for one in priced
        )
    money, currency = None, ""
    if tariffs is not None and use is not None and basis.billed is not None:
        try:
            money = tariffs.bill_of(basis.billed, unit, point.tariff, use)
            currency = tariffs.at(point.tariff, use.end - timedelta(days=1)).currency
        except NoPrice:
            pass
    return SideBySide(
        window=window,
        unit=unit,
        billed=basis.billed,
        tariff=point.tariff,
        billed_money=money,
        currency=currency,
        use=use,
        alternatives=priced,
    )


def used(point: Point, basis: Basis, tariffs: Tariffs | None) -> tuple[Use | None, bool]:
    """The period by the meter's calendar, with what was used before it in the tariff year.

    Also whether that is unsure, the reads not reaching back: it then counts as far as it is known.
    """
    if basis.window is None or tariffs is None:
        return None, False
    start = local_day(point.tz, basis.window.start_ns)
    end = max(local_day(point.tz, basis.window.end_ns), start + timedelta(days=1))
    use = Use(start=start, end=end)
    try:
        tariff = tariffs.at(point.tariff, start)
    except NoPrice:
        return use, False
    if tariff.by != "year":
        return use, False
    begun = _ns(tariff.year_of(start))
    length = basis.window.start_ns - begun
    if length < DAY:
        return use, False
    if basis.own is None:
        return use, True
    found = basis.own.over(begun, basis.window.start_ns)
    try:
        before = tariffs.amount(found.amount, basis.unit, tariff)
    except NoPrice:
        return use, False
    return replace(use, before=before), found.days < 0.8 * length / DAY


def _correction(estimate: Estimate, use: Use) -> Correction:
    return Correction(use.start, use.end, estimate.excess, estimate.unit, estimate.low, estimate.high)


def _priced(
    one: Alternative, point: Point, tariffs: Tariffs | None, use: Use | None, unsure: bool
) -> Alternative:
    if one.estimate is None:
        return one
    if tariffs is None or use is None:
        return replace(one, no_money="no_tariff_file" if tariffs is None else "no_period")
    estimate, why = tariffs.priced(one.estimate, point.tariff, use)
    if estimate.money is not None and unsure:
        estimate = replace(estimate, assumptions=(*estimate.assumptions, "tier_place_unsure"))
    return replace(one, estimate=estimate, no_money=why)


_EVER = (-(2**63), 2**63 - 1)


def _unit(ticket: Ticket, point: Point) -> str:
    stated = str(ticket.evidence.get("unit") or "")
    if ticket.estimate is not None:
        return ticket.estimate.unit
    # a flag may be about a flow: amounts are in the meter's unit
    return point.unit or (stated if "/" not in stated else "")


def _window(evidence: Mapping[str, object], days: float | None) -> Window | None:
    end = _instant(str(evidence.get("end") or evidence.get("at") or ""))
    start = _instant(str(evidence.get("start") or ""))
    if end is None:
        return None
    if days is not None and days > 0:
        return Window(end - round(days * DAY), end)
    return Window(start, end) if start is not None and end > start else None


def _instant(text: str) -> int | None:
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    return since_1970(stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC))


def _ns(day: date) -> int:
    return since_1970(datetime(day.year, day.month, day.day, tzinfo=UTC))
