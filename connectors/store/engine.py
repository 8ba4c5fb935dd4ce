"""Opening the database, and saying in our own words why it does not answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from streams.ports import PortError, Rejected, Unavailable

_BUSY_S = 15  # how long SQLite waits for another writer
_POOL = 5
#: what SQLite says when waiting, room or rights would help; anything else is a mistake of ours
_SQLITE_DOWN = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)
#: classes of SQLSTATE: connection, resources, intervention by an operator, I/O, rolled back
_PG_DOWN = ("08", "53", "57", "58", "40")
#: a server that vanishes without a word (no power, cable cut) is given up after about 20 s
_PG_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
#: of a lock that another holds too long, of a role that may not log in yet, of a session that timed out
_PG_DOWN_CODES = frozenset({"55P03", "28000", "28P01", "3D000", "25P03"})


def parse(url: str) -> URL:
    """The URL with the driver that we use. Raises ValueError where it is neither SQLite nor PostgreSQL."""
    try:
        made = make_url(url)
    except SQLAlchemyError as error:
        raise ValueError(f"expected sqlite:///FILE or postgresql://…, got {url!r}") from error
    kind = made.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return made.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        if not made.database or made.database == ":memory:":
            raise ValueError(f"expected sqlite:///FILE, got {url!r}: several processes share the tickets")
        return made.set(drivername="sqlite+pysqlite")
    raise ValueError(f"expected sqlite:///FILE or postgresql://…, got {shown(made)}")


def shown(url: URL | str) -> str:
    """The URL without its password, for messages."""
    return make_url(url).render_as_string(hide_password=True)


def connect(url: str) -> Engine:
    """An engine for the URL; nothing is opened until it is used.

    SQLite: write-ahead log, synchronous FULL (what was committed survives a loss of power),
    foreign keys on. A connection with the execution option ``write`` begins IMMEDIATE: it
    waits for the other writer at its beginning, and never fails half-way for having read.
    PostgreSQL: a connection that has died is noticed and replaced; no statement and no wait
    for a lock is endless.
    """
    parsed = parse(url)
    common: dict[str, Any] = {
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        "pool_size": _POOL,
        "max_overflow": _POOL,
        "pool_timeout": _BUSY_S,
    }
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, connect_args={"timeout": _BUSY_S, "check_same_thread": False}, **common
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    settings = (
        "-c statement_timeout=60000 -c lock_timeout=20000 -c idle_in_transaction_session_timeout=120000"
    )
    return create_engine(
        parsed,
        pool_pre_ping=True,
        connect_args={"options": settings, "application_name": "forestall", **_PG_PATIENCE},
        **common,
    )


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn the database's refusals into ours.

    Unavailable: it is away, full, locked, or rolled us back; the same call may be repeated.
    Rejected: it does not take this content. Mistakes in our SQL pass as they are.
    """
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(shown(engine.url), f"no connection is free: {error}") from error
    except DBAPIError as error:
        made = _ours(error, shown(engine.url))
        if made is None:
            raise
        raise made from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes."""
    with translated(engine), engine.connect().execution_options(write=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that reads one state of the database."""
    with translated(engine), engine.connect() as connection, connection.begin():
        yield connection


def collided(error: DBAPIError) -> bool:
    """Tell whether another writer was quicker: the whole transaction may be tried again at once."""
    cause = error.orig
    if isinstance(cause, psycopg.Error):
        return cause.sqlstate in ("40001", "40P01", "23505")
    return (
        isinstance(cause, sqlite3.IntegrityError)
        and cause.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CONSTRAINT
        and "UNIQUE" in str(cause)
    )


def _ours(error: DBAPIError, endpoint: str) -> PortError | None:
    cause = error.orig
    first_line = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _SQLITE_DOWN:
            return Unavailable(endpoint, first_line)
        if isinstance(cause, sqlite3.DataError | sqlite3.IntegrityError):
            return Rejected(endpoint, first_line)
        return None
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate
        down = state is None and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
        if down or (state is not None and (state[:2] in _PG_DOWN or state in _PG_DOWN_CODES)):
            return Unavailable(endpoint, first_line)
        if isinstance(cause, psycopg.DataError | psycopg.IntegrityError):
            return Rejected(endpoint, first_line)
        if error.connection_invalidated:
            return Unavailable(endpoint, first_line)
    return None


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # transactions are begun by us, not by the driver
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "journal_size_limit=67108864"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
