"""The bank: what a batch means before detectors see it, and what time does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detectors.daybook import DAYS, MEAN
from detectors.hours import HOURS
from streams.messages import Kind, Mark, Quality
from streams.registry import Meter
from streams.state.bank import NEVER, Bank, Outcome
from streams.state.dump import canonical
from streams.state.recent import KEEP, Recent
from streams.state.slots import BETWEEN, MOST_COHORTS
from tests.books import book_of
from tests.streams_of_readings import (
    DAY,
    HOUR,
    MINUTE,
    NS,
    Row,
    as_columns,
    feed,
    instant,
    make_bank,
)

START = instant("2024-01-01")


def pulse(bank: Bank, channel: str) -> Any:
    return bank.state.of("intervals", "pulse")[bank.slots[channel]]


def day_of(bank: Bank, channel: str, local_day: str) -> float:
    """Use of a local day as the habit has booked it: by the hour, or in its book once the hours are gone."""
    slot, day = bank.slots[channel], instant(local_day) // DAY
    newest = int(bank.state.of("habit", "habit")["hour"][slot])
    if newest - HOURS < day * 24:
        ring = bank.state.of("habit", "hours")[slot]
        return float(
            np.nansum(ring[[hour % HOURS for hour in range(day * 24, min(day * 24 + 24, newest + 1))]])
        )
    return float(book_of(bank.state.of("habit", "book")[slot])[day % DAYS, MEAN] * 24)


# --- units, multipliers, stamps -----------------------------------------------------------------------


def test_values_are_taken_in_the_unit_of_the_registry() -> None:
    bank = make_bank([Meter(meter_id="m", kind="register", unit="m3")])
    outcome = feed(
        bank,
        [
            Row("m", START, 1.0, unit="m3"),
            Row("m", START + HOUR, 2500.0, unit="L"),
            Row("m", START + 2 * HOUR, 3.0),
        ],
    )
    assert outcome.rejects == []
    assert float(pulse(bank, "m")["usage"]) == 2.0


def test_another_quantity_is_bad_and_said_so() -> None:
    bank = make_bank(
        [Meter(meter_id="m", kind="register", unit="m3"), Meter(meter_id="n", kind="register", unit="m3")]
    )
    rows = [Row(name, START + i * HOUR, float(i), unit="kW.h") for i in range(3) for name in ("m", "n")]
    outcome = feed(bank, [*rows, Row("m", START + 3 * HOUR, 7.0)])
    assert outcome.counts["unit_mismatch"] == outcome.counts["bad"] == 6
    assert [reject.raw for reject in outcome.rejects] == [b"[0.0, 1.0, 2.0]"] * 2
    assert "meter m: " in outcome.rejects[0].reason
    assert "correct the payload's unit or the registry's" in outcome.rejects[0].reason
    assert (int(pulse(bank, "m")["count"]), float(pulse(bank, "m")["value"])) == (1, 7.0)


@pytest.mark.parametrize("known", [True, False])
def test_a_meter_whose_unit_nobody_states_takes_the_first_that_it_speaks_in(known: bool) -> None:
    bank = make_bank([Meter(meter_id="m", kind="register")] if known else [])
    feed(
        bank,
        [
            Row("m", START, 1.0),
            Row("m", START + HOUR, 2000.0, unit="L"),
            Row("m", START + 2 * HOUR, 3.0, unit="m3"),
        ],
    )
    assert bank.meter(bank.slots["m"]).unit == "L"
    assert float(pulse(bank, "m")["value"]) == 3000.0


def test_the_registry_multiplies_and_so_may_a_payload() -> None:
    bank = make_bank([Meter(meter_id="m", kind="register", multiplier=40.0)])
    feed(bank, [Row("m", START, 1.0), Row("m", START + HOUR, 2.0, sparse={"multiplier": 0.5})])
    assert (float(pulse(bank, "m")["prev_value"]), float(pulse(bank, "m")["value"])) == (40.0, 40.0)


def test_an_interval_may_be_stamped_with_its_start() -> None:
    bank = make_bank([Meter(meter_id="m", kind="interval", interval_s=3600, stamp="start")])
    feed(bank, [Row("m", START + i * HOUR, 5.0) for i in range(24)])
    assert int(pulse(bank, "m")["time"]) == START + DAY
    assert day_of(bank, "m", "2024-01-01") == 120.0


def test_what_nobody_says_is_cumulative_is_not_subtracted() -> None:
    """Neither payload nor registry states the kind: kept as a level, and no alarm when it falls."""
    bank = make_bank([Meter(meter_id="known")])
    rows = [Row(name, START + i * HOUR, 50.0 - i) for i in range(5) for name in ("known", "unknown")]
    outcome = feed(bank, rows)
    assert outcome.flags == []
    for name in ("known", "unknown"):
        assert (int(pulse(bank, name)["count"]), float(pulse(bank, name)["usage"])) == (5, 0.0)
    # Once it is known to be a register, differences go on from its newest value.
    bank.register([Meter(meter_id="unknown", kind="register")], outcome)
    feed(bank, [Row("unknown", START + 5 * HOUR, 48.0)])
    assert float(pulse(bank, "unknown")["usage"]) == 2.0


def test_registers_of_a_meter_are_apart_and_may_measure_something_else() -> None:
    bank = make_bank([Meter(meter_id="m", kind="register", unit="kW.h", digits=6)])
    rows = []
    for i in range(4):
        time = START + i * HOUR
        rows.append(Row("m", time, 10.0 * i))
        rows.append(Row("m", time, 100.0 + i, sparse={"register": "1.8.2"}))
        rows.append(Row("m", time, 230.0 - i, unit="V", sparse={"register": "32.7.0"}))
    outcome = feed(bank, rows)
    assert (outcome.flags, outcome.rejects) == ([], [])
    assert [float(pulse(bank, c)["usage"]) for c in ("m", f"m{BETWEEN}1.8.2", f"m{BETWEEN}32.7.0")] == [
        30.0,
        3.0,
        0.0,
    ]
    volts = bank.slots[f"m{BETWEEN}32.7.0"]
    assert (bank.meter(volts).unit, bank.meter(volts).kind) == ("V", "")
    bank.register([Meter(meter_id="m", kind="register", unit="MW.h", tariff="t")], outcome)
    assert (bank.meter(volts).unit, bank.meter(volts).tariff) == ("V", "t")
    assert bank.meter(bank.slots[f"m{BETWEEN}1.8.2"]).unit == "MW.h"
    assert float(pulse(bank, f"m{BETWEEN}32.7.0")["value"]) == 227.0
    flags = feed(bank, [Row("m", START + 9 * HOUR, 0.001, sparse={"register": "1.8.2"})]).flags
    assert [(f.kind, f.meter_id, f.evidence["register"]) for f in flags] == [("rollback", "m", "1.8.2")]


# --- time -----------------------------------------------------------------------------------------------


def test_the_watermark_is_the_newest_plausible_time_less_the_lateness() -> None:
    bank = make_bank([], lateness_ns=2 * HOUR)
    assert bank.watermark == NEVER
    outcome = Outcome()
    bank.tick(START, outcome)
    assert bank.watermark == NEVER  # time begins with the first reading
    feed(bank, [Row("m", START, 1.0)])
    assert bank.watermark == START - 2 * HOUR
    feed(bank, [Row("m", START + 5 * HOUR, 1.0), Row("n", START + HOUR, 1.0)])
    assert bank.watermark == START + 3 * HOUR
    bank.tick(START + 6 * HOUR, outcome)
    assert bank.watermark == START + 4 * HOUR
    bank.tick(START, outcome)
    assert bank.watermark == START + 4 * HOUR


def test_a_clock_far_ahead_moves_nothing_and_is_flagged_once() -> None:
    bank = make_bank([Meter(meter_id="m", kind="register")], ahead_ns=15 * MINUTE)
    rows = [
        Row("m", START, 1.0, received=START + NS),
        Row("m", START + 9 * DAY, 2.0, received=START + HOUR),
        Row("m", START + 9 * DAY + HOUR, 3.0, received=START + 2 * HOUR),
        Row("m", START + 15 * MINUTE + 3 * HOUR, 4.0, received=START + 3 * HOUR),  # just believed
    ]
    outcome = feed(bank, rows)
    assert [(f.kind, f.status) for f in outcome.flags] == [
        ("clock_drift", "raised"),
        ("clock_drift", "cleared"),
    ]
    assert outcome.flags[0].evidence["seconds_ahead"] == 9 * 86400 - 3600 - 900
    assert outcome.counts["ahead"] == 2
    assert bank.watermark == rows[3].time
    assert float(pulse(bank, "m")["usage"]) == 3.0


def test_days_are_those_of_the_meters_zone() -> None:
    """Madrid goes to summer time on 31 March: its day is from 23:00 to 22:00 UTC."""
    meters = [
        Meter(meter_id=tz or "UTC", kind="interval", interval_s=3600, tz=tz) for tz in ("", "Europe/Madrid")
    ]
    bank = make_bank(meters)
    start = instant("2024-03-29T00:00:00")
    feed(bank, [Row(m.meter_id, start + (i + 1) * HOUR, 1.0) for i in range(24 * 5) for m in meters])
    assert [day_of(bank, "UTC", f"2024-03-{d}") for d in (29, 30, 31)] == [24.0] * 3
    assert [day_of(bank, "Europe/Madrid", f"2024-03-{d}") for d in (30, 31)] == [24.0, 23.0]


def test_what_comes_late_amends_a_day_that_is_still_open() -> None:
    meter = Meter(meter_id="m", kind="interval", interval_s=3600)
    bank = make_bank([meter])
    hours = [Row("m", START + (i + 1) * HOUR, 1.0) for i in range(24 * 4)]
    missing, corrected = hours[24 * 3 + 5], hours[24 * 3 + 7]
    feed(bank, [row for row in hours[: 24 * 3 + 8] if row is not missing])
    day = "2024-01-04"
    assert day_of(bank, "m", day) == 7.0
    outcome = feed(bank, [missing.but(value=4.0), corrected.but(value=3.0)])
    assert outcome.counts == {"readings": 2, "late": 1, "correction": 1}
    assert day_of(bank, "m", day) == 13.0
    # The second day has been judged: it stays as it was, the total does not.
    before = float(pulse(bank, "m")["usage"])
    feed(bank, [hours[30].but(time=hours[30].time + MINUTE, value=9.0)])
    assert day_of(bank, "m", "2024-01-02") == 24.0
    assert float(pulse(bank, "m")["usage"]) == before  # its interval slot has been seen: a repetition


def test_days_that_nobody_saw_are_not_days_without_use() -> None:
    """Five days of silence in an interval meter raise no low usage."""
    meter = Meter(meter_id="m", kind="interval", interval_s=3600, commodity="water", unit="m3")
    bank = make_bank([meter])
    rng = np.random.default_rng(3)
    rows = [
        Row("m", START + (i + 1) * HOUR, float(rng.uniform(0.1, 0.3)))
        for i in range(24 * 70)
        if not 24 * 50 <= i < 24 * 55
    ]
    assert {flag.family for flag in feed(bank, rows).flags} == {"data"}
    assert math.isnan(day_of(bank, "m", "2024-02-21"))


def test_a_long_silence_is_no_spike_afterwards() -> None:
    """What the line is made of has left the memory: it is made anew first."""
    meter = Meter(meter_id="m", kind="interval", interval_s=3600, commodity="water", unit="m3")
    hours = [i for i in range(24 * 90) if not 24 * 30 <= i < 24 * 60]
    assert [
        f
        for f in feed(make_bank([meter]), [Row("m", START + i * HOUR, 1.0) for i in hours]).flags
        if f.kind == "spike"
    ] == []


# --- repetitions ----------------------------------------------------------------------------------------


def test_a_raw_message_is_taken_once() -> None:
    bank = make_bank([Meter(meter_id="m", kind="interval")])
    rows = [Row("m", START + i * HOUR, 1.0, digest=b"one.............") for i in range(3)]
    other = Row("m", START + 3 * HOUR, 1.0, digest=b"other...........")
    feed(bank, rows[:1])
    outcome = feed(bank, [rows[0], other, *rows[1:]])
    assert outcome.counts == {"readings": 1, "redelivered": 3}
    assert int(pulse(bank, "m")["count"]) == 2


def test_the_digests_kept_are_the_latest() -> None:
    recent = Recent()
    digests = [n.to_bytes(16, "big") for n in range(KEEP + 10)]
    assert all(recent.add(d) for d in digests)
    assert not any(recent.add(d) for d in digests[10:])
    again = Recent(recent.dump())
    assert again.dump() == recent.dump()
    assert again.add(digests[0])
    assert not again.add(digests[-1])


def test_equal_payloads_with_times_of_arrival_are_two_readings() -> None:
    bank = make_bank([])
    row = Row("m", START, 1.0, Kind.INTERVAL, marks=Mark.ARRIVAL_TIME)
    feed(bank, [row, row.but(time=START + MINUTE)])
    assert int(pulse(bank, "m")["count"]) == 2


# --- the whole of it --------------------------------------------------------------------------------------


def test_the_census_counts_the_unknown_and_those_that_warm_up() -> None:
    bank = make_bank(
        [Meter(meter_id="silent", kind="interval"), Meter(meter_id="m", kind="interval", interval_s=3600)]
    )
    assert bank.census() == (2, 0, 2)
    feed(bank, [Row("stranger", START, 1.0)])
    assert bank.census() == (3, 1, 3)
    feed(bank, [Row("m", START + i * HOUR, 0.5) for i in range(24 * 20)])
    assert bank.census() == (3, 1, 2)
    bank.vacate("stranger")
    bank.tick(START + 30 * DAY, Outcome())
    assert bank.census() == (2, 0, 1)


def test_an_empty_batch_is_nothing() -> None:
    bank = make_bank([])
    outcome = feed(bank, [])
    bank.update(as_columns([]), outcome)
    assert (len(bank), bank.watermark, outcome.counts) == (0, NEVER, {})


def test_it_grows_and_keeps_what_it_has() -> None:
    bank = make_bank([])
    names = [f"m{i}" for i in range(3000)]
    for first in range(0, len(names), 700):
        feed(bank, [Row(name, START, 1.0, Kind.REGISTER) for name in names[first : first + 700]])
    feed(bank, [Row(name, START + HOUR, 2.0 + i, Kind.REGISTER) for i, name in enumerate(names)])
    usage = bank.state.of("intervals", "pulse")["usage"][: len(bank)]
    assert usage.tolist() == [1.0 + i for i in range(3000)]


def test_more_cohorts_than_there_are_codes_share_the_last() -> None:
    bank = make_bank([Meter(meter_id=f"m{i}", meter_class=f"class{i}") for i in range(MOST_COHORTS + 20)])
    cohorts = bank.state.meters["cohort"][: len(bank)].tolist()
    assert cohorts == [min(i, MOST_COHORTS) for i in range(len(bank))]


def test_quality_bad_and_infinite_values_feed_nothing() -> None:
    bank = make_bank([Meter(meter_id="m", kind="interval")])
    rows = [Row("m", START + i * HOUR, v) for i, v in enumerate((math.inf, -math.inf, math.nan))]
    outcome = feed(bank, [*rows, Row("m", START + 3 * HOUR, 1.0, quality=Quality.BAD)])
    assert outcome.counts == {"readings": 4, "bad": 4}
    assert int(pulse(bank, "m")["count"]) == 0


def test_a_zone_that_this_machine_does_not_know_is_utc() -> None:
    bank = make_bank([Meter(meter_id="m", kind="interval", interval_s=3600, tz="Mars/Olympus")])
    feed(bank, [Row("m", START + (i + 1) * HOUR, 1.0) for i in range(60)])
    assert day_of(bank, "m", "2024-01-02") == 24.0
    assert dict(canonical(bank))["m"]["meter"]["tz"] == "Mars/Olympus"
