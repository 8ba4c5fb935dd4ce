"""CSV files of complaints, as offices export them → forms; and the file of those that were refused.

Headings in Chinese or English, in any order. UTF-8 with or without a byte order mark, or GB18030 as Excel
writes it in China; separated by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from connectors.csv_text import EncodingError, decoded, separator_of

__all__ = ["HEADINGS", "REASON", "RejectsFile", "Row", "Table", "read_complaints"]

_LARGEST = 256 << 20  # bytes of a file
REASON = "拒收原因 reason"

#: field → its headings, compared without case, blanks and underscores
HEADINGS: dict[str, tuple[str, ...]] = {
    "source": ("source", "来源", "来源系统"),
    "reference": ("reference", "number", "编号", "投诉编号", "工单号", "工单编号", "投诉单号", "受理编号"),
    "time": ("time", "complaint time", "投诉时间", "受理时间", "来电时间", "時間", "投訴時間"),
    "name": ("name", "customer", "姓名", "投诉人", "投诉人姓名", "用户姓名", "客户姓名", "投訴人姓名"),
    "phone": ("phone", "telephone", "mobile", "电话", "联系电话", "手机", "手机号", "联系方式", "聯繫方式"),
    "email": ("email", "e-mail", "邮箱", "电子邮箱", "电子邮件"),
    "address": ("address", "地址", "联系地址", "用气地址", "用水地址", "用电地址", "用户地址"),
    "matter": ("matter", "content", "投诉事项", "投诉内容", "内容", "事项", "投訴事項"),
    "demand": ("demand", "request", "诉求", "用户诉求", "投诉诉求"),
    "service_point": (
        "service point", "account", "meter", "meter id", "户号", "用户编号", "客户编号", "表号", "用户号", "户名编号",
    ),
    "channel": ("channel", "渠道", "受理渠道", "投诉渠道"),
    "stage": ("stage", "阶段", "投诉阶段"),
    "category": ("category", "类别", "投诉类别", "投诉类型", "分类"),
    "subject": ("subject", "投诉对象", "对象", "投诉主题", "主题"),
    "urgency": ("urgency", "紧急程度", "紧急"),
    "impact": ("impact", "客户等级", "用户等级", "影响"),
    "taken_by": ("taken by", "agent", "受理人", "受理人员", "接线员"),
    "language": ("language", "语言"),
    "hold_bill": ("hold bill", "暂缓账单", "账单暂缓", "争议账单暂缓", "是否暂缓账单"),
}  # fmt: skip
_FIELD_OF = {"".join(word.casefold().split()): name for name, words in HEADINGS.items() for word in words}


class Row(NamedTuple):
    """One line: its cells, the form that they make, or why they make none."""

    line: int
    cells: Sequence[str]
    form: dict[str, Any]
    fault: str = ""


@dataclass(frozen=True)
class Table:
    """A file of complaints; its rows come one by one, once."""

    headings: Sequence[str]
    rows: Iterator[Row]
    unknown: Sequence[str]  # headings that no field has: their cells are left out


def read_complaints(path: Path, encoding: str = "auto") -> Table:
    """Open a file of complaints.

    encoding : ``auto``: UTF-8, or GB18030 where it is that

    Raises OSError where it cannot be opened, ValueError where it is no such table.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path.name}: expected at most {_LARGEST >> 20} MiB, got more: divide the file")
    raw = path.read_bytes()
    text = _text(raw, path.name, encoding)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text.split("\n", 1)[0]))
    try:
        headings = [cell.strip() for cell in next(lines, [])]
    except csv.Error as error:
        raise ValueError(f"{path.name} line 1: expected headings, got {error}") from None
    fields = [_FIELD_OF.get(_plain(heading), "") for heading in headings]
    if "matter" not in fields or "time" not in fields:
        raise ValueError(
            f"{path.name} line 1: expected headings such as 投诉时间, 投诉人姓名, 联系电话, 投诉事项 "
            f"(time, name, phone, matter), got {', '.join(headings)[:300] or 'nothing'}"
        )
    doubled = {name for name in fields if name and fields.count(name) > 1}
    if doubled:
        raise ValueError(f"{path.name} line 1: expected one column each for {', '.join(sorted(doubled))}")
    unknown = [heading for heading, name in zip(headings, fields, strict=True) if heading and not name]
    return Table(headings, _rows(lines, fields), unknown)


def _rows(lines: Any, fields: Sequence[str]) -> Iterator[Row]:
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            yield Row(lines.line_num, (), {}, f"expected a line of CSV, got {error}")
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(fields):
            fault = f"expected {len(fields)} cells, got {len(cells)}"
            yield Row(lines.line_num, cells, {}, fault)
            continue
        form = {name: cell.strip() for name, cell in zip(fields, cells, strict=True) if name and cell.strip()}
        yield Row(lines.line_num, cells, form)


def _text(raw: bytes, name: str, encoding: str) -> str:
    if encoding != "auto":
        return decoded(raw, name, encoding)
    try:
        return decoded(raw, name)
    except EncodingError as unreadable:
        try:
            text = decoded(raw, name, "gb18030")
        except EncodingError:
            raise unreadable from None
        head = text.split("\n", 1)[0]
        if any(_plain(cell) in _FIELD_OF for cell in head.replace('"', "").split(separator_of(head))):
            return text
        raise


def _plain(heading: str) -> str:
    return "".join(heading.strip().strip("*＊").casefold().replace("_", " ").split())


class RejectsFile:
    """The lines that were refused, as they were, each with its line number and reason; made with the first.

    UTF-8 with a byte order mark, so that Excel opens it. It holds people's data: for its owner's eyes only.
    """

    def __init__(self, path: Path, headings: Sequence[str]) -> None:
        self.count = 0
        self._path = path
        self._headings = headings
        self._file: io.TextIOWrapper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: Row, reason: str) -> None:
        """Write one line."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = io.TextIOWrapper(os.fdopen(descriptor, "wb"), encoding="utf-8-sig", newline="")
            csv.writer(self._file).writerow([*self._headings, "行号 line", REASON])
        short = [*row.cells, *[""] * (len(self._headings) - len(row.cells))]
        csv.writer(self._file).writerow([*short[: len(self._headings)], row.line, reason])
        self.count += 1
