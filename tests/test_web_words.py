"""What the pages are made of: figures and times as people read them, words, charts."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.history_sqlite import Series
from connectors.web import words
from connectors.web.format import Local, amount, duration, number, parse_ns, unit
from connectors.web.pages.chart import Line, Span, line_of, options, span_of
from connectors.web.pages.door import Answer
from connectors.web.pages.refusals import refusal
from connectors.web.words import WORDS, Words
from detectors import CATALOGUE
from streams.messages import NS, Kind, Mark, Quality
from streams.papers.evidence_words import EVIDENCE
from streams.trade.tickets import Ticket
from tests.web_tools import Place, filled, ns


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("closed needs the release of its bill", "办结还缺：账单恢复出账。"),
        ("closed needs a verdict and the release of its bill", "办结还缺：核查结论、账单恢复出账。"),
        ("false_alarm needs the release of its bill", "判为误报前须先办理账单恢复出账。"),
        (
            (
                "false_alarm needs the release of its bill and the verdict false_alarm, "
                "with its reason or a note that says why"
            ),
            "判为误报前须先办理账单恢复出账，并写明原因。",
        ),
        (
            "false_alarm needs the verdict false_alarm, with its reason or a note that says why",
            "判为误报须写明原因。",
        ),
        (
            "expected a ticket without credits, got FS-1 with 2: merge the other into it",
            "工单 FS-1 已有退补，不能合并到其他工单；请将另一张工单合并到该工单。",
        ),
        (
            "expected a ticket whose bill is not held, got FS-1: release its bill first",
            "工单 FS-1 的账单已暂缓出账，请先恢复出账再合并。",
        ),
        ("closed needs something new", "办结还缺：something new。"),
        ("something else", "未能办理。要求：something else。"),
    ],
)
def test_what_is_refused_is_said_in_chinese(sentence: str, said: str) -> None:
    """As the API answers a ``Refused``."""
    expected, _, got = sentence.removeprefix("expected ").partition(", got ")
    body = {"expected": expected, "got": got, "detail": ""}
    assert refusal(Answer(409, body), Words("zh"), str) == said


# -- figures, units and times as people read them ---------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (243.7, "243.7"),
        (1234567.891, "1,234,567.891"),
        (-1234.5, "-1,234.5"),
        (29.333334, "29.333"),
        (449.0, "449"),
        (0.48087432, "0.4809"),
        (0.1, "0.1"),
        (-0.25, "-0.25"),
        (0.0000123, "1.23e-05"),
        (1e18, "1e+18"),
        (999.9999, "1,000"),
    ],
)
def test_a_figure_has_as_many_digits_as_it_needs(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(min_value=-1e14, max_value=1e14, allow_nan=False))
def test_a_figure_read_back_is_near_the_figure(value: float) -> None:
    read = float(number(value).replace(",", ""))
    assert math.isclose(read, value, rel_tol=5e-4, abs_tol=5e-4)


def test_amounts_of_an_estimate_show_their_decimals() -> None:
    assert amount(273, "m3", 1) == "273.0 m³"
    assert amount(1234.56, "", 1) == "1,234.6"


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("m3", "m³"),
        ("m3/h", "m³/h"),
        ("kW.h", "kWh"),
        ("kW.h/d", "kWh/d"),
        ("L/s", "L/s"),
        ("Cel", "°C"),
        ("[psi]", "psi"),
        ("{messages}", "messages"),
        ("[cft_i]/h", "ft³/h"),
        ("mm2", "mm²"),
        ("", ""),
        ("CH4", "CH4"),
    ],
)
def test_units_as_they_are_written_on_paper(code: str, written: str) -> None:
    assert unit(code) == written


def test_times_are_local_and_say_their_offset() -> None:
    at = ns("2012-06-10T00:00:00")
    shanghai, london, nowhere = Local("Asia/Shanghai"), Local("Europe/London"), Local("../../etc/passwd")
    assert shanghai.minutes(at) == "2012-06-10 08:00 UTC+08:00"
    assert london.full(at) == "2012-06-10 01:00:00 UTC+01:00"
    assert Local("America/St_Johns").minutes(at) == "2012-06-09 21:30 UTC-02:30"
    assert nowhere.minutes(at) == "2012-06-10 00:00 UTC"
    assert (nowhere.zone, nowhere.label(at), Local("").zone) == ("UTC", "UTC", "UTC")
    assert london.label(at) == "Europe/London (UTC+01:00)"
    assert shanghai.wall(at) - at / 1e6 == 8 * 3_600_000
    # beyond the calendar: shown as it is
    assert shanghai.short(2**63 - 1).startswith("2262-04-1")
    assert Local("").full(-(2**63)).startswith("1677")


@pytest.mark.parametrize("text", [None, 5, "", "yesterday", "2012-13-01", ["2012-06-10"]])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_ns(text) is None


def test_times_without_a_zone_are_utc() -> None:
    assert parse_ns("2012-06-10") == parse_ns("2012-06-10T08:00:00+08:00") == ns("2012-06-10T00:00:00")


def test_lengths_of_time() -> None:
    say = Words("en")
    told = [duration(s, say) for s in (0, 119.9, 120, 7199, 7200, 172_799, 172_800, 1e9)]
    assert told == ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d", "11,574 d"]
    assert duration(300, Words("zh")) == "5 分钟"


# -- words ------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_say_everything_with_the_same_names() -> None:
    for key, (zh, en) in WORDS.items():
        assert zh, key
        assert en, key
        assert fields(zh) == fields(en), key
    chinese = re.compile("[\u4e00-\u9fff]")
    assert not [key for key, (_, en) in WORDS.items() if chinese.search(en) and key != "other_language"]
    # of one language only: names
    same = {key for key, (zh, en) in WORDS.items() if zh == en}
    assert same <= {"scada"}


def test_every_word_that_is_said_is_in_the_table_and_every_one_in_the_table_is_said() -> None:
    said: set[str] = set()
    for path in Path(words.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say":
                first = call.args[0]
                if isinstance(first, ast.Constant):
                    assert first.value in WORDS, f"{path.name}: {first.value!r}"
    # codes that come with the data
    coded = {"raised", "updated", "cleared", "uncertain", "bad", *(m.name.lower() for m in Mark if m.name)}
    coded |= {k.name.lower() for k in Kind} | {"gas", "water", "electricity", "heat", "scada"}
    built = {f"no_{name}{end}" for name in ("flags", "readings", "tickets", "open") for end in ("", "_hint")}
    built |= {"n_s", "n_min", "n_h", "n_d", "ingest", "worker", "web"}
    assert set(WORDS) - said - coded - built == set()


def test_all_evidence_of_the_detectors_has_words() -> None:
    known = {name for make in CATALOGUE for names in make().evidence.values() for name in names}
    assert known <= set(EVIDENCE)
    assert Words("zh").evidence("use_a_day") == ("本期日均", "{u}/d")
    assert Words("en").evidence("something_new") == ("something new", "")


# -- the chart --------------------------------------------------------------------------------


def series(
    values: list[float], kind: Kind, step_s: int = 86_400, register: str = "", quality: int = Quality.GOOD
) -> Series:
    n = len(values)
    return Series(
        "m",
        register,
        np.arange(n, dtype=np.int64) * step_s * NS,
        np.array(values),
        np.full(n, kind, np.uint8),
        np.full(n, quality, np.uint8),
        np.zeros(n, np.uint16),
        ["m3"] * n,
    )


def test_a_register_is_drawn_as_use_a_day() -> None:
    line = line_of([series([0.0, 2.0, 6.0, 5.0], Kind.REGISTER, 2 * 86_400)])
    assert line is not None
    assert (line.caption, line.unit, line.stepped) == ("chart_rate", "m³/d", True)
    # a fall is a break, and so is what follows it
    np.testing.assert_array_equal(line.value, [1.0, 2.0, np.nan, np.nan])
    assert line_of([series([5.0], Kind.REGISTER)]) is None


def test_intervals_and_gauges_are_drawn_as_they_are() -> None:
    line = line_of([series([1.0, 3.0, 2.0], Kind.INTERVAL)])
    assert line is not None
    assert (line.caption, line.value.tolist()) == ("chart_usage", [1.0, 3.0, 2.0])
    line = line_of([series([1.0, 3.0, 2.0], Kind.GAUGE)])
    assert line is not None
    assert (line.caption, line.stepped) == ("chart_value", False)


def test_a_kind_that_nobody_states_is_told_from_the_values() -> None:
    rising = line_of([series([float(i) for i in range(100)], Kind.UNSTATED)])
    assert rising is not None
    assert rising.caption == "chart_rate"
    swinging = line_of([series([math.sin(i) for i in range(100)], Kind.UNSTATED)])
    assert swinging is not None
    assert swinging.caption == "chart_value"


def test_a_long_series_is_thinned_and_keeps_its_peaks() -> None:
    values = [0.0] * 100_000
    values[77_777], values[3] = 9.0, -4.0
    line = line_of([series(values, Kind.INTERVAL, 60)])
    assert line is not None
    assert line.thinned
    assert len(line.value) <= 600
    assert {9.0, -4.0} <= set(line.value.tolist())
    assert (np.diff(line.time_ns) > 0).all()


def test_a_long_register_keeps_its_total() -> None:
    reads = np.cumsum(np.ones(50_000)).tolist()
    line = line_of([series(reads, Kind.REGISTER, 3600)])
    assert line is not None
    assert len(line.value) <= 600
    days = np.diff(line.time_ns) / (86_400 * NS)
    assert (line.value[:-1] * days).sum() == pytest.approx(reads[-1] - reads[0])


def test_the_register_that_the_flag_names_is_drawn() -> None:
    found = [series([1.0, 2.0], Kind.GAUGE), series([7.0, 8.0], Kind.GAUGE, register="1.8.1")]
    named, total = line_of(found, "1.8.1"), line_of(found)
    assert named is not None
    assert total is not None
    assert (named.value[0], total.value[0]) == (7.0, 1.0)
    assert line_of([]) is None
    assert line_of([series([1.0, 2.0], Kind.GAUGE, quality=Quality.BAD)]) is None


def ticket(place: Place, **evidence: Any) -> Ticket:
    from msgspec.structs import replace

    return replace(place.store.tickets(None, 1)[0], evidence=evidence)


def test_the_chart_covers_the_episode_and_what_it_was_held_against(place: Place) -> None:
    golden = place.store.tickets(None, 10, service_point="wei")[0]
    span = span_of(golden)
    assert span is not None
    assert span.start == ns("2011-04-10T00:00:00")
    assert span.episode == (ns("2012-04-10T00:00:00"), ns("2012-06-10T00:00:00"))
    assert span.end > span.episode[1]
    at = "2026-06-01T12:30:00Z"
    short = span_of(ticket(place, start=at, end=at))
    assert short is not None
    assert short.episode[0] - short.start == 14 * 86_400 * NS
    for odd in ({}, {"start": "x", "end": at}, {"start": at, "end": at, "periods": ["x"]}):
        span_of(ticket(place, **odd))


def test_the_options_are_plain_data_in_local_time() -> None:
    import json

    line = Line(
        np.array([0, 1, 2]) * 86_400 * NS, np.array([1.0, np.nan, 3.0]), "chart_rate", "m³/d", True, False
    )
    span = Span(0, 2 * 86_400 * NS, (86_400 * NS, 2 * 86_400 * NS))
    made = json.loads(json.dumps(options(line, span, 0.5, Local("Asia/Shanghai"), Words("en"))))
    drawn = made["series"][0]
    assert drawn["data"] == [[8 * 3.6e6, 1.0], [32 * 3.6e6, None], [56 * 3.6e6, 3.0]]
    assert drawn["markLine"]["data"] == [{"yAxis": 0.5}]
    assert "markLine" not in options(line, span, None, Local(""), Words("en"))["series"][0]
    # no HTML is made of what came with a reading
    assert made["tooltip"]["renderMode"] == "richText"
