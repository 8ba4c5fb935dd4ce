"""What billing is told of bills to be rated anew, and what it has done: nobody is to act on one difference twice.

A verb on the book of one transaction, as in ``credit``.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from streams.trade.book import Book, Refused
from streams.trade.lifecycle import record
from streams.trade.roles import Actor
from streams.trade.settlement import ReratedBill, Rerating
from streams.trade.tickets import Ticket

_ZERO = Decimal(0)


def told_after(before: Rerating | None, now: Rerating | None) -> Rerating | None:
    """What is to be told now, beside what was told before.

    Where nobody can tell now, what was told before stands. Where nothing differs and billing has acted on it, nothing
    is to be done.
    """
    if now is None or before is None:
        return before if now is None else replace(now, due=now.difference)
    if now.why_not:
        return replace(before, why_not=now.why_not)
    known = {(one.start, one.end): one for one in before.bills}
    bills = [
        one if (was := known.get((one.start, one.end))) is None else replace(one, told=was.new)
        for one in now.bills
    ]
    bills.sort(key=lambda one: one.start)
    difference = sum((one.new - one.old for one in bills), _ZERO)
    first = not before.bills and before.replaces is None
    now = replace(now, bills=tuple(bills))
    same = before.done_ns is not None and not differs(before, now)
    return replace(
        now,
        currency=now.currency or before.currency,
        difference=difference,
        replaces=None if first else before.difference,
        done=before.done,
        due=difference - before.done,
        done_by=before.done_by if same else "",
        done_ns=before.done_ns if same else None,
        reference=before.reference if same else "",
    )


def differs(before: Rerating | None, now: Rerating) -> bool:
    """Whether billing has anything new to hear of."""
    return _figures(() if before is None else before.bills) != _figures(now.bills)


def told_line(found: Rerating) -> str:
    """What a line of history and an event say: ``2 · -47.70 CNY``, ``3 · -47.70 → -60.00 CNY``."""
    before = "" if found.replaces is None else f"{found.replaces} → "
    return f"{len(found.bills)} · {before}{found.difference} {found.currency}"


def rerated(
    book: Book, ticket: Ticket, difference: Decimal, reference: str, actor: Actor, now_ns: int
) -> Ticket:
    """Note that billing has rated the later bills anew, by the difference that was told. Raises Refused.

    difference : of all the bills, as whoever acted on it saw it: another one was told meanwhile otherwise
    """
    if not actor.name.strip() or not actor.may("money"):
        raise Refused(f"expected somebody who may decide about money, got {actor.name!r} ({actor.role})")
    found = ticket.rerating
    if found is None or not found.waits:
        raise Refused("expected later bills that wait to be re-rated, got none")
    if difference != found.difference:
        raise Refused(
            f"expected the difference {found.difference} {found.currency} of the later bills, got {difference}: "
            "it has changed, look at it again"
        )
    if not reference.strip():
        raise Refused("expected the reference of the re-rating in the billing system, got none")
    done = replace(
        found,
        done=found.difference,
        due=_ZERO,
        done_by=actor.name,
        done_ns=now_ns,
        reference=reference.strip(),
    )
    note = f"{told_line(done)} · {done.reference}"
    return record(book, replace(ticket, rerating=done), now_ns, "bills_rerated", actor.name, note=note)


def _figures(bills: tuple[ReratedBill, ...]) -> list[tuple[object, ...]]:
    return [(one.start, one.end, one.old, one.new) for one in bills]
