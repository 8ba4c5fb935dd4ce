"""Boosted trees that weigh a day's features: one head for each kind of fault.

The trees were fitted by ``python -m benchmarks.fit`` (docs/adr/0010) and stand in ``heads.json``
beside this file, as text: what a head says can be read, and added up, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.kernel import kernel

LEAF = -1


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Trees of all heads in flat arrays; a leaf's ``feature`` is −1 and its ``value`` its weight.

    names     of the heads
    features  names of the features, as the trees number them
    first     (heads + 1,) first tree of each head
    root      (trees + 1,) first node of each tree
    feature, cut, missing, left, right, value  (nodes,): go left where x ≤ cut, or where x is NaN and
              ``missing`` is 1; ``value`` is the mean weight of a node's leaves
    base      (heads,) weight before any tree
    rate      (heads, 2) a and b of: false flags per 1,000 meter-days at weight x = exp(a − b x)
    """

    names: tuple[str, ...]
    features: tuple[str, ...]
    first: NDArray[np.int32]
    root: NDArray[np.int32]
    feature: NDArray[np.int16]
    cut: NDArray[np.float32]
    missing: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float32]
    base: NDArray[np.float64]
    rate: NDArray[np.float64]

    def line(self, budget: float) -> float:
        """The weight, one for all heads, at which they raise so many false flags per 1,000 meter-days together."""
        low, high = -10.0, 20.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            if np.exp(self.rate[:, 0] - self.rate[:, 1] * middle).sum() > budget:
                low = middle
            else:
                high = middle
        return high


def read(told: Mapping[str, Any]) -> Heads:
    """Heads from what the fit writes, parsed. Raises KeyError, ValueError, TypeError for anything else."""
    first, root = [0], [0]
    nodes: list[tuple[float, ...]] = []
    for head in told["heads"]:
        for tree in head["trees"]:
            at = root[-1]
            nodes += [
                (f, cut, missing, at + left if f >= 0 else 0, at + right if f >= 0 else 0, value)
                for f, cut, missing, left, right, value in tree
            ]
            root.append(len(nodes))
        first.append(len(root) - 1)
    table = np.array(nodes, np.float64).reshape(-1, 6)
    return Heads(
        tuple(head["name"] for head in told["heads"]),
        tuple(told["features"]),
        np.array(first, np.int32),
        np.array(root, np.int32),
        table[:, 0].astype(np.int16),
        table[:, 1].astype(np.float32),
        table[:, 2].astype(np.uint8),
        table[:, 3].astype(np.int32),
        table[:, 4].astype(np.int32),
        table[:, 5].astype(np.float32),
        np.array([head["base"] for head in told["heads"]]),
        np.array([head["rate"] for head in told["heads"]]).reshape(-1, 2),
    )


#: No heads: nothing is raised.
NONE = read({"features": [], "heads": []})


@kernel
def weigh(
    x: NDArray[np.float32], first: int, last: int, root: NDArray[np.int32], feature: NDArray[np.int16],
    cut: NDArray[np.float32], missing: NDArray[np.uint8], left: NDArray[np.int32], right: NDArray[np.int32],
    value: NDArray[np.float32],
) -> float:  # fmt: skip
    """Sum of the leaves that ``x`` comes to in the trees first … last − 1."""
    total = 0.0
    for tree in range(first, last):
        node = root[tree]
        while feature[node] >= 0:
            cell = x[feature[node]]
            go = missing[node] == 1 if cell != cell else cell <= cut[node]
            node = left[node] if go else right[node]
        total += value[node]
    return total


@kernel
def shares(
    x: NDArray[np.float32], first: int, last: int, root: NDArray[np.int32], feature: NDArray[np.int16],
    cut: NDArray[np.float32], missing: NDArray[np.uint8], left: NDArray[np.int32], right: NDArray[np.int32],
    value: NDArray[np.float32], out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add to ``out`` (features,) what each feature contributed: the change of weight at each of its cuts.

    The sum of all is the weight less the trees' roots (A. Saabas, *Interpreting random forests*, 2014).
    """
    for tree in range(first, last):
        node = root[tree]
        while feature[node] >= 0:
            cell = x[feature[node]]
            go = missing[node] == 1 if cell != cell else cell <= cut[node]
            below = left[node] if go else right[node]
            out[feature[node]] += value[below] - value[node]
            node = below
