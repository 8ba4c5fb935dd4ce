"""The schema: made once however many start, the same as the tables in the code, refused when newer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from connectors.migrations import upgrade
from connectors.migrations.upgrade import NewerSchema, config
from connectors.store.engine import connect
from connectors.store.tables_trade import metadata
from streams.ports import Unavailable
from tests.services.process import LOOPBACK, free_port


def test_it_can_be_repeated(store_url: str) -> None:
    first = upgrade(store_url)
    assert upgrade(store_url) == first


def test_the_migrations_make_what_the_code_declares(store_url: str) -> None:
    upgrade(store_url)
    engine = connect(store_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_way_back(store_url: str) -> None:
    upgrade(store_url)
    engine = connect(store_url)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        settings = config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()
    upgrade(store_url)


def test_three_processes_start_at_once(store_url: str) -> None:
    program = "import sys; from connectors.migrations import upgrade; print(upgrade(sys.argv[1]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, store_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1


def test_a_newer_schema_is_refused(store_url: str) -> None:
    upgrade(store_url)
    engine = connect(store_url)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(NewerSchema, match=r"has schema 9999, this program knows up to"):
        upgrade(store_url)


def test_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        upgrade(f"postgresql://forestall@{LOOPBACK}:{free_port()}/tickets")
    (tmp_path / "file").write_text("")
    with pytest.raises((Unavailable, NotADirectoryError, FileExistsError)):
        upgrade(f"sqlite:///{tmp_path / 'file' / 'tickets.db'}")
