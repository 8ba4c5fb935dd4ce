"""Which tickets the clock concerns: overdue, to be archived, near their bill run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables import tickets
from streams.trade.tickets import Category, State

#: what a page is ordered by [ns], and the ticket's id
Mark = tuple[int, str]


class Chores(Part):
    """Questions of ``streams.trade.tend``, a page each. Part of ``Store``.

    ``after`` and the first of each line are the mark of a line: when it falls due (or ended, or opened), and
    its ticket. What nothing can be done about stays in the list, and must not stand before the rest for good.
    """

    def overdue(self, now_ns: int, priorities: Sequence[str], after: Mark, limit: int) -> list[Mark]:
        """Open tickets of these priorities of which something is due, was not done, and is not escalated."""
        asked = tickets.c.priority.in_(list(priorities)) & ~tickets.c.escalated
        return self._page(
            (tickets.c.due_ns < now_ns) & tickets.c.open & asked, tickets.c.due_ns, after, limit
        )

    def to_archive(self, closed_before_ns: int, after: Mark, limit: int) -> list[Mark]:
        """Tickets that ended so long ago that nobody will reopen them."""
        ended = tickets.c.state.in_([str(State.CLOSED), str(State.FALSE_ALARM)])
        return self._page(ended & (tickets.c.closed_ns < closed_before_ns), tickets.c.closed_ns, after, limit)

    def billed_on(self, days: Sequence[int], after: Mark, limit: int) -> list[Mark]:
        """Open tickets about metering below P2 whose meter is billed on one of these days of the month."""
        low = tickets.c.priority.in_(["P3", "P4"])
        metering = tickets.c.category == str(Category.METERING_BILLING)
        billed = tickets.c.open & low & metering & tickets.c.bill_day.in_(list(days))
        return self._page(billed, tickets.c.opened_ns, after, limit)

    def _page(
        self, where: ColumnElement[bool], order: ColumnElement[int], after: Mark, limit: int
    ) -> list[Mark]:
        at, last = after
        later = (order > at) | ((order == at) & (tickets.c.id > last))
        query = select(order, tickets.c.id).where(where, later).order_by(order, tickets.c.id).limit(limit)
        with reading(self._engine) as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]
