"""The ticket store: one door to the database.

All methods block: call them through ``asyncio.to_thread``. They raise Unavailable when the
database is away (the same call may be repeated, nothing half is written) and Rejected when
it refuses the content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection, select

from connectors.store import audit, rows
from connectors.store.audit import Audit
from connectors.store.book import load, load_ticket, save
from connectors.store.cases import Cases, filled, first_told
from connectors.store.chores import Chores
from connectors.store.complaints import Complaints
from connectors.store.engine import reading, shown
from connectors.store.erasure import Erasure
from connectors.store.hooks import Hooks
from connectors.store.money import MoneyStore
from connectors.store.mutes import Mutes
from connectors.store.outbox import Outbox
from connectors.store.pages import Pages
from connectors.store.people import People
from connectors.store.places import Places
from connectors.store.quality import Quality
from connectors.store.reports import Reports
from connectors.store.retention import Retention
from connectors.store.search import Search
from connectors.store.tables import ticket_flags, tickets
from connectors.store.verdicts import Verdicts
from connectors.store.watch import Watch
from streams.messages import Flag
from streams.trade.book import Book
from streams.trade.roles import Actor
from streams.trade.tickets import Episode, Ticket

T = TypeVar("T")

_TRIES = 5  # of a transaction that another writer has crossed


class Rules(Protocol):
    """What decides about flags (``streams.trade.rules.Rules``)."""

    def apply(self, book: Book, flag: Flag, now_ns: int) -> None:
        """Fold one flag event into the book."""


class Store(
    Hooks,
    Pages,
    Outbox,
    Watch,
    Quality,
    Verdicts,
    Complaints,
    Audit,
    People,
    Places,
    Mutes,
    Chores,
    Cases,
    MoneyStore,
    Erasure,
    Retention,
    Reports,
    Search,
):
    """Tickets, their outbox, and the signs of life.

    url       : ``sqlite:///FILE`` or ``postgresql://…``; its tables are made by
                ``connectors.migrations.upgrade``
    wanted_by : names of the desks that are to be told of an event (none, unless given)
    seal      : how personal data is kept; None: as it is
    """

    @property
    def endpoint(self) -> str:
        """Where the database is, without its password."""
        return shown(self._engine.url)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def apply_flags(
        self,
        flags: Sequence[Flag],
        now_ns: int,
        rules: Rules,
        audited: tuple[Actor, str, str] | None = None,
    ) -> list[Ticket]:
        """Fold flag events in, in their order, in one transaction; return the tickets that changed.

        Tickets, their history and the outbox are written together or not at all. An event
        that was folded in before changes nothing.

        audited : of what a person has seen: who, what it is called, and why; a row of the audit log a flag
        """

        def work(connection: Connection) -> list[Ticket]:
            book = load(connection, flags, now_ns)
            for flag in flags:
                rules.apply(book, flag, now_ns)
            save(connection, book, now_ns, self._wanted_by)
            if audited is not None:
                actor, action, reason = audited
                for ticket_id in dict.fromkeys(book.episodes[flag.id].ticket_id for flag in flags):
                    audit.add(connection, now_ns, actor, f"ticket.{action}", f"ticket/{ticket_id}", reason)
            return [book.tickets[key] for key in book.changed_tickets]

        return self._transaction(work) if flags else []

    def change(
        self,
        ticket_id: str,
        verb: Callable[[Book, Ticket], Ticket],
        now_ns: int,
        *,
        also: Sequence[str] = (),
        audited: tuple[Actor, str, str] | None = None,
    ) -> Ticket:
        """Let a verb work on a ticket (``streams.trade.lifecycle``), in one transaction.

        The verb gets the book and the ticket with its history and steps; what it raises
        undoes everything. Raises KeyError where there is no such ticket.

        also    : further tickets that the work is about
        audited : who did it, what it is called, and why: a row of the audit log
        """

        def work(connection: Connection) -> None:
            book = load_ticket(connection, ticket_id, also)
            if ticket_id not in book.tickets:
                raise KeyError(f"expected the id of a ticket, got {ticket_id!r}")
            ticket = filled(connection, book.tickets[ticket_id])
            book.came = first_told(connection, ticket)
            verb(book, ticket)
            save(connection, book, now_ns, self._wanted_by)
            if audited is not None:
                actor, action, reason = audited
                audit.add(connection, now_ns, actor, f"ticket.{action}", f"ticket/{ticket_id}", reason)

        self._transaction(work)
        changed = self.ticket(ticket_id)
        assert changed is not None
        return changed

    def ticket(self, ticket_id: str) -> Ticket | None:
        """One ticket with its history, steps and the numbers that others gave it."""
        with reading(self._engine) as connection:
            row = (
                connection.execute(select(tickets).where(tickets.c.id == ticket_id)).mappings().one_or_none()
            )
            return None if row is None else filled(connection, rows.ticket_of(row))

    def episodes(self, ticket_id: str) -> list[Episode]:
        """What is last known of the flags of a ticket, oldest first."""
        query = (
            select(ticket_flags).where(ticket_flags.c.ticket_id == ticket_id).order_by(ticket_flags.c.start)
        )
        with reading(self._engine) as connection:
            return [rows.episode_of(row) for row in connection.execute(query).mappings()]

    def open_episodes(self, family: str) -> list[Episode]:
        """Episodes of a family that have not been cleared, whatever became of their tickets."""
        query = select(ticket_flags).where(
            ticket_flags.c.family == family, ticket_flags.c.status != "cleared"
        )
        with reading(self._engine) as connection:
            return [rows.episode_of(row) for row in connection.execute(query).mappings()]
