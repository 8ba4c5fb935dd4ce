"""Boosted trees that weigh a day's features: one head for each kind of fault.

The trees were fitted by ``python -m benchmarks.fit`` (docs/adr/0010) and stand in ``heads.json``
beside this file, as text: what a head says can be read, and added up, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.kernel import kernel

LEAF = -1
LANES = 8  # trees walked side by side: no step of one waits for the step of another

#: A node as it is walked: the way is ``child`` where x ≤ cut, or where x is NaN and ``missing`` is 1, else
#: ``child + 1``. A leaf is its own child, whatever x is.
NODE = np.dtype([("cut", np.float32), ("child", np.uint32), ("feature", np.uint32), ("missing", np.uint32)])


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

    The same trees as they are walked (``weigh``):
    node      (nodes,) NODE, the root first, the two children of a node side by side; ``root`` holds for them too
    leaf      (nodes,) weight of a leaf
    depth     (trees,) steps to the deepest leaf
    rest      (trees,) most that a tree and those after it in its head can add
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
    node: NDArray[Any]
    leaf: NDArray[np.float32]
    depth: NDArray[np.int32]
    rest: NDArray[np.float64]

    def lines(self, budget: float) -> NDArray[np.float64]:
        """(heads,) weights at which they raise so many false flags per 1,000 meter-days together."""
        return _lines(self, budget)


#: What a head's line differs by from that of all: a flag more of a small leak finds more faults than one of a
#: spike; losses are many at any line, and cost most (docs/adr/0010).
LEAN = {"spike": 0.4, "leak": -0.3, "stuck": 0.2, "low_usage": 0.3}


# Asked for at every watermark, and never changes: heads are compared by identity.
@lru_cache(maxsize=64)
def _lines(heads: Heads, budget: float) -> NDArray[np.float64]:
    lean = np.array([LEAN.get(name, 0.0) for name in heads.names])
    low, high = -10.0, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if np.exp(heads.rate[:, 0] - heads.rate[:, 1] * (middle + lean)).sum() > budget:
            low = middle
        else:
            high = middle
    return high + lean


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
    node, leaf, depth = _walked(table, root)
    most = np.array([leaf[a:b].max() for a, b in pairwise(root)], np.float64)
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
        node,
        leaf,
        depth,
        np.concatenate([np.cumsum(most[a:b][::-1])[::-1] for a, b in pairwise(first)] or [most]),
    )


def _walked(
    table: NDArray[np.float64], root: list[int]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int32]]:
    """Nodes, leaves' weights and depths of the trees, laid out to be walked."""
    node, leaf = np.zeros(len(table), NODE), np.full(len(table), -np.inf, np.float32)
    depth = np.zeros(len(root) - 1, np.int32)
    for tree, first in enumerate(root[:-1]):
        level, free = [(first, first)], first + 1  # (node as told, place)
        while level:
            below = []
            for old, place in level:
                feature, cut, missing, left, right, value = table[old].tolist()
                if feature >= 0:
                    node[place] = (cut, free, feature, missing)
                    below += [(int(left), free), (int(right), free + 1)]
                    free += 2
                else:
                    node[place] = (np.inf, place, 0, 1)
                    leaf[place] = value
            depth[tree] += len(below) > 0
            level = below
    return node, leaf, depth


#: No heads: nothing is raised.
NONE = read({"features": [], "heads": []})


@kernel
def weigh(
    x: NDArray[np.float32], first: int, last: int, root: NDArray[np.int32], depth: NDArray[np.int32],
    node: NDArray[Any], leaf: NDArray[np.float32], rest: NDArray[np.float64], enough: float,
) -> float:  # fmt: skip
    """Sum of the leaves that ``x`` comes to in the trees first … last − 1.

    −inf as soon as it is sure that the sum stays below ``enough``: most days of most meters are far
    from any line, and half of the trees tell.
    """
    total = 0.0
    at = np.empty(LANES, np.uint64)  # unsigned: an index that cannot be negative needs no looking at
    for tree in range(first, last, LANES):
        if total + rest[tree] < enough - 1e-6:  # more than the order of adding can make of it
            return -np.inf
        steps = 0
        for k in range(LANES):
            own = min(tree + k, last - 1)
            at[k] = root[own]
            steps = max(steps, depth[own])
        for _ in range(steps):
            for k in range(LANES):
                n = node[at[k]]
                cell = x[np.uint64(n.feature)]
                left = (cell <= n.cut) | ((cell != cell) & (n.missing != 0))
                at[k] = np.uint64(n.child) + np.uint64(1) - np.uint64(left)
        for k in range(min(LANES, last - tree)):
            total += leaf[at[k]]
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
