"""The quick way through the native JSON: whole payloads at once, or a doubt.

msgspec decodes and checks types; what it would let pass, a key that stands twice, is found by counting the
quotes or keys of the payload against those that the decoded readings account for. Whatever is not as it
should be raises, and the careful way (`connectors.payloads.native`) takes the payload from the start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import msgspec

from connectors.payloads.fields import ID_LIMIT, KINDS, QUALITIES, number, unit_code
from connectors.payloads.native_fields import OPTIONAL, REQUIRED, SPARSE, marks_of, sequence
from connectors.payloads.times import FIRST_NS, LAST_NS, epoch, minutes, rests, rfc3339
from streams.ports import Decoded

__all__ = ["Doubt", "quickly"]

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)]
_Kind = Literal["register", "interval", "gauge"]
_Quality = Literal["good", "uncertain", "bad"]
_KIND_OF: dict[str | None, int] = {None: 0} | KINDS
_QUALITY_OF: dict[str | None, int] = {None: 0} | QUALITIES
_RARE = tuple(name for name in OPTIONAL if name not in ("kind", "unit", "quality"))
_KEYS = {name: f'"{name}":'.encode() for name in (*REQUIRED, *OPTIONAL)}
# what would deceive the counting, or be a control character: any escape but \\uXXXX, and that in a key
_ODD_ESCAPE = re.compile(rb'\\(?:[^u]|u00[01]|u[0-9a-fA-F]{4}[^"\\]*"[ \t\r\n]*:)')
_SPACED_KEY = re.compile(rb'"[ \t\r\n]+:')


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A reading of the three fields that every one has."""

    meter_id: _Id
    time: int | str
    value: float


class _Typed(msgspec.Struct):
    """A reading that says more; ``native_fields`` checks what the types do not."""

    meter_id: _Id
    time: int | str
    value: float | str
    kind: _Kind | None = None
    unit: str | None = None
    quality: _Quality | None = None
    register: str | None = None
    serial: str | None = None
    period_start: int | str | None = None
    multiplier: float | str | None = None
    marks: list[str] | None = None
    sequence: int | None = None
    attributes: dict[str, str | int | float | bool | None] | None = None


class _Columns(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Columns of the frequent fields; with rarer ones the careful way goes."""

    meter_id: _Id | list[_Id]
    time: int | str | list[int | str]
    value: float | str | list[float | str]
    kind: _Kind | list[_Kind] | None = None
    unit: str | list[str] | None = None
    quality: _Quality | list[_Quality] | None = None


_ONE = msgspec.json.Decoder(_Plain)
_MANY = msgspec.json.Decoder(list[_Plain])
_ONE_TYPED = msgspec.json.Decoder(_Typed)
_MANY_TYPED = msgspec.json.Decoder(list[_Typed])
_COLUMNS = msgspec.json.Decoder(_Columns)


class Doubt(Exception):
    """The quick way cannot answer for this payload."""


def quickly(payload: bytes, marks: int, out: Decoded) -> None:
    """Fill ``out`` from a payload that is right in everything.

    Raises Doubt, ValueError or RecursionError when it may not be; ``out`` is of no use then.
    """
    if b"\\" in payload and _ODD_ESCAPE.search(payload) is not None:
        raise Doubt
    first = payload[:1]
    if first == b"[":
        try:
            readings = _MANY.decode(payload)
        except msgspec.ValidationError:
            _typed(payload, _MANY_TYPED.decode(payload), marks, out)
            return
        times = [r.time for r in readings]
        # Three keys, an id and perhaps the time are all that stands in quotes in a reading.
        if payload.count(b'"') != 8 * len(readings) + 2 * _texts(times):
            raise Doubt
        _fill(out, [r.meter_id for r in readings], times, [r.value for r in readings], marks)
    elif first != b"{":
        raise Doubt
    elif b"[" in payload:
        _columns(payload, _COLUMNS.decode(payload), marks, out)
    else:
        quotes = payload.count(b'"')
        if quotes > 10:
            typed = _ONE_TYPED.decode(payload)
            if quotes == 2 * _texts_of(typed):
                _single(typed, marks, out)
            else:
                _typed(payload, [typed], marks, out)
            return
        reading = _ONE.decode(payload)
        time = reading.time
        time_ns = rfc3339(time) if type(time) is str else epoch(time, 1_000)
        if quotes != (10 if type(time) is str else 8):
            raise Doubt
        out.rows.add(reading.meter_id, time_ns, reading.value, 0, "", 0, marks)


def _fill(out: Decoded, ids: list[str], times: Sequence[int | str], values: list[float], marks: int) -> None:
    """Set the columns that every reading has, and the others to what *not stated* is."""
    rows = out.rows
    try:
        rows.time_ns = [minutes[t[:17]] + rests[t[17:]] for t in times]  # type: ignore[index]
    except (KeyError, TypeError):
        rows.time_ns = _times(times)
    rows.meter_id = ids
    rows.value = values
    n = len(ids)
    rows.kind = [0] * n
    rows.unit = [""] * n
    rows.quality = [0] * n
    rows.marks = [marks] * n


def _times(times: Sequence[int | str]) -> list[int]:
    _of_one_type(times)
    result = [t * 1_000_000 if type(t) is int else rfc3339(cast(str, t)) for t in times]
    if result and not (min(result) >= FIRST_NS and max(result) <= LAST_NS):
        raise Doubt
    return result


def _of_one_type(column: Sequence[object]) -> None:
    """Doubt a column that begins with a text and is not all texts: ``_texts`` counted it wrong."""
    if column and type(column[0]) is str and len(set(map(type, column))) > 1:
        raise Doubt


def _numbers(values: Sequence[float | str]) -> list[float]:
    _of_one_type(values)
    return [v if type(v) is float else number(v) for v in values]


def _texts_of(r: _Typed) -> int:
    """Count what stands in quotes in a reading of which each key stands once and none is unknown."""
    texts = 4 + (type(r.time) is str) + (type(r.value) is str)
    for cell in (r.kind, r.unit, r.quality, r.register, r.serial):
        if cell is not None:
            texts += 2
    for rare in (r.period_start, r.multiplier, r.sequence):
        if rare is not None:
            texts += 1 + (type(rare) is str)
    if r.attributes is not None:
        texts += 1 + len(r.attributes) + sum([type(cell) is str for cell in r.attributes.values()])
    return texts


def _single(r: _Typed, marks: int, out: Decoded) -> None:
    """Take a single reading. It has no marks: they would need an array."""
    time = r.time
    time_ns = rfc3339(time) if type(time) is str else epoch(time, 1_000)
    value = r.value if type(r.value) is float else number(r.value)
    unit = unit_code(r.unit) if r.unit else ""
    out.rows.add(r.meter_id, time_ns, value, _KIND_OF[r.kind], unit, _QUALITY_OF[r.quality], marks)
    if r.sequence is not None:
        out.sequence = sequence(r.sequence)
    for name, (place, read) in SPARSE.items():
        cell = getattr(r, name)
        if cell is not None and cell != "":
            out.rows.note(place, read(cell))
    start_ns = out.rows.sparse.get("period_start_ns", {}).get(0)
    if start_ns is not None and cast(int, start_ns) >= time_ns:
        raise Doubt


def _typed(payload: bytes, readings: list[_Typed], marks: int, out: Decoded) -> None:
    """Take readings that say more than the three fields.

    Each known key must stand in the text as often as it was decoded: more often is twice in one object.
    """
    if _SPACED_KEY.search(payload) is not None:
        raise Doubt
    for name in REQUIRED:
        if payload.count(_KEYS[name]) != len(readings):
            raise Doubt
    values = _numbers([r.value for r in readings])
    _fill(out, [r.meter_id for r in readings], [r.time for r in readings], values, marks)
    rows = out.rows
    kinds = _stated(payload, readings, "kind")
    if kinds:
        rows.kind = [_KIND_OF[k] for k in kinds]
    qualities = _stated(payload, readings, "quality")
    if qualities:
        rows.quality = [_QUALITY_OF[q] for q in qualities]
    units = _stated(payload, readings, "unit")
    if units:
        rows.unit = _units(units)
    for name in _RARE:
        cells = _stated(payload, readings, name)
        if cells:
            _rare(name, cells, out)
    starts = cast(dict[int, int], rows.sparse.get("period_start_ns", {}))
    if any(start >= rows.time_ns[row] for row, start in starts.items()):
        raise Doubt
    if "attributes" in rows.sparse and payload.count(b'":') != sum(map(_members, readings)):
        raise Doubt  # a name twice in one attributes object, or fields that are not known


def _units(units: Sequence[str | None]) -> list[str]:
    codes = {u: unit_code(u) if u else "" for u in set(units)}
    return [codes[u] for u in units]


def _stated(payload: bytes, readings: list[_Typed], name: str) -> list[Any]:
    """Return a field of all readings, None where it is left out; or nothing where all leave it out."""
    stated = payload.count(_KEYS[name])
    if not stated:
        return []
    column = [getattr(r, name) for r in readings]
    if len(column) - column.count(None) != stated:
        raise Doubt  # a key twice, or a null
    return column


def _rare(name: str, cells: list[Any], out: Decoded) -> None:
    if name == "marks":
        out.rows.marks = [
            marks if words is None else marks | marks_of(words)
            for marks, words in zip(out.rows.marks, cells, strict=True)
        ]
    elif name == "sequence":
        out.sequence = [sequence(cell) for cell in cells if cell is not None][-1]
    else:
        place, read = SPARSE[name]
        notes = {row: read(cell) for row, cell in enumerate(cells) if cell is not None and cell != ""}
        if notes:
            out.rows.sparse[place] = notes


def _members(reading: _Typed) -> int:
    stated = sum(getattr(reading, name) is not None for name in OPTIONAL)
    return len(REQUIRED) + stated + len(reading.attributes or ())


def _columns(payload: bytes, columns: _Columns, marks: int, out: Decoded) -> None:
    cells = [c for name in _Columns.__struct_fields__ if (c := getattr(columns, name)) is not None]
    lengths = {len(c) for c in cells if type(c) is list}
    quotes = 2 * (len(cells) + sum(map(_texts, cells)))
    if len(lengths) != 1 or payload.count(b'"') != quotes:
        raise Doubt
    n = lengths.pop()
    ids, times, values = columns.meter_id, columns.time, columns.value
    _fill(
        out,
        ids if isinstance(ids, list) else [ids] * n,
        times if isinstance(times, list) else [times] * n,
        _numbers(values) if isinstance(values, list) else [number(values)] * n,
        marks,
    )
    rows = out.rows
    rows.kind = _codes(columns.kind, KINDS, n) or rows.kind
    rows.quality = _codes(columns.quality, QUALITIES, n) or rows.quality
    if columns.unit is not None:
        rows.unit = _units(columns.unit) if isinstance(columns.unit, list) else _units([columns.unit]) * n


def _texts(cell: Any) -> int:
    """Count the texts in a cell, or in a column of one type (``_of_one_type`` sees to that)."""
    if type(cell) is not list:
        return type(cell) is str
    return len(cell) if cell and type(cell[0]) is str else 0


def _codes(column: Any, words: dict[str, int], n: int) -> list[int]:
    if column is None:
        return []
    return [words[word] for word in column] if type(column) is list else [words[column]] * n
