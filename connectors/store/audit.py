"""The audit log: who did what and who looked at whom, one chain of digests (``streams.trade.chain``).

Rows are added only. Triggers of the database refuse to change them, and to delete them unless a
row of the chain itself says that the time to keep them is over (``prune``): it holds the digest
that the first remaining row follows, so that the chain can still be checked from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, select, text

from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.rows import entry_of, struct_of
from connectors.store.tables import ticket_history, tickets
from connectors.store.tables_trade import audit
from streams.trade.chain import BEGINNING, digest, history_digest
from streams.trade.masks import redact
from streams.trade.roles import Actor, Role

T = TypeVar("T")

PRUNED = "audit.pruned"
ERASED = "people.erased"
#: what we do by ourselves, by the clock
SYSTEM = Actor("forestall", Role.ADMIN)

_LOCK = 0x666F726573746175  # "forestau" in ASCII: the advisory lock of the chain
_CHUNK = 5000
_MOST_FAULTS = 100


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log. ``object`` is ``kind/id``: ``ticket/FS-…``, ``person/p-…``."""

    seq: int
    at_ns: int
    actor: str
    role: str
    action: str
    object: str
    reason: str
    details: dict[str, Any]
    digest: str


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of the audit log are asked for; empty and None mean *any*.

    action           : an action, or with a full stop at its end all that begin so: ``person.``
    object           : ``kind/id``, or with a slash at its end all of that kind: ``service_point/``
    start_ns, end_ns : of ``at_ns``, the end excluded
    """

    actor: str = ""
    action: str = ""
    object: str = ""
    start_ns: int | None = None
    end_ns: int | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a chain does not hold."""

    chain: str  # "audit", or "ticket/FS-…" for its history
    seq: int
    what: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of all chains has found.

    head : digest of the newest row; whoever notes it down can tell later whether rows are missing at the end
    """

    rows: int
    seq: int  # of the newest row, 0: there is none
    head: str
    lines: int  # of histories
    unchained: int  # lines of history that were written before there were digests
    faults: tuple[Fault, ...]


def add(
    connection: Connection,
    now_ns: int,
    actor: Actor,
    action: str,
    concerning: str,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> int:
    """Write one line in the caller's transaction; return its number.

    The chain has one writer at a time until that transaction ends: call it after everything else
    that may have to wait (locks of service points above all).

    concerning : ``kind/id``
    reason     : of people; numbers and addresses that they have put in are left out, for a line
                 can never be taken back
    details    : JSON types, without personal data
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    query = select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1)
    last = connection.execute(query).one_or_none()
    line = {
        "seq": 1 if last is None else last.seq + 1,
        "at_ns": now_ns,
        "actor": actor.name,
        "role": str(actor.role),
        "action": action,
        "object": concerning,
        "reason": redact(reason),
        # as the database will give it back: no tuples, no instants, keys that are strings
        "details": msgspec.json.decode(msgspec.json.encode(details or {})),
    }
    before = BEGINNING if last is None else last.digest
    connection.execute(audit.insert(), {**line, "digest": digest(before, line)})
    return int(line["seq"])


def over(before_ns: int) -> ColumnElement[bool]:
    """The rows up to the first that is not older."""
    young = select(func.min(audit.c.seq)).where(audit.c.at_ns >= before_ns).scalar_subquery()
    return audit.c.seq < func.coalesce(young, 1 << 62)


def prune(connection: Connection, now_ns: int, before_ns: int) -> int:
    """Delete the oldest rows, up to the first that is not older than ``before_ns``; return how many.

    What stays still tells what it follows.
    """
    query = select(audit.c.seq, audit.c.digest).where(over(before_ns))
    last = connection.execute(query.order_by(audit.c.seq.desc()).limit(1)).one_or_none()
    if last is None:
        return 0
    count = connection.execute(
        select(func.count()).select_from(audit).where(audit.c.seq <= last.seq)
    ).scalar_one()
    add(
        connection,
        now_ns,
        SYSTEM,
        PRUNED,
        f"audit/{last.seq}",
        "retention",
        {"rows": count, "digest": last.digest},
    )
    connection.execute(delete(audit).where(audit.c.seq <= last.seq))
    return int(count)


class Audit(Part):
    """The audit log. Part of ``Store``."""

    def audit(
        self,
        now_ns: int,
        actor: Actor,
        action: str,
        concerning: str,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> int:
        """Write one line in a transaction of its own."""
        return self._transaction(
            lambda connection: add(connection, now_ns, actor, action, concerning, reason, details)
        )

    def audit_log(
        self, limit: int = 100, wanted: LogFilter | None = None, *, before: int | None = None
    ) -> list[AuditRow]:
        """Lines, newest first.

        before : number of the last line of the page before
        """
        query = select(audit).where(*_wanted(wanted or LogFilter())).order_by(audit.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.seq < before)
        with reading(self._engine) as connection:
            return [struct_of(row, AuditRow) for row in connection.execute(query).mappings()]

    def verify_audit(self, seq: int = 0, head: str = "") -> Verified:
        """Check the chain of the audit log and those of all tickets' histories.

        seq, head : number and digest of a row that were noted down earlier; it must be there still
        """
        with reading(self._engine) as connection:
            return verify(connection, seq, head)


def _wanted(given: LogFilter) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = []
    for column, text_, stop in (
        (audit.c.actor, given.actor, ""),
        (audit.c.action, given.action, "."),
        (audit.c.object, given.object, "/"),
    ):
        if stop and text_.endswith(stop):
            made.append(column.startswith(text_, autoescape=True))
        elif text_:
            made.append(column == text_)
    if given.start_ns is not None:
        made.append(audit.c.at_ns >= given.start_ns)
    if given.end_ns is not None:
        made.append(audit.c.at_ns < given.end_ns)
    return made


def verify(connection: Connection, noted_seq: int = 0, noted_head: str = "") -> Verified:
    """Check all chains, of one state of the database; at most 100 faults are told."""
    faults: list[Fault] = []
    erased: dict[tuple[str, int], str] = {}
    rows, before, last = 0, BEGINNING, 0
    noted = noted_seq <= 0
    for row in _rows(connection):
        seq = int(row["seq"])
        line = {name: value for name, value in row.items() if name != "digest"}
        if seq != last + 1:
            before = "" if rows else _pruned(connection, seq - 1)
            if rows or not before:
                faults.append(
                    Fault(chain="audit", seq=last + 1, what=f"rows {last + 1} to {seq - 1} are missing")
                )
                before = ""
        if (before or seq == 1) and digest(before, line) != row["digest"]:
            what = "it was changed, or the digest of the row before was, or it stood elsewhere"
            faults.append(Fault(chain="audit", seq=seq, what=what))
        if row["action"] == ERASED:
            for ticket_id, lines in row["details"].get("lines", {}).items():
                erased |= {(ticket_id, int(number)): value for number, value in lines.items()}
        if seq == noted_seq:
            noted = True
            if row["digest"] != noted_head:
                what = "its digest is not the one that was noted down"
                faults.append(Fault(chain="audit", seq=seq, what=what))
        rows, before, last = rows + 1, row["digest"], seq
    if not noted and noted_seq > last:
        what = f"rows {last + 1} to {noted_seq} are missing at the end"
        faults.append(Fault(chain="audit", seq=last + 1, what=what))
    lines_seen, unchained = _histories(connection, erased, faults)
    return Verified(
        rows=rows,
        seq=last,
        head=before,
        lines=lines_seen,
        unchained=unchained,
        faults=tuple(faults[:_MOST_FAULTS]),
    )


def _rows(connection: Connection) -> Iterator[dict[str, Any]]:
    last = 0
    while True:
        query = select(audit).where(audit.c.seq > last).order_by(audit.c.seq).limit(_CHUNK)
        found = connection.execute(query).mappings().all()
        for row in found:
            yield {name: row[name] for name in AuditRow.__struct_fields__}
        if len(found) < _CHUNK:
            return
        last = found[-1]["seq"]


def _pruned(connection: Connection, upto: int) -> str:
    """The digest of the last row that was deleted because its time was over; empty: none was."""
    query = select(audit.c.details).where(audit.c.action == PRUNED, audit.c.object == f"audit/{upto}")
    details = connection.execute(query).scalars().first()
    return str(details["digest"]) if details else ""


def _histories(
    connection: Connection, erased: Mapping[tuple[str, int], str], faults: list[Fault]
) -> tuple[int, int]:
    """Check the histories of all tickets: how many lines there are, and how many have no digest."""
    count = unchained = 0
    ticket, before, last = "", BEGINNING, 0
    versions = _versions(connection)
    for row in _lines(connection):
        entry, ticket_id = entry_of(row), row["ticket_id"]
        if ticket_id != ticket:
            _ended(ticket, last, versions, faults)
            ticket, before, last = ticket_id, BEGINNING, 0
        count += 1
        if entry.seq != last + 1:
            what = f"lines {last + 1} to {entry.seq - 1} are missing"
            faults.append(Fault(chain=f"ticket/{ticket}", seq=last + 1, what=what))
        elif not entry.digest and not before:
            unchained += 1
        else:
            own = history_digest(before, ticket, entry)
            if own not in (entry.digest, erased.get((ticket, entry.seq))):
                what = "it was changed, or the digest of the line before was, or it stood elsewhere"
                faults.append(Fault(chain=f"ticket/{ticket}", seq=entry.seq, what=what))
        before, last = entry.digest, entry.seq
    _ended(ticket, last, versions, faults)
    return count, unchained


def _ended(ticket: str, last: int, versions: Mapping[str, int], faults: list[Fault]) -> None:
    written = versions.get(ticket, last)
    if written > last:
        what = f"lines {last + 1} to {written} are missing at the end"
        faults.append(Fault(chain=f"ticket/{ticket}", seq=last + 1, what=what))


def _lines(connection: Connection) -> Iterator[Mapping[str, Any]]:
    ticket, seq = "", 0
    own = ticket_history.c
    while True:
        after = (own.ticket_id > ticket) | ((own.ticket_id == ticket) & (own.seq > seq))
        query = select(ticket_history).where(after).order_by(own.ticket_id, own.seq).limit(_CHUNK)
        found = connection.execute(query).mappings().all()
        yield from (dict(row) for row in found)
        if len(found) < _CHUNK:
            return
        ticket, seq = found[-1]["ticket_id"], found[-1]["seq"]


def _versions(connection: Connection) -> dict[str, int]:
    return {row.id: row.version for row in connection.execute(select(tickets.c.id, tickets.c.version))}
