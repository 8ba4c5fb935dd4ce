"""What people do with a ticket beside moving it: hand-offs, checks, merging, swaps, records.

Each verb works on the book of one transaction, writes one line of history, and raises
``Refused`` with the reason where the trade forbids it; the book is then to be dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from streams.trade.book import Book
from streams.trade.causes import CHECKS, NEGATIVE, POSITIVE, UNCLEAR, weigh
from streams.trade.lifecycle import Refused, record
from streams.trade.routing import DEPARTMENTS
from streams.trade.states import PAUSED, TRANSITIONS, StepKind
from streams.trade.tickets import LARGE, Purpose, State, Step, Swap, Ticket, label, with_flags

#: 低电压: 一投诉、一跟踪、一策略、一管控
RECORD = ("complaint", "tracking", "strategy", "control")
FINDINGS = (POSITIVE, NEGATIVE, UNCLEAR)


def finish_step(
    book: Book, ticket: Ticket, seq: int, result: str, finding: str, actor: str, now_ns: int, cause: str = ""
) -> Ticket:
    """Write down what a check has shown, and rank the causes anew.

    finding : ``positive``, ``negative`` or ``unclear``
    cause   : what a positive check has found, where it looks for more than one thing
    """
    _open(ticket)
    step = next((one for one in ticket.steps if one.seq == seq), None)
    if step is None:
        raise Refused(f"expected a step from 1 to {len(ticket.steps)}, got {seq}")
    if not result.strip() or not actor:
        raise Refused("expected the check's result and the name of whoever did it")
    if finding not in FINDINGS:
        raise Refused(f"expected finding to be one of {', '.join(FINDINGS)}, got {finding!r}")
    if step.result:
        raise Refused(f"expected a check without a result, step {step.seq} has one already: {step.result}")
    sought = [one.cause for one in ticket.hypotheses if one.next_check == step.check] or [step.cause]
    if cause and cause not in sought:
        raise Refused(f"expected cause to be one of {', '.join(sought)}, got {cause!r}")
    done = replace(step, result=result, finding=finding, cause=cause or step.cause, by=actor, done_ns=now_ns)
    steps = tuple(done if one.seq == seq else one for one in ticket.steps)
    book.steps.append((ticket.id, done))
    prior = ticket.prior or ticket.hypotheses
    changed = replace(
        ticket,
        steps=steps,
        prior=prior,
        hypotheses=weigh(prior, steps),
        cause=done.cause if finding == POSITIVE else ticket.cause,
    )
    return record(book, changed, now_ns, "checked", actor, note=f"{step.check}: {finding}, {result}")


def add_step(book: Book, ticket: Ticket, check: str, actor: str, now_ns: int) -> Ticket:
    """Ask for one more check, of those that ``causes.CHECKS`` knows."""
    _open(ticket)
    if check not in CHECKS:
        raise Refused(f"expected check to be one of {', '.join(CHECKS)}, got {check!r}")
    if any(step.check == check and not step.result for step in ticket.steps):
        raise Refused(f"expected a check that is not waiting to be done, got {check}")
    kind: StepKind = CHECKS[check][0]
    step = Step(seq=len(ticket.checks) + 1, kind=kind, check=check, cause="")
    book.steps.append((ticket.id, step))
    changed = replace(ticket, checks=(*ticket.checks, check), steps=(*ticket.steps, step))
    return record(book, changed, now_ns, "check_added", actor, note=check)


def hand_off(
    book: Book,
    ticket: Ticket,
    department: str,
    owner: str,
    actor: str,
    now_ns: int,
    *,
    note: str = "",
    co_departments: Sequence[str] | None = None,
) -> Ticket:
    """Give a ticket to another department or person (转派): counted; the first owner stays who it was."""
    _open(ticket)
    wanted = (department, *(co_departments or ()))
    for name in filter(None, wanted):
        if name not in DEPARTMENTS:
            raise Refused(f"expected department to be one of {', '.join(DEPARTMENTS)}, got {name!r}")
    department = department or ticket.owner_department
    elsewhere = department != ticket.owner_department or (
        bool(owner) and bool(ticket.owner) and owner != ticket.owner
    )
    joint = ticket.co_departments if co_departments is None else tuple(dict.fromkeys(co_departments))
    if not elsewhere and owner in ("", ticket.owner) and joint == ticket.co_departments:
        raise Refused(
            f"expected another department or person than {ticket.owner_department} {ticket.owner}".rstrip()
        )
    assigned = State.ASSIGNED in TRANSITIONS[ticket.state] and ticket.state not in PAUSED
    sla = (
        ticket.sla if ticket.sla.acknowledged_ns is not None else replace(ticket.sla, acknowledged_ns=now_ns)
    )
    changed = replace(
        ticket,
        owner_department=department,
        owner=owner or ("" if department != ticket.owner_department else ticket.owner),
        co_departments=tuple(one for one in joint if one != department),
        first_owner=ticket.first_owner or actor,
        hand_offs=ticket.hand_offs + int(elsewhere),
        sla=sla,
        state=State.ASSIGNED if assigned else ticket.state,
    )
    told = f"{ticket.owner_department} → {department}" + (f" ({owner})" if owner else "")
    return record(
        book,
        changed,
        now_ns,
        "handed_off",
        actor,
        note=f"{told}; {note}" if note else told,
        before=ticket.state,
        after=changed.state,
    )


def merge(
    book: Book, ticket: Ticket, into: Ticket, actor: str, now_ns: int, note: str = "", *, ended: bool = False
) -> Ticket:
    """Fold a ticket into another: its flags and complaints go there. Returns the one that stays.

    Refused where the work is done, and where money hangs on it that would get lost: a credit counts against
    the limit of its own ticket, and a held bill is one meter's.

    ended : whether the work on the other may be over
    """
    if ticket.id == into.id or not (into.open or ended):
        raise Refused(
            f"expected another open ticket to merge into, got {into.id} ({label(into.state, 'en')})"
        )
    if State.MERGED not in TRANSITIONS[ticket.state]:
        raise Refused(
            f"expected a ticket whose work is not done, got one that is {label(ticket.state, 'en')}"
        )
    if ticket.drill != into.drill:
        raise Refused("expected two real tickets or two drills: a drill never meets a real one")
    if ticket.credits:
        raise Refused(
            f"expected a ticket without credits, got {ticket.id} with {len(ticket.credits)}: merge the other into it"
        )
    if ticket.bill_hold and into.group:
        raise Refused(f"expected a ticket whose bill is not held, got {ticket.id}: release its bill first")
    stays = replace(
        with_flags(into, ticket.flag_ids, ticket.flags),
        complaint_ids=tuple(dict.fromkeys((*into.complaint_ids, *ticket.complaint_ids))),
        lead_time_s=ticket.lead_time_s if into.lead_time_s is None else into.lead_time_s,
        meters=tuple(dict.fromkeys((*into.meters, *(ticket.meters or (ticket.meter_id,)))))[:500]
        if into.group
        else into.meters,
    )
    for episode in list(book.episodes.values()):
        if episode.ticket_id == ticket.id:
            book.put_episode(replace(episode, ticket_id=into.id))
    for complaint in list(book.complaints.values()):
        if complaint.ticket_id == ticket.id:
            book.put_complaint(replace(complaint, ticket_id=into.id))
    gone = replace(ticket, state=State.MERGED, merged_into=into.id, closed_ns=now_ns)
    record(book, gone, now_ns, "merged", actor, note=note or into.id, before=ticket.state, after=State.MERGED)
    stays = record(book, stays, now_ns, "took_over", actor, note=ticket.id)
    if not ticket.bill_hold or not into.open or into.bill_hold:
        return stays
    # the bill is the same one: people held it, or a customer disputed it, and people release it
    held = replace(stays, bill_hold=True, hold_reason=ticket.hold_reason)
    return record(book, held, now_ns, "bill_held", actor, note=ticket.hold_reason)


def escalate(book: Book, ticket: Ticket, actor: str, note: str, now_ns: int) -> Ticket:
    """Mark an open ticket as escalated (提级), beside its state."""
    if not ticket.open or ticket.escalated:
        raise Refused(f"expected an open ticket that is not escalated, got {label(ticket.state, 'en')}")
    return record(book, replace(ticket, escalated=True), now_ns, "escalated", actor, note=note)


def explain(book: Book, ticket: Ticket, actor: str, note: str, now_ns: int) -> Ticket:
    """The use is real and will shock: the ticket is from now on there to tell the customer before the bill."""
    _open(ticket)
    if ticket.family != "usage_high" or ticket.purpose is Purpose.EXPLAIN:
        raise Refused(
            f"expected a ticket about high use that is a case still, got {ticket.family} ({ticket.purpose})"
        )
    return record(book, replace(ticket, purpose=Purpose.EXPLAIN), now_ns, "to_explain", actor, note=note)


def note(book: Book, ticket: Ticket, text: str, actor: str, now_ns: int) -> Ticket:
    """Write something down that has no field of its own."""
    if not text.strip():
        raise Refused("expected a text, got none")
    return record(book, ticket, now_ns, "noted", actor, note=text)


def record_swap(book: Book, ticket: Ticket, swap: Swap, actor: str, now_ns: int) -> Ticket:
    """Write down a meter swap with its stop and start reads (起止码), so that the customer can be told."""
    _open(ticket)
    if not swap.old_serial or not swap.new_serial or swap.old_serial == swap.new_serial:
        raise Refused(f"expected two serial numbers, got {swap.old_serial!r} and {swap.new_serial!r}")
    if swap.stop_read < 0 or swap.start_read < 0:
        raise Refused(f"expected reads that are not negative, got {swap.stop_read:g} and {swap.start_read:g}")
    text = f"{swap.old_serial} {swap.stop_read:g} → {swap.new_serial} {swap.start_read:g} {swap.unit}"
    return record(book, replace(ticket, swap=replace(swap, by=actor)), now_ns, "swapped", actor, note=text)


def keep_record(book: Book, ticket: Ticket, part: str, text: str, actor: str, now_ns: int) -> Ticket:
    """Fill one of the four parts that a low-voltage ticket has."""
    _open(ticket)
    if part not in RECORD or not text.strip():
        raise Refused(f"expected one of {', '.join(RECORD)} with a text, got {part!r}")
    changed = replace(ticket, record={**ticket.record, part: text})
    return record(book, changed, now_ns, "recorded", actor, note=f"{part}: {text}")


def set_impact(book: Book, ticket: Ticket, impact: str, actor: str, now_ns: int) -> Ticket:
    """Name the class of impact (VIP, 大客户, hospital); empty: none."""
    _open(ticket)
    return record(
        book,
        replace(ticket, impact=impact),
        now_ns,
        "impact",
        actor,
        note=impact or f"not {ticket.impact or LARGE}",
    )


def _open(ticket: Ticket) -> None:
    if not ticket.open:
        raise Refused(
            f"expected an open ticket, got one that is {label(ticket.state, 'en')}: reopen it first"
        )
