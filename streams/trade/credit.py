"""Credits (退补): proposed with a reason, approved by a second person above a limit, booked; bills on hold.

One at a time is under way on a ticket; after one is booked or refused another may follow, for another period.

Verbs on the book of one transaction, as in ``lifecycle``: each writes a line of history and raises
``Refused`` where the trade forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from streams.trade.bill_days import local_day
from streams.trade.book import Book, Refused
from streams.trade.lifecycle import record
from streams.trade.limits import MONEY, Limits, granted
from streams.trade.rerated import differs, told_after, told_line
from streams.trade.roles import Actor
from streams.trade.settlement import Alternative, Credit, CreditState, Estimate, Rerating
from streams.trade.states import State
from streams.trade.tickets import Ticket

OWN = "own"
_ZERO = Decimal(0)
_MOST = 50  # credits of a ticket: it travels with each of its events


_NOBODY_ALONE = Limits()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What staff want to give back, or to charge (below zero).

    method        : of an estimate, or ``own``
    quantity      : in ``unit``; None: money alone
    amount        : in ``currency``; None: use alone (补气)
    billed        : what was billed of both, as far as known: no credit is above it
    reason        : why this method, or this amount
    seen          : the revision of the credit that the proposer saw, 0 for none; None: whatever it is
    alternatives  : the methods side by side, as they were when the choice was made
    estimate      : the one that was chosen
    period        : that it is for, from and to [ns]; None: not known
    later         : the later bills that all booked credits would move in the tiers, this one with them; None: none can
    tz            : the meter's zone; empty: as the ticket says
    """

    method: str
    reason: str
    quantity: float | None = None
    unit: str = ""
    amount: Decimal | None = None
    currency: str = ""
    billed: tuple[float | None, Decimal | None] = (None, None)
    seen: int | None = None
    alternatives: tuple[Alternative, ...] = ()
    estimate: Estimate | None = None
    period: tuple[int, int] | None = None
    later: Rerating | None = None
    tz: str = ""


def propose(book: Book, ticket: Ticket, wish: Proposal, limits: Limits, actor: Actor, now_ns: int) -> Ticket:
    """Propose a credit, another in place of one that is under way, or a further one after one was settled.

    A changed proposal has to be approved again. Within the limit, all that was booked at the service point
    and what it does to later bills counted, the proposer's word is enough, and the credit is approved at once. It is
    not where both quantity and amount are somebody's own, nor in place of one that was approved. A credit after one
    that was booked is for another period. Raises Refused.
    """
    _allowed(ticket, actor)
    before = ticket.credit
    if not ticket.open:
        raise Refused(f"expected an open ticket, got one that is {ticket.state}: reopen it first")
    revision = 0 if before is None else before.revision
    if wish.seen is not None and wish.seen != revision:
        raise Refused(f"expected revision {wish.seen} of the credit, got {revision}: look at it again")
    _sound(wish)
    earlier = ticket.credits if before is not None and before.settled else ticket.earlier_credits
    if len(earlier) >= _MOST:
        raise Refused(f"expected fewer than {_MOST} credits on a ticket, got {len(earlier)}: open another")
    _another_period(wish, earlier, wish.tz or str(ticket.place.get("tz") or ""))
    later = _moved(ticket, wish.later)
    asked = (
        # the quantity moves later bills, and no price ties the amount to it
        (wish.estimate is None and bool(wish.quantity))
        # somebody may have acted on what was approved
        or (before is not None and not before.settled and granted(before) is not None)
        or _beside(ticket, wish.period, book)
        or limits.second_person(wish.amount, wish.currency, (*earlier, *_elsewhere(book)), later)
    )
    start_ns, end_ns = wish.period or (None, None)
    credit = Credit(
        revision=revision + 1,
        state=CreditState.PROPOSED,
        method=wish.method,
        quantity=wish.quantity,
        unit=wish.unit if wish.quantity is not None else "",
        amount=wish.amount,
        currency=wish.currency if wish.amount is not None else "",
        reason=wish.reason.strip(),
        proposed_by=actor.name,
        proposed_ns=now_ns,
        second_person=asked,
        start_ns=start_ns,
        end_ns=end_ns,
        estimate=wish.estimate,
        later=later,
        granted=None if before is None or before.settled else granted(before),
    )
    changed = replace(ticket, credit=credit, earlier_credits=earlier)
    if not any(one.state is CreditState.BOOKED for one in earlier):
        # those of the period that the ticket is about; further credits have their own
        changed = replace(
            changed,
            # as they were seen; what later bills would be is told when a credit is booked
            estimates=tuple(replace(one, rerating=None) for one in wish.alternatives) or ticket.estimates,
            estimate=wish.estimate or ticket.estimate,
        )
    note = f"{figures(credit)} · {credit.method} · {credit.reason}"
    changed = record(book, changed, now_ns, "credit_proposed", actor.name, note=note)
    if credit.second_person:
        return changed
    return _decide(book, changed, CreditState.APPROVED, actor, "", now_ns)


def approve(book: Book, ticket: Ticket, revision: int, actor: Actor, note: str, now_ns: int) -> Ticket:
    """Approve what somebody else has proposed. Raises Refused, also where it was changed meanwhile."""
    credit = _pending(ticket, revision, actor)
    if _same(credit.proposed_by, actor.name):
        raise Refused(
            f"expected the approval of somebody other than {credit.proposed_by}, who proposed it: "
            "a second person has to approve"
        )
    if credit.start_ns is not None and credit.end_ns is not None:
        _beside(ticket, (credit.start_ns, credit.end_ns), book)
    return _decide(book, ticket, CreditState.APPROVED, actor, note, now_ns)


def refuse(book: Book, ticket: Ticket, revision: int, actor: Actor, reason: str, now_ns: int) -> Ticket:
    """Refuse a proposal, or withdraw one's own; the reason is kept. Raises Refused."""
    _pending(ticket, revision, actor)
    if not reason.strip():
        raise Refused("expected the reason why the credit is refused, got none")
    return _decide(book, ticket, CreditState.REFUSED, actor, reason.strip(), now_ns)


def booked(
    book: Book,
    ticket: Ticket,
    revision: int,
    reference: str,
    actor: Actor,
    now_ns: int,
    rerating: Rerating | None = None,
    limits: Limits = _NOBODY_ALONE,
) -> Ticket:
    """Note that the billing system has the credit, under its reference. Raises Refused.

    rerating : the later bills that all booked credits have moved in the tiers, this one with them; who bills is told
    limits   : that one person's credit is held against anew, with what it does to later bills by now
    """
    _allowed(ticket, actor)
    credit = ticket.credit
    if credit is None or credit.state is not CreditState.APPROVED:
        raise Refused(f"expected an approved credit, got {_state(credit)}")
    _current(credit, revision)
    if not reference.strip():
        raise Refused("expected the reference of the booking in the billing system, got none")
    later = _moved(ticket, rerating)
    if (
        later
        and _same(credit.proposed_by, credit.decided_by)
        and limits.second_person(
            credit.amount, credit.currency, (*ticket.earlier_credits, *_elsewhere(book)), later
        )
    ):
        assert rerating is not None
        raise Refused(
            f"expected a credit that a second person has approved, got one of {credit.proposed_by} alone: by now it "
            f"moves later bills by {later} {rerating.currency}, and is above the limit with them; propose it anew"
        )
    done = replace(
        credit,
        state=CreditState.BOOKED,
        booked_by=actor.name,
        booked_ns=now_ns,
        reference=reference.strip(),
        later=later,
    )
    note = f"{figures(done)} · {done.reference}"
    changed = replace(ticket, credit=done, rerating=told_after(ticket.rerating, rerating))
    changed = record(book, changed, now_ns, "credit_booked", actor.name, note=note)
    told = changed.rerating
    if told is None or not told.waits or not differs(ticket.rerating, told):
        return changed
    return record(book, changed, now_ns, "bills_to_rerate", actor.name, note=told_line(told))


def hold_bill(book: Book, ticket: Ticket, hold: bool, actor: Actor, reason: str, now_ns: int) -> Ticket:
    """Let a disputed bill wait (争议账单暂缓), or go out after all. Raises Refused."""
    _allowed(ticket, actor)
    if ticket.bill_hold == hold:
        raise Refused(
            f"expected a bill that is {'not ' if hold else ''}on hold, got one that is{'' if hold else ' not'}"
        )
    if hold and not ticket.open:
        raise Refused(f"expected an open ticket, got one that is {ticket.state}: reopen it first")
    if not reason.strip():
        raise Refused(f"expected the reason why the bill is {'held' if hold else 'released'}, got none")
    action, why = "bill_held" if hold else "bill_released", reason.strip()
    changed = replace(ticket, bill_hold=hold, hold_reason=why if hold else "")
    return record(book, changed, now_ns, action, actor.name, note=why)


def hold_for(book: Book, ticket: Ticket, complaint_id: str, subject: str, actor: str, now_ns: int) -> Ticket:
    """Let the bill wait that a complaint disputes; people alone release it.

    Where it waits already nothing changes. A ticket whose work is over, and one of a group, whose bills are those of
    many, get a line of history for people to decide by.
    """
    if ticket.bill_hold or ticket.drill:
        return ticket
    why = f"{complaint_id}; {subject}"
    if not ticket.open or ticket.group:
        return record(book, ticket, now_ns, "hold_asked", actor, note=why)
    return record(
        book, replace(ticket, bill_hold=True, hold_reason=why), now_ns, "bill_held", actor, note=why
    )


def figures(credit: Credit) -> str:
    """Quantity and amount with their signs: ``243.7 m3 · 646.81 CNY``."""
    parts = []
    if credit.quantity is not None:
        parts.append(f"{credit.quantity:.10g} {credit.unit}")
    if credit.amount is not None:
        parts.append(f"{credit.amount} {credit.currency}")
    return " · ".join(parts)


def _moved(ticket: Ticket, rerating: Rerating | None) -> Decimal:
    """By how much a credit moves later bills beyond what those before it have; 0 where nobody can tell."""
    if rerating is None or rerating.why_not:
        return _ZERO
    return rerating.difference - (_ZERO if ticket.rerating is None else ticket.rerating.difference)


def _another_period(wish: Proposal, earlier: Iterable[Credit], tz: str) -> None:
    """Refuse a credit for days that are credited already."""
    for one in earlier:
        if one.state is not CreditState.BOOKED:
            continue
        if wish.period is None:
            raise Refused(
                f"expected the period that the further credit is for, got none: a credit is booked as {one.reference}, "
                "state start and end"
            )
        if one.start_ns is None or one.end_ns is None:
            continue
        if wish.period[0] < one.end_ns and one.start_ns < wish.period[1]:
            raise Refused(
                f"expected a period beside the one that is booked as {one.reference}, got {_days(*wish.period, tz)}, "
                f"which shares days with {_days(one.start_ns, one.end_ns, tz)}: state another, or correct the booking "
                "in the billing system"
            )


def _elsewhere(book: Book) -> list[Credit]:
    return [one for _, one in book.credits_at]


def _beside(ticket: Ticket, period: tuple[int, int] | None, book: Book) -> bool:
    """Refuse a credit for days that are credited on another ticket of the service point; True where nobody can tell."""
    others = [(at, one) for at, one in book.credits_at if one.state in MONEY]
    for at, one in others:
        if period is None or one.start_ns is None or one.end_ns is None:
            continue
        if period[0] < one.end_ns and one.start_ns < period[1]:
            tz = str(ticket.place.get("tz") or "")
            raise Refused(
                f"expected a period beside the one that is credited on {at}, got {_days(*period, tz)}, which shares "
                f"days with {_days(one.start_ns, one.end_ns, tz)}: state another, or settle it there"
            )
    return period is None and bool(others)


def _days(start_ns: int, end_ns: int, tz: str) -> str:
    return f"{local_day(tz, start_ns)} to {local_day(tz, end_ns)}"


def _decide(book: Book, ticket: Ticket, state: CreditState, actor: Actor, note: str, now_ns: int) -> Ticket:
    assert ticket.credit is not None
    decided = replace(
        ticket.credit, state=state, decided_by=actor.name, decided_ns=now_ns, decision=note.strip()
    )
    told = " · ".join(part for part in (figures(decided), decided.decision) if part)
    return record(book, replace(ticket, credit=decided), now_ns, f"credit_{state}", actor.name, note=told)


def _allowed(ticket: Ticket, actor: Actor) -> None:
    if not actor.name.strip() or not actor.may("money"):
        raise Refused(f"expected somebody who may decide about money, got {actor.name!r} ({actor.role})")
    if ticket.drill:
        raise Refused("expected a real ticket, got a drill: no money moves for it")
    if ticket.state is State.MERGED:
        raise Refused(f"expected a ticket that stands for itself, got one merged into {ticket.merged_into}")


def _pending(ticket: Ticket, revision: int, actor: Actor) -> Credit:
    _allowed(ticket, actor)
    credit = ticket.credit
    if credit is None or credit.state is not CreditState.PROPOSED:
        raise Refused(f"expected a credit that waits for approval, got {_state(credit)}")
    _current(credit, revision)
    return credit


def _current(credit: Credit, revision: int) -> None:
    if credit.revision != revision:
        raise Refused(
            f"expected revision {credit.revision} of the credit, got {revision}: it was changed meanwhile, "
            "look at it again"
        )


def _state(credit: Credit | None) -> str:
    return "none" if credit is None else f"one that is {credit.state}"


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _sound(wish: Proposal) -> None:
    """Refuse a proposal without reason or content, and one above what was billed."""
    if not wish.method or not wish.reason.strip():
        raise Refused("expected a method and the reason why it was chosen, got none")
    if wish.quantity is None and wish.amount is None:
        raise Refused("expected a quantity, an amount of money, or both, got neither")
    if wish.quantity is not None and not (abs(wish.quantity) < float("inf") and wish.unit):
        raise Refused(f"expected a finite quantity with its unit, got {wish.quantity} {wish.unit}".rstrip())
    if wish.amount is not None and not (wish.amount.is_finite() and wish.currency):
        raise Refused(f"expected an amount with its currency, got {wish.amount} {wish.currency}".rstrip())
    if not wish.quantity and not wish.amount:
        raise Refused("expected more or less than nothing, got 0")
    if (wish.quantity or 0) * float(wish.amount or 0) < 0:
        raise Refused(
            f"expected quantity and amount of one sign, got {wish.quantity:g} {wish.unit} and {wish.amount}"
        )
    quantity, amount = wish.billed
    if quantity is not None and wish.quantity is not None and wish.quantity > max(0.0, quantity):
        raise Refused(
            f"expected at most the {quantity:g} {wish.unit} that were billed, got {wish.quantity:g}"
        )
    if amount is not None and wish.amount is not None and wish.amount > max(Decimal(0), amount):
        raise Refused(f"expected at most the {amount} {wish.currency} that were billed, got {wish.amount}")
