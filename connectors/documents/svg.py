"""A drawing as SVG, to stand within an HTML page."""

from __future__ import annotations

from html import escape

from streams.papers.chart import Drawing, Label, Path
from streams.papers.document import visible


def svg(drawing: Drawing, title: str) -> str:
    """One ``<svg>`` element that scales with its box; ``title`` is what it shows, in words."""
    body = "".join(_path(s) if isinstance(s, Path) else _label(s) for s in drawing.shapes)
    size = f"0 0 {drawing.width:g} {drawing.height:g}"
    return f'<svg viewBox="{size}" role="img" aria-label="{text(title)}">{body}</svg>'


def text(value: str) -> str:
    """Text that means nothing but itself in HTML, within elements and quoted attributes."""
    return escape(visible(value), quote=True)


def _path(shape: Path) -> str:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points)
    if shape.fill:
        return f'<polygon points="{points}" fill="{shape.fill}"/>'
    dash = f' stroke-dasharray="{" ".join(f"{d:g}" for d in shape.dash)}"' if shape.dash else ""
    stroke = f'stroke="{shape.stroke}" stroke-width="{shape.width:g}"'
    return f'<polyline points="{points}" fill="none" {stroke}{dash} stroke-linejoin="round"/>'


def _label(shape: Label) -> str:
    return (
        f'<text x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size:g}" fill="{shape.color}" '
        f'text-anchor="{shape.anchor}">{text(shape.text)}</text>'
    )
