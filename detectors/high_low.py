"""The high/low check: average daily use against the meter's own past, over unequal periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, Column, State, named
from detectors.batch import CORRECTION, F64, FINE, FIRST, I64, LATE, NS, OK, SUSPECT, U8, Batch, Records
from detectors.days import DAYS, REFERENCE, WEEK, Daily, amend, book, judge_days, speak
from detectors.kernel import kernel
from detectors.level import LEVEL
from detectors.periods import LONG, PERIOD, PERIODS, judge_period


@kernel
def _update(
    level: Records, ring: Records, daily: Daily, notes: Records, meters: Records, cold: U8,
    slot: I64, time: I64, local: I64, usage: F64, span: I64, usual: I64, status: U8, live: U8,
    high: float, low: float, back: float, most: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        if status[i] == OK or status[i] == FIRST or status[i] == SUSPECT:
            speak(level, j, local[i])
        if span[i] <= 0 or usual[i] <= FINE or not np.isfinite(usage[i]):
            continue
        if status[i] == LATE or status[i] == CORRECTION:
            if span[i] < LONG:
                amend(level, daily, j, local[i], span[i], usage[i])
        elif status[i] == OK and span[i] >= LONG:
            cold[j // BLOCK] = 1
            n = judge_period(
                level, ring, notes, i, j, time[i], usage[i], span[i], live[i] == 1, meters[j].floor,
                high, low, back, most, out, n,
            )  # fmt: skip
        elif status[i] == OK:
            book(level, daily, j, local[i], span[i], usage[i])
    return n


def _key(finding: Any) -> tuple[int, int]:
    """What a finding of the latest batch is known by."""
    return int(finding["row"]), int(finding["verb"])


@dataclass(frozen=True, slots=True)
class HighLow:
    """High/low check on average daily use (ADU).

    A meter that is read rarely (20 days and more between reads) is judged at each read: its
    ADU over the period that has ended against the period before and, where there is one, the
    same period last year; all that exist must fail [1]_. Periods may be of any length: the
    golden case is 176 m³ in 366 days, then 273 m³ in 61 days.

    A meter that is read more often is judged when the watermark enters a new local day: the 7
    days up to the last that it has spoken of to its end, against the 28 before, which must move
    by more than the median move of its cohort in the area where that has more than ``peers``
    meters, since the weather is not an anomaly [2]_. A day that nobody saw is unknown, not a day
    without use; more than half of the days must be known. What comes late, or is corrected,
    amends its day while that is not judged yet.

    high, low  ratios of ADU beyond which a meter is flagged. [-]
    back       ratio within which an episode is over. [-]
    noise      standard errors of a 7-day mean that a move must exceed. [-]
    peers      an area with no more meters than this is not used. [-]
    most_periods, most_days  after so long the new level is taken for normal. [-]
    Cost       measured by ``make bench`` on the packaged demo meters, in its table.

    .. [1] DETECTION §1 and §2, high/low row.
    .. [2] DETECTION §3, "The weather is not an anomaly".
    """

    high: float = 2.0
    low: float = 0.5
    back: float = 1.5
    noise: float = 4.0
    peers: int = 8
    most_periods: int = 3
    most_days: int = 56

    name = "high_low"
    version = 1
    kinds = ("high_usage", "low_usage")

    def __post_init__(self) -> None:
        if not (self.high > 1 > self.low > 0 and 1 <= self.back <= min(self.high, 1 / self.low)):
            raise ValueError(
                "need high > 1 > low > 0 and 1 <= back <= high and 1 / low, "
                f"got high={self.high}, low={self.low} and back={self.back}"
            )
        if not (self.noise >= 0 and self.peers >= 0):
            raise ValueError(f"need noise >= 0 and peers >= 0, got {self.noise} and {self.peers}")
        if not (1 <= self.most_periods <= 255 and 1 <= self.most_days <= 255):
            raise ValueError(
                f"need most_periods and most_days from 1 to 255, got {self.most_periods} and {self.most_days}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Amount and days of the period, use a day now and before, and what it was compared with besides."""
        compared = ("use_a_day", "use_a_day_before", "use_a_day_last_year", "area_move")
        names = ("billed_amount", "billed_days", *compared)
        return {"high_usage": names, "low_usage": names}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Episode and counters, the periods, the days."""
        return (
            Column("level", LEVEL, scales=("base",)),
            Column("periods", PERIOD, PERIODS, cold=True, scales=("amount",)),
            Column("daily", np.dtype(np.float32), DAYS, scales=("",)),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts to days; judge a long period at its read."""
        b = batch
        notes = np.empty((len(out), PERIODS), PERIOD)
        found: int = _update(
            state.of(self.name, "level"), state.of(self.name, "periods"), state.of(self.name, "daily"), notes,
            state.meters, state.cold, b.slot, b.time, b.local, b.usage, b.span, b.usual, b.status, b.live,
            self.high, self.low, self.back, self.most_periods, out,
        )  # fmt: skip
        state.notes[self.name] = {_key(out[i]): notes[i] for i in range(found)}
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Judge the days that have closed."""
        found: int = judge_days(
            state.of(self.name, "level"), state.of(self.name, "daily"), state.of("intervals", "pulse"),
            state.meters, state.hot, meters, before, watermark,
            self.high, self.low, self.back, self.noise, self.peers, self.most_days, out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared and, where periods are compared, the periods before this one, oldest first."""
        told = named(self.evidence, self.kinds[finding["kind"]], finding)
        if finding["row"] >= 0:
            past = state.notes[self.name][_key(finding)]
            told["periods"] = [
                {
                    "start_ns": (int(p["end"]) - int(p["span"])) * NS,
                    "end_ns": int(p["end"]) * NS,
                    "days": round(int(p["span"]) / 86400, 4),
                    "amount": float(str(p["amount"])),  # 26.35, not what single precision makes of it
                }
                for p in np.sort(past[past["span"] > 0], order="end")
            ]
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One period, or five weeks of days."""
        s = state.of(self.name, "level")[slots]
        ready: NDArray[np.bool_] = (s["kept"] >= 1) | (
            (s["known"] > 0) & (s["judged"] - s["known"] + 1 >= WEEK + REFERENCE)
        )
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(self)
