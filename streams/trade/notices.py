"""Messages to the customer: drafted from the ticket's facts, approved by a person, then sent.

Verbs on the book of one transaction, as in ``lifecycle``. We send nothing to customers ourselves:
an approved message goes out by a desk, or by hand, and is then marked as sent.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from streams.trade.book import Book, Refused
from streams.trade.lifecycle import record
from streams.trade.mutes import Mute, MuteKind
from streams.trade.notice_words import SITUATIONS, Facts, Signature, message, of_text
from streams.trade.roles import Actor
from streams.trade.settlement import CreditState, Notice, NoticeState, NoticeText
from streams.trade.tickets import Purpose, Ticket, Verdict

CHANNELS = ("sms", "phone", "app", "email", "letter", "visit")
OURSELVES = "forestall"
_MOST = 100
_HOUR = 3_600_000_000_000


def draft(
    book: Book,
    situation: str,
    facts: Facts,
    actor: str,
    now_ns: int,
    *,
    channel: str = "sms",
    written: dict[str, tuple[str, str]] | None = None,
) -> Ticket:
    """Write a message for the ticket of the facts, in both languages, to be approved.

    written : language → (text, SMS) where staff put it into words of their own
    A draft of the same situation that nobody has approved gives way to the new one, under a new
    number, so that nobody approves a text that they have not seen. Raises Refused.
    """
    ticket = facts.ticket
    _fits(situation, facts, channel)
    texts = {}
    for language in ("zh", "en"):
        own = (written or {}).get(language)
        texts[language] = message(situation, facts, language) if own is None else _own(own, language)
    kept = tuple(n for n in ticket.notices if n.situation != situation or n.state is not NoticeState.DRAFT)
    if len(kept) >= _MOST:
        raise Refused(f"expected fewer than {_MOST} messages on a ticket, got {len(kept)}")
    notice = Notice(
        number=max((n.number for n in ticket.notices), default=0) + 1,
        situation=situation,
        state=NoticeState.DRAFT,
        channel=channel,
        zh=texts["zh"],
        en=texts["en"],
        drafted_by=actor,
        drafted_ns=now_ns,
    )
    changed = replace(ticket, notices=(*kept, notice))
    return record(
        book, changed, now_ns, "notice_drafted", actor, tell=False, note=f"{notice.number} · {situation}"
    )


def approve(book: Book, ticket: Ticket, number: int, actor: Actor, now_ns: int) -> Ticket:
    """Approve a draft; desks are told, with its text. Raises Refused."""
    notice = _notice(ticket, number, NoticeState.DRAFT)
    if not actor.may("work") or actor.name == OURSELVES:
        raise Refused(f"expected a person of the staff, got {actor.name!r} ({actor.role})")
    if ticket.drill:
        raise Refused("expected a real ticket, got a drill: no customer is told of it")
    done = replace(notice, state=NoticeState.APPROVED, approved_by=actor.name, approved_ns=now_ns)
    return _put(book, ticket, done, "notice_approved", actor.name, now_ns)


def sent(book: Book, ticket: Ticket, number: int, by: str, now_ns: int, *, channel: str = "") -> Ticket:
    """Note that an approved message has gone out, by a desk or by hand. Raises Refused.

    by : the desk, or the person
    """
    notice = _notice(ticket, number, NoticeState.APPROVED)
    if not by:
        raise Refused("expected the desk or the person that has sent it, got none")
    if channel and channel not in CHANNELS:
        raise Refused(f"expected one of {', '.join(CHANNELS)}, got {channel}")
    done = replace(
        notice, state=NoticeState.SENT, sent_by=by, sent_ns=now_ns, channel=channel or notice.channel
    )
    if notice.situation == "meter_swapped" and ticket.swap is not None:
        # 起、止码告知: whether the customer was told of both reads is asked for later
        ticket = replace(ticket, swap=replace(ticket.swap, told_ns=now_ns))
    return _put(book, ticket, done, "notice_sent", by, now_ns)


def explain_before_bill(book: Book, ticket: Ticket, signature: Signature, now_ns: int) -> Ticket:
    """Draft the message of an "explain" ticket, so that it is there before the bill; once, and for no other."""
    if ticket.purpose is not Purpose.EXPLAIN or not ticket.open or ticket.drill:
        return ticket
    if any(notice.situation == "real_use" for notice in ticket.notices):
        return ticket
    return draft(book, "real_use", signature.facts(ticket), OURSELVES, now_ns)


def unannounced(mutes: Iterable[Mute], now_ns: int, hours: float = 24.0) -> list[Mute]:
    """Planned outages that customers were not told of ``hours`` before they begin, soonest first.

    Those that are not over, whose notice is late or missing, and for which it is high time: the
    outage begins within so many hours, or has begun.
    """
    ahead = round(hours * _HOUR)
    found = [
        mute
        for mute in mutes
        if mute.kind is MuteKind.PLANNED_OUTAGE
        and mute.end_ns > now_ns
        and mute.start_ns - now_ns <= ahead
        and (mute.notice_ns is None or mute.notice_ns > mute.start_ns - ahead)
    ]
    return sorted(found, key=lambda mute: (mute.start_ns, mute.id))


def _fits(situation: str, facts: Facts, channel: str) -> None:
    ticket = facts.ticket
    if situation not in SITUATIONS:
        raise Refused(f"expected one of {', '.join(SITUATIONS)}, got {situation}")
    if channel not in CHANNELS:
        raise Refused(f"expected one of {', '.join(CHANNELS)}, got {channel}")
    if situation == "meter_swapped" and ticket.swap is None:
        raise Refused(
            "expected a swap with its stop and start reads on the ticket, got none: record it first"
        )
    if situation == "credit_approved" and (
        ticket.credit is None or ticket.credit.state not in (CreditState.APPROVED, CreditState.BOOKED)
    ):
        raise Refused("expected an approved credit, got none: nothing is promised before")
    if situation in ("meter_fine", "real_use") and ticket.verdict == Verdict.CONFIRMED:
        raise Refused("expected a meter that was found to be fine, got the verdict confirmed")
    if situation == "planned_outage" and (
        facts.start_ns is None or facts.end_ns is None or facts.end_ns <= facts.start_ns
    ):
        raise Refused("expected when the outage begins and when it ends, got none: state both")


def _own(written: tuple[str, str], language: str) -> NoticeText:
    text, sms = (part.strip() for part in written)
    if not text:
        raise Refused(f"expected a text in {language}, got an empty one: leave it out to have it written")
    return of_text(text, sms)


def _notice(ticket: Ticket, number: int, state: NoticeState) -> Notice:
    found = next((notice for notice in ticket.notices if notice.number == number), None)
    if found is None:
        raise Refused(f"expected the number of a message of this ticket, got {number}: look at it again")
    if found.state is not state:
        raise Refused(f"expected a message that is {state}, got one that is {found.state}")
    return found


def _put(book: Book, ticket: Ticket, notice: Notice, action: str, actor: str, now_ns: int) -> Ticket:
    notices = tuple(notice if n.number == notice.number else n for n in ticket.notices)
    note = f"{notice.number} · {notice.situation} · {notice.channel}"
    return record(book, replace(ticket, notices=notices), now_ns, action, actor, note=note)
