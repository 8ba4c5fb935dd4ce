"""What staff do beside moving a ticket: checks, hand-offs, merging, swaps, records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.messages import FAMILY_OF
from streams.trade.book import Book
from streams.trade.causes import CHECKS, NEGATIVE, POSITIVE, UNEXPLAINED, hypotheses, steps, weigh
from streams.trade.lifecycle import Refused
from streams.trade.settlement import Credit, CreditState
from streams.trade.tickets import Purpose, State, Swap, Ticket
from streams.trade.work import (
    add_step,
    escalate,
    explain,
    finish_step,
    hand_off,
    keep_record,
    merge,
    note,
    record_swap,
    set_impact,
)
from tests.tickets.tools import NOON, MemoryStore, flag, golden


def opened(**fields: Any) -> tuple[Book, Ticket]:
    store = MemoryStore()
    (ticket,) = store.take(golden(**fields))
    checks = tuple(step for key, step in store.book.steps if key == ticket.id)
    book = Book()
    ticket = replace(ticket, steps=checks)
    book.put(ticket)
    return book, ticket


def done(book: Book, ticket: Ticket, seq: int, finding: str, **more: Any) -> Ticket:
    return finish_step(book, ticket, seq, f"step {seq}", finding, "wang", NOON, **more)


def test_a_check_gets_its_result_once() -> None:
    book, ticket = opened()
    after = done(book, ticket, 1, NEGATIVE)
    assert after.version == ticket.version + 1
    ((key, step),) = book.steps
    assert (key, step.result, step.finding, step.by, step.done_ns) == (
        ticket.id,
        "step 1",
        NEGATIVE,
        "wang",
        NOON,
    )
    for wrong, words in (
        ((1, "x", NEGATIVE), "has one already"),
        ((2, " ", NEGATIVE), "the check's result"),
        ((2, "x", "maybe"), "expected finding"),
        ((9, "x", NEGATIVE), "expected a step from 1 to 5"),
    ):
        with pytest.raises(Refused, match=words):
            finish_step(book, after, *wrong, "wang", NOON)
    assert book.events == []


def test_the_golden_case_meter_after_misread_and_leak() -> None:
    """气表抄错 → 漏气 → 校表: each result moves the causes, the last one settles it."""
    book, ticket = opened()
    assert [h.cause for h in ticket.hypotheses][:3] == ["misread", "leak", "meter_fault"]
    ticket = done(book, ticket, 1, NEGATIVE)
    assert ticket.hypotheses[0].cause == "leak"
    ticket = done(book, ticket, 2, NEGATIVE)
    assert ticket.hypotheses[0].cause == "meter_fault"
    assert ticket.cause == ""
    ticket = done(book, ticket, 3, POSITIVE)
    assert ticket.hypotheses[0].cause == "meter_fault"
    assert ticket.hypotheses[0].weight > 0.9
    assert ticket.cause == "meter_fault"


def test_all_negative_is_unexplained() -> None:
    book, ticket = opened()
    for seq in range(1, len(ticket.steps) + 1):
        ticket = done(book, ticket, seq, NEGATIVE)
    assert ticket.hypotheses[0].cause == UNEXPLAINED
    assert ticket.cause == ""


@given(
    st.sampled_from(sorted(FAMILY_OF)), st.lists(st.sampled_from([POSITIVE, NEGATIVE, "unclear"]), max_size=6)
)
def test_weights_are_shares_whatever_the_results(kind: str, findings: list[str]) -> None:
    causes = hypotheses(flag(kind))
    checks = [replace(step, finding=f, result="x") for step, f in zip(steps(causes), findings, strict=False)]
    weighed = weigh(causes, checks)
    assert abs(sum(h.weight for h in weighed) - 1) < 0.03
    assert [h.weight for h in weighed] == sorted((h.weight for h in weighed), reverse=True)
    assert {h.cause for h in causes} <= {h.cause for h in weighed}
    for step in checks:
        # what a check has found goes up, what it has excluded goes down
        before = {h.cause: h.weight for h in weigh(causes, [s for s in checks if s.seq != step.seq])}
        after = {h.cause: h.weight for h in weighed}
        if step.finding == POSITIVE:
            assert after[step.cause] >= before[step.cause] - 1e-3
        if step.finding == NEGATIVE:
            assert after[step.cause] <= before[step.cause] + 1e-3


def test_a_check_that_was_not_planned() -> None:
    book, ticket = opened()
    added = add_step(book, ticket, "inspect_meter", "wang", NOON)
    assert (added.steps[-1].check, added.steps[-1].kind) == ("inspect_meter", CHECKS["inspect_meter"][0])
    with pytest.raises(Refused, match="not waiting"):
        add_step(book, added, "inspect_meter", "wang", NOON)
    with pytest.raises(Refused, match="expected check to be one of"):
        add_step(book, added, "look", "wang", NOON)


def test_hand_offs_are_counted_and_the_first_owner_stays() -> None:
    book, ticket = opened()
    one = hand_off(book, ticket, "operations", "li", "wang", NOON)
    assert (one.first_owner, one.owner, one.owner_department, one.hand_offs) == (
        "wang",
        "li",
        "operations",
        1,
    )
    assert (one.state, one.sla.acknowledged_ns) == (State.ASSIGNED, NOON)
    two = hand_off(book, one, "", "zhao", "li", NOON, co_departments=["customer_service", "operations"])
    assert (two.first_owner, two.owner, two.hand_offs) == ("wang", "zhao", 2)
    assert two.co_departments == ("customer_service",)
    with pytest.raises(Refused, match="another department or person"):
        hand_off(book, two, "operations", "zhao", "li", NOON)
    with pytest.raises(Refused, match="expected department"):
        hand_off(book, two, "kitchen", "", "li", NOON)


def test_a_merge_takes_flags_complaints_and_episodes_along() -> None:
    store = MemoryStore()
    (first,) = store.take(golden())
    (second,) = store.take(flag("silent", id="s", family="data"))
    book = Book()
    book.tickets, book.episodes = store.tickets, store.episodes
    second = replace(store.tickets[second.id], complaint_ids=("CP-1",), lead_time_s=60.0)
    stays = merge(book, second, store.tickets[first.id], "wang", NOON)
    assert stays.flag_ids == (*first.flag_ids, "s")
    assert (stays.complaint_ids, stays.lead_time_s) == (("CP-1",), 60.0)
    assert book.tickets[second.id].merged_into == first.id
    assert book.episodes["s"].ticket_id == first.id
    with pytest.raises(Refused, match="another open ticket"):
        merge(book, stays, stays, "wang", NOON)
    with pytest.raises(Refused, match="another open ticket"):
        merge(book, stays, book.tickets[second.id], "wang", NOON)


def test_money_is_not_lost_in_a_merge() -> None:
    store = MemoryStore()
    (first,) = store.take(golden())
    (second,) = store.take(flag("silent", id="s", family="data"))
    book = Book()
    book.tickets, book.episodes = store.tickets, store.episodes
    into, other = store.tickets[first.id], store.tickets[second.id]
    credit = Credit(
        revision=1, state=CreditState.BOOKED, method="own", quantity=5.0, unit="m3", amount=None, currency="CNY",
        reason="leak", proposed_by="ann", proposed_ns=NOON, second_person=False,
    )  # fmt: skip
    paid = replace(other, credit=credit)
    with pytest.raises(Refused, match="without credits"):
        merge(book, paid, into, "wang", NOON)
    held = replace(other, bill_hold=True)
    with pytest.raises(Refused, match="release its bill first"):
        merge(book, held, replace(into, group="concentrator/C1"), "wang", NOON)
    assert merge(book, held, into, "wang", NOON).bill_hold


def test_escalation_is_a_mark_beside_the_state() -> None:
    book, ticket = opened()
    raised = escalate(book, ticket, "wang", "second outage this year", NOON)
    assert raised.escalated
    assert raised.state is ticket.state
    with pytest.raises(Refused):
        escalate(book, raised, "wang", "again", NOON)


def test_real_use_is_explained() -> None:
    book, ticket = opened()
    told = explain(book, ticket, "wang", "two more people", NOON)
    assert told.purpose is Purpose.EXPLAIN
    with pytest.raises(Refused, match="a case still"):
        explain(book, told, "wang", "", NOON)


def test_a_swap_has_both_reads() -> None:
    book, ticket = opened()
    swap = Swap(
        old_serial="A1", new_serial="B2", stop_read=449, start_read=0, unit="m3", at="2012-07-01T00:00:00Z"
    )
    after = record_swap(book, ticket, swap, "wang", NOON)
    assert after.swap is not None
    assert after.swap.by == "wang"
    assert book.history[-1][1].note == "A1 449 → B2 0 m3"
    with pytest.raises(Refused, match="two serial numbers"):
        record_swap(book, after, replace(swap, new_serial="A1"), "wang", NOON)
    with pytest.raises(Refused, match="not negative"):
        record_swap(book, after, replace(swap, start_read=-1), "wang", NOON)


def test_notes_records_and_impact() -> None:
    book, ticket = opened()
    ticket = note(book, ticket, "called, nobody at home", "wang", NOON)
    ticket = keep_record(book, ticket, "strategy", "new transformer in spring", "wang", NOON)
    assert ticket.record == {"strategy": "new transformer in spring"}
    assert set_impact(book, ticket, "vip", "wang", NOON).impact == "vip"
    with pytest.raises(Refused, match="expected one of complaint, tracking, strategy, control"):
        keep_record(book, ticket, "hope", "x", "wang", NOON)
    with pytest.raises(Refused, match="a text"):
        note(book, ticket, "  ", "wang", NOON)
