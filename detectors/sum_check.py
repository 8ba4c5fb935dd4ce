"""Intervals against the register of the same meter: what they add up to must be what it has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE, Column, Rule, State
from detectors.batch import (
    CORRECTION,
    DAY,
    F64,
    FIRST,
    HOUR,
    I64,
    INTERVAL,
    LATE,
    OK,
    REGISTER,
    SUSPECT,
    U8,
    Batch,
    Records,
    Row,
)
from detectors.kernel import kernel
from detectors.pulse import heard_for

PATIENCE = 7 * DAY  # so long a hole in the intervals may still be filled

SIDE = np.dtype(
    [
        ("time", np.int64),  # newest reading of this channel [ns]
        ("total", np.float64),  # used since ``base`` [unit of the channel]
        ("base", np.int64),  # of the register: where both begin to be added up, 0 = nowhere [ns]
        ("start", np.int64),  # of the register: start of the open episode [ns]
        ("holes", np.int32),  # intervals that have not come since ``base``
        ("kind", np.uint8),  # REGISTER or INTERVAL, 0 = has said neither
        ("broken", np.uint8),  # 1 = what was used since ``base`` is not known
        ("open", np.uint8),
        ("good", np.uint8),  # stretches in a row that agree, while the flag is open
    ],
    align=True,
)


@kernel
def _partner(sides: Records, meters: Records, j: int, kind: int) -> int:
    """The one other channel of the meter that is of the other kind and measures the same; −1: none, or several."""
    found = -1
    k = meters[j].next
    while k != j:
        same = meters[k].quantity == meters[j].quantity and (
            meters[k].quantity != 0 or meters[k].unit == meters[j].unit
        )
        if sides[k].kind != 0 and same:
            if sides[k].kind == kind or found >= 0:
                return -1
            found = k
        k = meters[k].next
    return found


@kernel
def _begin(register: Row, intervals: Row, t: int) -> None:
    """Add up from here on."""
    register.base, register.total, intervals.total = t, 0.0, 0.0
    register.broken = intervals.broken = 0
    intervals.holes = 0


@kernel
def _judge(
    sides: Records, meters: Records, hot: NDArray[np.uint8], n: int, i: int, r: int, k: int, t: int, may: bool,
    units: float, share: float, hours: float, clear: int, out: Records,
) -> int:  # fmt: skip
    """Both channels have come to the same instant."""
    s, other = sides[r], sides[k]
    hot[r // BLOCK] = hot[k // BLOCK] = 1
    lasted = t - s.base
    if s.base == 0 or s.broken or other.broken:
        _begin(s, other, t)
        return n
    if lasted < hours * HOUR:
        return n
    if other.holes > 0:
        if lasted >= PATIENCE:
            _begin(s, other, t)
        return n
    scale = float(meters[k].base) / float(meters[r].base)
    intervals = other.total * scale
    off = abs(intervals - s.total)
    most = max(units * float(meters[r].multiplier), share * max(abs(s.total), abs(intervals)))
    verb = 0
    if off > most:
        s.good = 0
        if s.open:
            verb = UPDATE
        elif may:
            s.open, s.start, verb = 1, s.base, RAISE
    elif s.open:
        s.good += 1
        if s.good >= clear:
            s.open, s.good, verb = 0, 0, CLEAR
    if verb:
        f = out[n]
        f.slot, f.row, f.kind, f.verb = r, i, 0, verb
        f.at = f.end = t
        f.start = s.start
        f.score = min(off / most, 10.0) if verb != CLEAR else 0.0
        f.observed, f.expected = intervals, s.total
        f.e0, f.e1, f.e2, f.e3 = intervals, s.total, most, lasted / HOUR
        n += 1
    _begin(s, other, t)
    return n


@kernel
def _update(
    sides: Records, meters: Records, hot: NDArray[np.uint8], slot: I64, time: I64, kind: U8, usage: F64,
    back: F64, span: I64, usual: I64, since: I64, status: U8, live: U8,
    units: float, share: float, hours: float, clear: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        if meters[j].next == j or (kind[i] != REGISTER and kind[i] != INTERVAL):
            continue
        s = sides[j]
        what = status[i]
        if what in (LATE, CORRECTION) and usage[i] == usage[i]:
            k = _partner(sides, meters, j, s.kind) if s.kind == INTERVAL else j
            if k >= 0 and time[i] > sides[k].base:
                s.total += usage[i]
                s.holes -= what == LATE and s.kind == INTERVAL and s.holes > 0
        if live[i] == 0 and since[i] <= 0:
            continue
        if s.kind != kind[i]:
            s.kind, s.broken = kind[i], 1
        s.time = time[i]
        if what == OK:
            s.total += usage[i] - back[i]
            if kind[i] == INTERVAL and usual[i] > 0 and 2 * (since[i] - span[i]) > usual[i]:
                s.holes += (since[i] - span[i] + usual[i] // 2) // usual[i]
        elif what in (FIRST, SUSPECT):
            s.broken = 1
        k = _partner(sides, meters, j, s.kind)
        if k < 0 or sides[k].time != time[i] or what == SUSPECT:
            continue
        r, other = (j, k) if s.kind == REGISTER else (k, j)
        n = _judge(sides, meters, hot, n, i, r, other, time[i], live[i] != 0, units, share, hours, clear, out)
    return n


@dataclass(frozen=True, slots=True)
class SumCheck(Rule):
    """Σ intervals against the register's difference over the same time.

    For meters that send both, one under a register's name beside the other. Whenever both have
    come to the same instant, ``hours`` or more after the last comparison, what the intervals add up to is held
    against what the register has counted [1]_. Off by more than ``units`` times the multiplier (what
    a register can be off at its two ends), and by more than ``share`` of the amount, is a *sum_mismatch*,
    of the register; ``clear`` comparisons in a row that agree end it. Late and
    corrected readings count; where intervals are missing the comparison waits for them, a week at
    most, and then begins anew, as it does after a swap or a fall of the register.

    units  that the register may be off by, times its multiplier. [unit of the register]
    share  of the amount that rounding may make. [-]
    hours  between two comparisons. [h]
    clear  comparisons. [-]
    Shapes  a batch's columns (n,); state ``side`` (meters,).
    Not for meters with several tariffs or an export register: none of theirs is compared.
    Use    one register and one interval channel that measure the same: of a meter with more (tariffs,
           export) none is compared.
    Cost   no flag on four sets of real meters and on the packaged demo meters, which have one
           channel each (``forestall replay``).

    .. [1] DETECTION §2, "sum check"; in every meter data management system's VEE rules.
    """

    units: float = 2.0
    share: float = 0.001
    hours: float = 24.0
    clear: int = 2

    name = "sum_check"
    version = 1
    kinds = ("sum_mismatch",)

    def __post_init__(self) -> None:
        if not (self.units > 0 and 0 <= self.share < 1 and self.hours >= 0 and 1 <= self.clear <= 255):
            raise ValueError(f"need units > 0, 0 <= share < 1, hours >= 0 and 1 <= clear <= 255, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Both sums."""
        return {"sum_mismatch": ("sum_of_intervals", "register_difference", "let_pass", "hours")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each channel has counted since the last comparison; meters of one channel never write it."""
        return (Column("side", SIDE, scales=("total",)),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters that have another channel: in the registry's constants nobody has one yet."""
        concerned: NDArray[np.bool_] = meters["next"] != 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Add up, and compare where both channels have come to the same instant."""
        b = batch
        found: int = _update(
            state.of(self.name, "side"), state.meters, state.hot, b.slot, b.time, b.kind, b.usage, b.back,
            b.span, b.usual, b.since, b.status, b.live, self.units, self.share, self.hours, self.clear, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
