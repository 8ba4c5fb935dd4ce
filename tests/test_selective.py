"""A detector that is not called while nothing concerns it, as if it had been called."""

from __future__ import annotations

from hypothesis import given

from detectors.base import Selective
from streams.registry import Meter
from streams.state.handover import install, release
from tests.banks import dumped
from tests.streams_of_readings import HOUR, Row, examples, instant
from tests.test_contract import Log, logs, make_bank, play

START = instant("2024-01-01")
HOME = Meter(meter_id="home", commodity="water", unit="m3", kind="interval", interval_s=3600.0, area="a")
POINT = Meter(meter_id="point", commodity="electricity", unit="V", kind="gauge", interval_s=3600.0, area="a")


@examples(15)
@given(logs())
def test_who_is_never_asked_would_have_said_nothing(drawn: Log) -> None:
    few, all_of_them = make_bank(drawn.meters), make_bank(drawn.meters)
    all_of_them.asked = [True] * len(all_of_them.detectors)
    assert play(few, drawn.items) == play(all_of_them, drawn.items)
    assert dumped(few) == dumped(all_of_them)


def test_a_partition_of_homes_asks_no_rule_for_points() -> None:
    bank = make_bank([HOME])
    play(bank, [Row("home", START + i * HOUR, 1.0) for i in range(5)])
    idle = {d.name for d, asked in zip(bank.detectors, bank.asked, strict=True) if not asked}
    assert idle >= {
        "voltage",
        "interruptions",
        "limits",
        "transformer",
        "night_minimum",
        "gas_flow",
        "tampering",
    }
    assert all(isinstance(d, Selective) for d in bank.detectors if d.name in idle)


def test_a_point_or_an_event_makes_them_ask() -> None:
    for meters, sparse in (([HOME, POINT], {}), ([HOME], {"attributes": {"event": "power outage"}})):
        bank = make_bank(meters)
        play(bank, [Row("home", START, 1.0, sparse=sparse)])
        assert bank.asked[[d.name for d in bank.detectors].index("interruptions")]


def test_state_that_comes_along_is_gone_on_with() -> None:
    """A meter from another partition brings what was learnt of it."""
    old, new = make_bank([POINT]), make_bank([HOME])
    play(old, [Row("point", START + i * HOUR, 230.0) for i in range(20)])
    install(new, release(old, "point"))
    asked = {d.name for d, asked in zip(new.detectors, new.asked, strict=True) if asked}
    assert {"voltage", "interruptions"} <= asked
    new = make_bank([HOME])
    assert "voltage" not in {d.name for d, asked in zip(new.detectors, new.asked, strict=True) if asked}
