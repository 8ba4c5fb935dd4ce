"""The native JSON: both ways through it agree, every field is checked, nothing good is lost."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.payloads import native
from connectors.payloads.native import Native
from connectors.payloads.times import FIRST_NS, LAST_NS
from streams.messages import Kind, Mark, Quality, RawMessage
from streams.ports import Decoded, Rows

NOON = 1_714_564_800_000_000_000  # 2024-05-01T12:00:00Z
GOOD = {"meter_id": "w-17", "time": "2024-05-01T12:00:00Z", "value": 482.31}


def decode(payload: object, **more: Any) -> Decoded:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Native().decode(RawMessage(topic="forestall/readings/a", payload=raw, received_ns=NOON, **more))


def plain(rows: Rows) -> dict[str, Any]:
    return {name: getattr(rows, name) for name in Rows.__slots__}


def only_reason(payload: object) -> str:
    out = decode(payload)
    assert len(out.rows) == 0
    assert len(out.rejects) == 1, out.rejects
    return out.rejects[0].reason


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("shape", ["one", "array", "columns"])
def test_three_shapes_say_the_same(shape: str, indent: int | None) -> None:
    columns: dict[str, list[object]] = {name: [cell] for name, cell in GOOD.items()}
    value: object = {"one": GOOD, "array": [GOOD], "columns": columns}[shape]
    out = decode(json.dumps(value, indent=indent).encode())
    assert out.rejects == []
    assert plain(out.rows) == {
        "meter_id": ["w-17"],
        "time_ns": [NOON],
        "value": [482.31],
        "kind": [0],
        "unit": [""],
        "quality": [0],
        "marks": [0],
        "sparse": {},
    }


def test_every_field() -> None:
    full = GOOD | {
        "value": "482.310",
        "kind": "register",
        "unit": "m³",
        "quality": "uncertain",
        "register": "1.8.0",
        "serial": "S-4",
        "period_start": 1_714_561_200_000,
        "multiplier": 10,
        "marks": ["historical", "estimated"],
        "sequence": 7,
        "attributes": {"valve": "open", "rssi": -70, "tamper": False, "note": None},
        "firmware": {"unknown": ["fields", "are passed over"]},
    }
    for payload in (full, [full], [GOOD, full]):
        out = decode(payload, retained=True)
        assert out.rejects == []
        last = len(out.rows) - 1
        assert out.rows.value[last] == 482.31
        assert out.rows.kind[last] == Kind.REGISTER
        assert out.rows.unit[last] == "m3"
        assert out.rows.quality[last] == Quality.UNCERTAIN
        assert out.rows.marks[last] == Mark.HISTORICAL | Mark.ESTIMATED | Mark.RETAINED
        assert out.sequence == 7
        assert {name: cells[last] for name, cells in out.rows.sparse.items()} == {
            "register": "1.8.0",
            "serial": "S-4",
            "period_start_ns": NOON - 3_600_000_000_000,
            "multiplier": 10.0,
            "attributes": {"valve": "open", "rssi": "-70", "tamper": "false"},
        }


def test_a_scalar_stands_for_all_rows_of_columns() -> None:
    out = decode(
        {
            "meter_id": "w-17",
            "time": [NOON // 1_000_000, "2024-05-01T14:00:00.000000001+01:00"],
            "value": ["1.5", 2],
            "kind": "register",
            "unit": ["L", "m3"],
            "serial": "S-4",
            "marks": ["edited"],
        }
    )
    assert out.rejects == []
    assert out.rows.meter_id == ["w-17", "w-17"]
    assert out.rows.time_ns == [NOON, NOON + 3_600_000_000_001]
    assert out.rows.value == [1.5, 2.0]
    assert out.rows.unit == ["L", "m3"]
    assert out.rows.marks == [Mark.EDITED, Mark.EDITED]
    assert out.rows.sparse == {"serial": {0: "S-4", 1: "S-4"}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"meter_id": ""}, "meter_id: expected 1 to 128 characters, got 0"),
        ({"meter_id": "x" * 129}, "meter_id: expected 1 to 128 characters, got 129"),
        ({"meter_id": 17}, "meter_id: expected a string, got 17"),
        ({"meter_id": "a\x00b"}, "meter_id: expected valid UTF-8 without control characters"),
        ({"meter_id": "\ud800"}, "meter_id: expected valid UTF-8 without control characters"),
        ({"time": "2024-05-01T12:00:00"}, "time: expected RFC 3339 with a zone"),
        ({"time": "yesterday"}, "time: expected RFC 3339 with a zone"),
        ({"time": "2024-02-30T12:00:00Z"}, "time: expected RFC 3339"),
        ({"time": "1970-01-01T00:00:00Z"}, "time: expected a time from 1990 to 2099"),
        ({"time": "2100-01-01T00:00:00Z"}, "time: expected a time from 1990 to 2099"),
        ({"time": 1_714_564_800}, "as s since 1970 it would be one"),
        ({"time": 1_714_564_800_000_000_000}, "as ns since 1970 it would be one"),
        ({"time": 10**30}, "time: expected a time from 1990 to 2099"),
        ({"time": 1.5e12}, "time: expected an RFC 3339 string or integer milliseconds"),
        ({"time": True}, "time: expected an RFC 3339 string or integer milliseconds since 1970, got true"),
        ({"time": None}, "time: expected an RFC 3339 string"),
        ({"value": True}, "value: expected a number or a decimal string, got true"),
        ({"value": None}, "value: expected a number or a decimal string, got null"),
        ({"value": math.nan}, "value: expected a finite number, got nan"),
        ({"value": -math.inf}, "value: expected a finite number, got -inf"),
        ({"value": "1e999"}, "value: expected a finite number"),
        ({"value": "NaN"}, "value: expected a number or a decimal string"),
        ({"value": "1_000"}, "value: expected a number or a decimal string"),
        ({"value": "٣"}, "value: expected a number or a decimal string"),
        ({"value": 10**400}, "value: expected a finite number"),
        ({"kind": "counter"}, "kind: expected one of register, interval, gauge"),
        ({"quality": 192}, "quality: expected one of good, uncertain, bad, got 192"),
        ({"unit": "x" * 33}, "unit: expected 1 to 32 characters"),
        ({"register": 5}, "register: expected a string"),
        ({"serial": "x" * 129}, "serial: expected 1 to 128 characters"),
        ({"period_start": "2024-05-01T12:00:00Z"}, "period_start: expected a time before the reading's"),
        ({"multiplier": 0}, "multiplier: expected a number above 0"),
        ({"marks": ["gone"]}, "marks: expected one of retained"),
        ({"marks": "edited"}, "marks: expected an array"),
        ({"sequence": -1}, "sequence: expected an integer from 0"),
        ({"sequence": 2**63}, "sequence: expected an integer from 0"),
        ({"attributes": ["a"]}, "attributes: expected an object"),
        ({"attributes": {"a": {}}}, "attributes.a: expected a string"),
        ({"attributes": {str(n): "" for n in range(33)}}, "attributes: expected at most 32"),
    ],
)
def test_a_wrong_field_has_its_reason_and_spares_the_others(change: dict[str, Any], reason: str) -> None:
    bad = GOOD | change
    assert reason in only_reason(bad)
    out = decode([GOOD, bad, GOOD])
    assert out.rows.meter_id == ["w-17", "w-17"]
    assert [reason in reject.reason for reject in out.rejects] == [True]
    assert out.rejects[0].raw == json.dumps(bad).encode()
    lists = {name: [GOOD.get(name), cell] for name, cell in bad.items()}
    out = decode(lists)
    assert len(out.rows) + len(out.rejects) == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "expected JSON"),
        (b"hello", "expected JSON"),
        (b"\xff\xfe\x00", "expected JSON"),
        (b"12", "reading: expected an object, got 12"),
        (b"null", "reading: expected an object, got null"),
        (b"{}", "meter_id: expected it in every reading, got an empty object"),
        (
            b'{"meter_id":"a","time":1714564800000}',
            "value: expected it in every reading, got the keys meter_id, time",
        ),
        (json.dumps(GOOD).encode() + b" x", "expected the end of the JSON"),
        (json.dumps(GOOD).encode()[:-1], "expected JSON"),
        (b'{"meter_id":"a","time":1714564800000,"value":1,"value":2}', "key 'value' twice"),
        (b'{"meter_id":"a","time":1714564800000,"value":1,"v\\u0061lue":2}', "key 'value' twice"),
        (b'{"meter_id":"a","time":1714564800000,"value":1,"value" :2}', "key 'value' twice"),
        (b'{"meter_id":"a","time":1714564800000,"value":1,"unit":"L","unit":"m3"}', "key 'unit' twice"),
        (b'{"meter_id":"a","time":1714564800000,"value":1e999}', "value: expected a finite number, got inf"),
        (
            b'{"meter_id":["a","b"],"time":[1714564800000],"value":[1,2]}',
            "one length, got meter_id 2, time 1, value 2",
        ),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_payload_that_is_none(payload: bytes, reason: str) -> None:
    assert reason in only_reason(payload)


def test_a_long_payload_is_not_looked_at() -> None:
    assert "expected at most 4194304 bytes, got 10485760" in only_reason(b"[" + b" " * (10 * 1024 * 1024 - 1))


def test_nan_and_bytes_that_are_not_utf8_spare_their_neighbours() -> None:
    good = json.dumps(GOOD).encode()
    nan = good.replace(b"482.31", b"NaN")
    latin = good.replace(b"w-17", b"caf\xe9")
    out = decode(b"[" + b",".join([good, nan, latin, good]) + b"]")
    assert len(out.rows) == 2
    assert [reject.raw for reject in out.rejects] == [nan, latin]
    assert "caf\\udce9" in out.rejects[1].reason


def test_what_stands_before_a_break_is_kept() -> None:
    good = json.dumps(GOOD).encode()
    out = decode(b"[" + good + b"," + good + b',{"meter_id":"w-')
    assert len(out.rows) == 2
    assert [reject.raw for reject in out.rejects] == [b'{"meter_id":"w-']


def test_a_million_wrong_elements_make_few_rejects() -> None:
    out = decode(b"[" + b"1," * 100_000 + b"1]")
    assert len(out.rejects) == 1_001
    assert out.rejects[-1].reason == "and 99001 more elements of this payload were refused"
    out = decode(json.dumps({"meter_id": "m" * 100_000, "time": "x", "value": ["x"] * 5_000}).encode())
    assert sum(len(reject.raw) for reject in out.rejects) < 1_000_000


def test_duplicates_do_not_hide_behind_mixed_types() -> None:
    # one text less and one key more is the same number of quotes
    payload = (
        b'[{"meter_id":"a","time":"2024-05-01T12:00:00Z","value":1},'
        b'{"meter_id":"b","time":1714564800000,"value":1,"value":2}]'
    )
    out = decode(payload)
    assert out.rows.meter_id == ["a"]
    assert "twice" in out.rejects[0].reason


def test_garbage_does_not_use_up_the_units() -> None:
    out = decode([GOOD | {"unit": f"garbage-{n}"} for n in range(300)] + [GOOD | {"unit": "m3"}])
    assert len(set(out.rows.unit)) < 255
    assert out.rows.unit[-1] == "m3"
    assert len(out.rows) + len(out.rejects) == 301


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TIMES = st.one_of(
    st.integers(FIRST_NS // 1_000_000, LAST_NS // 1_000_000),
    st.datetimes(min_value=datetime.fromisoformat("1991-01-01")).map(lambda t: t.isoformat() + "Z"),
    st.just("2024-05-01T12:00:00.25+08:00"),
    SCALARS,
)
READINGS = st.fixed_dictionaries(
    {
        "meter_id": st.sampled_from(["w-1", "value", "", "ü", 'a"b']) | SCALARS,
        "time": TIMES,
        "value": st.floats() | st.integers() | st.decimals(allow_nan=False).map(str) | SCALARS,
    },
    optional={
        "kind": st.sampled_from(["register", "gauge", None]) | ANY,
        "unit": st.sampled_from(["m3", "", None]) | ANY,
        "quality": st.sampled_from(["good", "bad"]) | ANY,
        "serial": st.just("S") | ANY,
        "register": st.just("1.8.0") | ANY,
        "sequence": st.integers(0, 9) | ANY,
        "marks": st.just(["edited"]) | ANY,
        "attributes": st.just({"a": 1}) | ANY,
        "period_start": TIMES,
        "more": ANY,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.lists(READINGS | ANY, max_size=6))
@example([GOOD, GOOD | {"time": 1}])
def test_every_element_is_a_reading_or_a_reject(elements: list[Any]) -> None:
    out = decode(elements)
    assert len(out.rows) + len(out.rejects) == len(elements)
    assert all(math.isfinite(value) for value in out.rows.value)
    assert all(FIRST_NS <= time <= LAST_NS for time in out.rows.time_ns)
    assert all(0 < len(name) <= 128 for name in out.rows.meter_id)


@settings(max_examples=200, deadline=None)
@given(READINGS | st.lists(READINGS, max_size=4), st.booleans())
def test_the_quick_and_the_careful_way_agree(value: object, ascii_only: bool) -> None:
    payload = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    careful = Decoded()
    native._carefully(payload, 0, careful)
    quick = decode(payload)
    assert plain(quick.rows) == plain(careful.rows)
    assert quick.rejects == careful.rejects
    assert quick.sequence == careful.sequence


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_never_raise(payload: bytes) -> None:
    out = decode(payload)
    assert len(out.rows) + len(out.rejects) > 0 or json.loads(payload) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_payload_never_raises(data: st.DataObject) -> None:
    payload = bytearray(json.dumps([GOOD, GOOD | {"unit": "m3"}]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decode(bytes(payload))
