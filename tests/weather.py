"""Readings of heated houses, as numbers that anybody can make again: what the weather does, and what it does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import Habit, Intervals
from streams.messages import Flag
from streams.programs import compose
from streams.registry import Meter
from tests.streams_of_readings import DAY, HOUR, Row, Stream, feed, instant, make_bank

BEGIN = instant("2024-11-01")
F8 = NDArray[np.float64]


def outdoors(days: int, seed: int, snap: range = range(0)) -> F8:
    """Daily means [°C]: about 6, a cold snap of −9."""
    rng = np.random.default_rng(seed)
    air, now = np.empty(days), 0.0
    for d in range(days):
        now = 0.8 * now + rng.normal(0, 1.5)
        air[d] = -9 + rng.normal(0, 1) if d in snap else 6 + now
    return air


def house(air: F8, number: int, off: int | None = None) -> F8:
    """Gas of a heated building by the hour [kWh]: a base, more by the degree below 15.5 °C, until heating goes off."""
    rng = np.random.default_rng(1000 + number)
    days = len(air)
    shape = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(24) - 3) / 24)
    heat = np.maximum(15.5 - air, 0.0)
    if off is not None:
        heat[off:] = 0.0
    size = rng.uniform(1, 4)
    use: F8 = size * (rng.uniform(0.25, 0.5) + 0.15 * heat[:, None] * shape)
    use *= rng.lognormal(0, 0.05, (days, 1)) * rng.lognormal(0, 0.15, (days, 24))
    return use.round(3)


def district(uses: list[F8], air: F8 | None = None, unit: str = "Cel") -> Stream:
    """Houses of one area; ``air`` adds a thermometer that is read every hour."""
    meters, rows = [], []
    for number, use in enumerate(uses):
        name = f"g{number}"
        meters.append(
            Meter(meter_id=name, commodity="gas", unit="kW.h", kind="interval", interval_s=3600.0, area="north",
                  meter_class="commercial")
        )  # fmt: skip
        rows += [Row(name, BEGIN + (i + 1) * HOUR, x) for i, x in enumerate(use.ravel().tolist())]
    if air is not None:
        meters.append(Meter(meter_id="air", unit=unit, kind="gauge", interval_s=3600.0, area="north"))
        hours = np.interp(np.arange(24 * len(air)) / 24, np.arange(len(air)) + 0.5, air)
        told = hours if unit == "Cel" else 1.8 * hours + 32
        rows += [Row("air", BEGIN + (i + 1) * HOUR, x) for i, x in enumerate(told.round(1).tolist())]
    return Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))


def year_of(days: int, seed: int, mean: float = 11.0, swing: float = 9.5) -> F8:
    """Daily means [°C] from 1 January on: the year, months that are mild or cold as a whole, and the weather."""
    rng = np.random.default_rng(seed)
    day = np.arange(days)
    air, now = np.empty(days), 0.0
    for d in range(days):
        now = 0.85 * now + rng.normal(0, 1.6)
        air[d] = now
    month = np.repeat(rng.normal(0, 1.2, days // 30 + 1), 30)[:days]
    turn: F8 = mean - swing * np.cos(2 * np.pi * (day - 20) / 365.25) + air + month
    return turn


def heated_home(air: F8, number: int) -> F8:
    """Gas of a home by the day [m³]: hot water, more by the degree below what it heats from; weeks away."""
    rng = np.random.default_rng(2000 + number)
    use: F8 = rng.lognormal(np.log(0.8), 0.5) + rng.lognormal(np.log(0.45), 0.45) * np.maximum(
        rng.normal(15.5, 1.5) - air, 0.0
    )
    use *= np.repeat(rng.lognormal(0, rng.choice([0.08, 0.15, 0.25]), len(air) // 30 + 1), 30)[: len(air)]
    use *= rng.lognormal(0, 0.2, len(air))
    for first in rng.integers(0, len(air), rng.poisson(len(air) / 365)):
        use[first : first + rng.integers(7, 22)] *= 0.25
    return use


def bills_of(use: F8, months: int, day: int, seed: int) -> list[tuple[int, float]]:
    """Days since 1 January 2018 and amounts of the bills of a home that is read every so many months, near ``day``."""
    rng = np.random.default_rng(seed)
    first = np.datetime64("2018-01")
    ends: list[int] = []
    while True:
        round_ = (first + months * len(ends)).astype("datetime64[D]") - np.datetime64("2018-01-01")
        end = int(round_.astype(int)) + day + int(rng.integers(-2, 3))
        if end > len(use):
            break
        ends.append(end)
    sums = np.concatenate([[0.0], np.cumsum(use)])[ends]
    return list(zip(ends[1:], np.diff(sums).round(1).tolist(), strict=True))


def two_dates(count: int, days: int, first: int, second: int, seed: int) -> list[F8]:
    """An area whose even houses switch heating off on one day, and its odd ones on another."""
    air = outdoors(days, seed)
    return [house(air, 100 * seed + k, second if k % 2 else first) for k in range(count)]


def judged(stream: Stream) -> list[Flag]:
    """Flags of the heads that ship."""
    bank = make_bank(stream.meters, (Intervals(), Habit(heads=compose.heads())))
    return [f for f in feed(bank, stream.rows).flags if f.kind in Habit.kinds]


def when(flag: Flag) -> float:
    """Days since the first reading."""
    return (instant(flag.at) - BEGIN) / DAY
