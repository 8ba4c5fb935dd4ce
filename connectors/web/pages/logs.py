"""The lists of what is in the history: flags and readings, newest first."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from connectors.sqlite_history.reader import Latest
from connectors.web import shapes
from connectors.web.feed import MOST_FLAGS, Snapshot
from connectors.web.format import amount, parse_ns
from connectors.web.pages.lists import same, when
from connectors.web.pages.pager import Pager
from connectors.web.pages.parts import Cell, Fresh, List, Row, Tag, empty
from connectors.web.pages.view import View
from connectors.web.paging import flag_mark_of
from streams.messages import Flag, Kind, Quality
from streams.ports import PortError

_PATIENCE_S = 1.0  # for links; a list is not kept waiting longer
_MOST_MARKS = 2  # in a row; all of them are in its title


class _Log(ABC):
    """What flags and readings have in common: a list that needs the history."""

    name: Literal["flags", "readings"]

    def __init__(self, view: View) -> None:
        self._view = view
        self._fresh = Fresh()
        self._drawn: tuple[object, ...] = ()
        say = view.say
        title = f"{self.name}-title"
        self._section = Tag("section", look=f"panel {self.name}", id=self.name, aria_labelledby=title)
        with self._section:
            self._head = Tag("header")
            with self._head:
                Tag("h2", say(self.name), id=title)
                self._count = Tag("span", "", "sub")
            with Tag("div", look="scroll", tabindex="0", aria_labelledby=title):
                self._list = List(say(self.name), self._columns())
                self._nothing, self._title, self._hint = empty("", "")
                self._nothing.set_visibility(False)

    @abstractmethod
    def _columns(self) -> tuple[tuple[str, str, str], ...]:
        """Label, class and width of each column."""

    @abstractmethod
    def _things(self, found: Snapshot) -> Sequence[object]:
        """What a snapshot has for this list."""

    @abstractmethod
    async def _rows(self, found: Snapshot) -> list[Row]:
        """The same, drawn."""

    async def refresh(self, found: Snapshot) -> None:
        """Show a snapshot."""
        if not found.history_asked:
            return
        things = self._things(found)
        drawn = (things, found.all, self._view.local)
        if things and same(drawn, self._drawn):
            return
        self._drawn = drawn
        rows = await self._rows(found)
        if self._drawn is not drawn:
            return  # while links were looked up, another page was asked for: this one would stand in its place
        self._list.show(rows)
        self._count.say(f"{len(rows):,}" if rows else "")
        title, hint = self._explain(found)
        self._title.say(title)
        self._hint.say(hint)
        self._list.set_visibility(bool(rows))
        self._nothing.set_visibility(not rows)

    def _explain(self, found: Snapshot) -> tuple[str, str]:
        """Why there is nothing to list, and what to do."""
        say, sources = self._view.say, self._view.reader.sources
        if found.history_error:
            return say("no_history"), say("history_away", error=found.history_error)
        if sources.history is None:
            if sources.kept_at:
                return say("no_history"), say("no_history_hint", place=sources.kept_at)
            return say("no_history"), say("no_history_anywhere")
        if not any(p.alive and p.role == "ingest" for p in found.processes):
            return say("no_ingest"), say("no_ingest_hint")
        return say(f"no_{self.name}"), say(f"no_{self.name}_hint")


class Flags(_Log):
    """The newest event of each episode, a page at a time; a link where it has a ticket."""

    name = "flags"

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._page: list[Flag] | None = None  # an older one; None: the newest, which the snapshots have
        self._told: list[set[str]] = []  # what the pages before the one that is shown have
        self._last = Snapshot()
        self._tickets: dict[str, str] = {}  # of flags whose tickets are not among the newest
        with self._section:
            self._pager = Pager(view.say, view.say("flags"), self._turn, self._head)

    def _columns(self) -> tuple[tuple[str, str, str], ...]:
        say = self._view.say
        return (
            ("at", say("time"), ""),
            ("what", say("what"), ""),
            ("observed", say("observed"), "num"),
            ("state", say("state"), ""),
        )

    def _things(self, found: Snapshot) -> Sequence[Flag]:
        return found.flags if self._page is None else self._page

    async def _rows(self, found: Snapshot) -> list[Row]:
        self._last = found
        flags = self._things(found)
        tickets = {flag_id: ticket.id for ticket in found.all for flag_id in ticket.flag_ids}
        unknown = [flag.id for flag in flags if flag.id not in tickets and flag.id not in self._tickets]
        if unknown and not found.store_error:
            with contextlib.suppress(PortError):  # the page says so itself; the links are missing
                ask = self._view.reader.ask
                self._tickets |= await ask(lambda store: store.tickets_of(unknown), _PATIENCE_S)
        fresh = self._fresh.of([flag.id for flag in found.flags])
        if self._page is None:
            self._pager.show(_mark(found.flags_next))
        return [self._row(flag, tickets.get(flag.id) or self._tickets.get(flag.id), fresh) for flag in flags]

    async def _turn(self) -> None:
        """Show the page that the pager is at: newest events of episodes, none that a page before has."""
        before, depth = flag_mark_of(self._pager.before), self._pager.depth
        self._drawn = ()
        if before is None:
            self._page = None
            self._told.clear()
            await self.refresh(self._last)
            return
        del self._told[depth:]
        if len(self._told) < depth:
            self._told.append({flag.id for flag in self._things(self._last)})
        try:
            found = await self._view.reader.episodes(MOST_FLAGS, before, set[str]().union(*self._told))
        except PortError:
            return  # the page says so itself; what was found stays
        self._page = found.flags
        await self.refresh(self._last)
        self._pager.show(_mark(found.following))

    def _row(self, flag: Flag, ticket_id: str | None, fresh: set[str]) -> Row:
        view = self._view
        at = parse_ns(flag.at)
        what = Cell(text=view.kind(flag.kind), sub=flag.meter_id, title=f"{flag.meter_id} · {flag.id}")
        if ticket_id is not None:
            what["href"] = f"/tickets/{ticket_id}"
        observed = Cell(text=view.figure(flag.observed, flag.unit))
        if flag.expected is not None:
            observed["sub"] = view.say("expected_of_flag", value=amount(flag.expected, flag.unit))
        return Row(
            id=flag.id,
            look="fresh" if flag.id in fresh else "",
            cells={
                "at": Cell(text=flag.at) if at is None else when(view, at),
                "what": what,
                "observed": observed,
                "state": Cell(text=view.say.known(flag.status), look=f"status-{flag.status}"),
            },
        )


def _mark(found: tuple[int, int] | None) -> str | None:
    """As the pager keeps it."""
    return None if found is None else f"{found[0]}.{found[1]}"


class Readings(_Log):
    """The newest reading of each meter, of the meters that spoke last."""

    name = "readings"

    def _columns(self) -> tuple[tuple[str, str, str], ...]:
        say = self._view.say
        return (
            ("time", say("time"), ""),
            ("meter", say("meter"), ""),
            ("value", say("value"), "num"),
            ("marks", say("remarks"), ""),
        )

    def _things(self, found: Snapshot) -> Sequence[Latest]:
        return found.readings

    async def _rows(self, found: Snapshot) -> list[Row]:
        fresh = self._fresh.of([f"{r.meter_id} {r.time_ns}" for r in found.readings])
        return [self._row(reading, fresh) for reading in found.readings]

    def _row(self, reading: Latest, fresh: set[str]) -> Row:
        view = self._view
        remarks = self._remarks(reading)
        meter = Cell(text=reading.meter_id, title=reading.meter_id)
        if reading.register:
            meter["sub"] = reading.register
        return Row(
            id=reading.meter_id,
            look="fresh" if f"{reading.meter_id} {reading.time_ns}" in fresh else "",
            cells={
                "time": Cell(text=view.local.short(reading.time_ns), title=view.local.full(reading.time_ns)),
                "meter": meter,
                "value": Cell(text=amount(reading.value, reading.unit)),
                "marks": Cell(text=", ".join(remarks[:_MOST_MARKS]), title=", ".join(remarks)),
            },
        )

    def _remarks(self, reading: Latest) -> list[str]:
        say = self._view.say
        found = []
        if reading.quality != Quality.GOOD:
            found.append(say.known(Quality(reading.quality).name.lower()))
        found += [say.known(mark) for mark in shapes.marks(reading.marks)]
        if reading.kind != Kind.UNSTATED:
            found.append(say.known(Kind(reading.kind).name.lower()))
        return found
