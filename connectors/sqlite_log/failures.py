"""How the embedded log says no.

PortError
├── Unavailable
│   └── LogFull        no room: on the disk, or within retention_size
├── ConsumerTaken      another process consumes this file
└── SchemaMismatch     not a log, or a newer one
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from streams.ports import PortError, Unavailable

__all__ = ["ConsumerTaken", "LogFull", "SchemaMismatch", "unavailable"]

# result codes of SQLite without the extended bits
FULL = 13
IOERR = 10
BUSY = 5


class LogFull(Unavailable):
    """There is no room for the record now; nothing of it was written."""


class ConsumerTaken(PortError):
    """Another process consumes this log; only one may."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(
            f"the log {path} is being consumed by {owner}: one process may consume an embedded log, "
            "others may write to it; stop that one first, or use kafka:// where one machine is outgrown"
        )
        self.owner = owner


class SchemaMismatch(PortError):
    """The file is not a log that this program knows."""


def unavailable(path: Path, error: sqlite3.Error | OSError) -> Unavailable:
    """Return the failure of a SQLite call as a port error that says what to do."""
    endpoint = f"the log {path}"
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == FULL:
        return LogFull(endpoint, f"no room, {name}: {error}; free space on its disk or raise retention_size")
    if primary == BUSY:
        return Unavailable(endpoint, f"another program holds the file, {name}: {error}")
    if primary == IOERR:
        return Unavailable(endpoint, f"the disk failed, {name}: {error}; see the system's log")
    return Unavailable(endpoint, f"{name}: {error}")


def broken(error: sqlite3.Error) -> bool:
    """Tell whether the connection must be opened anew after this error."""
    code = getattr(error, "sqlite_errorcode", None)
    return not isinstance(code, int) or code & 0xFF not in (FULL, BUSY)
