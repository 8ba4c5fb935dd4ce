"""One credit: a reason for it, two persons above the limit, and nothing above what was billed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trade.book import Refused
from streams.trade.credit import Proposal, approve, booked, hold_bill, propose, refuse
from streams.trade.limits import Limits
from streams.trade.roles import Actor, Role
from streams.trade.settlement import CreditState
from streams.trade.tickets import State, Ticket
from tests.tickets.credit_tools import (
    ANN,
    BOB,
    GOLDEN,
    LIMITS,
    SMALL,
    changed,
    opened,
    state_of,
)
from tests.tickets.tools import NOON


def test_above_the_limit_a_second_person_approves() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
    credit = ticket.credit
    assert credit is not None
    assert (credit.state, credit.second_person, credit.revision) == (CreditState.PROPOSED, True, 1)
    assert (credit.quantity, credit.amount, credit.method) == (243.7, Decimal("646.81"), "history_mean_days")
    for same in (ANN, Actor(" ANN ", Role.ADMIN)):
        with pytest.raises(Refused, match="somebody other than ann"):
            approve(book, ticket, 1, same, "", NOON)
    ticket = approve(book, ticket, 1, BOB, "agreed", NOON + 1)
    credit = ticket.credit
    assert credit is not None
    assert (credit.state, credit.decided_by, credit.decided_ns) == (CreditState.APPROVED, "bob", NOON + 1)
    ticket = booked(book, ticket, 1, "CIS-4711", ANN, NOON + 2)
    assert state_of(ticket) is CreditState.BOOKED
    assert [(line.action, line.actor) for _, line in book.history] == [
        ("credit_proposed", "ann"),
        ("credit_approved", "bob"),
        ("credit_booked", "ann"),
    ]
    assert book.history[0][1].note == "243.7 m3 · 646.81 CNY · history_mean_days · 检定不合格，按历史用量退补"
    assert [event.type for event in book.events] == ["credit_proposed", "credit_approved", "credit_booked"]
    out = book.events[-1].data["ticket"]["credit"]
    assert (out["amount"], out["booked_at"]) == ("646.81", "2026-06-01T12:00:00.000Z")


def test_within_the_limit_one_person_is_enough() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, SMALL, LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.APPROVED
    assert ticket.credit is not None
    assert (ticket.credit.decided_by, ticket.credit.second_person) == ("ann", False)
    with pytest.raises(Refused, match="waits for approval, got one that is approved"):
        approve(book, ticket, 1, BOB, "", NOON)


@pytest.mark.parametrize(
    ("amount", "currency", "second"),
    [("500.00", "CNY", False), ("500.01", "CNY", True), ("-500.01", "CNY", True), ("1", "USD", True)],
)
def test_the_limit_is_of_its_currency_and_of_both_signs(amount: str, currency: str, second: bool) -> None:
    assert LIMITS.second_person(Decimal(amount), currency) is second
    assert LIMITS.second_person(None, "CNY")
    assert Limits().second_person(Decimal(amount), currency)


def test_a_changed_proposal_is_approved_anew() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
    ticket = approve(book, ticket, 1, BOB, "", NOON)
    ticket = propose(book, ticket, changed(GOLDEN, amount=Decimal(700)), LIMITS, BOB, NOON)
    assert state_of(ticket) is CreditState.PROPOSED
    with pytest.raises(Refused, match="expected revision 2 of the credit, got 1"):
        approve(book, ticket, 1, ANN, "", NOON)
    with pytest.raises(Refused, match="somebody other than bob"):
        approve(book, ticket, 2, BOB, "", NOON)
    with pytest.raises(Refused, match="expected an approved credit, got one that is proposed"):
        booked(book, ticket, 2, "CIS-1", BOB, NOON)
    with pytest.raises(Refused, match="expected revision 1 of the credit, got 2"):
        propose(book, ticket, changed(GOLDEN, seen=1), LIMITS, ANN, NOON)
    assert state_of(approve(book, ticket, 2, ANN, "", NOON)) is CreditState.APPROVED


def test_refused_with_a_reason_and_proposed_again() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
    with pytest.raises(Refused, match="reason why the credit is refused"):
        refuse(book, ticket, 1, BOB, " ", NOON)
    ticket = refuse(book, ticket, 1, BOB, "test report missing", NOON)
    assert ticket.credit is not None
    assert (ticket.credit.state, ticket.credit.decision) == (CreditState.REFUSED, "test report missing")
    with pytest.raises(Refused, match="got one that is refused"):
        approve(book, ticket, 1, BOB, "", NOON)
    assert state_of(propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)) is CreditState.PROPOSED


def test_what_is_booked_stays() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, SMALL, LIMITS, ANN, NOON)
    with pytest.raises(Refused, match="reference of the booking"):
        booked(book, ticket, 1, "", ANN, NOON)
    ticket = booked(book, ticket, 1, "CIS-1", ANN, NOON)
    again: Callable[[], Ticket]
    for again in (
        lambda: propose(book, ticket, SMALL, LIMITS, ANN, NOON),  # for which period, nobody knows
        lambda: booked(book, ticket, 1, "CIS-2", ANN, NOON),
        lambda: refuse(book, ticket, 1, BOB, "late", NOON),
    ):
        with pytest.raises(Refused):
            again()


def test_a_quantity_that_no_price_ties_to_its_amount_needs_a_second_person() -> None:
    """What is given back counts little, and the use that it is for moves every later bill."""
    for quantity, amount in ((243.7, "0.01"), (-5000.0, "-0.01")):
        book, ticket = opened()
        wish = changed(SMALL, quantity=quantity, unit="m3", amount=Decimal(amount))
        assert state_of(propose(book, ticket, wish, LIMITS, ANN, NOON)) is CreditState.PROPOSED


def test_in_place_of_what_was_approved_a_second_person_approves() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, SMALL, LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.APPROVED
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1)), LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.PROPOSED


def test_a_credit_that_was_kept_before_is_still_read() -> None:
    book, ticket = opened()
    kept = msgspec.to_builtins(propose(book, ticket, GOLDEN, LIMITS, ANN, NOON))
    del kept["earlier_credits"]
    for name in ("start_ns", "end_ns", "estimate"):
        del kept["credit"][name]
    read = msgspec.convert(kept, Ticket)
    assert read.credits == (read.credit,)
    assert read.credit is not None
    assert (read.credit.amount, read.credit.start_ns) == (Decimal("646.81"), None)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.COMPLAINTS, Role.AUDITOR])
def test_money_is_for_those_who_may(role: Role) -> None:
    book, ticket = opened()
    proposed = propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
    eve = Actor("eve", role)
    verb: Callable[[], Ticket]
    for verb in (
        lambda: propose(book, ticket, SMALL, LIMITS, eve, NOON),
        lambda: approve(book, proposed, 1, eve, "", NOON),
        lambda: refuse(book, proposed, 1, eve, "no", NOON),
        lambda: booked(book, proposed, 1, "CIS-1", eve, NOON),
        lambda: hold_bill(book, ticket, True, eve, "disputed", NOON),
    ):
        with pytest.raises(Refused, match="who may decide about money"):
            verb()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": " "}, "the reason why it was chosen"),
        ({"quantity": None, "amount": None}, "got neither"),
        ({"quantity": float("nan")}, "finite quantity"),
        ({"unit": ""}, "with its unit"),
        ({"currency": ""}, "with its currency"),
        ({"amount": Decimal("NaN")}, "expected an amount"),
        ({"quantity": 0.0, "amount": Decimal(0)}, "more or less than nothing"),
        ({"amount": Decimal(-1)}, "one sign"),
        ({"quantity": 273.1}, "at most the 273 m3"),
        ({"amount": Decimal("723.88")}, "at most the 723.87 CNY"),
    ],
)
def test_a_proposal_that_is_not_sound(fields: dict[str, object], told: str) -> None:
    book, ticket = opened()
    with pytest.raises(Refused, match=told):
        propose(book, ticket, changed(GOLDEN, **fields), LIMITS, ANN, NOON)
    assert book.history == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"drill": True}, "got a drill"),
        ({"state": State.MERGED, "merged_into": "FS-2"}, "merged into FS-2"),
        ({"state": State.CLOSED}, "expected an open ticket"),
    ],
)
def test_a_ticket_that_gets_no_credit(fields: dict[str, object], told: str) -> None:
    book, ticket = opened(**fields)
    with pytest.raises(Refused, match=told):
        propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)


def test_gas_in_kind_has_no_price_and_needs_two() -> None:
    book, ticket = opened()
    wish = changed(GOLDEN, amount=None, currency="", billed=(273.0, None))
    ticket = propose(book, ticket, wish, LIMITS, ANN, NOON)
    assert ticket.credit is not None
    assert (ticket.credit.amount, ticket.credit.state) == (None, CreditState.PROPOSED)


def test_a_disputed_bill_waits_until_it_is_released() -> None:
    book, ticket = opened()
    with pytest.raises(Refused, match="reason why the bill is held"):
        hold_bill(book, ticket, True, ANN, "", NOON)
    ticket = hold_bill(book, ticket, True, ANN, "customer disputes 273 m³", NOON)
    assert ticket.bill_hold
    with pytest.raises(Refused, match="not on hold"):
        hold_bill(book, ticket, True, ANN, "again", NOON)
    ticket = hold_bill(book, ticket, False, BOB, "credit approved", NOON)
    assert not ticket.bill_hold
    assert [line.action for _, line in book.history] == ["bill_held", "bill_released"]


steps = st.tuples(
    st.sampled_from(["propose", "approve", "refuse", "book"]),
    st.sampled_from([ANN, BOB, Actor("eve", Role.OPERATOR)]),
    st.integers(1, 4),
    st.decimals(-2000, 2000, places=2),
    st.integers(0, 3),
)


@given(st.lists(steps, max_size=12))
def test_nothing_above_the_limit_is_booked_by_one_person(
    moves: list[tuple[str, Actor, int, Decimal, int]],
) -> None:
    book, ticket = opened()
    for verb, actor, revision, amount, month in moves:
        try:
            if verb == "propose":
                period = (month * 100, month * 100 + 100)
                wish = Proposal(method="own", reason="r", amount=amount, currency="CNY", period=period)
                ticket = propose(book, ticket, wish, LIMITS, actor, NOON)
            elif verb == "approve":
                ticket = approve(book, ticket, revision, actor, "", NOON)
            elif verb == "refuse":
                ticket = refuse(book, ticket, revision, actor, "r", NOON)
            else:
                ticket = booked(book, ticket, revision, "CIS", actor, NOON)
        except Refused:
            continue
        credit = ticket.credit
        assert credit is not None
        assert credit.amount is not None
        assert "eve" not in (credit.proposed_by, credit.decided_by, credit.booked_by)
        if credit.state in (CreditState.APPROVED, CreditState.BOOKED):
            done = [one for one in ticket.credits if one.state in (CreditState.APPROVED, CreditState.BOOKED)]
            moved = sum(abs(one.amount) for one in done if one.amount is not None)
            assert moved <= 500 or credit.decided_by != credit.proposed_by
            assert len({one.start_ns for one in done}) == len(done)  # no period twice
    # every change is a line of history with a name
    assert [line.seq for _, line in book.history] == list(range(2, len(book.history) + 2))
    assert all(line.actor in ("ann", "bob") for _, line in book.history)
