"""Supply voltage outside its band: 220 V +7 % / −10 %, for an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State
from detectors.batch import F64, I64, LEVEL, NS, U8, VOLTAGE, Batch, Records, Row
from detectors.finding import due, fresh, stale, tell
from detectors.kernel import kernel

VOLT = np.dtype(
    [
        ("since", np.uint32),  # first reading beyond the band [s since 1970]
        ("open", np.uint8),  # 0, 1 = low, 2 = high
        ("pend", np.uint8),  # the same, of what has not lasted yet
        ("near", np.uint8),  # readings near the nominal voltage, 255 = that many or more
    ],
    align=True,
)
LOW, HIGH = 1, 2
NEAR = 12  # readings near the nominal voltage that make a point one of the supply
WITHIN = 0.3  # of the nominal voltage is near


@kernel
def near(count: int, x: float, nominal: float) -> int:
    """Count a voltage that is near the nominal one. A battery's or a 10 kV line's never is."""
    return min(count + 1, 255) if abs(x - nominal) < WITHIN * nominal else count


@kernel
def _band(x: float, low: float, high: float, dead: float) -> int:
    if x > high:
        return HIGH
    return LOW if dead <= x < low else 0


@kernel
def _say(
    s: Row, n: int, row: int, j: int, verb: int, at: int, x: float, nominal: float, line: float, base: float,
    score: float, out: Records,
) -> int:  # fmt: skip
    start: Any = np.int64(s.since) * NS
    hours = (at - start) / (3600 * NS)
    kind = s.open - 1
    return tell(
        out, n, row, j, kind, verb, at, start, score, x / base, nominal / base, nominal / base, line / base,
        hours, np.nan, np.nan, np.nan,
    )  # fmt: skip


@kernel
def _score(x: float, line: float, nominal: float) -> float:
    """1 at the line, 1 more for every 5 % of the nominal voltage beyond it."""
    return 1.0 + abs(x - line) / (0.05 * nominal)


@kernel
def _update(
    volt: Records, meters: Records, slot: I64, time: I64, value: F64, usual: I64, since: I64, status: U8,
    live: U8, nominal: float, low: float, high: float, dead: float, hold: float, deadband: float,
    out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != LEVEL:
            continue
        j = slot[i]
        if meters[j].quantity != VOLTAGE:
            continue
        s = volt[j]
        base = float(meters[j].base)
        x = value[i] * base
        s.near = near(s.near, x, nominal)
        band = _band(x, low, high, dead)
        t = time[i] // NS
        if s.open:
            line = low if s.open == LOW else high
            back = x >= low + deadband or x < dead if s.open == LOW else x <= high - deadband
            if not back:
                continue
            n = _say(s, n, i, j, CLEAR, time[i], x, nominal, line, base, 0.0, out)
            s.open = 0
        if band == 0:
            s.pend = 0
            continue
        if s.pend != band or stale(since[i], usual[i]):
            s.pend, s.since = band, t
        if live[i] and s.near >= NEAR and t - s.since >= hold:
            s.open, s.pend = band, 0
            line = low if band == LOW else high
            n = _say(s, n, i, j, RAISE, time[i], x, nominal, line, base, _score(x, line, nominal), out)
    return n


@kernel
def _advance(
    volt: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    nominal: float, low: float, high: float, dead: float, hold: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for j in range(used):
        s = volt[j]
        if s.pend == 0 or s.near < NEAR:
            continue
        base = float(meters[j].base)
        x = pulse[j].value * base
        if _band(x, low, high, dead) != s.pend:
            continue
        if fresh(pulse[j], watermark) and due(s.since, hold, watermark):
            s.open, s.pend = s.pend, 0
            hot[j // BLOCK] = 1
            line = low if s.open == LOW else high
            n = _say(s, n, -1, j, RAISE, watermark, x, nominal, line, base, _score(x, line, nominal), out)
    return n


@dataclass(frozen=True, slots=True)
class Voltage(Rule):
    """Supply voltage beyond its band without a break for an hour.

    The band is that of the supply regulations: 220 V +7 % / −10 %, 198.0 to 235.4 V [1]_. A flag
    is cleared by the first reading within the band by the deadband. A voltage below ``dead`` is an
    interruption, which has a rule of its own. Only points that have been read near the nominal
    voltage twelve times are judged, so that a battery or a 10 kV line needs no exception; every
    phase that comes as a register of its own is a point.

    nominal   [V]
    high, low  edges of the band, as shares of the nominal voltage. [-]
    dead      below this share there is no voltage, rather than a low one. [-]
    hours     that it must last. [h]
    deadband  by which it must return, as a share of the nominal voltage. [-]
    Shapes    a batch's columns (n,); state ``volt`` (meters,).
    Not for   direct current, three-phase voltages between lines, or networks of another nominal voltage unless
              stated.
    Cost      none in 3,600 days of one voltage in a synthetic clean run (``python -m benchmarks.scada_clean``);
              none on points that measure no voltage.

    .. [1] DETECTION §4; GB/T 12325 (deviation of supply voltage, 220 V single phase).
    """

    nominal: float = 220.0
    high: float = 1.07
    low: float = 0.9
    dead: float = 0.1
    hours: float = 1.0
    deadband: float = 0.01

    name = "voltage"
    version = 1
    kinds = ("voltage_low", "voltage_high")

    def __post_init__(self) -> None:
        band = 0 <= self.dead < self.low < 1 < self.high < np.inf
        if not (self.nominal > 0 and band and self.hours >= 0 and 0 <= self.deadband < 0.1):
            raise ValueError(
                "need nominal > 0, 0 <= dead < low < 1 < high, hours >= 0 and 0 <= deadband < 0.1, "
                f"got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The band and how long."""
        return dict.fromkeys(self.kinds, ("nominal", "limit", "hours"))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is pending and what is open."""
        return (Column("volt", VOLT),)

    def _lines(self) -> tuple[float, float, float, float, float]:
        v = self.nominal
        return v, v * self.low, v * self.high, v * self.dead, self.hours * 3600

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Points that measure a voltage."""
        concerned: NDArray[np.bool_] = meters["quantity"] == VOLTAGE
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare voltages with their band."""
        b = batch
        if LEVEL not in b.status:
            return 0
        found: int = _update(
            state.of(self.name, "volt"), state.meters, b.slot, b.time, b.value, b.usual, b.since, b.status,
            b.live, *self._lines(), self.deadband * self.nominal, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Raise what has been beyond its band for the time, and is still believed."""
        found: int = _advance(
            state.of(self.name, "volt"), state.of("intervals", "pulse"), state.meters, state.hot, meters,
            watermark, *self._lines(), out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After twelve readings near the nominal voltage."""
        ready: NDArray[np.bool_] = state.of(self.name, "volt")["near"][slots] >= NEAR
        return ready
