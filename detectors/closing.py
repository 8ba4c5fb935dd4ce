"""The watermark leaves a local day: every meter whose day is complete is judged beside its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE
from detectors.batch import DAY, I64, NS, TEMPERATURE, U8, Records, Row
from detectors.cohort import PEERS, held_against, parts_of
from detectors.course import SPELLS, course_of
from detectors.daybook import DAYS, FIGURES, LEVELS, MEAN, PEAK1, PEAK6, PEAK6A, Book, keep, levels
from detectors.features import NAMES, RUNS, SHAPED, SHAPES, WINDOWS, compare, describe, shape_of
from detectors.gross_fall import fall_of
from detectors.heads import weigh
from detectors.holding import HELD, STILL, WEEK, hold, lasts
from detectors.hours import Ring, gave_back, hours_of, least, local_day, of_now
from detectors.kernel import kernel
from detectors.static_value import static_of
from detectors.suspects import Beside, lay_aside
from detectors.turning import SPAN, Profile, learn, residual_of, run_of, scale_of, turn
from detectors.warmth import answer, close_weather, degrees_of

HEADS = 4
LOW = 3  # head
BEYOND = NAMES.index("day_over_most")
FIFTHS = 5  # of a calm day
NEAR = 1.0  # weight below the line from where on a day counts as near it
CHANGES = len(WINDOWS) * LEVELS
OF_A_WEEK = WINDOWS.index(WEEK) * LEVELS  # the first of these of the newest week

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]


@kernel
def due_days(
    habit: Records, ring: Ring, profile: Profile, book: Book, meters: Records, hot: U8, cold: U8, used: int,
    watermark: int, scratch: F8, real: F4, bits: NDArray[np.uint32],
) -> tuple[I64, I64]:  # fmt: skip
    """Meters with a day to be judged; the days before it are written down. Then the thermometers."""
    due = np.empty(used, np.int64)
    count, last = 0, used
    for j in range(used):
        s = habit[j]
        if s.known == 0:
            continue
        if meters[j].quantity == TEMPERATURE:
            last -= 1
            due[last] = j
            continue
        day = min(local_day(watermark, meters[j].offset), s.spoken) - 1
        if day <= s.day:
            continue
        hot[j // BLOCK] = 1
        cold[j // BLOCK] = 1
        if day - s.day > DAYS:
            s.day = day - DAYS - 1
        for d in range(s.day + 1, day):
            turn(s, ring, profile, book, j, d, scratch, real, bits)
        due[count] = j
        count += 1
    return due[:count], due[last:]


@kernel
def close_days(
    habit: Records, ring: Ring, profile: Profile, book: Book, start: I64, calm_days: U8, pulse: Records,
    meters: Records, hot: U8, cold: U8, used: int, watermark: int, lines: F8, gross: float, margin: float, calm: int,
    crowd: float, holds: F4, most: int, suspect: F8, beside: Beside,
    head: NDArray[np.int32], root: NDArray[np.int32], depth: NDArray[np.int32], node: Records, leaf: F4, rest: F8,
    base: F8, rate: F8,
    out: Records, noted: F4, trace: F4,
) -> tuple[int, F4]:  # fmt: skip
    """Judge every meter whose local day is complete; findings to ``out``, their features to ``noted``.

    suspect  (heads,) how near a line makes a suspect until the next close, 0 = none
    """
    scratch, real = np.empty(128), np.zeros(1, np.float32)
    bits = real.view(np.uint32)
    due, gauges = due_days(
        habit, ring, profile, book, meters, hot, cold, used, watermark, scratch, real, bits
    )
    n = due.size
    if n == 0:
        return 0, noted[:0]
    close_weather(habit, ring, book, meters, gauges, hot, cold, BLOCK, watermark, real, bits)
    figures, ordered, degrees = np.empty(DAYS), np.empty(DAYS), np.empty(DAYS)
    # What the weather has made of each meter, where its area has a thermometer.
    weather_logs = np.zeros((n, CHANGES), np.float32)
    weather_steps, weather = np.zeros((n, CHANGES), np.float32), np.zeros((n, SPAN), np.float32)
    hours, residual = np.empty((n, 24)), np.empty((n, SPAN), np.float32)
    book_line, one = np.empty(FIGURES), np.empty(SPAN)
    scale, days, known = np.empty(n), np.empty(n, np.int64), np.empty(n)
    key, wide = np.empty(n, np.int64), np.empty(n, np.int64)
    course = np.empty((n, len(SPELLS)), np.float32)
    for i in range(n):
        j = due[i]
        s = habit[j]
        days[i] = min(local_day(watermark, meters[j].offset), s.spoken) - 1
        known[i] = hours_of(ring, s, j, days[i] * 24, hours[i])
        scale[i] = scale_of(s, book, j, days[i], figures, real, bits)
        residual_of(s, ring, profile, j, days[i] * 24, scale[i], hours[i], one)
        if gauges.size and degrees_of(
            habit, book, meters, gauges, meters[j].area, days[i], degrees, figures, real, bits
        ):
            weather[i] = answer(
                book, s, j, days[i], degrees, scale[i], figures, real, bits, weather_logs[i], weather_steps[i]
            )
        for h in range(SPAN):
            residual[i, h] = one[h] - weather[i, h]
        course_of(book, s, j, days[i], _mean(hours[i]), scale[i], figures, real, bits, course[i])
        wide[i] = (days[i] % 4096) * 256 + meters[j].cohort
        key[i] = wide[i] * (1 << 32) + meters[j].area
    order = np.argsort(key, kind="mergesort")
    part = parts_of(course, order, key, PEERS)
    if part.any():
        for i in range(n):
            key[i] = 4 * key[i] + part[i]
        order = np.argsort(key, kind="mergesort")
    usual = held_against(residual, order, key, wide, part)
    residual += weather
    usual += weather

    logs, steps = np.empty((n, CHANGES), np.float32), np.empty((n, CHANGES), np.float32)
    log, step = np.empty((len(WINDOWS), LEVELS)), np.empty((len(WINDOWS), LEVELS))
    shapes, shape = np.empty((n, len(SHAPED) * SHAPES), np.float32), np.empty((len(SHAPED), SHAPES))
    runs = np.empty((n, 8))
    for i in range(n):
        j = due[i]
        s = habit[j]
        for h in range(SPAN):
            one[h] = residual[i, h]
        for w in range(4):
            runs[i, w] = run_of(one, RUNS[w])
        for h in range(SPAN):
            one[h] = residual[i, h] - usual[i, h]
        for w in range(4):
            runs[i, 4 + w] = run_of(one, RUNS[w])
        levels(hours[i], ordered, book_line)
        if book_line[MEAN] == book_line[MEAN]:
            book_line[PEAK1], book_line[PEAK6], book_line[PEAK6A] = runs[i, 0], runs[i, 2], runs[i, 6]
        keep(book, j, days[i], book_line, real, bits)
        learn(s, profile, j, days[i], scale[i], hours[i], book_line[MEAN])
        compare(book, s, j, days[i], scale[i], log, step, figures, real, bits)
        for c in range(CHANGES):
            logs[i, c], steps[i, c] = log[c // LEVELS, c % LEVELS], step[c // LEVELS, c % LEVELS]
        shape_of(book, s, j, days[i], scale[i], shape, figures, real, bits)
        for c in range(len(SHAPED) * SHAPES):
            shapes[i, c] = shape[c // SHAPES, c % SHAPES]
    area_shapes = held_against(shapes, order, key, wide, part)
    area_logs = weather_logs + held_against(logs - weather_logs, order, key, wide, part)
    area_steps = weather_steps + held_against(steps - weather_steps, order, key, wide, part)

    x = np.empty(trace.shape[1] - 2, np.float32)
    heads = head.size - 1
    weight, beyond = np.full((n, heads), -np.inf), np.full((n, HEADS), -np.inf)
    between = np.zeros(n, np.uint8)  # bits of what was raised since the close before
    for i in range(n):
        j = due[i]
        s = habit[j]
        _row(
            x, i, j, s, ring, book, days, scale, known, logs, steps, area_logs, area_steps, shapes, area_shapes, runs,
            figures, ordered, real, bits,
        )  # fmt: skip
        if i < trace.shape[0]:
            trace[i, 0], trace[i, 1] = j, days[i]
            trace[i, 2:] = x
        between[i] = s.near & s.open
        s.near = s.looked = 0
        if known[i] < 12:
            continue
        if 24 * (_mean(hours[i]) - scale[i]) > meters[j].floor:
            # The area's own rise is no meter's.
            beyond[i, 0] = x[BEYOND] - np.log(gross) - max(area_logs[i, LEVELS - 1], 0.0)
        beyond[i, LOW] = fall_of(
            book, s, j, days[i], area_logs[i, 2 * LEVELS - 1], meters[j].floor, figures, real, bits
        )
        beyond[i, STILL] = static_of(s, days[i], scale[i], meters[j].floor)
        for h in range(heads):
            # An open flag's weight is told when it is cleared; else only what is near the line counts.
            enough = -np.inf if s.open & (1 << h) else lines[h] - base[h] - (NEAR if h == 0 else suspect[h])
            weight[i, h] = base[h] + weigh(x, head[h], head[h + 1], root, depth, node, leaf, rest, enough)
    near = lines[0] - NEAR if heads else np.inf
    chance = np.exp(rate[0, 0] - rate[0, 1] * near) / 1000.0 if heads else 0.0
    spikes = weight[:, 0].copy() if heads else np.zeros(n)
    told_of = np.zeros(n, np.uint8)
    for i in range(n):
        j = due[i]
        # What was told at once is of this day, and belongs to its crowd.
        begun = start[j, 0] + meters[j].offset * NS
        told_of[i] = (habit[j].open & 1) != 0 and begun < days[i] * DAY
    off = crowd * crowd_of(told_of, spikes, near, chance, order, wide)

    found = 0
    for i in range(n):
        if known[i] < 12:
            continue
        j = due[i]
        s = habit[j]
        for h in range(heads):
            told = weight[i, h]
            if h == 0 and not s.open & 1:
                told -= off[i]
            if beyond[i, h] > 0:
                # No tree has seen the like: what is this far out is said.
                told = max(told, lines[h] + beyond[i, h])
            if h >= STILL and (
                meters[j].contract != 0 or (meters[j].signed and gave_back(ring, s, j, days[i] * 24))
            ):
                # Nobody is there by the registry; or it counted: what it gave back is no rest, nor use that is lost.
                told = min(told, lines[h] - margin - 1.0)
            lasting = (
                h == HELD
                and s.open & (1 << h)
                and lasts(
                    book, s, j, days[i], holds[j], area_steps[i, OF_A_WEEK:], scale[i], figures, real, bits
                )
            )
            age = days[i] - (start[j, h] + meters[j].offset * NS + DAY // 2) // DAY
            held = lasting and age < most
            live = pulse[j].live == 1 and of_now(s, days[i], _mean(hours[i]))
            verb = _decide(s, calm_days[j], h, told, lines[h], margin, calm, held, live)
            if verb == 0:
                if h == HELD and between[i] & (1 << h) and told > lines[h]:
                    # Of a whole day: as if it had been raised now.
                    hold(book, s, j, days[i], holds[j], figures, real, bits)
                if suspect[h] > 0 and not s.open & (1 << h) and told > lines[h] - suspect[h]:
                    s.near = s.near | (1 << h)
                    lay_aside(beside[j], area_logs[i], area_steps[i], usual[i], area_shapes[i], real, bits)
                continue
            if verb == RAISE:
                start[j, h] = days[i] * DAY - meters[j].offset * NS
                if h == HELD:
                    hold(book, s, j, days[i], holds[j], figures, real, bits)
            if found == noted.shape[0]:
                longer = np.empty((2 * found, noted.shape[1]), np.float32)
                longer[:found] = noted
                noted = longer
            _row(
                noted[found], i, j, s, ring, book, days, scale, known, logs, steps, area_logs, area_steps, shapes,
                area_shapes, runs, figures, ordered, real, bits,
            )  # fmt: skip
            mean = _mean(hours[i])
            f = out[found]
            cost = np.exp(rate[h, 0] - rate[h, 1] * told)
            f.slot, f.row, f.kind, f.verb = j, -1, h, verb
            f.at, f.start, f.end = watermark, start[j, h], watermark
            f.score = max(-np.log10(cost), 0.0)
            f.observed, f.expected = 24 * mean, 24 * scale[i]
            f.e0, f.e1, f.e2 = 24 * mean, 24 * scale[i], np.exp(area_logs[i, LEVELS - 1])
            f.e3, f.e4, f.e5 = told, lines[h], np.nan if verb == CLEAR and lasting else cost
            found += 1
    return found, noted[:found]


@kernel
def _row(
    x: F4, i: int, j: int, s: Row, ring: Ring, book: Book, days: NDArray[np.int64], scale: F8, known: F8,
    logs: F4, steps: F4, area_logs: F4, area_steps: F4, shapes: F4, area_shapes: F4, runs: F8, figures: F8,
    ordered: F8, real: F4, bits: NDArray[np.uint32],
) -> None:  # fmt: skip
    """The features of day i, into ``x``."""
    log, step = np.empty((len(WINDOWS), LEVELS)), np.empty((len(WINDOWS), LEVELS))
    around, beside = np.empty((len(WINDOWS), LEVELS)), np.empty((len(WINDOWS), LEVELS))
    shape, general = np.empty((len(SHAPED), SHAPES)), np.empty((len(SHAPED), SHAPES))
    low = np.empty(3)
    for c in range(CHANGES):
        w, k = c // LEVELS, c % LEVELS
        log[w, k], step[w, k] = logs[i, c], steps[i, c]
        around[w, k], beside[w, k] = area_logs[i, c], area_steps[i, c]
    for c in range(len(SHAPED) * SHAPES):
        w, k = c // SHAPES, c % SHAPES
        shape[w, k], general[w, k] = shapes[i, c], area_shapes[i, c]
    for d in range(3):
        low[d] = least(ring, s, j, (days[i] + 1) * 24, d + 1)
    describe(
        x, book, s, j, days[i], scale[i], known[i], log, step, around, beside, shape, general, runs[i], low, figures,
        ordered, real, bits,
    )  # fmt: skip


@kernel
def crowd_of(
    told_of: U8, weight: F8, near: float, chance: float, order: NDArray[np.int64],
    wide: NDArray[np.int64],
) -> F8:  # fmt: skip
    """How many more of the class look like a spike today than by chance: ln(1 + surplus), by meter.

    Spikes come one by one. Where several of a class's meters have one on the same day, the day is unusual,
    and not the meters: a holiday, the first frost. The surplus is the number of others at ``near`` or above, less
    those that come there by chance, over the latter (one at least). Nothing of the kind is said of the other
    heads: they look at weeks, and in a fleet some meter is always at fault.

    told_of (n,) 1 where a spike of an earlier day is open
    weight  (n,) of the spike head
    chance  share of days that come to ``near`` without a fault
    """
    n = weight.size
    out = np.zeros(n)
    start = 0
    while start < n:
        stop, count = start, 0
        while stop < n and wide[order[stop]] == wide[order[start]]:
            i = order[stop]
            count += weight[i] > near and not told_of[i]
            stop += 1
        expected = chance * (stop - start)
        for place in range(start, stop):
            i = order[place]
            others = count - (weight[i] > near and not told_of[i])
            out[i] = np.log1p(max(others - expected, 0.0) / max(expected, 1.0))
        start = stop
    return out


@kernel
def _mean(hours: F8) -> float:
    total, n = 0.0, 0
    for h in range(24):
        if hours[h] == hours[h]:
            total += hours[h]
            n += 1
    return total / n if n else np.nan


@kernel
def _decide(
    s: Row,
    calm_days: U8,
    h: int,
    weight: float,
    line: float,
    margin: float,
    calm: int,
    held: bool,
    live: bool,
) -> int:
    """Raise above the line; clear after ``calm`` days below it by the margin, a day just below counting a fifth.

    What is held stays open.
    """
    bit = 1 << h
    if s.open & bit:
        if weight > line or held:
            calm_days[h] = 0
            return 0
        calm_days[h] += 1 if weight > line - margin else FIFTHS
        if calm_days[h] < FIFTHS * calm:
            return 0
        s.open = s.open & ~bit
        return CLEAR
    if live and weight > line:
        s.open = s.open | bit
        calm_days[h] = 0
        return RAISE
    return 0
