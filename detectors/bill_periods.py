"""A meter's use by billing period: from one bill day to the next, in the days of its own zone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.batch import DAY, NS, Records, Row
from detectors.kernel import kernel

PAST = 13  # periods remembered: a year of months, and one
USUAL = 6  # of the newest of them the median is usual
YEAR = 12  # periods back to the same season
MINUTE, EIGHTH, QUARTER = 60 * NS, DAY // 8, 900 * NS
KNOWN = 0.8  # share of a period that must have been read before it is compared with

#: The running period. A period is numbered by the month in which it begins, counted from January 1970.
RUNNING = np.dtype(
    [
        ("amount", np.float64),  # used so far [unit]
        ("covered", np.int64),  # time that the amount covers [ns]
        ("sure", np.int64),  # what of it was read, and not estimated [ns]
        ("until", np.int64),  # end of what has been covered [ns UTC]
        ("sure_until", np.int64),  # the same of what was read [ns UTC]
        ("number", np.int16),
        ("first", np.int32),  # its first local day, days since 1970
        ("last", np.int32),  # first local day of the next one
        ("move", np.float32),  # the area's move that the open flag was last judged with
        ("told", np.int16),  # number of the period that was last flagged, 0 = none
        ("bill_day", np.uint8),  # that its days were cut by, 0 = has not spoken yet
        ("open", np.uint8),
        ("held", np.uint8),  # days in a row beyond the line
        ("fresh", np.uint8),  # 1 = has been read since it was last judged
        ("offset", np.int8),  # local time - UTC as the period began [15 min]
    ],
    align=True,
)

#: A period that has ended; all 0 = not known.
ENDED = np.dtype(
    [
        ("amount", np.float32),  # [unit]
        ("minutes", np.uint16),  # that the amount covers
        ("sure", np.uint8),  # what of it was read [1/8 d]
        ("offset", np.int8),  # as its period began [15 min]
    ]
)

_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])  # days before each month


@kernel
def first_of_month(month: int) -> int:
    """Day, counted from 1970, on which a month begins, counted likewise, in the Gregorian calendar."""
    year, place = 1970 + month // 12, month % 12
    past = year - 1
    leaps = past // 4 - past // 100 + past // 400 - 477  # since 1970
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    return int(365 * (year - 1970) + leaps + _BEFORE[place] + (1 if leap and place > 1 else 0))


@kernel
def first_of(number: int, bill_day: int) -> int:
    """First day of a period: the bill day of its month, in a shorter month the last."""
    begin = first_of_month(number)
    return int(begin + min(bill_day, first_of_month(number + 1) - begin) - 1)


@kernel
def period_of(day: int, bill_day: int) -> int:
    """Number of the period that a day belongs to."""
    month = int(np.floor(day / 30.436875))
    while first_of_month(month) > day:
        month -= 1
    while first_of_month(month + 1) <= day:
        month += 1
    return month if first_of(month, bill_day) <= day else month - 1


@kernel
def enter(s: Row, ring: Records, j: int, time: int, local: int, bill_day: int) -> bool:
    """A reading ends at ``local``: begin its period, if that is a new one; whether the ring was written.

    Where the registry has changed the bill day, the running period is of no use: it begins anew, unless
    the change itself begins another one.
    """
    day = (local - 1) // DAY
    if bill_day == s.bill_day and day < s.last:
        return False
    number = period_of(day, bill_day)
    if s.bill_day != 0 and number > s.number:
        cell = ring[j, s.number % PAST]
        cell.amount, cell.offset = s.amount, s.offset
        cell.minutes = min((s.covered + MINUTE // 2) // MINUTE, 65535)
        cell.sure = min((s.sure + EIGHTH // 2) // EIGHTH, 255)
        for n in range(max(s.number + 1, number - PAST), number):
            _forget(ring[j, n % PAST])
    elif s.bill_day != 0:
        for n in range(max(number, s.number - PAST), s.number):
            _forget(ring[j, n % PAST])
    s.amount, s.covered, s.sure, s.held = 0.0, 0, 0, 0
    s.number, s.bill_day = number, bill_day
    s.first, s.last = first_of(number, bill_day), first_of(number + 1, bill_day)
    s.offset = (local - time) // QUARTER
    return True


@kernel
def _forget(cell: Row) -> None:
    cell.amount, cell.minutes, cell.sure, cell.offset = 0.0, 0, 0, 0


@kernel
def add(s: Row, ring: Records, j: int, end: int, span: int, amount: float, time: bool) -> bool:
    """Spread an amount evenly over the periods that it covers; whether the ring was written.

    end, span  what it covers, ``end`` in the meter's zone [ns]
    time       the time counts as covered too
    """
    if span <= 0:
        return False
    edge, begin = s.first * DAY, end - span
    inside = max(end - max(begin, edge), 0)
    if inside > 0:
        s.amount += amount * (inside / span)
        s.covered += inside if time else 0
    number, end = s.number - 1, min(end, edge)
    while end > begin and number >= s.number - PAST:
        start = max(first_of(number, s.bill_day) * DAY, begin)
        if start < end:
            cell = ring[j, number % PAST]
            cell.amount += np.float32(amount * ((end - start) / span))
            if time:
                cell.minutes = min(cell.minutes + (end - start + MINUTE // 2) // MINUTE, 65535)
            end = start
        number -= 1
    return bool(begin < edge)


@kernel
def cover(s: Row, ring: Records, j: int, time: int, local: int, span: int, guess: bool) -> bool:
    """Count the time up to a reading as covered, and as read if it is no estimate; whether the ring was written.

    A read after estimates makes them sure: it covers the time since the read before them.
    """
    edge = s.first * DAY
    wrote = add(s, ring, j, local, time - max(time - span, s.until), 0.0, True)
    s.until = max(s.until, time)
    if not guess:
        begin = local - (time - max(time - span, s.sure_until))
        s.sure_until, s.fresh = max(s.sure_until, time), 1
        s.sure += max(local - max(begin, edge), 0)
        if begin < edge:
            cell = ring[j, (s.number - 1) % PAST]
            more = min(edge, local) - begin
            cell.sure = min(cell.sure + (more + EIGHTH // 2) // EIGHTH, 255)
            wrote = True
    return wrote


@kernel
def catch_up(s: Row, ring: Records, j: int, time: int, local: int, span: int, guess: bool) -> None:
    """Count the time of a late reading as read, if it is no estimate; before ``add`` counts it as covered.

    Of an ended period the eighths of a day that end within that time count: hours that come one
    by one add up to what they are together. Of a period that nobody had seen it gives the offset.
    """
    edge, begin = s.first * DAY, local - span
    if not guess:
        s.sure += max(local - max(begin, edge), 0)
    number, end = s.number - 1, min(local, edge)
    while end > begin and number >= s.number - PAST:
        start = max(first_of(number, s.bill_day) * DAY, begin)
        if start < end:
            cell = ring[j, number % PAST]
            if cell.minutes == 0:
                cell.offset = (local - time) // QUARTER
            if not guess:
                cell.sure = min(cell.sure + end // EIGHTH - start // EIGHTH, 255)
            end = start
        number -= 1


@kernel
def rate_of(s: Row, ring: Records, j: int, number: int) -> float:
    """Use a day of a period that has ended, NaN where too little of it is known. [unit/d]"""
    if not s.number - PAST <= number < s.number:
        return np.nan
    cell = ring[j, number % PAST]
    days = first_of(number + 1, s.bill_day) - first_of(number, s.bill_day)
    if cell.minutes == 0 or cell.sure / 8.0 < KNOWN * days:
        return np.nan
    return float(cell.amount / (cell.minutes / 1440.0))


@kernel
def usual_of(
    s: Row, ring: Records, j: int, number: int, rates: NDArray[np.float64]
) -> tuple[int, float, float]:
    """How many of the six periods before one are known, their median use a day, and that of a year before.

    NaN = not known. ``rates`` is room for six.
    """
    known = 0
    for n in range(number - USUAL, number):
        rate = rate_of(s, ring, j, n)
        if rate == rate:
            rates[known] = rate
            known += 1
    usual = np.nan
    if known:
        part = np.sort(rates[:known])
        usual = 0.5 * (part[(known - 1) // 2] + part[known // 2])
    return known, usual, rate_of(s, ring, j, number - YEAR)
