"""Sparkplug B over time: births, aliases, sequence, deaths, restarts, and rebirths that are asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.payloads.sparkplug import Sparkplug
from connectors.payloads.sparkplug_config import SparkplugConfig
from connectors.payloads.sparkplug_proto import _PAYLOAD, read
from connectors.payloads.sparkplug_values import quality_of
from streams.messages import NS, Kind, Mark, Quality, RawMessage
from streams.ports import Decoded

T = 1_714_564_800_000  # ms
FLOAT, UINT64, BOOLEAN = 9, 8, 11


def payload(seq: int | None, *metrics: dict[str, Any], time: int = T) -> bytes:
    more = {} if seq is None else {"seq": seq}
    return _PAYLOAD(timestamp=time, metrics=metrics, **more).SerializeToString()


def metric(name: str | None = None, alias: int | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if name is not None:
        found["name"] = name.encode()
    if alias is not None:
        found["alias"] = alias
    return found | more


BD_SEQ = metric("bdSeq", datatype=UINT64, long_value=5)
NODE_BIRTH = payload(0, BD_SEQ, metric("Node Control/Rebirth", datatype=BOOLEAN, boolean_value=False))
DEVICE_BIRTH = payload(
    1, metric("flow", 7, datatype=FLOAT, float_value=1.5), metric("level", 8, datatype=1, int_value=3)
)


class Plant:
    """Sends to a dialect as one edge node would; the clock is moved by hand."""

    def __init__(self, config: SparkplugConfig | None = None) -> None:
        self.dialect = Sparkplug(config or SparkplugConfig())
        self.now_s = 1_714_564_800.0

    def send(self, kind: str, raw: bytes, group: str = "g", node: str = "n", device: str = "d") -> Decoded:
        topic = f"spBv1.0/{group}/{kind}/{node}" + (f"/{device}" if kind.startswith("D") else "")
        return self.dialect.decode(RawMessage(topic=topic, payload=raw, received_ns=int(self.now_s * NS)))

    def born(self) -> Plant:
        self.send("NBIRTH", NODE_BIRTH)
        self.send("DBIRTH", DEVICE_BIRTH)
        return self

    def flow(self, seq: int | None, value: float = 2.5) -> Decoded:
        return self.send("DDATA", payload(seq, metric(alias=7, float_value=value)))


def asked(out: Decoded) -> bool:
    for topic, raw in out.replies:
        assert topic == "spBv1.0/g/NCMD/n"
        (command,) = read(raw).metrics
        assert command.name == b"Node Control/Rebirth"
        assert command.boolean_value
        assert command.datatype == BOOLEAN
    return bool(out.replies)


def test_data_is_read_by_alias_after_births() -> None:
    out = Plant().born().flow(2)
    assert out.rows.meter_id == ["g/n/d/flow"]
    assert out.rows.value == [2.5]
    assert out.rows.time_ns == [T * 1_000_000]
    assert out.rows.marks == [0]
    assert not asked(out)


def test_the_sequence_wraps() -> None:
    plant = Plant().born()
    for seq in [*range(2, 256), 0, 1]:
        out = plant.flow(seq)
        assert (out.rows.marks, asked(out)) == ([0], False), seq


def test_a_gap_is_marked_and_a_rebirth_asked_for_at_most_once_in_ten_seconds() -> None:
    plant = Plant().born()
    assert asked(plant.flow(4))
    out = plant.flow(6)
    assert (out.rows.marks, asked(out)) == ([Mark.GAP], False)
    plant.now_s += 10
    assert asked(plant.flow(9))
    out = plant.flow(10)
    assert (out.rows.marks, asked(out)) == ([0], False)


def test_a_message_that_comes_again_is_no_gap() -> None:
    plant = Plant().born()
    plant.flow(2)
    assert plant.flow(2).rows.marks == [0]


def test_data_before_birth_is_rejected_metric_by_metric() -> None:
    plant = Plant()
    out = plant.send("DDATA", payload(3, metric(alias=7, float_value=1), metric("x", float_value=2)))
    assert len(out.rows) == 0
    assert len(out.rejects) == 2
    assert "alias 7: expected a birth of this node before its data" in out.rejects[0].reason
    assert read(b"\x12" + bytes([len(out.rejects[0].raw)]) + out.rejects[0].raw).metrics[0].alias == 7
    assert asked(out)
    assert not asked(plant.flow(4))
    assert plant.born().flow(2).rows.value == [2.5]


def test_a_device_needs_its_own_birth() -> None:
    plant = Plant()
    plant.send("NBIRTH", NODE_BIRTH)
    out = plant.flow(1)
    assert "expected a birth of this device" in out.rejects[0].reason
    assert asked(out)


def test_a_device_birth_before_the_nodes_is_read_but_not_relied_on() -> None:
    plant = Plant()
    out = plant.send("DBIRTH", DEVICE_BIRTH)
    assert out.rows.value == [1.5, 3.0]
    assert asked(out)
    assert len(plant.flow(2).rejects) == 1


def test_a_birth_replaces_aliases() -> None:
    plant = Plant().born()
    plant.send("NBIRTH", NODE_BIRTH)
    plant.send("DBIRTH", payload(1, metric("level", 7, datatype=1, int_value=0xFB)))
    out = plant.send("DDATA", payload(2, metric(alias=7, int_value=0xFFFFFFFB), metric(alias=8, int_value=1)))
    assert out.rows.meter_id == ["g/n/d/level"]
    assert out.rows.value == [-5.0]
    assert "got alias 8" in out.rejects[0].reason
    assert asked(out)


def test_deaths() -> None:
    plant = Plant().born()
    plant.send("NDEATH", payload(None, metric("bdSeq", long_value=4)))  # of an earlier session
    assert plant.flow(2).rows.value == [2.5]
    plant.send("DDEATH", payload(3))
    assert plant.dialect.nodes()[0].devices == {"d": False}
    assert "birth of this device" in plant.flow(4).rejects[0].reason
    plant.send("NDEATH", payload(None, BD_SEQ))
    (status,) = plant.dialect.nodes()
    assert (status.node, status.alive) == ("g/n", False)
    assert "birth of this node" in plant.flow(5).rejects[0].reason


def test_a_restart_goes_on_where_nothing_was_missed_and_asks_to_confirm() -> None:
    before = Plant().born()
    before.flow(2)
    after = Plant()
    after.dialect.restore(before.dialect.snapshot())
    out = after.flow(3)
    assert out.rows.meter_id == ["g/n/d/flow"]
    assert asked(out)
    assert not asked(after.flow(4))


def test_a_restart_after_a_gap_does_not_trust_the_aliases() -> None:
    before = Plant().born()
    before.flow(2)
    after = Plant()
    after.dialect.restore(before.dialect.snapshot())
    out = after.flow(4)
    assert len(out.rows) == 0
    assert "expected a birth of this node" in out.rejects[0].reason
    assert asked(out)
    assert after.born().flow(2).rows.value == [2.5]


def test_a_restart_obeys_a_changed_configuration() -> None:
    before = Plant().born()
    after = Plant(SparkplugConfig(meter_id="{device}", register="{metric}", kind="gauge", ignore=("lev*",)))
    after.dialect.restore(before.dialect.snapshot())
    out = after.send("DDATA", payload(2, metric(alias=7, float_value=9), metric(alias=8, int_value=1)))
    assert out.rows.meter_id == ["d"]
    assert out.rows.sparse["register"] == {0: "flow"}
    assert out.rows.kind == [Kind.GAUGE]


def test_a_snapshot_changes_at_most_once_a_second_and_stays_small() -> None:
    plant = Plant().born()
    plant.now_s += 2
    first = plant.dialect.snapshot()
    for seq in range(2, 6):
        plant.flow(seq)
        assert plant.dialect.snapshot() is first
    plant.now_s += 11
    plant.flow(6)
    assert plant.dialect.snapshot() != first
    metrics = [
        metric(f"Area {n}/Pump {n % 7}/Flow rate", n, datatype=FLOAT, float_value=1.0) for n in range(2_000)
    ]
    for node in range(60):
        plant.send("NBIRTH", payload(0, BD_SEQ, *metrics), node=f"n{node}")
    plant.now_s += 2
    plant.send("NBIRTH", NODE_BIRTH)
    assert len(plant.dialect.snapshot()) < 800_000
    after = Plant()
    after.dialect.restore(plant.dialect.snapshot())
    assert sum(status.metrics for status in after.dialect.nodes()) > 20_000


@pytest.mark.parametrize("wrong", [b"", b"\x92\x02\x90", b"\x92\x01\xa1x"])
def test_a_snapshot_that_is_none_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="Sparkplug births"):
        Plant().dialect.restore(wrong)


def test_a_listener_may_be_told_not_to_ask() -> None:
    assert not asked(Plant(SparkplugConfig(rebirth=False)).flow(2))


def test_garbage_topics_do_not_fill_the_memory() -> None:
    plant = Plant(SparkplugConfig(max_nodes=3))
    for n in range(10):
        plant.send("NDATA", payload(1), node=f"n{n}")
    assert len(plant.dialect.nodes()) == 3
    out = plant.send("NBIRTH", NODE_BIRTH, node="late")
    assert "expected at most 3 of them" in out.rejects[0].reason
    for n in range(200):
        plant.dialect.decode(
            RawMessage(topic=f"spBv1.0/STATE/{n}", payload=b'{"online":true}', received_ns=1)
        )
    assert len(plant.dialect.hosts) == 100


def test_state_of_hosts() -> None:
    plant = Plant()
    for raw, online in [(b'{"online":true,"timestamp":1}', True), (b"OFFLINE", False), (b"ONLINE", True)]:
        plant.dialect.decode(RawMessage(topic="spBv1.0/STATE/h", payload=raw, received_ns=1))
        assert plant.dialect.hosts == {"h": online}


@pytest.mark.parametrize(
    ("datatype", "fields", "value"),
    [
        (1, {"int_value": 0x80}, -128.0),
        (1, {"int_value": 0xFFFFFF80}, -128.0),
        (2, {"int_value": 0xFFFF}, -1.0),
        (3, {"int_value": 0xFFFFFFFF}, -1.0),
        (4, {"long_value": 2**64 - 1}, -1.0),
        (5, {"int_value": 255}, 255.0),
        (6, {"int_value": 65535}, 65535.0),
        (7, {"int_value": 2**32 - 1}, 4294967295.0),
        (7, {"long_value": 2**32 - 1}, 4294967295.0),
        (8, {"long_value": 2**64 - 1}, 2.0**64),
        (9, {"float_value": 0.5}, 0.5),
        (10, {"double_value": -1e300}, -1e300),
        (11, {"boolean_value": True}, 1.0),
    ],
)
def test_datatypes(datatype: int, fields: dict[str, Any], value: float) -> None:
    plant = Plant()
    plant.send("NBIRTH", payload(0, BD_SEQ, metric("x", 1, datatype=datatype, is_null=True)))
    for stated in (fields, fields | {"datatype": datatype}):
        out = plant.send("NDATA", payload(1, metric(alias=1, **stated)))
        assert out.rows.value == [value]
        assert out.rows.meter_id == ["g/n/x"]


@pytest.mark.parametrize(
    ("native", "quality"),
    [
        (192, Quality.GOOD),
        (216, Quality.GOOD),
        (64, Quality.UNCERTAIN),
        (0, Quality.BAD),
        (500, Quality.UNCERTAIN),
        (24, Quality.BAD),
        (-1, Quality.BAD),
        (7777, Quality.BAD),
    ],
)
def test_qualities(native: int, quality: Quality) -> None:
    assert quality_of(native) == quality


@pytest.mark.parametrize("template", ["{meter}", "{device", "{}"])
def test_a_template_that_is_none_is_refused_at_the_start(template: str) -> None:
    with pytest.raises(ValueError, match="expected a template"):
        Sparkplug(SparkplugConfig(meter_id=template))


def test_a_name_that_is_not_utf8_or_too_long_costs_its_metric_only() -> None:
    float_one: dict[str, Any] = {"datatype": FLOAT, "float_value": 1.0}
    metrics = [{"name": b"\xff"} | float_one, metric("x" * 200, **float_one), metric("ok", **float_one)]
    out = Plant().send("NBIRTH", payload(0, BD_SEQ, *metrics))
    assert out.rows.meter_id == ["g/n/ok"]
    assert "name: expected valid UTF-8" in out.rejects[0].reason
    assert "expected 1 to 128" in out.rejects[1].reason


VALUES = st.one_of(
    st.fixed_dictionaries({"int_value": st.integers(0, 2**32 - 1)}),
    st.fixed_dictionaries({"long_value": st.integers(0, 2**64 - 1)}),
    st.fixed_dictionaries({"double_value": st.floats()}),
    st.fixed_dictionaries({"string_value": st.binary(max_size=4)}),
    st.fixed_dictionaries({"is_null": st.just(True)}),
)
METRICS = st.builds(
    lambda value, more: value | more,
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from([b"flow", b"level", b"new", b"\xff", b""]),
            "alias": st.integers(6, 9),
            "datatype": st.integers(0, 30),
            "timestamp": st.sampled_from([0, 5, T, 2**63]),
            "is_historical": st.booleans(),
        },
    ),
)
KINDS = st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 255), st.lists(METRICS, max_size=4)), max_size=6))
def test_every_metric_of_data_is_a_reading_or_a_reject(
    messages: list[tuple[str, int, list[dict[str, Any]]]],
) -> None:
    plant = Plant().born()
    for kind, seq, metrics in messages:
        out = plant.send(kind, payload(seq, *metrics))
        assert len(out.rows) + len(out.rejects) <= len(metrics)
        if kind in ("NDATA", "DDATA"):
            assert len(out.rows) + len(out.rejects) == len(metrics)
        Plant().dialect.restore(plant.dialect.snapshot())
