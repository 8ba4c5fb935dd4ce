"""Use that is suddenly ten, a hundred, a thousand or 35.31 times what it was: a unit, not a customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, F64, FINE, HOUR, I64, OK, U8, Batch, Records, Row
from detectors.kernel import kernel
from detectors.pulse import heard_for

STEP = np.dtype(
    [
        ("amount", np.float32),  # used since the last judgement [unit]
        ("hours", np.float32),  # time that it covers [h]
        ("past", np.float32),  # what of it was marked as history, or retained [unit]
        ("base", np.float32),  # usual use a day, the geometric mean [unit/d]
        ("spread", np.float32),  # mean deviation from it [log10]
        ("off", np.float32),  # sum of the deviations of the days that are off; of the one that waits [log10]
        ("last", np.float32),  # deviation of the newest day [log10]
        ("top", np.float32),  # highest hour of the day, in the mean hour of the usual use [-]
        ("logs", np.float32),  # sum over the day's hours with use of log10 of the same [h]
        ("busy", np.float32),  # those hours [h]
        ("peak", np.float32),  # usual highest hour above the day's mean [log10]
        ("body", np.float32),  # usual mean logarithm of the hours above that of the day's mean [log10]
        ("peaks", np.float32),  # of the days that ``off`` is of: sum of what these two
        ("bodies", np.float32),  # deviate by from the usual [log10]
        ("since", np.int32),  # the day on which they began, since 1970
        ("known", np.uint8),  # days that made the base, up to 255
        ("held", np.uint8),  # days in a row that are off by one factor; without a factor 1: the newest waits
        ("factor", np.int8),  # place of that factor in FACTORS, below zero: divided by it; 0: none
        ("open", np.uint8),
    ],
    align=True,
)

FACTORS = np.array([np.nan, 10.0, 35.3147, 100.0, 1000.0])  # 35.3147 ft³ are a m³
PERIOD = 480.0  # an amount that covers 20 d and more is a bill [h]
DOUBT = 0.05  # least tolerance [log10]
WIDE = 0.4  # most tolerance of a single day [log10]
HUGE = 99.0  # factors from here on are far beyond what a customer does
PEERS = 8  # others of the area and class that a look at them needs
MOVED = 0.2  # deviation from which on another meter has moved too [log10]
LONG = 3  # so many times what a flag needs, without one: it is no factor
SURER = 1.3  # so many times more unsteady may a meter be, and the area, where the hours of the day are known
# So far from their usual places beside the day's mean, in the mean of the days that are off, may be:
PEAK = 0.05  # its highest hour [log10]
BODY = 0.08  # the mean logarithm of its hours with use [log10]
CALM = 0.3  # so near to the base it is itself again [log10]
FAR = 0.13  # a day off by more may be one within which the unit has changed [log10]
WARY = 2.0 / 3.0  # of `steady`: what a meter may deviate by for such a day to be taken for one


@kernel
def _nearest(off: float, spread: float, steady: float, huge: float) -> int:
    """The factor that explains a deviation, with its sign; 0 where none does.

    steady, huge : usual deviation up to which a factor below HUGE, and one from there on, is one [log10]
    """
    slack = min(max(DOUBT, 3.0 * spread), WIDE)
    best, least = 0, slack
    for k in range(1, FACTORS.size):
        away = abs(abs(off) - np.log10(FACTORS[k]))
        if spread <= (steady if FACTORS[k] < HUGE else huge) and away <= least:
            best, least = k, away
    return best if off > 0 else -best


@kernel
def _learn(s: Row, off: float, peak: float, body: float) -> None:
    """Move the usual use and its hours towards a day that deviates from them by so much."""
    s.spread += (min(abs(off), 1.0) - s.spread) / 16.0
    s.base = s.base * 10.0 ** (off / 8.0)
    s.peak += peak / 8.0
    s.body += body / 8.0
    s.known += s.known < 255


@kernel
def _mixed(off: float, factor: int, fine: bool) -> bool:
    """Whether a day so far off may have been partly of the old unit and partly of the new one.

    Without the hours of a day only upwards by 100 and more: heating that comes on over two days looks like
    a factor of 10 or 35 that comes within one, and a home that is left in the afternoon like any that divides.
    """
    if factor == 0 or not (fine or (factor > 0 and FACTORS[factor] > HUGE)):
        return False
    by = off if factor > 0 else -off
    return bool(0.0 < by < np.log10(FACTORS[abs(factor)]) + DOUBT)


@kernel
def _alike(s: Row, factor: int) -> bool:
    """Whether the hours of the days that are off are the usual ones times one factor.

    The highest hour and the mean logarithm, which hangs on the lowest, keep their places beside the day's mean.
    """
    slack = 1.0 if FACTORS[abs(factor)] < HUGE else 3.0
    return bool(abs(s.peaks) <= slack * PEAK * s.held and abs(s.bodies) <= slack * BODY * s.held)


@kernel
def _moved(step: Records, meters: Records, j: int, factor: int, learn: int) -> float:
    """Of the others of the area and class, the share that has moved the same way, though not by this factor.

    Where many have, it is the season or the supply. A new head end moves all by one factor.
    """
    others, moved = 0, 0
    for k in range(step.size):
        if k == j or meters[k].area != meters[j].area or meters[k].cohort != meters[j].cohort:
            continue
        s = step[k]
        if s.known < learn:
            continue
        others += 1
        away = s.last if factor > 0 else -s.last
        moved += away >= MOVED and s.factor != factor
    return moved / others if others >= PEERS else 0.0


@kernel
def _update(
    step: Records, meters: Records, slot: I64, time: I64, usage: F64, span: I64, usual: I64, back: F64, status: U8,
    live: U8,
    learn: int, days: int, reads: int, steady: float, most: float, forget: int, share: float,
    out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        if status[i] != OK or span[i] <= 0:
            continue
        j = slot[i]
        s = step[j]
        used, hours, fine = usage[i] - back[i], span[i] / HOUR, usual[i] <= FINE
        s.amount += used
        s.hours += hours
        if fine and used > 0 and s.known > 0:
            flow = used / hours * 24.0 / s.base
            s.top = max(s.top, flow)
            s.logs += hours * np.log10(flow)
            s.busy += hours
        s.past += usage[i] if live[i] == 0 else 0.0
        if s.hours < 23.99:
            continue
        use, bill = s.amount / s.hours * 24.0, s.hours >= PERIOD
        covered, now = s.hours, live[i] != 0 and 2.0 * s.past < s.amount
        top, body, busy = s.top, s.logs, s.busy
        s.amount, s.hours, s.past, s.top, s.logs, s.busy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if not use > 0:
            continue  # no use says nothing of units
        off = np.log10(use / s.base) if s.known > 0 else 0.0
        # What the hours deviate by: none where they are not known.
        peak = np.log10(top) - off - s.peak if busy > 0 else 0.0
        body = body / busy - off - s.body if busy > 0 else 0.0
        need, enough = (reads, 3) if bill else (days, learn)
        if s.known < enough:
            weight = 1.0 / (s.known + 1)
            s.spread += weight * (abs(off) - s.spread)
            s.base = s.base * 10.0 ** (weight * off) if s.known > 0 else use
            if s.known > 0:
                s.peak += peak / s.known  # the first day has no base to hold its hours against
                s.body += body / s.known
            s.known += 1
            continue
        small, huge = steady * (SURER if fine else 1.0), 3.0 * steady
        factor = _nearest(off, s.spread, small, huge)
        if (
            s.open == 0
            and s.factor == 0
            and s.held > 0
            and not _mixed(s.off, _nearest(off, s.spread, WARY * small, WARY * huge), fine)
        ):
            # The day before was a day like others: what it says of the usual use was only put off.
            peak, body = peak + s.peak, body + s.body
            _learn(s, s.off, s.peaks, s.bodies)
            peak, body = peak - s.peak, body - s.body
            s.held = 0
            off = np.log10(use / s.base)
            factor = _nearest(off, s.spread, small, huge)
        verb = 0
        told = s.factor
        s.last = off
        if s.open:
            s.held += s.held < 255
            if abs(off) <= CALM or s.held >= forget:
                verb = CLEAR
        elif factor != 0:
            if factor != s.factor or s.held == 0:
                if s.factor != 0 or s.held == 0:
                    s.since = (time[i] - np.int64(covered * HOUR)) // DAY
                s.held, s.off, s.peaks, s.bodies, s.factor = 0, 0.0, 0.0, 0.0, factor
            elif s.held == 1 and abs(off - s.off) > FAR and (fine or (factor > 0 and FACTORS[factor] > HUGE)):
                s.held, s.off, s.peaks, s.bodies = (
                    0,
                    0.0,
                    0.0,
                    0.0,
                )  # the first day was partly of the old unit
            s.held += 1
            s.off += off
            s.peaks += peak
            s.bodies += body
            # Days without use between are passed over; where they are the most, it is no unit that comes and goes.
            whole = (time[i] / DAY - s.since) <= 2.0 * s.held * covered / 24.0 + 1.0
            told = factor
            exact = abs(abs(s.off / s.held) - np.log10(FACTORS[abs(factor)]))
            doubt = max(DOUBT, 2.0 * s.spread / np.sqrt(float(s.held)))
            allowed = most if FACTORS[abs(factor)] < HUGE else 3.0 * most
            need = need if factor > 0 else 2 * need
            due = s.held >= need and exact <= min(doubt, allowed) and whole and now
            season = due and _moved(step, meters, j, factor, enough) >= share * (SURER if fine else 1.0)
            if due and not season and _alike(s, factor):
                s.open, verb = 1, RAISE
            elif season or s.held > LONG * need:
                # The season's move, or one that stays without being at the factor: another level, and no unit.
                s.base, s.held, s.factor = use, 0, 0
                s.peak, s.body = s.peak + peak, s.body + body
        else:
            s.held, s.factor = 0, 0
        # Said once: an episode that stayed open would hide a rollback, which is of the same family.
        for what in (RAISE, CLEAR) if verb == RAISE else (0, 0):
            if what == 0:
                continue
            f = out[n]
            f.slot, f.row, f.kind, f.verb = j, i, 0, what
            f.at = f.end = time[i]
            f.start = min(s.since * DAY, time[i])
            was = np.float64(s.base)
            by = FACTORS[abs(told)]
            f.score = min(1.0 + (abs(off) / max(4.0 * s.spread, 0.1)), 10.0)
            f.observed, f.expected = use, was
            f.e0, f.e1, f.e2, f.e3 = by if told > 0 else 1.0 / by, use / was, use, was
            n += 1
        if verb == CLEAR:
            if abs(off) > CALM:
                s.base, s.peak, s.body = use, s.peak + peak, s.body + body
            s.open, s.held, s.factor = 0, 0, 0
        elif s.open == 0 and s.factor == 0:
            if abs(off) > FAR:
                s.held, s.off, s.peaks, s.bodies = 1, off, peak, body
                s.since = (time[i] - np.int64(covered * HOUR)) // DAY
            else:
                _learn(s, off, peak, body)
    return n


@dataclass(frozen=True, slots=True)
class Steps(Rule):
    """A use that jumps by exactly a factor between units or pulse weights, and stays there.

    The statistic is the logarithm of a day's use, or of a bill's use a day, less its weighted
    mean of late, against the logarithms of 10, 100, 1000 and 35.31 and their inverses [1]_. Within
    three times the usual deviation the day is off by that factor; ``days`` in a row, or ``reads``
    of a meter read every 20 days or less, whose mean is as near as chance allows, and within
    ``most``, are a *unit_error*. A meter whose days deviate by more than ``steady`` is not judged:
    its own ups and downs could be any factor. For factors of 100 and more both are three times as wide.

    Of a meter read every two hours or more often the hours must bear it out: a unit moves them all alike, so
    the day's highest hour and its mean logarithm (of hours with use) keep their places beside the day's mean, within
    ``PEAK`` and ``BODY`` in the mean of these days, three times that for factors of 100 and more. Heating that
    comes on, or a house that is left, moves the hours unequally. In return ``steady`` and ``share`` are
    ``SURER`` times as wide for it.

    A day off by more than ``FAR`` is learnt a day later, and not at all where the next is off by such a factor
    in the same way and by more: the unit changed within it. Without the hours that is asked of factors of 100 and
    more alone, upwards. Days without use say nothing. It is raised and cleared
    at once, and not again until the use is itself again, or after ``forget`` days, when the new
    level is taken for normal.

    learn   days that make the first mean; three bills. [-]
    days    in a row; twice as many where the use has fallen, since homes stand empty. [-]
    reads   the same of bills. [-]
    steady  usual deviation of a meter that can be judged. [log10]
    most    deviation of the mean from the factor at most. [log10]
    forget  days or reads. [-]
    share   of the area's others of its class (eight at least) that have moved the same way by something else,
            from which on it is the season that moves them all. [-]
    Shapes  a batch's columns (n,); state ``step`` (meters,).
    Not for proof: a tenant may use ten times what the last one did; unsteady meters.
    Use     not as proof: a tenant may use ten times what the last one did. The factor is a
            hypothesis, to be checked against the registry's unit and multiplier.
    Cost    no false flag on four sets of real meters (91,000 meter-days, ``forestall replay``), 0.09 per
            1,000 bills. What it finds of real meters multiplied for 20 days: ``python -m benchmarks.units``
            (docs/detectors.md); most of the others are too unsteady to be judged.

    .. [1] DETECTION §2, "unit / multiplier".
    """

    learn: int = 7
    days: int = 4
    reads: int = 2
    steady: float = 0.13
    most: float = 0.06
    forget: int = 90
    share: float = 0.25

    name = "steps"
    version = 3
    kinds = ("unit_error",)

    def __post_init__(self) -> None:
        counts = (self.learn, self.days, self.reads, self.forget)
        if not (
            all(1 <= count <= 255 for count in counts)
            and 0 < self.steady < 1
            and 0 < self.most < 0.3
            and 0 < self.share <= 1
        ):
            raise ValueError(
                "need learn, days, reads, forget from 1 to 255, 0 < steady < 1, 0 < most < 0.3 and 0 < share <= 1, "
                f"got {self}"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The factor, and what it was found in."""
        return {"unit_error": ("factor", "ratio", "use_a_day", "use_a_day_before")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The usual use, and the days that are off."""
        return (Column("step", STEP, scales=("amount", "past", "base")),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Judge each day, or each bill."""
        b = batch
        found: int = _update(
            state.of(self.name, "step"), state.meters, b.slot, b.time, b.usage, b.span, b.usual, b.back, b.status,
            b.live, self.learn, self.days, self.reads, self.steady, self.most, self.forget, self.share, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """When the first mean is made."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
