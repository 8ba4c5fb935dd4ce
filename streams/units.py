"""Units of measure: UCUM codes, the spellings that meters use for them, and conversion.

A code is a UCUM code [1]_ wherever UCUM has one. Two are the trade's own: ``CCF`` (100 cubic
feet) and ``MCF`` (1,000), which UCUM lacks; ``[thm]`` is the therm of 100,000 Btu. Factors are
kept as exact fractions of the quantity's base unit, so a conversion rounds once.

.. [1] The Unified Code for Units of Measure, https://ucum.org/ucum
"""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from functools import lru_cache

__all__ = ["as_code", "canonical", "convert", "factor", "known", "quantity", "same_quantity"]

_CUBIC_FOOT = "0.028316846592"
_BTU = "1055.05585262"

#: quantity → code → size in the quantity's first unit
_QUANTITIES: dict[str, dict[str, str]] = {
    "volume": {
        "m3": "1",
        "L": "1/1000",
        "mL": "1/1000000",
        "hL": "1/10",
        "kL": "1",
        "ML": "1000",
        "[cft_i]": _CUBIC_FOOT,
        "CCF": "2.8316846592",
        "MCF": "28.316846592",
        "[gal_us]": "0.003785411784",
        "[gal_br]": "0.00454609",
    },
    "energy": {
        "J": "1",
        "kJ": "1000",
        "MJ": "1000000",
        "GJ": "1000000000",
        "W.h": "3600",
        "kW.h": "3600000",
        "MW.h": "3600000000",
        "GW.h": "3600000000000",
        "[Btu_IT]": _BTU,
        "[thm]": "105505585.262",
        "Gcal_IT": "4186800000",
    },
    "power": {
        "W": "1",
        "mW": "1/1000",
        "kW": "1000",
        "MW": "1000000",
        "GW": "1000000000",
        "[Btu_IT]/h": "1055.05585262/3600",
    },
    "reactive energy": {"var.h": "1", "kvar.h": "1000", "Mvar.h": "1000000"},
    "reactive power": {"var": "1", "kvar": "1000", "Mvar": "1000000"},
    "apparent energy": {"V.A.h": "1", "kV.A.h": "1000", "MV.A.h": "1000000"},
    "apparent power": {"V.A": "1", "kV.A": "1000", "MV.A": "1000000"},
    "volume flow": {
        "m3/s": "1",
        "m3/min": "1/60",
        "m3/h": "1/3600",
        "m3/d": "1/86400",
        "L/s": "1/1000",
        "L/min": "1/60000",
        "L/h": "1/3600000",
        "[cft_i]/min": "0.028316846592/60",
        "[cft_i]/h": "0.028316846592/3600",
        "[gal_us]/min": "0.003785411784/60",
    },
    "voltage": {"V": "1", "mV": "1/1000", "kV": "1000"},
    "current": {"A": "1", "mA": "1/1000", "kA": "1000"},
    "frequency": {"Hz": "1", "kHz": "1000"},
    "pressure": {
        "Pa": "1",
        "hPa": "100",
        "kPa": "1000",
        "MPa": "1000000",
        "bar": "100000",
        "mbar": "100",
        "m[H2O]": "9806.65",
        "cm[H2O]": "98.0665",
        "mm[H2O]": "9.80665",
        "mm[Hg]": "133.322387415",
        "[psi]": "6894.757293168",
    },
    "temperature": {"K": "1", "Cel": "1", "[degF]": "5/9"},
    "length": {"m": "1", "mm": "1/1000", "cm": "1/100", "km": "1000", "[ft_i]": "0.3048"},
    "mass": {"kg": "1", "g": "1/1000", "t": "1000"},
    "time": {"s": "1", "ms": "1/1000", "min": "60", "h": "3600", "d": "86400"},
    "ratio": {"1": "1", "%": "1/100"},
}

#: what zero of a scale reads in the base unit (K); only temperatures have one
_OFFSETS: dict[str, Fraction] = {
    "Cel": Fraction("273.15"),
    "[degF]": Fraction("273.15") - Fraction(160, 9),
}

#: code → other spellings (after the folding of ``_fold``)
_ALIASES: dict[str, str] = {
    "m3": "M3 cbm CBM m**3 cubicmeter cubicmetre cubic_meter 立方米 立方 方",
    "L": "l dm3 ltr Ltr LTR liter litre liters litres Liter 升",
    "mL": "ml cm3",
    "hL": "hl",
    "kL": "kl",
    "[cft_i]": "ft3 cf cft CFT cuft cu.ft cubicfeet",
    "CCF": "ccf HCF hcf 100.[cft_i] 100ft3 100cf",
    "MCF": "mcf Mcf kcf 1000.[cft_i] 1000ft3",
    "[gal_us]": "gal Gal GAL gallon gallons usgal galUS gal_us",
    "[gal_br]": "galUK impgal",
    "J": "j",
    "kJ": "kj KJ",
    "MJ": "mj",
    "GJ": "gj Gj",
    "W.h": "Wh wh WH Wxh",
    "kW.h": "kWh kwh KWH KWh Kwh kW-h 千瓦时",
    "MW.h": "MWh MWH Mwh 兆瓦时",
    "GW.h": "GWh GWH",
    "[Btu_IT]": "Btu BTU btu",
    "[thm]": "therm therms thm Therm [thm_ec]",
    "Gcal_IT": "Gcal gcal GCAL",
    "W": "w watt Watt",
    "kW": "kw KW 千瓦",
    "MW": "Mw",
    "var.h": "varh VArh varH",
    "kvar.h": "kvarh kVArh kVarh KVARH kvarH",
    "Mvar.h": "Mvarh MVArh",
    "var": "VAr VAR Var",
    "kvar": "kVAr kVAR kVar KVAR",
    "Mvar": "MVAr MVAR",
    "V.A.h": "VAh",
    "kV.A.h": "kVAh KVAH",
    "MV.A.h": "MVAh",
    "V.A": "VA",
    "kV.A": "kVA KVA",
    "MV.A": "MVA",
    "m3/s": "m3s cms",
    "m3/min": "m3min",
    "m3/h": "m3h m3/hr m3/hour m3ph M3/H cmh CMH 立方米/小时",
    "m3/d": "m3/day m3d",
    "L/s": "l/s lps",
    "L/min": "l/min lpm LPM L/m l/m",
    "L/h": "l/h lph L/hr l/hr lh",
    "[cft_i]/min": "ft3/min cfm CFM",
    "[cft_i]/h": "ft3/h cfh CFH",
    "[gal_us]/min": "gal/min gpm GPM",
    "V": "v volt volts Volt",
    "kV": "kv KV",
    "A": "a amp amps Amp ampere",
    "mA": "ma",
    "Hz": "hz HZ",
    "Pa": "pa",
    "hPa": "hpa",
    "kPa": "kpa KPa KPA Kpa",
    "MPa": "Mpa MPA",
    "bar": "Bar BAR",
    "mbar": "mBar",
    "m[H2O]": "mH2O mWC mwc mH20 mWs",
    "cm[H2O]": "cmH2O",
    "mm[H2O]": "mmH2O mmWC",
    "mm[Hg]": "mmHg",
    "[psi]": "psi PSI",
    "K": "kelvin Kelvin degK",
    "Cel": "°C degC degc celsius Celsius 摄氏度",
    "[degF]": "°F degF degf fahrenheit",
    "[ft_i]": "ft feet foot",
    "kg": "KG Kg",
    "h": "hr hour hours",
    "s": "sec second seconds",
    "d": "day days",
    "%": "pct percent %RH",
}

_QUANTITY_OF = {code: name for name, codes in _QUANTITIES.items() for code in codes}
_SIZE = {code: Fraction(1) for code in _QUANTITY_OF}
for _codes in _QUANTITIES.values():
    for _code, _size in _codes.items():
        _over, _, _under = _size.partition("/")
        _SIZE[_code] = Fraction(_over) / Fraction(_under or "1")
_CODES = {code: code for code in _QUANTITY_OF} | {
    spelling: code for code, spellings in _ALIASES.items() for spelling in spellings.split()
}


def _fold(unit: str) -> str:
    """Take compatibility forms (``㎥``, ``³``, ``℃``) to plain letters, product signs to the UCUM dot."""
    plain = unicodedata.normalize("NFKC", unit)
    for sign in "·⋅∙*×":
        plain = plain.replace(sign, ".")
    return "".join(plain.replace("^", "").split())


@lru_cache(maxsize=4096)
def canonical(unit: str) -> str:
    """Return the code of a unit however it is spelt: ``m³`` → ``m3``, ``kWh`` → ``kW.h``.

    Raises ValueError for a unit that is not in the table.
    """
    code = _CODES.get(unit) or _CODES.get(_fold(unit))
    if code is None:
        raise ValueError(f"expected a unit such as m3, L, kW.h, V, kPa or m3/h (UCUM), got {unit!r}")
    return code


@lru_cache(maxsize=4096)
def as_code(unit: str) -> str:
    """Return the code of a unit, or the text as it came, without outer blanks, where it is not known.

    A gauge may be in a unit that nothing here converts (``mg/L``, ``[pH]``): it passes.
    """
    try:
        return canonical(unit)
    except ValueError:
        return unit.strip()


def known(unit: str) -> bool:
    """Tell whether a unit, however spelt, is in the table."""
    return unit in _CODES or _fold(unit) in _CODES


def quantity(unit: str) -> str:
    """Return what a unit measures: ``volume``, ``energy``, … Raises ValueError for an unknown unit."""
    return _QUANTITY_OF[canonical(unit)]


def same_quantity(one: str, other: str) -> bool:
    """Tell whether both units are known and measure the same."""
    try:
        return quantity(one) == quantity(other)
    except ValueError:
        return False


def _pair(from_unit: str, to_unit: str) -> tuple[str, str]:
    try:
        source, target = canonical(from_unit), canonical(to_unit)
    except ValueError as error:
        raise ValueError(f"no conversion from {from_unit!r} to {to_unit!r}: {error}") from None
    if _QUANTITY_OF[source] != _QUANTITY_OF[target]:
        raise ValueError(
            f"no conversion from {from_unit!r} ({_QUANTITY_OF[source]}) to {to_unit!r}"
            f" ({_QUANTITY_OF[target]}): both must measure the same quantity"
        )
    return source, target


@lru_cache(maxsize=4096)
def factor(from_unit: str, to_unit: str) -> float:
    """Return what a value in ``from_unit`` is multiplied by to be in ``to_unit``.

    Raises ValueError, naming both, when they do not measure the same quantity, when one is
    unknown, or when their zeros differ (``Cel`` and ``K``: use `convert`).
    """
    source, target = _pair(from_unit, to_unit)
    if _OFFSETS.get(source, 0) != _OFFSETS.get(target, 0):
        raise ValueError(
            f"no factor from {from_unit!r} to {to_unit!r}: their zeros differ; use convert(value, from, to)"
        )
    return float(_SIZE[source] / _SIZE[target])


@lru_cache(maxsize=4096)
def _line(from_unit: str, to_unit: str) -> tuple[float, float]:
    source, target = _pair(from_unit, to_unit)
    shift = _OFFSETS.get(source, Fraction(0)) - _OFFSETS.get(target, Fraction(0))
    return float(_SIZE[source] / _SIZE[target]), float(shift / _SIZE[target])


def convert(value: float, from_unit: str, to_unit: str) -> float:
    """Return ``value`` (in ``from_unit``) in ``to_unit``, zeros included: 20 Cel is 293.15 K.

    Raises ValueError as `factor` does, but for differing zeros.
    """
    slope, shift = _line(from_unit, to_unit)
    return value * slope + shift
