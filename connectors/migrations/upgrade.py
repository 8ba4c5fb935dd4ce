"""Bringing a database to this program's schema, also when several processes start at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from connectors.store.engine import connect, shown, translated

_LOCK = 0x666F72657374616C  # "forestal" in ASCII: a key of our own for the advisory lock


class NewerSchema(Exception):
    """The database was made by a newer program."""


def upgrade(url: str) -> str:
    """Make or mend the tables of a database; returns the schema's revision.

    Whoever comes while another is at it waits and then finds it done. Raises Unavailable
    when the database is away, NewerSchema when it knows a revision that this program does
    not, ValueError for a URL that is neither SQLite nor PostgreSQL.
    """
    engine = connect(url)
    try:
        with translated(engine), _alone(engine), engine.connect() as connection:
            return _upgrade(connection)
    finally:
        engine.dispose()


def config() -> Config:
    """Alembic's configuration, without a file."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("path_separator", "os")
    return made


def _upgrade(connection: Connection) -> str:
    script = ScriptDirectory.from_config(config())
    newest = script.get_current_head()
    assert newest is not None
    connection = connection.execution_options(write=True)
    with connection.begin():
        current = MigrationContext.configure(connection).get_current_revision()
        if current == newest:
            return newest
        if current is not None and current not in {made.revision for made in script.walk_revisions()}:
            raise NewerSchema(
                f"{shown(connection.engine.url)} has schema {current}, this program knows up to {newest}: "
                "run the newer program, or restore a copy of the database"
            )
        if connection.dialect.name == "postgresql":
            # to rewrite a large table may take as long as it takes
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    return newest


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other starting processes waiting."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SET lock_timeout = '60s'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            # the lock belongs to the session: an open transaction would only be in the way
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.commit()
        return
    database = engine.url.database
    assert database is not None
    place = Path(database).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.upgrade.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
