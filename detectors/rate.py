"""Rate of change of a supervised point, against what it has done so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import F64, HOUR, I64, LEVEL, NS, U8, Batch, Records
from detectors.finding import is_stock, no_supply, stale, tell
from detectors.kernel import kernel

RATE = np.dtype(
    [
        ("last", np.float32),  # newest value [unit]
        ("quantile", np.float32),  # of the rates of change so far [unit/h]
        ("first", np.uint32),  # the first reading [s since 1970], 0 = none yet
        ("moves", np.uint16),  # changes seen, 65535 = that many or more
        ("open", np.uint8),  # 0, or 1 + calm readings in a row
        ("gone", np.uint8),  # 1 = a voltage that is gone: ``last`` is what it was
    ],
    align=True,
)
MOST = 65535
CALM = 3  # readings below half the line, in a row, that end an episode
CALM_SHARE = 0.5
GAIN = 0.25  # of the quantile's logarithm, at a change beyond it


@kernel
def _say(
    n: int, row: int, j: int, verb: int, at: int, start: int, score: float, x: float, last: float, rate: float,
    line: float, usual: float, out: Records,
) -> int:  # fmt: skip
    return tell(out, n, row, j, 0, verb, at, start, score, x, last, rate, line, usual, np.nan, np.nan, np.nan)


@kernel
def _update(
    rows: Records, meters: Records, slot: I64, time: I64, value: F64, usual: I64, since: I64, status: U8, live: U8,
    factor: float, up: float, down: float, least: int, warm: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != LEVEL or is_stock(meters[slot[i]]):
            continue
        s = rows[slot[i]]
        x = np.float32(value[i])
        if no_supply(meters[slot[i]], value[i], s.last):
            s.gone = 1
            continue
        if s.first == 0 or since[i] <= 0 or s.gone or stale(since[i], usual[i]):
            if s.first == 0:
                s.first = max(time[i] // NS, 1)
            s.gone = 0
            s.last = x
            continue
        last = s.last
        s.last = x
        # What comes sooner than usual is a step, not a faster one.
        rate: Any = np.float32(abs(x - last) / (max(since[i], usual[i]) / HOUR))
        usually = s.quantile
        line: Any = np.float32(factor * usually)
        if s.open:
            if rate > CALM_SHARE * line:
                s.open = 1
            else:
                s.open += 1
                if s.open > CALM:
                    s.open = 0
                    n = _say(
                        n, i, slot[i], CLEAR, time[i], time[i], 0.0, value[i], last, rate, line, usually, out
                    )
            continue
        if rate <= 0:
            continue
        old = s.moves >= least and time[i] // NS - s.first >= warm
        if s.moves < least:
            s.quantile = max(s.quantile, rate)
        else:
            s.quantile *= up if rate > s.quantile else down
        s.moves += 1 if s.moves < MOST else 0
        if old and live[i] and rate > line:
            s.open = 1
            start = time[i] - since[i]
            n = _say(
                n, i, slot[i], RAISE, time[i], start, rate / line, value[i], last, rate, line, usually, out
            )
    return n


@dataclass(frozen=True, slots=True)
class Rate(Rule):
    """Rate of change beyond what the point's own history shows.

    A change between two readings, by the hour, that exceeds the 99.9 % quantile of the point's
    changes so far by half [1]_. The quantile is followed by a stochastic approximation of its
    logarithm, one number a point: a change above it lifts it by a fixed share, one below lowers it by
    a thousandth of that [2]_, so that a wild value moves it no more than any other, and nothing needs
    to be known of the unit. The first thousand changes begin it with the largest of them. Readings
    that do not change teach nothing, nor does anything while an episode is open; what comes after
    more than three spacings is no change between neighbours; a voltage that is gone, or comes back, is none
    either. Over after three calm readings.

    factor    line above the quantile. [-]
    quantile  of the changes of clean history. [-]
    moves     changes to be seen before the first flag … [-]
    warm_days … and days of history. [d]
    Shapes    a batch's columns (n,); state ``rate`` (meters,).
    Not for   points that step (a pump's state) less than once in a thousand changes; what is left of an amount.
    Use       analogue points, but for what is left of an amount (energy, money, a volume that is no tank's:
              a prepaid balance). A point that steps (a pump's state, a tariff) has one size of step,
              which the quantile learns where it comes more than once in a thousand changes.
    Cost      3 flags in 6,000 days of one point in a synthetic clean run (``python -m benchmarks.scada_clean``):
              0.5 per 1,000; about one change in 30,000 of a Laplace-distributed point is beyond the line.

    .. [1] DETECTION §4.
    .. [2] Q. Ma, S. Muthukrishnan, M. Sandler, "Frugal streaming for estimating quantiles", 2013;
       here with multiplicative steps, which makes it H. Robbins' and S. Monro's (1951) on the logarithm.
    """

    factor: float = 1.5
    quantile: float = 0.999
    moves: float = 1000.0
    warm_days: float = 7.0

    name = "rate"
    version = 1
    kinds = ("rate",)

    def __post_init__(self) -> None:
        if not (
            self.factor >= 1 and 0.5 <= self.quantile < 1 and 1 <= self.moves <= MOST and self.warm_days >= 0
        ):
            raise ValueError(
                f"need factor >= 1, 0.5 <= quantile < 1, 1 <= moves <= {MOST} and warm_days >= 0, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The change by the hour, its line, and the quantile that it was held against."""
        return {"rate": ("change_per_hour", "line_per_hour", "usual_highest_per_hour")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The newest value and the quantile."""
        return (Column("rate", RATE, scales=("last", "quantile")),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare each change with its line, and learn from it."""
        b = batch
        if LEVEL not in b.status:
            return 0
        found: int = _update(
            state.of(self.name, "rate"), state.meters, b.slot, b.time, b.value, b.usual, b.since, b.status, b.live,
            self.factor, math.exp(GAIN * self.quantile), math.exp(-GAIN * (1 - self.quantile)),
            int(self.moves), self.warm_days * 86400, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After a thousand changes and a week."""
        s = state.of(self.name, "rate")[slots]
        heard = state.of("intervals", "pulse")["time"][slots] // NS
        ready: NDArray[np.bool_] = (s["moves"] >= self.moves) & (heard >= s["first"] + self.warm_days * 86400)
        return ready
