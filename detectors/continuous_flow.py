"""Continuous flow: Q litres an hour for T hours, with few quiet hours between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
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
        ("usual", np.float32),  # mean flow of late, exponentially weighted [unit/h]
        ("least", np.float32),  # least flow of the run [unit/h]
        ("rest", np.float32),  # hours of rest within the run [h]
        ("open", np.uint8),
    ],
    align=True,
)
SHORTER, FALLING = 0.36, 0.9  # powers of the budget that T and the surprise fall with
LOG_COST = np.log10(0.3)  # false flags per 1,000 meter-days in homes, at a budget of 1
HIDDEN = 96 * HOUR  # a hole in a run that is longer ends it: nobody knows what was in it


@kernel
def _say(
    s: Row, n: int, row: int, slot: int, verb: int, at: int, score: float, observed: float, limit: float,
    out: Records,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, 0, verb
    f.at, f.start, f.end = at, s.start, at
    f.score, f.observed, f.expected = score, observed, limit
    f.e0, f.e1, f.e2, f.e3, f.e4, f.e5 = s.least, limit, (at - s.start) / HOUR, s.rest, s.rested, s.usual
    return n + 1


@kernel
def surprise(s: Row, known: float, share: float, faint: float) -> float:
    """How far the run is from this meter's habit. [nats]

    ``hours`` without rest of a meter that rests the share p of its time: −hours · ln(1 − p), were its
    hours independent; less where the flow that never stops is small beside the usual one.
    """
    p = min(s.rested / known, 0.999)
    fraction = s.least / (share * s.usual) if s.usual > 0 else 1.0
    return float(-s.hours * np.log1p(-p) * min(max(fraction, faint), 1.0))


@kernel
def _update(
    flow: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, status: U8, live: U8,
    need: float, enough: float, habit: float, share: float, faint: float, price: float, over: float, credit: float,
    memory: float, warm: float, normal: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or span[i] <= 0:
            continue
        j = slot[i]
        limit = meters[j].quiet
        if limit <= 0:
            continue
        s = flow[j]
        hours = span[i] / HOUR
        rate = usage[i] / hours
        if span[i] > 2 * HOUR:
            if s.hours <= 0 and s.open == 0:
                continue  # a day's total cannot tell that the flow never stopped
            if rate > limit and span[i] <= HIDDEN:
                s.hours += credit * hours
                s.total += usage[i]
                continue
        s.watched += hours
        weight = min(hours / memory, 1.0)
        if s.open == 0:
            s.usual += max(weight, hours / s.watched) * (rate - s.usual)
        if rate > limit and span[i] <= 2 * HOUR:
            if s.hours <= 0 and s.open == 0:
                s.start = time[i] - span[i]
                s.least, s.total, s.rest = rate, 0.0, 0.0
            s.hours += hours
            s.quiet = 0.0
            s.total += usage[i]
            s.least = min(s.least, rate)
            if s.open == 0:
                s.rested -= weight * s.rested
                if s.hours >= need and live[i] and s.watched >= warm:
                    known = 1.0 - np.exp(-s.watched / memory)  # of the memory, while the meter is young
                    weighed = surprise(s, known, share, faint)
                    if weighed >= enough and s.rested >= habit * known:
                        s.open = 1
                        mean = s.total * HOUR / (time[i] - s.start)
                        score = max(np.log10(weighed / normal) / FALLING - LOG_COST, 0.0)
                        n = _say(s, n, i, j, RAISE, time[i], score, mean, limit, out)
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
class ContinuousFlow(Rule):
    """Flow that does not stop: above Q for T hours, of a meter that is used to rest.

    Q is the meter's ``quiet`` flow (2 L/h of water, 0.02 m³/h of gas by default). A fixed T is at
    once too long for a home that rests every night and too short for one that hardly ever does
    [1]_: T is ``hours`` at least, and so long that the run is a surprise of ``enough`` nats to
    this meter. A meter that rests the share p of its time (``memory_days``, exponentially weighted)
    is surprised by −ln(1 − p) in every hour without rest. A flow that never falls below ``share``
    of the meter's mean flow counts in full, a smaller one in proportion, down to ``faint``: use that
    just happens to touch every hour leaves little in the least of them, a leak leaves all of itself.

    A run survives single quiet hours, each of which costs it ``price`` hours, since a strict run
    misses a leak with one quiet hour [1]_. Hours without a reading count by ``credit`` where a
    register shows that their mean flow was above Q.

    The score is −log10 of the false flags per 1,000 meter-days that a surprise costs in homes, as
    measured, so that it compares with that of ``habit``.

    budget  false flags per 1,000 meter-days of all kinds for which the other figures hold is 1: ``hours``
            are divided by budget^0.36, ``enough`` by budget^0.9. [-]
    hours   least T, at a budget of 1. [h]
    enough  surprise that is asked for, at a budget of 1. [nat]
    habit   share of quiet time below which a meter counts as one that never rests, and is not judged. [-]
    share   of the mean flow above which a run counts in full. [-]
    faint   what the faintest counts. [-]
    price   what an hour of rest takes from the run. [-]
    over    hours of rest in a row that end an episode; until then it is one run. [h]
    credit  what an hour without a reading counts. [-]
    memory_days  over which rest and mean flow are weighted. [d]
    warm_days    of watching before the first flag. [d]
    Use     only intervals of up to 2 h; a day's total cannot show it.
    Cost    the table of docs/adr/0011.

    .. [1] DETECTION §3, "Leaks: use flow that never stops".
    """

    budget: float = 1.0
    hours: float = 36.0
    enough: float = 30.0
    habit: float = 0.25
    share: float = 0.4
    faint: float = 0.25
    price: float = 12.0
    over: float = 3.0
    credit: float = 0.5
    memory_days: float = 28.0
    warm_days: float = 14.0

    name = "continuous_flow"
    version = 2
    kinds = ("continuous_flow",)

    def __post_init__(self) -> None:
        sizes = (self.budget, self.hours, self.enough, self.share, self.price, self.over, self.memory_days)
        if not (
            all(size > 0 for size in sizes)
            and 0 <= self.habit < 1
            and 0 < self.faint <= 1
            and 0 <= self.credit <= 1
            and self.warm_days >= 0
        ):
            raise ValueError(
                "need budget, hours, enough, share, price, over, memory_days > 0, 0 <= habit < 1, 0 < faint <= 1, "
                f"0 <= credit <= 1 and warm_days >= 0, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The two numbers that staff read, what the run was like, and what the meter is used to."""
        return {
            "continuous_flow": (
                "least_flow_per_hour", "limit_per_hour", "hours", "quiet_hours", "usual_quiet_share",
                "usual_flow_per_hour",
            )
        }  # fmt: skip

    @property
    def columns(self) -> tuple[Column, ...]:
        """The run."""
        return (Column("flow", FLOW, scales=("total", "least", "usual")),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters of a commodity whose flow is to rest at times."""
        concerned: NDArray[np.bool_] = meters["quiet"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Lengthen or break the run."""
        b = batch
        found: int = _update(
            state.of(self.name, "flow"), state.meters, b.slot, b.time, b.usage, b.span, b.status, b.live,
            self.hours / self.budget**SHORTER, self.enough / self.budget**FALLING, self.habit, self.share, self.faint,
            self.price, self.over, self.credit, self.memory_days * 24, self.warm_days * 24, self.enough, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After two weeks of watching."""
        ready: NDArray[np.bool_] = state.of(self.name, "flow")["watched"][slots] >= self.warm_days * 24
        return ready
