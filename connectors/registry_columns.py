"""The columns of METERS.csv: how each cell is read, and what is expected of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.registry import COMMODITIES, KINDS, Meter
from streams.units import as_code

__all__ = ["HEADINGS", "READERS", "meter_of"]

_TEXT_LIMIT = 128


def _text(cell: str) -> str:
    if len(cell) > _TEXT_LIMIT:
        raise ValueError(f"at most {_TEXT_LIMIT} characters")
    if not cell.isprintable():
        raise ValueError("no control characters")
    return cell


def _one_of(*words: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if (word := cell.lower()) in words:
            return word
        raise ValueError(f"one of {', '.join(words)}")

    return read


@lru_cache(maxsize=1024)
def _unit(cell: str) -> str:
    if len(cell) > 32 or not cell.isprintable():
        raise ValueError("a unit such as m3, L, kW.h, kPa or m3/h (UCUM)")
    return as_code(cell)


@lru_cache(maxsize=1024)
def _zone(cell: str) -> str:
    try:
        ZoneInfo(cell)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("an IANA time zone such as Asia/Shanghai") from None
    return cell


def _number(least: float, most: float = math.inf, above: bool = False) -> Callable[[str], float]:
    sign = "above" if above else "of at least"
    wanted = "a number" if least == -math.inf else f"a number {sign} {least:g}"

    def read(cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if (
            not math.isfinite(value)
            or value < least
            or value > most
            or (above and value == least)
            or "_" in cell
        ):
            raise ValueError(wanted)
        return value

    return read


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(cell: str) -> int:
        # spreadsheets and data frames write a column of whole numbers with blanks as 5.0
        digits, _, zeros = cell.partition(".")
        if digits.isascii() and digits.isdecimal() and not zeros.strip("0") and least <= int(digits) <= most:
            return int(digits)
        raise ValueError(f"a whole number from {least} to {most}")

    return read


def _numbers(cell: str) -> str:
    try:
        told = [float(number) for number in cell.replace(";", " ").split()]
    except ValueError:
        told = [math.nan]
    if len(told) > 16 or not all(map(math.isfinite, told)):
        raise ValueError("at most 16 numbers with blanks between them, such as 65535 -1")
    return " ".join(f"{number:.17g}" for number in told)


_LIMIT = _number(-math.inf)

#: field of Meter → how its cell is read; ValueError names what was expected
READERS: dict[str, Callable[[str], Any]] = {
    "meter_id": _text,
    "commodity": _one_of(*COMMODITIES),
    "unit": _unit,
    "kind": _one_of(*KINDS),
    "interval_s": _number(0, above=True),
    "area": _text,
    "meter_class": _text,
    "service_point_id": _text,
    "serial": _text,
    "digits": _whole(1, 15),
    "multiplier": _number(0, above=True),
    "native_unit": _unit,
    "stamp": _one_of("start", "end"),
    "tz": _zone,
    "concentrator": _text,
    "transformer": _text,
    "line": _text,
    "route": _text,
    "balance_role": _one_of("inflow", "outflow", "storage"),
    "q_max": _number(0, above=True),
    "limit_hh": _LIMIT,
    "limit_h": _LIMIT,
    "limit_l": _LIMIT,
    "limit_ll": _LIMIT,
    "deadband": _number(0),
    "delay_s": _number(0),
    "direction": _one_of("import", "export", "both"),
    "bill_day": _whole(1, 31),
    "tariff": _text,
    "contract": _one_of("active", "vacant", "terminated"),
    "valve_order": _one_of("open", "closed"),
    "i_max": _number(0, above=True),
    "phases": _whole(1, 3),
    "sentinels": _numbers,
}
HEADINGS = {"class": "meter_class"} | {name: name for name in READERS if name != "meter_class"}


def meter_of(fields: list[str], row: list[str]) -> tuple[Meter | None, list[str]]:
    """Return the meter of a row, or None and all that is wrong with the row.

    fields : the field of each column, "" for one to pass over
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field, raw_cell in zip(fields, row, strict=True):
        cell = raw_cell.strip()
        if not field or not cell:
            continue
        try:
            values[field] = READERS[field](cell)
        except ValueError as error:
            heading = "class" if field == "meter_class" else field
            faults.append(f"{heading}: expected {error}, got {cell[:60]!r}")
    if "meter_id" not in values and not any(fault.startswith("meter_id") for fault in faults):
        faults.append("meter_id: expected 1 to 128 characters, got nothing")
    levels = [values[level] for level in ("limit_ll", "limit_l", "limit_h", "limit_hh") if level in values]
    if levels != sorted(levels):
        faults.append(f"limits: expected limit_ll <= limit_l <= limit_h <= limit_hh, got {levels}")
    return (None, faults) if faults else (Meter(**values), [])
