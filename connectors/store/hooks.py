"""What desks say of their tickets: taken once each, in their order, and not sent back to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from connectors.store.book import add, load_ticket, put, save
from connectors.store.part import Part, WantedBy
from connectors.store.tables import outbox, remote_refs, tickets
from connectors.store.tables_trade import hook_events
from streams.trade.book import Book
from streams.trade.deliveries import TicketEvent
from streams.trade.remote import Heeded, RemoteChange
from streams.trade.states import TMF621
from streams.trade.tickets import State, Ticket

T = TypeVar("T")
Verb = Callable[[Book, Ticket, RemoteChange], Ticket]


class Hooks(Part):
    """Changes that came from desks. Part of ``Store``."""

    def take_remote(self, change: RemoteChange, verb: Verb, now_ns: int) -> Heeded:
        """Let a verb (``streams.trade.heed``) do what a desk's change asks for, in one transaction.

        A change that was taken before does nothing, and one that is older than another of the same desk
        and ticket neither. Events that the verb writes are for every desk but this one.
        """

        def work(connection: Connection) -> Heeded:
            found = self._known(connection, change)
            if not found:
                return Heeded(outcome="unknown")
            into = self._known(connection, _goes_on(change)) if change.merged_into else ""
            # from here on nobody else works on it
            book = load_ticket(connection, found, also=[into] if into else [])
            before = book.tickets[found]
            heard = hook_events.c.desk == change.desk
            if connection.execute(
                select(hook_events.c.event_id).where(heard, hook_events.c.event_id == change.event_id)
            ).scalar():
                return Heeded(outcome="repeated", ticket_id=found, state=before.state)
            newest = connection.execute(
                select(func.max(hook_events.c.at_ns)).where(heard, hook_events.c.ticket_id == found)
            ).scalar()
            late = newest is not None and int(newest) > change.at_ns
            told = replace(change, before=_before(connection, change.desk, found), merged_into=into)
            self._remember(connection, change, found, now_ns)
            if late:
                return Heeded(outcome="overtaken", ticket_id=found, state=before.state)
            after = verb(book, before, told)
            save(connection, book, now_ns, self._all_but(change.desk))
            outcome: Any = "nothing"
            if after.version > before.version:
                outcome = "reported" if after.state is before.state else "moved"
            return Heeded(outcome=outcome, ticket_id=found, state=after.state)

        return self._transaction(work)

    def _known(self, connection: Connection, change: RemoteChange) -> str:
        """Our ticket's id; empty where there is none."""
        query = select(tickets.c.id).where(tickets.c.id == change.reference)
        if change.reference and (found := connection.execute(query).scalar()):
            return str(found)
        if not change.remote_id:
            return ""
        query = select(remote_refs.c.ticket_id).where(
            remote_refs.c.desk == change.desk, remote_refs.c.remote_id == change.remote_id
        )
        return str(connection.execute(query.limit(1)).scalar() or "")

    def _remember(self, connection: Connection, change: RemoteChange, ticket_id: str, now_ns: int) -> None:
        row = {
            "desk": change.desk,
            "event_id": change.event_id,
            "ticket_id": ticket_id,
            "status": change.status,
            "at_ns": change.at_ns,
            "seen_ns": now_ns,
        }
        add(connection, hook_events, [row])
        known = select(remote_refs.c.remote_id).where(
            remote_refs.c.desk == change.desk, remote_refs.c.ticket_id == ticket_id
        )
        if change.remote_id and not connection.execute(known).scalar():
            ref = {"ticket_id": ticket_id, "desk": change.desk, "remote_id": change.remote_id}
            put(connection, remote_refs, [ref])

    def _all_but(self, desk: str) -> WantedBy:
        def wanted(event: TicketEvent) -> Sequence[str]:
            return [name for name in self._wanted_by(event) if name != desk]

        return wanted


def _goes_on(change: RemoteChange) -> RemoteChange:
    """The question which of our tickets another was merged into."""
    return replace(change, reference=change.merged_into, remote_id=change.merged_into)


def _before(connection: Connection, desk: str, ticket_id: str) -> str:
    """The desk's status of a ticket as far as we know: what it said or what it was told last, whichever is later."""
    heard = connection.execute(
        select(hook_events.c.status, hook_events.c.seen_ns)
        .where(hook_events.c.desk == desk, hook_events.c.ticket_id == ticket_id)
        .order_by(hook_events.c.at_ns.desc())
        .limit(1)
    ).one_or_none()
    told = connection.execute(
        select(outbox.c.event, outbox.c.done_ns)
        .where(outbox.c.desk == desk, outbox.c.ticket_id == ticket_id, outbox.c.state == "done")
        .order_by(outbox.c.id.desc())
        .limit(1)
    ).one_or_none()
    if told is not None and (heard is None or told[1] > heard[1]):
        state = told[0].get("data", {}).get("ticket", {}).get("state", "")
        return TMF621[State(state)] if state in set(State) else ""
    return "" if heard is None else str(heard[0])
