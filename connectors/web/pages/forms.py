"""Forms: the browser's own fields, in one order, sent as a whole; what is refused is said below them.

Everything works by keyboard because nothing is drawn that the browser does not know: labels, fieldsets, selects,
dates. The values go to the server when the form is sent, and not before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui.events import GenericEventArguments

from connectors.web.pages.parts import Tag
from connectors.web.words import Words

Kind = Literal["text", "area", "select", "many", "number", "when", "day", "month", "hidden", "search", "head"]
#: name → what was filled in, stripped; several of a ``many``
Values = Mapping[str, str | list[str]]
#: does it; returns what is to be said where it was not done, else nothing
Send = Callable[[Values], Awaitable[str]]

_COLLECT = """(e) => {
  e.preventDefault();
  const out = {};
  for (const [name, value] of new FormData(e.target))
    (out[name] = out[name] ?? []).push(String(value).trim());
  emit(out);
}"""
_TYPES = {"when": "datetime-local", "day": "date", "month": "month", "number": "number", "search": "search"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    choices : (value, words) of a select or of boxes to tick; suggestions of a text
    """

    name: str
    label: str
    kind: Kind = "text"
    required: bool = False
    value: str | Sequence[str] = ""
    choices: Sequence[tuple[str, str]] = ()
    hint: str = ""
    wide: bool = False
    most: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """How a form is.

    submit : what its button says
    cancel : gives it up; None: it stays
    asks   : it changes nothing: of two questions in a row the later one is answered, and not only the first
    """

    submit: str
    grave: bool = False
    asks: bool = False
    cancel: Callable[[], object] | None = None


class Form:
    """A form that is drawn where it is made."""

    def __init__(self, say: Words, name: str, fields: Sequence[Field], send: Send, look: Look) -> None:
        self._say, self._send, self._busy = say, send, False
        self._asks = look.asks
        self._next: dict[str, Any] | None = None  # what was asked for meanwhile
        self._multiple = {field.name for field in fields if field.kind == "many"}
        self.element = Tag("form", look="form", aria_label=name, autocomplete="off")
        with self.element:
            with Tag("div", look="fields"):
                for field in fields:
                    self._draw(field)
            self._refusal = Tag("p", "", "refusal", role="alert")
            self._refusal.set_visibility(False)
            with Tag("div", look="buttons"):
                Tag("button", look.submit, "act grave" if look.grave else "act main", type="submit")
                if look.cancel is not None:
                    Tag("button", say("cancel"), "act", type="button").on("click", look.cancel)
        self.element.on("submit", self._submit, js_handler=_COLLECT)

    def refuse(self, text: str) -> None:
        """Say why it was not done."""
        self._refusal.say(text)
        self._refusal.set_visibility(bool(text))

    async def _submit(self, event: GenericEventArguments) -> None:
        given = event.args
        if not isinstance(given, dict):
            return
        if self._busy:  # else sent twice by an impatient hand
            self._next = given if self._asks else None
            return
        self._busy = True
        try:
            while given is not None:
                self._next = None
                self.refuse("")
                self.refuse(await self._send(self._values(given)))
                given = self._next
        finally:
            self._busy = False

    def _values(self, given: Mapping[str, Any]) -> Values:
        found: dict[str, str | list[str]] = {}
        for name, value in given.items():
            listed = [str(one) for one in value] if isinstance(value, list) else [str(value)]
            found[name] = listed if name in self._multiple else listed[-1]
        return found

    def _draw(self, field: Field) -> None:
        if field.kind == "hidden":
            Tag("input", type="hidden", name=field.name, **_initial(field))
            return
        if field.kind == "head":
            Tag("h4", field.label, "wide")
            return
        if field.kind == "many":
            with Tag("fieldset", look="field wide"):
                Tag("legend", field.label)
                for value, words in field.choices:
                    with Tag("label", look="tick"):
                        Tag("input", type="checkbox", name=field.name, value=value, **_on(value, field))
                        Tag("span", words)
            return
        wide = " wide" if field.wide or field.kind == "area" else ""
        with Tag("div", look=f"field{wide}"):
            label = Tag("label", look="name")
            with label:
                Tag("span", field.label)
                if field.required:
                    Tag("span", self._say("required_mark"), "must", title=self._say("required"))
            label.set("for", self._input(field).html_id)
            if field.hint:
                Tag("span", field.hint, "hint")

    def _input(self, field: Field) -> Tag:
        more: dict[str, Any] = {"name": field.name}
        if field.required:
            more["required"] = True
        if field.most:
            more["maxlength"] = field.most
        if field.kind == "area":
            made = Tag("textarea", str(field.value), rows="2", **more)
        elif field.kind == "select":
            made = Tag("select", **more)
            with made:
                for value, words in field.choices:
                    Tag("option", words, value=value, **_chosen(value == field.value))
        else:
            if field.kind == "number":
                more |= {"step": "any", "inputmode": "decimal"}
            if field.choices:
                more["list"] = f"list-{id(field):x}"
            made = Tag("input", type=_TYPES.get(field.kind, "text"), **_initial(field), **more)
            if field.choices:
                with Tag("datalist", id=more["list"]):
                    for value, words in field.choices:
                        Tag("option", words, value=value)
        return made


def _initial(field: Field) -> dict[str, Any]:
    """The value that a field begins with: as an attribute, for a property would be set again at every refresh."""
    return {"^value": str(field.value)} if field.value else {}


def _chosen(yes: bool) -> dict[str, Any]:
    return {"selected": True} if yes else {}


def _on(value: str, field: Field) -> dict[str, Any]:
    return {"checked": True} if value in field.value else {}


def text(values: Values, name: str) -> str:
    """One value."""
    value = values.get(name, "")
    return value if isinstance(value, str) else ",".join(value)


def several(values: Values, name: str) -> list[str]:
    """All values of boxes to tick."""
    value = values.get(name, [])
    return [value] if isinstance(value, str) else list(value)
