"""From use to money: tiered tariffs (阶梯价), by the month or cumulated over the year.

All arithmetic is decimal; a bill is rounded once, half up, to the smallest coin.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from streams.trade.decisions import Use
from streams.trade.settlement import Estimate, Money
from streams.units import as_code, factor, same_quantity

_ZERO = Decimal(0)


class Tier(msgspec.Struct, frozen=True):
    """A stretch of use and its price. ``upto`` in the tariff's unit, by the month or year; None: all above."""

    price: Decimal
    upto: Decimal | None = None


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a tariff: what it says from ``first`` to ``last``, both included.

    by         : ``month``: the tiers' limits are for a month, and a period of two months has twice as
                 much of each; ``year``: use is cumulated from ``year_start`` on
    year_start : (month, day) on which the tiers begin anew
    fixed      : charge a month, whatever is used
    coin       : decimal places of the currency
    """

    name: str
    commodity: str
    unit: str
    currency: str
    by: Literal["month", "year"]
    tiers: tuple[Tier, ...]
    first: date
    last: date | None = None
    year_start: tuple[int, int] = (1, 1)
    fixed: Decimal = _ZERO
    coin: int = 2

    def holds(self, day: date) -> bool:
        """Tell whether this version is in force on a day."""
        return self.first <= day and (self.last is None or day <= self.last)

    def year_of(self, day: date) -> date:
        """The day on which the tariff year of a day began."""
        begins = date(day.year, *self.year_start)
        return begins if begins <= day else date(day.year - 1, *self.year_start)


class NoPrice(ValueError):
    """A bill that cannot be made; ``code`` says why, in a code of ``wording``."""

    def __init__(self, code: str, told: str) -> None:
        super().__init__(told)
        self.code = code


class Tariffs:
    """The versions of all tariffs, by name."""

    def __init__(self, versions: Sequence[Tariff] = ()) -> None:
        found: dict[str, list[Tariff]] = {}
        for version in versions:
            found.setdefault(version.name, []).append(version)
        self.by_name: Mapping[str, tuple[Tariff, ...]] = {
            name: tuple(sorted(some, key=lambda one: one.first)) for name, some in found.items()
        }

    def at(self, name: str, day: date) -> Tariff:
        """The version of a tariff in force on a day. Raises NoPrice."""
        if not name:
            raise NoPrice("no_tariff_named", "expected the registry to name the meter's tariff, got none")
        if name not in self.by_name:
            raise NoPrice("tariff_unknown", f"expected a tariff of the file, got {name!r}")
        for version in reversed(self.by_name[name]):  # the one that begins last takes over
            if version.holds(day):
                return version
        raise NoPrice("no_price_then", f"expected a version of {name} in force on {day}, got none")

    def exact(self, name: str, amount: Decimal, use: Use) -> Decimal:
        """The bill of an amount before it is rounded. Raises NoPrice.

        amount : use of the period, in the tariff's unit
        A period over a change of price, or over the turn of a tariff year, is divided by its days;
        a new year's tiers begin at nothing.
        """
        if use.end <= use.start:
            raise NoPrice("no_period", f"expected a period that ends after {use.start}, got {use.end}")
        if amount < 0:
            raise NoPrice("negative_use", f"expected use of nothing or more, got {amount}")
        days = Decimal((use.end - use.start).days)
        total, before = _ZERO, use.before
        year: date | None = None
        for tariff, start, end in self._parts(name, use):
            if year is not None and tariff.year_of(start) != year:
                before = _ZERO
            year = tariff.year_of(start)
            part = amount * (end - start).days / days
            months = _months(start, end)
            total += tariff.fixed * months
            if tariff.by == "year":
                total += _climb(tariff.tiers, before + part) - _climb(tariff.tiers, before)
            else:
                total += _climb(tariff.tiers, part, months)
            before += part
        return total

    def bill(self, name: str, amount: Decimal, use: Use) -> Decimal:
        """The bill of an amount, half up to the smallest coin. Raises NoPrice."""
        tariff = self.at(name, use.end - timedelta(days=1))
        return self.exact(name, amount, use).quantize(Decimal(1).scaleb(-tariff.coin), ROUND_HALF_UP)

    def price(self, estimate: Estimate, name: str, use: Use) -> Money:
        """What an estimate's excess comes to: bill(billed) − bill(expected), and so for its range.

        Raises NoPrice where the tariff does not price it.
        """
        tariff = self.at(name, use.end - timedelta(days=1))
        billed = self.bill_of(estimate.billed, estimate.unit, name, use)

        def less(expected: float) -> Decimal:
            return billed - self.bill_of(max(0.0, expected), estimate.unit, name, use)

        ranged = estimate.low is not None and estimate.high is not None
        return Money(
            amount=less(estimate.expected),
            currency=tariff.currency,
            tariff=name,
            low=less(estimate.billed - (estimate.low or 0.0)) if ranged else None,
            high=less(estimate.billed - (estimate.high or 0.0)) if ranged else None,
        )

    def bill_of(self, value: float, unit: str, name: str, use: Use) -> Decimal:
        """The bill of an amount in any unit, as it stands on paper. Raises NoPrice."""
        tariff = self.at(name, use.end - timedelta(days=1))
        return self.bill(name, self.amount(value, unit, tariff), use)

    def priced(self, estimate: Estimate, name: str, use: Use) -> tuple[Estimate, str]:
        """The estimate with its money, or the code that says why there is none."""
        try:
            return replace(estimate, money=self.price(estimate, name, use)), ""
        except NoPrice as error:
            return estimate, error.code

    @staticmethod
    def amount(value: float, unit: str, tariff: Tariff) -> Decimal:
        """A use in the tariff's unit, as it stands on paper: to a tenth, small ones to three decimals."""
        if as_code(unit) == as_code(tariff.unit):
            found = value
        elif same_quantity(unit, tariff.unit):
            found = value * factor(unit, tariff.unit)
        else:
            raise NoPrice(
                "unit_differs", f"expected an amount in {tariff.unit}, got one in {unit or 'no unit'}"
            )
        return Decimal(repr(round(found, 1 if abs(found) >= 10 else 3)))

    def _parts(self, name: str, use: Use) -> list[tuple[Tariff, date, date]]:
        """The period cut where the price changes and where a tariff year begins."""
        parts = []
        start = use.start
        while start < use.end:
            tariff = self.at(name, start)
            end = use.end if tariff.last is None else min(use.end, tariff.last + timedelta(days=1))
            # a version that begins later takes over, whether or not the one before says that it ends
            for version in self.by_name[name]:
                if start < version.first < end:
                    end = version.first
            if tariff.by == "year":
                begun = tariff.year_of(start)
                end = min(end, date(begun.year + 1, begun.month, begun.day))
            parts.append((tariff, start, end))
            start = end
        return parts


def _climb(tiers: Sequence[Tier], amount: Decimal, times: Decimal = Decimal(1)) -> Decimal:
    """The price of an amount that begins at nothing; each tier's limit counts ``times``."""
    total, floor = _ZERO, _ZERO
    for tier in tiers:
        top = amount if tier.upto is None else min(amount, tier.upto * times)
        if top > floor:
            total += (top - floor) * tier.price
            floor = top
    return total


def _months(start: date, end: date) -> Decimal:
    """How many months the days from ``start`` to before ``end`` are: each day is a part of its own month."""
    months, day = _ZERO, start
    while day < end:
        length = calendar.monthrange(day.year, day.month)[1]
        upto = min(end, day.replace(day=1) + timedelta(days=length))
        months += Decimal((upto - day).days) / length
        day = upto
    return months
