"""Readings as a table of days, for the methods that ours is measured beside; with plain validation.

Everything is of one day and of what came before it: a flag of day d is possible an hour after its end.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.score import DAY, HOUR, nanoseconds

GAP = 6 * HOUR  # of silence is a flag
KNOWN = 28  # days that a day is compared with, the half of which must be known

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
B = NDArray[np.bool_]


@dataclass(frozen=True)
class Days:
    """All meters of a set by the day, shape (meters, days); NaN = not known.

    mean   use an hour [unit/h]
    top    highest hour, third the third highest, six the highest six hours in a row, as a mean [unit/h]
    least  least hour [unit/h]
    zeros  share of the readings that are nothing
    """

    names: list[str]
    first: int  # the first day, counted from 1970
    mean: F8
    top: F8
    third: F8
    six: F8
    least: F8
    zeros: F8

    @property
    def ends(self) -> I8:
        """When a day can be judged. [ns]"""
        return (self.first + 1 + np.arange(self.mean.shape[1], dtype=np.int64)) * DAY + HOUR


@dataclass(frozen=True)
class Found:
    """A flag: when, of which meter, what, and how sure (0 where a method does not say)."""

    meter_id: str
    at: int  # [ns]
    kind: str
    score: float = 0.0
    open: bool = False


def clean(readings: pd.DataFrame, register: bool) -> tuple[pd.DataFrame, list[Found]]:
    """Amounts from readings, and what plain validation finds in them: gap, rollback, misread.

    An amount below zero is a misread if its neighbour makes up for it, else a rollback. A meter that
    says nothing for more than six hours has a gap, by the clock of the whole set.

    Returns meter_id, end (ns), hours (since the reading before) and amount, sorted; NaN = not known.
    """
    frame = readings.sort_values(["meter_id", "time"], kind="stable").reset_index(drop=True)
    name = frame["meter_id"].astype(str).to_numpy(object)
    time = nanoseconds(frame["time"])
    value = frame["value"].to_numpy(np.float64)
    fresh = np.ones(len(name), bool)
    fresh[1:] = name[1:] != name[:-1]
    step = np.diff(time, prepend=time[:1])
    step[fresh] = int(np.median(step[~fresh])) if (~fresh).any() else HOUR
    amount = np.diff(value, prepend=value[:1]) if register else value.copy()
    if register:
        amount[fresh] = np.nan
    found = []
    for row in np.flatnonzero(amount < 0).tolist():
        for pair in (row - 1, row + 1):
            near = 0 <= pair < len(name) and name[pair] == name[row]
            if near and amount[pair] > 0 and amount[pair] + amount[row] >= 0:
                amount[row] = amount[pair] = (amount[pair] + amount[row]) / 2
                found.append(Found(str(name[row]), int(time[row]), "misread"))
                break
        else:
            amount[row] = np.nan
            found.append(Found(str(name[row]), int(time[row]), "rollback"))
    last = np.append(fresh[1:], True)
    until = np.where(last, time.max(), np.append(time[1:], 0))
    silent = np.flatnonzero(until - time > GAP).tolist()
    found += [Found(str(name[row]), int(time[row]) + GAP, "gap") for row in silent]
    amount[step > GAP] = np.nan
    return pd.DataFrame({"meter_id": name, "end": time, "hours": step / HOUR, "amount": amount}), found


def table(amounts: pd.DataFrame) -> Days:
    """Amounts by the day that they were used in."""
    flow = amounts["amount"] / amounts["hours"]
    code, names = pd.factorize(amounts["meter_id"], sort=True)
    day = (amounts["end"].to_numpy(np.int64) - 1) // DAY
    first, days = int(day.min()), int(day.max() - day.min()) + 1
    cell = code * days + (day - first)
    own = flow.groupby(code)
    per_hour = max(1, round(1 / float(amounts["hours"].median())))
    six = own.transform(lambda x: x.rolling(6 * per_hour, min_periods=3 * per_hour).mean())
    cells = flow.groupby(cell)
    shape = (len(names), days)

    def matrix(column: pd.Series[Any]) -> F8:
        out = np.full(shape, np.nan)
        out.reshape(-1)[column.index.to_numpy(np.int64)] = column.to_numpy(np.float64)
        return out

    falling = flow.dropna().sort_values(ascending=False)
    own_cell = pd.Series(cell, flow.index).loc[falling.index]
    third = falling[(falling.groupby(own_cell).cumcount() == 2).to_numpy()]
    zero = (flow <= 0).astype(float).where(flow.notna()).groupby(cell).mean()
    return Days(
        [str(name) for name in names], first, matrix(cells.mean()), matrix(cells.max()),
        matrix(third.set_axis(own_cell.loc[third.index])), matrix(six.groupby(cell).max()),
        matrix(cells.min()), matrix(zero),
    )  # fmt: skip


def before(values: F8, days: int, skip: int = 0) -> F8:
    """The ``days`` before each day, the ``skip`` newest of them left out; shape (days, meters, all days)."""
    n = values.shape[1]
    out = np.full((days, *values.shape), np.nan)
    for k in range(days):
        back = skip + 1 + k
        if back < n:
            out[k, :, back:] = values[:, :-back]
    return out


def median(history: F8) -> F8:
    """Median over the first axis; NaN where less than half is known."""
    return _folded(np.nanmedian, history)


def mean(history: F8) -> F8:
    """Mean over the first axis; NaN where less than half is known."""
    return _folded(np.nanmean, history)


def highest(history: F8) -> F8:
    """Maximum over the first axis; NaN where less than half is known."""
    return _folded(np.nanmax, history)


def _folded(how: Any, history: F8) -> F8:
    enough = np.isfinite(history).sum(axis=0) * 2 >= len(history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a day of which nothing is known stays NaN
        return np.where(enough, how(history, axis=0), np.nan)


#: What the methods that learn are given of a day.
FEATURES = ("mean", "weekday", "six", "top", "least", "zeros", "week", "week_least")


def features(days: Days) -> F8:
    """A day beside its meter's own past, shape (meters, days, features); NaN where that is not known.

    mean, six, top  logarithm of the day's over the median of the 28 days before
    weekday         the same of the mean, beside the four same weekdays before
    least           least hour less the usual, in usual hours; zeros: share of readings less the usual
    week, week_least  the last 7 days beside the 28 before them
    """
    usual = median(before(days.mean, KNOWN))
    ground = 0.05 * usual + 1e-6
    day = [log_ratio(days.mean, usual, ground)]
    day.append(log_ratio(days.mean, median(before(days.mean, KNOWN)[6::7]), ground))
    day += [log_ratio(own, median(before(own, KNOWN)), ground) for own in (days.six, days.top)]
    day.append((days.least - median(before(days.least, KNOWN))) / (usual + ground))
    day.append(days.zeros - median(before(days.zeros, KNOWN)))
    # The week that ends with the day itself.
    past = mean(before(days.mean, KNOWN, 6))
    day.append(log_ratio(mean(week(days.mean)), past, ground))
    day.append((mean(week(days.least)) - mean(before(days.least, KNOWN, 6))) / (usual + ground))
    return np.clip(np.stack(day, axis=-1), -10, 10)


def week(values: F8, days: int = 7) -> F8:
    """Each day and those before it, shape (days, meters, all days)."""
    return np.concatenate([values[None], before(values, days - 1)])


def log_ratio(of: F8, to: F8, ground: F8) -> F8:
    """Natural logarithm of a ratio that may be 0 : 0."""
    return np.log((of + ground) / (to + ground))


def episodes(alarm: B, known: B) -> tuple[B, B]:
    """Where an alarm is raised, and whether the one that is raised there stays to the end.

    A day of which nothing is known neither raises nor ends one. Shapes (meters, days).
    """
    state = np.where(known, alarm, False)
    was = np.zeros(len(state), bool)
    begins, at = np.zeros_like(state), np.full(len(state), -1)
    for day in range(state.shape[1]):
        now = np.where(known[:, day], state[:, day], was)
        begins[:, day] = now & ~was
        at = np.where(begins[:, day], day, at)
        was = now
    stays = np.zeros_like(state)
    stays[np.flatnonzero(was), at[was]] = True
    return begins, stays


def flags(found: list[Found]) -> pd.DataFrame:
    """As ``score.load_flags`` gives them."""
    frame = pd.DataFrame(
        [
            (f"{f.kind}/{n}", f.meter_id, pd.Timestamp(f.at, tz="UTC"), f.score, f.kind, f.open)
            for n, f in enumerate(found)
        ],
        columns=["id", "meter_id", "at", "score", "kind", "open"],
    )
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    return frame.sort_values(["at", "meter_id", "id"], kind="stable").reset_index(drop=True)
