"""Months of reports, and what a spreadsheet reads of them."""

from __future__ import annotations

import io
import zipfile

import pandas as pd
import pytest

from streams.papers.document import digest
from streams.papers.report_document import document, sheet, sheets
from streams.papers.report_facts import (
    Report,
    Table,
)
from streams.papers.report_words import COLUMNS, TITLES
from streams.papers.reports import Figures
from streams.papers.spans import day_of, days, midnight, month, months
from tests.tickets.report_tools import JUNE, complaint, ticket
from tests.tickets.tools import DAY, HOUR, NOON


# -- calendar ----------------------------------------------------------------------------------
def test_months_begin_at_local_midnight() -> None:
    assert JUNE.start_ns == NOON - 12 * HOUR - 8 * HOUR
    assert JUNE.end_ns - JUNE.start_ns == 30 * DAY
    madrid = month("2026-03", "Europe/Madrid")
    assert madrid.end_ns - madrid.start_ns == 31 * DAY - HOUR
    assert [one.name for one in months(JUNE.start_ns - 1, JUNE.end_ns + 1, "Asia/Shanghai")] == [
        "2026-05", "2026-06", "2026-07",
    ]  # fmt: skip
    first = day_of(JUNE.start_ns, "Asia/Shanghai")
    assert midnight(first, "Asia/Shanghai") == JUNE.start_ns
    assert days(first, first, "Asia/Shanghai").end_ns == JUNE.start_ns + DAY


@pytest.mark.parametrize("text", ["2026-13", "June", "2026-6-1", "", "0000-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a month as YYYY-MM"):
        month(text, "UTC")


# -- how it is written ---------------------------------------------------------------------------
def a_report() -> Report:
    figures = Figures(JUNE, "Asia/Shanghai", NOON + 30 * DAY)
    figures.add_complaint(complaint(area='=HYPERLINK("x")', found="meter_fault"))
    figures.add_complaint(complaint(area="城东，一区"))
    figures.add_ticket(ticket())
    return figures.report([("2026-06", "habit", "spike", "usage_high", "a1", "confirmed", 7)], [], [], {}, [])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_table_is_read_back_by_pandas_as_it_was_written(language: str) -> None:
    report = a_report()
    with zipfile.ZipFile(io.BytesIO(sheets(report, language))) as archive:
        assert len(archive.namelist()) == len(report.tables)
        for table, name in zip(report.tables, archive.namelist(), strict=True):
            raw = archive.read(name)
            # what a spreadsheet goes by: the mark of UTF-8, without which Chinese opens as GBK
            assert raw.startswith(b"\xef\xbb\xbf")
            found = pd.read_csv(io.BytesIO(raw), encoding="utf-8-sig")
            position = 0 if language == "zh" else 1
            assert list(found.columns) == [COLUMNS[column][position] for column in table.columns]
            assert len(found) == len(table.rows)


def test_no_cell_is_a_formula_and_chinese_stays_as_it_is() -> None:
    [table] = [one for one in a_report().tables if one.code == "complaints_by_area"]
    found = pd.read_csv(io.BytesIO(sheet(table, "zh")), encoding="utf-8-sig")
    assert sorted(found["区域"]) == ['\'=HYPERLINK("x")', "城东，一区"]
    dangerous = Table(
        code="apart", columns=("area",), rows=tuple((c + "1",) for c in ("=", "+", "-", "@", "\t", "\r"))
    )
    read = pd.read_csv(io.BytesIO(sheet(dangerous, "zh")), encoding="utf-8-sig", skipinitialspace=False)
    assert all(str(cell).startswith("'") for cell in read["区域"])


def test_the_same_report_gives_the_same_bytes() -> None:
    assert sheets(a_report(), "zh") == sheets(a_report(), "zh")
    assert digest(document(a_report(), "zh")) == digest(document(a_report(), "zh"))


def test_every_code_has_its_words() -> None:
    for table in a_report().tables:
        assert table.code in TITLES
        assert set(table.columns) <= COLUMNS.keys()
    for pair in (*TITLES.values(), *COLUMNS.values()):
        assert all(pair)
