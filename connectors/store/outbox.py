"""The outbox: what is to be told to whom, who is telling it, and what could not be told."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, or_, select, text, update

from connectors.store.book import put
from connectors.store.engine import reading, writing
from connectors.store.part import Part
from connectors.store.rows import struct_of
from connectors.store.tables import dead_deliveries, desks, outbox, remote_refs, tickets
from streams.trade.deliveries import DeadDelivery, DisabledDesk, OutboxItem, Outcome, TicketEvent
from streams.trade.tickets import Urgency

PENDING, DONE = "pending", "done"
_ERROR = 2000  # characters of a reason that are kept
_STEP = 500  # rows buried in one transaction
#: what waits of some tickets, each up to an event
_UP_TO = text(
    "SELECT waiting.ticket_id, waiting.id FROM unnest(CAST(:tickets AS text[]), CAST(:last AS bigint[])) "
    "AS wanted(ticket_id, last) JOIN outbox AS waiting ON waiting.ticket_id = wanted.ticket_id "
    "AND waiting.id <= wanted.last WHERE waiting.desk = :desk AND waiting.state = 'pending' ORDER BY waiting.id"
)


class Outbox(Part):
    """Claims, results and dead letters of deliveries. Part of ``Store``."""

    def outbox_claim(self, desk: str, limit: int, now_ns: int, lease_ns: int) -> list[OutboxItem]:
        """Take up to ``limit`` due events of a desk, emergencies and then the oldest first, for ``lease_ns``.

        Of one ticket a run: whoever delivers it keeps to its order, and to what an event says that does not
        arrive. No event is handed out while an older one of its ticket is another's, waits for a later attempt,
        or is left behind here; where others wait too, the rest of a long run leaves them room. An attempt
        counts when it is claimed: whoever claims an event after a crash sees that it may have been
        delivered already.
        """
        token = secrets.token_hex(8)
        with writing(self._engine) as connection:
            ids = _due(connection, desk, limit, now_ns)
            if not ids:
                return []
            connection.execute(
                update(outbox)
                .where(outbox.c.id.in_(ids))
                .values(attempts=outbox.c.attempts + 1, due_ns=now_ns + lease_ns, lease=token)
            )
            found = connection.execute(
                select(outbox, remote_refs.c.remote_id.label("known"))
                .outerjoin(
                    remote_refs,
                    (remote_refs.c.ticket_id == outbox.c.ticket_id) & (remote_refs.c.desk == outbox.c.desk),
                )
                .where(outbox.c.id.in_(ids))
                .order_by(outbox.c.rank, outbox.c.id)
            ).mappings()
            return [
                OutboxItem(
                    number=row["id"],
                    event=msgspec.convert(row["event"], TicketEvent),
                    desk=row["desk"],
                    attempts=row["attempts"],
                    created_ns=row["created_ns"],
                    lease=row["lease"],
                    remote_id=row["known"] or "",
                )
                for row in found
            ]

    def outbox_renew(self, items: Sequence[OutboxItem], until_ns: int) -> int:
        """Keep what was claimed until ``until_ns``; returns how many are still waiting and ours.

        What has been settled, or claimed by another since, is left alone.
        """
        tokens = sorted({item.lease for item in items})
        mine = outbox.c.id.in_([item.number for item in items]) & (outbox.c.state == PENDING)
        mine &= outbox.c.lease.in_(tokens)
        # rows that are just being settled are skipped: waiting for them, the two could wait for each other
        free = select(outbox.c.id).where(mine).order_by(outbox.c.id).with_for_update(skip_locked=True)
        with writing(self._engine) as connection:
            ids = list(connection.execute(free).scalars())
            connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(due_ns=until_ns))
            return len(ids)

    def outbox_settle(self, outcomes: Sequence[Outcome], now_ns: int) -> None:
        """Write down what came of deliveries, all in one transaction.

        What another has claimed since (the lease had ended) is left alone, but for an arrival:
        that is true whoever holds the lease.
        """
        with writing(self._engine) as connection:
            for outcome in outcomes:
                _settle(connection, outcome, now_ns)

    def outbox_expire(self, before_ns: int, reason: str, now_ns: int) -> int:
        """Give up what has waited since before ``before_ns``, also of desks that exist no more.

        What is being delivered is left alone. Returns how many became dead letters.
        """
        old = (outbox.c.state == PENDING) & (outbox.c.created_ns < before_ns)
        idle = (outbox.c.lease == "") | (outbox.c.due_ns < now_ns)
        gone = 0
        while True:
            with writing(self._engine) as connection:
                query = select(outbox).where(old, idle).order_by(outbox.c.id).limit(_STEP)
                found = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
                for row in found:
                    _bury(connection, row, f"{reason}; last error: {row['error'] or 'none'}", now_ns)
            gone += len(found)
            if len(found) < _STEP:
                return gone

    def outbox_wake(self, desk: str, now_ns: int) -> int:
        """The desk answers again: what waits for a later attempt is due now. Returns how many."""
        with writing(self._engine) as connection:
            woken = connection.execute(
                update(outbox)
                .where(
                    outbox.c.desk == desk,
                    outbox.c.state == PENDING,
                    outbox.c.lease == "",
                    outbox.c.due_ns > now_ns,
                )
                .values(due_ns=now_ns)
            )
            return int(woken.rowcount)

    def dead_deliveries(self, limit: int = 100) -> list[DeadDelivery]:
        """Events that were given up, newest first."""
        query = select(dead_deliveries).order_by(dead_deliveries.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_dead(row._mapping) for row in connection.execute(query)]

    def revive(self, number: int, now_ns: int) -> bool:
        """Put a dead letter back into the outbox, as a person has asked. False where there is none."""
        with writing(self._engine) as connection:
            row: Row[Any] | None = connection.execute(
                delete(dead_deliveries).where(dead_deliveries.c.id == number).returning(dead_deliveries)
            ).one_or_none()
            if row is None:
                return False
            dead = row._mapping
            connection.execute(
                insert(outbox).values(
                    event_id=dead["event_id"],
                    ticket_id=dead["ticket_id"],
                    desk=dead["desk"],
                    event=dead["event"],
                    rank=_rank(dead["event"]),
                    # its age counts from now, or it would be given up again at once
                    created_ns=now_ns,
                    state=PENDING,
                    attempts=dead["attempts"],
                    due_ns=now_ns,
                    lease="",
                    error=dead["reason"],
                    remote_id="",
                )
            )
            return True

    def outbox_oldest(self) -> dict[str, tuple[int, int]]:
        """Of each desk with events waiting: how many, and when the oldest was written. [ns]"""
        query = (
            select(outbox.c.desk, func.count(), func.min(outbox.c.created_ns))
            .where(outbox.c.state == PENDING)
            .group_by(outbox.c.desk)
        )
        with reading(self._engine) as connection:
            return {desk: (int(n), int(oldest)) for desk, n, oldest in connection.execute(query)}

    def desk_disable(self, name: str, endpoint: str, reason: str, now_ns: int) -> None:
        """The receiver wants nothing more at this endpoint: remember it over restarts."""
        row = {"name": name, "endpoint": endpoint, "reason": reason[:_ERROR], "disabled_ns": now_ns}
        with writing(self._engine) as connection:
            put(connection, desks, [row])

    def desk_enable(self, name: str) -> None:
        """A person has set the desk up again."""
        with writing(self._engine) as connection:
            connection.execute(delete(desks).where(desks.c.name == name))

    def desks_disabled(self) -> list[DisabledDesk]:
        """The desks whose receivers have switched them off."""
        with reading(self._engine) as connection:
            found = connection.execute(select(desks).order_by(desks.c.name)).mappings()
            return [struct_of(row, DisabledDesk) for row in found]


def _due(connection: Connection, desk: str, limit: int, now_ns: int) -> list[int]:
    """The events to hand out: first one of each ticket, then what follows of each, without a gap."""
    found: list[tuple[int, str]] = []
    seen: set[str] = set()
    full = True
    # long runs fill a look: whoever waits behind them comes before their second events
    while full and len(seen) < limit:
        more = _walk(connection, desk, limit, now_ns, seen)
        full = len(more) == limit and len({ticket for _, ticket in more}) < limit
        found += more
        seen.update(ticket for _, ticket in more)
    heads: dict[str, int] = {}
    for number, ticket in found:
        heads.setdefault(
            ticket, number
        )  # in the order of the queue: where there is no room for all, the first go
    following = [number for number, ticket in found if heads[ticket] != number]
    chosen = {*[*heads.values(), *following][:limit]}
    return _without_gaps(connection, desk, [one for one in found if one[0] in chosen])


def _walk(
    connection: Connection, desk: str, limit: int, now_ns: int, passing: Collection[str] = ()
) -> list[tuple[int, str]]:
    """Number and ticket of the first due events of a desk, each ticket's in its order; not those of ``passing``.

    It ends at the last that it takes: how many wait behind does not matter. What it passes is an entry of the
    index each.
    """
    own, older = outbox.c, outbox.alias("older")
    held_up = (
        select(older.c.id)
        .where(
            older.c.desk == own.desk,
            older.c.ticket_id == own.ticket_id,
            older.c.state == PENDING,
            older.c.id < own.id,
            # an emergency overtakes other tickets, never what its own has told before it, nor does that pass it by
            or_(older.c.due_ns > now_ns, older.c.rank != own.rank),
        )
        .exists()
    )
    query = (
        select(own.id, own.ticket_id)
        .where(own.desk == desk, own.state == PENDING, own.due_ns <= now_ns, ~held_up)
        .order_by(own.rank, own.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if passing:
        query = query.where(own.ticket_id.not_in(sorted(passing)))
    return [(int(number), str(ticket)) for number, ticket in connection.execute(query)]


def _without_gaps(connection: Connection, desk: str, found: Sequence[tuple[int, str]]) -> list[int]:
    """Those of each ticket up to the first that is not ours: another may be claiming it at this moment.

    SQLite has one writer: nobody else is claiming.
    """
    ours = {number for number, _ in found}
    if connection.dialect.name != "postgresql" or not ours:
        return sorted(ours)
    last = {ticket: number for number, ticket in found}
    wanted = {"tickets": list(last), "last": list(last.values()), "desk": desk}
    kept: list[int] = []
    broken: set[str] = set()
    for ticket, number in connection.execute(_UP_TO, wanted):
        if number not in ours:
            broken.add(ticket)
        elif ticket not in broken:
            kept.append(number)
    return kept


def _settle(connection: Connection, outcome: Outcome, now_ns: int) -> None:
    item = outcome.item
    waiting = (outbox.c.id == item.number) & (outbox.c.state == PENDING)
    ours = waiting & (outbox.c.lease == item.lease)
    if outcome.verdict == "done":
        connection.execute(
            update(outbox)
            .where(waiting)
            .values(state=DONE, lease="", error="", remote_id=outcome.remote_id, done_ns=now_ns)
        )
        if outcome.remote_id and outcome.remote_id != item.remote_id:
            _remember(connection, item, outcome.remote_id)
    elif outcome.verdict == "retry":
        connection.execute(
            update(outbox).where(ours).values(due_ns=outcome.due_ns, lease="", error=outcome.reason[:_ERROR])
        )
    elif outcome.verdict == "release":
        connection.execute(
            update(outbox).where(ours).values(due_ns=now_ns, lease="", attempts=outbox.c.attempts - 1)
        )
    else:
        row = connection.execute(select(outbox).where(ours)).mappings().one_or_none()
        if row is not None:
            _bury(connection, row, outcome.reason, now_ns)


def _bury(connection: Connection, row: Mapping[Any, Any], reason: str, now_ns: int) -> None:
    connection.execute(delete(outbox).where(outbox.c.id == row["id"]))
    kept = {name: row[name] for name in ("event_id", "ticket_id", "desk", "event", "created_ns", "attempts")}
    connection.execute(insert(dead_deliveries).values(**kept, reason=reason[:_ERROR], dead_ns=now_ns))


def _remember(connection: Connection, item: OutboxItem, remote_id: str) -> None:
    ticket = item.event.ticket_id
    # a ticket may have been erased while its last event was on its way
    if connection.execute(select(tickets.c.id).where(tickets.c.id == ticket)).scalar():
        put(connection, remote_refs, [{"ticket_id": ticket, "desk": item.desk, "remote_id": remote_id}])


def _dead(row: Mapping[Any, Any]) -> DeadDelivery:
    return DeadDelivery(
        number=row["id"],
        event=msgspec.convert(row["event"], TicketEvent),
        desk=row["desk"],
        attempts=row["attempts"],
        reason=row["reason"],
        dead_ns=row["dead_ns"],
    )


def _rank(event: Mapping[str, Any]) -> int:
    return 0 if event["urgency"] == Urgency.EMERGENCY else 1
