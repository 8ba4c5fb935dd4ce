"""Jumps by a factor between units, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.naive import DAY, HOUR, Line, Taken, single

FACTORS = (10.0, 35.3147, 100.0, 1000.0)


def nearest(off: float, spread: float, steady: float = 0.13) -> float:
    """The factor that explains a deviation; 0 where none does."""
    slack = min(max(0.05, 3 * spread), 0.4)
    fits = [
        (abs(abs(off) - math.log10(f)), -f)
        for f in FACTORS
        if spread <= (steady if f < 99 else 3 * steady) and abs(abs(off) - math.log10(f)) <= slack
    ]
    if not fits:
        return 0.0
    factor = -min(fits)[1]
    return factor if off > 0 else 1 / factor


def mixed(off: float, factor: float) -> bool:
    """A day that is off in the way of a large factor upwards, and by no more."""
    return factor > 99 and 0 < off < math.log10(factor) + 0.05


def steps(taken: Iterable[Taken]) -> list[Line]:
    """Each day's use, or each bill's, against the days before."""
    lines: list[Line] = []
    amount = hours = past = 0.0
    base = spread = total = 0.0
    known = held = 0
    current = 0.0
    start = 0
    is_open = False
    put_off: float | None = None  # the day before's deviation, not learnt yet
    for t in taken:
        if t.status != "ok" or t.span <= 0:
            continue
        amount, hours = single(amount + t.usage - t.back), single(hours + t.span / HOUR)
        past = single(past + (0.0 if t.live else t.usage))
        if hours < 23.99:
            continue
        use, bill, covered = amount / hours * 24, hours >= 480, hours
        fresh = t.live and past < amount / 2
        amount = hours = past = 0.0
        if use <= 0:
            continue
        now, off = t.reading.time, math.log10(use / base) if known else 0.0
        if known < (3 if bill else 7):
            weight = 1 / (known + 1)
            spread = single(spread + weight * (abs(off) - spread))
            base = single(base * 10 ** (weight * off)) if known else single(use)
            known += 1
            continue
        told = current
        status = ""
        if put_off is not None and not mixed(put_off, nearest(off, spread, 0.13 * 2 / 3)):
            spread, base = learn(spread, base, put_off)
            put_off, off = None, math.log10(use / base)
        factor = nearest(off, spread)
        if is_open:
            held += 1
            if abs(off) <= 0.3 or held >= 90:
                status = "cleared"
        elif factor:
            if factor != current or not held:
                held, total, current = 0, 0.0, factor
                if put_off is None:
                    start = min((now - int(covered * HOUR)) // DAY * DAY, now)
            elif held == 1 and factor > 99 and abs(off - total) > 0.13:
                held, total = 0, 0.0  # the day of the change
            put_off = None
            held += 1
            total = single(total + off)
            told = factor
            size = abs(math.log10(factor))
            need = (2 if bill else 4) * (1 if factor > 1 else 2)
            exact = abs(abs(total / held) - size)
            allowed = 0.06 if size < 1.99 else 0.18
            # no more days without use between than days with
            whole = now / DAY - start // DAY <= 2 * held * covered / 24 + 1
            fits = exact <= min(max(0.05, 2 * spread / math.sqrt(held)), allowed)
            if held >= need and fits and whole and fresh:
                is_open, status = True, "raised"
            elif held > 3 * need:
                base, held, current = single(use), 0, 0.0
        else:
            held, current = 0, 0.0
        if status == "raised":
            was = base
            more = {"factor": told, "ratio": use / was, "use_a_day": use, "use_a_day_before": was}
            lines += [Line(s, "unit_error", now, start, use, was, more) for s in ("raised", "cleared")]
        if status == "cleared":
            if abs(off) > 0.3:
                base = single(use)
            is_open, held, current = False, 0, 0.0
        elif not is_open and not current:
            if abs(off) > 0.13:
                put_off, start = single(off), (now - int(covered * HOUR)) // DAY * DAY
            else:
                spread, base = learn(spread, base, off)
            known += 1
    return lines


def learn(spread: float, base: float, off: float) -> tuple[float, float]:
    """The usual deviation and use, after one more day."""
    return single(spread + (min(abs(off), 1.0) - spread) / 16), single(base * 10 ** (off / 8))
