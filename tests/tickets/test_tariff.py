"""From use to money: tiers by month and year, whole cents, and a file that names its faults."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.trade.decisions import Use
from streams.trade.estimate import of_flag
from streams.trade.settlement import Estimate, Money
from streams.trade.tariff import NoPrice, Tariff, Tariffs, Tier
from streams.trade.tariff_file import TariffError, load_tariffs, tariffs_in
from tests.tickets.tools import golden

EXAMPLE = Path(__file__).parents[2] / "deploy" / "tariffs" / "example.toml"
D = Decimal

ONE = """
[[tariff]]
name = "gas"
commodity = "gas"
unit = "m³"
currency = "CNY"
first = 2020-01-01
by = "year"
tiers = [{upto = 100, price = 1.00}, {price = 2.005}]
"""


def tariff(**fields: object) -> Tariff:
    made: dict[str, object] = {
        "name": "gas",
        "commodity": "gas",
        "unit": "m3",
        "currency": "CNY",
        "by": "year",
        "tiers": (Tier(D("2.63"), D(310)), Tier(D("3.16"), D(520)), Tier(D("3.94"))),
        "first": date(2010, 1, 1),
    }
    return Tariff(**(made | fields))  # type: ignore[arg-type]


YEARLY = Tariffs([tariff()])
#: the golden case: 176 m³ in 366 days, of which 100 fall into the year before the period
GOLDEN = Use(start=date(2012, 4, 10), end=date(2012, 6, 10), before=D("48.1"))


def test_the_golden_case_to_the_cent() -> None:
    found = of_flag(golden())
    assert found is not None
    tariffs = load_tariffs(EXAMPLE)
    # 261.9 × 2.63 + 11.1 × 3.16 = 723.873; 29.3 × 2.63 = 77.059
    assert tariffs.bill("gas-residential", D("273"), GOLDEN) == D("723.87")
    assert tariffs.bill("gas-residential", D("29.3"), GOLDEN) == D("77.06")
    priced, why = tariffs.priced(found, "gas-residential", GOLDEN)
    assert why == ""
    assert priced.money == Money(amount=D("646.81"), currency="CNY", tariff="gas-residential")


def test_where_the_year_stands_decides_the_price() -> None:
    late = replace(GOLDEN, before=D(600))
    assert YEARLY.bill("gas", D(100), late) == D("394.00")
    assert YEARLY.bill("gas", D(100), replace(GOLDEN, before=D(0))) == D("263.00")


def test_a_new_tariff_year_begins_at_nothing() -> None:
    over = Use(start=date(2012, 12, 22), end=date(2013, 1, 11), before=D(600))
    # half of the days lie in either year
    assert YEARLY.bill("gas", D(100), over) == D("50") * D("3.94") + D("50") * D("2.63")
    july = Tariffs([tariff(year_start=(7, 1))])
    assert july.bill("gas", D(100), over) == D("394.00")


def test_monthly_tiers_grow_with_the_months_of_the_period() -> None:
    monthly = Tariffs([tariff(by="month", tiers=(Tier(D(1), D(100)), Tier(D(2))), fixed=D("3.50"))])
    april = Use(start=date(2026, 4, 1), end=date(2026, 5, 1))
    two = Use(start=date(2026, 4, 10), end=date(2026, 6, 10))
    assert monthly.bill("gas", D(150), april) == D("203.50")
    assert monthly.bill("gas", D(150), two) == D("157.00")
    assert monthly.bill("gas", D(250), two) == D("307.00")
    assert monthly.bill("gas", D(0), two) == D("7.00")


def test_a_price_that_changes_divides_the_period() -> None:
    both = Tariffs(
        [
            tariff(by="month", tiers=(Tier(D(1)),)),
            tariff(by="month", tiers=(Tier(D(2)),), first=date(2026, 5, 1)),
        ]
    )
    assert both.bill("gas", D(60), Use(start=date(2026, 4, 21), end=date(2026, 5, 21))) == D("100.00")


def test_money_rounds_half_up() -> None:
    flat = Tariffs([tariff(tiers=(Tier(D("0.005")),))])
    assert flat.bill("gas", D(1), GOLDEN) == D("0.01")
    assert flat.bill("gas", D(3), GOLDEN) == D("0.02")
    yen = Tariffs([tariff(tiers=(Tier(D("0.5")),), currency="JPY", coin=0)])
    assert yen.bill("gas", D(5), GOLDEN) == D(3)


def test_billed_too_little_is_money_to_be_charged() -> None:
    stuck = Estimate(expected=29.3, billed=0.0, excess=-29.3, unit="m3", method="m", low=-40.0, high=-20.0)
    found = YEARLY.price(stuck, "gas", GOLDEN)
    assert (found.amount, found.low, found.high) == (D("-77.06"), D("-105.20"), D("-52.60"))


def test_the_same_in_another_unit() -> None:
    litres = Estimate(expected=29_333.3, billed=273_000.0, excess=243_666.7, unit="L", method="m")
    assert YEARLY.price(litres, "gas", GOLDEN).amount == D("646.81")


@pytest.mark.parametrize(
    ("name", "unit", "use", "code"),
    [
        ("", "m3", GOLDEN, "no_tariff_named"),
        ("water", "m3", GOLDEN, "tariff_unknown"),
        ("gas", "kW.h", GOLDEN, "unit_differs"),
        ("gas", "", GOLDEN, "unit_differs"),
        ("gas", "m3", Use(start=date(2009, 4, 10), end=date(2009, 6, 10)), "no_price_then"),
        ("gas", "m3", Use(start=date(2009, 12, 1), end=date(2010, 2, 1)), "no_price_then"),
        ("gas", "m3", Use(start=date(2012, 6, 10), end=date(2012, 6, 10)), "no_period"),
    ],
)
def test_what_cannot_be_priced_says_why(name: str, unit: str, use: Use, code: str) -> None:
    estimate = Estimate(expected=1.0, billed=2.0, excess=1.0, unit=unit, method="m")
    assert YEARLY.priced(estimate, name, use) == (estimate, code)


def test_use_below_zero_has_no_price() -> None:
    estimate = Estimate(expected=1.0, billed=-2.0, excess=-3.0, unit="m3", method="m")
    with pytest.raises(NoPrice, match="nothing or more"):
        YEARLY.price(estimate, "gas", GOLDEN)


amounts = st.decimals(0, 100_000, places=1)
prices = st.decimals(0, 50, places=4)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariffs:
    limits = sorted(draw(st.sets(st.integers(1, 5000), max_size=4)))
    tiers = [Tier(draw(prices), D(limit)) for limit in limits] + [Tier(draw(prices))]
    by = draw(st.sampled_from(["month", "year"]))
    versions = [tariff(tiers=tuple(tiers), by=by, fixed=draw(prices))]
    if draw(st.booleans()):
        versions.append(tariff(tiers=(Tier(draw(prices)),), by=by, first=date(2012, 5, 3)))
    return Tariffs(versions)


@st.composite
def uses(draw: st.DrawFn) -> Use:
    start = draw(st.dates(date(2011, 1, 1), date(2013, 12, 31)))
    return Use(start=start, end=start + timedelta(days=draw(st.integers(1, 800))), before=draw(amounts))


@given(tariffs(), uses(), amounts, amounts)
def test_more_use_never_costs_less(found: Tariffs, use: Use, one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert found.bill("gas", low, use) <= found.bill("gas", high, use)


@given(amounts, amounts, amounts)
def test_a_year_is_the_sum_of_its_bills(before: Decimal, one: Decimal, other: Decimal) -> None:
    whole = YEARLY.exact("gas", one + other, replace(GOLDEN, before=before))
    first = YEARLY.exact("gas", one, replace(GOLDEN, before=before))
    then = YEARLY.exact("gas", other, replace(GOLDEN, before=before + one))
    assert abs(first + then - whole) < D("1e-15")


@given(tariffs(), uses(), amounts, amounts)
def test_a_credit_is_never_more_than_the_bill(
    found: Tariffs, use: Use, billed: Decimal, expected: Decimal
) -> None:
    low, high = sorted((float(billed), float(expected)))
    estimate = Estimate(expected=low, billed=high, excess=high - low, unit="m3", method="m")
    money = found.price(estimate, "gas", use)
    paid = found.bill("gas", D(str(high)), use)
    assert 0 <= money.amount <= paid
    assert money.amount == money.amount.quantize(D("0.01"))


def test_the_file_is_read_as_it_is_written() -> None:
    (found,) = tariffs_in(ONE, "t.toml").by_name["gas"]
    assert found.unit == "m3"
    assert found.tiers == (Tier(D("1.00"), D(100)), Tier(D("2.005")))
    assert (found.by, found.first, found.last, found.coin) == ("year", date(2020, 1, 1), None, 2)
    assert tariffs_in(ONE.replace("CNY", "JPY"), "t").by_name["gas"][0].coin == 0


def test_the_example_says_that_it_is_one() -> None:
    found = load_tariffs(EXAMPLE)
    assert {t.commodity for some in found.by_name.values() for t in some} == {"gas", "water", "electricity"}
    assert "made up" in EXAMPLE.read_text(encoding="utf-8")
    assert found.at("power-residential", date(2025, 12, 31)).tiers[0].price == D("0.48")
    assert found.at("power-residential", date(2026, 1, 1)).tiers[0].price == D("0.49")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[[tariff]]", "[[tarif]]", "expected keys among tariff, example, got tarif"),
        ("[[tariff]]", "[tariff]", r"write a list in brackets; tariffs begin with \[\[tariff\]\]"),
        ('name = "gas"\n', "", "tariff.*expected the key name, got none"),
        ('name = "gas"', 'name = " "', "name that the registry's column tariff has"),
        ('"gas"\nunit', '"oil"\nunit', "commodity: expected one of gas, water"),
        ("m³", "furlong", "unit: expected a unit such as m3"),
        ("CNY", "yuan", "currency: expected a code such as CNY"),
        ("2020-01-01", '"2020"', "write a date without quotes"),
        ("2020-01-01", "2020-01-01\nlast = 2019-01-01", "last: expected a day from 2020-01-01 on"),
        ("2020-01-01", "2020-01-01\nfixed = -1", "fixed: expected a charge a month of 0 or more"),
        ("2020-01-01", '2020-01-01\nyear_start = "02-29"', "year_start: expected month and day"),
        ('"year"', '"week"', "tariff.*by"),
        ("upto = 100", "upto = 0", r"tiers\[0\].upto: expected more than 0, got 0"),
        ("upto = 100, ", "", r"tiers\[0\].upto: expected more than 0, got None"),
        ("{price = 2.005}", "{upto = 9, price = 2}", r"tiers\[1\].upto: expected none, got 9"),
        ("price = 1.00", "price = -1", r"tiers\[0\].price: expected a price of 0 or more"),
        ("price = 1.00", "price = nan", r"tiers\[0\].price: expected a price of 0 or more"),
        ("price = 1.00", "prise = 1.00", "expected keys among price, upto, got prise"),
        ("tiers = [", "tiers = []\n#", r"tiers: expected at least one tier"),
        ("by =", "by", "expected TOML, got"),
        (ONE, "", r"expected at least one \[\[tariff\]\], got none"),
        (ONE, ONE + ONE, "expected versions that follow each other"),
        (ONE, ONE + ONE.replace("2020", "2021").replace("CNY", "USD"), "expected one currency and unit"),
    ],
)
def test_a_fault_in_the_file_is_named(before: str, after: str, told: str) -> None:
    assert before in ONE
    with pytest.raises(TariffError, match=rf"(?s)^t\.toml: .*{told}"):
        tariffs_in(ONE.replace(before, after, 1), "t.toml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TariffError, match="expected a tariff file in UTF-8"):
        load_tariffs(tmp_path / "none.toml")
