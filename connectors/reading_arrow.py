"""Arrow tables (Parquet files, clean pieces of CSV) → columns of readings, without a loop over rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from connectors.payloads.fields import (
    KINDS,
    QUALITIES,
    FieldError,
    choice,
    number,
    text,
    unit_code,
)
from connectors.payloads.native_fields import multiplier
from connectors.payloads.times import FIRST_NS, LAST_NS, NS, zone_named
from connectors.reading_cells import (
    COLUMNS,
    SPARSE,
    TICKS,
    FileOptions,
    attribute_in,
    instant_reader,
    marks_in,
    too_late,
)
from connectors.reading_parts import Part

__all__ = ["Refuse", "part_of_table"]

Refuse = Callable[[int, str], None]  # row, reason
Column = NDArray[Any]


class _Table:
    """One table on its way to columns; ``good`` says which rows are still to be taken."""

    def __init__(self, table: Any, places: dict[str, int], options: FileOptions, refuse: Refuse) -> None:
        self.table = table
        self.places = places
        self.options = options
        self.rows: int = table.num_rows
        self.good = np.ones(self.rows, np.bool_)
        self._refuse = refuse

    def array(self, name: str) -> Any:
        """The column as one Arrow array, or None."""
        place = self.places.get(name)
        if place is None:
            return None
        column = self.table.column(place)
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)

    def drop(self, bad: NDArray[np.bool_], reason: Callable[[int], str]) -> None:
        """Refuse rows that are still good."""
        for row in np.flatnonzero(bad & self.good).tolist():
            self._refuse(row, reason(row))
        self.good &= ~bad

    def words(
        self, name: str, read: Callable[[str], Any], missing: Any, dtype: Any
    ) -> tuple[Column, list[Any]]:
        """Code and dictionary of a column of few different texts, each read once.

        Null and empty texts are ``missing``; a row with a text that ``read`` refuses is dropped.
        """
        array = self.array(name)
        if not pa.types.is_dictionary(array.type):
            array = self._texts(array, name).dictionary_encode()
        entries = self._texts(array.dictionary, name).to_pylist()
        values: list[Any] = [missing]
        place = np.zeros(len(entries) + 1, dtype)
        wrong: dict[int, str] = {}
        for code, entry in enumerate(entries):
            if entry is None or not entry.strip():
                continue
            try:
                values.append(read(entry.strip()))
                place[code] = len(values) - 1
            except FieldError as error:
                wrong[code] = str(error)
        indices = array.indices.fill_null(len(entries)).to_numpy(zero_copy_only=False)
        if wrong:
            self.drop(np.isin(indices, list(wrong)), lambda row: wrong[int(indices[row])])
        return place[indices], values

    @staticmethod
    def _texts(array: Any, name: str) -> Any:
        """The cells as texts; what has none of its own (lists, records, raw bytes) as JSON where it is an attribute."""
        try:
            return array.cast(pa.string())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            if name in COLUMNS:
                raise ValueError(f"{name}: expected a column of texts, got {array.type}") from None
        cells = array.to_pylist()
        told = (
            None if cell is None else json.dumps(cell, ensure_ascii=False, default=_json) for cell in cells
        )
        return pa.array(told, pa.string())


def _json(cell: object) -> str:
    return cell.hex() if isinstance(cell, bytes) else str(cell)


def part_of_table(table: Any, places: dict[str, int], options: FileOptions, refuse: Refuse) -> Part:
    """Return the good rows of an Arrow table; ``refuse`` is told of each other one.

    places : which column stands where, from `reading_cells.table_of`
    Raises ValueError where a column cannot be such a one at all (a time that is a boolean).
    """
    work = _Table(table, places, options, refuse)
    meter, meters = work.words("meter_id", lambda cell: text(cell, "meter_id"), "", np.int32)
    work.drop(meter == 0, lambda row: "meter_id: expected 1 to 128 characters, got nothing")
    time_ns = _times(work, "time")
    latest_ns = options.latest_ns
    if latest_ns is not None:
        work.drop(time_ns > latest_ns, lambda row: f"time: {too_late(latest_ns, int(time_ns[row]))}")
    value = _numbers(work, "value")
    part = Part(work.rows, meters, meter, time_ns, value)
    if "kind" in places:
        part.kind = _codes(work, "kind", lambda cell: choice(cell, "kind", KINDS), np.uint8)
    if "quality" in places:
        part.quality = _codes(work, "quality", lambda cell: choice(cell, "quality", QUALITIES), np.uint8)
    if "marks" in places:
        part.marks = _codes(work, "marks", marks_in, np.uint16)
    if "unit" in places:
        part.unit, part.units = work.words("unit", unit_code, "", np.uint8)
    if "received_at" in places:
        part.received_ns = _times(work, "received_at", optional=True)
    if "area" in places:
        area, areas = work.words("area", lambda cell: text(cell, "area"), "", np.int32)
        pairs = np.unique(meter.astype(np.int64) << 32 | area).tolist()
        part.areas = {meters[pair >> 32]: areas[pair & 0xFFFFFFFF] for pair in pairs if pair & 0xFFFFFFFF}
    _sparse(work, part)
    return part if bool(work.good.all()) else _only(part, work.good)


def _codes(work: _Table, name: str, read: Callable[[str], int], dtype: Any) -> Column:
    code, values = work.words(name, read, 0, np.int32)
    return np.array(values, dtype)[code]


def _numbers(work: _Table, name: str) -> NDArray[np.float64]:
    array = work.array(name)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _each(work, array, lambda cell: number(cell, name), np.float64, name)
    if pa.types.is_null(kind):
        array, kind = array.cast(pa.float64()), pa.float64()
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ValueError(f"{name}: expected a column of numbers, got {kind}")
    value: NDArray[np.float64] = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    bad = ~np.isfinite(value)
    if bad.any():
        work.drop(bad, lambda row: f"{name}: expected a finite number, got {array[row].as_py()}")
    return value


def _times(work: _Table, name: str, optional: bool = False) -> NDArray[np.int64]:
    """Read a column of times; an optional one that is not there is 0."""
    array = work.array(name)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _each(work, array, instant_reader(work.options, name), np.int64, name, optional)
    form = work.options.time_format or "ms"
    if pa.types.is_integer(kind) and form not in TICKS:
        return _each(
            work, array.cast(pa.string()), instant_reader(work.options, name), np.int64, name, optional
        )
    counted = pa.types.is_integer(kind) or (pa.types.is_floating(kind) and form in TICKS)
    if pa.types.is_date(kind):
        array, kind = array.cast(pa.timestamp("ms")), pa.timestamp("ms")
    elif pa.types.is_null(kind):
        array, kind = array.cast(pa.timestamp("ms", "UTC")), pa.timestamp("ms", "UTC")
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            if not work.options.tz:
                raise ValueError(f"{name}: expected times with a zone, or the option --tz to say which")
            array = _zoned(array, work.options.tz)
        form = kind.unit
    elif not counted:
        raise ValueError(f"{name}: expected a column of timestamps, integers or texts, got {kind}")
    ticks = NS // TICKS[form]
    if pa.types.is_floating(kind):
        count, ticks = _microseconds(array, ticks), 1_000
    else:
        count = array.cast(pa.int64())
    missing = count.is_null().to_numpy(zero_copy_only=False)
    ticked: NDArray[np.int64] = np.array(count.fill_null(0))
    bad = (ticked < FIRST_NS // ticks) | (ticked > LAST_NS // ticks)
    if optional:
        bad &= ~missing
    if bad.any():
        if counted and bool((bad | missing).all()) and not missing.all():
            _whole_column(name, array.drop_null()[0].as_py(), form)
        work.drop(bad, lambda row: f"{name}: expected a time from 1990 to 2099, got {array[row]}")
    ticked[bad | missing] = 0
    return ticked * ticks


def _microseconds(array: Any, ticks: int) -> Any:
    """Counts of ticks as floating numbers, which data frames make of whole ones with blanks. [µs]"""
    count = array.cast(pa.float64()).to_numpy(zero_copy_only=False) * (ticks / 1_000)
    fits = np.abs(count) < 2.0**53
    return pa.array(np.round(np.where(fits, count, 0.0)).astype(np.int64), mask=np.isnan(count))


def _whole_column(name: str, value: float, form: str) -> None:
    """Say of a column that has no time in it whether another tick would make times of it. Raises ValueError."""
    for other, a_second in TICKS.items():
        if FIRST_NS <= value * (NS // a_second) <= LAST_NS:
            raise ValueError(
                f"{name}: expected {form} since 1970, got {value}; as {other} since 1970 it would be a time: "
                f"say so with --time-format {other}"
            )


def _zoned(array: Any, tz: str) -> Any:
    """Give naive times a zone, by the rules of `connectors.payloads.times.local` where clocks change."""
    zone = zone_named(tz)
    zoned = pc.assume_timezone(array, tz, ambiguous="earliest", nonexistent="earliest")
    skipped = pc.fill_null(pc.not_equal(pc.local_timestamp(zoned), array), False)
    if pc.any(skipped).as_py():
        # an hour that the clocks skip: as if they had not moved yet
        whole = array.filter(skipped).cast(pa.timestamp("us"), safe=False).to_pylist()
        instants = pa.array(
            [t.replace(tzinfo=zone).astimezone(UTC) for t in whole], pa.timestamp("us", "UTC")
        )
        zoned = pc.replace_with_mask(zoned, skipped, instants.cast(zoned.type, safe=False))
    return zoned


def _each(
    work: _Table, array: Any, read: Callable[[str], Any], dtype: Any, name: str, optional: bool = False
) -> Column:
    """Read texts one by one, those that are equal once."""
    encoded = array.dictionary_encode()
    entries = encoded.dictionary.to_pylist()
    values = np.zeros(len(entries) + 1, dtype)
    wrong: dict[int, str] = {} if optional else {len(entries): f"{name}: expected one, got nothing"}
    for code, entry in enumerate(entries):
        cell = entry.strip()
        if not cell and optional:
            continue
        try:
            values[code] = read(cell)
        except FieldError as error:
            wrong[code] = str(error)
    indices = encoded.indices.fill_null(len(entries)).to_numpy(zero_copy_only=False)
    if wrong:
        work.drop(np.isin(indices, list(wrong)), lambda row: wrong[int(indices[row])])
    found: Column = values[indices]
    return found


def _sparse(work: _Table, part: Part) -> None:
    readers: dict[str, Callable[[str], object]] = {
        "register": lambda cell: text(cell, "register"),
        "serial": lambda cell: text(cell, "serial"),
        "multiplier": multiplier,
    }
    for name, read in readers.items():
        if name in work.places:
            code, values = work.words(name, read, None, np.int32)
            rows = np.flatnonzero(code)
            part.sparse[SPARSE[name]] = (rows, [values[c] for c in code[rows].tolist()])
    if "period_start" in work.places:
        start = _times(work, "period_start", optional=True)
        work.drop(start >= part.time_ns, lambda row: "period_start: expected a time before the reading's")
        rows = np.flatnonzero(start)
        part.sparse["period_start_ns"] = (rows, list(start[rows].tolist()))
    noted: dict[int, dict[str, str]] = {}
    for name in work.places:
        if name not in COLUMNS:
            code, values = work.words(name, partial(attribute_in, name), None, np.int32)
            for row in np.flatnonzero(code).tolist():
                noted.setdefault(row, {})[name] = values[code[row]]
    if noted:
        rows = np.array(sorted(noted), np.int64)
        part.sparse["attributes"] = (rows, [noted[row] for row in rows.tolist()])


def _only(part: Part, good: NDArray[np.bool_]) -> Part:
    """Return the good rows of a part."""
    place = np.cumsum(good) - 1
    rows = int(good.sum())

    def kept(column: Column) -> Column:
        return column if len(column) == 1 and part.rows != 1 else column[good]

    sparse = {}
    for name, (places, values) in part.sparse.items():
        stay = good[places]
        sparse[name] = (place[places[stay]], [v for v, s in zip(values, stay.tolist(), strict=True) if s])
    return Part(
        rows,
        part.meters,
        part.meter[good],
        part.time_ns[good],
        part.value[good],
        kept(part.kind),
        part.units,
        kept(part.unit),
        kept(part.quality),
        kept(part.marks),
        kept(part.received_ns),
        sparse,
        part.areas,
    )
