"""The three lists: tickets, flags, readings; newest first."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import Literal

from msgspec.structs import replace

from connectors.sqlite_history.reader import Latest
from connectors.store.search import Wanted
from connectors.web import shapes
from connectors.web.feed import MOST_TICKETS, Snapshot
from connectors.web.format import amount, number, parse_ns, unit
from connectors.web.pages.filters import NOTHING, Filters, at
from connectors.web.pages.pager import Pager
from connectors.web.pages.parts import Cell, Fresh, List, Row, Tag, empty
from connectors.web.pages.view import View
from connectors.web.paging import mark_of
from streams.messages import Flag, Kind, Quality
from streams.ports import PortError
from streams.trade.tickets import Purpose, Ticket

Which = Literal["open", "all", "drills"]
_MOST_MARKS = 2  # in a row; all of them are in its title


class Tickets:
    """All tickets or the open ones, each a link to its detail."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._which: Which = "open"
        self._wanted = NOTHING
        self._found: list[Ticket] | None = None  # what was looked for; None: nothing is
        self._more = False  # of that there is more
        self._asked = 0  # questions so far: the answer to an older one is not shown
        self._chosen = ""
        self._last: Snapshot | None = None
        self._drawn: tuple[object, ...] = ()  # what the list shows
        self._fresh = Fresh()
        say = view.say
        with Tag("section", look="panel tickets", id="tickets", aria_labelledby="tickets-title"):
            head = Tag("header")
            with head:
                Tag("h2", say("tickets"), id="tickets-title")
                self._count = Tag("span", "", "sub")
                with Tag("div", look="choice", role="group", aria_label=say("tickets")):
                    self._buttons: dict[Which, Tag] = {
                        "open": Tag("button", say("show_open"), type="button", aria_pressed="true"),
                        "all": Tag("button", say("show_all"), type="button", aria_pressed="false"),
                        "drills": Tag("button", say("show_drills"), type="button", aria_pressed="false"),
                    }
            Filters(view, self._narrow)
            with Tag("div", look="scroll", tabindex="0", aria_labelledby="tickets-title"):
                self._list = List(
                    say("tickets"),
                    (
                        ("prio", say("priority"), ""),
                        ("opened", say("opened"), ""),
                        ("what", say("what"), ""),
                        ("category", say("category"), ""),
                        ("expected", say("expected"), "num"),
                        ("billed", say("billed"), "num"),
                        ("excess", say("excess"), "num"),
                        ("state", say("state"), ""),
                    ),
                )
                self._nothing, self._title, self._hint = empty("", "")
            self._pager = Pager(say, say("tickets"), self._again, head)
        for which, button in self._buttons.items():
            button.on("click", lambda which=which: self._choose(which))

    def choose(self, ticket_id: str) -> None:
        """Mark the ticket whose detail is open; empty: none."""
        self._chosen = ticket_id
        self._draw()

    async def refresh(self, found: Snapshot) -> None:
        """Show a snapshot."""
        drawn = (found.open, found.all, found.counts, self._view.local)
        self._last = found
        if not _same(drawn, self._drawn) or self._wanted.overdue_ns is not None:
            self._drawn = drawn
            await self._look()
            self._draw()

    async def _choose(self, which: Which) -> None:
        self._which = which
        for name, button in self._buttons.items():
            button.set("aria-pressed", str(name == which).lower())
        self._pager.reset()
        await self._again()

    async def _narrow(self, wanted: Wanted) -> None:
        if wanted == self._wanted:
            return  # a field that is left tells of its change once more, and a page may have been turned by it
        self._wanted = wanted
        self._pager.reset()
        await self._again()

    async def _again(self) -> None:
        await self._look()
        self._draw()

    async def _look(self) -> None:
        """Ask for what is looked for.

        Without that, the newest real tickets are those of the lists that all pages share.
        """
        self._asked += 1
        asked = self._asked
        before = mark_of(self._pager.before)
        if self._wanted == NOTHING and self._which != "drills" and before is None:
            self._found = None
            return
        wanted = at(self._wanted, self._view.now_ns)
        if not wanted.state and self._which == "open":
            wanted = replace(wanted, state="open")
        wanted = replace(wanted, drill=self._which == "drills")
        with contextlib.suppress(PortError):  # the page says so itself; what was found stays
            # one more than is shown: whether there is a next page
            found = await self._view.reader.ask(
                lambda store: store.tickets(None, MOST_TICKETS + 1, before=before, wanted=wanted)
            )
            if asked != self._asked:
                return  # something else has been asked for meanwhile: its answer is the one to show
            self._found, self._more = found[:MOST_TICKETS], len(found) > MOST_TICKETS

    def _draw(self) -> None:
        found = self._last
        if found is None or (found.counts is None and not found.all):
            self._nothing.set_visibility(False)
            return
        say = self._view.say
        listed = found.open if self._which == "open" else found.all
        tickets = [ticket for ticket in listed if not ticket.drill] if self._found is None else self._found
        fresh = self._fresh.of([ticket.id for ticket in found.all])
        self._list.show([self._row(ticket, fresh) for ticket in tickets])
        total = 0
        if found.counts is not None:
            total = found.counts.open if self._which == "open" else sum(found.counts.tickets.values())
        more = self._more if self._found is not None else total > len(listed) > 0
        last = (listed if self._found is None else tickets)[-1:]
        self._pager.show(f"{last[0].opened_ns}.{last[0].id}" if more and last else None)
        total -= len(listed) - len(tickets)  # drills
        more = total > len(tickets) and self._found is None
        shown = f"{len(tickets):,}"
        self._count.say(say("shown_of", shown=shown, n=f"{total:,}") if more else shown)
        none = "no_open" if self._which == "open" and found.all else "no_tickets"
        if self._found is not None:
            none = "no_match" if self._wanted != NOTHING or self._which != "drills" else "no_drills"
        self._title.say(say(none))
        self._hint.say(say(f"{none}_hint"))
        self._list.set_visibility(bool(tickets))
        self._nothing.set_visibility(not tickets)

    def _row(self, ticket: Ticket, fresh: set[str]) -> Row:
        view = self._view
        estimate = ticket.estimate
        priority = Cell(text=ticket.priority, look=f"chip {ticket.priority.lower()}")
        if ticket.drill:
            priority["sub"] = view.say("drill")
        what = Cell(
            text=view.kind(ticket.kind),
            sub=f"{ticket.service_point_id} · {ticket.id}",
            title=f"{ticket.service_point_id} · {ticket.meter_id} · {ticket.id}",
            href=f"/tickets/{ticket.id}",
            current=ticket.id == self._chosen,
        )
        cells = {
            "prio": priority,
            "opened": _when(view, ticket.opened_ns),
            "what": what,
            "category": Cell(
                text=view.code(ticket.category),
                sub=view.code(ticket.urgency),
                look=f"urgency-{ticket.urgency}",
            ),
            "state": Cell(text=view.code(ticket.state), sub=" · ".join(self._marks(ticket)), look="marks"),
        }
        for key in ("expected", "billed", "excess"):
            cells[key] = Cell(text="–", look="none")
        if estimate is not None:
            digits = _digits(estimate.billed)
            of = unit(estimate.unit)
            cells |= {
                "expected": Cell(text=number(estimate.expected, digits), sub=of),
                "billed": Cell(text=number(estimate.billed, digits), sub=of),
                "excess": Cell(text=number(estimate.excess, digits), sub=of, look="strong"),
            }
        looks = [
            "closed" if not ticket.open else "",
            "chosen" if ticket.id == self._chosen else "",
            "drill" if ticket.drill else "",
            "fresh" if ticket.id in fresh else "",
        ]
        return Row(id=ticket.id, look=" ".join(filter(None, looks)), cells=cells)

    def _marks(self, ticket: Ticket) -> list[str]:
        """What stands beside the state: escalated, overdue, to be explained."""
        view, due = self._view, ticket.due_ns
        found = [view.code("escalated")] if ticket.escalated else []
        if due is not None and due < view.now_ns:
            found.append(view.say("overdue"))
        if ticket.purpose is Purpose.EXPLAIN:
            found.append(view.code("explain"))
        return found


class _Log(ABC):
    """What flags and readings have in common: a list that needs the history."""

    name: Literal["flags", "readings"]

    def __init__(self, view: View) -> None:
        self._view = view
        self._fresh = Fresh()
        self._drawn: tuple[object, ...] = ()
        say = view.say
        title = f"{self.name}-title"
        with Tag("section", look=f"panel {self.name}", id=self.name, aria_labelledby=title):
            with Tag("header"):
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
    def _rows(self, found: Snapshot) -> list[Row]:
        """What a snapshot has for this list."""

    async def refresh(self, found: Snapshot) -> None:
        """Show a snapshot."""
        if not found.history_asked:
            return
        drawn = (found.readings, found.flags, found.all, self._view.local)
        if found.readings and found.flags and _same(drawn, self._drawn):
            return
        self._drawn = drawn
        rows = self._rows(found)
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
    """The newest event of each episode; a link where it has a ticket."""

    name = "flags"

    def _columns(self) -> tuple[tuple[str, str, str], ...]:
        say = self._view.say
        return (
            ("at", say("time"), ""),
            ("what", say("what"), ""),
            ("observed", say("observed"), "num"),
            ("state", say("state"), ""),
        )

    def _rows(self, found: Snapshot) -> list[Row]:
        tickets = {flag_id: ticket.id for ticket in found.all for flag_id in ticket.flag_ids}
        fresh = self._fresh.of([flag.id for flag in found.flags])
        return [self._row(flag, tickets.get(flag.id), fresh) for flag in found.flags]

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
                "at": Cell(text=flag.at) if at is None else _when(view, at),
                "what": what,
                "observed": observed,
                "state": Cell(text=view.say.known(flag.status), look=f"status-{flag.status}"),
            },
        )


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

    def _rows(self, found: Snapshot) -> list[Row]:
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


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether both are of the very same things."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _when(view: View, time_ns: int) -> Cell:
    """A time on two lines."""
    return Cell(
        text=view.local.date(time_ns),
        sub=view.local.clock(time_ns, seconds=False),
        title=view.local.full(time_ns),
    )


def _digits(billed: float) -> int:
    """Decimals of an estimate: a tenth is what a bill shows; small amounts keep three."""
    return 1 if abs(billed) >= 10 else 3
