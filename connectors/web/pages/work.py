"""The bar of actions of a ticket: the states that may follow, and everything else that can be done."""

from __future__ import annotations

from connectors.web.pages import acts
from connectors.web.pages.acts import Act
from connectors.web.pages.parts import Tag
from connectors.web.pages.slot import Slot
from streams.trade.tickets import State, Ticket


class Work(Slot):
    """Buttons for what is allowed now; below them the form of the one that was chosen."""

    name = "work"
    title = "actions"

    def fill(self, ticket: Ticket) -> None:
        """The buttons; for a role that does not work on tickets, what it is."""
        view, say = self._view, self._view.say
        if not view.door.may("work"):
            Tag("p", say("watching", role=view.role()), "sub")
            return
        if ticket.state is State.MERGED:
            with Tag("p", look="sub"):
                Tag("span", f"{say('merged_to')}{say('colon')}")
                Tag("a", ticket.merged_into, href=f"/tickets/{ticket.merged_into}")
            return
        following, others = acts.moves(view, ticket), acts.others(view, ticket)
        if not following:
            Tag("p", say("ended"), "sub")
        self._buttons: dict[str, Tag] = {}
        self._row(say("next_state"), following, "state")
        self._row(say("other_actions"), others, "")
        self._place = Tag("div", look="place")

    def _row(self, name: str, found: list[Act], look: str) -> None:
        if not found:
            return
        with Tag("div", look="row", role="group", aria_label=name):
            Tag("span", name, "sub")
            for act in found:
                made = Tag(
                    "button",
                    act.label,
                    f"act {look} {'grave' if act.grave else ''}",
                    type="button",
                    data_act=act.key,
                    aria_expanded="false",
                )
                made.on("click", lambda act=act: self._open(act))
                self._buttons[act.key] = made

    def _open(self, act: Act) -> None:
        assert self._ticket is not None
        for key, button in self._buttons.items():
            button.set("aria-expanded", str(key == act.key).lower())
        name = self._view.say("do_move", state=act.label) if act.path == "move" else act.label
        self.ask(
            self._place, name, act.fields, acts.route(self._ticket.id, act.path), act.body, grave=act.grave
        )
        if act.hint:
            with self._place:
                Tag("p", act.hint, "sub")
