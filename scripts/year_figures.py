"""The figures of a report, computed from the ledger of a simulated year (docs/reports.md).

Of ``check_year.py``: the standard library alone, nothing of ours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from year_ledger import Ledger, Ticket

#: tables about what nobody does in that year: there is nothing to be said
EMPTY = (
    "credits", "reads_by_route", "reads_by_concentrator", "outages_by_line", "low_voltage",
    "held_back", "bar_moves",
)  # fmt: skip
CASES = 10
REOPENED = ("reopened_by_staff", "reopened_by_complaint", "relapsed")

Figures = dict[str, Any]


def figures(ledger: Ledger) -> Figures:
    """What the report has to say: ``table row column`` → figure."""
    start, end = ledger.head["start"], ledger.head["end"]
    calls = [one for one in ledger.complaints.values() if start <= one["made"] < end]
    tickets = list(ledger.tickets.values())
    out = _headline(calls) | {
        "headline tickets": len(tickets),
        "apart drill": len(ledger.drills),
        "apart own": 0,
    }
    for name in ("category", "subject", "channel", "area"):
        out |= pareto(f"complaints_by_{name}", (one[name] or "unknown" for one in calls))
    out |= pareto("complaints_by_stage", ("use" for _ in calls))
    out |= pareto("complaints_by_cause", (one["ticket"].cause for one in calls))
    out |= pareto(
        "complaints_by_responsibility", (one["ticket"].responsibility or "unknown" for one in calls)
    )
    for name in ("kind", "priority", "state", "category", "area"):
        out |= pareto(f"tickets_by_{name}", (getattr(one, name) or "unknown" for one in tickets))
    for group in ("detector", "kind", "area", "month"):
        out |= _precision(ledger, group)
    out |= _work(tickets) | _callbacks(tickets) | _cases(tickets) | _deadlines(tickets, end)
    return out | dict.fromkeys((f"{table} rows" for table in EMPTY), 0)


def _headline(calls: list[dict[str, Any]]) -> Figures:
    metering = [one for one in calls if one["metering"]]
    known = sum(one["outcome"] == "known" for one in metering)
    leads = sorted(one["lead"] / 3600 for one in metering if one["lead"] is not None)
    return {
        "headline complaints": len(calls),
        "headline metering_complaints": len(metering),
        "headline known_before": known,
        "headline known_share": share(known, len(metering)),
        "headline misses": len(metering) - known,
        "headline lead_median_h": quantile(leads, 0.5),
        "headline lead_90_h": quantile(leads, 0.9),
    }


def _work(tickets: list[Ticket]) -> Figures:
    false = [one.reason for one in tickets if one.verdict == "false_alarm"]
    hand_offs = [one.hand_offs for one in tickets]
    out: Figures = {
        "work hand_offs_mean": share(sum(hand_offs), len(hand_offs)),
        "work hand_offs_most": max(hand_offs, default=0),
        "work reopened": sum(bool(one.reopened) for one in tickets),
        "work false_alarms": len(false),
    }
    out |= {f"work {how}": sum(how in one.reopened for one in tickets) for how in REOPENED}
    return out | pareto("false_alarm_reasons", false)


def _callbacks(tickets: list[Ticket]) -> Figures:
    said = Counter(one.answer for one in tickets)
    stars = [one.rating for one in tickets if one.rating]
    return {
        "callbacks satisfied": said["satisfied"],
        "callbacks dissatisfied": said["dissatisfied"],
        "callbacks satisfied_share": share(said["satisfied"], said["satisfied"] + said["dissatisfied"]),
        "callbacks no_callback": said["none"],
        "callbacks rated": len(stars),
        "callbacks rating_mean": share(sum(stars), len(stars)),
    }


def _cases(tickets: list[Ticket]) -> Figures:
    """Of the commonest groups of category and cause: how many, and most complaints about one of them."""
    groups: dict[tuple[str, str], list[int]] = {}
    for one in tickets:
        if one.verdict == "confirmed":
            groups.setdefault((one.category, one.cause), []).append(len(one.calls))
    first = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:CASES]
    out: Figures = {}
    for (category, cause), complaints in first:
        out[f"typical_cases {category} {cause} alike"] = len(complaints)
        out[f"typical_cases {category} {cause} complaints"] = max(complaints)
    return out


def _deadlines(tickets: list[Ticket], end: int) -> Figures:
    """Of all departments, of each, and of each priority."""
    rows: dict[str, list[int]] = {}
    for one in tickets:
        if one.state == "merged":
            continue
        due = one.due
        stands = due.stands_since is not None and due.resolved is None
        called = one.called if one.answer != "none" and one.answer else None
        for what, by, done in (
            ("acknowledge", due.acknowledge, due.acknowledged),
            ("resolve", None if stands else due.resolve, due.resolved),
            ("callback", None if one.answer == "none" else due.callback, called),
        ):
            if by is None:
                continue
            pending = done is None and by > end
            for name in (
                f"sla {what} ",
                f"sla {what} {one.department}",
                f"sla_by_priority {what} {one.priority}",
            ):
                row = rows.setdefault(name, [0, 0, 0])
                row[0] += not pending
                row[1] += done is not None and done <= by
                row[2] += pending
    out: Figures = {}
    for name, (count, kept, pending) in rows.items():
        values = {"due": count, "kept": kept, "kept_share": share(kept, count), "pending": pending}
        out |= {f"{name} {column}": value for column, value in values.items()}
    return out


def _precision(ledger: Ledger, group: str) -> Figures:
    said: dict[str, Counter[str]] = {}
    for word in ledger.words.values():
        said.setdefault(word[group], Counter())[word["verdict"]] += 1
    out: Figures = {}
    for name, n in said.items():
        of, good = sum(n.values()), n["confirmed"] + n["explained"]
        low, high = wilson(good, of)
        row = {
            "judged": of, "confirmed": n["confirmed"], "explained": n["explained"],
            "false_alarms": n["false_alarm"], "precision_share": good / of, "low_share": low,
            "high_share": high, "strict_share": n["confirmed"] / of,
        }  # fmt: skip
        out |= {f"precision_by_{group} {name} {column}": value for column, value in row.items()}
    return out


def pareto(table: str, values: Iterable[str]) -> Figures:
    """How many of each, its share, and the share of all so far from the largest on."""
    counted = Counter(values)
    of, so_far = sum(counted.values()), 0
    out: Figures = {}
    for value, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        so_far += n
        name = f"{table} {value}"
        out |= {f"{name} count": n, f"{name} share": n / of, f"{name} cumulated_share": so_far / of}
    return out


def share(part: float, of: float) -> float | None:
    """A part of a whole; of nothing none."""
    return part / of if of else None


def quantile(ordered: list[float], share: float) -> float | None:
    """Between the two values beside the place, by proportion."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = min(int(place), max(len(ordered) - 2, 0))
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)


def wilson(good: int, of: int) -> tuple[float, float]:
    """The two roots of (p − good/of)² = z² p (1 − p) / of."""
    z = 1.959963984540054
    a, b, c = 1 + z * z / of, 2 * good / of + z * z / of, (good / of) ** 2
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return (b - root) / (2 * a), (b + root) / (2 * a)
