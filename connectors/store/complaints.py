"""Complaints in the store: taken once, tied to their tickets in the same transaction.

What a complaint and its ticket become is committed together with the person's row and the outbox:
once ``take_complaint`` has returned, the complaint is durable.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, select

from connectors.store import audit, rows
from connectors.store.book import lock, put, save, take_belongings
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.people import forget_unused, move_person, put_person
from connectors.store.tables import tickets
from connectors.store.tables_trade import aliases, complaints, muted_flags, mutes, points
from streams.trade.book import Book
from streams.trade.complaints import Complainant, Complaint, ComplaintFilter, Outcome, Site
from streams.trade.points import Point, folded
from streams.trade.roles import Actor, Role

T = TypeVar("T")


class Linker(Protocol):
    """What decides about complaints (``streams.trade.linking.Linking``)."""

    @property
    def window_ns(self) -> int:
        """How long before a complaint a ticket may have opened that is closed by now."""

    def take(self, book: Book, complaint: Complaint, site: Site, now_ns: int) -> Complaint:
        """Bring a complaint to its ticket."""

    def assign(self, book: Book, complaint: Complaint, site: Site, actor: str, now_ns: int) -> Complaint:
        """Tell an unlinked complaint's service point."""


class Complaints(Part):
    """The table of complaints. Part of ``Store``."""

    def take_complaint(
        self, complaint: Complaint, person: Complainant, linker: Linker, now_ns: int
    ) -> tuple[Complaint, bool]:
        """Keep a complaint with its ticket; return it as it is kept, and whether it is new.

        One with the same source and reference is returned as it was taken the first time.
        """

        def work(connection: Connection) -> tuple[Complaint, bool]:
            site = locate(connection, complaint.named, person.address)
            _lock(connection, complaint, site)
            known = _complaint(connection, complaint.id)
            if known is not None:
                return known, False
            book = _book(connection, site, complaint.at_ns - linker.window_ns, ended_ns=_then(complaint))
            taken = linker.take(book, complaint, site, now_ns)
            person_id = put_person(connection, self._seal, person, taken.service_point_id, now_ns)
            taken = replace(taken, person_id=person_id)
            book.put_complaint(taken)
            save(connection, book, now_ns, self._wanted_by)
            caller = Actor(taken.source, Role.COMPLAINTS)
            told: dict[str, Any] = {"ticket": taken.ticket_id, "taken_by": taken.taken_by}
            if taken.archive:
                told["archive"] = True
            audit.add(connection, now_ns, caller, "complaint.taken", f"complaint/{taken.id}", details=told)
            _audit_hold(connection, book, caller, taken.id, now_ns)
            return taken, True

        return self._transaction(work)

    def assign_complaint(
        self, complaint_id: str, named: str, actor: Actor, linker: Linker, now_ns: int
    ) -> Complaint:
        """Give an unlinked complaint its service point. Raises KeyError where there is no such complaint."""

        def work(connection: Connection) -> Complaint:
            site = locate(connection, named)
            known = _complaint(connection, complaint_id)
            if known is None:
                raise KeyError(f"expected the id of a complaint, got {complaint_id!r}")
            _lock(connection, known, site)
            known = _complaint(connection, complaint_id) or known
            since_ns, own = known.at_ns - linker.window_ns, known.ticket_id
            book = _book(connection, site, since_ns, own, ended_ns=_then(known))
            take_belongings(connection, book, [own] if own else [])
            book.complaints.pop(known.id, None)  # that one is in our hands
            assigned = linker.assign(book, known, site, actor.name, now_ns)
            person_id = move_person(
                connection, self._seal, known.person_id, assigned.service_point_id, now_ns
            )
            assigned = replace(assigned, person_id=person_id)
            book.put_complaint(assigned)
            save(connection, book, now_ns, self._wanted_by)
            if person_id != known.person_id:
                forget_unused(connection, known.person_id)
            audit.add(connection, now_ns, actor, "complaint.assigned", f"complaint/{complaint_id}")
            _audit_hold(connection, book, actor, complaint_id, now_ns)
            return assigned

        return self._transaction(work)

    def complaint(self, complaint_id: str) -> Complaint | None:
        """One complaint."""
        with reading(self._engine) as connection:
            return _complaint(connection, complaint_id)

    def complaints(
        self, wanted: ComplaintFilter, limit: int, before: tuple[int, str] | None = None
    ) -> list[Complaint]:
        """Complaints by their time, newest first.

        before : (at_ns, id) of the last of the page before
        """
        query = _where(wanted).order_by(complaints.c.at_ns.desc(), complaints.c.id.desc()).limit(limit)
        if before is not None:
            at, last = before
            query = query.where(
                (complaints.c.at_ns < at) | ((complaints.c.at_ns == at) & (complaints.c.id < last))
            )
        with reading(self._engine) as connection:
            return [rows.complaint_of(row._mapping) for row in connection.execute(query)]

    def complaints_between(self, start_ns: int, end_ns: int) -> list[Complaint]:
        """All complaints of a span of time, oldest first, with outcome, lead time, category and area."""
        wanted = ComplaintFilter(start_ns=start_ns, end_ns=end_ns)
        query = _where(wanted).order_by(complaints.c.at_ns, complaints.c.id)
        with reading(self._engine) as connection:
            return [rows.complaint_of(row._mapping) for row in connection.execute(query)]

    def locate(self, named: str) -> Site:
        """What is known of the place that a meter, service point or alias names."""
        with reading(self._engine) as connection:
            return locate(connection, named)

    def at_site(self, site: Site, since_ns: int, now_ns: int, also: str = "") -> Book:
        """What is known of a site, in a book that is not to be saved.

        Tickets of the site and of what holds it, open or opened since, and the ticket ``also``; mutes that hold
        now; flags that wait.
        """
        with reading(self._engine) as connection:
            book = _book(connection, site, since_ns, also)
            held = mutes.c.place.in_(site.places) & (mutes.c.start_ns <= now_ns) & (mutes.c.end_ns > now_ns)
            query = select(mutes).where(held).order_by(mutes.c.end_ns.desc(), mutes.c.id)
            book.mutes = [rows.mute_of(row) for row in connection.execute(query).mappings()]
            waits = muted_flags.c.service_point_id == site.service_point_id
            wanted = select(muted_flags).where(waits, muted_flags.c.outcome == "")
            if site.service_point_id:
                for row in connection.execute(wanted.order_by(muted_flags.c.since_ns)).mappings():
                    book.muted[row["flag_id"]] = rows.muted_of(row)
            return book

    def put_alias(self, alias: str, service_point_id: str, actor: Actor, now_ns: int) -> None:
        """Give a service point another name, or move that name to it."""
        row = {"alias": folded(alias), "service_point_id": service_point_id, "since_ns": now_ns}
        if not row["alias"] or not service_point_id:
            raise ValueError("expected a name and a service point, got an empty one")

        def work(connection: Connection) -> None:
            put(connection, aliases, [row])
            # not which: an old house number is somebody's address
            audit.add(connection, now_ns, actor, "alias.kept", f"service_point/{service_point_id}")

        self._transaction(work)


def locate(connection: Connection, named: str, address: str = "") -> Site:
    """The site of a meter, a service point or an alias; of an address that is an alias where nothing is named.

    Where the registry does not know it, a ticket that was opened for it tells the service point.
    """
    for name in (named, address):
        if not name:
            continue
        found = _points(connection, (points.c.meter_id == name) | (points.c.service_point_id == name))
        if not found:
            alias = connection.execute(
                select(aliases.c.service_point_id).where(aliases.c.alias == folded(name))
            ).scalar()
            if alias is not None:
                found = _points(connection, points.c.service_point_id == alias)
                if not found:
                    return _of_ticket(connection, alias) or Site(service_point_id=alias)
        if found:
            own = next((point for point in found if point.meter_id == name), None)
            return _site(own or found[0], found, alone=own is not None or len(found) == 1)
        site = _of_ticket(connection, name)
        if site is not None:
            return site
    return Site()


def _site(first: Point, all_there: list[Point], alone: bool) -> Site:
    places = dict.fromkeys(place for point in all_there for place in point.places())
    return Site(
        service_point_id=first.service_point_id or first.meter_id,
        meter_id=first.meter_id if alone else "",
        area=first.area,
        commodity=first.commodity if alone or len({p.commodity for p in all_there}) == 1 else "",
        places=tuple(places),
    )


def _of_ticket(connection: Connection, name: str) -> Site | None:
    """The site of the newest ticket at a service point or of a meter, but for those that are no place of use."""
    newest = (
        select(tickets.c.service_point_id, tickets.c.meter_id, tickets.c.area, tickets.c.commodity)
        .where(
            ~tickets.c.service_point_id.like("complaint/%"), ~tickets.c.service_point_id.like("forestall/%")
        )
        .where(~tickets.c.drill)
        .order_by(tickets.c.opened_ns.desc())
        .limit(1)
    )
    # two questions, for each has its index
    for column in (tickets.c.service_point_id, tickets.c.meter_id):
        row = connection.execute(newest.where(column == name)).one_or_none()
        if row is not None:
            break
    else:
        return None
    return Site(
        service_point_id=row.service_point_id,
        meter_id=row.meter_id,
        area=row.area,
        commodity=row.commodity,
        places=(f"area/{row.area}",) if row.area else (),
    )


def _points(connection: Connection, where: ColumnElement[bool]) -> list[Point]:
    query = select(points).where(where).order_by(points.c.meter_id)
    return [rows.struct_of(row, Point) for row in connection.execute(query).mappings()]


def _lock(connection: Connection, complaint: Complaint, site: Site) -> None:
    """Hold all that the complaint may touch, in one step: whoever else wants part of it waits."""
    held = {f"complaint/{complaint.id}", *site.places}
    lock(connection, held | ({site.service_point_id} if site.service_point_id else set()))


def _audit_hold(connection: Connection, book: Book, actor: Actor, complaint_id: str, now_ns: int) -> None:
    """A bill that a complaint holds has its row, as one that staff hold."""
    for ticket_id, line in book.history:
        if line.action == "bill_held":
            audit.add(connection, now_ns, actor, "ticket.hold_bill", f"ticket/{ticket_id}", complaint_id)


def _then(complaint: Complaint) -> int | None:
    """From when on a ticket may have ended that was there: of a complaint of an archive, when it was made."""
    return complaint.at_ns if complaint.archive else None


def _book(
    connection: Connection, site: Site, since_ns: int, own: str = "", ended_ns: int | None = None
) -> Book:
    """Tickets of the site and of what holds it: open, or opened since; and those that they were merged into.

    ended_ns : also those that ended then or later
    """
    book = Book()
    held = [*site.places, *([site.service_point_id] if site.service_point_id else [])]
    when = tickets.c.open | (tickets.c.opened_ns >= since_ns)
    if ended_ns is not None:
        when |= tickets.c.closed_ns >= ended_ns
    where = tickets.c.service_point_id.in_(held) & when
    _take(connection, book, where | (tickets.c.id == own) if own else where)
    while (
        wanted := {ticket.merged_into for ticket in book.tickets.values() if ticket.merged_into}
        - book.tickets.keys()
    ):
        before = len(book.tickets)
        _take(connection, book, tickets.c.id.in_(sorted(wanted)))
        if len(book.tickets) == before:
            break
    return book


def _take(connection: Connection, book: Book, where: ColumnElement[bool]) -> None:
    query: Select[Any] = select(tickets).where(where).order_by(tickets.c.id)
    if connection.get_execution_options().get("write"):
        query = query.with_for_update()
    for row in connection.execute(query).mappings():
        book.tickets[row["id"]] = rows.ticket_of(row)


def _where(wanted: ComplaintFilter) -> Select[Any]:
    query = select(complaints)
    for name in ("channel", "category", "subject", "outcome", "urgency", "service_point_id", "ticket_id"):
        if value := getattr(wanted, name):
            query = query.where(complaints.c[name] == value)
    if wanted.linked is not None:
        empty = complaints.c.service_point_id == ""
        query = query.where(~empty if wanted.linked else empty)
        if not wanted.linked and not wanted.outcome:
            query = query.where(complaints.c.outcome.is_distinct_from(Outcome.KEPT))
    if wanted.miss is not None:
        missed = complaints.c.details["miss"].as_boolean()
        query = query.where(missed if wanted.miss else ~missed)
    if wanted.start_ns is not None:
        query = query.where(complaints.c.at_ns >= wanted.start_ns)
    if wanted.end_ns is not None:
        query = query.where(complaints.c.at_ns < wanted.end_ns)
    return query


def _complaint(connection: Connection, complaint_id: str) -> Complaint | None:
    row = connection.execute(select(complaints).where(complaints.c.id == complaint_id)).one_or_none()
    return None if row is None else rows.complaint_of(row._mapping)
