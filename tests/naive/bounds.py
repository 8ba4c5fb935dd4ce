"""Clocks that fall behind, and flow above the meter's limit, the obvious way."""

from __future__ import annotations

from collections.abc import Iterable

from tests.naive import DAY, HOUR, NAN, NS, Line, Taken, single


def clock(taken: Iterable[Taken]) -> list[Line]:
    """The freshest reading of each day against that of the best day."""
    lines: list[Line] = []
    past: list[float] = []
    today: list[float] = []
    day = 0
    off_days: list[int] = []
    is_open = False
    base = NAN
    for t in taken:
        if not t.live or t.reading.limit is None:
            continue
        now = t.reading.time
        late = single((t.reading.limit - now) / NS)
        if today and now // DAY != day:
            least = min(today)
            past.append(least)
            base = min(past[:3]) if len(past) <= 3 else min(base, least)
            off = 0.0 if len(past) <= 3 else least - base
            told = {"seconds_behind": off}
            if off > 900:
                off_days.append(day)
                if is_open and len(off_days) >= 30:
                    start = off_days[0] * DAY
                    lines.append(
                        Line("cleared", "clock_drift", now, start, NAN, NAN, {**told, "days_behind": 0.0})
                    )
                    base, is_open, off_days = least, False, []
                elif len(off_days) >= 3 and not is_open:
                    is_open = True
                    told["days_behind"] = float(len(off_days))
                    lines.append(Line("raised", "clock_drift", now, off_days[0] * DAY, NAN, NAN, told))
            elif not is_open or off <= 450:
                if is_open:
                    start = lines[-1].start
                    lines.append(
                        Line("cleared", "clock_drift", now, start, NAN, NAN, {**told, "days_behind": 0.0})
                    )
                is_open, off_days = False, []
            today = []
        day = now // DAY
        today.append(late)
    return lines


def over_limit(taken: Iterable[Taken], limit: float) -> list[Line]:
    """Mean flow over five minutes and more."""
    lines: list[Line] = []
    amount = hours = 0.0
    calm = 0.0
    start: int | None = None
    for t in taken:
        if t.status != "ok" or t.span <= 0:
            continue
        amount, hours = single(amount + t.usage), single(hours + t.span / HOUR)
        if hours < 1 / 12 * (1 - 1e-6):
            continue
        now, flow = t.reading.time, amount / hours
        told = {"flow_per_hour": flow, "limit_per_hour": limit, "hours": hours}
        if flow > limit:
            calm = 0.0
            if start is None and t.live:
                start = now - t.span
                lines.append(Line("raised", "over_limit", now, start, flow, limit, told))
        elif start is not None:
            calm = calm + hours if flow <= 0.9 * limit else 0.0
            if calm >= 1:
                lines.append(Line("cleared", "over_limit", now, start, flow, limit, told))
                start = None
        amount = hours = 0.0
    return lines
