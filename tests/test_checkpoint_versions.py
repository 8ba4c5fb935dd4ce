"""Checkpoints of other versions: what still means the same is taken over, the rest starts afresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from detectors import ContinuousFlow, HighLow, Intervals, Spike
from detectors.base import Column, Detector
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig
from streams.state.checkpoint import Ledger, restore
from streams.state.episodes import Episode
from tests.banks import dumped
from tests.streams_of_readings import make_bank


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
        flow, runs = ContinuousFlow().columns
        kept = [(name, flow.dtype.fields[name][0]) for name in flow.dtype.names or () if name != "rest"]  # type: ignore[index]
        return replace(flow, dtype=np.dtype([*kept, ("gone", np.int32)], align=True)), runs


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

    version = Spike.version + 1


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
