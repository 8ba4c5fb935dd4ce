"""A document as one HTML file: no script, nothing from elsewhere, ready for the printer."""

from __future__ import annotations

import re
from importlib.resources import files

from connectors.documents.svg import svg, text
from streams.papers.chart import draw
from streams.papers.document import (
    Block,
    Column,
    Document,
    Facts,
    Figure,
    Notice,
    Paragraph,
    Table,
    digest,
    frame,
)

_STYLE = (files(__package__) / "print.css").read_text("utf-8")
_ODD = re.compile(r"[^A-Za-z0-9._-]")


def render_html(document: Document) -> str:
    """The document as HTML, encoded as UTF-8 by whoever writes it. Nothing in it is taken for markup."""
    of = document.language
    sections = "".join(
        f"<section><h2>{text(section.heading)}</h2>{''.join(map(_block, section.blocks))}</section>"
        for section in document.sections
    )
    mark = f'<p class="mark">{text(document.mark)}</p>' if document.mark else ""
    subtitle = f'<p class="subtitle">{text(document.subtitle)}</p>' if document.subtitle else ""
    made = text(frame("made", of, made=document.made))
    content = digest(document)
    foot = frame("digest", of, digest=content)
    return (
        f'<!doctype html><html lang="{"zh-CN" if of == "zh" else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(document.title)} {text(document.reference)}</title>"
        f"<style>{_STYLE}{_margins(document, content)}</style></head><body><main>"
        f'<header>{mark}<p class="reference">{text(document.reference)}</p>'
        f'<h1>{text(document.title)}</h1>{subtitle}<p class="made">{made}</p></header>'
        f"{sections}<footer>{text(foot)}<br>{made}</footer></main></body></html>\n"
    )


def _margins(document: Document, content: str) -> str:
    """What stands at the foot of each printed page, where the browser can: only plain characters get into it."""
    reference = _ODD.sub("", document.reference)[:48]
    page = frame("page", document.language, page='" counter(page) "', pages='" counter(pages) "')
    return (
        f'@page{{@bottom-left{{content:"{reference} · SHA-256 {content[:16]}…"}}'
        f'@bottom-right{{content:"{page}"}}}}'
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f'<p class="{block.look}">{_lines(block.text)}</p>'
        case Notice():
            return f'<p class="notice {block.level}">{_lines(block.text)}</p>'
        case Facts():
            pairs = "".join(
                f"<div><dt>{text(name)}</dt><dd>{_lines(value)}</dd></div>" for name, value in block.pairs
            )
            return f"<dl>{pairs}</dl>"
        case Table():
            return _table(block)
        case Figure():
            caption = f"<figcaption>{_lines(block.caption)}</figcaption>" if block.caption else ""
            return f"<figure>{svg(draw(block.chart), block.caption)}{caption}</figure>"


def _table(table: Table) -> str:
    if not table.rows:
        return f'<p class="small">{_lines(table.empty)}</p>' if table.empty else ""
    caption = f"<caption>{_lines(table.caption)}</caption>" if table.caption else ""
    head = "".join(f"<th{_side(c)}>{text(c.title)}</th>" for c in table.columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_side(c)}>{_lines(cell)}</td>" for c, cell in zip(table.columns, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _side(column: Column) -> str:
    if column.align == "right":
        return ' class="num"'
    return ' class="whole"' if column.whole else ""


def _lines(value: str) -> str:
    return text(value).replace("\n", "<br>")
