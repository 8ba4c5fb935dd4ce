"""A meter with a bill day, and its use by days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from streams.registry import Meter
from tests.streams_of_readings import DAY, Row, instant

START = instant("2023-01-01")


METER = Meter(
    meter_id="m", kind="interval", interval_s=86400, commodity="water", unit="m3", area="a", bill_day=10
)


EPOCH = date(1970, 1, 1)


def days(amounts: Iterable[float], meter: str = "m", start: int = START) -> list[Row]:
    """Amounts of days, the first ending a day after the start."""
    return [Row(meter, start + (i + 1) * DAY, amount) for i, amount in enumerate(amounts)]


def usual_until(day: str, amount: float = 0.5) -> list[float]:
    """The same every day from the start to the beginning of a day."""
    return [amount] * ((date.fromisoformat(day) - EPOCH).days - START // DAY)
