"""Writes the embedded history: one thread's work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from connectors.history_gate import name_fault, scaled
from connectors.line_protocol import flag_rejected, iso_ns
from connectors.sqlite_history.cells import Cells
from connectors.sqlite_history.reader import connect
from connectors.sqlite_history.runs import Runs, prepare, transaction
from streams.columns import Columns
from streams.messages import NS, Flag, Reject

_LOOK_NS = 60 * NS  # how often what is too old is looked for
_CACHED = 500_000  # keys of series kept in memory, about 150 bytes each
_FLAG = """
INSERT INTO flags (digest, at_ns, meter, written, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET written = excluded.written
"""


class Writer:
    """A history file opened for writing. Raises sqlite3.Error, and ValueError for a file of another kind.

    keep_ns : how long a reading or flag event is kept after it was written
    full    : wait for the disk at every write
    """

    def __init__(self, path: str, keep_ns: int, *, full: bool) -> None:
        self._db = connect(path)
        try:
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for an empty file only
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._db.execute("PRAGMA journal_size_limit = 16777216")
            prepare(self._db, path)
            self._runs = Runs(self._db, keep_ns)
        except BaseException:
            self._db.close()
            raise
        self._looked_ns = -_LOOK_NS
        self._version = -1  # of the file, as others have last left it
        self._totals: dict[str, int] = {}  # meter → key of its register without a name: nearly all
        self._keys: dict[tuple[str, str], int] = {}  # meter, register → key
        self._units: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def write(self, columns: Columns, now_ns: int) -> None:
        """Add readings that have passed the gate; one transaction, and what follows from it."""
        if len(columns):
            if len(self._keys) + len(self._totals) > _CACHED:
                self._forget()
            try:
                with transaction(self._db):
                    self._heed_others()
                    self._runs.append(self._cells(columns), now_ns)
            except BaseException:
                self._forget()  # the keys that this transaction made are not there
                raise
            self._runs.merge(now_ns)
        self.tend(now_ns)

    def write_flags(self, flags: Sequence[Flag], now_ns: int) -> list[Reject]:
        """Add flag events and return those that cannot be kept.

        An event is the same by its content: two detectors may update one episode at one instant.
        """
        rows, rejects = [], []
        for flag in flags:
            try:
                for name in ("id", "status", "meter_id"):
                    text = getattr(flag, name)
                    fault = name_fault(text) if text else "expected a name, got an empty one"
                    if fault is not None:
                        raise ValueError(f"{name}: {fault}")
                body = msgspec.json.encode(flag)  # ValueError where a text is no UTF-8
                digest = hashlib.blake2b(body, digest_size=16).digest()
                rows.append((digest, iso_ns(flag.at), flag.meter_id, now_ns, body))
            except ValueError as error:
                rejects.append(flag_rejected(flag, error))
        with transaction(self._db):
            self._db.executemany(_FLAG, rows)
        self.tend(now_ns)
        return rejects

    def tend(self, now_ns: int, *, to_the_end: bool = False) -> None:
        """Delete one step of what is too old; look for it once a minute while there is nothing."""
        if not to_the_end and 0 <= now_ns - self._looked_ns < _LOOK_NS:
            return
        while self._runs.expire(now_ns):
            if not to_the_end:
                return
        self._looked_ns = now_ns

    def _cells(self, columns: Columns) -> Cells:
        meters, totals = columns.meters, self._totals
        found = list(map(totals.get, meters))
        if None in found:
            # only of readings that are here: the other names may not have passed the gate
            for code in np.unique(columns.meter).tolist():
                found[code] = found[code] or self._total(meters[code])
        series = np.array([key or 0 for key in found], np.uint32)[columns.meter]
        for row, register in columns.sparse.get("register", {}).items():
            series[row] = self._key(meters[int(columns.meter[row])], str(register))
        unit = np.zeros(len(columns.units), np.uint16)
        for code in np.unique(columns.unit).tolist():
            unit[code] = self._unit(columns.units[code])
        unit = unit[columns.unit]
        return Cells(
            series, columns.time_ns, scaled(columns), unit, columns.kind, columns.quality, columns.marks
        )

    def _total(self, meter: str) -> int:
        key = self._totals[meter] = self._number(meter, "")
        return key

    def _key(self, meter: str, register: str) -> int:
        if not register:
            return self._totals.get(meter) or self._total(meter)
        key = self._keys.get((meter, register))
        if key is None:
            key = self._keys[meter, register] = self._number(meter, register)
        return key

    def _number(self, meter: str, register: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO series (meter, register) VALUES (?, ?)", (meter, register))
        found = self._db.execute("SELECT key FROM series WHERE meter = ? AND register = ?", (meter, register))
        return int(found.fetchone()[0])

    def _unit(self, name: str) -> int:
        key = self._units.get(name)
        if key is None:
            self._db.execute("INSERT OR IGNORE INTO units (name) VALUES (?)", (name,))
            key = self._db.execute("SELECT key FROM units WHERE name = ?", (name,)).fetchone()[0]
            self._units[name] = key
        return key

    def _heed_others(self) -> None:
        """Forget the keys where another connection has written: it may have parted a meter from its readings."""
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._forget()
            self._version = version

    def _forget(self) -> None:
        self._totals.clear()
        self._keys.clear()
        self._units.clear()
