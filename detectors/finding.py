"""How the rules for supervised points write a finding, and what all of them know of time."""

from __future__ import annotations

import numpy as np

from detectors.batch import ENERGY, MONEY, NS, STORAGE, VOLTAGE, VOLUME, Records, Row
from detectors.kernel import kernel

STALE = 3  # spacings without a sample: what was measured then says nothing of now
GONE = 0.1  # of the voltage before: there is none, as in ``Interruptions``
LEAST_SCORE, MOST_SCORE = 1.0, 10.0


@kernel
def tell(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float,
    observed: float, expected: float, e0: float, e1: float, e2: float, e3: float, e4: float, e5: float,
) -> int:  # fmt: skip
    """Write one finding; how many there are now."""
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = min(score, MOST_SCORE), observed, expected
    f.e0, f.e1, f.e2, f.e3, f.e4, f.e5 = e0, e1, e2, e3, e4, e5
    return n + 1


@kernel
def stale(since: int, usual: int) -> bool:
    """Whether a reading comes so long after the one before that nobody knows what was between."""
    return usual > 0 and since > STALE * usual


@kernel
def fresh(p: Row, watermark: int) -> bool:
    """Whether a meter's newest value (its pulse) still holds at the watermark, and may raise an alarm."""
    return bool(p.live == 1 and p.spacing > 0 and watermark <= p.time + STALE * p.spacing)


@kernel
def is_stock(m: Row) -> bool:
    """Whether a gauge tells what is left of an amount, as a prepaid balance does: it rises by a payment, and rests.

    A tank is told by its role.
    """
    return bool(m.quantity == ENERGY or m.quantity == MONEY or (m.quantity == VOLUME and m.role != STORAGE))


@kernel
def no_supply(m: Row, x: float, last: float) -> bool:
    """Whether a voltage is gone, by what it was: an outage says nothing of how a point moves."""
    return bool(m.quantity == VOLTAGE and abs(x) < GONE * abs(last))


@kernel
def due(since: int, wait: float, watermark: int) -> bool:
    """Whether ``wait`` seconds have passed since the second ``since``."""
    return bool(watermark > since * NS + np.int64(wait * NS))
