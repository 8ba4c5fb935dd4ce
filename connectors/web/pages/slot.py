"""A part of a ticket's page that somebody may be typing in: it is not drawn again under their hands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from connectors.web.pages.door import Answer
from connectors.web.pages.forms import Field, Form, Look, Send, Values
from connectors.web.pages.parts import Tag
from connectors.web.pages.refusals import refusal
from connectors.web.pages.view import View
from streams.trade.tickets import Ticket

#: reads the ticket again and shows it
Changed = Callable[[], Awaitable[None]]
#: what is sent, of the values
Body = Callable[[Values], dict[str, Any]]


class Slot(ABC):
    """A section that draws a ticket, and one form at a time below a button."""

    name = ""

    def __init__(self, view: View, changed: Changed) -> None:
        self._view = view
        self._changed = changed
        self._ticket: Ticket | None = None
        self._typing: Tag | None = None  # where a form is open
        # what is drawn: a button that is replaced by its like may lose a click
        self._drawn: tuple[Ticket | None, str] | None = None
        self.element = Tag(
            "section", look=f"slot {self.name}", aria_label=view.say(self.title) if self.title else ""
        )

    title = ""  # a key of the words

    def show(self, ticket: Ticket) -> None:
        """Show a ticket; while a form is open what stands there stays."""
        self._ticket = ticket
        if self._typing is None and self._drawn != (ticket, self._view.local.zone):
            self.draw()

    def draw(self) -> None:
        """Draw it, without a form."""
        self._typing = None
        self._drawn = (self._ticket, self._view.local.zone)
        self.element.clear()
        if self._ticket is not None:
            with self.element:
                self.fill(self._ticket)

    @abstractmethod
    def fill(self, ticket: Ticket) -> None:
        """The content."""

    def ask(
        self, where: Tag, name: str, fields: Sequence[Field], path: str, body: Body, *, grave: bool = False
    ) -> None:
        """Open a form below a button; once it is done the page shows the new state."""

        async def send(values: Values) -> str:
            answer = await self._view.door.post(path, body(values))
            why = self.refused(answer)
            if not why:
                self._typing = self._drawn = None
                await self._changed()
                if self._drawn is None:
                    self.draw()
            return why

        self.form(where, name, fields, send, grave=grave)

    def form(
        self, where: Tag, name: str, fields: Sequence[Field], send: Send, *, grave: bool = False
    ) -> None:
        """Open a form that does what ``send`` does."""
        if self._typing is not None and self._typing is not where:
            self._typing.clear()  # one at a time
        self._typing = where
        where.clear()
        with where:
            Form(self._view.say, name, fields, send, Look(submit=name, grave=grave, cancel=self.draw))
        self.focus(where)

    def button(
        self, label: str, where: Tag, fields: Sequence[Field], path: str, body: Body, look: str = "act"
    ) -> Tag:
        """A button that opens a form."""
        made = Tag("button", label, look, type="button")
        made.on("click", lambda: self.ask(where, label, fields, path, body))
        return made

    def refused(self, answer: Answer) -> str:
        """Why something was not done, in words; empty where it was."""
        return refusal(answer, self._view.say, self._view.named)

    def focus(self, where: Tag) -> None:
        """Put the keyboard into the first field of a form."""
        focus(where)


def focus(where: Tag) -> None:
    """Put the keyboard into the first field that there is, and bring it into sight; not where somebody types there."""
    where.client.run_javascript(
        f"setTimeout(() => {{ const place = getHtmlElement({where.id});"
        "if (!place || place.contains(document.activeElement)) return;"
        "const e = place.querySelector('input:not([type=hidden]), select, textarea');"
        "e?.focus({preventScroll: true}); e?.closest('form')?.scrollIntoView({block: 'nearest'}) }, 60)"
    )
