"""Hours of the same amount in a row, the obvious way: all of them are kept."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import groupby


def static(days: Sequence[Sequence[float]], told: Collection[int], scale: float, floor: float) -> float:
    """The newest run of equal hours, and one, in logarithms over two days or three times the longest before.

    told  days on which a standstill is open: a run that ends there is a fault, and nothing to go by
    """
    hours = [(0.0 if x <= 1e-9 else x, day) for day, own in enumerate(days) for x in own if not math.isnan(x)]
    runs = [[day for _, day in run] for _, run in groupby(hours, key=lambda hour: hour[0])]
    values = [value for value, _ in groupby(x for x, _ in hours)]
    if not runs or values[-1] == 0 or len(days) - 1 < 28:
        return -math.inf
    if values[-1] < scale / 4 or 24 * values[-1] <= floor:
        return -math.inf
    longest = 0.0
    for run, value, then in zip(runs, values, runs[1:], strict=False):
        ended = then[0]
        if value > 0 and ended not in told:
            longest = max(longest, (len(run) - 1) * 0.99 ** (len(days) - ended))
    over = math.log((len(runs[-1]) + 1) / max(48, 3 * (longest + 1)))
    return over if over > 0 else -math.inf
