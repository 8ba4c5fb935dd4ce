"""CSV of readings: bad rows with their line, quotes, dates, and both ways through."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import reading_csv
from connectors.payloads.times import rfc3339
from connectors.reading_files import FileOptions
from tests.reading_rows import read, write


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("w,2024-05-01T12:00:00Z", "expected 3 cells, got 2"),
        ("w,2024-05-01T12:00:00Z,1,2", "expected 3 cells, got 4"),
        (",2024-05-01T12:00:00Z,1", "meter_id: expected 1 to 128 characters, got 0"),
        ("w,2024-05-01T12:00:00,1", "time: expected a time with a zone, or the option --tz to say which"),
        ("w,01.05.2024,1", "time: expected a time such as 2024-05-01T12:30:00Z, or the option --time-format"),
        (
            "w,2024-02-30T12:00:00Z,1",
            "time: expected a time such as 2024-05-01T12:30:00Z: day is out of range",
        ),
        ("w,1970-01-01T00:00:00Z,1", "time: expected a time from 1990 to 2099"),
        ("w,,1", "time: expected a time such as"),
        ("w,2024-05-01T12:00:00Z,", "value: expected a number or a decimal string"),
        ("w,2024-05-01T12:00:00Z,NaN", "value: expected a number or a decimal string"),
        ("w,2024-05-01T12:00:00Z,1e999", "value: expected a finite number"),
        ('w,2024-05-01T12:00:00Z,"1,5"', "value: expected a number or a decimal string"),
        ('w,2024-05-01T12:00:00Z,"1', "expected cells, got unexpected end of data"),
        ("caf\udce9,2024-05-01T12:00:00Z,1", "meter_id: expected valid UTF-8"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_the_rest_goes_on(
    cells: str, reason: str, tmp_path: Path
) -> None:
    good = "g,2024-05-01T12:00:00Z,1\n"
    raw = f"meter_id,time,value\n{good}\n{cells}\n{good}{good}".encode("utf-8", "surrogateescape")
    rows, rejects = read(write(tmp_path / "r.csv", raw))
    assert len(rows) == 3
    assert len(rejects) == 1
    assert rejects[0].reason.startswith("r.csv:4: ")
    assert reason in rejects[0].reason
    assert rejects[0].raw == cells.encode("utf-8", "surrogateescape")


def test_lines_are_counted_over_quotes_and_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "PIECE", 64)
    notes = ['"two\nlines"' if n % 7 == 0 else "" for n in range(50)]
    lines = [
        "meter_id,time,value,note",
        *(f"m{n},2024-05-01T12:00:{n:02d}Z,{n},{notes[n]}" for n in range(50)),
    ]
    text = "\r\n".join(lines)
    wrong = text.replace("Z,31,", "Z,x,").replace("Z,44,", "Z,y,")
    rows, rejects = read(write(tmp_path / "q.csv", wrong))
    assert [row["value"] for row in rows] == [n for n in range(50) if n not in (31, 44)]
    assert rows[7]["attributes"] == {"note": "two lines"}
    told = [int(reject.reason.split(":")[1]) for reject in rejects if "value" in reject.reason]
    assert told == [
        wrong.split("\n").index(line) + 1 for line in wrong.split("\n") if ",x," in line or ",y," in line
    ]


def test_a_quote_too_many_swallows_nothing(tmp_path: Path) -> None:
    rows = [f"m{n},2024-05-01T12:00:{n:02d}Z,{n}" for n in range(60)]
    rows[10] = '"' + rows[10]
    found, rejects = read(write(tmp_path / "q.csv", "\n".join(["meter_id,time,value", *rows])))
    assert [row["value"] for row in found] == [n for n in range(60) if n != 10]
    assert [reject.reason.split(" ")[0] for reject in rejects] == ["q.csv:12:"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a column meter_id"),
        ("meter_id,time\na,b\n", "expected a column value (or one that stands for it), got meter_id, time"),
        ("meter_id,time,value,value\n", "expected every column once, got 'value' twice"),
        (
            "meter_id,读数,time\n".encode("gb18030"),
            "line 1: expected UTF-8, got the byte 0xb6; it reads as GB18030",
        ),
        (b"PAR1 and no more", "expected a Parquet file"),
    ],
)
def test_a_file_that_is_none_is_an_error(text: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^f\.csv") as refused:
        read(write(tmp_path / "f.csv", text))
    assert reason in str(refused.value)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.csv")


def test_manual_reads_with_local_dates_and_their_own_headings(tmp_path: Path) -> None:
    text = "表号;读数;抄表日期;抄表员\ng-1;176;10.04.2012;王\ng-1;449;10.06.2012;李\n"
    options = FileOptions(
        tz="Asia/Shanghai",
        time_format="%d.%m.%Y",
        encoding="gb18030",
        columns={"表号": "meter_id", "读数": "value", "抄表日期": "time", "抄表员": "reader"},
    )
    rows, rejects = read(write(tmp_path / "m.csv", text.encode("gb18030")), options=options)
    assert rejects == []
    assert rows == [
        {
            "meter_id": "g-1",
            "time_ns": rfc3339("2012-04-09T16:00:00Z"),
            "value": 176.0,
            "attributes": {"reader": "王"},
        },
        {
            "meter_id": "g-1",
            "time_ns": rfc3339("2012-06-09T16:00:00Z"),
            "value": 449.0,
            "attributes": {"reader": "李"},
        },
    ]


@pytest.mark.parametrize(
    ("cell", "options", "wanted"),
    [
        ("2024-05-01T12:00:00Z", FileOptions(), "2024-05-01T12:00:00Z"),
        ("2024-05-01 14:00+02:00", FileOptions(), "2024-05-01T12:00:00Z"),
        ("2024-05-01T20:00:00.123456789+0800", FileOptions(), "2024-05-01T12:00:00.123456789Z"),
        ("2024-05-01T07+05", FileOptions(), None),
        ("2024-05-01T07-05", FileOptions(), "2024-05-01T12:00:00Z"),
        ("2024-05-01T11:59:60Z", FileOptions(), "2024-05-01T12:00:00Z"),
        ("2024-05-01T14:00:00", FileOptions(tz="Europe/Berlin"), "2024-05-01T12:00:00Z"),
        ("2024-05-01", FileOptions(tz="Europe/Berlin"), "2024-04-30T22:00:00Z"),
        ("2024-05-01T12:00:00Z", FileOptions(tz="Europe/Berlin"), "2024-05-01T12:00:00Z"),
        ("2024-10-27T02:30:00", FileOptions(tz="Europe/Berlin"), "2024-10-27T00:30:00Z"),
        ("2024-03-31T02:30:00", FileOptions(tz="Europe/Berlin"), "2024-03-31T01:30:00Z"),
        ("1714564800", FileOptions(time_format="s"), "2024-05-01T12:00:00Z"),
        ("1714564800000", FileOptions(time_format="ms"), "2024-05-01T12:00:00Z"),
        (
            "2024/5/1 20:00",
            FileOptions(time_format="%Y/%m/%d %H:%M", tz="Asia/Shanghai"),
            "2024-05-01T12:00:00Z",
        ),
    ],
)
def test_times(cell: str, options: FileOptions, wanted: str | None, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", f"meter_id,time,value\na,{cell},1\n")
    bad = write(tmp_path / "bad.csv", f"meter_id,time,value\na,{cell},1\na,,\n")
    parquet = tmp_path / "t.parquet"
    pq.write_table(pa.table({"meter_id": ["a"], "time": [cell], "value": [1]}), parquet)
    for found, _ in (read(path, options=options), read(bad, options=options), read(parquet, options=options)):
        assert [row["time_ns"] for row in found] == (
            [rfc3339(wanted)] if wanted else [rfc3339("2024-05-01T02:00:00Z")]
        )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (FileOptions(tz="Mars"), "expected an IANA time zone"),
        (FileOptions(time_format="iso"), "expected a time format"),
        (FileOptions(time_format="%d.%m.%Y"), "expected a time zone beside the time format"),
        (FileOptions(encoding="klingon"), "expected the name of an encoding"),
    ],
)
def test_wrong_options_are_said(options: FileOptions, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "meter_id,time,value\na,2024-05-01,1\n")
    with pytest.raises(ValueError, match=reason):
        read(path, options=options)


CELL = st.text('ab1.5,"\n\r;é -eE+:TZ', max_size=8)
LINES = st.lists(
    st.lists(CELL | st.sampled_from(["w", "2024-05-01T12:00:00Z", "1.5"]), max_size=4), max_size=6
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.booleans())
def test_no_cells_raise_and_both_ways_agree(tmp_path: Path, lines: list[list[str]], quoted: bool) -> None:
    text = io.StringIO()
    if quoted:
        csv.writer(text).writerows(lines)
    else:
        text.write("\n".join(",".join(cells) for cells in lines))
    path = write(tmp_path / "x.csv", "meter_id,time,value\n" + text.getvalue())
    rows, _ = read(path)
    forced = write(tmp_path / "y.csv", "meter_id,time,value\nbad,row\n" + text.getvalue())
    careful, _ = read(forced)
    assert rows == careful
