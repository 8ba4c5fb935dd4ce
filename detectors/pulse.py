"""What is remembered of each meter's readings: the newest ones, and which intervals have been seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY, I64, NS, Records, Row
from detectors.kernel import kernel

SEEN = 4  # words of 64 bits: how many interval slots back a duplicate is recognised exactly
KNOWN = 64 * SEEN

# Bits of ``open``.
ROLLBACK_OPEN, CLOCK_OPEN, FALL_OPEN, TURNS_OPEN = 1, 2, 4, 8

# So many falls, each so soon after the one before (or within three of its spacings), are told once: it keeps falling.
TURNS, SOON = 3, 7 * DAY

# What the newest reading is to an amount after it: one that was counted, one below zero and one of a new device
# that were not.
OTHER, BOOKED, FELL, UNCOUNTED = 0, 1, 2, 3

PULSE = np.dtype(
    [
        ("first", np.int64),  # event time of the first reading [ns]
        ("time", np.int64),  # of the newest [ns]
        ("value", np.float64),  # the newest; of a register the one that differences start from
        ("prev_time", np.int64),  # of the reading before ``value``; while a register is down, of ``value``
        ("prev_value", np.float64),
        ("usage", np.float64),  # all that was used [unit]
        ("spacing", np.int64),  # usual time between readings [ns]
        ("pend_value", np.float64),  # newest reading below the register's value
        ("pend_first", np.float64),  # the first of them
        ("episode", np.int64),  # start of an open register episode [ns]
        ("serial", np.uint64),
        ("sure_time", np.int64),  # of the newest actual read, 0 = none yet [ns]
        ("sure_value", np.float64),  # of a register: that read
        ("heard", np.int64),  # arrival of the newest reading that was stamped ahead of it, 0 = none [ns]
        ("count", np.uint32),  # distinct readings taken in
        ("late", np.uint32),
        ("bad", np.uint32),
        ("ahead", np.uint32),
        ("duplicates", np.uint32),
        ("corrections", np.uint32),
        ("negative", np.uint32),
        ("missing", np.uint32),
        ("off_grid", np.uint32),
        ("off_size", np.uint32),
        ("rollovers", np.uint16),
        ("odd", np.uint8),  # spacings in a row that were not the usual
        ("pend", np.uint8),  # readings in a row below the register's value
        ("open", np.uint8),  # bits of what is raised
        ("live", np.uint8),  # 1 = its newest reading was a live one
        ("newest", np.uint8),  # OTHER, BOOKED …: what that reading was
        ("good", np.uint8),  # good amounts in a row since one fell
        ("guessed", np.uint8),  # 1 = the newest reading is an estimate
        ("falls", np.uint8),  # falls in a row, each soon after the one before, 255 = that many or more
        ("fell", np.uint32),  # the newest of them [s since 1970]
    ],
    align=True,
)


def heard_for(pulse: Records, slots: I64, time: int) -> NDArray[np.bool_]:
    """Which meters' readings span at least so long. [ns]"""
    mine = pulse[slots]
    long: NDArray[np.bool_] = mine["time"] - mine["first"] >= time
    return long


@kernel
def fall(p: Row, t: int, may: bool) -> int:
    """Count a fall of what should only rise: 1 = to be told, 2 = told as one that goes on, 0 = not to be told."""
    if not may:
        return 0
    p.falls = 1 if rests(p, t) else min(p.falls + 1, 255)
    p.fell = t // NS
    if p.open & TURNS_OPEN:
        return 0
    if p.falls < TURNS:
        return 1
    p.open |= TURNS_OPEN
    return 2


@kernel
def rests(p: Row, t: int) -> bool:
    """Whether its last fall lies too far back for another to go on from it."""
    return bool(t - np.int64(p.fell) * NS > max(SOON, 3 * p.spacing))


@kernel
def seen_before(words: NDArray[np.uint64], slot: int, index: int) -> bool:
    """Whether an interval slot, counted since 1970, has been seen; the ring holds the last ``KNOWN``."""
    place = index % KNOWN
    return bool((words[slot, place >> 6] >> np.uint64(place & 63)) & np.uint64(1))


@kernel
def see(words: NDArray[np.uint64], slot: int, index: int) -> None:
    """Mark an interval slot as seen."""
    place = index % KNOWN
    words[slot, place >> 6] |= np.uint64(1) << np.uint64(place & 63)


@kernel
def forget(words: NDArray[np.uint64], slot: int, after: int, upto: int) -> None:
    """Free the places of the interval slots after … upto for the new turn of the ring."""
    if upto - after >= KNOWN:
        for w in range(SEEN):
            words[slot, w] = np.uint64(0)
        return
    for index in range(after + 1, upto + 1):
        place = index % KNOWN
        words[slot, place >> 6] &= ~(np.uint64(1) << np.uint64(place & 63))


@kernel
def pace(p: Row, gap: int, stated: int, long_gap: float) -> None:
    """Learn the usual time between readings, unless the registry states it.

    A gap that is like the usual one moves it by an eighth of the difference; three in a row
    that are not put the last of them in its place.
    """
    usual = p.spacing
    if usual <= 0:
        p.spacing = gap
    elif gap < long_gap * usual and gap * long_gap > usual:
        p.odd = 0
        if stated == 0:
            p.spacing = usual + (gap - usual) // 8
    elif stated == 0:
        p.odd += 1
        if p.odd >= 3:
            p.spacing, p.odd = gap, 0
