"""The few elements that the pages are made of. Text goes in as text, never as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from nicegui.element import Element


class Tag(Element):
    """An HTML element with text, which may be changed."""

    def __init__(self, tag: str, text: str = "", look: str = "", **attributes: object) -> None:
        super().__init__(tag)
        self._text = text
        if look:
            self.classes(look)
        for name, value in attributes.items():
            self._props[name.rstrip("_").replace("_", "-")] = value

    def say(self, text: str) -> None:
        """Show another text."""
        if text != self._text:
            self._text = text
            self.update()

    def set(self, name: str, value: object) -> None:
        """Change an attribute."""
        if self._props.get(name) != value:
            self._props[name] = value
            self.update()

    def look(self, name: str, on: bool) -> None:
        """Put a class on, or take it off."""
        if (name in self._classes) is not on:
            self.classes(name) if on else self.classes(remove=name)


class Column(TypedDict):
    """A column of a list."""

    key: str
    label: str
    look: str


class Cell(TypedDict):
    """A cell: one line, perhaps a smaller one below, perhaps a link."""

    text: str
    sub: NotRequired[str]
    title: NotRequired[str]
    look: NotRequired[str]
    href: NotRequired[str]
    current: NotRequired[bool]


class Row(TypedDict):
    """A row; its id is unique in the list."""

    id: str
    look: str
    cells: dict[str, Cell]


class List(Element, component="list.js"):
    """A table that can be refreshed without disturbing who reads it."""

    def __init__(self, caption: str, columns: Sequence[tuple[str, str, str]]) -> None:
        super().__init__()
        self._props["caption"] = caption
        self._props["columns"] = [Column(key=key, label=label, look=look) for key, label, look in columns]
        self._rows: list[Row] = []
        self._props["rows"] = self._rows

    def show(self, rows: list[Row]) -> None:
        """Show these rows."""
        if rows != self._rows:
            self._rows = rows
            self._props["rows"] = rows
            self.update()


class Fresh:
    """Knows what was there a moment ago, to draw the eye once to what has come since."""

    def __init__(self) -> None:
        self._known: set[str] | None = None

    def of(self, keys: Sequence[str]) -> set[str]:
        """Those that were not there the last time."""
        now = set(keys)
        new = set() if self._known is None else now - self._known
        self._known = now
        return new


def empty(title: str, hint: str) -> tuple[Tag, Tag, Tag]:
    """What stands where there is nothing to list: what that means, and what to do."""
    box = Tag("div", look="empty")
    with box:
        return box, Tag("strong", title), Tag("p", hint)


def table(caption: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
    """A small table that stays as it is; ``columns`` are (label, class)."""
    with Tag("table", look="plain", aria_label=caption):
        with Tag("thead"), Tag("tr"):
            for label, look in columns:
                Tag("th", label, look, scope="col")
        with Tag("tbody"):
            for row in rows:
                with Tag("tr"):
                    for (_, look), cell in zip(columns, row, strict=True):
                        Tag("td", str(cell), look)
