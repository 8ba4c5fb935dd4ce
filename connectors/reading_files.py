"""Files of readings, CSV or Parquet, merged by time: what ``replay`` and ``import`` read.

Columns: ``meter_id, time, value`` and, where there are any, ``kind, unit, quality, marks, area, serial, register,
period_start, multiplier, received_at``; other columns become attributes (``reader``, ``route``), but for those of the
registry, which are passed over. One or several files become one sequence: by ``received_at`` where it is given,
else by time; ties by meter id, then in the order of the files.

Everything is held in memory while it is sorted: about 60 bytes a reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from connectors.payloads.fields import REFUSALS_LIMIT
from connectors.reading_arrow import part_of_table
from connectors.reading_cells import FileOptions, instant_reader, table_of
from connectors.reading_csv import read_csv
from connectors.reading_parts import Part, join
from streams.messages import Reject

__all__ = ["FileChunk", "FileOptions", "read_files"]

_MINUTE = 60_000_000_000


@dataclass(frozen=True)
class FileChunk:
    """Readings as columns, arrays of shape (n,), in order. Readings of equal time are never in two chunks.

    meters, units   dictionaries of the codes in ``meter`` and ``unit``
    received_ns     0 where the file does not say
    sparse          name → {row: value}, as in `streams.ports.Rows`
    areas           meter → area of all meters of the files, where they say so; one object for all chunks
    """

    meters: list[str]
    meter: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    kind: NDArray[np.uint8]
    units: list[str]
    unit: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    marks: NDArray[np.uint16]
    received_ns: NDArray[np.int64]
    sparse: dict[str, dict[int, object]]
    areas: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.meter)


def read_files(
    paths: Sequence[Path],
    rejected: Callable[[Reject], None] = lambda reject: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    options: FileOptions | None = None,
) -> Iterator[FileChunk]:
    """Yield the readings of all files in order.

    rejected    told of each bad row: its reason begins with ``file:line:``; of a file's first 1,000, and how many
                more there were
    progress    rows done, total
    Raises OSError for a file that cannot be opened, ValueError for one that is no such table.
    """
    options = options or FileOptions()
    instant_reader(options)  # whether they can be obeyed at all
    parts: list[Part] = []
    for path in paths:
        telling = _Telling(path.name, rejected)
        parts += _read(path, options, telling)
        telling.close()
    if not parts:
        return
    whole = join(parts)
    del parts
    yield from _chunks(whole, options.chunk_rows, progress)


class _Telling:
    """Tells of the first bad rows of a file, and counts the others."""

    def __init__(self, name: str, rejected: Callable[[Reject], None]) -> None:
        self._name = name
        self._rejected = rejected
        self._told = 0

    def __call__(self, reason: str, raw: bytes) -> None:
        self._told += 1
        if self._told <= REFUSALS_LIMIT:
            self._rejected(Reject(reason, raw))

    def close(self) -> None:
        """Say how many more there were."""
        if self._told > REFUSALS_LIMIT:
            more = self._told - REFUSALS_LIMIT
            self._rejected(Reject(f"{self._name}: and {more} more rows were refused", b""))


def _read(path: Path, options: FileOptions, tell: _Telling) -> list[Part]:
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    if not parquet:
        return read_csv(path, options, tell)
    try:
        names = pq.read_schema(path).names
        places = table_of(names, options, path.name)
        wanted = [names[place] for place in places.values()]
        table = pq.read_table(path, columns=wanted, read_dictionary=[names[places["meter_id"]]])
    except pa.ArrowException as error:
        raise ValueError(f"{path.name}: expected a Parquet file, got: {error}") from None
    table = table.unify_dictionaries()
    places = {column: place for place, column in enumerate(places)}

    def refuse(row: int, reason: str) -> None:
        raw = repr({name: str(cell) for name, cell in table.slice(row, 1).to_pylist()[0].items()})
        tell(f"{path.name}:{row + 1}: {reason}", raw.encode())

    try:
        return [part_of_table(table, places, options, refuse)]
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _order(whole: Part) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the keys by which rows are ordered, sorted, and the rows in order (None: as they are)."""
    key = whole.time_ns
    if whole.received_ns.any():
        key = np.where(whole.received_ns != 0, whole.received_ns, whole.time_ns)
    if len(key) < 2:
        return key, None
    steps = np.diff(key)
    if (steps > 0).all() or ((steps >= 0).all() and not ((steps == 0) & (np.diff(whole.meter) < 0)).any()):
        return key, None
    # Sorting one packed number a row, its place included, is several times faster than a stable
    # argsort, and as stable. It needs the times to fit: they do in steps of whole seconds or so.
    least = int(key.min())
    span = key - least
    step = next((s for s in (_MINUTE, 1_000_000_000, 1_000_000, 1_000) if not (span % s).any()), 1)
    meters = len(whole.meters)
    bits = (len(key) - 1).bit_length()
    if (int(span.max()) // step + 1) * meters < 1 << (63 - bits):
        packed = (((span // step) * meters + whole.meter) << bits) | np.arange(len(key))
        packed.sort()
        rows = packed & ((1 << bits) - 1)
    else:
        rows = np.lexsort((whole.meter, key))
    return key[rows], rows


def _chunks(whole: Part, size: int, progress: Callable[[int, int], None]) -> Iterator[FileChunk]:
    key, rows = _order(whole)
    total = whole.rows
    columns: list[NDArray[Any]] = [
        column if len(column) == 1 and total != 1 else (column if rows is None else column[rows])
        for column in (
            whole.meter,
            whole.time_ns,
            whole.value,
            whole.kind,
            whole.unit,
            whole.quality,
            whole.marks,
            whole.received_ns,
        )
    ]
    sparse = _sorted_sparse(whole, rows)
    first = 0
    progress(0, total)
    while first < total:
        end = min(first + size, total)
        if end < total:
            end = int(np.searchsorted(key, key[end - 1], side="right"))
        meter, time_ns, value, kind, unit, quality, marks, received = (
            np.repeat(column, end - first) if len(column) == 1 and total != 1 else column[first:end]
            for column in columns
        )
        meters = whole.meters
        if len(meters) > 2 * (end - first):  # a chunk's dictionary is not to be longer than the chunk
            used, meter = np.unique(meter, return_inverse=True)
            meters, meter = [meters[code] for code in used.tolist()], meter.astype(np.int32)
        cells = {name: _cells(places, values, first, end) for name, (places, values) in sparse.items()}
        yield FileChunk(
            meters,
            meter,
            time_ns,
            value,
            kind,
            whole.units,
            unit,
            quality,
            marks,
            received,
            {name: found for name, found in cells.items() if found},
            whole.areas,
        )
        first = end
        progress(first, total)


def _sorted_sparse(
    whole: Part, rows: NDArray[np.int64] | None
) -> dict[str, tuple[NDArray[np.int64], list[object]]]:
    if rows is None or not whole.sparse:
        return whole.sparse
    place = np.empty(len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    found: dict[str, tuple[NDArray[np.int64], list[object]]] = {}
    for name, (places, values) in whole.sparse.items():
        moved = place[places]
        order = np.argsort(moved)
        found[name] = (moved[order], [values[n] for n in order.tolist()])
    return found


def _cells(places: NDArray[np.int64], values: list[object], first: int, end: int) -> dict[int, object]:
    begin, stop = np.searchsorted(places, [first, end]).tolist()
    return dict(zip((places[begin:stop] - first).tolist(), values[begin:stop], strict=True))
