"""The methods over real readings in a real history: registers, intervals, units, neighbours, a swap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from connectors.history_sqlite import HistoryReader, SqliteHistory
from streams.messages import Kind
from streams.trade.decisions import SideBySide, Window
from streams.trade.points import Point
from streams.trade.side_by_side import compare, gather
from streams.trade.tariff import Tariffs
from streams.trade.tariff_file import load_tariffs
from streams.trade.tickets import Swap, Ticket
from tests.tickets.tools import DAY, MemoryStore, flag, golden
from tests.web_tools import Reading, columns, golden_readings, ns

TARIFFS = load_tariffs(Path(__file__).parents[2] / "deploy" / "tariffs" / "example.toml")
WEI = Point(
    meter_id="wei", service_point_id="sp-wei", commodity="gas", unit="m3", area="block-1",
    tz="Asia/Shanghai", tariff="gas-residential", bill_day=10,
)  # fmt: skip
BILLED = Window(ns("2012-04-10T00:00:00"), ns("2012-06-10T00:00:00"))


@pytest.fixture
def history(tmp_path: Path) -> Callable[[list[Reading]], Path]:
    def write(readings: list[Reading]) -> Path:
        async def run() -> None:
            made = SqliteHistory(tmp_path / "history.db", keep_days=40_000)
            assert await made.write(columns(readings)) == []
            await made.close()

        asyncio.run(run())
        return tmp_path / "history.db"

    return write


def ticket_of(**fields: object) -> Ticket:
    (ticket,) = MemoryStore().take(golden())
    return replace(ticket, **fields)


def side_by_side(
    path: Path | None,
    ticket: Ticket,
    point: Point = WEI,
    neighbours: tuple[Point, ...] = (),
    window: Window | None = None,
    tariffs: Tariffs | None = TARIFFS,
) -> SideBySide:
    async def run() -> SideBySide:
        reader = None if path is None else HistoryReader(path)
        basis = await gather(ticket, point, reader, neighbours, window)
        if reader is not None:
            await reader.close()
        return compare(ticket, point, basis, tariffs)

    return asyncio.run(run())


def monthly(meter: str, rates: dict[int, float], unit: str = "m3", scale: float = 1.0) -> list[Reading]:
    """Register reads on the first of each month from 2011 on; ``rates``: use a day by year."""
    out, value, last = [], 100.0, date(2011, 1, 1)
    for month in range(20):
        day = date(2011 + month // 12, month % 12 + 1, 1)
        value += (day - last).days * rates[last.year]
        last = day
        out.append((meter, ns(f"{day}T00:00:00"), value * scale, Kind.REGISTER, unit))
    return out


def test_the_golden_case_with_its_money(history: Callable[[list[Reading]], Path]) -> None:
    found = side_by_side(history(golden_readings()), ticket_of())
    assert (found.window, found.billed, found.unit) == (BILLED, 273.0, "m3")
    assert found.use is not None
    # 100 days of 176 m³ in 366 lie between 1 January in Shanghai and the period
    assert (found.use.start, found.use.end, found.use.before) == (
        date(2012, 4, 10), date(2012, 6, 10), Decimal("48.1"),
    )  # fmt: skip
    first = found.of("history_mean_days")
    assert first is not None
    assert first.estimate is not None
    assert (first.estimate.expected, first.estimate.excess) == (29.3, 243.7)
    assert first.estimate.money is not None
    assert (first.estimate.money.amount, found.billed_money) == (Decimal("646.81"), Decimal("723.87"))
    second = found.of("last_year_area_change")
    assert second is not None
    assert second.estimate is not None
    # the same days of 2011 lie within the first period
    assert second.estimate.expected == 29.3
    assert "area_unchanged" in second.estimate.assumptions
    third = found.of("after_swap_mean")
    assert third is not None
    assert (third.estimate, third.why_not) == (None, "no_swap")


def test_without_a_history_the_flags_evidence_is_enough() -> None:
    found = side_by_side(None, ticket_of())
    first = found.of("history_mean_days")
    assert first is not None
    assert first.estimate is not None
    assert first.estimate.money is not None
    # nothing is known of the use since January: all of it is in the first tier but 273 − 273
    assert "tier_place_unsure" in first.estimate.assumptions
    assert first.estimate.money.amount == Decimal("640.93")  # 243.7 × 2.63
    second = found.of("last_year_area_change")
    assert second is not None
    assert second.why_not == "no_reads_here"


def test_the_area_moves_last_years_season(history: Callable[[list[Reading]], Path]) -> None:
    names = [f"n-{n}" for n in range(6)]
    readings = golden_readings()
    for n, name in enumerate(names):
        readings += monthly(name, {2011: 1.0, 2012: 1.1 + n / 50})
    # one counts in litres and one has a multiplier: the same use
    readings += monthly("litres", {2011: 1.0, 2012: 1.2}, "L", 1000.0)
    readings += monthly("tenths", {2011: 1.0, 2012: 1.2}, "m3", 0.1)
    others = tuple(Point(meter_id=name, service_point_id=name, unit="m3") for name in names)
    others += (
        Point(meter_id="litres", service_point_id="l", unit="L"),
        Point(meter_id="tenths", service_point_id="t", unit="m3", multiplier=10.0),
        Point(meter_id="silent", service_point_id="s", unit="m3"),
    )
    found = side_by_side(history(readings), ticket_of(), neighbours=others)
    second = found.of("last_year_area_change")
    assert second is not None
    assert second.estimate is not None
    # 1.10, 1.12, 1.14, 1.16, 1.18, 1.20, 1.20, 1.20: median 1.17 of a year that was 1.0
    assert second.estimate.expected == pytest.approx(176 / 366 * 61 * 1.17, abs=0.06)
    assert second.estimate.low is not None
    assert second.estimate.high is not None
    assert second.estimate.low <= second.estimate.excess <= second.estimate.high
    assert "area_change_median" in second.estimate.assumptions


def test_reads_after_a_swap(history: Callable[[list[Reading]], Path]) -> None:
    swap = Swap(
        old_serial="A", new_serial="B", stop_read=449.0, start_read=3.0, unit="m3", at="2012-06-18T02:00:00Z"
    )
    after = [("2012-07-18T02:00:00", 18.0), ("2012-08-17T02:00:00", 32.0)]
    readings = golden_readings() + [("wei", ns(at), v, Kind.REGISTER, "m3") for at, v in after]
    found = side_by_side(history(readings), ticket_of(swap=swap)).of("after_swap_mean")
    assert found is not None
    assert found.estimate is not None
    # 15 m³ in 30 days, then 14 in 30
    assert found.estimate.expected == pytest.approx(29 / 60 * 61, abs=0.05)
    assert (found.estimate.low, found.estimate.high) == (273 - 30.5, 244.5)
    assert found.estimate.money is not None


def test_intervals_of_every_hour_are_cut_into_periods(history: Callable[[list[Reading]], Path]) -> None:
    start = ns("2026-01-01T00:00:00")
    hours = 24 * 90
    used = [0.1] * (24 * 60) + [0.5] * (24 * 30)
    readings = [("wei", start + (h + 1) * DAY // 24, used[h], Kind.INTERVAL, "") for h in range(hours)]
    fresh = flag("stuck", meter_id="wei", service_point_id="wei", start="2026-03-02T00:00:00Z",
                 end="2026-04-01T00:00:00Z", evidence={})  # fmt: skip
    (ticket,) = MemoryStore().take(fresh)
    found = side_by_side(history(readings), ticket, replace(WEI, tariff=""))
    assert found.billed == pytest.approx(360.0)
    first = found.of("history_mean_days")
    assert first is not None
    assert first.estimate is not None
    assert (first.estimate.expected, first.estimate.excess) == (72.0, 288.0)
    assert (first.estimate.low, first.estimate.high) == (288.0, 288.0)  # two months, both alike
    assert (first.estimate.money, first.no_money) == (None, "no_tariff_named")


def test_a_stuck_meter_is_charged_what_it_missed(history: Callable[[list[Reading]], Path]) -> None:
    readings = monthly("wei", {2011: 1.0, 2012: 0.0})
    ticket = ticket_of(
        estimate=None, evidence={"start": "2012-03-01T00:00:00Z", "end": "2012-05-01T00:00:00Z", "unit": "m3"}
    )
    found = side_by_side(history(readings), ticket)
    first = found.of("history_mean_days")
    assert found.billed == 0.0
    assert first is not None
    assert first.estimate is not None
    # twelve months of a cubic metre a day, and two of nothing
    assert first.estimate.excess < -50
    assert first.estimate.money is not None
    assert first.estimate.money.amount < 0
    second = found.of("last_year_area_change")
    assert second is not None
    assert second.estimate is not None
    assert second.estimate.excess == -61.0


def test_staff_may_name_the_period(history: Callable[[list[Reading]], Path]) -> None:
    readings = monthly("wei", {2011: 1.0, 2012: 3.0})
    window = Window(ns("2012-02-01T00:00:00"), ns("2012-04-01T00:00:00"))
    found = side_by_side(history(readings), ticket_of(), window=window)
    assert (found.window, found.billed) == (window, 180.0)
    first = found.of("history_mean_days")
    assert first is not None
    assert first.estimate is not None
    assert first.estimate.expected == pytest.approx((365 + 93 - 31) / 396 * 60, abs=12)


@pytest.mark.parametrize(
    ("point", "tariffs", "why"),
    [
        (WEI, None, "no_tariff_file"),
        (replace(WEI, tariff=""), TARIFFS, "no_tariff_named"),
        (replace(WEI, tariff="gas-industrial"), TARIFFS, "tariff_unknown"),
        (replace(WEI, tariff="power-residential"), TARIFFS, "unit_differs"),
    ],
)
def test_without_a_price_there_is_still_an_estimate(point: Point, tariffs: Tariffs | None, why: str) -> None:
    found = side_by_side(None, ticket_of(), point, tariffs=tariffs)
    first = found.of("history_mean_days")
    assert first is not None
    assert first.estimate is not None
    assert (first.estimate.expected, first.estimate.money, first.no_money) == (29.3, None, why)
    assert found.billed_money is None


def test_a_flag_without_amounts_gives_reasons_only() -> None:
    (ticket,) = MemoryStore().take(flag("tamper", evidence={}, end="", at="", start=""))
    found = side_by_side(None, ticket)
    assert (found.window, found.billed) == (None, None)
    assert [one.why_not for one in found.alternatives] == ["no_billed_period"] * 3
