"""Checkpoints: crashes written into the test data, and states of other versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import ContinuousFlow, HighLow, Intervals, Spike, default
from detectors.base import BLOCK, Column, Detector
from streams.columns import Registry, Tick, encode, encode_control
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig, Outcome
from streams.state.checkpoint import FORMAT, CheckpointError, Draft, Ledger, restore
from streams.state.dump import canonical
from streams.state.episodes import Episode
from streams.state.partition import Partition
from streams.state.slots import BETWEEN
from tests.streams_of_readings import DAY, HOUR, Row, as_columns, examples, feed, instant, make_bank, streams

CONFIG = BankConfig(default())
CRASH = "crash"  # the process is gone; the next one starts from what is durable


@dataclass(frozen=True)
class Checkpoint:
    """Take a draft, handle some more messages meanwhile, then make its writes durable one by one."""

    writes: int | None = None  # crash after so many of them; None: all, and what they replace is deleted
    meanwhile: int = 0
    refused: bool = False  # written, but its commit is not accepted


@dataclass(frozen=True)
class Zombie:
    """Another owner takes over while this one writes; the rest of its writes arrive late."""

    writes: int  # before the other starts
    messages: int  # that the other handles first
    then: bool  # and whether it has made a checkpoint of its own before the late writes


Step = int | str | Checkpoint | Zombie  # a number: handle so many messages


class World:
    """What is durable: a log, a compacted changelog; and the processes that come and go."""

    def __init__(self, log: Sequence[bytes]) -> None:
        self.log = log
        self.table: dict[bytes, bytes] = {}
        self.flags: set[bytes] = set()
        self.worker = self.start()

    def start(self) -> Partition:
        """The next owner: what is durable, and its claim."""
        self.worker = Partition(CONFIG, 0, dict(self.table))
        key, value = self.worker.ledger.claim
        self.table[key] = value
        return self.worker

    def take(self, messages: int) -> None:
        worker = self.worker
        first = max(worker.next_offset, 0)
        for offset, raw in enumerate(self.log[first : first + messages], first):
            outcome, _ = worker.handle(raw)
            assert not outcome.rejects
            self.flags |= {msgspec.json.encode(flag, order="deterministic") for flag in outcome.flags}
            worker.next_offset = offset + 1

    def writes(self, draft: Draft) -> Iterator[None]:
        """One write after the other; the marker is the last."""
        for key, value in [*draft.records, draft.marker]:
            self.table[key] = value
            yield

    def checkpoint(self, step: Checkpoint) -> None:
        worker = self.worker
        draft = worker.draft()
        if draft is None:
            return
        self.take(step.meanwhile)
        for done, _ in enumerate(self.writes(draft), 1):
            if done == step.writes:
                self.start()
                return
        if step.refused:
            worker.ledger.abandon(draft, worker.bank)
            return
        stale = worker.ledger.complete(draft)
        for done, key in enumerate(stale, len(draft.records) + 2):
            del self.table[key]
            if done == step.writes:
                self.start()
                return

    def zombie(self, step: Zombie) -> None:
        old = self.worker
        draft = old.draft()
        late = self.writes(draft) if draft else iter(())
        for _ in range(step.writes):
            next(late, None)
        self.start()
        self.take(step.messages)
        if step.then:
            self.checkpoint(Checkpoint())
        for _ in late:
            pass

    def run(self, script: Sequence[Step]) -> None:
        for step in script:
            if isinstance(step, int):
                self.take(step)
            elif isinstance(step, Checkpoint):
                self.checkpoint(step)
            elif isinstance(step, Zombie):
                self.zombie(step)
            else:
                self.start()


def dumped(bank: Bank) -> bytes:
    return msgspec.json.encode(list(canonical(bank)), order="deterministic")


def uninterrupted(log: Sequence[bytes]) -> World:
    world = World(log)
    world.take(len(log))
    return world


def assert_nothing_lost(log: Sequence[bytes], script: Sequence[Step]) -> None:
    plain, world = uninterrupted(log), World(log)
    world.run(script)
    world.take(len(log))
    assert dumped(world.worker.bank) == dumped(plain.worker.bank)
    assert world.flags == plain.flags
    assert world.worker.bank.watermark == plain.worker.bank.watermark
    # What is left behind is deleted by the next checkpoint; what that wrote is the state, alone.
    world.start()
    world.take(len(log))
    world.log = [*log, encode_control(Tick(0))]
    world.take(1)
    world.checkpoint(Checkpoint())
    ledger = world.worker.ledger
    assert set(world.table) == {*ledger.live.values(), ledger.marker}
    again, _ = restore(CONFIG, 0, world.table)
    assert dumped(again) == dumped(plain.worker.bank)
    for key, array in again.state.arrays.items():
        assert array[: len(again)].tobytes() == world.worker.bank.state.arrays[key][: len(again)].tobytes(), (
            key
        )


@st.composite
def message_logs(draw: st.DrawFn) -> list[bytes]:
    """Registry, batches of some readings with digests, now and then a message twice, ticks."""
    stream = draw(streams(days=60, spacings=(6 * HOUR, DAY), most_rows=240))
    log = [encode_control(Registry(stream.meters))]
    cuts = sorted({0, len(stream.rows), *draw(st.lists(st.integers(0, len(stream.rows)), max_size=25))})
    for number, (first, last) in enumerate(pairwise(cuts)):
        rows = [row.but(digest=number.to_bytes(2, "big") * 8) for row in stream.rows[first:last]]
        raw = encode(as_columns(rows))
        log.append(raw)
        if number % 5 == 3:
            log.append(raw)
        if number % 4 == 2:
            log.append(encode_control(Tick(rows[-1].received + 2 * HOUR)))
    return log


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.integers(1, 6),
    st.just(CRASH),
    st.builds(
        Checkpoint,
        st.none() | st.integers(1, 9),
        st.integers(0, 3),
        st.booleans(),
    ),
    st.builds(Zombie, st.integers(0, 4), st.integers(0, 4), st.booleans()),
)


@examples(60)
@given(message_logs(), st.lists(STEPS, max_size=14))
def test_crashes_anywhere_change_nothing(log: list[bytes], script: list[Step]) -> None:
    assert_nothing_lost(log, script)


def a_log(messages: int = 12, meters: int = 3) -> list[bytes]:
    """Registers that grow, one of which falls; a message is a round of readings."""
    start = instant("2024-01-01")
    log = [encode_control(Registry([Meter(meter_id=f"m{i}", kind="register") for i in range(meters)]))]
    for n in range(messages):
        rows = [
            Row(
                f"m{i}",
                start + n * DAY,
                10.0 * n - (35.0 if n > 6 and i == 1 else 0),
                digest=bytes([n + 1]) * 16,
            )
            for i in range(meters)
        ]
        log.append(encode(as_columns(rows)))
    return log


#: Crashes between any two writes of a second checkpoint: three records, the marker, the deletions.
WRITES = 3 + 1 + 4


@pytest.mark.parametrize("writes", range(1, WRITES + 1))
def test_a_crash_between_any_two_writes_of_a_checkpoint(writes: int) -> None:
    script: list[Step] = [4, Checkpoint(), 3, Checkpoint(writes), 2, Checkpoint(writes), 1, CRASH]
    assert_nothing_lost(a_log(), script)


@pytest.mark.parametrize("then", [False, True])
@pytest.mark.parametrize("writes", range(5))
def test_an_owner_that_has_lost_the_partition_writes_late(writes: int, then: bool) -> None:
    for before in ([], [Checkpoint()]):
        script: list[Step] = [4, *before, 3, Zombie(writes, 2, then), CRASH, 1, Checkpoint(), 1, CRASH]
        assert_nothing_lost(a_log(), script)


def test_a_checkpoint_whose_commit_is_refused_is_made_again() -> None:
    assert_nothing_lost(a_log(), [3, Checkpoint(refused=True), 2, Checkpoint(), 1, CRASH, Checkpoint(2, 1)])


def test_the_bank_goes_on_while_its_draft_is_written() -> None:
    assert_nothing_lost(a_log(), [3, Checkpoint(meanwhile=4), CRASH, 2, Checkpoint(meanwhile=2), 1, CRASH])


def test_only_what_has_changed_is_written() -> None:
    """A meter of the third block speaks: who and cold stay, hot of that block alone is written."""
    log = a_log(2, meters=2 * BLOCK + 10)
    world = World(log)
    world.take(2)
    world.checkpoint(Checkpoint())
    start = instant("2024-01-02")
    worker = world.worker
    worker.handle(encode(as_columns([Row(f"m{2 * BLOCK + 3}", start, 5.0)])))
    worker.next_offset += 1
    draft = worker.draft()
    assert draft is not None
    assert [key for key, _ in draft.records] == [b"0/hot/2@3.1"]
    assert worker.draft() is not None  # nothing has been handled since, but that one was not completed


def test_nothing_new_is_no_checkpoint() -> None:
    world = World(a_log())
    assert world.worker.draft() is None
    world.take(3)
    world.checkpoint(Checkpoint())
    assert world.worker.draft() is None


def test_owners_never_share_an_epoch() -> None:
    world = World(a_log())
    epochs = [world.worker.ledger.epoch]
    for step in (2, Checkpoint(), 1, CRASH, Checkpoint(2), 1, Zombie(1, 1, True), CRASH):
        world.run([step])
        epochs.append(world.worker.ledger.epoch)
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 4  # each start is an owner of its own


# --- versions ---------------------------------------------------------------------------------------


def filled(bank: Bank) -> Bank:
    """Every cell of every array something other than nothing, and an episode of each detector."""
    rng = np.random.default_rng(1)
    for array in bank.state.arrays.values():
        raw = rng.integers(1, 100, array.nbytes, np.uint8)
        array[...] = raw.view(array.dtype).reshape(array.shape)
    for number, detector in enumerate(bank.detectors):
        both = [detector.name] if number else [detector.name, bank.detectors[-1].name]
        episode = Episode(0, f"family{number}", "id", 0, "kind", 1.0, both)
        bank.episodes.open[0, episode.family] = episode
    return bank


def written(detectors: Sequence[Detector]) -> dict[bytes, bytes]:
    bank = filled(make_bank([Meter(meter_id="m"), Meter(meter_id="n")], detectors))
    draft = Ledger(0, 1).draft(bank, 7)
    return dict([*draft.records, draft.marker])


def loaded(table: dict[bytes, bytes], detectors: Sequence[Detector]) -> tuple[Bank, Bank]:
    """The restored bank, and one that was always of that version."""
    restored, _ = restore(BankConfig(tuple(detectors)), 0, table)
    return restored, filled(make_bank([Meter(meter_id="m"), Meter(meter_id="n")], detectors))


def same(one: Bank, other: Bank, detector: str, column: str) -> bool:
    n = len(one)
    return one.state.of(detector, column)[:n].tobytes() == other.state.of(detector, column)[:n].tobytes()


@dataclass(frozen=True, slots=True)
class OlderFlow(ContinuousFlow):
    """Flow as it was before ``rest``, and with a field that is gone since."""

    @property
    def columns(self) -> tuple[Column, ...]:
        (flow,) = ContinuousFlow().columns
        kept = [(name, flow.dtype.fields[name][0]) for name in flow.dtype.names or () if name != "rest"]  # type: ignore[index]
        return (replace(flow, dtype=np.dtype([*kept, ("gone", np.int32)], align=True)),)


@dataclass(frozen=True, slots=True)
class OtherRing(HighLow):
    """High/low that remembers fewer days."""

    @property
    def columns(self) -> tuple[Column, ...]:
        level, periods, daily = HighLow().columns
        return level, periods, replace(daily, width=28)


@dataclass(frozen=True, slots=True)
class OtherMeaning(Spike):
    """Spike of the next version."""

    version = 2


@dataclass(frozen=True, slots=True)
class OtherName(Spike):
    """Spike whose ``peaks`` are called otherwise."""

    @property
    def columns(self) -> tuple[Column, ...]:
        spike, peaks = Spike().columns
        return spike, replace(peaks, name="tops")


def test_fields_are_taken_by_name() -> None:
    table = written([Intervals(), OlderFlow()])
    bank, ideal = loaded(table, [Intervals(), ContinuousFlow()])
    flow = bank.state.of("continuous_flow", "flow")
    old = filled(make_bank([Meter(meter_id="m"), Meter(meter_id="n")], [Intervals(), OlderFlow()]))
    for name in flow.dtype.names or ():
        if name == "rest":
            assert not flow[name].any()
        else:
            assert flow[name][:2].tobytes() == old.state.of("continuous_flow", "flow")[name][:2].tobytes()
    assert same(bank, ideal, "intervals", "pulse")
    assert set(bank.episodes.open) == {(0, "family0"), (0, "family1")}
    # And back again: what this version added is left aside.
    older, _ = loaded(written([Intervals(), ContinuousFlow()]), [Intervals(), OlderFlow()])
    assert not older.state.of("continuous_flow", "flow")["gone"][:2].any()


@pytest.mark.parametrize(
    ("before", "now"), [(OtherRing(), HighLow()), (HighLow(), OtherRing()), (Spike(), OtherMeaning())]
)
def test_what_no_longer_means_the_same_starts_afresh(before: Detector, now: Detector) -> None:
    bank, ideal = loaded(written([Intervals(), before]), [Intervals(), now])
    for column in now.columns:
        array = bank.state.of(now.name, column.name)[:2]
        assert array.tobytes() == column.new(2).tobytes(), column.name
    assert same(bank, ideal, "intervals", "pulse")
    assert same(bank, ideal, "intervals", "seen")
    # What it alone held open is closed; what another holds open too stays.
    assert {family: e.active for (_, family), e in bank.episodes.open.items()} == {"family0": ["intervals"]}


@pytest.mark.parametrize(
    ("before", "now"), [(OtherRing(), HighLow()), (OlderFlow(), ContinuousFlow()), (Spike(), OtherName())]
)
def test_an_adapted_state_is_written_anew_as_a_whole(before: Detector, now: Detector) -> None:
    bank, _ = loaded(written([Intervals(), before]), [Intervals(), now])
    draft = Ledger(0, 2).draft(bank, 9)
    assert {key.split(b"@")[0] for key, _ in draft.records} == {b"0/who/0", b"0/hot/0", b"0/cold/0"}
    again, _ = loaded(dict([*draft.records, draft.marker]), [Intervals(), now])
    assert dumped(again) == dumped(bank)


def test_a_column_and_a_detector_may_come_and_go() -> None:
    bank, _ = loaded(written([Intervals(), Spike()]), [Intervals(), OtherName(), ContinuousFlow()])
    assert not bank.state.of("spike", "tops").any()
    assert bank.state.of("spike", "spike")[0].tobytes() != bytes(bank.state.of("spike", "spike").itemsize)
    assert not bank.state.of("continuous_flow", "flow")[0]["start"]
    gone, ideal = loaded(written([Intervals(), Spike()]), [Intervals()])
    assert same(gone, ideal, "intervals", "pulse")
    assert {family: e.active for (_, family), e in gone.episodes.open.items()} == {"family0": ["intervals"]}


# --- damage -----------------------------------------------------------------------------------------


def whole() -> dict[bytes, bytes]:
    world = World(a_log(5))
    world.run([4, Checkpoint()])
    return dict(world.table)


def marker_of(table: dict[bytes, bytes]) -> bytes:
    return next(key for key in table if b"/@" in key)


def test_a_newer_format_is_refused() -> None:
    table = whole()
    key = marker_of(table)
    marker = msgspec.msgpack.decode(table[key])
    table[key] = msgspec.msgpack.encode({**marker, "format": FORMAT + 1, "new": []})
    with pytest.raises(
        CheckpointError, match=f"format {FORMAT} or older, got {FORMAT + 1}; update Forestall"
    ):
        restore(CONFIG, 0, table)


def test_a_state_with_holes_is_refused() -> None:
    table = whole()
    missing = next(key for key in table if b"/hot/" in key)
    del table[missing]
    with pytest.raises(CheckpointError, match=r"0/hot/0@.* are missing; restore the changelog"):
        restore(CONFIG, 0, table)


@pytest.mark.parametrize("part", [b"/who/", b"/hot/", b"/cold/", b"/@"])
@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x93\x01\x02", b"{}", bytes(range(200))])
def test_a_damaged_record_is_named(part: bytes, damage: bytes) -> None:
    table = whole()
    key = next(key for key in table if part in key)
    table[key] = damage
    with pytest.raises(CheckpointError, match=r"expected .* got") as told:
        restore(CONFIG, 0, table)
    assert key.decode() in str(told.value) or part == b"/@"


@examples(100)
@given(st.data())
def test_a_truncated_or_altered_block_is_a_checkpoint_error_or_nothing(data: st.DataObject) -> None:
    table = whole()
    key = data.draw(st.sampled_from([key for key in table if b"/hot/" in key or b"/cold/" in key]))
    raw = bytearray(table[key])
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, min(300, len(raw) - 1)))] = data.draw(st.integers(0, 255))
    table[key] = bytes(raw)
    try:
        restore(CONFIG, 0, table)
    except CheckpointError as error:
        assert key.decode() in str(error)  # noqa: PT017 - that it comes back is as good


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"slots": 9}, "expected 9 meters as the marker says, got 3"),
        ({"records": [b"nonsense"]}, "are missing"),
    ],
)
def test_a_marker_that_says_otherwise_is_refused(change: dict[str, Any], what: str) -> None:
    table = whole()
    key = marker_of(table)
    table[key] = msgspec.msgpack.encode({**msgspec.msgpack.decode(table[key]), **change})
    with pytest.raises(CheckpointError, match=what):
        restore(CONFIG, 0, table)


def test_a_key_of_another_kind_is_named() -> None:
    table = whole()
    key = marker_of(table)
    marker = msgspec.msgpack.decode(table[key])
    table[b"nonsense"] = b""
    table[key] = msgspec.msgpack.encode({**marker, "records": [*marker["records"], b"nonsense"]})
    with pytest.raises(CheckpointError, match=r"expected a key such as .* got b'nonsense'"):
        restore(CONFIG, 0, table)


def test_without_a_checkpoint_the_log_begins_anew() -> None:
    bank, ledger = restore(CONFIG, 0, {b"0/hot/0@5.1": b"half a checkpoint"})
    assert len(bank) == 0
    assert ledger.next_offset == -1
    assert ledger.garbage == [b"0/hot/0@5.1"]


def test_zones_units_and_registers_come_back() -> None:
    start = instant("2024-03-30")
    meters = [
        Meter(meter_id="m", kind="register", tz="Europe/Madrid", multiplier=10.0, unit="m3"),
        Meter(meter_id="n", kind="interval", stamp="start", interval_s=3600, tz="America/Havana"),
    ]
    rows = [Row("m", start + i * HOUR, float(i), unit="L") for i in range(48)]
    rows += [
        Row("n", start + i * HOUR, 1.0, unit="kW.h", sparse={"register": "V"} if i % 2 else {})
        for i in range(48)
    ]
    rows.sort(key=lambda row: row.time)
    plain, half = make_bank(meters), make_bank(meters)
    feed(plain, rows)
    feed(half, rows[:40])
    draft = Ledger(0, 1).draft(half, 1)
    again, _ = restore(CONFIG, 0, dict([*draft.records, draft.marker]))
    feed(again, rows[40:])
    assert dumped(again) == dumped(plain)
    assert again.meter(again.slots[f"n{BETWEEN}V"]).unit == "kW.h"
    outcome = Outcome()
    for bank in (again, plain):
        bank.register([Meter(meter_id="n", kind="interval", unit="kW.h", tz="America/Havana")], outcome)
        bank.tick(start + 4 * DAY, outcome)
    assert dumped(again) == dumped(plain)
    assert outcome.counts == {}
