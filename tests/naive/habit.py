"""Closed days as features, and trees that weigh them, the obvious way.

Hours and days stand in dictionaries that forget nothing. What is booked of an hour is a single
number and what is kept of a day half of one, as the detector keeps them: whether an hour is one
of rest, and how far a day is from its neighbours, may hang on the last digit.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tests.naive import DAY, HOUR, NAN, Taken, local

RECENT = 96  # hours that can still be looked up, counted from the newest
LEVELS = ("q10", "q25", "q50", "q75", "q90", "mean")
EPS = 0.05
MARKS = (8, 16)  # hours at which suspects are looked at
Figures = dict[str, float]
Node = Sequence[float]  # feature, cut, missing goes left, place of left, place of right, value


def half_number(x: float) -> float:
    """The nearest number whose single-precision form ends in sixteen zeros, even where two are as near."""
    if math.isnan(x) or x == 0:
        return x
    fraction, power = math.frexp(float(np.float32(x)))
    return math.ldexp(round(fraction * 256), power - 8)


def known(numbers: Iterable[float]) -> list[float]:
    return [x for x in numbers if not math.isnan(x)]


def mean(numbers: Iterable[float], few: int) -> float:
    told = known(numbers)
    return sum(told) / len(told) if len(told) >= few else NAN


def log(a: float, b: float) -> float:
    return math.log(a / b) if a > 0 and b > 0 else NAN


@dataclass
class Book:
    """What one meter has used, by the hour and by the day."""

    name: str
    zone: str
    area: tuple[str, ...]
    cohort: tuple[str, ...]
    hours: dict[int, np.float32] = field(default_factory=dict)
    newest: int = 0  # hour
    first: int | None = None  # whole day
    day: int = 0  # newest that has been written down
    spoken: int = 0
    days: dict[int, Figures] = field(default_factory=dict)
    usual: dict[bool, list[float]] = field(default_factory=lambda: {False: [0.0] * 24, True: [0.0] * 24})
    learnt: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    slow: float = 0.0
    rest: int = 0  # hours at rest in a row
    rests: list[tuple[int, int]] = field(default_factory=list)  # (day, length) of those that ended
    flat: int = 0
    last: float = 0.0
    heard: int = 0  # time of the newest reading
    shift: int = 0  # hours from midnight to where its days begin
    marks: list[int] = field(default_factory=list)  # those of the day under way that are waited for
    beside: tuple[list[float], list[float], list[float]] = (
        [],
        [],
        [],
    )  # of the neighbours: residuals, changes, shapes

    def unlearn(self) -> None:
        """The old device is taken away: what it said while it stood still is not known."""
        if self.first is None or any(
            self.hour(h) > 1e-9 for h in range((self.day + 1) * 24, self.newest + 1)
        ):
            return
        days = 0
        while days < 44 and self.day - days >= self.first and self.days[self.day - days]["mean"] <= 1e-9:
            days += 1
        if days < 3:
            return
        self.rest = self.flat = 0
        if days > 10:
            self.first, self.slow, self.last = None, 0.0, 0.0
            self.hours, self.rests = {}, []
            self.usual, self.learnt = {False: [0.0] * 24, True: [0.0] * 24}, {False: 0, True: 0}
            return
        for day in range(self.day - days + 1, self.day + 1):
            self.days[day] = dict.fromkeys(self.days[day], NAN)
        self.hours = {h: x for h, x in self.hours.items() if h < (self.day - days + 1) * 24}

    def take(self, t: Taken) -> None:
        if t.status not in ("ok", "first", "suspect", "late", "correction") or t.usual > 2 * HOUR:
            return
        if t.swapped:
            self.unlearn()
        fresh = t.status in ("ok", "first", "suspect")
        end = t.reading.local
        if fresh:
            self.spoken = max(self.spoken, end // DAY)
            self.heard = max(self.heard, t.reading.time)
            if t.reading.guess:
                self.last = -1.0  # no hour is like an estimate
        if t.span <= 0 or math.isnan(t.usage):
            return
        if self.first is None:
            if t.status != "ok" or t.span > 6 * HOUR:
                return
            begin = (end - t.span) // HOUR
            self.first = -(-begin // 24)
            self.day, self.newest = self.first - 1, begin - 1
        if not fresh:
            self.add(end, t.span, t.usage)
            return
        hour = (end - 1) // HOUR
        while hour - RECENT >= (self.day + 1) * 24:
            self.turn(self.day + 1)  # nobody has asked for it, and its hours are about to be forgotten
        self.newest = max(self.newest, hour)
        hole = 0 < 1.5 * t.usual < t.since
        much = t.usage * HOUR / t.span > 4 * self.slow
        if t.span > 6 * HOUR or (hole and t.span < t.since and t.back == 0 and much):
            return
        if t.back:
            self.add(end - t.since, t.usual, -t.back)
        self.add(end, t.span, t.usage)

    def add(self, end: int, span: int, amount: float) -> None:
        """Evenly over the hours covered, newest first, those of days written down left out."""
        begin = end - span
        for hour in range((end - 1) // HOUR, begin // HOUR - 1, -1):
            part = min(end, (hour + 1) * HOUR) - max(begin, hour * HOUR)
            if part > 0 and max(self.day * 24 + 23, self.newest - RECENT) < hour <= self.newest:
                share = np.float32(amount * part / span)
                self.hours[hour] = self.hours[hour] + share if hour in self.hours else share

    def hour(self, hour: int) -> float:
        here = self.newest - RECENT < hour <= self.newest and hour in self.hours
        return max(float(self.hours[hour]), 0.0) if here else NAN

    def of_day(self, day: int) -> list[float]:
        return [self.hour(day * 24 + self.shift + h) for h in range(24)]

    def past(self, figure: str, day: int, count: int) -> list[float]:
        """Of the days that end with this one, newest first."""
        return [
            self.days[d][figure] if d in self.days and self.first is not None and d >= self.first else NAN
            for d in range(day, day - count, -1)
        ]

    def scale(self, day: int) -> float:
        usual = mean(self.past("mean", day - 7, 28), 10)
        scale = self.slow if math.isnan(usual) else max(usual, 0.1 * self.slow)
        return scale if scale > 0 else NAN

    def residuals(self, day: int, scale: float) -> list[float]:
        """Hours less what is usual then, from five hours before the day on."""
        out = []
        begin = day * 24 + self.shift
        first = (
            NAN if self.first is None else self.first - (self.shift != 0)
        )  # days are told as the next ones
        for hour in range(begin - 5, begin + 24):
            off = weekend(hour // 24)
            if self.learnt[off] == 0 or not hour // 24 >= first:
                out.append(NAN)
            else:
                out.append((self.hour(hour) - self.usual[off][hour % 24]) / scale)
        return out

    def turn(self, day: int) -> None:
        """A day that is not judged."""
        scale = self.scale(day)
        own = self.residuals(day, scale)
        self.write(day, scale, own, own)

    def write(self, day: int, scale: float, own: list[float], apart: list[float]) -> None:
        """Into the book, and into the habit."""
        hours = self.of_day(day)
        figures = figures_of(hours)
        if not math.isnan(figures["mean"]):
            figures |= {"run1": run(own, 1), "run6": run(own, 6), "run6_area": run(apart, 6)}
        self.days[day] = {name: half_number(x) for name, x in figures.items()}
        self.marks = []
        self.go_on(day, hours)
        if not math.isnan(figures["mean"]) and self.first is not None:
            self.slow += (figures["mean"] - self.slow) / min(day - self.first + 1, 90)
            off = weekend(day)
            self.learnt[off] += 1
            pace = max(1 / 4 if off else 1 / 8, 1 / self.learnt[off])
            for h, x in enumerate(hours):
                if not math.isnan(x):
                    move = x - self.usual[off][h]
                    if self.learnt[off] > 3 and not math.isnan(scale):
                        move = min(max(move, -2 * scale), 2 * scale)
                    self.usual[off][h] += pace * move
        self.day = day

    def go_on(self, day: int, hours: Sequence[float]) -> None:
        """Runs of rest, and of the same number, through these hours of a day."""
        for x in known(hours):
            if x <= 1e-9:
                self.rest += 1
            else:
                self.rests.append((day, self.rest))
                self.rest = 0
            self.flat = self.flat + 1 if x == self.last else 0
            self.last = x

    def at(self, mark: int) -> Book:
        """Another book, of days that end at this hour: the last three by the hour, the others a day further back."""
        assert self.first is not None
        day = self.day + 1
        b = copy.copy(self)
        b.shift, b.first, b.rests = mark - 24 - day * 24, self.first + 1, list(self.rests)
        b.days = {d + 1: told for d, told in self.days.items() if d >= self.first}
        b.go_on(day, [self.hour(hour) for hour in range(day * 24, mark)])
        for d in (day - 2, day - 1):
            runs = {name: self.past(name, d, 1)[0] for name in ("run1", "run6", "run6_area")}
            told = {name: half_number(x) for name, x in figures_of(b.of_day(d)).items()}
            b.days[d] = told | runs
        return b

    def longest_rest(self) -> float:
        return max((length * 0.99 ** (self.day - ended + 1) for ended, length in self.rests), default=0.0)

    def least(self, day: int, days: int) -> float:
        end = (day + 1) * 24 + self.shift
        told = known(self.hour(h) for h in range(end - days * 24, end))
        return min(told) if len(told) >= 0.7 * 24 * days else NAN


def weekend(day: int) -> bool:
    return (day + 3) % 7 >= 5


def figures_of(hours: Sequence[float]) -> Figures:
    told = known(hours)
    names = (*LEVELS, "least", "most", "busy", "rms", "run1", "run6", "run6_area", "zeros")
    if len(told) < 12:
        return dict.fromkeys(names, NAN)
    quantiles = np.quantile(told, (0.1, 0.25, 0.5, 0.75, 0.9)).tolist()
    zeros = sum(x <= 1e-9 for x in told) / len(told)
    average = sum(told) / len(told)
    used = [x for x in told if x > 1e-9]
    busy = float(np.quantile(used, 0.75)) if used else NAN
    rms = math.sqrt(sum(x * x for x in told) / len(told))
    numbers = (*quantiles, average, min(told), max(told), busy, rms, NAN, NAN, NAN, zeros)
    return dict(zip(names, numbers, strict=True))


def run(residuals: Sequence[float], width: int) -> float:
    """Largest sum of ``width`` hours that ends within the day; a whole day's is the day itself."""
    sums = []
    for last in range(28 if width == 24 else 5, 29):
        told = known(residuals[last - width + 1 : last + 1])
        if 2 * len(told) >= width:
            sums.append(sum(told))
    return max(sums, default=NAN)


def close(books: Sequence[Book], watermark: int) -> dict[tuple[str, int], Figures]:
    """Features of the days that the watermark has left, by meter and day."""
    due: list[tuple[Book, int]] = []
    for b in books:
        day = min(local(b.zone, watermark - 1) // DAY, b.spoken) - 1
        if b.first is not None and day > b.day:
            while b.day < day - 1:
                b.turn(b.day + 1)
            due.append((b, day))
    scales = [b.scale(day) for b, day in due]
    own = [b.residuals(day, scale) for (b, day), scale in zip(due, scales, strict=True)]
    around = neighbours(due, own)
    apart = [less(mine, rest) for mine, rest in zip(own, around, strict=True)]
    for (b, day), scale, mine, rest in zip(due, scales, own, apart, strict=True):
        b.write(day, scale, mine, rest)
    changes = [compare(b, day, scale) for (b, day), scale in zip(due, scales, strict=True)]
    moves = neighbours(due, changes)
    shapes = [shape(b, day, scale) for (b, day), scale in zip(due, scales, strict=True)]
    general = neighbours(due, shapes)
    for i, (b, _) in enumerate(due):
        b.beside, b.marks = (around[i], moves[i], general[i]), list(MARKS)
    return {
        (b.name, day): describe(b, day, scales[i], own[i], apart[i], changes[i], less(changes[i], moves[i]))
        | tell(shapes[i], less(shapes[i], general[i]))
        for i, (b, day) in enumerate(due)
    }


def look(books: Sequence[Book], watermark: int) -> dict[tuple[str, int], Figures]:
    """Features of the 24 hours before each mark that the watermark has passed, by meter and hour."""
    seen = {}
    for b in books:
        until = local(b.zone, min(watermark - 1, b.heard))
        while b.marks and ((b.day + 1) * 24 + b.marks[0]) * HOUR <= until:
            day = b.day + 1
            mark = day * 24 + b.marks.pop(0)
            there = b.at(mark)
            scale = there.scale(day)
            own = there.residuals(day, scale)
            usual = {h % 24: half_number(x) for h, x in enumerate(b.beside[0][5:])}
            apart = [x - usual[(mark + h - 5) % 24] for h, x in enumerate(own)]
            figures = figures_of(there.of_day(day))
            if math.isnan(figures["mean"]):
                continue
            figures |= {"run1": run(own, 1), "run6": run(own, 6), "run6_area": run(apart, 6)}
            there.days[day] = {name: half_number(x) for name, x in figures.items()}
            changes = compare(there, day, scale)
            away = less(changes, [half_number(x) for x in b.beside[1]])
            form = shape(there, day, scale)
            seen[b.name, mark] = describe(there, day, scale, own, apart, changes, away) | tell(
                form, less(form, [half_number(x) for x in b.beside[2]])
            )
    return seen


def less(row: Sequence[float], middles: Sequence[float]) -> list[float]:
    return [x - middle for x, middle in zip(row, middles, strict=True)]


def neighbours(due: Sequence[tuple[Book, int]], rows: Sequence[list[float]]) -> list[list[float]]:
    """The median of the area, of the class where the area is small; 0 where both are."""
    groups: dict[object, list[list[float]]] = defaultdict(list)
    for (b, day), row in zip(due, rows, strict=True):
        groups[day, b.cohort].append(row)
        groups[day, b.cohort, b.area].append(row)
    out = []
    for (b, day), row in zip(due, rows, strict=True):
        middles: list[float] = []
        for c in range(len(row)):
            middle = 0.0
            for group in (groups[day, b.cohort, b.area], groups[day, b.cohort]):
                told = known(other[c] for other in group)
                if len(told) > 8:  # eight, and itself
                    middle = float(np.median(told))
                    break
            middles.append(middle)
        out.append(middles)
    return out


def compare(b: Book, day: int, scale: float) -> list[float]:
    """Recent days against the four weeks before: logarithms of 4 windows × 6 levels, then differences."""
    logs, steps = [], []
    for width in (1, 3, 7, 14):
        for level in LEVELS:
            recent = mean(b.past(level, day, width), (width + 1) // 2)
            before = mean(b.past(level, day - width, 28), 10)
            logs.append(log(recent + EPS * scale, before + EPS * scale))
            steps.append((recent - before) / scale)
    return logs + steps


def shape(b: Book, day: int, scale: float) -> list[float]:
    """For 7 and 14 days: amount of an hour with use, twice over, and how many such hours there are, as logarithms."""
    out = []
    for width in (7, 14):
        least = (width + 1) // 2
        spans = ((day, width, least), (day - width, 28, 10))
        means = [mean(b.past("mean", *span[:2]), span[2]) for span in spans]
        squares = [mean([x * x for x in b.past("rms", *span[:2])], span[2]) for span in spans]
        amounts = [q / m if m > 0 else m for m, q in zip(means, squares, strict=True)]
        shares = [m * m / q if q > 0 else q for m, q in zip(means, squares, strict=True)]
        busy = [mean(b.past("busy", day, width), 3), mean(b.past("busy", day - width, 28), 10)]
        out += [
            log(amounts[0] + EPS * scale, amounts[1] + EPS * scale),
            log(busy[0] + EPS * scale, busy[1] + EPS * scale),
            log(shares[0] + 1e-3, shares[1] + 1e-3),
        ]
    return out


def tell(own: Sequence[float], apart: Sequence[float]) -> Figures:
    """Their names."""
    f: Figures = {}
    for i, width in enumerate((7, 14)):
        f[f"log_amount_{width}d"], f[f"log_amount_area_{width}d"] = own[3 * i], apart[3 * i]
        f[f"log_busy_{width}d"], f[f"log_busy_area_{width}d"] = own[3 * i + 1], apart[3 * i + 1]
        f[f"hours_of_use_{width}d"] = own[3 * i + 2]
    return f


def describe(
    b: Book, day: int, scale: float, own: list[float], apart: list[float], changes: list[float], away: list[float]
) -> Figures:  # fmt: skip
    f: Figures = {}
    for i, width in enumerate((1, 3, 7, 14)):
        mine, rest = slice(6 * i, 6 * i + 6), slice(24 + 6 * i, 30 + 6 * i)
        for name, where, pick in (
            ("log_most", mine, max),
            ("log_least", mine, min),
            ("step_least", rest, min),
        ):
            f[f"{name}_{width}d"] = pick(known(changes[where]), default=NAN)
            f[f"{name}_area_{width}d"] = pick(known(away[where]), default=NAN)
        f[f"log_mean_{width}d"], f[f"log_mean_area_{width}d"] = changes[6 * i + 5], away[6 * i + 5]
        f[f"log_median_area_{width}d"] = away[6 * i + 2]
        f[f"step_spread_{width}d"] = max(known(changes[rest]), default=NAN) - f[f"step_least_{width}d"]
        f[f"log_spread_{width}d"] = f[f"log_most_{width}d"] - f[f"log_least_{width}d"]
    past_rest = b.longest_rest()
    f["scale"] = log(scale, b.slow)
    f["zero_run"], f["flat_run"], f["zero_run_past"] = b.rest, b.flat, past_rest
    f["zero_run_ratio"] = math.log((b.rest + 1) / (past_rest + 1))
    f["zero_share"] = mean(b.past("zeros", day - 7, 28), 10)

    least = b.past("least", day, 42)
    for days in (1, 2, 3):
        if days > 1:  # least of so many days in a row; a newest day that is not known adds nothing
            least = [y if math.isnan(x) else min(x, y) if y == y else NAN for x, y in pairwise(least)]
        before = sorted(known(least[max(days, 2) :][:28]))
        low = b.least(day, days)
        f[f"least_{days}d"] = low / scale
        f[f"least_over_most_{days}d"] = (low - before[-1]) / scale if len(before) >= 10 else NAN
        f[f"least_over_median_{days}d"] = (low - upper(before)) / scale if len(before) >= 10 else NAN

    for width in (1, 3, 6, 24):
        f[f"run{width}"], f[f"run{width}_area"] = run(own, width), run(apart, width)
    for name in ("run1", "run6", "run6_area"):
        before, now = sorted(known(b.past(name, day - 1, 28))), f[name]
        enough = len(before) >= 10
        f[f"{name}_ratio"] = now / (abs(before[-1]) + 0.1) if enough else NAN
        f[f"{name}_over_median"] = now - upper(before) if enough else NAN
        f[f"{name}_z"] = (now - upper(before)) / (float(np.std(before)) + 0.1) if enough else NAN

    for name, figure, pick in (
        ("hour_over_most", "most", max), ("day_over_most", "mean", max), ("day_over_least", "mean", min),
    ):  # fmt: skip
        before = known(b.past(figure, day - 1, 42))
        now = b.past(figure, day, 1)[0]
        f[name] = log(now + EPS * scale, pick(before) + EPS * scale) if len(before) >= 10 else NAN
    f["known_hours"] = len(known(b.of_day(day)))
    return f


def upper(ordered: Sequence[float]) -> float:
    """The median; of two in the middle the greater."""
    return ordered[len(ordered) // 2]


def leaf(tree: Sequence[Node], row: Mapping[int, float], place: int = 0) -> float:
    """The weight that a tree gives."""
    feature, cut, missing, left, right, value = tree[place]
    if feature < 0:
        return value
    x = row[int(feature)]
    go_left = missing == 1 if math.isnan(x) else x <= float(np.float32(cut))
    return leaf(tree, row, int(left if go_left else right))
