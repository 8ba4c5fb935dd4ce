"""Intervals against the register beside them, the obvious way."""

from __future__ import annotations

from collections.abc import Iterable

from tests.naive import DAY, HOUR, Line, Taken


def sum_check(taken: Iterable[tuple[str, Taken]]) -> list[Line]:
    """One meter's two channels, "interval" and "register", in log order; units and multiplier are one."""
    lines: list[Line] = []
    booked: dict[str, list[tuple[int, float]]] = {
        "interval": [],
        "register": [],
    }  # of each amount: when, how much
    newest: dict[str, int] = {}
    holes = 0
    paired = False
    base = 0
    known = False  # what was used since ``base`` is
    start: int | None = None
    good = 0
    for which, t in taken:
        at = t.reading.time
        paired = paired or which == "register"
        if not paired:
            continue  # nobody knows yet that there is a register
        if t.status in ("late", "correction") and t.usage == t.usage and at > base and len(newest) == 2:
            booked[which].append((at, t.usage))
            if t.status == "late" and which == "interval" and holes:
                holes -= 1
        if not (t.live or t.since):
            continue
        newest[which] = at
        if t.status == "ok":
            booked[which].append((at, t.usage - t.back))
            if which == "interval" and t.usual and t.since - t.span > t.usual / 2:
                holes += (t.since - t.span + t.usual // 2) // t.usual
        known = known and t.status not in ("first", "suspect")
        if len(newest) < 2 or newest["interval"] != newest["register"] or t.status == "suspect":
            continue
        lasted = at - base
        again = not base or not known or (holes and lasted >= 7 * DAY and lasted >= DAY)
        if not again and (lasted < DAY or holes):
            continue
        if not again:
            mine, counted = (sum(one for _, one in booked[side]) for side in ("interval", "register"))
            off = abs(mine - counted)
            most = max(2.0, 0.001 * max(abs(mine), abs(counted)))
            status = ""
            if off > most:
                good = 0
                if start is not None:
                    status = "updated"
                elif t.live:
                    start, status = base, "raised"
            elif start is not None:
                good += 1
                status = "cleared" if good >= 2 else ""
            if status and start is not None:
                told = {
                    "sum_of_intervals": mine, "register_difference": counted, "let_pass": most, "hours": lasted / HOUR,
                }  # fmt: skip
                lines.append(Line(status, "sum_mismatch", at, start, mine, counted, told))
            if status == "cleared":
                start, good = None, 0
        base, known, holes = at, True, 0
        booked = {"interval": [], "register": []}
    return lines
