"""Continuous flow: Q litres an hour for T hours, with few quiet hours between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, State, named
from detectors.batch import HOUR, OK, Batch, Records
from detectors.kernel import kernel

FLOW = np.dtype(
    [
        ("start", np.int64),  # when the run began [ns]
        ("total", np.float64),  # amount of the run [unit]
        ("hours", np.float32),  # weight of the run: hours of flow less the price of quiet ones [h]
        ("quiet", np.float32),  # hours of rest in a row [h]
        ("rested", np.float32),  # share of quiet time of late, exponentially weighted [-]
        ("watched", np.float32),  # hours seen [h]
        ("least", np.float32),  # least flow of the run [unit/h]
        ("open", np.uint8),
    ],
    align=True,
)


@kernel
def _update(
    flow: Records, meters: Records, slot: NDArray[np.int64], time: NDArray[np.int64], usage: NDArray[np.float64],
    span: NDArray[np.int64], status: NDArray[np.uint8], live: NDArray[np.uint8], need: float, price: float,
    over: float, habit: float, memory: float, warm: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or span[i] <= 0 or span[i] > 2 * HOUR:
            continue  # a day's total cannot tell that the flow never stopped
        j = slot[i]
        limit = meters[j].quiet
        if limit <= 0:
            continue
        s = flow[j]
        hours = span[i] / HOUR
        rate = usage[i] / hours
        s.watched += hours
        weight = min(hours / memory, 1.0)
        if rate > limit:
            if s.hours <= 0:
                s.start = time[i] - span[i]
                s.least, s.total = rate, 0.0
            s.hours += hours
            s.quiet = 0.0
            s.total += usage[i]
            if rate < s.least:
                s.least = rate
            if s.open == 0:
                s.rested -= weight * s.rested
            if s.open == 0 and s.hours >= need and live[i] and s.watched >= warm and s.rested >= habit:
                s.open = 1
                ran = (time[i] - s.start) / HOUR
                f = out[n]
                f.slot, f.row, f.kind, f.verb, f.at, f.start, f.end = j, i, 0, RAISE, time[i], s.start, time[i]
                f.score, f.observed, f.expected = min(s.least / limit, 10.0), s.total / ran, limit
                f.e0, f.e1, f.e2, f.e3, f.e4 = s.least, limit, ran, ran - s.hours, s.rested
                n += 1
        else:
            s.quiet += hours
            s.rested += weight * (1.0 - s.rested)
            s.hours -= price * hours
            if s.hours <= 0 or s.quiet >= over:
                if s.open and s.quiet >= over:
                    s.open = 0
                    f = out[n]
                    f.slot, f.row, f.kind, f.verb, f.at, f.start, f.end = j, i, 0, CLEAR, time[i], s.start, time[i]
                    f.score, f.observed, f.expected = 0.0, rate, limit
                    f.e0, f.e1, f.e2, f.e3, f.e4 = s.least, limit, (time[i] - s.start) / HOUR, s.quiet, s.rested
                    n += 1
                s.hours = 0.0
    return n


@dataclass(frozen=True, slots=True)
class ContinuousFlow:
    """Flow that does not stop: above Q for T hours.

    Q is the meter's ``quiet`` flow (2 L/h of water, 0.02 m³/h of gas by default), T is
    ``hours``. A run survives single quiet hours, each of which costs it ``price`` hours, since
    a strict run misses a leak with one quiet hour [1]_. A meter that hardly ever rests by its
    own habit (a boiler house, a hospital) is not judged by this rule.

    hours   T. [h]
    price   what an hour of rest takes from the run. [-]
    over    hours of rest in a row that end an episode. [h]
    habit   share of quiet time below which a meter counts as one that never rests. [-]
    memory_days  over which that share is weighted. [d]
    warm_days    of watching before the first flag. [d]
    Use     only intervals of up to 2 h; a day's total cannot show it.
    Cost    measured by ``make bench`` on the packaged demo meters, in its table.

    .. [1] DETECTION §3, "Leaks: use flow that never stops".
    """

    hours: float = 72.0
    price: float = 12.0
    over: float = 3.0
    habit: float = 0.05
    memory_days: float = 28.0
    warm_days: float = 14.0

    name = "continuous_flow"
    version = 1
    kinds = ("continuous_flow",)

    def __post_init__(self) -> None:
        if min(self.hours, self.price, self.over, self.memory_days) <= 0 or not 0 <= self.habit < 1:
            raise ValueError(f"need hours, price, over, memory_days > 0 and 0 <= habit < 1, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The two numbers that staff read, and what the run was like."""
        return {
            "continuous_flow": ("least_flow_per_hour", "limit_per_hour", "hours", "quiet_hours", "usual_quiet_share")
        }

    @property
    def columns(self) -> tuple[Column, ...]:
        """The run."""
        return (Column("flow", FLOW),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Lengthen or break the run."""
        b = batch
        found: int = _update(
            state.of(self.name, "flow"), state.meters, b.slot, b.time, b.usage, b.span, b.status, b.live,
            self.hours, self.price, self.over, self.habit, self.memory_days * 24, self.warm_days * 24, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Nothing here hangs on the watermark."""
        return 0

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared."""
        return named(self.evidence, self.kinds[finding["kind"]], finding)

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After two weeks of watching."""
        ready: NDArray[np.bool_] = state.of(self.name, "flow")["watched"][slots] >= self.warm_days * 24
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(self)
