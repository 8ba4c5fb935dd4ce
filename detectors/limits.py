"""Limits of a supervised point: HH, H, L, LL, with deadband and delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE, Column, Rule, State, named
from detectors.batch import F64, I64, LEVEL, NS, PRESSURE, U8, Batch, Records, Row
from detectors.finding import due, fresh, stale, tell
from detectors.kernel import kernel

LIMIT = np.dtype(
    [
        ("since", np.uint32),  # first reading of what is pending [s since 1970]
        ("open", np.int8),  # −2 LL, −1 L, 0, 1 H, 2 HH
        ("pend", np.int8),  # side whose delay is running; while open: 1 = the graver level's
    ],
    align=True,
)
ANY, LOW, HIGH = 0, 1, 2  # indexes of Limits.kinds
NAMES = {-2: "LL", -1: "L", 1: "H", 2: "HH"}


@kernel
def _level(m: Row, value: float) -> int:
    """Which limit a value is beyond. Limits are in single precision: so is the comparison."""
    x = np.float32(value)
    if x > m.limit_hh:
        return 2
    if x > m.limit_h:
        return 1
    if x < m.limit_ll:
        return -2
    return -1 if x < m.limit_l else 0


@kernel
def _line(m: Row, level: int) -> float:
    """The limit of a level; of a side that has one limit only, that. [unit]"""
    if level > 0:
        two, one = m.limit_hh, m.limit_h
    else:
        two, one = m.limit_ll, m.limit_l
    if abs(level) == 2:
        return float(two if two == two else one)
    return float(one if one == one else two)


@kernel
def _width(m: Row, side: int, share: float) -> float:
    """The deadband: as stated, else a share of the span between the limits, or of the limit. [unit]"""
    if m.deadband == m.deadband:
        return float(m.deadband)
    span = _line(m, 1) - _line(m, -1)
    return share * (span if span > 0 else abs(_line(m, side)))


@kernel
def _say(
    s: Row, m: Row, n: int, row: int, j: int, verb: int, at: int, level: int, value: float, width: float,
    waited: float, out: Records,
) -> int:  # fmt: skip
    kind = ANY
    if m.quantity == PRESSURE:
        kind = HIGH if level > 0 else LOW
    line = _line(m, level)
    score = 0.0
    if verb != CLEAR:
        score = abs(level) + (min(abs(value - line) / width, 1.0) if width > 0 else 1.0)
    start: Any = np.int64(s.since) * NS
    return tell(
        out, n, row, j, kind, verb, at, start, score, value, line, line, width, waited, level, np.nan, np.nan
    )


@kernel
def _update(
    limit: Records, meters: Records, slot: I64, time: I64, value: F64, usual: I64, since: I64, status: U8,
    live: U8, share: float, usual_delay: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != LEVEL:
            continue
        j = slot[i]
        m = meters[j]
        s = limit[j]
        level = _level(m, value[i])
        if level == 0 and s.open == 0 and s.pend == 0:
            continue
        t = time[i] // NS
        delay = m.delay if m.delay == m.delay else usual_delay
        gap = stale(since[i], usual[i])
        if s.open != 0:
            side = 1 if s.open > 0 else -1
            width = _width(m, side, share)
            line = _line(m, side)
            if side * (np.float32(value[i]) - line) <= -width or line != line:
                n = _say(s, m, n, i, j, CLEAR, time[i], s.open, value[i], width, t - s.since, out)
                s.open = 0
                s.pend = 0
            elif side * level == 2 and abs(s.open) == 1:
                if s.pend == 0 or gap:
                    s.pend, s.since = 1, t
                if live[i] and t - s.since >= delay:
                    s.open, s.pend = level, 0
                    n = _say(s, m, n, i, j, UPDATE, time[i], level, value[i], width, t - s.since, out)
                continue
            else:
                s.pend = 0
                continue
        if level == 0:
            s.pend = 0
            continue
        side = 1 if level > 0 else -1
        if s.pend != side or gap:
            s.pend, s.since = side, t
        if live[i] and t - s.since >= delay:
            width = _width(m, side, share)
            s.open, s.pend = level, 0
            n = _say(s, m, n, i, j, RAISE, time[i], level, value[i], width, t - s.since, out)
    return n


@kernel
def _advance(
    limit: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    share: float, usual_delay: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for j in range(used):
        s = limit[j]
        if s.pend == 0 or s.open != 0:
            continue
        m = meters[j]
        delay = m.delay if m.delay == m.delay else usual_delay
        level = _level(m, pulse[j].value)
        if level * s.pend <= 0 or not fresh(pulse[j], watermark) or not due(s.since, delay, watermark):
            continue
        s.open, s.pend = level, 0
        hot[j // BLOCK] = 1
        waited = watermark // NS - s.since
        width = _width(m, 1 if level > 0 else -1, share)
        n = _say(s, m, n, -1, j, RAISE, watermark, level, pulse[j].value, width, waited, out)
    return n


@dataclass(frozen=True, slots=True)
class Limits(Rule):
    """HH, H, L and LL limits of an instantaneous value, with deadband and delay.

    A value beyond a limit for the delay raises a flag [1]_: at the reading that shows it, or at the
    watermark where the value is still fresh. It is cleared by the first reading within the limit by
    the deadband. While it is open, a value beyond HH or LL for the delay raises the score from 1–2
    to 2–3. A pressure gives *pressure_low* and *pressure_high*, all else *limit*. Limits, deadband
    and delay come from the registry; a value older than three spacings says nothing of now: it
    proves no delay, and the delay starts again after it.

    deadband_share  deadband of a point whose registry row states none, as a share of the span
                    between its limits, or of the limit if there is one side only. [-]
    delay_s         the same for the delay. [s]
    Shapes          a batch's columns (n,); state ``limit`` (meters,).
    Not for         points without limits in the registry; totals and registers, which only grow.
    Cost            a point without limits gives no flag; none in 2,400 days of one pressure whose limits lie twice
                    its usual wave away, in a synthetic clean run (``python -m benchmarks.scada_clean``); else what
                    the limits are worth.

    .. [1] DETECTION §4; the alarm states of ANSI/ISA-18.2 and IEC 62682.
    """

    deadband_share: float = 0.02
    delay_s: float = 10.0

    name = "limits"
    version = 1
    kinds = ("limit", "pressure_low", "pressure_high")

    def __post_init__(self) -> None:
        if not (0 <= self.deadband_share < 1 and self.delay_s >= 0):
            raise ValueError(f"need 0 <= deadband_share < 1 and delay_s >= 0, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The limit that was crossed, and for how long."""
        return dict.fromkeys(self.kinds, ("limit", "deadband", "seconds_beyond"))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is pending and what is open."""
        return (Column("limit", LIMIT),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Points with a limit."""
        stated = np.zeros(len(meters), np.bool_)
        for name in ("limit_hh", "limit_h", "limit_l", "limit_ll"):
            stated |= ~np.isnan(meters[name])
        return stated

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Compare instantaneous values with their limits."""
        b = batch
        if LEVEL not in b.status:
            return 0
        found: int = _update(
            state.of(self.name, "limit"), state.meters, b.slot, b.time, b.value, b.usual, b.since, b.status,
            b.live, self.deadband_share, self.delay_s, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Raise what has been beyond its limit for the delay, and is still believed."""
        found: int = _advance(
            state.of(self.name, "limit"), state.of("intervals", "pulse"), state.meters, state.hot, meters,
            watermark, self.deadband_share, self.delay_s, out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared, and the name of the limit."""
        told = named(self.evidence, self.kinds[finding["kind"]], finding)
        return {**told, "level": NAMES[int(finding["e3"])]}

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """A point with a limit, from its second reading on."""
        m = state.meters[slots]
        stated = np.zeros(len(slots), np.bool_)
        for name in ("limit_hh", "limit_h", "limit_l", "limit_ll"):
            stated |= ~np.isnan(m[name])
        return stated & (state.of("intervals", "pulse")["count"][slots] >= 2)
