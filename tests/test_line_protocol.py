"""Line protocol, read back by an independent reader of InfluxDB's rules."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.history_gate import Gate, name_fault
from connectors.line_protocol import Labels, Lines, iso_ns, of_flags, string, tag_fault
from streams.columns import from_rows
from streams.messages import Flag, Source
from streams.ports import Rows

SOURCE = Source(adapter="test", topic="t", received_ns=0)

text = st.text(max_size=10) | st.text('\\,= "\n\tab#', max_size=8)


def cut(line: str, at: str, *, quotes: bool = False) -> list[str]:
    """Split where ``at`` stands without a backslash before it, outside of quotes if they count."""
    parts, part, inside = [], "", False
    for i, letter in enumerate(line):
        escaped = i > 0 and line[i - 1] == "\\"
        if quotes and letter == '"' and not escaped:
            inside = not inside
        if letter == at and not escaped and not inside:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [*parts, part]


def plain(escaped: str) -> str:
    for letter in ",= ":
        escaped = escaped.replace("\\" + letter, letter)
    return escaped


def read(line: str) -> tuple[str, dict[str, str], dict[str, str], int]:
    """Measurement, tags, fields as text, time; by the rules of the server's own scanner."""
    assert "\n" not in line
    assert not line.startswith("#")
    head = cut(line, " ")[0]
    fields, time_ns = cut(line[len(head) + 1 :], " ", quotes=True)
    measurement, *tags = cut(head, ",")
    pairs = [cut(tag, "=") for tag in tags]
    assert all(len(pair) == 2 and all(pair) for pair in pairs), line
    values = [cut(field, "=", quotes=True) for field in cut(fields, ",", quotes=True)]
    return (
        measurement,
        {plain(key): plain(value) for key, value in pairs},
        {key: value for key, value in values},  # noqa: C416 - says what the pairs are
        int(time_ns),
    )


@given(
    st.lists(
        st.tuples(
            text, st.integers(-(2**63), 2**63 - 1), st.floats(), st.integers(0, 5), text, text, text,
            st.integers(0, 255), st.integers(0, 65535), st.sampled_from([None, 2.0, 1e300, math.inf]),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_whatever_comes_each_reading_is_a_sound_line_or_a_reject(readings: list[tuple[Any, ...]]) -> None:
    rows = Rows()
    sound = []
    for reading in readings:
        meter, time_ns, value, kind, unit, register, area, quality, marks, multiplier = reading
        rows.add(meter, time_ns, value, kind, unit, quality, marks)
        if register:
            rows.note("register", register)
        if multiplier is not None:
            rows.note("multiplier", multiplier)
            value = value * multiplier
        good = bool(meter) and not any(tag_fault(str(name)) for name in (meter, unit, register))
        good = good and math.isfinite(value) and 0 < time_ns < 2**63 - 1 and kind <= 3
        if good:
            sound.append((meter, time_ns, value, kind, unit, register, quality, marks))
    labels = {str(reading[0]): str(reading[6]) for reading in readings}
    batch = from_rows(rows, [SOURCE], np.zeros(len(rows), np.uint32))
    kept, rejects = Gate(tag_fault).sieve(batch)
    lines = Lines(lambda meter: Labels(area=labels[meter])).of_readings(kept)
    assert len(lines) == len(sound)
    assert len(lines) + len(rejects) == len(readings)
    for reject in rejects:
        assert reject.raw.isascii()
        assert b"\n" not in reject.raw
    for line, (meter, time_ns, value, kind, unit, register, quality, marks) in zip(lines, sound, strict=True):
        area = labels[str(meter)]
        tags = {
            "area": "" if tag_fault(area) else area, "kind": ["", "register", "interval", "gauge"][kind],
            "meter": meter, "register": register, "unit": unit,
        }  # fmt: skip
        measurement, found, fields, at = read(line)
        assert (measurement, found, at) == ("reading", {k: v for k, v in tags.items() if v}, time_ns)
        assert {k: float(v) for k, v in fields.items()} == {
            "value": value,
            "quality": quality,
            "marks": marks,
        }
        assert len(line.encode()) < 65_535


@given(text)
def test_a_string_field_reads_back(value: str) -> None:
    if name_fault(value) is None:
        line = f"flag,meter=m id={string(value)},score=1.0 5"
        # inside quotes the server takes a backslash before a quote or a backslash as an escape
        quoted = line[len("flag,meter=m id=") : -len(",score=1.0 5")]
        assert (
            quoted[1:-1].replace('\\"', "\0").replace("\\\\", "\\").replace("\0", '"') == value
            or "\\" in value
        )
        assert '"' not in quoted[1:-1].replace("\\\\", "").replace('\\"', "")


def test_a_register_s_line_stands_where_its_reading_stood() -> None:
    rows = Rows()
    for i in range(5):
        rows.add("m", 10 + i, float(i))
        if i in (1, 4):
            rows.note("register", f"r{i}")
    lines = Lines(details=False).of_readings(from_rows(rows, [SOURCE], np.zeros(5, np.uint32)))
    assert lines == [
        "reading,meter=m value=0.0 10",
        "reading,meter=m,register=r1 value=1.0 11",
        "reading,meter=m value=2.0 12",
        "reading,meter=m value=3.0 13",
        "reading,meter=m,register=r4 value=4.0 14",
    ]


def test_a_meter_s_new_area_is_a_new_series() -> None:
    area = "a"
    lines = Lines(lambda _: Labels("water", area), details=False)
    rows = Rows()
    rows.add("m", 1, 2.0)
    batch = from_rows(rows, [SOURCE], np.zeros(1, np.uint32))
    assert lines.of_readings(batch) == ["reading,area=a,commodity=water,meter=m value=2.0 1"]
    area = "b"
    assert lines.of_readings(batch) == ["reading,area=b,commodity=water,meter=m value=2.0 1"]


def test_names_without_end_are_refused_one_by_one() -> None:
    gate = Gate(tag_fault, names=3)
    rows = Rows()
    for i in range(6):
        rows.add("m", 1 + i, 1.0)
        rows.note("register", f"r{i % 5}")
    kept, rejects = gate.sieve(from_rows(rows, [SOURCE], np.zeros(6, np.uint32)))
    assert len(kept) == 4
    assert [reject.reason.split(";")[0] for reject in rejects] == [
        f"register: expected at most 3 different names, 'r{i}' is one more" for i in (3, 4)
    ]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1)), st.integers(0, 999_999_999))  # noqa: DTZ001
def test_times_are_exact_to_the_nanosecond(moment: datetime, ns: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    expected = round(moment.timestamp()) * 10**9 + ns
    assert iso_ns(f"{moment:%Y-%m-%dT%H:%M:%S}.{ns:09}Z") == expected
    assert iso_ns(f"{moment:%Y-%m-%d %H:%M:%S}.{ns:09}+00:00") == expected


@pytest.mark.parametrize(
    "wrong",
    ["", "2023-01-01", "2023-01-01T00:00:00", "2023-13-01T00:00:00Z", "2023-01-01T00:00:00+08:00", "１０"],
)
def test_what_is_no_time_in_utc_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        iso_ns(wrong)


@given(text, text, text, st.floats(), st.none() | st.floats())
def test_whatever_comes_each_flag_is_a_sound_line_or_a_reject(
    id_: str, meter: str, area: str, score: float, observed: float | None
) -> None:
    flag = Flag(
        id=id_, meter_id=meter, kind="spike", family="usage_high", status="raised", at="2023-01-01T00:00:00Z",
        start="2023-01-01T00:00:00Z", end="2023-01-02T00:00:00.5Z", score=score, observed=observed,
        expected=None, unit="m3", area=area,
    )  # fmt: skip
    lines, rejects = of_flags([flag])
    good = bool(id_) and not name_fault(id_) and bool(meter) and not tag_fault(meter) and math.isfinite(score)
    good = good and (observed is None or math.isfinite(observed))
    assert (len(lines), len(rejects)) == ((1, 0) if good else (0, 1))
    if good and '"' not in id_ and "\\" not in id_:
        measurement, tags, fields, at = read(lines[0])
        assert (measurement, tags["meter"], at) == ("flag", meter, 1_672_531_200_000_000_000)
        assert fields["id"] == f'"{id_}"'
        assert float(fields["score"]) == score
        assert float(fields["end_s"]) == 1672617600.5
