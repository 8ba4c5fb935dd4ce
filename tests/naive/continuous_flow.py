"""Flow that does not stop, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.naive import HOUR, Line, Taken, single


def continuous_flow(
    taken: Iterable[Taken],
    limit: float,
    hours: float = 72,
    price: float = 12,
    over: float = 3,
    habit: float = 0.25,
) -> list[Line]:
    """Flow above ``limit`` that does not stop for so many hours, quiet ones counted off."""
    lines: list[Line] = []
    watched = quiet = left = rest = total = 0.0
    rested = 0.0  # share of quiet time of late
    flows: list[float] = []
    start = 0
    is_open = False
    for t in taken:
        if limit <= 0 or t.status != "ok" or not 0 < t.span <= 2 * HOUR:
            continue
        length = t.span / HOUR
        rate = t.usage / length
        watched = single(watched + length)
        weight = min(length / (28 * 24), 1)
        at = t.reading.time
        if rate > limit:
            if left <= 0 and not is_open:
                start, flows, total, rest = at - t.span, [], 0.0, 0.0
            left, quiet = single(left + length), 0.0
            total += t.usage
            flows.append(rate)
            if not is_open:
                rested = single(rested - weight * rested)
                known = 1 - math.exp(-watched / (28 * 24))
                if left >= hours and t.live and watched >= 14 * 24 and rested >= habit * known:
                    is_open = True
                    mean = total / ((at - start) / HOUR)
                    lines.append(_flow("raised", at, start, mean, limit, flows, rest, rested))
        else:
            quiet, rest, left = single(quiet + length), rest + length, single(left - price * length)
            rested = single(rested + weight * (1 - rested))
            if is_open and quiet >= over:
                lines.append(_flow("cleared", at, start, rate, limit, flows, rest, rested))
                is_open = False
            if left <= 0 or quiet >= over:
                left = 0.0
    return lines


def _flow(
    status: str, at: int, start: int, observed: float, limit: float, flows: list[float], rest: float, rested: float
) -> Line:  # fmt: skip
    told = {
        "least_flow_per_hour": min(flows),
        "limit_per_hour": limit,
        "hours": (at - start) / HOUR,
        "quiet_hours": rest,
        "usual_quiet_share": rested,
    }
    return Line(status, "continuous_flow", at, start, observed, limit, told)
