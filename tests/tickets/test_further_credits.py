"""Credits beside others: further ones of a ticket, those of its service point, and the later bills that they move."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from streams.messages import NS
from streams.trade.bill_run import advise
from streams.trade.book import Book, Refused
from streams.trade.credit import approve, booked, propose, refuse
from streams.trade.decisions import Advice
from streams.trade.limits import Limits
from streams.trade.settlement import CreditState, CreditSum, Estimate, sums
from streams.trade.tickets import Ticket
from tests.tickets.credit_tools import (
    ANN,
    APRIL,
    BOB,
    GOLDEN,
    JUNE,
    LATER_BILL,
    LIMITS,
    SMALL,
    changed,
    opened,
    shift,
    state_of,
)
from tests.tickets.tools import NOON, MemoryStore, golden


def golden_estimate() -> Estimate | None:
    return MemoryStore().take(golden())[0].estimate


def test_a_further_credit_is_for_another_period() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, changed(GOLDEN, period=APRIL), LIMITS, ANN, NOON)
    ticket = booked(book, approve(book, ticket, 1, BOB, "", NOON), 1, "CIS-1", ANN, NOON)
    first = ticket.credit
    for period, told in (
        (None, "expected the period that the further credit is for, got none: a credit is booked as CIS-1"),
        (
            APRIL,
            "a period beside the one that is booked as CIS-1, got 2012-04-10 to 2012-06-10, which shares days",
        ),
        ((APRIL[1] - 1, JUNE[1]), "which shares days with 2012-04-10 to 2012-06-10"),
    ):
        with pytest.raises(Refused, match=told):
            propose(book, ticket, changed(GOLDEN, period=period), LIMITS, ANN, NOON)
    estimate = Estimate(expected=30.0, billed=130.0, excess=100.0, unit="m3", method="history_mean_days")
    ticket = propose(
        book,
        ticket,
        changed(GOLDEN, period=JUNE, quantity=100.0, amount=Decimal(263), estimate=estimate, seen=1),
        LIMITS,
        ANN,
        NOON + 1,
    )
    assert ticket.credit is not None
    assert (ticket.earlier_credits, ticket.credit.revision, ticket.credit.estimate) == ((first,), 2, estimate)
    assert ticket.estimate == golden_estimate()  # the ticket's own is of its own period
    with pytest.raises(Refused, match="expected revision 2 of the credit, got 1"):
        approve(book, ticket, 1, BOB, "", NOON)
    with pytest.raises(Refused, match="somebody other than ann"):
        approve(book, ticket, 2, ANN, "", NOON)
    ticket = approve(book, ticket, 2, BOB, "", NOON + 2)
    ticket = booked(book, ticket, 2, "CIS-2", ANN, NOON + 3)
    assert [(one.revision, one.reference) for one in ticket.credits] == [(1, "CIS-1"), (2, "CIS-2")]
    assert sums(ticket.credits) == (CreditSum(count=2, amount=Decimal("909.81"), currency="CNY"),)
    told = book.events[-1].data["ticket"]
    assert [one["reference"] for one in told["earlier_credits"]] == ["CIS-1"]
    assert told["earlier_credits"][0]["start_at"] == "2012-04-10T00:00:00.000Z"
    assert told["credit_sums"][0]["amount"] == "909.81"
    assert advise(ticket) == (Advice.SEND, "credit_settled")


def test_a_credit_is_not_divided_to_stay_below_the_limit() -> None:
    book, ticket = opened()
    part = changed(SMALL, amount=Decimal(300), period=APRIL)
    ticket = booked(book, propose(book, ticket, part, LIMITS, ANN, NOON), 1, "CIS-1", ANN, NOON)
    for amount, currency, state in (
        ("200.00", "CNY", CreditState.APPROVED),
        ("200.01", "CNY", CreditState.PROPOSED),
        ("-200.01", "CNY", CreditState.PROPOSED),  # back and forth moves money as well
        ("1", "HKD", CreditState.PROPOSED),  # what cannot be added up
    ):
        more = changed(SMALL, amount=Decimal(amount), currency=currency, billed=(None, None), period=JUNE)
        limits = Limits({"CNY": Decimal(500), "HKD": Decimal(500)})
        assert state_of(propose(book, ticket, more, limits, ANN, NOON)) is state
    with pytest.raises(Refused, match="somebody other than ann"):
        more = changed(SMALL, amount=Decimal(201), period=JUNE)
        approve(book, propose(book, ticket, more, LIMITS, ANN, NOON), 2, ANN, "", NOON)


@pytest.mark.parametrize(
    ("moved", "state"), [("-100", "approved"), ("-100.01", "proposed"), ("100.01", "proposed")]
)
def test_what_later_bills_move_by_counts_against_the_limit(moved: str, state: str) -> None:
    wish = changed(SMALL, amount=Decimal(400), period=APRIL, later=shift(moved))
    book, ticket = opened()
    assert state_of(propose(book, ticket, wish, LIMITS, ANN, NOON)) == state


def test_what_later_bills_have_moved_by_counts_with_a_further_credit() -> None:
    book, ticket = opened()
    first = changed(SMALL, amount=Decimal(200), period=APRIL, later=shift("-100"))
    ticket = booked(
        book, propose(book, ticket, first, LIMITS, ANN, NOON), 1, "CIS-1", ANN, NOON, shift("-100"), LIMITS
    )
    for later, state in (("-150", "approved"), ("-150.01", "proposed"), ("-49.99", "proposed")):
        more = changed(SMALL, amount=Decimal(150), period=JUNE, later=shift(later))
        assert state_of(propose(book, ticket, more, LIMITS, ANN, NOON)) == state


def test_bills_that_came_since_are_held_against_the_limit_when_a_credit_is_booked() -> None:
    book, ticket = opened()
    wish = changed(SMALL, amount=Decimal(400), period=APRIL)
    ticket = propose(book, ticket, wish, LIMITS, ANN, NOON)
    with pytest.raises(Refused, match=r"got one of ann alone: by now it moves later bills by -100.01 CNY"):
        booked(book, ticket, 1, "CIS-1", ANN, NOON, shift("-100.01"), LIMITS)
    assert state_of(booked(book, ticket, 1, "CIS-1", ANN, NOON, shift("-100"), LIMITS)) is CreditState.BOOKED
    again = propose(book, ticket, changed(wish, later=shift("-100.01")), LIMITS, ANN, NOON)
    again = approve(book, again, 2, BOB, "", NOON)
    done = booked(book, again, 2, "CIS-1", ANN, NOON, shift("-100.01"), LIMITS).credit
    assert done is not None
    assert done.later == Decimal("-100.01")


def test_what_was_told_of_later_bills_stands_where_nobody_can_tell_any_more() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1), period=APRIL), LIMITS, ANN, NOON)
    told = replace(shift("-47.70"), bills=(LATER_BILL,))
    ticket = booked(book, ticket, 1, "CIS-1", ANN, NOON, told, LIMITS)
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1), period=JUNE), LIMITS, ANN, NOON)
    ticket = booked(book, ticket, 2, "CIS-2", ANN, NOON, shift("0", "history_away"), LIMITS)
    assert ticket.rerating == replace(told, due=Decimal("-47.70"), why_not="history_away")


@pytest.mark.parametrize(
    "first",
    [{"amount": None, "currency": "", "quantity": 243.7, "unit": "m3", "period": APRIL}, {"period": None}],
    ids=["in kind", "of no period"],
)
def test_beside_what_nobody_can_add_up_or_compare_a_second_person_approves(first: dict[str, object]) -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, changed(SMALL, **{"amount": Decimal(1), **first}), LIMITS, ANN, NOON)
    if state_of(ticket) is CreditState.PROPOSED:
        ticket = approve(book, ticket, 1, BOB, "", NOON)
    ticket = booked(book, ticket, 1, "CIS-1", ANN, NOON)
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1), period=JUNE), LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.PROPOSED


def test_other_tickets_of_the_service_point_count() -> None:
    book, ticket = opened()
    other = propose(book, ticket, changed(SMALL, amount=Decimal(400), period=APRIL), LIMITS, ANN, NOON).credit
    assert other is not None
    for amount, state in (("100", "approved"), ("100.01", "proposed")):
        book, ticket = opened()
        book.credits_at = [("FS-OTHER", other)]
        more = changed(SMALL, amount=Decimal(amount), period=JUNE)
        assert state_of(propose(book, ticket, more, LIMITS, ANN, NOON)) == state
        assert state_of(propose(book, ticket, changed(more, period=None), LIMITS, ANN, NOON)) == "proposed"
        with pytest.raises(
            Refused, match="credited on FS-OTHER, got 2012-04-10 to 2012-06-10, which shares days"
        ):
            propose(book, ticket, changed(more, period=APRIL), LIMITS, ANN, NOON)
    book, ticket = opened()
    ticket = propose(book, ticket, changed(GOLDEN, period=APRIL), LIMITS, ANN, NOON)
    book.credits_at = [("FS-OTHER", other)]
    with pytest.raises(Refused, match="credited on FS-OTHER"):
        approve(book, ticket, 1, BOB, "", NOON)


def test_what_was_approved_counts_though_it_was_replaced_and_that_withdrawn() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(400), period=APRIL), LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.APPROVED
    for revision, amount in ((2, 1), (3, 2)):  # two in its place, of which the last is withdrawn
        ticket = propose(
            book, ticket, changed(SMALL, amount=Decimal(amount), period=APRIL), LIMITS, ANN, NOON
        )
        assert (state_of(ticket), ticket.credits[-1].revision) == (CreditState.PROPOSED, revision)
    ticket = refuse(book, ticket, 3, ANN, "not so", NOON)
    for more, state in (("100", "approved"), ("100.01", "proposed")):
        wish = changed(SMALL, amount=Decimal(more), period=JUNE)
        book.credits_at = []
        assert state_of(propose(book, ticket, wish, LIMITS, ANN, NOON)) == state
        other = elsewhere(book, ticket)
        assert state_of(propose(book, other, wish, LIMITS, ANN, NOON)) == state
    # what somebody else has approved in its place counts instead of it
    book, ticket = opened()
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(400), period=APRIL), LIMITS, ANN, NOON)
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(10), period=APRIL), LIMITS, ANN, NOON)
    ticket = booked(book, approve(book, ticket, 2, BOB, "", NOON), 2, "CIS-1", ANN, NOON)
    assert (
        state_of(propose(book, ticket, changed(SMALL, amount=Decimal(490), period=JUNE), LIMITS, ANN, NOON))
        == "approved"
    )
    # of no period: nobody can add it up
    book, ticket = opened()
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1)), LIMITS, ANN, NOON)
    ticket = refuse(book, propose(book, ticket, SMALL, LIMITS, ANN, NOON), 2, ANN, "not so", NOON)
    assert (
        state_of(propose(book, ticket, changed(SMALL, amount=Decimal(1), period=JUNE), LIMITS, ANN, NOON))
        == "proposed"
    )


def elsewhere(book: Book, ticket: Ticket) -> Ticket:
    """Another ticket of its service point, whose book has its credits."""
    (other,) = MemoryStore().take(golden())
    book.credits_at = [("FS-OTHER", one) for one in ticket.credits]
    return other


def test_days_are_told_as_the_meters_calendar_shows_them() -> None:
    book, ticket = opened()
    local = (APRIL[0] - 8 * 3600 * NS, APRIL[1] - 8 * 3600 * NS)  # midnights of Shanghai
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1), period=local), LIMITS, ANN, NOON)
    ticket = booked(book, ticket, 1, "CIS-1", ANN, NOON)
    with pytest.raises(Refused, match="got 2012-04-10 to 2012-06-10, which shares days with 2012-04-10 to"):
        propose(book, ticket, changed(SMALL, period=local, tz="Asia/Shanghai"), LIMITS, ANN, NOON)


def test_what_was_refused_stays_and_counts_for_nothing() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, changed(GOLDEN, period=APRIL), LIMITS, ANN, NOON)
    ticket = refuse(book, ticket, 1, BOB, "test report missing", NOON)
    ticket = propose(
        book, ticket, changed(SMALL, period=APRIL), LIMITS, ANN, NOON
    )  # the same period, within the limit
    assert [(one.state, one.decision) for one in ticket.credits] == [
        ("refused", "test report missing"),
        ("approved", ""),
    ]
    assert sums(ticket.credits) == (CreditSum(count=1, amount=Decimal("499.99"), currency="CNY"),)
    assert advise(refuse_all(book, ticket)) == (Advice.HOLD, "excess_open")


def refuse_all(book: Book, ticket: Ticket) -> Ticket:
    """The ticket with nothing but refused credits."""
    ticket = propose(book, ticket, changed(GOLDEN, period=APRIL), LIMITS, ANN, NOON)
    return refuse(book, ticket, ticket.credits[-1].revision, BOB, "no", NOON)


def test_credits_in_kind_are_summed_by_their_unit() -> None:
    one = changed(GOLDEN, amount=None, currency="", billed=(None, None), quantity=0.1)
    book, ticket = opened()
    for n, period in enumerate((APRIL, JUNE, (JUNE[1], JUNE[1] + 1)), 1):
        ticket = propose(book, ticket, changed(one, period=period), LIMITS, ANN, NOON)
        ticket = booked(book, approve(book, ticket, n, BOB, "", NOON), n, f"CIS-{n}", ANN, NOON)
    assert sums(ticket.credits) == (CreditSum(count=3, quantity=0.3, unit="m3"),)


def test_a_ticket_does_not_grow_without_end() -> None:
    book, ticket = opened()
    for n in range(1, 51):
        ticket = propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
        ticket = refuse(book, ticket, n, BOB, "no", NOON)
    with pytest.raises(Refused, match="fewer than 50 credits on a ticket, got 50"):
        propose(book, ticket, GOLDEN, LIMITS, ANN, NOON)
