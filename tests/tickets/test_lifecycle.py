"""What staff may do with a ticket, and what the trade forbids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.trade.book import Book
from streams.trade.lifecycle import Move, Refused, move, relapse
from streams.trade.sla import Targets
from streams.trade.states import PAUSED, TRANSITIONS
from streams.trade.tickets import ENDED, Callback, State, Ticket
from tests.tickets.tools import HOUR, NOON, MemoryStore, flag, golden

TARGETS = Targets()


def opened() -> tuple[Book, Ticket]:
    store = MemoryStore()
    (ticket,) = store.take(golden())
    book = Book()
    book.put(ticket)
    return book, ticket


def go(book: Book, ticket: Ticket, to: State, now_ns: int = NOON, **facts: Any) -> Ticket:
    return move(book, ticket, Move(to=to, actor="wang", **facts), TARGETS, now_ns)


def test_a_case_from_flag_to_archive() -> None:
    book, ticket = opened()
    ticket = go(book, ticket, State.ASSIGNED, NOON + HOUR, department="operations")
    assert (ticket.first_owner, ticket.owner_department, ticket.hand_offs) == ("wang", "operations", 1)
    assert ticket.sla.acknowledged_ns == NOON + HOUR
    ticket = go(book, ticket, State.INVESTIGATING)
    ticket = go(book, ticket, State.WAITING_LAB, NOON + 2 * HOUR)
    assert ticket.sla.paused_since_ns == NOON + 2 * HOUR
    due = ticket.sla.resolve_due_ns
    assert due is not None
    ticket = go(book, ticket, State.PROPOSED, NOON + 5 * HOUR, resolution="fee_adjustment")
    assert ticket.sla.resolve_due_ns == TARGETS.calendar.after_hours(due, 3 * HOUR)
    ticket = go(book, ticket, State.IMPLEMENTED, NOON + 6 * HOUR, responsibility="company")
    assert ticket.sla.callback_due_ns is not None
    ticket = go(book, ticket, State.CALLBACK)
    facts: dict[str, Any] = {"verdict": "confirmed", "satisfied": True, "archive_class": "metering"}
    ticket = go(book, ticket, State.CLOSED, NOON + 9 * HOUR, **facts)
    assert (ticket.closed_ns, ticket.callback.satisfied) == (NOON + 9 * HOUR, True)
    ticket = go(book, ticket, State.ARCHIVED, NOON + 10 * HOUR)
    assert ticket.closed_ns == NOON + 9 * HOUR
    assert not ticket.open
    moves = [(line.before, line.after) for _, line in book.history]
    assert moves[0] == ("new", "assigned")
    assert moves[-1] == ("closed", "archived")
    assert [line.seq for _, line in book.history] == list(range(2, 10))
    assert {event.type for event in book.events} == {"moved"}


def test_closing_needs_verdict_callback_and_class() -> None:
    book, ticket = opened()
    done = replace(ticket, state=State.CALLBACK)
    with pytest.raises(
        Refused, match="a verdict and a callback result or the reason for none and an archive"
    ):
        go(book, done, State.CLOSED)
    with pytest.raises(Refused, match="callback"):
        go(book, done, State.CLOSED, verdict="confirmed", archive_class="metering")
    closed = go(
        book, done, State.CLOSED, verdict="confirmed", archive_class="metering", no_callback="moved away"
    )
    assert closed.callback.none_because == "moved away"


def test_a_bill_is_released_before_its_case_ends() -> None:
    book, ticket = opened()
    held = replace(
        ticket, state=State.CALLBACK, bill_hold=True, verdict="confirmed", archive_class="metering"
    )
    with pytest.raises(Refused, match="closed needs the release of its bill"):
        go(book, held, State.CLOSED, no_callback="moved away")
    with pytest.raises(Refused, match="false_alarm needs the release of its bill"):
        go(
            book,
            replace(held, state=State.INVESTIGATING),
            State.FALSE_ALARM,
            verdict="false_alarm",
            note="vacant",
        )
    released = go(book, replace(held, bill_hold=False), State.CLOSED, no_callback="moved away")
    assert released.state is State.CLOSED


def test_a_false_alarm_says_why_and_a_merge_is_no_move() -> None:
    book, ticket = opened()
    with pytest.raises(Refused, match="expected one of"):
        go(book, ticket, State.MERGED)
    with pytest.raises(Refused, match="says why"):
        go(book, ticket, State.FALSE_ALARM)
    assert go(book, ticket, State.FALSE_ALARM, note="planned work").state is State.FALSE_ALARM


def test_codes_that_nobody_knows_are_refused() -> None:
    book, ticket = opened()
    with pytest.raises(Refused, match="expected one of confirmed, false_alarm, explained as verdict"):
        go(book, ticket, State.TRIAGED, verdict="meter")
    with pytest.raises(Refused, match="rating from 1 to 5"):
        go(book, ticket, State.TRIAGED, satisfied=True, rating=6)
    assert book.history == []


def test_what_is_reopened_is_due_anew() -> None:
    book, ticket = opened()
    closed = replace(ticket, state=State.CLOSED, closed_ns=NOON)
    later = NOON + 30 * 24 * HOUR
    again = go(book, closed, State.REOPENED, later)
    assert again.sla.resolve_due_ns == TARGETS.due(ticket.priority, later).resolve_due_ns
    assert again.sla.acknowledged_ns == later


def test_what_is_reopened_needs_another_call_to_the_customer() -> None:
    book, ticket = opened()
    for state in (State.INVESTIGATING, State.IMPLEMENTED):
        ticket = go(book, ticket, state)
    facts: dict[str, Any] = {"verdict": "confirmed", "archive_class": "metering"}
    ticket = go(book, ticket, State.CLOSED, satisfied=True, rating=5, **facts)
    again = go(book, ticket, State.REOPENED, NOON + HOUR)
    assert again.callback == Callback()
    again = go(book, again, State.IMPLEMENTED, NOON + 2 * HOUR)
    with pytest.raises(Refused, match="callback"):
        go(book, again, State.CLOSED, NOON + 3 * HOUR)
    assert go(book, again, State.CLOSED, NOON + 3 * HOUR, satisfied=True).callback.done_ns == NOON + 3 * HOUR
    back = relapse(book, ticket, ticket.state, TARGETS, "forestall", flag(id="two"), NOON + HOUR)
    assert back.callback == Callback()


def test_of_two_that_are_watched_the_last_closed_comes_back() -> None:
    book, ticket = opened()
    for n, name in enumerate(("FS-B", "FS-C", "FS-A")):
        one = replace(ticket, id=name, state=State.CLOSED, closed_ns=NOON + n % 2, watch_until_ns=NOON + HOUR)
        book.put(one)
    assert [one.id for one in book.watched_at(ticket.service_point_id, False, NOON)] == [
        "FS-C",
        "FS-A",
        "FS-B",
    ]
    assert book.watched_at(ticket.service_point_id, True, NOON) == []
    assert book.watched_at(ticket.service_point_id, False, NOON + HOUR) == []


def test_reopening_never_makes_a_second_open_ticket() -> None:
    store = MemoryStore()
    (first,) = store.take(golden())
    store.tickets[first.id] = first = replace(first, state=State.CLOSED, closed_ns=NOON)
    (second,) = store.take(golden(id="again", at="2012-10-10T00:00:00Z"))
    book = Book()
    book.tickets = store.tickets
    with pytest.raises(Refused, match=f"got {second.id}"):
        go(book, first, State.REOPENED)
    del store.tickets[second.id]
    reopened = go(book, first, State.REOPENED)
    assert reopened.open
    assert reopened.closed_ns is None


def test_a_move_needs_a_name() -> None:
    book, ticket = opened()
    with pytest.raises(Refused, match="name of whoever"):
        move(book, ticket, Move(to=State.TRIAGED, actor=""), TARGETS, NOON)


@given(st.sampled_from(State), st.sampled_from(State))
def test_only_the_moves_of_the_table(start: State, to: State) -> None:
    book = Book()
    (ticket,) = MemoryStore().take(flag())
    here = replace(ticket, state=start)
    facts: dict[str, Any] = {
        "verdict": "false_alarm" if to is State.FALSE_ALARM else "confirmed",
        "verdict_reason": "x",
        "archive_class": "metering",
        "no_callback": "x",
    }
    if to in TRANSITIONS[start] - {State.MERGED}:
        after = go(book, here, to, **facts)
        assert after.state is to
        assert (after.sla.paused_since_ns is not None) == (to in PAUSED)
        assert (after.closed_ns is not None) == (to in ENDED and start not in ENDED)
        assert after.open == (to not in ENDED)
    else:
        with pytest.raises(Refused, match="expected one of"):
            go(book, here, to, **facts)
        assert book.history == []
