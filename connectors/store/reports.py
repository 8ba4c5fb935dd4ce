"""What a report is counted from, read in chunks: nobody waits for the database because of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, String, and_, cast, func, literal, or_, select

from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import read_days, steps, ticket_flags, ticket_history, tickets
from connectors.store.tables_trade import complaints, points, verdicts
from streams.papers.report_facts import ComplaintFacts, OutageFacts, ReadFacts, TicketDetails, TicketFacts
from streams.trade.tickets import State, Verdict

CHUNK = 2000  # tickets or complaints in one transaction
_DONE = (State.IMPLEMENTED, State.CLOSED, State.FALSE_ALARM)
_details = msgspec.json.Decoder(TicketDetails)


class _Complaint(msgspec.Struct):
    """Of what travels with a complaint: the fields that are counted."""

    stage: str = ""
    area: str = ""
    miss: bool = False


_complaint = msgspec.json.Decoder(_Complaint)


class Reports(Part):
    """Facts for reports. Part of ``Store``."""

    def ticket_facts(self, start_ns: int, end_ns: int) -> Iterator[TicketFacts]:
        """Tickets that opened in [start, end), oldest first; a transaction a chunk."""
        t = tickets.c
        last = (start_ns, "")
        while True:
            query = (
                select(
                    t.id, t.drill, t.family, t.kind, t.category, t.priority, t.state, t.area,
                    t.owner_department, t.opened_ns, t.closed_ns, cast(t.details, String),
                )
                .where(or_(t.opened_ns > last[0], and_(t.opened_ns == last[0], t.id > last[1])))
                .where(t.opened_ns < end_ns)
                .order_by(t.opened_ns, t.id)
                .limit(CHUNK)
            )  # fmt: skip
            with reading(self._engine) as connection:
                rows = connection.execute(query).all()
                ids = [row[0] for row in rows]
                found = _found(connection, ids)
                done, again = _moves(connection, ids)
            for row in rows:
                details = _details.decode(row[11])
                yield TicketFacts(
                    id=row[0],
                    drill=bool(row[1]),
                    family=row[2],
                    kind=row[3],
                    category=row[4],
                    priority=row[5],
                    state=row[6],
                    area=row[7],
                    department=row[8],
                    opened_ns=row[9],
                    details=details,
                    found=found.get(row[0], ""),
                    resolved_ns=done.get(row[0], row[10]),
                    reopened=again.get((row[0], "moved"), 0),
                    doubted=again.get((row[0], "complained"), 0),
                    relapsed=again.get((row[0], "relapsed"), 0),
                )
            if len(rows) < CHUNK:
                return
            last = (rows[-1][9], rows[-1][0])

    def complaint_facts(self, start_ns: int, end_ns: int) -> Iterator[ComplaintFacts]:
        """Complaints made in [start, end), with what their tickets say; a transaction a chunk."""
        c, t = complaints.c, tickets.c
        last = (start_ns, "")
        while True:
            query = (
                select(
                    c.id, c.category, c.subject, c.channel, c.outcome, c.lead_time_s, c.ticket_id, c.at_ns,
                    cast(c.details, String), t.drill, t.area, cast(t.details, String),
                )
                .select_from(complaints.outerjoin(tickets, t.id == c.ticket_id))
                .where(or_(c.at_ns > last[0], and_(c.at_ns == last[0], c.id > last[1])))
                .where(c.at_ns < end_ns)
                .order_by(c.at_ns, c.id)
                .limit(CHUNK)
            )  # fmt: skip
            with reading(self._engine) as connection:
                rows = connection.execute(query).all()
                found = _found(connection, [row[6] for row in rows if row[6]])
            for row in rows:
                own = _complaint.decode(row[8])
                details = _details.decode(row[11]) if row[11] else TicketDetails()
                yield ComplaintFacts(
                    id=row[0],
                    category=row[1],
                    subject=row[2],
                    area=own.area or row[10] or "",
                    channel=row[3],
                    stage=own.stage,
                    outcome=row[4] or "",
                    lead_time_s=row[5],
                    miss=own.miss,
                    ticket_id=row[6],
                    responsibility=details.responsibility,
                    found=found.get(row[6], ""),
                    resolution=details.resolution,
                    drill=bool(row[9]),
                )
            if len(rows) < CHUNK:
                return
            last = (rows[-1][7], rows[-1][0])

    def read_facts(self, first: int, last: int, start: str, end: str) -> list[ReadFacts]:
        """Reads of the days first … last, since 1970, by area, route and concentrator.

        start, end : the same span as instants, ISO 8601 UTC, for confirmed misreads
        """
        d, p, f = read_days.c, points.c, ticket_flags.c
        names = ("readings", "missing", "late", "corrections", "bad")
        out = []
        with reading(self._engine) as connection:
            for scope in ("area", "route", "concentrator"):
                sums = [cast(func.sum(d[name]), BigInteger) for name in names]
                counted = (
                    select(d[scope], *sums)
                    .where(d.day.between(first, last), d[scope] != "")
                    .group_by(d[scope])
                )
                # a flag stands here once, however often people change their word
                wrong = (
                    select(p[scope], func.count())
                    .select_from(verdicts.join(ticket_flags, f.flag_id == verdicts.c.flag_id))
                    .join(points, p.meter_id == f.meter_id)
                    .where(
                        verdicts.c.kind == "misread", verdicts.c.verdict == Verdict.CONFIRMED, p[scope] != ""
                    )
                    .where(f.start >= start, f.start < end)
                    .group_by(p[scope])
                )
                known = select(p[scope], func.count()).where(p[scope] != "").group_by(p[scope])
                misreads = {str(name): int(n) for name, n in connection.execute(wrong)}
                meters = {str(name): int(n) for name, n in connection.execute(known)}
                found = {str(name): cells for name, *cells in connection.execute(counted)}
                out += [
                    ReadFacts(
                        scope=scope,
                        name=name,
                        meters=meters.get(name, 0),
                        misreads=misreads.get(name, 0),
                        **dict(zip(names, found.get(name, [0] * len(names)), strict=True)),
                    )
                    for name in sorted(found.keys() | misreads.keys())
                ]
        return out

    def outage_facts(self, start: str, end: str) -> Iterator[OutageFacts]:
        """Flags of outages that began in [start, end), ISO 8601 UTC, whose line is known."""
        f = ticket_flags.c
        query = (
            select(points.c.line, f.start, f.end, cast(f.evidence, String))
            .select_from(ticket_flags.join(points, points.c.meter_id == f.meter_id))
            .join(tickets, tickets.c.id == f.ticket_id)
            .where(f.family == "supply", f.kind.in_(("outage", "repeated_outage")), points.c.line != "")
            .where(f.start >= start, f.start < end, tickets.c.drill == literal(False))
        )
        with reading(self._engine) as connection:
            for line, begun, ended, evidence in connection.execute(query):
                told = msgspec.json.decode(evidence)
                counted = told.get("outages_of_line")
                yield OutageFacts(
                    line=line,
                    start=begun,
                    end=ended,
                    counted=int(counted) if isinstance(counted, int | float) else 0,
                )


def _found(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Ticket → the cause that its last positive check has found."""
    query = (
        select(steps.c.ticket_id, steps.c.cause)
        .where(steps.c.ticket_id.in_(ids), steps.c.finding == "positive")
        .order_by(steps.c.ticket_id, steps.c.seq)
    )
    return {str(ticket): str(cause) for ticket, cause in connection.execute(query)} if ids else {}


def _moves(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Ticket → when its work was done last; (ticket, how it was reopened) → how often.

    Work from before a reopening is not done: it begins anew, and so does its time.
    """
    h = ticket_history.c
    query = (
        select(h.ticket_id, h.action, h.after, h.at_ns)
        .where(h.ticket_id.in_(ids), h.after.in_((*_DONE, State.REOPENED)), h.before != h.after)
        .order_by(h.ticket_id, h.seq)
    )
    again: dict[tuple[str, str], int] = {}
    rows: Any = connection.execute(query) if ids else ()
    ended: dict[str, int] = {}
    implemented: dict[str, int] = {}
    for ticket, action, after, at_ns in rows:
        if after == State.REOPENED:
            again[ticket, action] = again.get((ticket, action), 0) + 1
            ended.pop(ticket, None)
            implemented.pop(ticket, None)
        else:
            (implemented if after == State.IMPLEMENTED else ended)[ticket] = at_ns
    # the work is done before the callback and the closing; a ticket may also end without either
    return {**ended, **implemented}, again
