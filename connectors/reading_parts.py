"""Readings of one file, or of a piece of one, as columns; and how pieces become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.reading_cells import Row

__all__ = ["Part", "join", "part_of_rows"]


@dataclass
class Part:
    """Columns of n readings. An array of length 1 where n is not 1 stands for all rows.

    meters, units   dictionaries of the codes in ``meter`` and ``unit``
    sparse          name → (rows, rising; values)
    areas           meter → area, where a file says so
    """

    rows: int
    meters: list[str]
    meter: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    kind: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1, np.uint8))
    units: list[str] = field(default_factory=lambda: [""])
    unit: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1, np.uint8))
    quality: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1, np.uint8))
    marks: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(1, np.uint16))
    received_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    sparse: dict[str, tuple[NDArray[np.int64], list[object]]] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)


def part_of_rows(rows: Sequence[Row]) -> Part:
    """Return the columns of rows."""
    meters: dict[str, int] = {}
    units: dict[str, int] = {}
    cells: dict[str, tuple[list[int], list[object]]] = {}
    areas: dict[str, str] = {}
    meter = [meters.setdefault(row.meter_id, len(meters)) for row in rows]
    unit = [units.setdefault(row.unit, len(units)) for row in rows]
    for place, row in enumerate(rows):
        for name, cell in row.sparse.items():
            places, values = cells.setdefault(name, ([], []))
            places.append(place)
            values.append(cell)
        if row.area:
            areas[row.meter_id] = row.area
    return Part(
        len(rows),
        list(meters),
        np.array(meter, np.int32),
        np.array([row.time_ns for row in rows], np.int64),
        np.array([row.value for row in rows], np.float64),
        np.array([row.kind for row in rows], np.uint8),
        list(units),
        np.array(unit, np.uint8),
        np.array([row.quality for row in rows], np.uint8),
        np.array([row.marks for row in rows], np.uint16),
        np.array([row.received_ns for row in rows], np.int64),
        {name: (np.array(places, np.int64), values) for name, (places, values) in cells.items()},
        areas,
    )


def join(parts: Sequence[Part]) -> Part:
    """Return one part of many, rows in order; its meters are sorted, so that their codes sort as they do."""
    spoken = [np.flatnonzero(np.bincount(part.meter, minlength=len(part.meters))).tolist() for part in parts]
    names = sorted({part.meters[code] for part, used in zip(parts, spoken, strict=True) for code in used})
    codes = {name: code for code, name in enumerate(names)}
    units: dict[str, int] = {}
    for part in parts:
        for unit in part.units:
            units.setdefault(unit, len(units))
    meter, unit_codes = [], []
    sparse: dict[str, tuple[list[NDArray[np.int64]], list[object]]] = {}
    areas: dict[str, str] = {}
    first = 0
    for part in parts:
        place = np.fromiter((codes.get(name, -1) for name in part.meters), np.int32, len(part.meters))
        meter.append(place[part.meter] if part.rows else np.zeros(0, np.int32))
        unit_place = np.fromiter((units[name] for name in part.units), np.uint8, len(part.units))
        unit_codes.append(unit_place[part.unit] if len(part.units) else np.zeros(part.rows, np.uint8))
        for name, (places, values) in part.sparse.items():
            all_places, all_values = sparse.setdefault(name, ([], []))
            all_places.append(places + first)
            all_values += values
        areas |= part.areas
        first += part.rows
    return Part(
        first,
        names,
        np.concatenate(meter) if meter else np.zeros(0, np.int32),
        _joined(parts, [part.time_ns for part in parts]),
        _joined(parts, [part.value for part in parts]),
        _joined(parts, [part.kind for part in parts]),
        list(units),
        _joined(parts, unit_codes),
        _joined(parts, [part.quality for part in parts]),
        _joined(parts, [part.marks for part in parts]),
        _joined(parts, [part.received_ns for part in parts]),
        {name: (np.concatenate(places), values) for name, (places, values) in sparse.items()},
        areas,
    )


def _joined(parts: Sequence[Part], columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate; constants that agree stay one cell."""
    if all(
        len(c) == 1 and part.rows != 1 and c[0] == columns[0][0]
        for part, c in zip(parts, columns, strict=True)
    ):
        return columns[0]
    full = [
        np.broadcast_to(c, (part.rows,)) if len(c) != part.rows else c
        for part, c in zip(parts, columns, strict=True)
    ]
    return np.concatenate(full)
