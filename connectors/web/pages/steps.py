"""The checks of a ticket in their order, each with its result; the one that the ranking suggests is marked."""

from __future__ import annotations

from connectors.web.pages.acts import plain, route
from connectors.web.pages.forms import Field
from connectors.web.pages.parts import Tag
from connectors.web.pages.slot import Slot
from streams.trade.tickets import Step, Ticket


def suggested(ticket: Ticket) -> int | None:
    """The number of the check to do next: that of the likeliest cause that no check has decided, else the first."""
    waiting = [step for step in ticket.steps if not step.result]
    if not ticket.open or not waiting or any(step.finding == "positive" for step in ticket.steps):
        return None  # what it was is found
    if not any(step.result for step in ticket.steps):
        return waiting[0].seq  # 抄错 → 漏气 → 校表: the trade's own order, until something is known
    for cause in ticket.hypotheses:
        for step in waiting:
            if step.check == cause.next_check:
                return step.seq
    return waiting[0].seq


class Checks(Slot):
    """What was checked, what is to be checked, and a form for the result."""

    name = "checks"
    title = "checks"

    def fill(self, ticket: Ticket) -> None:
        """A row for each check."""
        say = self._view.say
        if not ticket.steps:
            return
        Tag("h3", say("checks"))
        following = suggested(ticket)
        with Tag("ol", look="steps"):
            for step in ticket.steps:
                self._step(ticket, step, step.seq == following)

    def _step(self, ticket: Ticket, step: Step, following: bool) -> None:
        view, say = self._view, self._view.say
        look = f"step finding-{step.finding or 'none'}" + (" next" if following else "")
        with Tag("li", look=look):
            Tag("span", str(step.seq), "seq")
            with Tag("div", look="what"):
                Tag("span", say.of(view.vocabulary.checks, step.check))
                with Tag("span", look="sub"):
                    Tag("span", view.code(step.kind))
                    if step.done_ns is not None:
                        when = view.local.plain(step.done_ns)
                        Tag("span", f" · {say('done_by', who=step.by, when=when)}")
                if step.result:
                    Tag("p", step.result, "told")
            with Tag("div", look="side-of-step"):
                if step.finding:
                    found = view.code(step.finding)
                    if step.finding == "positive" and step.cause:
                        found += f"{say('colon')}{say.of(view.vocabulary.causes, step.cause)}"
                    Tag("span", found, "chip-of finding")
                elif following:
                    Tag("span", say("suggested"), "chip-of next")
                if step.result or not ticket.open or not view.door.may("work"):
                    return
                button = Tag(
                    "button",
                    say("keep_result"),
                    "act main" if following else "act",
                    type="button",
                    data_act=f"check-{step.seq}",
                )
            place = Tag("div", look="place")
            button.on("click", lambda: self._result(ticket, step, place))

    def _result(self, ticket: Ticket, step: Step, place: Tag) -> None:
        view, say = self._view, self._view.say
        sought = [one.cause for one in ticket.hypotheses if one.next_check == step.check]
        fields = [
            Field(
                "finding",
                say("finding"),
                "select",
                required=True,
                choices=(
                    ("", say("choose")),
                    ("negative", say("finding_negative")),
                    ("positive", say("finding_positive")),
                    ("unclear", say("finding_unclear")),
                ),
            ),
        ]
        if len(sought) > 1:
            words = view.vocabulary.causes
            causes = [("", "–"), *((code, say.of(words, code)) for code in sought)]
            fields.append(Field("cause", say("which_cause"), "select", choices=causes))
        fields.append(Field("result", say("check_result"), "area", required=True, most=4000))
        path = route(ticket.id, f"checks/{step.seq}")
        self.ask(place, say("save"), fields, path, plain)
