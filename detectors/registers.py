"""One reading of a cumulative register → the amount used, and what a fall of it means."""

from __future__ import annotations

import numpy as np

from detectors.base import CLEAR, RAISE, UPDATE
from detectors.batch import FIRST, OK, SUSPECT, Records, Row
from detectors.kernel import kernel
from detectors.pulse import ROLLBACK_OPEN, fall

ROLLBACK, MISREAD, SWAP = 0, 1, 2  # indexes of Intervals.kinds

#: Findings so far, status, amount (NaN = not known), its span [ns], amount booked before that is taken back.
Answer = tuple[int, int, float, int, float]


@kernel
def find(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float,
    observed: float, expected: float, e0: float, e1: float, e2: float,
) -> int:  # fmt: skip
    """Write one finding; return how many there are now."""
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, observed, expected
    f.e0, f.e1, f.e2 = e0, e1, e2
    f.e3 = f.e4 = f.e5 = np.nan
    return n + 1


@kernel
def exchanged(p: Row, v: float, stop: float, begin: float) -> bool:
    """Whether stop and start reads (NaN = none) explain a reading that does not follow the one before.

    Devices that go on sending them after the swap do not swap again.
    """
    return bool(stop >= p.value and v >= begin and (v < p.value or begin > p.value))


@kernel
def swapped(
    p: Row, i: int, j: int, t: int, v: float, stop: float, begin: float, may: bool, out: Records, n: int
) -> Answer:
    """Start from the new device; what was used is known only where stop and start reads came along."""
    status, amount = FIRST, np.nan
    since = p.time if p.pend == 0 else p.prev_time
    # A comparison with NaN (no such read) is false.
    if stop >= p.value and v >= begin:
        status, amount = OK, (stop - p.value) + (v - begin)
        p.usage += amount
    if p.open & ROLLBACK_OPEN:
        n = find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 0.0, v, p.value, p.value, v, 0.0)
        p.open -= ROLLBACK_OPEN
    if may:
        n = find(out, n, i, j, SWAP, RAISE, t, t, 1.0, v, p.value, p.value, v, stop)
        n = find(out, n, i, j, SWAP, CLEAR, t, t, 1.0, v, p.value, p.value, v, stop)
    p.pend = 0
    p.sure_time = 0  # estimates of the new device do not count from a read of the old one
    p.prev_time, p.prev_value = t, v
    p.time, p.value = t, v
    return n, status, amount, t - since, 0.0


@kernel
def read(
    p: Row, capacity: float, signed: bool, i: int, j: int, t: int, v: float, may: bool, confirm: int, turn_near: float,
    turn_most: float, out: Records, n: int,
) -> Answer:  # fmt: skip
    """Take the newest reading of a register."""
    since = p.time if p.pend == 0 else p.prev_time  # when the register stood at ``value``
    amount = v - p.value
    if amount < 0 and capacity > 0 and p.value >= turn_near * capacity:
        turned = capacity + amount
        if 0 <= turned <= turn_most * capacity:
            amount = turned
            p.rollovers += 1
    if amount >= 0 or signed:
        if p.open & ROLLBACK_OPEN:
            # Back up: the readings in between were misread.
            low = p.pend_value
            n = find(out, n, i, j, MISREAD, UPDATE, t, p.episode, 2.0, low, p.value, p.value, low, v)
            n = find(out, n, i, j, MISREAD, CLEAR, t, p.episode, 2.0, low, p.value, p.value, low, v)
            p.open -= ROLLBACK_OPEN
        p.pend = 0
        p.usage += amount
        p.prev_time, p.prev_value = since, p.value
        p.time, p.value = t, v
        return n, OK, amount, t - since, 0.0
    if p.pend == 0 and v >= p.prev_value and p.prev_time < p.time:
        # Still above the reading before the last: the last one was read too high.
        high = p.value
        told = fall(p, t, may)
        if told == 1:
            n = find(out, n, i, j, MISREAD, RAISE, t, p.time, 1.0, high, v, p.prev_value, high, v)
            n = find(out, n, i, j, MISREAD, CLEAR, t, p.time, 1.0, high, v, p.prev_value, high, v)
        elif told == 2:
            n = find(out, n, i, j, ROLLBACK, RAISE, t, t, 1.0, v, high, high, v, 0.0)
            out[n - 1].e5 = p.falls
        booked = p.value - p.prev_value
        p.usage += amount
        p.time, p.value = t, v
        return n, OK, v - p.prev_value, t - p.prev_time, booked
    return _down(p, i, j, t, v, may, confirm, out, n)


@kernel
def _down(p: Row, i: int, j: int, t: int, v: float, may: bool, confirm: int, out: Records, n: int) -> Answer:
    """A reading below the register's value: its amount is not known yet."""
    if p.pend == 0:
        p.pend, p.pend_first = 1, v
        p.prev_time = p.time
        told = fall(p, t, may)
        if told:
            n = find(out, n, i, j, ROLLBACK, RAISE, t, t, 1.0, v, p.value, p.value, v, 0.0)
            p.episode = t
        if told == 1:
            p.open |= ROLLBACK_OPEN
        elif told == 2:
            out[n - 1].e5 = p.falls
    elif v >= p.pend_value:
        p.pend += 1
    else:
        p.pend, p.pend_first = 1, v
    p.pend_value = v
    p.time = t  # the order of readings goes on; differences still start from ``value``
    if p.pend >= confirm:
        # The device really counts from lower: start from here.
        if p.open & ROLLBACK_OPEN:
            sure = float(confirm)
            n = find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 1.0, v, p.value, p.value, v, sure)
            p.open -= ROLLBACK_OPEN
        p.usage += v - p.pend_first
        p.value = p.prev_value = v
        p.prev_time = t
        p.pend = 0
    return n, SUSPECT, np.nan, 0, 0.0
