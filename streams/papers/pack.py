"""The evidence pack of a ticket: what staff hand to a customer or a regulator, also when the meter is fine.

Every section is there whatever is known; what is not known is said. Customers appear by the numbers of
their meter and service point only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.messages import NS, RAW_MESSAGES
from streams.papers.conclusion import conclude
from streams.papers.document import (
    Block,
    Column,
    Document,
    Facts,
    Language,
    Notice,
    Paragraph,
    Section,
    Table,
)
from streams.papers.evidence_words import EVIDENCE
from streams.papers.exhibits import Exhibits
from streams.papers.pack_money import Money
from streams.papers.pack_reads import Reads
from streams.papers.pack_telling import MOST, Telling, figure, rounded
from streams.papers.pack_work import Work
from streams.papers.written import amount, number
from streams.trade.routing import department_label
from streams.trade.states import label
from streams.trade.tickets import Purpose
from streams.trade.wording import kind_label

_APART = frozenset(
    {"periods", "parameters", "kind", "unit", "flag_id", "detector", "version", "start", "end", "at", "drill"}
    | {RAW_MESSAGES}
)


def build(exhibits: Exhibits, language: Language) -> Document:
    """The pack in one language. A ticket with nothing but its number gives one too."""
    return _Pack(exhibits, language).document()


class _Pack(Telling):
    """One pack while it is put together."""

    def __init__(self, exhibits: Exhibits, language: Language) -> None:
        super().__init__(exhibits, language)
        self._reads = Reads(exhibits, self.shown, self.local, self.say)
        self._work, self._money = Work(self), Money(self)

    def document(self) -> Document:
        say, ticket = self.say, self.ticket
        category = label(ticket.category, self.language)
        subtitle = say("of_case", category=category, kind=kind_label(ticket.kind, self.language))
        sections = (
            ("conclusion", self._conclusion()),
            ("ticket", self._ticket()),
            ("seen", self._seen()),
            ("neighbours", self._reads.neighbours()),
            ("checks", self._work.checks()),
            ("estimates", self._money.estimates()),
            ("course", self._work.course()),
            ("basis", self._work.basis()),
        )
        return Document(
            title=say("title"),
            subtitle=subtitle[:1].upper() + subtitle[1:],
            reference=ticket.id,
            language=self.language,
            made=self.local.full(self.exhibits.made_ns),
            mark=say("drill") if ticket.drill else "",
            sections=tuple(Section(say(key), tuple(blocks)) for key, blocks in sections),
        )

    # -- conclusion and ticket ------------------------------------------------------------------

    def _conclusion(self) -> list[Block]:
        found = conclude(self.ticket, self.language)
        return [Notice(found.said, found.level), *(Paragraph(text, "lead") for text in found.more)]

    def _ticket(self) -> list[Block]:
        return [Facts(tuple((self.say(key), value) for key, value in self._facts() if value))]

    def _facts(self) -> Iterator[tuple[str, str]]:
        say, ticket, point = self.say, self.ticket, self.case.point
        yield "number", ticket.id
        yield "service_point", ticket.service_point_id
        yield "meter", ticket.meter_id
        yield "serial", point.serial if point else ""
        yield "area", "" if ticket.area == ticket.meter_id else ticket.area
        yield "commodity", say.known(ticket.commodity) if ticket.commodity else ""
        yield "what", kind_label(ticket.kind, self.language)
        yield "category", label(ticket.category, self.language)
        yield "urgency", label(ticket.urgency, self.language)
        yield "priority", ticket.priority
        state = label(ticket.state, self.language)
        yield "state", f"{state}{say('list')}{say('escalated')}" if ticket.escalated else state
        yield "origin", label(ticket.origin, self.language)
        yield "purpose", say(f"purpose_{ticket.purpose}") if ticket.purpose is not Purpose.CASE else ""
        yield "zone", self.local.label(self.exhibits.made_ns)
        yield "opened", self.at(ticket.opened_ns)
        yield "closed", self.at(ticket.closed_ns)
        yield "department", department_label(ticket.owner_department, self.language)
        yield (
            "co_departments",
            say("list").join(department_label(d, self.language) for d in ticket.co_departments),
        )
        yield "first_owner", ticket.first_owner
        yield "owner", ticket.owner
        yield "hand_offs", str(ticket.hand_offs) if ticket.hand_offs else ""
        yield from self._sla()
        yield "responsibility", self.code(ticket.responsibility)
        yield "resolution", self.code(ticket.resolution)
        yield "verdict", self.code(ticket.verdict)
        yield "archive_class", self.code(ticket.archive_class)
        yield "callback", self._callback()
        yield "bill_hold", say("bill_held") if ticket.bill_hold else ""
        yield "watched", self.at(ticket.watch_until_ns)
        yield "related", say("list").join(ticket.related)
        yield "merged_into", ticket.merged_into
        if ticket.meter_count > 1:
            names = say("list").join(ticket.meters[:MOST]) + ("…" if len(ticket.meters) > MOST else "")
            yield (
                "meters",
                say("meters_of", n=f"{max(ticket.meter_count, len(ticket.meters)):,}", names=names),
            )

    def _sla(self) -> Iterator[tuple[str, str]]:
        sla, now = self.ticket.sla, self.exhibits.made_ns
        yield "ack_due", self._due(sla.ack_due_ns, sla.acknowledged_ns, now)
        yield "acknowledged", self.at(sla.acknowledged_ns)
        yield "resolve_due", self._due(sla.resolve_due_ns, self.ticket.closed_ns, now)
        yield "callback_due", self._due(sla.callback_due_ns, self.ticket.callback.done_ns, now)
        yield "paused", self.at(sla.paused_since_ns)
        if sla.paused_ns:
            yield "paused_for", self.say("hours", n=number(round(sla.paused_ns / NS / 3600, 1)))

    def _due(self, due_ns: int | None, met_ns: int | None, now_ns: int) -> str:
        if due_ns is None:
            return ""
        kept = "kept" if met_ns is not None and met_ns <= due_ns else "missed"
        open_yet = met_ns is None and now_ns <= due_ns
        return self.at(due_ns) + ("" if open_yet else self.say(kept))

    def _callback(self) -> str:
        say, callback = self.say, self.ticket.callback
        told = [self.at(callback.done_ns)]
        if callback.satisfied is not None:
            told.append(say("satisfied" if callback.satisfied else "not_satisfied"))
        told.append(say("rating", n=callback.rating) if callback.rating is not None else "")
        told.append(say("signed", how=self.code(callback.signed)) if callback.signed else "")
        told.append(say("no_callback", why=callback.none_because) if callback.none_because else "")
        return say("and").join(text for text in told if text)

    # -- what was seen --------------------------------------------------------------------------

    def _seen(self) -> list[Block]:
        say, (start, end) = self.say, self.shown.episode
        span = say("to", start=self.local.plain(start), end=self.local.plain(end))
        blocks: list[Block] = [
            Facts(((say("what"), kind_label(self.ticket.kind, self.language)), (say("episode"), span)))
        ]
        if compared := tuple(self._compared()):
            blocks += [Paragraph(f"{say('compared')}{say('colon').rstrip()}"), Facts(compared)]
        blocks += self._reads.plot()
        blocks.append(self._periods())
        blocks += self._reads.tables()
        blocks.append(self._flags())
        return blocks

    def _compared(self) -> Iterator[tuple[str, str]]:
        evidence = self.ticket.evidence
        of = str(evidence.get("unit", ""))
        first = ("observed", "expected")
        for key, value in sorted(evidence.items(), key=lambda item: item[0] not in first):
            if key not in _APART and value is not None and not isinstance(value, Mapping):
                zh, en, kind = EVIDENCE.get(key, (key.replace("_", " "), key.replace("_", " "), ""))
                yield (zh if self.language == "zh" else en), self.told(value, kind, of)

    def _periods(self) -> Table:
        say, of = self.say, str(self.ticket.evidence.get("unit", ""))
        periods = self.ticket.evidence.get("periods")
        rows = []
        for period in periods if isinstance(periods, list) else ():
            if isinstance(period, Mapping):
                days, used = figure(period.get("days")), figure(period.get("amount"))
                rows.append(
                    (
                        self.date(period.get("start")),
                        self.date(period.get("end")),
                        "–" if days is None else number(days),
                        "–" if used is None else amount(used, of),
                        amount(used / days, f"{of}/d" if of else "") if used is not None and days else "–",
                    )
                )
        columns = (
            Column(say("from"), whole=True),
            Column(say("until"), whole=True),
            *(Column(say(key), "right") for key in ("days", "amount", "a_day")),
        )
        return Table(columns=columns, rows=tuple(rows), caption=say("periods"))

    def _flags(self) -> Table:
        say = self.say
        return Table(
            columns=(
                Column(say("what")),
                Column(say("status")),
                Column(say("from"), whole=True),
                Column(say("until"), whole=True),
                Column(say("observed"), "right"),
                Column(say("expected"), "right"),
            ),
            rows=tuple(
                (
                    kind_label(episode.kind, self.language),
                    say.known(episode.status),
                    self.date(episode.start),
                    self.date(episode.end),
                    "–" if episode.observed is None else amount(rounded(episode.observed), episode.unit),
                    "–" if episode.expected is None else amount(rounded(episode.expected), episode.unit),
                )
                for episode in list(self.case.episodes)[:MOST]
            ),
            caption=say("flags"),
        )
