"""What the list of tickets may be narrowed to: a search field, and choices that are taken at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace
from nicegui.events import GenericEventArguments

from connectors.store.search import Wanted
from connectors.web.pages.parts import Tag
from connectors.web.pages.view import View
from streams.trade.states import Category, State
from streams.trade.tickets import Purpose

NOTHING = Wanted()
_PRIORITIES = ("P1", "P2", "P3", "P4")
#: sent with every change; a search waits until somebody has stopped typing
_COLLECT = """(e) => {
  if (e.type === 'submit') e.preventDefault();
  const form = e.currentTarget;
  clearTimeout(form.pending);
  form.pending = setTimeout(() => emit(Object.fromEntries(
    [...new FormData(form)].map(([name, value]) => [name, String(value).trim()]))), e.type === 'input' ? 250 : 0);
}"""


class Filters:
    """The form above the list; ``changed`` is told what is wanted now."""

    def __init__(self, view: View, changed: Callable[[Wanted], Awaitable[None]]) -> None:
        self._view = view
        self._changed = changed
        say = view.say
        form = Tag("form", look="filters", role="search", aria_label=say("filter"), autocomplete="off")
        with form:
            Tag(
                "input",
                type="search",
                name="text",
                placeholder=say("search_tickets"),
                aria_label=say("search_tickets"),
                maxlength=200,
            )
            with Tag("details"):
                self._summary = Tag("summary", say("filter"))
                with Tag("div", look="more"):
                    self._select("state", [(str(one), view.code(one)) for one in State])
                    self._select("priority", [(one, one) for one in _PRIORITIES])
                    self._select("category", [(str(one), view.code(one)) for one in Category])
                    words = view.vocabulary.departments
                    self._select("department", [(code, say.of(words, code)) for code in words])
                    for name in ("mine", "overdue", "escalated", "explain"):
                        with Tag("label", look="tick"):
                            Tag("input", type="checkbox", name=name, value="yes")
                            Tag("span", say(f"only_{name}"))
        for event in ("input", "change", "submit"):
            form.on(event, self._take, js_handler=_COLLECT)

    def _select(self, name: str, choices: list[tuple[str, str]]) -> None:
        say = self._view.say
        label = say(name)
        with Tag("select", name=name, aria_label=label):
            Tag("option", f"{label}{say('colon')}{say('show_all')}", value="")
            for value, words in choices:
                Tag("option", words, value=value)

    async def _take(self, event: GenericEventArguments) -> None:
        given = event.args if isinstance(event.args, dict) else {}
        found = wanted(given, self._view.door.actor.name)
        narrowed = sum(1 for name, value in given.items() if value and name != "text")
        say = self._view.say
        self._summary.say(say("filter_n", n=narrowed) if narrowed else say("filter"))
        await self._changed(found)


def wanted(given: Mapping[str, Any], me: str) -> Wanted:
    """What is looked for, of the form's values. What is overdue is put in at the time of asking."""

    def text(name: str) -> str:
        return str(given.get(name, ""))[:200].replace("\0", "")

    return Wanted(
        text=text("text"),
        state=text("state"),
        priority=text("priority"),
        category=text("category"),
        department=text("department"),
        owner=me if given.get("mine") else "",
        escalated=True if given.get("escalated") else None,
        purpose=str(Purpose.EXPLAIN) if given.get("explain") else "",
        overdue_ns=0 if given.get("overdue") else None,
    )


def at(found: Wanted, now_ns: int) -> Wanted:
    """The same, with what is overdue by now."""
    return found if found.overdue_ns is None else replace(found, overdue_ns=now_ns)
