"""Interval spike, the obvious way."""

from __future__ import annotations

from collections.abc import Iterable

from tests.naive import DAY, HOUR, Line, Taken, single


def spikes(taken: Iterable[Taken], floor: float, excess: float = 1.8, back: float = 0.6) -> list[Line]:
    """Intervals far above the rest of their day and every daily peak of the last 21 days."""
    lines: list[Line] = []
    peaks: dict[int, float] = {}  # day → peak as it is remembered
    today: list[float] = []
    day: int | None = None
    first_day = 0  # of the memory
    limit = 0.0
    start = last = 0
    is_open = False
    for t in taken:
        if t.swapped and day is not None:
            remembered = [
                max(today, default=0.0),
                *(peaks.get(d, 0.0) for d in range(day - 1, first_day - 1, -1)),
            ]
            if len(remembered) > 7 and max(remembered[:8]) <= 1e-9:
                day, today = None, []  # the device that is gone stood still
        if t.status != "ok" or not 0 < t.span <= 3 * DAY or not 2 * HOUR < t.usual <= 1.5 * DAY:
            continue
        x = t.usage * t.usual / t.span if t.span > t.usual else t.usage
        this_day = (t.reading.local - 1) // DAY
        if day is None or this_day > day:
            if day is not None:
                peak = max([single(x) for x in today], default=0.0)
                peaks[day] = min(max(peak, 0.0), single(limit / (1 + excess))) if is_open else max(peak, 0.0)
            if day is None or this_day - day - 1 > 7:
                peaks.clear()
                first_day = this_day
            day, today = this_day, []
        remembered = [peaks.get(d, 0.0) for d in range(max(day - 21, first_day), day)]
        highest = max(remembered, default=0.0)
        third = max(sorted([single(x) for x in today], reverse=True)[2], 0.0) if len(today) > 2 else 0.0
        unused = highest <= 1e-9 and max([single(x) for x in today], default=0.0) <= 1e-9
        line = max((1 + excess) * max(highest, third), floor * t.usual / DAY * (25 if unused else 2))
        told = {"interval_usage": x, "highest_daily_peak": highest}
        at = t.reading.time
        if is_open and t.back > 0:
            is_open = False
            lines.append(
                Line("cleared", "spike", at, start, x, limit / (1 + excess), {**told, "line": limit})
            )
            usual = single(limit / (1 + excess))
            today = [min(x, usual) for x in today]
        elif is_open:
            if x > back * limit:
                last = at
            elif at - last >= max(DAY, 3 * t.usual):
                is_open = False
                lines.append(
                    Line("cleared", "spike", at, start, x, limit / (1 + excess), {**told, "line": limit})
                )
        elif t.live and not t.true_up and len(remembered) >= 14 and x > line > 0:
            is_open, start, last, limit = True, at, at, single(line)
            lines.append(Line("raised", "spike", at, at, x, limit / (1 + excess), {**told, "line": limit}))
        today.append(x)
    return lines
