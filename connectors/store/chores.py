"""Which tickets the clock concerns: overdue, to be archived, near their bill run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import tickets
from streams.trade.tickets import Category, State

_MOST = 200


class Chores(Part):
    """Questions of ``streams.trade.tend``. Part of ``Store``."""

    def overdue(self, now_ns: int, priorities: Sequence[str]) -> list[str]:
        """Open tickets of which something is due and was not done, the longest first; those not escalated yet.

        priorities : of these alone: what is never escalated would stand before all others for good
        """
        asked = tickets.c.priority.in_(list(priorities)) & ~tickets.c.escalated
        return self._ids((tickets.c.due_ns < now_ns) & tickets.c.open & asked, tickets.c.due_ns)

    def to_archive(self, closed_before_ns: int) -> list[str]:
        """Tickets that ended so long ago that nobody will reopen them, the oldest first."""
        ended = tickets.c.state.in_([str(State.CLOSED), str(State.FALSE_ALARM)])
        return self._ids(ended & (tickets.c.closed_ns < closed_before_ns), tickets.c.closed_ns)

    def billed_on(self, days: Sequence[int]) -> list[str]:
        """Open tickets about metering below P2 whose meter is billed on one of these days of the month."""
        low = tickets.c.priority.in_(["P3", "P4"])
        metering = tickets.c.category == str(Category.METERING_BILLING)
        return self._ids(
            tickets.c.open & low & metering & tickets.c.bill_day.in_(list(days)), tickets.c.opened_ns
        )

    def _ids(self, where: ColumnElement[bool], order: ColumnElement[int]) -> list[str]:
        with reading(self._engine) as connection:
            query = select(tickets.c.id).where(where).order_by(order, tickets.c.id).limit(_MOST)
            return list(connection.execute(query).scalars())
