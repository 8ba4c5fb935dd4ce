"""What flags turned out to be, and the bars that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, func, insert, select

from connectors.store.bars import bars_in
from connectors.store.book import add, load_ticket, lock, save
from connectors.store.cases import filled, first_told
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.rows import struct_of
from connectors.store.tables import flags_seen, ticket_flags
from connectors.store.tables_trade import bars as bars_table
from connectors.store.tables_trade import muted_flags, verdicts
from streams.trade.book import Book
from streams.trade.judged import BarMove
from streams.trade.tickets import Ticket, Verdict

T = TypeVar("T")


class Crossed(Exception):
    """The bar is not what the move goes from: somebody else was quicker."""


class Verdicts(Part):
    """The tables ``verdicts`` and ``bars``. Part of ``Store``."""

    def bars(self) -> dict[str, float]:
        """Kind of flag → score below which it opens no ticket; a kind that is not here: 1."""
        with reading(self._engine) as connection:
            return bars_in(connection)

    def bar_moves(self, kind: str = "", limit: int = 100) -> list[BarMove]:
        """Moves of bars, the newest first; of one kind, where it is named."""
        query = select(bars_table).order_by(bars_table.c.seq.desc()).limit(limit)
        if kind:
            query = query.where(bars_table.c.kind == kind)
        with reading(self._engine) as connection:
            return [struct_of(row, BarMove) for row in connection.execute(query).mappings()]

    def move_bar(
        self, move: BarMove, audit: Callable[[Connection], None], not_since_ns: int | None = None
    ) -> None:
        """Move a bar, and write down who did it, in one transaction.

        not_since_ns : refused where the bar has moved at or after this instant: one step a run, however
            many run. Raises Crossed where the bar is not at ``move.before`` any more, or has just moved.
        """

        def work(connection: Connection) -> None:
            lock(connection, {f"bar/{move.kind}"})
            newest = connection.execute(
                select(bars_table.c.bar, bars_table.c.at_ns)
                .where(bars_table.c.kind == move.kind)
                .order_by(bars_table.c.seq.desc())
                .limit(1)
            ).one_or_none()
            bar = 1.0 if newest is None else float(newest[0])
            if bar != move.before:
                raise Crossed(f"expected the bar of {move.kind} at {move.before:g}, it is at {bar:g}")
            if newest is not None and not_since_ns is not None and newest[1] >= not_since_ns:
                raise Crossed(f"the bar of {move.kind} has moved already")
            row = msgspec.to_builtins(move)
            del row["seq"]
            connection.execute(insert(bars_table), row)
            audit(connection)

        self._transaction(work)

    def judged_scores(self, since_ns: int) -> dict[tuple[str, str], list[tuple[float, bool]]]:
        """(kind, family) → score and whether it was worth raising, of flags judged since then."""
        query = select(verdicts.c.kind, verdicts.c.family, verdicts.c.score, verdicts.c.verdict).where(
            verdicts.c.at_ns >= since_ns, verdicts.c.score.is_not(None)
        )
        found: dict[tuple[str, str], list[tuple[float, bool]]] = {}
        with reading(self._engine) as connection:
            for kind, family, score, verdict in connection.execute(query):
                found.setdefault((kind, family), []).append((score, verdict != Verdict.FALSE_ALARM))
        return found

    def held_back(self) -> dict[str, int]:
        """Kind → flags below its bar that wait."""
        query = (
            select(muted_flags.c.kind, func.count())
            .where(muted_flags.c.mute_id == "", muted_flags.c.outcome == "")
            .group_by(muted_flags.c.kind)
        )
        with reading(self._engine) as connection:
            return {str(kind): int(n) for kind, n in connection.execute(query)}

    def words_span(self) -> tuple[int, int] | None:
        """When the first and the last judged flag were raised; None where none is judged."""
        with reading(self._engine) as connection:
            first, last = connection.execute(
                select(func.min(verdicts.c.raised_ns), func.max(verdicts.c.raised_ns))
            ).one()
        return None if first is None else (int(first), int(last))

    def words(self, start_ns: int, end_ns: int) -> list[tuple[str, str, str, str, str, int]]:
        """Flags raised in [start, end) that are judged: detector, kind, family, area, verdict, how many."""
        names = ("detector", "kind", "family", "area", "verdict")
        columns = [verdicts.c[name] for name in names]
        query = (
            select(*columns, func.count())
            .where(verdicts.c.raised_ns >= start_ns, verdicts.c.raised_ns < end_ns)
            .group_by(*columns)
            .order_by(*columns)
        )
        with reading(self._engine) as connection:
            return [
                (str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]), int(row[5]))
                for row in connection.execute(query)
            ]

    def tickets_of(self, flag_ids: Sequence[str]) -> dict[str, str]:
        """Flag → the ticket that it is on."""
        query = select(ticket_flags.c.flag_id, ticket_flags.c.ticket_id)
        with reading(self._engine) as connection:
            found = connection.execute(query.where(ticket_flags.c.flag_id.in_(list(flag_ids))))
            return {str(flag): str(ticket) for flag, ticket in found}

    def take_verdict(
        self, key: str, ticket_ids: Sequence[str], verb: Callable[[Book, Ticket], Ticket], now_ns: int
    ) -> bool:
        """Let a verb judge tickets, all or none, once for a key; False where that key has been.

        Raises KeyError where there is no such ticket, and what the verb raises.
        """

        def work(connection: Connection) -> bool:
            seen = select(flags_seen.c.event_key).where(flags_seen.c.event_key == key)
            if connection.execute(seen).scalar() is not None:
                return False
            for ticket_id in ticket_ids:
                book = load_ticket(connection, ticket_id)
                if ticket_id not in book.tickets:
                    raise KeyError(f"expected the id of a ticket, got {ticket_id[:64]!r}")
                ticket = filled(connection, book.tickets[ticket_id])
                book.came = first_told(connection, ticket)
                verb(book, ticket)
                save(connection, book, now_ns, self._wanted_by)
            row = {"event_key": key, "flag_id": "", "status": "verdict", "at": "", "seen_ns": now_ns}
            add(connection, flags_seen, [row])
            return True

        taken: bool = self._transaction(work)
        return taken
