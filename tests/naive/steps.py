"""Jumps by a factor between units, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.naive import DAY, HOUR, Line, Taken, single

FACTORS = (10.0, 35.3147, 100.0, 1000.0)


def nearest(off: float, spread: float, steady: float, huge: float) -> float:
    """The factor that explains a deviation; 0 where none does. Each class of factors wants its own steadiness."""
    slack = min(max(0.05, 3 * spread), 0.4)
    fits = [
        (abs(abs(off) - math.log10(f)), -f)
        for f in FACTORS
        if spread <= (steady if f < 99 else huge) and abs(abs(off) - math.log10(f)) <= slack
    ]
    if not fits:
        return 0.0
    factor = -min(fits)[1]
    return factor if off > 0 else 1 / factor


def mixed(off: float, factor: float, hourly: bool) -> bool:
    """A day that is off in the way of a factor, and by no more; without hours, of a large one upwards."""
    if not factor or not (hourly or factor > 99):
        return False
    by = off if factor > 1 else -off
    return 0 < by < abs(math.log10(factor)) + 0.05


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
    flows: list[tuple[float, float]] = []  # the day's hours with use: how long, how much of the usual mean
    shape = [0.0, 0.0]  # where the highest hour and the mean logarithm usually are, above the day's mean
    bent = [0.0, 0.0]  # sums of what they deviate by, on the days that are off; of the one put off
    for t in taken:
        if t.status != "ok" or t.span <= 0:
            continue
        amount, hours = single(amount + t.usage - t.back), single(hours + t.span / HOUR)
        past = single(past + (0.0 if t.live else t.usage))
        hourly = t.usual <= 2 * HOUR
        if hourly and t.usage - t.back > 0 and known:
            flows.append((t.span / HOUR, (t.usage - t.back) / (t.span / HOUR) * 24 / base))
        if hours < 23.99:
            continue
        use, bill, covered = amount / hours * 24, hours >= 480, hours
        fresh = t.live and past < amount / 2
        amount = hours = past = 0.0
        todays, flows = flows, []
        if use <= 0:
            continue
        now, off = t.reading.time, math.log10(use / base) if known else 0.0
        new = shape
        if todays:
            mean = sum(h * math.log10(flow) for h, flow in todays) / sum(h for h, _ in todays)
            new = [math.log10(max(flow for _, flow in todays)) - off, mean - off]
        if known < (3 if bill else 7):
            weight = 1 / (known + 1)
            spread = single(spread + weight * (abs(off) - spread))
            base = single(base * 10 ** (weight * off)) if known else single(use)
            if known:
                shape = [single(was + (is_ - was) / known) for was, is_ in zip(shape, new, strict=True)]
            known += 1
            continue
        told = current
        status = ""
        small, huge = 0.13 * (1.3 if hourly else 1), 0.39
        if put_off is not None and not mixed(
            put_off, nearest(off, spread, small * 2 / 3, huge * 2 / 3), hourly
        ):
            spread, base = learn(spread, base, put_off)
            shape = [single(was + by / 8) for was, by in zip(shape, bent, strict=True)]
            put_off, off = None, math.log10(use / base)
        factor = nearest(off, spread, small, huge)
        away = [is_ - was for is_, was in zip(new, shape, strict=True)]
        if is_open:
            held += 1
            if abs(off) <= 0.3 or held >= 90:
                status = "cleared"
        elif factor:
            if factor != current or not held:
                held, total, current, bent = 0, 0.0, factor, [0.0, 0.0]
                if put_off is None:
                    start = min((now - int(covered * HOUR)) // DAY * DAY, now)
            elif held == 1 and abs(off - total) > 0.13 and (hourly or factor > 99):
                held, total, bent = 0, 0.0, [0.0, 0.0]  # the day of the change
            put_off = None
            held += 1
            total = single(total + off)
            bent = [single(b + a) for b, a in zip(bent, away, strict=True)]
            told = factor
            size = abs(math.log10(factor))
            need = (2 if bill else 4) * (1 if factor > 1 else 2)
            exact = abs(abs(total / held) - size)
            allowed = 0.06 if size < 1.99 else 0.18
            # no more days without use between than days with
            whole = now / DAY - start // DAY <= 2 * held * covered / 24 + 1
            fits = exact <= min(max(0.05, 2 * spread / math.sqrt(held)), allowed)
            slack = 1 if size < 1.99 else 3
            alike = abs(bent[0]) <= slack * 0.05 * held and abs(bent[1]) <= slack * 0.08 * held
            if alike and held >= need and fits and whole and fresh:
                is_open, status = True, "raised"
            elif held > 3 * need:
                base, held, current, shape = single(use), 0, 0.0, [single(x) for x in new]
        else:
            held, current = 0, 0.0
        if status == "raised":
            was = base
            more = {"factor": told, "ratio": use / was, "use_a_day": use, "use_a_day_before": was}
            lines += [Line(s, "unit_error", now, start, use, was, more) for s in ("raised", "cleared")]
        if status == "cleared":
            if abs(off) > 0.3:
                base, shape = single(use), [single(x) for x in new]
            is_open, held, current = False, 0, 0.0
        elif not is_open and not current:
            if abs(off) > 0.13:
                put_off, start = single(off), (now - int(covered * HOUR)) // DAY * DAY
                bent = [single(a) for a in away]
            else:
                spread, base = learn(spread, base, off)
                shape = [single(was + by / 8) for was, by in zip(shape, away, strict=True)]
            known += 1
    return lines


def learn(spread: float, base: float, off: float) -> tuple[float, float]:
    """The usual deviation and use, after one more day."""
    return single(spread + (min(abs(off), 1.0) - spread) / 16), single(base * 10 ** (off / 8))
