"""Bills to be rated anew: what billing has done is marked, and what is told after says what it replaces."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import outbox
from streams.messages import Kind
from streams.trade.book import Book, Refused
from streams.trade.credit import Proposal, booked, propose
from streams.trade.lifecycle import record
from streams.trade.rerated import rerated
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from streams.trade.settlement import ReratedBill, Rerating
from streams.trade.tickets import State, Ticket
from tests.tickets.credit_tools import ANN, LATER_BILL, LIMITS, opened
from tests.tickets.money_tools import Client, talking
from tests.tickets.tools import NOON, golden
from tests.web_tools import ns

SECOND = replace(
    LATER_BILL, start=date(2012, 8, 10), end=date(2012, 10, 10), old=Decimal(158), new=Decimal("131.50")
)


def listed(*bills: ReratedBill) -> Rerating:
    difference = sum((one.new - one.old for one in bills), Decimal(0))
    return Rerating(made_ns=NOON, bills=bills, currency="CNY", difference=difference)


def credited(book: Book, ticket: Ticket, found: Rerating) -> Ticket:
    """A further credit, of a day of its own, that is booked with these later bills."""
    n = len(ticket.credits) + 1
    wish = Proposal("own", "r", amount=Decimal(1), currency="CNY", period=(n * 100, n * 100 + 100))
    ticket = propose(book, ticket, wish, LIMITS, ANN, NOON)
    return booked(book, ticket, n, f"CIS-{n}", ANN, NOON, found, LIMITS)


def begun(*bills: ReratedBill) -> tuple[Book, Ticket]:
    book, ticket = opened()
    return book, credited(book, ticket, listed(*bills))


def of(ticket: Ticket) -> Rerating:
    assert ticket.rerating is not None
    return ticket.rerating


def told(book: Book) -> list[str]:
    return [line.note for _, line in book.history if line.action == "bills_to_rerate"]


def test_what_is_told_after_says_what_it_replaces() -> None:
    book, ticket = begun(LATER_BILL, SECOND)
    assert (of(ticket).replaces, of(ticket).due) == (None, Decimal("-47.70"))
    ticket = credited(book, ticket, listed(LATER_BILL, replace(SECOND, new=Decimal("121.50"))))
    found = of(ticket)
    # nobody has acted on the first: all of it is due, and the first is void
    assert (found.difference, found.replaces, found.done, found.due) == (
        Decimal("-57.70"), Decimal("-47.70"), Decimal(0), Decimal("-57.70")
    )  # fmt: skip
    assert [one.told for one in found.bills] == [Decimal("105.20"), Decimal("131.50")]
    assert told(book) == ["2 · -47.70 CNY", "2 · -47.70 → -57.70 CNY"]


def test_what_billing_has_done_is_not_done_again() -> None:
    book, ticket = begun(LATER_BILL, SECOND)
    ticket = rerated(book, ticket, Decimal("-47.70"), " CIS-9 ", ANN, NOON + 5)
    found = of(ticket)
    assert (found.done, found.due, found.reference, found.done_by, found.done_ns, found.waits) == (
        Decimal("-47.70"), Decimal(0), "CIS-9", "ann", NOON + 5, False
    )  # fmt: skip
    assert book.history[-1][1].note == "2 · -47.70 CNY · CIS-9"
    # the same bills with a further credit: nothing is to be done, and nobody is told
    same = credited(book, ticket, listed(LATER_BILL, SECOND))
    assert (of(same).waits, of(same).reference, len(told(book))) == (False, "CIS-9", 1)
    more = credited(book, same, listed(LATER_BILL, replace(SECOND, new=Decimal("121.50"))))
    assert (of(more).waits, of(more).due, of(more).reference) == (True, Decimal("-10.00"), "")
    more = rerated(book, more, Decimal("-57.70"), "CIS-10", ANN, NOON)
    # bills that cost by now what they did are to be put back
    back = credited(
        book, more, listed(replace(LATER_BILL, new=LATER_BILL.old), replace(SECOND, new=SECOND.old))
    )
    assert (of(back).waits, of(back).difference, of(back).due) == (True, Decimal(0), Decimal("57.70"))


def test_marked_is_only_what_was_told() -> None:
    book, ticket = begun(LATER_BILL, SECOND)
    for difference, reference, actor, why in (
        ("-57.70", "CIS-9", ANN, "expected the difference -47.70 CNY of the later bills, got -57.70"),
        ("-47.70", " ", ANN, "the reference of the re-rating"),
        ("-47.70", "CIS-9", Actor("olga", Role.OPERATOR), "who may decide about money"),
    ):
        with pytest.raises(Refused, match=why):
            rerated(book, ticket, Decimal(difference), reference, actor, NOON)
    ticket = rerated(book, ticket, Decimal("-47.70"), "CIS-9", ANN, NOON)
    with pytest.raises(Refused, match="wait to be re-rated, got none"):
        rerated(book, ticket, Decimal("-47.70"), "CIS-9", ANN, NOON)


def test_marked_by_the_api_it_leaves_the_bill_run(money_store: Store, tmp_path: Path) -> None:
    later = (
        ("wei", ns("2012-08-10T00:00:00Z"), 449.0 + 40, Kind.REGISTER, "m3"),
        ("wei", ns("2012-10-10T00:00:00Z"), 449.0 + 90, Kind.REGISTER, "m3"),
    )

    async def talk(api: Client) -> None:
        await api.post("credit", method="history_mean_days", reason="r")
        await api.post("credit/approve", "bob", revision=1)
        await api.post("credit/booked", revision=1, reference="CIS-1")
        body = {"difference": "-47.70", "reference": "CIS-9"}
        assert (await api.post("rerated", "olga", **body)).status_code == 403
        assert (await api.post("rerated", difference="-1", reference="CIS-9")).status_code == 409
        found = (await api.post("rerated", **body)).json()
        assert (found["rerating"]["due"], found["rerating"]["reference"]) == ("0", "CIS-9")
        assert found["history"][-1]["action"] == "bills_rerated"
        assert (await api.post("rerated", **body)).status_code == 409
        items = (await api.get("bill-run", date="2026-06-30")).json()["items"]
        assert [one for one in items if one["advice"] == "rerate"] == []
        # a further credit takes back 5 of the 40 m³: what is left to do, and what was done
        again = {"start": "2012-06-10T00:00:00Z", "end": "2012-08-10T00:00:00Z"}
        wish = await api.post("credit", method="own", quantity=5, reason="r", **again)
        assert wish.status_code == 200, wish.text
        await api.post("credit/approve", "bob", revision=2)
        found = (await api.post("credit/booked", revision=2, reference="CIS-2")).json()["rerating"]
        # 35 × (2.63 − 3.16) of the first; the other is what it was
        assert (found["difference"], found["replaces"], found["done"], found["due"]) == (
            "-45.05", "-47.70", "-47.70", "2.65"
        )  # fmt: skip

    talking(money_store, tmp_path, talk, readings=later)
    with reading(money_store._engine) as connection:
        events = [row.event for row in connection.execute(select(outbox).order_by(outbox.c.id))]
    assert [e["data"]["change"]["note"] for e in events if e["type"] == "bills_to_rerate"] == [
        "2 · -47.70 CNY",
        "2 · -47.70 → -45.05 CNY",
    ]
    assert [row.reason for row in money_store.audit_log() if row.action == "ticket.rerate_bills"] == ["CIS-9"]


def test_credits_of_the_point_s_other_tickets_come_with_the_book(money_store: Store) -> None:
    """Also of one that is closed since."""
    one, other = (
        money_store.apply_flags([replace(golden(), id=name, family=name)], NOON, Rules())[0]
        for name in ("usage_high", "reads")
    )
    wish = Proposal("own", "r", amount=Decimal(400), currency="CNY", period=(100, 200))
    money_store.change(one.id, lambda book, ticket: propose(book, ticket, wish, LIMITS, ANN, NOON), NOON)
    money_store.change(
        one.id, lambda book, t: record(book, replace(t, state=State.CLOSED), NOON, "moved", "ann"), NOON
    )
    more = Proposal("own", "r", amount=Decimal("100.01"), currency="CNY", period=(200, 300))
    changed = money_store.change(other.id, lambda book, t: propose(book, t, more, LIMITS, ANN, NOON), NOON)
    assert changed.credit is not None
    assert changed.credit.second_person
    with pytest.raises(Refused, match=f"credited on {one.id}"):
        shared = Proposal("own", "r", amount=Decimal(1), currency="CNY", period=(150, 300))
        money_store.change(other.id, lambda book, t: propose(book, t, shared, LIMITS, ANN, NOON), NOON)


def test_waiting_bills_are_found_by_their_own_column_and_by_the_day_that_the_registry_says(
    money_store: Store,
) -> None:
    (one,) = money_store.apply_flags([golden()], NOON, Rules())
    found = listed(LATER_BILL, SECOND)
    money_store.change(one.id, lambda book, ticket: credited(book, ticket, found), NOON)
    assert [t.id for t in money_store.rerated((31,), NOON)] == [one.id]
    assert money_store.rerated((31,), NOON + 1) == []
    assert money_store.rerated((15,), NOON) == []
    (point,) = [p for p in [money_store.point_of_meter("wei")] if p]
    for day, fifteenth in ((15, True), (None, True), (16, False)):
        money_store.keep_points([replace(point, bill_day=day)])
        assert [t.id for t in money_store.rerated((15,), NOON)] == [one.id] * fifteenth
        assert [t.id for t in money_store.billed((15,))[0]] == [one.id] * (day == 15)
    money_store.keep_points([point])
    money_store.change(one.id, lambda b, t: rerated(b, t, Decimal("-47.70"), "CIS-9", ANN, NOON), NOON)
    assert money_store.rerated((31,), NOON) == []
