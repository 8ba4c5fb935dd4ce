"""Districts: their balance, line loss, night minimum; gas that never stops."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from detectors import Balance, Detector, GasFlow, Intervals, NightMinimum
from streams.messages import Flag
from streams.registry import Meter
from streams.state.bank import STEP
from tests import naive
from tests.naive import districts as twins
from tests.naive.gas import Gas, Home
from tests.scada_streams import START, alone, assert_agree, drive
from tests.streams_of_readings import DAY, HOUR, NS, Row, Stream, examples, feed, instant, make_bank, streams
from tests.twins import validated

# -- the twins -------------------------------------------------------------------------------------


@st.composite
def areas(draw: st.DrawFn, energy: bool = False) -> Stream:
    """A district with one or two inflows, perhaps an outflow and a tank; leaks, holes, late meters."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    zone = draw(st.sampled_from(("", "Asia/Shanghai", "Asia/Kathmandu")))
    days = 44
    names = [
        "in0",
        *(["in1"] if rng.random() < 0.4 else []),
        *[f"m{i}" for i in range(int(rng.integers(2, 6)))],
    ]
    names += [name for name in ("out", "tank") if not energy and rng.random() < 0.5]
    flow_meter = draw(st.booleans())
    commodity, unit = ("electricity", "kW.h") if energy else ("water", "m3")
    leak = np.zeros(days * 24)
    for _ in range(int(rng.integers(0, 3))):
        first = int(rng.integers(16 * 24, days * 24))
        leak[first : first + int(rng.integers(24, 200))] += rng.choice([0.5, 2.0, 8.0])
    hour = np.arange(days * 24)
    shape = np.where((hour % 24 > 5) & (hour % 24 < 23), 1.0, 0.2)
    use = {
        name: np.round(rng.uniform(0.5, 1.5, days * 24) * shape * 64) / 64 for name in names if name[0] == "m"
    }
    tank = np.round((500 + 20 * np.sin(hour / 5.0)) * 64) / 64
    out = np.round(rng.uniform(0.2, 0.4, days * 24) * 64) / 64
    total = sum(use.values()) + leak + 0.25
    total = (
        total + (out if "out" in names else 0) + (np.diff(tank, prepend=tank[0]) if "tank" in names else 0)
    )
    meters, rows = [], []
    for name in names:
        role = {"i": "inflow", "o": "outflow", "t": "storage"}.get(name[0], "")
        gauge = role == "storage" or (role == "inflow" and flow_meter and not energy)
        meters.append(
            Meter(
                meter_id=name, area="dma", commodity=commodity, tz=zone, balance_role=role,
                unit="m3/h" if gauge and role == "inflow" else unit, interval_s=3600,
                kind="gauge" if gauge else ("register" if rng.random() < 0.3 else "interval"),
            )
        )  # fmt: skip
        values = {
            "in0": total * (0.5 if "in1" in names else 1),
            "in1": total * 0.5,
            "out": out,
            "tank": tank,
        }.get(name, use.get(name, out))
        values = np.round(values * 64) / 64
        if meters[-1].kind == "register":
            values = np.cumsum(values)
        shift = int(rng.choice([0, 0, 7, 30])) * 60 * NS
        holes = [
            (int(g), int(rng.integers(1, 40))) for g in rng.integers(0, days * 24, int(rng.integers(0, 3)))
        ]
        gaps = {first + k for first, length in holes for k in range(length)}
        rows += [
            Row(name, START + int(i + 1) * HOUR + shift, float(values[i])) for i in hour if int(i) not in gaps
        ]
    rows.sort(key=lambda row: (row.time, row.meter))
    return Stream(meters, rows)


def both(stream: Stream, energy: bool) -> tuple[twins.Balance, twins.Night]:
    """The twins' way through a stream, and what they found."""
    known = {m.meter_id: m for m in stream.meters}
    members = {
        name: twins.Member(name, m.balance_role, m.unit == "m3/h", naive.local(m.tz, START) - START)
        for name, m in known.items()
    }
    inflows = [name for name, m in known.items() if m.balance_role == "inflow"]
    leader = min(inflows, key=lambda name: zlib.crc32(name.encode()))
    balance = twins.Balance(list(members.values()), leader, energy)
    night = twins.Night(list(members.values()), leader)
    taken, _ = validated(stream)
    newest = advanced = None
    for row, one in zip(stream.rows, taken, strict=True):
        if newest is None or row.time > newest:
            if advanced is None or newest is None:
                advanced = row.time
            elif (row.time - 1) // STEP != (newest - 1) // STEP:
                balance.advance(advanced, row.time)
                night.advance(advanced, row.time)
                advanced = row.time
            newest = row.time
        members[row.meter].take(one)
    return balance, night


@examples(40)
@given(areas())
def test_districts_are_those_of_the_obvious_loop(stream: Stream) -> None:
    balance, night = both(stream, energy=False)
    # one at a time: together they would share an episode
    flags = feed(make_bank(stream.meters, (Intervals(), Balance())), stream.rows).flags
    assert_agree(alone(flags, "balance"), balance.lines)
    flags = feed(make_bank(stream.meters, (Intervals(), NightMinimum())), stream.rows).flags
    assert_agree(alone(flags, "night_minimum"), night.lines)


@examples(30)
@given(areas(energy=True))
def test_line_losses_are_those_of_the_obvious_loop(stream: Stream) -> None:
    flags = feed(make_bank(stream.meters, (Intervals(), Balance())), stream.rows).flags
    assert_agree(alone(flags, "balance"), both(stream, energy=True)[0].lines)


# -- worked examples -----------------------------------------------------------------------------------


def district(
    days: int, unit: str = "m3", commodity: str = "water", lost: Sequence[float] = (), meters: int = 4
) -> tuple[list[Meter], list[Row]]:
    """Four meters of 2 an hour by day and 0.5 by night; the inflow is theirs, 0.25 more, and what is lost."""
    names = [f"m{i}" for i in range(meters)]
    plain = Meter(meter_id="", area="dma", commodity=commodity, unit=unit, kind="interval", interval_s=3600)
    known = [replace(plain, meter_id=name) for name in names]
    known.append(
        Meter(meter_id="in", area="dma", commodity=commodity, unit=unit, kind="register", interval_s=3600,
              balance_role="inflow")
    )  # fmt: skip
    rows, register = [Row("in", START, 1000.0)], 1000.0
    for i in range(days * 24):
        moment = START + (i + 1) * HOUR
        use = 2.0 if 5 <= i % 24 < 23 else 0.5
        rows += [Row(name, moment, use) for name in names]
        register += meters * use + 0.25 + (lost[i // 24] if i // 24 < len(lost) else 0.0)
        rows.append(Row("in", moment, register))
    rows.append(Row("in", START + days * DAY + 3 * HOUR, register + 5))
    return known, rows


def run(known: Sequence[Meter], rows: Sequence[Row], *detectors: Detector) -> list[Flag]:
    return feed(make_bank(known, (Intervals(), *detectors)), list(rows)).flags


def test_the_worked_example_of_a_balance() -> None:
    """Inflow 162 m³ a day, metered 156, 6 usually lost; on day 21 a main leaks 0.75 m³ an hour for two days."""
    known, rows = district(24, lost=[0.0] * 20 + [0.75, 0.75])
    flags = run(known, rows, Balance())
    assert [(f.status, f.kind, f.meter_id, f.at, f.start) for f in flags] == [
        ("raised", "balance", "in", "2024-03-22T03:00:00Z", "2024-03-21T00:00:00Z"),
        ("cleared", "balance", "in", "2024-03-24T03:00:00Z", "2024-03-21T00:00:00Z"),
    ]
    flag = flags[0]
    assert (flag.observed, flag.expected, flag.unit) == (24.0, 6.0, "m3")
    numbers = {k: flag.evidence[k] for k in ("inflow", "outflow", "storage_change", "metered", "margin")}
    assert numbers == {
        "inflow": 180.0,
        "outflow": 0.0,
        "storage_change": 0.0,
        "metered": 156.0,
        "margin": 9.0,
    }
    assert flag.score == 2.0  # 18 above the usual, twice the margin of 5 % of 180


def test_the_worked_example_of_a_line_loss() -> None:
    """3.7 % are usually lost; on day 18 a tenth of the inflow more."""
    known, rows = district(20, "kW.h", "electricity", [0.0] * 17 + [0.75])
    flags = run(known, rows, Balance())
    assert [(f.status, f.kind, f.start) for f in flags] == [
        ("raised", "line_loss", "2024-03-18T00:00:00Z"),
        ("cleared", "line_loss", "2024-03-18T00:00:00Z"),
    ]
    assert flags[0].evidence["usual_loss_share"] == pytest.approx(6 / 162, rel=1e-5)
    assert flags[0].evidence["loss_share"] == pytest.approx(24 / 180)
    assert flags[0].observed == 24.0
    assert flags[0].expected == pytest.approx(6 / 162 * 180)


def test_a_loss_that_is_always_too_high_is_told_after_two_weeks() -> None:
    known, rows = district(20, "kW.h", "electricity", [1.0] * 20)
    flags = run(known, rows, Balance())
    assert [(f.status, f.kind, f.at) for f in flags] == [("raised", "line_loss", "2024-03-16T03:00:00Z")]
    assert flags[0].evidence["loss_share"] == pytest.approx(30 / 186)
    assert run(known, rows, Balance(loss_limit=0.2)) == []


def test_a_district_without_an_inflow_or_of_another_commodity_has_no_balance() -> None:
    known, rows = district(24, lost=[0.0] * 20 + [0.75, 0.75])
    assert run(known[:-1], rows, Balance()) == []
    gas = [replace(m, commodity="gas") if m.balance_role else m for m in known]
    assert run(gas, rows, Balance()) == []


def test_a_meter_that_was_not_read_spoils_no_balance() -> None:
    """One of four meters is silent on the day: three quarters are not enough to judge it."""
    known, rows = district(24)
    silent = [r for r in rows if not (r.meter == "m0" and 20 * DAY < r.time - START <= 21 * DAY + 5 * HOUR)]
    assert run(known, silent, Balance()) == []


def test_the_worked_example_of_a_night_minimum() -> None:
    """2.25 m³ an hour by night; from night 33 on, half a cubic metre an hour more; mended after five."""
    known, rows = district(40, lost=[0.0] * 32 + [0.5] * 5)
    flags = run(known, rows, NightMinimum())
    assert [(f.status, f.kind, f.meter_id, f.at, f.start) for f in flags] == [
        # 06:00 of the third night, as the next reading tells
        ("raised", "night_minimum", "in", "2024-04-04T07:00:00Z", "2024-04-02T00:00:00Z"),
        ("cleared", "night_minimum", "in", "2024-04-07T07:00:00Z", "2024-04-02T00:00:00Z"),
    ]
    flag = flags[0]
    assert (flag.observed, flag.expected) == (2.75, 2.25)
    assert flag.evidence["nights"] == 3
    assert flag.evidence["margin"] == pytest.approx(0.225)


# -- gas -----------------------------------------------------------------------------------------------

HOME = Meter(
    meter_id="g", commodity="gas", unit="m3", kind="interval", interval_s=3600, meter_class="residential"
)


@examples(30)
@given(streams(days=40, spacings=(HOUR // 2, HOUR, 2 * HOUR), most_meters=7, most_rows=7000), st.booleans())
def test_gas_flows_are_those_of_the_obvious_loop(stream: Stream, soon: bool) -> None:
    """By the 72 hours alone, and with weeks that are days, in an area of five and more homes or fewer."""
    meters = [replace(m, commodity="gas", area="estate" if m.meter_id != "m3" else "") for m in stream.meters]
    stream = Stream(meters, stream.rows)
    rule = (
        GasFlow(warm_days=2, long_days=2, habit=0.02, hours=30)
        if soon
        else GasFlow(warm_days=5, long_days=90)
    )
    flags = [f for f in run(stream.meters, stream.rows, rule) if f.family == "leak"]
    homes = [Home(m.meter_id, (m.home_area, m.meter_class, m.unit), naive.single(0.005)) for m in meters]
    twin = Gas(homes, rule.warm_days, rule.long_days, rule.habit, rule.hours)
    drive(stream, twin.take, twin.advance)
    assert_agree(flags, twin.lines)


def gas_rows(values: Sequence[float], meter: str = "g") -> list[Row]:
    return [Row(meter, START + (i + 1) * HOUR, float(v)) for i, v in enumerate(values)]


def test_the_worked_example_of_gas_that_never_stops() -> None:
    """Six weeks of cooking and heating water, then 8 L/h that never stop, for four days; then closed."""
    day = [0.0] * 6 + [0.25, 0.125] + [0.0] * 9 + [0.25, 0.25] + [0.0] * 5
    leak = [v + 0.0078125 for v in day]
    flags = run([HOME], gas_rows(day * 42 + leak * 4 + day), GasFlow())
    assert [(f.status, f.kind, (instant(f.at) - START) // HOUR, f.family) for f in flags] == [
        ("raised", "continuous_flow", 42 * 24 + 72, "leak"),
        ("cleared", "continuous_flow", 46 * 24 + 1, "leak"),
    ]
    assert flags[0].start == "2024-04-12T00:00:00Z"
    evidence = flags[0].evidence
    assert evidence["hours"] == 72.0
    assert evidence["least_flow_per_hour"] == 0.0078125
    assert evidence["start_flow_per_hour"] == pytest.approx(0.005)
    # one hour at rest, and the 72 hours begin again
    broken = day * 42 + leak * 2 + [0.0] + leak * 2
    assert run([HOME], gas_rows(broken), GasFlow()) == []


def test_thirty_days_of_any_flow_are_a_leak_unless_everybody_heats() -> None:
    day = [0.0] * 16 + [5.0] * 8
    boiler = [
        Meter(meter_id=f"b{i}", commodity="gas", unit="m3", kind="interval", interval_s=3600, area="estate",
              meter_class="commercial")
        for i in range(8)
    ]  # fmt: skip

    def rows(flowing: int) -> list[Row]:
        all_rows = []
        for i, meter in enumerate(boiler):
            all_rows += gas_rows(day * 40 + [0.5 if i < flowing else v for v in day * 32], meter.meter_id)
        return sorted(all_rows, key=lambda row: row.time)

    flags = run(boiler, rows(1), GasFlow())
    assert [(f.status, f.kind, f.meter_id) for f in flags] == [("raised", "leak", "b0")]
    # the last flow before was that of 16:00 to 24:00
    assert flags[0].start == "2024-04-09T16:00:00Z"
    assert flags[0].at == "2024-05-09T16:00:00Z"
    assert flags[0].observed == 0.5
    assert run(boiler, rows(6), GasFlow()) == []


@pytest.mark.parametrize("commodity", ["water", "heat", "electricity", ""])
def test_only_gas_is_judged(commodity: str) -> None:
    meter = Meter(meter_id="g", commodity=commodity, unit="m3", kind="interval", interval_s=3600)
    assert run([meter], gas_rows([0.0] * 1000 + [1.0] * 1000), GasFlow()) == []
