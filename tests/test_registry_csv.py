"""METERS.csv: every column, every fault with its line, and a file that changes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.registry_csv import RegistryError, RegistryFile, changes, read_registry, write_registry
from streams.registry import COMMODITIES, KINDS, Meter

FULL = """\
meter_id,commodity,unit,kind,interval_s,area,class,service_point_id,serial,digits,multiplier,native_unit,stamp,tz,concentrator,transformer,line,route,balance_role,q_max,limit_hh,limit_h,limit_l,limit_ll,deadband,delay_s,direction,bill_day,tariff,\
contract,valve_order,i_max,phases,sentinels
g-1,gas,m³,register,86400,block-1,residential,sp-9,A-77,5,0.1,CCF,start,Asia/Shanghai,c-1,t-1,l-1,r-1,inflow,6,10,8,2,1,0.5,30,both,15,night,\
vacant,closed,60,3,65535 -1
g-2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "METERS.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_column(tmp_path: Path) -> None:
    meters, problems = read_registry(write(tmp_path, FULL))
    assert problems == []
    assert meters == {
        "g-1": Meter(
            meter_id="g-1", commodity="gas", unit="m3", kind="register", interval_s=86400.0, area="block-1",
            meter_class="residential", service_point_id="sp-9", serial="A-77", digits=5, multiplier=0.1,
            native_unit="CCF", stamp="start", tz="Asia/Shanghai", concentrator="c-1", transformer="t-1",
            line="l-1", route="r-1", balance_role="inflow", q_max=6.0, limit_hh=10.0, limit_h=8.0,
            limit_l=2.0, limit_ll=1.0, deadband=0.5, delay_s=30.0, direction="both", bill_day=15, tariff="night",
            contract="vacant", valve_order="closed", i_max=60.0, phases=3, sentinels="65535 -1",
        ),
        "g-2": Meter(meter_id="g-2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        "meter_id,class\nm-1,住宅\n".encode(),
        "\ufeffmeter_id,class\r\nm-1,住宅\r\n".encode(),
        "class;meter_id\n住宅;m-1\n".encode(),
        'meter_id\tclass\n\n  m-1 \t"住宅"\n\n'.encode(),
        "meter_id,class\nm-1,住宅".encode(),
    ],
)
def test_ways_to_write_it(raw: bytes, tmp_path: Path) -> None:
    meters, problems = read_registry(write(tmp_path, raw))
    assert (meters, problems) == ({"m-1": Meter(meter_id="m-1", meter_class="住宅")}, [])


def test_whole_numbers_of_data_frames_and_words_in_capitals(tmp_path: Path) -> None:
    text = (
        "meter_id,commodity,kind,digits,bill_day,phases,stamp,direction,contract,valve_order,balance_role\n"
        "m-1,Electricity,Interval,5.0,28.,3.00,END,Both,Vacant,Closed,Inflow\nm-2,,,,,,,,,,\n"
    )
    meters, problems = read_registry(write(tmp_path, text))
    assert problems == []
    assert meters["m-1"] == Meter(
        meter_id="m-1", commodity="electricity", kind="interval", digits=5, bill_day=28, phases=3, stamp="end",
        direction="both", contract="vacant", valve_order="closed", balance_role="inflow",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("meter_id", "x" * 129, "meter_id: expected at most 128 characters"),
        ("meter_id", "", "meter_id: expected 1 to 128 characters, got nothing"),
        ("commodity", "oil", "commodity: expected one of gas, water, electricity, heat, scada, got 'oil'"),
        ("kind", "instantaneous", "kind: expected one of register, interval, gauge, got 'instantaneous'"),
        ("interval_s", "0", "interval_s: expected a number above 0, got '0'"),
        ("interval_s", "hourly", "interval_s: expected a number above 0"),
        ("interval_s", "1_000", "interval_s: expected a number above 0"),
        ("multiplier", "-1", "multiplier: expected a number above 0"),
        ("multiplier", "inf", "multiplier: expected a number above 0"),
        ("sentinels", "65535 x", "sentinels: expected at most 16 numbers"),
        ("sentinels", "inf", "sentinels: expected at most 16 numbers"),
        ("contract", "ended", "contract: expected one of active, vacant, terminated"),
        ("deadband", "-1", "deadband: expected a number of at least 0"),
        ("limit_h", "nan", "limit_h: expected a number, got 'nan'"),
        ("digits", "0", "digits: expected a whole number from 1 to 15"),
        ("digits", "5.5", "digits: expected a whole number from 1 to 15"),
        ("digits", ".0", "digits: expected a whole number from 1 to 15"),
        ("digits", "5.0.0", "digits: expected a whole number from 1 to 15"),
        ("phases", "１", "phases: expected a whole number from 1 to 3"),
        ("bill_day", "32", "bill_day: expected a whole number from 1 to 31"),
        ("tz", "Mars/Olympus", "tz: expected an IANA time zone"),
        ("stamp", "middle", "stamp: expected one of start, end"),
        ("balance_role", "in", "balance_role: expected one of inflow, outflow, storage"),
        ("direction", "up", "direction: expected one of import, export, both"),
        ("unit", "x" * 33, "unit: expected a unit such as m3"),
        ("class", "a\x00b", "class: expected no control characters"),
    ],
)
def test_a_wrong_cell_names_line_value_and_what_was_expected(
    column: str, cell: str, expected: str, tmp_path: Path
) -> None:
    heading = "meter_id" if column == "meter_id" else f"meter_id,{column}"
    bad = cell + "," if column == "meter_id" else f"bad,{cell}"
    heading += ",area" if column == "meter_id" else ""
    empty = ","
    meters, problems = read_registry(write(tmp_path, f"{heading}\ngood-1{empty}\n{bad}\ngood-2{empty}\n"))
    assert list(meters) == ["good-1", "good-2"]
    assert problems == [] if not cell and column == "meter_id" else len(problems) == 1
    if problems:
        assert problems[0].startswith("METERS.csv line 3, ")
        assert expected in problems[0]


def test_all_faults_of_a_row_are_told(tmp_path: Path) -> None:
    rows = "meter_id,digits,limit_l,limit_h\na,x,,\nb,,5,4\n,,1,2\n"
    meters, problems = read_registry(write(tmp_path, rows))
    assert meters == {}
    assert len(problems) == 3
    assert (
        "line 3, limits: expected limit_ll <= limit_l <= limit_h <= limit_hh, got [5.0, 4.0]" in problems[1]
    )
    assert "line 4, meter_id: expected 1 to 128 characters, got nothing" in problems[2]


def test_short_rows_duplicates_unknown_columns_and_odd_units(tmp_path: Path) -> None:
    text = 'meter_id,colour,unit\na,red,mg/L\nb,red\na,blue,m3\nc,red,mg/L\n"d,x\n'
    meters, problems = read_registry(write(tmp_path, text))
    assert {name: meter.unit for name, meter in meters.items()} == {"a": "mg/L", "c": "mg/L"}
    assert [problem.partition(":")[0] for problem in problems] == [
        "METERS.csv line 1",
        "METERS.csv line 3",
        "METERS.csv line 4, meter_id",
        "METERS.csv line 6",
        "METERS.csv line 2, unit",
    ]
    assert "column 'colour' is not known and passed over" in problems[0]
    assert "expected 3 cells, got 2" in problems[1]
    assert "got 'a' again; line 2 counts" in problems[2]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "expected a column meter_id, got nothing"),
        (b"id,area\n1,2\n", "expected a column meter_id, got id, area"),
        (b"meter_id,area,area\n", "expected every column once, got 'area' 2 times"),
        (
            "meter_id,class\nm-1,a\nm-2,居民\n".encode("gb18030"),
            "line 3: expected UTF-8, got the byte 0xbe; it reads as GB18030",
        ),
        (
            "meter_id,class\nm-1,a\nm-2,住宅\n".encode("gb18030"),  # which is valid UTF-8
            "line 3: expected UTF-8, got letters of 2 scripts in a word; it reads as GB18030",
        ),
        (
            "meter_id,class\nm-1,café\n".encode("latin-1"),
            "line 2: expected UTF-8, got the byte 0xe9; save it as CSV UTF-8",
        ),
        ("meter_id\nm-1\n".encode("utf-16"), "it begins like UTF-16"),
    ],
)
def test_a_file_that_cannot_be_read_at_all(raw: bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as refused:
        read_registry(write(tmp_path, raw))
    assert expected in str(refused.value)


def test_gb18030_is_read_where_one_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "meter_id,class\nm-1,住宅\n".encode("gb18030"))
    assert read_registry(path, "gb18030")[0]["m-1"].meter_class == "住宅"


def test_a_file_full_of_faults_is_told_in_a_thousand_lines(tmp_path: Path) -> None:
    _, problems = read_registry(
        write(tmp_path, "meter_id,digits\n" + "".join(f"m{n},x\n" for n in range(2_000)))
    )
    assert len(problems) == 1_001
    assert problems[-1] == "METERS.csv: and 1000 more like these"


TEXT = st.text('abc,;"é住 -', min_size=1, max_size=8).map(str.strip).filter(bool)
POSITIVE = st.floats(1e-6, 1e9)
METER = st.fixed_dictionaries(
    {"meter_id": TEXT},
    optional={
        "commodity": st.sampled_from(COMMODITIES),
        "unit": st.sampled_from(["m3", "kW.h", "mg/L"]),
        "kind": st.sampled_from(KINDS),
        "interval_s": POSITIVE,
        "area": TEXT,
        "meter_class": TEXT,
        "digits": st.integers(1, 15),
        "multiplier": POSITIVE,
        "stamp": st.sampled_from(["start", "end"]),
        "tz": st.sampled_from(["UTC", "Asia/Shanghai"]),
        "limit_h": st.floats(-1e9, 1e9),
        "bill_day": st.integers(1, 31),
    },
).map(lambda cells: msgspec.convert(cells, Meter))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(METER, max_size=6, unique_by=lambda meter: meter.meter_id))
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[Meter]) -> None:
    path = tmp_path / "back.csv"
    meters = {meter.meter_id: meter for meter in rows}
    write_registry(path, meters)
    again, problems = read_registry(path)
    assert again == meters
    assert all("nothing converts it" in problem for problem in problems)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=120)
    | st.text('meter_id,aunit\n\r";x', max_size=60).map(lambda t: ("meter_id," + t).encode())
)
def test_no_bytes_raise_anything_else(tmp_path: Path, raw: bytes) -> None:
    path = write(tmp_path, raw)
    with contextlib.suppress(RegistryError):
        read_registry(path)


def test_changes() -> None:
    a, b, c = Meter(meter_id="a", area="x"), Meter(meter_id="b", area="x"), Meter(meter_id="c")
    b2, c2 = Meter(meter_id="b", area="y"), Meter(meter_id="c", serial="new")
    found = changes({"a": a, "b": b, "c": c}, {"b": b2, "c": c2, "d": Meter(meter_id="d")})
    assert [m.meter_id for m in found.added] == ["d"]
    assert found.removed == [a]
    assert found.changed == [(b, b2), (c, c2)]
    assert found.moved == [(b, b2)]
    # a meter without an area is its own area: naming the area moves it
    assert changes({"c": c}, {"c": Meter(meter_id="c", area="z")}).moved


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str], Path]:
    """Write the file so that its time of change differs from the last."""
    moment = time.time_ns()

    def put(text: str) -> Path:
        nonlocal moment
        moment += 1_000_000_000
        path = write(tmp_path, text)
        os.utime(path, ns=(moment, moment))
        return path

    return put


def test_a_file_that_changes_is_read_once_it_keeps_still(put: Callable[[str], Path]) -> None:
    file = RegistryFile(put("meter_id,area\na,1\n"))
    assert list(file.read()[0]) == ["a"]
    assert file.poll() is None
    put("meter_id,area\na,1\nb,")
    assert file.poll() is None
    put("meter_id,area\na,1\nb,2\n")
    assert file.poll() is None  # it has changed again since
    found = file.poll()
    assert found is not None
    assert [meter.area for meter in found[0].values()] == ["1", "2"]
    assert file.poll() is None


def test_a_touch_is_no_change(put: Callable[[str], Path]) -> None:
    file = RegistryFile(put("meter_id\na\n"))
    file.read()
    put("meter_id\na\n")
    assert [file.poll() for _ in range(3)] == [None, None, None]


def test_what_goes_wrong_keeps_what_was(put: Callable[[str], Path]) -> None:
    path = put("meter_id,digits,area\na,5,1\nb,5,1\n")
    file = RegistryFile(path)
    file.read()
    put("meter_id,digits,area\na,five,1\nb,6,1\n")
    assert file.poll() is None
    found = file.poll()
    assert found is not None
    assert {name: meter.digits for name, meter in found[0].items()} == {"a": 5, "b": 6}
    assert "line 2, digits" in found[1][0]
    put("no table\n")
    assert file.poll() is None
    found = file.poll()
    assert found is not None
    assert list(found[0]) == ["b", "a"]
    assert "the registry stays as it was" in found[1][0]
    assert file.poll() is None
    path.unlink()
    found = file.poll()
    assert found is not None
    assert "No such file" in found[1][0]
    assert file.poll() is None
    put("meter_id,digits,area\nb,6,1\n")
    assert file.poll() is None
    found = file.poll()
    assert found is not None
    assert list(found[0]) == ["b"]


def test_a_file_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RegistryFile(tmp_path / "METERS.csv").read()
