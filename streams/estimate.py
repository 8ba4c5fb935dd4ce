"""The credit estimate (补气, 退补): what should have been billed, from the meter's own history.

The golden case by this method: 176 m³ in 366 days, then 273 m³ in 61 days. Expected
176 / 366 × 61 = 29.33, excess 243.67. By months, as the trade counts it on paper,
176 / 12 × 2 = 29.33 and 243.67: both round to 29.3 and 243.7. Days are used because
periods between reads are rarely whole months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from streams.messages import Flag
from streams.tickets import Estimate

HISTORY_MEAN = "history_mean_days"
DETECTOR = "detector_expectation"
#: kinds whose ``observed`` and ``expected`` are amounts of the same period
_EXPECTED = frozenset({"high_usage", "bill_shock"})


class Period(msgspec.Struct, frozen=True):
    """One past billing period."""

    days: float
    amount: float


def of_flag(flag: Flag) -> Estimate | None:
    """The estimate that a flag's evidence allows; None where it allows none.

    ``evidence["periods"]`` (each ``start``, ``end``, ``days``, ``amount``, oldest first),
    ``billed_amount`` and ``billed_days`` give the history's mean. A high-use flag without
    them has what its detector expected and saw, if those are amounts and not rates.
    """
    billed, days = _number(flag.evidence.get("billed_amount")), _number(flag.evidence.get("billed_days"))
    if billed is not None and days is not None:
        found = history_mean(_periods(flag.evidence.get("periods")), billed, days, flag.unit)
        if found is not None:
            return found
    # a spike is held against a limit, not against what should have been used
    if flag.kind in _EXPECTED and "seen_as" not in flag.evidence and "/" not in flag.unit:
        observed, expected = _number(flag.observed), _number(flag.expected)
        if observed is not None and expected is not None and observed > expected >= 0:
            return _estimate(expected, observed, flag.unit, DETECTOR, None, ("detector_period", "no_range"))
    return None


def better(new: Estimate | None, old: Estimate | None) -> Estimate | None:
    """The one to show: the newer, but never a detector's figure in place of the history's mean."""
    if new is None or (old is not None and old.method == HISTORY_MEAN and new.method == DETECTOR):
        return old
    return new


def history_mean(
    periods: Sequence[Period], billed_amount: float, billed_days: float, unit: str
) -> Estimate | None:
    """Mean use a day of the past periods × the days billed; None without a usable past.

    periods       : past periods; those without a length or with a negative amount are left out
    billed_amount : what the new period shows. [unit]
    billed_days   : its length. [d]
    low, high     : the excess if every day had been like those of the past period with the
                    greatest, and with the least, use a day. One period gives no spread, so
                    no range: None.
    """
    past = [p for p in periods if p.days > 0 and p.amount >= 0]
    if not past or billed_days <= 0 or not math.isfinite(billed_amount):
        return None
    expected = sum(p.amount for p in past) / sum(p.days for p in past) * billed_days
    notes = ["days_not_months", "same_use_as_before", "no_season"]
    if len(past) == 1:
        return _estimate(expected, billed_amount, unit, HISTORY_MEAN, None, (*notes, "one_period_no_range"))
    rates = [p.amount / p.days for p in past]
    spread = (min(rates) * billed_days, max(rates) * billed_days)
    return _estimate(expected, billed_amount, unit, HISTORY_MEAN, spread, (*notes, "range_of_periods"))


def _estimate(
    expected: float,
    billed: float,
    unit: str,
    method: str,
    spread: tuple[float, float] | None,
    assumptions: tuple[str, ...],
) -> Estimate:
    # a tenth is what a bill shows; small amounts (an hour of water) keep three decimals
    digits = 1 if abs(billed) >= 10 else 3
    should, is_ = round(expected, digits), round(billed, digits)
    low = high = None
    if spread is not None:
        # a history of less use means a greater excess
        low, high = round(billed - spread[1], digits), round(billed - spread[0], digits)
    return Estimate(
        expected=should,
        billed=is_,
        excess=round(is_ - should, digits),  # the three figures on paper add up
        unit=unit,
        method=method,
        low=low,
        high=high,
        assumptions=assumptions,
    )


def _periods(value: Any) -> list[Period]:
    found = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            days, amount = _number(item.get("days")), _number(item.get("amount"))
            if days is not None and amount is not None:
                found.append(Period(days, amount))
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
