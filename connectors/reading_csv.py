"""CSV files of readings: quickly in clean pieces, carefully where a piece has anything wrong.

A file is cut at line ends into pieces of some megabytes. Arrow reads a piece at once; where it finds a cell that it
does not understand, the piece is read row by row instead, and every bad row is told with its line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv

from connectors.csv_text import decoded, separator_of
from connectors.reading_arrow import part_of_table
from connectors.reading_cells import FileOptions, Row, row_reader, table_of
from connectors.reading_parts import Part, part_of_rows

__all__ = ["read_csv"]

PIECE = 2 * 1024 * 1024
_LONGEST = 20  # lines in a row
_BOM = b"\xef\xbb\xbf"

Tell = Callable[[str, bytes], None]  # reason, raw bytes


@dataclass(frozen=True)
class _Layout:
    """What the header says."""

    name: str  # of the file
    separator: str
    width: int
    places: dict[str, int]
    options: FileOptions


class _Doubt(Exception):
    """A piece is to be read carefully."""


def read_csv(path: Path, options: FileOptions, tell: Tell) -> list[Part]:
    """Read a CSV file; ``tell`` is called for each bad row with ``name:line: reason`` and its bytes.

    Raises OSError, and ValueError where the header is none.
    """
    raw = path.read_bytes().removeprefix(_BOM)
    if options.encoding.lower() not in ("utf-8", "utf8"):
        raw = decoded(raw, path.name, options.encoding).encode()
    start = raw.find(b"\n") + 1 or len(raw)
    head = decoded(raw[:start], path.name).strip("\r\n")
    separator = separator_of(head)
    headings = next(csv.reader([head], delimiter=separator), [])
    places = table_of(headings, options, path.name)
    layout = _Layout(path.name, separator, len(headings), places, options)
    parts: list[Part] = []
    line = 2
    for first, end in _pieces(raw, start):
        try:
            parts.append(_quickly(memoryview(raw)[first:end], layout))
        except (_Doubt, pa.ArrowInvalid):
            parts.append(_carefully(raw[first:end], line, layout, tell))
        line += raw.count(b"\n", first, end)
    return parts


def _pieces(raw: bytes, first: int) -> Iterator[tuple[int, int]]:
    """Cut at line ends that are not within quotes, as far as quotes are closed within a few lines."""
    while first < len(raw):
        end = raw.find(b"\n", first + PIECE) + 1 or len(raw)
        quotes = raw.count(b'"', first, end)
        for _ in range(_LONGEST):
            if quotes % 2 == 0 or end == len(raw):
                break
            further = raw.find(b"\n", end) + 1 or len(raw)
            quotes += raw.count(b'"', end, further)
            end = further
        yield first, end
        first = end


def _quickly(piece: memoryview, layout: _Layout) -> Part:
    """Read a piece at once. Raises _Doubt or ArrowInvalid where anything is wrong in it."""
    if layout.options.time_format:
        raise _Doubt
    names = [f"c{place}" for place in range(layout.width)]
    types = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    # with the option tz times may go without a zone; a piece in which some have one is not for this way
    instant = pa.timestamp("ns") if layout.options.tz else pa.timestamp("ns", "UTC")
    for column, place in layout.places.items():
        if column in ("time", "received_at", "period_start"):
            types[names[place]] = instant
        elif column == "value":
            types[names[place]] = pa.float64()
    found = arrow_csv.read_csv(
        pa.BufferReader(pa.py_buffer(piece)),
        read_options=arrow_csv.ReadOptions(column_names=names, block_size=max(len(piece), 1024)),
        parse_options=arrow_csv.ParseOptions(delimiter=layout.separator, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=False, include_columns=names
        ),
    )

    def doubt(row: int, reason: str) -> None:
        raise _Doubt

    return part_of_table(found, layout.places, layout.options, doubt)


def _carefully(piece: bytes, line: int, layout: _Layout, tell: Tell) -> Part:
    """Read a piece row by row; ``line`` is the number of its first."""
    lines = piece.decode("utf-8", "surrogateescape").split("\n")
    read = row_reader(layout.places, layout.options)
    rows: list[Row] = []
    at = 0
    while at < len(lines):
        taken = _lines_of_row(lines, at)
        try:
            row = [line + "\n" for line in lines[at : at + taken]]
            cells = next(csv.reader(row, delimiter=layout.separator, strict=True), [])
            if len(cells) == layout.width:
                rows.append(read(cells))
            elif any(cell.strip() for cell in cells):
                raise ValueError(f"expected {layout.width} cells, got {len(cells)}")
        except (csv.Error, ValueError) as error:
            taken = 1  # a quote too many must not swallow the lines after it
            raw = lines[at].rstrip("\r").encode("utf-8", "surrogateescape")
            reason = str(error) if isinstance(error, ValueError) else f"expected cells, got {error}"
            tell(f"{layout.name}:{line + at}: {reason}", raw)
        at += taken
    return part_of_rows(rows)


def _lines_of_row(lines: list[str], at: int) -> int:
    """Return how many lines a row has: more than one where a quoted cell goes on."""
    quotes = 0
    for taken, line in enumerate(lines[at : at + _LONGEST], 1):
        quotes += line.count('"')
        if quotes % 2 == 0:
            return taken
    return 1
