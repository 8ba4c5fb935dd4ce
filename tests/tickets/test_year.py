"""A small simulated year on the packaged meters: the report agrees with the generator's file, by another program."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import year, year_plan
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
    scripts = (year.CHECK, *year.CHECK.parent.glob("year_*.py"))
    found = {
        name.split(".")[0]
        for script in scripts
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    assert len(scripts) > 1
    assert found - {one.stem for one in scripts} <= set(sys.stdlib_module_names)


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


def no_holidays(lines: Lines) -> None:
    lines[0]["days_off"] = []


def longer_hours(lines: Lines) -> None:
    lines[0]["hours"] = [0, 24 * 60]


def no_bill_days(lines: Lines) -> None:
    for line in lines:
        if line["what"] == "flag":
            line["says"]["bill_day"] = None


def another_department(lines: Lines) -> None:
    newest = next(line for line in reversed(lines) if line.get("act") == "hand_off")
    newest["department"] = "marketing" if newest["department"] != "marketing" else "operations"


def another_cause(lines: Lines) -> None:
    for line in lines:
        if line.get("act") == "check":
            line["cause"] = "registry"


def a_star_more(lines: Lines) -> None:
    next(line for line in reversed(lines) if line.get("act") == "call" and line["rating"])["rating"] += 1


def work_later(lines: Lines) -> None:
    """What was done first is done ten days later, and so is everything after it."""
    first = next(n for n, line in enumerate(lines) if line.get("act") == "implement")
    for line in lines[first:]:
        line["wall"] += 10 * 86_400


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (a_complaint_earlier, {2}),
        (a_complaint_earlier_and_its_delay_too, {1}),
        (another_verdict, {1}),
        (an_opening_later, {2}),
        (an_opening_left_out, {1, 2}),
        (a_miss_left_out, {1, 2}),
        (no_holidays, {1}),
        (longer_hours, {1}),
        (no_bill_days, {1}),
        (another_department, {1}),
        (another_cause, {1}),
        (a_star_more, {1}),
        (work_later, {1, 2}),
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


@pytest.fixture(name="script")
def fixture_script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script in this process: a thousand runs of it are no thousand processes."""
    monkeypatch.syspath_prepend(str(year.CHECK.parent))
    return importlib.import_module("check_year")


def test_it_sees_whichever_figure_of_the_report_is_wrong(small: Path, script: Any) -> None:
    report = json.loads((small / "report.json").read_text(encoding="utf-8"))
    ours = script.figures(script.ledger_of(read(small)))

    def seen() -> bool:
        return bool(script.differences(ours, script.reported(report)[0]))

    assert not seen()
    tables = report["tables"]
    assert script.reported(report)[1] == ["reads_by_area"]  # no reads are counted in that year
    for table, rows in tables.items():
        if table == "reads_by_area":
            continue
        for row in rows:
            chosen = script.CHOSEN if table == "typical_cases" else ()
            for column, value in row.items():
                if column not in chosen:
                    row[column] = (
                        "x" if isinstance(value, str) else 1 if value is None else value * (1 + 1e-6) + 1e-6
                    )
                    assert seen(), (table, row, column)
                    row[column] = value
        if rows:
            last = rows.pop()
            assert seen(), (table, last)
            rows.append(last)
        keys = dict.fromkeys(script.KEYS.get(table, ()), "x")
        # where the year has none of a table, any figure in it is one too many
        rows.append((rows[-1] if rows else {"figure": 1}) | keys)
        assert seen(), table
        rows.pop()


def test_it_sees_whatever_staff_did_left_out(small: Path, script: Any) -> None:
    """But what was done before the work began again, and waits that decide no due date: the report shows neither."""
    lines = read(small)
    said, _ = script.reported(json.loads((small / "report.json").read_text(encoding="utf-8")))
    contradiction = importlib.import_module("year_ledger").Contradiction
    decisive = {"implement", "call", "wait_customer", "wait_lab", "reopen", "merge", "dismiss"}
    places = [n for n, line in enumerate(lines) if line.get("act") in decisive]
    worked_last = {line["ticket_of"]: n for n, line in enumerate(lines) if line.get("act") == "implement"}
    assert len(places) > 50
    seen = 0
    for n in places:
        # the ledger writes into the lines that it keeps
        left = [dict(line) for line in lines[:n] + lines[n + 1 :]]
        try:
            differs = bool(script.differences(script.figures(script.ledger_of(left)), said))
        except contradiction:
            differs = True
        seen += differs
        of_work_before = lines[n]["act"] in ("implement", "call") and n < worked_last[lines[n]["ticket_of"]]
        assert differs or of_work_before or lines[n]["act"].startswith("wait"), lines[n]
    assert seen > 0.8 * len(places)


def test_the_calendar_is_the_files_own() -> None:
    days = year_plan.calendar_of(year_plan.CALENDAR)
    assert days["hours"] == [9 * 60, 18 * 60]
    assert {"2026-02-15", "2026-02-23", "2026-10-07"} <= set(days["days_off"])
    assert "2026-02-24" not in days["days_off"]
    assert {"2026-02-14", "2026-10-10"} <= set(days["makeup"])
