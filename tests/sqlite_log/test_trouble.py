"""No room, a locked file, a stopped neighbour: everything fails loudly, and passes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from connectors.sqlite_log import LogFull, SqliteLog, log_url
from connectors.sqlite_log.engine import Engine
from connectors.sqlite_log.locks import WriteTurn
from streams.ports import Unavailable
from tests.sqlite_log.test_log import everything
from tests.sqlite_log.test_processes import child, lines_until


async def limit_pages(log: SqliteLog, pages: int) -> None:
    """Let the database have so many pages, as a full disk would."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    await log._engine.call(change, asyncio.get_running_loop())


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_a_full_disk_is_said_and_passes(
    path: Path, durability: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with SqliteLog(log_url(path, durability=durability)) as log:
            await log.ensure_topic("t", 1)
            await limit_pages(log, 200)
            written = []
            with pytest.raises(LogFull, match="no room, SQLITE_FULL"):
                while True:
                    written.append(await log.append("t", os.urandom(100_000)))
            # many at once: all fail, none is half written
            results = await asyncio.gather(
                *(log.append("t", os.urandom(100_000)) for _ in range(50)), return_exceptions=True
            )
            assert all(isinstance(result, LogFull) for result in results)
            assert log.stats.failed == 51
            # reading goes on, and so does what needs no room
            assert len(await everything(log, "t", 0)) == len(written)
            await log.commit("g", {("t", 0): 5})
            assert "no room" in caplog.text
            await limit_pages(log, 1_000_000)
            with caplog.at_level(logging.WARNING):
                assert await log.append("t", b"again") == len(written)
            assert "writing works again" in caplog.text
            assert [offset for offset, _, _ in await everything(log, "t", 0)] == list(range(len(written) + 1))

    asyncio.run(scenario())


def test_another_program_in_the_file_is_waited_for(url: str, path: Path) -> None:
    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(log.append("t", b"x"))
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done
            other.execute("COMMIT")
            other.close()
            assert await waiting == 0

    asyncio.run(scenario())


def test_a_neighbour_that_keeps_the_turn_is_named_after_a_while(path: Path) -> None:
    turn = WriteTurn(path, 0.3)
    # another process that was stopped while it was writing
    pid = os.fork()
    if pid == 0:
        mine = WriteTurn(path, 1)
        mine.__enter__()
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"another process has been writing for 0\.3 s"), turn:
            pass
        assert time.monotonic() - began < 2
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # its turn went with it
    with turn:
        pass
    turn.close()


def test_a_stopped_neighbour_lets_the_others_go_on_when_it_dies(path: Path) -> None:
    url = log_url(path, durability="off")

    async def scenario() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 4)
            with child("write", url, "a", "64", "5000", "30", "quiet") as other:
                lines_until(other, "ready")
                for _ in range(5):
                    other.send_signal(signal.SIGSTOP)
                    waiting = asyncio.create_task(log.append("t", b"x"))
                    await asyncio.wait([waiting], timeout=0.2)
                    other.send_signal(signal.SIGCONT)
                    await asyncio.wait_for(waiting, 10)
                other.send_signal(signal.SIGSTOP)
                waiting = asyncio.create_task(log.append("t", b"x"))
                await asyncio.wait([waiting], timeout=0.1)
                other.send_signal(signal.SIGKILL)
                await asyncio.wait_for(waiting, 10)

    asyncio.run(scenario())


def test_a_file_that_went_bad_is_said(path: Path, url: str) -> None:
    async def write() -> None:
        async with SqliteLog(url) as log:
            await log.ensure_topic("t", 1)
            await asyncio.gather(*(log.append("t", os.urandom(3000)) for _ in range(200)))

    async def read() -> None:
        async with SqliteLog(url) as log:
            with pytest.raises(Unavailable, match=r"malformed|CORRUPT|NOTADB|disk"):
                await everything(log, "t", 0)

    asyncio.run(write())
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(16384 * 4)
        file.write(os.urandom(size - 16384 * 8))
    asyncio.run(read())


def test_what_waits_when_the_writer_ends_is_told(url: str) -> None:
    """The last resort: a writer that is gone must not leave anybody waiting."""

    async def scenario() -> None:
        log = SqliteLog(url)
        await log.ensure_topic("t", 1)
        engine: Engine = log._engine
        engine._writer.stop()
        engine._writer.join()
        with pytest.raises(Unavailable, match="was closed"):
            await log.append("t", b"x")
        await log.close()

    asyncio.run(scenario())
