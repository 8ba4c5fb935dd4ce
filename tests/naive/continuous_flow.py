"""Flow that does not stop, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.naive import HOUR, Line, Taken, single

MEMORY = 28 * 24  # hours over which rest and mean flow are weighted


def continuous_flow(
    taken: Iterable[Taken], limit: float, hours: float = 36, enough: float = 30
) -> list[Line]:
    """Flow above ``limit`` that does not stop for so many hours, and is such a surprise; quiet ones counted off."""
    lines: list[Line] = []
    watched = quiet = left = rest = total = 0.0
    rested = 0.0  # share of quiet time of late
    usual = 0.0  # mean flow of late
    flows: list[float] = []
    start = 0
    is_open = False
    for t in taken:
        if limit <= 0 or t.status != "ok" or t.span <= 0:
            continue
        length = t.span / HOUR
        rate = t.usage / length
        fine = t.span <= 2 * HOUR
        if not fine and left <= 0 and not is_open:
            continue
        if not fine and rate > limit and length <= 96:
            left = single(left + 0.5 * length)
            total += t.usage
            continue
        watched = single(watched + length)
        weight = min(length / MEMORY, 1)
        if not is_open:
            usual = single(usual + max(weight, length / watched) * (rate - usual))
        at = t.reading.time
        if rate > limit and fine:
            if left <= 0 and not is_open:
                start, flows, total, rest = at - t.span, [], 0.0, 0.0
            left, quiet = single(left + length), 0.0
            total += t.usage
            flows.append(single(rate))
            if is_open:
                continue
            rested = single(rested - weight * rested)
            if left < hours or not t.live or watched < 14 * 24:
                continue
            p = min(rested / (1 - math.exp(-watched / MEMORY)), 0.999)
            part = min(flows) / (0.4 * usual) if usual > 0 else 1.0
            surprise = -left * math.log1p(-p) * min(max(part, 0.25), 1)
            if surprise >= enough and rested >= 0.25 * (1 - math.exp(-watched / MEMORY)):
                is_open = True
                mean = total / ((at - start) / HOUR)
                lines.append(_flow("raised", at, start, mean, limit, flows, rest, rested, usual))
        else:
            quiet, rest, left = single(quiet + length), rest + length, single(left - 12 * length)
            rested = single(rested + weight * (1 - rested))
            if is_open and quiet >= 3:
                lines.append(_flow("cleared", at, start, rate, limit, flows, rest, rested, usual))
                is_open = False
            if left <= 0 or quiet >= 3:
                left = 0.0
    return lines


def _flow(
    status: str, at: int, start: int, observed: float, limit: float, flows: list[float], rest: float, rested: float,
    usual: float,
) -> Line:  # fmt: skip
    told = {
        "least_flow_per_hour": min(flows),
        "limit_per_hour": limit,
        "hours": (at - start) / HOUR,
        "quiet_hours": rest,
        "usual_quiet_share": rested,
        "usual_flow_per_hour": usual,
    }
    return Line(status, "continuous_flow", at, start, observed, limit, told)
