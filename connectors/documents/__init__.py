"""Documents for people outside: a value of ``streams.papers.document`` as HTML and as PDF.

html = render_html(document)
data = render_pdf(document, Fonts())    # raises FontMissing where Chinese has no font
"""

from connectors.documents.fonts import FontMissing, Fonts
from connectors.documents.html import render_html
from connectors.documents.pdf import render_pdf

__all__ = ["FontMissing", "Fonts", "render_html", "render_pdf"]
