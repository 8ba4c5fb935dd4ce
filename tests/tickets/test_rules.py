"""What a flag becomes, on a store in memory: open, join, link, escalate, clear, repeat."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.messages import Flag
from streams.trade.book import Book
from streams.trade.deliveries import cloud_event
from streams.trade.lifecycle import Move, move
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.tickets import Category, State, Ticket, Urgency
from tests.tickets.tools import (
    GOLDEN_EVIDENCE,
    HOUR,
    MINUTE,
    NOON,
    MemoryStore,
    flag,
    flag_events,
    golden,
    open_by_key,
)


def only(store: MemoryStore) -> Ticket:
    (ticket,) = store.tickets.values()
    return ticket


def test_the_golden_flag_opens_a_ticket() -> None:
    store = MemoryStore()
    (ticket,) = store.take(golden())
    assert ticket.id.startswith("FS-")
    assert ticket.dedup_key == "wei|usage_high|golden"
    assert (ticket.category, ticket.urgency, ticket.priority) == (
        Category.METERING_BILLING,
        Urgency.NORMAL,
        "P2",  # 243.7 m³ is more than a hundred
    )
    assert ticket.estimate is not None
    assert ticket.estimate.excess == 243.7
    assert [h.cause for h in ticket.hypotheses][:3] == ["misread", "leak", "meter_fault"]
    assert [step.check for _, step in store.book.steps] == list(ticket.checks)
    assert (ticket.opened_at, ticket.event_at) == ("2026-06-01T12:00:00.000Z", "2012-06-10T00:00:00Z")
    assert ticket.state is State.NEW
    (event,) = store.events
    assert event.type == "opened"
    assert event.data["ticket"]["estimate"]["excess"] == 243.7
    assert event.data["ticket"]["opened_at"] == "2026-06-01T12:00:00.000Z"
    assert "243.7 m3" in event.data["text"]["zh"]["body"]
    assert "misread" in event.data["text"]["en"]["body"]


def test_the_same_event_twice_changes_nothing() -> None:
    store = MemoryStore()
    store.take(golden())
    ticket, events = only(store), list(store.events)
    assert store.take(golden(), now_ns=NOON + HOUR) == []
    assert only(store) == ticket
    assert store.events == events


def test_a_second_episode_joins_the_open_ticket() -> None:
    store = MemoryStore()
    store.take(flag("spike", id="a"), flag("spike", id="b", at="2026-06-02T00:00:00Z"))
    ticket = only(store)
    assert ticket.flag_ids == ("a", "b")
    assert ticket.lead_flag_id == "b"
    assert [event.type for event in store.events] == ["opened", "joined"]


def test_another_family_opens_its_own_and_they_know_of_each_other() -> None:
    store = MemoryStore()
    store.take(flag("spike", id="a"), flag("continuous_flow", id="b"))
    first, second = store.tickets.values()
    assert (first.related, second.related) == ((second.id,), (first.id,))
    assert second.category is Category.SAFETY
    assert [event.type for event in store.events] == ["opened", "opened", "linked"]
    assert list(store.events[1].data["ticket"]["related"]) == [first.id]


def test_tickets_of_other_points_are_not_linked() -> None:
    store = MemoryStore()
    store.take(flag("spike", id="a"), flag("silent", id="b", service_point_id="point-2"))
    assert [ticket.related for ticket in store.tickets.values()] == [(), ()]


@pytest.mark.parametrize("unit", ["kPa", "mm[H2O]", "m3/h"])
def test_a_limit_of_gas_pressure_is_safety_whatever_spoke_first(unit: str) -> None:
    """What moved fast turns out to be beyond HH: the ticket takes the graver kind, class and priority."""
    store = MemoryStore()
    commodity = {"commodity": "gas", "unit": unit, "id": "p"}
    store.take(flag("rate", **commodity))
    if unit == "m3/h":  # a flow that changes fast is no danger yet
        assert only(store).category is Category.SUPPLY_QUALITY
    store.take(flag("pressure_high", "updated", at="2026-06-01T00:01:00Z", **commodity), now_ns=NOON + MINUTE)
    ticket = only(store)
    assert (ticket.kind, ticket.category, ticket.priority) == ("pressure_high", Category.SAFETY, "P2")
    assert ticket.owner_department == "emergency_repair"
    store.take(flag("pressure_high", "cleared", at="2026-06-01T00:09:00Z", **commodity), now_ns=NOON + HOUR)
    assert only(store).category is Category.SAFETY


def test_a_rollback_that_goes_on_asks_for_the_direction_first() -> None:
    store = MemoryStore()
    (ticket,) = store.take(flag("rollback", evidence={"falls_of_late": 3.0}))
    assert ticket.hypotheses[0].cause == "direction"
    assert ticket.hypotheses[0].next_check == "device_record"


def test_safety_never_hides_in_a_ticket_of_billing() -> None:
    store = MemoryStore()
    store.take(flag("continuous_flow", id="water", commodity="water"))
    assert only(store).category is Category.METERING_BILLING
    store.take(flag("continuous_flow", id="gas", commodity="gas"), now_ns=NOON + MINUTE)
    ticket = only(store)
    assert (ticket.category, ticket.urgency, ticket.priority) == (Category.SAFETY, Urgency.EMERGENCY, "P1")
    assert ticket.owner_department == "emergency_repair"
    assert "marketing" in ticket.co_departments
    assert ticket.sla.ack_due_ns == NOON + 6 * MINUTE
    assert ticket.lead_flag_id == "gas"
    assert store.events[-1].urgency == "emergency"
    # and a lesser flag does not take the lead again
    store.take(flag("continuous_flow", id="water-2", commodity="water"), now_ns=NOON + HOUR)
    assert only(store).lead_flag_id == "gas"
    assert only(store).category is Category.SAFETY


def test_what_becomes_graver_waits_for_nobody() -> None:
    store = MemoryStore()
    (ticket,) = store.take(flag("continuous_flow", id="water", commodity="water"))
    book = Book()
    waiting = move(book, ticket, Move(to=State.WAITING_CUSTOMER, actor="li"), Targets(), NOON)
    store.tickets[ticket.id] = waiting
    store.take(flag("continuous_flow", id="gas", commodity="gas"), now_ns=NOON + HOUR)
    assert only(store).state is State.INVESTIGATING
    assert only(store).sla.paused_since_ns is None


def test_an_update_that_ends_a_pause_says_so_in_the_history() -> None:
    store = MemoryStore()
    store.take(flag("spike"))
    waiting = replace(only(store), state=State.WAITING_CUSTOMER)
    store.tickets[waiting.id] = waiting
    excess = {"periods": GOLDEN_EVIDENCE["periods"], "billed_amount": 273.0, "billed_days": 61.0}
    store.take(flag("spike", "updated", at="2026-06-02T00:00:00Z", evidence=excess))
    ticket = only(store)
    assert (ticket.priority, ticket.state) == ("P2", State.INVESTIGATING)
    line = store.book.history[-1][1]
    assert (line.action, line.before, line.after) == ("updated", "waiting_customer", "investigating")


def test_a_cleared_flag_is_noted_and_closes_nothing() -> None:
    store = MemoryStore()
    store.take(golden())
    before = only(store)
    store.take(golden(status="cleared", at="2012-08-10T00:00:00Z", evidence={}, observed=30.0))
    after = only(store)
    assert after.open
    assert (after.estimate, after.evidence) == (before.estimate, before.evidence)
    assert store.events[-1].type == "cleared"
    assert store.episodes["golden"].status == "cleared"
    # the next episode of the same family still joins it
    store.take(golden(id="again", at="2012-10-10T00:00:00Z"))
    assert only(store).flag_ids == ("golden", "again")


def test_the_end_of_something_unknown_is_no_ticket() -> None:
    store = MemoryStore()
    assert store.take(golden(status="cleared")) == []
    assert store.tickets == {}


def test_an_update_that_comes_first_opens_the_ticket() -> None:
    store = MemoryStore()
    (ticket,) = store.take(golden(status="updated"))
    assert ticket.flag_ids == ("golden",)


def test_a_flag_about_the_past_opens_nothing() -> None:
    store = MemoryStore()
    assert store.take(golden(historical=True)) == []
    (ticket,) = store.take(golden(historical=True, id="b"), rules=Rules(open_historical=True))
    assert ticket.flag_ids == ("b",)


def test_an_update_without_news_is_kept_and_not_told() -> None:
    store = MemoryStore()
    store.take(golden())
    store.take(golden(status="updated", at="2012-06-11T00:00:00Z", score=5.0), now_ns=NOON + HOUR)
    ticket = only(store)
    assert len(store.events) == 1
    assert ticket.version == 1
    assert ticket.evidence["score"] == 5.0
    assert store.episodes["golden"].updates == 1


def test_a_mended_kind_changes_causes_and_adds_their_checks() -> None:
    store = MemoryStore()
    store.take(flag("spike", id="a"))
    before = only(store)
    store.take(flag("misread", "updated", id="a", family="usage_high", at="2026-06-02T00:00:00Z"))
    after = only(store)
    assert after.kind == "misread"
    assert after.family == "usage_high"
    assert after.hypotheses[0].cause == "misread"
    assert after.hypotheses[0].weight == 0.8
    assert after.checks == (*before.checks, "inspect_meter")
    assert store.events[-1].type == "updated"
    assert store.events[-1].data["change"]["note"] == "spike → misread"


def test_a_growing_excess_raises_the_priority_and_is_told() -> None:
    store = MemoryStore()
    small = {"billed_amount": 60.0, "billed_days": 61.0, "periods": golden().evidence["periods"]}
    store.take(golden(evidence=small, observed=60.0))
    assert only(store).priority == "P3"
    store.take(golden(status="updated", at="2012-07-10T00:00:00Z"))
    ticket = only(store)
    assert ticket.priority == "P2"
    assert ticket.estimate is not None
    assert ticket.estimate.excess == 243.7
    assert "30.7 → 243.7 m3" in store.events[-1].data["change"]["note"]
    # a detector that has no periods to show does not wipe the estimate out
    store.take(golden(status="updated", at="2012-07-11T00:00:00Z", evidence={"seen_as": "spike"}))
    assert only(store).estimate == ticket.estimate


def test_a_new_episode_after_the_work_is_a_relapse() -> None:
    store = MemoryStore()
    (ticket,) = store.take(golden())
    store.tickets[ticket.id] = replace(ticket, state=State.CALLBACK)
    store.take(golden(id="again", at="2012-10-10T00:00:00Z"), now_ns=NOON + HOUR)
    assert only(store).state is State.REOPENED
    assert store.book.history[-1][1].action == "relapsed"
    assert store.events[-1].type == "joined"


@pytest.mark.parametrize("state", ["closed", "archived", "false_alarm", "merged"])
def test_after_the_end_the_next_episode_opens_its_own_ticket(state: str) -> None:
    store = MemoryStore()
    (first,) = store.take(golden())
    store.tickets[first.id] = closed = replace(first, state=State(state))
    store.take(golden(status="updated", at="2012-07-10T00:00:00Z", score=9.0))
    assert store.tickets[first.id] == closed  # what staff have closed stays as they closed it
    store.take(golden(status="cleared", at="2012-08-10T00:00:00Z"))
    assert store.book.history[-1][1].action == "cleared"
    assert len(store.events) == 1  # nobody is called about a closed case
    (second,) = store.take(golden(id="again", at="2012-10-10T00:00:00Z"))
    assert second.id != first.id
    assert second.flag_ids == ("again",)


def test_a_drill_is_marked_and_never_meets_a_real_ticket() -> None:
    store = MemoryStore()
    drill = {"drill": True}
    (practice,) = store.take(flag("continuous_flow", id="d", evidence=drill))
    (real,) = store.take(flag("continuous_flow", id="r"))
    assert practice.drill
    assert practice.id.startswith("DRILL-")
    assert practice.related == real.related == ()
    assert store.events[0].drill
    assert store.events[0].data["text"]["zh"]["title"].startswith("【演练】【紧急】")
    assert store.events[0].data["text"]["en"]["title"].startswith("[DRILL] [EMERGENCY]")


def test_what_goes_out_is_a_cloud_event() -> None:
    import msgspec
    from cloudevents.core.formats.json import JSONFormat

    store = MemoryStore()
    (ticket,) = store.take(golden())
    body = msgspec.json.encode(cloud_event(store.events[0], "/forestall/test"))
    read = JSONFormat().read(None, body)
    assert read.get_specversion() == "1.0"
    assert read.get_type() == "forestall.ticket.opened.v1"
    assert read.get_subject() == ticket.id
    assert read.get_id() == f"{ticket.id}.1"
    assert read.get_source() == "/forestall/test"


@settings(deadline=None)
@given(flag_events(), st.data())
def test_never_two_open_tickets_of_a_point_and_family(events: list[Flag], data: st.DataObject) -> None:
    store = MemoryStore()
    for number, one in enumerate(events):
        store.take(one, now_ns=NOON + number)
        key = data.draw(st.sampled_from(["", *sorted(store.tickets)]), label="close")
        if key:
            store.tickets[key] = replace(store.tickets[key], state=State.CLOSED)
        assert all(len(ids) == 1 for ids in open_by_key(list(store.tickets.values())).values())
    for ticket in store.tickets.values():
        attached = {e.flag_id for e in store.episodes.values() if e.ticket_id == ticket.id}
        assert attached == set(ticket.flag_ids)
        if ticket.category is not Category.SAFETY:
            gas_leaks = [e for e in attached if store.episodes[e].family == "tamper"]
            assert not gas_leaks


@settings(deadline=None)
@given(flag_events())
def test_a_replay_changes_nothing(events: list[Flag]) -> None:
    store = MemoryStore()
    for number, one in enumerate(events):
        store.take(one, now_ns=NOON + number)
    tickets, episodes, told = dict(store.tickets), dict(store.episodes), list(store.events)
    for one in events:
        assert store.take(one, now_ns=NOON + HOUR) == []
    assert (store.tickets, store.episodes, store.events) == (tickets, episodes, told)


@settings(deadline=None)
@given(flag_events(), st.data())
def test_redelivery_anywhere_gives_the_same_tickets(events: list[Flag], data: st.DataObject) -> None:
    """At-least-once delivery: a stretch comes again, as after a crash before the commit."""
    once, again = MemoryStore(), MemoryStore()
    once.take(*events)
    if events:
        start = data.draw(st.integers(0, len(events) - 1))
        end = data.draw(st.integers(start, len(events)))
        again.take(*events[:end], *events[start:end], *events[end:])
    assert again.tickets == once.tickets
    assert again.episodes == once.episodes
    assert again.events == once.events
