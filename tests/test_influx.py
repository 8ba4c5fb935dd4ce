"""InfluxHistory against real servers: VictoriaMetrics and InfluxDB 2, the same test ids."""

from __future__ import annotations

import asyncio
import urllib.request

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.influx import InfluxHistory
from connectors.line_protocol import Labels, iso_ns, tag_fault
from streams.columns import from_rows
from streams.messages import Reject, Source
from streams.ports import Rejected, Rows, Unavailable
from tests.conftest import Servers
from tests.line_servers import HOUR, T0, Server, columns, flag, write
from tests.services.influx import Influx
from tests.services.victoria import Victoria


@pytest.fixture(params=[Victoria, Influx], ids=["victoria", "influxdb"])
def server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    return Server(servers.get(request.param))


@pytest.fixture
def influxdb(servers: Servers) -> Influx:
    return servers.get(Influx)


@pytest.fixture
def area(request: pytest.FixtureRequest) -> str:
    """A tag that no other test writes."""
    return f"{request.node.name}"


def test_what_is_written_reads_back_equal(server: Server, area: str) -> None:
    first = columns(("m1", T0, 176.25), ("m2", T0 + HOUR, -0.5), kind=1, unit="m3", quality=1, marks=4)
    second = columns(("m1", T0, 3.125), kind=2, unit="kW.h", register="1.8.1")
    third = columns(("m3", T0, 21.5), unit="", multiplier=2.0)
    assert write(server.config(), first, second, third, area=area) == []

    def key(field: str, **tags: str) -> tuple[str, str, frozenset[tuple[str, str]]]:
        return "reading", field, frozenset({"commodity": "gas", **tags}.items())

    m1: dict[str, str] = {"meter": "m1", "kind": "register", "unit": "m3"}
    m2: dict[str, str] = {"meter": "m2", "kind": "register", "unit": "m3"}
    sub: dict[str, str] = {"meter": "m1", "kind": "interval", "unit": "kW.h", "register": "1.8.1"}
    assert server.points("reading", area) == {
        key("value", **m1): {T0: 176.25},
        key("quality", **m1): {T0: 1.0},
        key("marks", **m1): {T0: 4.0},
        key("value", **m2): {T0 + HOUR: -0.5},
        key("quality", **m2): {T0 + HOUR: 1.0},
        key("marks", **m2): {T0 + HOUR: 4.0},
        key("value", **sub): {T0: 3.125},
        key("quality", **sub): {T0: 0.0},
        key("marks", **sub): {T0: 0.0},
        key("value", meter="m3"): {T0: 43.0},
        key("quality", meter="m3"): {T0: 0.0},
        key("marks", meter="m3"): {T0: 0.0},
    }


def test_writing_again_changes_nothing(server: Server, area: str) -> None:
    batch = columns(*((f"m{i % 7}", T0 + i * HOUR, i * 1.5) for i in range(200)), kind=2)
    write(server.config(), batch, area=area)
    before = server.points("reading", area)
    assert sum(len(points) for points in before.values()) == 600
    write(server.config(), batch, batch, area=area)
    assert server.points("reading", area) == before


def test_a_later_larger_value_wins(server: Server, area: str) -> None:
    write(server.config(), columns(("m", T0, 1.0), ("m", T0, 2.0)), columns(("m", T0, 3.0)), area=area)
    assert server.values(area) == {"m": {T0: 3.0}}


def test_a_later_smaller_value_wins_in_influxdb(influxdb: Influx, area: str) -> None:
    server = Server(influxdb)
    write(server.config(), columns(("m", T0, 3.0)), columns(("m", T0, 2.0), ("m", T0, 1.0)), area=area)
    assert server.values(area) == {"m": {T0: 1.0}}


NAMES = [
    "comma,comma", "equals=equals", "two  spaces", " space at both ends ", ",", "=", " ", ",,=  =", 'a"quote',
    '"', "it's", "back\\slash", "\\at the start", "a\\n not a newline", "#comment", "# comment", "_field",
    "value=1 2", "m value=1 1700000000000000000", "燃气表 17号", "Zähler", "😀", "a\u3000wide",
    "nbsp\u00a0nbsp", "{brace}", "$var", "%41", "a:b/c", "x" * 1024, "表" * 341,
    "meter", "0", "true", "NaN", "-", "1i",
]  # fmt: skip


def test_every_escape(server: Server, area: str) -> None:
    batch = columns(*((name, T0 + i * HOUR, float(i)) for i, name in enumerate(NAMES)))
    assert write(server.config(), batch, area=area) == []
    assert server.values(area) == {name: {T0 + i * HOUR: float(i)} for i, name in enumerate(NAMES)}


BAD = [
    ("", T0, 1.0, "meter id"),
    ("new\nline", T0, 1.0, "U+000A"),
    ("return\r", T0, 1.0, "U+000D"),
    ("nul\0", T0, 1.0, "U+0000"),
    ("surrogate\ud800", T0, 1.0, "U+D800"),
    ("ends with\\", T0, 1.0, "backslash"),
    ("before\\,comma", T0, 1.0, "backslash"),
    ("before\\ space", T0, 1.0, "backslash"),
    ("before\\=equals", T0, 1.0, "backslash"),
    ("two\\\\", T0, 1.0, "backslash"),
    ("表" * 342, T0, 1.0, "1024 bytes"),
    ("m", T0 + 1, float("nan"), "finite"),
    ("m", T0 + 1, float("inf"), "finite"),
    ("m", T0 + 1, float("-inf"), "finite"),
    ("m", 0, 1.0, "time"),
    ("m", -T0, 1.0, "time"),
    ("m", 2**63 - 1, 1.0, "time"),
]


def test_bad_lines_are_rejected_and_the_others_arrive(server: Server, area: str) -> None:
    readings: list[tuple[str, int, float]] = []
    for i, (meter, time_ns, value, _) in enumerate(BAD):
        readings += [(f"good-{i}", T0, float(i)), (meter, time_ns, value)]
    rejects = write(server.config(), columns(*readings), area=area)
    assert len(rejects) == len(BAD)
    for reject, (meter, time_ns, _, word) in zip(rejects, BAD, strict=True):
        assert word in reject.reason, (meter, reject)
        assert str(time_ns).encode() in reject.raw
    assert server.values(area) == {f"good-{i}": {T0: float(i)} for i in range(len(BAD))}


def test_registers_and_units_are_checked_as_names(server: Server, area: str) -> None:
    good = columns(("m", T0, 1.0), register="A+,T1 =x", unit="[cft_i]")
    batches = [columns(("m", T0, 2.0), register="x\\"), columns(("m", T0, 3.0), unit="m\n3"), good]
    rejects = write(server.config(), *batches, area=area)
    assert [reject.reason.split(":")[0] for reject in rejects] == ["register", "unit"]
    assert server.values(area) == {"m": {T0: 1.0}}


def test_a_bad_label_costs_the_tag_and_not_the_reading(server: Server, area: str) -> None:
    async def run() -> list[Reject]:
        history = InfluxHistory(server.config(), lambda _: Labels("a\nb", area))
        rejects = await history.write(columns(("m", T0, 1.0)))
        await history.close()
        return rejects

    assert asyncio.run(run()) == []
    assert [dict(tags) for _, field, tags in server.points("reading", area) if field == "value"] == [
        {"meter": "m"}
    ]


def test_flags_read_back_equal(server: Server, area: str) -> None:
    good = [
        flag(area=area),
        flag(area=area, status="cleared", at="2023-12-01T00:00:00Z", observed=None, expected=None),
    ]
    bad = [
        flag(area=area, id="a\nb"), flag(area=area, meter_id=""), flag(area=area, score=float("nan")),
        flag(area=area, at="yesterday"), flag(area=area, at="1969-12-31T23:59:59Z"),
        flag(area=area, kind="x\\"),
    ]  # fmt: skip
    rejects = write(server.config(), flags=[good[0], *bad, good[1], good[0]])
    assert len(rejects) == len(bad)
    raised, cleared = iso_ns("2023-11-14T22:13:20.123Z"), iso_ns("2023-12-01T00:00:00Z")
    found: dict[tuple[str, str], dict[int, float]] = {}
    for (_, field, tags), points in server.points("flag", area).items():
        if field != "id":  # a text: VictoriaMetrics makes a 0 of it
            assert dict(tags).items() >= {"meter": "w-17", "family": "usage_high", "unit": "m3"}.items()
            found[field, dict(tags)["status"]] = points
    start, end = iso_ns("2023-09-01T00:00:00Z") / 1e9, iso_ns("2023-11-14T22:13:20Z") / 1e9
    assert found == {
        ("score", "raised"): {raised: 9.0}, ("observed", "raised"): {raised: 273.0},
        ("expected", "raised"): {raised: 29.3}, ("start_s", "raised"): {raised: start},
        ("end_s", "raised"): {raised: end}, ("score", "cleared"): {cleared: 9.0},
        ("start_s", "cleared"): {cleared: start}, ("end_s", "cleared"): {cleared: end},
    }  # fmt: skip


@pytest.mark.parametrize("level", [0, 1, 9])
def test_plain_and_compressed_bodies(server: Server, area: str, level: int) -> None:
    batch = columns(*((f"m{i}", T0, float(i)) for i in range(300)))
    assert write(server.config(gzip_level=level, batch_lines=70), batch, area=area) == []
    assert server.values(area) == {f"m{i}": {T0: float(i)} for i in range(300)}


def test_killed_in_the_middle_and_back(server: Server, area: str) -> None:
    batches = [columns(*((f"m{i}", T0 + b * HOUR, float(b)) for i in range(50))) for b in range(20)]

    async def run() -> tuple[list[Unavailable], int]:
        history = InfluxHistory(server.config(timeout_s=5.0), lambda _: Labels("gas", area))
        refused: list[Unavailable] = []
        for number, batch in enumerate(batches):
            if number == 7:
                server.interrupt()
            while True:
                try:
                    assert await history.write(batch) == []
                    break
                except Unavailable as error:
                    refused.append(error)
                if len(refused) == 3:
                    await asyncio.to_thread(server.service.start)
        await history.close()
        return refused, history.counts.failures

    refused, failures = asyncio.run(run())
    assert len(refused) == failures == 3
    for error in refused:
        assert error.retry_after > 0
        assert str(server.service.port) in str(error)
    expected = {T0 + b * HOUR: float(b) for b in range(20)}
    assert server.values(area) == {f"m{i}": expected for i in range(50)}


name = st.text(st.characters(codec="utf-8"), max_size=12) | st.text('\\,= "\n\tab', max_size=8)
run_number = iter(range(10**9))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(name, st.integers(-5, 2_000_000), st.integers(-(10**12), 10**12), name, name),
        min_size=1,
        max_size=30,
    )
)
def test_nasty_names_arrive_whole_or_are_rejected(
    server: Server, readings: list[tuple[str, int, int, str, str]]
) -> None:
    area = f"nasty-{next(run_number)}"
    rows = Rows()
    expected: dict[tuple[str, str, str], dict[int, float]] = {}
    rejected = 0
    for number, (meter, ms, value, register, unit) in enumerate(readings):
        time_ns = (ms * 100 + number) * 1_000_000  # no two at one instant
        rows.add(meter, time_ns, value / 1000, unit=unit)
        if register:
            rows.note("register", register)
        if not meter or any(tag_fault(text) for text in (meter, register, unit)) or time_ns < 1:
            rejected += 1
        else:
            expected.setdefault((meter, register, unit), {})[time_ns] = value / 1000
    source = Source(adapter="test", topic="t", received_ns=T0)
    batch = from_rows(rows, [source], np.zeros(len(rows), np.uint32))
    assert len(write(server.config(details=False), batch, area=area)) == rejected
    found = {
        (dict(tags)["meter"], dict(tags).get("register", ""), dict(tags).get("unit", "")): points
        for (_, _, tags), points in server.points("reading", area).items()
    }
    assert found == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(1, 9_200_000_000_000_000_000), st.floats(allow_nan=False, allow_infinity=False)
        ),
        min_size=1,
        max_size=50,
        unique_by=lambda pair: pair[0],
    )
)
def test_influxdb_keeps_every_float_and_nanosecond(
    influxdb: Influx, readings: list[tuple[int, float]]
) -> None:
    area = f"floats-{next(run_number)}"
    server = Server(influxdb)
    assert write(server.config(details=False), columns(*(("m", t, v) for t, v in readings)), area=area) == []
    assert server.values(area) == {"m": dict(readings)}


def test_why_lines_are_checked_before_they_are_sent(servers: Servers) -> None:
    """VictoriaMetrics answers 204 to lines that are none, and keeps nothing of them, or a zero."""
    victoria = servers.get(Victoria)
    body = f"reading,meter=swallowed\\ value=1 {T0}\nreading,meter=zero value=none {T0}".encode()
    request = urllib.request.Request(f"{victoria.url}/api/v2/write", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204
    found = victoria.export('{__name__=~"reading.*",meter=~"swallowed.*|zero"}')
    assert [(series["metric"]["meter"], series["values"]) for series in found] == [("zero", [0])]


def test_points_outside_the_bucket_s_retention_are_singled_out(influxdb: Influx) -> None:
    server = Server(influxdb)
    bucket = influxdb.new_bucket("short", keep_s=10 * 365 * 86_400)
    old = {3, 250, 251, 499}
    readings = [(f"m{i}", 10**18 if i in old else T0 + i, float(i)) for i in range(500)]
    rejects = write(server.config(bucket=bucket, batch_lines=200), columns(*readings))
    assert {reject.raw.split(b" ")[0] for reject in rejects} == {f"reading,meter=m{i}".encode() for i in old}
    assert all("retention" in reject.reason for reject in rejects)
    flux = f'from(bucket: "{bucket}") |> range(start: 0) |> filter(fn: (r) => r._field == "value")'
    assert {row["meter"] for row in influxdb.query(flux)} == {f"m{i}" for i in range(500) if i not in old}


def test_a_batch_that_is_refused_whole_takes_one_request(influxdb: Influx) -> None:
    async def run() -> tuple[int, int]:
        history = InfluxHistory(Server(influxdb).config(bucket=influxdb.new_bucket("shortest", keep_s=3600)))
        rejects = await history.write(columns(*((f"m{i}", T0, 1.0) for i in range(1000))))
        await history.close()
        return len(rejects), history.counts.requests

    assert asyncio.run(run()) == (1000, 1)


def test_a_token_that_may_only_write_is_enough(influxdb: Influx, area: str) -> None:
    server = Server(influxdb)
    config = server.config(token=influxdb.new_token(Influx.bucket))

    async def run() -> None:
        history = InfluxHistory(config)
        await history.check()
        await history.close()

    asyncio.run(run())
    assert write(config, columns(("m", T0, 1.0)), area=area) == []
    assert server.values(area) == {"m": {T0: 1.0}}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"token": "wrong"}, ["401", "influx.token"]),
        ({"bucket": "nowhere"}, ["404", "create the bucket", "nowhere"]),
        ({"org": "nobody"}, ["404", "influx.org", "nobody"]),
    ],
)
def test_wrong_access_is_told_with_what_to_do(
    influxdb: Influx, wrong: dict[str, str], words: list[str]
) -> None:
    config = Server(influxdb).config(**wrong)

    async def check() -> None:
        history = InfluxHistory(config)
        try:
            await history.check()
        finally:
            await history.close()

    for attempt in (lambda: asyncio.run(check()), lambda: write(config, columns(("m", T0, 1.0)))):
        with pytest.raises(Rejected) as caught:
            attempt()
        assert all(word in str(caught.value) for word in words), caught.value
        assert "wrong" not in str(caught.value)  # the token is a secret


def test_check_passes_on_a_server_that_is_there(server: Server) -> None:
    async def run() -> None:
        history = InfluxHistory(server.config())
        await history.check()
        await history.close()

    asyncio.run(run())
