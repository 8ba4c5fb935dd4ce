"""Supply interruptions, and how often a line had them in a year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State, named
from detectors.batch import F64, I64, LEVEL, NS, OK, OUTAGE, RESTORED, U8, VOLTAGE, Batch, Records, Row
from detectors.finding import STALE, due, tell
from detectors.kernel import kernel
from detectors.voltage import NEAR, near

OUT = np.dtype(
    [
        ("since", np.uint32),  # first reading without voltage [s since 1970]
        ("newest", np.uint32),  # beginnings of the line's last outages, in the row of one of its meters
        ("middle", np.uint32),
        ("oldest", np.uint32),
        ("pend", np.uint8),  # 1 = without voltage
        ("open", np.uint8),  # 1 + kind
        ("near", np.uint8),  # readings near the nominal voltage, 255 = that many or more
    ],
    align=True,
)
ONE, REPEATED = 0, 1  # indexes of Interruptions.kinds
BACK = 0.5  # of the nominal voltage: it is back


@kernel
def _holder(rows: Records, meters: Records, j: int) -> int:
    """The meter of ``j``'s line in whose row its outages are kept; the first to see one becomes it."""
    line = meters[j].line
    if line == 0:
        return j
    best = -1
    for k in range(meters.size):
        if meters[k].line != line or rows[k].newest == 0:
            continue
        same = best >= 0 and rows[k].newest == rows[best].newest
        if best < 0 or rows[k].newest > rows[best].newest or (same and meters[k].rank < meters[best].rank):
            best = k
    return best if best >= 0 else j


@kernel
def _known(rows: Records, meters: Records, j: int, h: Row, merge: float) -> bool:
    """Whether the line's outage that ``j`` sees has been counted: others saw it begin, or are still out."""
    begin = np.float64(rows[j].since)
    for other in (h.newest, h.middle, h.oldest):
        if other > 0 and abs(begin - other) <= merge:
            return True
    line = meters[j].line
    if line == 0:
        return False
    others = 0
    for k in range(meters.size):
        others += k != j and meters[k].line == line and rows[k].open > 0
    return others > 0


@kernel
def _count(
    rows: Records, meters: Records, hot: NDArray[np.uint8], j: int, merge: float, window: float
) -> tuple[bool, int]:
    """Whether this outage is a new one of its line, and how many the line has had in the window."""
    at = _holder(rows, meters, j)
    h = rows[at]
    fresh = not _known(rows, meters, j, h, merge)
    if fresh:
        hot[at // BLOCK] = 1
        begin = rows[j].since
        if begin > h.newest:
            h.newest, h.middle, h.oldest = begin, h.newest, h.middle
        elif begin > h.middle:
            h.middle, h.oldest = begin, h.middle
        elif begin > h.oldest:
            h.oldest = begin
    count = 0
    for instant in (h.newest, h.middle, h.oldest):
        if instant > 0 and np.float64(h.newest) - instant < window:
            count += 1
    return fresh, count


@kernel
def _raise(
    rows: Records, meters: Records, hot: NDArray[np.uint8], n: int, row: int, j: int, at: int, x: float,
    nominal: float, merge: float, window: float, out: Records,
) -> int:  # fmt: skip
    fresh, count = _count(rows, meters, hot, j, merge, window)
    kind = REPEATED if fresh and count >= 2 else ONE
    rows[j].open = 1 + kind
    return _say(rows[j], n, row, j, RAISE, at, x, nominal, meters[j].base, float(count), window, out)


@kernel
def _say(
    s: Row, n: int, row: int, j: int, verb: int, at: int, x: float, nominal: float, base: float, count: float,
    window: float, out: Records,
) -> int:  # fmt: skip
    start: Any = np.int64(s.since) * NS
    kind = s.open - 1
    score = 0.0 if verb == CLEAR else (count if kind == REPEATED else 1.0)
    return tell(
        out, n, row, j, kind, verb, at, start, score, x / base, nominal / base, (at - start) / (60 * NS),
        count, window / 86400, np.nan, np.nan, np.nan,
    )  # fmt: skip


@kernel
def _told(
    told: U8, rows: Records, meters: Records, hot: NDArray[np.uint8], n: int, i: int, j: int, at: int, lost: bool,
    back: bool, least: float, merge: float, window: float, out: Records,
) -> int:  # fmt: skip
    """Follow what a device says of its supply: ``lost``, or ``back`` by its word or because it measures again."""
    s, t, nan = rows[j], at // NS, np.nan
    if lost:
        if s.pend == 0 and s.open == 0:
            s.pend, s.since = 1, t
        told[j] = 1
    elif back:
        if s.open == 0 and told[j] and t - s.since > least:
            n = _raise(rows, meters, hot, n, i, j, at, nan, nan, merge, window, out)
        if s.open:
            n = _say(s, n, i, j, CLEAR, at, nan, nan, 1.0, nan, window, out)
        s.open, s.pend, told[j] = 0, 0, 0
    return n


@kernel
def _update(
    told: U8, rows: Records, meters: Records, hot: NDArray[np.uint8], slot: I64, time: I64, value: F64, usage: F64,
    status: U8, live: U8, events: U8,
    nominal: float, dead: float, least: float, merge: float, window: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        said = events[i] & (OUTAGE | RESTORED)
        if status[i] != LEVEL and said == 0 and told[j] == 0:
            continue
        volts = status[i] == LEVEL and meters[j].quantity == VOLTAGE
        if live[i] and (said or told[j]):
            again = volts and value[i] * meters[j].base >= BACK * nominal
            measures = again or (status[i] == OK and usage[i] > 0)
            back = said == RESTORED or (told[j] != 0 and measures)
            n = _told(
                told, rows, meters, hot, n, i, j, time[i], said == OUTAGE, back, least, merge, window, out
            )
        if not volts or told[j]:
            continue
        s = rows[j]
        base = float(meters[j].base)
        x = value[i] * base
        s.near = near(s.near, x, nominal)
        t = time[i] // NS
        if x < dead * nominal:
            if s.pend == 0:
                s.pend, s.since = 1, t
            if s.open == 0 and live[i] and s.near >= NEAR and t - s.since > least:
                n = _raise(rows, meters, hot, n, i, j, time[i], x, nominal, merge, window, out)
        elif s.open:
            if x >= BACK * nominal:
                n = _say(s, n, i, j, CLEAR, time[i], x, nominal, base, np.nan, window, out)
                s.open, s.pend = 0, 0
        else:
            s.pend = 0
    return n


@kernel
def _advance(
    told: U8, rows: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    nominal: float, dead: float, least: float, merge: float, window: float, out: Records,
) -> int:  # fmt: skip
    found = np.empty(used, np.int64)
    first = np.empty(used, np.float64)
    count = 0
    for j in range(used):
        s = rows[j]
        if s.pend == 0 or s.open != 0 or (s.near < NEAR and told[j] == 0):
            continue
        if told[j]:
            if due(s.since, least, watermark):
                found[count], first[count] = j, s.since * 4294967296.0 + meters[j].rank
                count += 1
            continue
        p = pulse[j]
        base = float(meters[j].base)
        # The last word before the silence was that there is no voltage: it holds for three spacings.
        held = np.int64(s.since) * NS + np.int64(least * NS) < p.time + STALE * p.spacing
        if (
            p.live
            and p.spacing > 0
            and held
            and due(s.since, least, watermark)
            and p.value * base < dead * nominal
        ):
            found[count], first[count] = j, s.since * 4294967296.0 + meters[j].rank
            count += 1
    n = 0
    for i in np.argsort(first[:count], kind="mergesort"):
        j = found[i]
        hot[j // BLOCK] = 1
        x = pulse[j].value * meters[j].base if told[j] == 0 else np.nan
        expected = nominal if told[j] == 0 else np.nan
        n = _raise(rows, meters, hot, n, -1, j, watermark, x, expected, merge, window, out)
    return n


@dataclass(frozen=True, slots=True)
class Interruptions(Rule):
    """Interruptions of supply: a voltage that is gone for more than a minute.

    An *outage* is raised when a point that is otherwise read near the nominal voltage is below
    ``dead`` for longer than ``minutes``, at a reading or by the watermark, and cleared when half of
    the voltage is back. A device of any kind may say so itself (attributes of its readings: an outage,
    a last gasp): then it lasts until the device says that supply is back, or measures a use or a voltage
    again. Outages are counted by the registry's ``line`` (a meter without one is a
    line of its own), by event time, over a year: however many meters see it, an outage counts once,
    as long as they see it begin within ``merge_min`` of each other or one is still without voltage.
    The second within the year is a *repeated_outage* at stage ``warning`` (预警, 提级管控), the third and
    any further one at stage ``study`` (专题研究, 整改方案) [1]_.

    nominal   [V]
    dead      below this share of it there is no voltage. [-]
    minutes   shorter ones are no interruption. [min]
    merge_min outages of a line that begin within this time of each other are one. [min]
    days      over which a line's outages are counted. [d]
    Shapes    a batch's columns (n,); state ``out`` (meters,), ``told`` (meters,).
    Not for   lines whose areas lie in several partitions: they are counted in each.
    Use       lines within one partition: a line whose areas are kept apart is counted in each.
    Cost      none in 3,600 days of one voltage in a synthetic clean run (``python -m benchmarks.scada_clean``);
              none on points that measure no voltage and send no such events.

    .. [1] DETECTION §4, from the utility's own rule for frequent outages.
    """

    nominal: float = 220.0
    dead: float = 0.1
    minutes: float = 1.0
    merge_min: float = 15.0
    days: float = 365.0

    name = "interruptions"
    version = 1
    kinds = ("outage", "repeated_outage")

    def __post_init__(self) -> None:
        sizes = self.nominal > 0 and 0 < self.dead < BACK
        if not (sizes and self.minutes >= 0 and self.merge_min >= 0 and self.days > 0):
            raise ValueError(
                f"need nominal > 0, 0 < dead < {BACK}, minutes >= 0, merge_min >= 0 and days > 0, got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How long it has lasted, and how many the line has had."""
        return dict.fromkeys(self.kinds, ("minutes_without", "outages_of_line", "window_days"))

    @property
    def columns(self) -> tuple[Column, ...]:
        """A meter's own interruption, in one row of each line that line's last three; whether it was told of."""
        return Column("out", OUT), Column("told", np.dtype(np.uint8))

    def _sizes(self) -> tuple[float, float, float, float, float]:
        return self.nominal, self.dead, self.minutes * 60, self.merge_min * 60, self.days * 86400

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Points that measure a voltage."""
        concerned: NDArray[np.bool_] = meters["quantity"] == VOLTAGE
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Follow supply that goes and comes back, by voltages and by what devices say."""
        b = batch
        found: int = _update(
            state.of(self.name, "told"), state.of(self.name, "out"), state.meters, state.hot, b.slot, b.time,
            b.value, b.usage, b.status, b.live, b.events, *self._sizes(), out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Raise what has been without voltage for long enough, though nothing more was heard."""
        found: int = _advance(
            state.of(self.name, "told"), state.of(self.name, "out"), state.of("intervals", "pulse"), state.meters,
            state.hot, meters, watermark, *self._sizes(), out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers, and what stage a repeated outage has reached."""
        kind = self.kinds[finding["kind"]]
        told = named(self.evidence, kind, finding)
        if kind == "repeated_outage" and finding["verb"] != CLEAR:
            told["stage"] = "warning" if finding["e1"] < 3 else "study"
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After twelve readings near the nominal voltage."""
        ready: NDArray[np.bool_] = state.of(self.name, "out")["near"][slots] >= NEAR
        return ready
