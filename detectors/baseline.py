"""What is usual of a figure that comes once a day, in two numbers: a centre and a deviation.

A recursive mean and mean absolute deviation whose innovations are cut at three deviations, so
that a wild day moves them little [1]_. For a normal figure σ is 1.2533 mean deviations.

.. [1] S. Gelper, R. Fried, C. Croux, "Robust forecasting with exponential and Holt–Winters
   smoothing", Journal of Forecasting 29 (2010), 285–300.
"""

from __future__ import annotations

from detectors.kernel import kernel

SIGMA = 1.2533  # of a normal figure's mean absolute deviation
CUT = 3.0  # deviations at which an innovation is cut
EARLY = 5  # figures from which on it is cut


@kernel
def learn(centre: float, deviation: float, seen: int, x: float, memory: float) -> tuple[float, float]:
    """Centre and deviation after one more figure, the ``seen``-th counted from 0."""
    if seen == 0:
        return x, 0.0
    gain = max(1.0 / (seen + 1.0), 1.0 / memory)
    off = x - centre
    if seen >= EARLY and deviation > 0:
        off = min(max(off, -CUT * SIGMA * deviation), CUT * SIGMA * deviation)
    return centre + gain * off, deviation + max(gain, 1.0 / memory) * (abs(off) - deviation)
