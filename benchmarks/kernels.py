"""Why the detectors are compiled loops: the same update in numpy waves and as a Numba loop.

    python -m benchmarks kernels

One exponentially weighted mean and variance a meter, over the same readings in log order: 40
meters over a long time (narrow), and 100,000 meters that all speak at once (wide). A wave is the
rows that hold no meter twice, so that numpy's indexing is safe.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import table
from detectors.kernel import kernel

ROWS = 400_000


def _waves(
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
    slots: NDArray[np.int64],
    x: NDArray[np.float64],
    width: int,
) -> int:
    flags = 0
    for first in range(0, len(slots), width):
        s, v = slots[first : first + width], x[first : first + width]
        d = v - mean[s]
        flags += int((d * d > 25 * spread[s]).sum())
        mean[s] += 0.05 * d
        spread[s] += 0.05 * (d * d - spread[s])
    return flags


@kernel
def _loop(
    mean: NDArray[np.float64], spread: NDArray[np.float64], slots: NDArray[np.int64], x: NDArray[np.float64]
) -> int:
    flags = 0
    for i in range(slots.size):
        s = slots[i]
        d = x[i] - mean[s]
        if d * d > 25 * spread[s]:
            flags += 1
        mean[s] += 0.05 * d
        spread[s] += 0.05 * (d * d - spread[s])
    return flags


def run(share: float = 1.0) -> str:
    """Measure; return the table."""
    rows: list[tuple[str, ...]] = []
    n = round(ROWS * share)
    rng = np.random.default_rng(1)
    for name, meters in (("narrow: 40 meters", 40), ("wide: 100,000 meters", 100_000)):
        slots = np.tile(np.arange(meters), n // meters + 1)[:n]
        x = rng.gamma(2.0, 1.0, n)
        costs = []
        found = []
        for way in ("waves", "loop"):
            best = np.inf
            for _ in range(3):
                mean, spread = np.zeros(meters), np.ones(meters)
                began = time.perf_counter()
                flags = (
                    _waves(mean, spread, slots, x, meters)
                    if way == "waves"
                    else _loop(mean, spread, slots, x)
                )
                best = min(best, time.perf_counter() - began)
            found.append(flags)
            costs.append(1e9 * best / n)
        if found[0] != found[1]:
            raise RuntimeError(f"expected the same flags, got {found}")
        rows.append((name, f"{costs[0]:.0f}", f"{costs[1]:.1f}", f"{costs[0] / costs[1]:.0f}"))
    return table(("readings", "numpy waves [ns]", "compiled loop [ns]", "waves / loop"), rows)
