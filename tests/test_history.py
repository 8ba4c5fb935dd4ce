"""The embedded history against a dictionary that does the same the obvious way."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.history_sqlite import HistoryReader, Series, SqliteHistory
from connectors.sqlite_history import runs
from connectors.sqlite_history.cells import CELL_BYTES, Cells, join, packed, plain, read
from streams.columns import Columns, from_rows
from streams.messages import Flag, Reject, Source
from streams.ports import History, Rejected, Rows, Unavailable
from tests.services.process import wait_until

T = TypeVar("T")

DAY = 86_400_000_000_000
T0 = 1_700_000_000_000_000_000
SOURCE = Source(adapter="test", topic="t", received_ns=T0)

#: meter, register, time, value, unit, kind, quality, marks
Reading = tuple[str, str, int, float, str, int, int, int]


def batch(readings: list[Reading]) -> Columns:
    rows = Rows()
    for meter, register, time_ns, value, unit, kind, quality, marks in readings:
        rows.add(meter, time_ns, value, kind, unit, quality, marks)
        if register:
            rows.note("register", register)
    return from_rows(rows, [SOURCE], np.zeros(len(rows), np.uint32))


def one(meter: str, time_ns: int, value: float, register: str = "") -> Reading:
    return meter, register, time_ns, value, "m3", 1, 0, 0


def flag(number: int, **more: Any) -> Flag:
    plain: dict[str, Any] = {
        "id": f"f-{number}", "meter_id": "m", "kind": "leak", "family": "leak", "status": "raised",
        "at": f"2023-01-01T00:{number:02}:00Z", "start": "2023-01-01T00:00:00Z",
        "end": "2023-01-01T00:00:00Z", "score": 1.5, "observed": 2.0, "expected": None,
        "unit": "m3/h", "evidence": {"nights": [1, 2]},
    }  # fmt: skip
    return Flag(**{**plain, **more})


class Clock:
    """A wall clock set by hand."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


def run(work: Callable[[SqliteHistory], Awaitable[T]], path: Path | str, **more: Any) -> T:
    """Open a history, do something with it, close it."""

    async def inside() -> T:
        history = SqliteHistory(path, **more)
        try:
            return await work(history)
        finally:
            await history.close()

    return asyncio.run(inside())


def flat(found: list[Series]) -> list[Reading]:
    return [
        (s.meter_id, s.register, *row)
        for s in found
        for row in zip(
            s.time_ns.tolist(), s.value.tolist(), s.unit, s.kind.tolist(), s.quality.tolist(),
            s.marks.tolist(), strict=True,
        )
    ]  # fmt: skip


class Naive:
    """What a history is: the newest write by meter, register and time."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, int], Reading] = {}

    def write(self, readings: list[Reading]) -> None:
        for reading in readings:
            self.kept[reading[:3]] = reading

    def series(self, meter: str, start: int, end: int) -> list[Reading]:
        return [r for key, r in sorted(self.kept.items()) if key[0] == meter and start <= key[2] <= end]

    def latest(self, limit: int) -> list[tuple[int, str]]:
        newest: dict[str, int] = {}
        for meter, _, time_ns in self.kept:
            newest[meter] = max(newest.get(meter, 0), time_ns)
        return sorted(((t, m) for m, t in newest.items()), key=lambda pair: (-pair[0], pair[1]))[:limit]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs so small that a few batches make several levels of many chunks."""
    monkeypatch.setattr(runs, "FRESH_RUNS", 3)
    monkeypatch.setattr(runs, "FRESH_ROWS", 12)
    monkeypatch.setattr(runs, "FAN", 2)
    monkeypatch.setattr(runs, "CHUNK", 4)
    monkeypatch.setattr(runs, "LARGEST", 60)


reading = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "表"]), st.sampled_from(["", "", "", "T1"]),
    st.integers(T0, T0 + 20), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "m3", "L"]), st.integers(0, 3), st.integers(0, 2), st.integers(0, 63),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.lists(reading, max_size=12), st.sampled_from([0, 0, 1, DAY])), max_size=25),
    st.integers(T0 - 1, T0 + 21),
    st.integers(T0 - 1, T0 + 21),
    st.integers(0, 6),
)
@pytest.mark.usefixtures("small")
def test_equals_the_obvious_dictionary(
    steps: list[tuple[list[Reading], int]], start: int, end: int, limit: int
) -> None:
    naive, clock = Naive(), Clock()

    async def work(history: SqliteHistory) -> None:
        reader = HistoryReader(history.path)
        for number, (readings, wait) in enumerate(steps):
            assert await history.write(batch(readings)) == []
            naive.write(readings)
            clock.now += wait
            if number % 4 == 3 or number == len(steps) - 1:
                for meter in ("a", "b", "表", "unknown"):
                    assert flat(await reader.series(meter, start, end)) == naive.series(meter, start, end)
                several = await reader.series_of(["c", "unknown", "a", "c"], start, end)
                assert {m: flat(s) for m, s in several.items()} == {
                    m: naive.series(m, start, end) for m in ("c", "unknown", "a")
                }
                latest = await reader.latest(limit)
                times = [time_ns for time_ns, _ in naive.latest(limit)]
                assert [found.time_ns for found in latest] == times  # of meters that tie any may be the last
                assert len({found.meter_id for found in latest}) == len(latest)
                for f in latest:
                    key = (f.meter_id, f.register, f.time_ns)
                    kept = (f.value, f.unit, f.kind, f.quality, f.marks)
                    assert naive.kept[key][3:] == kept
        await reader.close()

    with tempfile.TemporaryDirectory() as directory:
        run(work, Path(directory) / "h.db", now_ns=clock, keep_days=20.0)


cells = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.floats(), st.integers(0, 2**16 - 1),
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**16 - 1),
    ),
    max_size=40,
)  # fmt: skip


@given(cells)
def test_bytes_and_back(rows: list[tuple[Any, ...]]) -> None:
    types = [np.uint32, np.int64, np.float64, np.uint16, np.uint8, np.uint8, np.uint16]
    made = Cells._make(np.array([row[i] for row in rows], dtype) for i, dtype in enumerate(types))
    for data in (plain(made), packed(made)):
        back = read(data)
        for column, found in zip(made.columns, back.columns, strict=True):
            assert (found.dtype, found.tobytes()) == (column.dtype, column.tobytes())
    assert len(plain(made)) == 5 + CELL_BYTES * len(rows)
    assert join([]).rows == 0


@given(st.binary(min_size=5, max_size=60))
def test_damaged_bytes_are_told(data: bytes) -> None:
    try:
        found = read(data)
    except ValueError:
        return
    assert found.rows * CELL_BYTES >= 0


def test_regular_readings_take_little_room(tmp_path: Path) -> None:
    """100 meters, 200 days of hourly registers: packed, and read back by 30 days."""
    path = tmp_path / "h.db"
    hours = np.arange(24 * 200)
    use = np.random.default_rng(5).poisson(3, (len(hours), 100)).cumsum(axis=0) / 1000

    async def work(history: SqliteHistory) -> Series:
        for block in range(0, len(hours), 10):
            await history.write(
                batch(
                    [
                        one(f"m{i}", T0 + h * DAY // 24, use[h, i])
                        for h in range(block, block + 10)
                        for i in range(100)
                    ]
                )
            )
        start, end = T0 + 100 * DAY, T0 + 130 * DAY
        return (await history.series("m17", start, end))[0]

    found = run(work, path)
    assert found.time_ns.tolist() == [T0 + h * DAY // 24 for h in range(2400, 3121)]
    assert found.value.tolist() == use[2400:3121, 17].tolist()
    assert path.stat().st_size / use.size < 9  # bytes a reading, of 26


def test_what_cannot_be_kept_is_rejected_and_the_rest_kept(tmp_path: Path) -> None:
    bad = [
        one("", T0, 1.0), one("a\nb", T0, 1.0), one("a\ud800", T0, 1.0), one("x" * 1025, T0, 1.0),
        one("m", T0, float("nan")), one("m", T0, float("inf")), one("m", 0, 1.0), one("m", 2**63 - 1, 1.0),
        one("m", T0, 1.0, register="r\0"), ("m", "", T0, 1.0, "u\n", 1, 0, 0),
        ("m", "", T0, 1.0, "m3", 9, 0, 0),
    ]  # fmt: skip

    async def work(history: SqliteHistory) -> tuple[list[Reject], list[Reading]]:
        port: History = history
        rejects = await port.write(
            batch([r for reading in bad for r in (one("good\\", T0 + len(reading[0]), 2.0), reading)])
        )
        return rejects, flat(await history.series("good\\"))

    rejects, kept = run(work, tmp_path / "h.db")
    assert len(rejects) == len(bad)
    assert kept == [one("good\\", T0 + n, 2.0) for n in sorted({len(reading[0]) for reading in bad})]


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    readings = [one(f"m{i % 3}", T0 + i, float(i)) for i in range(30)]

    async def work(history: SqliteHistory) -> tuple[list[Reading], list[Reading]]:
        await history.write(batch(readings))
        before = flat(await history.series("m1"))
        for _ in range(200):  # through a merge
            await history.write(batch(readings))
        return before, flat(await history.series("m1"))

    before, after = run(work, tmp_path / "h.db")
    assert before == after == [r for r in readings if r[0] == "m1"]


def test_the_latest_of_all_takes_a_correction_of_its_last_line(tmp_path: Path) -> None:
    async def work(history: SqliteHistory) -> list[tuple[str, float]]:
        await history.write(batch([one("a", T0 + 1, 1.0), one("b", T0, 2.0), one("c", T0 - 1, 3.0)]))
        await history.write(batch([one("b", T0, 20.0)]))
        return [(found.meter_id, found.value) for found in await history.latest(2)]

    assert run(work, tmp_path / "h.db") == [("a", 1.0), ("b", 20.0)]


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


def test_flags_come_back_whole_newest_first(tmp_path: Path) -> None:
    flags = [flag(i, meter_id=f"m{i % 2}") for i in range(6)]
    cleared = flag(0, meter_id="m0", status="cleared", at="2023-02-01T00:00:00Z")
    bad = [
        flag(7, at="?"),
        flag(8, id=""),
        flag(9, meter_id="a\nb"),
        flag(10, status=""),
        flag(11, id="\ud800"),
    ]

    async def work(history: SqliteHistory) -> None:
        assert await history.flags() == []
        rejects = await history.write_flags([*flags, *bad, cleared])
        assert len(rejects) == len(bad)
        assert all(reject.raw.isascii() for reject in rejects)
        other = flag(2, meter_id="m0", score=9.0)  # another detector's update of the same instant
        await history.write_flags([flags[3], other])
        assert await history.flags(100) == [cleared, *reversed(flags[3:]), other, *reversed(flags[:3])]
        assert await history.flags(2) == [cleared, flags[5]]
        assert await history.flags(100, "m1") == [flags[5], flags[3], flags[1]]

    run(work, tmp_path / "h.db")


def test_a_reader_of_a_file_that_is_not_there_sees_nothing_and_then_all(tmp_path: Path) -> None:
    path = tmp_path / "h.db"

    async def work() -> None:
        reader = HistoryReader(path)
        assert await reader.series("m") == []
        assert await reader.series_of(["m", "n"]) == {"m": [], "n": []}
        assert await reader.latest() == []
        assert await reader.flags() == []
        assert not path.exists()
        history = SqliteHistory(path)
        await history.write(batch([one("m", T0, 1.0)]))
        assert flat(await reader.series("m")) == [one("m", T0, 1.0)]
        assert flat(await history.series("m")) == [one("m", T0, 1.0)]
        await history.close()
        await reader.close()

    asyncio.run(work())


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


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_a_wrong_keep_days_is_told_at_once(days: float) -> None:
    with pytest.raises(ValueError, match="keep_days"):
        SqliteHistory("h.db", days)


WRITER = """
import asyncio, sys
from connectors.history_sqlite import SqliteHistory
from connectors.sqlite_history import runs
from tests.test_history import T0, batch, flag, one

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


@pytest.mark.bench
def test_a_reading_costs_at_most_three_microseconds(tmp_path: Path) -> None:
    from benchmarks.history import sqlite_cost

    assert sqlite_cost(tmp_path / "h.db", meters=10_000, readings=300_000, batch=1000) <= 3.0
