"""A small simulated year on the packaged meters: the report agrees with the generator's file, by another program."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import year
from benchmarks.sets import at_hand

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files of a year of ten meters, with the clock's work once a week."""
    out = tmp_path_factory.mktemp("year")
    sets, _ = at_hand(out, out, ("demo",))
    told = year.simulate(sets, f"sqlite:///{out / 'tickets.db'}", out, year.Extent(4, 10, 7))
    assert "complaint" in told
    return out


def check(lines: Path, report: Path) -> tuple[int, str]:
    command = [sys.executable, "-E", "-s", str(year.CHECK), str(lines), str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_report_says_what_the_file_says(small: Path) -> None:
    code, said = check(small / "generator.jsonl", small / "report.json")
    assert (code, said.rstrip().endswith(" 0 differ in the report")) == (0, True), said
    lines = read(small)
    plans = {line["plan"] for line in lines if line["what"] == "complaint"}
    assert {"after", "no_flag"} <= plans
    acts = {line["act"] for line in lines if line["what"] == "staff"}
    assert {"hand_off", "check", "implement", "call", "close"} <= acts
    head = {
        row["what"]: row["value"]
        for row in json.loads((small / "report.json").read_text())["tables"]["headline"]
    }
    assert 0 < head["known_before"] < head["metering_complaints"]


def test_the_script_imports_nothing_of_ours() -> None:
    ledger = year.CHECK.with_name("year_ledger.py")
    found = {
        name.split(".")[0]
        for script in (year.CHECK, ledger)
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    assert found - {ledger.stem} <= set(sys.stdlib_module_names)


def read(place: Path) -> Lines:
    return [json.loads(line) for line in (place / "generator.jsonl").read_text(encoding="utf-8").splitlines()]


def a_complaint_earlier(lines: Lines) -> None:
    one = next(line for line in lines if line.get("plan") == "after")
    one["made"] -= 60


def a_complaint_earlier_and_its_delay_too(lines: Lines) -> None:
    for one in lines:
        if one["what"] == "complaint" and one["plan"] != "no_flag":
            one["made"] -= 60
            one["delay_s"] -= 60


def another_verdict(lines: Lines) -> None:
    one = next(
        line for line in reversed(lines) if line.get("act") == "close" and line["verdict"] == "confirmed"
    )
    one["verdict"] = "explained"


def an_opening_later(lines: Lines) -> None:
    """The ticket of the first complaint that is about a flag was opened a second later."""
    about = next(line for line in lines if line.get("plan") == "after")
    one = next(line for line in lines if line["what"] == "flag" and line["id"] == about["flag"])
    one["wall"] += 1


def an_opening_left_out(lines: Lines) -> None:
    about = next(line for line in lines if line.get("plan") == "after")
    lines.remove(next(line for line in lines if line["what"] == "flag" and line["id"] == about["flag"]))


def a_miss_left_out(lines: Lines) -> None:
    lines.remove(next(line for line in lines if line.get("plan") == "no_flag"))


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (a_complaint_earlier, {2}),
        (a_complaint_earlier_and_its_delay_too, {1}),
        (another_verdict, {1}),
        (an_opening_later, {2}),
        (an_opening_left_out, {1, 2}),
        (a_miss_left_out, {1, 2}),
    ],
)
def test_it_sees_what_was_changed(
    small: Path, tmp_path: Path, change: Callable[[Lines], None], codes: set[int]
) -> None:
    lines = read(small)
    change(lines)
    changed = tmp_path / "generator.jsonl"
    changed.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    code, said = check(changed, small / "report.json")
    assert code in codes, said


def test_it_sees_a_figure_of_the_report_that_is_wrong(small: Path, tmp_path: Path) -> None:
    report = json.loads((small / "report.json").read_text(encoding="utf-8"))
    for row in report["tables"]["headline"]:
        if row["what"] == "lead_90_h":
            row["value"] += 1e-3
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    code, said = check(small / "generator.jsonl", tmp_path / "report.json")
    assert code == 1
    assert "headline lead_90_h" in said
