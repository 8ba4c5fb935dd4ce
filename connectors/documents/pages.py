"""A document cut into pages: what stands where, before it is written to a PDF.

Places are points from the top left of an A4 page. Nothing is too long for a page: paragraphs, and
rows of tables, go on over the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.documents.fonts import Pen
from connectors.documents.layout import Style, TextLine, lines, widest
from streams.papers.chart import Drawing, draw
from streams.papers.document import (
    Block,
    Column,
    Document,
    Facts,
    Figure,
    Notice,
    Paragraph,
    Section,
    Table,
    frame,
)

WIDTH, HEIGHT = 595.28, 841.89  # A4
LEFT, RIGHT, TOP, BOTTOM = 48.0, WIDTH - 48.0, 50.0, HEIGHT - 54.0
ACROSS = RIGHT - LEFT

_TITLE = Style(19, 26, bold=True)
_SUBTITLE = Style(11.5, 17)
_GREY = Style(8.5, 12.5, "#51606e")
_HEADING = Style(12.5, 18, "#0b4a8a", bold=True)
_LOOKS = {"body": Style(9.8, 15), "lead": Style(11.2, 17.5), "small": _GREY}
_MARK = Style(12, 16, "#b3261e", bold=True)
_NAME, _VALUE = Style(9.4, 13.6, "#51606e"), Style(9.4, 13.6)
_HEAD, _CELL = Style(8.8, 12.8, "#33414e", bold=True), Style(8.8, 12.8)
_LEVELS = {"info": ("#0b5cab", "#eef4fa"), "good": ("#1e7d43", "#edf7f0"), "warning": ("#c96b00", "#fdf3e5")}
_RULE, _FAINT = "#b8c2cc", "#e3e8ed"
_CHART_HEIGHT, _LEAST_HEIGHT = 205.0, 140.0
_SAMPLE = 60  # rows by which the widths of columns are chosen
_PAD = 5.0


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; ``y`` is its baseline."""

    x: float
    y: float
    line: TextLine
    style: Style


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; a rule is a thin one."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, its top left corner here."""

    x: float
    y: float
    drawing: Drawing


@dataclass(slots=True)
class Page:
    """What stands on a page, in the order in which it is drawn."""

    shapes: list[Words | Box | Picture] = field(default_factory=list)
    headings: list[tuple[str, float]] = field(default_factory=list)  # for the reader's outline


def pages(document: Document, pen: Pen) -> list[Page]:
    """Lay a document out. Raises FontMissing."""
    setter = _Setter(pen, document.mark)
    setter.head(document)
    for section in document.sections:
        setter.section(section)
    return setter.pages


class _Setter:
    """Puts blocks below each other and begins new pages."""

    def __init__(self, pen: Pen, mark: str) -> None:
        self.pages: list[Page] = []
        self._pen = pen
        self._mark = mark
        self._y = TOP
        self._turn()

    # -- parts ----------------------------------------------------------------------------------

    def head(self, document: Document) -> None:
        self._text(document.reference, _GREY)
        self._text(document.title, _TITLE)
        if document.subtitle:
            self._text(document.subtitle, _SUBTITLE)
        self._text(frame("made", document.language, made=document.made), _GREY)
        self._y += 3
        self._box(LEFT, self._y, ACROSS, 1.4, "#0b5cab")
        self._y += 4

    def section(self, section: Section) -> None:
        self._room(84)  # a heading does not stand alone at the foot of a page
        self._y += 12
        self.pages[-1].headings.append((section.heading, self._y))
        self._text(section.heading, _HEADING)
        self._box(LEFT, self._y + 0.5, ACROSS, 0.7, _RULE)
        self._y += 6
        for block in section.blocks:
            self._block(block)

    def _block(self, block: Block) -> None:
        match block:
            case Paragraph():
                self._text(block.text, _LOOKS[block.look])
                self._y += 3
            case Notice():
                self._notice(block)
            case Facts():
                self._facts(block)
            case Table():
                self._table(block)
            case Figure():
                self._figure(block)

    def _notice(self, notice: Notice) -> None:
        edge, ground = _LEVELS[notice.level]
        style = _LOOKS["body"]
        found = lines(self._pen, notice.text, style, ACROSS - 26)
        self._room(min(len(found), 6) * style.leading + 14)
        self._strip(edge, ground, 5)
        for line in found:
            self._room(style.leading + 5)
            top = self._y
            self._strip(edge, ground, style.leading)
            self._words(LEFT + 14, top, line, style)
        self._strip(edge, ground, 6)
        self._y += 7

    def _strip(self, edge: str, ground: str, height: float) -> None:
        """A piece of a notice's ground: it may be cut between any two lines."""
        self._box(LEFT, self._y, ACROSS, height + 0.1, ground)
        self._box(LEFT, self._y, 3, height + 0.1, edge)
        self._y += height

    def _facts(self, facts: Facts) -> None:
        gap = 20.0
        half = (ACROSS - gap) / 2
        name = half * 0.36
        for first in range(0, len(facts.pairs), 2):
            cells: list[_Cell] = []
            for place, (key, value) in enumerate(facts.pairs[first : first + 2]):
                x = LEFT + place * (half + gap)
                cells.append(_Cell(x, lines(self._pen, key, _NAME, name - 6), _NAME))
                cells.append(_Cell(x + name, lines(self._pen, value, _VALUE, half - name), _VALUE))
            rules = [(LEFT + n * (half + gap), half) for n in range(len(cells) // 2)]
            self._row(cells, 2.2, rules)
        self._y += 5

    def _figure(self, figure: Figure) -> None:
        caption = lines(self._pen, figure.caption, _GREY, ACROSS) if figure.caption else []
        below = 6 + min(len(caption), 4) * _GREY.leading
        height = BOTTOM - self._y - below
        if not _LEAST_HEIGHT <= height <= _CHART_HEIGHT:  # a little lower rather than on the next page
            height = _CHART_HEIGHT
        self._room(height + below)
        self.pages[-1].shapes.append(Picture(LEFT, self._y, draw(figure.chart, ACROSS, height)))
        self._y += height + 3
        self._lines(caption, _GREY)
        self._y += 5

    def _table(self, table: Table) -> None:
        if not table.rows:
            if table.empty:
                self._text(table.empty, _GREY)
            return
        widths = _widths(self._pen, table)
        if table.caption:
            self._room(60)
            self._y += 3
            self._text(table.caption, _GREY)
        head = self._cells([column.title for column in table.columns], table.columns, widths, _HEAD)
        self._room(max(len(cell.lines) for cell in head) * _HEAD.leading + 34)
        self._table_head(head)
        for row in table.rows:
            cells = self._cells(row, table.columns, widths, _CELL)
            self._row(cells, 2.8, [(LEFT, ACROSS)], head)
        self._y += 7

    def _table_head(self, head: list[_Cell]) -> None:
        height = max(len(cell.lines) for cell in head) * _HEAD.leading + 7
        self._box(LEFT, self._y, ACROSS, height, "#f1f4f7")
        self._box(LEFT, self._y + height, ACROSS, 1.0, _RULE)
        for cell in head:
            for n, line in enumerate(cell.lines):
                self._words(cell.at(line), self._y + 3 + n * _HEAD.leading, line, _HEAD)
        self._y += height + 1

    def _cells(
        self, row: Sequence[str], columns: Sequence[Column], widths: list[float], style: Style
    ) -> list[_Cell]:
        out, x = [], LEFT
        for value, column, width in zip(row, columns, widths, strict=True):
            inner = width - 2 * _PAD
            right = x + width - _PAD if column.align == "right" else None
            out.append(_Cell(x + _PAD, lines(self._pen, value, style, inner), style, right))
            x += width
        return out

    def _row(
        self,
        cells: list[_Cell],
        pad: float,
        rules: list[tuple[float, float]],
        head: list[_Cell] | None = None,
    ) -> None:
        """Cells beside each other, with rules below; what has no room on the page goes on over the next."""
        leading = cells[0].style.leading
        whole = max(len(cell.lines) for cell in cells)
        wanted = whole * leading + 2 * pad
        if self._y + wanted > BOTTOM and (wanted <= (BOTTOM - TOP) * 0.6 or self._y + 3 * leading > BOTTOM):
            self._turn()
            if head is not None:
                self._table_head(head)
        first = 0
        while first < whole:
            fit = max(1, int((BOTTOM - self._y - 2 * pad) // leading))
            count = min(fit, whole - first)
            for cell in cells:
                for n, line in enumerate(cell.lines[first : first + count]):
                    self._words(cell.at(line), self._y + pad + n * leading, line, cell.style)
            self._y += count * leading + 2 * pad
            first += count
            if first < whole:
                self._turn()
        for x, width in rules:
            self._box(x, self._y, width, 0.5, _FAINT)
        self._y += 0.5

    # -- places ---------------------------------------------------------------------------------

    def _text(self, text: str, style: Style) -> None:
        self._lines(lines(self._pen, text, style, ACROSS), style)

    def _lines(self, found: Sequence[TextLine], style: Style) -> None:
        for line in found:
            self._room(style.leading)
            self._words(LEFT, self._y, line, style)
            self._y += style.leading

    def _words(self, x: float, top: float, line: TextLine, style: Style) -> None:
        if line:
            baseline = top + (style.leading + style.size * 0.72) / 2
            self.pages[-1].shapes.append(Words(x, baseline, line, style))

    def _box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.pages[-1].shapes.append(Box(x, y, width, height, color))

    def _room(self, height: float) -> None:
        """Begin a page where this has no room any more."""
        if self._y + height > BOTTOM and self._y > TOP:
            self._turn()

    def _turn(self) -> None:
        self.pages.append(Page())
        self._y = TOP
        if self._mark:
            (line, *_) = lines(self._pen, self._mark, _MARK, ACROSS)
            self._words(LEFT, TOP - 26, line, _MARK)


@dataclass(frozen=True, slots=True)
class _Cell:
    """The lines of one cell; ``right`` is where they end, if they stand at the right."""

    x: float
    lines: list[TextLine]
    style: Style
    right: float | None = None

    def at(self, line: TextLine) -> float:
        return self.x if self.right is None else self.right - sum(run.width for run in line)


def _widths(pen: Pen, table: Table) -> list[float]:
    """As wide as the content asks; where that is too much, long texts give way before figures and dates."""
    wanted, least = [], []
    for place, column in enumerate(table.columns):
        sizes = [widest(pen, column.title, _HEAD)]
        sizes += [widest(pen, row[place], _CELL) for row in table.rows[:_SAMPLE]]
        wanted.append(max(size for size, _ in sizes) + 2 * _PAD + 1)
        whole = column.whole or column.align == "right"
        least.append(min(max(size[not whole] for size in sizes) + 2 * _PAD + 1, ACROSS / 3))
    if sum(wanted) <= ACROSS:
        spare = (ACROSS - sum(wanted)) / sum(wanted)
        return [width * (1 + spare) for width in wanted]
    if sum(least) > ACROSS:
        return [width * ACROSS / sum(least) for width in least]
    # Everybody has the least. What is left is shared by the root of what each wants more, so that one
    # long text does not take all of it from the others; nobody gets more than is wanted.
    widths, left = list(least), ACROSS - sum(least)
    for _ in range(len(widths)):
        more = [w - n for w, n in zip(wanted, widths, strict=True)]
        parts = sum(max(m, 0.0) ** 0.5 for m in more)
        if left < 0.5 or parts == 0:
            break
        given = [min(left * max(m, 0.0) ** 0.5 / parts, max(m, 0.0)) for m in more]
        widths = [width + gift for width, gift in zip(widths, given, strict=True)]
        left -= sum(given)
    return widths
