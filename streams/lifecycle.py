"""What people do with a ticket: moves between states, verdicts, hand-overs, results of checks.

Each verb works on the book of one transaction and writes one line of history. It raises
``Refused`` with the reason where the trade forbids it; the book is then to be dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from streams.book import Book
from streams.judging import settle
from streams.sla import Targets, pause
from streams.states import PAUSED, TRANSITIONS
from streams.tickets import ENDED, Callback, HistoryEntry, State, Step, Ticket, Verdict, label
from streams.wording import announce


class Refused(Exception):
    """The ticket's state or facts do not allow this."""


@dataclass(frozen=True, slots=True)
class Move:
    """A wish to bring a ticket into another state, with the facts that the state asks for.

    Facts that are empty leave what the ticket has. ``satisfied`` and ``no_callback`` are
    the two ways in which a callback ends: with the customer's answer, or with a reason.
    """

    to: State
    actor: str
    note: str = ""
    department: str = ""  # for assigned
    resolution: str = ""
    responsibility: str = ""
    verdict: str = ""
    verdict_reason: str = ""  # of a false alarm; without one the note
    archive_class: str = ""
    satisfied: bool | None = None
    no_callback: str = ""
    merged_into: str = ""


def record(
    book: Book, ticket: Ticket, now_ns: int, action: str, actor: str, *, tell: bool = True, **line: str
) -> Ticket:
    """Write one line of history, put the ticket into the book, and tell the desks of it.

    line : further fields of ``HistoryEntry`` (``note``, ``flag_id``, ``before``, ``after``)
    """
    entry = HistoryEntry(seq=ticket.version + 1, at_ns=now_ns, actor=actor, action=action, **line)
    written = replace(ticket, version=entry.seq, updated_ns=now_ns)
    book.put(written)
    book.history.append((ticket.id, entry))
    if tell:
        book.events.append(announce(written, entry))
    return written


def move(book: Book, ticket: Ticket, wish: Move, targets: Targets, now_ns: int) -> Ticket:
    """Bring a ticket into another state.

    Raises Refused where the state may not follow, where a closing lacks its verdict, its
    callback or its archive class, where a merged ticket names no other, or where reopening
    would leave the service point with two open tickets of one family.
    """
    if wish.to not in TRANSITIONS[ticket.state]:
        allowed = ", ".join(sorted(TRANSITIONS[ticket.state])) or "nothing"
        raise Refused(f"expected one of {allowed} after {ticket.state}, got {wish.to}")
    if not wish.actor:
        raise Refused("expected the name of whoever moves the ticket, got none")
    moved = _facts(ticket, wish, now_ns)
    _complete(book, moved, wish)
    sla = moved.sla
    if sla.acknowledged_ns is None:
        sla = replace(sla, acknowledged_ns=now_ns)
    sla = pause(sla, now_ns) if wish.to in PAUSED else targets.resume(sla, now_ns)
    if wish.to is State.IMPLEMENTED:
        sla = targets.callback(sla, now_ns)
    closed = None if wish.to not in ENDED else now_ns if ticket.open else ticket.closed_ns
    moved = replace(moved, state=wish.to, sla=sla, closed_ns=closed)
    if wish.to in (State.CLOSED, State.FALSE_ALARM):
        settle(book, moved, wish.actor, now_ns)
    return record(
        book, moved, now_ns, "moved", wish.actor, note=wish.note, before=ticket.state, after=wish.to
    )


def finish_step(book: Book, ticket: Ticket, step: Step, result: str, actor: str, now_ns: int) -> Ticket:
    """Write down what a check has shown. Raises Refused without a result, or if there is one already."""
    if not result or not actor:
        raise Refused("expected the check's result and the name of whoever did it")
    if step.result:
        raise Refused(f"expected a check without a result, step {step.seq} has one already: {step.result}")
    done = replace(step, result=result, by=actor, done_ns=now_ns)
    book.steps.append((ticket.id, done))
    return record(book, ticket, now_ns, "checked", actor, tell=False, note=f"{step.check}: {result}")


def escalate(book: Book, ticket: Ticket, actor: str, note: str, now_ns: int) -> Ticket:
    """Mark an open ticket as escalated (提级), beside its state."""
    if not ticket.open or ticket.escalated:
        raise Refused(f"expected an open ticket that is not escalated, got {label(ticket.state, 'en')}")
    return record(book, replace(ticket, escalated=True), now_ns, "escalated", actor, note=note)


def word_of(verdict: str, reason: str) -> Verdict:
    """The verdict of that name. Raises Refused for another name, or a false alarm without a reason."""
    try:
        word = Verdict(verdict)
    except ValueError:
        raise Refused(f"expected one of {', '.join(Verdict)} as verdict, got {verdict!r}") from None
    if word is Verdict.FALSE_ALARM and not reason.strip():
        raise Refused("expected the reason of the false alarm, got none")
    return word


def _facts(ticket: Ticket, wish: Move, now_ns: int) -> Ticket:
    """The ticket with the facts of the wish."""
    named = {
        name: value
        for name in ("resolution", "responsibility", "archive_class", "merged_into")
        if (value := getattr(wish, name))
    }
    verdict = wish.verdict
    if wish.to is State.FALSE_ALARM and not verdict and (wish.verdict_reason or wish.note):
        verdict = Verdict.FALSE_ALARM
    if verdict:
        reason = wish.verdict_reason or (wish.note if verdict == Verdict.FALSE_ALARM else "")
        named["verdict"], named["verdict_reason"] = word_of(verdict, reason), reason
    if wish.satisfied is not None:
        named["callback"] = Callback(done_ns=now_ns, satisfied=wish.satisfied)
    elif wish.no_callback:
        named["callback"] = Callback(none_because=wish.no_callback)
    if wish.department and wish.department != ticket.owner_department:
        named["owner_department"] = wish.department
        # 首问责任制: the first owner stays whoever it was, hand-overs are counted
        named["hand_offs"] = ticket.hand_offs + 1
    if not ticket.first_owner:
        named["first_owner"] = wish.actor
    return msgspec.structs.replace(ticket, **named)


def _complete(book: Book, ticket: Ticket, wish: Move) -> None:
    """Refuse a move whose state asks for facts that are not there."""
    missing = []
    if wish.to is State.CLOSED:
        if not ticket.verdict:
            missing.append("a verdict")
        if ticket.callback.done_ns is None and not ticket.callback.none_because:
            missing.append("a callback result or the reason for none")
        if not ticket.archive_class:
            missing.append("an archive class")
    if wish.to is State.MERGED and wish.merged_into in ("", ticket.id):
        missing.append("another ticket to merge into")
    if wish.to is State.FALSE_ALARM and ticket.verdict != Verdict.FALSE_ALARM:
        missing.append(f"the verdict {Verdict.FALSE_ALARM}, with its reason or a note that says why")
    if missing:
        raise Refused(f"{wish.to} needs {' and '.join(missing)}")
    if wish.to is State.REOPENED and not ticket.open:
        for other in book.open_at(ticket.service_point_id, ticket.drill):
            if other.family == ticket.family and other.id != ticket.id:
                raise Refused(
                    f"expected no open ticket of {ticket.family} at {ticket.service_point_id}, "
                    f"got {other.id}: work on that one"
                )
