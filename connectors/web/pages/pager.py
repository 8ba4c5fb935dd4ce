"""The way through a long list: older, newer, back to the newest.

By keyset: a page begins after the last line of the one before, whatever comes in meanwhile, and the
thousandth costs what the first one does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors.web.pages.parts import Tag
from connectors.web.words import Words

_TO_TOP = """setTimeout(() => { const top = getHtmlElement(%d);
  top?.scrollIntoView({block: 'nearest'}); top?.parentElement.querySelector('.scroll')?.scrollTo(0, 0) }, 60)"""


class Pager:
    """Three buttons below a list; where everything is on one page, nothing.

    about : what is paged, for those who hear the page
    turn  : asks for the page that begins after ``before``, and shows it
    top   : the list's head, which comes into sight when a page is turned
    """

    def __init__(self, say: Words, about: str, turn: Callable[[], Awaitable[None]], top: Tag) -> None:
        self._say, self._turn, self._top, self._busy = say, turn, top, False
        self._marks: list[str] = []  # after what each page from the second on begins
        self._next = ""
        self.element = Tag("nav", look="pager", aria_label=f"{about}{say('colon')}{say('paging')}")
        with self.element:
            self._first = self._button("newest", self._to_first)
            self._newer = self._button("newer", self._to_newer)
            self._place = Tag("span", "", "sub", aria_live="polite")
            self._older = self._button("older", self._to_older)
        self.element.set_visibility(False)

    @property
    def before(self) -> str:
        """After what the page that is shown begins; empty: it is the newest."""
        return self._marks[-1] if self._marks else ""

    @property
    def depth(self) -> int:
        """How many pages come before the one that is shown."""
        return len(self._marks)

    def reset(self) -> None:
        """Begin with the newest again: something else is looked for."""
        self._marks.clear()

    def show(self, following: object) -> None:
        """Tell where the page after the one that is shown begins; None: there is none."""
        self._next = "" if following is None else str(following)
        self.element.set_visibility(bool(self._marks or self._next))
        self._place.say(self._say("page_n", n=len(self._marks) + 1))
        # not ``disabled``: who pages by keyboard keeps the focus on the last page
        for button, idle in (
            (self._first, not self._marks),
            (self._newer, not self._marks),
            (self._older, not self._next),
        ):
            button.set("aria-disabled", str(idle).lower())

    def _button(self, words: str, press: Callable[[], bool]) -> Tag:
        made = Tag("button", self._say(words), "act small", type="button", data_page=words)

        async def pressed() -> None:
            if self._busy or not press():
                return
            self._busy = True
            try:
                await self._turn()
                self._top.client.run_javascript(_TO_TOP % self._top.id)
            finally:
                self._busy = False

        made.on("click", pressed)
        return made

    def _to_first(self) -> bool:
        moved = bool(self._marks)
        self._marks.clear()
        return moved

    def _to_newer(self) -> bool:
        return bool(self._marks and self._marks.pop())

    def _to_older(self) -> bool:
        if self._next:
            self._marks.append(self._next)
        return bool(self._next)
