"""Who came near a line at midnight is weighed again within the day, over the newest 24 hours.

A leak shows in a day of its own, whenever it began; waiting for midnight costs it up to a day. To close
every day more often would cost the work of a close each time, and false flags of meters of which nothing
was thought (docs/adr/0010). So only suspects are looked at, and only raised: nothing is cleared or learnt,
no day is written down. What the next midnight sees is the same, but for the flags that are open by then.

The 24 hours that end at a mark stand in the place of a day; the two times 24 hours before them too; before
these, the days of the book. What the neighbours did is not known before their day has closed: it is
taken from the last day that has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, RAISE
from detectors.batch import DAY, HOUR, I64, NS, U8, Records, Row
from detectors.daybook import (
    DAYS,
    FIGURES,
    LEVELS,
    MEAN,
    PEAK1,
    PEAK6,
    PEAK6A,
    Book,
    keep,
    levels,
    pack,
    unpack,
)
from detectors.features import LEAD, RUNS, SHAPED, SHAPES, WINDOWS, compare, describe, shape_of
from detectors.heads import weigh
from detectors.holding import HELD, STILL, hold
from detectors.hours import Ring, gave_back, hours_of, least, of_now
from detectors.kernel import kernel
from detectors.turning import SPAN, Profile, count_rest, residual_of, run_of, scale_of

MARKS = (8, 16)  # local hours at which suspects are looked at
#: How near a head's line makes a suspect, in units of ``Habit.suspect``. Spikes are told by whole days and by hours;
#: a longer rest at a mark is what the empty home has too.
SHARES = {"leak": 1.0, "low_usage": 0.2}
ROLLED = 3  # times 24 hours that are taken by the hour
FEWEST = 12  # hours of 24 that must be known

CHANGES = len(WINDOWS) * LEVELS
FORMS = 2 * CHANGES + 24  # where the neighbours' ``shapes`` begin
CELLS = FORMS + len(SHAPED) * SHAPES

#: What the neighbours did on the last closed day: ``area_logs``, ``area_steps``, residuals by the hour,
#: ``area_shapes``; packed.
Beside = NDArray[np.uint16]  # (meters, CELLS)
F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def lay_aside(
    beside: NDArray[np.uint16], logs: F4, steps: F4, usual: F4, shapes: F4, real: F4, bits: NDArray[np.uint32]
) -> None:
    """Lay aside what a suspect's neighbours did: moves (CHANGES,) twice, residuals (SPAN,), shapes."""
    for c in range(CHANGES):
        beside[c], beside[CHANGES + c] = pack(logs[c], real, bits), pack(steps[c], real, bits)
    for h in range(24):
        beside[2 * CHANGES + h] = pack(usual[LEAD + h], real, bits)
    for c in range(len(SHAPED) * SHAPES):
        beside[FORMS + c] = pack(shapes[c], real, bits)


@kernel
def roll(
    s: Row, ring: Ring, book: Book, j: int, mark: int, trial: Row, rolled: Book, hours: F8, line: F8,
    ordered: F8, real: F4, bits: NDArray[np.uint32],
) -> int:  # fmt: skip
    """A meter's book as if days ended at a mark, in ``rolled`` (1, …), but for the newest day; that one's label.

    trial  a copy of the meter's habit; its runs of rest go on up to the mark
    hours  the 24 before the mark, as ``hours_of`` tells them
    """
    day = int(s.day + 1)
    for back in range(1, DAYS):
        label = day - back
        # The days before the hours: one further back, or a part of one would count twice.
        source = ((label if back < ROLLED else label - 1) % DAYS) * FIGURES
        place = (label % DAYS) * FIGURES
        for k in range(FIGURES):
            rolled[0, place + k] = book[j, source + k]
    for back in range(1, ROLLED):
        label = day - back
        place = (label % DAYS) * FIGURES
        hours_of(ring, s, j, mark - 24 * (back + 1), hours)
        levels(hours, ordered, line)
        for k in (PEAK1, PEAK6, PEAK6A):
            line[k] = unpack(rolled[0, place + k], real, bits)
        keep(rolled, 0, label, line, real, bits)
    trial.known = s.known + 1
    hours_of(ring, s, j, mark - 24, hours)
    count_rest(trial, hours[24 - (mark - day * 24) :])
    return day


@kernel
def portray(
    x: F4, s: Row, ring: Ring, profile: Profile, book: Book, j: int, mark: int, beside: NDArray[np.uint16],
    trial: Row, rolled: Book, figures: F8, real: F4, bits: NDArray[np.uint32],
) -> tuple[int, float, float]:  # fmt: skip
    """Features of the 24 hours that end at a mark, into ``x``; known hours, mean of an hour, scale. [unit/h]"""
    hours, ordered, line, one = np.empty(24), np.empty(DAYS), np.empty(FIGURES), np.empty(SPAN)
    runs, low = np.empty(8), np.empty(3)
    log, step = np.empty((len(WINDOWS), LEVELS)), np.empty((len(WINDOWS), LEVELS))
    around, apart = np.empty((len(WINDOWS), LEVELS)), np.empty((len(WINDOWS), LEVELS))
    shape, general = np.empty((len(SHAPED), SHAPES)), np.empty((len(SHAPED), SHAPES))
    day = roll(s, ring, book, j, mark, trial, rolled, hours, line, ordered, real, bits)
    known = hours_of(ring, s, j, mark - 24, hours)
    scale = scale_of(trial, rolled, 0, day, figures, real, bits)
    residual_of(s, ring, profile, j, mark - 24, scale, hours, one)
    for w in range(4):
        runs[w] = run_of(one, RUNS[w])
    for h in range(SPAN):
        one[h] -= unpack(beside[2 * CHANGES + (mark + h - LEAD) % 24], real, bits)
    for w in range(4):
        runs[4 + w] = run_of(one, RUNS[w])
    levels(hours, ordered, line)
    if line[MEAN] == line[MEAN]:
        line[PEAK1], line[PEAK6], line[PEAK6A] = runs[0], runs[2], runs[6]
    keep(rolled, 0, day, line, real, bits)
    compare(rolled, trial, 0, day, scale, log, step, figures, real, bits)
    for c in range(CHANGES):
        around[c // LEVELS, c % LEVELS] = unpack(beside[c], real, bits)
        apart[c // LEVELS, c % LEVELS] = unpack(beside[CHANGES + c], real, bits)
    shape_of(rolled, trial, 0, day, scale, shape, figures, real, bits)
    for c in range(len(SHAPED) * SHAPES):
        general[c // SHAPES, c % SHAPES] = unpack(beside[FORMS + c], real, bits)
    for d in range(3):
        low[d] = least(ring, s, j, mark, d + 1)
    describe(
        x, rolled, trial, 0, day, scale, known, log, step, around, apart, shape, general, runs, low, figures, ordered,
        real, bits,
    )  # fmt: skip
    return known, line[MEAN], scale


@kernel
def look(
    habit: Records, ring: Ring, profile: Profile, book: Book, start: I64, calm_days: U8, pulse: Records,
    holds: F4, beside: Beside, meters: Records, hot: U8, cold: U8, used: int, watermark: int, lines: F8,
    trial: Records,
    head: NDArray[np.int32], root: NDArray[np.int32], depth: NDArray[np.int32], node: Records, leaf: F4, rest: F8,
    base: F8, rate: F8,
    out: Records, noted: F4, trace: F4,
) -> tuple[int, F4, int]:  # fmt: skip
    """Weigh the suspects whose mark has passed; findings to ``out``, their features to ``noted``.

    trial  one habit, to be written over
    trace  (rows, 2 + features): slot, hour, features of what was looked at, while there is room

    Returns how many were found, their features, and how many rows of ``trace`` are used.
    """
    real = np.zeros(1, np.float32)
    bits = real.view(np.uint32)
    rolled = np.empty((1, DAYS * FIGURES), np.uint16)
    figures, x = np.empty(DAYS), np.empty(noted.shape[1], np.float32)
    found, seen = 0, 0
    for j in range(used):
        s = habit[j]
        if s.near & ~s.open == 0:
            continue
        offset = meters[j].offset * NS
        # An instant is past when the watermark is later than it, and the meter has spoken there.
        until = min(watermark - 1, pulse[j].time) + offset
        while s.near & ~s.open != 0 and s.looked < len(MARKS):
            mark = (s.day + 1) * 24 + MARKS[s.looked]
            if mark * HOUR > until:
                break
            s.looked += 1
            hot[j // BLOCK] = 1
            if pulse[j].live != 1:
                continue
            trial[0] = s
            known, mean, scale = portray(
                x, s, ring, profile, book, j, mark, beside[j], trial[0], rolled, figures, real, bits
            )
            if known < FEWEST or not (of_now(s, s.day, mean) and of_now(s, s.day + 1, mean)):
                continue
            if seen < trace.shape[0]:
                trace[seen, 0], trace[seen, 1] = j, mark
                trace[seen, 2:] = x
                seen += 1
            for h in range(head.size - 1):
                bit = 1 << h
                if not s.near & bit or s.open & bit:
                    continue
                if h >= STILL and (
                    meters[j].contract != 0 or (meters[j].signed and gave_back(ring, s, j, mark - 24))
                ):
                    continue
                weight = base[h] + weigh(
                    x, head[h], head[h + 1], root, depth, node, leaf, rest, lines[h] - base[h]
                )
                if not weight > lines[h]:
                    continue
                s.open = s.open | bit
                cold[j // BLOCK] = 1
                calm_days[j, h] = 0
                start[j, h] = (mark - 24) * HOUR - offset
                if h == HELD:
                    hold(rolled, trial[0], 0, s.day + 1, holds[j], figures, real, bits)
                if found == noted.shape[0]:
                    longer = np.empty((2 * found, noted.shape[1]), np.float32)
                    longer[:found] = noted
                    noted = longer
                noted[found] = x
                f = out[found]
                cost = np.exp(rate[h, 0] - rate[h, 1] * weight)
                f.slot, f.row, f.kind, f.verb = j, -1, h, RAISE
                f.at, f.start, f.end = watermark, start[j, h], start[j, h] + DAY
                f.score = max(-np.log10(cost), 0.0)
                f.observed, f.expected = 24 * mean, 24 * scale
                f.e0, f.e1, f.e2 = 24 * mean, 24 * scale, np.exp(unpack(beside[j, LEVELS - 1], real, bits))
                f.e3, f.e4, f.e5 = weight, lines[h], cost
                found += 1
    return found, noted[:found], seen
