"""A helpdesk has changed its ticket: what ours does about it, by legal moves alone.

The helpdesk knows that the work is done; it does not know the trade's verdict, whether the customer
was called back, nor under what class the case is filed. A ticket that it closes comes as far as these
facts allow: closed where they are there, else to 待回访 with a line of history that says what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.trade.book import Book
from streams.trade.lifecycle import Move, Refused, move, record
from streams.trade.remote import RemoteChange, same
from streams.trade.sla import Targets
from streams.trade.states import PAUSED, RESOLVED, TMF621
from streams.trade.tickets import ENDED, State, Ticket, Verdict
from streams.trade.work import merge

#: status → (Chinese, English)
STATUS_WORDS: dict[str, tuple[str, str]] = {
    "open": ("处理中", "open"),
    "acknowledged": ("已受理", "acknowledged"),
    "rejected": ("已退回", "rejected"),
    "pending": ("待处理", "pending"),
    "held": ("已挂起", "held"),
    "inProgress": ("处理中", "in progress"),
    "cancelled": ("已取消", "cancelled"),
    "closed": ("已关闭", "closed"),
    "resolved": ("已解决", "resolved"),
}
#: what a ticket lacks for its closing → (Chinese, English)
LACKS: dict[str, tuple[str, str]] = {
    "verdict": ("核查结论", "the verdict"),
    "callback": ("回访结果", "the callback"),
    "archive_class": ("归档类别", "the archive class"),
    "bill_release": ("账单恢复出账", "the release of its bill"),
}
_AT_WORK = (State.NEW, State.TRIAGED, State.ASSIGNED)


def heed(book: Book, ticket: Ticket, change: RemoteChange, targets: Targets, now_ns: int) -> Ticket:
    """Bring a ticket where a desk says that it is, as far as the trade allows; note the rest.

    Nothing changes where the desk has not changed its mind: many send their ticket whenever anything
    about it changes, and with a status that is older than what we have yet to tell them.
    """
    if same(change.before, change.status) or same(TMF621[ticket.state], change.status):
        return ticket
    path = _path(ticket, change)
    if path is None:
        return ticket
    said = _said(ticket, change)
    actor = f"desk:{change.desk}"
    try:
        if change.status == "cancelled" and change.merged_into in book.tickets:
            merge(book, ticket, book.tickets[change.merged_into], actor, now_ns, said)
            return book.tickets[ticket.id]
        for state in path:
            ticket = move(book, ticket, Move(to=state, actor=actor, note=said), targets, now_ns)
    except Refused as refused:
        return record(book, ticket, now_ns, "reported", actor, note=f"{said} ({refused})")
    if path:
        return ticket
    return record(book, ticket, now_ns, "reported", actor, note=said)


def missing(ticket: Ticket) -> list[str]:
    """What the closing of a ticket lacks, codes of ``LACKS``."""
    there = {
        "verdict": bool(ticket.verdict),
        "callback": ticket.callback.done_ns is not None or bool(ticket.callback.none_because),
        "archive_class": bool(ticket.archive_class),
        "bill_release": not ticket.bill_hold,
    }
    return [name for name, known in there.items() if not known]


def _path(ticket: Ticket, change: RemoteChange) -> Sequence[State] | None:
    """The states to go through; empty: a note is all there is to do; None: not even that."""
    state, status = ticket.state, change.status
    over = state in ENDED
    if status in ("open", "acknowledged", "inProgress"):
        if state in PAUSED or (status == "inProgress" and state in _AT_WORK):
            return (State.INVESTIGATING,)
        if state in RESOLVED or state in (State.CLOSED, State.FALSE_ALARM):
            return (State.REOPENED,)
        return () if over else None
    if status in ("pending", "held"):
        if state in RESOLVED or state in (State.CLOSED, State.FALSE_ALARM):
            return (State.REOPENED, State.WAITING_CUSTOMER)
        if over:
            return ()
        return None if state in PAUSED else (State.WAITING_CUSTOMER,)
    if status == "rejected":
        # that a flag was false is a verdict, and verdicts are for people
        judged = ticket.verdict == Verdict.FALSE_ALARM and not over
        return (State.FALSE_ALARM,) if judged else ()
    if status == "cancelled":
        return ()  # a merge, where the ticket that goes on is one of ours
    return _towards_the_end(ticket, status)


def _towards_the_end(ticket: Ticket, status: str) -> Sequence[State] | None:
    """The states up to where the work is done, or to the closing."""
    if ticket.state in ENDED:
        return None
    path: list[State] = []
    if ticket.state not in RESOLVED:
        path = [State.INVESTIGATING, State.IMPLEMENTED] if ticket.state in _AT_WORK else [State.IMPLEMENTED]
    if status == "closed":
        if not missing(ticket):
            path.append(State.CLOSED)
        elif ticket.state is not State.CALLBACK:
            path.append(State.CALLBACK)
    return path


def _said(ticket: Ticket, change: RemoteChange) -> str:
    """What the desk said, in the ticket's language, and what is missing where it closes."""
    zh = ticket.language == "zh"
    word = STATUS_WORDS[change.status][0 if zh else 1]
    text = f"{change.desk}：{word}" if zh else f"{change.desk}: {word}"
    if change.note:
        text += f" – {change.note[:500]}"
    lacks = missing(ticket) if change.status == "closed" and ticket.state not in ENDED else []
    if lacks:
        words = [LACKS[name][0 if zh else 1] for name in lacks]
        text += f"；办结尚缺：{'、'.join(words)}" if zh else f"; closing still lacks {', '.join(words)}"
    return text
