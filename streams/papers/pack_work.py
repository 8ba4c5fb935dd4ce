"""The parts of an evidence pack about work: checks, what was done, and what all of it rests on."""

from __future__ import annotations

from collections.abc import Mapping

from streams.papers.document import Block, Column, Facts, Paragraph, Table
from streams.papers.evidence_words import MESSAGE_ROLES
from streams.papers.pack_telling import MOST, Telling
from streams.papers.written import amount, instant, number, parse_ns
from streams.trade.causes import CHECKS, NEGATIVE, POSITIVE, UNCLEAR, cause_label, check_label
from streams.trade.money_words import money_word
from streams.trade.raw_messages import listed
from streams.trade.states import label
from streams.trade.tickets import HistoryEntry, Step
from streams.trade.wording import ACTIONS, kind_label

_HISTORY = 200  # newest lines


class Work:
    """The sections of one pack that staff have filled."""

    def __init__(self, tell: Telling) -> None:
        self._tell = tell

    def checks(self) -> list[Block]:
        tell = self._tell
        say = tell.say
        titles = ("check", "decides", "finding", "by", "when")
        blocks: list[Block] = [
            Table(
                columns=(
                    Column(say("seq"), "right"),
                    *(Column(say(key), whole=key == "when") for key in titles),
                ),
                rows=tuple(self._step(step) for step in tell.ticket.steps),
                empty=say("no_checks"),
            )
        ]
        if tell.ticket.hypotheses:
            ranked = sorted(tell.ticket.hypotheses, key=lambda h: -h.weight)
            blocks.append(
                Table(
                    columns=(Column(say("cause")), Column(say("weight"), "right"), Column(say("next_check"))),
                    rows=tuple(
                        (
                            cause_label(h.cause, tell.language),
                            f"{h.weight:.0%}",
                            check_label(h.next_check, tell.language),
                        )
                        for h in ranked
                    ),
                    caption=say("ranked"),
                )
            )
            blocks.append(Paragraph(say("weights_note"), "small"))
        return blocks + self._swap() + self._record()

    def _step(self, step: Step) -> tuple[str, ...]:
        tell = self._tell
        say = tell.say
        finding = say.known(step.finding) if step.finding else ""
        done = finding or (say("done") if step.result or step.done_ns is not None else say("pending"))
        result = step.result if step.result != step.finding else ""
        return (
            str(step.seq),
            check_label(step.check, tell.language),
            cause_label(step.cause, tell.language),
            f"{done}{say('colon')}{result}" if result else done,
            step.by or "–",
            tell.at(step.done_ns) or "–",
        )

    def _swap(self) -> list[Block]:
        tell = self._tell
        say, swap = tell.say, tell.ticket.swap
        if swap is None:
            return []
        instant = parse_ns(swap.at)
        pairs = (
            ("old_serial", swap.old_serial),
            ("stop_read", amount(swap.stop_read, swap.unit)),
            ("new_serial", swap.new_serial),
            ("start_read", amount(swap.start_read, swap.unit)),
            ("swapped", swap.at if instant is None else tell.local.plain(instant)),
            ("told", tell.at(swap.told_ns) or say("not_told")),
        )
        return [Paragraph(say("swap")), Facts(tuple((say(key), value) for key, value in pairs))]

    def _record(self) -> list[Block]:
        tell = self._tell
        parts = tuple((tell.say.known(f"record_{key}"), value) for key, value in tell.ticket.record.items())
        return [Paragraph(tell.say("record")), Facts(parts)] if parts else []

    # -- course, basis --------------------------------------------------------------------------

    def _note(self, line: HistoryEntry) -> str:
        """A check's line names check and finding by their codes: here by their words."""
        check, _, rest = line.note.partition(": ")
        finding, _, result = rest.partition(", ")
        if line.action != "checked" or check not in CHECKS or finding not in (POSITIVE, NEGATIVE, UNCLEAR):
            return line.note
        tell = self._tell
        told = f"{check_label(check, tell.language)}{tell.say('and')}{tell.say.known(finding)}"
        return f"{told}{tell.say('colon')}{result}" if result else told

    def _notices(self) -> Table:
        tell = self._tell
        say = tell.say
        return Table(
            columns=tuple(Column(say(key)) for key in ("situation", "channel", "status", "when")),
            rows=tuple(
                (
                    money_word(notice.situation, tell.language),
                    money_word(notice.channel, tell.language),
                    money_word(notice.state, tell.language),
                    tell.at(notice.sent_ns or notice.approved_ns or notice.drafted_ns),
                )
                for notice in tell.ticket.notices[-MOST:]
            ),
            caption=say("notices"),
        )

    def course(self) -> list[Block]:
        tell = self._tell
        say, ticket = tell.say, tell.ticket
        blocks: list[Block] = [
            Table(
                columns=tuple(
                    Column(say(key)) for key in ("complaint", "when", "channel", "category", "lead_time")
                ),
                rows=tuple(
                    (
                        complaint.reference or complaint.id,
                        tell.local.plain(complaint.at_ns),
                        say.known(complaint.channel),
                        label(complaint.category, tell.language),
                        "–"
                        if complaint.lead_time_s is None
                        else say("hours", n=number(round(complaint.lead_time_s / 3600, 1))),
                    )
                    for complaint in list(tell.case.complaints)[:MOST]
                ),
                caption=say("complaints"),
                empty=say("no_complaints"),
            )
        ]
        lines = ticket.history[-_HISTORY:]
        columns = (
            Column(say("when"), whole=True),
            *(Column(say(k)) for k in ("action", "state", "actor", "note")),
        )
        rows = tuple(
            (
                tell.local.plain(line.at_ns),
                tell.of(ACTIONS, line.action),
                label(line.after, tell.language) if line.after else "",
                say("system") if line.actor == "forestall" else line.actor,
                self._note(line),
            )
            for line in lines
        )
        return [*blocks, self._notices(), Table(columns=columns, rows=rows, caption=say("history"))]

    def _messages(self) -> list[Block]:
        """The raw messages behind the ticket's flags, or that there are none."""
        tell = self._tell
        say = tell.say
        found, more = listed(tell.case.episodes)
        rows = tuple(
            (
                kind_label(episode.kind, tell.language),
                say.known(told.status),
                tell.of(MESSAGE_ROLES, told.role),
                "–" if (received := parse_ns(told.received)) is None else tell.local.full(received),
                told.topic or "–",
                told.digest,
            )
            for episode, told in found
        )
        titles = ("what", "status", "message_role", "message_received", "message_topic")
        columns = (*(Column(say(key)) for key in titles), Column("SHA-256-128"))
        empty = say("no_raw_messages")
        table = Table(columns=columns, rows=rows, caption=say("raw_messages"), empty=empty)
        notes = [say("raw_messages_more", n=f"{more:,}")] if more else []
        notes += [say("raw_messages_note")] if rows else []
        return [table, *(Paragraph(note, "small") for note in notes)]

    def basis(self) -> list[Block]:
        tell = self._tell
        say, evidence = tell.say, tell.ticket.evidence
        parameters = evidence.get("parameters")
        told = (
            say("and").join(f"{k} = {tell.told(v, '', '')}" for k, v in parameters.items())
            if isinstance(parameters, Mapping)
            else ""
        )
        last = tell.ticket.history[-1].digest if tell.ticket.history else ""
        pairs = (
            ("detector", str(evidence.get("detector", ""))),
            ("version", str(evidence.get("version", ""))),
            ("program", f"Forestall {tell.exhibits.version}".strip()),
            ("flag_id", say("list").join(tell.ticket.flag_ids[-MOST:])),
            ("chain", last),
        )
        blocks: list[Block] = [Facts(tuple((say(key), value) for key, value in pairs if value))]
        if told:
            blocks.append(Paragraph(f"{say('parameters')}{say('colon')}{told}"))
        blocks += self._messages()
        if tell.exhibits.digests:
            columns = (Column(say("register")), Column(say("kept_readings"), "right"), Column("SHA-256"))
            first, last = instant(tell.shown.start_ns), instant(tell.shown.end_ns)
            caption = f"{say('digests')}{say('colon')}{say('to', start=first, end=last)}"
            counts = {trace.register: len(trace) for trace in tell.exhibits.traces}
            rows = tuple(
                (register or "–", f"{counts.get(register, 0):,}", digest)
                for register, digest in tell.exhibits.digests.items()
            )
            blocks.append(Table(columns=columns, rows=rows, caption=caption))
            blocks.append(Paragraph(say("digests_note"), "small"))
        return [*blocks, Paragraph(say("pseudonyms"), "small")]
