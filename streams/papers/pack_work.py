"""The parts of an evidence pack about work: checks, estimates, what was done, and what all of it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from streams.papers.document import Block, Column, Facts, Paragraph, Table
from streams.papers.evidence_words import MESSAGE_ROLES
from streams.papers.pack_telling import MOST, Telling
from streams.papers.written import amount, instant, number, parse_ns
from streams.trade.causes import CHECKS, NEGATIVE, POSITIVE, UNCLEAR, cause_label, check_label
from streams.trade.money_words import amount_word, money_word
from streams.trade.raw_messages import listed
from streams.trade.settlement import Credit, CreditSum, sums
from streams.trade.states import label
from streams.trade.tickets import Alternative, Estimate, HistoryEntry, Step
from streams.trade.wording import ACTIONS, ESTIMATE, kind_label

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

    # -- estimate, course, basis ----------------------------------------------------------------

    def estimates(self) -> list[Block]:
        """The methods side by side, and what was decided."""
        tell = self._tell
        say, ticket = tell.say, tell.ticket
        rows = [self._alternative(found) for found in ticket.estimates]
        if ticket.estimate is not None and ticket.estimate.method not in {a.method for a in ticket.estimates}:
            rows.insert(0, self._estimate(ticket.estimate, bool(rows)))
        figures = ("should", "billed", "excess", "range", "money")
        columns = (
            Column(say("method")),
            *(Column(say(key), "right") for key in figures),
            Column(say("assumptions")),
        )
        return [Table(columns=columns, rows=tuple(rows), empty=say("no_estimate")), *self._credits()]

    def _alternative(self, found: Alternative) -> tuple[str, ...]:
        tell = self._tell
        chosen = tell.ticket.estimate is not None and tell.ticket.estimate.method == found.method
        if found.estimate is None:
            return (tell.of(ESTIMATE, found.method), *("–",) * 5, tell.of(ESTIMATE, found.why_not) or "–")
        return self._estimate(found.estimate, chosen and len(tell.ticket.estimates) > 1, found.no_money)

    def _estimate(self, found: Estimate, chosen: bool, no_money: str = "") -> tuple[str, ...]:
        tell = self._tell
        say, digits = tell.say, 1 if abs(found.billed) >= 10 else 3
        between = "–"
        if found.low is not None and found.high is not None:
            between = f"{number(found.low, digits)} – {amount(found.high, found.unit, digits)}"
        method = tell.of(ESTIMATE, found.method)
        notes = [*found.assumptions, no_money] if no_money else found.assumptions
        return (
            f"{method}{say('colon')}{say('chosen')}" if chosen else method,
            *(amount(value, found.unit, digits) for value in (found.expected, found.billed, found.excess)),
            between,
            "–" if found.money is None else self._money(found.money.amount, found.money.currency),
            say("and").join(tell.of(ESTIMATE, code) for code in notes) or "–",
        )

    def _money(self, value: Decimal, currency: str) -> str:
        sign = "−" if value < 0 else ""
        return sign + amount_word(value, currency, self._tell.language)

    def _credits(self) -> list[Block]:
        """Each credit, and what they come to where there are several."""
        say, all_of_them = self._tell.say, self._tell.ticket.credits
        if not all_of_them:
            return [Paragraph(say("no_credit"), "small")]
        found: list[Block] = [self._credit(one) for one in all_of_them]
        if len(all_of_them) > 1:
            found.append(Facts(tuple((say("credit_sum"), self._sum(one)) for one in sums(all_of_them))))
        return found

    def _sum(self, one: CreditSum) -> str:
        if one.amount is not None:
            return self._money(one.amount, one.currency)
        return amount(one.quantity or 0.0, one.unit)

    def _credit(self, credit: Credit) -> Facts:
        tell = self._tell
        say = tell.say

        def who(name: str, at_ns: int | None) -> str:
            return say("who_when", who=name, when=tell.at(at_ns)) if name else ""

        state = money_word(credit.state, tell.language)
        method = say("own") if credit.method == "own" else tell.of(ESTIMATE, credit.method)
        decided = who(credit.decided_by, credit.decided_ns)
        days = [tell.local.date(at) for at in (credit.start_ns, credit.end_ns) if at is not None]
        period = say("span", start=days[0], end=days[1]) if len(days) == 2 else ""
        pairs = (
            ("credit_period", period),
            ("credit", f"{state}{say('list')}{say('second_person')}" if credit.second_person else state),
            ("method", method),
            ("quantity", "" if credit.quantity is None else amount(credit.quantity, credit.unit)),
            ("credit_amount", "" if credit.amount is None else self._money(credit.amount, credit.currency)),
            ("credit_reason", credit.reason),
            ("proposed_by", who(credit.proposed_by, credit.proposed_ns)),
            ("decided_by", f"{decided}{say('colon')}{credit.decision}" if credit.decision else decided),
            (
                "booked_by",
                say("and").join(filter(None, (who(credit.booked_by, credit.booked_ns), credit.reference))),
            ),
        )
        return Facts(tuple((say(key), value) for key, value in pairs if value))

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
