"""Which ticket a complaint is about: at the same place, of a family that its subject speaks of."""

from __future__ import annotations

from msgspec.structs import replace

from streams.trade.complaints import Complaint, Site
from streams.trade.states import Category, Origin
from streams.trade.subjects import SUBJECTS
from streams.trade.tickets import Ticket


def placed(complaint: Complaint, site: Site) -> Complaint:
    """The complaint at its site."""
    return replace(complaint, service_point_id=site.service_point_id, meter_id=site.meter_id, area=site.area)


def fit(ticket: Ticket, complaint: Complaint, site: Site, *, standing: bool) -> int | None:
    """How well a ticket fits a complaint, 0 best; None: it is about something else, or somewhere else.

    standing : whether the ticket was open when the complaint was made, as far as it matters
    Of a group's ticket the family must fit and it must be open; at the point itself the category will do,
    but for safety: a leak does not hide in a ticket about a seal.
    """
    subject = SUBJECTS[complaint.subject]
    here = ticket.service_point_id == site.service_point_id
    if not here and not (standing and (ticket.group or ticket.service_point_id) in site.places):
        return None
    if ticket.family in subject.families:
        return subject.families.index(ticket.family)
    if here and ticket.category is complaint.category and complaint.category is not Category.SAFETY:
        return len(subject.families)
    return None


def first_lead(ticket: Ticket, lead_s: float) -> float | None:
    """The lead time of a ticket's first complaint, in whatever order they arrive. [s]

    None where a customer was before us: then no later complaint earns one.
    """
    if ticket.origin is Origin.COMPLAINT or lead_s < 0:
        return None
    if not ticket.complaint_ids:
        return lead_s
    return None if ticket.lead_time_s is None else min(ticket.lead_time_s, lead_s)
