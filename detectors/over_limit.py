"""More flow than the meter is made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, F64, HOUR, I64, OK, U8, Batch, Records
from detectors.kernel import kernel
from detectors.pulse import heard_for

OVER = np.dtype(
    [
        ("amount", np.float32),  # used since the flow was last judged [unit]
        ("hours", np.float32),  # time that it covers [h]
        ("calm", np.float32),  # hours in a row within the limit, while the flag is open [h]
        ("open", np.uint8),
    ],
    align=True,
)


@kernel
def _update(
    over: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, status: U8, live: U8,
    least: float, back: float, calm: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        limit = meters[j].q_max
        if not limit > 0 or status[i] != OK or span[i] <= 0:
            continue
        s = over[j]
        s.amount += usage[i]
        s.hours += span[i] / HOUR
        if s.hours < least:
            continue  # a pulse or two in some seconds is no flow
        flow, hours = s.amount / s.hours, s.hours
        s.amount, s.hours = 0.0, 0.0
        verb = 0
        if flow > limit:
            s.calm = 0.0
            if s.open == 0 and live[i]:
                s.open, verb = 1, RAISE
        elif s.open:
            s.calm = s.calm + hours if flow <= back * limit else 0.0
            if s.calm >= calm:
                s.open, verb = 0, CLEAR
        if verb:
            f = out[n]
            f.slot, f.row, f.kind, f.verb = j, i, 0, verb
            f.at = f.end = time[i]
            f.start = time[i] - span[i]
            f.score, f.observed, f.expected = min(flow / limit, 10.0), flow, limit
            f.e0, f.e1, f.e2 = flow, limit, hours
            n += 1
    return n


@dataclass(frozen=True, slots=True)
class OverLimit(Rule):
    """Flow above the meter's Qmax: more than can pass through it rightly.

    The statistic is the mean flow, amount by time, over at least ``minutes``, against the
    registry's ``q_max`` in the meter's unit an hour, of an electricity meter also ``i_max`` times the
    voltage and the ``phases`` [1]_. It ends after ``calm_hours`` at no more
    than ``back`` of the limit.

    minutes  amounts are put together up to this time. [min]
    back     share of the limit below which the flow is calm. [-]
    calm_hours  for so long. [h]
    Shapes   a batch's columns (n,); state ``over`` (meters,).
    Not for  meters whose intervals are long against their peaks: a day's mean hides an hour.
    Use      only meters with ``q_max``, whose intervals are short against the peaks that matter: a
             day's mean hides an hour. For gas it is a matter of safety.
    Cost     no flag on four sets of real meters and on the packaged demo meters, which state no
             ``q_max`` (``forestall replay``).

    .. [1] DETECTION §2, "physical limit"; OIML R 49-1 and R 137 define the overload flow.
    """

    minutes: float = 5.0
    back: float = 0.9
    calm_hours: float = 1.0

    name = "over_limit"
    version = 1
    kinds = ("over_limit",)

    def __post_init__(self) -> None:
        if not (self.minutes > 0 and 0 < self.back <= 1 and self.calm_hours >= 0):
            raise ValueError(f"need minutes > 0, 0 < back <= 1 and calm_hours >= 0, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The flow and its limit."""
        return {"over_limit": ("flow_per_hour", "limit_per_hour", "hours")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """What has not been judged yet."""
        return (Column("over", OVER, scales=("amount",)),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters whose largest flow the registry states."""
        concerned: NDArray[np.bool_] = meters["q_max"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Judge the flow."""
        b = batch
        found: int = _update(
            state.of(self.name, "over"), state.meters, b.slot, b.time, b.usage, b.span, b.status, b.live,
            self.minutes / 60 * (1 - 1e-6), self.back, self.calm_hours, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
