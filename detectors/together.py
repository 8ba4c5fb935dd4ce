"""Meters of one concentrator, or of one area, that fall silent together: one flag for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE
from detectors.batch import DAY, HOUR, I64, U8, Records, Row
from detectors.kernel import kernel

SILENCE = np.dtype(
    [
        ("start", np.int64),  # the last reading before the open episode [ns]
        ("heard", np.int64),  # arrival of its newest reading that was stamped ahead of it [ns]
        ("quiet", np.float32),  # longest time without a word since the last reading, once it is notable [s]
        ("allow", np.float32),  # what the meter's own habit adds to the time that it may be silent [s]
        ("open", np.uint8),  # NONE …
        ("live", np.uint8),  # 1 = its newest reading was a live one
    ],
    align=True,
)

GAP_KIND, SILENT_KIND, TOGETHER_KIND, AREA_KIND = 0, 1, 2, 3  # indexes of Silence.kinds

# States of a meter: nothing; its own flag; told by the flag of its concentrator or area; holds that flag; told by
# the outage of its transformer.
NONE, GAP, SILENT, HELD, HOLDER, DARK = 0, 1, 2, 3, 4, 5

RARE = 20 * DAY  # read less often, by no promise of the registry: a read that is missed is the round's
MEMORY = 28 * DAY  # over which a habit is forgotten
HOLE = 1.5  # a spacing beyond this multiple of the usual one is a hole


@kernel
def whole_of(meter: Row) -> int:
    """What a meter falls silent with: its concentrator, or its area where none is stated."""
    whole: int = meter.concentrator if meter.concentrator != 0 else -1 - meter.area
    return whole


@kernel
def together_kind(meter: Row) -> int:
    """Kind of the flag of what it falls silent with."""
    return TOGETHER_KIND if meter.concentrator != 0 else AREA_KIND


@kernel
def say(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, usual: int,
    score: float, members: float, silent: float,
) -> int:  # fmt: skip
    """Write a finding of silence since ``start``; return how many there are now."""
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = score, np.nan, np.nan
    f.e0, f.e1, f.e2 = (at - start) / HOUR, usual / HOUR, float(max((at - start - 1) // usual, 0))
    f.e3, f.e4, f.e5 = members, silent, np.nan
    return n + 1


@kernel
def needed(usual: int, often: int, least: int, most: int) -> int:
    """Time that must be missing, before habits. [ns]"""
    return least if usual <= often else most * usual


@kernel
def heard_last(p: Row, s: Row) -> Any:
    """When a meter was heard last: its newest reading, or the arrival of one that was stamped ahead of it. [ns]"""
    return max(p.time, s.heard)


@kernel
def rare(spacing: int, stated: int) -> bool:
    """Whether a read that is missed is a matter of the reading round. [ns]"""
    return stated == 0 and spacing >= RARE


@kernel
def usual_of(p: Row, s: Row, stated: int) -> int:
    """Spacing of a meter that can fall silent; 0: it has no spacing yet, or speaks of the past only."""
    if p.count == 0 or p.spacing <= 0 or s.live == 0 or (stated == 0 and p.count < 3):
        return 0
    if rare(p.spacing, stated):
        return 0
    spacing: int = p.spacing
    return spacing


@kernel
def together(
    silence: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    often: int, least: int, most: int, share: float, fewest: int, due: U8, part: I64, out: Records, n: int,
) -> int:  # fmt: skip
    """Meters of one concentrator or area that fell silent within the same time: one flag for all of them."""
    quiet = np.empty(used, np.int64)
    count = 0
    for j in range(used):
        s, p = silence[j], pulse[j]
        own = usual_of(p, s, meters[j].interval)
        if own == 0:
            continue
        # Those that are about to be due count as well: the first must not be flagged on its own.
        lost = (watermark - 1 - heard_last(p, s)) // own * own
        if s.open != NONE or due[j] or 2 * lost >= needed(own, often, least, most):
            quiet[count] = j
            count += 1
    key = np.empty(count, np.int64)
    for i in range(count):
        key[i] = whole_of(meters[quiet[i]])
    order = np.argsort(key, kind="mergesort")
    key = key[order]
    living = np.zeros(count + 1, np.int64)
    for j in range(used):
        if usual_of(pulse[j], silence[j], meters[j].interval) != 0:
            who = whole_of(meters[j])
            place = np.searchsorted(key, who)
            if place < count and key[place] == who:
                living[place] += 1
    first = 0
    while first < count:
        last = first
        while last < count and key[last] == key[first]:
            last += 1
        members = quiet[order[first:last]]
        n = _group(
            silence, pulse, meters, hot, watermark, least, share, fewest, members, living[first], due, part,
            out, n,
        )  # fmt: skip
        first = last
    return n


@kernel
def _group(
    silence: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], watermark: int, window: int,
    share: float, fewest: int, members: I64, living: int, due: U8, part: I64, out: Records, n: int,
) -> int:  # fmt: skip
    """One concentrator or area: ``members`` are its quiet meters, ``living`` counts all that ever speak."""
    holder, newest = -1, np.int64(0)
    for j in members:
        if silence[j].open == HOLDER:
            holder = j
        elif due[j] or silence[j].open == HELD:
            newest = max(newest, heard_last(pulse[j], silence[j]))
    if holder >= 0:
        newest = silence[holder].start
    if newest == 0:
        return n  # nothing has happened here
    silent, chosen = 0, holder
    for j in members:
        last = heard_last(pulse[j], silence[j])
        if last < newest - window:
            living -= 1  # it has been silent for longer: no part of this
        elif last <= newest + window:
            silent += 1
            fresh = holder < 0 and (due[j] or silence[j].open == HELD)
            if fresh and (chosen < 0 or meters[j].rank < meters[chosen].rank):
                chosen = j
    down = silent >= fewest and silent >= share * living
    for j in members:
        s, last = silence[j], heard_last(pulse[j], silence[j])
        if down and newest - window <= last <= newest + window:
            part[j] = chosen
            due[j] = 0
            if j != chosen and s.open != HELD:
                if s.open == GAP or s.open == SILENT:
                    kind = GAP_KIND if s.open == GAP else SILENT_KIND
                    n = say(
                        out, n, -1, j, kind, CLEAR, watermark, s.start, pulse[j].spacing, 0.0, float(living),
                        float(silent),
                    )  # fmt: skip
                hot[j // BLOCK] = 1
                s.open, s.start = HELD, last
        elif s.open == HELD:
            hot[j // BLOCK] = 1
            s.open = NONE
            due[j] = 1
    if holder >= 0 and not down:
        # The others are back: it is silent on its own.
        s = silence[holder]
        hot[holder // BLOCK] = 1
        s.open = GAP
        own = pulse[holder].spacing
        n = say(out, n, -1, holder, GAP_KIND, UPDATE, watermark, s.start, own, 1.0, np.nan, np.nan)
    elif down and holder < 0:
        s = silence[chosen]
        verb = RAISE if s.open == NONE or s.open == HELD else UPDATE
        hot[chosen // BLOCK] = 1
        s.open, s.start = HOLDER, heard_last(pulse[chosen], s)
        own = pulse[chosen].spacing
        score = silent / max(share * living, 1.0)
        n = say(
            out, n, -1, chosen, together_kind(meters[chosen]), verb, watermark, s.start, own, score, float(living),
            float(silent),
        )  # fmt: skip
    return n
