"""Credits as billing proposes them, and the ticket of the golden case."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec.structs import replace

from streams.messages import NS
from streams.trade.book import Book
from streams.trade.credit import Proposal
from streams.trade.limits import Limits
from streams.trade.roles import Actor, Role
from streams.trade.settlement import CreditState, ReratedBill, Rerating
from streams.trade.tickets import Ticket
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


def state_of(ticket: Ticket) -> CreditState:
    assert ticket.credit is not None
    return ticket.credit.state


def shift(difference: str, why_not: str = "") -> Rerating:
    """Later bills that move by so much, or that nobody can tell."""
    return Rerating(made_ns=NOON, currency="CNY", difference=Decimal(difference), why_not=why_not)
