"""Holds a report against the file of a simulated year, with the standard library alone.

    python scripts/check_year.py GENERATOR.jsonl REPORT.json

The first file says what was done when: flags that arrived, complaints that were made, what staff did. From it, and
from the rules as the documents state them (docs/tickets.md, docs/complaints.md, docs/verdicts.md, docs/reports.md),
a ledger of tickets is kept here anew, and the report's figures are computed from that. Numbers must agree to 1e-9
of themselves. Exit code: 0 all agree, 1 some differ (each is named), 2 the file contradicts itself.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from year_figures import EMPTY, figures
from year_ledger import Contradiction, Ledger

SHOWN = ("headline", "precision_by_detector", "sla_by_priority", "work")


#: table → the columns that name its rows
KEYS = {
    **dict.fromkeys(("headline", "work", "callbacks", "apart"), ("what",)),
    "sla": ("deadline", "department"),
    "sla_by_priority": ("deadline", "priority"), "false_alarm_reasons": ("reason",),
    "typical_cases": ("category", "cause"),
    **{f"complaints_by_{name}": (name,) for name in (
        "category", "subject", "area", "channel", "stage", "responsibility", "cause",
    )},
    **{f"tickets_by_{name}": (name,) for name in ("kind", "priority", "state", "category", "area")},
    **{f"precision_by_{name}": (name,) for name in ("detector", "kind", "area", "month")},
}  # fmt: skip
#: one of several cases that are alike: which, is the program's to choose
CHOSEN = ("ticket", "kind", "resolution", "amount")


def reported(report: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The figures as the report has them, and the tables of it that are not held to anything here."""
    out: dict[str, Any] = {}
    other = []
    for table, rows in report["tables"].items():
        if table in EMPTY:
            out[f"{table} rows"] = len(rows)
        elif table not in KEYS:
            other.append(table)
        for row in rows if table in KEYS else ():
            name = " ".join((table, *(row[key] for key in KEYS[table])))
            for column, value in row.items():
                if column not in KEYS[table] and not (table == "typical_cases" and column in CHOSEN):
                    out[name if column == "value" or table == "apart" else f"{name} {column}"] = value
    return out, other


def agree(mine: Any, theirs: Any) -> bool:
    """Whether two figures are the same, but for the rounding of the last digits."""
    if mine is None or theirs is None:
        return mine is theirs
    return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)


def ledger_of(lines: list[dict[str, Any]]) -> Ledger:
    """The ledger of a whole file. Raises Contradiction."""
    ledger = Ledger(lines[0])
    now = lines[0]["wall"]
    for number, line in enumerate(lines[1:], 2):
        if line["wall"] < now:
            raise Contradiction(f"line {number} is earlier than the one before")
        now = line["wall"]
        try:
            ledger.take(line)
        except KeyError as error:
            raise Contradiction(
                f"line {number} is about {error}, of which nothing was said before"
            ) from error
    for one in ledger.complaints.values():
        if one["flag"] in ledger.first and one["made"] != ledger.first[one["flag"]] + one["delay_s"]:
            raise Contradiction(f"complaint {one['id']}: made at {one['made']}, its delay says otherwise")
    return ledger


def differences(ours: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """A sentence for each figure that is not the same in both."""
    out = [
        f"{name}: {mine} by the file, {said.get(name)} in the report"
        for name, mine in ours.items()
        if name not in said or not agree(mine, said[name])
    ]
    return out + [
        f"{name}: not by the file, {said[name]} in the report" for name in sorted(said.keys() - ours.keys())
    ]


def main(arguments: list[str]) -> int:
    """The command."""
    lines = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
    said, other = reported(json.loads(Path(arguments[1]).read_text(encoding="utf-8")))
    try:
        ours = figures(ledger_of(lines))
    except Contradiction as error:
        print(f"the file contradicts itself: {error}")
        return 2
    differ = differences(ours, said)
    for sentence in differ:
        print(sentence)
    for name, mine in ours.items():
        if name.startswith(SHOWN) and not name.endswith(("low_share", "high_share")):
            print(f"  {name}: {mine:g}" if isinstance(mine, float) else f"  {name}: {mine}")
    if other:
        print(f"not compared: {', '.join(other)}")
    print(f"{len(ours)} figures computed from the file, {len(differ)} differ in the report")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
