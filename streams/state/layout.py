"""How a detector's arrays are written to records, and read back by this or a later version.

Fields of a structured column are taken by name: a field that is new starts as it does for a
meter that has never spoken, one that is gone is left aside; so with whole columns and whole
detectors. Where a detector's version, or the shape or type of a plain column, is another than
the record's, its numbers do not mean what they meant (a ring of 42 days is laid out modulo 42):
then the detector starts afresh, with all its columns, and its meters are warming up again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import Column
from streams.state.origins import Owner
from streams.state.slots import Slots, written

_NUMBER = re.compile(r"[<|][biuf][1248]")


class LayoutError(ValueError):
    """A record is not what it says that it is."""


class ArrayRecord(msgspec.Struct, frozen=True, array_like=True):
    """Some rows of one column of a detector's state."""

    detector: str
    version: int
    column: str
    dtype: list[tuple[str, str, int]] | str
    width: int
    data: bytes


def columns_of(slots: Slots, part: str) -> Iterator[tuple[Owner, Column, NDArray[Any]]]:
    """The hot or the cold arrays: whose, column, array."""
    for owner in slots.owners:
        for column in owner.columns:
            if column.cold == (part == "cold"):
                yield owner, column, slots.state.of(owner.name, column.name)


def write(slots: Slots, part: str, first: int, last: int) -> list[ArrayRecord]:
    """The hot or cold columns of the slots first … last − 1; a column of zeros alone is left out.

    Most meters use few of the detectors: what they do not use costs their records nothing.
    """
    return [
        ArrayRecord(
            detector.name,
            detector.version,
            column.name,
            _described(column.dtype),
            column.width,
            array[first:last].tobytes(),
        )
        for detector, column, array in columns_of(slots, part)
        if column.fill != 0 or written(array[first:last])
    ]


def adopt(slots: Slots, records: Iterable[ArrayRecord], first: int, count: int) -> set[str]:
    """Copy records of ``count`` meters in, from slot ``first`` on.

    Returns what was not taken over as it is: ``name`` of a detector that must start afresh,
    ``name.column`` where fields came or went. Raises LayoutError for a record that contradicts
    itself.
    """
    targets = {
        (detector.name, column.name): (detector, column, array)
        for part in ("hot", "cold")
        for detector, column, array in columns_of(slots, part)
    }
    changed: set[str] = set()
    for record in records:
        source = _array(record, count)
        found = targets.get((record.detector, record.column))
        if found is None:
            changed.add(f"{record.detector}.{record.column}")
            continue
        detector, column, array = found
        place = slots.owners.index(detector)
        if place < len(slots.asked):
            slots.asked[place] = True  # it has something to go on with
        else:
            slots.traced = True
        cells = array[first : first + count]
        if record.version != detector.version or source.shape != cells.shape:
            changed.add(detector.name)
        elif source.dtype == column.dtype:
            cells[...] = source
        elif source.dtype.names and column.dtype.names:
            changed.add(f"{detector.name}.{column.name}")
            for name in set(column.dtype.names) & set(source.dtype.names):
                cells[name] = source[name]
        else:
            changed.add(detector.name)
    return changed


def start_afresh(slots: Slots, detector: Owner, first: int, count: int) -> None:
    """Give a detector the state of meters that have never spoken, for some slots."""
    for column in detector.columns:
        slots.state.of(detector.name, column.name)[first : first + count] = column.new(count)


def _described(dtype: np.dtype[Any]) -> list[tuple[str, str, int]] | str:
    """A dtype as plain data: names, types and places of its fields; its size last."""
    if dtype.names is None:
        return dtype.str
    fields: Any = dtype.fields
    told = [(name, fields[name][0].str, fields[name][1]) for name in dtype.names]
    return [*told, ("", "", dtype.itemsize)]


def _array(record: ArrayRecord, count: int) -> NDArray[Any]:
    try:
        cells: NDArray[Any] = np.frombuffer(record.data, _dtype(record.dtype))
        return cells.reshape((count, record.width) if record.width else (count,))
    except (TypeError, ValueError) as error:
        raise LayoutError(
            f"expected {record.detector}.{record.column} of {count} meters, "
            f"got {len(record.data)} bytes ({error})"
        ) from error


def _dtype(described: list[tuple[str, str, int]] | str) -> np.dtype[Any]:
    kinds = [described] if isinstance(described, str) else [kind for _, kind, _ in described[:-1]]
    for kind in kinds:
        if not _NUMBER.fullmatch(kind):
            raise ValueError(f"expected numbers such as <f8, got {kind!r}")
    if isinstance(described, str):
        return np.dtype(described)
    *fields, (_, _, size) = described
    return np.dtype(
        {
            "names": [name for name, _, _ in fields],
            "formats": [kind for _, kind, _ in fields],
            "offsets": [place for _, _, place in fields],
            "itemsize": size,
        }
    )
