"""Which font writes which character of a PDF.

Latin text needs none: Helvetica is in every reader. Chinese needs a font with TrueType outlines, which
is embedded, only the characters that are used. Where a character has no font the document is
refused: a box in place of a word would be worse than none.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from streams.papers.document import Language

#: where Debian and others put fonts with TrueType outlines that hold simplified Chinese: (path, font in a collection)
PLACES: tuple[tuple[str, int], ...] = (
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", 0),  # fonts-wqy-microhei
    ("/usr/share/fonts/wqy-microhei/wqy-microhei.ttc", 0),  # the same of Fedora, Alpine, Arch
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", 0),  # fonts-wqy-zenhei
    ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf", 0),  # fonts-droid-fallback
    ("/usr/share/fonts/truetype/arphic/uming.ttc", 0),  # fonts-arphic-uming
)
PACKAGE = "fonts-wqy-microhei"
_SAMPLE = "工单表计读数差额（校验合格）"  # what a font for our documents must have
_PLAIN, _BOLD = "Helvetica", "Helvetica-Bold"
_registering = threading.Lock()


class FontMissing(Exception):
    """A document cannot be written as PDF: what was expected, what is there, what to do."""

    def __init__(self, expected: str, got: str, action: str) -> None:
        super().__init__(f"expected {expected}, got {got}: {action}")
        self.expected = expected
        self.got = got
        self.action = action


_ACTION = (
    f"install {PACKAGE} (Debian, Ubuntu), or set documents.font to a .ttf or .ttc with TrueType outlines"
    " (Noto Sans CJK of Debian has others), or take the HTML, which needs none"
)


class Fonts:
    """The fonts at hand.

    path    : a font for Chinese; empty: the first of ``places`` that is there
    subfont : which of a collection (.ttc)
    """

    def __init__(self, path: str = "", subfont: int = 0, places: Sequence[tuple[str, int]] = PLACES) -> None:
        self.path = path
        self.subfont = subfont
        self._places = tuple(places)

    def told(self) -> str:
        """Which font writes Chinese, or why none does, in a line."""
        try:
            return f"PDF in Chinese with {self.chinese().face.filename}"
        except FontMissing as error:
            return f"no PDF in Chinese: {error}"

    def chinese(self) -> TTFont:
        """The font for Chinese. Raises FontMissing."""
        if self.path:
            return _load(self.path, self.subfont)
        there = next(((path, number) for path, number in self._places if Path(path).is_file()), None)
        if there is None:
            raise FontMissing(
                "a font for Chinese",
                f"none at {', '.join(path for path, _ in self._places) or 'any known place'}",
                _ACTION,
            )
        return _load(*there)


def _load(path: str, subfont: int) -> TTFont:
    try:
        status = os.stat(path)
    except OSError as error:
        raise FontMissing(f"a font at {path} (documents.font)", error.strerror or "none", _ACTION) from error
    return _read(path, subfont, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: str, subfont: int, changed: int, size: int) -> TTFont:
    """Read a font once for as long as the file stays the same."""
    name = "F" + hashlib.sha256(f"{path}\0{subfont}\0{changed}\0{size}".encode()).hexdigest()[:16]
    try:
        font = TTFont(name, path, subfontIndex=subfont)
    except (TTFError, OSError, ValueError, IndexError, KeyError) as error:
        raise FontMissing(
            "a font with TrueType outlines that may be embedded", str(error), _ACTION
        ) from error
    lacking = "".join(char for char in _SAMPLE if ord(char) not in font.face.charToGlyph)
    if lacking:
        raise FontMissing(
            "a font with simplified Chinese", f"{path}, font {subfont}, without {lacking}", _ACTION
        )
    with _registering:
        pdfmetrics.registerFont(font)
    return font


class Pen:
    """Knows the font of each character of one document, and how wide it is."""

    def __init__(self, fonts: Fonts, language: Language) -> None:
        self._fonts = fonts
        self._chinese_first = language == "zh"
        self._chinese = fonts.chinese() if self._chinese_first else None
        self._of: dict[tuple[str, bool], tuple[str, str]] = {}
        self._widths: dict[tuple[str, str], float] = {}

    def font(self, char: str, bold: bool = False) -> tuple[str, str]:
        """The font of a character, and what to write for it. Raises FontMissing."""
        found = self._of.get((char, bold))
        if found is None:
            found = self._of[char, bold] = self._look(char, bold)
        return found

    def width(self, char: str, size: float, bold: bool = False) -> float:
        """How wide a character is. [pt]"""
        font, written = self.font(char, bold)
        wide = self._widths.get((font, written))
        if wide is None:
            wide = self._widths[font, written] = float(pdfmetrics.stringWidth(written, font, 1000))
        return wide * size / 1000

    def _look(self, char: str, bold: bool) -> tuple[str, str]:
        latin = _BOLD if bold else _PLAIN
        if self._chinese is not None and ord(char) in self._chinese.face.charToGlyph:
            return str(self._chinese.fontName), char
        if _in_every_reader(char):
            return latin, char
        if self._chinese is None:
            self._chinese = self._fonts.chinese()
            return self._look(char, bold)
        return latin, f"[U+{ord(char):04X}]"


def _in_every_reader(char: str) -> bool:
    try:
        char.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True
