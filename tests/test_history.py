"""The embedded history against a dictionary that does the same the obvious way."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.history_sqlite import HistoryReader, Series, SqliteHistory
from connectors.sqlite_history.cells import CELL_BYTES, Cells, join, packed, plain, read
from streams.messages import Reject
from streams.ports import History
from tests.embedded_history import DAY, T0, Clock, Naive, Reading, batch, flag, flat, make_small, one, run


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.fixture(params=["looked up", "by time"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to the newest reading of each meter: that for few of them and that for many."""
    if request.param == "by time":
        monkeypatch.setattr("connectors.sqlite_history.reader._FEW", 0)


reading = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "表"]), st.sampled_from(["", "", "", "T1"]),
    st.integers(T0, T0 + 20), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "m3", "L"]), st.integers(0, 3), st.integers(0, 2), st.integers(0, 63),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.lists(reading, max_size=12), st.sampled_from([0, 0, 1, DAY])), max_size=25),
    st.integers(T0 - 1, T0 + 21),
    st.integers(T0 - 1, T0 + 21),
    st.integers(0, 6),
)
@pytest.mark.usefixtures("small", "way")
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


@pytest.mark.usefixtures("way")
def test_the_latest_of_all_takes_a_correction_of_its_last_line(tmp_path: Path) -> None:
    async def work(history: SqliteHistory) -> list[tuple[str, float]]:
        await history.write(batch([one("a", T0 + 1, 1.0), one("b", T0, 2.0), one("c", T0 - 1, 3.0)]))
        await history.write(batch([one("b", T0, 20.0)]))
        return [(found.meter_id, found.value) for found in await history.latest(2)]

    assert run(work, tmp_path / "h.db") == [("a", 1.0), ("b", 20.0)]


def test_the_latest_of_few_meters_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    """One has been silent for long. What is not needed is made unreadable: to touch it would be an error."""
    path, meters, rows = tmp_path / "h.db", [f"m{i}" for i in range(10)], 7000

    async def fill(history: SqliteHistory) -> None:
        for part in range(4):
            times = range(part * rows, (part + 1) * rows)
            readings = [one(m, T0 + t, float(t)) for t in times for m in meters]
            await history.write(batch([*readings, one("silent", T0, 5.0)] if part == 0 else readings))

    async def latest(history: SqliteHistory) -> dict[str, float]:
        return {found.meter_id: found.value for found in await history.latest(100)}

    run(fill, path)
    with closing(sqlite3.connect(path)) as db:
        (silent,) = db.execute("SELECT key FROM series WHERE meter = 'silent'").fetchone()
        (last,) = db.execute("SELECT max(seq) FROM runs").fetchone()
        total = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
        broken = db.execute(
            "UPDATE chunks SET data = x'00' WHERE newest < ? AND NOT (first <= ? AND last >= ?)",
            (T0 + 4 * rows - 2048, silent, silent),
        ).rowcount
        db.commit()
    assert last >= 4
    assert broken > 0.7 * total
    assert run(latest, path) == {**dict.fromkeys(meters, 4.0 * rows - 1), "silent": 5.0}


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
        # a page after another, though several are of one instant: all of them, each once
        seen, mark = [], None
        while found := await history.flag_page(3, before=mark):
            seen += [one for _, one in found]
            mark = found[-1][0]
        assert seen == await history.flags(100)
        (last,) = await history.flag_page(1, "m1")
        assert [one for _, one in await history.flag_page(9, "m1", last[0])] == [flags[3], flags[1]]

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


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_a_wrong_keep_days_is_told_at_once(days: float) -> None:
    with pytest.raises(ValueError, match="keep_days"):
        SqliteHistory("h.db", days)


@pytest.mark.bench
def test_a_reading_costs_at_most_three_microseconds(tmp_path: Path) -> None:
    from benchmarks.history import sqlite_cost

    assert sqlite_cost(tmp_path / "h.db", meters=10_000, readings=300_000, batch=1000) <= 3.0
