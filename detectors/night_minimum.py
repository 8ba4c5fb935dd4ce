"""The minimum night flow of a district: what flows in when nearly everybody sleeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State
from detectors.baseline import SIGMA, learn
from detectors.batch import DAY, F64, FLOW, HOUR, I64, INFLOW, NS, OUTFLOW, U8, VOLUME, Batch, Records, Row
from detectors.finding import tell
from detectors.flows import MILLION, by_area, carried, leaders_of, per_unit, same_district
from detectors.kernel import kernel

NIGHT = np.dtype(
    [
        ("total", np.float32),  # of this night's hours [m3]
        ("hours", np.float32),  # of them that are known [h]
        ("usual", np.float32),  # the district's, in the row of one of its inflow meters [m3/h]
        ("deviation", np.float32),
        ("day", np.uint16),  # local day of ``total``, days since 1970
        ("days", np.uint8),  # nights that have taught, 255 = that many or more
        ("run", np.uint8),  # nights in a row above the margin
        ("open", np.uint8),
    ],
    align=True,
)
LONGEST = 6 * HOUR  # what covers more says nothing of two hours
WHOLE = 0.75  # of the hours must be known
BACK = 0.5  # of the margin, within which it is over


@kernel
def _update(
    rows: Records, meters: Records, slot: I64, local: I64, value: F64, usage: F64, back: F64, span: I64,
    since: I64, status: U8, first: int, last: int,
) -> int:  # fmt: skip
    for i in range(slot.size):
        m = meters[slot[i]]
        if (m.role != INFLOW and m.role != OUTFLOW) or (m.quantity != VOLUME and m.quantity != FLOW):
            continue
        amount, length = carried(m, status[i], value[i], usage[i], back[i], span[i], since[i])
        if not 0 < length <= LONGEST:
            continue
        s = rows[slot[i]]
        day = (local[i] - 1) // DAY
        if day < s.day or not 0 < day < 65535:
            continue
        if day > s.day:
            s.day, s.total, s.hours = day, 0.0, 0.0
        shared = min(local[i], day * DAY + last) - max(local[i] - length, day * DAY + first)
        if shared > 0:
            s.total += amount * (shared / length)
            s.hours += shared / HOUR
    return 0


@kernel
def _advance(
    rows: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], candidates: I64, used: int,
    before: int, watermark: int, close: int, length: float, sigmas: float, share: float, nights: int,
    warm: int, memory: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    leaders = leaders_of(rows["days"].astype(np.int64), meters, candidates)
    linked = False
    head, after = np.empty(0, np.int64), np.empty(0, np.int64)
    for j in leaders:
        m = meters[j]
        day = (watermark - 1 + m.offset * NS - close) // DAY
        if (before - 1 + m.was * NS - close) // DAY == day:
            continue
        if not linked:
            head, after = by_area(meters, used)
            linked = True
        flow = _net(rows, meters, m, head, after, day, length)
        if flow != flow:
            continue
        hot[j // BLOCK] = 1
        n = _judge(
            rows[j],
            m,
            j,
            pulse[j].live == 1,
            day,
            watermark,
            flow,
            sigmas,
            share,
            nights,
            warm,
            memory,
            out,
            n,
        )
    return n


@kernel
def _net(rows: Records, meters: Records, first: Row, head: I64, after: I64, day: int, length: float) -> float:
    """A district's mean net inflow of a night, NaN where one of its meters does not know it. [m3/h]"""
    total: Any = 0
    k = head[first.area]
    while k >= 0:
        at, k = k, after[k]
        m = meters[at]
        if (m.role != INFLOW and m.role != OUTFLOW) or not same_district(first, m):
            continue
        s = rows[at]
        if s.day != day or s.hours < WHOLE * length:
            return np.nan
        flow = np.int64(np.round(s.total / s.hours * MILLION))
        total += flow if m.role == INFLOW else -flow
    return float(total / MILLION)


@kernel
def _judge(
    s: Row, m: Row, j: int, live: bool, day: int, watermark: int, flow: float, sigmas: float, share: float,
    nights: int, warm: int, memory: float, out: Records, n: int,
) -> int:  # fmt: skip
    seen: Any = np.int64(s.days)
    margin = max(sigmas * SIGMA * s.deviation, share * abs(s.usual))
    beyond = flow - s.usual
    unit = per_unit(m, 1.0)
    above = seen >= warm and beyond > margin
    s.run = min(np.int64(s.run) + 1, 255) if above else 0
    verb = 0
    if s.open:
        if beyond <= BACK * margin:
            s.open, verb = 0, CLEAR
    elif above and s.run >= nights and live:
        s.open, verb = 1, RAISE
    if verb:
        start = (day - s.run + 1) * DAY - m.offset * NS
        score = beyond / margin if verb == RAISE and margin > 0 else 0.0
        n = tell(
            out, n, -1, j, 0, verb, watermark, start, score, flow * unit, s.usual * unit, flow * unit,
            s.usual * unit, SIGMA * s.deviation * unit, margin * unit, float(s.run), np.nan,
        )  # fmt: skip
    if not above:
        s.usual, s.deviation = learn(s.usual, s.deviation, seen, flow, memory)
        s.days = min(seen + 1, 255)
    return n


@dataclass(frozen=True, slots=True)
class NightMinimum(Rule):
    """Minimum night flow of a district metered area.

    The mean net inflow of the local hours from ``from_h`` to ``to_h`` (inflows less outflows, by
    balance role) [1]_ is held against its own usual value, learnt robustly from the district's
    nights: above it by the larger of ``sigmas`` σ and ``share`` for ``nights`` nights in a row raises
    a flag on an inflow meter, at ``close_h`` of the last of them; a night within half of the margin
    clears it. Nights above the margin teach nothing. A night of which a meter knows less than three
    quarters is left out.

    from_h, to_h  [h of the local day]
    close_h       when the night is looked at, for meters that are read a little later. [h]
    sigmas        [-]
    share         of the usual night flow. [-]
    nights        in a row. [-]
    warm_days     nights that teach before the first flag. [d]
    memory_days   of the usual value. [d]
    Shapes        a batch's columns (n,); state ``night`` (meters,).
    Not for       districts with a tank that fills by night, meters read less than every 6 hours.
    Use           volumes, from meters that are read at least every 6 hours; a tank that fills by
                  night within the district hides a leak.
    Cost          none in 600 days of one district in a synthetic clean run (``python -m benchmarks.scada_clean``);
                  none on areas without an inflow.

    .. [1] DETECTION §4; the night flow analysis of the International Water Association.
    """

    from_h: float = 2.0
    to_h: float = 4.0
    close_h: float = 6.0
    sigmas: float = 3.0
    share: float = 0.1
    nights: float = 3.0
    warm_days: float = 28.0
    memory_days: float = 28.0

    name = "night_minimum"
    version = 1
    kinds = ("night_minimum",)

    def __post_init__(self) -> None:
        hours = 0 <= self.from_h < self.to_h <= self.close_h < 24
        days = 2 <= self.warm_days <= 200 and self.memory_days >= 2 and 1 <= self.nights <= 200
        if not (hours and days and self.sigmas > 0 and 0 < self.share < 10):
            raise ValueError(
                "need 0 <= from_h < to_h <= close_h < 24, 2 <= warm_days <= 200, memory_days >= 2, "
                f"1 <= nights <= 200, sigmas > 0 and 0 < share < 10, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Flows an hour; of a flow meter in its own unit."""
        names = ("night_flow", "usual_night_flow", "usual_deviation", "margin", "nights")
        return {"night_minimum": names}

    @property
    def columns(self) -> tuple[Column, ...]:
        """A night of each inflow and outflow; the district in one row of it."""
        return (Column("night", NIGHT),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Inflows and outflows of a district."""
        concerned: NDArray[np.bool_] = (meters["role"] == INFLOW) | (meters["role"] == OUTFLOW)
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Add up the night."""
        b = batch
        found: int = _update(
            state.of(self.name, "night"), state.meters, b.slot, b.local, b.value, b.usage, b.back, b.span,
            b.since, b.status, round(self.from_h * HOUR), round(self.to_h * HOUR),
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Judge the districts whose night is over."""
        m = state.meters[:meters]
        inflows = np.flatnonzero(
            (m["role"] == INFLOW) & ((m["quantity"] == VOLUME) | (m["quantity"] == FLOW))
        )
        if not len(inflows):
            return 0
        found: int = _advance(
            state.of(self.name, "night"), state.of("intervals", "pulse"), state.meters, state.hot, inflows,
            meters, before, watermark, round(self.close_h * HOUR), self.to_h - self.from_h, self.sigmas,
            self.share, int(self.nights), int(self.warm_days), self.memory_days, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The inflow meter in whose row its district is kept, after four weeks."""
        ready: NDArray[np.bool_] = state.of(self.name, "night")["days"][slots] >= self.warm_days
        return ready
