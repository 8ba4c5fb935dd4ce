"""The parts of an evidence pack about money: the methods side by side, credits, and later bills that they move."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from streams.papers.document import Block, Column, Facts, Paragraph, Table
from streams.papers.pack_telling import Telling
from streams.papers.written import amount, number
from streams.trade.money_words import amount_word, money_word
from streams.trade.settlement import Alternative, Credit, CreditSum, Estimate, ReratedBill, Rerating, sums
from streams.trade.wording import ESTIMATE


class Money:
    """The section of one pack that says what should have been billed, and what became of it."""

    def __init__(self, tell: Telling) -> None:
        self._tell = tell

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
        return [
            Table(columns=columns, rows=tuple(rows), empty=say("no_estimate")),
            *self._credits(),
            *self._later(),
        ]

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

    # -- later bills ----------------------------------------------------------------------------

    def _later(self) -> list[Block]:
        """The bills after it that stood at the wrong place in the tiers, and what billing has done about them."""
        tell = self._tell
        say, found = tell.say, tell.ticket.rerating
        if found is None or not (found.bills or found.why_not):
            return []
        blocks: list[Block] = []
        if found.bills:
            figures = ("use", "it_was", "would_be", "range_of_bill")
            columns = (Column(say("period"), whole=True), *(Column(say(key), "right") for key in figures))
            rows = tuple(self._bill(one, found.currency) for one in found.bills)
            caption = say("later_bills" if found.waits else "later_bills_done")
            blocks.append(Table(columns=columns, rows=rows, caption=caption))
        if pairs := tuple((say(key), value) for key, value in self._standing(found) if value):
            blocks.append(Facts(pairs))
        notes = [tell.of(ESTIMATE, code) for code in (found.why_not, *found.assumptions) if code]
        return [*blocks, Paragraph(say("and").join(notes), "small")] if notes else blocks

    def _bill(self, one: ReratedBill, currency: str) -> tuple[str, ...]:
        between = "–"
        if one.low is not None and one.high is not None:
            between = f"{self._money(one.low, currency)} – {self._money(one.high, currency)}"
        return (
            self._tell.say("span", start=one.start.isoformat(), end=one.end.isoformat()),
            amount(float(one.amount), one.unit),
            self._money(one.old, currency),
            self._money(one.new, currency),
            between,
        )

    def _standing(self, found: Rerating) -> Iterator[tuple[str, str]]:
        """The difference, what of it was told before, done and is left, and by whom."""
        tell, of = self._tell, found.currency
        if found.bills:
            yield "difference", self._money(found.difference, of)
        if found.replaces is not None:
            yield "replaces", self._money(found.replaces, of)
        if found.waits and found.done:
            yield "rerated", self._money(found.done, of)
            yield "rerate_due", self._money(found.due, of)
        if found.done_by:
            by = tell.say("who_when", who=found.done_by, when=tell.at(found.done_ns))
            yield "rerated_by", tell.say("and").join(filter(None, (by, found.reference)))
