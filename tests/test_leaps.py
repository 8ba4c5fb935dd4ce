"""A wrong year in a file that states no arrival: it must not make everybody silent, nor a pause lose readings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.programs.replay import replay_files
from streams.settings import load
from streams.state.episodes import iso
from tests.streams_of_readings import DAY, HOUR, NS, instant

START = instant("2024-01-01")
Sent = tuple[str, int, float, int]  # meter, time, value, arrival (0: none)


def hourly(meter: str, first: int, last: int, late: int | None = None) -> list[Sent]:
    """Hours first … last − 1 since the start; ``late`` seconds until each arrives, None: nobody says."""
    times = [START + hour * HOUR for hour in range(first, last)]
    return [(meter, time, 1.0, 0 if late is None else time + late * NS) for time in times]


def replay(folder: Path, rows: Sequence[Sent], spacing: int | str = 3600) -> tuple[list[dict[str, Any]], str]:
    """The lines of the flags, and what the program says at its end."""
    arrives = any(row[3] for row in rows)
    table = ["meter_id,time,value" + (",received_at" if arrives else "")]
    for meter, time, value, came in rows:
        table.append(f"{meter},{time // NS},{value}" + (f",{came // NS if came else ''}" if arrives else ""))
    names = sorted({row[0] for row in rows})
    # Areas of their own: each lives in a partition of its own.
    registry = ["meter_id,commodity,unit,kind,interval_s,area,class"]
    registry += [f"{name},water,m3,interval,{spacing},area-{name},residential" for name in names]
    (folder / "readings.csv").write_text("\n".join(_iso(line) for line in table))
    (folder / "meters.csv").write_text("\n".join(registry))
    flags = folder / "flags.jsonl"
    said = replay_files(load(None), [folder / "readings.csv"], folder / "meters.csv", flags, False)
    return [json.loads(line) for line in flags.read_text().splitlines()], said


def _iso(line: str) -> str:
    return ",".join(
        iso(int(cell) * NS) if cell.isdigit() and len(cell) == 10 else cell for cell in line.split(",")
    )


def said(flags: Sequence[dict[str, Any]]) -> list[tuple[str, str, str, float]]:
    return [(f["meter_id"], f["kind"], f["status"], (instant(f["at"]) - START) / HOUR) for f in flags]


FLEET = [row for name in "abc" for row in hourly(name, 0, 240)]


def test_one_row_of_another_year_silences_nobody(tmp_path: Path, capsys: Any) -> None:
    stray = ("a", instant("2031-05-01"), 1.0, 0)
    flags, told = replay(tmp_path, [*FLEET, stray])
    assert flags == []
    assert "1 rows not read" in told
    error = capsys.readouterr().err
    assert "meter a: expected a time near the others', got 2031-05-01T00:00:00Z, 2667 days after" in error
    # A clock that stays there is no better.
    many = [("a", instant("2031-05-01") + i * HOUR, 1.0, 0) for i in range(50)]
    assert replay(tmp_path, [*FLEET, *many])[0] == []


def test_with_its_arrival_it_is_a_clock(tmp_path: Path) -> None:
    rows = [row for name in "abc" for row in hourly(name, 0, 240, late=60)]
    stray = ("a", instant("2031-05-01"), 1.0, START + 200 * HOUR + 30 * NS)
    flags, told = replay(tmp_path, [*rows, stray])
    assert [line[:3] for line in said(flags)] == [
        ("a", "clock_drift", "raised"),
        ("a", "clock_drift", "cleared"),
    ]
    assert flags[0]["at"] == "2024-01-09T08:00:30Z"
    assert "0 rows not read" in told
    # The other partitions' time has not moved either: what stops there is told when it is due.
    short = [row for row in rows if row[0] != "b" or row[1] < START + 210 * HOUR]
    assert ("b", "gap", "raised", 216.0) in said(replay(tmp_path, [*short, stray])[0])


def test_a_pause_of_all_is_over_when_two_are_back(tmp_path: Path) -> None:
    back = 240 + 24 * 60
    rows = [*FLEET, *hourly("a", back, back + 40), *hourly("b", back + 1, back + 40)]
    flags, told = replay(tmp_path, rows)
    assert "0 rows not read" in told
    first = min(line[3] for line in said(flags))
    assert first == back + 1  # the hour at which another meter bears out that time has moved on
    # Cut anywhere, the input gives the flags that were known by then.
    for end in (239, back, back + 1, back + 5):
        cut, _ = replay(tmp_path, [row for row in rows if row[1] <= START + end * HOUR])
        assert cut == [f for f in flags if instant(f["at"]) <= START + end * HOUR]


def test_a_single_meter_bears_itself_out(tmp_path: Path) -> None:
    rows = [*hourly("a", 0, 240), *hourly("a", 3000, 3040)]
    flags, told = replay(tmp_path, rows)
    assert "0 rows not read" in told
    assert [line[:3] for line in said(flags)][-1] == ("a", "gap", "cleared") or flags
    assert replay(tmp_path, [*FLEET, *[("d", START + 3 * 365 * DAY + i * DAY, 1.0, 0) for i in range(5)]])[
        1
    ].count("0 rows not read")


def test_bills_a_year_apart_are_no_leap(tmp_path: Path) -> None:
    rows = [("a", START + i * 366 * DAY, 1.0, 0) for i in range(6)]
    for spacing in ("", 3600):
        assert "0 rows not read" in replay(tmp_path, rows, spacing)[1]
