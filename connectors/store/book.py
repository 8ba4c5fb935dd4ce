"""Reading into the book of one transaction what its verbs may need, and writing back what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, Table, TextClause, select, text
from sqlalchemy.dialects import sqlite

from connectors.store import rows
from connectors.store.bars import bars_in
from connectors.store.part import WantedBy
from connectors.store.tables import flags_seen, outbox, steps, ticket_flags, ticket_history, tickets
from connectors.store.tables_trade import complaints, muted_flags, mutes, verdicts
from streams.messages import Flag, Status
from streams.trade.book import Book, event_key
from streams.trade.grouping import members_of, places_of, point_of, whole_of, wholes_around
from streams.trade.judged import Judged
from streams.trade.settlement import Credit
from streams.trade.tickets import Step, Urgency

_CHUNK = 1000  # values in one IN (…)


def load(connection: Connection, flags: Sequence[Flag], now_ns: int) -> Book:
    """The book that folding in these flags needs; their service points are ours until the end."""
    book = Book()
    points = {place for flag in flags for place in (point_of(flag), *wholes_around(flag))}
    lock(connection, points)
    for part in _chunks({event_key(flag) for flag in flags}):
        found = connection.execute(select(flags_seen.c.event_key).where(flags_seen.c.event_key.in_(part)))
        book.seen.update(found.scalars())
    for part in _chunks({flag.id for flag in flags}):
        for row in connection.execute(
            select(ticket_flags).where(ticket_flags.c.flag_id.in_(part))
        ).mappings():
            book.episodes[row["flag_id"]] = rows.episode_of(row)
        for row in connection.execute(select(muted_flags).where(muted_flags.c.flag_id.in_(part))).mappings():
            book.muted[row["flag_id"]] = rows.muted_of(row)
    watched = tickets.c.open | (tickets.c.watch_until_ns > now_ns)
    for part in _chunks(points):
        _take(connection, book, watched & tickets.c.service_point_id.in_(part))
    # what turns out to be part of a whole is merged into its ticket, once
    wholes = [flag for flag in flags if flag.status != Status.CLEARED and _new_whole(book, flag)]
    for flag in wholes:
        for part in _chunks(members_of(flag)):
            same = (tickets.c.family == flag.family) & tickets.c.meter_id.in_(part)
            _take(connection, book, tickets.c.open & same)
    for family, whole in {(flag.family, whole_of(flag)) for flag in wholes}:
        _take_parts(connection, book, family, whole)
    # an episode's ticket may be closed by now, or its meter may have moved to another point
    missing = {episode.ticket_id for episode in book.episodes.values()} - book.tickets.keys()
    for part in _chunks(missing):
        _take(connection, book, tickets.c.id.in_(part))
    families = {flag.family for flag in wholes}
    take_belongings(
        connection,
        book,
        {t.id for t in book.tickets.values() if t.open and not t.group and t.family in families},
    )
    _take_steps(connection, book)
    book.bars = bars_in(connection)
    for part in _chunks({place for flag in flags for place in places_of(flag)}):
        query = select(mutes).where(
            mutes.c.place.in_(part), mutes.c.end_ns > now_ns, mutes.c.start_ns <= now_ns
        )
        book.mutes += [rows.mute_of(row) for row in connection.execute(query).mappings()]
    return book


def load_ticket(connection: Connection, ticket_id: str, also: Sequence[str] = ()) -> Book:
    """The book for work on one ticket: it, what is open at its point, its flags, the words about them, its complaints.

    also : further tickets that the work is about, to be merged into for instance
    """
    book = Book()
    wanted = (ticket_id, *also)
    query = select(tickets.c.service_point_id).where(tickets.c.id.in_(wanted))
    points = set(connection.execute(query).scalars())
    if not points:
        return book
    lock(connection, points)
    _take(
        connection,
        book,
        tickets.c.id.in_(wanted) | (tickets.c.open & tickets.c.service_point_id.in_(points)),
    )
    take_belongings(connection, book, {ticket_id})
    book.credits_at = _credits(connection, ticket_id, points)
    for part in _chunks(book.episodes):
        for row in connection.execute(select(verdicts).where(verdicts.c.flag_id.in_(part))).mappings():
            book.judged[row["flag_id"]] = rows.struct_of(row, Judged)
    return book


def save(connection: Connection, book: Book, now_ns: int, wanted_by: WantedBy) -> None:
    """Write what changed, and the outbox rows of what is to be told, in the same transaction."""
    put(connection, tickets, [rows.ticket_row(book.tickets[key]) for key in book.changed_tickets])
    put(connection, mutes, [rows.mute_row(mute) for mute in book.new_mutes])
    put(connection, muted_flags, [rows.muted_row(book.muted[key]) for key in book.changed_muted])
    put(connection, complaints, [rows.complaint_row(book.complaints[key]) for key in book.changed_complaints])
    put(connection, ticket_flags, [rows.episode_row(book.episodes[key]) for key in book.changed_episodes])
    add(connection, ticket_history, [rows.entry_row(*line) for line in book.history])
    put(connection, steps, [rows.step_row(*step) for step in book.steps])
    put(connection, verdicts, [msgspec.to_builtins(book.judged[key]) for key in book.changed_judged])
    seen = [
        {
            "event_key": event_key(flag),
            "flag_id": flag.id,
            "status": flag.status,
            "at": flag.at,
            "seen_ns": now_ns,
        }
        for flag in book.new_seen
    ]
    add(connection, flags_seen, seen)
    waiting = []
    for event in book.events:
        body = msgspec.to_builtins(event)
        waiting += [
            {
                "event_id": event.id,
                "ticket_id": event.ticket_id,
                "desk": desk,
                "event": body,
                "rank": 0 if event.urgency == Urgency.EMERGENCY else 1,
                "created_ns": now_ns,
                "state": "pending",
                "attempts": 0,
                "due_ns": now_ns,
                "lease": "",
                "error": "",
                "remote_id": "",
            }
            for desk in wanted_by(event)
        ]
    add(connection, outbox, waiting)


def lock(connection: Connection, points: Iterable[str]) -> None:
    """Hold the service points until the transaction ends.

    SQLite has one writer anyway. On PostgreSQL an advisory lock a point, taken in one order
    by everybody, so that two writers of one point wait for each other and never deadlock.
    """
    if connection.dialect.name != "postgresql":
        return
    keys = sorted({_lock_key(point) for point in points})
    connection.execute(
        text("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(:keys AS bigint[])) AS k"), {"keys": keys}
    )


def add(connection: Connection, table: Table, new: list[dict[str, Any]]) -> None:
    """Insert rows."""
    if not new:
        return
    if connection.dialect.name == "postgresql":
        _send(connection, table, new, ())
    else:
        connection.execute(table.insert(), new)


def put(connection: Connection, table: Table, new: list[dict[str, Any]], keep: tuple[str, ...] = ()) -> None:
    """Insert rows, or replace those with the same primary key, but for the columns ``keep``."""
    if not new:
        return
    fixed = (*(column.name for column in table.primary_key), *keep)
    replaced = tuple(name for name in new[0] if name not in fixed)
    if connection.dialect.name == "postgresql":
        _send(connection, table, new, replaced)
        return
    statement = sqlite.insert(table)
    others = {name: statement.excluded[name] for name in replaced}
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=others), new
    )


def _send(connection: Connection, table: Table, new: list[dict[str, Any]], replaced: tuple[str, ...]) -> None:
    """Insert any number of rows with one statement and one value.

    PostgreSQL takes the rows out of a JSON array itself; a statement a row costs our own
    processor three times as much.
    """
    rows_json = msgspec.json.encode(new).decode()
    connection.execute(_from_json(table, tuple(new[0]), replaced), {"rows": rows_json})


@lru_cache(maxsize=64)
def _from_json(table: Table, names: tuple[str, ...], replaced: tuple[str, ...]) -> TextClause:
    def quote(name: str) -> str:
        return f'"{name}"'

    columns = ", ".join(quote(name) for name in names)
    into = quote(table.name)
    sql = (
        f"INSERT INTO {into} ({columns}) SELECT {columns} "  # noqa: S608 - names of our own tables
        f"FROM json_populate_recordset(CAST(NULL AS {into}), CAST(:rows AS json))"
    )
    if replaced:
        keys = ", ".join(quote(column.name) for column in table.primary_key)
        others = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in replaced)
        sql += f" ON CONFLICT ({keys}) DO UPDATE SET {others}"
    return text(sql)


def _take(connection: Connection, book: Book, where: ColumnElement[bool]) -> None:
    query: Select[Any] = select(tickets).where(where).order_by(tickets.c.id).with_for_update()
    for row in connection.execute(query).mappings():
        book.tickets[row["id"]] = rows.ticket_of(row)


def _new_whole(book: Book, flag: Flag) -> bool:
    """Whether it is told for the first time that something has failed as a whole."""
    known = book.episodes.get(flag.id)
    return bool(whole_of(flag)) and (known is None or known.kind != flag.kind)


def _credits(connection: Connection, ticket_id: str, points: Iterable[str]) -> list[tuple[str, Credit]]:
    """The credits of other tickets of these service points, whatever became of the tickets."""
    query = (
        select(tickets.c.id, tickets.c.details["credit"], tickets.c.details["earlier_credits"])
        .where(tickets.c.service_point_id.in_(point for point in points if point), tickets.c.id != ticket_id)
        .order_by(tickets.c.opened_ns, tickets.c.id)
    )
    return [
        (other, credit)
        for other, newest, earlier in connection.execute(query)
        for credit in msgspec.convert([*(earlier or ()), *([newest] if newest else ())], list[Credit])
    ]


def _take_parts(connection: Connection, book: Book, family: str, whole: str) -> None:
    """The open tickets of a family whose meters hang on what failed as a whole."""
    scope, _, name = whole.partition("/")
    hangs = (
        tickets.c.area == name if scope == "area" else tickets.c.details["place"][scope].as_string() == name
    )
    _take(connection, book, tickets.c.open & (tickets.c.family == family) & hangs)


def take_belongings(connection: Connection, book: Book, ids: Iterable[str]) -> None:
    """The flags and the complaints of tickets that may be merged: they go where their ticket goes."""
    for part in _chunks(ids):
        for row in connection.execute(
            select(ticket_flags).where(ticket_flags.c.ticket_id.in_(part))
        ).mappings():
            book.episodes.setdefault(row["flag_id"], rows.episode_of(row))
        for row in connection.execute(select(complaints).where(complaints.c.ticket_id.in_(part))).mappings():
            complaint = rows.complaint_of(row)
            book.complaints.setdefault(complaint.id, complaint)


def _take_steps(connection: Connection, book: Book) -> None:
    """The checks of tickets that have some done: their results count for causes that are new."""
    for part in _chunks(t.id for t in book.tickets.values() if t.prior):
        done: dict[str, list[Step]] = {}
        query = select(steps).where(steps.c.ticket_id.in_(part)).order_by(steps.c.seq)
        for row in connection.execute(query).mappings():
            done.setdefault(row["ticket_id"], []).append(rows.step_of(row))
        for ticket_id, found in done.items():
            book.tickets[ticket_id] = replace(book.tickets[ticket_id], steps=tuple(found))


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _lock_key(point: str) -> int:
    digest = hashlib.blake2b(point.encode(), digest_size=8, person=b"forestall").digest()
    return int.from_bytes(digest, "big", signed=True)
