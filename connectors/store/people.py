"""People: the one place of names, telephone numbers and addresses, under pseudonyms.

A pseudonym is made by chance and says nothing. Everything here that shows somebody writes a line
of the audit log in the same transaction: nobody is shown whose showing is not on record.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from connectors.sealing import Seal
from connectors.store import audit as log
from connectors.store.book import add, lock
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables_trade import complaints, people
from streams.trade.masks import mask_address, mask_email, mask_name, mask_phone, normal_email, normal_phone
from streams.trade.roles import Actor

T = TypeVar("T")

FIELDS = ("name", "phone", "email", "address")
SHOWN = "person.shown"
SOUGHT = "person.sought"
UNMASKED = "person.unmasked"


class Contact(Protocol):
    """Who somebody is and how to reach them (``streams.trade.complaints.Complainant``)."""

    @property
    def name(self) -> str: ...
    @property
    def phone(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def language(self) -> str: ...


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at a service point, in the clear or masked.

    erased_ns : when the personal fields were erased; they are empty then
    """

    person_id: str
    service_point_id: str
    name: str = ""
    phone: str = ""
    email: str = ""
    address: str = ""
    language: str = "zh"
    created_ns: int
    updated_ns: int
    erased_ns: int | None = None
    masked: bool = False

    def mask(self) -> Person:
        """So that staff recognise whom they speak with, and nobody else learns who it is."""
        return msgspec.structs.replace(
            self,
            name=mask_name(self.name),
            phone=mask_phone(self.phone),
            email=mask_email(self.email),
            address=mask_address(self.address),
            masked=True,
        )


def put_person(
    connection: Connection, seal: Seal, contact: Contact, service_point_id: str, now_ns: int
) -> str:
    """Keep somebody; return the pseudonym.

    Whoever comes to the same service point with a number or an e-mail address that is known there
    is the same person: what is given anew takes the place of what was. Without either, the same
    name and address make the same person. Where the service point is not known, a number is not enough, for neighbours
    and a whole office may share one: the name must be the same as well, and no other address given.
    """
    lock(connection, [f"people/{service_point_id}"])
    phone, email = normal_phone(contact.phone), normal_email(contact.email)
    query = select(people).where(people.c.service_point_id == service_point_id, people.c.erased_ns.is_(None))
    given = (people.c.phone_key, phone), (people.c.email_key, email)
    known: Mapping[Any, Any] | None = None
    for column, text in given:
        if text and known is None:
            found = connection.execute(
                query.where(column.in_(seal.search_keys(text))).order_by(people.c.person_id)
            )
            same = (
                row for row in found.mappings() if service_point_id or _alike(_person(row, seal), contact)
            )
            known = next(same, None)
    if not (phone or email):
        unreachable = query.where(people.c.phone_key == "", people.c.email_key == "")
        for row in connection.execute(unreachable.order_by(people.c.person_id)).mappings():
            one = _person(row, seal)
            if (one.name, one.address) == (contact.name, contact.address):
                known = row
    person_id = f"PN-{secrets.token_hex(8)}" if known is None else str(known["person_id"])
    fields = {name: str(getattr(contact, name)) for name in FIELDS}
    if known is not None:
        before = _person(known, seal)
        fields = {name: value or getattr(before, name) for name, value in fields.items()}
    new: dict[str, Any] = {
        "service_point_id": service_point_id,
        **_sealed(person_id, fields, seal),
        "language": contact.language,
        "updated_ns": now_ns,
    }
    if known is None:
        add(connection, people, [{"person_id": person_id, **new, "created_ns": now_ns, "erased_ns": None}])
    else:
        connection.execute(update(people).where(people.c.person_id == person_id), new)
    return person_id


def move_person(
    connection: Connection, seal: Seal, person_id: str, service_point_id: str, now_ns: int
) -> str:
    """Somebody's pseudonym at the service point that has been found out for a complaint.

    What was kept without a service point goes once no complaint needs it: call this before the
    complaint is written anew, and ``forget_unused`` after.
    """
    row = connection.execute(select(people).where(people.c.person_id == person_id)).mappings().one_or_none()
    if row is None or row["erased_ns"] is not None or row["service_point_id"] == service_point_id:
        return person_id
    return put_person(connection, seal, _person(row, seal), service_point_id, now_ns)


def forget_unused(connection: Connection, person_id: str) -> None:
    """Take out somebody whom no complaint names any more."""
    named = select(complaints.c.id).where(complaints.c.person_id == person_id).limit(1)
    if person_id and connection.execute(named).scalar() is None:
        connection.execute(delete(people).where(people.c.person_id == person_id))


def people_at(
    connection: Connection, seal: Seal, service_point_id: str, person_id: str | None = None
) -> list[Person]:
    """Everybody at a service point, or one of them, in the clear."""
    query = select(people).where(people.c.service_point_id == service_point_id).order_by(people.c.person_id)
    if person_id is not None:
        query = query.where(people.c.person_id == person_id)
    return [_person(row, seal) for row in connection.execute(query).mappings()]


class People(Part):
    """The table of people. Part of ``Store``. Raises SealError where a key is missing."""

    def person(self, person_id: str, actor: Actor, now_ns: int) -> Person | None:
        """Somebody, masked; the look is logged."""

        def work(connection: Connection) -> Person | None:
            found = _one(connection, person_id, self._seal)
            if found is None:
                return None
            log.add(connection, now_ns, actor, SHOWN, f"person/{person_id}")
            return found.mask()

        return self._transaction(work)

    def unmask(self, person_id: str, actor: Actor, reason: str, now_ns: int) -> Person | None:
        """Somebody in the clear, once, with the reason on record."""

        def work(connection: Connection) -> Person | None:
            found = _one(connection, person_id, self._seal)
            if found is not None:
                log.add(connection, now_ns, actor, UNMASKED, f"person/{person_id}", reason)
            return found

        return self._transaction(work)

    def find_people(self, phone: str, actor: Actor, now_ns: int, limit: int = 20) -> list[Person]:
        """Those who have this telephone number, masked, newest first; that somebody looked is logged.

        The log holds whom was found, not the number.
        """

        def work(connection: Connection) -> list[Person]:
            number = normal_phone(phone)
            query = select(people).where(people.c.phone_key.in_(self._seal.search_keys(number)))
            query = query.order_by(people.c.updated_ns.desc(), people.c.person_id).limit(limit)
            rows = connection.execute(query).mappings().all() if number else []
            found = [_person(row, self._seal).mask() for row in rows]
            details = {"found": [one.person_id for one in found]}
            log.add(connection, now_ns, actor, SOUGHT, "people/phone", details=details)
            return found

        return self._transaction(work)

    def reseal_people(self, actor: Actor, now_ns: int, at_a_time: int = 500) -> int:
        """Seal everybody with the first key, in small transactions; return how many were changed."""
        done, last, more = 0, "", True
        while more:

            def work(connection: Connection, after: str = last) -> tuple[int, str, bool]:
                return _reseal(connection, self._seal, after, at_a_time)

            changed, last, more = self._transaction(work)
            done += changed
        if done:
            self._transaction(
                lambda connection: log.add(
                    connection, now_ns, actor, "people.resealed", "people/all", details={"people": done}
                )
            )
        return done

    def count_people(self) -> dict[str, int]:
        """How many are kept, and how many were erased."""
        query = select(func.count(people.c.person_id), func.count(people.c.erased_ns))
        with reading(self._engine) as connection:
            everybody, erased = connection.execute(query).one()
        return {"kept": everybody - erased, "erased": erased}


def _reseal(connection: Connection, seal: Seal, after: str, limit: int) -> tuple[int, str, bool]:
    query = select(people).where(people.c.person_id > after).order_by(people.c.person_id).limit(limit)
    rows = connection.execute(query.with_for_update()).mappings().all()
    changed = 0
    for row in rows:
        if all(seal.current(row[name]) for name in FIELDS):
            continue
        one = _person(row, seal)
        fields = {name: str(getattr(one, name)) for name in FIELDS}
        connection.execute(
            update(people).where(people.c.person_id == one.person_id), _sealed(one.person_id, fields, seal)
        )
        changed += 1
    return changed, (rows[-1]["person_id"] if rows else after), len(rows) == limit


def _one(connection: Connection, person_id: str, seal: Seal) -> Person | None:
    row = connection.execute(select(people).where(people.c.person_id == person_id)).mappings().one_or_none()
    return None if row is None else _person(row, seal)


def _alike(one: Person, contact: Contact) -> bool:
    """Whether two who are reached by one number or address are taken for one where no place tells them apart."""

    def folded(text: str) -> str:
        return "".join(text.split()).casefold()

    elsewhere = one.address and contact.address and folded(one.address) != folded(contact.address)
    return folded(one.name) == folded(contact.name) and not elsewhere


def _sealed(person_id: str, fields: Mapping[str, str], seal: Seal) -> dict[str, Any]:
    out: dict[str, Any] = {name: seal.seal(value, f"{person_id}/{name}") for name, value in fields.items()}
    out["phone_key"] = seal.search_key(normal_phone(fields["phone"]))
    out["email_key"] = seal.search_key(normal_email(fields["email"]))
    return out


def _person(row: Mapping[Any, Any], seal: Seal) -> Person:
    clear: dict[str, Any] = {name: seal.open(row[name], f"{row['person_id']}/{name}") for name in FIELDS}
    rest = ("person_id", "service_point_id", "language", "created_ns", "updated_ns", "erased_ns")
    return Person(**clear, **{name: row[name] for name in rest})
