"""Meters that change partition, in every order that the log permits: no reading lost, none taken twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors import ContinuousFlow, Intervals, Spike, default
from detectors.base import Detector
from streams.columns import Depart, Expect, Registry, encode, encode_control
from streams.messages import Kind
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig
from streams.state.partition import Partition
from tests.banks import line
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
