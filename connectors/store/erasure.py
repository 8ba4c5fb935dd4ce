"""Everything that is held of a service point: given out whole, or erased.

Who has complained and whose service point is not known yet stands for a place of their own, ``person/PN-…``.
Erased are names, numbers, addresses, and all text that people wrote, wherever it was copied to.
What stays are codes, figures and instants under pseudonyms: the statistics count the same as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, func, literal, select, update

from connectors.sealing import Seal
from connectors.store import audit as log
from connectors.store.book import lock
from connectors.store.part import Part
from connectors.store.people import FIELDS, Person, people_at
from connectors.store.rows import entry_of
from connectors.store.tables import dead_deliveries, outbox, steps, ticket_flags, ticket_history, tickets
from connectors.store.tables_trade import aliases, complaints, muted_flags, mutes, people, points, verdicts
from streams.trade.chain import BEGINNING, history_digest
from streams.trade.roles import Actor

T = TypeVar("T")

EXPORTED = "people.exported"
LISTED = "people.listed"
#: how the name of somebody without a service point begins, where one is asked for; the pseudonym follows
PERSON = "person/"
#: how the place of an unlinked complaint's ticket begins; the complaint's number follows
UNLINKED = "complaint/"
_UNLINKED_AT = literal(UNLINKED).concat(complaints.c.id)
#: what stands where text of people stood
GONE = "[erased]"
#: text of people in a ticket's ``details``: keys at any depth below these
_FREE = frozenset(
    {
        "verdict_reason",
        "none_because",
        "signed",
        "record",
        "reason",
        "hold_reason",
        "decision",
        "note",
        "text",
        "sms",
    }
)
#: of detectors, not of people
_OURS = frozenset({"evidence", "hypotheses", "estimate", "estimates"})
_ACTOR = "forestall"  # who writes lines of history by itself
_COMPLAINT: Mapping[str, Any] = {"content": "", "demand": "", "named": "", "attachments": []}


class StillOpen(Exception):
    """Tickets of the service point are open: whoever works on them needs to reach the customer."""

    def __init__(self, ticket_ids: Iterable[str]) -> None:
        self.ticket_ids = tuple(ticket_ids)
        super().__init__(f"expected no open ticket at the service point, got {', '.join(self.ticket_ids)}")


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How much was erased of a service point; ``meters`` are those whose readings are elsewhere."""

    service_point_id: str
    people: int
    complaints: int
    tickets: int
    lines: int  # of histories
    deliveries: int  # copies in the outbox: dropped, or waiting and rewritten
    meters: tuple[str, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a service point: people masked, all else counted by table."""

    service_point_id: str
    people: tuple[Person, ...]
    counts: dict[str, int]
    open_tickets: tuple[str, ...]
    meters: tuple[str, ...]


class Erasure(Part):
    """Export and erasure by service point. Part of ``Store``."""

    def held_at(self, service_point_id: str, actor: Actor, now_ns: int) -> Held:
        """What an export of a service point would give and an erasure take; the look is logged.

        Where nothing is held nothing is logged: what was asked for may be somebody's name or number, and a line
        can never be taken back.
        """

        def work(connection: Connection) -> Held:
            persons = _everybody(connection, self._seal, service_point_id)
            ids = _ticket_ids(connection, service_point_id, [one.person_id for one in persons])
            meters = _meters_of(connection, service_point_id, ids) or _itself(service_point_id)
            counts = {
                name: int(
                    connection.execute(select(func.count()).select_from(table).where(where)).scalar_one()
                )
                for name, table, where, _ in _tables(
                    service_point_id, [one.person_id for one in persons], ids, meters
                )
            }
            held = Held(
                service_point_id=service_point_id,
                people=tuple(one.mask() for one in persons),
                counts=counts,
                open_tickets=tuple(_still_open(connection, ids)),
                meters=tuple(sorted(meters)),
            )
            if persons or any(counts.values()):
                log.add(connection, now_ns, actor, LISTED, _target(service_point_id), details=counts)
            return held

        return self._transaction(work)

    def export_point(self, service_point_id: str, actor: Actor, reason: str, now_ns: int) -> dict[str, Any]:
        """Everything that the store holds of a service point, in the clear; JSON types. It is logged."""

        def work(connection: Connection) -> dict[str, Any]:
            found = _export(connection, self._seal, service_point_id)
            counts = {name: len(rows) for name, rows in found.items() if isinstance(rows, list)}
            log.add(connection, now_ns, actor, EXPORTED, _target(service_point_id), reason, counts)
            return found

        return self._transaction(work)

    def erase_point(
        self, service_point_id: str, actor: Actor, reason: str, now_ns: int, *, also_open: bool = False
    ) -> Erased:
        """Erase what tells of people at a service point, in one transaction; again it finds nothing more.

        Raises StillOpen where a ticket is open, unless ``also_open``.
        """
        if not service_point_id:
            raise ValueError("expected a service point, got none: assign the complaint to one first")

        def work(connection: Connection) -> Erased:
            held = [
                service_point_id,
                f"people/{'' if service_point_id.startswith(PERSON) else service_point_id}",
            ]
            # also against whoever writes to a ticket that a complaint opened before its place was known
            lock(connection, held + _opened_at(connection, self._seal, service_point_id))
            done, lines = _erase(connection, self._seal, service_point_id, now_ns, also_open)
            details = {**msgspec.to_builtins(done), "lines": lines}
            log.add(connection, now_ns, actor, log.ERASED, _target(service_point_id), reason, details)
            return done

        return self._transaction(work)


def _everybody(connection: Connection, seal: Seal, point: str) -> list[Person]:
    """Who is at a service point, in the clear; ``person/PN-…``: that one, as long as they are at none."""
    if point.startswith(PERSON):
        return people_at(connection, seal, "", point.removeprefix(PERSON))
    return people_at(connection, seal, point)


def _target(point: str) -> str:
    """What a line of the audit log is about."""
    return point if point.startswith(PERSON) else f"service_point/{point}"


def _itself(point: str) -> set[str]:
    """The meter of a place that the registry does not know: the place itself."""
    return set() if point.startswith(PERSON) else {point}


def _places(point: str, meters: Iterable[str]) -> list[str]:
    """Under what names mutes know the place."""
    return [f"service_point/{point}", *(f"meter/{meter}" for meter in sorted(meters))]


def _tables(
    point: str, person_ids: list[str], ids: list[str], meters: set[str]
) -> list[tuple[str, Any, Any, tuple[Any, ...]]]:
    """Name, table, condition and order of all that tells of a service point, beside its people."""
    own, line, step = tickets.c, ticket_history.c, steps.c
    return [
        ("tickets", tickets, own.id.in_(ids), (own.opened_ns,)),
        ("history", ticket_history, line.ticket_id.in_(ids), (line.ticket_id, line.seq)),
        ("steps", steps, step.ticket_id.in_(ids), (step.ticket_id, step.seq)),
        ("flags", ticket_flags, ticket_flags.c.ticket_id.in_(ids), (ticket_flags.c.start,)),
        ("mutes", mutes, mutes.c.place.in_(_places(point, meters)), (mutes.c.start_ns, mutes.c.id)),
        ("muted_flags", muted_flags, muted_flags.c.service_point_id == point, (muted_flags.c.since_ns,)),
        ("complaints", complaints, _complaints_of(point, person_ids), (complaints.c.at_ns,)),
        ("verdicts", verdicts, verdicts.c.ticket_id.in_(ids), (verdicts.c.at_ns,)),
        ("meters", points, points.c.service_point_id == point, (points.c.meter_id,)),
        ("aliases", aliases, aliases.c.service_point_id == point, (aliases.c.alias,)),
    ]


def _export(connection: Connection, seal: Seal, point: str) -> dict[str, Any]:
    persons = _everybody(connection, seal, point)
    ids = _ticket_ids(connection, point, [one.person_id for one in persons])
    told: dict[str, Any] = {"service_point_id": point, "people": msgspec.to_builtins(persons)}
    meters = _meters_of(connection, point, ids) | _itself(point)
    for name, table, where, order in _tables(point, [one.person_id for one in persons], ids, meters):
        found = connection.execute(select(table).where(where).order_by(*order)).mappings()
        told[name] = [{str(key): value for key, value in row.items()} for row in found]
    return told


def _erase(
    connection: Connection, seal: Seal, point: str, now_ns: int, also_open: bool
) -> tuple[Erased, dict[str, dict[str, str]]]:
    everybody = _everybody(connection, seal, point)
    ids = _ticket_ids(connection, point, [one.person_id for one in everybody])
    still = _still_open(connection, ids)
    if still and not also_open:
        raise StillOpen(still)
    persons = [one for one in everybody if one.erased_ns is None]
    # where the registry knows no place, the meter is it
    meters = _meters_of(connection, point, ids) | _itself(point)
    words = {value for one in persons for name in FIELDS if len(value := getattr(one, name)) > 1}
    words |= _words_of(connection, point, [one.person_id for one in persons])
    told = _erase_complaints(connection, point, [one.person_id for one in persons])
    words |= _notes_of(connection, ids)
    lines = _erase_history(connection, ids, words)
    _erase_tickets(connection, ids)
    connection.execute(
        update(steps).where(steps.c.ticket_id.in_(ids), steps.c.result != ""), {"result": GONE}
    )
    connection.execute(
        update(verdicts).where(verdicts.c.ticket_id.in_(ids), verdicts.c.reason != ""), {"reason": GONE}
    )
    quiet = mutes.c.place.in_(_places(point, meters))
    connection.execute(update(mutes).where(quiet, mutes.c.reason != ""), {"reason": GONE})
    connection.execute(delete(aliases).where(aliases.c.service_point_id == point))
    empty = dict.fromkeys((*FIELDS, "phone_key", "email_key"), "")
    connection.execute(
        update(people).where(people.c.person_id.in_([one.person_id for one in persons])),
        {**empty, "erased_ns": now_ns, "updated_ns": now_ns},
    )
    done = Erased(
        service_point_id=point,
        people=len(persons),
        complaints=told,
        tickets=len(ids),
        lines=sum(map(len, lines.values())),
        deliveries=_erase_copies(connection, ids, words),
        meters=tuple(sorted(meters)),
    )
    return done, lines


def _still_open(connection: Connection, ids: list[str]) -> list[str]:
    query = select(tickets.c.id).where(tickets.c.id.in_(ids), tickets.c.open).order_by(tickets.c.id)
    return list(connection.execute(query).scalars())


def _meters_of(connection: Connection, point: str, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for query in (
        select(points.c.meter_id).where(points.c.service_point_id == point),
        select(tickets.c.meter_id).where(tickets.c.id.in_(ids)),
    ):
        found |= set(connection.execute(query).scalars())
    return found - {""}


def _ticket_ids(connection: Connection, point: str, person_ids: list[str]) -> list[str]:
    """Tickets at the service point, and those that its complaints opened before it was known.

    A complaint that joins another ticket names that one; what was written on its own stands there all the same.
    """
    of_point = _complaints_of(point, person_ids)
    opened = select(_UNLINKED_AT).where(of_point)
    named = select(complaints.c.ticket_id).where(of_point, complaints.c.ticket_id != "")
    at = tickets.c.service_point_id
    query = select(tickets.c.id).where(
        (at == point) | at.in_(opened) | (tickets.c.id.in_(named) & at.startswith(UNLINKED, autoescape=True))
    )
    return sorted(connection.execute(query).scalars())


def _opened_at(connection: Connection, seal: Seal, point: str) -> list[str]:
    """The places of the tickets that the service point's complaints opened before it was known."""
    person_ids = [one.person_id for one in _everybody(connection, seal, point)]
    return list(connection.execute(select(_UNLINKED_AT).where(_complaints_of(point, person_ids))).scalars())


def _complaints_of(point: str, person_ids: list[str]) -> Any:
    return (complaints.c.service_point_id == point) | complaints.c.person_id.in_(person_ids)


def _words_of(connection: Connection, point: str, person_ids: list[str]) -> set[str]:
    query = select(complaints.c.details).where(_complaints_of(point, person_ids))
    found = connection.execute(query).scalars().all()
    return {
        text
        for row in found
        for key in ("content", "demand", "named")
        if len(text := str(row.get(key, ""))) > 1
    }


def _erase_complaints(connection: Connection, point: str, person_ids: list[str]) -> int:
    query = select(complaints.c.id, complaints.c.details).where(_complaints_of(point, person_ids))
    rows = connection.execute(query).all()
    for row in rows:
        kept = {**row.details, **{name: value for name, value in _COMPLAINT.items() if name in row.details}}
        connection.execute(update(complaints).where(complaints.c.id == row.id), {"details": kept})
    return len(rows)


def _notes_of(connection: Connection, ids: list[str]) -> set[str]:
    own = ticket_history.c
    query = select(own.note).where(own.ticket_id.in_(ids), own.actor != _ACTOR)
    return {note for note in connection.execute(query).scalars() if len(note) > 3}


def _erase_history(connection: Connection, ids: list[str], words: set[str]) -> dict[str, dict[str, str]]:
    """Erase the notes that people wrote, or that quote them.

    Returns the digests of those lines as they are now, by ticket and number. The stored digests
    stay, so that the lines that follow hold; the audit log vouches for the erased ones.
    """
    out: dict[str, dict[str, str]] = {}
    for ticket_id in ids:
        query = (
            select(ticket_history)
            .where(ticket_history.c.ticket_id == ticket_id)
            .order_by(ticket_history.c.seq)
        )
        before = BEGINNING
        for row in connection.execute(query).mappings().all():
            entry = entry_of(row)
            if entry.note and (entry.actor != _ACTOR or any(word in entry.note for word in words)):
                gone = replace(entry, note=GONE)
                connection.execute(
                    update(ticket_history).where(
                        ticket_history.c.ticket_id == ticket_id, ticket_history.c.seq == entry.seq
                    ),
                    {"note": GONE},
                )
                out.setdefault(ticket_id, {})[str(entry.seq)] = history_digest(before, ticket_id, gone)
            before = entry.digest
    return out


def _erase_tickets(connection: Connection, ids: list[str]) -> None:
    for row in connection.execute(select(tickets.c.id, tickets.c.details).where(tickets.c.id.in_(ids))).all():
        details = _without(row.details)
        if details != row.details:
            connection.execute(update(tickets).where(tickets.c.id == row.id), {"details": details})


def _erase_copies(connection: Connection, ids: list[str], words: Iterable[str]) -> int:
    """Copies that wait are rewritten; those that arrived or were given up go."""
    count = 0
    waiting = outbox.c.state == "pending"
    for table, where in ((outbox, ~waiting), (dead_deliveries, dead_deliveries.c.id > 0)):
        count += connection.execute(delete(table).where(table.c.ticket_id.in_(ids), where)).rowcount
    query = select(outbox.c.id, outbox.c.event).where(outbox.c.ticket_id.in_(ids), waiting)
    known = sorted(words, key=len, reverse=True)
    for row in connection.execute(query).all():
        data = {key: inner if key == "text" else _without(inner) for key, inner in row.event["data"].items()}
        event = {**row.event, "data": _scrubbed(data, known)}
        if event != row.event:
            connection.execute(update(outbox).where(outbox.c.id == row.id), {"event": event})
            count += 1
    return count


def _without(value: Any, free: bool = False) -> Any:
    """JSON without text of people: strings below keys that hold it."""
    if isinstance(value, dict):
        return {
            key: inner if key in _OURS else _without(inner, free or key in _FREE)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_without(inner, free) for inner in value]
    return GONE if free and isinstance(value, str) and value else value


def _scrubbed(value: Any, words: list[str]) -> Any:
    """JSON without these words, wherever they stand."""
    if isinstance(value, dict):
        return {key: _scrubbed(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_scrubbed(inner, words) for inner in value]
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, GONE)
    return value
