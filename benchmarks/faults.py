"""Faults of known kind, size and time, put into real readings: to fit on, and to measure against.

The kinds and sizes are those of the trade's own complaints (docs/adr/0010). Amounts are made
of the meter's own use: ``mean`` is its mean use of an hour.

    spike     2 to 10 days' use more within 1, 3 or 6 hours; or a day at 2 to 10 times its use
    leak      0.1 to 2 means added to every hour, for 3 to 21 days
    stuck     no use at all for 3 to 21 days
    theft     use × 0.2 to 0.8 for 14 to 28 days
    drift     use sinks evenly to × 0.25 to 0.5 over 28 days, then jumps back
    rise      use × 2 to 10 for 7 to 28 days
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

KINDS = ("spike", "leak", "stuck", "theft", "drift", "rise")
WARM_DAYS = 45.0  # before the first fault of a meter
BETWEEN_DAYS = (9.0, 30.0)  # from the end of one fault to the start of the next

F8 = NDArray[np.float64]
HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True, slots=True)
class Fault:
    """What was put in: of which hours (stamps of their ends), and how large."""

    meter_id: str
    kind: str
    size: float
    start: np.datetime64
    end: np.datetime64


def put_in(
    readings: pd.DataFrame,
    register: bool,
    avoid: pd.DataFrame,
    kinds: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readings with faults, and the list of them.

    readings  meter_id, time (UTC), value; of meters read at least hourly
    register  whether values count up
    avoid     meter_id, start, end: times in which nothing is put in, nor three days around them

    Returns readings of the same shape and faults: meter_id, type, size, start, end.
    """
    parts, faults = [], []
    for meter_id, own in readings.groupby("meter_id", sort=False):
        frame = own.sort_values("time", kind="stable").reset_index(drop=True)
        time = frame["time"].dt.tz_convert(None).to_numpy().astype("datetime64[ns]")
        value = frame["value"].to_numpy(np.float64)
        use = np.diff(value, prepend=value[0]) if register else value.copy()
        kept = avoid[avoid["meter_id"] == meter_id]
        changed, put = _one(str(meter_id), time, use, kept, kinds, rng)
        frame["value"] = value[0] + np.cumsum(changed) if register else changed
        parts.append(frame)
        faults += put
    rows = [(f.meter_id, f.kind, f.size, f.start, f.end) for f in faults]
    return pd.concat(parts), pd.DataFrame(rows, columns=["meter_id", "type", "size", "start", "end"])


def _one(
    meter_id: str,
    time: NDArray[np.datetime64],
    use: F8,
    avoid: pd.DataFrame,
    kinds: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[F8, list[Fault]]:
    use = use.copy()
    sane = use[(use >= 0) & np.isfinite(use)]
    if not len(sane):
        return use, []
    low = avoid["start"].to_numpy().astype("datetime64[ns]") - 72 * HOUR
    high = avoid["end"].to_numpy().astype("datetime64[ns]") + 72 * HOUR
    hours = np.median(np.diff(time)) / HOUR
    put: list[Fault] = []
    at = time[0] + np.timedelta64(round(24 * (WARM_DAYS + rng.uniform(0, 20))), "h")
    while at < time[-1]:
        kind = str(rng.choice(list(kinds)))
        size, length = _drawn(kind, rng)
        end = at + np.timedelta64(round(3600 * length), "s")
        clash = (low < end) & (high > at)
        if clash.any():
            at = high[clash].max() + np.timedelta64(rng.integers(0, 48), "h")
            continue
        rows = np.flatnonzero((time > at) & (time <= end))
        before = use[(time > at - 28 * 24 * HOUR) & (time <= at)]
        mean = float(np.clip(before, 0, np.quantile(sane, 0.999)).mean()) / hours if len(before) else 0.0
        if len(rows) >= 0.7 * length / hours and mean > 0 and end < time[-1]:
            use[rows] = _faulty(kind, size, use[rows], mean, hours)
            put.append(Fault(meter_id, kind, size, time[rows[0]], time[rows[-1]]))
        at = end + np.timedelta64(round(24 * rng.uniform(*BETWEEN_DAYS)), "h")
    return use, put


def _drawn(kind: str, rng: np.random.Generator) -> tuple[float, float]:
    """Size and length of a fault. [-], [h]"""
    if kind == "spike":
        return float(rng.choice([2, 3, 5, 10])), float(rng.choice([1, 3, 6, 24]))
    if kind == "leak":
        return float(rng.choice([0.1, 0.25, 0.5, 1, 2])), 24.0 * float(rng.choice([3, 7, 14, 21]))
    if kind == "stuck":
        return 0.0, 24.0 * float(rng.choice([3, 7, 14, 21]))
    if kind == "theft":
        return float(rng.choice([0.2, 0.4, 0.6, 0.8])), 24.0 * float(rng.choice([14, 21, 28]))
    if kind == "drift":
        return float(rng.choice([0.25, 0.5])), 24.0 * 28
    return float(rng.uniform(2, 10)), 24.0 * float(rng.choice([7, 14, 28]))


def _faulty(kind: str, size: float, use: F8, mean: float, hours: float) -> F8:
    """Amounts with the fault in them; ``mean`` a [unit/h], ``hours`` between readings."""
    n = len(use)
    if kind == "spike":
        return use * size if n * hours > 12 else use + size * 24 * mean / n
    if kind == "leak":
        return use + size * mean * hours
    if kind == "stuck":
        return np.zeros(n)
    if kind == "drift":
        return use * np.linspace(1.0, size, n)
    return use * size
