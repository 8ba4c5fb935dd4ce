"""Falls below all of the weeks before, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Sequence


def fall(days: Sequence[float], rests: Sequence[float], area: float, floor: float) -> float:
    """Of mean uses of an hour, and shares of hours at rest, by day, newest last: how far the newest are below."""
    found = [-math.inf]
    for n in range(3, 15):
        newest, before = days[-n:], [x for x in days[-44:-n] if not math.isnan(x)]
        if len(newest) < n or not all(x > 1e-9 for x in newest) or len(before) < 28:
            continue
        if max(rests[-n:]) > max(x for x in rests[-44:-n] if not math.isnan(x)):
            continue
        usual, high = min(before) * math.exp(min(area, 0)), max(newest)
        if high < usual / 3 and 24 * (usual - high) > floor:
            found.append(math.log(usual / 3 / high))
    return max(found)
