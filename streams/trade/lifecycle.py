"""A ticket's way through its states, and the one door to its history.

Each verb works on the book of one transaction and writes one line of history. It raises
``Refused`` with the reason where the trade forbids it; the book is then to be dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from streams.messages import Flag
from streams.trade.book import Book, Refused
from streams.trade.causes import CAUSES
from streams.trade.chain import history_digest
from streams.trade.judging import settle
from streams.trade.sla import Targets, pause
from streams.trade.states import CODES, PAUSED, TRANSITIONS
from streams.trade.tickets import ENDED, Callback, HistoryEntry, Sla, State, Ticket, Verdict
from streams.trade.wording import UNTOLD, announce

__all__ = ["Move", "Refused", "move", "record", "relapse", "word_of"]


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
    cause: str = ""
    satisfied: bool | None = None
    rating: int | None = None
    signed: str = ""
    no_callback: str = ""
    owner: str = ""


def record(
    book: Book, ticket: Ticket, now_ns: int, action: str, actor: str, *, tell: bool = True, **line: str
) -> Ticket:
    """Write one line of history, put the ticket into the book, and tell the desks of it.

    line : further fields of ``HistoryEntry`` (``note``, ``flag_id``, ``before``, ``after``)
    """
    entry = HistoryEntry(seq=ticket.version + 1, at_ns=now_ns, actor=actor, action=action, **line)
    entry = replace(entry, digest=history_digest(ticket.digest, ticket.id, entry))
    written = replace(ticket, version=entry.seq, updated_ns=now_ns, digest=entry.digest)
    known = book.tickets.get(ticket.id)
    if known is not None and known.held and not written.held and written.state is not State.FALSE_ALARM:
        # a person has looked, or the customer has called: others hear of it, and first of its opening
        opening = HistoryEntry(seq=1, at_ns=written.opened_ns, actor=actor, action="opened")
        book.events.append(announce(written, opening))
    book.put(written)
    book.history.append((ticket.id, entry))
    if tell and not written.held and action not in UNTOLD:
        book.events.append(announce(written, entry))
    return written


def move(book: Book, ticket: Ticket, wish: Move, targets: Targets, now_ns: int) -> Ticket:
    """Bring a ticket into another state.

    Raises Refused where the state may not follow, where a closing lacks its verdict, its
    callback or its archive class, where the bill is held still, or where reopening would leave
    the service point with two open tickets of one family. Merging is ``work.merge``.
    """
    if wish.to not in TRANSITIONS[ticket.state] or wish.to is State.MERGED:
        allowed = ", ".join(sorted(TRANSITIONS[ticket.state] - {State.MERGED})) or "nothing"
        raise Refused(f"expected one of {allowed} after {ticket.state}, got {wish.to}")
    if not wish.actor:
        raise Refused("expected the name of whoever moves the ticket, got none")
    moved = _facts(ticket, wish, now_ns)
    _complete(book, moved, wish)
    moved = replace(
        moved,
        state=wish.to,
        sla=_clocks(ticket, wish.to, targets, now_ns),
        # the work begins anew: what the customer said was about the work before
        callback=Callback() if wish.to is State.REOPENED else moved.callback,
        closed_ns=None if wish.to not in ENDED else now_ns if ticket.open else ticket.closed_ns,
    )
    if wish.to in (State.CLOSED, State.FALSE_ALARM):
        settle(book, moved, wish.actor, now_ns)
    if wish.to is State.CLOSED:
        # 后续的追踪监控: what comes back within this time is a relapse
        moved = replace(moved, watch_until_ns=now_ns + targets.watch_ns)
    return record(
        book, moved, now_ns, "moved", wish.actor, note=wish.note, before=ticket.state, after=wish.to
    )


def relapse(
    book: Book, ticket: Ticket, before: State, targets: Targets, actor: str, flag: Flag, now_ns: int
) -> Ticket:
    """What the work had mended is back: the ticket is reopened with due dates of its own."""
    reopened = replace(
        ticket,
        state=State.REOPENED,
        sla=targets.due(ticket.priority, now_ns),
        callback=Callback(),
        closed_ns=None,
        watch_until_ns=None,
    )
    return record(
        book,
        reopened,
        now_ns,
        "relapsed",
        actor,
        note=flag.kind,
        flag_id=flag.id,
        before=before,
        after=reopened.state,
    )


def _clocks(ticket: Ticket, to: State, targets: Targets, now_ns: int) -> Sla:
    """What is due after a move."""
    if to is State.REOPENED:
        # the work begins anew, and so does its time; it has been acknowledged
        return replace(targets.due(ticket.priority, now_ns), acknowledged_ns=now_ns)
    sla = (
        ticket.sla if ticket.sla.acknowledged_ns is not None else replace(ticket.sla, acknowledged_ns=now_ns)
    )
    sla = pause(sla, now_ns) if to in PAUSED else targets.resume(sla, now_ns)
    return targets.callback(sla, now_ns) if to is State.IMPLEMENTED else sla


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
        for name in ("resolution", "responsibility", "cause", "archive_class", "owner")
        if (value := getattr(wish, name))
    }
    verdict = wish.verdict
    if wish.to is State.FALSE_ALARM and not verdict and (wish.verdict_reason or wish.note):
        verdict = Verdict.FALSE_ALARM
    if verdict:
        reason = wish.verdict_reason or (wish.note if verdict == Verdict.FALSE_ALARM else "")
        named["verdict"], named["verdict_reason"] = word_of(verdict, reason), reason
    if wish.satisfied is not None:
        named["callback"] = Callback(
            done_ns=now_ns, satisfied=wish.satisfied, rating=wish.rating, signed=wish.signed
        )
    elif wish.no_callback:
        named["callback"] = Callback(none_because=wish.no_callback)
    if wish.rating is not None and (wish.satisfied is None or not 1 <= wish.rating <= 5):
        raise Refused(f"expected a rating from 1 to 5 beside the customer's answer, got {wish.rating}")
    _known(wish)
    if wish.department and wish.department != ticket.owner_department:
        named["owner_department"] = wish.department
        # 首问责任制: the first owner stays whoever it was, hand-overs are counted
        named["hand_offs"] = ticket.hand_offs + 1
    # 首问责任 is a person's: a helpdesk that moves its own ticket is nobody's first owner
    if not ticket.first_owner and not wish.actor.startswith("desk:"):
        named["first_owner"] = wish.actor
    return msgspec.structs.replace(ticket, **named)


def _known(wish: Move) -> None:
    """Refuse codes that no list has: what is counted by them would be counted apart."""
    for name, codes in (*CODES.items(), ("cause", tuple(CAUSES))):
        given = getattr(wish, name)
        if given and given not in codes:
            raise Refused(f"expected {name} to be one of {', '.join(codes)}, got {given!r}")


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
    if wish.to in (State.CLOSED, State.FALSE_ALARM) and ticket.bill_hold:
        missing.append("the release of its bill")
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
