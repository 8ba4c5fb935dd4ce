"""What every history asks of a reading before it keeps it.

A server may answer «done» and drop a line that it cannot read, so nothing is sent that has
not passed here. What fails becomes a Reject with its reason; the rest goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.columns import Columns
from streams.messages import Kind, Reject

OLDEST_NS = 1  # 1970: servers without negative times would drop what is older
NEWEST_NS = 9_223_372_036_854_775_806  # InfluxDB's last instant, in 2262
NAME_BYTES = 1024  # of UTF-8, for one name; below every server's limit, with all its tags together

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def name_fault(name: str) -> str | None:
    """Say what is wrong with a meter id, register, unit, area … that is not empty; None if nothing is."""
    found = _CONTROL.search(name)
    if found:
        code, place = ord(found[0]), found.start()
        return f"expected text without control characters, got U+{code:04X} at {place} of {name!r}"
    size = len(name.encode())
    if size > NAME_BYTES:
        return f"expected at most {NAME_BYTES} bytes of UTF-8, got {size}: {name[:40]!r}…"
    return None


def describe(columns: Columns, row: int) -> bytes:
    """One reading as a JSON object in ASCII, for a dead letter."""
    value = float(columns.value[row])
    reading: dict[str, Any] = {
        "meter_id": columns.meters[int(columns.meter[row])],
        "time_ns": int(columns.time_ns[row]),
        # JSON has no NaN and no infinity
        "value": value if np.isfinite(value) else str(value),
        "kind": int(columns.kind[row]),
        "unit": columns.units[int(columns.unit[row])],
        "quality": int(columns.quality[row]),
        "marks": int(columns.marks[row]),
    }
    reading.update({name: cells[row] for name, cells in columns.sparse.items() if row in cells})
    return json.dumps(reading, default=str).encode()


class Gate:
    """Finds the readings of a batch that a history can keep.

    fault : what is wrong with a name in the history's own terms (None: nothing)
    names : how many different registers, and how many different units, may pass in the life of this
        object; a device that invents ever new names would make series without end
    """

    def __init__(self, fault: Callable[[str], str | None] = name_fault, names: int = 1000) -> None:
        self._fault = fault
        self._names = names
        self._sound: set[str] = set()  # names of meters that passed
        self._registers: set[str] = set()
        self._units: set[str] = {""}

    def sieve(self, columns: Columns) -> tuple[Columns, list[Reject]]:
        """Return what can be kept, a reading's own multiplier applied, and what can not.

        columns : n readings; they are not changed
        """
        faults: dict[int, str] = {}
        self._check_numbers(columns, faults)
        self._check_names(columns, faults)
        rejects = [Reject(faults[row], describe(columns, row)) for row in sorted(faults)]
        if faults:
            keep = np.ones(len(columns), np.bool_)
            keep[list(faults)] = False
            columns = columns.select(keep)
        return columns, rejects

    def _check_numbers(self, columns: Columns, faults: dict[int, str]) -> None:
        value = scaled(columns)
        for row in _rows(~np.isfinite(value)):
            faults[row] = f"expected a finite value, got {value[row]}"
        time = columns.time_ns
        for row in _rows((time < OLDEST_NS) | (time > NEWEST_NS)):
            faults[row] = f"expected a time from {OLDEST_NS} to {NEWEST_NS} ns since 1970, got {time[row]}"
        for row in _rows(columns.kind > max(Kind)):
            faults[row] = f"expected a kind from 0 to {max(Kind)}, got {columns.kind[row]}"

    def _check_names(self, columns: Columns, faults: dict[int, str]) -> None:
        if len(self._sound) > 200_000:
            self._sound.clear()
        known = self._sound.issuperset(columns.meters)  # nearly always, and a tenth of the loop's time
        for code, name in enumerate(() if known else columns.meters):
            if name in self._sound:
                continue
            fault = self._fault(name) if name else "expected a meter id, got an empty one"
            if fault is None:
                self._sound.add(name)
                continue
            for row in _rows(columns.meter == code):
                faults[row] = f"meter id: {fault}"
        for code, name in enumerate(columns.units):
            fault = self._admit(name, self._units)
            if fault is not None:
                for row in _rows(columns.unit == code):
                    faults[row] = f"unit: {fault}"
        for row, register in columns.sparse.get("register", {}).items():
            fault = self._admit(str(register), self._registers) if register else None
            if fault is not None:
                faults[row] = f"register: {fault}"

    def _admit(self, name: str, known: set[str]) -> str | None:
        if name in known:
            return None
        fault = self._fault(name)
        if fault is None and len(known) >= self._names:
            fault = (
                f"expected at most {self._names} different names, {name[:60]!r} is one more; "
                "does a device invent them?"
            )
        if fault is None:
            known.add(name)
        return fault


def scaled(columns: Columns) -> NDArray[np.float64]:
    """The values, (n,), with the multipliers that readings carry themselves applied."""
    multipliers = columns.sparse.get("multiplier")
    if not multipliers:
        return columns.value
    value = np.array(columns.value)
    with np.errstate(over="ignore"):
        value[list(multipliers)] *= np.fromiter(multipliers.values(), np.float64)
    return value


def _rows(where: NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(where).tolist() if where.any() else []
