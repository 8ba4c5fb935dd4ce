"""What a reading adds to the balance of its district, in m3 or kW.h."""

from __future__ import annotations

import numpy as np

from detectors.batch import (
    CONSUMER,
    ENERGY,
    FLOW,
    HOUR,
    I64,
    INFLOW,
    LEVEL,
    OK,
    OUTFLOW,
    POWER,
    VOLUME,
    Records,
    Row,
)
from detectors.kernel import kernel

MILLION = 1e6


@kernel
def carried(
    m: Row, status: int, value: float, usage: float, back: float, span: int, since: int
) -> tuple[float, int]:
    """Amount and the time that it covers [ns], 0 where the reading adds none.

    A hole is filled with the flow that follows it; the value of a flow meter holds for the time
    since the one before.
    """
    if status == OK and (m.quantity == VOLUME or m.quantity == ENERGY) and span > 0:
        if m.role != CONSUMER and m.role != INFLOW and m.role != OUTFLOW:
            return 0.0, 0
        amount = usage - back
        if since > span:
            return amount * since / span * m.base, since
        return amount * m.base, span
    boundary = m.role == INFLOW or m.role == OUTFLOW
    if boundary and status == LEVEL and (m.quantity == FLOW or m.quantity == POWER) and since > 0:
        return value * m.base * (since / HOUR), since
    return 0.0, 0


@kernel
def is_energy(m: Row) -> bool:
    """Whether a meter counts energy, rather than volume."""
    return bool(m.quantity == ENERGY or m.quantity == POWER)


@kernel
def per_unit(m: Row, hours: float) -> float:
    """What takes an amount of so many hours back to the meter's own unit; of a flow meter, to its mean."""
    if m.quantity == FLOW or m.quantity == POWER:
        return float(1.0 / (m.base * hours))
    return float(1.0 / m.base)


@kernel
def same_district(one: Row, other: Row) -> bool:
    """Whether two meters stand in the same balance."""
    return bool(
        one.area == other.area and one.commodity == other.commodity and is_energy(one) == is_energy(other)
    )


@kernel
def by_area(meters: Records, used: int) -> tuple[I64, I64]:
    """Area → a slot of it; slot → the next of the same area; −1 ends the chain."""
    most = 0
    for j in range(used):
        most = max(most, meters[j].area)
    head = np.full(most + 1, -1, np.int64)
    after = np.empty(used, np.int64)
    for j in range(used):
        area = meters[j].area
        after[j] = head[area]
        head[area] = j
    return head, after


@kernel
def leaders_of(days: I64, meters: Records, candidates: I64) -> I64:
    """One inflow meter of each district: that with the most days of history, else the least by rank."""
    found = np.empty(candidates.size, np.int64)
    count = 0
    for i in range(candidates.size):
        j = candidates[i]
        taken = False
        for c in range(count):
            k = found[c]
            if same_district(meters[k], meters[j]):
                taken = True
                if days[j] > days[k] or (days[j] == days[k] and meters[j].rank < meters[k].rank):
                    found[c] = j
        if not taken:
            found[count] = j
            count += 1
    return found[:count]
