"""Readings → amounts used: order, duplicates, register differences, rollback, rollover, swap.

The first of all detectors: it decides what each reading is and gives every other its
``usage``, ``span``, ``status`` and ``live``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE, Column, State, named
from detectors.batch import (
    AHEAD,
    BAD,
    CORRECTION,
    DUPLICATE,
    FIRST,
    GAUGE,
    HISTORICAL,
    INTERVAL,
    LATE,
    LEVEL,
    OK,
    REGISTER,
    RETAINED,
    SUSPECT,
    Batch,
    Records,
)
from detectors.kernel import kernel

ROLLBACK, MISREAD, SWAP, AHEAD_KIND = 0, 1, 2, 3
SEEN = 4  # words of 64 bits: how many interval slots back a duplicate is recognised exactly

PULSE = np.dtype(
    [
        ("first", np.int64),  # event time of the first reading [ns]
        ("time", np.int64),  # of the newest [ns]
        ("value", np.float64),  # the newest; of a register the one that differences start from
        ("prev_time", np.int64),
        ("prev_value", np.float64),
        ("count", np.int64),  # distinct readings taken in
        ("usage", np.float64),  # all that was used [unit]
        ("spacing", np.int64),  # usual time between readings [ns]
        ("pend_value", np.float64),  # newest reading below the register's value
        ("pend_first", np.float64),  # the first of them
        ("episode", np.int64),  # start of an open register episode [ns]
        ("serial", np.uint64),
        ("late", np.uint32),
        ("bad", np.uint32),
        ("ahead", np.uint32),
        ("duplicates", np.uint32),
        ("corrections", np.uint32),
        ("odd", np.uint8),  # spacings in a row that were not the usual
        ("pend", np.uint8),  # readings in a row below the register's value
        ("open", np.uint8),  # 1 = rollback raised, 2 = clock raised
        ("live", np.uint8),  # 1 = its newest reading was a live one
    ],
    align=True,
)


@kernel
def _seen(words: NDArray[np.uint64], slot: int, index: int) -> bool:
    place = index % (64 * SEEN)
    return bool((words[slot, place >> 6] >> np.uint64(place & 63)) & np.uint64(1))


@kernel
def _see(words: NDArray[np.uint64], slot: int, index: int) -> None:
    place = index % (64 * SEEN)
    words[slot, place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@kernel
def _forget(words: NDArray[np.uint64], slot: int, after: int, upto: int) -> None:
    """Free the places of the interval slots after … upto for the new turn of the ring."""
    if upto - after >= 64 * SEEN:
        for w in range(SEEN):
            words[slot, w] = np.uint64(0)
        return
    for index in range(after + 1, upto + 1):
        place = index % (64 * SEEN)
        words[slot, place >> 6] &= ~(np.uint64(1) << np.uint64(place & 63))


@kernel
def _find(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float, observed: float,
    expected: float, e0: float, e1: float, e2: float,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, observed, expected
    f.e0, f.e1, f.e2 = e0, e1, e2
    return n + 1


@kernel
def _update(
    pulse: Records, seen: NDArray[np.uint64], meters: Records, cold: NDArray[np.uint8],
    slot: NDArray[np.int64], time: NDArray[np.int64], value: NDArray[np.float64], kind: NDArray[np.uint8],
    quality: NDArray[np.uint8], marks: NDArray[np.uint16], limit: NDArray[np.int64], serial: NDArray[np.uint64],
    stop: NDArray[np.float64], begin: NDArray[np.float64],
    usage: NDArray[np.float64], span: NDArray[np.int64], status: NDArray[np.uint8], live: NDArray[np.uint8],
    confirm: int, long_gap: float, turn_near: float, turn_most: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        p = pulse[j]
        t, v = time[i], value[i]
        usage[i], span[i], live[i] = np.nan, 0, 0
        may = (marks[i] & (RETAINED | HISTORICAL)) == 0
        step = meters[j].interval

        if t > limit[i]:
            status[i] = AHEAD
            p.ahead += 1
            if may and not p.open & 2:
                p.open |= 2
                late_by = (t - limit[i]) / 1e9
                n = _find(out, n, i, j, AHEAD_KIND, RAISE, limit[i], limit[i], 1.0, late_by, 0.0, late_by, 0.0, 0.0)
            continue
        if quality[i] == 2 or not np.isfinite(v):
            status[i] = BAD
            p.bad += 1
            continue
        if p.open & 2 and may:
            p.open &= 253
            n = _find(out, n, i, j, AHEAD_KIND, CLEAR, t, t, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

        if p.count == 0:
            status[i] = LEVEL if kind[i] == GAUGE else FIRST
            p.first = p.time = p.prev_time = t
            p.value = p.prev_value = v
            p.count = 1
            p.serial = serial[i]
            p.spacing = step
            p.live = may
            if step > 0:
                _see(seen, j, t // step)
            if kind[i] == INTERVAL:
                # The first interval has no predecessor: it covers the stated spacing, if there is one.
                p.usage = v
                if step > 0:
                    usage[i], span[i] = v, step
                    status[i] = OK
                    live[i] = may
            continue

        if t <= p.time:
            same_slot = step > 0 and t // step == p.time // step
            if t == p.time or (same_slot and kind[i] != REGISTER and t > p.time - step // 2):
                if v == p.value:
                    status[i] = DUPLICATE
                    p.duplicates += 1
                else:
                    status[i] = CORRECTION
                    p.corrections += 1
                    if kind[i] == INTERVAL:
                        p.usage += v - p.value
                        p.value = v
                    elif kind[i] == REGISTER:
                        if p.pend == 0 and v >= p.prev_value:
                            p.usage += v - p.value
                            p.value = v
                    else:
                        p.value = v
                continue
            known = False
            if step > 0:
                back = p.time // step - t // step
                known = back >= 64 * SEEN or _seen(seen, j, t // step)
            else:
                known = t == p.prev_time and v == p.prev_value
            if known:
                status[i] = DUPLICATE
                p.duplicates += 1
                continue
            status[i] = LATE
            p.late += 1
            p.count += 1
            if step > 0:
                _see(seen, j, t // step)
            if kind[i] == INTERVAL:
                p.usage += v
            continue

        # The newest reading of its meter.
        gap = t - p.time
        if step > 0:
            _forget(seen, j, p.time // step, t // step)
            _see(seen, j, t // step)
        p.count += 1
        p.live = may
        live[i] = may
        usual = p.spacing
        if usual <= 0:
            p.spacing = gap
        elif gap < long_gap * usual and gap * long_gap > usual:
            p.odd = 0
            if step == 0:
                p.spacing = usual + (gap - usual) // 8
        else:
            p.odd += 1
            if p.odd >= 3 and step == 0:
                p.spacing, p.odd = gap, 0

        if kind[i] == GAUGE:
            status[i] = LEVEL
            span[i] = gap
            p.prev_time, p.prev_value = p.time, p.value
            p.time, p.value = t, v
            continue

        if kind[i] == INTERVAL:
            status[i] = OK
            usage[i] = v
            # An interval without a period covers the time since the last reading, but after a hole
            # only the usual spacing: the missing bill is missing, this one did not cover it.
            span[i] = usual if usual > 0 and gap > long_gap * usual else gap
            p.usage += v
            p.prev_time, p.prev_value = p.time, p.value
            p.time, p.value = t, v
            continue

        swapped = serial[i] != 0 and p.serial != 0 and serial[i] != p.serial
        if serial[i] != 0:
            p.serial = serial[i]
        if swapped:
            status[i] = FIRST
            if stop[i] == stop[i] and begin[i] == begin[i] and stop[i] >= p.value and v >= begin[i]:
                amount = (stop[i] - p.value) + (v - begin[i])
                status[i] = OK
                usage[i], span[i] = amount, gap
                p.usage += amount
            if p.open & 1:
                n = _find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 0.0, v, p.value, p.value, v, 0.0)
            p.open &= 254
            p.pend = 0
            if may:
                n = _find(out, n, i, j, SWAP, RAISE, t, t, 1.0, v, p.value, p.value, v, stop[i])
                n = _find(out, n, i, j, SWAP, CLEAR, t, t, 1.0, v, p.value, p.value, v, stop[i])
            p.prev_time, p.prev_value = t, v
            p.time, p.value = t, v
            cold[j // BLOCK] = 1
            continue

        if v >= p.value:
            amount = v - p.value
            real = t - p.time if p.pend == 0 else t - p.prev_time
            if p.pend > 0:
                # Back up: the readings in between were misread.
                real = t - p.prev_time
                if p.open & 1:
                    n = _find(out, n, i, j, MISREAD, UPDATE, t, p.episode, 2.0, p.pend_value, p.value, p.value,
                              p.pend_value, v)  # fmt: skip
                    n = _find(out, n, i, j, MISREAD, CLEAR, t, p.episode, 2.0, p.pend_value, p.value, p.value,
                              p.pend_value, v)  # fmt: skip
                p.open &= 254
                p.pend = 0
            status[i] = OK
            usage[i], span[i] = amount, real
            p.usage += amount
            p.prev_time, p.prev_value = p.time, p.value
            p.time, p.value = t, v
            continue

        # The register fell.
        capacity = meters[j].capacity
        turned = capacity + v - p.value
        if capacity > 0 and p.value >= turn_near * capacity and 0 <= turned <= turn_most * capacity:
            status[i] = OK
            usage[i], span[i] = turned, gap
            p.usage += turned
            p.prev_time, p.prev_value = p.time, p.value
            p.time, p.value = t, v
            continue
        if p.pend == 0:
            if v >= p.prev_value and p.prev_time < p.time:
                # It is still above the reading before the last: the last one was read too high.
                taken = p.value - p.prev_value
                status[i] = OK
                usage[i], span[i] = v - p.prev_value, t - p.prev_time
                p.usage += v - p.prev_value - taken
                if may:
                    n = _find(out, n, i, j, MISREAD, RAISE, t, p.time, 1.0, p.value, v, p.prev_value, p.value, v)
                    n = _find(out, n, i, j, MISREAD, CLEAR, t, p.time, 1.0, p.value, v, p.prev_value, p.value, v)
                p.time, p.value = t, v
                continue
            p.pend, p.pend_first = 1, v
            p.prev_time = p.time
            if may:
                p.open |= 1
                p.episode = t
                n = _find(out, n, i, j, ROLLBACK, RAISE, t, t, 1.0, v, p.value, p.value, v, 0.0)
        elif v >= p.pend_value:
            p.pend += 1
        else:
            p.pend, p.pend_first = 1, v
        p.pend_value = v
        status[i] = SUSPECT
        p.time = t  # the order of readings goes on; differences still start from ``value``
        if p.pend >= confirm:
            # The device really counts from lower: start from here.
            amount = v - p.pend_first
            p.usage += amount
            p.value = p.prev_value = v
            p.prev_time = t
            p.pend = 0
            if p.open & 1:
                n = _find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 1.0, v, p.value, p.value, v, float(confirm))
            p.open &= 254
    return n


@dataclass(frozen=True, slots=True)
class Intervals:
    """Register → interval, and the order of readings.

    A register's usage is the difference over the real time between two readings [1]_. A
    register that falls is a *rollback*, raised at that reading; differences go on from the
    value before it until ``confirm`` readings in a row agree with the lower count. Back up
    before that, it was a *misread*; so was a high reading whose successor falls below it but
    not below its predecessor. Near 10^digits a fall by an amount that is plausible is a
    rollover: usage, no alarm. A new serial number is a *meter_swap*: no usage across it
    unless the stop and start reads came with it.

    confirm   readings in a row that make a lower count the new one. [-]
    long_gap  a spacing beyond this multiple of the usual one is a gap. [-]
    turn_near, turn_most  a rollover starts above this share of the register's capacity and
              uses at most this share of it. [-]
    Cost      no false flag on the packaged demo meters, which are intervals; on registers it
              speaks only when a register falls (``make bench``).

    .. [1] DETECTION §2, as in any meter data management system's VEE rules.
    """

    confirm: int = 3
    long_gap: float = 1.5
    turn_near: float = 0.9
    turn_most: float = 0.1

    name = "intervals"
    version = 1
    kinds = ("rollback", "misread", "meter_swap", "clock_drift")

    def __post_init__(self) -> None:
        if self.confirm < 1 or self.confirm > 255 or self.long_gap <= 1:
            raise ValueError(f"need 1 <= confirm <= 255 and long_gap > 1, got {self.confirm} and {self.long_gap}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """Numbers of each kind."""
        return {
            "rollback": ("register_before", "register_now", "confirmed_by_reads"),
            "misread": ("register_before", "register_read", "register_after"),
            "meter_swap": ("stop_of_old_device", "start_of_new_device", "stated_stop"),
            "clock_drift": ("seconds_ahead",),
        }

    @property
    def columns(self) -> tuple[Column, ...]:
        """The pulse of each meter, and which interval slots have been seen."""
        counters = ("late", "bad", "ahead", "duplicates", "corrections", "odd", "live", "open")
        return (
            Column("pulse", PULSE, counters=counters),
            Column("seen", np.dtype(np.uint64), SEEN),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Fill usage, span, status and live; find what a falling register means."""
        b = batch
        found: int = _update(
            state.of(self.name, "pulse"), state.of(self.name, "seen"), state.meters, state.cold,
            b.slot, b.time, b.value, b.kind, b.quality, b.marks, b.limit, b.serial, b.stop, b.start,
            b.usage, b.span, b.status, b.live, self.confirm, self.long_gap, self.turn_near, self.turn_most, out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Nothing here hangs on the watermark."""
        return 0

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers compared."""
        return named(self.evidence, self.kinds[finding["kind"]], finding)

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """From the second reading on."""
        ready: NDArray[np.bool_] = state.of(self.name, "pulse")["count"][slots] >= 2
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them."""
        return asdict(self)
