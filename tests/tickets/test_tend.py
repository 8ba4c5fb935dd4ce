"""What the clock does to tickets: what is overdue is escalated, bills come near, cases are archived."""

from __future__ import annotations

from connectors.store import Store
from streams.trade.credit import hold_bill
from streams.trade.lifecycle import Move
from streams.trade.roles import Actor, Role
from streams.trade.tend import Tend, TendConfig
from streams.trade.tickets import State
from tests.tickets.test_whole_and_mutes import RULES, WANG, close, silent, staff, take
from tests.tickets.tools import DAY, MINUTE, NOON, Turned, flag, golden

ANN = Actor("ann", Role.BILLING)


def test_overdue_is_escalated_once_and_bills_come_near(store: Store, clock: Turned) -> None:
    (urgent,) = take(store, flag("continuous_flow", id="l"))
    (slow,) = take(store, flag(id="f", meter_id="m2", service_point_id="p2", place={"bill_day": 20}))
    (late,) = take(store, silent(1))
    tend = Tend(store, RULES, clock, TendConfig(archive_days=0))
    clock.advance(6 * MINUTE)
    tend.tick()
    tend.tick()
    assert tend.done["overdue"] == 1
    found = store.ticket(urgent.id)
    assert found is not None
    assert found.escalated
    assert [(e.action, e.note) for e in found.history][-1] == ("overdue", "acknowledge")
    clock.now = NOON + 17 * DAY  # the 18th
    tend.tick()
    near = store.ticket(slow.id)
    assert near is not None
    assert near.priority == "P2"
    assert "billed_soon" in [e.action for e in near.history]
    patient = store.ticket(late.id)
    assert patient is not None
    assert not patient.escalated


def test_of_work_that_is_done_only_the_call_is_late(store: Store, clock: Turned) -> None:
    (ticket,) = take(store, golden())
    for state in (State.INVESTIGATING, State.IMPLEMENTED):
        staff(store, clock).move(WANG, ticket.id, Move(to=state, actor="wang", resolution="repair"))
    clock.advance(30 * DAY)
    Tend(store, RULES, clock, TendConfig(archive_days=0)).tick()
    found = store.ticket(ticket.id)
    assert found is not None
    assert [(e.action, e.note) for e in found.history][-1] == ("overdue", "callback")


def test_what_is_never_escalated_keeps_nothing_from_being(store: Store, clock: Turned) -> None:
    waiting = [silent(n) for n in range(201)]
    store.apply_flags(waiting, NOON, RULES)
    clock.advance(3 * DAY)
    (urgent,) = take(store, flag("continuous_flow", id="l"), now_ns=clock.now)
    clock.advance(6 * MINUTE)
    tend = Tend(store, RULES, clock, TendConfig(archive_days=0))
    tend.tick()
    assert tend.done["overdue"] == 1
    assert store.ticket(urgent.id).escalated  # type: ignore[union-attr]


def test_what_has_ended_goes_into_the_archive(store: Store, clock: Turned) -> None:
    (ticket,) = take(store, golden())
    close(store, ticket, NOON)
    tend = Tend(store, RULES, clock, TendConfig(archive_days=90))
    clock.advance(89 * DAY)
    tend.tick()
    clock.advance(2 * DAY)
    tend.tick()
    found = store.ticket(ticket.id)
    assert found is not None
    assert found.state is State.ARCHIVED


def test_bills_that_are_held_keep_no_other_from_its_turn(store: Store, clock: Turned) -> None:
    place = {"bill_day": 20}
    made = [
        ticket
        for n in range(4)
        for ticket in take(store, flag(id=f"f{n}", meter_id=f"m{n}", service_point_id=f"p{n}", place=place))
    ]
    first = sorted(made, key=lambda ticket: ticket.id)
    for one in first[:3]:
        store.change(one.id, lambda book, t: hold_bill(book, t, True, ANN, "disputed", NOON), NOON)
    clock.now = NOON + 17 * DAY  # the 18th
    tend = Tend(store, RULES, clock, TendConfig(archive_days=0, escalate=False, most=2))
    tend.tick()
    assert tend.done["billed_soon"] == 0
    tend.tick()
    assert tend.done["billed_soon"] == 1
    assert store.ticket(first[3].id).priority == "P2"  # type: ignore[union-attr]
    store.change(first[0].id, lambda book, t: hold_bill(book, t, False, ANN, "checked", NOON), NOON)
    # the look at the end of the list found nothing more: the next begins anew
    tend.tick()
    tend.tick()
    assert store.ticket(first[0].id).priority == "P2"  # type: ignore[union-attr]
