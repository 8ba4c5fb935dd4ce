"""A supervised point that has stopped moving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, F64, HOUR, I64, LEVEL, NS, U8, Batch, Records, Row
from detectors.finding import is_stock, no_supply, stale, tell
from detectors.kernel import kernel

FROZEN = np.dtype(
    [
        ("anchor", np.float32),  # first value of the run [unit]
        ("step", np.float32),  # usual size of a move [unit]
        ("longest", np.float32),  # run that has come to an end by itself, fading [samples]
        ("first", np.uint32),  # the first reading [s since 1970], 0 = none yet
        ("run", np.uint16),  # samples in a row within the resolution
        ("moves", np.uint8),  # 255 = that many or more
        ("open", np.uint8),
    ],
    align=True,
)
MOST = 65535
MOVES = 100  # to be seen before a point counts as one that moves
MEMORY = 64.0  # moves over which their size is averaged
WILD = 4.0  # usual steps at which a move is cut before it is averaged
FADES = 30 * DAY  # over which a long run is forgotten


@kernel
def _say(
    s: Row, n: int, row: int, j: int, verb: int, at: int, start: int, score: float, x: float, longest: float,
    out: Records,
) -> int:  # fmt: skip
    hours = (at - start) / HOUR
    return tell(
        out, n, row, j, 0, verb, at, start, score, x, np.nan, s.run, hours, longest, s.step, np.nan, np.nan
    )


@kernel
def _update(
    rows: Records, meters: Records, slot: I64, time: I64, value: F64, usual: I64, since: I64, status: U8, live: U8,
    samples: float, times: float, share: float, warm: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != LEVEL or is_stock(meters[slot[i]]):
            continue
        j = slot[i]
        s = rows[j]
        x = np.float32(value[i])
        if no_supply(meters[j], value[i], s.anchor):
            continue
        if s.first == 0 or stale(since[i], usual[i]):
            if s.first == 0:
                s.first = max(time[i] // NS, 1)
            if abs(x - s.anchor) > share * s.step or s.open == 0:
                s.anchor, s.run = x, 1  # what it did in the hole nobody knows
                if s.open:
                    s.open = 0
                    n = _say(s, n, i, j, CLEAR, time[i], time[i], 0.0, value[i], s.longest, out)
            continue
        move = abs(x - s.anchor)
        if move > share * s.step:
            if s.open:
                n = _say(
                    s, n, i, j, CLEAR, time[i], time[i] - s.run * usual[i], 0.0, value[i], s.longest, out
                )
                # A run that was told and ended may yet be the point's own way.
                s.longest = max(s.longest, min(float(s.run), 2.0 * max(s.longest, samples / times)))
                s.open = 0
            else:
                s.longest = max(s.longest * max(1.0 - s.run * usual[i] / FADES, 0.5), np.float32(s.run))
                s.step = move if s.step <= 0 else s.step + (min(move, WILD * s.step) - s.step) / MEMORY
                s.moves += 1 if s.moves < 255 else 0
            s.anchor, s.run = x, 1
            continue
        s.run += 1 if s.run < MOST else 0
        need = max(samples, times * s.longest)
        old = s.moves >= MOVES and time[i] // NS - s.first >= warm
        if s.open == 0 and live[i] and old and s.run >= need:
            s.open = 1
            start = time[i] - (s.run - 1) * usual[i]
            score = s.run / need * (1.0 + samples / need)
            n = _say(s, n, i, j, RAISE, time[i], start, score, value[i], s.longest, out)
    return n


@dataclass(frozen=True, slots=True)
class Frozen(Rule):
    """A point that stands still although it always moved.

    So many samples in a row within the resolution of the first of them, ``share`` of the point's
    usual step, while its history moves [1]_. History decides what is many: the run must be ``times``
    as long as the longest that has ended by itself in the last weeks (a tank at rest by night, a pump
    that stands on Sundays). The start is told from the usual spacing. A hole of more than three
    spacings breaks a run; a voltage that is gone is passed over. It is over at the first move.

    samples    least length of the run, 3 to 12. [-]
    times      how much longer than any before it. [-]
    share      resolution, as a share of the usual step. [-]
    warm_days  days of history (and 100 moves) before the first flag. [d]
    Shapes     a batch's columns (n,); state ``frozen`` (meters,).
    Not for    valves, tariffs and other points that rest for most of their time; what is left of an amount.
    Use        analogue points, but for what is left of an amount (as ``Rate``);
               one that stands still for good was never moving and says nothing.
    Cost       none in 6,000 days of one point in a synthetic clean run (``python -m benchmarks.scada_clean``); a
               plant that stops for the first time is told, once for every doubling of the pause.

    .. [1] DETECTION §4.
    """

    samples: float = 6.0
    times: float = 2.0
    share: float = 0.02
    warm_days: float = 7.0

    name = "frozen"
    version = 1
    kinds = ("frozen",)

    def __post_init__(self) -> None:
        if not (
            2 <= self.samples <= 1000 and self.times >= 1 and 0 <= self.share < 1 and self.warm_days >= 0
        ):
            raise ValueError(
                f"need 2 <= samples <= 1000, times >= 1, 0 <= share < 1 and warm_days >= 0, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How long it has stood still, and what it usually does."""
        return {"frozen": ("samples", "hours", "usual_longest_run", "usual_step")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The run, and what moves are like."""
        return (Column("frozen", FROZEN, scales=("anchor", "step")),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Lengthen the run or learn from its end."""
        b = batch
        if LEVEL not in b.status:
            return 0
        found: int = _update(
            state.of(self.name, "frozen"), state.meters, b.slot, b.time, b.value, b.usual, b.since, b.status, b.live,
            self.samples, self.times, self.share, self.warm_days * 86400, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After a week in which it moved a hundred times."""
        s = state.of(self.name, "frozen")[slots]
        heard = state.of("intervals", "pulse")["time"][slots] // NS
        ready: NDArray[np.bool_] = (s["moves"] >= MOVES) & (heard >= s["first"] + self.warm_days * 86400)
        return ready
