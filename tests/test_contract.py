"""What all detectors together make of a stream of readings, however it comes (each by itself: test_promises)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import Balance, BillShock, GasFlow, NightMinimum, Rate, Transformer
from detectors.base import FINDING, ROOM, Detector
from streams.messages import Flag, Kind
from streams.registry import Meter
from streams.state.bank import Bank, Outcome
from streams.state.checkpoint import Ledger, restore
from streams.state.dump import canonical
from streams.state.intake import place, prepare
from streams.state.sentinels import error_codes
from tests.banks import dumped
from tests.books import assert_book_scaled, whole_numbers
from tests.scada_streams import with_plant
from tests.streams_of_readings import (
    DAY,
    HOUR,
    NS,
    Row,
    as_columns,
    examples,
    feed,
    instant,
    shipped,
    streams,
)
from tests.streams_of_readings import make_bank as plain_bank

#: What needs weeks of history is given days, or no stream here would be long enough to hear it.
SOON: tuple[Detector, ...] = (
    Rate(moves=60, warm_days=1),
    Transformer(warm_looks=6, usual=0.7),
    Balance(warm_days=3),
    NightMinimum(warm_days=3, nights=1),
    GasFlow(warm_days=2, hours=12, long_days=2, habit=0.02),
    BillShock(ratio=1.2, back=1.1, least_days=2, least_periods=1, confirm=1),
)


@dataclass(frozen=True)
class Log:
    """Meters that the registry knows; readings, and ticks of the clock between them."""

    meters: list[Meter]
    items: Sequence[Row | int]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"log of {len(self.items)} items about {[meter.meter_id for meter in self.meters]}")


def make_bank(meters: Iterable[Meter], detectors: Sequence[Detector] | None = None) -> Bank:
    """A bank of all detectors, those of ``SOON`` as they are there."""
    soon = {detector.name: detector for detector in SOON}
    return plain_bank(meters, detectors or [soon.get(detector.name, detector) for detector in shipped()])


def play(bank: Bank, log: Sequence[Row | int], cuts: Iterable[int] = ()) -> list[Flag]:
    """A log into a bank, readings in batches that end at ticks and at the cuts."""
    outcome = Outcome()
    ends = {*cuts, 0, len(log)}
    for i, item in enumerate(log):
        if isinstance(item, int):
            ends |= {i, i + 1}
    for first, last in pairwise(sorted(ends)):
        item = log[first]
        if isinstance(item, int):
            bank.tick(item, outcome)
        else:
            bank.update(as_columns([row for row in log[first:last] if isinstance(row, Row)]), outcome)
    return outcome.flags


@st.composite
def logs(draw: st.DrawFn, most_rows: int = 900, wild: bool = True) -> Log:
    """A stream in which meters also speak in other units, of other registers, unannounced; with ticks."""
    spacings = draw(st.sampled_from(((HOUR, 2 * HOUR, 6 * HOUR), (6 * HOUR, DAY), (DAY, 25 * DAY, 31 * DAY))))
    stream = draw(streams(days=spacings[0] // HOUR * 40, spacings=spacings, most_rows=most_rows))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    if draw(st.booleans()):
        stream = with_plant(stream, spacings[0], rng)
    log: list[Row | int] = []
    for row in stream.rows:
        chance = rng.random()
        log.append(_odd(row, chance, rng) if wild else row)
        if chance > 0.98:
            log.append(row.received + int(rng.integers(0, 3)) * HOUR)
    known = [_billed(meter, rng) for meter in stream.meters if not wild or rng.random() < 0.8]
    return Log(known, log)


def _billed(meter: Meter, rng: np.random.Generator) -> Meter:
    day = int(rng.integers(1, 32))
    return msgspec.structs.replace(meter, bill_day=day) if day % 4 else meter


def _odd(row: Row, chance: float, rng: np.random.Generator) -> Row:
    if chance < 0.01:
        return row.but(unit="L", value=row.value * 1000)
    if chance < 0.015:
        return row.but(unit=str(rng.choice(["kW.h", "V", "m3"])))
    if chance < 0.025:
        return row.but(sparse={**row.sparse, "register": "night"})
    if chance < 0.03:
        return row.but(kind=int(rng.choice([Kind.REGISTER, Kind.INTERVAL, Kind.GAUGE])))
    return row


# --- the stream ------------------------------------------------------------------------------------


@examples(20)
@given(logs(), st.data())
def test_cutting_the_log_anywhere_changes_nothing(drawn: Log, data: st.DataObject) -> None:
    meters, log = drawn.meters, drawn.items
    whole = make_bank(meters)
    flags = play(whole, log)
    cuts = data.draw(st.lists(st.integers(0, len(log)), max_size=12), label="cuts")
    for places in (cuts, range(len(log))):
        parts = make_bank(meters)
        assert play(parts, log, places) == flags
        assert dumped(parts) == dumped(whole)
        assert (parts.watermark, parts.advanced) == (whole.watermark, whole.advanced)


@examples(15)
@given(logs(), st.data())
def test_a_snapshot_restored_is_the_same_state(drawn: Log, data: st.DataObject) -> None:
    meters, log = drawn.meters, drawn.items
    whole = make_bank(meters)
    flags = play(whole, log)
    cut = data.draw(st.integers(0, len(log)), label="snapshot")
    bank = make_bank(meters)
    before = play(bank, log[:cut])
    draft = Ledger(0, 1).draft(bank, cut)
    again, _ = restore(bank.config, 0, dict([*draft.records, draft.marker]))
    assert dumped(again) == dumped(bank)
    for key, array in bank.state.arrays.items():
        assert array[: len(bank)].tobytes() == again.state.arrays[key][: len(bank)].tobytes(), key
    assert before + play(again, log[cut:]) == flags
    assert dumped(again) == dumped(whole)


@examples(15)
@given(logs(wild=False))
def test_other_meters_are_only_a_clock(drawn: Log) -> None:
    """Their area aside: what the others send says nothing but what time it is."""
    meters, log = drawn.meters, drawn.items
    meters = [msgspec.structs.replace(meter, area="", line="", transformer="") for meter in meters]
    together = make_bank(meters)
    flags = play(together, log)
    for meter in meters:
        alone = make_bank([meter])
        own: list[Row | int] = [
            item if isinstance(item, int) or item.meter == meter.meter_id else item.time
            for item in log
            if isinstance(item, int) or item.meter == meter.meter_id or item.time <= item.received + 900 * NS
        ]
        # A tick moves nothing before the first reading; here somebody else's reading may be the first.
        first = next((item for item in log if isinstance(item, Row)), None)
        if first is None or first.meter != meter.meter_id:
            continue
        assert play(alone, own) == [flag for flag in flags if flag.meter_id == meter.meter_id]
        lines = {channel: told for channel, told in canonical(together) if channel == meter.meter_id}
        assert msgspec.json.encode(lines) == msgspec.json.encode(dict(canonical(alone)))


@examples(10)
@given(logs(), st.randoms(use_true_random=False), st.integers(0, 700))
def test_renumbering_slots_changes_nothing(drawn: Log, random: Any, others: int) -> None:
    meters, log = drawn.meters, drawn.items
    plain = make_bank(meters)
    flags = play(plain, log)
    strangers = [Meter(meter_id=f"stranger{i}", area=f"far{i}") for i in range(others)]
    shuffled = [*meters, *strangers]
    random.shuffle(shuffled)
    bank = make_bank(shuffled)
    assert play(bank, log) == flags
    for stranger in strangers:
        bank.vacate(stranger.meter_id)
    assert dumped(bank) == dumped(plain)


@examples(10)
@given(logs(wild=False), st.data())
def test_nan_never_flags(drawn: Log, data: st.DataObject) -> None:
    meters, log = drawn.meters, drawn.items
    nothing: list[Row | int] = [
        item if isinstance(item, int) else item.but(value=float("nan")) for item in log
    ]
    assert play(make_bank(meters), nothing) == []
    # Nor does it change what the others say, where it tells no news of the time.
    rows: list[Row | int] = []
    newest = 0
    places = set(data.draw(st.lists(st.integers(0, len(log)), max_size=30), label="places"))
    for i, item in enumerate(log):
        rows.append(item)
        newest = max(newest, item if isinstance(item, int) else min(item.time, item.received + 900 * NS))
        if i in places and not isinstance(item, int):
            rows.append(item.but(value=data.draw(st.sampled_from((float("nan"), float("inf")))), sparse={}))
    assert play(make_bank(meters), rows) == play(make_bank(meters), log)


@examples(10)
@given(logs())
def test_inputs_are_unchanged(drawn: Log) -> None:
    meters, log = drawn.meters, drawn.items
    rows = [item for item in log if isinstance(item, Row)]
    bank = make_bank(meters)
    columns = as_columns(rows)
    given_ = {
        name: getattr(columns, name) for name in ("meter", "time_ns", "value", "kind", "quality", "marks")
    }
    copies = {name: array.copy() for name, array in given_.items()}
    slot = place(bank, columns, Outcome())
    batch = prepare(bank, columns, slot, 0, Outcome())
    asked = (
        "slot",
        "time",
        "local",
        "value",
        "kind",
        "quality",
        "marks",
        "limit",
        "serial",
        "stop",
        "start",
        "code",
    )
    before = {name: getattr(batch, name).copy() for name in asked}
    out = np.empty(ROOM * len(batch), FINDING)
    filled: dict[str, bytes] = {}
    for detector in bank.detectors:
        assert 0 <= detector.update(bank.state, batch, out) <= len(out)
        for name, array in before.items():
            assert getattr(batch, name).tobytes() == array.tobytes(), (detector.name, name)
        # What validation filled in is input to all the others.
        made = {
            name: getattr(batch, name).tobytes()
            for name in ("usage", "span", "usual", "since", "back", "status", "live", "note")
        }
        assert not filled or made == filled, detector.name
        filled = made
    for name, array in given_.items():
        assert array.tobytes() == copies[name].tobytes(), name


#: Evidence that is no amount: it stays as it is in another unit.
NO_AMOUNT = {
    "seconds_beyond", "samples", "usual_longest_run", "minutes_without", "outages_of_line", "window_days",
    "silent_meters", "living_meters", "silent_share", "usual_silent_share", "loss_share", "usual_loss_share",
    "loss_limit", "nights",
    "period_days", "factor", "ratio", "days_since_actual", "usual_days", "seconds_behind", "days_behind",
    "hours_silent", "usual_hours", "missing_readings", "concentrator_members", "area_members", "members_silent",
    "seconds_ahead", "times_told", "hours_since_shut", "confirmed_by_reads", "billed_days", "area_move", "hours",
    "weight", "threshold", "false_per_1000_days", "quiet_hours", "usual_quiet_share", "new_habit", "season",
    "falls_of_late",
}  # fmt: skip


@examples(15)
@given(logs(wild=False))
def test_another_unit_scales_the_evidence_and_nothing_else(
    drawn: Log,
) -> None:
    meters, log = drawn.meters, drawn.items
    # What is an error code in one unit is a number in the other.
    log = [
        item.but(value=float("nan"))
        if not isinstance(item, int) and error_codes(np.array([item.value]))[0]
        else item
        for item in log
    ]
    # Without a register that turns over: its capacity would have a digit less in the larger unit.
    cubic = [msgspec.structs.replace(m, digits=None) for m in meters]
    litres = [msgspec.structs.replace(m, unit="L") if m.unit == "m3" else m for m in cubic]
    volumes = {m.meter_id for m in cubic if m.unit == "m3"}
    one, other = make_bank(cubic), make_bank(litres)
    flags = play(one, log)
    scaled = play(
        other,
        [item if isinstance(item, int) or item.meter not in volumes else _in_litres(item) for item in log],
    )
    assert len(flags) == len(scaled)
    for a, b in zip(flags, scaled, strict=True):
        assert (a.id, a.status, a.kind, a.at, a.start, a.end) == (
            b.id,
            b.status,
            b.kind,
            b.at,
            b.start,
            b.end,
        )
        assert a.score == pytest.approx(b.score, rel=1e-2)
        amounts, others = _numbers(a)
        amounts_there, others_there = _numbers(b)
        close = 2e-2 if a.evidence["detector"] == "habit" else 1e-4  # half numbers
        assert others_there == pytest.approx(others, rel=close, abs=1e-6), a.kind
        if a.kind not in ("clock_drift", "transformer_outage"):
            scale = 1000 if a.meter_id in volumes else 1
            told = {name: scale * cell for name, cell in amounts.items()}
            assert amounts_there == pytest.approx(told, rel=close, abs=1e-2), a.kind
    _assert_scaled(one, other, np.array([1000.0 if m in volumes else 1.0 for m in one.channels]))


def _in_litres(row: Row) -> Row:
    note = {
        name: str(float(cell) * 1000) if name.endswith("_read") else cell
        for name, cell in row.sparse.get("attributes", {}).items()
    }
    sparse = {**row.sparse, **({"attributes": note} if note else {})}
    return row.but(value=row.value * 1000, sparse=sparse)


def _numbers(flag: Flag) -> tuple[dict[str, float], dict[str, float]]:
    """What scales with the unit, and what does not."""
    amounts = {"observed": flag.observed or 0.0, "expected": flag.expected or 0.0}
    others: dict[str, float] = {}
    for name, cell in flag.evidence.items():
        if isinstance(cell, int | float):
            (others if name in NO_AMOUNT or name == "version" else amounts)[name] = cell
        elif name == "periods":
            amounts |= {f"period {i}": period["amount"] for i, period in enumerate(cell)}
            others |= {f"days of period {i}": period["days"] for i, period in enumerate(cell)}
    return amounts, others


def _assert_scaled(one: Bank, other: Bank, factors: NDArray[np.float64]) -> None:
    """The columns' ``scales`` name exactly what is in the meter's unit."""
    n = len(one)
    for detector in one.detectors:
        for column in detector.columns:
            a, b = (
                one.state.of(detector.name, column.name)[:n],
                other.state.of(detector.name, column.name)[:n],
            )
            if (detector.name, column.name) == ("habit", "book"):
                assert_book_scaled(a, b, factors)
                continue
            if (detector.name, column.name) == ("habit", "beside"):
                # What neighbours did, as ratios: of half numbers.
                np.testing.assert_allclose(whole_numbers(a), whole_numbers(b), rtol=5e-2, atol=5e-2)
                continue
            for name in column.dtype.names or ("",):
                x, y = (a[name], b[name]) if name else (a, b)
                factor = factors.reshape(-1, *[1] * (x.ndim - 1))
                if name in column.scales:
                    # What the habit learns stands on the half numbers of its book.
                    close = 1e-2 if detector.name == "habit" else 1e-4
                    np.testing.assert_allclose(
                        x * factor, y, rtol=close, atol=1e-2, err_msg=f"{column.name}.{name}"
                    )
                elif x.dtype.kind == "f":
                    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5, err_msg=f"{column.name}.{name}")
                else:
                    np.testing.assert_array_equal(x, y, err_msg=f"{column.name}.{name}")


@examples(20)
@given(logs(wild=False), st.data())
def test_an_input_cut_at_any_instant_gives_exactly_the_flags_up_to_it(
    drawn: Log, data: st.DataObject
) -> None:
    meters, log = drawn.meters, drawn.items
    rows = sorted(
        (item.but(received=0) for item in log if isinstance(item, Row)), key=lambda row: (row.time, row.meter)
    )
    assume(rows)
    instants = sorted({row.time for row in rows})
    flags = feed(make_bank(meters), rows).flags
    assert [flag.at for flag in flags] == sorted(flag.at for flag in flags)
    decided = {instant(flag.at) for flag in flags}
    ends = st.sampled_from(instants) | st.integers(instants[0], instants[-1])
    if decided:
        ends |= st.sampled_from(sorted({moment + late for moment in decided for late in (-1, 0)}))
    for end in data.draw(st.lists(ends, min_size=1, max_size=4), label="ends"):
        cut = feed(make_bank(meters), [row for row in rows if row.time <= end]).flags
        assert cut == [flag for flag in flags if instant(flag.at) <= end]
