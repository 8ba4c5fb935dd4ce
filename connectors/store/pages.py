"""Pages of tickets by number, for interfaces that count from an offset."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy import ColumnElement, func, select

from connectors.store import rows
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import remote_refs, tickets
from streams.trade.tickets import Ticket


class Pages(Part):
    """Tickets from an offset on, and how many there are. Part of ``Store``."""

    def page(
        self, offset: int, limit: int, *, states: Sequence[str] = (), ticket_id: str = "", number: str = ""
    ) -> tuple[list[Ticket], int]:
        """Tickets, newest first, with the numbers that others gave them, and the count of all that fit.

        states    : these alone; empty: all
        ticket_id : this one alone
        number    : those that some desk knows under this number
        """
        where: list[ColumnElement[bool]] = []
        if states:
            where.append(tickets.c.state.in_([str(state) for state in states]))
        if ticket_id:
            where.append(tickets.c.id == ticket_id)
        if number:
            known = select(remote_refs.c.ticket_id).where(remote_refs.c.remote_id == number)
            where.append(tickets.c.id.in_(known))
        order = (tickets.c.opened_ns.desc(), tickets.c.id.desc())
        with reading(self._engine) as connection:
            count = int(
                connection.execute(select(func.count()).select_from(tickets).where(*where)).scalar_one()
            )
            query = select(tickets).where(*where).order_by(*order).offset(offset).limit(limit)
            found = [rows.ticket_of(row) for row in connection.execute(query).mappings()]
            refs: dict[str, dict[str, str]] = {ticket.id: {} for ticket in found}
            told = select(remote_refs).where(remote_refs.c.ticket_id.in_(list(refs)))
            for row in connection.execute(told).mappings():
                refs[row["ticket_id"]][row["desk"]] = row["remote_id"]
        return [replace(ticket, external_refs=refs[ticket.id]) for ticket in found], count
