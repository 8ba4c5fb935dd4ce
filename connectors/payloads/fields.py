"""The fields of a reading, checked one at a time, with reasons that a person can act on.

Every dialect's careful path goes through here. Functions raise FieldError; its text is the
``reason`` of the dead letter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from connectors.payloads.times import epoch, rfc3339
from streams.messages import Kind, Mark, Quality, Reject
from streams.units import as_code, known

__all__ = [
    "ATTRIBUTES_LIMIT",
    "ID_LIMIT",
    "KINDS",
    "MARKS",
    "QUALITIES",
    "REFUSALS_LIMIT",
    "FieldError",
    "Refusals",
    "Words",
    "attributes",
    "choice",
    "instant",
    "number",
    "show",
    "text",
    "unit_code",
]

ID_LIMIT = 128  # characters of a meter id, register or serial
UNIT_LIMIT = 32
FOREIGN_UNITS_LIMIT = 100  # units that nothing here converts, in the life of a process
ATTRIBUTES_LIMIT = 32
ATTRIBUTE_NAME_LIMIT = 64
ATTRIBUTE_LIMIT = 512
REFUSALS_LIMIT = 1_000  # rejects of one payload that are told one by one

KINDS: dict[str, int] = {"register": Kind.REGISTER, "interval": Kind.INTERVAL, "gauge": Kind.GAUGE}
QUALITIES: dict[str, int] = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN, "bad": Quality.BAD}
MARKS: dict[str, int] = {
    "retained": Mark.RETAINED,
    "historical": Mark.HISTORICAL,
    "estimated": Mark.ESTIMATED,
    "edited": Mark.EDITED,
}

_foreign_units: set[str] = set()
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
# control characters break logs and databases (PostgreSQL has no NUL); surrogates are halves of a character
# or bytes that were not UTF-8
_UNFIT = re.compile("[\x00-\x1f\ud800-\udfff]")


class FieldError(ValueError):
    """A field is not what a reading needs: ``name: expected …, got …``."""

    def __init__(self, name: str, expected: str, got: object) -> None:
        super().__init__(f"{name}: {expected}, got {show(got)}")


class Words:
    """Says in a reason what came, where the value itself would say less."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


class Refusals:
    """Collects the rejects of one payload; past a limit it only counts, so that a payload of a
    million wrong elements makes no million dead letters.
    """

    def __init__(self, into: list[Reject], limit: int = REFUSALS_LIMIT) -> None:
        self._into = into
        self._limit = limit
        self._more = 0

    def add(self, reason: str, raw: bytes) -> None:
        """Note one refused part of the payload."""
        if len(self._into) < self._limit:
            self._into.append(Reject(reason, raw))
        else:
            self._more += 1

    def close(self) -> None:
        """Say how many more there were."""
        if self._more:
            self._into.append(Reject(f"and {self._more} more elements of this payload were refused", b""))
            self._more = 0


def show(value: object) -> str:
    """Return a value as JSON would write it, cut to 60 printable characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    shown = f'"{value[:80]}"' if isinstance(value, str) else repr(value)
    shown = ascii(shown)[1:-1] if not shown.isprintable() else shown
    return shown if len(shown) <= 60 else shown[:57] + "…"


def number(value: object, name: str = "value") -> float:
    """Read a finite number, or a string that holds a decimal one. A bool is not a number."""
    kind = type(value)
    if kind is float or kind is int:
        try:
            result = float(value)  # type: ignore[arg-type]
        except OverflowError:
            raise FieldError(name, "expected a number below 1.8e308", "a longer one") from None
    elif kind is str:
        stripped = value.strip()  # type: ignore[attr-defined]
        if len(stripped) > 64 or _DECIMAL.fullmatch(stripped) is None:
            raise FieldError(name, "expected a number or a decimal string", value)
        result = float(stripped)
    else:
        raise FieldError(name, "expected a number or a decimal string", value)
    if not math.isfinite(result):
        raise FieldError(name, "expected a finite number", value)
    return result


def text(value: object, name: str, limit: int = ID_LIMIT) -> str:
    """Read a non-empty string of at most ``limit`` characters with no control characters."""
    if type(value) is not str:
        raise FieldError(name, "expected a string", value)
    if not value or len(value) > limit:
        raise FieldError(name, f"expected 1 to {limit} characters", Words(f"{len(value)}"))
    if _UNFIT.search(value) is not None:
        raise FieldError(name, "expected valid UTF-8 without control characters", value)
    return value


def instant(value: object, name: str = "time") -> int:
    """Read RFC 3339 or integer milliseconds since 1970. Returns ns."""
    try:
        if type(value) is str:
            return rfc3339(value)
        if type(value) is int:
            return epoch(value, 1_000)
    except ValueError as error:
        raise FieldError(name, str(error), value) from None
    raise FieldError(name, "expected an RFC 3339 string or integer milliseconds since 1970", value)


def choice(value: object, name: str, choices: Mapping[str, int]) -> int:
    """Read one of a few words."""
    if type(value) is str and value in choices:
        return choices[value]
    raise FieldError(name, f"expected one of {', '.join(choices)}", value)


def unit_code(value: object, name: str = "unit") -> str:
    """Read a unit; a known one comes back as its UCUM code, an unknown one as it is.

    A batch holds 255 different units: garbage must not use them up, so unknown ones are counted.
    """
    code = as_code(text(value, name, UNIT_LIMIT))
    if code not in _foreign_units and not known(code):
        if not code or len(_foreign_units) >= FOREIGN_UNITS_LIMIT:
            raise FieldError(name, "expected a UCUM unit such as m3, kW.h or kPa", value)
        _foreign_units.add(code)
    return code


def attributes(value: object, name: str = "attributes") -> dict[str, str]:
    """Read an object of scalars; numbers and booleans become their JSON text, nulls go."""
    if type(value) is not dict:
        raise FieldError(name, "expected an object of strings", value)
    if len(value) > ATTRIBUTES_LIMIT:
        raise FieldError(name, f"expected at most {ATTRIBUTES_LIMIT} of them", Words(f"{len(value)}"))
    result: dict[str, str] = {}
    for key, cell in value.items():
        text(key, f"{name}: a name", ATTRIBUTE_NAME_LIMIT)
        if cell is None:
            continue
        plain = show(cell) if type(cell) in (bool, int, float) else cell
        result[key] = text(plain, f"{name}.{key}", ATTRIBUTE_LIMIT) if plain != "" else ""
    return result
