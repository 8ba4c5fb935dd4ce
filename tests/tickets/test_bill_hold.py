"""Bills that a complaint holds: of billing, where it says so; with its reason, on record, released by people."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.store import Store
from connectors.store.audit import LogFilter
from streams.sections import ComplaintsSettings
from streams.trade.complaint_form import Faults
from streams.trade.complaints import Complaint
from streams.trade.credit import hold_bill
from streams.trade.lifecycle import Move, Refused, move
from streams.trade.linking import Linking
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.states import State
from streams.trade.tickets import Ticket
from streams.trade.work import merge
from tests.tickets.complaint_tools import filled, home, put_points
from tests.tickets.tools import DAY, HOUR, NOON, flag

ANN, CRM = Actor("ann", Role.BILLING), Actor("call-centre", Role.COMPLAINTS)
RULES, LINKING = Rules(), Linking()


@pytest.fixture(autouse=True)
def places(store: Store) -> None:
    put_points(store, home(), home("meter-2", "point-2"))


def complain(store: Store, at_ns: int = NOON + HOUR, linking: Linking = LINKING, **fields: Any) -> Complaint:
    taken, _ = store.take_complaint(*filled(at_ns, **fields), linking, at_ns)
    return taken


def ticket_of(store: Store, complaint: Complaint) -> Ticket:
    found = store.ticket(complaint.ticket_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"subject": "disputed_amount"}, True),
        ({"subject": "", "matter": "对欠费金额有异议"}, True),
        ({"subject": "disputed_amount", "hold_bill": "否"}, False),
        ({"subject": "high_bill"}, False),
        ({"subject": "high_bill", "hold_bill": "暂缓"}, True),
        ({"subject": "high_bill", "hold_bill": True}, True),
        ({"subject": "no_supply", "hold_bill": "yes"}, False),  # no matter of billing
    ],
)
def test_a_complaint_holds_the_bill_where_it_says_so(
    store: Store, fields: dict[str, Any], held: bool
) -> None:
    one = complain(store, **fields)
    ticket = ticket_of(store, one)
    assert ticket.bill_hold is held
    assert ticket.hold_reason == (f"{one.id}; {one.subject}" if held else "")
    assert [line.action for line in ticket.history] == ["opened"] + ["bill_held"] * held
    rows = [
        (row.actor, row.object, row.reason)
        for row in store.audit_log(wanted=LogFilter(action="ticket.hold_bill"))
    ]
    assert rows == [("call-centre", f"ticket/{ticket.id}", one.id)] * held
    assert store.verify_audit().faults == ()


def test_what_the_configuration_names_holds_too(store: Store) -> None:
    linking = Linking(hold_subjects=frozenset({"high_bill"}))
    assert ticket_of(store, complain(store, linking=linking)).bill_hold
    assert ComplaintsSettings(hold_subjects=("high_bill", "misread")).hold_subjects == (
        "high_bill",
        "misread",
    )
    with pytest.raises(ValidationError, match=r"expected subjects among high_bill.* got no_supply"):
        ComplaintsSettings(hold_subjects=("no_supply",))
    with pytest.raises(Faults, match="hold_bill: expected one of yes, no, got 'maybe'"):
        filled(hold_bill="maybe")


def test_on_the_ticket_that_was_there_it_is_told_and_only_people_release_it(store: Store) -> None:
    (opened,) = store.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    one = complain(store, subject="disputed_amount")
    assert one.ticket_id == opened.id
    before = ticket_of(store, one)
    assert (before.bill_hold, before.history[-1].action) == (True, "bill_held")
    # another customer of the same household says it again: nothing is written twice
    again = complain(store, reference="2", subject="disputed_amount")
    assert [line.action for line in ticket_of(store, again).history].count("bill_held") == 1
    # neither flags nor the complaint system let it go
    store.apply_flags(
        [flag(meter_id="meter-1", service_point_id="point-1", status="cleared")], NOON + DAY, RULES
    )
    with pytest.raises(Refused, match="who may decide about money"):
        store.change(opened.id, lambda book, t: hold_bill(book, t, False, CRM, "paid", NOON), NOON)
    assert ticket_of(store, one).bill_hold
    store.change(opened.id, lambda book, t: hold_bill(book, t, False, ANN, "checked", NOON), NOON)
    after = ticket_of(store, one)
    assert (after.bill_hold, after.hold_reason) == (False, "")
    assert (after.history[-1].action, after.history[-1].note) == ("bill_released", "checked")


def test_merging_takes_the_hold_along(store: Store) -> None:
    one = complain(store, subject="disputed_amount")
    raised = flag("leak", meter_id="meter-1", service_point_id="point-1")
    leak = next(t for t in store.apply_flags([raised], NOON + DAY, RULES) if t.id != one.ticket_id)
    store.change(
        one.ticket_id,
        lambda book, t: merge(book, t, book.tickets[leak.id], "olga", NOON + DAY),
        NOON + DAY,
        also=[leak.id],
    )
    into = store.ticket(leak.id)
    assert into is not None
    assert (into.bill_hold, into.hold_reason) == (True, f"{one.id}; disputed_amount")
    assert [line.action for line in into.history][-2:] == ["took_over", "bill_held"]


def test_found_out_later_where_it_belongs_the_ticket_there_is_held(store: Store) -> None:
    one = complain(store, subject="disputed_amount", service_point="nowhere")
    assert ticket_of(store, one).bill_hold  # its own, at no place yet
    (opened,) = store.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    given = store.assign_complaint(one.id, "point-1", ANN, LINKING, NOON + 2 * HOUR)
    assert given.ticket_id == opened.id
    assert ticket_of(store, given).bill_hold
    rows = [(row.actor, row.object) for row in store.audit_log(wanted=LogFilter(action="ticket.hold_bill"))]
    assert rows == [("ann", f"ticket/{opened.id}"), ("call-centre", f"ticket/{one.ticket_id}")]


def test_a_hold_stays_where_the_ticket_at_the_place_is_over(store: Store) -> None:
    (opened,) = store.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    one = complain(store, subject="disputed_amount", service_point="nowhere")
    wish = Move(to=State.FALSE_ALARM, actor="olga", verdict_reason="read again")
    store.change(opened.id, lambda book, t: move(book, t, wish, Targets(), NOON + DAY), NOON + DAY)
    given = store.assign_complaint(one.id, "point-1", ANN, LINKING, NOON + 2 * DAY)
    own = store.ticket(one.ticket_id)
    assert own is not None
    assert (given.ticket_id, own.state, own.bill_hold) == (opened.id, State.NEW, True)
    assert (own.service_point_id, own.meter_id, own.complaint_ids) == ("point-1", "meter-1", ())


def test_work_that_is_over_is_not_held_but_people_are_told(store: Store) -> None:
    (opened,) = store.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    wish = Move(to=State.FALSE_ALARM, actor="olga", verdict_reason="read again")
    store.change(opened.id, lambda book, t: move(book, t, wish, Targets(), NOON + DAY), NOON + DAY)
    late = filled(NOON + HOUR, subject="disputed_amount")  # of before the end
    one, _ = store.take_complaint(late.complaint, late.person, LINKING, NOON + 2 * DAY)
    ticket = ticket_of(store, one)
    assert (ticket.id, ticket.state, ticket.bill_hold) == (opened.id, State.FALSE_ALARM, False)
    assert (ticket.history[-1].action, ticket.history[-1].note) == (
        "hold_asked",
        f"{one.id}; disputed_amount",
    )


def test_whose_bill_is_disputed_is_not_merged_into_a_whole_by_itself(store: Store) -> None:
    place = {"concentrator": "C1"}
    silent = [
        flag("silent", id=m, meter_id=m, service_point_id=p, place=place)
        for m, p in (("meter-1", "point-1"), ("meter-2", "point-2"))
    ]
    first, second = store.apply_flags(silent, NOON, RULES)
    store.change(first.id, lambda book, t: hold_bill(book, t, True, ANN, "disputed", NOON), NOON)
    whole = flag(
        "concentrator_silent", id="c", meter_id="C1", service_point_id="C1", place=place,
        evidence={"meters": ["meter-1", "meter-2"]},
    )  # fmt: skip
    store.apply_flags([whole], NOON + HOUR, RULES)
    states = {one.id: one.state for one in store.tickets(None, 10)}
    assert (states[first.id], states[second.id]) == (State.NEW, State.MERGED)
