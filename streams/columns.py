"""The messages of ``readings.v1``: columnar batches, clock ticks, registry events, moves.

MessagePack arrays with a tag that names type and version first (``b1`` = batch, version 1).
Columns are raw little-endian numpy buffers; a column whose cells are all equal is stored as
one cell. See docs/adr/0008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.messages import Source
from streams.ports import Rows
from streams.registry import Meter

NO_DIGEST = bytes(16)  # of a message that must not be recognised again, or of none


MOST_ROWS = 1 << 22  # in one message: a column of one cell must not ask for all memory


class _Sparse(TypedDict, total=False):
    """The rare fields, each row → value; what a newer program adds is left aside."""

    register: dict[int, str]
    serial: dict[int, str]
    period_start_ns: dict[int, int]
    multiplier: dict[int, float]
    attributes: dict[int, dict[str, str]]


class _Batch(msgspec.Struct, frozen=True, array_like=True, tag="b1"):
    rows: Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)]
    meters: list[str]
    meter: bytes  # <u4
    time: bytes  # <i8
    value: bytes  # <f8
    kind: bytes  # u1
    units: list[str]
    unit: bytes  # u1
    quality: bytes  # u1
    marks: bytes  # <u2
    source: bytes  # <u4
    adapters: list[str]
    topics: list[str]
    received: bytes  # <i8
    sequence: bytes  # <i8
    digests: bytes  # 16 each
    sparse: _Sparse
    hashes: bytes | bool = False  # of the raw messages, 16 each; True: ``digests``; False: there are none


class Tick(msgspec.Struct, frozen=True, array_like=True, tag="t1"):
    """The clock of ``ingest``, for quiet times."""

    now_ns: int


class Registry(msgspec.Struct, frozen=True, array_like=True, tag="r1"):
    """Rows of the registry, new or changed, that live in this partition."""

    meters: list[Meter]


class Depart(msgspec.Struct, frozen=True, array_like=True, tag="d1"):
    """Meters leave for another partition: hand their state over."""

    meters: dict[str, int]  # meter → number of this move of it
    partition: int  # where they go
    astray: bool = False  # sent on by a partition that they had left


class Expect(msgspec.Struct, frozen=True, array_like=True, tag="e1"):
    """Meters come from another partition: hold their readings until their state is here."""

    meters: list[Meter]
    moves: list[int]  # of each, the number of this move


class Arrive(msgspec.Struct, frozen=True, array_like=True, tag="a1"):
    """The state of meters that were expected; empty where their old partition knew nothing."""

    states: dict[str, tuple[int, bytes]]  # meter → number of the move, state


Control = Tick | Registry | Depart | Expect | Arrive
_decoder = msgspec.msgpack.Decoder(_Batch | Tick | Registry | Depart | Expect | Arrive)
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Columns:
    """Readings as columns; arrays have shape (n,) and are read-only views of the message.

    meter indexes ``meters``, unit ``units``, source the lists of sources. ``sparse`` holds the
    rare fields, name → {row: value}. Of each source ``digests`` has what it is known by when it
    comes again, ``hashes`` the digest of the raw message itself: they differ where a message is cut
    in several, and where one that comes again is another; files have no ``hashes``.
    """

    meters: list[str]
    meter: NDArray[np.uint32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    kind: NDArray[np.uint8]
    units: list[str]
    unit: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    marks: NDArray[np.uint16]
    source: NDArray[np.uint32]
    adapters: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    received_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    sequence: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    digests: bytes = b""
    sparse: dict[str, dict[int, Any]] = field(default_factory=dict)
    hashes: bytes = b""  # 16 each; empty: there are none

    def __len__(self) -> int:
        return len(self.meter)

    def source_of(self, row: int) -> Source:
        """Where one reading came from."""
        s = int(self.source[row])
        known = self.hashes[16 * s : 16 * s + 16]
        return Source(
            adapter=self.adapters[s],
            topic=self.topics[s],
            received_ns=int(self.received_ns[s]),
            sequence=int(self.sequence[s]),
            digest=b"" if known == NO_DIGEST else known,
            unique=self.digests[16 * s : 16 * s + 16] != NO_DIGEST,
        )

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Columns:
        """Some of the rows, in the order given; the dictionaries stay whole."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        place = {int(old): new for new, old in enumerate(index)} if self.sparse else {}
        sparse = {
            name: {place[row]: value for row, value in cells.items() if row in place}
            for name, cells in self.sparse.items()
        }
        return Columns(
            self.meters, self.meter[index], self.time_ns[index], self.value[index], self.kind[index],
            self.units, self.unit[index], self.quality[index], self.marks[index], self.source[index],
            self.adapters, self.topics, self.received_ns, self.sequence, self.digests,
            {name: cells for name, cells in sparse.items() if cells}, self.hashes,
        )  # fmt: skip


def _pack(column: NDArray[Any]) -> bytes:
    if len(column) > 1 and bool((column == column[0]).all()):
        column = column[:1]
    return column.tobytes()


def _unpack(raw: bytes, dtype: str, rows: int) -> NDArray[Any]:
    column: NDArray[Any] = np.frombuffer(raw, dtype)
    if len(column) == 1 and rows != 1:
        return np.broadcast_to(column, (rows,)).copy()
    if len(column) != rows:
        raise msgspec.ValidationError(f"expected a column of {rows} cells of {dtype}, got {len(column)}")
    return column


def encode(columns: Columns) -> bytes:
    """Encode a batch. Only the meters, units and sources that its rows use should be in it."""
    c = columns
    return _encoder.encode(
        _Batch(
            len(c), c.meters, _pack(c.meter), _pack(c.time_ns), _pack(c.value), _pack(c.kind), c.units,
            _pack(c.unit), _pack(c.quality), _pack(c.marks), _pack(c.source), c.adapters, c.topics,
            c.received_ns.tobytes(), c.sequence.tobytes(), c.digests, cast(_Sparse, c.sparse),
            c.hashes == c.digests or (c.hashes if c.hashes.strip(b"\0") else False),
        )
    )  # fmt: skip


def encode_control(message: Control) -> bytes:
    """Encode a tick, a registry event or a step of a move."""
    return _encoder.encode(message)


def decode(raw: bytes) -> Columns | Control:
    """Decode what ``readings.v1`` carries.

    Raises ValueError with what was expected where ``raw`` is not such a message, and for a
    version that this program does not know.
    """
    try:
        message: _Batch | Control = _decoder.decode(raw)
        if not isinstance(message, _Batch):
            return message
        n = message.rows
        return _checked(
            Columns(
                message.meters, _unpack(message.meter, "<u4", n), _unpack(message.time, "<i8", n),
                _unpack(message.value, "<f8", n), _unpack(message.kind, "u1", n), message.units,
                _unpack(message.unit, "u1", n), _unpack(message.quality, "u1", n),
                _unpack(message.marks, "<u2", n), _unpack(message.source, "<u4", n), message.adapters,
                message.topics, np.frombuffer(message.received, "<i8"),
                np.frombuffer(message.sequence, "<i8"), message.digests,
                cast("dict[str, dict[int, Any]]", message.sparse), _hashes(message),
            )
        )  # fmt: skip
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(
            f"expected a batch, tick, registry event or move of readings.v1, got {error}"
        ) from error


def _hashes(message: _Batch) -> bytes:
    if isinstance(message.hashes, bytes):
        return message.hashes
    return message.digests if message.hashes else b""


def _checked(c: Columns) -> Columns:
    """Columns whose codes and rows all point to something. Raises ValueError."""
    sources = len(c.adapters)
    sizes = {len(c.topics), len(c.received_ns), len(c.sequence), len(c.digests) / len(NO_DIGEST)}
    if sizes != {sources}:
        raise ValueError(f"expected {sources} topics, times, numbers and digests, got {sorted(sizes)}")
    if c.hashes and len(c.hashes) != len(c.digests):
        raise ValueError(f"expected {len(c.digests)} bytes of hashes or none, got {len(c.hashes)}")
    for name, codes, known in (
        ("meter", c.meter, len(c.meters)),
        ("unit", c.unit, len(c.units)),
        ("source", c.source, sources),
    ):
        if len(codes) and (top := int(codes.max())) >= known:
            raise ValueError(f"expected {name} codes below {known}, got {top}")
    for name, cells in c.sparse.items():
        if cells and (min(cells) < 0 or max(cells) >= len(c)):
            raise ValueError(f"expected {name} of rows 0 to {len(c) - 1}, got {min(cells)} to {max(cells)}")
    return c


def from_rows(
    rows: Rows,
    sources: Sequence[Source],
    source: NDArray[np.uint32],
    coded: tuple[list[str], NDArray[np.uint32]] | None = None,
) -> Columns:
    """Columns of gathered rows; ``source`` says which of ``sources`` each row came from.

    ``coded``: dictionary and codes of the meters, where the caller has them already.
    """
    if coded is None:
        places: dict[str, int] = {}
        codes = [places.setdefault(name, len(places)) for name in rows.meter_id]
        coded = list(places), np.array(codes, np.uint32)
    units = list(dict.fromkeys(rows.unit))
    if len(units) > 255:
        raise ValueError(f"expected at most 255 different units in a batch, got {len(units)}")
    unit = np.zeros(len(rows), np.uint8)
    if len(units) > 1:
        place = {name: i for i, name in enumerate(units)}
        unit = np.fromiter(map(place.__getitem__, rows.unit), np.uint8, len(rows))
    return Columns(
        coded[0], coded[1], np.array(rows.time_ns, np.int64), np.array(rows.value, np.float64),
        _column(rows.kind, np.uint8), units, unit, _column(rows.quality, np.uint8),
        _column(rows.marks, np.uint16), source, [s.adapter for s in sources], [s.topic for s in sources],
        np.array([s.received_ns for s in sources], np.int64),
        np.array([s.sequence for s in sources], np.int64),
        b"".join([(s.unique and s.digest) or NO_DIGEST for s in sources]), rows.sparse,
        b"".join([s.digest or NO_DIGEST for s in sources]),
    )  # fmt: skip


def _column(cells: list[int], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """A list as an array; most lists hold one value all through."""
    if cells and cells.count(cells[0]) == len(cells):
        return np.full(len(cells), cells[0], dtype)
    return np.array(cells, dtype)


def split(columns: Columns, partition: NDArray[np.int64]) -> list[tuple[int, Columns]]:
    """Cut a batch into one batch a partition, order kept, dictionaries trimmed to what is used."""
    parts = np.unique(partition)
    if len(parts) == 1:
        return [(int(parts[0]), columns)]
    out = []
    for part in parts:
        rows = np.flatnonzero(partition == part)
        picked = columns.select(rows)
        used, picked.meter = _trim(picked.meter)
        picked.meters = [columns.meters[i] for i in used]
        used, picked.source = _trim(picked.source)
        picked.adapters = [columns.adapters[i] for i in used]
        picked.topics = [columns.topics[i] for i in used]
        picked.received_ns, picked.sequence = columns.received_ns[used], columns.sequence[used]
        picked.digests, picked.hashes = digests_of(columns.digests, used), digests_of(columns.hashes, used)
        out.append((int(part), picked))
    return out


def digests_of(digests: bytes, sources: Iterable[int]) -> bytes:
    """Those of some sources, 16 bytes each, in the order given."""
    return b"".join([digests[16 * i : 16 * i + 16] for i in sources])


def _trim(codes: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    used, places = np.unique(codes, return_inverse=True)
    return used.astype(np.int64), places.astype(np.uint32)
