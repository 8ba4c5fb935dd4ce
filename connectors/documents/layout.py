"""Text into lines: where a line may end, in Chinese and in Latin writing, and which fonts write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.documents.fonts import Pen
from streams.papers.document import visible

#: must not begin a line, and must not end one
_NO_START = frozenset("，。、；：？！）】》」』”’…％‰℃°,.;:?!)]}%")
_NO_END = frozenset("（【《「『“‘([{¥￥$")
_LONGEST = 20_000  # characters of one text: beyond that the PDF says that there is more


@dataclass(frozen=True, slots=True)
class Style:
    """How text is written. ``leading`` is the distance of baselines. [pt]"""

    size: float
    leading: float
    color: str = "#1c2733"
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of one font beside each other."""

    font: str
    text: str
    width: float


TextLine = tuple[Run, ...]


def lines(pen: Pen, text: str, style: Style, width: float) -> list[TextLine]:
    """The lines of a text that are not wider than ``width``. A word that does not fit is cut."""
    shown = visible(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[:_LONGEST]}… [+{len(shown) - _LONGEST:,}]"
    return [_runs(pen, line, style) for part in shown.split("\n") for line in _wrap(pen, part, style, width)]


def widest(pen: Pen, text: str, style: Style) -> tuple[float, float]:
    """How wide a text is on one line, and its widest piece that should stay whole. [pt]"""
    whole = piece = 0.0
    for part in visible(text[:400]).split("\n"):
        sizes = [_width(pen, word.rstrip(" "), style) for word in _words(part)]
        whole, piece = max(whole, _width(pen, part, style)), max(piece, max(sizes, default=0.0))
    return whole, piece


def _wrap(pen: Pen, text: str, style: Style, width: float) -> Iterator[str]:
    line, filled = "", 0.0
    for word in _words(text):
        size = _width(pen, word, style)
        if filled + _width(pen, word.rstrip(" "), style) <= width + 1e-6:
            line, filled = line + word, filled + size
            continue
        if line.strip():
            yield line.rstrip(" ")
            line, filled = "", 0.0
        if size <= width:
            line, filled = word, size
            continue
        for char in word:  # wider than a line: cut where it must be
            step = pen.width(char, style.size, style.bold)
            if line and filled + step > width:
                yield line
                line, filled = "", 0.0
            line, filled = line + char, filled + step
    yield line.rstrip(" ")


def _words(text: str) -> list[str]:
    """The pieces between which a line may end: Latin words with the blank behind them, Chinese characters."""
    out: list[str] = []
    for char in text:
        last = out[-1][-1] if out else ""
        joined = (
            not out
            or char == " "
            or char in _NO_START
            or last in _NO_END
            or (last != " " and not _wide(char) and not _wide(last))
        )
        if joined and out:
            out[-1] += char
        else:
            out.append(char)
    return out


def _wide(char: str) -> bool:
    """Whether a line may end at this character's side, as in Chinese."""
    return "\u2e80" <= char <= "\uffef" or char >= "\U00020000"


def _width(pen: Pen, text: str, style: Style) -> float:
    return sum(pen.width(char, style.size, style.bold) for char in text)


def _runs(pen: Pen, text: str, style: Style) -> TextLine:
    out: list[Run] = []
    for char in text:
        font, written = pen.font(char, style.bold)
        size = pen.width(char, style.size, style.bold)
        if out and out[-1].font == font:
            out[-1] = Run(font, out[-1].text + written, out[-1].width + size)
        else:
            out.append(Run(font, written, size))
    return tuple(out)
