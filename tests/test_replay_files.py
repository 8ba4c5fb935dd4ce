"""``forestall replay`` as a utility uses it: files as they come, with what the command says of them."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from streams.cli import app

REGISTRY = "meter_id,commodity,unit,kind,area\nwei,gas,m3,register,area-1\n"
READS = "meter_id,time,value\nwei,{},0\nwei,{},176\nwei,{},449\n"
DAYS = ("2011-04-10", "2012-04-10", "2012-06-10")


def replayed(folder: Path, readings: str, *words: str) -> tuple[int, str, list[dict[str, object]]]:
    """Exit code, what is said, the flags."""
    (folder / "meters.csv").write_text(REGISTRY)
    (folder / "reads.csv").write_text(readings)
    flags = folder / "flags.jsonl"
    words = ("--meters", str(folder / "meters.csv"), "--flags", str(flags), *words)
    done = CliRunner().invoke(app, ["replay", str(folder / "reads.csv"), *words])
    lines = flags.read_text().splitlines() if flags.exists() else []
    return done.exit_code, done.output, [json.loads(line) for line in lines]


def test_bills_by_date_count_from_the_midnight_of_their_zone(tmp_path: Path) -> None:
    bills = READS.format(*DAYS)
    code, told, flags = replayed(tmp_path, bills, "--tz", "Asia/Shanghai")
    assert (code, [(flag["at"], flag["kind"]) for flag in flags]) == (
        0,
        [("2012-06-09T16:00:00Z", "high_usage")],
    )
    assert "3 readings, 1 flag events, 0 rows not read" in told
    code, told, flags = replayed(tmp_path, bills)
    assert (code, flags) == (0, [])
    assert "reads.csv:2: time: expected a time with a zone, or the option --tz to say which" in told
    assert "0 readings, 0 flag events, 3 rows not read" in told


def test_times_as_the_option_says(tmp_path: Path) -> None:
    german = READS.format("10.04.2011", "10.04.2012", "10.06.2012")
    code, _, flags = replayed(tmp_path, german, "--tz", "Europe/Berlin", "--time-format", "%d.%m.%Y")
    assert (code, [flag["at"] for flag in flags]) == (0, ["2012-06-09T22:00:00Z"])
    seconds = READS.format(1302393600, 1334016000, 1339286400)
    code, _, flags = replayed(tmp_path, seconds, "--time-format", "s")
    assert (code, [flag["at"] for flag in flags]) == (0, ["2012-06-10T00:00:00Z"])


def test_an_option_that_cannot_be_obeyed_is_said(tmp_path: Path) -> None:
    for words, told in (
        (("--tz", "Mars"), "expected an IANA time zone such as Asia/Shanghai or UTC, got 'Mars'"),
        (
            ("--time-format", "iso"),
            "expected a time format s, ms, us, ns or a pattern such as %d.%m.%Y, got 'iso'",
        ),
    ):
        code, said, _ = replayed(tmp_path, READS.format(*(f"{day}T00:00:00Z" for day in DAYS)), *words)
        assert code == 2
        assert told in said
