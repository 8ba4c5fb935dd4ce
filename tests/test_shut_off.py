"""Tamper contacts, closed valves, ended contracts: from the payload and the registry to the flag."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.payloads.native import Native
from detectors import Intervals, ShutOff, Tampering
from detectors.batch import OUTAGE, RESTORED, TAMPERED, UNTAMPERED, VALVE_CLOSED, VALVE_OPEN
from streams.columns import Columns, decode, encode, from_rows
from streams.messages import Flag, RawMessage, Source
from streams.registry import Meter
from streams.state.events import events_of
from streams.state.outcome import Outcome
from tests.naive.shut import shut_off, tampering
from tests.streams_of_readings import (
    DAY,
    HOUR,
    Row,
    Stream,
    examples,
    feed,
    instant,
    make_bank,
    streams,
)
from tests.twins import assert_same, by_meter, named, run, sizes, validated

START = instant("2024-01-01")
METER = Meter(meter_id="m", kind="interval", interval_s=3600, commodity="water", unit="m3")


@pytest.mark.parametrize(
    ("attributes", "events"),
    [
        ({"valve": "closed"}, VALVE_CLOSED),
        ({"Valve-State": "OPENED"}, VALVE_OPEN),
        ({"valve_state": "closing"}, 0),
        ({"valve": "1"}, 0),
        ({"阀门": "关"}, VALVE_CLOSED),
        ({"tamper": "true"}, TAMPERED),
        ({"tamper": "false"}, UNTAMPERED),
        ({"tamper_alarm": "magnet"}, TAMPERED),
        ({"magnetic": "0"}, UNTAMPERED),
        ({"event": "cover_open"}, TAMPERED),
        ({"event": "power_outage"}, OUTAGE),
        ({"event": "last-gasp"}, OUTAGE),
        ({"event": "power restored"}, RESTORED),
        ({"event": "停电"}, OUTAGE),
        ({"outage": "true"}, OUTAGE),
        ({"outage": "false"}, RESTORED),
        ({"power": "on"}, RESTORED),
        ({"power": "3.2"}, 0),
        ({"status": "DRY"}, 0),
        ({"battery": "3.6", "rssi": "-70"}, 0),
        ({"tamper": "false", "event": "tamper"}, TAMPERED),
        ({"valve": "closed", "tamper": "1", "battery": "3.6"}, VALVE_CLOSED | TAMPERED),
    ],
)
def test_what_devices_say_becomes_one_of_few_events(attributes: dict[str, str], events: int) -> None:
    assert events_of(attributes) == events


@examples(200)
@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
def test_other_attributes_break_nothing(attributes: dict[str, str]) -> None:
    assert 0 <= events_of(attributes) < 64


# --- the twins ------------------------------------------------------------------------------------


@examples(40)
@given(streams(days=60, spacings=(HOUR, 6 * HOUR, DAY, 10 * DAY), kinds=("register", "interval")))
def test_tampering_is_that_of_the_obvious_loop(stream: Stream) -> None:
    flags = [f for f in run(stream, Tampering()) if f.kind == "tamper"]
    parts = by_meter(stream, validated(stream)[0])
    assert_same(flags, [line for name, part in parts.items() for line in named(tampering(part), name)])


@examples(40)
@given(
    streams(days=60, spacings=(HOUR, 6 * HOUR, DAY, 10 * DAY), kinds=("register", "interval")),
    st.data(),
)
def test_use_where_nothing_may_be_used_is_that_of_the_obvious_loop(
    stream: Stream, data: st.DataObject
) -> None:
    meters = [
        msgspec.structs.replace(
            meter,
            valve_order=data.draw(st.sampled_from(("", "open", "closed"))),
            contract=data.draw(st.sampled_from(("", "active", "vacant", "terminated"))),
        )
        for meter in stream.meters
    ]
    stream = Stream(meters, stream.rows)
    flags = [f for f in run(stream, ShutOff()) if f.kind in ShutOff.kinds]
    parts = by_meter(stream, validated(stream)[0])
    twins = [
        line
        for m in meters
        for line in named(
            shut_off(parts[m.meter_id], sizes(m)["floor"], m.valve_order, m.contract), m.meter_id
        )
    ]
    assert_same(flags, twins)


# --- by hand ---------------------------------------------------------------------------------------


def said(flags: list[Flag]) -> list[tuple[str, str, float]]:
    """Kind, status, hours after the start."""
    return [(f.kind, f.status, (instant(f.at) - START) / HOUR) for f in flags]


def hours(values: list[float], note: dict[int, dict[str, str]]) -> list[Row]:
    return [
        Row("m", START + i * HOUR, value, sparse={"attributes": note[i]} if i in note else {})
        for i, value in enumerate(values)
    ]


def flags_of(rows: list[Row], meter: Meter = METER) -> list[Flag]:
    return feed(make_bank([meter], (Intervals(), Tampering(), ShutOff())), rows).flags


def test_a_valve_that_lets_water_pass_is_told_and_cleared_when_it_is_opened() -> None:
    """10 L an hour past a valve closed at hour 5; 50 L let pass: raised at the sixth hour after."""
    note = {5: {"valve_state": "closed"}, 30: {"valve_state": "open"}}
    flags = flags_of(hours([0.01] * 40, note))
    assert said(flags) == [
        ("use_on_closed_valve", "raised", 11),
        ("use_on_closed_valve", "cleared", 30),
    ]
    assert flags[0].family == "tamper"
    assert flags[0].evidence["used_since_shut"] == pytest.approx(0.06)
    assert flags[0].evidence["let_pass"] == pytest.approx(0.05)


def test_the_reading_that_says_closed_covers_the_time_before() -> None:
    assert flags_of(hours([0.0] * 5 + [3.0] + [0.0] * 400, {5: {"valve": "closed"}})) == []


def test_a_drip_is_let_pass_and_a_repair_ends_it() -> None:
    assert flags_of(hours([0.0002] * 2000, {0: {"valve": "closed"}})) == []
    flags = flags_of(hours([0.01] * 100 + [0.0] * 500, {0: {"valve": "closed"}}))
    # Each seven days are looked at by themselves: the first that stays below ends it.
    assert said(flags) == [
        ("use_on_closed_valve", "raised", 6),
        ("use_on_closed_valve", "updated", 168),
        ("use_on_closed_valve", "cleared", 336),
    ]


@pytest.mark.parametrize("contract", ["vacant", "terminated"])
def test_use_after_the_contract_is_told(contract: str) -> None:
    meter = msgspec.structs.replace(METER, contract=contract)
    flags = flags_of(hours([0.0] * 24 + [0.02] * 5, {}), meter)
    assert said(flags) == [("inactive_use", "raised", 26)]
    assert flags[0].family == "usage_low"
    assert flags[0].evidence["contract"] == contract
    assert flags_of(hours([0.0] * 24 + [0.02] * 5, {})) == []


def test_a_bill_of_a_vacant_home_is_held_against_its_time() -> None:
    """50 L in each seven days: 0.2 m³ of a month pass, 0.3 do not."""
    meter = msgspec.structs.replace(METER, contract="vacant", interval_s=None, kind="register")

    def bills(*values: float) -> list[tuple[str, str, float]]:
        return said(flags_of([Row("m", START + i * 30 * DAY, v) for i, v in enumerate(values)], meter))

    assert bills(100.0, 100.2, 100.4) == []
    assert bills(100.0, 100.3, 100.3) == [
        ("inactive_use", "raised", 720),
        ("inactive_use", "cleared", 1440),
    ]


def test_a_new_tenant_ends_it() -> None:
    meter = msgspec.structs.replace(METER, contract="terminated", valve_order="closed")
    bank = make_bank([meter], (Intervals(), ShutOff()))
    rows = hours([0.03] * 20, {})
    first = feed(bank, rows[:10]).flags
    bank.register([METER], Outcome())
    assert said(first) == [("use_on_closed_valve", "raised", 2), ("inactive_use", "raised", 2)]
    assert said(feed(bank, rows[10:]).flags) == [
        ("use_on_closed_valve", "cleared", 10),
        ("inactive_use", "cleared", 10),
    ]


def test_a_cover_that_is_opened_is_told_once_and_ends_when_it_stays_shut() -> None:
    """Told at hours 3 and 5; said to be well from hour 6 on, believed a day after hour 5."""
    note = {i: {"tamper": "true" if i in (3, 5) else "false"} for i in range(60)}
    flags = flags_of(hours([0.1] * 60, note))
    assert said(flags) == [("tamper", "raised", 3), ("tamper", "cleared", 29)]
    assert flags[1].evidence["times_told"] == 2


def test_an_event_that_nobody_takes_back_ends_after_a_week() -> None:
    flags = flags_of(hours([0.1] * 300, {3: {"event": "magnetic_tamper"}}))
    assert said(flags) == [("tamper", "raised", 3), ("tamper", "cleared", 171)]


def test_a_payload_s_attributes_reach_the_detectors_through_the_log() -> None:
    """Native JSON → rows → a message of readings.v1, encoded and decoded → flags."""
    bank = make_bank([METER], (Intervals(), Tampering(), ShutOff()))
    outcome = Outcome()
    for i in range(12):
        body: dict[str, Any] = {
            "meter_id": "m", "time": (START + i * HOUR) // 10**6, "value": 0.02, "unit": "m3", "kind": "interval",
            "attributes": {"valve": "closed", "tamper": i == 2},
        }  # fmt: skip
        bank.update(sent(body), outcome)
    # One family, one episode: what is used past the valve joins the tamper alarm.
    assert [(f.kind, f.status, f.evidence.get("seen_as")) for f in outcome.flags] == [
        ("tamper", "raised", None),
        ("tamper", "updated", "use_on_closed_valve"),
    ]


def sent(body: dict[str, Any]) -> Columns:
    """One payload as the worker gets it."""
    message = RawMessage(topic="t", payload=msgspec.json.encode(body), received_ns=START + 10 * DAY)
    decoded = Native().decode(message)
    assert decoded.rejects == []
    sources = [Source(adapter="native", topic="t", received_ns=message.received_ns)]
    columns = decode(encode(from_rows(decoded.rows, sources, np.zeros(1, np.uint32))))
    assert isinstance(columns, Columns)
    return columns
