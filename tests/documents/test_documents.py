"""A document's renderings, read back: HTML by a parser, PDF by another library's text extraction."""

from __future__ import annotations

import io
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from connectors.documents import FontMissing, Fonts, render_html, render_pdf
from connectors.documents.fonts import PLACES
from streams.papers.document import (
    Column,
    Document,
    Facts,
    Language,
    Paragraph,
    Section,
    Table,
    canonical,
    digest,
)
from tests.documents.tools import document, fonts, html_parts, pdf_pages, squeezed

HOSTILE = '</style><script>alert("1")</script><img src=x onerror=alert(1)>&amp;\x07\x1b[31m\u202e\ud800'
SHOWN = (
    '</style><script>alert("1")</script><img src=x onerror=alert(1)>&amp;[U+0007][U+001B][31m[U+202E][U+D800]'
)
NOWHERE = Fonts(places=())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_both_renderings_say_the_same(language: Language) -> None:
    made = document(language, rows=120)
    pages = pdf_pages(render_pdf(made, fonts()))
    html, _, _ = html_parts(render_html(made))
    words = squeezed("校验合格，未见漏气。" if language == "zh" else "The meter passed its test.")
    for text in (words, "FS-TKAQFCQ4OATIU", "2012-06-30", "178.5", "2026-06-0120:00UTC+08:00", digest(made)):
        assert text in "".join(pages)
        assert text in html
    assert len(pages) >= 3
    for number, page in enumerate(pages, 1):
        foot = f"第{number}页，共{len(pages)}页" if language == "zh" else f"Page{number}of{len(pages)}"
        assert foot in page
        assert digest(made) in page
    # the head of a table stands again on each of its pages
    assert all("m³" in page for page in pages[1:-1])


def test_the_digest_is_that_of_the_content() -> None:
    made = document()
    assert digest(made) == digest(document())
    assert msgspec.json.decode(canonical(made))["title"] == made.title
    changed = msgspec.structs.replace(made, made="2026-06-01 20:01 UTC+08:00")
    assert digest(changed) != digest(made)


def test_the_same_content_gives_the_same_bytes() -> None:
    assert render_pdf(document(), fonts()) == render_pdf(document(), fonts())
    assert render_html(document()) == render_html(document())


def test_hostile_text_is_text_everywhere() -> None:
    made = document(text=HOSTILE)
    page = render_html(made)
    read, tags, attributes = html_parts(page)
    page.encode("utf-8")
    assert "script" not in tags
    assert "img" not in tags
    assert not [name for name in attributes if name.startswith("on")]
    assert read.count(squeezed(SHOWN)) >= 12
    assert page.count("<style>") == page.count("</style>") == 1
    text = "".join(pdf_pages(render_pdf(made, fonts())))
    assert squeezed(SHOWN[:60]) in text
    assert "[U+202E]" in text


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = render_html(document())
    assert not re.search(r"https?:|url\(|@import|<link|<script|srcdoc", page)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert style.count("{") == style.count("}")


def test_very_long_texts_go_on_over_pages() -> None:
    words = "很长的说明，" * 2000 + "到此为止"
    word = "x" * 5000
    rows = ((words, "1"), (word, "2"))
    made = Document(
        title="t",
        reference="r",
        language="zh",
        made="m",
        sections=(
            Section(
                word,
                (
                    Table(columns=(Column("a"), Column("b", "right")), rows=rows),
                    Facts(((word, words),)),
                    Paragraph(words),
                ),
            ),
        ),
    )
    data = render_pdf(made, fonts())
    text = "".join(pdf_pages(data))
    assert text.count("到此为止") == 3
    assert text.count("x") >= 3 * 5000
    for page in PdfReader(io.BytesIO(data)).pages:
        heights: list[float] = []

        def note(text: str, _cm: Any, matrix: Any, *_: Any, found: list[float] = heights) -> None:
            if text.strip():
                found.append(matrix[5])

        page.extract_text(visitor_text=note)
        assert min(heights) >= 20
        assert max(heights) <= 842


def test_chinese_without_a_font_is_refused_and_english_needs_none() -> None:
    with pytest.raises(
        FontMissing, match="expected a font for Chinese, got none at any known place"
    ) as caught:
        render_pdf(document("zh"), NOWHERE)
    assert "fonts-wqy-microhei" in caught.value.action
    assert NOWHERE.told().startswith("no PDF in Chinese: expected a font for Chinese, got none")
    assert fonts().told().startswith("PDF in Chinese with /")
    made = Document(title="Only Latin", reference="r–1", language="en", made="now · 1 m³")
    assert "OnlyLatin" in pdf_pages(render_pdf(made, NOWHERE))[0]
    # an area's name in an English document: refused rather than shown as boxes
    with pytest.raises(FontMissing):
        render_pdf(msgspec.structs.replace(made, subtitle="锦绣小区"), NOWHERE)
    assert "锦绣小区" in html_parts(render_html(msgspec.structs.replace(made, subtitle="锦绣小区")))[0]


def test_a_font_that_cannot_serve_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FontMissing, match=r"expected a font at .*none\.ttf"):
        render_pdf(document(), Fonts(str(tmp_path / "none.ttf")))
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font at all" * 100)
    with pytest.raises(FontMissing, match="TrueType outlines"):
        render_pdf(document(), Fonts(str(broken)))
    noto = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    if noto.is_file():
        with pytest.raises(FontMissing, match="postscript outlines are not supported"):
            render_pdf(document(), Fonts(str(noto), 2))
    latin = Path(str(files("reportlab"))) / "fonts" / "Vera.ttf"
    with pytest.raises(FontMissing, match="a font with simplified Chinese"):
        render_pdf(document(), Fonts(str(latin)))
    there = next(((path, number) for path, number in PLACES if Path(path).is_file()), None)
    if there is not None:
        assert "校验合格" in pdf_pages(render_pdf(document(), Fonts(*there)))[0]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_any_text_at_all_is_rendered(text: str) -> None:
    made = document("en", text=text)
    page = render_html(made)
    page.encode()
    # no element beyond those of the same document with words that mean nothing
    assert html_parts(page)[1] <= html_parts(render_html(document("en", text="x")))[1] | {"br"}
    assert PdfReader(io.BytesIO(render_pdf(made, fonts()))).pages
