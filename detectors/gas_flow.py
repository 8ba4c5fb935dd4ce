"""Gas that never stops: above the start flow without a break."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE, Column, Rule, State
from detectors.batch import DAY, F64, HOUR, I64, NS, OK, U8, Batch, Records, Row
from detectors.finding import fresh, tell
from detectors.kernel import kernel

GAS = np.dtype(
    [
        ("since", np.uint32),  # when the run began [s since 1970], 0 = at rest
        ("first", np.uint32),  # when watching began, 0 = not yet
        ("least", np.float32),  # least flow of the run [unit/h]
        ("rested", np.float32),  # share of time at rest of late, before the run [-]
        ("open", np.uint8),  # 0, or 1 + kind
    ],
    align=True,
)
FLOWS, LEAK = 0, 1  # indexes of GasFlow.kinds
LONGEST = 2 * HOUR  # what covers more cannot tell that the flow never stopped
MEMORY = 28 * DAY
PEERS = 4  # others of the cohort that tell the season


@kernel
def _say(
    s: Row, n: int, row: int, j: int, verb: int, at: int, score: float, rate: float, start_flow: float,
    out: Records,
) -> int:  # fmt: skip
    start: Any = np.int64(s.since) * NS
    return tell(
        out, n, row, j, s.open - 1, verb, at, start, score, rate, start_flow, (at - start) / HOUR, s.least,
        start_flow, s.rested, np.nan, np.nan,
    )  # fmt: skip


@kernel
def _update(
    rows: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, since: I64, status: U8,
    live: U8, short: float, habit: float, warm: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or not 0 < span[i] <= LONGEST:
            continue
        j = slot[i]
        m = meters[j]
        if m.start <= 0:
            continue
        s = rows[j]
        t = time[i] // NS
        begin = max((time[i] - span[i]) // NS, 1)
        if s.first == 0:
            s.first = begin
        rate = usage[i] / (span[i] / HOUR)
        weight = min(span[i] / MEMORY, 1.0)
        if rate <= m.start:
            s.rested += weight * (1.0 - s.rested)
            if s.open:
                n = _say(s, n, i, j, CLEAR, time[i], 0.0, rate, m.start, out)
            s.open, s.since = 0, 0
            continue
        if s.since == 0 or (since[i] > span[i] + span[i] // 2 and s.open == 0):
            s.since, s.least = begin, rate  # what was in a hole nobody knows
        s.least = min(s.least, np.float32(rate))
        if s.open == 0:
            s.rested -= weight * s.rested
        if s.open or not live[i] or t - s.first < warm or s.rested < habit or m.quiet <= 0:
            continue
        if (t - s.since) / 3600.0 >= short:
            s.open = 1 + FLOWS
            n = _say(s, n, i, j, RAISE, time[i], s.least / m.start, rate, m.start, out)
    return n


@kernel
def _advance(
    rows: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    long: float, habit: float, warm: float, together: float, out: Records,
) -> int:  # fmt: skip
    """What has flowed for so long that it is a leak, unless its whole cohort does."""
    n = 0
    now = watermark // NS
    keys, seen, flowing = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    for j in range(used):
        s = rows[j]
        if s.since == 0 or s.open == 1 + LEAK or now - s.since < long * 3600:
            continue
        if now - s.first < warm or s.rested < habit or not fresh(pulse[j], watermark):
            continue
        if keys.size == 0:
            keys, seen, flowing = _cohorts(rows, pulse, meters, used, watermark, now - long * 1800)
        k = np.searchsorted(keys, _key(meters[j]))
        if seen[k] > PEERS and flowing[k] - 1 > together * (seen[k] - 1):
            continue
        verb = UPDATE if s.open else RAISE
        s.open = 1 + LEAK
        hot[j // BLOCK] = 1
        start_flow = meters[j].start
        n = _say(s, n, -1, j, verb, watermark, 1.0 + s.least / start_flow, s.least, start_flow, out)
    return n


@kernel
def _key(m: Row) -> int:
    key: int = np.int64(m.area) * np.int64(256) + m.cohort
    return key


@kernel
def _cohorts(
    rows: Records, pulse: Records, meters: Records, used: int, watermark: int, since: float
) -> tuple[I64, I64, I64]:
    """Cohorts of gas meters in order; how many of each are heard, and have not rested since then."""
    all_keys = np.full(used, -1, np.int64)
    for j in range(used):
        if rows[j].first > 0 and fresh(pulse[j], watermark):
            all_keys[j] = _key(meters[j])
    keys = np.unique(all_keys)
    seen, flowing = np.zeros(keys.size, np.int64), np.zeros(keys.size, np.int64)
    for j in range(used):
        if all_keys[j] >= 0:
            k = np.searchsorted(keys, all_keys[j])
            seen[k] += 1
            flowing[k] += rows[j].since > 0 and rows[j].since <= since
    return keys, seen, flowing


@dataclass(frozen=True, slots=True)
class GasFlow(Rule):
    """Gas flow that never stops.

    Where ``ContinuousFlow`` asks for a flow that matters (Q litres for T hours, quiet hours allowed),
    this rule asks for any that a gas meter counts at all: above its start flow (``sizes.gas_start_m3_h``),
    in every interval, for 72 hours, or for 30 days [1]_. A small leak upstream of the appliances does
    just that. After 72 hours it is *continuous_flow*, after 30 days, by the watermark, *leak*; over at the
    first interval at rest. Classes whose boilers run through winter nights are judged by the 30 days alone,
    and no meter by them while more than a share ``together`` of its cohort (area, commodity, class, unit;
    four others at least) has flowed for half as long: that is the heating season. A meter that
    hardly ever rests by its own habit is not judged; a run weighs against that habit until it is told,
    so the habit must outlast it: 30 days leave 34 % of what it was.

    hours      [h]
    long_days  [d]
    habit      share of time at rest below which a meter counts as one that never rests. [-]
    together   share of the cohort whose flow is the season. [-]
    warm_days  of watching before the first flag. [d]
    Shapes     a batch's columns (n,); state ``gas`` (meters,).
    Not for    intervals of more than 2 h, meters too coarse for the start flow.
    Use        only intervals of up to 2 h whose resolution shows the start flow.
    Cost       no flag on a set of 36 real gas meters (34,800 meter-days) nor on the packaged demo meters (5,300;
               ``forestall replay``).

    .. [1] DETECTION §4.
    """

    hours: float = 72.0
    long_days: float = 30.0
    habit: float = 0.15
    together: float = 0.2
    warm_days: float = 28.0

    name = "gas_flow"
    version = 1
    kinds = ("continuous_flow", "leak")

    def __post_init__(self) -> None:
        shares = 0 <= self.habit < 1 and 0 <= self.together <= 1
        if not (0 < self.hours <= 24 * self.long_days and shares and self.warm_days >= 0):
            raise ValueError(
                "need 0 < hours <= 24 × long_days, 0 <= habit < 1, 0 <= together <= 1 and warm_days >= 0, "
                f"got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How long, and the least flow of that time."""
        names = ("hours", "least_flow_per_hour", "start_flow_per_hour", "usual_quiet_share")
        return dict.fromkeys(self.kinds, names)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The run."""
        return (Column("gas", GAS, scales=("least",)),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Gas meters."""
        concerned: NDArray[np.bool_] = meters["start"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Lengthen or break the run."""
        b = batch
        found: int = _update(
            state.of(self.name, "gas"), state.meters, b.slot, b.time, b.usage, b.span, b.since, b.status,
            b.live, self.hours, self.habit, self.warm_days * 86400, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """The thirty days."""
        found: int = _advance(
            state.of(self.name, "gas"), state.of("intervals", "pulse"), state.meters, state.hot, meters,
            watermark, self.long_days * 24, self.habit, self.warm_days * 86400, self.together, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After four weeks of watching."""
        first = state.of(self.name, "gas")["first"][slots]
        heard = state.of("intervals", "pulse")["time"][slots] // NS
        ready: NDArray[np.bool_] = (first > 0) & (heard >= first + self.warm_days * 86400)
        return ready
