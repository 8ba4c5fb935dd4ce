"""Tables of a report: counts put in order, with their shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from streams.papers.report_facts import OutageFacts, ReadFacts, Table
from streams.trade.verdicts import Row, tabulate

UNKNOWN = "unknown"
LISTED = 200  # rows of a table that has one for each place
WARNED, STUDY = 2, 3


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that ``share`` of them do not exceed, between two by proportion (Hyndman and Fan's type 7)."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def outage_table(outages: Iterable[OutageFacts]) -> Table:
    """Outages of each line: those that overlap are one; 2 a warning, 3 and more a study (DESIGN: 365 days)."""
    lines: dict[str, list[OutageFacts]] = {}
    for one in outages:
        lines.setdefault(one.line, []).append(one)
    rows = []
    for line, found in lines.items():
        count, until = 0, ""
        for one in sorted(found, key=lambda o: (o.start, o.end)):
            if not until or one.start > until:
                count += 1
            until = max(until, one.end)
        count = max(count, *(one.counted for one in found))
        level = "study" if count >= STUDY else "warning" if count == WARNED else ""
        rows.append((line, count, level))
    return Table(
        code="outages_by_line",
        columns=("line", "outages", "level"),
        rows=tuple(sorted(rows, key=lambda row: (-row[1], row[0]))[:LISTED]),
    )


def pareto(code: str, name: str, counted: Counter[str]) -> Table:
    """Counts from the largest, with the share of each and of all so far."""
    of, so_far, rows = sum(counted.values()), 0, []
    for value, n in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        so_far += n
        rows.append((value, n, n / of, so_far / of))
    return Table(code=code, columns=(name, "count", "share", "cumulated_share"), rows=tuple(rows))


def precision_table(code: str, name: str, rows: Sequence[Row]) -> Table:
    """Precision with its interval, by one group."""
    found = tabulate(rows, (name,))
    return Table(
        code=code,
        columns=(
            name,
            "judged",
            "confirmed",
            "explained",
            "false_alarms",
            "precision_share",
            "low_share",
            "high_share",
            "strict_share",
        ),
        rows=tuple(
            (
                group[0] or UNKNOWN,
                p.judged,
                p.confirmed,
                p.explained,
                p.false_alarms,
                p.precision,
                p.low,
                p.high,
                p.strict,
            )
            for group, p in found
        ),
    )


def by_scope(reads: Iterable[ReadFacts]) -> list[tuple[str, list[ReadFacts]]]:
    """Areas, routes, concentrators."""
    found: dict[str, list[ReadFacts]] = {"area": [], "route": [], "concentrator": []}
    for one in reads:
        found[one.scope].append(one)
    return list(found.items())


def reads_table(scope: str, reads: Iterable[ReadFacts]) -> Table:
    """抄表准确率 and 及时率 of each area, route or concentrator."""
    rows = []
    for one in sorted(reads, key=lambda r: r.name):
        expected = one.readings + max(one.missing, 0)
        accuracy = max(0.0, 1 - (one.misreads + one.corrections) / one.readings) if one.readings else None
        timely = max(0, one.readings - one.late) / expected if expected else None
        rows.append(
            (
                one.name or UNKNOWN,
                one.meters,
                one.readings,
                one.missing,
                one.late,
                one.corrections,
                one.misreads,
                one.bad,
                accuracy,
                timely,
            )
        )
    return Table(
        code=f"reads_by_{scope}",
        columns=(
            scope,
            "meters",
            "reads",
            "missing",
            "late",
            "corrections",
            "misreads",
            "bad",
            "accuracy_share",
            "timeliness_share",
        ),
        rows=tuple(rows),
    )
