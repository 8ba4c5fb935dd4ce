"""The database of the embedded log: its tables, their version, and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from connectors.sqlite_log.failures import SchemaMismatch, unavailable
from connectors.sqlite_log.locks import WriteTurn
from connectors.sqlite_log.options import DURABILITIES, Options
from streams.ports import Unavailable

__all__ = ["PAGE", "UPGRADES", "VERSION", "check_directory", "open_reader", "open_writer", "prepare"]

#: "FSTL": tells our file from another program's (PRAGMA application_id)
APPLICATION = 0x4653544C

#: the version that this program writes (PRAGMA user_version)
VERSION = 1

#: bytes in a page: a batch of 20 kB takes one page beside its share of a leaf, where pages
#: of 4 kB would take five, each with its own writes
PAGE = 16384

#: how long SQLite itself waits for a lock; our own turn comes before it [s]
BUSY_S = 10.0

# Row numbers are (partition << 40 | offset): one tree holds every partition in order, and
# the next offset is always that of a partition's last record, which is never removed.
TABLES = """
CREATE TABLE topics(
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    first_tp INTEGER NOT NULL UNIQUE,
    compact INTEGER NOT NULL,
    expire INTEGER NOT NULL,
    retention_ms INTEGER,
    retention_bytes INTEGER,
    tombstone_ms INTEGER NOT NULL,
    dropped_unread INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE records(
    id INTEGER PRIMARY KEY,
    written_ms INTEGER NOT NULL,
    timestamp_ms INTEGER,
    headers BLOB,
    key BLOB,
    value BLOB
);
CREATE TABLE latest(
    tp INTEGER NOT NULL,
    key BLOB NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY(tp, key)
) WITHOUT ROWID;
CREATE TABLE tombstones(record INTEGER PRIMARY KEY, expires_ms INTEGER NOT NULL);
CREATE INDEX tombstones_by_expiry ON tombstones(expires_ms);
CREATE TABLE group_offsets(
    name TEXT NOT NULL,
    tp INTEGER NOT NULL,
    next_offset INTEGER,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY(name, tp)
) WITHOUT ROWID;
CREATE TABLE chores(name TEXT PRIMARY KEY, done_ms INTEGER NOT NULL) WITHOUT ROWID;
"""

#: version → what makes the next version of it, within a transaction
Upgrade = Callable[[sqlite3.Connection], None]
UPGRADES: Mapping[int, Upgrade] = {}


def check_directory(options: Options) -> None:
    """Raise Unavailable unless the directory of the file is there."""
    directory = options.path.parent
    if not directory.is_dir():
        hint = "" if options.path.is_absolute() else "; an absolute path has four slashes, sqlite:////var/…"
        raise Unavailable(
            options.endpoint, f"expected a directory {directory.absolute()}, there is none{hint}"
        )


def prepare(
    options: Options,
    turn: WriteTurn,
    version: int = VERSION,
    upgrades: Mapping[int, Upgrade] = UPGRADES,
) -> None:
    """Create the database, or bring an older one to ``version``.

    Raises SchemaMismatch for another program's file, a newer log, or one too old to be
    upgraded; Unavailable if the file cannot be opened.
    """
    try:
        with turn:
            connection = sqlite3.connect(options.path, timeout=BUSY_S, isolation_level=None)
            try:
                _prepare(connection, options.path, version, upgrades)
            finally:
                connection.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise SchemaMismatch(f"{options.path} is not an SQLite database: {error}") from error
        raise unavailable(options.path, error) from error


def _prepare(
    connection: sqlite3.Connection, path: Path, version: int, upgrades: Mapping[int, Upgrade]
) -> None:
    found = _number(connection, "PRAGMA user_version")
    ours = _number(connection, "PRAGMA application_id") == APPLICATION
    if not ours:
        if _number(connection, "SELECT count(*) FROM sqlite_master"):
            raise SchemaMismatch(
                f"{path} is a database of another program: expected a new file or a log; give another path"
            )
        connection.execute(f"PRAGMA page_size={PAGE}")
        # 2 = incremental: the file can shrink in small steps
        connection.execute("PRAGMA auto_vacuum=2")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise Unavailable(
                f"the log {path}", f"its file system has no shared memory (journal mode {mode}, expected wal)"
            )
        _in_transaction(connection, lambda c: _create(c, version))
        return
    if found > version:
        raise SchemaMismatch(
            f"{path} has schema {found}, this program knows schemas up to {version}: "
            "a newer version of the program has written it; use that one"
        )
    while found < version:
        upgrade = upgrades.get(found)
        if upgrade is None:
            raise SchemaMismatch(
                f"{path} has schema {found}, which this program (schema {version}) cannot upgrade: "
                "open it first with the release in between"
            )
        found += 1
        _in_transaction(connection, lambda c, step=upgrade, to=found: _upgrade(c, step, to))  # type: ignore[misc]


def _in_transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        change(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _create(connection: sqlite3.Connection, version: int) -> None:
    for statement in TABLES.strip().rstrip(";").split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={version}")


def _upgrade(connection: sqlite3.Connection, step: Upgrade, to: int) -> None:
    step(connection)
    connection.execute(f"PRAGMA user_version={to}")


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def open_writer(options: Options) -> sqlite3.Connection:
    """Open the connection that writes; of one thread."""
    connection = sqlite3.connect(
        options.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    for setting in (
        f"synchronous={DURABILITIES[options.durability]}",
        # Every checkpoint is ours, one that locks writers out: SQLite before 3.51.3 can lose a
        # transaction to a checkpoint that runs beside a commit (its "WAL-reset bug").
        "wal_autocheckpoint=0",
        f"journal_size_limit={64 * 2**20}",
        "secure_delete=0",
        "temp_store=MEMORY",
        f"cache_size=-{16 * 1024}",
    ):
        connection.execute(f"PRAGMA {setting}")
    if options.retention_size is not None:
        connection.execute(f"PRAGMA max_page_count={options.retention_size // page_size(connection)}")
    return connection


def open_reader(options: Options) -> sqlite3.Connection:
    """Open a connection that only reads; the caller sees to it that one thread uses it at a time."""
    connection = sqlite3.connect(
        options.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA query_only=1")
    connection.execute(f"PRAGMA cache_size=-{8 * 1024}")
    return connection


def page_size(connection: sqlite3.Connection) -> int:
    """Return the bytes in a page of this file."""
    return _number(connection, "PRAGMA page_size")
