"""Credits: a reason for each, two persons above the limit, and nothing above what was billed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.messages import NS
from streams.trade.bill_run import advise
from streams.trade.book import Book, Refused
from streams.trade.credit import Limits, Proposal, approve, booked, hold_bill, propose, refuse
from streams.trade.decisions import Advice
from streams.trade.roles import Actor, Role
from streams.trade.settlement import CreditState, CreditSum, Estimate, ReratedBill, Rerating, sums
from streams.trade.tickets import State, Ticket
from tests.tickets.tools import NOON, MemoryStore, golden

APRIL = (1_334_016_000 * NS, 1_339_286_400 * NS)  # 2012-04-10 to 2012-06-10
JUNE = (1_339_286_400 * NS, 1_344_556_800 * NS)  # to 2012-08-10
ANN, BOB = Actor("ann", Role.BILLING), Actor("bob", Role.BILLING)
LIMITS = Limits({"CNY": Decimal(500)})
GOLDEN = Proposal(
    method="history_mean_days",
    reason="检定不合格，按历史用量退补",
    quantity=243.7,
    unit="m3",
    amount=Decimal("646.81"),
    currency="CNY",
    billed=(273.0, Decimal("723.87")),
)
SMALL = Proposal(
    method="own",
    reason="goodwill",
    amount=Decimal("499.99"),
    currency="CNY",
    billed=(None, Decimal("723.87")),
)
LATER_BILL = ReratedBill(
    start=date(2012, 6, 10),
    end=date(2012, 8, 10),
    amount=Decimal(40),
    unit="m3",
    before=Decimal("321.1"),
    before_now=Decimal("77.4"),
    old=Decimal("126.40"),
    new=Decimal("105.20"),
)


def opened(**fields: object) -> tuple[Book, Ticket]:
    (ticket,) = MemoryStore().take(golden())
    ticket = replace(ticket, **fields)
    book = Book()
    book.tickets[ticket.id] = ticket
    return book, ticket


def changed(wish: Proposal, **fields: object) -> Proposal:
    return Proposal(**({name: getattr(wish, name) for name in Proposal.__slots__} | fields))


def golden_estimate() -> Estimate | None:
    return MemoryStore().take(golden())[0].estimate


def state_of(ticket: Ticket) -> CreditState:
    assert ticket.credit is not None
    return ticket.credit.state


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


def shift(difference: str, why_not: str = "") -> Rerating:
    """Later bills that move by so much, or that nobody can tell."""
    return Rerating(made_ns=NOON, currency="CNY", difference=Decimal(difference), why_not=why_not)


def test_a_quantity_that_no_price_ties_to_its_amount_needs_a_second_person() -> None:
    """What is given back counts little, and the use that it is for moves every later bill."""
    for quantity, amount in ((243.7, "0.01"), (-5000.0, "-0.01")):
        book, ticket = opened()
        wish = changed(SMALL, quantity=quantity, unit="m3", amount=Decimal(amount))
        assert state_of(propose(book, ticket, wish, LIMITS, ANN, NOON)) is CreditState.PROPOSED


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


def test_in_place_of_what_was_approved_a_second_person_approves() -> None:
    book, ticket = opened()
    ticket = propose(book, ticket, SMALL, LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.APPROVED
    ticket = propose(book, ticket, changed(SMALL, amount=Decimal(1)), LIMITS, ANN, NOON)
    assert state_of(ticket) is CreditState.PROPOSED


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
