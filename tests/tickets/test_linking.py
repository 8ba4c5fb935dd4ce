"""Complaints and the tickets that were there before them: lead time, misses, urgency."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.messages import FAMILIES, FAMILY_OF
from streams.trade.complaints import Complaint, Outcome, Site
from streams.trade.linking import SUBJECTS, Linking
from streams.trade.tickets import Callback, Category, Origin, State, Urgency
from streams.trade.work import merge
from tests.tickets.complaint_tools import SITE, MemoryDesk, complaint, moved
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, flag, golden, open_by_key

WEI = Site(service_point_id="wei", meter_id="wei", commodity="gas")


def test_a_complaint_after_the_flag_is_linked_with_its_lead_time() -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(golden())
    taken = desk.complain(complaint(NOON + 3 * DAY + HOUR), WEI)
    assert (taken.outcome, taken.ticket_id, taken.miss) == (Outcome.KNOWN, ticket.id, False)
    assert taken.lead_time_s == 3 * 86400 + 3600
    linked = desk.tickets[ticket.id]
    assert (linked.complaint_ids, linked.lead_time_s) == ((taken.id,), taken.lead_time_s)
    assert linked.first_owner == "agent-7"
    assert linked.state is State.NEW
    event = desk.events[-1]
    assert event.type == "complained"
    assert event.data["change"]["note"] == taken.id
    assert "收到用户投诉" in event.data["text"]["zh"]["body"]
    assert len(desk.tickets) == 1


def test_a_complaint_that_nobody_foresaw_opens_a_ticket_and_is_a_miss() -> None:
    desk = MemoryDesk()
    taken = desk.complain(complaint())
    (ticket,) = desk.tickets.values()
    assert (taken.outcome, taken.miss, taken.lead_time_s) == (Outcome.OPENED, True, None)
    assert ticket.id == taken.ticket_id
    assert ticket.dedup_key == f"point-1|usage_high|{taken.id}"
    assert (ticket.origin, ticket.family, ticket.lead_time_s) == (Origin.COMPLAINT, "usage_high", None)
    assert (ticket.owner_department, ticket.priority) == ("marketing", "P3")
    assert ticket.sla.resolve_due_ns is not None
    (flagged,) = MemoryDesk().flags(flag("bill_shock"))
    assert (ticket.hypotheses, ticket.checks) == (flagged.hypotheses, flagged.checks)
    assert [step.check for _, step in desk.book.steps] == list(ticket.checks)
    assert [line.action for _, line in desk.book.history] == ["opened"]


def test_a_flag_after_the_complaint_joins_its_ticket_and_earns_nothing() -> None:
    desk = MemoryDesk()
    taken = desk.complain(complaint())
    desk.flags(flag("spike"), now_ns=NOON + HOUR)
    (ticket,) = desk.tickets.values()
    assert ticket.flag_ids == ("flag-1",)
    again = desk.complain(complaint(NOON + DAY, reference="two"))
    assert (again.outcome, again.lead_time_s, again.miss) == (Outcome.JOINED, None, True)
    assert desk.tickets[ticket.id].lead_time_s is None
    assert desk.tickets[ticket.id].complaint_ids == (taken.id, again.id)
    assert len(desk.tickets) == 1


def test_a_back_dated_complaint_earns_no_lead_time() -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(golden())
    taken = desk.complain(complaint(NOON - MINUTE, NOON + DAY), WEI)
    assert (taken.outcome, taken.ticket_id, taken.lead_time_s, taken.miss) == (
        Outcome.JOINED,
        ticket.id,
        None,
        True,
    )
    desk.complain(complaint(NOON + DAY, reference="two"), WEI)
    assert desk.tickets[ticket.id].lead_time_s is None


def test_the_same_complaint_again_changes_nothing() -> None:
    desk = MemoryDesk()
    first = desk.complain(complaint())
    before = dict(desk.tickets), len(desk.events)
    assert desk.complain(complaint(NOON + DAY, matter="something else")) == first
    assert (dict(desk.tickets), len(desk.events)) == before


def test_drills_are_never_what_a_customer_complains_of() -> None:
    desk = MemoryDesk()
    desk.flags(flag("spike", evidence={"drill": True}))
    taken = desk.complain(complaint(NOON + HOUR))
    assert taken.outcome is Outcome.OPENED
    assert [t.drill for t in desk.tickets.values()] == [True, False]


def test_gas_is_an_emergency_at_once_whatever_the_form_says() -> None:
    desk = MemoryDesk()
    taken = desk.complain(
        complaint(subject="policy_question", urgency="low", matter="厨房闻到煤气味，想咨询")
    )
    ticket = desk.tickets[taken.ticket_id]
    assert (taken.subject, ticket.family) == ("gas_leak", "leak")
    assert (ticket.category, ticket.urgency, ticket.priority) == (Category.SAFETY, Urgency.EMERGENCY, "P1")
    assert ticket.owner_department == "emergency_repair"
    assert ticket.sla.ack_due_ns == NOON + 5 * MINUTE
    assert not taken.miss  # not about metering
    assert "【紧急】" in desk.events[-1].data["text"]["zh"]["title"]


def test_an_emergency_raises_the_ticket_that_was_there_and_never_lowers_it() -> None:
    desk = MemoryDesk()
    (water,) = desk.flags(flag("continuous_flow", commodity="water"))
    assert (water.category, water.priority) == (Category.METERING_BILLING, "P3")
    taken = desk.complain(complaint(NOON + HOUR, subject="gas_leak", matter="漏气"))
    ticket = desk.tickets[water.id]
    assert taken.ticket_id == water.id
    assert (ticket.category, ticket.urgency, ticket.priority) == (Category.SAFETY, Urgency.EMERGENCY, "P1")
    assert (ticket.owner_department, ticket.hand_offs) == ("emergency_repair", 1)
    desk.complain(complaint(NOON + 2 * HOUR, reference="two", subject="water_leak", matter="漏水"))
    assert desk.tickets[water.id].priority == "P1"


def test_a_leak_does_not_hide_in_another_safety_ticket() -> None:
    desk = MemoryDesk()
    (seal,) = desk.flags(flag("tamper"))
    taken = desk.complain(complaint(NOON + HOUR, subject="gas_leak", matter="漏气"))
    assert taken.ticket_id != seal.id
    assert desk.tickets[taken.ticket_id].related == (seal.id,)
    assert desk.tickets[seal.id].related == (taken.ticket_id,)


@pytest.mark.parametrize(
    ("kind", "subject", "known"),
    [
        ("spike", "high_bill", True),
        ("misread", "high_bill", True),  # its family is among those of the subject
        ("stuck", "high_bill", True),  # of the same category
        ("silent", "high_bill", False),
        ("silent", "no_supply", True),
        ("stuck", "meter_stopped", True),
        ("outage", "low_voltage", True),
        ("spike", "staff_attitude", False),
        ("spike", "policy_question", False),
        ("meter_swap", "swap_not_told", True),
    ],
)
def test_what_a_complaint_can_be_about(kind: str, subject: str, known: bool) -> None:
    desk = MemoryDesk()
    desk.flags(flag(kind))
    taken = desk.complain(complaint(NOON + HOUR, subject=subject, matter="…"))
    assert (taken.outcome is Outcome.KNOWN) is known


def test_the_likeliest_of_several_tickets() -> None:
    desk = MemoryDesk()
    desk.flags(flag("stuck", id="a"))
    spike, _ = desk.flags(flag("spike", id="b"), now_ns=NOON + MINUTE)
    assert desk.complain(complaint(NOON + HOUR)).ticket_id == spike.id


def test_a_closed_ticket_counts_for_ninety_days() -> None:
    for days, known in ((89, True), (91, False)):
        desk = MemoryDesk()
        (ticket,) = desk.flags(flag("spike"))
        moved(desk, ticket, State.FALSE_ALARM, now_ns=NOON + HOUR)
        taken = desk.complain(complaint(NOON + days * DAY))
        assert (taken.ticket_id == ticket.id) is known
        assert taken.miss is not known
        # the customer says otherwise
        assert desk.tickets[taken.ticket_id].state is (State.REOPENED if known else State.NEW)
        assert desk.tickets[ticket.id].closed_ns == (None if known else NOON + HOUR)


def test_an_open_ticket_counts_however_old() -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(flag("spike"))
    assert desk.complain(complaint(NOON + 400 * DAY)).ticket_id == ticket.id


def test_work_that_is_doubted_is_taken_up_again() -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(flag("spike"))
    moved(desk, ticket, State.INVESTIGATING, State.IMPLEMENTED, now_ns=NOON + HOUR)
    desk.tickets[ticket.id] = replace(desk.tickets[ticket.id], callback=Callback(none_because="not there"))
    late = desk.complain(complaint(NOON + MINUTE, NOON + DAY))
    assert desk.tickets[ticket.id].state is State.IMPLEMENTED  # it was made before the work was done
    desk.complain(complaint(NOON + 2 * DAY, reference="two"))
    again = desk.tickets[ticket.id]
    assert again.state is State.REOPENED
    assert again.callback == Callback()  # the customer is called again once it is done
    assert again.sla.resolve_due_ns is not None
    assert again.sla.resolve_due_ns > NOON + 2 * DAY
    assert late.lead_time_s == 60 == again.lead_time_s


def test_an_archived_case_stays_one() -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(flag("spike"))
    moved(desk, ticket, State.FALSE_ALARM, State.ARCHIVED, now_ns=NOON + HOUR)
    taken = desk.complain(complaint(NOON + DAY))
    assert (taken.outcome, taken.miss) == (Outcome.OPENED, True)


def test_a_merged_ticket_leads_on() -> None:
    desk = MemoryDesk()
    (one,) = desk.flags(flag("spike", id="a"))
    two, _ = desk.flags(flag("misread", id="b"))
    merge(desk.book, desk.tickets[one.id], desk.tickets[two.id], "ann", NOON)
    assert desk.complain(complaint(NOON + HOUR)).ticket_id == two.id


def test_a_groups_ticket_is_that_of_all_who_hang_on_it() -> None:
    desk = MemoryDesk()
    desk.flags(flag("transformer_outage", service_point_id="transformer/T7", meter_id="T7"))
    (group,) = desk.tickets.values()
    site = replace(SITE, places=("transformer/T7",))
    taken = desk.complain(complaint(NOON + HOUR, subject="no_supply", matter="停电"), site)
    assert (taken.ticket_id, taken.outcome, taken.lead_time_s) == (group.id, Outcome.KNOWN, 3600)
    other = desk.complain(complaint(NOON + HOUR, subject="high_bill", reference="two"), site)
    assert other.outcome is Outcome.OPENED
    elsewhere = complaint(NOON + HOUR, subject="no_supply", matter="停电", reference="three")
    assert desk.complain(elsewhere, Site(service_point_id="p2")).outcome is Outcome.OPENED


def test_what_the_customer_says_stays_in_the_complaint() -> None:
    desk = MemoryDesk()
    desk.complain(complaint(matter="王小明家气费偏高 13800001234", demand="退费"))
    told = str([event.data for event in desk.events])
    for said in ("王小明", "13800001234", "退费", "气费偏高"):
        assert said not in told


def test_every_subject_lands_somewhere() -> None:
    for code, subject in SUBJECTS.items():
        desk = MemoryDesk()
        taken = desk.complain(complaint(subject=code, matter="…"))
        ticket = desk.tickets[taken.ticket_id]
        assert ticket.category is subject.category
        assert bool(ticket.checks) is bool(subject.like)
        assert all(family in FAMILIES for family in subject.also)
        assert subject.like == "" or subject.like in FAMILY_OF
        assert subject.words[0] in desk.events[-1].data["text"]["zh"]["title"]


def test_the_window_is_configurable() -> None:
    desk = MemoryDesk(Linking(window_days=1))
    (ticket,) = desk.flags(flag("spike"))
    moved(desk, ticket, State.FALSE_ALARM, now_ns=NOON + HOUR)
    assert desk.complain(complaint(NOON + 2 * DAY)).outcome is Outcome.OPENED


@given(st.permutations([-30, 0, 5, 60, 7200]), st.booleans())
def test_the_lead_time_is_that_of_the_first_complaint_in_whatever_order_they_arrive(
    minutes: list[int], back_dated: bool
) -> None:
    desk = MemoryDesk()
    (ticket,) = desk.flags(flag("spike"))
    given_minutes = [m for m in minutes if back_dated or m >= 0]
    for m in given_minutes:
        desk.complain(complaint(NOON + m * MINUTE, NOON + 30 * DAY, reference=str(m)))
    assert desk.tickets[ticket.id].lead_time_s == (None if back_dated else 0.0)


def test_flag_and_complaint_in_any_order_end_on_one_ticket() -> None:
    for order in permutations(["flag", "complaint", "flag of the family", "complaint two"]):
        desk = MemoryDesk()
        for n, what in enumerate(order):
            at = NOON + n * HOUR
            if what.startswith("flag"):
                desk.flags(flag("spike", id=what), now_ns=at)
            else:
                desk.complain(complaint(at, reference=what))
        (ticket,) = desk.tickets.values()
        assert len(ticket.flag_ids) == len(ticket.complaint_ids) == 2
        first_is_ours = order[0].startswith("flag")
        assert (ticket.lead_time_s is not None) is first_is_ours
        misses = [one.miss for one in desk.complaints.values()]
        assert misses == [not first_is_ours] * 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["flag", "complaint"]),
            st.sampled_from(["spike", "silent", "leak", "tamper"]),
            st.sampled_from(sorted(SUBJECTS)),
            st.integers(0, 2),
            st.integers(-3, 3),
        ),
        max_size=25,
    )
)
def test_never_two_open_tickets_of_a_family_and_never_less_grave(
    events: list[tuple[str, str, str, int, int]],
) -> None:
    desk = MemoryDesk()
    gravest: dict[str, str] = {}
    taken: list[Complaint] = []
    for n, (what, kind, subject, point, back) in enumerate(events):
        now = NOON + n * HOUR
        if what == "flag":
            desk.flags(flag(kind, id=str(n), service_point_id=f"p{point}"), now_ns=now)
        else:
            site = Site(service_point_id=f"p{point}" if point else "", commodity="gas")
            made = complaint(now + min(0, back) * HOUR, now, subject=subject, matter="…", reference=str(n))
            taken.append(desk.complain(made, site, now))
        for ticket in desk.tickets.values():
            assert ticket.priority <= gravest.get(ticket.id, "P9")
            gravest[ticket.id] = ticket.priority
    assert all(len(ids) == 1 for ids in open_by_key(list(desk.tickets.values())).values())
    for one in taken:
        ticket = desk.tickets[one.ticket_id]
        assert one.id in ticket.complaint_ids
        assert (one.lead_time_s is not None) == (one.outcome is Outcome.KNOWN)
        assert one.miss == (one.category is Category.METERING_BILLING and one.outcome is not Outcome.KNOWN)
        if one.lead_time_s is not None:
            assert one.lead_time_s == (one.at_ns - ticket.opened_ns) / 1e9
            assert ticket.origin is Origin.PROACTIVE


def test_the_page_has_every_subject() -> None:
    page = (Path(__file__).parents[2] / "docs" / "complaints.md").read_text(encoding="utf-8")
    for code, subject in SUBJECTS.items():
        families = ", ".join(name if name in FAMILIES else f"*{name}*" for name in subject.families)
        assert (
            f"| {code} | {subject.words[0]} | {subject.words[1]} | {subject.category} | {families} |" in page
        )
