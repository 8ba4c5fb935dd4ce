"""A clock that falls behind: readings that come later and later after their stamps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, I64, NS, U8, Batch, Records
from detectors.kernel import kernel
from detectors.pulse import heard_for

LAG = np.dtype(
    [
        ("least", np.float32),  # least time from stamp to arrival on the day under way [s]
        ("base", np.float32),  # the least of any day so far [s]
        ("day", np.int32),  # the day under way, since 1970 (UTC)
        ("since", np.int32),  # the first of the days that were off
        ("days", np.uint8),  # days seen, up to 255
        ("held", np.uint8),  # days in a row that were off
        ("open", np.uint8),
    ],
    align=True,
)

UNKNOWN = 2**62  # an arrival that nobody has stated
ENOUGH = 3  # days that make the base


@kernel
def _update(
    lag: Records,
    slot: I64,
    time: I64,
    limit: I64,
    live: U8,
    beyond: float,
    days: int,
    most: int,
    out: Records,
) -> int:
    n = 0
    for i in range(slot.size):
        if live[i] == 0 or limit[i] > UNKNOWN:
            continue
        j = slot[i]
        s = lag[j]
        day = time[i] // DAY
        late = (limit[i] - time[i]) / NS
        if s.days == 0:
            s.day, s.least, s.base, s.days = day, late, late, 1
            continue
        if day == s.day:
            s.least = min(s.least, late)
            continue
        off = s.least - s.base
        verb = 0
        if off <= 0 or s.days <= ENOUGH:
            s.base = min(s.base, s.least)
            off = 0.0
        if off > beyond:
            if s.held == 0:
                s.since = s.day
            s.held += 1
            if s.open and s.held >= most:
                # It has stayed so for long: that is how its readings come now.
                s.base, s.open, s.held = s.least, 0, 0
                verb = CLEAR
            elif s.held >= days and s.open == 0:
                s.open = 1
                verb = RAISE
        elif s.open == 0 or off <= beyond / 2:
            verb = CLEAR if s.open else 0
            s.open, s.held = 0, 0
        if verb:
            f = out[n]
            f.slot, f.row, f.kind, f.verb = j, i, 0, verb
            f.at = f.end = time[i]
            f.start = s.since * DAY
            f.score, f.observed, f.expected = off / beyond, np.nan, np.nan
            f.e0, f.e1 = off, float(s.held)
            n += 1
        s.day, s.least = day, late
        s.days += s.days < 255
    return n


@dataclass(frozen=True, slots=True)
class Clock(Rule):
    """A device whose stamps fall behind the time at which its readings arrive.

    The statistic is the least time from stamp to arrival of each day: a network's delays come and
    go, and bundles come late, but the freshest reading of a day shows the clock [1]_. More than
    ``minutes`` above the least day so far (from the third on), for ``days`` in a row, is
    *clock_drift*. It ends within half of that, or after ``most`` days, when it is how the
    readings come now. History, what is retained and what came late to its meter's order do not
    count. Stamps ahead of their arrival are seen by ``Intervals``, at once.

    minutes  of lag more than on the best day. [min]
    days     in a row. [-]
    most     days in a row after which the lag is taken for normal. [-]
    Shapes   a batch's columns (n,); state ``lag`` (meters,).
    Not for  files without times of arrival; a clock that was behind from its first day.
    Use      needs the time of arrival; files without it say nothing. A clock that was behind from
             the first day on is not seen.
    Cost     no flag on four sets of real meters and on the packaged demo meters, whose files state
             no arrival (``forestall replay``).

    .. [1] DETECTION §2, "clock drift"; the least of the delays is what network time filters take
       for the offset of a clock (D. Mills, RFC 5905, §10, the clock filter).
    """

    minutes: float = 15.0
    days: int = 3
    most: int = 30

    name = "clock"
    version = 1
    kinds = ("clock_drift",)

    def __post_init__(self) -> None:
        if not (self.minutes > 0 and 1 <= self.days < self.most <= 255):
            raise ValueError(f"need minutes > 0 and 1 <= days < most <= 255, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How far, for how long."""
        return {"clock_drift": ("seconds_behind", "days_behind")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The least lag of the day, and of all days."""
        return (Column("lag", LAG),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare the day that has ended with the best."""
        b = batch
        found: int = _update(
            state.of(self.name, "lag"), b.slot, b.time, b.limit, b.live, self.minutes * 60, self.days,
            self.most, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After some days of watching."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
