"""What every detector promises of itself, of all in ``CATALOGUE``: none escapes."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import FrozenInstanceError, fields, replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import detectors
from detectors import CATALOGUE, Intervals, default
from detectors.base import ROOM, Detector
from streams.messages import FAMILY_OF, Mark, Quality
from streams.registry import Meter
from streams.state.bank import Outcome
from tests.streams_of_readings import HOUR, MINUTE, Row, Stream, as_columns, feed, instant
from tests.test_contract import make_bank

NAMES = [type(detector).__name__ for detector in default()]


def concrete() -> set[type]:
    """Every class of the package that can be asked to update and to advance."""
    found = set()
    for module in pkgutil.walk_packages(detectors.__path__, "detectors."):
        for _, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            ours = kind.__module__.startswith("detectors.") and kind is not Detector
            if ours and all(callable(getattr(kind, verb, None)) for verb in ("update", "advance")):
                found.add(kind)
    return found


def test_no_detector_escapes() -> None:
    assert concrete() == set(CATALOGUE)
    assert [type(one) for one in default()] == list(CATALOGUE)
    assert len({detector.name for detector in default()}) == len(CATALOGUE)
    assert CATALOGUE[0] is Intervals  # it tells the others what a reading is


@pytest.mark.parametrize("make", CATALOGUE, ids=NAMES)
def test_parameters_are_frozen_checked_and_told(make: type[Any]) -> None:
    detector = make()
    assert detector == make()
    assert hash(detector) == hash(make())
    told = detector.parameters()
    numbers = [field for field in fields(make) if field.name != "heads"]
    assert set(told) == {field.name for field in numbers}
    for field in numbers:
        with pytest.raises(FrozenInstanceError):
            setattr(detector, field.name, 1)
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match=r"need .*got"):
                replace(detector, **{field.name: wrong})


@pytest.mark.parametrize("make", CATALOGUE, ids=NAMES)
def test_it_says_what_it_is_what_it_costs_and_where_it_comes_from(make: type[Any]) -> None:
    text = inspect.getdoc(make) or ""
    assert text.partition("\n")[0].endswith(".")
    assert "[1]_" in text
    assert ".. [1] " in text
    for label in ("Shapes ", "Not for ", "Cost "):
        assert any(line.startswith(label) for line in text.splitlines()), label
    for field in fields(make):
        assert field.name in text, field.name


@pytest.mark.parametrize("make", CATALOGUE, ids=NAMES)
def test_its_kinds_columns_and_evidence_fit_together(make: type[Any]) -> None:
    detector = make()
    assert detector.version >= 1
    assert set(detector.evidence) == set(detector.kinds)
    assert set(detector.kinds) <= set(FAMILY_OF)
    for names in detector.evidence.values():
        assert 1 <= len(names) <= 6
        assert len(set(names)) == len(names)
    assert len({column.name for column in detector.columns}) == len(detector.columns)
    for column in detector.columns:
        inside = set(column.dtype.names or ("",))
        assert set(column.scales) <= inside
        assert set(column.counters) <= inside
        assert column.new(3).shape == ((3, column.width) if column.width else (3,))


@pytest.mark.parametrize("make", CATALOGUE, ids=NAMES)
def test_a_meter_that_has_never_spoken_is_warming_up(make: type[Any]) -> None:
    bank = make_bank([Meter(meter_id="silent")], [Intervals(), make()] if make is not Intervals else [make()])
    assert not bank.detectors[-1].ready(bank.state, np.array([0]))[0]
    outcome = Outcome()
    bank.update(as_columns([Row("other", instant("2024-01-01"), 1.0)]), outcome)
    bank.tick(instant("2025-01-01"), outcome)
    assert outcome.flags == []


def test_evidence_is_told_under_its_names() -> None:
    """Every number of a finding that is one has a name, and none but those."""
    start = instant("2024-01-01")
    rows = [Row("m", start + i * HOUR, 100.0 + i, received=start + i * HOUR) for i in range(5)]
    rows.append(Row("m", start + 5 * HOUR, 3.0, received=start + 5 * HOUR))
    rows.append(Row("m", start + 6 * HOUR, 104.5, received=start + 6 * HOUR))
    flags = feed(make_bank([Meter(meter_id="m", kind="register")]), rows).flags
    assert [(f.kind, f.status) for f in flags] == [
        ("rollback", "raised"), ("misread", "updated"), ("misread", "cleared"),
    ]  # fmt: skip
    names = dict(Intervals().evidence)
    for flag in flags:
        own = set(flag.evidence) - {"detector", "version", "parameters", "seen_as"}
        # Of a register nothing is told of intervals; of a fall that is not one of many, nothing of how many.
        told = {name for name in names[flag.evidence.get("seen_as", flag.kind)] if "interval" not in name}
        told.discard("falls_of_late")
        assert own == told
    assert flags[0].evidence["register_before"] == 104.0
    assert flags[0].evidence["register_now"] == 3.0


def test_one_batch_has_room_for_all_that_its_rows_can_say() -> None:
    """Every meter swapped at once while its rollback and its clock episode are open: four findings a row."""
    start = instant("2024-01-01")
    names = [f"m{i}" for i in range(300)]
    bank = make_bank([Meter(meter_id=name, kind="register") for name in names])

    def at(minutes: int, value: float, serial: str, ahead: int = 0) -> list[Row]:
        moment = start + minutes * MINUTE
        return [Row(n, moment + ahead, value, received=moment, sparse={"serial": serial}) for n in names]

    feed(bank, [*at(0, 500.0, "old"), *at(10, 90.0, "old"), *at(15, 90.0, "old", 2 * HOUR)])
    flags = feed(bank, at(20, 1.0, "new")).flags
    assert len(flags) == ROOM * len(names)
    assert [(f.kind, f.status) for f in flags[:ROOM]] == [
        ("clock_drift", "cleared"), ("rollback", "cleared"), ("meter_swap", "raised"), ("meter_swap", "cleared"),
    ]  # fmt: skip
    assert {f.meter_id for f in flags} == set(names)


#: Rules that have nothing to judge there (their own suites see them ready).
NOT_OF_A_WATER_METER = {  # or not of one that is read by the hour
    "spike", "high_low", "gas_flow", "limits", "rate", "frozen", "voltage", "interruptions", "transformer",
    "balance", "night_minimum", "bill_shock",
}  # fmt: skip


@pytest.mark.parametrize("mark", [Mark.HISTORICAL, Mark.RETAINED])
def test_history_seeds_the_state_and_raises_nothing(mark: Mark) -> None:
    start = instant("2023-01-01")
    meters = [Meter(meter_id="m", kind="interval", interval_s=3600, commodity="water", unit="m3")]
    rows = [
        Row("m", start + i * HOUR, 50.0 if i > 1500 else (i % 24) / 64, marks=int(mark)) for i in range(2000)
    ]
    live = [row.but(marks=0) for row in rows]
    assert feed(make_bank(meters), rows).flags == []
    assert feed(make_bank(meters), live).flags != []
    bank = make_bank(meters)
    feed(bank, rows)
    told = {detector.name for detector in bank.detectors if detector.ready(bank.state, np.array([0]))[0]}
    assert told == {detector.name for detector in bank.detectors} - NOT_OF_A_WATER_METER


def test_bad_quality_feeds_nothing() -> None:
    start = instant("2023-01-01")
    meters = [Meter(meter_id="m", kind="interval", interval_s=3600)]
    bank = make_bank(meters)
    feed(bank, [Row("m", start + i * HOUR, 1.0, quality=Quality.BAD) for i in range(50)])
    fresh = make_bank(meters)
    pulse, blank = bank.state.of("intervals", "pulse")[0], fresh.state.of("intervals", "pulse")[0]
    assert int(pulse["bad"]) == 50
    assert {n: pulse[n] for n in pulse.dtype.names if n != "bad"} == {
        n: blank[n] for n in blank.dtype.names if n != "bad"
    }


def test_streams_say_what_they_are() -> None:
    """A failing stream is told in a line, not in a thousand."""
    assert len(repr(Stream([Meter(meter_id="m")], []))) < 200
