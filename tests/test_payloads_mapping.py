"""Mapping files: what they may say, what is wrong with them, what they make of payloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.payloads import MappingError, PayloadConfig, load_dialects
from connectors.payloads.jsonpath import PathError, elements_of, getter, parse_path, show_path, spine_of
from connectors.payloads.mapping import Mapped
from connectors.payloads.mapping_file import mappings_in
from connectors.payloads.templates import TopicTemplate
from connectors.payloads.times import local, rfc3339, zone_named
from streams.messages import Kind, Mark, Quality, RawMessage
from streams.ports import Decoded

RECEIVED = 1_714_564_805_000_000_000


def mapped(**changes: Any) -> Mapped:
    base = {"name": "m", "topic": "t/{meter_id}", "meter_id": "{meter_id}", "values": [{"value": "$.v"}]}
    (mapping,) = mappings_in(json.dumps({"mapping": [base | changes]}), "test.json")
    return Mapped(mapping)


def decode(dialect: Mapped, payload: object, topic: str = "t/w-17") -> Decoded:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return dialect.decode(RawMessage(topic=topic, payload=raw, received_ns=RECEIVED))


def one(dialect: Mapped, payload: object) -> dict[str, Any]:
    out = decode(dialect, payload)
    assert out.rejects == []
    assert len(out.rows) == 1
    row = {
        name: getattr(out.rows, name)[0]
        for name in ("meter_id", "time_ns", "value", "kind", "unit", "quality", "marks")
    }
    return row | {name: cells[0] for name, cells in out.rows.sparse.items()}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", {"a": {"b": [1, 2, {"c d": 3}]}}),
        ("$.a.b[0]", 1),
        ("$.a.b[-1]['c d']", 3),
        ("$['a']['b'][1]", 2),
    ],
)
def test_a_path_finds(path: str, value: object) -> None:
    assert getter(parse_path(path))({"a": {"b": [1, 2, {"c d": 3}]}}) == value
    assert parse_path(show_path(parse_path(path))) == parse_path(path)


@pytest.mark.parametrize("path", ["$.x", "$.a[0]", "$.a.b[3]", "$.a.b[-4]", "$.a.b.c", "$.a.b[0].x", "$.n"])
def test_a_path_that_leads_to_nothing(path: str) -> None:
    assert repr(getter(parse_path(path))({"a": {"b": [1, 2, 3]}, "n": None})) == "nothing"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.b", "expected $ at its start"),
        ("$.a..b", "at column 4, got '..b'"),
        ("$.a[x]", "at column 4, got '[x]'"),
        ("$.a[*].b[*]", "[*] at most once"),
        ("$.{a}.{b}", ".{name} at most once"),
        ("$.", "at column 2"),
        ("$['']", "at column 2"),
    ],
)
def test_a_path_that_is_none_says_where(path: str, reason: str) -> None:
    with pytest.raises(PathError) as refused:
        parse_path(path)
    assert reason in str(refused.value)
    with pytest.raises(MappingError, match="mapping 'm'"):
        mapped(values=[{"value": path}])


def test_elements_go_through_members_and_arrays() -> None:
    spine = spine_of([parse_path("$.{device}[*].ts"), parse_path("$.{device}[*].v"), parse_path("$.name")])
    found = list(elements_of(spine)({"A": [{"v": 1}, {"v": 2}], "B": {"v": 3}, "C": 4}, {"x": "y"}))
    assert [(e.captures, e.objects[-1]) for e in found] == [
        ({"x": "y", "device": "A"}, {"v": 1}),
        ({"x": "y", "device": "A"}, {"v": 2}),
        ({"x": "y", "device": "B"}, {"v": 3}),
    ]
    with pytest.raises(PathError, match="the same elements"):
        spine_of([parse_path("$.a[*].v"), parse_path("$.b[*].t")])


@pytest.mark.parametrize(
    ("template", "topic_filter", "topic", "names"),
    [
        ("a/{x}/b", "a/+/b", "a/1/b", {"x": "1"}),
        ("v3/{app}@{tenant}/up", "v3/+/up", "v3/w@t/up", {"app": "w", "tenant": "t"}),
        ("z/{name#}", "z/#", "z/a/b", {"name": "a/b"}),
        ("+/{x}.{y}/#", "+/+/#", "q/1.2/3/4", {"x": "1", "y": "2"}),
        ("a/b", "a/b", "a/b", {}),
    ],
)
def test_topic_templates(template: str, topic_filter: str, topic: str, names: dict[str, str]) -> None:
    found = TopicTemplate(template)
    assert found.filter == topic_filter
    assert found.match(topic) == names
    assert found.match("other/topic/altogether/of/many/levels") in (None, {}) or "#" in template


@pytest.mark.parametrize("template", ["a/{x}/{x}", "a/{x#}/b", "a/{X}", "a/{x", "a/b{x#}", "", "a/{}"])
def test_a_topic_template_that_is_none(template: str) -> None:
    with pytest.raises(MappingError, match="topic"):
        mapped(topic=template, meter_id="m")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"topic": []}, "at least one topic"),
        ({"values": []}, "one of [[mapping.values]]"),
        ({"meter_id": "{device}"}, "expected one of the names meter_id in braces, got 'device'"),
        ({"meter_id": ""}, "meter_id: expected 1 to 128 characters"),
        ({"kind": "counter"}, "kind: expected one of register, interval, gauge"),
        ({"time": "$.t", "time_format": "iso"}, "time_format: expected rfc3339"),
        ({"time": "$.t", "time_format": "local"}, "expected a time_zone beside time_format 'local'"),
        ({"time": "$.t", "time_format": "%d.%m.%Y"}, "expected a time_zone"),
        ({"time": "$.t", "time_format": "local", "time_zone": "Mars"}, "expected an IANA time zone"),
        ({"tiem": "$.t"}, "unknown field `tiem`"),
        ({"values": [{"value": "$.v", "scale": "ten"}]}, "Expected `float`"),
        ({"values": [{"value": "$.v", "scale": 0}]}, "scale: expected a finite number other than 0"),
        (
            {"values": [{"value": "$.v"}, {"value": "$.a[*].v"}]},
            "values[0]: value: path '$.v': expected it to go through",
        ),
        ({"name": "two words"}, "name: expected letters"),
        ({"time_missing": "now"}, "Invalid enum value"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_at_the_start(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MappingError) as refused:
        mapped(**changes)
    assert reason in str(refused.value)


def test_what_is_wrong_with_a_file_names_it(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    for content, reason in [
        (b"[[mapping]\n", "Expected"),
        (b"mapping = []\n", "at least one"),
        (b"\xff\n", "in UTF-8"),
        (b'[[mapping]]\nname="m"\n', "missing required field `topic`"),
        (
            b'[[mapping]]\nname="m"\ntopic="t"\nmeter_id="m"\n[[mapping.values]]\nvalue="v"\n',
            "expected $ at its start",
        ),
    ]:
        file.write_bytes(content)
        with pytest.raises(MappingError) as refused:
            load_dialects(PayloadConfig(mappings=(file,)))
        assert str(file) in str(refused.value)
        assert reason in str(refused.value)
    with pytest.raises(MappingError, match="expected a mapping file"):
        load_dialects(PayloadConfig(mappings=(tmp_path / "absent.toml",)))


@pytest.mark.parametrize(
    ("form", "zone", "native", "time"),
    [
        ("rfc3339", "", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00Z"),
        ("s", "", 1714564800, "2024-05-01T12:00:00Z"),
        ("s", "", 1714564800.25, "2024-05-01T12:00:00.25Z"),
        ("s", "", "1714564800", "2024-05-01T12:00:00Z"),
        ("ms", "", 1714564800001, "2024-05-01T12:00:00.001Z"),
        ("us", "", 1714564800000001, "2024-05-01T12:00:00.000001Z"),
        ("ns", "", 1714564800000000001, "2024-05-01T12:00:00.000000001Z"),
        ("epoch", "", 1714564800, "2024-05-01T12:00:00Z"),
        ("epoch", "", 1714564800001, "2024-05-01T12:00:00.001Z"),
        ("epoch", "", "1714564800000000001", "2024-05-01T12:00:00.000000001Z"),
        ("local", "Asia/Shanghai", "2024-05-01 20:00:00", "2024-05-01T12:00:00Z"),
        ("local", "Asia/Shanghai", "2024-05-01", "2024-04-30T16:00:00Z"),
        ("local", "Europe/Berlin", "2024-05-01T14:00:00.123456789", "2024-05-01T12:00:00.123456789Z"),
        ("local", "Europe/Berlin", "2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
        ("%d.%m.%Y %H:%M", "Europe/Berlin", "01.05.2024 14:00", "2024-05-01T12:00:00Z"),
        ("%Y年%m月%d日", "Asia/Shanghai", "2024年05月01日", "2024-04-30T16:00:00Z"),
        ("%Y%m%d%H%M%S%z", "", "20240501140000+0200", "2024-05-01T12:00:00Z"),
    ],
)
def test_time_formats(form: str, zone: str, native: object, time: str) -> None:
    row = one(mapped(time="$.t", time_format=form, time_zone=zone), {"t": native, "v": 1})
    assert row["time_ns"] == rfc3339(time)
    assert row["marks"] == 0


def test_local_times_where_clocks_change() -> None:
    read = local(zone_named("Europe/Berlin"))
    assert read("2024-10-27T02:30:00") == rfc3339("2024-10-27T00:30:00Z")  # the first of the two
    assert read("2024-03-31T02:30:00") == rfc3339("2024-03-31T01:30:00Z")  # which the clocks skip


@pytest.mark.parametrize(
    ("form", "native", "reason"),
    [
        ("rfc3339", 5, "time: expected a string, got 5"),
        ("ms", "soon", "time: expected a number of ticks"),
        ("ms", True, "time: expected a number of ticks since 1970, got true"),
        ("ms", 1714564800, "as s since 1970 it would be one"),
        ("s", 1e300, "from 1990 to 2099"),
        ("epoch", 7, "expected seconds, ms, µs or ns"),
        ("local", "01.05.2024", "expected RFC 3339"),
        ("local", "2024-02-30", "time: expected a date and time"),
        ("%d.%m.%Y", "2024-05-01", "expected a time written as %d.%m.%Y"),
        ("rfc3339", None, "time: expected one in the payload, got nothing"),
    ],
)
def test_a_time_that_is_none(form: str, native: object, reason: str) -> None:
    out = decode(mapped(time="$.t", time_format=form, time_zone="UTC"), {"t": native, "v": 1})
    assert len(out.rows) == 0
    assert reason in out.rejects[0].reason


def test_the_time_of_arrival_stands_in_and_is_marked() -> None:
    for dialect in (mapped(), mapped(time="$.t", time_missing="arrival")):
        row = one(dialect, {"v": 1})
        assert (row["time_ns"], row["marks"]) == (RECEIVED, Mark.ARRIVAL_TIME)


def test_texts_are_literals_paths_or_templates() -> None:
    dialect = mapped(
        meter_id="{meter_id}/{$.n}",
        serial="$.serial",
        kind="$.kind",
        unit="$.unit",
        values=[{"value": "$.v", "register": "1.8.0"}],
    )
    row = one(dialect, {"v": "7.5", "n": 3, "serial": 90210, "kind": "gauge", "unit": "m³/h"})
    assert row == {
        "meter_id": "w-17/3",
        "time_ns": RECEIVED,
        "value": 7.5,
        "kind": Kind.GAUGE,
        "unit": "m3/h",
        "quality": 0,
        "marks": Mark.ARRIVAL_TIME,
        "register": "1.8.0",
        "serial": "90210",
    }
    out = decode(dialect, {"v": 1, "kind": "gauge", "unit": "L"})
    assert "meter_id: expected a text" in out.rejects[0].reason


@pytest.mark.parametrize(
    ("native", "quality"),
    [
        ("ok", Quality.GOOD),
        (0, Quality.GOOD),
        (False, Quality.BAD),
        ("?", Quality.UNCERTAIN),
        ({}, Quality.UNCERTAIN),
    ],
)
def test_quality_words(native: object, quality: Quality) -> None:
    dialect = mapped(quality={"path": "$.q", "good": ["ok", 0], "bad": [False]})
    assert one(dialect, {"v": 1, "q": native})["quality"] == quality
    assert one(dialect, {"v": 1})["quality"] == Quality.GOOD


@pytest.mark.parametrize(
    ("native", "quality"),
    [
        (0, Quality.GOOD),
        (0x00DC0000, Quality.GOOD),
        (0x40900000, Quality.UNCERTAIN),
        (0x808C0000, Quality.BAD),
        ({"Code": 0x80310000}, Quality.BAD),
        ({"Symbol": "Good"}, Quality.GOOD),
        ("Good", Quality.UNCERTAIN),
        (True, Quality.UNCERTAIN),
        (2**40, Quality.UNCERTAIN),
    ],
)
def test_opcua_status_codes(native: object, quality: Quality) -> None:
    assert (
        one(mapped(quality={"path": "$.q", "scheme": "opcua"}), {"v": 1, "q": native})["quality"] == quality
    )


def test_where_picks_messages_and_values() -> None:
    dialect = mapped(
        where={"$.type": ["report", "alarm"]},
        values=[
            {"value": "$.list[*].value", "where": {"$.list[*].code": "water"}, "scale": 0.001, "unit": "m3"},
            {"value": "$.list[*].value", "where": {"$.list[*].code": "on"}, "register": "on"},
        ],
    )
    cells = [
        {"code": "water", "value": 1500},
        {"code": "other", "value": 1},
        {"code": "water", "value": True},
    ]
    out = decode(dialect, {"type": "report", "list": cells})
    assert out.rows.value == [1.5]
    assert [r.reason for r in out.rejects] == [
        "$.list[*].value: value: expected a number or a decimal string, got true"
    ]
    assert json.loads(out.rejects[0].raw) == cells[2]
    ignored = decode(dialect, {"type": "reply", "list": cells})
    assert (len(ignored.rows), ignored.rejects) == (0, [])


def test_a_default_needs_the_object_that_it_is_missing_from() -> None:
    dialect = mapped(values=[{"value": "$.data.v", "default": 0.0}], empty="ignore")
    assert one(dialect, {"data": {}})["value"] == 0.0
    assert len(decode(dialect, {}).rows) == 0


def test_what_is_missing_is_passed_over_and_nothing_at_all_is_rejected() -> None:
    dialect = mapped(values=[{"value": "$.a"}, {"value": "$.b"}])
    assert decode(dialect, {"a": 1, "b": None}).rows.value == [1.0]
    nothing: list[object] = [{}, [], 5, {"a": None}]
    for payload in nothing:
        assert "expected a value at one of $.a, $.b" in decode(dialect, payload).rejects[0].reason
    assert decode(mapped(empty="ignore"), {}).rejects == []


def test_a_number_alone_may_be_the_payload() -> None:
    assert one(mapped(values=[{"value": "$"}]), b" 12.5 ")["value"] == 12.5


def test_nan_among_values_costs_itself_only() -> None:
    out = decode(mapped(values=[{"value": "$.a"}, {"value": "$.b"}]), b'{"a": NaN, "b": 2}')
    assert out.rows.value == [2.0]
    assert "$.a: value: expected a finite number, got nan" in out.rejects[0].reason


def test_scaling_may_not_overflow() -> None:
    out = decode(mapped(values=[{"value": "$.v", "scale": 1e300}]), {"v": 1e300})
    assert "finite" in out.rejects[0].reason


def test_several_topics_share_a_mapping() -> None:
    dialect = mapped(topic=["t/{meter_id}", "u/+/{meter_id}"])
    assert dialect.topics == ("t/+", "u/+/+")
    assert decode(dialect, {"v": 1}, topic="u/x/w-9").rows.meter_id == ["w-9"]
    assert (
        "topic: expected t/{meter_id}, u/+/{meter_id}"
        in decode(dialect, {"v": 1}, topic="x").rejects[0].reason
    )
