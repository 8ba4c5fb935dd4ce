"""What the product knows of itself: heartbeats, counts, and what is old enough to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Table, delete, func, select

from connectors.store.book import put
from connectors.store.engine import reading, writing
from connectors.store.part import Part
from connectors.store.rows import struct_of
from connectors.store.tables import dead_deliveries, flags_seen, heartbeats, outbox, tickets
from connectors.store.tables_trade import hook_events
from streams.trade.deliveries import Counts, Heartbeat
from streams.trade.tickets import OPEN

_STEP = 5000  # rows deleted in one transaction: nobody waits long for the database


class Watch(Part):
    """Heartbeats and counts. Part of ``Store``."""

    def heartbeat(self, process: str, figures: Mapping[str, Any], now_ns: int) -> None:
        """A process lives, and these are its figures (see ``selfwatch``)."""
        row = {"process": process, "since_ns": now_ns, "at_ns": now_ns, "figures": dict(figures)}
        with writing(self._engine) as connection:
            put(connection, heartbeats, [row], keep=("since_ns",))

    def heartbeats(self) -> list[Heartbeat]:
        """The last sign of life of every process."""
        with reading(self._engine) as connection:
            found = connection.execute(select(heartbeats).order_by(heartbeats.c.process)).mappings()
            return [struct_of(row, Heartbeat) for row in found]

    def forget(self, process: str) -> None:
        """A process has ended in good order, or is not to come back."""
        with writing(self._engine) as connection:
            connection.execute(delete(heartbeats).where(heartbeats.c.process == process))

    def counts(self) -> Counts:
        """How much there is of everything."""
        with reading(self._engine) as connection:
            by_state = {
                state: int(n)
                for state, n in connection.execute(
                    select(tickets.c.state, func.count()).group_by(tickets.c.state)
                )
            }
            waiting = connection.execute(
                select(func.count(), func.min(outbox.c.created_ns)).where(outbox.c.state == "pending")
            ).one()
            dead = connection.execute(select(func.count()).select_from(dead_deliveries)).scalar_one()
        return Counts(
            tickets=by_state,
            open=sum(n for state, n in by_state.items() if state in OPEN),
            outbox_pending=int(waiting[0]),
            outbox_oldest_ns=waiting[1],
            dead=int(dead),
        )

    def prune(self, before_ns: int) -> int:
        """Delete what only guards against repetition and is older: seen events, delivered and dead letters.

        A flag that comes again after that still finds its episode and opens no second ticket.
        Returns how many rows went. In small transactions.
        """
        return (
            self._prune(flags_seen, flags_seen.c.event_key, flags_seen.c.seen_ns, before_ns)
            + self._prune(hook_events, hook_events.c.event_id, hook_events.c.seen_ns, before_ns)
            + self._prune(outbox, outbox.c.id, outbox.c.done_ns, before_ns)
            + self._prune(dead_deliveries, dead_deliveries.c.id, dead_deliveries.c.dead_ns, before_ns)
        )

    def _prune(self, table: Table, key: Column[Any], age: Column[Any], before_ns: int) -> int:
        gone = 0
        while True:
            old = select(key).where(age < before_ns).limit(_STEP)
            with writing(self._engine) as connection:
                step = connection.execute(delete(table).where(key.in_(old))).rowcount
            gone += step
            if step < _STEP:
                return gone
