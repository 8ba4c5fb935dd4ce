"""Interval spike: one interval far above the rest of its day and the days before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, F64, FINE, I64, OK, SWAPPED, TRUE_UP, U8, Batch, Records, Row
from detectors.kernel import kernel
from detectors.standing import NOTHING

PEAKS = 21  # daily peaks remembered
WARM = 14  # … of which so many are needed
SHARE = 2.0  # an interval must exceed so many times its share of the daily floor
EMPTY = 25.0  # … and so many times where three weeks had no use at all: somebody comes home

SPIKE = np.dtype(
    [
        ("start", np.int64),  # of the open episode [ns]
        ("last", np.int64),  # last interval of the episode above the line [ns]
        ("day", np.int32),  # local day of the peaks below, days since 1970
        ("limit", np.float32),  # the line when the episode was raised [unit/interval]
        ("top1", np.float32),  # highest of the day [unit/interval]
        ("top2", np.float32),
        ("top3", np.float32),
        ("kept", np.uint8),  # daily peaks remembered
        ("open", np.uint8),
    ],
    align=True,
)


@kernel
def _say(
    s: Row, n: int, row: int, slot: int, verb: int, at: int, end: int, score: float, x: float, excess: float,
    highest: float, out: Records,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, 0, verb
    f.at, f.start, f.end = at, s.start, end
    f.score, f.observed, f.expected = score, x, s.limit / (1.0 + excess)
    f.e0, f.e1, f.e2 = x, s.limit, highest
    return n + 1


@kernel
def _turn(s: Row, peaks: NDArray[np.float32], j: int, day: int, excess: float) -> None:
    """A new local day: remember the peak of the one that has ended."""
    missing = day - s.day - 1
    if s.day > 0 and missing <= PEAKS - WARM:
        # A day with an open episode does not teach the line what is usual.
        usual = np.float32(s.limit / (1.0 + excess))
        peaks[j, s.day % PEAKS] = min(s.top1, usual) if s.open else s.top1
        for d in range(s.day + 1, day):
            peaks[j, d % PEAKS] = 0.0
        s.kept = min(s.kept + 1 + missing, PEAKS)
    else:
        s.kept = 0  # nothing yet, or too long ago
    s.day = day
    s.top1 = s.top2 = s.top3 = 0.0


@kernel
def _stood_still(s: Row, peaks: NDArray[np.float32], j: int) -> bool:
    """Whether the device that has been taken away had shown no use for longer than the memory bridges."""
    days = 0
    if s.top1 <= NOTHING:
        while days < s.kept and peaks[j, (s.day - 1 - days) % PEAKS] <= NOTHING:
            days += 1
    return bool(days >= PEAKS - WARM)


@kernel
def _update(
    spike: Records, peaks: NDArray[np.float32], meters: Records, slot: I64, time: I64, local: I64, usage: F64,
    span: I64, usual: I64, back: F64, status: U8, live: U8, note: U8,
    excess: float, rest: float, calm: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if note[i] & SWAPPED and _stood_still(spike[slot[i]], peaks, slot[i]):
            spike[slot[i]].day = 0
        if status[i] != OK or span[i] <= 0 or span[i] > 3 * DAY:
            continue
        if usual[i] <= FINE or usual[i] > DAY + DAY // 2:
            continue
        j = slot[i]
        s = spike[j]
        x = usage[i]
        if span[i] > usual[i]:
            x *= usual[i] / span[i]  # a hole is spread over its time, never one spike
        day = (local[i] - 1) // DAY
        if day > s.day:
            _turn(s, peaks, j, day, excess)
        highest = np.float32(0.0)
        for k in range(s.kept):
            highest = max(highest, peaks[j, (s.day - 1 - k) % PEAKS])
        line = (1.0 + excess) * max(highest, s.top3)
        unused = highest <= NOTHING and s.top1 <= NOTHING
        line = max(line, meters[j].floor * usual[i] / DAY * (EMPTY if unused else SHARE))
        if s.open and back[i] > 0:
            # The reading that raised it was wrong, and so is what it left behind.
            n = _say(s, n, i, j, CLEAR, time[i], s.last, 0.0, x, excess, float(highest), out)
            s.open = 0
            s.top1 = min(s.top1, np.float32(s.limit / (1.0 + excess)))
        elif s.open:
            if x > rest * s.limit:
                s.last = time[i]
            elif time[i] - s.last >= max(calm, 3 * usual[i]):
                n = _say(s, n, i, j, CLEAR, time[i], s.last, 0.0, x, excess, float(highest), out)
                s.open = 0
        elif live[i] and not note[i] & TRUE_UP and s.kept >= WARM and x > line and line > 0:
            s.open, s.start, s.last, s.limit = 1, time[i], time[i], line
            score = min(x / line, 10.0)
            n = _say(s, n, i, j, RAISE, time[i], time[i], score, x, excess, float(highest), out)
        small = np.float32(x)
        if small > s.top1:
            s.top3, s.top2, s.top1 = s.top2, s.top1, small
        elif small > s.top2:
            s.top3, s.top2 = s.top2, small
        elif small > s.top3:
            s.top3 = small
    return n


@dataclass(frozen=True, slots=True)
class Spike(Rule):
    """Interval spike check.

    An interval that exceeds the third highest of its local day by more than 180 % (the classic
    VEE spike rule [1]_, taken as the day goes, so that it speaks at the interval and not at
    midnight), and every daily peak of the last 21 days by as much, and twice its share of the
    use a day that is worth a person's time. An amount that covers a hole is spread over it
    first; up to 7 days without any interval count as days without use, more of them begin the
    memory anew, and so do that many without use before the device was exchanged. A day with an open
    episode is remembered at most as high as was usual when it was raised. It ends at once where the next
    reading takes it back (a misread). What follows estimates is none, and after three weeks without any use
    only what no home uses in a day.

    excess      how far above the line of comparison, 1.8 = 180 %. [-]
    back        an episode goes on while intervals exceed this share of the line. [-]
    calm_hours  it is over after this long below. [h]
    Shapes      a batch's columns (n,); state ``spike`` (meters,), ``peaks`` (meters, 21).
    Not for     levels that stay: its line follows them within a day (``HighLow``).
    Cost        measured by ``make bench`` on the packaged demo meters, in its table.

    .. [1] DETECTION §2, spike check row.
    """

    excess: float = 1.8
    back: float = 0.6
    calm_hours: float = 24.0

    name = "spike"
    version = 2
    kinds = ("spike",)

    def __post_init__(self) -> None:
        if not (self.excess > 0 and 0 < self.back <= 1 and self.calm_hours > 0):
            raise ValueError(
                "need excess > 0, 0 < back <= 1 and calm_hours > 0, "
                f"got {self.excess}, {self.back} and {self.calm_hours}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The interval, the line it crossed, the highest daily peak before."""
        return {"spike": ("interval_usage", "line", "highest_daily_peak")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Today's highest three and the peaks of the days before."""
        return (
            Column("spike", SPIKE, scales=("limit", "top1", "top2", "top3")),
            Column("peaks", np.dtype(np.float32), PEAKS, scales=("",)),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare each interval with its line."""
        b = batch
        found: int = _update(
            state.of(self.name, "spike"), state.of(self.name, "peaks"), state.meters, b.slot, b.time, b.local,
            b.usage, b.span, b.usual, b.back, b.status, b.live, b.note, self.excess, self.back,
            round(self.calm_hours * 3600e9), out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After 14 daily peaks."""
        ready: NDArray[np.bool_] = state.of(self.name, "spike")["kept"][slots] >= WARM
        return ready
