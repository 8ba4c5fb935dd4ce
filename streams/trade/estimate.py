"""The credit estimate (补气, 退补): what should have been billed, from the meter's own history.

The golden case by this method: 176 m³ in 366 days, then 273 m³ in 61 days. Expected
176 / 366 × 61 = 29.33, excess 243.67. By months, as the trade counts it on paper,
176 / 12 × 2 = 29.33 and 243.67: both round to 29.3 and 243.7. Days are used because
periods between reads are rarely whole months.

Beside it stand the use of the same season a year before times the change that the area has seen,
and the mean use since a meter was replaced. All are functions of values; ``reads`` and
``side_by_side`` find those in the history. Billed too little (补收) is the same with the sign turned.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.messages import Flag
from streams.trade.settlement import Alternative, Estimate

HISTORY_MEAN = "history_mean_days"
LAST_YEAR = "last_year_area_change"
AFTER_SWAP = "after_swap_mean"
DETECTOR = "detector_expectation"
METHODS = (HISTORY_MEAN, LAST_YEAR, AFTER_SWAP)
#: kinds whose ``observed`` and ``expected`` are amounts of the same period
_EXPECTED = frozenset({"high_usage", "bill_shock"})


_FEW = 5  # neighbours: with fewer, one household's habits would pass for the area's
_SHORTEST = 14.0  # days after a swap that say anything of the use


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
    past, billed, days = periods_of(flag.evidence)
    if billed is not None and days is not None:
        found = history_mean(past, billed, days, flag.unit)
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


def same_season(
    last_year: Period | None,
    neighbours: Sequence[tuple[float, float]],
    billed_amount: float,
    billed_days: float,
    unit: str,
) -> Alternative:
    """Use a day in the same days a year before × days billed × the area's change since.

    last_year  : the same days a year before, as far as they are known
    neighbours : (use a day now, use a day a year before) of each other meter of the area
    low, high  : the excess if this meter had changed as the quarter of the neighbours did that
                 changed most, and least (quartiles of their ratios)

    The area's change is the ratio of the medians of its meters, of those known in both seasons.
    Of fewer than five no change is taken: the area counts as unchanged, and that is said.
    """
    if billed_days <= 0 or not math.isfinite(billed_amount):
        return Alternative(method=LAST_YEAR, why_not="no_billed_period")
    if last_year is None or last_year.days <= 0 or last_year.amount < 0:
        return Alternative(method=LAST_YEAR, why_not="no_last_year")
    same = last_year.amount / last_year.days * billed_days
    known = [(now, then) for now, then in neighbours if now >= 0 and then > 0]
    if len(known) < _FEW:
        notes = ("days_not_months", "area_unchanged", "no_range")
        return Alternative(
            method=LAST_YEAR, estimate=_estimate(same, billed_amount, unit, LAST_YEAR, None, notes)
        )
    change = statistics.median(now for now, _ in known) / statistics.median(then for _, then in known)
    ratios = sorted(now / then for now, then in known)
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    spread = (min(low, change) * same, max(high, change) * same)
    return Alternative(
        method=LAST_YEAR,
        estimate=_estimate(
            same * change,
            billed_amount,
            unit,
            LAST_YEAR,
            spread,
            ("days_not_months", "area_change_median", "range_of_neighbours"),
        ),
    )


def after_swap(
    since: Sequence[Period] | None, billed_amount: float, billed_days: float, unit: str
) -> Alternative:
    """Mean use a day since the meter was replaced × days billed.

    since     : periods read since the swap, whole days or longer; None: no swap is on record
    low, high : the excess by those of them with the greatest, and with the least, use a day
    """
    if billed_days <= 0 or not math.isfinite(billed_amount):
        return Alternative(method=AFTER_SWAP, why_not="no_billed_period")
    if since is None:
        return Alternative(method=AFTER_SWAP, why_not="no_swap")
    past = [p for p in since if p.days > 0 and p.amount >= 0]
    days = sum(p.days for p in past)
    if days < _SHORTEST:
        return Alternative(method=AFTER_SWAP, why_not="too_short_after_swap")
    expected = sum(p.amount for p in past) / days * billed_days
    notes = ["days_not_months", "same_use_after_swap", "no_season"]
    if len(past) == 1:
        notes.append("one_period_no_range")
        spread = None
    else:
        notes.append("range_of_periods")
        rates = [p.amount / p.days for p in past]
        spread = (min(rates) * billed_days, max(rates) * billed_days)
    found = _estimate(expected, billed_amount, unit, AFTER_SWAP, spread, tuple(notes))
    return Alternative(method=AFTER_SWAP, estimate=found)


def of_history(periods: Sequence[Period], billed_amount: float, billed_days: float, unit: str) -> Alternative:
    """``history_mean`` beside the others, with the reason where it gives nothing."""
    found = history_mean(periods, billed_amount, billed_days, unit)
    if found is not None:
        return Alternative(method=HISTORY_MEAN, estimate=found)
    known = billed_days > 0 and math.isfinite(billed_amount)
    return Alternative(method=HISTORY_MEAN, why_not="no_past_period" if known else "no_billed_period")


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


def periods_of(evidence: Mapping[str, Any]) -> tuple[list[Period], float | None, float | None]:
    """What a flag's evidence says: past periods, the amount billed, its days. [unit of the flag, d]"""
    return (
        _periods(evidence.get("periods")),
        _number(evidence.get("billed_amount")),
        _number(evidence.get("billed_days")),
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
