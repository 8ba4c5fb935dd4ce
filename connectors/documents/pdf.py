"""A document as PDF: the same content gives the same bytes."""

from __future__ import annotations

import io
import threading

from reportlab.pdfgen.canvas import Canvas

from connectors.documents.fonts import Fonts, Pen
from connectors.documents.layout import Style, TextLine, lines
from connectors.documents.pages import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, Box, Page, Picture, Words, pages
from streams.papers.chart import Drawing, Path
from streams.papers.document import Document, digest, frame, visible

_FOOT = Style(7.6, 10.5, "#51606e")
#: fonts that are embedded in parts keep account of it in tables of their own
_writing = threading.Lock()


def render_pdf(document: Document, fonts: Fonts) -> bytes:
    """The document as PDF 1.4, A4, with its fonts, an outline and numbered pages. Raises FontMissing."""
    pen = Pen(fonts, document.language)
    with _writing:
        found = pages(document, pen)
        out = io.BytesIO()
        canvas = Canvas(
            out,
            pagesize=(WIDTH, HEIGHT),
            pageCompression=1,
            invariant=1,
            lang="zh-CN" if document.language == "zh" else "en",
        )
        canvas.setTitle(visible(f"{document.title} {document.reference}"))
        canvas.setAuthor("Forestall")
        canvas.setSubject(f"SHA-256 {digest(document)}")
        for number, page in enumerate(found, 1):
            _page(canvas, page, pen)
            _outline(canvas, page, number)
            _foot(canvas, document, pen, number, len(found))
            canvas.showPage()
        canvas.save()
    return out.getvalue()


def _page(canvas: Canvas, page: Page, pen: Pen) -> None:
    for shape in page.shapes:
        match shape:
            case Words():
                _write(canvas, shape.x, shape.y, shape.line, shape.style)
            case Box():
                canvas.setFillColor(shape.color)
                canvas.rect(shape.x, HEIGHT - shape.y - shape.height, shape.width, shape.height, 0, 1)
            case Picture():
                _picture(canvas, shape, pen)


def _outline(canvas: Canvas, page: Page, number: int) -> None:
    for place, (heading, y) in enumerate(page.headings):
        key = f"{number}.{place}"
        canvas.bookmarkHorizontal(key, 0, HEIGHT - y + 6)
        canvas.addOutlineEntry(visible(heading), key, 0)


def _foot(canvas: Canvas, document: Document, pen: Pen, number: int, count: int) -> None:
    top = BOTTOM + 12
    canvas.setFillColor("#d5dce3")
    canvas.rect(LEFT, HEIGHT - top, RIGHT - LEFT, 0.6, 0, 1)
    (page, *_) = lines(
        pen, frame("page", document.language, page=number, pages=count), _FOOT, (RIGHT - LEFT) / 2
    )
    (reference, *_) = lines(pen, document.reference, _FOOT, (RIGHT - LEFT) / 2)
    (content, *_) = lines(
        pen, frame("digest", document.language, digest=digest(document)), _FOOT, RIGHT - LEFT
    )
    _write(canvas, LEFT, top + 11, reference, _FOOT)
    _write(canvas, RIGHT - sum(run.width for run in page), top + 11, page, _FOOT)
    _write(canvas, LEFT, top + 21, content, _FOOT)


def _write(canvas: Canvas, x: float, y: float, line: TextLine, style: Style) -> None:
    canvas.setFillColor(style.color)
    for run in line:
        canvas.setFont(run.font, style.size)
        canvas.drawString(x, HEIGHT - y, run.text)
        x += run.width


def _picture(canvas: Canvas, picture: Picture, pen: Pen) -> None:
    drawing: Drawing = picture.drawing
    for shape in drawing.shapes:
        if isinstance(shape, Path):
            _path(canvas, shape, picture.x, picture.y)
            continue
        style = Style(shape.size, shape.size * 1.3, shape.color)
        (line, *_) = lines(pen, shape.text, style, drawing.width)
        size = sum(run.width for run in line)
        shift = {"start": 0.0, "middle": size / 2, "end": size}[shape.anchor]
        _write(canvas, picture.x + shape.x - shift, picture.y + shape.y, line, style)


def _path(canvas: Canvas, shape: Path, left: float, top: float) -> None:
    path = canvas.beginPath()
    for n, (x, y) in enumerate(shape.points):
        (path.lineTo if n else path.moveTo)(left + x, HEIGHT - top - y)
    if shape.fill:
        path.close()
        canvas.setFillColor(shape.fill)
        canvas.drawPath(path, stroke=0, fill=1)
        return
    canvas.setStrokeColor(shape.stroke)
    canvas.setLineWidth(shape.width)
    canvas.setLineJoin(1)
    canvas.setDash(list(shape.dash))
    canvas.drawPath(path, stroke=1, fill=0)
