"""What a meter used, day by day or between its reads: for the charts and tables of documents.

Readings become stretches of time with an amount each; a stretch that a bucket cuts gives its share.
A register that falls, and readings that are missing, leave a hole and no invented use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from streams.messages import NS, Kind, Mark, Quality
from streams.papers.exhibits import FAR_NS, Trace, Window

DAY, HOUR = 86_400 * NS, 3600 * NS
_MOST_VALUE = 1e100  # of a reading: beyond it sums and rates are no numbers any more
_ENOUGH = 0.8  # of a bucket must be covered, or its figure is left out
_MOST_ROWS = 40
_BAND_OF = 8  # buckets that a band of percentiles needs


@dataclass(frozen=True, slots=True)
class Stretches:
    """Amounts between instants; arrays of shape (n,), in order, none over another. [ns], [unit]"""

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    amount: NDArray[np.float64]

    @property
    def spacing_ns(self) -> float:
        """The usual length of a stretch; 0 where there is none."""
        return float(np.median(self.end - self.begin)) if len(self.begin) else 0.0


def usable(trace: Trace) -> NDArray[np.bool_]:
    """Which readings say what the meter counted: no bad one, no retained message, a number within reason."""
    fit: NDArray[np.bool_] = (trace.quality != int(Quality.BAD)) & ((trace.marks & int(Mark.RETAINED)) == 0)
    fit &= (trace.time_ns > -FAR_NS) & (trace.time_ns < FAR_NS)
    return fit & (np.abs(trace.value) < _MOST_VALUE)


def stretches(trace: Trace) -> Stretches:
    """The use between readings, of registers and of interval readings."""
    fit = usable(trace)
    time, value = trace.time_ns[fit], trace.value[fit]
    if trace.kind is Kind.INTERVAL:
        if len(time) < 2:
            return Stretches(time[:0], time[:0], value[:0])
        apart = np.diff(time)
        usual = int(np.median(apart))
        # after a hole a reading covers its own interval only
        covered = np.concatenate([[usual], np.where(apart > usual + usual // 2, usual, apart)])
        return Stretches(time - covered, time, value)
    amount = np.diff(value)
    rising = amount >= 0
    return Stretches(time[:-1][rising], time[1:][rising], amount[rising])


def rates(found: Stretches, edges: Sequence[int], per_ns: int = DAY) -> NDArray[np.float64]:
    """Use per ``per_ns`` between neighbouring edges; NaN where too little of a bucket is covered. (n − 1,)"""
    out = np.full(max(len(edges) - 1, 0), np.nan)
    length = np.maximum(found.end - found.begin, 1)
    for n in range(len(out)):
        start, stop = edges[n], edges[n + 1]
        first = int(np.searchsorted(found.end, start, side="right"))
        last = int(np.searchsorted(found.begin, stop, side="left"))
        overlap = np.minimum(found.end[first:last], stop) - np.maximum(found.begin[first:last], start)
        overlap = np.maximum(overlap, 0)
        covered = int(overlap.sum())
        if covered > 0 and covered >= _ENOUGH * (stop - start):
            used = float((found.amount[first:last] * (overlap / length[first:last])).sum())
            out[n] = used / covered * per_ns
    return out


def own_edges(found: Stretches, shown: Window) -> list[int]:
    """The instants of the reads themselves, for a meter that is read every few days or less often."""
    inside = (found.end > shown.start_ns) & (found.begin < shown.end_ns)
    edges: list[int] = np.unique(np.concatenate([found.begin[inside], found.end[inside]])).tolist()
    return edges[-_MOST_ROWS - 1 :]


def even_edges(shown: Window, zone: str, step_days: int) -> list[int]:
    """Local midnights every so many days, so that one is at the day on which the episode begins."""
    tz = ZoneInfo(zone)
    try:
        anchor = datetime.fromtimestamp(shown.episode[0] // NS, UTC).astimezone(tz)
        first = datetime.fromtimestamp(shown.start_ns // NS, UTC).astimezone(tz)
        day = datetime(anchor.year, anchor.month, anchor.day, tzinfo=tz)
        day -= timedelta(days=(day - first).days // step_days * step_days)
        edges = []
        while (time_ns := round(day.timestamp()) * NS) <= shown.end_ns + step_days * DAY:
            edges.append(time_ns)
            day += timedelta(days=step_days)
    except (ValueError, OverflowError, OSError):
        return []
    return edges


def table_edges(found: Stretches, shown: Window, zone: str) -> list[int]:
    """Buckets for a table: the meter's own reads where they are days apart, else days, weeks or months; at most 40."""
    if found.spacing_ns > 2 * DAY:
        return own_edges(found, shown)
    days = (shown.end_ns - shown.start_ns) / DAY
    step = next((n for n in (1, 7, 30) if days / n <= _MOST_ROWS - 2), 91)
    edges = even_edges(shown, zone, step)
    last = int(found.end[-1]) if len(found.end) else shown.end_ns
    # no bucket beyond the last reading
    return [edge for n, edge in enumerate(edges) if n == 0 or edges[n - 1] < last][-_MOST_ROWS - 1 :]


def usual_range(before: NDArray[np.float64]) -> tuple[float, float] | None:
    """What was usual: the 5th and 95th percentile of many buckets, the least and greatest of few; None of one."""
    known = before[np.isfinite(before)]
    if len(known) >= _BAND_OF:
        low, high = np.percentile(known, [5, 95])
        return float(low), float(high)
    return (float(known.min()), float(known.max())) if len(known) >= 2 else None


def thinned(trace: Trace, most: int = 600) -> list[tuple[int, float]]:
    """Readings as points, of each stretch the least and the greatest, so that no peak is lost."""
    fit = usable(trace)
    time, value = trace.time_ns[fit], trace.value[fit]
    if len(time) <= most:
        return list(zip(time.tolist(), value.tolist(), strict=True))
    picked: set[int] = set()
    for rows in np.array_split(np.arange(len(time)), most // 2):
        picked |= {int(rows[value[rows].argmin()]), int(rows[value[rows].argmax()])}
    order = sorted(picked)
    return list(zip(time[order].tolist(), value[order].tolist(), strict=True))
