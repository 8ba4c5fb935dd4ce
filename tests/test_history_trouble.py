"""The embedded history in trouble: age, foreign files, a lock, a full disk, a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from connectors.history_sqlite import HistoryReader, SqliteHistory
from streams.ports import Rejected, Unavailable
from tests.embedded_history import DAY, T0, Clock, Reading, batch, flag, flat, make_small, one, run
from tests.services.process import wait_until


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.mark.usefixtures("small")
def test_what_is_old_goes_and_its_room_is_used_again(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "h.db"

    async def work(history: SqliteHistory) -> tuple[list[int], list[int]]:
        sizes, oldest = [], []
        for day in range(120):
            clock.now = T0 + day * DAY
            # years old by their own time: that does not count
            await history.write(batch([one(f"m{i}", 10**18 + day, float(day)) for i in range(60)]))
            await history.write_flags([flag(day % 60, at=f"2020-01-01T00:00:{day % 60:02}.{day:03}Z")])
            await history.tend()
            oldest.append(int((await history.series("m1"))[0].time_ns[0]) - 10**18)
            sizes.append(path.stat().st_size)
        assert len(await history.flags(1000)) in range(32, 36)
        return sizes, oldest

    sizes, oldest = run(work, path, keep_days=32.0, now_ns=clock)
    for day, first in enumerate(oldest):
        assert max(0, day - 32 - 3) <= first <= max(0, day - 32)
    assert max(sizes[60:]) <= 1.5 * sizes[50]


def test_after_a_long_pause_the_next_writes_clear_up_in_small_steps(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "h.db"

    async def work(history: SqliteHistory) -> tuple[int, int]:
        for i in range(3):
            await history.write(batch([one(f"m{j}", T0 + i, 0.0) for j in range(70_000)]))
        clock.now += 100 * DAY
        steps = 0
        while await history.series("m1", T0, T0 + 2):
            await history.write(batch([one("new", T0 + 100 + steps, 1.0)]))
            steps += 1
            assert steps < 50
        return steps, len(flat(await history.series("new")))

    steps, kept = run(work, path, keep_days=30.0, now_ns=clock)
    assert steps > 1  # not all in one transaction, which would hold up the writer
    assert kept == steps


def test_files_of_others_and_of_newer_versions_are_refused(tmp_path: Path) -> None:
    newer, other, text = tmp_path / "newer.db", tmp_path / "other.db", tmp_path / "text.db"
    run(lambda history: history.write(batch([one("m", T0, 1.0)])), newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE flags (x)")
    text.write_text("no database " * 1000)
    for path, word in ((newer, "version 99"), (other, "something else"), (text, "not a database")):
        with pytest.raises(Rejected, match=word):
            run(lambda history: history.write(batch([one("m", T0, 1.0)])), path)
        with pytest.raises(Rejected, match=word):
            run(lambda history: history.latest(), path)


def test_a_locked_file_is_unavailable_and_then_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.db"

    async def work(history: SqliteHistory) -> list[Reading]:
        await history.write(batch([one("m", T0, 1.0)]))
        assert history._writer is not None
        history._writer._db.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await history.write(batch([one("new", T0, 2.0)]))
        # a reader does not mind
        assert flat(await history.series("m")) == [one("m", T0, 1.0)]
        other.close()
        await history.write(batch([one("new", T0, 2.0)]))
        return flat(await history.series("new"))

    assert run(work, path) == [one("new", T0, 2.0)]


def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.db"

    async def work(history: SqliteHistory) -> int:
        written = 0
        await history.write(batch([one("m", T0, 0.0)]))
        assert history._writer is not None
        history._writer._db.execute("PRAGMA max_page_count = 60")
        full = None
        while full is None:
            try:
                await history.write(batch([one(f"m{i}", T0 + written, 1.0) for i in range(100)]))
                written += 1
                assert written < 1000
            except Unavailable as error:
                full = error
        assert "full" in str(full)
        # there is room again: the file was opened anew, without the limit
        await history.write(batch([one(f"m{i}", T0 + written, 1.0) for i in range(100)]))
        assert len(flat(await history.series("m99"))) == written + 1
        return written

    assert run(work, path) > 5


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="unable to open"):
        run(lambda history: history.write(batch([one("m", T0, 1.0)])), tmp_path / "nowhere" / "h.db")


WRITER = """
import asyncio, sys
from connectors.history_sqlite import SqliteHistory
from connectors.sqlite_history import runs
from tests.embedded_history import T0, batch, flag, one

async def main():
    runs.FRESH_RUNS = 4
    history = SqliteHistory(sys.argv[1])
    for n in range(int(sys.argv[2]), 10**9):
        await history.write(batch([one(f"m{i}", T0 + n, float(n)) for i in range(50)]))
        await history.write_flags([flag(0, at=f"2023-01-01T00:00:00.{n:09}Z")])
        print(n, flush=True)

asyncio.run(main())
"""


def test_killed_at_any_moment_it_keeps_what_it_has_confirmed(tmp_path: Path) -> None:
    path, log = tmp_path / "h.db", tmp_path / "log"
    first = 0
    for round_ in range(4):
        with log.open("wb") as out:
            process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first)], stdout=out)
            # read while it writes, as the web process does
            enough = 40 + 17 * round_

            async def busy(enough: int = enough, first: int = first) -> None:
                reader = HistoryReader(path)

                def so_far() -> int:
                    return len(log.read_bytes().splitlines())

                while so_far() < enough:
                    confirmed = so_far()
                    for series in await reader.series("m7"):
                        times = series.time_ns - T0
                        assert (times == np.arange(len(times))).all()
                        assert len(times) >= first + confirmed
                await reader.close()

            asyncio.run(asyncio.wait_for(busy(), 60))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        wait_until(lambda: log.read_bytes().endswith(b"\n"), "the writer's last line", 5)
        first = int(log.read_text().splitlines()[-1]) + 1

        async def all_there(history: SqliteHistory) -> tuple[int, int, int]:
            lengths = {len(s[0]) for s in (await history.series_of([f"m{i}" for i in range(50)])).values()}
            flags = await history.flags(10**6)
            assert len({f.at for f in flags}) == len(flags)
            return min(lengths), max(lengths), len(flags)

        low, high, flags = run(all_there, path)
        # a whole batch or none of it; at most the one that was not confirmed is there beside
        assert first <= low == high <= first + 1
        assert first <= flags <= first + 1
