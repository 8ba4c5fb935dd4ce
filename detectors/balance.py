"""The balance of a district, day by day: what flows in, and is neither metered, stored nor sent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State
from detectors.baseline import SIGMA, learn
from detectors.batch import (
    CONSUMER,
    DAY,
    F64,
    HOUR,
    I64,
    INFLOW,
    LEVEL,
    NS,
    OUTFLOW,
    PART,
    STORAGE,
    U8,
    VOLUME,
    Batch,
    Records,
    Row,
)
from detectors.finding import tell
from detectors.flows import MILLION, by_area, carried, is_energy, leaders_of, per_unit, same_district
from detectors.kernel import kernel

#: Of every meter: its amounts of two days; of a storage what it held at their ends. [m3 or kW.h]
BOOK = np.dtype(
    [
        ("now", np.float32),
        ("then", np.float32),  # NaN = not the whole day is known
        ("day", np.uint16),  # local day of ``now``, days since 1970, 0 = none
    ],
    align=True,
)
#: Of a district, in the row of one of its inflow meters.
DISTRICT = np.dtype(
    [
        ("volume", np.float64),  # in storage when the last day was judged [m3]
        ("usual", np.float32),  # residual of a day [m3], or its share of the inflow [-]
        ("deviation", np.float32),  # mean deviation from that
        ("judged", np.uint16),  # last judged day
        ("days", np.uint8),  # that have taught, 255 = that many or more
        ("open", np.uint8),
    ],
    align=True,
)
VOLUMES, LOSS = 0, 1  # indexes of Balance.kinds
BACK = 0.5  # of the margin, within which it is over


@kernel
def _turn(s: Row, day: int, storage: bool) -> None:
    """Begin a new day."""
    if s.day == 0:
        s.now = s.then = np.nan
    elif day == s.day + 1:
        s.then = s.now
        s.now = s.now if storage else 0.0
    else:
        s.then = s.now if storage else 0.0
        s.now = s.then
    s.day = day


@kernel
def _update(
    book: Records, meters: Records, slot: I64, local: I64, value: F64, usage: F64, back: F64, span: I64,
    since: I64, status: U8,
) -> int:  # fmt: skip
    for i in range(slot.size):
        j = slot[i]
        m = meters[j]
        if m.role == STORAGE and m.quantity == VOLUME:
            day = (local[i] - 1) // DAY
            if status[i] == LEVEL and day >= book[j].day and 0 < day < 65535:
                if day > book[j].day:
                    _turn(book[j], day, True)
                book[j].now = value[i] * m.base
            continue
        amount, length = carried(m, status[i], value[i], usage[i], back[i], span[i], since[i])
        day = (local[i] - 1) // DAY
        s = book[j]
        if length <= 0 or day < s.day or not 0 < day < 65535:
            continue
        begin = local[i] - length
        if day > s.day:
            fresh = s.day == 0
            _turn(s, day, False)
            if fresh and begin <= day * DAY:
                s.now = 0.0
        edge = day * DAY
        if begin >= edge:
            s.now += amount
        else:
            s.now += amount * ((local[i] - edge) / length)
            s.then += amount * ((edge - max(begin, edge - DAY)) / length)
    return 0


@kernel
def _closed(m: Row, before: int, watermark: int, wait: int) -> int:
    """The local day that has closed between two watermarks, and been waited for; −1 if none has."""
    day = (watermark - 1 + m.offset * NS - wait) // DAY
    return day - 1 if (before - 1 + m.was * NS - wait) // DAY != day else -1


@kernel
def _of_day(s: Row, p: Row, m: Row, day: int) -> float:
    """A meter's amount of a day, NaN where it is not known to its end."""
    if p.time + m.offset * NS < (day + 1) * DAY:
        return np.nan
    if s.day == day:
        return float(s.now)
    return float(s.then) if s.day == day + 1 else np.nan


@kernel
def _judge(
    book: Records, district: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8],
    candidates: I64, used: int, before: int, watermark: int, wait: int, sigmas: float, share: float,
    warm: int, memory: float, coverage: float, limit: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    leaders = leaders_of(district["days"].astype(np.int64), meters, candidates)
    linked = False
    head, after = np.empty(0, np.int64), np.empty(0, np.int64)
    for i in range(leaders.size):
        j = leaders[i]
        day = _closed(meters[j], before, watermark, wait)
        if day > 0:
            if not linked:
                head, after = by_area(meters, used)
                linked = True
            hot[j // BLOCK] = 1
            n = _day(
                book, district[j], pulse, meters, j, head, after, day, watermark, sigmas, share, warm, memory,
                coverage, limit, out, n,
            )  # fmt: skip
    return n


@kernel
def _day(
    book: Records, s: Row, pulse: Records, meters: Records, leader: int, head: I64, after: I64, day: int,
    watermark: int, sigmas: float, share: float, warm: int, memory: float, coverage: float, limit: float,
    out: Records, n: int,
) -> int:  # fmt: skip
    """Judge one district's day."""
    first = meters[leader]
    energy = is_energy(first)
    # Whole millionths, so that a sum does not hang on the order of the meters.
    sums = np.zeros(5, np.int64)
    known, covered = 0, 0
    storages, whole = 0, True
    end = (day + 1) * DAY - first.offset * NS
    k = head[first.area]
    while k >= 0:
        at, k = k, after[k]
        m = meters[at]
        if m.role == PART or not same_district(first, m):
            continue
        p = pulse[at]
        amount = _of_day(book[at], p, m, day)
        if m.role == CONSUMER:
            # What is read less than daily, or no longer, cannot be waited for.
            daily = 0 < p.spacing <= DAY + DAY // 2 and p.time >= end - 3 * DAY
            if book[at].day == 0 or not daily:
                continue
            known += 1
            if amount == amount:
                covered += 1
                sums[CONSUMER] += np.int64(np.round(amount * MILLION))
            continue
        if amount == amount:
            sums[m.role] += np.int64(np.round(amount * MILLION))
        else:
            whole = False
        storages += m.role == STORAGE
    metered, flow_in, flow_out, stored = (
        sums[CONSUMER] / MILLION, sums[INFLOW] / MILLION, sums[OUTFLOW] / MILLION, sums[STORAGE] / MILLION,
    )  # fmt: skip
    before = s.volume if s.judged == day - 1 else np.nan
    s.judged = day
    s.volume = stored if whole else np.nan
    change = stored - before if storages else 0.0
    lost = flow_in - flow_out - change - metered
    if not whole or change != change or known == 0 or covered < coverage * known or flow_in <= 0:
        return n
    x = lost / flow_in if energy else lost
    seen: Any = np.int64(s.days)
    margin = max(sigmas * SIGMA * s.deviation, share if energy else share * flow_in)
    beyond = x - s.usual
    begin = day * DAY - first.offset * NS
    wide = beyond > margin if energy else abs(beyond) > margin
    high = energy and s.usual > limit
    unit = per_unit(first, 24.0)
    kind = LOSS if energy else VOLUMES
    usual = s.usual * flow_in if energy else s.usual
    if seen >= warm:
        verb = 0
        if s.open:
            if abs(beyond) <= BACK * margin and not high:
                verb = CLEAR
                s.open = 0
        elif (wide or high) and pulse[leader].live:
            verb = RAISE
            s.open = 1
        if verb:
            score = max(abs(beyond) / margin, s.usual / limit if high else 0.0) if verb == RAISE else 0.0
            if energy:
                n = tell(
                    out, n, -1, leader, kind, verb, watermark, begin, score, lost * unit, usual * unit,
                    flow_in * unit, flow_out * unit, metered * unit, x, s.usual, limit,
                )  # fmt: skip
            else:
                n = tell(
                    out, n, -1, leader, kind, verb, watermark, begin, score, lost * unit, usual * unit,
                    flow_in * unit, flow_out * unit, change * unit, metered * unit,
                    SIGMA * s.deviation * unit, margin * unit,
                )  # fmt: skip
    if seen < warm or abs(beyond) <= margin:
        s.usual, s.deviation = learn(s.usual, s.deviation, seen, x, memory)
        s.days = min(seen + 1, 255)
    return n


@dataclass(frozen=True, slots=True)
class Balance(Rule):
    """District balance and line loss.

    For each local day of an area, I = Qin − Qout − dV/dt − Σ meters [1]_, from the meters whose
    registry row has the balance role inflow, outflow or storage, and the area's other meters of the
    same commodity. The day is closed by the watermark, ``wait_h`` hours after its end. Its usual value
    and deviation are learnt from the district's own days, robustly; days beyond the margin teach nothing.
    Water and gas: a day that leaves the usual residual by more than the larger of ``sigmas`` σ and
    ``share`` of the inflow is a *balance* flag. Electricity: the share of the inflow that is not billed,
    beyond its usual value by the larger of ``sigmas`` σ and ``share`` (in points), or a usual value above
    ``loss_limit``, is *line_loss*. The flag stands on an inflow meter; it is cleared by a day within half
    of the margin. A hole in a meter's readings is filled with the flow that follows it. Inflow and
    outflow may be registers, intervals or flow meters, a storage is a gauge of volume.

    sigmas      [-]
    share       of the inflow. [-]
    loss_limit  usual loss of an electricity district that is too high by itself; 1 = never. [-]
    coverage    share of the meters read daily that must have spoken of the day's end. [-]
    wait_h      after local midnight, for meters that are read a little later. [h]
    warm_days   that teach before the first flag. [d]
    memory_days of the usual value. [d]
    Shapes      a batch's columns (n,); state ``book`` (meters,), ``district`` (meters,).
    Not for     areas whose meters are read less than once a day or in several commodities.
    Use         areas whose meters are read at least once a day, all in one commodity.
    Cost        none in 600 days of one district in a synthetic clean run (``python -m benchmarks.scada_clean``);
                none on areas without an inflow. Electricity's line loss is not in that run.

    .. [1] DETECTION §4; the water balance of the International Water Association.
    """

    sigmas: float = 3.0
    share: float = 0.05
    loss_limit: float = 0.1
    coverage: float = 0.9
    wait_h: float = 2.0
    warm_days: float = 14.0
    memory_days: float = 28.0

    name = "balance"
    version = 1
    kinds = ("balance", "line_loss")

    def __post_init__(self) -> None:
        shares = 0 < self.share < 1 and 0 < self.loss_limit <= 1 and 0 < self.coverage <= 1
        days = 2 <= self.warm_days <= 200 and self.memory_days >= 2
        if not (self.sigmas > 0 and shares and days and 0 <= self.wait_h < 24):
            raise ValueError(
                "need sigmas > 0, 0 < share < 1, 0 < loss_limit <= 1, 0 < coverage <= 1, 0 <= wait_h < 24, "
                f"2 <= warm_days <= 200 and memory_days >= 2, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The day's amounts, in the unit of the inflow meter (of a flow meter, means of the day)."""
        return {
            "balance": ("inflow", "outflow", "storage_change", "metered", "usual_deviation", "margin"),
            "line_loss": ("inflow", "outflow", "metered", "loss_share", "usual_loss_share", "loss_limit"),
        }

    @property
    def columns(self) -> tuple[Column, ...]:
        """Two days of every meter; a district in one row of it."""
        return Column("book", BOOK), Column("district", DISTRICT)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts to their days."""
        b = batch
        found: int = _update(
            state.of(self.name, "book"), state.meters, b.slot, b.local, b.value, b.usage, b.back, b.span,
            b.since, b.status,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Judge the districts whose day has closed."""
        inflows = np.flatnonzero(state.meters["role"][:meters] == INFLOW)
        if not len(inflows):
            return 0
        found: int = _judge(
            state.of(self.name, "book"), state.of(self.name, "district"), state.of("intervals", "pulse"),
            state.meters, state.hot, inflows, meters, before, watermark, round(self.wait_h * HOUR), self.sigmas,
            self.share, int(self.warm_days), self.memory_days, self.coverage, self.loss_limit, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The inflow meter in whose row its district is kept, after two weeks."""
        ready: NDArray[np.bool_] = state.of(self.name, "district")["days"][slots] >= self.warm_days
        return ready
