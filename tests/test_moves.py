"""Meters that change partition, in every order that the log permits: no reading lost, none taken twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import ContinuousFlow, Intervals, Spike, default
from detectors.base import Detector
from streams.columns import Arrive, Depart, Expect, Registry, decode, encode, encode_control
from streams.messages import Kind
from streams.registry import Meter
from streams.state import moves, partition
from streams.state.bank import Bank, BankConfig, Outcome
from streams.state.dump import canonical
from streams.state.handover import install, release
from streams.state.partition import Partition
from tests.streams_of_readings import DAY, HOUR, Row, as_columns, examples, feed, instant, make_bank

START = instant("2024-01-01")


class Cluster:
    """Partitions with their logs; each worker takes the next message of its own log when told to."""

    def __init__(self, partitions: int, detectors: Sequence[Detector]) -> None:
        self.config = BankConfig(tuple(detectors))
        self.logs: list[list[bytes]] = [[] for _ in range(partitions)]
        self.tables: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.workers = [self._start(number) for number in range(partitions)]
        self.counts: Counter[str] = Counter()

    def _start(self, number: int) -> Partition:
        worker = Partition(self.config, number, self.tables[number])
        worker.next_offset = max(worker.next_offset, 0)
        return worker

    def step(self, number: int) -> bool:
        """Handle one message; what it sends on is appended at once. False where there is none."""
        worker = self.workers[number]
        if worker.next_offset >= len(self.logs[number]):
            return False
        outcome, sends = worker.handle(self.logs[number][worker.next_offset])
        assert not outcome.rejects
        worker.next_offset += 1
        for target, raw in sends:
            self.logs[target].append(raw)
        self.counts.update(outcome.counts)
        return True

    def checkpoint(self, number: int) -> None:
        worker = self.workers[number]
        draft = worker.draft()
        if draft is not None:
            self.tables[number].update([*draft.records, draft.marker])
            for key in worker.ledger.complete(draft):
                self.tables[number].pop(key, None)

    def crash(self, number: int) -> None:
        """Start again from the checkpoint: what came after it is handled, and sent, once more."""
        self.workers[number] = self._start(number)

    def drain(self) -> None:
        for _ in range(100_000):
            moved = [self.step(number) for number in range(len(self.workers))]
            if not any(moved):
                return
        raise AssertionError("messages go round in circles")

    def holders(self, meter: str) -> list[Bank]:
        return [worker.bank for worker in self.workers if meter in worker.bank.slots]


@dataclass
class Ingest:
    """One ingest's view of where meters are and how often they have moved; it may be behind."""

    cluster: Cluster
    homes: dict[str, int]
    moves: Counter[str] = field(default_factory=Counter)

    def read(self, row: Row) -> None:
        home = self.homes[row.meter]
        self.cluster.logs[home].append(encode(as_columns([row])))

    def move(self, meter: Meter, new: int, steps: str = "expect depart") -> None:
        """Publish that a meter lives elsewhere; with less than all steps, as one that was interrupted."""
        name = meter.meter_id
        old, number = self.homes[name], self.moves[name] + 1
        if old == new:
            return
        if "expect" in steps:
            self.cluster.logs[new].append(encode_control(Expect([meter], [number])))
        if "depart" in steps:
            self.cluster.logs[old].append(encode_control(Depart({name: number}, new)))
            self.homes[name], self.moves[name] = new, number


def readings(meter: str, kind: Kind, spacing: int, count: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    amounts = np.round(rng.uniform(0, 4, count) * 64) / 64 * np.where(rng.random(count) < 0.1, 8, 1)
    values = amounts if kind == Kind.INTERVAL else 50 + np.cumsum(amounts)
    return [
        Row(meter, START + (i + 1) * spacing, float(values[i]), kind, digest=_digest(meter, i))
        for i in range(count)
    ]


def _digest(meter: str, number: int) -> bytes:
    return meter.encode().ljust(8, b".") + (number + 1).to_bytes(8, "big")


def line(bank: Bank, meter: str) -> bytes:
    """What is known of a meter, as text."""
    told = {channel: cell for channel, cell in canonical(bank) if channel.partition("#")[0] == meter}
    return msgspec.json.encode(told, order="deterministic")


# Which partition's worker acts, and how.
ACTIONS = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("read"), st.integers(0, 1)),
    st.tuples(st.just("read"), st.integers(0, 1)),
    st.tuples(st.just("move"), st.integers(0, 5)),
    st.tuples(st.just("half"), st.integers(0, 5)),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("checkpoint"), st.integers(0, 2)),
    st.tuples(st.just("crash"), st.integers(0, 2)),
)

KINDS = (
    ((Intervals(), Spike(), ContinuousFlow()), HOUR, Kind.INTERVAL, 3600.0),
    ((Intervals(), Spike(), ContinuousFlow()), 6 * HOUR, Kind.REGISTER, None),
    (default(), 25 * DAY, Kind.REGISTER, None),
)


@examples(120, shrink=True)
@given(st.lists(ACTIONS, max_size=90), st.sampled_from(KINDS), st.integers(0, 1000))
def test_a_meter_that_moves_is_one_that_has_stayed(
    actions: list[tuple[str, int]], kind: tuple[Any, int, Kind, float | None], seed: int
) -> None:
    detectors, spacing, what, interval = kind
    cluster = Cluster(3, detectors)
    meters = [
        Meter(meter_id=name, interval_s=interval, unit="m3", commodity="water", area="a")
        for name in ("m", "n")
    ]
    ingest = Ingest(cluster, {"m": 0, "n": 1})
    for meter in meters:
        cluster.logs[ingest.homes[meter.meter_id]].append(encode_control(Registry([meter])))
    rows = {
        meter.meter_id: readings(meter.meter_id, what, spacing, 60, seed + i)
        for i, meter in enumerate(meters)
    }
    taken: dict[str, list[Row]] = {"m": [], "n": []}
    for action, which in actions:
        meter = meters[which % 2]
        if action == "step":
            cluster.step(which)
        elif action == "read" and rows[meter.meter_id]:
            row = rows[meter.meter_id].pop(0)
            taken[meter.meter_id].append(row)
            ingest.read(row)
        elif action == "move":
            ingest.move(meter, which % 3)
        elif action == "half":
            ingest.move(meter, which % 3, "expect")  # it is interrupted, and begins again
            ingest.move(meter, which % 3)
        elif action == "again":
            home = ingest.homes[meter.meter_id]
            cluster.logs[home].append(encode_control(Registry([meter])))
        elif action == "checkpoint":
            cluster.checkpoint(which)
        elif action == "crash":
            cluster.crash(which)
    cluster.drain()
    assert cluster.counts["moves_given_up"] == 0
    for meter in meters:
        name = meter.meter_id
        (holder,) = cluster.holders(name)
        assert holder is cluster.workers[ingest.homes[name]].bank
        stayed = make_bank([meter], detectors)
        feed(stayed, taken[name])
        assert line(holder, name) == line(stayed, name)
    assert not any(worker.bank.moves.waiting for worker in cluster.workers)


@examples(150, shrink=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("step", "step", "step", "read 0", "read 1", "change", "publish 0", "publish 1",
                             "keep 0", "keep 1", "checkpoint", "crash")),
            st.integers(0, 2),
        ),
        max_size=120,
    )
)  # fmt: skip
def test_two_ingests_that_publish_at_the_same_time_lose_nothing(actions: list[tuple[str, int]]) -> None:
    """Each knows what the other has kept, not what it is about to keep; it may read an older file."""
    cluster = Cluster(3, (Intervals(),))
    meter = Meter(meter_id="m", interval_s=3600.0, kind="interval")
    ingests = [Ingest(cluster, {"m": 0}), Ingest(cluster, {"m": 0})]
    kept = (0, 0)  # registry.v1: home and moves
    busy = [False, False]
    registry = 0  # where the file puts the meter
    cluster.logs[0].append(encode_control(Registry([meter])))
    rows = readings("m", Kind.INTERVAL, HOUR, 60, 1)
    total = 0.0
    count = 0
    for action, which in actions:
        verb, _, who = action.partition(" ")
        ingest = ingests[int(who or 0)]
        if verb == "step":
            cluster.step(which)
        elif verb == "read" and rows:
            row = rows.pop(0)
            total, count = total + row.value, count + 1
            ingest.read(row)
        elif verb == "change":
            registry = which
        elif verb == "publish" and not busy[int(who)]:
            ingest.homes["m"], ingest.moves["m"] = kept
            busy[int(who)] = ingest.homes["m"] != registry
            ingest.move(meter, registry)
        elif verb == "keep" and busy[int(who)]:
            kept = (ingest.homes["m"], ingest.moves["m"])
            busy[int(who)] = False
        elif verb == "checkpoint":
            cluster.checkpoint(which)
        elif verb == "crash":
            cluster.crash(which)
    cluster.drain()
    assert not any(worker.bank.moves.waiting for worker in cluster.workers)
    (holder,) = cluster.holders("m")
    pulse = holder.state.of("intervals", "pulse")[holder.slots["m"]]
    assert int(pulse["count"]) == count
    assert float(pulse["usage"]) == total


# --- step by step -----------------------------------------------------------------------------------


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
    assert passed.digests != b"x" * 16  # the message's other readings may still come by another way
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
