"""The cells of reading files, one at a time: what each column holds and what is expected of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

from connectors.payloads.fields import (
    ATTRIBUTE_LIMIT,
    KINDS,
    MARKS,
    QUALITIES,
    FieldError,
    choice,
    number,
    text,
    unit_code,
)
from connectors.payloads.native_fields import multiplier
from connectors.payloads.times import checked, epoch, local, zone_named
from connectors.registry_columns import HEADINGS

__all__ = [
    "COLUMNS",
    "REQUIRED",
    "SPARSE",
    "TICKS",
    "FileOptions",
    "Row",
    "attribute_in",
    "instant_reader",
    "marks_in",
    "row_reader",
    "table_of",
]

REQUIRED = ("meter_id", "time", "value")
#: columns that become a field of their own; ``area`` belongs to the meter, the others to the row
COLUMNS = (
    *REQUIRED,
    "kind",
    "unit",
    "quality",
    "marks",
    "received_at",
    "register",
    "serial",
    "period_start",
    "multiplier",
    "area",
)
#: column → name in the sparse fields
SPARSE = {
    "register": "register",
    "serial": "serial",
    "period_start": "period_start_ns",
    "multiplier": "multiplier",
}

#: columns of the registry that a table of readings may carry along
_REGISTRYS = HEADINGS.keys() - set(COLUMNS) - {"route"}
#: unit of counts since 1970 → how many make a second
TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|z|[+-]\d\d(?::?\d\d)?)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMO_LIMIT = 65_536


@dataclass(frozen=True)
class FileOptions:
    """How reading files are read.

    tz           IANA zone of times that name none; empty: such times are refused
    time_format  empty: ISO 8601, and numbers in Parquet are ms since 1970; or s, ms, us, ns since 1970, or a pattern
                 of strptime such as ``%d.%m.%Y``
    encoding     of CSV files
    columns      heading in the file → the column that it stands for (``{"读数": "value"}``)
    chunk_rows   readings in a chunk, some more where their times are equal
    latest_ns    a reading of a later time is refused; None: none is
    """

    tz: str = ""
    time_format: str = ""
    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)
    chunk_rows: int = 65_536
    latest_ns: int | None = None


@dataclass(slots=True)
class Row:
    """One row, checked."""

    meter_id: str
    time_ns: int
    value: float
    kind: int = 0
    unit: str = ""
    quality: int = 0
    marks: int = 0
    received_ns: int = 0
    area: str = ""
    sparse: dict[str, object] = field(default_factory=dict)


def table_of(headings: list[str], options: FileOptions, name: str) -> dict[str, int]:
    """Return which column is at which place; other columns are attributes, the registry's are passed over.

    Raises ValueError where one that is needed is missing or one stands twice.
    """
    table: dict[str, int] = {}
    for place, raw in enumerate(headings):
        heading = options.columns.get(raw.strip(), raw.strip())
        if heading in table:
            raise ValueError(f"{name}: expected every column once, got {heading!r} twice")
        if heading and heading not in _REGISTRYS:
            table[heading] = place
    for wanted in REQUIRED:
        if wanted not in table:
            got = ", ".join(headings) or "nothing"
            raise ValueError(f"{name}: expected a column {wanted} (or one that stands for it), got {got}")
    return table


def instant_reader(options: FileOptions, name: str = "time") -> Callable[[str], int]:
    """Return what reads the times of a file → ns. It raises FieldError; raises ValueError for a wrong option."""
    zone = zone_named(options.tz) if options.tz else None
    form = options.time_format
    if form and form not in TICKS and "%" not in form:
        raise ValueError(f"expected a time format s, ms, us, ns or a pattern such as %d.%m.%Y, got {form!r}")
    memo: dict[str, int] = {}
    if form in TICKS:
        read: Callable[[str], int] = lambda cell: epoch(cell, TICKS[form])  # noqa: E731
    elif form:
        if zone is None and "%z" not in form:
            raise ValueError(
                f"expected a time zone beside the time format {form!r}, such as --tz Asia/Shanghai"
            )
        read = local(zone or UTC, form)
    else:
        read = _iso(zone)

    def instant(cell: str) -> int:
        time_ns = memo.get(cell)
        if time_ns is None:
            try:
                time_ns = read(cell)
            except ValueError as error:
                raise FieldError(name, str(error), cell) from None
            if len(memo) >= _MEMO_LIMIT:
                memo.clear()
            memo[cell] = time_ns
        return time_ns

    return instant


def _iso(zone: tzinfo | None) -> Callable[[str], int]:
    """ISO 8601 to the hour, minute, second or fraction; whatever Arrow's quick reader takes, and RFC 3339."""
    naive = local(zone) if zone is not None else None

    def read(cell: str) -> int:
        found = _ISO.fullmatch(cell)
        if found is None:
            if naive is not None:
                return naive(cell)
            if re.fullmatch(r"\d{4}-\d\d-\d\d([T ][\d:.]+)?", cell, re.ASCII):
                raise ValueError("expected a time with a zone, or the option --tz to say which")
            raise ValueError("expected a time such as 2024-05-01T12:30:00Z, or the option --time-format")
        day, hour, minute, second, fraction, offset = found.groups()
        leap = second == "60"
        try:
            stamp = datetime.fromisoformat(
                f"{day}T{hour}:{minute or '00'}:{'59' if leap else second or '00'}"
            )
        except ValueError as error:
            raise ValueError(f"expected a time such as 2024-05-01T12:30:00Z: {error}") from None
        digits = offset[1:].replace(":", "").ljust(4, "0") if len(offset) > 1 else "0000"
        if digits[:2] > "23" or digits[2:] > "59":
            raise ValueError("expected an offset from UTC below 24 hours")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        since = stamp.replace(tzinfo=UTC) - _EPOCH + (shift if offset[0] == "-" else -shift)
        whole_us = since // timedelta(microseconds=1) + (1_000_000 if leap else 0)
        return checked(whole_us * 1_000 + (int(fraction.ljust(9, "0")) if fraction else 0))

    return read


def too_late(latest_ns: int, got_ns: int | None = None) -> str:
    """What was expected of a time that is later than any reading's can be, and what came where it is given."""
    latest, *got = (
        f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for at in (latest_ns, got_ns)
        if at is not None
    )
    return ", got ".join((f"expected a time up to {latest}", *got))


def marks_in(cell: str) -> int:
    """Read words such as ``estimated|edited`` into bits of Mark. Raises FieldError."""
    bits = 0
    for word in re.split(r"[\s,;|+]+", cell.strip()):
        bits |= choice(word, "marks", MARKS) if word else 0
    return bits


def attribute_in(name: str, cell: str) -> str:
    """Read the cell of another column, on one line. Raises FieldError."""
    return text(" ".join(cell.split()), name, ATTRIBUTE_LIMIT)


def row_reader(table: dict[str, int], options: FileOptions) -> Callable[[list[str]], Row]:
    """Return what reads the cells of one row. It raises FieldError."""
    meter_at, time_at, value_at = (table[name] for name in REQUIRED)
    instant = instant_reader(options)
    received = instant_reader(options, "received_at")
    start = instant_reader(options, "period_start")

    def kind(row: Row, cell: str) -> None:
        row.kind = choice(cell, "kind", KINDS)

    def unit(row: Row, cell: str) -> None:
        row.unit = unit_code(cell)

    def quality(row: Row, cell: str) -> None:
        row.quality = choice(cell, "quality", QUALITIES)

    def marks(row: Row, cell: str) -> None:
        row.marks = marks_in(cell)

    def received_at(row: Row, cell: str) -> None:
        row.received_ns = received(cell)

    def area(row: Row, cell: str) -> None:
        row.area = text(cell, "area")

    def register(row: Row, cell: str) -> None:
        row.sparse["register"] = text(cell, "register")

    def serial(row: Row, cell: str) -> None:
        row.sparse["serial"] = text(cell, "serial")

    def factor(row: Row, cell: str) -> None:
        row.sparse["multiplier"] = multiplier(cell)

    def period_start(row: Row, cell: str) -> None:
        start_ns = start(cell)
        if start_ns >= row.time_ns:
            raise FieldError("period_start", "expected a time before the reading's", cell)
        row.sparse["period_start_ns"] = start_ns

    def attribute(name: str, row: Row, cell: str) -> None:
        noted = row.sparse.setdefault("attributes", {})
        assert isinstance(noted, dict)
        noted[name] = attribute_in(name, cell)

    takers: dict[str, Callable[[Row, str], None]] = {
        "kind": kind,
        "unit": unit,
        "quality": quality,
        "marks": marks,
        "received_at": received_at,
        "area": area,
        "register": register,
        "serial": serial,
        "multiplier": factor,
        "period_start": period_start,
    }
    more = [
        (place, takers[name] if name in takers else partial(attribute, name))
        for name, place in table.items()
        if name not in REQUIRED
    ]

    def read(cells: list[str]) -> Row:
        meter_id = text(cells[meter_at].strip(), "meter_id")
        row = Row(meter_id, instant(cells[time_at].strip()), number(cells[value_at]))
        if options.latest_ns is not None and row.time_ns > options.latest_ns:
            raise FieldError("time", too_late(options.latest_ns), cells[time_at])
        for place, take in more:
            cell = cells[place].strip()
            if cell:
                take(row, cell)
        return row

    return read
