"""The fields of the native JSON, read one by one with a reason for each that is wrong.

| field | what | if left out |
|---|---|---|
| ``meter_id`` | 1 to 128 characters | refused |
| ``time`` | RFC 3339 with zone (to the ns), or integer ms since 1970 | refused |
| ``value`` | finite number or decimal string | refused |
| ``kind`` | register, interval, gauge | the registry's |
| ``unit`` | UCUM or a known spelling | the registry's |
| ``quality`` | good, uncertain, bad | good |
| ``register`` | OBIS code or local name | the total |
| ``serial`` | of the physical meter | unknown |
| ``period_start`` | as ``time``, before it | unknown |
| ``multiplier`` | positive number, still to be applied to the value | 1 |
| ``marks`` | array of retained, historical, estimated, edited | none |
| ``sequence`` | the sender's own number, 0 … 2⁶³ − 1 | none |
| ``attributes`` | object of at most 32 scalars | none |

null stands for *left out*. Other fields are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeGuard

from connectors.payloads.fields import (
    ID_LIMIT,
    KINDS,
    MARKS,
    QUALITIES,
    FieldError,
    Refusals,
    Words,
    attributes,
    choice,
    instant,
    number,
    show,
    text,
    unit_code,
)
from connectors.payloads.jsontext import Repeated
from streams.ports import Decoded

__all__ = [
    "OPTIONAL",
    "REQUIRED",
    "SPARSE",
    "add",
    "add_columns",
    "columns_in",
    "marks_of",
    "multiplier",
    "sequence",
]

REQUIRED = ("meter_id", "time", "value")
OPTIONAL = (
    "kind",
    "unit",
    "quality",
    "register",
    "serial",
    "period_start",
    "multiplier",
    "marks",
    "sequence",
    "attributes",
)


def multiplier(value: object) -> float:
    """Read a positive factor."""
    result = number(value, "multiplier")
    if result <= 0:
        raise FieldError("multiplier", "expected a number above 0", value)
    return result


def sequence(value: object) -> int:
    """Read the sender's own number."""
    if type(value) is int and 0 <= value < 2**63:
        return value
    raise FieldError("sequence", "expected an integer from 0 to 2**63 - 1", value)


def marks_of(value: object) -> int:
    """Read an array of words into bits of Mark."""
    if type(value) is not list:
        raise FieldError("marks", "expected an array of strings", value)
    bits = 0
    for word in value:
        bits |= choice(word, "marks", MARKS)
    return bits


#: field → (name in ``Rows.sparse``, how it is read)
SPARSE: dict[str, tuple[str, Callable[[object], object]]] = {
    "register": ("register", lambda value: text(value, "register")),
    "serial": ("serial", lambda value: text(value, "serial")),
    "period_start": ("period_start_ns", lambda value: instant(value, "period_start")),
    "multiplier": ("multiplier", multiplier),
    "attributes": ("attributes", attributes),
}


def add(element: object, marks: int, out: Decoded) -> None:
    """Append one reading from its JSON object. Raises FieldError and leaves ``out`` as it was."""
    if isinstance(element, Repeated):
        raise FieldError("reading", "expected every key once", element)
    if not isinstance(element, dict):
        raise FieldError("reading", "expected an object", element)
    for name in REQUIRED:
        if name not in element:
            raise FieldError(name, "expected it in every reading", Words(_keys(element)))
    meter_id = text(element["meter_id"], "meter_id")
    time_ns = instant(element["time"])
    value = number(element["value"])
    given = {name: element[name] for name in OPTIONAL if element.get(name) is not None}
    kind = choice(given["kind"], "kind", KINDS) if "kind" in given else 0
    unit = unit_code(given["unit"]) if given.get("unit", "") != "" else ""
    quality = choice(given["quality"], "quality", QUALITIES) if "quality" in given else 0
    marks |= marks_of(given["marks"]) if "marks" in given else 0
    number_of_message = sequence(given["sequence"]) if "sequence" in given else out.sequence
    notes = {
        place: read(given[name])
        for name, (place, read) in SPARSE.items()
        if name in given and given[name] != ""
    }
    start_ns = notes.get("period_start_ns")
    if isinstance(start_ns, int) and start_ns >= time_ns:
        raise FieldError("period_start", "expected a time before the reading's", given["period_start"])
    out.rows.add(meter_id, time_ns, value, kind, unit, quality, marks)
    for place, note in notes.items():
        out.rows.note(place, note)
    out.sequence = number_of_message


def _keys(element: dict[str, object]) -> str:
    return f"the keys {', '.join(sorted(element))}" if element else "an empty object"


def columns_in(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a JSON value is columns: an object with an array under a field that every reading has."""
    return isinstance(value, dict) and any(isinstance(value.get(name), list) for name in REQUIRED)


def add_columns(
    columns: dict[str, object], payload: bytes, marks: int, out: Decoded, refusals: Refusals
) -> None:
    """Append the rows of columns, and refuse each bad one, or all if the arrays do not line up."""
    lengths: dict[str, int] = {}
    for name in (*REQUIRED, *OPTIONAL):
        column = columns.get(name)
        if isinstance(column, list) and not (
            name == "marks" and not any(isinstance(m, list) for m in column)
        ):
            lengths[name] = len(column)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        refusals.add(f"columns: expected arrays of one length, got {shown}", payload)
        return
    names = [name for name in (*REQUIRED, *OPTIONAL) if name in columns]
    cells = {name: _cells(columns[name], lengths.get(name)) for name in names}
    for row in range(next(iter(lengths.values()))):
        element = {name: cells[name](row) for name in names}
        try:
            add(element, marks, out)
        except FieldError as error:
            # a long scalar would be repeated for every row: what is kept of a cell is short
            brief = {name: cell if _short(cell) else show(cell) for name, cell in element.items()}
            refusals.add(f"row {row}: {error}", json.dumps(brief, default=show).encode("utf-8", "replace"))


def _cells(column: object, length: int | None) -> Callable[[int], object]:
    if length is None:
        return lambda _: column
    assert isinstance(column, list)
    return column.__getitem__


def _short(cell: object) -> bool:
    return (
        cell is None
        or isinstance(cell, (bool, int, float))
        or (isinstance(cell, str) and len(cell) <= ID_LIMIT)
    )
