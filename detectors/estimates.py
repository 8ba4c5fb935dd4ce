"""Estimated readings: too many in a row, and the actual one that trues them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, UPDATE, Column, Rule, State
from detectors.batch import DAY, ESTIMATED, F64, I64, INTERVAL, OK, REGISTER, TRUE_UP, U8, Batch, Records
from detectors.kernel import kernel
from detectors.periods import is_period
from detectors.pulse import heard_for

RUN = np.dtype(
    [
        ("sure", np.int64),  # the newest actual read; before there is one, the first reading [ns]
        ("guessed", np.float32),  # intervals' estimates since then [unit]
        ("open", np.uint8),
    ],
    align=True,
)

LONG, TRUED = 0, 1  # indexes of Estimates.kinds


@kernel
def _say(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float,
    observed: float, expected: float, days: float, usual: float,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, observed, expected
    f.e0, f.e1, f.e2, f.e3 = days, usual, expected, observed
    return n + 1


@kernel
def _update(
    run: Records, meters: Records, slot: I64, time: I64, kind: U8, marks: NDArray[np.uint16], usage: F64,
    span: I64, usual: I64, since: I64, back: F64, status: U8, live: U8, note: U8,
    days: int, periods: float, share: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    nan = np.nan
    for i in range(slot.size):
        j = slot[i]
        s = run[j]
        t = time[i]
        if since[i] <= 0:
            if s.sure == 0 and live[i]:
                s.sure = t
            continue
        lapse = t - s.sure if s.sure > 0 else 0
        if marks[i] & ESTIMATED:
            if s.sure == 0:
                s.sure = t
            elif kind[i] == INTERVAL and status[i] == OK and np.isfinite(usage[i]):
                s.guessed += usage[i]
            limit = days
            if 2 * usual[i] > 3 * DAY:
                limit = max(days, int(periods * usual[i]))
            if live[i] and not s.open and lapse > limit:
                s.open = 1
                n = _say(
                    out, n, i, j, LONG, RAISE, t, s.sure, lapse / limit, nan, nan, lapse / DAY, usual[i] / DAY
                )
            continue
        s.sure = t
        guessed, s.guessed = float(s.guessed), 0.0
        verb = 0
        bill = kind[i] == INTERVAL and is_period(span[i], usual[i])
        if note[i] & TRUE_UP and (kind[i] == REGISTER or bill) and status[i] == OK and live[i]:
            # What was estimated, over the time since the last estimate as well. The bill after estimated ones
            # has what they left out; of hours and days each stands for itself.
            if kind[i] == REGISTER:
                rate = back[i] / (span[i] - since[i]) if span[i] > since[i] else 0.0
            else:
                rate = guessed / (lapse - span[i]) if lapse > span[i] else 0.0
            guess = rate * span[i]
            off, size = abs(usage[i] - guess), max(abs(usage[i]), abs(guess))
            if off > share * size and off > meters[j].floor * span[i] / DAY:
                verb = UPDATE if s.open else RAISE
                n = _say(
                    out, n, i, j, TRUED, verb, t, t - span[i], off / (share * size), usage[i], guess,
                    span[i] / DAY, usual[i] / DAY,
                )  # fmt: skip
                n = _say(
                    out, n, i, j, TRUED, CLEAR, t, t - span[i], 0.0, usage[i], guess, span[i] / DAY,
                    usual[i] / DAY,
                )  # fmt: skip
        if s.open and verb == 0:
            n = _say(out, n, i, j, LONG, CLEAR, t, t - lapse, 0.0, nan, nan, lapse / DAY, usual[i] / DAY)
        s.open = 0
    return n


@dataclass(frozen=True, slots=True)
class Estimates(Rule):
    """Readings marked as estimated: prolonged estimation, and true-up.

    The statistic is the time since the last actual read [1]_: more than ``days`` for a meter read
    daily or more often, more than ``periods`` of its usual spacing for one read less often, make
    an *estimated_run*, at the estimate that exceeds it; the next actual read ends it. That read
    says what was used since the actual one before. If it differs from what the estimates come
    to over the same time by more than ``share`` of the larger, and by more than matters for a
    meter, it is a *true_up*, raised
    and cleared at once: money is owed one way or the other, but nothing has happened that day.

    days     since an actual read, for meters read daily. [d]
    periods  the same in usual spacings, for others. [-]
    share    difference of a true-up worth a person's time. [-]
    Shapes   a batch's columns (n,); state ``run`` (meters,).
    Not for  senders that do not mark their estimates.
    Use      needs the mark *estimated* from the sender. A bill after estimated ones is held against the
             use a day that they came to; of interval meters read more often the read after estimates is
             marked (``Batch.note``) but not compared, since each interval stands for itself.
    Cost     no flag on four sets of real meters and on the packaged demo meters, which have no
             estimates (``forestall replay``).

    .. [1] DETECTION §2, "prolonged estimation", and §3, "estimated then actual".
    """

    days: float = 3.0
    periods: float = 2.5
    share: float = 0.25

    name = "estimates"
    version = 2
    kinds = ("estimated_run", "true_up")

    def __post_init__(self) -> None:
        if not (self.days > 0 and self.periods >= 1 and 0 < self.share <= 1):
            raise ValueError(f"need days > 0, periods >= 1 and 0 < share <= 1, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How long, and how much."""
        names = ("days_since_actual", "usual_days")
        return {"estimated_run": names, "true_up": (*names, "estimated_amount", "actual_amount")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The last actual read."""
        return (Column("run", RUN, scales=("guessed",)),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Count the days, compare the amounts."""
        b = batch
        found: int = _update(
            state.of(self.name, "run"), state.meters, b.slot, b.time, b.kind, b.marks, b.usage, b.span, b.usual,
            b.since, b.back, b.status, b.live, b.note, round(self.days * DAY), self.periods, self.share, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
