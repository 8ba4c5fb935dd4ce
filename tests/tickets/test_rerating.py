"""Bills after a corrected period: at which place in the tiers they stood, and what they would be."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import outbox
from streams.messages import NS, Kind
from streams.trade.decisions import Use
from streams.trade.points import Point
from streams.trade.reads import Amounts
from streams.trade.rerating import Correction, rerating
from streams.trade.settlement import Rerating
from streams.trade.tariff import Tariff, Tariffs, Tier
from tests.tickets.money_tools import Client, talking
from tests.web_tools import ns

TIERS = (
    Tier(Decimal("2.63"), Decimal(310)),
    Tier(Decimal("3.16"), Decimal(520)),
    Tier(Decimal("3.94")),
)
GAS = Tariff(
    name="gas", commodity="gas", unit="m3", currency="CNY", by="year", tiers=TIERS, first=date(2000, 1, 1)
)
POINT = Point(meter_id="wei", service_point_id="wei", commodity="gas", unit="m3", tz="UTC", tariff="gas")
NOW = ns("2013-06-01T00:00:00Z")


def reads(*stretches: tuple[str, str, float]) -> Amounts:
    """Amounts between days."""
    return Amounts(
        np.array([ns(f"{start}T00:00:00Z") for start, _, _ in stretches]),
        np.array([ns(f"{end}T00:00:00Z") for _, end, _ in stretches]),
        np.array([amount for _, _, amount in stretches]),
    )


#: the golden case and what came after it: 48.1 m³ since 1 January, then 273, then bills of two months
YEAR = reads(
    ("2012-01-01", "2012-04-10", 48.1),
    ("2012-04-10", "2012-06-10", 273.0),
    ("2012-06-10", "2012-08-10", 40.0),
    ("2012-08-10", "2012-10-10", 50.0),
    ("2013-01-01", "2013-03-01", 30.0),
)
GOLDEN = Correction(date(2012, 4, 10), date(2012, 6, 10), 243.7, "m3")


def rated(
    *corrections: Correction, own: Amounts | None = YEAR, version: Tariff = GAS, **fields: Any
) -> Rerating | None:
    return rerating(replace(POINT, **fields), own, "m3", corrections, Tariffs([version]), NOW)


def test_the_golden_cases_later_bills_by_hand() -> None:
    found = rated(GOLDEN)
    assert found is not None
    # 321.1 m³ stood before the first, 77.4 would have: 40 × 3.16 against 40 × 2.63; the next year begins anew
    assert [(one.before, one.before_now, one.old, one.new) for one in found.bills] == [
        (Decimal("321.1"), Decimal("77.4"), Decimal("126.40"), Decimal("105.20")),
        (Decimal("361.1"), Decimal("117.4"), Decimal("158.00"), Decimal("131.50")),
    ]
    assert (found.difference, found.currency) == (Decimal("-47.70"), "CNY")
    assert found.assumptions == ("bills_by_reads", "later_use_as_read")
    assert (found.bills[0].start, found.bills[0].end) == (date(2012, 6, 10), date(2012, 8, 10))


def test_what_was_never_billed_moves_bills_up() -> None:
    found = rated(with_excess(GOLDEN, -200.0))
    assert found is not None
    # 321.1 + 200 m³ before the next: all of it in the highest tier
    assert [(one.old, one.new) for one in found.bills] == [
        (Decimal("126.40"), Decimal("157.60")),
        (Decimal("158.00"), Decimal("197.00")),
    ]


def with_excess(
    one: Correction, excess: float, low: float | None = None, high: float | None = None
) -> Correction:
    return Correction(one.start, one.end, excess, one.unit, low, high)


def test_the_range_of_the_credit_is_that_of_the_bills() -> None:
    found = rated(with_excess(GOLDEN, 243.7, 0.0, 250.0))
    assert found is not None
    first = found.bills[0]
    assert (first.low, first.new, first.high) == (Decimal("105.20"), Decimal("105.20"), Decimal("126.40"))
    assert "range_of_credit" in found.assumptions


def test_two_corrections_count_together_and_a_bill_that_was_corrected_itself_counts_as_it_is_now() -> None:
    second = Correction(date(2012, 6, 10), date(2012, 8, 10), 20.0, "m3")
    found = rated(GOLDEN, second)
    assert found is not None
    assert [(one.amount, one.before_now, one.old, one.new) for one in found.bills] == [
        (Decimal("20.0"), Decimal("77.4"), Decimal("63.20"), Decimal("52.60")),
        (Decimal("50.0"), Decimal("97.4"), Decimal("158.00"), Decimal("131.50")),
    ]


def test_where_nothing_moves_nothing_is_listed() -> None:
    found = rated(with_excess(GOLDEN, 5.0))  # 316.1: the second tier as before
    assert found is not None
    assert (len(found.bills), found.difference, found.why_not) == (0, Decimal(0), "")
    month = Tariff(
        name="gas",
        commodity="gas",
        unit="m3",
        currency="CNY",
        by="month",
        tiers=TIERS,
        first=date(2000, 1, 1),
    )
    assert rated(GOLDEN, version=month) is None
    assert rated() is None


@pytest.mark.parametrize(
    ("own", "fields", "why"),
    [
        (None, {}, "no_reads_here"),
        (reads(), {}, "no_reads_here"),
        (YEAR, {"tariff": "other"}, "tariff_unknown"),
        (YEAR, {"tariff": ""}, "no_tariff_named"),
    ],
)
def test_why_nobody_can_tell(own: Amounts | None, fields: dict[str, Any], why: str) -> None:
    found = rated(GOLDEN, own=own, **fields)
    assert found is not None
    assert (found.bills, found.why_not) == ((), why)


def daily(first: str, days: int, each: float, hole: range = range(0)) -> Amounts:
    start = ns(f"{first}T00:00:00Z")
    kept = [n for n in range(days) if n not in hole]
    at = np.array([start + n * 86_400 * NS for n in kept])
    return Amounts(at, at + 86_400 * NS, np.full(len(kept), each))


def test_a_meter_that_is_read_each_day_is_billed_on_its_bill_day() -> None:
    march = Correction(date(2012, 3, 1), date(2012, 4, 1), 100.0, "m3")
    own = daily("2012-01-01", 213, 3.0, hole=range(121, 135))  # to the end of July; a hole from 1 May
    found = rated(march, own=own, bill_day=31)
    assert found is not None
    # April's goes over 310 m³ and July's over 520; May's has a hole, and all of June's is in the second tier either way
    assert [(one.start, one.end) for one in found.bills] == [
        (date(2012, 4, 1), date(2012, 4, 30)),
        (date(2012, 6, 30), date(2012, 7, 31)),
    ]
    assert {"bills_by_bill_day", "bills_unread"} <= set(found.assumptions)
    none = rated(march, own=own)
    assert none is not None
    assert none.why_not == "no_bill_day"


def test_each_correction_has_its_own_two_years() -> None:
    own = reads(
        ("2012-01-01", "2012-03-01", 330.0),
        ("2012-03-01", "2012-05-01", 40.0),
        ("2013-01-01", "2013-03-01", 30.0),
        ("2015-01-01", "2015-03-01", 330.0),
        ("2015-03-01", "2015-05-01", 40.0),
    )
    first = Correction(date(2012, 1, 1), date(2012, 3, 1), 300.0, "m3")
    second = Correction(date(2015, 1, 1), date(2015, 3, 1), 300.0, "m3")
    found = rerating(POINT, own, "m3", [first, second], Tariffs([GAS]), ns("2015-06-01T00:00:00Z"))
    assert found is not None
    # 40 × 3.16 against 40 × 2.63 in either year
    assert [(one.start, one.old, one.new) for one in found.bills] == [
        (date(2012, 3, 1), Decimal("126.40"), Decimal("105.20")),
        (date(2015, 3, 1), Decimal("126.40"), Decimal("105.20")),
    ]


def test_bills_that_were_told_stand_without_their_reads_and_are_listed_when_they_are_right_again() -> None:
    first = rated(GOLDEN)
    assert first is not None
    tariffs = Tariffs([GAS])
    back = with_excess(GOLDEN, 5.0)
    found = rerating(POINT, YEAR, "m3", [back], tariffs, NOW, first.bills)
    assert found is not None
    assert [(one.old, one.new) for one in found.bills] == [(Decimal("126.40"),) * 2, (Decimal("158.00"),) * 2]
    kept = reads(("2012-01-01", "2012-04-10", 48.1), ("2012-08-10", "2012-10-10", 50.0))
    found = rerating(POINT, kept, "m3", [GOLDEN], tariffs, NOW, first.bills)
    assert found is not None
    assert found.bills[0] == first.bills[0]


def test_the_rest_of_a_bill_that_a_correction_ends_amid_is_rated_anew() -> None:
    own = reads(("2012-01-01", "2012-04-10", 320.0), ("2012-04-10", "2012-06-10", 61.0))
    found = rated(Correction(date(2012, 1, 1), date(2012, 5, 1), 300.0, "m3"), own=own)
    assert found is not None
    # 21 m³ of the bill lie before 1 May; the 40 after it stood at 341 m³, and belong at 41
    assert [(one.start, one.end, one.amount, one.old, one.new) for one in found.bills] == [
        (date(2012, 5, 1), date(2012, 6, 10), Decimal("40.0"), Decimal("126.40"), Decimal("105.20")),
    ]
    # of a further one that ends amid a later bill the rest counts by itself, and is one bill's worth in all
    further = Correction(date(2012, 4, 10), date(2012, 5, 11), 31.0, "m3")
    both = rated(GOLDEN_FIRST, further, own=own)
    assert both is not None
    assert [(one.start, one.end, one.amount, one.before_now) for one in both.bills] == [
        (date(2012, 5, 11), date(2012, 6, 10), Decimal("30.0"), Decimal("20.0")),
    ]


GOLDEN_FIRST = Correction(date(2012, 1, 1), date(2012, 4, 10), 300.0, "m3")


uses = st.lists(st.integers(1, 3000), min_size=3, max_size=11)


@given(uses, st.integers(0, 3000))
def test_what_is_paid_in_the_end_is_what_the_right_use_would_have_cost(
    tenths: list[int], excess: int
) -> None:
    """Each later bill anew is the one that it would have been; one that is not listed was right."""
    used = [n / 10 for n in tenths]
    start = date(2012, 1, 1)
    stretches = [(start + timedelta(30 * n), start + timedelta(30 * (n + 1))) for n in range(len(used))]
    own = reads(*((s.isoformat(), e.isoformat(), u) for (s, e), u in zip(stretches, used, strict=True)))
    wrong = min(excess / 10, used[0])
    found = rated(Correction(*stretches[0], wrong, "m3"), own=own)
    assert found is not None
    anew = {one.start: one.new for one in found.bills}
    tariffs = Tariffs([GAS])
    billed = Tariffs.amount(used[0], "m3", GAS)
    before = billed - Tariffs.amount(wrong, "m3", GAS)
    for (begin, end), each in list(zip(stretches, used, strict=True))[1:]:
        amount = Tariffs.amount(each, "m3", GAS)
        right = tariffs.bill("gas", amount, Use(start=begin, end=end, before=before))
        was = tariffs.bill("gas", amount, Use(start=begin, end=end, before=billed))
        assert anew.get(begin, was) == right
        before, billed = before + amount, billed + amount


def test_told_when_the_credit_is_booked_and_listed_in_the_bill_run(
    money_store: Store, tmp_path: Path
) -> None:
    later = [
        ("wei", ns("2012-08-10T00:00:00Z"), 449.0 + 40, Kind.REGISTER, "m3"),
        ("wei", ns("2012-10-10T00:00:00Z"), 449.0 + 90, Kind.REGISTER, "m3"),
    ]

    async def talk(api: Client) -> None:
        shown = (await api.get("estimates")).json()["items"]
        method = next(one for one in shown if one["method"] == "history_mean_days")
        assert method["rerating"]["difference"] == "-47.70"
        await api.post("credit", method="history_mean_days", reason="r")
        approved = (await api.post("credit/approve", "bob", revision=1)).json()
        assert approved["rerating"] is None
        assert "rerating" not in str(approved["estimates"])
        booked = (await api.post("credit/booked", revision=1, reference="CIS-1")).json()
        assert [line["action"] for line in booked["history"]][-2:] == ["credit_booked", "bills_to_rerate"]
        assert [(one["old"], one["new"]) for one in booked["rerating"]["bills"]] == [
            ("126.40", "105.20"),
            ("158.00", "131.50"),
        ]
        items = (await api.get("bill-run", date="2026-06-30")).json()["items"]
        line = next(one for one in items if one["advice"] == "rerate")
        assert (line["ticket_id"], line["why"]) == (api.ticket, "tiers_shifted")
        assert line["rerating"]["difference"] == "-47.70"
        table = (await api.get("bill-run", date="2026-06-30", format="csv")).text.splitlines()
        assert len([row for row in table if "待重新计费" in row]) == 2
        assert "2012-06-10/2012-08-10,126.40,105.20" in table[-2]
        assert "后续账单按抄表周期推定" in table[-1]
        # on another bill day it is not
        other = (await api.get("bill-run", date="2026-06-15")).json()["items"]
        assert [one for one in other if one["advice"] == "rerate"] == []

    talking(money_store, tmp_path, talk, readings=tuple(later))
    with reading(money_store._engine) as connection:
        told = [row.event for row in connection.execute(select(outbox).order_by(outbox.c.id))]
    assert [event["type"] for event in told][-2:] == ["credit_booked", "bills_to_rerate"]
    out = told[-1]["data"]
    assert out["change"]["note"] == "2 · -47.70 CNY"
    assert out["ticket"]["rerating"]["bills"][0]["start"] == "2012-06-10"
    assert out["ticket"]["rerating"]["made_at"] == "2026-06-01T12:00:00.000Z"


def test_nobody_alone_moves_later_bills_by_more_than_the_limit(money_store: Store, tmp_path: Path) -> None:
    later = (
        ("wei", ns("2012-08-10T00:00:00Z"), 449.0 + 40, Kind.REGISTER, "m3"),
        ("wei", ns("2012-10-10T00:00:00Z"), 449.0 + 90, Kind.REGISTER, "m3"),
    )

    async def talk(api: Client) -> None:
        for wish, amount in (
            # a coin, for use that moves later bills by 47.70
            ({"quantity": 243.7, "amount": "0.01", "currency": "CNY"}, "0.01"),
            # 487.17 for 183 m³, and 47.70 for the later bills
            ({"quantity": 183}, "487.17"),
        ):
            credit = (await api.post("credit", method="own", reason="r", **wish)).json()["credit"]
            assert (credit["amount"], credit["state"], credit["later"]) == (amount, "proposed", "-47.70")

    talking(money_store, tmp_path, talk, readings=later)
