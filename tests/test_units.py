"""Units: spellings, exact factors, refusals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import units
from streams.units import as_code, canonical, convert, factor, quantity, same_quantity

CODES = sorted(units._QUANTITY_OF)


@pytest.mark.parametrize(
    ("spelt", "code"),
    [
        ("m³", "m3"),
        ("㎥", "m3"),
        ("m^3", "m3"),
        (" m3 ", "m3"),
        ("l", "L"),
        ("L", "L"),
        ("dm3", "L"),
        ("ℓ", "L"),
        ("kWh", "kW.h"),
        ("KWH", "kW.h"),
        ("kW·h", "kW.h"),
        ("kW*h", "kW.h"),
        ("kW h", "kW.h"),
        ("m³/h", "m3/h"),
        ("℃", "Cel"),
        ("°C", "Cel"),
        ("ft³", "[cft_i]"),
        ("CCF", "CCF"),
        ("100.[cft_i]", "CCF"),
        ("立方米", "m3"),
        ("千瓦时", "kW.h"),
        ("mH2O", "m[H2O]"),
        ("psi", "[psi]"),
        ("mg/L", "mg/L"),
        (" [pH]", "[pH]"),
    ],
)
def test_spellings(spelt: str, code: str) -> None:
    assert as_code(spelt) == code


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("L", "m3", 0.001),
        ("m3", "L", 1000.0),
        ("dm3", "L", 1.0),
        ("[cft_i]", "m3", 0.028316846592),
        ("CCF", "m3", 2.8316846592),
        ("CCF", "[cft_i]", 100.0),
        ("[gal_us]", "L", 3.785411784),
        ("kWh", "MJ", 3.6),
        ("W.h", "kW.h", 0.001),
        ("MW.h", "kW.h", 1000.0),
        ("m3/h", "L/h", 1000.0),
        ("L/min", "L/h", 60.0),
        ("L/s", "m3/h", 3.6),
        ("bar", "kPa", 100.0),
        ("mbar", "Pa", 100.0),
        ("m[H2O]", "kPa", 9.80665),
        ("kV", "V", 1000.0),
        ("mA", "A", 0.001),
        ("Cel", "Cel", 1.0),
        ("%", "1", 0.01),
    ],
)
def test_factors_are_exact(source: str, target: str, expected: float) -> None:
    assert factor(source, target) == expected


def test_a_therm_is_a_hundred_thousand_btu() -> None:
    assert factor("[thm]", "[Btu_IT]") == 100_000
    assert factor("therm", "kWh") == pytest.approx(29.3071, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (20.0, "Cel", "K", 293.15),
        (293.15, "K", "Cel", 20.0),
        (212.0, "[degF]", "Cel", 100.0),
        (-40.0, "Cel", "[degF]", -40.0),
        (5.0, "L", "m3", 0.005),
    ],
)
def test_convert_minds_zeros(value: float, source: str, target: str, expected: float) -> None:
    assert convert(value, source, target) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("source", "target"), [("m3", "kW.h"), ("Cel", "K"), ("bushel", "m3"), ("m3", "")])
def test_a_refusal_names_both(source: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"no (conversion|factor) from") as refused:
        factor(source, target)
    assert repr(source) in str(refused.value)
    assert repr(target) in str(refused.value)


def test_unknown_unit_is_named() -> None:
    with pytest.raises(ValueError, match="'bushel'"):
        canonical("bushel")
    with pytest.raises(ValueError, match="'bushel'"):
        quantity("bushel")
    assert quantity("kWh") == "energy"
    assert same_quantity("kWh", "[thm]")
    assert not same_quantity("kWh", "bushel")


def test_every_spelling_leads_to_a_code_that_is_there() -> None:
    assert set(units._ALIASES) <= set(CODES)
    spellings = [spelling for line in units._ALIASES.values() for spelling in line.split()]
    assert len(spellings) == len(set(spellings)), "a spelling means two units"
    assert not set(spellings) & set(CODES), "a spelling hides a code"


@given(st.sampled_from(CODES), st.sampled_from(CODES))
def test_there_and_back(one: str, other: str) -> None:
    if not same_quantity(one, other) or units._OFFSETS.get(one) != units._OFFSETS.get(other):
        with pytest.raises(ValueError, match="no "):
            factor(one, other)
        return
    assert Fraction(factor(one, other)) * Fraction(factor(other, one)) == pytest.approx(1, rel=1e-15)


@given(st.text(max_size=40))
def test_any_text_has_a_code_and_keeps_it(text: str) -> None:
    assert as_code(as_code(text)) == as_code(text)
