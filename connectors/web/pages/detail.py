"""One ticket: what it is about, what should have been billed, why perhaps, what was done."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from nicegui import ui

from connectors.web.feed import Snapshot
from connectors.web.format import amount, number
from connectors.web.pages import evidence, tied
from connectors.web.pages.chart import line_of, options, span_of
from connectors.web.pages.money import Money
from connectors.web.pages.notices import Notices
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.slot import Slot
from connectors.web.pages.steps import Checks
from connectors.web.pages.view import View
from connectors.web.pages.work import Work
from streams.ports import PortError
from streams.trade.tickets import Episode, Estimate, Purpose, Ticket

_AGAIN_S = 10.0  # a ticket that the list has no more is read again so often


class Detail:
    """Draws a ticket, and draws it again when it has changed."""

    def __init__(self, view: View, ticket_id: str) -> None:
        self._view = view
        self._id = ticket_id
        self._shown: tuple[Ticket, list[Episode], list[tuple[str, int, bool]]] | None = None
        self._seen: tuple[int, int] | None = None  # version and time of change, as the list has them
        self._read = float("-inf")  # when it was read last [s, monotonic]
        self._gone = False  # it is said that there is no such ticket
        say = view.say
        with Tag("section", look="panel detail", id="ticket", aria_labelledby="ticket-title"):
            with Tag("header"):
                Tag("a", f"← {say('back')}", "back", href="/")
                Tag("span", ticket_id, "sub")
            self._body = Tag("div", look="scroll", tabindex="0", aria_live="off")
        self._slots: list[Slot] = []
        self._plot: tuple[Tag, ui.echart] | None = (
            None  # caption and chart, kept while there is something to draw
        )
        self._turn = asyncio.Lock()  # what is drawn twice at once is drawn into what the other takes away

    def _lay(self) -> None:
        """The parts that are drawn anew with every change, and between them those where somebody may be typing."""
        self._body.clear()
        with self._body:
            self._head_place = Tag("div")
            work = Work(self._view, self.load_now)
            self._figures_place = Tag("div")
            self._plot_place = Tag("div")
            self._plot = None
            checks = Checks(self._view, self.load_now)
            self._ranking_place = Tag("div")
            money, notices = Money(self._view, self.load_now), Notices(self._view, self.load_now)
            self._rest_place = Tag("div")
        self._slots = [work, checks, money, notices]

    async def load_now(self) -> None:
        """Read and draw, after something was done here; what hangs on the ticket may have changed alone."""
        async with self._turn:
            self._shown = None
            await self._load()

    async def refresh(self, found: Snapshot) -> None:
        """Read the ticket again where the list has a newer one; now and then where it has none."""
        listed = next((t for t in (*found.all, *found.open) if t.id == self._id), None)
        seen = None if listed is None else (listed.version, listed.updated_ns)
        now = time.monotonic()
        if seen != self._seen or (seen is None and now - self._read >= _AGAIN_S):
            if await self.load():
                self._seen = seen
        elif self._shown is not None and self._view.dues(self._shown[0]) != self._shown[2]:
            async with self._turn:
                if self._shown is not None:
                    await self._draw(*self._shown[:2])  # something has become due

    async def load(self) -> bool:
        """Read and draw; False where the database does not answer (the page says so itself)."""
        async with self._turn:
            return await self._load()

    async def _load(self) -> bool:
        self._read = time.monotonic()
        try:
            found = await self._view.reader.ticket(self._id)
        except PortError:
            return False
        if found is None:
            self._missing()
        elif self._shown is None or self._shown[:2] != found:
            await self._draw(*found)
        return True

    async def again(self) -> None:
        """Draw it again: the zone is another."""
        self._shown, self._gone = None, False
        await self.load()

    def _missing(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._shown = None
        self._slots = []
        self._body.clear()
        with self._body, Tag("div", look="empty"):
            Tag("strong", self._view.say("not_found"))
            Tag("p", self._view.say("not_found_hint", id=self._id[:64]))

    async def _draw(self, ticket: Ticket, episodes: list[Episode]) -> None:
        chart = await self._chart(ticket)
        tied_to = await tied.complaints_of(self._view, ticket)
        quiet = await tied.quiet_at(self._view, ticket) if ticket.open else []
        self._gone = False
        self._shown = (ticket, episodes, self._view.dues(ticket))
        if not self._slots:
            self._lay()
        for place in (self._head_place, self._figures_place, self._ranking_place, self._rest_place):
            place.clear()
        with self._head_place:
            self._head(ticket)
            tied.quiet(self._view, quiet)
            tied.complaints(self._view, ticket, tied_to)
            tied.meters(self._view, ticket)
        with self._figures_place:
            self._estimate(ticket.estimate)
        self._draw_chart(*chart)
        with self._ranking_place:
            self._causes(ticket)
            tied.swap(self._view, ticket.swap)
            tied.record(self._view, ticket.record)
            tied.outcome(self._view, ticket)
        with self._rest_place:
            evidence.draw(self._view, ticket.evidence)
            self._flags(episodes)
            evidence.messages(self._view, episodes)
            self._links(ticket)
            self._history(ticket)
        for slot in self._slots:
            slot.show(ticket)

    def _head(self, ticket: Ticket) -> None:
        view, say = self._view, self._view.say
        if ticket.drill:
            Tag("p", say("drill_banner"), "drill-banner", role="note")
        Tag("h2", view.kind(ticket.kind), "title", id="ticket-title")
        with Tag("div", look="chips"):
            if ticket.drill:
                Tag("span", say("drill"), "chip drill")
            Tag("span", ticket.priority, f"chip {ticket.priority.lower()}")
            Tag("span", view.code(ticket.urgency), f"chip plain urgency-{ticket.urgency}")
            Tag("span", view.code(ticket.category), "chip plain")
            Tag("span", view.code(ticket.state), "chip plain")
            if ticket.escalated:
                Tag("span", view.code("escalated"), "chip escalated")
            if ticket.purpose is Purpose.EXPLAIN:
                Tag("span", view.code(ticket.purpose), "chip explain")
            if ticket.bill_hold:
                Tag("span", say("bill_held"), "chip held")
        if view.reader.sources.papers is not None:
            with Tag("p", look="papers"):
                Tag("span", f"{say('pack')}{say('colon')}", "sub")
                for form in ("html", "pdf"):
                    href = f"/api/tickets/{ticket.id}/pack?format={form}&language={say.language}"
                    Tag("a", form.upper(), href=href, target="_blank", rel="noopener")
                other = "en" if say.language == "zh" else "zh"
                for form in ("html", "pdf"):
                    href = f"/api/tickets/{ticket.id}/pack?format={form}&language={other}"
                    Tag(
                        "a",
                        f"{say('other_language')} {form.upper()}",
                        "sub",
                        href=href,
                        target="_blank",
                        rel="noopener",
                        hreflang=other,
                    )
        with Tag("dl", look="facts"):
            self._fact(say("service_point"), view.place(ticket.service_point_id))
            self._fact(say("meter"), ticket.meter_id)
            if ticket.area and ticket.area != ticket.meter_id:
                self._fact(say("area"), ticket.area)
            if ticket.commodity:
                self._fact(say("commodity"), say.known(ticket.commodity))
            self._fact(say("opened"), view.local.minutes(ticket.opened_ns))
            self._fact(say("department"), say.of(view.vocabulary.departments, ticket.owner_department))
            for name, value in tied.facts(view, ticket):
                self._fact(name, value)
            for words, due, late in view.dues(ticket):
                with Tag("div", look="late" if late else ""):
                    Tag("dt", words)
                    Tag("dd", view.local.minutes(due) + (f" · {say('overdue')}" if late else ""))
            if ticket.sla.paused_since_ns is not None:
                self._fact(say("paused"), view.local.minutes(ticket.sla.paused_since_ns))

    def _fact(self, name: str, value: str) -> None:
        with Tag("div"):
            Tag("dt", name)
            Tag("dd", value)

    def _estimate(self, found: Estimate | None) -> None:
        view, say = self._view, self._view.say
        Tag("h3", say("estimate"))
        if found is None:
            Tag("p", say("no_estimate"), "sub")
            return
        digits = 1 if abs(found.billed) >= 10 else 3
        with Tag("dl", look="amounts"):
            for key, value in (
                ("expected", found.expected),
                ("billed", found.billed),
                ("excess", found.excess),
            ):
                with Tag("div", look=key):
                    Tag("dt", say(key))
                    Tag("dd", amount(value, found.unit, digits))
        words = view.vocabulary.estimates
        lines = [f"{say('method')}{say('colon')}{say.of(words, found.method)}"]
        if found.low is not None and found.high is not None:
            low, high = amount(found.low, found.unit, digits), amount(found.high, found.unit, digits)
            lines.append(say("excess_range", low=low, high=high))
        if found.assumptions:
            notes = say("and").join(say.of(words, code) for code in found.assumptions)
            lines.append(f"{say('assumptions')}{say('colon')}{notes}")
        for line in lines:
            Tag("p", line, "sub")

    async def _chart(self, ticket: Ticket) -> tuple[dict[str, Any] | None, str, str]:
        """The chart's options, its caption, and what to say where there is none."""
        view, say = self._view, self._view.say
        span = span_of(ticket)
        if view.reader.sources.history is None or span is None:
            kept_at = view.reader.sources.kept_at
            return None, "", say("no_history_hint", place=kept_at) if kept_at else say("chart_none")
        try:
            found = await view.reader.series(ticket.meter_id, span.start, span.end)
        except PortError as error:
            return None, "", say("chart_error", error=error)
        line = line_of(found, str(ticket.evidence.get("register", "")))
        if line is None:
            return None, "", say("chart_none")
        usual = ticket.evidence.get("use_a_day_before") if line.caption == "chart_rate" else None
        level = float(usual) if isinstance(usual, int | float) else None
        caption = say(line.caption, unit=line.unit or "–")
        if line.thinned:
            caption += f" · {say('chart_thinned')}"
        return options(line, span, level, view.local, say), caption, ""

    def _draw_chart(self, chart: dict[str, Any] | None, caption: str, nothing: str) -> None:
        """Draw the chart, or put new figures into the one that is there: one that is replaced before its library
        has come to draw it ends in an error of the browser's.
        """
        if chart is not None and self._plot is not None:
            told, plot = self._plot
            told.say(caption)
            plot.props(f'aria-label="{_attribute(caption)}"')
            plot.options.clear()
            plot.options.update(chart)
            plot.update()
            return
        self._plot_place.clear()
        self._plot = None
        with self._plot_place:
            Tag("h3", self._view.say("chart"))
            if chart is None:
                Tag("p", nothing, "sub")
                return
            with Tag("figure", look="chart"):
                told = Tag("figcaption", caption, "sub")
                plot = ui.echart(chart).props(f'role=img aria-label="{_attribute(caption)}"').classes("plot")
        self._plot = told, plot

    def _causes(self, ticket: Ticket) -> None:
        view, say = self._view, self._view.say
        if not ticket.hypotheses:
            return
        Tag("h3", say("causes"))
        results = {step.check: step for step in ticket.steps}
        rows = []
        for place, cause in enumerate(ticket.hypotheses, 1):
            step = results.get(cause.next_check)
            told = say("to_do")
            if step is not None and step.result:
                told = step.result
                if step.done_ns is not None:
                    told += f" ({say('done_by', who=step.by, when=view.local.minutes(step.done_ns))})"
            check = say.of(view.vocabulary.checks, cause.next_check)
            kind = f"{view.code(step.kind)} · " if step is not None else ""
            named = say.of(view.vocabulary.causes, cause.cause)
            rows.append((f"{place}. {named}", f"{cause.weight:.0%}", f"{kind}{check}", told))
        columns = (("cause", ""), ("weight", "num"), ("next_check", ""), ("result", ""))
        table(say("causes"), [(say(key), look) for key, look in columns], rows)
        Tag("p", say("priors"), "sub")

    def _flags(self, episodes: list[Episode]) -> None:
        view, say = self._view, self._view.say
        if not episodes:
            return
        Tag("h3", say("ticket_flags"))
        rows = [
            (
                view.kind(e.kind),
                view.event(e.at),
                view.figure(e.observed, e.unit),
                view.figure(e.expected, e.unit),
                "–" if e.score is None else number(e.score),
                say.known(e.status),
            )
            for e in episodes
        ]
        columns = (
            (say("what"), ""),
            (say("time"), ""),
            (say("observed"), "num"),
            (view.say.evidence("expected")[0], "num"),
            (say("score"), "num"),
            (say("state"), ""),
        )
        table(say("ticket_flags"), columns, rows)

    def _links(self, ticket: Ticket) -> None:
        say = self._view.say
        if ticket.related:
            Tag("h3", say("related"))
            with Tag("ul", look="links"):
                for other in ticket.related:
                    with Tag("li"):
                        Tag("a", other, href=f"/tickets/{other}")
        if ticket.external_refs:
            Tag("h3", say("elsewhere"))
            table(say("elsewhere"), (("", ""), ("", "")), list(ticket.external_refs.items()))

    def _history(self, ticket: Ticket) -> None:
        view, say = self._view, self._view.say
        if not ticket.history:
            return
        Tag("h3", say("history"))
        with Tag("ol", look="history"):
            for entry in reversed(ticket.history):
                with Tag("li"):
                    Tag("time", view.local.minutes(entry.at_ns), "sub")
                    told = say.of(view.vocabulary.actions, entry.action)
                    if entry.before and entry.after and entry.before != entry.after:
                        told += f" · {view.code(entry.before)} → {view.code(entry.after)}"
                    if entry.note:
                        told += f" · {view.note(entry.note)}"
                    Tag("span", told)
                    Tag("span", entry.actor, "sub")


def _attribute(text: str) -> str:
    """Text within a quoted property."""
    return text.replace("\\", "").replace('"', "'")
