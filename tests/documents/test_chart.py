"""The chart's drawing: inside its frame, at local dates, whatever is drawn."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.messages import NS
from streams.papers.chart import Band, Chart, Label, Line, Path, Span, draw, ticks
from tests.documents.tools import DAY, START, chart


def at(text: str, zone: str = "Asia/Shanghai") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS


def words(made: Chart) -> list[str]:
    return [shape.text for shape in draw(made).shapes if isinstance(shape, Label)]


def test_the_golden_case_is_drawn_with_band_span_and_legend() -> None:
    found = draw(chart())
    told = words(chart())
    assert {"本表", "预期", "异常时段", "m³/d", "2012-05"} <= set(told)
    assert [text for text in told if text.replace(".", "").isdigit()] == ["0", "2", "4", "6"]
    line = max(
        (s for s in found.shapes if isinstance(s, Path) and s.stroke == "#0b5cab"),
        key=lambda s: len(s.points),
    )
    heights = [y for _, y in line.points]
    (frame,) = [
        s for s in found.shapes if isinstance(s, Path) and s.stroke == "#b8c2cc" and len(s.points) == 3
    ]
    top, bottom = frame.points[0][1], frame.points[1][1]
    # 4.48 of 6 against 0.48 of 6
    assert (max(heights) - min(heights)) / (bottom - top) == pytest.approx(
        (273 / 61 - 176 / 366) / 6, abs=0.001
    )


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2012-06-10T00:00", "2012-06-10T12:00", [("00:00", "2012-06-10"), ("02:00", ""), ("04:00", "")]),
        (
            "2012-06-10T20:00",
            "2012-06-11T08:00",
            [("20:00", "2012-06-10"), ("22:00", ""), ("00:00", "2012-06-11")],
        ),
        ("2012-12-25T00:00", "2013-01-08T00:00", [("12-25", "2012"), ("12-27", ""), ("12-29", "")]),
        ("2011-04-10T00:00", "2012-06-10T00:00", [("2011-05", ""), ("2011-07", ""), ("2011-09", "")]),
        ("2001-02-01T00:00", "2012-06-10T00:00", [("2002", ""), ("2004", ""), ("2006", "")]),
    ],
)
def test_ticks_stand_at_round_local_dates(start: str, end: str, expected: list[tuple[str, str]]) -> None:
    found = ticks(at(start), at(end), "Asia/Shanghai")
    assert [(text, below) for _, text, below in found][:3] == expected
    assert len(found) <= 9
    for time_ns, *_ in found:
        stamp = datetime.fromtimestamp(time_ns // NS, ZoneInfo("Asia/Shanghai"))
        assert (stamp.minute, stamp.second) == (0, 0)


def test_the_year_is_said_where_it_changes() -> None:
    found = ticks(at("2012-12-25T00:00"), at("2013-01-08T00:00"), "Asia/Shanghai")
    assert [(text, below) for _, text, below in found if below] == [("12-25", "2012"), ("01-01", "2013")]


def test_a_day_of_25_hours_has_its_midnights() -> None:
    found = ticks(
        at("2012-10-27T00:00", "Europe/Madrid"), at("2012-11-03T00:00", "Europe/Madrid"), "Europe/Madrid"
    )
    stamps = [datetime.fromtimestamp(t // NS, ZoneInfo("Europe/Madrid")) for t, *_ in found]
    assert all(stamp.hour == 0 for stamp in stamps)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expected finite values"):
        Line(label="", points=((0, math.nan),))
    with pytest.raises(ValueError, match="expected finite values"):
        Band("", ((0, 0.0, math.inf),))


times = st.integers(-(2**62), 2**62)
values = st.floats(-1e300, 1e300, allow_nan=False) | st.sampled_from([5e-324, 1e-200, 3e-200, 0.0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(times, st.none() | values), max_size=6),
    st.lists(st.tuples(times, values, values), max_size=3),
    st.none() | st.tuples(times, times),
    st.booleans(),
    st.booleans(),
)
def test_all_that_is_drawn_lies_within(
    points: list[tuple[int, float | None]],
    band: list[tuple[int, float, float]],
    span: tuple[int, int] | None,
    stepped: bool,
    zero: bool,
) -> None:
    made = Chart(
        unit="m³",
        lines=(Line(label="l", points=tuple(sorted(points, key=lambda p: p[0])), stepped=stepped),),
        band=Band("b", tuple(sorted(band))) if band else None,
        span=Span("s", *span) if span else None,
        zero=zero,
    )
    found = draw(made)
    for shape in found.shapes:
        for x, y in shape.points if isinstance(shape, Path) else ((shape.x, shape.y),):
            assert -3 <= x <= found.width + 3
            assert -3 <= y <= found.height + 3


def test_a_span_beyond_the_calendar_has_no_dates() -> None:
    assert ticks(0, 2**72, "UTC") == []
    assert [text for _, text, _ in ticks(-(2**63), 2**63 - 1, "UTC")] == [
        str(1700 + n * 100) for n in range(6)
    ]
    assert ticks(START, START + DAY, "No/Where")
    assert datetime.fromtimestamp(START // NS, UTC).year == 2011
