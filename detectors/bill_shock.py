"""The bill that is coming: a running period that will be far above the usual, told before it is billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State, named
from detectors.batch import (
    CORRECTION,
    DAY,
    ESTIMATED,
    F64,
    I64,
    LATE,
    NS,
    OK,
    U8,
    Batch,
    Records,
    Row,
)
from detectors.bill_periods import (
    ENDED,
    PAST,
    QUARTER,
    RUNNING,
    USUAL,
    YEAR,
    add,
    catch_up,
    cover,
    enter,
    first_of,
    period_of,
    rate_of,
    usual_of,
)
from detectors.cohort import median_moves
from detectors.kernel import kernel

DAILY = DAY + DAY // 2  # meters read at least so often are judged
MOST_SCORE = 10.0


@kernel
def _update(
    running: Records, ring: Records, meters: Records, cold: U8,
    slot: I64, time: I64, local: I64, marks: NDArray[np.uint16],
    usage: F64, span: I64, usual: I64, since: I64, back: F64, status: U8,
) -> None:  # fmt: skip
    for i in range(slot.size):
        j = slot[i]
        bill_day = meters[j].bill_day
        if bill_day == 0 or span[i] <= 0 or usual[i] > DAILY or not np.isfinite(usage[i]):
            continue
        s = running[j]
        wrote = False
        if status[i] == OK:
            wrote = enter(s, ring, j, time[i], local[i], bill_day)
            wrote |= cover(s, ring, j, time[i], local[i], span[i], (marks[i] & ESTIMATED) != 0)
            wrote |= add(s, ring, j, local[i], span[i], usage[i], False)
            if back[i] != 0.0:
                # What was booked for the time before the reading before.
                earlier = max(span[i] - since[i], usual[i])
                wrote |= add(s, ring, j, local[i] - since[i], earlier, -back[i], False)
        elif (status[i] == LATE or status[i] == CORRECTION) and s.bill_day == bill_day:
            if status[i] == LATE:
                catch_up(s, ring, j, time[i], local[i], span[i], (marks[i] & ESTIMATED) != 0)
            wrote = add(s, ring, j, local[i], span[i], usage[i], status[i] == LATE)
        if wrote:
            cold[j // BLOCK] = 1


@kernel
def _project(s: Row, ring: Records, j: int, number: int, usual: float) -> tuple[float, float, int]:
    """A period's amount so far, the days that it covers, and the days of the period; NaN where it is forgotten."""
    length = first_of(number + 1, s.bill_day) - first_of(number, s.bill_day)
    if number == s.number:
        return s.amount, s.covered / DAY, length
    if s.number - PAST <= number < s.number:
        cell = ring[j, number % PAST]
        return float(cell.amount), cell.minutes / 1440.0, length
    return np.nan, np.nan, length


@kernel
def _say(
    out: Records, n: int, s: Row, ring: Records, j: int, verb: int, at: int, base: float, ratio: float
) -> int:
    """Write one finding about the period that was last told of."""
    number = s.told
    amount, covered, length = _project(s, ring, j, number, base)
    usual = base * s.move
    projected = amount + max(length - covered, 0.0) * usual
    if number == s.number:
        offset, end = s.offset, s.until
    else:
        offset = ring[j, number % PAST].offset
        end = first_of(number + 1, s.bill_day) * DAY - offset * QUARTER
    f = out[n]
    f.slot, f.row, f.kind, f.verb = j, -1, 0, verb
    f.at, f.start, f.end = at, first_of(number, s.bill_day) * DAY - offset * QUARTER, min(end, at)
    line = ratio * usual * length
    f.score = 0.0 if verb == CLEAR else min(projected / line, MOST_SCORE) if line > 0 else MOST_SCORE
    f.observed, f.expected = projected, usual * length if projected == projected else np.nan
    f.e0, f.e1, f.e2, f.e3, f.e4, f.e5 = amount, covered, length, projected, usual, s.move
    return n + 1


@kernel
def _base(usual: float, year: float) -> float:
    """Both must fail: the higher of the two, where there are two."""
    return max(usual, year) if year == year else usual


@kernel
def _advance(
    running: Records, ring: Records, meters: Records, pulse: Records, hot: U8, used: int, before: int, watermark: int,
    ratio: float, back: float, least_days: float, least_periods: int, confirm: int, peers: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    due = np.empty(used, np.int64)
    base, move = np.empty(used), np.empty(used)
    rates = np.empty(USUAL)
    count = 0
    for j in range(used):
        s, m = running[j], meters[j]
        if s.bill_day == 0:
            continue
        today = (watermark - 1 + m.offset * NS) // DAY
        if (before - 1 + m.was * NS) // DAY == today:
            continue
        if s.open and (m.bill_day == 0 or period_of(today, m.bill_day) != s.told):
            # It is billed now: what was to be told has been.
            hot[j // BLOCK] = 1
            s.open = 0
            _, usual, year = usual_of(s, ring, j, s.told, rates)
            n = _say(out, n, s, ring, j, CLEAR, watermark, _base(usual, year), ratio)
        if m.bill_day != s.bill_day or not s.first <= today < s.last:
            continue
        days = s.sure / DAY
        if s.covered <= 0 or days < least_days or 2 * days < today - s.first:
            continue
        known, usual, year = usual_of(s, ring, j, s.number, rates)
        if known < least_periods:
            continue
        due[count], base[count] = j, max(_base(usual, year), 0.0)
        rate = max(s.amount, 0.0) * DAY / s.covered
        move[count] = np.log((rate + m.floor + 1e-12) / (base[count] + m.floor + 1e-12))
        count += 1
    # What has fallen around a meter expects no less of it: a bill is told against what was usual.
    shared = np.exp(np.maximum(median_moves(due[:count], move[:count], meters, peers), 0.0))
    for i in range(count):
        j = due[i]
        s, m = running[j], meters[j]
        length = float(s.last - s.first)
        usual = base[i] * shared[i]
        projected = s.amount + max(length - s.covered / DAY, 0.0) * usual
        expected = usual * length
        if s.open:
            if projected < back * expected:
                hot[j // BLOCK] = 1
                s.open, s.move = 0, shared[i]
                n = _say(out, n, s, ring, j, CLEAR, watermark, base[i], ratio)
        elif s.told != s.number and pulse[j].live == 1:
            over = projected >= ratio * expected and projected - expected > m.floor * length
            if over or s.held or s.fresh:
                hot[j // BLOCK] = 1
            # A day without a read confirms nothing: what was read last may be the misread.
            if not over:
                s.held = 0
            elif s.fresh:
                s.held = min(s.held + 1, 255)
            s.fresh = 0
            if s.held >= confirm:
                s.open, s.told, s.held, s.move = 1, s.number, 0, shared[i]
                n = _say(out, n, s, ring, j, RAISE, watermark, base[i], ratio)
    return n


@kernel
def _ready(running: Records, ring: Records, slots: I64, least_periods: int) -> NDArray[np.bool_]:
    ready = np.zeros(slots.size, np.bool_)
    rates = np.empty(USUAL)
    for i in range(slots.size):
        s = running[slots[i]]
        if s.bill_day != 0:
            ready[i] = usual_of(s, ring, slots[i], s.number, rates)[0] >= least_periods
    return ready


@dataclass(frozen=True, slots=True)
class BillShock(Rule):
    """A running billing period whose bill will be far above the usual.

    For meters whose registry row states ``bill_day`` and which are read at least daily. When the
    watermark enters a new local day, the period's use is projected: what has been used, and the usual
    use for the days that are left or were not seen, so that only what has happened can raise it. It is
    held against the median of the last six periods and, where there is one, the same period of last
    year: both must fail [1]_. Periods differ in length, so each is taken as its use a day times the days
    of this one. What the neighbours (area, commodity, class, unit) have risen by, in the median, is usual
    too [2]_. Beyond ``ratio`` times that, and by more a day than is worth a person's time, ``confirm``
    days in a row, it is a *bill_shock*: once a period. It ends below ``back``, and on the bill day at the
    latest.

    The period begins with the bill day (29 to 31: the last of a shorter month) in the meter's zone. Bad
    readings count nowhere. Estimated ones count as use but not as known days until a read confirms them; late
    ones, such as a concentrator sends in a row, count as both. A period is compared with if four fifths of it
    were read.

    ratio  of the projected use to the usual one. [-]
    back   the same below which it ends. [-]
    least_days     days of the period that have been read before it is judged. [d]
    least_periods  known among the last six before it is judged. [-]
    confirm  days in a row, those without a read not counted: the first may be a misread. [d]
    peers  an area with no more meters than this is not used. [-]
    Shapes  a batch's columns (n,); state ``running`` (meters,), ``periods`` (meters, 13).
    Not for meters without a ``bill_day``, or read less than daily; faults, which ``Habit`` and ``HighLow`` tell
            sooner.
    Use    real use that will shock, told before the bill; a fault is told sooner by ``Habit`` and ``HighLow``.
    Cost   0.06 to 0.94 flags per 1,000 meter-days that no fault put in explains, on four sets of real
           meters and the packaged demo meters, each given a bill day; of all flags 81 to 100 % were
           billed so in the end (``python -m benchmarks.bill_shock``).

    .. [1] DETECTION §2, high/low row.
    .. [2] DETECTION §3, "The weather is not an anomaly".
    """

    ratio: float = 2.0
    back: float = 1.5
    least_days: float = 7.0
    least_periods: int = 3
    confirm: int = 2
    peers: int = 8

    name = "bill_shock"
    version = 1
    kinds = ("bill_shock",)

    def __post_init__(self) -> None:
        if not 1 <= self.back <= self.ratio or self.ratio == 1:
            raise ValueError(
                f"need ratio > 1 and 1 <= back <= ratio, got ratio={self.ratio} and back={self.back}"
            )
        if not (0 <= self.least_days <= 31 and 1 <= self.least_periods <= USUAL):
            raise ValueError(
                f"need least_days from 0 to 31 and least_periods from 1 to {USUAL}, "
                f"got {self.least_days} and {self.least_periods}"
            )
        if not (1 <= self.confirm <= 31 and self.peers >= 0):
            raise ValueError(f"need confirm from 1 to 31 and peers >= 0, got {self.confirm} and {self.peers}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The period so far, what it will come to, and what it was held against."""
        so_far = ("billed_amount", "billed_days", "period_days")
        return {"bill_shock": (*so_far, "projected_amount", "usual_a_day", "area_move")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The running period, and those before it; meters without a bill day never write them."""
        return (
            Column("running", RUNNING, scales=("amount",)),
            Column("periods", ENDED, PAST, cold=True, scales=("amount",)),
        )

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters whose bill day the registry states."""
        concerned: NDArray[np.bool_] = meters["bill_day"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts to periods."""
        b = batch
        _update(
            state.of(self.name, "running"), state.of(self.name, "periods"), state.meters, state.cold, b.slot, b.time,
            b.local, b.marks, b.usage, b.span, b.usual, b.since, b.back, b.status,
        )  # fmt: skip
        return 0

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Judge the running periods when a local day has closed."""
        found: int = _advance(
            state.of(self.name, "running"), state.of(self.name, "periods"), state.meters,
            state.of("intervals", "pulse"), state.hot, meters, before, watermark,
            self.ratio, self.back, self.least_days, self.least_periods, self.confirm, self.peers, out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared, the period's days, and the periods that it was held against, oldest first."""
        told = {
            # what is kept in single precision has seven digits
            name: float(f"{cell:.7g}") if isinstance(cell, float) else cell
            for name, cell in named(self.evidence, "bill_shock", finding).items()
        }
        if finding["observed"] != finding["observed"]:
            return {}  # it ends since the registry has changed the bill day: that period is no more
        slot = int(finding["slot"])
        s, ring = state.of(self.name, "running")[slot], state.of(self.name, "periods")
        number, bill_day = int(s["told"]), int(s["bill_day"])
        if finding["expected"] > 0:
            told["ratio"] = float(f"{finding['observed'] / finding['expected']:.6g}")
        told["period_from"] = str(np.datetime64(first_of(number, bill_day), "D"))
        told["period_to"] = str(np.datetime64(first_of(number + 1, bill_day), "D"))
        _, usual, year = usual_of(s, ring, slot, number, np.empty(USUAL))
        told["use_a_day_before"] = float(f"{usual:.7g}")
        if year == year:
            told["use_a_day_last_year"] = float(f"{year:.7g}")
        compared = [number - YEAR, *range(number - USUAL, number)]
        told["periods"] = [
            self._period(s, ring[slot], n) for n in compared if not np.isnan(rate_of(s, ring, slot, n))
        ]
        return told

    def _period(self, s: Any, ring: NDArray[Any], number: int) -> dict[str, object]:
        """One ended period: from bill day to bill day, and the days of it that were seen."""
        cell, after = ring[number % PAST], ring[(number + 1) % PAST]
        bill_day = int(s["bill_day"])
        behind = s if number + 1 == s["number"] else after if after["minutes"] else cell
        return {
            "start_ns": first_of(number, bill_day) * DAY - int(cell["offset"]) * QUARTER,
            "end_ns": first_of(number + 1, bill_day) * DAY - int(behind["offset"]) * QUARTER,
            "days": round(int(cell["minutes"]) / 1440, 4),
            "amount": float(str(cell["amount"])),
        }

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether enough periods are known."""
        ready: NDArray[np.bool_] = _ready(
            state.of(self.name, "running"), state.of(self.name, "periods"), slots, self.least_periods
        )
        return ready
