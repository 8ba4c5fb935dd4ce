"""Interval spike: one interval far above the rest of its day and the days before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, State, named
from detectors.batch import DAY, OK, Batch, Records
from detectors.kernel import kernel

PEAKS = 21  # daily peaks remembered
WARM = 14  # … of which so many are needed

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
def _update(
    spike: Records, peaks: NDArray[np.float32], pulse: Records, meters: Records, slot: NDArray[np.int64],
    time: NDArray[np.int64], local: NDArray[np.int64], usage: NDArray[np.float64], span: NDArray[np.int64],
    status: NDArray[np.uint8], live: NDArray[np.uint8], excess: float, back: float, calm: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or span[i] <= 0 or span[i] > 3 * DAY:
            continue
        j = slot[i]
        s = spike[j]
        x = usage[i]
        usual = pulse[j].spacing
        if usual <= 0 or usual > DAY + DAY // 2:
            continue
        if span[i] > usual:
            x *= usual / span[i]  # a hole is spread over its time, never one spike
        day = (local[i] - 1) // DAY
        if day != s.day:
            if s.day > 0:
                # A day with an open episode does not teach the line what is usual.
                if s.open == 0:
                    peaks[j, s.day % PEAKS] = s.top1
                else:
                    peaks[j, s.day % PEAKS] = min(s.top1, np.float32(s.limit / (1.0 + excess)))
                for d in range(max(s.day + 1, day - PEAKS), day):
                    peaks[j, d % PEAKS] = 0.0
                kept = s.kept + min(day - s.day, PEAKS)
                s.kept = min(kept, PEAKS)
            s.day = day
            s.top1 = s.top2 = s.top3 = 0.0
        highest = np.float32(0.0)
        for k in range(s.kept):
            d = (day - 1 - k) % PEAKS
            if peaks[j, d] > highest:
                highest = peaks[j, d]
        line = (1.0 + excess) * max(highest, s.top3)
        line = max(line, meters[j].floor * usual / DAY * 2.0)
        if s.open:
            if x > back * s.limit:
                s.last = time[i]
            elif time[i] - s.last >= max(calm, 3 * usual):
                n_before = n
                f = out[n]
                f.slot, f.row, f.kind, f.verb, f.at, f.start, f.end = j, i, 0, CLEAR, time[i], s.start, s.last
                f.score, f.observed, f.expected = 0.0, x, s.limit / (1.0 + excess)
                f.e0, f.e1, f.e2 = x, s.limit, highest
                n = n_before + 1
                s.open = 0
        elif live[i] and s.kept >= WARM and x > line and line > 0:
            s.open, s.start, s.last, s.limit = 1, time[i], time[i], line
            f = out[n]
            f.slot, f.row, f.kind, f.verb, f.at, f.start, f.end = j, i, 0, RAISE, time[i], time[i], time[i]
            f.score, f.observed, f.expected = min(x / line, 10.0), x, line / (1.0 + excess)
            f.e0, f.e1, f.e2 = x, line, highest
            n += 1
        small = np.float32(x)
        if small > s.top1:
            s.top3, s.top2, s.top1 = s.top2, s.top1, small
        elif small > s.top2:
            s.top3, s.top2 = s.top2, small
        elif small > s.top3:
            s.top3 = small
    return n


@dataclass(frozen=True, slots=True)
class Spike:
    """Interval spike check.

    An interval that exceeds the third highest of its local day by more than 180 % (the classic
    VEE spike rule [1]_, taken as the day goes, so that it speaks at the interval and not at
    midnight), and every daily peak of the last 21 days by as much. An amount that covers a
    hole is spread over it first.

    excess      how far above the line of comparison, 1.8 = 180 %. [-]
    back        an episode goes on while intervals exceed this share of the line. [-]
    calm_hours  it is over after this long below. [h]
    Use         not for levels that stay: its line follows them within a day (use HighLow).
    Cost        measured by ``make bench`` on the packaged demo meters, in its table.

    .. [1] DETECTION §2, spike check row.
    """

    excess: float = 1.8
    back: float = 0.6
    calm_hours: float = 24.0

    name = "spike"
    version = 1
    kinds = ("spike",)

    def __post_init__(self) -> None:
        if self.excess <= 0 or not 0 < self.back <= 1 or self.calm_hours <= 0:
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
        return (Column("spike", SPIKE), Column("peaks", np.dtype(np.float32), PEAKS))

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare each interval with its line."""
        b = batch
        found: int = _update(
            state.of(self.name, "spike"), state.of(self.name, "peaks"), state.of("intervals", "pulse"), state.meters,
            b.slot, b.time, b.local, b.usage, b.span, b.status, b.live, self.excess, self.back,
            round(self.calm_hours * 3600e9), out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Nothing here hangs on the watermark."""
        return 0

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared."""
        return named(self.evidence, self.kinds[finding["kind"]], finding)

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After 14 daily peaks."""
        ready: NDArray[np.bool_] = state.of(self.name, "spike")["kept"][slots] >= WARM
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(self)
