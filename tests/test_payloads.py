"""All dialects: golden samples, the router, and no payload that makes one raise."""

from __future__ import annotations

import json
import math
import random
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors.payloads
from connectors.payloads import PayloadConfig, Router, SparkplugConfig, load_dialects
from connectors.payloads.fields import KINDS, QUALITIES
from connectors.payloads.mapping_file import Mapping, ValueMap
from connectors.payloads.native import Native
from connectors.payloads.native_fields import OPTIONAL, REQUIRED
from connectors.payloads.router import Stateful
from connectors.payloads.sparkplug import Sparkplug
from connectors.payloads.times import FIRST_NS, LAST_NS, rfc3339
from connectors.payloads.topics import check_filter, matcher
from streams.messages import Mark, RawMessage
from streams.ports import Decoded, Dialect

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = tuple(sorted((Path(connectors.payloads.__file__).parent / "examples").glob("*.toml")))
RECEIVED = 1_714_564_805_123_456_789


ALL = load_dialects(PayloadConfig(mappings=EXAMPLES, sparkplug=SparkplugConfig()))


def router() -> Router:
    """All dialects; the only one that remembers anything is new."""
    lasting = [dialect for dialect in ALL.dialects if not isinstance(dialect, Stateful)]
    return Router([*lasting, Sparkplug(SparkplugConfig())], ignore=("test/noise/#",))


NAMES = [dialect.name for dialect in router().dialects]
FILTERS = list(router().topics)


class Case(NamedTuple):
    dialect: str
    name: str

    def __str__(self) -> str:
        return f"{self.dialect}/{self.name}"


def cases() -> list[Case]:
    return [Case(file.parent.name, file.stem) for file in sorted(GOLDEN.glob("*/*.bin"))]


def readings_of(out: Decoded) -> list[dict[str, Any]]:
    """The rows as golden samples write them: what is as always is left out."""
    rows = out.rows
    kinds = {code: name for name, code in KINDS.items()}
    qualities = {code: name for name, code in QUALITIES.items()}
    readings = []
    for row in range(len(rows)):
        reading: dict[str, Any] = {
            "meter_id": rows.meter_id[row],
            "time_ns": rows.time_ns[row],
            "value": rows.value[row],
            "kind": kinds.get(rows.kind[row]),
            "unit": rows.unit[row],
            "quality": qualities[rows.quality[row]] if rows.quality[row] else None,
            "marks": [mark.name for mark in Mark if mark and rows.marks[row] & mark],
        }
        reading |= {name: cells[row] for name, cells in rows.sparse.items() if row in cells}
        readings.append({name: cell for name, cell in reading.items() if cell})
    return readings


def expected(reading: dict[str, Any]) -> dict[str, Any]:
    reading = dict(reading)
    if "time" in reading:
        reading["time_ns"] = rfc3339(reading.pop("time"))
    return {name: cell for name, cell in reading.items() if cell}


@pytest.mark.parametrize("case", cases(), ids=str)
def test_golden(case: Case) -> None:
    folder = GOLDEN / case.dialect
    wanted = json.loads((folder / f"{case.name}.json").read_text(encoding="utf-8"))
    reader = router()

    def decode(file: str, topic: str) -> tuple[str, Decoded]:
        raw = (folder / file).read_bytes()
        received, retained = wanted["received_ns"], wanted.get("retained", False)
        return reader.decode(RawMessage(topic=topic, payload=raw, received_ns=received, retained=retained))

    for earlier in wanted.get("after", []):
        decode(earlier["file"], earlier["topic"])
    adapter, out = decode(f"{case.name}.bin", wanted["topic"])
    assert adapter == case.dialect
    assert readings_of(out) == [expected(reading) for reading in wanted.get("readings", [])]
    reasons = wanted.get("rejected", [])
    reasons = [reasons] if isinstance(reasons, str) else reasons
    assert len(out.rejects) == len(reasons), out.rejects
    for reject, reason in zip(out.rejects, reasons, strict=True):
        assert reason in reject.reason
    assert out.sequence == wanted.get("sequence", -1)
    assert [topic for topic, _ in out.replies] == wanted.get("replies", [])


def test_no_dialect_and_no_sample_escapes() -> None:
    assert {case.dialect for case in cases()} == set(NAMES)
    assert {file.with_suffix("") for file in GOLDEN.glob("*/*.bin")} == {
        file.with_suffix("") for file in GOLDEN.glob("*/*.json")
    }
    for name in NAMES:
        mine = [json.loads(file.read_text(encoding="utf-8")) for file in (GOLDEN / name).glob("*.json")]
        assert any(case.get("readings") for case in mine), f"{name} has no sample that becomes a reading"


def test_every_dialect_is_one() -> None:
    assert all(isinstance(dialect, Dialect) for dialect in router().dialects)


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("forestall/readings", "native"),
        ("forestall/readings/a/b", "native"),
        ("forestall/reading", "unknown"),
        ("application/7/device/70b3/event/up", "chirpstack"),
        ("application/7/device/70b3/event/join", "unknown"),
        ("v3/app@tenant/devices/d/up", "the-things-stack"),
        ("spBv1.0/g/DDATA/n/d", "sparkplug"),
        ("spBv1.0/g/NCMD/n", "unknown"),
        ("test/noise/x", "ignored"),
        ("", "unknown"),
        ("$SYS/broker/uptime", "unknown"),
        ("$x/events/rpc", "unknown"),
        ("a\nb/events/rpc", "shelly"),
    ],
)
def test_the_topic_picks_the_dialect(topic: str, name: str) -> None:
    adapter, out = router().decode(RawMessage(topic=topic, payload=b"{}", received_ns=RECEIVED))
    assert adapter == name
    if name == "unknown":
        assert "topic: expected one that a dialect reads" in out.rejects[0].reason
    if name == "ignored":
        assert (len(out.rows), out.rejects) == (0, [])


def test_the_narrowest_filter_wins() -> None:
    filters = ["#", "a/#", "a/+", "a/b", "+/b", "a/+/c"]
    find = matcher(filters)
    for topic, wanted in [
        ("a/b", "a/b"),
        ("a/x", "a/+"),
        ("x/b", "+/b"),
        ("a/b/c", "a/+/c"),
        ("a", "a/#"),
        ("q", "#"),
    ]:
        assert filters[find(topic)] == wanted
    assert find("$SYS/a") == -1


@pytest.mark.parametrize("wrong", ["", "a/#/b", "a/b#", "a+/b", "a\0"])
def test_a_filter_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="topic filter"):
        check_filter(wrong)


def test_two_dialects_may_not_claim_one_filter() -> None:
    with pytest.raises(ValueError, match="'a/b' twice"):
        load_dialects(PayloadConfig(native_topics=("a/b", "a/b")))


def test_only_sparkplug_may_not_be_shared() -> None:
    assert router().exclusive
    assert all(topic.startswith("spBv1.0/") for topic in router().exclusive)


def naive_match(topic_filter: str, topic: str) -> bool:
    wanted, got = topic_filter.split("/"), topic.split("/")
    if got[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(got) or level not in ("+", got[place]):
            return False
    return len(wanted) == len(got)


LEVEL = st.sampled_from(["a", "b", "+", "", "$s", "a.b"])


@given(
    st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "", "$s", "a.b", "axb"]), min_size=1, max_size=5).map("/".join),
)
def test_the_matcher_agrees_with_the_obvious_one(topic_filter: str, more: bool, topic: str) -> None:
    topic_filter += "/#" if more else ""
    assert (matcher([topic_filter])(topic) == 0) == naive_match(topic_filter, topic)


def topic_for(topic_filter: str, random_: random.Random) -> str:
    level = random_.choice(["x", "ü", "a b", "x@y"])
    return topic_filter.replace("+", level).replace("#", level)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES_IN_PAYLOADS = st.sampled_from(
    ["time", "ts", "object", "volume_l", "params", "status", "code", "value", "values", "Messages", "Payload"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES_IN_PAYLOADS | st.text(max_size=4), inner)
    ),
    max_leaves=12,
)


def check(out: Decoded) -> None:
    rows = out.rows
    columns: list[list[Any]] = [
        rows.meter_id,
        rows.time_ns,
        rows.value,
        rows.kind,
        rows.unit,
        rows.quality,
        rows.marks,
    ]
    assert {len(column) for column in columns} == {len(rows)}
    assert all(math.isfinite(value) for value in rows.value)
    assert all(FIRST_NS <= time <= LAST_NS for time in rows.time_ns)
    assert all(0 < len(name) <= 128 for name in rows.meter_id)
    for cells in rows.sparse.values():
        assert all(0 <= row < len(rows) for row in cells)
    assert all(reject.reason and isinstance(reject.raw, bytes) for reject in out.rejects)
    msgspec.msgpack.encode([*columns, rows.sparse, [reject.reason for reject in out.rejects]])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FILTERS), st.randoms(use_true_random=False), JSON | st.binary(max_size=80))
def test_no_payload_raises(topic_filter: str, random_: random.Random, payload: object) -> None:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    _, out = router().decode(
        RawMessage(topic=topic_for(topic_filter, random_), payload=raw, received_ns=RECEIVED, retained=True)
    )
    check(out)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(cases()), st.data())
def test_no_damaged_sample_raises(case: Case, data: st.DataObject) -> None:
    wanted = json.loads((GOLDEN / case.dialect / f"{case.name}.json").read_text(encoding="utf-8"))
    raw = bytearray((GOLDEN / case.dialect / f"{case.name}.bin").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    reader = router()
    for earlier in wanted.get("after", []):
        before = (GOLDEN / case.dialect / earlier["file"]).read_bytes()
        reader.decode(RawMessage(topic=earlier["topic"], payload=before, received_ns=RECEIVED))
    for payload in (bytes(raw), bytes(raw[:cut])):
        check(reader.decode(RawMessage(topic=wanted["topic"], payload=payload, received_ns=RECEIVED))[1])


@pytest.mark.parametrize(
    "bomb", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 200_000, b'"' + b"\\u0000" * 100_000]
)
def test_bombs_are_rejected(bomb: bytes) -> None:
    reader = router()
    for topic_filter in FILTERS:
        topic = topic_for(topic_filter, random.Random(1))
        out = reader.decode(RawMessage(topic=topic, payload=bomb, received_ns=RECEIVED))[1]
        # a bare number is JSON in which a mapping finds nothing, and some ignore that
        assert (len(out.rows), len(out.rejects)) in ((0, 1), (0, 0)[: 2 * (bomb[:1] == b"9")])
    _, out = reader.decode(
        RawMessage(topic="forestall/readings/x", payload=b"0" * 10_000_000, received_ns=RECEIVED)
    )
    assert "expected at most 4194304 bytes, got 10000000" in out.rejects[0].reason


def microseconds(function: Callable[[RawMessage], object], message: RawMessage) -> float:
    """Least own CPU of a call in seven rounds."""
    rounds = timeit.repeat(lambda: function(message), timer=time.process_time, number=1000, repeat=7)
    return min(rounds) / 1000 * 1e6


@pytest.mark.bench
def test_speed() -> None:
    """Prints µs a reading; fails only far above the targets, since machines differ."""
    native, reader = Native(), router()
    objects = [
        {"meter_id": f"meter-{n:06d}", "time": f"2024-05-01T12:{n % 60:02d}:00Z", "value": n * 1.37}
        for n in range(100)
    ]
    columns = {name: [reading[name] for reading in objects] for name in objects[0]}
    typed = [reading | {"kind": "register", "unit": "m³"} for reading in objects]
    for name, limit, value in [
        ("array of 100", 1.0, objects),
        ("columns of 100", 0.35, columns),
        ("single", 4.0, objects[3]),
        ("array of 100 with kind and unit", 4.0, typed),
    ]:
        message = RawMessage(
            topic="forestall/readings/x", payload=json.dumps(value).encode(), received_ns=RECEIVED
        )
        rows = len(native.decode(message).rows)
        best = microseconds(native.decode, message) / rows
        print(f"native, {name}: {best:.2f} µs a reading")
        assert best < 3 * limit
    for case in (
        Case("chirpstack", "uplink"),
        Case("wmbusmeters", "water"),
        Case("sparkplug", "device_birth"),
    ):
        wanted = json.loads((GOLDEN / case.dialect / f"{case.name}.json").read_text(encoding="utf-8"))
        raw = (GOLDEN / case.dialect / f"{case.name}.bin").read_bytes()
        message = RawMessage(topic=wanted["topic"], payload=raw, received_ns=RECEIVED)
        best = microseconds(reader.decode, message)
        print(f"{case}: {best:.1f} µs a message of {len(wanted['readings'])} readings")
    topic = "application/7/device/70b3d57ed0055a01/event/up"
    message = RawMessage(topic=topic, payload=b"", received_ns=RECEIVED)
    best = microseconds(lambda message: reader.route(message.topic), message)
    print(f"route: {best:.2f} µs")
    assert best < 3


def test_the_documentation_names_everything() -> None:
    text = (Path(__file__).parent.parent / "docs" / "payloads.md").read_text(encoding="utf-8")
    named = [file.name for file in EXAMPLES]
    named += [*REQUIRED, *OPTIONAL]
    for struct in (Mapping, ValueMap):
        named += struct.__struct_fields__
    missing = [name for name in named if f"`{name}`" not in text and name != "values"]
    assert missing == []
    assert "[[mapping.values]]" in text
