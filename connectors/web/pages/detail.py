"""One ticket: what it is about, what should have been billed, why perhaps, what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from connectors.web.feed import Snapshot
from connectors.web.format import amount, number, parse_ns
from connectors.web.pages.chart import line_of, options, span_of
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.view import View
from connectors.web.words import WORDS
from streams.ports import PortError
from streams.tickets import Episode, Estimate, Ticket

#: shown elsewhere on the page, or of no use to a person
_APART = frozenset({"periods", "parameters", "kind", "unit", "flag_id", "detector", "version"})


class Detail:
    """Draws a ticket, and draws it again when it has changed."""

    def __init__(self, view: View, ticket_id: str) -> None:
        self._view = view
        self._id = ticket_id
        self._shown: tuple[Ticket, list[Episode], list[tuple[str, int, bool]]] | None = None
        self._seen: tuple[int, int] | None = None  # version and time of change, as the list has them
        say = view.say
        with Tag("section", look="panel detail", id="ticket", aria_labelledby="ticket-title"):
            with Tag("header"):
                Tag("a", f"← {say('back')}", "back", href="/")
                Tag("span", ticket_id, "sub")
            self._body = Tag("div", look="scroll", tabindex="0", aria_live="off")

    async def refresh(self, found: Snapshot) -> None:
        """Read the ticket again where the list has a newer one, or has it no more."""
        listed = next((t for t in (*found.all, *found.open) if t.id == self._id), None)
        seen = None if listed is None else (listed.version, listed.updated_ns)
        if seen != self._seen or self._shown is None or seen is None:
            if await self.load():
                self._seen = seen
        elif self._view.dues(self._shown[0]) != self._shown[2]:
            await self._draw(*self._shown[:2])  # something has become due

    async def load(self) -> bool:
        """Read and draw; False where the database does not answer (the page says so itself)."""
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
        self._shown = None
        await self.load()

    def _missing(self) -> None:
        self._shown = None
        self._body.clear()
        with self._body, Tag("div", look="empty"):
            Tag("strong", self._view.say("not_found"))
            Tag("p", self._view.say("not_found_hint", id=self._id[:64]))

    async def _draw(self, ticket: Ticket, episodes: list[Episode]) -> None:
        chart = await self._chart(ticket)
        self._shown = (ticket, episodes, self._view.dues(ticket))
        self._body.clear()
        with self._body:
            self._head(ticket)
            self._estimate(ticket.estimate)
            self._draw_chart(*chart)
            self._causes(ticket)
            self._evidence(ticket)
            self._flags(episodes)
            self._links(ticket)
            self._history(ticket)

    def _head(self, ticket: Ticket) -> None:
        view, say = self._view, self._view.say
        Tag("h2", view.kind(ticket.kind), "title", id="ticket-title")
        with Tag("div", look="chips"):
            if ticket.drill:
                Tag("span", say("drill"), "chip drill")
            Tag("span", ticket.priority, f"chip {ticket.priority.lower()}")
            Tag("span", view.code(ticket.urgency), f"chip plain urgency-{ticket.urgency}")
            Tag("span", view.code(ticket.category), "chip plain")
            Tag("span", view.code(ticket.state), "chip plain")
            if ticket.escalated:
                Tag("span", view.code("escalated"), "chip drill")
        with Tag("dl", look="facts"):
            self._fact(say("service_point"), ticket.service_point_id)
            self._fact(say("meter"), ticket.meter_id)
            if ticket.area and ticket.area != ticket.meter_id:
                self._fact(say("area"), ticket.area)
            if ticket.commodity:
                self._fact(say("commodity"), say.known(ticket.commodity))
            self._fact(say("opened"), view.local.minutes(ticket.opened_ns))
            self._fact(say("department"), say.of(view.vocabulary.departments, ticket.owner_department))
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
        Tag("h3", self._view.say("chart"))
        if chart is None:
            Tag("p", nothing, "sub")
            return
        with Tag("figure", look="chart"):
            Tag("figcaption", caption, "sub")
            ui.echart(chart).props(f'role=img aria-label="{_attribute(caption)}"').classes("plot")

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

    def _evidence(self, ticket: Ticket) -> None:
        say, evidence = self._view.say, ticket.evidence
        of = str(evidence.get("unit", ""))
        Tag("h3", say("evidence"))
        with Tag("dl", look="evidence"):
            for key, value in evidence.items():
                if key in _APART or value is None or isinstance(value, dict):
                    continue
                words, kind = say.evidence(key)
                with Tag("div"):
                    Tag("dt", words)
                    Tag("dd", self._value(value, kind, of))
        periods = evidence.get("periods")
        if isinstance(periods, list) and periods:
            self._periods([p for p in periods if isinstance(p, Mapping)], of)
        parameters = evidence.get("parameters")
        if isinstance(parameters, Mapping) and parameters:
            with Tag("details"):
                Tag("summary", say("parameters"))
                told = [f"{key} {self._value(value, '', '')}" for key, value in parameters.items()]
                name = f"{evidence.get('detector', '')} {evidence.get('version', '')}".strip()
                Tag("p", " · ".join([name, *told] if name else told), "sub")

    def _periods(self, periods: list[Mapping[str, Any]], of: str) -> None:
        view, say = self._view, self._view.say
        rows = []
        for period in periods:
            days, used = period.get("days"), period.get("amount")
            both = isinstance(days, int | float) and isinstance(used, int | float) and days > 0
            start, end = parse_ns(period.get("start")), parse_ns(period.get("end"))
            rows.append(
                (
                    "–" if start is None else view.local.date(start),
                    "–" if end is None else view.local.date(end),
                    number(days) if isinstance(days, int | float) else "–",
                    amount(used, of) if isinstance(used, int | float) else "–",
                    amount(used / days, f"{of}/d") if both and days and used is not None else "–",
                )
            )
        columns = (("from", ""), ("to", ""), ("days", "num"), ("amount", "num"), ("a_day", "num"))
        table(say("periods"), [(say(key), look) for key, look in columns], rows)

    def _value(self, value: object, kind: str, of: str) -> str:
        """A piece of evidence; ``kind`` says what it is, ``of`` is the meter's unit."""
        view, say = self._view, self._view.say
        if isinstance(value, bool):
            return say("yes" if value else "no")
        if isinstance(value, int | float):
            if f"n_{kind}" in WORDS:
                return say(f"n_{kind}", n=number(value))
            return amount(value, kind.replace("{u}", of) if kind not in ("time", "kind") else "")
        if kind == "time":
            return view.event(value)
        if kind == "kind":
            return view.kind(str(value))
        if isinstance(value, list):
            shown = ", ".join(self._value(one, kind, of) for one in value[:20])
            return shown + (f" … ({len(value):,})" if len(value) > 20 else "")
        return str(value)

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
