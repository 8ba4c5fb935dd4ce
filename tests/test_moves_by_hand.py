"""Meters that change partition, step by step: what moves along, what waits, what is given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import default
from detectors.base import Detector
from streams.columns import Arrive, Depart, Expect, Registry, decode, encode, encode_control
from streams.messages import Kind
from streams.registry import Meter
from streams.state import moves, partition
from streams.state.bank import BankConfig, Outcome
from streams.state.handover import install, release
from streams.state.partition import Partition
from tests.banks import line
from tests.streams_of_readings import HOUR, Row, as_columns, feed, instant, make_bank

START = instant("2024-01-01")


def handled(worker: Partition, *messages: bytes) -> tuple[Outcome, list[tuple[int, Any]]]:
    """One after the other; the last outcome, and all that was sent, decoded."""
    sent: list[tuple[int, Any]] = []
    outcome = Outcome()
    for raw in messages:
        outcome, sends = worker.handle(raw)
        sent += [(target, decode(message)) for target, message in sends]
    return outcome, sent


def batch(*rows: Row) -> bytes:
    return encode(as_columns(rows))


def two(detectors: Iterable[Detector] = ()) -> tuple[Partition, Partition]:
    config = BankConfig(tuple(detectors) or default())
    return Partition(config, 0), Partition(config, 1)


def test_an_unknown_meter_becomes_known_and_keeps_its_state() -> None:
    """It spoke as an area of its own, in cubic metres; the registry puts it elsewhere and counts litres."""
    old, new = two()
    rows = [Row("m", START + i * HOUR, float(i), Kind.REGISTER, unit="m3") for i in range(30)]
    handled(old, batch(*rows))
    assert not old.bank.meter(old.bank.slots["m"]).known
    known = Meter(meter_id="m", kind="register", unit="L", area="north")
    handled(new, encode_control(Expect([known], [1])), batch(Row("m", START + 30 * HOUR, 30_000.0)))
    assert "m" not in new.bank.slots
    outcome, sent = handled(old, encode_control(Depart({"m": 1}, 1)))
    assert outcome.counts == {"meters_departed": 1}
    ((target, arrive),) = sent
    assert target == 1
    outcome, _ = handled(new, encode_control(arrive))
    assert outcome.counts == {
        "meters_arrived": 1, "meters_became_known": 1, "meters_rescaled": 1, "readings": 1,
    }  # fmt: skip
    slot = new.bank.slots["m"]
    pulse = new.bank.state.of("intervals", "pulse")[slot]
    assert (int(pulse["count"]), float(pulse["value"]), float(pulse["usage"])) == (31, 30_000.0, 30_000.0)
    assert new.bank.meter(slot) == known
    assert "m" not in old.bank.slots
    assert len(old.bank) == 1  # its place stays empty


def test_a_meter_that_nobody_knew_starts_where_it_is_expected() -> None:
    old, new = two()
    meter = Meter(meter_id="m", kind="register")
    handled(new, encode_control(Expect([meter], [1])), batch(Row("m", START, 5.0)))
    _, ((_, arrive),) = handled(old, encode_control(Depart({"m": 1}, 1)))
    assert arrive == Arrive({"m": (1, b"")})
    handled(new, encode_control(arrive))
    assert int(new.bank.state.of("intervals", "pulse")[new.bank.slots["m"]]["count"]) == 1


def test_registers_and_open_episodes_move_along() -> None:
    old, new = two()
    meter = Meter(meter_id="m", kind="register", area="a")
    rows = [
        Row("m", START, 500.0), Row("m", START, 7.0, sparse={"register": "night"}),
        Row("m", START + HOUR, 20.0), Row("m", START + HOUR, 8.0, sparse={"register": "night"}),
    ]  # fmt: skip
    outcome, _ = handled(old, encode_control(Registry([meter])), batch(*rows))
    (raised,) = outcome.flags
    assert raised.kind == "rollback"
    before = line(old.bank, "m")
    handled(new, encode_control(Expect([meter], [1])))
    _, ((_, arrive),) = handled(old, encode_control(Depart({"m": 1}, 1)))
    handled(new, encode_control(arrive))
    assert line(new.bank, "m") == before
    assert old.bank.open_episodes() == []
    outcome, _ = handled(new, batch(Row("m", START + 2 * HOUR, 510.0)))
    assert [(f.id, f.kind, f.status) for f in outcome.flags] == [
        (raised.id, "misread", "updated"), (raised.id, "misread", "cleared"),
    ]  # fmt: skip


def test_what_reaches_the_old_partition_is_sent_on_once() -> None:
    old, new = two()
    meter = Meter(meter_id="m", kind="interval", interval_s=3600)
    handled(old, batch(Row("m", START, 1.0)))
    handled(new, encode_control(Expect([meter], [1])))
    _, ((_, arrive),) = handled(old, encode_control(Depart({"m": 1}, 1)))
    handled(new, encode_control(arrive))
    mixed = batch(
        Row("m", START + HOUR, 2.0, digest=b"x" * 16), Row("other", START + HOUR, 9.0, digest=b"y" * 16)
    )
    outcome, sent = handled(old, mixed)
    assert outcome.counts["readings"] == 1
    ((target, passed),) = sent
    assert target == 1
    assert passed.source_of(0).digest == b"x" * 16
    assert passed.digests[:16] != b"x" * 16  # the message's other readings may still come by another way
    for _ in range(2):  # a worker that starts again sends it again
        handled(new, encode(passed))
    assert int(new.bank.state.of("intervals", "pulse")[new.bank.slots["m"]]["count"]) == 2
    outcome, sent = handled(old, mixed)
    assert (outcome.counts, sent) == ({"redelivered": 2}, [])


def test_a_new_row_finds_the_meter_that_has_left_or_is_on_its_way() -> None:
    old, new = two()
    meter = Meter(meter_id="m", kind="interval")
    newer = Meter(meter_id="m", kind="interval", tariff="night")
    handled(old, encode_control(Registry([meter])))
    handled(new, encode_control(Expect([meter], [1])), encode_control(Registry([newer])))
    assert "m" not in new.bank.slots
    _, ((_, arrive),) = handled(old, encode_control(Depart({"m": 1}, 1)))
    handled(new, encode_control(arrive))
    assert new.bank.meter(new.bank.slots["m"]).tariff == "night"
    _, sent = handled(old, encode_control(Registry([meter])))
    assert sent == [(1, Registry([meter]))]
    assert "m" not in old.bank.slots


def test_a_state_that_does_not_come_is_given_up_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "HELD", 10)
    _, new = two()
    meter = Meter(meter_id="m", kind="interval", interval_s=3600)
    handled(new, encode_control(Expect([meter], [1])))
    rows = [Row("m", START + i * HOUR, 1.0) for i in range(11)]
    outcome, _ = handled(new, *[batch(row) for row in rows[:10]])
    assert "m" not in new.bank.slots
    outcome, _ = handled(new, batch(rows[10]))
    assert outcome.counts["moves_given_up"] == 1
    assert int(new.bank.state.of("intervals", "pulse")[new.bank.slots["m"]]["count"]) == 11
    # Its old state is late: what has been counted since is not thrown away for it.
    outcome, _ = handled(new, encode_control(Arrive({"m": (1, b"")})))
    assert outcome.counts == {"arrivals_repeated": 1}
    assert moves.HELD >= 10_000


@pytest.mark.parametrize("damage", [b"\xc1", b"junk", b"\x92\x09\x90"])
def test_a_damaged_state_is_a_dead_letter_and_the_meter_starts_afresh(damage: bytes) -> None:
    _, new = two()
    handled(
        new, encode_control(Expect([Meter(meter_id="m", kind="register")], [1])), batch(Row("m", START, 5.0))
    )
    outcome, _ = handled(new, encode_control(Arrive({"m": (1, damage)})))
    (reject,) = outcome.rejects
    assert "meter m starts afresh: expected" in reject.reason
    assert reject.raw == damage
    assert int(new.bank.state.of("intervals", "pulse")[new.bank.slots["m"]]["count"]) == 1


def test_garbage_is_a_reject_and_changes_nothing() -> None:
    worker, _ = two()
    outcome, sends = worker.handle(b"\xff\xfe")
    assert "expected a batch, tick, registry event or move" in outcome.rejects[0].reason
    assert (sends, len(worker.bank)) == ([], 0)


def test_a_change_of_area_within_the_partition_keeps_the_state() -> None:
    worker, _ = two()
    meter = Meter(meter_id="m", kind="register", area="a")
    handled(
        worker, encode_control(Registry([meter])), batch(Row("m", START, 5.0), Row("m", START + HOUR, 6.0))
    )
    before = worker.bank.state.of("intervals", "pulse")[0].copy()
    moved = msgspec.structs.replace(meter, area="b")
    outcome, _ = handled(worker, encode_control(Registry([moved])))
    assert outcome.counts == {"area_changes": 1}
    assert worker.bank.state.of("intervals", "pulse")[0] == before
    assert worker.bank.state.meters["area"][0] == worker.bank.areas["b"]


@pytest.mark.parametrize(
    ("change", "counted", "factor"),
    [
        ({"unit": "L"}, "meters_rescaled", 1000.0),
        ({"multiplier": 4.0}, "meters_rescaled", 2.0),
        ({"unit": "kW.h"}, "meters_started_afresh", 0.0),
        ({"tariff": "night"}, "", 1.0),
    ],
)
def test_a_changed_unit_takes_the_state_along(change: dict[str, Any], counted: str, factor: float) -> None:
    meter = Meter(meter_id="m", kind="register", unit="m3", multiplier=2.0)
    bank = make_bank([meter])
    feed(bank, [Row("m", START + i * HOUR, 10.0 * i) for i in range(100)])
    before = {key: array[0].copy() for key, array in bank.state.arrays.items()}
    outcome = Outcome()
    bank.register([msgspec.structs.replace(meter, **change)], outcome)
    assert outcome.counts == ({counted: 1} if counted else {})
    for detector in bank.detectors:
        for column in detector.columns:
            cells, old = bank.state.of(detector.name, column.name)[0], before[detector.name, column.name]
            if not factor:
                old = column.new(1)[0]  # of a meter that has never spoken
            for name in column.scales:
                np.testing.assert_allclose(
                    cells[name] if name else cells, (old[name] if name else old) * (factor or 1.0)
                )


def test_install_is_the_inverse_of_release() -> None:
    bank, other = make_bank([Meter(meter_id="m", kind="register", tz="Europe/Madrid")]), make_bank()
    feed(bank, [Row("m", START + i * HOUR, 3.0 * i) for i in range(500)])
    before = line(bank, "m")
    install(other, release(bank, "m"))
    assert line(other, "m") == before
    install(bank, release(other, "m"))
    assert line(bank, "m") == before
    assert len(other.slots) == 0
