r"""Readings and flags as InfluxDB line protocol.

    reading,area=a\ 7,commodity=water,kind=register,meter=w-17,unit=m3 value=176.25,quality=0,marks=0 1371254…
    flag,family=usage_high,kind=bill_shock,meter=w-17,status=raised id="…",score=9.3 1371254400000000000

Measurement and tags say which series, the time which point: the same line again overwrites
itself. All numbers are floats: a field that is an integer once refuses floats ever after.

Names are escaped as InfluxDB 2 reads them [1]_. A backslash before a comma, a space, an equals
sign or another backslash, and one at the end, cannot be written so that all servers read the
same: InfluxDB has no escape for the backslash itself, VictoriaMetrics has. Such names are refused.

.. [1] https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from connectors.history_gate import NEWEST_NS, OLDEST_NS, name_fault, scaled
from streams.columns import Columns
from streams.messages import NS, Flag, Kind, Reject

log = logging.getLogger(__name__)

_AMBIGUOUS = re.compile(r"\\(?=[,= \\]|\Z)")
_TAG = re.compile("([,= ])")
_STRING = re.compile(r'(["\\])')
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII | re.IGNORECASE
)
_KIND = ["" if kind == Kind.UNSTATED else kind.name.lower() for kind in Kind]
_CACHED = 200_000  # beginnings of lines kept, about 200 bytes each


class Labels(NamedTuple):
    """What the registry knows of a meter; empty = not stated, and then no tag."""

    commodity: str = ""
    area: str = ""


_NO_LABELS = Labels()


def tag_fault(name: str) -> str | None:
    """Say why a name cannot be a tag's value; None if it can."""
    fault = name_fault(name)
    if fault is None:
        found = _AMBIGUOUS.search(name)
        if found:
            fault = (
                "expected no backslash at the end or before a comma, space, equals sign or backslash, "
                f"got one at {found.start()} of {name!r}"
            )
    return fault


def tag(name: str) -> str:
    """Escape a tag's value; it has passed ``tag_fault`` and is not empty."""
    return _TAG.sub(r"\\\1", name)


def string(text: str) -> str:
    """A string field's value in its quotes; it has passed ``name_fault``."""
    return '"' + _STRING.sub(r"\\\1", text) + '"'


def iso_ns(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time in UTC, exact to the last of nine digits.

    Raises ValueError where ``text`` is none.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(f"expected an ISO 8601 time in UTC such as 2013-06-15T00:00:00Z, got {text!r}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    whole = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    return whole * NS + int((found[7] or "").ljust(9, "0"))


class Lines:
    """Turns readings into lines; remembers how the lines of a series begin.

    label : what the registry knows of a meter id. What it says becomes tags, so a meter that
        moves to another area goes on in another series.
    details : write quality and marks beside the value
    """

    def __init__(self, label: Callable[[str], Labels] | None = None, *, details: bool = True) -> None:
        self._label = label
        self._details = details
        # (kind, unit, register) → meter → what the label said then, and the line up to the value
        self._heads: dict[tuple[int, str, str], dict[str, tuple[Labels, str]]] = {}
        self._size = 0

    def of_readings(self, columns: Columns) -> list[str]:
        """One line a reading, in their order; they have passed the gate with ``tag_fault``."""
        if not len(columns):
            return []
        if self._size > _CACHED:
            self._heads.clear()
            self._size = 0
        series = columns.meter.astype(np.int64) << 16 | columns.kind.astype(np.int64) << 8 | columns.unit
        codes, which = np.unique(series, return_inverse=True)
        heads, label = [], self._label
        groups = {
            code: self._group(code >> 8, columns.units[code & 0xFF], "")
            for code in np.unique(codes & 0xFFFF).tolist()
        }
        for code in codes.tolist():
            meter = columns.meters[code >> 16]
            known = groups[code & 0xFFFF].get(meter)
            # asked here too, for the sake of time: nearly all are known
            if known is None or (label is not None and known[0] != label(meter)):
                heads.append(self._head(meter, code >> 8 & 0xFF, columns.units[code & 0xFF], ""))
            else:
                heads.append(known[1])
        head = [heads[i] for i in which.tolist()]
        for row, register in columns.sparse.get("register", {}).items():
            meter, unit = columns.meters[int(columns.meter[row])], columns.units[int(columns.unit[row])]
            head[row] = self._head(meter, int(columns.kind[row]), unit, str(register))
        # as JSON writes them: a tenth of the time of repr()
        values, times = _texts(scaled(columns).tolist()), _texts(columns.time_ns.tolist())
        if not self._details:
            return [f"{h}{v} {t}" for h, v, t in zip(head, values, times, strict=True)]
        states, state = np.unique(
            columns.quality.astype(np.uint32) << 16 | columns.marks, return_inverse=True
        )
        tails = [f",quality={s >> 16},marks={s & 0xFFFF} " for s in states.tolist()]
        tail = [tails[s] for s in state.tolist()]
        return [f"{h}{v}{s}{t}" for h, v, s, t in zip(head, values, tail, times, strict=True)]

    def _group(self, kind: int, unit: str, register: str) -> dict[str, tuple[Labels, str]]:
        return self._heads.setdefault((kind, unit, register), {})

    def _head(self, meter: str, kind: int, unit: str, register: str) -> str:
        group = self._group(kind, unit, register)
        known = group.get(meter)
        labels = self._label(meter) if self._label is not None else _NO_LABELS
        if known is not None and known[0] == labels:
            return known[1]
        # tags in the alphabet's order, which spares the server sorting them
        tags = _tags(
            area=_if_sound(labels.area),
            commodity=_if_sound(labels.commodity),
            kind=_KIND[kind],
            meter=meter,
            register=register,
            unit=unit,
        )
        head = f"reading{tags} value="
        group[meter] = labels, head
        self._size += 1
        return head


def _texts(numbers: list[float] | list[int]) -> list[str]:
    return msgspec.json.encode(numbers).decode()[1:-1].split(",")


def of_flags(flags: Sequence[Flag]) -> tuple[list[str], list[Reject]]:
    """One line a flag event, and the flags that cannot be written."""
    lines, rejects = [], []
    for flag in flags:
        try:
            lines.append(_flag(flag))
        except ValueError as error:
            rejects.append(flag_rejected(flag, error))
    return lines, rejects


def flag_rejected(flag: Flag, error: ValueError) -> Reject:
    """A flag that cannot be kept, as a dead letter in ASCII."""
    return Reject(f"flag {flag.id!r}: {error}", json.dumps(msgspec.to_builtins(flag), default=str).encode())


def _flag(flag: Flag) -> str:
    for name in ("meter_id", "kind", "family", "status", "id"):
        text = getattr(flag, name)
        check = name_fault if name == "id" else tag_fault
        fault = check(text) if text else "expected a name, got an empty one"
        if fault is not None:
            raise ValueError(f"{name}: {fault}")
    head = "flag" + _tags(
        area=_if_sound(flag.area),
        commodity=_if_sound(flag.commodity),
        family=flag.family,
        kind=flag.kind,
        meter=flag.meter_id,
        status=flag.status,
        unit=_if_sound(flag.unit),
    )
    at = iso_ns(flag.at)
    if not OLDEST_NS <= at <= NEWEST_NS:
        raise ValueError(f"expected a time from 1970 to 2262, got {flag.at!r}")
    numbers = {
        "score": flag.score,
        "observed": flag.observed,
        "expected": flag.expected,
        "start_s": iso_ns(flag.start) / NS,
        "end_s": iso_ns(flag.end) / NS,
    }
    fields = [f"id={string(flag.id)}"]
    for name, number in numbers.items():
        if number is None:
            continue
        if not math.isfinite(number):
            raise ValueError(f"{name}: expected a finite number, got {number}")
        fields.append(f"{name}={float(number)!r}")
    return f"{head} {','.join(fields)} {at}"


def _if_sound(name: str) -> str:
    """A label that may be left out: for a fault in it no reading and no flag is given up."""
    fault = tag_fault(name)
    if fault is None:
        return name
    log.warning("a label is left out of the history: %s; correct it in the registry", fault)
    return ""


def _tags(**names: str) -> str:
    return "".join(f",{key}={tag(name)}" for key, name in names.items() if name)
