"""Credit and bill of a ticket: the methods side by side, a proposal, its approval, the bill on hold."""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.web.format import amount
from connectors.web.pages.acts import figure, plain, route
from connectors.web.pages.door import Answer
from connectors.web.pages.forms import Field, Values, text
from connectors.web.pages.parts import Tag, table
from connectors.web.pages.slot import Slot
from streams.trade.settlement import Alternative, Credit, CreditState, CreditSum, Rerating, sums
from streams.trade.tickets import Ticket

OWN = "own"


class Money(Slot):
    """For those who decide about money; others see what was decided."""

    name = "money"
    title = "money"

    def fill(self, ticket: Ticket) -> None:
        """The credit, the bill, and the methods as they were seen or as they are now."""
        view, say = self._view, self._view.say
        may = view.door.may("money") and not ticket.drill
        if not may and ticket.credit is None and not ticket.bill_hold and not ticket.estimates:
            return
        if ticket.estimate is None and ticket.credit is None and not ticket.open:
            return
        Tag("h3", say("money"))
        self._credits(ticket, may)
        self._rerating(ticket.rerating)
        if ticket.rerating is not None:
            self._rerated(ticket, ticket.rerating, may)
        self._bill(ticket, may)
        if ticket.estimates:
            Tag("p", say("as_chosen"), "sub")
            self._methods(list(ticket.estimates))
        if may and ticket.estimate is not None:
            with Tag("div", look="row"):
                button = Tag("button", say("compute"), "act", type="button", data_act="estimates")
                other = Tag("button", say("other_period"), "act", type="button", data_act="period")
                Tag("span", say("side_by_side"), "sub")
            place = Tag("div", look="place")
            button.on("click", lambda: self._compute(ticket, place, {}))
            other.on("click", lambda: self._ask_period(ticket, place))

    def _credits(self, ticket: Ticket, may: bool) -> None:
        """All of them, oldest first; decided is on the newest alone."""
        say = self._view.say
        if not ticket.credits:
            Tag("p", say("no_credit"), "sub")
        for credit in ticket.credits:
            self._credit(ticket, credit, may and credit is ticket.credit)
        if len(ticket.credits) > 1:
            told = " · ".join(self._sum(one) for one in sums(ticket.credits))
            Tag("p", f"{say('credit_sum')}{say('colon')}{told or '–'}", "credit-sum")

    def _sum(self, one: CreditSum) -> str:
        if one.amount is not None:
            return self._view.cash(one.amount, one.currency)
        return f"{_use(one.quantity or 0.0, one.unit)} · {self._view.say('in_kind_yes')}"

    def _credit(self, ticket: Ticket, credit: Credit, may: bool) -> None:
        view, say = self._view, self._view.say
        with Tag("div", look=f"card credit-{credit.state}"):
            with Tag("div", look="head"):
                Tag("strong", self._figures(credit))
                Tag("span", view.money(credit.state), f"chip-of credit-{credit.state}")
                if credit.state is CreditState.PROPOSED and credit.second_person:
                    Tag("span", say("second_person"), "sub")
            method = say.of(view.vocabulary.estimates, credit.method)
            Tag("p", f"{method}{say('colon')}{credit.reason}")
            local = view.local
            if credit.start_ns is not None and credit.end_ns is not None:
                span = say("span", start=local.date(credit.start_ns), end=local.date(credit.end_ns))
                Tag("p", f"{say('credit_period')}{say('colon')}{span}", "sub")
            told = [say("proposed_by", who=credit.proposed_by, when=local.plain(credit.proposed_ns))]
            if credit.decided_ns is not None:
                told.append(say("decided_by", who=credit.decided_by, when=local.plain(credit.decided_ns)))
            if credit.decision:
                told.append(credit.decision)
            if credit.booked_ns is not None:
                when = local.plain(credit.booked_ns)
                told.append(say("booked_by", who=credit.booked_by, when=when, reference=credit.reference))
            Tag("p", say("and").join(told), "sub")
            if may:
                self._decisions(ticket, credit)

    def _figures(self, credit: Credit) -> str:
        parts = []
        if credit.quantity is not None:
            parts.append(_use(credit.quantity, credit.unit))
        if credit.amount is not None:
            parts.append(self._view.cash(credit.amount, credit.currency))
        elif credit.quantity is not None:
            parts.append(self._view.say("in_kind_yes"))
        return " · ".join(parts)

    def _decisions(self, ticket: Ticket, credit: Credit) -> None:
        view, say = self._view, self._view.say
        revision = credit.revision
        own = credit.proposed_by == view.door.actor.name
        note = Field("note", say("note"), "area", most=1000)
        reason = Field("reason", say("reason"), "area", required=True, most=1000)
        reference = Field("reference", say("reference"), required=True, most=200)

        def body(values: Values) -> dict[str, Any]:
            return {**plain(values), "revision": revision}

        with Tag("div", look="row"):
            place = Tag("div", look="place last")
            if credit.state is CreditState.PROPOSED:
                if not own:
                    self.button(
                        say("approve"), place, (note,), route(ticket.id, "credit/approve"), body, "act main"
                    )
                name = say("withdraw" if own else "refuse")
                self.button(name, place, (reason,), route(ticket.id, "credit/refuse"), body)
            elif credit.state is CreditState.APPROVED:
                self.button(
                    say("book"), place, (reference,), route(ticket.id, "credit/booked"), body, "act main"
                )

    def _rerating(self, found: Rerating | None, of: str = "") -> None:
        """Later bills at the wrong place in the tiers: what they were, what they would be, and what that rests on."""
        view, say, words = self._view, self._view.say, self._view.vocabulary.estimates
        if found is None or not (found.bills or found.why_not):
            return
        name = say("later_bills" if found.done_ns is None else "later_bills_done")
        name = f"{of} · {name}" if of else name
        if found.why_not:
            Tag("p", f"{name}{say('colon')}{say.of(words, found.why_not)}", "sub")
        if not found.bills:
            return
        rows = [
            (
                say("span", start=one.start.isoformat(), end=one.end.isoformat()),
                amount(float(one.amount), one.unit),
                view.cash(one.old, found.currency),
                view.cash(one.new, found.currency),
                "–"
                if one.low is None or one.high is None
                else f"{view.cash(one.low, found.currency)} … {view.cash(one.high, found.currency)}",
            )
            for one in found.bills
        ]
        Tag("p", f"{name}{say('colon')}{view.cash(found.difference, found.currency)}", "rerating")
        keys = (
            ("period", ""),
            ("bill_use", "num"),
            ("bill_was", "num"),
            ("bill_would_be", "num"),
            ("bill_range", "num"),
        )
        table(name, [(say(key), look) for key, look in keys], rows)
        notes = [say.of(words, code) for code in found.assumptions]
        Tag("p", ("、" if say.language == "zh" else ", ").join(notes), "sub")

    def _rerated(self, ticket: Ticket, found: Rerating, may: bool) -> None:
        """What of the later bills billing has done, and what is left."""
        view, say = self._view, self._view.say
        if found.waits and found.replaces is not None:
            due, before = (view.cash(each, found.currency) for each in (found.due, found.replaces))
            Tag("p", say("rerate_due", due=due, before=before), "sub")
        if found.done_ns is not None:
            when = view.local.plain(found.done_ns)
            Tag("p", say("rerated_by", who=found.done_by, when=when, reference=found.reference), "sub")
        if may and found.waits:
            reference = Field("reference", say("reference"), required=True, most=200)
            with Tag("div", look="row"):
                place = Tag("div", look="place last")
                self.button(
                    say("mark_rerated"),
                    place,
                    (reference,),
                    route(ticket.id, "rerated"),
                    lambda values: {**plain(values), "difference": str(found.difference)},
                )

    def _bill(self, ticket: Ticket, may: bool) -> None:
        say = self._view.say
        if not ticket.bill_hold and not may:
            return
        with Tag("div", look="row"):
            place = Tag("div", look="place last")
            Tag("span", say("bill_held" if ticket.bill_hold else "bill_not_held"), "held" * ticket.bill_hold)
            if ticket.hold_reason:
                Tag("span", self._view.note(ticket.hold_reason), "sub hold-reason")
            if may:
                name = say("release_bill" if ticket.bill_hold else "hold_bill")
                reason = Field("reason", say("reason"), "area", required=True, most=1000)
                held = ticket.bill_hold
                self.button(
                    name,
                    place,
                    (reason,),
                    route(ticket.id, "bill-hold"),
                    lambda values: {**plain(values), "hold": not held},
                )

    def _methods(self, found: list[Alternative]) -> None:
        view, say = self._view, self._view.say
        words = view.vocabulary.estimates
        rows = []
        for one in found:
            e = one.estimate
            name = say.of(words, one.method)
            if e is None:
                rows.append(
                    (name, "–", "–", "–", f"{say('not_possible')}{say('colon')}{say.of(words, one.why_not)}")
                )
                continue
            digits = 1 if abs(e.billed) >= 10 else 3
            between = "–"
            if e.low is not None and e.high is not None:
                between = f"{amount(e.low, e.unit, digits)} … {amount(e.high, e.unit, digits)}"
            money = say.of(words, one.no_money) if one.no_money else "–"
            if e.money is not None:
                money = view.cash(e.money.amount, e.money.currency)
            rows.append(
                (name, amount(e.expected, e.unit, digits), amount(e.excess, e.unit, digits), between, money)
            )
        columns = (
            ("method", ""),
            ("expected", "num"),
            ("excess", "num"),
            ("range", "num"),
            ("money_amount", ""),
        )
        table(say("side_by_side"), [(say(key), look) for key, look in columns], rows)

    def _ask_period(self, ticket: Ticket, place: Tag) -> None:
        """Which period the methods are to be computed for: a further credit is for one of its own."""
        view, say = self._view, self._view.say

        async def send(values: Values) -> str:
            period = {name: view.instant(text(values, name)) for name in ("start", "end")}
            answer = await view.door.get(route(ticket.id, "estimates"), **period)
            why = self.refused(answer)
            if not why:
                self._offer(ticket, place, answer, period)
            return why

        fields = (
            Field("start", say("period_start"), "when", required=True),
            Field("end", say("period_end"), "when", required=True),
        )
        self.form(place, say("other_period"), fields, send)

    async def _compute(self, ticket: Ticket, place: Tag, period: dict[str, str]) -> None:
        """The methods as they are now."""
        answer = await self._view.door.get(route(ticket.id, "estimates"), **period)
        self._offer(ticket, place, answer, period)

    def _offer(self, ticket: Ticket, place: Tag, answer: Answer, period: dict[str, str]) -> None:
        """The methods, and the form to propose one of them."""
        view, say = self._view, self._view.say
        place.clear()
        if self._typing is place:
            self._typing = None  # the form for the period has been sent
        if why := self.refused(answer):
            with place:
                Tag("p", why, "refusal", role="alert")
            return
        found = msgspec.convert(answer.data["items"], list[Alternative])
        words = view.vocabulary.estimates
        usable = [(one.method, say.of(words, one.method)) for one in found if one.estimate is not None]
        seen = ticket.credit.revision if ticket.credit else 0
        fields = (
            Field(
                "method",
                say("method"),
                "select",
                required=True,
                value=usable[0][0] if usable else OWN,
                choices=[*usable, (OWN, say.of(words, OWN))],
                wide=True,
            ),
            Field("reason", say("method_reason"), "area", required=True, most=1000),
            Field("in_kind", say("in_kind"), "select", choices=(("", say("no")), ("yes", say("yes")))),
            Field("quantity", say("own_quantity"), "number", hint=say("own_hint")),
            Field("amount", say("own_amount"), "number"),
            Field("currency", say("currency"), value=answer.data.get("currency", ""), most=3),
        )

        def body(values: Values) -> dict[str, Any]:
            sent: dict[str, Any] = {
                **plain(values),
                "seen": seen,
                "in_kind": text(values, "in_kind") == "yes",
                **period,
            }
            if sent["method"] != OWN:
                sent.pop("currency", None)
            if "quantity" in sent:
                sent["quantity"] = figure(str(sent["quantity"]))
            return sent

        with place:
            self._methods(found)
            for one in found:
                self._rerating(one.rerating, say.of(words, one.method))
            form = Tag("div", look="place")
        if ticket.open:
            self.ask(form, say("propose"), fields, route(ticket.id, "credit"), body)


def _use(quantity: float, unit: str) -> str:
    """Use that is credited: a tenth is what a bill shows; small amounts have the digits that they need."""
    return amount(quantity, unit, 1 if abs(quantity) >= 10 else None)
