"""Streams of supervised points, drawn by Hypothesis, and the obvious twins' way through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from streams.messages import Flag, Mark, Quality
from streams.registry import Meter
from streams.state.bank import STEP
from tests import naive
from tests.streams_of_readings import HOUR, MINUTE, NS, Row, Stream, instant
from tests.twins import expected, told, validated

START = instant("2024-03-01")


class Twin(Protocol):
    """One meter, the obvious way."""

    lines: list[naive.Line]

    def take(self, t: naive.Taken) -> None: ...

    def advance(self, now: int) -> None: ...


def drive(stream: Stream, take: Callable[[str, naive.Taken], None], advance: Callable[[int], None]) -> None:
    """Hand every reading, and every entry of the watermark into a new hour, to a twin."""
    taken, _ = validated(stream)
    newest = None
    for row, one in zip(stream.rows, taken, strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is not None and (row.time - 1) // STEP != (newest - 1) // STEP:
                advance(row.time)
            newest = row.time
        take(row.meter, one)


def of_each(stream: Stream, make: Callable[[Meter], Twin]) -> list[naive.Line]:
    """One twin a meter."""
    twins = {meter.meter_id: make(meter) for meter in stream.meters}

    def advance(now: int) -> None:
        for twin in twins.values():
            twin.advance(now)

    drive(stream, lambda meter, one: twins[meter].take(one), advance)
    for name, twin in twins.items():
        for line in twin.lines:
            line.meter = name
    return [line for twin in twins.values() for line in twin.lines]


def assert_agree(flags: Iterable[Flag], lines: Iterable[naive.Line]) -> None:
    """As ``assert_same``; what is not a number may also not be told, and an episode keeps its start."""
    lines = sorted(lines, key=lambda line: line.at)
    starts: dict[str, int] = {}
    for line in lines:
        if line.status == "raised":
            starts[line.meter] = line.start
        line.start = starts.get(line.meter, line.start)

    def plain(cell: dict[str, Any]) -> dict[str, Any]:
        return {
            k: v for k, v in cell.items() if v is not None and not (isinstance(v, float) and math.isnan(v))
        }

    def order(cell: dict[str, Any]) -> Any:
        what = cell["what"]
        return what[3], what[0], what[2], what[1] != "cleared", what[1]

    ours, twins = sorted(map(told, flags), key=order), sorted(map(expected, lines), key=order)
    assert [one["what"] for one in ours] == [one["what"] for one in twins]
    for one, twin in zip(map(plain, ours), map(plain, twins), strict=True):
        assert one.keys() == twin.keys(), one["what"]
        what = one.pop("what")
        twin.pop("what")
        assert one == pytest.approx(twin, rel=1e-4, abs=1e-5), what


def alone(flags: Iterable[Flag], name: str) -> list[Flag]:
    """One detector's flags."""
    return [flag for flag in flags if flag.evidence["detector"] == name]


def samples(
    meter: str, values: Sequence[float] | NDArray[np.float64], spacing: int = MINUTE, start: int = START
) -> list[Row]:
    """Values one after the other."""
    return [Row(meter, start + i * spacing, float(value)) for i, value in enumerate(values)]


@st.composite
def gauges(
    draw: st.DrawFn, voltage: bool = False, most: int = 1500, lines: Sequence[str] = ("",), points: int = 3
) -> Stream:
    """Points that wander, rest, jump, drop to zero, fall silent; with all that goes wrong on the way."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    meters, rows = [], []
    for number in range(draw(st.integers(1, points))):
        spacing = draw(st.sampled_from((MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR)))
        limits = draw(
            st.sampled_from(((None, 12.0, 4.0, None), (16.0, 12.0, None, None), (16.0, 12.0, 4.0, 1.0)))
        )
        meter = Meter(
            meter_id=f"p{number}",
            commodity="scada",
            unit="V" if voltage else "Cel",
            kind="gauge",
            interval_s=draw(st.sampled_from((None, spacing / NS))),
            line=draw(st.sampled_from(lines)),
            deadband=draw(st.sampled_from((None, 0.5))),
            delay_s=draw(st.sampled_from((None, 0.0, 90.0, 1800.0))),
        )
        if not voltage:
            hh, h, low, ll = limits
            meter = replace(meter, limit_hh=hh, limit_h=h, limit_l=low, limit_ll=ll)
        meters.append(meter)
        rows += _series(meter.meter_id, spacing, most // points, rng, voltage)
    rows.sort(key=lambda row: row.received)
    return Stream(meters, rows)


def _series(name: str, spacing: int, count: int, rng: np.random.Generator, voltage: bool) -> list[Row]:
    middle, size = (220.0, 6.0) if voltage else (8.0, 1.0)
    values = middle + size * np.sin(np.arange(count) / 17.0) + rng.uniform(-size / 4, size / 4, count)
    for _ in range(int(rng.integers(0, 12))):
        first, length = int(rng.integers(0, count)), int(rng.integers(1, 40))
        part = slice(first, first + length)
        match int(rng.integers(0, 5)):
            case 0:
                values[part] += rng.choice([-20.0, -5.0, 5.0, 9.0]) * (4 if voltage else 1)
            case 1:
                values[part] = 0.0
            case 2:
                values[part] = values[first]
            case 3:
                values[part] = values[first] + np.arange(len(values[part])) * rng.choice([-0.5, 0.5])
            case _:
                values[part] = middle
    values = np.round(values * 64) / 64
    times = START + np.arange(count) * spacing
    rows = [Row(name, int(t), float(v), received=int(t)) for t, v in zip(times, values, strict=True)]
    out: list[Row] = []
    skip = 0
    for row in rows:
        chance = rng.random()
        if skip:
            skip -= 1
        elif chance < 0.005:
            skip = int(rng.integers(1, 12))
        elif chance < 0.01:
            out.append(row.but(value=float("nan")))
        elif chance < 0.015:
            out.append(row.but(quality=int(Quality.BAD)))
        elif chance < 0.02 and out:
            out += [row, out[-1].but(value=row.value, received=row.received)]
        elif chance < 0.025 and len(out) > 5:
            out += [row, out[-4].but(time=out[-4].time + 1, received=row.received)]
        elif chance < 0.03:
            out.append(row.but(marks=int(Mark.HISTORICAL)))
        elif voltage and chance < 0.034:
            word = "power_restored" if chance < 0.032 else "power_outage"
            out.append(row.but(sparse={"attributes": {"event": word}}))
        else:
            out.append(row)
    return out


def with_plant(stream: Stream, spacing: int, rng: np.random.Generator) -> Stream:
    """The same meters as customers of a district, and its points: inflow, tank, pressure, voltage."""
    roles = ["", "", "inflow", "outflow"]
    one = {"area": "north", "commodity": "water"} if rng.random() < 0.6 else {}
    meters = [
        replace(
            meter,
            transformer=str(rng.choice(["", "T", "T"])),
            line="L",
            balance_role=str(rng.choice(roles)),
            **one,
        )
        for meter in stream.meters
    ]  # fmt: skip
    kinds = {
        "flow": Meter(meter_id="flow", unit="m3/h", commodity="water", area="north", balance_role="inflow"),
        "tank": Meter(meter_id="tank", unit="m3", commodity="water", area="north", balance_role="storage"),
        "pressure": Meter(
            meter_id="pressure", unit="kPa", limit_hh=330, limit_h=310, limit_l=290, delay_s=3600
        ),
        "volts": Meter(meter_id="volts", unit="V", line="L", area="north"),
        "more": Meter(meter_id="more", unit="V", line="L", area="south", transformer="T"),
    }
    levels = {"flow": 8.0, "tank": 500.0, "pressure": 300.0, "volts": 220.0, "more": 220.0}
    rows = list(stream.rows)
    count = min(len(rows), 300)
    begin = min((row.time for row in rows), default=0)
    for name in rng.choice(list(kinds), 3, replace=False).tolist():
        meters.append(replace(kinds[name], kind="gauge", tz=meters[0].tz))
        level = levels[name]
        values = level * rng.uniform(0.98, 1.02, count)
        for first in rng.integers(0, count, 6).tolist() if count else ():
            values[first : first + 12] = level * rng.choice([0.0, 0.85, 1.0, 1.2])
        values = np.round(values * 64) / 64
        told = rng.random(count) > 0.05
        rows += [
            Row(name, begin + i * spacing, float(values[i]), received=begin + i * spacing + 60 * NS)
            for i in range(count)
            if told[i]
        ]
    rows.sort(key=lambda row: row.received)
    return Stream(meters, rows)
