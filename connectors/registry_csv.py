"""METERS.csv ↔ the registry: what is known of each meter before it speaks.

One row a meter; columns as in `streams.registry.Meter` (``class`` is ``meter_class``), in any order, any of
them but ``meter_id`` left out. UTF-8 with or without a byte order mark; separated by commas, semicolons or
tabs. A row that is wrong is told with its line and left out; the others count.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from connectors.csv_text import EncodingError, decoded, separator_of
from connectors.registry_columns import HEADINGS, READERS, meter_of
from streams.registry import Meter
from streams.units import known

__all__ = ["Changes", "RegistryError", "RegistryFile", "changes", "read_registry", "write_registry"]

_PROBLEMS_LIMIT = 1_000  # told of one file


class RegistryError(ValueError):
    """The file as a whole cannot be read: nothing of it counts."""


class Changes(NamedTuple):
    """What two versions of the registry differ in."""

    added: list[Meter]
    removed: list[Meter]
    changed: list[tuple[Meter, Meter]]  # before, after

    @property
    def moved(self) -> list[tuple[Meter, Meter]]:
        """Those that are in another area now: their state has to go along."""
        return [(before, after) for before, after in self.changed if before.home_area != after.home_area]


@dataclass(frozen=True)
class _Content:
    meters: dict[str, Meter]
    problems: list[str]
    refused: set[str]  # meters whose row was wrong


def read_registry(path: Path, encoding: str = "utf-8") -> tuple[dict[str, Meter], list[str]]:
    """Return the meters, in the order of the file, and what is wrong with it, a line each.

    Raises OSError where the file cannot be opened, RegistryError where it is no such table at all.
    """
    content = _read(path.read_bytes(), path.name, encoding)
    return content.meters, content.problems


def _read(raw: bytes, name: str, encoding: str = "utf-8") -> _Content:
    try:
        text = decoded(raw, name, encoding)
    except EncodingError as error:
        raise RegistryError(str(error)) from None
    separator = separator_of(text.split("\n", 1)[0])
    table = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    problems: list[str] = []
    try:
        headings = [cell.strip() for cell in next(table, [])]
    except csv.Error as error:
        raise RegistryError(f"{name} line 1: expected column names, got {error}") from None
    fields = _fields(headings, name, problems)
    meters: dict[str, Meter] = {}
    lines: dict[str, int] = {}
    refused: set[str] = set()
    for line, row in _rows(table, name, problems):
        if len(row) != len(headings):
            problems.append(f"{name} line {line}: expected {len(headings)} cells, got {len(row)}")
            refused.update(cell.strip() for cell in row[:1] if fields[0] == "meter_id")
            continue
        meter, faults = meter_of(fields, row)
        if meter is None:
            problems += [f"{name} line {line}, {fault}" for fault in faults]
            refused.add(row[fields.index("meter_id")].strip())
        elif meter.meter_id in meters:
            first = lines[meter.meter_id]
            problems.append(
                f"{name} line {line}, meter_id: expected every meter once, got {meter.meter_id!r} again; "
                f"line {first} counts"
            )
        else:
            meters[meter.meter_id], lines[meter.meter_id] = meter, line
    problems += _odd_units(meters, lines, name)
    if len(problems) > _PROBLEMS_LIMIT:
        more = len(problems) - _PROBLEMS_LIMIT
        problems[_PROBLEMS_LIMIT:] = [f"{name}: and {more} more like these"]
    return _Content(meters, problems, refused)


def _odd_units(meters: dict[str, Meter], lines: dict[str, int], name: str) -> list[str]:
    """Tell of the first meter of each unit that nothing converts: a gauge may have it, a typing error too."""
    first: dict[str, str] = {}
    for meter in meters.values():
        for unit in (meter.unit, meter.native_unit):
            if unit and unit not in first:
                first[unit] = meter.meter_id
    return [
        f"{name} line {lines[meter_id]}, unit: {unit!r} is taken as it is, nothing converts it; "
        "expected one such as m3, L, kW.h, kPa or m3/h (UCUM)"
        for unit, meter_id in first.items()
        if not known(unit)
    ]


def _fields(headings: list[str], name: str, problems: list[str]) -> list[str]:
    """Return the field of each column, "" for one that is not known."""
    if "meter_id" not in headings:
        raise RegistryError(
            f"{name} line 1: expected a column meter_id, got {', '.join(headings) or 'nothing'}"
        )
    for heading in dict.fromkeys(headings):
        if headings.count(heading) > 1:
            times = headings.count(heading)
            raise RegistryError(f"{name} line 1: expected every column once, got {heading!r} {times} times")
        if heading not in HEADINGS:
            problems.append(f"{name} line 1: column {heading!r} is not known and passed over")
    return [HEADINGS.get(heading, "") for heading in headings]


def _rows(table: Any, name: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its last line and each row that is not empty."""
    while True:
        try:
            row = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"{name} line {table.line_num}: expected cells, got {error}")
            continue
        if any(cell.strip() for cell in row):
            yield table.line_num, row


def write_registry(path: Path, meters: Mapping[str, Meter]) -> None:
    """Write METERS.csv with the columns that any meter states. `read_registry` reads the same meters back."""
    plain = Meter(meter_id="")
    stated = [
        field
        for field in READERS
        if field == "meter_id"
        or any(getattr(meter, field) != getattr(plain, field) for meter in meters.values())
    ]
    text = StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow("class" if field == "meter_class" else field for field in stated)
    for meter in meters.values():
        cells = (getattr(meter, field) for field in stated)
        table.writerow(
            "" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in cells
        )
    path.write_text(text.getvalue(), encoding="utf-8")


def changes(old: Mapping[str, Meter], new: Mapping[str, Meter]) -> Changes:
    """Compare two versions of the registry."""
    return Changes(
        [meter for name, meter in new.items() if name not in old],
        [meter for name, meter in old.items() if name not in new],
        [(old[name], meter) for name, meter in new.items() if name in old and old[name] != meter],
    )


class RegistryFile:
    """METERS.csv that changes while we run. Not to be used by two threads at once.

    A row that is wrong now keeps what the same meter's row said before; a file that cannot be read at all
    keeps everything. Best is to write another file and rename it; where one writes in place, a version counts
    once it has been the same at two polls.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meters: dict[str, Meter] = {}
        self._seen: tuple[int, int, int] | None = None  # what the file looked like at the last poll
        self._loaded: tuple[int, int, int] | None = None
        self._digest = b""
        self._failed = ""

    def read(self) -> tuple[dict[str, Meter], list[str]]:
        """Read it now. Returns all meters, and what is wrong.

        Raises OSError or RegistryError as `read_registry`.
        """
        look = self._look()
        raw = self.path.read_bytes()
        self._digest = hashlib.sha256(raw).digest()
        content = _read(raw, self.path.name)
        kept = {name: meter for name, meter in self.meters.items() if name in content.refused}
        self.meters = content.meters | {n: m for n, m in kept.items() if n not in content.meters}
        self._loaded = self._seen = look
        self._failed = ""
        return self.meters, content.problems

    def poll(self) -> tuple[dict[str, Meter], list[str]] | None:
        """Return what `read` does where the content has changed since, None where it has not.

        A file that is gone or cannot be read is told once, as a problem, with the meters as they were.
        """
        try:
            look = self._look()
            if look == self._loaded:
                self._failed = ""
                return None
            if look != self._seen:
                self._seen = look  # perhaps half written: wait until it stays as it is
                return None
            if hashlib.sha256(self.path.read_bytes()).digest() == self._digest:
                self._loaded = look
                return None
            return self.read()
        except (OSError, RegistryError) as error:
            told = str(error)
            if told == self._failed:
                return None
            self._failed = told
            return self.meters, [f"{told}; the registry stays as it was"]

    def _look(self) -> tuple[int, int, int]:
        stat = self.path.stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
