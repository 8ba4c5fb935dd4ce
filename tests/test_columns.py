"""The messages of ``readings.v1``: round trips, splitting, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.columns import (
    MOST_ROWS,
    NO_DIGEST,
    Arrive,
    Columns,
    Control,
    Depart,
    Expect,
    Registry,
    Tick,
    decode,
    encode,
    encode_control,
    from_rows,
    split,
)
from streams.messages import Source
from streams.ports import Rows
from streams.registry import Meter
from tests.streams_of_readings import examples

INT64 = st.integers(-(2**63), 2**63 - 1)
SPARSE: dict[str, st.SearchStrategy[Any]] = {
    "register": st.text(max_size=8),
    "serial": st.text(max_size=8),
    "period_start_ns": INT64,
    "multiplier": st.floats(allow_nan=False),
    "attributes": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
}


@st.composite
def batches(draw: st.DrawFn, least: int = 0) -> Columns:
    rows = Rows()
    names = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5, unique=True))
    count = draw(st.integers(least, 30))
    sources = [
        Source(
            adapter=draw(st.sampled_from(("native", "file"))),
            topic=f"topic/{i}",
            received_ns=draw(INT64),
            sequence=draw(st.integers(-1, 10**12)),
            digest=draw(st.sampled_from((b"", bytes([i + 1]) * 16))),
        )
        for i in range(draw(st.integers(1, 5)))
    ]
    for _ in range(count):
        rows.add(
            draw(st.sampled_from(names)),
            draw(st.one_of(st.just(10**18), INT64)),
            draw(st.one_of(st.just(1.0), st.floats())),
            draw(st.integers(0, 3)),
            draw(st.sampled_from(("", "m3", "L", "kW.h"))),
            draw(st.integers(0, 2)),
            draw(st.integers(0, 63)),
        )
        for name, cells in SPARSE.items():
            if draw(st.integers(0, 9)) == 0:
                rows.note(name, draw(cells))
    source = np.sort(np.array([draw(st.integers(0, len(sources) - 1)) for _ in range(count)], np.uint32))
    return from_rows(rows, sources, source)


def told(columns: Columns) -> list[dict[str, Any]]:
    """Each row in full, so that batches with other dictionaries compare."""
    return [
        {
            "meter": columns.meters[columns.meter[i]],
            "time": int(columns.time_ns[i]),
            "value": columns.value[i].tobytes(),  # NaN too
            "kind": int(columns.kind[i]),
            "unit": columns.units[columns.unit[i]],
            "quality": int(columns.quality[i]),
            "marks": int(columns.marks[i]),
            "source": columns.source_of(i),
            "sparse": {name: cells[i] for name, cells in columns.sparse.items() if i in cells},
        }
        for i in range(len(columns))
    ]


def decoded(raw: bytes) -> Columns:
    columns = decode(raw)
    assert isinstance(columns, Columns)
    return columns


@examples(100)
@given(batches())
def test_a_batch_comes_back_as_it_went(columns: Columns) -> None:
    raw = encode(columns)
    assert told(decoded(raw)) == told(columns)
    assert encode(decoded(raw)) == raw


def test_a_column_of_one_value_takes_one_cell() -> None:
    rows = Rows()
    for _ in range(1000):
        rows.add("m", 10**18, 0.0)
    columns = from_rows(rows, [Source(adapter="a", topic="t", received_ns=0)], np.zeros(1000, np.uint32))
    assert len(encode(columns)) < 200
    assert told(decoded(encode(columns))) == told(columns)


@examples(100)
@given(batches(least=1), st.data())
def test_splitting_keeps_order_sources_and_rare_fields(columns: Columns, data: st.DataObject) -> None:
    n = len(columns)
    partition = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int64)
    parts = split(columns, partition)
    assert [number for number, _ in parts] == sorted(set(partition.tolist()))
    whole = told(columns)
    for number, part in parts:
        assert told(decoded(encode(part))) == [
            row for row, home in zip(whole, partition, strict=True) if home == number
        ]
        if len(parts) > 1:
            # Nothing of the other partitions goes along.
            assert set(part.meters) == {row["meter"] for row in told(part)}
            assert len(part.adapters) == len(set(part.source.tolist()))


@examples(50)
@given(batches(least=1), st.data())
def test_selecting_rows_selects_their_rare_fields(columns: Columns, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(columns) - 1), unique=True))
    whole = told(columns)
    assert told(columns.select(np.array(chosen, np.int64))) == [whole[i] for i in chosen]
    mask = np.zeros(len(columns), np.bool_)
    mask[chosen] = True
    assert told(columns.select(mask)) == [whole[i] for i in sorted(chosen)]


@pytest.mark.parametrize(
    "message",
    [
        Tick(1_700_000_000_000_000_000),
        Registry([Meter(meter_id="m", unit="m3", digits=5, tz="Europe/Madrid")]),
        Depart({"m": 1, "n": 4}, 3),
        Expect([Meter(meter_id="m", known=False)], [2]),
        Arrive({"m": (2, b"\x00state"), "n": (1, b"")}),
    ],
    ids=lambda message: type(message).__name__,
)
def test_control_messages_come_back(message: Control) -> None:
    assert decode(encode_control(message)) == message


# --- refused ----------------------------------------------------------------------------------------


@examples(200)
@given(st.binary(max_size=200))
def test_garbage_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"expected a batch, tick, registry event or move of readings.v1, got"
    ):
        decode(b"\x00" + raw)


@examples(200)
@given(batches(least=1), st.data())
def test_a_damaged_batch_is_refused_or_still_points_to_something(
    columns: Columns, data: st.DataObject
) -> None:
    """What is decoded can be taken: no code and no row leads out of its table."""
    raw = bytearray(encode(columns))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(bytes(raw))
    except ValueError:
        return
    if isinstance(message, Columns):
        told(message)
        assert all(0 <= row < len(message) for cells in message.sparse.values() for row in cells)


def test_an_unknown_version_is_named() -> None:
    raw = msgspec.msgpack.encode(["b9", 1, 2, 3])
    with pytest.raises(ValueError, match="b9"):
        decode(raw)


def fields_of(columns: Columns) -> list[Any]:
    """A batch as plain fields, to be spoilt."""
    return list(msgspec.msgpack.decode(encode(columns)))


def small() -> Columns:
    rows = Rows()
    rows.add("m", 1, 1.0)
    rows.add("n", 2, 2.0)
    rows.note("serial", "s")
    return from_rows(rows, [Source(adapter="a", topic="t", received_ns=0)], np.zeros(2, np.uint32))


@pytest.mark.parametrize(
    ("place", "cell", "what"),
    [
        (1, 3, "column of 3 cells"),
        (1, -1, ">= 0"),
        (1, MOST_ROWS + 1, f"<= {MOST_ROWS}"),
        (2, ["m"], "meter codes below 1, got 1"),
        (4, b"123", "buffer"),
        (7, [], "unit codes below 0, got 0"),
        (12, [], "0 topics, times, numbers and digests"),
        (16, NO_DIGEST + b"x", "1 topics"),
        (17, {"serial": {2: "s"}}, "serial of rows 0 to 1, got 2 to 2"),
        (17, {"multiplier": {0: "much"}}, "float"),
    ],
)
def test_what_does_not_fit_together_is_named(place: int, cell: Any, what: str) -> None:
    fields = fields_of(small())
    fields[place] = cell
    with pytest.raises(ValueError, match=what):
        decode(msgspec.msgpack.encode(fields))


def test_rare_fields_of_a_newer_program_are_left_aside() -> None:
    fields = fields_of(small())
    fields[17] = {"serial": {1: "s"}, "weather": {0: "rain"}}
    assert decoded(msgspec.msgpack.encode(fields)).sparse == {"serial": {1: "s"}}


def test_too_many_units_are_refused() -> None:
    rows = Rows()
    for i in range(257):
        rows.add("m", i, 1.0, unit=f"u{i}")
    with pytest.raises(ValueError, match="at most 255 different units in a batch, got 257"):
        from_rows(rows, [Source(adapter="a", topic="t", received_ns=0)], np.zeros(257, np.uint32))
