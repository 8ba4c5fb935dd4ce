"""The high/low check: average daily use against the meter's own past, over unequal periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, Column, Rule, State, named
from detectors.batch import (
    CORRECTION,
    DAY,
    ESTIMATED,
    F64,
    FINE,
    FIRST,
    I64,
    INTERVAL,
    LATE,
    NS,
    OK,
    SUSPECT,
    SWAPPED,
    TRUE_UP,
    U8,
    Batch,
    Records,
)
from detectors.days import DAYS, REFERENCE, WEEK, Daily, amend, book, judge_days, speak, take_back, unsay
from detectors.equal_days import count_same
from detectors.kernel import kernel
from detectors.level import LEVEL
from detectors.periods import (
    F8,
    MATURE,
    PERIOD,
    PERIODS,
    RATES,
    false_flags,
    forget_noughts,
    is_period,
    judge_period,
)

EXACT = 1.0 + 1e-9  # what is on the line exactly is so in amounts as in uses a day


@kernel
def _update(
    level: Records, ring: Records, daily: Daily, notes: Records, meters: Records, cold: U8,
    slot: I64, time: I64, local: I64, kind: U8, period: I64, usage: F64, span: I64, usual: I64, since: I64,
    back: F64, status: U8, live: U8, note: U8, marks: NDArray[np.uint16], weights: F8, lines: F8, high: float,
    low: float, calm: float, most: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        if note[i] & SWAPPED:
            unsay(level, daily, j)
            cold[j // BLOCK] |= forget_noughts(level, ring, j)
        if status[i] == OK or status[i] == FIRST or status[i] == SUSPECT:
            speak(level, j, local[i])
        if span[i] <= 0 or usual[i] <= FINE or not np.isfinite(usage[i]):
            continue
        rare = is_period(span[i], usual[i])
        if status[i] == LATE or status[i] == CORRECTION:
            if not rare:
                amend(level, daily, j, local[i], span[i], usage[i])
        elif status[i] == OK and rare:
            cold[j // BLOCK] = 1
            unsure = kind[i] == INTERVAL and period[i] == 0
            # A bill after estimated ones has what they left out, too: ``Estimates`` tells of it.
            sound = live[i] == 1 and not (note[i] & TRUE_UP and kind[i] == INTERVAL)
            n = judge_period(
                level, ring, notes, weights, i, j, time[i], usage[i], span[i], unsure, sound,
                meters[j].contract != 0, meters[j].floor, lines, high, low, calm, most, out, n,
            )  # fmt: skip
        elif status[i] == OK:
            if back[i] != 0.0:
                take_back(level, daily, j, local[i] - since[i], span[i] - since[i], back[i])
            book(level, daily, j, local[i], span[i], usage[i])
            count_same(level, j, usage[i], span[i], marks[i] & ESTIMATED == 0 and back[i] == 0.0)
    return n


@dataclass(frozen=True, slots=True)
class Notes(Rule):
    """What the latest batch saw: the periods before a finding, of each row its weights (high, low) and season."""

    periods: dict[tuple[int, int], NDArray[Any]]
    weights: NDArray[np.float64]


def _key(finding: Any) -> tuple[int, int]:
    """What a finding of the latest batch is known by."""
    return int(finding["row"]), int(finding["verb"])


@dataclass(frozen=True, slots=True)
class HighLow(Rule):
    """High/low check on average daily use (ADU).

    A meter that is read rarely (usually every 8 days or more; or after 20) is judged at each read, once five
    months or thirteen periods of it are known. Its ADU is taken in logarithms, above twice what is worth
    a person's time, and held against the last thirteen periods, of whatever length (the golden case is
    176 m³ in 366 days, then 273 m³ in 61): *high* upwards from a point between the median of the last three and the
    highest, *low* downwards from one between the median of the last six and the lowest. The distance in
    spreads of the meter's own periods, these drawn towards that of meters at large as long as they are
    few, is its weight [1]_; how many false flags a weight costs was measured
    (``detectors.periods.RATES``), so that ``budget`` sets the line and the score, −log10 of the false
    flags per 1,000 meter-days, compares with those of ``Habit``. Besides, ADU must be beyond ``high`` or
    ``low`` times what is usual and what the same period last year had, where there is one [2]_. No use
    at all is *zero_usage*, also where little was an open *low_usage*; of neither is anything said where the
    registry knows that nobody is there (``contract``). Once a year is known and its periods show a yearly
    wave (heating), each counts as what it would have been at the time of year of the one that is judged,
    and the spread takes in a season that comes ten days early or late (``detectors.season``). A bill that
    comes after estimated ones is left to ``Estimates``. A bill that does not say what it covers covers the
    time since the last or the usual time between bills, whichever is the more usual.

    A meter that is read more often is judged when the watermark enters a new local day: the 7
    days up to the last that it has spoken of to its end, against the 28 before, which must move
    by more than the median move of its cohort in the area where that has more than ``peers``
    meters, since the weather is not an anomaly [3]_. A day that nobody saw is unknown, not a day
    without use; more than half of the days must be known. Nor is one day a level: without its highest
    day, too, the week must be above ``back``. Four weeks in which nobody was there for a week or more are
    only held against what is little, and by the days of the others. A fall that is all days without use,
    three at least, is *zero_usage*; seven days and more of the same amount, each read by itself, are *stuck* where the
    four weeks before scatter by ten steps of the register (``detectors.equal_days``). What comes late, or is corrected,
    amends its day while that is not judged yet; what a reading takes back is gone from its days.

    high, low  ratios of ADU beyond which a meter is flagged. [-]
    back       ratio within which an episode is over. [-]
    noise      standard errors of a 7-day mean that a move must exceed. [-]
    peers      an area with no more meters than this is not used. [-]
    most_periods, most_days  after so long the new level is taken for normal. [-]
    budget     false flags per 1,000 periods, on either side, of meters that are read rarely. [-]
    Shapes     a batch's columns (n,); state ``level`` (meters,), ``periods`` (meters, 13), ``daily`` (meters, 42).
    Not for    rarely read meters whose use has no level: standpipes, building sites; a first winter or summer of
               heating, with none before it.
    Cost       2.0 false high and 2.3 false low flags per 1,000 bills of 2,433 water meters (docs/adr/0012).

    .. [1] A shrunken scale as in G. Smyth, "Linear models and empirical Bayes methods", Statistical
       Applications in Genetics and Molecular Biology 3 (2004), article 3; the numbers in ``detectors.periods``
       were chosen on half of the meters (docs/adr/0012).
    .. [2] DETECTION §1 and §2, high/low row.
    .. [3] DETECTION §3, "The weather is not an anomaly".
    """

    high: float = 2.0
    low: float = 0.5
    back: float = 1.5
    noise: float = 4.0
    peers: int = 8
    most_periods: int = 3
    most_days: int = 56
    budget: float = 2.2

    name = "high_low"
    version = 3
    kinds = ("high_usage", "low_usage", "zero_usage", "stuck")

    def __post_init__(self) -> None:
        if not (self.high > 1 > self.low > 0 and 1 <= self.back <= min(self.high, 1 / self.low)):
            raise ValueError(
                "need high > 1 > low > 0 and 1 <= back <= high and 1 / low, "
                f"got high={self.high}, low={self.low} and back={self.back}"
            )
        if not (self.noise >= 0 and self.peers >= 0):
            raise ValueError(f"need noise >= 0 and peers >= 0, got {self.noise} and {self.peers}")
        if not self.budget > 0:
            raise ValueError(f"need budget > 0, got {self.budget}")
        if not (1 <= self.most_periods <= 255 and 1 <= self.most_days <= 255):
            raise ValueError(
                f"need most_periods and most_days from 1 to 255, got {self.most_periods} and {self.most_days}"
            )

    @property
    def lines(self) -> NDArray[np.float64]:
        """Weights at which so many periods of 1,000 are beyond without a fault: high, low. Shape (2,)."""
        return np.array([(a - np.log(self.budget)) / b for a, b in RATES])

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Amount and days of the period, use a day now and before, and what it was compared with besides."""
        compared = ("use_a_day", "use_a_day_before", "use_a_day_last_year", "area_move")
        names = ("billed_amount", "billed_days", *compared)
        return dict.fromkeys(self.kinds, names)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Episode and counters, the periods, the days."""
        return (
            Column("level", LEVEL, scales=("base", "amount")),
            Column("periods", PERIOD, PERIODS, cold=True, scales=("amount",)),
            Column("daily", np.dtype(np.float32), DAYS, scales=("",)),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts to days; judge a long period at its read."""
        b = batch
        notes = np.empty((len(out), PERIODS), PERIOD)
        weights = np.full((len(b), 3), np.nan)
        found: int = _update(
            state.of(self.name, "level"), state.of(self.name, "periods"), state.of(self.name, "daily"), notes,
            state.meters, state.cold, b.slot, b.time, b.local, b.kind, b.period, b.usage, b.span, b.usual, b.since,
            b.back, b.status, b.live, b.note, b.marks, weights, self.lines, self.high, self.low, self.back,
            self.most_periods, out,
        )  # fmt: skip
        state.notes[self.name] = Notes({_key(out[i]): notes[i] for i in range(found)}, weights)
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
        if finding["verb"] == CLEAR and not self._back(finding):
            told["new_habit"] = True
        if finding["row"] >= 0:
            seen: Notes = state.notes[self.name]
            past = seen.periods[_key(finding)]
            side = 0 if self.kinds[finding["kind"]] == "high_usage" else 1
            weight = float(seen.weights[finding["row"], side])
            if weight == weight:
                told["weight"] = float(f"{weight:.6g}")
                told["threshold"] = float(f"{self.lines[side]:.6g}")
                often = false_flags(side, weight, round(float(finding["e1"]) * DAY))
                told["false_per_1000_days"] = float(f"{often:.6g}")
            now = float(seen.weights[finding["row"], 2])
            if now == now:
                told["season"] = float(f"{now:.6g}")
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

    def _back(self, finding: Any) -> bool:
        """Whether an episode ends since its use is within ``back`` of what it was held against, not since it lasts."""
        area = float(finding["e5"]) if finding["e5"] == finding["e5"] else 1.0
        now, base = float(finding["observed"]), float(finding["expected"])
        kind = self.kinds[finding["kind"]]
        if kind == "stuck":
            return True
        if kind == "high_usage":
            return now <= self.back * base * max(area, 1.0) * EXACT
        if kind == "low_usage" and now <= 0 and finding["row"] >= 0:
            return True  # no use in a whole period takes its place
        return now * EXACT >= base * min(area, 1.0) / self.back

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Five months of periods, or five weeks of days."""
        s = state.of(self.name, "level")[slots]
        told = state.of(self.name, "periods")[slots]["span"].sum(axis=1, dtype=np.int64)
        ready: NDArray[np.bool_] = ((told >= MATURE) | (s["kept"] == PERIODS)) | (
            (s["known"] > 0) & (s["judged"] - s["known"] + 1 >= WEEK + REFERENCE)
        )
        return ready
