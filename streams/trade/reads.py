"""A meter's readings as amounts over time: what was used between two instants, and in past periods.

Readings come as the history has them, each register and interval as it was sent; units and the
registry's multiplier are applied here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.messages import Kind, Quality
from streams.trade.decisions import DAY
from streams.trade.estimate import Period
from streams.trade.points import Point
from streams.units import factor, same_quantity

_COVERED = 0.8  # of a stretch, for what was used in it to count as known
_RARELY = 20 * DAY  # a meter read less often is judged by its own periods
_MOST = 13  # past periods
_BACK = 400 * DAY
_WEEK = 7 * DAY


class Readings(Protocol):
    """One register of a meter by time; arrays of shape (n,). ``connectors.sqlite_history`` has them."""

    @property
    def register(self) -> str: ...
    @property
    def time_ns(self) -> NDArray[np.int64]: ...
    @property
    def value(self) -> NDArray[np.float64]: ...
    @property
    def kind(self) -> NDArray[np.uint8]: ...
    @property
    def quality(self) -> NDArray[np.uint8]: ...
    @property
    def unit(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Amounts:
    """What was used in stretches of time that do not overlap; arrays of shape (n,), by time.

    start, end : instants [ns]; amount : in one unit
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    amount: NDArray[np.float64]

    def over(self, start_ns: int, end_ns: int) -> Period:
        """The days between two instants that are known, and what was used in them.

        A stretch that lies across an end counts by its part of the time.
        """
        inside = np.minimum(self.end, end_ns) - np.maximum(self.start, start_ns)
        inside = np.maximum(inside, 0)
        share = inside / (self.end - self.start)
        return Period(float(inside.sum()) / DAY, float((share * self.amount).sum()))

    def known(self, start_ns: int, end_ns: int) -> Period | None:
        """``over``, or None where less than four fifths of the time are known."""
        found = self.over(start_ns, end_ns)
        length = (end_ns - start_ns) / DAY
        return found if length > 0 and found.days >= _COVERED * length else None

    def before(self, start_ns: int, length_ns: int) -> list[Period]:
        """Past periods before an instant, oldest first.

        Of a meter that is read rarely those between its reads, else stretches of the given length.
        """
        if not len(self.end):
            return []
        if float(np.median(self.end - self.start)) >= _RARELY:
            past = np.flatnonzero(self.end <= start_ns)[-_MOST:]
            spans = (self.end - self.start)[past] / DAY
            return [Period(float(d), float(a)) for d, a in zip(spans, self.amount[past], strict=True)]
        return self._cut(start_ns, max(length_ns, DAY), backwards=True)

    def after(self, start_ns: int) -> list[Period]:
        """Periods from an instant on: weeks, or those between reads where these are longer."""
        here = np.flatnonzero(self.start >= start_ns)
        if not len(here):
            return []
        since = Amounts(self.start[here], self.end[here], self.amount[here])
        if float(np.median(since.end - since.start)) >= _WEEK:
            spans = (since.end - since.start) / DAY
            return [Period(float(d), float(a)) for d, a in zip(spans, since.amount, strict=True)]
        return since._cut(start_ns, _WEEK, backwards=False)

    def _cut(self, start_ns: int, length_ns: int, *, backwards: bool) -> list[Period]:
        found = []
        for n in range(_MOST):
            begin = start_ns - (n + 1) * length_ns if backwards else start_ns + n * length_ns
            end = begin + length_ns
            if (start_ns - begin > _BACK) if backwards else end > int(self.end[-1]):
                break
            if (period := self.known(begin, end)) is not None:
                found.append(period)
        return found[::-1] if backwards else found


def amounts(
    found: Sequence[Readings], point: Point, unit: str, swap: tuple[int, float] | None = None
) -> Amounts:
    """The amounts that a meter's readings show. [unit]

    found : its registers; the total counts, or the first where there is none
    swap  : when the meter was replaced, and the new one's start read, in its own unit
    A register that fell is no amount: what was used over a rollback or a swap is not known.
    """
    total = next((one for one in found if not one.register), found[0] if found else None)
    if total is None or not len(total.time_ns):
        return _none()
    scale = _scale(total.unit, point, unit)
    good = (total.quality != Quality.BAD) & np.isfinite(total.value) & np.isfinite(scale)
    kind = np.where(total.kind == Kind.UNSTATED, _KINDS.get(point.kind, Kind.UNSTATED), total.kind)
    if (kind == Kind.INTERVAL).sum() > (kind == Kind.REGISTER).sum():
        rows = good & (kind == Kind.INTERVAL)
        return _of_intervals(total.time_ns[rows], (total.value * scale)[rows])
    rows = good & (kind == Kind.REGISTER)
    time, value = total.time_ns[rows], (total.value * scale)[rows]
    if swap is None or not len(time):
        return _of_register(time, value)
    at, start_read = swap
    new = time > at
    own = np.concatenate([[start_read * float(scale[-1])], value[new]])
    return _joined(
        _of_register(time[~new], value[~new]), _of_register(np.concatenate([[at], time[new]]), own)
    )


_KINDS = {"register": Kind.REGISTER, "interval": Kind.INTERVAL, "gauge": Kind.GAUGE}


def _scale(units: Sequence[str], point: Point, unit: str) -> NDArray[np.float64]:
    """What each value is multiplied by to be in ``unit``; NaN where it measures something else."""
    found: dict[str, float] = {}
    for code in set(units):
        stated = code or point.unit or unit
        try:
            one = 1.0 if stated == unit else factor(stated, unit) if same_quantity(stated, unit) else np.nan
        except ValueError:
            one = np.nan
        found[code] = one * point.multiplier
    return np.array([found[code] for code in units])


def _of_register(time: NDArray[Any], value: NDArray[Any]) -> Amounts:
    if len(time) < 2:
        return _none()
    used = np.diff(value)
    rows = (used >= 0) & (np.diff(time) > 0)
    return Amounts(time[:-1][rows].astype(np.int64), time[1:][rows].astype(np.int64), used[rows])


def _of_intervals(time: NDArray[Any], value: NDArray[Any]) -> Amounts:
    if len(time) < 2:
        return _none()
    spacing = int(np.median(np.diff(time)))
    if spacing <= 0:
        return _none()
    # after a hole an interval is as long as the others: the hole is not known
    start = np.maximum(np.concatenate([[time[0] - spacing], time[:-1]]), time - spacing)
    rows = (time > start) & (value >= 0)
    return Amounts(start[rows].astype(np.int64), time[rows].astype(np.int64), value[rows])


def _joined(one: Amounts, other: Amounts) -> Amounts:
    return Amounts(
        np.concatenate([one.start, other.start]),
        np.concatenate([one.end, other.end]),
        np.concatenate([one.amount, other.amount]),
    )


def _none() -> Amounts:
    nothing = np.zeros(0, np.int64)
    return Amounts(nothing, nothing, np.zeros(0))
