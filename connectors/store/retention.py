"""What is kept long enough goes: by kind, in small transactions, each with its line of the audit log.

To sweep twice, or two at once, does the same as once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, Table, delete, func, or_, select, update

from connectors.store import audit as log
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.people import FIELDS
from connectors.store.tables import dead_deliveries, outbox, tickets
from connectors.store.tables_trade import audit, complaints, muted_flags, mutes, people, verdicts

T = TypeVar("T")

SWEPT = "retention.swept"
_DAY = 86_400 * 1_000_000_000


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is kept. [days]; 0: for ever."""

    tickets: float = 0.0  # after their end
    complaints: float = 0.0  # after they came in
    people: float = 0.0  # names and numbers, after the last complaint
    audit: float = 0.0
    muted: float = 0.0  # after their end; flags below a bar that have none, after their last word


class Retention(Part):
    """What goes with time. Part of ``Store``."""

    def due_to_go(self, keep: Keep, now_ns: int) -> dict[str, int]:
        """How much ``sweep`` would take, by kind."""
        with reading(self._engine) as connection:
            found = {
                kind: connection.execute(
                    select(func.count()).select_from(query.order_by(None).subquery())
                ).scalar_one()
                for kind, query in _due(keep, now_ns)
            }
            if keep.audit > 0:
                before = now_ns - round(keep.audit * _DAY)
                found["audit"] = connection.execute(
                    select(func.count()).select_from(audit).where(log.over(before))
                ).scalar_one()
        return {kind: count for kind, count in found.items() if count}

    def sweep(self, keep: Keep, now_ns: int, at_a_time: int = 500) -> dict[str, int]:
        """Take what is over, ``at_a_time`` a transaction; return how much, by kind."""
        done: dict[str, int] = {}
        for kind, query in _due(keep, now_ns):
            more = True
            while more:

                def work(connection: Connection, kind: str = kind, query: Select[Any] = query) -> int:
                    keys = list(connection.execute(query.limit(at_a_time)).scalars())
                    if keys:
                        _TAKE[kind](connection, keys, now_ns)
                        told = {"kind": kind, "count": len(keys)}
                        log.add(connection, now_ns, log.SYSTEM, SWEPT, f"retention/{kind}", details=told)
                    return len(keys)

                count = self._transaction(work)
                done[kind] = done.get(kind, 0) + count
                more = count == at_a_time
        if keep.audit > 0:
            before = now_ns - round(keep.audit * _DAY)
            done["audit"] = self._transaction(lambda connection: log.prune(connection, now_ns, before))
        return {kind: count for kind, count in done.items() if count}


def _due(keep: Keep, now_ns: int) -> Iterator[tuple[str, Select[Any]]]:
    """Kinds and the keys of what is over, in the order in which they go."""

    def since(days: float) -> int:
        return now_ns - round(days * _DAY)

    if keep.complaints > 0:
        # as long as its ticket is worked on, a complaint is needed
        worked_on = select(tickets.c.id).where(tickets.c.open)
        query = select(complaints.c.id).where(
            complaints.c.received_ns < since(keep.complaints), complaints.c.ticket_id.not_in(worked_on)
        )
        yield "complaints", query.order_by(complaints.c.received_ns, complaints.c.id)
    if keep.people > 0:
        worked_on = select(tickets.c.id).where(tickets.c.open)
        needed = select(complaints.c.id).where(
            complaints.c.person_id == people.c.person_id,
            or_(complaints.c.received_ns >= since(keep.people), complaints.c.ticket_id.in_(worked_on)),
        )
        query = select(people.c.person_id).where(
            people.c.updated_ns < since(keep.people), people.c.erased_ns.is_(None), ~needed.exists()
        )
        yield "people", query.order_by(people.c.updated_ns, people.c.person_id)
    if keep.tickets > 0:
        named = select(complaints.c.id).where(complaints.c.ticket_id == tickets.c.id)
        query = select(tickets.c.id).where(
            ~tickets.c.open, tickets.c.closed_ns < since(keep.tickets), ~named.exists()
        )
        yield "tickets", query.order_by(tickets.c.opened_ns, tickets.c.id)
    if keep.muted > 0:
        # one whose mute has ended is to become a ticket first. One below the bar has no end of its own where its meter
        # is gone: nothing is lost with its row, for its detector's next word makes it anew
        own = muted_flags.c
        ended = (own.outcome != "") & (own.until_ns < since(keep.muted))
        silent = (own.outcome == "") & (own.mute_id == "") & (own.heard_ns < since(keep.muted))
        yield "muted_flags", select(own.flag_id).where(ended | silent)
        yield "mutes", select(mutes.c.id).where(mutes.c.end_ns < since(keep.muted))


def _take_tickets(connection: Connection, keys: list[str], _now_ns: int) -> None:
    # history, steps, flags and outside numbers go with them by their foreign keys
    for table, column in (
        (outbox, outbox.c.ticket_id),
        (dead_deliveries, dead_deliveries.c.ticket_id),
        (verdicts, verdicts.c.ticket_id),
        (tickets, tickets.c.id),
    ):
        connection.execute(delete(table).where(column.in_(keys)))


def _take_people(connection: Connection, keys: list[str], now_ns: int) -> None:
    """Names and numbers go; the pseudonym stays as long as a complaint has it."""
    empty = dict.fromkeys((*FIELDS, "phone_key", "email_key"), "")
    connection.execute(update(people).where(people.c.person_id.in_(keys)), {**empty, "erased_ns": now_ns})
    named = select(complaints.c.id).where(complaints.c.person_id == people.c.person_id)
    connection.execute(delete(people).where(people.c.person_id.in_(keys), ~named.exists()))


def _take_all(table: Table) -> Callable[[Connection, list[str], int], None]:
    (key,) = table.primary_key.columns

    def take(connection: Connection, keys: list[str], _now_ns: int) -> None:
        connection.execute(delete(table).where(key.in_(keys)))

    return take


_TAKE: dict[str, Callable[[Connection, list[str], int], None]] = {
    "complaints": _take_all(complaints),
    "people": _take_people,
    "tickets": _take_tickets,
    "muted_flags": _take_all(muted_flags),
    "mutes": _take_all(mutes),
}
