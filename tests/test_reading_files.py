"""Files of readings: order, chunks, both formats."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectors.payloads.times import rfc3339
from connectors.reading_files import FileChunk, FileOptions, read_files
from streams.messages import Kind, Mark, Quality, Reject
from tests.reading_rows import NOON, NS, read, reading, rows_of, write


def test_the_household_of_the_two_reads(tmp_path: Path) -> None:
    reads = ["2011-04-10T00:00:00Z,0", "2012-04-10T00:00:00Z,176", "2012-06-10T00:00:00Z,449"]
    text = "meter_id,time,value\n" + "".join(f"wei,{cells}\n" for cells in reads)
    rows, rejects = read(write(tmp_path / "two_reads.csv", text))
    assert rejects == []
    assert [row["value"] for row in rows] == [0.0, 176.0, 449.0]


def test_every_column(tmp_path: Path) -> None:
    text = (
        "value,meter_id,time,kind,unit,quality,marks,received_at,register,serial,period_start,multiplier,area,"
        "reader,route,class\n"
        "482.31,w-17,2024-05-01T12:00:00Z,register,m³,uncertain,estimated|edited,2024-05-01T13:00:00Z,1.8.0,S-1,"
        "2024-04-01T00:00:00Z,10,block-1,Li Na,r-7,residential\n"
        "1,w-18,2024-05-01T14:00:00Z,,,,,,,,,,,,,\n"
    )
    path = write(tmp_path / "all.csv", text)
    full = reading(
        "w-17",
        0,
        482.31,
        kind=int(Kind.REGISTER),
        unit="m3",
        quality=int(Quality.UNCERTAIN),
        marks=int(Mark.ESTIMATED | Mark.EDITED),
        received_ns=NOON + 3600 * NS,
        register="1.8.0",
        serial="S-1",
        period_start_ns=rfc3339("2024-04-01T00:00:00Z"),
        multiplier=10.0,
        attributes={"reader": "Li Na", "route": "r-7"},
    )
    rows, rejects = read(path)
    assert rejects == []
    assert rows == [full, reading("w-18", 2, 1.0)]
    (chunk,) = read_files([path])
    assert chunk.areas == {"w-17": "block-1"}
    # the careful way, and Parquet, say the same
    careful, _ = read(write(tmp_path / "careful.csv", text + "w-19\n"))
    assert careful == rows
    table = list(csv.DictReader(io.StringIO(text)))
    parquet = tmp_path / "all.parquet"
    pq.write_table(pa.Table.from_pylist(table), parquet)
    assert read(parquet) == (rows, [])


def test_files_merge_by_time_then_meter_then_file(tmp_path: Path) -> None:
    one = write(
        tmp_path / "1.csv", "meter_id,time,value\nb,2024-05-01T12:00:00Z,1\nb,2024-05-01T13:00:00Z,2\n"
    )
    two = write(
        tmp_path / "2.csv",
        "meter_id,time,value\nc,2024-05-01T12:00:00Z,3\na,2024-05-01T14:00:00+02:00,4\nb,2024-05-01T12:00:00Z,5\n",
    )
    rows, _ = read(one, two)
    assert [(row["meter_id"], row["value"]) for row in rows] == [
        ("a", 4),
        ("b", 1),
        ("b", 5),
        ("c", 3),
        ("b", 2),
    ]
    rows, _ = read(two, one)
    assert [row["value"] for row in rows] == [4, 5, 1, 3, 2]


def test_arrival_orders_where_it_is_given(tmp_path: Path) -> None:
    path = write(
        tmp_path / "late.csv",
        "meter_id,time,value,received_at\n"
        "a,2024-05-01T12:00:00Z,1,2024-05-01T15:00:00Z\n"
        "a,2024-05-01T13:00:00Z,2,2024-05-01T13:00:01Z\n"
        "a,2024-05-01T14:00:00Z,3,\n",
    )
    rows, _ = read(path)
    assert [row["value"] for row in rows] == [2.0, 3.0, 1.0]
    assert "received_ns" not in rows[1]


def test_parquet_types(tmp_path: Path) -> None:
    stamp = datetime(2024, 5, 1, 12, tzinfo=UTC)
    path = tmp_path / "p.parquet"
    for times in (
        pa.array([stamp], pa.timestamp("s", "UTC")),
        pa.array([stamp], pa.timestamp("us", "Asia/Shanghai")),
        pa.array([NOON], pa.timestamp("ns", "UTC")),
        pa.array([NOON // 1_000_000]),
        pa.array(["2024-05-01T12:00:00Z"]),
    ):
        for values in (
            pa.array([7], pa.int8()),
            pa.array(["7.0"]),
            pa.array([7], pa.decimal128(9, 2)),
            pa.array([7.0]),
        ):
            for ids in (pa.array(["17"]), pa.array([17]), pa.array(["17"]).dictionary_encode()):
                pq.write_table(pa.table({"meter_id": ids, "time": times, "value": values}), path)
                assert read(path) == ([reading("17", 0, 7.0)], [])
    naive = pa.table({"meter_id": ["a"], "time": pa.array([stamp.replace(tzinfo=None)]), "value": [1.0]})
    pq.write_table(naive, path)
    with pytest.raises(ValueError, match=r"p.parquet: time: expected times with a zone, or the option --tz"):
        read(path)
    rows, _ = read(path, options=FileOptions(tz="Asia/Shanghai"))
    assert rows == [reading("a", -8, 1.0)]
    for wrong in ({"time": [True]}, {"value": [[1.0]]}):
        columns: dict[str, Any] = {"meter_id": ["a"], "time": [stamp], "value": [1.0]} | wrong
        pq.write_table(pa.table(columns), path)
        with pytest.raises(ValueError, match=r"p.parquet: (time|value): expected a column of"):
            read(path)


@pytest.mark.parametrize(("form", "ticks"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", NS)])
@pytest.mark.parametrize("blank", [False, True])
def test_counts_since_1970_are_as_the_option_says(form: str, ticks: int, blank: bool, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    whole = [NOON // NS * ticks, (NOON // NS + 3600) * ticks]
    # a data frame makes 1.0 of 1 beside a blank
    column = pa.array([float(whole[0]), None], pa.float64()) if blank else pa.array(whole)
    pq.write_table(pa.table({"meter_id": ["a", "a"], "time": column, "value": [1.0, 2.0]}), path)
    rows, rejects = read(path, options=FileOptions(time_format=form))
    assert rows == [reading("a", 0, 1.0), reading("a", 1, 2.0)][: 1 if blank else 2]
    assert len(rejects) == blank
    if form != "ms":  # nothing is guessed by magnitude
        with pytest.raises(
            ValueError, match=rf"p.parquet: time: expected ms .* say so with --time-format {form}"
        ):
            read(path)


def test_days_as_numbers_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    wanted: tuple[list[dict[str, Any]], list[Reject]] = ([reading("a", -12 - 8, 1.0)], [])
    pq.write_table(pa.table({"meter_id": ["a"], "time": pa.array([20240501]), "value": [1.0]}), path)
    assert read(path, options=FileOptions(tz="Asia/Shanghai", time_format="%Y%m%d")) == wanted
    day = pa.array([datetime(2024, 5, 1, tzinfo=UTC).date()])
    pq.write_table(pa.table({"meter_id": ["a"], "time": day, "value": [1.0]}), path)
    assert read(path, options=FileOptions(tz="Asia/Shanghai")) == wanted


def test_columns_without_a_cell_and_columns_of_anything(tmp_path: Path) -> None:
    stamp = datetime(2024, 5, 1, 12, tzinfo=UTC)
    good = {"meter_id": ["a", "b"], "time": [stamp, stamp], "value": [1.0, 2.0]}
    optional = (
        "kind",
        "unit",
        "quality",
        "marks",
        "area",
        "serial",
        "register",
        "multiplier",
        "period_start",
    )
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table(good | dict.fromkeys((*optional, "received_at", "note"), pa.nulls(2))), path)
    assert read(path) == ([reading("a", 0, 1.0), reading("b", 0, 2.0)], [])
    for name in good:
        pq.write_table(pa.table(good | {name: pa.nulls(2)}), path)
        rows, rejects = read(path)
        assert rows == []
        assert [reject.reason.partition(": ")[2].partition(":")[0] for reject in rejects] == [name, name]
    odd = {
        "tags": [[1, 2], None],
        "parts": [{"größe": 1}, None],
        "raw": [b"\xff\x00", None],
        "ok": [True, None],
    }
    pq.write_table(pa.table(good | odd), path)
    rows, rejects = read(path)
    assert rejects == []
    assert rows[0]["attributes"] == {"tags": "[1, 2]", "parts": '{"größe": 1}', "raw": '"ff00"', "ok": "true"}
    assert "attributes" not in rows[1]
    pq.write_table(pa.table(good | {"unit": [[1], [2]]}), path)
    with pytest.raises(ValueError, match=r"p.parquet: unit: expected a column of texts, got list"):
        read(path)


def test_bad_rows_of_parquet_are_told_with_their_number(tmp_path: Path) -> None:
    stamp = datetime(2024, 5, 1, 12, tzinfo=UTC)
    path = tmp_path / "p.parquet"
    table = pa.table(
        {
            "meter_id": ["a", None, "", "d", "e", "f", "g"],
            "time": [stamp, stamp, stamp, None, stamp - timedelta(days=365 * 60), stamp, stamp],
            "value": [1.0, 2.0, 3.0, 4.0, 5.0, math.nan, 7.0],
            "kind": ["register", None, None, None, None, None, "counter"],
            "serial": ["S-1", None, None, None, None, None, None],
        }
    )
    pq.write_table(table, path)
    rows, rejects = read(path)
    assert rows == [reading("a", 0, 1.0, kind=1, serial="S-1")]
    told = {int(reject.reason.split(":")[1]): reject.reason.partition(": ")[2] for reject in rejects}
    assert {row: reason.partition(":")[0] for row, reason in told.items()} == {
        2: "meter_id",
        3: "meter_id",
        4: "time",
        5: "time",
        6: "value",
        7: "kind",
    }
    assert all(b"meter_id" in reject.raw for reject in rejects)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_time_that_cannot_have_come_yet_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"readings.{suffix}"
    table = pa.table(
        {
            "meter_id": ["m", "m"],
            "time": ["2024-05-01T00:00:00Z", "2098-05-01T00:00:00Z"],
            "value": [1.0, 2.0],
        }
    )
    if suffix == "csv":
        arrow_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    told: list[Reject] = []
    options = FileOptions(latest_ns=rfc3339("2024-05-02T00:00:00Z"))
    (chunk,) = read_files([path], told.append, options=options)
    assert (len(chunk), len(told)) == (1, 1)
    assert "time: expected a time up to 2024-05-02T00:00:00Z" in told[0].reason
    assert sum(len(one) for one in read_files([path])) == 2


def test_a_file_full_of_faults_is_told_a_thousand_times(tmp_path: Path) -> None:
    path = write(tmp_path / "n.csv", "meter_id,time,value\n" + "a,b,c\n" * 3_000)
    rows, rejects = read(path)
    assert (rows, len(rejects)) == ([], 1_001)
    assert rejects[-1].reason == "n.csv: and 2000 more rows were refused"


def test_chunks_and_progress(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    hours = [n // 7 for n in range(1_000)]
    table = pa.table(
        {
            "meter_id": [f"m{n % 7}" for n in range(1_000)],
            "time": [NOON // 1_000_000 + hour * 3_600_000 for hour in hours],
            "value": [float(n) for n in range(1_000)],
            "serial": [f"s{n}" if n % 100 == 0 else None for n in range(1_000)],
        }
    )
    pq.write_table(table, path)
    seen: list[tuple[int, int]] = []
    chunks = list(
        read_files(
            [path],
            progress=lambda done, total: seen.append((done, total)),
            options=FileOptions(chunk_rows=100),
        )
    )
    assert seen[0] == (0, 1_000)
    assert seen[-1] == (1_000, 1_000)
    assert [done for done, _ in seen] == np.cumsum([0, *map(len, chunks)]).tolist()
    for before, after in pairwise(chunks):
        assert before.time_ns[-1] < after.time_ns[0]
    assert [row["value"] for chunk in chunks for row in rows_of(chunk)] == [float(n) for n in range(1_000)]
    serials = {row["value"]: row["serial"] for chunk in chunks for row in rows_of(chunk) if "serial" in row}
    assert serials == {float(n): f"s{n}" for n in range(0, 1_000, 100)}
    for chunk in chunks:
        columns: list[NDArray[Any]] = [
            chunk.meter,
            chunk.time_ns,
            chunk.value,
            chunk.received_ns,
            chunk.marks,
        ]
        columns += [chunk.kind, chunk.unit, chunk.quality]
        assert [c.dtype.str for c in columns] == ["<i4", "<i8", "<f8", "<i8", "<u2", "|u1", "|u1", "|u1"]


def test_many_meters_have_short_dictionaries(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.csv",
        "meter_id,time,value\n"
        + "".join(f"m{n:05d},2024-05-01T12:{n % 60:02d}:00Z,{n}\n" for n in range(5_000)),
    )
    chunks = list(read_files([path], options=FileOptions(chunk_rows=100)))
    assert max(len(chunk.meters) for chunk in chunks) <= 200
    assert sorted(row["value"] for chunk in chunks for row in rows_of(chunk)) == list(range(5_000))
    assert all(row["meter_id"] == f"m{int(row['value']):05d}" for chunk in chunks for row in rows_of(chunk))


def naive_order(files: Sequence[Sequence[tuple[str, int, int, int]]]) -> list[tuple[str, int, int, int]]:
    merged = [row for file in files for row in file]
    return sorted(merged, key=lambda row: (row[3] or row[1], row[0]))


TIMES = st.integers(0, 6).map(lambda hours: NOON + hours * 3600 * NS) | st.integers(NOON, NOON + 10)
ROWS = st.tuples(st.sampled_from(["a", "b", "B", "é"]), TIMES, st.integers(0, 999), st.just(0) | TIMES)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ROWS, max_size=8), min_size=1, max_size=3), st.integers(1, 9), st.booleans())
def test_the_order_is_the_obvious_one(
    tmp_path: Path, files: list[list[tuple[str, int, int, int]]], chunk_rows: int, parquet: bool
) -> None:
    paths = []
    for n, rows in enumerate(files):
        path = tmp_path / f"{n}.data"
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], []]
        table = pa.table(
            {
                "meter_id": pa.array(columns[0], pa.string()),
                "time": pa.array(columns[1], pa.timestamp("ns", "UTC")),
                "value": pa.array(columns[2], pa.int64()),
                "received_at": pa.array([r or None for r in columns[3]], pa.timestamp("ns", "UTC")),
            }
        )
        if parquet:
            pq.write_table(table, path)
        else:
            lines = ["meter_id,time,value,received_at"]
            for meter_id, time_ns, value, received in rows:
                lines.append(f"{meter_id},{iso(time_ns)},{value},{iso(received) if received else ''}")
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(path)
    chunks = list(read_files(paths, options=FileOptions(chunk_rows=chunk_rows)))
    found = [
        (r["meter_id"], r["time_ns"], int(r["value"]), r.get("received_ns", 0))
        for c in chunks
        for r in rows_of(c)
    ]
    assert found == naive_order(files)
    keys = [{row[3] or row[1] for row in found[a:b]} for a, b in _spans(chunks)]
    assert all(not one & other for one, other in pairwise(keys))


def _spans(chunks: Sequence[FileChunk]) -> list[tuple[int, int]]:
    ends = np.cumsum([len(chunk) for chunk in chunks]).tolist()
    return list(zip([0, *ends], ends, strict=False))


def iso(time_ns: int) -> str:
    whole = datetime.fromtimestamp(time_ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ns % NS:09d}Z"


@pytest.mark.bench
def test_speed(tmp_path: Path) -> None:
    """Prints million rows a second; fails only far below the targets, since machines differ."""
    n, meters = 2_000_000, 200
    table = pa.table(
        {
            "meter_id": pa.array([f"meter-{m:04d}" for m in range(meters)]).take(
                pa.array(np.repeat(np.arange(meters), n // meters))
            ),
            "time": pa.array(
                np.tile(NOON + np.arange(n // meters) * 1800 * NS, meters), pa.timestamp("ns", "UTC")
            ),
            "value": pa.array(np.random.default_rng(1).random(n).round(3)),
        }
    )
    path = tmp_path / "speed.parquet"
    pq.write_table(table, path)
    started = time.process_time()
    assert sum(map(len, read_files([path]))) == n
    speed = n / (time.process_time() - started) / 1e6
    print(f"Parquet: {speed:.1f} million rows a second of CPU")
    assert speed > 1
