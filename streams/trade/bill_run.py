"""The bill run: when a meter is billed next, and which bills ought to wait for an open ticket."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from datetime import date

from streams.trade.decisions import Advice, BillLine
from streams.trade.points import Point
from streams.trade.settlement import CreditState, NoticeState
from streams.trade.states import RESOLVED
from streams.trade.tickets import Purpose, Ticket, Verdict

#: kinds without a read to bill by
_UNREAD = frozenset({"silent", "gap", "concentrator_silent", "area_silent", "sentinel", "estimated_run"})
#: kinds whose read is itself in doubt
_DOUBTFUL = frozenset({"misread", "rollback", "rollover", "meter_swap", "unit_error", "sum_mismatch"})


def bill_days_of(day: date) -> tuple[int, ...]:
    """The bill days of the registry that fall on a day: on a month's last also those that it lacks."""
    last = calendar.monthrange(day.year, day.month)[1]
    return tuple(range(day.day, 32)) if day.day == last else (day.day,)


def advise(ticket: Ticket) -> tuple[Advice, str]:
    """What to do with the bill of a ticket's meter, and why (a code of ``money_words``)."""
    estimate = ticket.estimate
    excess = estimate is not None and estimate.excess > 0
    credit = None if ticket.credit is None else ticket.credit.state
    settled = any(one.state in (CreditState.APPROVED, CreditState.BOOKED) for one in ticket.credits)
    explained = ticket.purpose is Purpose.EXPLAIN or ticket.verdict == Verdict.EXPLAINED
    told = any(notice.state is NoticeState.SENT for notice in ticket.notices)
    rules = (
        (ticket.bill_hold, Advice.HOLD, "held"),
        (credit is CreditState.PROPOSED, Advice.HOLD, "credit_pending"),
        (settled, Advice.SEND, "credit_settled"),
        (explained and told, Advice.SEND, "customer_told"),
        (explained, Advice.SEND, "tell_first"),
        (ticket.state in RESOLVED, Advice.SEND, "work_done"),
        (ticket.kind in _UNREAD, Advice.ESTIMATE, "no_read"),
        (ticket.kind == "stuck", Advice.ESTIMATE, "stands_still"),
        (ticket.kind in _DOUBTFUL, Advice.HOLD, "read_in_doubt"),
        (excess, Advice.HOLD, "excess_open"),
        (ticket.family in ("leak", "usage_high"), Advice.SEND, "tell_first"),
    )
    for holds, advice, why in rules:
        if holds:
            return advice, why
    return Advice.SEND, "bill_not_touched"


def lines(tickets: Iterable[Ticket], points: Mapping[str, Point], day: date) -> list[BillLine]:
    """The bills of a day that open tickets concern: those to hold first, then by meter.

    points : by meter, those billed on that day; a ticket of a group has a line for each of its meters
    """
    found = []
    for ticket in tickets:
        if ticket.drill or not ticket.open:
            continue
        advice, why = advise(ticket)
        for meter in dict.fromkeys((ticket.meter_id, *ticket.meters)):
            if (point := points.get(meter)) is None:
                continue
            found.append(
                BillLine(
                    bill_date=day.isoformat(),
                    meter_id=meter,
                    service_point_id=point.service_point_id,
                    ticket_id=ticket.id,
                    kind=ticket.kind,
                    priority=ticket.priority,
                    state=ticket.state,
                    held=ticket.bill_hold,
                    advice=advice,
                    why=why,
                    # a group's figures are not those of one of its meters
                    estimate=ticket.estimate if not ticket.group else None,
                )
            )
    order: dict[Advice, int] = {Advice.HOLD: 0, Advice.ESTIMATE: 1, Advice.SEND: 2}
    return sorted(found, key=lambda line: (order[line.advice], line.meter_id, line.ticket_id))


def rerated(tickets: Iterable[Ticket], day: date) -> list[BillLine]:
    """A line for each ticket whose later bills in the tiers wait to be rated anew, by meter."""
    found = [
        BillLine(
            bill_date=day.isoformat(),
            meter_id=ticket.meter_id,
            service_point_id=ticket.service_point_id,
            ticket_id=ticket.id,
            kind=ticket.kind,
            priority=ticket.priority,
            state=ticket.state,
            held=ticket.bill_hold,
            advice=Advice.RERATE,
            why="tiers_shifted",
            rerating=ticket.rerating,
        )
        for ticket in tickets
        if ticket.rerating is not None and ticket.rerating.waits
    ]
    return sorted(found, key=lambda line: (line.meter_id, line.ticket_id))
