"""Complaints of an archive (历史投诉): kept as what they were, and nothing comes of them.

They are tied to the ticket that was there when they were made. They open no ticket, set no clock, make nothing
graver, reopen nothing, and nobody is told: what they were about is over.
"""

from __future__ import annotations

from msgspec.structs import replace

from streams.messages import NS
from streams.trade.book import Book
from streams.trade.complaints import Complaint, Outcome, Site
from streams.trade.fitting import first_lead, fit, placed
from streams.trade.lifecycle import record
from streams.trade.states import Category, Origin, State
from streams.trade.tickets import Ticket


def keep(book: Book, complaint: Complaint, site: Site, window_ns: int, actor: str, now_ns: int) -> Complaint:
    """Keep a complaint of an archive, with the ticket that was there then or with none.

    book      : with the tickets of the site and of what holds it that were open at the time of the complaint, or
        had opened in ``window_ns`` before it
    """
    complaint = placed(complaint, site)
    ticket = _then(book, complaint, site, window_ns)
    metering = complaint.category is Category.METERING_BILLING
    if ticket is None:
        complaint = replace(complaint, outcome=Outcome.KEPT, miss=metering)
    else:
        lead_s = (complaint.at_ns - ticket.opened_ns) / NS
        stands = _stands(book, ticket)
        ours = ticket.origin is not Origin.COMPLAINT
        complaint = replace(
            complaint,
            ticket_id=stands.id,
            outcome=Outcome.KNOWN if ours else Outcome.JOINED,
            lead_time_s=lead_s if ours else None,
            miss=metering and not ours,
        )
        # a large customer's that nobody has looked at: a complaint on it would have it told to other systems
        if not stands.held:
            tied = replace(
                stands,
                complaint_ids=(*stands.complaint_ids, complaint.id),
                lead_time_s=first_lead(stands, lead_s),
            )
            record(book, tied, now_ns, "complaint_kept", actor, tell=False, note=complaint.id)
    book.put_complaint(complaint)
    return complaint


def _then(book: Book, complaint: Complaint, site: Site, window_ns: int) -> Ticket | None:
    """The ticket that was there when the complaint was made, by the rules of complaints of today.

    One that was merged into another afterwards was there by itself.
    """
    if not site.service_point_id:
        return None
    ranked = []
    for ticket in book.tickets.values():
        if ticket.drill or ticket.opened_ns > complaint.at_ns or _stands(book, ticket).state is State.MERGED:
            continue
        was_open = ticket.open or ticket.closed_ns is None or ticket.closed_ns >= complaint.at_ns
        rank = fit(ticket, complaint, site, standing=was_open)
        if rank is None or not (was_open or ticket.opened_ns >= complaint.at_ns - window_ns):
            continue
        age = ticket.opened_ns if was_open else -ticket.opened_ns
        grouped = ticket.service_point_id != site.service_point_id
        ranked.append((not was_open, rank, grouped, age, ticket.id))
    return book.tickets[min(ranked)[-1]] if ranked else None


def _stands(book: Book, ticket: Ticket) -> Ticket:
    """The ticket that goes on for one: itself, or the last of those that it was merged into."""
    seen = {ticket.id}
    while ticket.state is State.MERGED and ticket.merged_into in book.tickets.keys() - seen:
        ticket = book.tickets[ticket.merged_into]
        seen.add(ticket.id)
    return ticket
