"""Mutes, and the flags that wait for their end."""

from __future__ import annotations

from typing import Protocol, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, select

from connectors.store import audit, rows
from connectors.store.book import load, put, save
from connectors.store.engine import reading
from connectors.store.part import Part
from connectors.store.tables_trade import muted_flags, mutes
from streams.trade.book import Book
from streams.trade.mutes import Mute, Muted
from streams.trade.roles import Actor
from streams.trade.tickets import Ticket

T = TypeVar("T")


class Reconsider(Protocol):
    """What decides about a flag whose mute has ended (``streams.trade.rules.Rules``)."""

    def reconsider(self, book: Book, muted: Muted, now_ns: int) -> None:
        """Let it wait on, join or open a ticket."""


class Mutes(Part):
    """The tables ``mutes`` and ``muted_flags``. Part of ``Store``."""

    def put_mute(self, mute: Mute, actor: Actor, now_ns: int) -> None:
        """Keep a new mute, or one whose end or notice has changed."""

        def work(connection: Connection) -> None:
            put(connection, mutes, [rows.mute_row(mute)])
            told = {"place": mute.place, "kind": str(mute.kind), "end_ns": mute.end_ns}
            audit.add(connection, now_ns, actor, "mute.kept", f"mute/{mute.id}", mute.reason, told)

        self._transaction(work)

    def mute(self, mute_id: str) -> Mute | None:
        """One mute."""
        with reading(self._engine) as connection:
            row = connection.execute(select(mutes).where(mutes.c.id == mute_id)).mappings().one_or_none()
            return None if row is None else rows.mute_of(row)

    def mutes(self, now_ns: int, place: str = "", limit: int = 500) -> list[Mute]:
        """Mutes that hold now or will, those that end first before others."""
        query = select(mutes).where(mutes.c.end_ns > now_ns).order_by(mutes.c.end_ns, mutes.c.id).limit(limit)
        if place:
            query = query.where(mutes.c.place == place)
        with reading(self._engine) as connection:
            return [rows.mute_of(row) for row in connection.execute(query).mappings()]

    def muted_flags(self, limit: int = 100, waiting: bool = True) -> list[Muted]:
        """Flags that wait, newest first; ``waiting`` False: also those that have waited."""
        query = (
            select(muted_flags).order_by(muted_flags.c.since_ns.desc(), muted_flags.c.flag_id).limit(limit)
        )
        if waiting:
            query = query.where(muted_flags.c.outcome == "")
        with reading(self._engine) as connection:
            return [rows.muted_of(row) for row in connection.execute(query).mappings()]

    def reconsider(self, now_ns: int, rules: Reconsider, limit: int = 200) -> list[Ticket]:
        """Flags whose mute has ended become tickets, unless they wait for another; returns the tickets that changed."""
        due = select(muted_flags).where(muted_flags.c.outcome == "", muted_flags.c.until_ns <= now_ns)

        def work(connection: Connection) -> list[Ticket]:
            found = connection.execute(due.order_by(muted_flags.c.until_ns).limit(limit)).mappings()
            waiting = [rows.muted_of(row) for row in found]
            if not waiting:
                return []
            book = load(connection, [one.flag for one in waiting], now_ns)
            for one in waiting:
                # another process may have been quicker: what counts is the row as it is now
                now = book.muted.get(one.flag_id)
                if now is not None and not now.outcome and now.until_ns <= now_ns:
                    rules.reconsider(book, now, now_ns)
            save(connection, book, now_ns, self._wanted_by)
            return [book.tickets[key] for key in book.changed_tickets]

        changed: list[Ticket] = self._transaction(work)
        return changed

    def end_mute(self, mute_id: str, actor: Actor, reason: str, now_ns: int) -> Mute:
        """End a mute now: flags that wait for it are looked at again. Raises KeyError where there is none."""

        def work(connection: Connection) -> Mute:
            row = connection.execute(select(mutes).where(mutes.c.id == mute_id)).mappings().one_or_none()
            if row is None:
                raise KeyError(f"expected the id of a mute, got {mute_id!r}")
            ended = replace(rows.mute_of(row), end_ns=now_ns)
            put(connection, mutes, [rows.mute_row(ended)])
            connection.execute(
                muted_flags.update()
                .where(muted_flags.c.mute_id == mute_id, muted_flags.c.outcome == "")
                .values(until_ns=now_ns)
            )
            audit.add(connection, now_ns, actor, "mute.ended", f"mute/{mute_id}", reason, {})
            return ended

        made: Mute = self._transaction(work)
        return made
