"""What the agent at the phone sees in one answer: what is known, how it stands, and the words to say.

One view of status, whatever department has the case (一口对外): first owner and hand-offs included.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from streams.messages import NS
from streams.trade.answer_words import GAS_SAFETY, MORE, SAY
from streams.trade.causes import check_label
from streams.trade.complaints import Complaint, Outcome, Site
from streams.trade.mutes import Mute, Muted, MuteKind
from streams.trade.routing import PRIORITIES, department_label
from streams.trade.subjects import SUBJECTS
from streams.trade.tickets import Category, State, Ticket, Urgency, iso, label
from streams.trade.wording import kind_label, title

MOST = 20  # tickets, mutes, flags that wait


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a site.

    leading : with history and steps: the ticket that the answer is about
    """

    site: Site
    tickets: tuple[Ticket, ...] = ()
    mutes: tuple[Mute, ...] = ()
    waiting: tuple[Muted, ...] = ()
    leading: Ticket | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """In what language and zone the answer is to be, and what it is an answer to."""

    named: str
    language: str
    zone: str
    now_ns: int
    emergency_phone: str = ""
    complaint: Complaint | None = None


def leading(tickets: Iterable[Ticket]) -> Ticket | None:
    """The ticket that a caller is most likely calling about: open, grave, new."""
    ranked = [t for t in tickets if not t.drill and t.state is not State.MERGED]
    return min(
        ranked,
        key=lambda t: (not t.open, PRIORITIES.index(t.priority), -t.opened_ns, t.id),
        default=None,
    )


def answer(known: Known, asked: Asked) -> dict[str, Any]:
    """The whole answer, as JSON types; instants in ISO 8601."""
    ticket, complaint = known.leading, asked.complaint
    outage = _outage(known, complaint)
    situation = _situation(known, asked, outage)
    say = _pick(SAY[situation], asked.language).format_map(_Words(_filling(ticket, outage, asked)))
    gas = ticket is not None and ticket.open and _is_gas(ticket, complaint)
    return {
        "named": asked.named,
        "service_point_id": known.site.service_point_id,
        "meter_id": known.site.meter_id,
        "area": known.site.area,
        "commodity": known.site.commodity,
        "situation": situation,
        "say": say.strip(),
        "safety": _safety(asked) if gas else [],
        "done": _done(ticket, asked) if ticket else [],
        "ticket": _brief(ticket, asked) if ticket else None,
        "tickets": [_brief(one, asked) for one in known.tickets[:MOST]],
        "mutes": [_mute(one) for one in known.mutes[:MOST]],
        "waiting": [_waiting(one, asked.language) for one in known.waiting[:MOST]],
        "complaint": _complaint(complaint) if complaint else None,
    }


def _situation(known: Known, asked: Asked, outage: Mute | None) -> str:
    ticket, complaint = known.leading, asked.complaint
    urgent = ticket is not None and ticket.open and ticket.urgency is Urgency.EMERGENCY
    if ticket is not None and urgent and _is_gas(ticket, complaint):
        return "emergency"
    if outage is not None:
        return "planned_outage"
    if complaint is None:
        if ticket is None:
            return "nothing" if known.site.service_point_id else "unknown_place"
        return "known" if ticket.open else "done"
    if ticket is not None and ticket.state is State.REOPENED and complaint.outcome is not Outcome.OPENED:
        return "reopened"
    if complaint.outcome is Outcome.KNOWN:
        return "known" if ticket is not None and ticket.open else "done"
    if complaint.outcome is Outcome.JOINED:
        return "repeated"
    return "opened" if complaint.service_point_id else "unlinked"


def _is_gas(ticket: Ticket, complaint: Complaint | None) -> bool:
    """Whether somebody may be standing in escaping gas."""
    told = complaint is not None and complaint.subject == "gas_leak"
    return told or (
        ticket.category is Category.SAFETY and ticket.family == "leak" and ticket.commodity in ("", "gas")
    )


def _outage(known: Known, complaint: Complaint | None) -> Mute | None:
    """The planned interruption that a caller means: any where nothing was said of the matter."""
    about = complaint is None or "supply" in SUBJECTS[complaint.subject].families
    found = [one for one in known.mutes if one.kind is MuteKind.PLANNED_OUTAGE]
    return max(found, key=lambda one: one.end_ns, default=None) if about else None


def _filling(ticket: Ticket | None, outage: Mute | None, asked: Asked) -> dict[str, str]:
    language = asked.language
    words: dict[str, str] = {}
    if ticket is not None:
        since = ticket.opened_ns
        due = ticket.due_ns
        words |= {
            "ticket": ticket.id,
            "what": kind_label(ticket.kind, language),
            "state": label(ticket.state, language),
            "department": department_label(ticket.owner_department, language),
            "since": _when(since, asked),
            "due": "" if due is None else _pick(MORE["due"], language).format(due=_when(due, asked)),
        }
    if outage is not None:
        told = outage.notice_ns
        words |= {
            "reason": outage.reason,
            "start": _when(outage.start_ns, asked),
            "end": _when(outage.end_ns, asked),
            "notice": _pick(MORE["not_told"], language)
            if told is None
            else _pick(MORE["told"], language).format(at=_when(told, asked)),
        }
    return words


def _safety(asked: Asked) -> list[str]:
    call = MORE["outage_phone" if asked.emergency_phone else "outage_no_phone"]
    return [
        *(_pick(words, asked.language) for words in GAS_SAFETY),
        _pick(call, asked.language).format(phone=asked.emergency_phone),
    ]


def _done(ticket: Ticket, asked: Asked) -> list[str]:
    """What was done so far, a sentence each."""
    said = [
        _pick(MORE["checked"], asked.language).format(
            check=check_label(step.check, asked.language), result=step.result
        )
        for step in ticket.steps
        if step.result
    ]
    swap = ticket.swap
    if swap is not None:
        said.append(
            _pick(MORE["swap"], asked.language).format(
                old=swap.old_serial,
                new=swap.new_serial,
                stop=f"{swap.stop_read:.10g}",
                start=f"{swap.start_read:.10g}",
                unit=swap.unit,
            )
        )
    return said


def _brief(ticket: Ticket, asked: Asked) -> dict[str, Any]:
    """One ticket as the agent needs it."""
    estimate = ticket.estimate
    return {
        "id": ticket.id,
        "title": title(ticket, asked.language),
        "origin": ticket.origin,
        "category": ticket.category,
        "urgency": ticket.urgency,
        "priority": ticket.priority,
        "state": ticket.state,
        "state_label": label(ticket.state, asked.language),
        "open": ticket.open,
        "since": ticket.evidence.get("start", ""),
        "opened_at": iso(ticket.opened_ns),
        "due_at": None if ticket.due_ns is None else iso(ticket.due_ns),
        "overdue": ticket.due_ns is not None and ticket.due_ns < asked.now_ns,
        "department": ticket.owner_department,
        "department_label": department_label(ticket.owner_department, asked.language),
        "first_owner": ticket.first_owner,
        "hand_offs": ticket.hand_offs,
        "escalated": ticket.escalated,
        "bill_hold": ticket.bill_hold,
        "group": ticket.group,
        "complaints": len(ticket.complaint_ids),
        "estimate": None
        if estimate is None
        else {
            "expected": estimate.expected,
            "billed": estimate.billed,
            "excess": estimate.excess,
            "unit": estimate.unit,
        },
        "next_check": ticket.hypotheses[0].next_check if ticket.hypotheses else "",
    }


def _mute(mute: Mute) -> dict[str, Any]:
    return {
        "kind": mute.kind,
        "place": mute.place,
        "reason": mute.reason,
        "start": iso(mute.start_ns),
        "end": iso(mute.end_ns),
        "notice_at": None if mute.notice_ns is None else iso(mute.notice_ns),
    }


def _waiting(muted: Muted, language: str) -> dict[str, Any]:
    """A flag that no ticket was opened for: a mute holds it, or it is below the bar of its kind."""
    return {
        "flag_id": muted.flag_id,
        "kind": muted.kind,
        "title": kind_label(muted.kind, language),
        "why": muted.why,
        "since": iso(muted.since_ns),
    }


def _complaint(complaint: Complaint) -> dict[str, Any]:
    return {
        "id": complaint.id,
        "outcome": complaint.outcome,
        "lead_time_s": complaint.lead_time_s,
        "miss": complaint.miss,
        "ticket_id": complaint.ticket_id,
    }


def _pick(words: tuple[str, str], language: str) -> str:
    return words[0 if language == "zh" else 1]


def _when(time_ns: int, asked: Asked) -> str:
    """An instant as it is said on the telephone, in local time."""
    local = datetime.fromtimestamp(time_ns // NS, UTC).astimezone(ZoneInfo(asked.zone))
    if asked.language == "zh":
        return f"{local.month} 月 {local.day} 日 {local:%H:%M}"
    return f"{local.day} {local:%B} {local:%H:%M}"


class _Words(dict[str, str]):
    """A word that a situation does not have is left out."""

    def __missing__(self, key: str) -> str:
        return ""
