"""The yearly wave in a meter's periods: how much of its use is the time of year.

What a home uses for its heating differs by the month, not by a fault. So the logarithms of the uses a
day of the periods remembered are taken for a mean and one wave a year [1]_, whose two coefficients are
drawn towards none (ridge regression: independent normal, of ``WAVE`` times the variance of what is left).
How far the wave is believed in is the probability that there is one, by the Bayes factor [2]_ against the
mean alone; the variance of what is left is not known, and has the detector's prior.

.. [1] A wave and its half explain heating better, and told more of the weather as faults (docs/adr/0012).
.. [2] R. Kass, A. Raftery, "Bayes factors", Journal of the American Statistical Association 90 (1995).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernel import kernel

YEAR = 365.25 * 86400  # [s]
WAVE = 8.0  # prior variance of the wave's coefficients, in variances of what it leaves
ODDS = 0.03  # that a meter has a season, before its periods are seen
SURE = 0.5  # a wave that is believed in less is none
EARLY = 10 * 86400  # a season comes so much sooner or later than last year [s]

F8 = NDArray[np.float64]


@kernel
def wave(end: float, span: float) -> tuple[float, float]:
    """Mean of the year's cosine and sine over the ``span`` seconds up to ``end`` (since 1970)."""
    half = np.pi * span / YEAR
    middle = 2 * np.pi * end / YEAR - half
    flat = np.sin(half) / half
    return flat * np.cos(middle), flat * np.sin(middle)


@kernel
def season(logs: F8, ends: F8, spans: F8, n: int, prior: float, count: float) -> tuple[float, float, float]:
    """The wave in n numbers: its cosine's and sine's part, as far as it is believed in; how far that is (0 … 1).

    logs         ln(use a day) of periods
    ends, spans  of the periods [s]
    prior, count sum of squares and number of periods that are known of meters at large
    """
    cosine, sine = np.empty(n), np.empty(n)
    y, c, s = 0.0, 0.0, 0.0
    for k in range(n):
        cosine[k], sine[k] = wave(ends[k], spans[k])
        y, c, s = y + logs[k] / n, c + cosine[k] / n, s + sine[k] / n
    cc, cs, ss = 1 / WAVE, 0.0, 1 / WAVE
    cy, sy, yy = 0.0, 0.0, 0.0
    for k in range(n):
        a, b, x = cosine[k] - c, sine[k] - s, logs[k] - y
        cc, cs, ss = cc + a * a, cs + a * b, ss + b * b
        cy, sy, yy = cy + a * x, sy + b * x, yy + x * x
    det = cc * ss - cs * cs
    p, q = (ss * cy - cs * sy) / det, (cc * sy - cs * cy) / det
    left = max(yy - p * cy - q * sy, 0.0)
    bayes = -0.5 * np.log(det * WAVE * WAVE) - 0.5 * (count + n - 1) * np.log((prior + left) / (prior + yy))
    belief = 1 / (1 + np.exp(-bayes) / ODDS)
    return p * belief, q * belief, belief


@kernel
def drift(p: float, q: float, end: float, span: float) -> float:
    """What the wave does to a period where the season comes EARLY sooner or later. [ln]"""
    c, s = wave(end, span)
    return (q * c - p * s) * 2 * np.pi * EARLY / YEAR
