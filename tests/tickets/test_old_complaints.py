"""Complaints of an archive: kept and counted as what they were, and nothing comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import outbox, tickets
from streams.trade.complaints import Complaint, ComplaintFilter, Outcome
from streams.trade.lifecycle import Move, move
from streams.trade.linking import Linking
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.states import State
from streams.trade.tickets import LARGE, Ticket
from streams.trade.work import merge
from tests.tickets.complaint_tools import filled, home, put_points
from tests.tickets.tools import DAY, HOUR, NOON, flag

ANN = Actor("ann", Role.COMPLAINTS)
LINKING, RULES = Linking(), Rules()
LATER = NOON + 400 * DAY


def keep(store: Store, at_ns: int, now_ns: int = LATER, **fields: Any) -> Complaint:
    """Take one from the archive."""
    form = filled(at_ns, now_ns, **fields)
    taken, new = store.take_complaint(replace(form.complaint, archive=True), form.person, LINKING, now_ns)
    assert new
    return taken


def rows(store: Store) -> tuple[int, ...]:
    """How many tickets there are, and events to be told."""
    with reading(store._engine) as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (tickets, outbox)
        )


def on_file(store: Store, ticket_id: str) -> Ticket:
    found = store.ticket(ticket_id)
    assert found is not None
    return found


@pytest.fixture
def telling(store_url: str) -> Iterator[Store]:
    """A store with a desk that is told of everything."""
    upgrade(store_url)
    made = Store(store_url, lambda _event: ["webhook"])
    put_points(made, home())
    yield made
    made.close()


def test_where_nothing_was_there_nothing_is_opened(telling: Store) -> None:
    old = keep(telling, NOON)
    assert (old.outcome, old.miss, old.ticket_id, old.archive) == (Outcome.KEPT, True, "", True)
    assert old.service_point_id == "point-1"
    gas = keep(telling, NOON + HOUR, reference="2", matter="厨房有煤气味", subject="")
    assert (gas.subject, gas.urgency, gas.miss) == ("gas_leak", "emergency", False)
    assert rows(telling) == (0, 0)
    assert [one.id for one in telling.complaints(ComplaintFilter(), 9)] == [gas.id, old.id]
    # again, also as one of today: it is the one that is there
    form = filled(NOON)
    assert telling.take_complaint(form.complaint, form.person, LINKING, LATER) == (old, False)
    assert rows(telling) == (0, 0)


def test_it_is_tied_to_the_ticket_that_was_there_then_and_changes_nothing_else(telling: Store) -> None:
    (ticket,) = telling.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    wish = Move(to=State.FALSE_ALARM, actor="olga", verdict_reason="read again")
    telling.change(
        ticket.id, lambda book, one: move(book, one, wish, Targets(), NOON + 10 * DAY), NOON + 10 * DAY
    )
    before, told = on_file(telling, ticket.id), rows(telling)
    early = keep(telling, NOON - HOUR, reference="before")
    while_open = keep(telling, NOON + 2 * HOUR, reference="open", impact="vip")
    ended = keep(telling, NOON + 20 * DAY, reference="ended")  # within the window after its opening
    late = keep(telling, NOON + 100 * DAY, reference="late")
    assert [(one.outcome, one.lead_time_s, one.miss) for one in (early, while_open, ended, late)] == [
        ("kept", None, True),
        ("known", 7200.0, False),
        ("known", 20 * 86400.0, False),
        ("kept", None, True),
    ]
    after = on_file(telling, ticket.id)
    assert rows(telling) == told
    assert (after.complaint_ids, after.lead_time_s) == ((while_open.id, ended.id), 7200.0)
    for name in ("state", "sla", "priority", "urgency", "impact", "callback", "closed_ns", "first_owner"):
        assert getattr(after, name) == getattr(before, name)
    assert [line.action for line in after.history[len(before.history) :]] == ["complaint_kept"] * 2
    assert telling.verify_audit().faults == ()


def test_one_that_was_merged_afterwards_was_there_then(telling: Store) -> None:
    (first,) = telling.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    raised = flag("leak", id="leak-1", meter_id="meter-1", service_point_id="point-1")
    (second,) = (t for t in telling.apply_flags([raised], NOON + 2 * DAY, RULES) if t.id != first.id)
    telling.change(
        first.id,
        lambda book, t: merge(book, t, book.tickets[second.id], "wang", NOON + 3 * DAY),
        NOON + 3 * DAY,
        also=[second.id],
    )
    old = keep(telling, NOON + DAY)
    assert (old.outcome, old.miss, old.lead_time_s, old.ticket_id) == (
        Outcome.KNOWN,
        False,
        86400.0,
        second.id,
    )
    assert old.id in on_file(telling, second.id).complaint_ids


def test_a_ticket_of_todays_is_no_ticket_of_then(telling: Store) -> None:
    (ticket,) = telling.apply_flags(
        [flag(meter_id="meter-1", service_point_id="point-1")], LATER - HOUR, RULES
    )
    assert ticket.open
    assert keep(telling, NOON).outcome is Outcome.KEPT
    assert on_file(telling, ticket.id).complaint_ids == ()


def test_a_large_customers_ticket_that_nobody_has_seen_stays_unsaid(telling: Store) -> None:
    place = {"class": "industrial"}
    one = flag(meter_id="meter-1", service_point_id="point-1", place=place)
    (ticket,) = telling.apply_flags([one], NOON, RULES)
    assert (ticket.impact, ticket.held) == (LARGE, True)
    assert keep(telling, NOON + HOUR).ticket_id == ticket.id
    assert rows(telling) == (1, 0)


def test_one_without_a_place_gets_it_later_and_is_no_work_to_be_done(telling: Store) -> None:
    (ticket,) = telling.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    first = keep(telling, NOON + HOUR, service_point="nowhere", phone="13900000001")
    other = keep(telling, NOON + HOUR, reference="2", service_point="elsewhere", phone="13900000002")
    assert {first.ticket_id, other.ticket_id} == {""}
    assert telling.complaints(ComplaintFilter(linked=False), 9) == []
    found = telling.complaints(ComplaintFilter(linked=False, outcome="kept"), 9)
    assert {one.id for one in found} == {first.id, other.id}
    told = rows(telling)
    given = telling.assign_complaint(first.id, "point-1", ANN, LINKING, LATER)
    assert (given.ticket_id, given.outcome, given.lead_time_s) == (ticket.id, "known", 3600.0)
    assert on_file(telling, ticket.id).complaint_ids == (first.id,)
    still = telling.complaint(other.id)
    assert still is not None
    assert still.ticket_id == ""
    assert rows(telling) == told


def test_reports_count_it_in_its_month(telling: Store) -> None:
    telling.apply_flags([flag(meter_id="meter-1", service_point_id="point-1")], NOON, RULES)
    keep(telling, NOON + HOUR)
    keep(telling, NOON + HOUR, reference="2", service_point="nowhere")
    facts = list(telling.complaint_facts(NOON, NOON + DAY))
    assert sorted((one.outcome, one.miss) for one in facts) == [("kept", True), ("known", False)]
    assert list(telling.complaint_facts(LATER - DAY, LATER + DAY)) == []
