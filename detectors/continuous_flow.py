"""Continuous flow: Q litres an hour for T hours, with few quiet hours between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import F64, HOUR, I64, OK, U8, Batch, Records, Row
from detectors.kernel import kernel

TIMES = (1.0, 2.0, 3.0, 4.0, 8.0)  # flows that a run is asked for: Q, 2 Q, 3 Q, 4 Q and 8 Q
LEVELS = len(TIMES)
#: What is known of a meter, and its open episode.
FLOW = np.dtype(
    [
        ("start", np.int64),  # when the episode's run began [ns]
        ("watched", np.float32),  # hours seen outside episodes [h]
        ("usual", np.float32),  # mean flow of late, exponentially weighted [unit/h]
        ("least", np.float32),  # least flow of the run, as of the flag [unit/h]
        ("rest", np.float32),  # hours below the level since the run began [h]
        ("calm", np.float32),  # hours since a run was last a surprise of half of what is asked for [h]
        ("worn", np.float32),  # hours since one was last a surprise of all of it [h]
        ("level", np.uint8),  # that the episode was raised at
        ("open", np.uint8),
    ],
    align=True,
)
#: The newest run above a level.
RUN = np.dtype(
    [
        ("start", np.int64),  # when it began [ns]
        ("total", np.float32),  # amount of the run [unit]
        ("hours", np.float32),  # weight of the run: hours of flow less the price of quiet ones [h]
        ("quiet", np.float32),  # hours below the level in a row [h]
        ("rested", np.float32),  # share of time below the level of late, exponentially weighted [-]
        ("least", np.float32),  # least flow of the run [unit/h]
        ("rest", np.float32),  # hours below the level within the run [h]
        ("past", np.float32),  # lengths of the runs that have ended, exponentially weighted [h]
        ("square", np.float32),  # their squares [h²]
    ],
    align=True,
)
#: Powers of the budget that T, the surprise, the own runs' times and the calm fall with.
SHORTER, FALLING, FEWER, SOONER = 0.38, 0.4, 0.5, 1.2
LOG_COST = np.log10(0.23)  # false flags per 1,000 meter-days in homes, at a budget of 1
HIDDEN = 96 * HOUR  # a hole in a run that is longer ends it: nobody knows what was in it
#: What a flow may be short of a level and is still at it: the level is kept in single precision (float32(0.002) is more
#: than 0.002), a rate is a difference of two reads.
NEAR = 1.0 - 1e-6
ALIKE = 1.0 - 1e-4  # of the length asked for is that length: the mean run is kept in single precision
UNSEEN = 48 * HOUR  # a hole of no more, in which the register shows flow, was not calm
PARTLY, BRIEF = (
    0.5,
    12 * HOUR,
)  # share of a level that a hole of so long shows, for it to be neither flow nor rest
AGAIN = 0.5  # share of the surprise asked for with which a run keeps an episode open


@kernel
def surprise(hours: float, rested: float, known: float) -> float:
    """How far a run is from this meter's habit. [nats]

    ``hours`` without rest of a meter that rests the share p of its time: −hours · ln(1 − p), were its
    hours independent.
    """
    return float(-hours * np.log1p(-min(rested / known, 0.999)))


@kernel
def lasting(r: Row) -> float:
    """How long a flow of this meter goes on. [h]

    Mean length of its runs, each as often as it has hours: Σ L² / Σ L, the mean that an hour picked at
    random is in. A few long runs count for more than many short ones. 0 before the first has ended.
    """
    return float(r.square) / float(r.past) if r.past > 0 else 0.0


@kernel
def _say(
    s: Row, n: int, row: int, slot: int, verb: int, at: int, score: float, observed: float, limit: float,
    share: float, out: Records,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, 0, verb
    f.at, f.start, f.end = at, s.start, at
    f.score, f.observed, f.expected = score, observed, limit
    f.e0, f.e1, f.e2, f.e3, f.e4, f.e5 = s.least, limit, (at - s.start) / HOUR, s.rest, share, s.usual
    return n + 1


@kernel
def _flows(r: Row, time: int, span: int, usage: float, rate: float, credit: float) -> None:
    """Lengthen a run."""
    hours = span / HOUR
    if span > 2 * HOUR:
        if r.hours > 0:
            r.hours += credit * hours
            r.total += usage
        return  # a day's total cannot tell that the flow never stopped
    if r.hours <= 0:
        r.start = time - span
        r.least, r.total, r.rest = rate, 0.0, 0.0
    r.hours += hours
    r.quiet = 0.0
    r.total += usage
    r.least = min(r.least, rate)


@kernel
def _rests(r: Row, span: int, price: float, over: float, learn: bool) -> None:
    """Shorten a run, or end it."""
    if r.hours <= 0:
        return
    hours = span / HOUR
    if learn and r.quiet == 0:
        length = float(r.hours)
        r.past += length
        r.square += length * length
    r.quiet += hours
    r.rest += hours
    r.hours -= price * hours
    if r.hours <= 0 or r.quiet >= over:
        r.hours, r.quiet = 0.0, 0.0


@kernel
def _update(
    flow: Records, run: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, status: U8, live: U8,
    need: float, enough: float, times: float, spare: float, habit: float, price: float, over: float, credit: float,
    calm: float, most: float, memory: float, past: float, warm: float, normal: float, out: Records,
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
        fine = span[i] <= 2 * HOUR
        weight = min(hours / memory, 1.0)
        if s.open:
            s.worn += hours
            if fine or span[i] > UNSEEN or rate < limit * TIMES[s.level] * NEAR:
                s.calm += hours
        elif fine:
            s.watched += hours
            s.usual += max(weight, hours / s.watched) * (rate - s.usual)
        known = 0.0  # of the memory, while the meter is young; worked out where it is asked for
        best, chosen = 0.0, -1
        for k in range(LEVELS):
            r = run[j, k]
            # At the limit is not below it: a leak of 2.5 L/h is 2 in every other hour of a register of whole litres.
            flows = rate >= limit * TIMES[k] * NEAR
            above = flows and span[i] <= HIDDEN
            if fine and s.open == 0:
                r.past -= hours / past * r.past
                r.square -= hours / past * r.square
            if above:
                _flows(r, time[i], span[i], usage[i], rate, credit)
            elif not fine and span[i] <= BRIEF and rate >= PARTLY * limit * TIMES[k] * NEAR:
                if r.hours > 0:
                    r.total += usage[i]
            else:
                _rests(r, span[i], price, over, s.open == 0)
                if s.open and s.level == k and not flows:
                    s.rest += hours
            if not fine:
                continue
            if s.open == 0:
                r.rested += weight * ((0.0 if above else 1.0) - r.rested)
            if not above or (s.open == 0 and r.hours < need):
                continue
            if known == 0.0:
                known = 1.0 - np.exp(-s.watched / memory)
            if r.rested >= habit * known:
                weighed = surprise(r.hours, r.rested, known)
                if s.open and weighed >= AGAIN * enough:
                    s.calm = 0.0
                    if weighed >= enough:
                        s.worn = 0.0
                if r.hours >= need and r.hours >= ALIKE * times * (lasting(r) + spare) and weighed > best:
                    best, chosen = weighed, k
        if s.open:
            if (s.calm > 0 or not fine) and (s.calm >= calm or s.worn >= most):
                at_least = limit * TIMES[s.level]
                n = _say(s, n, i, j, CLEAR, time[i], 0.0, rate, at_least, run[j, s.level].rested, out)
                s.open = 0
        elif best >= enough and live[i] and s.watched >= warm:
            r = run[j, chosen]
            s.open, s.level, s.calm, s.worn = 1, chosen, 0.0, 0.0
            s.start, s.least, s.rest = r.start, r.least, r.rest
            mean = r.total * HOUR / (time[i] - r.start)
            score = max(np.log10(best / normal) / FALLING - LOG_COST, 0.0)
            n = _say(s, n, i, j, RAISE, time[i], score, mean, limit * TIMES[chosen], r.rested, out)
    return n


@dataclass(frozen=True, slots=True)
class ContinuousFlow(Rule):
    """Flow that does not stop: Q or more for T hours, of a meter that is used to rest.

    Q is the meter's ``quiet`` flow (2 L/h of water, 0.02 m³/h of gas by default). A fixed T is at
    once too long for a home that rests every night and too short for one that hardly ever does
    [1]_: T is ``hours`` at least, and so long that the run is a surprise of ``enough`` nats to
    this meter. A meter that rests the share p of its time (``memory_days``, exponentially weighted)
    is surprised by −ln(1 − p) in every hour without rest. And T is ``times`` the length of the meter's
    own runs and ``spare`` hours together, since hours do not come singly: where flow goes on for a day
    now and then, another day of it is none (``lasting``, over ``past_days``). The same is asked of 2 Q,
    3 Q, 4 Q and 8 Q, each with its own p and runs: a larger leak is surprising sooner, also in a home
    that is seldom at rest.

    A run survives single quiet hours, each of which costs it ``price`` hours, since a strict run
    misses a leak with one quiet hour [1]_. Hours without a reading count by ``credit`` where a
    register shows that their mean flow was Q or more. Where it shows half of Q in a hole of half a day at most,
    nobody knows: it neither lengthens the run nor shortens it.

    An episode ends when no run has been a surprise of half of ``enough`` for ``calm`` hours, nor one of all
    of it for ``most``: what drips for days, stops for a night and drips again is one episode. While it is
    open nothing is learnt, neither how often the meter rests, nor how long its flows last, nor how long it
    has been watched. A hole of two days at most, in which the register shows a mean flow at the episode's
    level or above it, counts for ``most``, not for ``calm``.

    The score is −log10 of the false flags per 1,000 meter-days that a surprise costs in homes, as
    measured, so that it compares with that of ``habit``.

    budget  false flags per 1,000 meter-days of all kinds for which the other figures hold is 1: ``hours``
            are divided by budget^0.38, ``enough`` by budget^0.4, ``times`` by budget^0.5 and, above 1, ``calm`` by
            budget^1.2. [-]
    hours   least T, at a budget of 1. [h]
    enough  surprise that is asked for, at a budget of 1. [nat]
    times   of the length of the own runs and ``spare``, that a run lasts, at a budget of 1. [-]
    spare   added to the length of the own runs. [h]
    habit   share of quiet time below which a meter counts as one that never rests, and is not judged. [-]
    price   what an hour of rest takes from the run. [-]
    over    hours of rest in a row that end a run. [h]
    credit  what an hour without a reading counts. [-]
    calm    hours without surprise that end an episode, at a budget of 1. [h]
    most    hours that an episode stays open for smaller ones. [h]
    memory_days  over which rest and mean flow are weighted. [d]
    past_days    over which the own runs are weighted. [d]
    warm_days    of watching before the first flag. [d]
    Shapes  a batch's columns (n,); state ``flow`` (meters,), ``runs`` (meters, 5).
    Not for meters whose flow rightly never stops (fire mains, cooling, masters of blocks of flats): a class of
            their own.
    Use     only intervals of up to 2 h; a day's total cannot show it.
    Cost    the table of docs/adr/0011.

    .. [1] DETECTION §3, "Leaks: use flow that never stops".
    """

    budget: float = 1.0
    hours: float = 36.0
    enough: float = 20.0
    times: float = 4.0
    spare: float = 5.0
    habit: float = 0.25
    price: float = 24.0
    over: float = 3.0
    credit: float = 0.33
    calm: float = 72.0
    most: float = 240.0
    memory_days: float = 21.0
    past_days: float = 84.0
    warm_days: float = 14.0

    name = "continuous_flow"
    version = 4
    kinds = ("continuous_flow",)

    def __post_init__(self) -> None:
        sizes = (self.budget, self.hours, self.enough, self.price, self.over, self.calm, self.most)
        if not (
            all(size > 0 for size in sizes)
            and self.memory_days > 0
            and self.past_days > 0
            and self.times >= 0
            and self.spare >= 0
            and 0 <= self.habit < 1
            and 0 <= self.credit <= 1
            and self.warm_days >= 0
        ):
            raise ValueError(
                "need budget, hours, enough, price, over, calm, most, memory_days, past_days > 0, 0 <= habit < 1, "
                f"0 <= credit <= 1 and times, spare, warm_days >= 0, got {self}"
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
        """What is known of the meter, and the run of each level."""
        return (
            Column("flow", FLOW, scales=("usual", "least")),
            Column("runs", RUN, LEVELS, scales=("total", "least")),
        )

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters of a commodity whose flow is to rest at times."""
        concerned: NDArray[np.bool_] = meters["quiet"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Lengthen or break the run."""
        b = batch
        found: int = _update(
            state.of(self.name, "flow"), state.of(self.name, "runs"), state.meters,
            b.slot, b.time, b.usage, b.span, b.status, b.live,
            self.hours / self.budget**SHORTER, self.enough / self.budget**FALLING, self.times / self.budget**FEWER,
            self.spare, self.habit, self.price, self.over,
            self.credit, self.calm / max(self.budget, 1.0) ** SOONER, self.most,
            self.memory_days * 24, self.past_days * 24, self.warm_days * 24, self.enough, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After two weeks of watching."""
        ready: NDArray[np.bool_] = state.of(self.name, "flow")["watched"][slots] >= self.warm_days * 24
        return ready
