"""One interval's amount → what it is booked as, and what one below zero, or of another device, means."""

from __future__ import annotations

import numpy as np

from detectors.base import CLEAR, RAISE, UPDATE
from detectors.batch import CORRECTION, DAY, FIRST, OK, SUSPECT, Records, Row
from detectors.kernel import kernel
from detectors.pulse import BOOKED, FALL_OPEN, FELL, OTHER, UNCOUNTED, fall
from detectors.registers import MISREAD, ROLLBACK, SWAP, Answer


@kernel
def _find(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float,
    observed: float, expected: float, sure: float, first: float, second: float, both: float,
) -> int:  # fmt: skip
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, observed, expected
    f.e0 = f.e1 = np.nan
    f.e2 = sure
    f.e3, f.e4, f.e5 = first, second, both
    return n + 1


@kernel
def interval(
    p: Row, floor: float, i: int, j: int, t: int, v: float, own: int, earlier: int, may: bool, confirm: int,
    out: Records, n: int,
) -> Answer:  # fmt: skip
    """Take the newest interval of a meter that only counts in; the caller moves ``p`` on.

    ``own`` and ``earlier`` are the spans of this interval and of the one before it [ns],
    ``floor`` is what a day must amount to to matter [unit/d].
    """
    before = p.value
    if v < 0:
        p.negative += 1
        if p.newest != BOOKED or before <= 0 or earlier <= 0:
            before = 0.0
        whole = before + v
        if -v <= floor * own / DAY or whole > -v:
            # Too little to matter, or it amends an amount that stands.
            p.usage += v
            p.newest = OTHER
            return n, CORRECTION, v, own, 0.0
        if whole >= 0:
            # It takes back what the one before had too much: that was misread.
            told, nan = fall(p, t, may), np.nan
            if told == 1:
                n = _find(out, n, i, j, MISREAD, RAISE, t, p.time, 1.0, before, whole, nan, before, v, whole)
                n = _find(out, n, i, j, MISREAD, CLEAR, t, p.time, 1.0, before, whole, nan, before, v, whole)
            elif told == 2:
                n = _find(out, n, i, j, ROLLBACK, RAISE, t, t, 1.0, v, 0.0, 0.0, before, v, float(p.falls))
            p.usage += v
            p.newest = OTHER
            return n, OK, whole, own + earlier, before
        p.good = 0
        told = 0 if p.open & FALL_OPEN else fall(p, t, may)
        if told:
            p.episode = t
            falls = float(p.falls) if told == 2 else np.nan
            n = _find(out, n, i, j, ROLLBACK, RAISE, t, t, 1.0, v, 0.0, 0.0, before, v, falls)
        if told == 1:
            p.open |= FALL_OPEN
        p.newest = FELL
        return n, SUSPECT, np.nan, 0, 0.0
    if p.newest == FELL and 0 <= v + before <= -before:
        # It makes up for the one that fell: that one was misread.
        whole = v + before
        if p.open & FALL_OPEN:
            p.open -= FALL_OPEN
            s, nan = p.episode, np.nan
            n = _find(out, n, i, j, MISREAD, UPDATE, t, s, 2.0, before, whole, nan, before, v, whole)
            n = _find(out, n, i, j, MISREAD, CLEAR, t, s, 2.0, before, whole, nan, before, v, whole)
        p.usage += whole
        p.newest = OTHER
        return n, OK, whole, own + earlier, 0.0
    if p.open & FALL_OPEN:
        p.good += 1
        if p.good >= confirm:
            p.open -= FALL_OPEN
            sure, nan = float(confirm), np.nan
            n = _find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 1.0, v, 0.0, sure, nan, v, nan)
    p.usage += v
    p.newest = BOOKED
    return n, OK, v, own, 0.0


@kernel
def of_another(
    p: Row,
    i: int,
    j: int,
    t: int,
    v: float,
    own: int,
    stated: bool,
    signed: bool,
    may: bool,
    out: Records,
    n: int,
) -> Answer:
    """The first interval of a new device; the caller moves ``p`` on.

    Head ends subtract reads of two devices from one another, or send all that the new one has ever counted:
    the amount is believed only where the time that it covers is ``stated``.
    """
    nan = np.nan
    if p.open & FALL_OPEN:
        p.open -= FALL_OPEN
        n = _find(out, n, i, j, ROLLBACK, CLEAR, t, p.episode, 1.0, v, 0.0, 0.0, nan, v, nan)
    if may:
        before = p.value
        n = _find(out, n, i, j, SWAP, RAISE, t, t, 1.0, v, before, nan, before, v, nan)
        n = _find(out, n, i, j, SWAP, CLEAR, t, t, 1.0, v, before, nan, before, v, nan)
    p.sure_time = 0
    if v < 0 and not signed:
        p.negative += 1
    elif stated:
        p.usage += v
        p.newest = BOOKED
        return n, OK, v, own, 0.0
    p.newest = UNCOUNTED
    return n, FIRST, np.nan, own, 0.0
