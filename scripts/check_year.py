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
from collections import Counter
from pathlib import Path
from typing import Any

from year_ledger import Contradiction, Ledger, state_of


def reported(report: dict[str, Any]) -> dict[str, Any]:
    """The same figures as the report has them."""
    tables = report["tables"]
    out = {
        f"{name} {row['what']}": row["value"]
        for name in ("headline", "work", "callbacks")
        for row in tables[name]
    }
    out |= {f"apart {row['what']}": row["count"] for row in tables["apart"]}
    for table, column in (
        ("complaints_by_category", "category"), ("complaints_by_subject", "subject"),
        ("complaints_by_channel", "channel"), ("tickets_by_category", "category"),
    ):  # fmt: skip
        out |= {f"{table} {row[column]}": row["count"] for row in tables[table]}
    states: Counter[str] = Counter()
    for row in tables["tickets_by_state"]:
        states[state_of(row["state"])] += row["count"]
    out |= {f"tickets_by_state {state}": n for state, n in states.items()}
    for group in ("detector", "kind", "area"):
        for row in tables[f"precision_by_{group}"]:
            named = f"precision_by_{group} {row[group]}"
            out |= {f"{named} {column}": value for column, value in row.items() if column != group}
    for row in tables["sla"]:
        if row["deadline"] == "callback" and not row["department"]:
            out |= {f"sla callback {column}": row[column] for column in ("due", "kept", "pending")}
    return out


def agree(mine: Any, theirs: Any) -> bool:
    """Whether two figures are the same, but for the rounding of the last digits."""
    if mine is None or theirs is None:
        return mine is theirs
    return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)


def main(arguments: list[str]) -> int:
    """The command."""
    lines = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
    said = reported(json.loads(Path(arguments[1]).read_text(encoding="utf-8")))
    try:
        ledger = Ledger(lines[0])
        now = lines[0]["wall"]
        for number, line in enumerate(lines[1:], 2):
            if line["wall"] < now:
                raise Contradiction(f"line {number} is earlier than the one before")
            now = line["wall"]
            ledger.take(line)
        for one in ledger.complaints.values():
            if one["flag"] in ledger.first and one["made"] != ledger.first[one["flag"]] + one["delay_s"]:
                raise Contradiction(f"complaint {one['id']}: made at {one['made']}, its delay says otherwise")
    except Contradiction as error:
        print(f"the file contradicts itself: {error}")
        return 2
    figures = ledger.figures()
    differ = 0
    for name, mine in figures.items():
        if not agree(mine, said.get(name)):
            differ += 1
            print(f"{name}: {mine} by the file, {said.get(name)} in the report")
    for name in sorted(said.keys() - figures.keys()):
        if name.startswith(("precision_by", "complaints_by", "tickets_by")):
            differ += 1
            print(f"{name}: not by the file, {said[name]} in the report")
    for name, mine in figures.items():
        if name.startswith(("headline", "precision_by_detector")) and not name.endswith(
            ("low_share", "high_share")
        ):
            print(f"  {name}: {mine:g}" if isinstance(mine, float) else f"  {name}: {mine}")
    print(f"{len(figures)} figures computed from the file, {differ} differ in the report")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
