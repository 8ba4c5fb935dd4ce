"""The rules that utilities have had for decades, in their textbook form, to be measured beside.

Validation (gap, rollback, misread: ``benchmarks.days``); and of each closed day

    high/low        a week's use above 600 % or below 40 % of the four weeks before
    spike           the highest hour over the third highest by more than 180 % of it, and twice the
                    highest of the four weeks before; or a day of twice the highest of those
    minimum flow    for three days no hour as low as 1.5 times the highest such minimum of the four weeks
                    before and 0.3 usual hours
    CUSUM           of the day's log ratio to its weekday, in robust standard deviations of the meter,
                    downwards, slack 0.5, line 12 (Page 1954; Montgomery, Introduction to Statistical
                    Quality Control, has 0.5 and 4 to 5 for independent days, which these are not)
    no use          three days without any, of a meter that had none such in four weeks

Of bills: more than 6 times, or less than a tenth of, the median of the last six; and nothing used.
One set of parameters for all: their form is the textbooks', their sizes were set for the best mean F1 on
the half of the meters of the four hourly sets on which ours is fitted too. A rule raises on the first day
that it holds, and again only after a day on which it does not.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.days import (
    KNOWN,
    Days,
    Found,
    before,
    clean,
    episodes,
    highest,
    log_ratio,
    mean,
    median,
    table,
    week,
)

F8 = NDArray[np.float64]
B = NDArray[np.bool_]

HIGH, LOW = 6.0, 0.4
SPIKE, ABOVE, DAY_ABOVE = 1.8, 2.0, 2.0
FLOW_DAYS, FLOW_RATIO, FLOW = 3, 1.5, 0.3
STILL_DAYS = 3
SLACK, LINE, MOST = 0.5, 12.0, 4.0  # MOST: no day counts for more
BILLS, BILL_HIGH, BILL_LOW = 6, 6.0, 0.1

#: Bytes that these rules need of a meter: six figures of 35 days and a sum, single precision.
STATE = 4 * (6 * 35 + 1)


def rules(days: Days) -> list[tuple[str, B]]:
    """Kind → days on which its rule holds, shape (meters, days)."""
    usual = median(before(days.mean, KNOWN))
    ground = 0.05 * usual + 1e-6
    share = (mean(week(days.mean)) + ground) / (mean(before(days.mean, KNOWN, 6)) + ground)
    spike = days.top - days.third > SPIKE * (days.third + ground)
    spike &= days.top > ABOVE * highest(before(days.top, KNOWN))
    spike |= days.mean > DAY_ABOVE * highest(before(days.mean, KNOWN))
    least = week(days.least, FLOW_DAYS).min(axis=0)
    flow = least > FLOW_RATIO * highest(before(least, KNOWN)) + FLOW * usual
    still = week(days.top, STILL_DAYS).max(axis=0) <= 0
    past = np.where(np.isfinite(days.top), still, np.nan)
    still &= mean(before(past, KNOWN)) == 0
    low = (share < LOW) | fallen(days, ground)
    return [
        ("spike", spike),
        ("leak", flow),
        ("high_usage", share > HIGH),
        ("stuck", still),
        ("low_usage", low),
    ]


def fallen(days: Days, ground: F8) -> B:
    """Days on which the sum of what is below the weekday's usual has passed the line (CUSUM)."""
    ratio = log_ratio(days.mean, median(before(days.mean, KNOWN)[6::7]), ground)
    spread = 1.4826 * median(np.abs(before(ratio, KNOWN)))
    z = np.clip(ratio / np.maximum(spread, 0.1), -MOST, MOST)
    fall = np.zeros(z.shape, bool)
    down = np.zeros(len(z))
    for day in range(z.shape[1]):
        step = np.where(np.isfinite(z[:, day]), -z[:, day] - SLACK, 0.0)
        # What is far past the line would be long in coming back.
        down = np.clip(down + step, 0, 2 * LINE)
        fall[:, day] = down > LINE
    return fall


def judge(readings: pd.DataFrame, register: bool) -> list[Found]:
    """All flags of meters that are read at least daily."""
    amounts, found = clean(readings, register)
    days = table(amounts)
    known = np.isfinite(days.mean)
    for kind, alarm in rules(days):
        begins, stays = episodes(alarm, known)
        for meter, day in zip(*(part.tolist() for part in np.nonzero(begins)), strict=True):
            found.append(Found(days.names[meter], int(days.ends[day]), kind, open=bool(stays[meter, day])))
    return found


def bills(readings: pd.DataFrame) -> list[Found]:
    """All flags of meters that are read by the bill; each bill is judged by itself."""
    frame = readings.sort_values(["meter_id", "time"], kind="stable")
    usual = frame.groupby("meter_id", observed=True)["value"].transform(
        lambda x: x.shift(1).rolling(BILLS, min_periods=3).median()
    )
    value = frame["value"]
    high, none, low = value > BILL_HIGH * usual, (value <= 0) & (usual > 0), value < BILL_LOW * usual
    kind = np.select([high & (usual > 0), none, low], ["high_usage", "zero_usage", "low_usage"], "")
    own = frame[kind != ""]
    return [
        Found(str(name), at.value, str(what))
        for name, at, what in zip(
            own["meter_id"], own["time"].dt.as_unit("ns"), kind[kind != ""], strict=True
        )
    ]
