"""Readings of the embedded history as sorted columns, and as bytes.

``Cells`` are parallel arrays of shape (n,). Two forms of bytes: *plain*, the columns one after
the other, for a batch just arrived; *packed*, for readings sorted by series and time:
differences of neighbours, bytes of equal weight side by side, zlib. Regular readings pack to 2
to 9 bytes from 26.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

_PLAIN, _PACKED = 1, 2
_HEADER = struct.Struct("<BI")  # form, rows
_LEVEL = 1  # of zlib: level 6 takes three times as long for a tenth less
CELL_BYTES = 26


class Cells(NamedTuple):
    """Readings as columns; ``series`` and ``unit`` are keys of the history's own lists."""

    series: NDArray[np.uint32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    unit: NDArray[np.uint16]
    kind: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    marks: NDArray[np.uint16]

    @property
    def rows(self) -> int:
        """How many readings there are."""
        return len(self.series)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in their order."""
        return cast("tuple[NDArray[Any], ...]", self)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Cells:
        """Some of the readings, in the order of the index."""
        return Cells._make(column[index] for column in self.columns)

    def newest_of_each(self) -> Cells:
        """Sorted by series and time; of a series' readings at one instant the one written last."""
        order = np.lexsort((self.time_ns, self.series))  # stable: what was written later comes later
        series, time = self.series[order], self.time_ns[order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = (series[1:] != series[:-1]) | (time[1:] != time[:-1])
        return self.take(order[last])


_TYPES = [np.dtype(name) for name in ("<u4", "<i8", "<f8", "<u2", "u1", "u1", "<u2")]


def join(parts: Sequence[Cells]) -> Cells:
    """One after the other, in the order in which they were written."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Cells._make(np.empty(0, dtype) for dtype in _TYPES)
    return Cells._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def plain(cells: Cells) -> bytes:
    """The columns as they are."""
    pairs = zip(cells.columns, _TYPES, strict=True)
    body = b"".join(column.astype(dtype, copy=False).tobytes() for column, dtype in pairs)
    return _HEADER.pack(_PLAIN, cells.rows) + body


def packed(cells: Cells) -> bytes:
    """The columns packed small; they should be sorted by series and time."""
    out = []
    for column, dtype in zip(cells.columns, _TYPES, strict=True):
        wide = column.astype(dtype, copy=False).view(f"<u{dtype.itemsize}")
        if dtype.kind != "f":
            wide = np.diff(wide, prepend=wide[:0].dtype.type(0))  # wraps around, and back again
        out.append(wide.view(np.uint8).reshape(len(wide), dtype.itemsize).T.tobytes())
    return _HEADER.pack(_PACKED, cells.rows) + zlib.compress(b"".join(out), _LEVEL)


def read(data: bytes) -> Cells:
    """The readings of either form.

    Raises ValueError where ``data`` is neither.
    """
    form, rows = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if form == _PACKED:
        try:
            body = zlib.decompress(body)
        except zlib.error as error:
            raise ValueError(f"expected packed readings, got {error}: the file is damaged") from error
    if form not in (_PLAIN, _PACKED) or len(body) != rows * CELL_BYTES:
        raise ValueError(
            f"expected {rows} readings of {CELL_BYTES} bytes in form {_PLAIN} or {_PACKED}, "
            f"got {len(body)} bytes in form {form}; is the file of a newer Forestall?"
        )
    columns, start = [], 0
    for dtype in _TYPES:
        size = rows * dtype.itemsize
        raw = body[start : start + size]
        start += size
        if form == _PACKED:
            bytewise = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, rows)
            wide = bytewise.T.copy().view(f"<u{dtype.itemsize}")[:, 0]
            if dtype.kind != "f":
                wide = np.cumsum(wide, dtype=wide.dtype)
            columns.append(wide.view(dtype))
        else:
            columns.append(np.frombuffer(raw, dtype))
    return Cells._make(columns)
