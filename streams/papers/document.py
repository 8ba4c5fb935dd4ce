"""A printable document as a value: what an evidence pack or a report says, before it is HTML or PDF.

Everything in it is text that is written out already (figures with their unit, local times), so that
all renderings say the same. ``connectors/documents`` renders it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Literal

import msgspec

from streams.papers.chart import Chart

Language = Literal["zh", "en"]

#: what renderers say themselves → (Chinese, English)
FRAME: dict[str, tuple[str, str]] = {
    "page": ("第 {page} 页，共 {pages} 页", "Page {page} of {pages}"),
    "made": ("制作时间：{made}", "Made {made}"),
    "digest": ("内容 SHA-256：{digest}", "SHA-256 of the content: {digest}"),
}


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """Running text; a line feed in it begins a new line.

    look : ``lead`` larger, for what should be read first; ``small`` for remarks
    """

    text: str
    look: Literal["body", "lead", "small"] = "body"


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """A sentence that must not be overlooked."""

    text: str
    level: Literal["info", "good", "warning"] = "info"


class Facts(msgspec.Struct, frozen=True, tag="facts"):
    """Names and values, two pairs beside each other."""

    pairs: tuple[tuple[str, str], ...]


class Column(msgspec.Struct, frozen=True):
    """A table's column; figures stand at the right. ``whole``: cells are not broken (figures never are)."""

    title: str
    align: Literal["left", "right"] = "left"
    whole: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """Rows of as many cells as there are columns.

    empty : what is said where there are no rows; empty: nothing is shown then
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    empty: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"expected {len(self.columns)} cells in each row, got {len(row)}: {row!r}")


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """A chart and what it shows, in words too: who cannot see it reads those."""

    chart: Chart
    caption: str = ""


Block = Paragraph | Notice | Facts | Table | Figure


class Section(msgspec.Struct, frozen=True):
    """A heading and what stands below it."""

    heading: str
    blocks: tuple[Block, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document.

    reference : its number: a ticket's, or the span of a report; also the name of a file
    made      : when it was made, written out with its zone
    mark      : stands out at the head of every page (a drill); empty: nothing
    """

    title: str
    subtitle: str = ""
    reference: str
    language: Language
    made: str
    mark: str = ""
    sections: tuple[Section, ...] = ()


def canonical(document: Document) -> bytes:
    """The content as JSON with sorted names, without blanks, in ASCII: always the same bytes."""
    content = msgspec.to_builtins(document)
    return json.dumps(
        content, ensure_ascii=True, sort_keys=True, allow_nan=False, separators=(",", ":")
    ).encode()


def digest(document: Document) -> str:
    """SHA-256 of ``canonical``, in hexadecimal: the same for every rendering."""
    return hashlib.sha256(canonical(document)).hexdigest()


def frame(key: str, language: Language, **values: object) -> str:
    """The words that stand around the content."""
    return FRAME[key][0 if language == "zh" else 1].format(**values)


def visible(text: str) -> str:
    """Text of which all can be seen: control, formatting and other odd characters by their number.

    A line feed stays, a tab is a blank; U+0007 becomes ``[U+0007]``. What turns the direction of
    writing around is among these: a document must read as it is.
    """
    if text.isprintable():  # blanks other than U+0020, and all of the categories below, are not
        return text
    out = []
    for char in text.replace("\r\n", "\n").replace("\t", " "):
        if char == "\n" or char.isprintable():
            out.append(char)
        elif unicodedata.category(char) == "Zs":
            out.append(" ")
        else:
            out.append(f"[U+{ord(char):04X}]")
    return "".join(out)
