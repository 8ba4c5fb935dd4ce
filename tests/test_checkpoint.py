"""Checkpoints: crashes written into the test data, between any two writes, and owners that come late."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import BLOCK
from streams.columns import Registry, Tick, encode, encode_control
from streams.registry import Meter
from streams.state.bank import Outcome
from streams.state.checkpoint import Ledger, restore
from streams.state.slots import BETWEEN
from tests.banks import dumped
from tests.checkpoint_world import CONFIG, CRASH, Checkpoint, Step, World, Zombie, a_log
from tests.streams_of_readings import DAY, HOUR, Row, as_columns, examples, feed, instant, make_bank, streams


def uninterrupted(log: Sequence[bytes]) -> World:
    world = World(log)
    world.take(len(log))
    return world


def assert_nothing_lost(log: Sequence[bytes], script: Sequence[Step]) -> None:
    plain, world = uninterrupted(log), World(log)
    world.run(script)
    world.take(len(log))
    assert dumped(world.worker.bank) == dumped(plain.worker.bank)
    assert sorted(world.worker.bank.reads.rows()) == sorted(plain.worker.bank.reads.rows())
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
    """A meter of the third block speaks: who and cold stay; hot of that block and the reads of its day are written."""
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
    assert [key for key, _ in draft.records] == [b"0/hot/2@3.1", b"0/reads/0@3.1"]
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
