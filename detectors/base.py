"""What every detector is: a frozen value that owns no state.

Parameters live in the detector, state is an argument. The state of a partition is a set of
flat arrays, row = meter, so that a checkpoint, a move or an upgrade never touches a detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detectors.batch import Batch, Records

BLOCK = 512  # meters in a block, the unit of a checkpoint's records

ROOM = 4  # findings that one row, or one meter at a watermark, may give rise to in one detector

# What a finding does to the episode of its meter and family.
RAISE, UPDATE, CLEAR = 1, 2, 3

#: One finding. ``kind`` indexes the detector's ``kinds``; ``e`` holds the numbers that the
#: detector's ``evidence`` names for it, in that order.
FINDING = np.dtype(
    [
        ("slot", np.int64),
        ("row", np.int64),  # row of the batch that gave rise to it, -1 = the watermark
        ("at", np.int64),  # event time of the decision [ns]
        ("start", np.int64),  # first instant of the episode [ns]
        ("end", np.int64),  # last instant that the evidence covers [ns]
        ("score", np.float64),  # 1 = at the threshold
        ("observed", np.float64),
        ("expected", np.float64),
        ("e0", np.float64),
        ("e1", np.float64),
        ("e2", np.float64),
        ("e3", np.float64),
        ("e4", np.float64),
        ("e5", np.float64),
        ("kind", np.uint8),
        ("verb", np.uint8),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One array of a detector's state: name, type of a cell, cells a meter.

    A *cold* column changes about once a day or less; who writes it marks the meter's block
    in ``State.cold``. All others are written with every checkpoint in which their block saw
    a reading. ``counter`` fields (of a structured type) are left out of the canonical dump:
    they count what happened to the stream, not what is known of the meter. ``scales`` names the
    fields that are in the meter's unit ("" = the cells of a plain type): they are converted when
    the registry changes the unit.
    """

    name: str
    dtype: np.dtype[Any]
    width: int = 0  # 0: one cell a meter, shape (meters,); else shape (meters, width)
    cold: bool = False
    fill: float = 0
    counters: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()

    def new(self, meters: int) -> NDArray[Any]:
        """Rows for ``meters`` fresh meters."""
        shape = (meters, self.width) if self.width else (meters,)
        if self.dtype.names or self.fill == 0:
            return np.zeros(shape, self.dtype)
        return np.full(shape, self.fill, self.dtype)


@dataclass(slots=True)
class State:
    """All arrays of a partition.

    meters   constants, METER, shape (capacity,)
    arrays   (detector, column) → array, first axis = slot
    hot      (blocks,) uint8: 1 = a hot column of that block has changed since the last checkpoint
    cold     the same for cold columns
    notes    detector → what its last update set aside for ``explain``; no part of the state
    """

    meters: Records
    arrays: dict[tuple[str, str], NDArray[Any]]
    hot: NDArray[np.uint8]
    cold: NDArray[np.uint8]
    notes: dict[str, Any] = field(default_factory=dict)

    def of(self, detector: str, column: str) -> NDArray[Any]:
        """One detector's column."""
        return self.arrays[detector, column]


class Detector(Protocol):
    """A detector: frozen parameters, and two moves over a state that is handed in."""

    @property
    def name(self) -> str:
        """Key of its state."""

    @property
    def version(self) -> int:
        """Goes up when the meaning of the state or of a flag changes."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of flag that it raises."""

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Kind → names of the numbers ``e0`` … ``e5`` of its findings."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Layout of its state."""

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Take readings; write findings to ``out`` (``ROOM`` a row); return how many."""

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Event time has moved from ``before`` to ``watermark`` [ns]: close what is due.

        An instant is past once the watermark is later than it, so that all readings stamped
        with that very instant have been seen. ``meters`` slots are in use; ``out`` has
        ``ROOM`` findings a meter.
        """

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """What a person can check: the numbers compared. Keys that end in ``_ns`` are instants."""

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which meters have history enough to be judged; the others are warming up."""

    def parameters(self) -> dict[str, float]:
        """What a person who checks a flag must know of the settings."""


class Rule:
    """What most detectors have in common; they say otherwise where they differ."""

    __slots__ = ()

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Nothing here hangs on the watermark."""
        return 0

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared."""
        own = cast(Detector, self)
        return named(own.evidence, own.kinds[finding["kind"]], finding)

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(cast(Any, self))


@runtime_checkable
class Selective(Protocol):
    """A detector that leaves most meters alone.

    While its state is that of meters that have never spoken, its partition has no meter that concerns
    it, and no reading has told of an event, it is not called at all: a partition of household meters
    pays nothing for the rules for voltages.
    """

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Whether it may write state, or find anything, for meters of such constants that tell of no event.

        Area and rank are not set.
        """


@runtime_checkable
class Rescaled(Protocol):
    """A detector with numbers in the meter's unit that stand packed, where ``Column.scales`` cannot reach them."""

    def rescale(self, state: State, slot: int, scale: float) -> None:
        """Multiply them."""


def named(evidence: Mapping[str, tuple[str, ...]], kind: str, finding: Any) -> dict[str, object]:
    """Give a finding's numbers their names; what is not a number is left out."""
    numbers = {name: float(f"{finding[f'e{i}']:.9g}") for i, name in enumerate(evidence.get(kind, ()))}
    return {name: number for name, number in numbers.items() if number == number}
