"""Damaged checkpoints: each is refused by what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state.checkpoint import FORMAT, CheckpointError, restore
from tests.checkpoint_world import CONFIG, Checkpoint, World, a_log
from tests.streams_of_readings import examples


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
