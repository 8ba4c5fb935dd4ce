"""Continuous flow: Q litres an hour for T hours, with few quiet hours between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, State, named
from detectors.batch import F64, HOUR, I64, OK, U8, Batch, Records, Row
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
        ("rest", np.float32),  # hours of rest within the run [h]
        ("open", np.uint8),
    ],
    align=True,
)


@kernel
def _say(
    s: Row, n: int, row: int, slot: int, verb: int, at: int, score: float, observed: float, limit: float,
    out: Records,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, 0, verb
    f.at, f.start, f.end = at, s.start, at
    f.score, f.observed, f.expected = score, observed, limit
    f.e0, f.e1, f.e2, f.e3, f.e4 = s.least, limit, (at - s.start) / HOUR, s.rest, s.rested
    return n + 1


@kernel
def _update(
    flow: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, status: U8, live: U8,
    need: float, price: float, over: float, habit: float, memory: float, warm: float, out: Records,
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
            if s.hours <= 0 and s.open == 0:
                s.start = time[i] - span[i]
                s.least, s.total, s.rest = rate, 0.0, 0.0
            s.hours += hours
            s.quiet = 0.0
            s.total += usage[i]
            s.least = min(s.least, rate)
            if s.open == 0:
                s.rested -= weight * s.rested
                known = 1.0 - np.exp(-s.watched / memory)  # of the memory, while the meter is young
                if s.hours >= need and live[i] and s.watched >= warm and s.rested >= habit * known:
                    s.open = 1
                    mean = s.total * HOUR / (time[i] - s.start)
                    n = _say(s, n, i, j, RAISE, time[i], min(s.least / limit, 10.0), mean, limit, out)
        else:
            s.quiet += hours
            s.rest += hours
            s.rested += weight * (1.0 - s.rested)
            s.hours -= price * hours
            if s.hours <= 0 or s.quiet >= over:
                if s.open and s.quiet >= over:
                    n = _say(s, n, i, j, CLEAR, time[i], 0.0, rate, limit, out)
                    s.open = 0
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
    over    hours of rest in a row that end an episode; until then it is one run. [h]
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
    habit: float = 0.25
    memory_days: float = 28.0
    warm_days: float = 14.0

    name = "continuous_flow"
    version = 1
    kinds = ("continuous_flow",)

    def __post_init__(self) -> None:
        sizes = (self.hours, self.price, self.over, self.memory_days)
        if not (all(size > 0 for size in sizes) and 0 <= self.habit < 1 and self.warm_days >= 0):
            raise ValueError(
                f"need hours, price, over, memory_days > 0, 0 <= habit < 1 and warm_days >= 0, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The two numbers that staff read, and what the run was like."""
        names = ("least_flow_per_hour", "limit_per_hour", "hours", "quiet_hours", "usual_quiet_share")
        return {"continuous_flow": names}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The run."""
        return (Column("flow", FLOW, scales=("total", "least")),)

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
