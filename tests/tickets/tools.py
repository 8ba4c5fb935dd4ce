"""What the ticket tests share: flags, a store in memory, a clock to turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from streams.messages import FAMILY_OF, Flag
from streams.trade.book import Book, event_key
from streams.trade.deliveries import TicketEvent
from streams.trade.rules import Rules
from streams.trade.tickets import Episode, Ticket

NOON = 1_780_315_200_000_000_000  # 2026-06-01T12:00:00Z, a Monday
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

GOLDEN_EVIDENCE: dict[str, Any] = {
    "periods": [
        {"start": "2011-04-10T00:00:00Z", "end": "2012-04-10T00:00:00Z", "days": 366.0, "amount": 176.0}
    ],
    "billed_amount": 273.0,
    "billed_days": 61.0,
}


def flag(kind: str = "high_usage", status: str = "raised", **fields: Any) -> Flag:
    """A flag with plausible fields."""
    made: dict[str, Any] = {
        "id": "flag-1",
        "meter_id": "meter-1",
        "kind": kind,
        "family": FAMILY_OF.get(kind, "operations"),
        "status": status,
        "at": "2026-06-01T00:00:00Z",
        "start": "2026-05-01T00:00:00Z",
        "end": "2026-06-01T00:00:00Z",
        "score": 1.5,
        "observed": 12.0,
        "expected": 8.0,
        "unit": "m3",
        "service_point_id": "point-1",
        "area": "area-1",
        "commodity": "gas",
    }
    return Flag(**(made | fields))


def golden(**fields: Any) -> Flag:
    """The household of 2012: 176 m³ in a year, then 273 m³ in two months."""
    made: dict[str, Any] = {
        "id": "golden",
        "meter_id": "wei",
        "service_point_id": "wei",
        "at": "2012-06-10T00:00:00Z",
        "start": "2012-04-10T00:00:00Z",
        "end": "2012-06-10T00:00:00Z",
        "score": 4.65,
        "observed": 273.0,
        "expected": 29.333333,
        "evidence": GOLDEN_EVIDENCE,
    }
    return flag(**(made | fields))


class Turned:
    """A clock that a test turns by hand."""

    def __init__(self, now_ns: int = NOON) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now

    def advance(self, by_ns: int) -> None:
        self.now += by_ns


class MemoryStore:
    """The obvious store: everything in dictionaries, every flag a transaction."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.episodes: dict[str, Episode] = {}
        self.seen: set[str] = set()
        self.events: list[TicketEvent] = []
        self.book = Book()

    def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]:
        changed: dict[str, Ticket] = {}
        for one in flags:
            book = Book()
            book.tickets, book.episodes = self.tickets, self.episodes
            book.seen = self.seen & {event_key(one)}
            rules.apply(book, one, now_ns)
            self.seen |= book.seen
            self.events += book.events
            self.book = book
            changed |= {key: book.tickets[key] for key in book.changed_tickets}
        return list(changed.values())

    def take(self, *flags: Flag, now_ns: int = NOON, rules: Rules | None = None) -> list[Ticket]:
        """Apply the default rules."""
        return self.apply_flags(flags, now_ns, rules or Rules())


def open_by_key(tickets: Sequence[Ticket]) -> dict[tuple[str, str, bool], list[str]]:
    """Of each service point and family (drills apart): its open tickets."""
    found: dict[tuple[str, str, bool], list[str]] = {}
    for ticket in tickets:
        if ticket.open:
            found.setdefault((ticket.service_point_id, ticket.family, ticket.drill), []).append(ticket.id)
    return found


def sqlite_url(place: Path) -> str:
    """A SQLite file in a test's directory."""
    return f"sqlite:///{place / 'tickets.db'}"


def flag_events() -> st.SearchStrategy[list[Flag]]:
    """Sequences of flag events of few meters, in any order, with repetitions."""
    kinds = ("spike", "high_usage", "misread", "continuous_flow", "silent", "tamper")

    def made(parts: tuple[str, int, int, str, int, bool]) -> Flag:
        kind, number, point, status, minute, water = parts
        family = FAMILY_OF[kind]
        return flag(
            kind,
            status,
            id=f"{family}-{point}-{number}",
            service_point_id=f"point-{point}",
            at=f"2026-06-01T00:{minute:02d}:00Z",
            commodity="water" if water else "gas",
        )

    parts = st.tuples(
        st.sampled_from(kinds),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from(["raised", "updated", "cleared"]),
        st.integers(0, 20),
        st.booleans(),
    )
    return st.lists(parts.map(made), max_size=40)
