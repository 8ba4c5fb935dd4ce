"""What the tests of documents share: documents, and what can be read in their renderings."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from pypdf import PdfReader

from connectors.documents import FontMissing, Fonts
from streams.messages import NS
from streams.papers.chart import Band, Chart, Line, Span
from streams.papers.document import (
    Column,
    Document,
    Facts,
    Figure,
    Language,
    Notice,
    Paragraph,
    Section,
    Table,
)

DAY = 86_400 * NS
START = 1_302_393_600 * NS  # 2011-04-10T00:00:00Z


def fonts() -> Fonts:
    """The fonts of this machine; the test is left out where none is Chinese."""
    try:
        Fonts().chinese()
    except FontMissing as error:
        pytest.skip(f"no font for Chinese: {error}")
    return Fonts()


def chart(zone: str = "Asia/Shanghai", label: str = "本表") -> Chart:
    """Use a day of the golden case with a band and the flagged span."""
    change, end = START + 366 * DAY, START + 427 * DAY
    points = ((START, 176 / 366), (change, 273 / 61), (end, 273 / 61))
    return Chart(
        unit="m³/d",
        zone=zone,
        lines=(Line(label=label, points=points, stepped=True, dots=True),),
        band=Band("预期", ((START, 0.3, 0.7),)),
        span=Span("异常时段", change, end),
    )


def document(language: Language = "zh", text: str = "", rows: int = 3) -> Document:
    """A document with a block of every kind; ``text`` stands in all of them."""
    words = text or ("校验合格，未见漏气。" if language == "zh" else "The meter passed its test.")
    table = Table(
        columns=(Column(words, whole=True), Column("m³", "right"), Column(text or "备注")),
        rows=tuple((f"2012-06-{n % 30 + 1:02d}", f"{n * 1.5:,.1f}", words) for n in range(rows)),
        caption=words,
    )
    return Document(
        title=words,
        subtitle=words,
        reference=text or "FS-TKAQFCQ4OATIU",
        language=language,
        made="2026-06-01 20:00 UTC+08:00",
        mark=text,
        sections=(
            Section(words, (Paragraph(words, "lead"), Notice(words, "warning"), Facts(((words, words),)))),
            Section(words, (Figure(chart(label=words), words), table, Paragraph(words, "small"))),
        ),
    )


def pdf_pages(data: bytes) -> list[str]:
    """The text of each page, blanks and line ends taken out: where lines end is the layout's."""
    return [re.sub(r"\s+", "", page.extract_text()) for page in PdfReader(io.BytesIO(data)).pages]


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags[-1] != "style":
            self.text.append(data)


def html_parts(page: str) -> tuple[str, set[str], set[str]]:
    """What can be read on a page, blanks taken out; its tags; its attributes."""
    reader = _Text()
    reader.feed(page)
    return re.sub(r"\s+", "", "".join(reader.text)), set(reader.tags), set(reader.attributes)


def squeezed(text: str) -> str:
    """Text without blanks, to be looked for in what was read back."""
    return re.sub(r"\s+", "", text)
