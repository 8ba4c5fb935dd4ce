"""Opening: new files, older and newer ones, other programs' files."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from connectors.sqlite_log import Options, SchemaMismatch, SqliteLog, log_url
from connectors.sqlite_log.locks import WriteTurn
from connectors.sqlite_log.schema import VERSION, open_writer, prepare
from streams.ports import Unavailable


def setting(path: Path, name: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]
    finally:
        connection.close()


def create(url: str) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            await log.append("t", b"x")

    asyncio.run(scenario())


def test_a_new_file_is_set_up(path: Path, url: str) -> None:
    create(url)
    assert setting(path, "user_version") == VERSION
    assert setting(path, "application_id") == 0x4653544C
    assert setting(path, "journal_mode") == "wal"
    assert setting(path, "auto_vacuum") == 2
    # everything is in the database when the last one has closed it
    assert not path.with_name("log.db-wal").exists()


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1), ("off", 0)])
def test_durability_is_what_sqlite_is_told(path: Path, durability: str, synchronous: int) -> None:
    options = Options.from_url(log_url(path, durability=durability))
    create(log_url(path, durability=durability))
    connection = open_writer(options)
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == synchronous
    # a checkpoint beside a commit is what the writer must never make
    assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0
    connection.close()


def test_a_newer_log_is_refused_and_left_alone(path: Path, url: str) -> None:
    create(url)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match=f"has schema {VERSION + 1}, this program knows schemas up to"):
        SqliteLog(url)
    assert path.read_bytes() == before


def test_an_older_log_is_upgraded_step_by_step(path: Path, url: str) -> None:
    create(url)
    options = Options.from_url(url)
    turn = WriteTurn(path, 5)
    seen: list[str] = []

    def first(connection: sqlite3.Connection) -> None:
        seen.append("first")
        connection.execute("ALTER TABLE topics ADD COLUMN note TEXT NOT NULL DEFAULT ''")

    def second(connection: sqlite3.Connection) -> None:
        seen.append("second")
        connection.execute("UPDATE topics SET note = 'upgraded'")

    upgrades = {VERSION: first, VERSION + 1: second}
    prepare(options, turn, VERSION + 2, upgrades)
    prepare(options, turn, VERSION + 2, upgrades)
    turn.close()
    assert seen == ["first", "second"]
    assert setting(path, "user_version") == VERSION + 2
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name, note FROM topics").fetchall() == [("t", "upgraded")]
    connection.close()


def test_an_upgrade_that_fails_changes_nothing(path: Path, url: str) -> None:
    create(url)
    turn = WriteTurn(path, 5)

    def bad(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM records")
        connection.execute("SELECT * FROM nowhere")

    with pytest.raises(Unavailable, match="nowhere"):
        prepare(Options.from_url(url), turn, VERSION + 1, {VERSION: bad})
    turn.close()

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            assert await log.end("t", 0) == 1

    asyncio.run(scenario())


def test_a_log_too_old_to_upgrade_says_so(path: Path, url: str) -> None:
    create(url)
    turn = WriteTurn(path, 5)
    with pytest.raises(SchemaMismatch, match="open it first with the release in between"):
        prepare(Options.from_url(url), turn, VERSION + 2, {VERSION + 1: lambda _: None})
    turn.close()


def test_another_programs_files_are_refused(path: Path, url: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tickets(id)")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaMismatch, match="is a database of another program"):
        SqliteLog(url)
    path.write_bytes(b"meter_id,time,value\n" * 100)
    with pytest.raises(SchemaMismatch, match="is not an SQLite database"):
        SqliteLog(url)


def test_a_missing_directory_says_how_a_path_is_written(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"expected a directory .*nowhere, there is none"):
        SqliteLog(log_url(tmp_path / "nowhere" / "log.db"))
    with pytest.raises(Unavailable, match="an absolute path has four slashes"):
        SqliteLog(f"sqlite://{tmp_path}/log.db")
    assert not (tmp_path / "nowhere").exists()
