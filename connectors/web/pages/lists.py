"""The list of tickets, newest first."""

from __future__ import annotations

import contextlib
from typing import Literal

from msgspec.structs import replace

from connectors.store.search import Wanted
from connectors.web.feed import MOST_TICKETS, Snapshot
from connectors.web.format import number, unit
from connectors.web.pages.filters import NOTHING, Filters, at
from connectors.web.pages.pager import Pager
from connectors.web.pages.parts import Cell, Fresh, List, Row, Tag, empty
from connectors.web.pages.view import View
from connectors.web.paging import mark_of
from streams.ports import PortError
from streams.trade.tickets import Purpose, Ticket

Which = Literal["open", "all", "drills"]


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
        if not same(drawn, self._drawn) or self._wanted.overdue_ns is not None:
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
            sub=f"{view.place(ticket.service_point_id)} · {ticket.id}",
            title=f"{ticket.service_point_id} · {ticket.meter_id} · {ticket.id}",
            href=f"/tickets/{ticket.id}",
            current=ticket.id == self._chosen,
        )
        cells = {
            "prio": priority,
            "opened": when(view, ticket.opened_ns),
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


def same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether both are of the very same things."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def when(view: View, time_ns: int) -> Cell:
    """A time on two lines."""
    return Cell(
        text=view.local.date(time_ns),
        sub=view.local.clock(time_ns, seconds=False),
        title=view.local.full(time_ns),
    )


def _digits(billed: float) -> int:
    """Decimals of an estimate: a tenth is what a bill shows; small amounts keep three."""
    return 1 if abs(billed) >= 10 else 3
