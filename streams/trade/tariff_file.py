"""The tariff file: tiered prices (阶梯气价, 阶梯水价, 阶梯电价). TOML.

    [[tariff]]
    name = "gas-residential"
    commodity = "gas"
    unit = "m3"
    currency = "CNY"
    first = 2026-01-01
    by = "year"
    tiers = [{upto = 310, price = 2.63}, {upto = 520, price = 3.16}, {price = 3.94}]

What each key means: docs/estimates.md, "The tariff file".
"""

from __future__ import annotations

import itertools
import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from streams.registry import COMMODITIES
from streams.trade.tariff import Tariff, Tariffs, Tier
from streams.units import canonical

__all__ = ["TariffError", "load_tariffs", "tariffs_in"]

#: currencies whose smallest coin is not a hundredth (ISO 4217)
_COINS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "KWD": 3, "BHD": 3, "OMR": 3, "TND": 3, "JOD": 3}
_KEY_FORMS = {
    "date": "a date without quotes, such as 2026-01-01",
    "decimal": "a number, such as 2.63",
    "array": "a list in brackets; tariffs begin with [[tariff]]",
    "object": "a table: [[tariff]] on a line of its own, {upto = 310, price = 2.63} for a tier",
}


class TariffError(ValueError):
    """A tariff file cannot be used; says which file, which line or key of it, and what was expected."""


class _Tier(msgspec.Struct, forbid_unknown_fields=True):
    price: Decimal
    upto: Decimal | None = None


class _Version(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    commodity: str
    unit: str
    currency: str
    first: date
    tiers: list[_Tier]
    by: Literal["month", "year"] = "month"
    last: date | None = None
    year_start: str = "01-01"
    fixed: Decimal = Decimal(0)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    tariff: list[_Version] = []
    example: str = ""  # says that the prices are made up


def load_tariffs(file: Path) -> Tariffs:
    """Read a tariff file. Raises TariffError."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TariffError(f"{file}: expected a tariff file in UTF-8, got: {error}") from None
    return tariffs_in(text, str(file))


def tariffs_in(text: str, name: str) -> Tariffs:
    """Read a tariff file's text; ``name`` is what messages call it. Raises TariffError."""
    try:
        # prices as they are written: 2.63 is 2.63, and not the nearest binary fraction
        content = msgspec.convert(tomllib.loads(text, parse_float=Decimal), _File)
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{name}: expected TOML, got: {error}; dates stand bare (2026-01-01)") from None
    except msgspec.ValidationError as error:
        raise TariffError(f"{name}: {_where(str(error))}") from None
    if not content.tariff:
        raise TariffError(f"{name}: expected at least one [[tariff]], got none")
    versions = [_version(one, f"{name}: tariff[{n}] ({one.name})") for n, one in enumerate(content.tariff)]
    _no_overlap(versions, name)
    return Tariffs(versions)


def _version(given: _Version, key: str) -> Tariff:
    if not given.name.strip():
        raise TariffError(f"{key}.name: expected the name that the registry's column tariff has, got none")
    if given.commodity not in COMMODITIES:
        raise TariffError(
            f"{key}.commodity: expected one of {', '.join(COMMODITIES)}, got {given.commodity!r}"
        )
    try:
        unit = canonical(given.unit)
    except ValueError as error:
        raise TariffError(f"{key}.unit: {error}") from None
    if not re.fullmatch(r"[A-Z]{3}", given.currency):
        raise TariffError(f"{key}.currency: expected a code such as CNY (ISO 4217), got {given.currency!r}")
    if given.last is not None and given.last < given.first:
        raise TariffError(f"{key}.last: expected a day from {given.first} on, got {given.last}")
    if not given.fixed.is_finite() or given.fixed < 0:
        raise TariffError(f"{key}.fixed: expected a charge a month of 0 or more, got {given.fixed}")
    return Tariff(
        name=given.name,
        commodity=given.commodity,
        unit=unit,
        currency=given.currency,
        by=given.by,
        tiers=_tiers(given.tiers, key),
        first=given.first,
        last=given.last,
        year_start=_day(given.year_start, key),
        fixed=given.fixed,
        coin=_COINS.get(given.currency, 2),
    )


def _tiers(given: list[_Tier], key: str) -> tuple[Tier, ...]:
    if not given:
        raise TariffError(f"{key}.tiers: expected at least one tier, such as {{price = 2.63}}, got none")
    floor = Decimal(0)
    for n, tier in enumerate(given):
        here = f"{key}.tiers[{n}]"
        if not tier.price.is_finite() or tier.price < 0:
            raise TariffError(f"{here}.price: expected a price of 0 or more, got {tier.price}")
        last = n == len(given) - 1
        if last and tier.upto is not None:
            raise TariffError(
                f"{here}.upto: expected none, got {tier.upto}: the last tier holds all above; take it out"
            )
        if not last:
            if tier.upto is None or not tier.upto.is_finite() or tier.upto <= floor:
                raise TariffError(
                    f"{here}.upto: expected more than {floor}, got {tier.upto}: limits are cumulated and rise"
                )
            floor = tier.upto
    return tuple(Tier(tier.price, tier.upto) for tier in given)


def _day(text: str, key: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2})-(\d{2})", text)
    try:
        # of a year without 29 February: a tariff year begins in every year
        day = date(2025, int(match[1]), int(match[2])) if match else None
    except ValueError:
        day = None
    if day is None:
        raise TariffError(f'{key}.year_start: expected month and day as "01-01", got {text!r}')
    return day.month, day.day


def _no_overlap(versions: list[Tariff], name: str) -> None:
    """Refuse two versions for one day, where it is not one that ends when the next begins; and mixed moneys."""
    for tariff, some in Tariffs(versions).by_name.items():
        for before, after in itertools.pairwise(some):
            if before.first == after.first or (before.last is not None and before.last >= after.first):
                raise TariffError(
                    f"{name}: {tariff}: expected versions that follow each other, got one from {after.first} "
                    f"while that from {before.first} holds until {before.last or 'further notice'}; set its last"
                )
            if (before.currency, before.unit) != (after.currency, after.unit):
                raise TariffError(
                    f"{name}: {tariff}: expected one currency and unit, got {before.currency}/{before.unit} and "
                    f"{after.currency}/{after.unit}; give one of them another name"
                )


def _where(told: str) -> str:
    """A fault of msgspec's with the key in front, as it stands in the file."""
    what, _, path = told.partition(" - at `$")
    key = path.rstrip("`").lstrip(".") or "the file"
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        kind: Any = _File if key == "the file" else _Tier if "tiers" in key else _Version
        return (
            f"{key}: expected keys among {', '.join(kind.__struct_fields__)}, got {unknown[1]}; "
            "correct it or take it out"
        )
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        return f"{key}: expected the key {missing[1]}, got none; write it"
    wanted = "a text in quotes"
    for word, form in _KEY_FORMS.items():
        if word in what.split(", got")[0]:
            wanted = form
    return f"{key}: {what[0].lower()}{what[1:]}; write {wanted}"
