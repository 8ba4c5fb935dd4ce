"""What the high/low check remembers of a meter's episode, shared by its two ways of judging."""

from __future__ import annotations

import numpy as np

from detectors.batch import Records, Row
from detectors.kernel import kernel

HIGH, LOW, ZERO, SAME = 0, 1, 2, 3  # indexes of HighLow.kinds
MOST_SCORE = 10.0

LEVEL = np.dtype(
    [
        ("start", np.int64),  # of the open episode [ns]
        ("base", np.float64),  # use a day that it is held against, frozen when raised [unit/d]
        ("amount", np.float32),  # of the newest reading; below 0 = an estimate, or more than a day's [unit]
        ("day", np.int32),  # newest local day that has any use, days since 1970
        ("judged", np.int32),  # newest complete day that has been judged
        ("known", np.int32),  # first whole local day, 0 = none yet
        ("spoken", np.int32),  # local day in which the newest reading ends, days since 1970
        ("kept", np.uint8),  # periods remembered
        ("next", np.uint8),  # place of the next period
        ("open", np.uint8),  # 0 = none, else the kind and one
        ("held", np.uint8),  # judgements that the episode has lasted
        ("same", np.uint8),  # readings in a row that told the amount of the one before
    ],
    align=True,
)


@kernel
def say(
    out: Records, n: int, row: int, slot: int, kind: int, verb: int, at: int, start: int, score: float,
    days: float, now: float, base: float, before: float, year: float, area: float,
) -> int:  # fmt: skip
    """Write one finding. ``now``, ``base``, ``before`` and ``year`` are uses a day, ``area`` a ratio."""
    f = out[n]
    f.slot, f.row, f.kind, f.verb = slot, row, kind, verb
    f.at, f.start, f.end = at, start, at
    f.score, f.observed, f.expected = min(score, MOST_SCORE), now * days, base * days
    f.e0, f.e1, f.e2, f.e3, f.e4, f.e5 = now * days, days, now, before, year, area
    return n + 1


@kernel
def over(s: Row, now: float, high_base: float, low_base: float, back: float, most: int) -> bool:
    """Count one judgement of an open episode; whether it ends: back to normal, or normal by now."""
    s.held += 1 if s.held < 255 else 0
    calm = now <= back * high_base if s.open == 1 else now >= low_base / back
    return calm or s.held >= most
