"""Carries the words that people say about flags into the book, one row a flag."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from streams.trade.book import Book
from streams.trade.judged import judged
from streams.trade.tickets import Ticket, Verdict


def settle(book: Book, ticket: Ticket, actor: str, now_ns: int) -> None:
    """Carry a ticket's verdict to its flags as it ends; what was said of one flag alone stays."""
    flags = [
        flag for flag in flags_of(book, ticket) if flag not in book.judged or not book.judged[flag].single
    ]
    word = Verdict(ticket.verdict)
    write_words(book, ticket, flags, word, ticket.verdict_reason, actor, now_ns)


def flags_of(book: Book, ticket: Ticket) -> list[str]:
    """All flags of a ticket whose episodes are in the book; the newest, which it names itself, last."""
    named = set(ticket.flag_ids)
    others = [
        (one.start, flag)
        for flag, one in book.episodes.items()
        if one.ticket_id == ticket.id and flag not in named
    ]
    return [*(flag for _, flag in sorted(others)), *ticket.flag_ids]


def write_words(
    book: Book,
    ticket: Ticket,
    flags: Iterable[str],
    word: Verdict,
    reason: str,
    actor: str,
    now_ns: int,
    *,
    single: bool = False,
) -> bool:
    """Put the words into the book, none for a drill; tell whether any is new.

    ticket : with its history, and the episodes of its flags in the book
    single : said of these flags alone, not of the whole ticket
    """
    new = False
    for flag in flags:
        episode = book.episodes.get(flag)
        if ticket.drill or episode is None:
            continue
        known = book.judged.get(flag)
        if known is not None and (known.verdict, known.reason, known.single) == (word, reason, single):
            continue
        fresh = replace(
            judged(ticket, episode, word, reason, actor, now_ns, book.came.get(flag)), single=single
        )
        book.put_judged(fresh if known is None else replace(fresh, raised_ns=known.raised_ns))
        new = True
    return new
