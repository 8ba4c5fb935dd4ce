"""Error codes and estimates, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.naive import DAY, NAN, Line, Taken, single
from tests.naive.high_low import is_period


def sentinels(taken: Iterable[Taken]) -> list[Line]:
    """From the first error code to the next good reading."""
    lines: list[Line] = []
    start: int | None = None
    for t in taken:
        now, value = t.reading.time, t.reading.value
        if t.sentinel and start is None:
            start = now
            lines.append(Line("raised", "sentinel", now, start, value, NAN, {"value_sent": value}))
        elif t.live and start is not None:
            lines.append(Line("cleared", "sentinel", now, start, value, NAN, {"value_sent": value}))
            start = None
    return lines


def estimates(taken: Iterable[Taken], floor: float) -> list[Line]:
    """Estimates that go on for too long; what the actual read says of them."""
    lines: list[Line] = []
    sure: int | None = None
    start: int | None = None
    guessed = 0.0
    for t in taken:
        now = t.reading.time
        if not t.since:
            if sure is None and t.live:
                sure = now
            continue
        lapse = now - sure if sure is not None else 0
        told = {"days_since_actual": lapse / DAY, "usual_days": t.usual / DAY}
        if t.reading.guess:
            if (
                sure is not None
                and t.reading.kind == "interval"
                and t.status == "ok"
                and not math.isnan(t.usage)
            ):
                guessed = single(guessed + t.usage)
            sure = now if sure is None else sure
            limit = 3 * DAY if t.usual <= 1.5 * DAY else max(3 * DAY, int(2.5 * t.usual))
            if t.live and start is None and lapse > limit:
                start = sure
                lines.append(Line("raised", "estimated_run", now, start, NAN, NAN, told))
            continue
        sure = now
        bill = t.reading.kind == "interval" and is_period(t)
        register = t.reading.kind == "register"
        said, covered = (t.back, t.span - t.since) if register else (guessed, lapse - t.span)
        guessed = 0.0
        if t.true_up and (register or bill) and t.status == "ok" and t.live:
            guess = said / covered * t.span if covered > 0 else 0.0
            off, size = abs(t.usage - guess), max(abs(t.usage), abs(guess))
            if off > size / 4 and off > floor * t.span / DAY:
                began = now - t.span if start is None else start
                more = {
                    "days_since_actual": t.span / DAY, "usual_days": t.usual / DAY,
                    "estimated_amount": guess, "actual_amount": t.usage,
                }  # fmt: skip
                first = "raised" if start is None else "updated"
                lines += [
                    Line(status, "true_up", now, began, t.usage, guess, more) for status in (first, "cleared")
                ]
                start = None
        if start is not None:
            lines.append(Line("cleared", "estimated_run", now, start, NAN, NAN, told))
            start = None
    return lines
