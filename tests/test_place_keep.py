"""The store's table of meters: told of each meter soon after it is known, and again when its row changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from detectors import Intervals
from streams.place_keep import PlaceKeep
from streams.registry import Meter
from streams.state.bank import Outcome
from streams.trade.points import Point
from tests.mqtt_tools import until
from tests.streams_of_readings import make_bank

WEI = Meter(
    meter_id="wei", service_point_id="sp-wei", commodity="gas", unit="m3", kind="register", area="block-1"
)


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def keep_points(self, told: Sequence[Point]) -> None:
        self.points += told


def test_meters_are_told_within_seconds_and_once() -> None:
    """A complaint may come right after the meter: its place must be there."""
    bank, store = make_bank([WEI], (Intervals(),)), Told()

    async def run() -> None:
        keeping = asyncio.create_task(PlaceKeep(store, lambda: [bank]).run())
        await until(lambda: len(store.points) == 1, "the meter that was known from the start", 5)
        bank.register([WEI, replace(WEI, meter_id="chen", service_point_id="sp-chen")], Outcome())
        await until(lambda: len(store.points) == 2, "a new meter", 5)
        bank.register([replace(WEI, tariff="gas-residential")], Outcome())
        await until(lambda: len(store.points) == 3, "a row that has changed", 5)
        keeping.cancel()

    asyncio.run(run())
    assert [(point.service_point_id, point.tariff) for point in store.points] == [
        ("sp-wei", ""),
        ("sp-chen", ""),
        ("sp-wei", "gas-residential"),
    ]
