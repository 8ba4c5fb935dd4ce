"""Bills of homes that heat with gas: what the time of year explains is no fault, and what it does not is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import HighLow
from streams.messages import Flag, Kind
from streams.registry import Meter
from tests.streams_of_readings import DAY, Row, Stream, examples, feed, instant, make_bank
from tests.twins import assert_same, high_low, run
from tests.weather import bills_of, heated_home, year_of

BEGIN = instant("2018-01-01")


def meter(name: str) -> Meter:
    return Meter(meter_id=name, commodity="gas", unit="m3", kind="interval", area="north")


def rows_of(name: str, bills: list[tuple[int, float]]) -> list[Row]:
    return [Row(name, BEGIN + day * DAY, amount, kind=Kind.INTERVAL) for day, amount in bills]


def joined(homes: list[list[tuple[int, float]]]) -> list[Row]:
    return [row for number, bills in enumerate(homes) for row in rows_of(f"h{number:02}", bills)]


def said(rows: list[Row]) -> list[Flag]:
    names = sorted({row.meter for row in rows})
    ordered = sorted(rows, key=lambda row: (row.time, row.meter))
    return [f for f in feed(make_bank([meter(n) for n in names]), ordered).flags if f.kind != "silent"]


def round_of(number: int, months: int = 44) -> list[tuple[int, float]]:
    """Monthly bills of 81 m³ in January and 9 in July, give or take 15 %."""
    rng = np.random.default_rng(number)
    first = np.datetime64("2018-01")
    out = []
    for m in range(months):
        day = int(((first + m).astype("datetime64[D]") - np.datetime64("2018-01-01")).astype(int)) + 5
        season = 1 + 0.9 * np.cos(m % 12 / 6 * np.pi)
        out.append((day, round(float(40 * season * rng.lognormal(0, 0.15) + 5), 2)))
    return out


@pytest.mark.parametrize(
    ("month", "factor", "found"),
    [(36, 5.0, 5), (42, 5.0, 4), (36, 9.0, 5), (42, 9.0, 5), (36, 0.0, 5), (42, 0.0, 5)],
)
def test_what_a_heated_home_does_not_use_at_this_time_of_year_is_told(
    month: int, factor: float, found: int
) -> None:
    homes = [round_of(number) for number in range(40)]
    for bills in homes[:5]:
        bills[month] = (bills[month][0], bills[month][1] * factor)
    raised = [f for f in said(joined(homes)) if f.status == "raised"]
    kind = "high_usage" if factor else "zero_usage"
    assert {f.kind for f in raised} == {kind}
    assert {instant(f.at) for f in raised} == {BEGIN + round_of(0)[month][0] * DAY}
    assert {f.meter_id for f in raised} <= {f"h{n:02}" for n in range(5)}
    assert len(raised) >= found
    for flag in raised:
        # It is held against this time of year, which the evidence says.
        assert flag.expected is not None
        assert flag.expected > 55 and flag.evidence["season"] > 1.6 if month == 36 else flag.expected < 20


def test_the_season_ends_an_episode_as_it_would_have_been_without() -> None:
    """Five times October's; November's own amount is more than half above October's, and nothing is wrong with it."""
    bills = round_of(3)
    bills[33] = (bills[33][0], bills[33][1] * 5)
    flags = said(rows_of("h", bills))
    assert [(f.kind, f.status) for f in flags] == [("high_usage", "raised"), ("high_usage", "cleared")]
    assert instant(flags[1].at) == BEGIN + bills[34][0] * DAY
    assert "new_habit" not in flags[1].evidence


@pytest.mark.parametrize(("mean", "swing"), [(11.0, 9.5), (6.0, 14.0)])
def test_of_degree_days_few_bills_are_told_and_most_that_are_wrong(mean: float, swing: float) -> None:
    """Four years of 60 homes as they were; then with one bill of each, in the last two years, times five or nought."""
    air = year_of(1500, 1, mean, swing)
    homes = [bills_of(heated_home(air, number), 1, 4 + number % 22, number) for number in range(60)]
    settled = BEGIN + 400 * DAY
    clean = [f for f in said(joined(homes)) if f.status == "raised" and instant(f.at) > settled]
    assert len(clean) <= 2 * 2.2 * sum(len(bills) - 13 for bills in homes) / 1000
    for factor, least in ((5.0, 0.7), (0.0, 0.8)):
        wrong = [list(bills) for bills in homes]
        at = []
        for number, bills in enumerate(wrong):
            k = 24 + number * 7 % 22
            bills[k] = (bills[k][0], bills[k][1] * factor)
            at.append((f"h{number:02}", BEGIN + bills[k][0] * DAY))
        raised = {(f.meter_id, instant(f.at)) for f in said(joined(wrong)) if f.status == "raised"}
        assert len(raised & set(at)) >= least * len(at)


@st.composite
def seasons(draw: st.DrawFn) -> Stream:
    """Heated homes and others, billed every one to six months, with bills that are wrong."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    air = year_of(1900, int(rng.integers(5)))
    meters, rows = [], []
    for number in range(3):
        name = f"h{number}"
        use = heated_home(air, int(rng.integers(1000)))
        if rng.random() < 0.2:
            use = rng.lognormal(0, 0.3, len(air))
        bills = bills_of(use, int(rng.choice([1, 1, 2, 3, 6])), 10, number)
        for _ in range(draw(st.integers(0, 4))):
            k = int(rng.integers(len(bills)))
            factor = float(rng.choice([0.0, 0.2, 3.0, 5.0, 9.0]))
            for m in range(k, min(k + int(rng.integers(1, 4)), len(bills))):
                bills[m] = (bills[m][0], round(bills[m][1] * factor, 1))
        meters.append(meter(name))
        rows += rows_of(name, bills)
    return Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))


@examples(40)
@given(seasons())
def test_seasons_are_judged_as_the_obvious_loop_judges_them(stream: Stream) -> None:
    flags = [f for f in run(stream, HighLow()) if f.family in ("usage_high", "usage_low")]
    assert_same(flags, high_low(stream))


def test_seasons_are_told_of_where_there_is_one() -> None:
    """The streams of the comparison above do have meters with a season among their flags."""
    air = year_of(1900, 0)
    bills = bills_of(heated_home(air, 1), 2, 10, 1)
    bills[20] = (bills[20][0], bills[20][1] * 9)
    (raised, *_) = said(rows_of("h", bills))
    assert raised.evidence["season"] > 0
    flat = [(day, round(float(amount), 1)) for day, amount in bills_of(np.full(1900, 1.4), 2, 10, 1)]
    flat[20] = (flat[20][0], flat[20][1] * 9)
    (raised, *_) = said(rows_of("h", flat))
    assert "season" not in raised.evidence


@examples(15)
@given(seasons(), st.sets(st.integers(1, 200), max_size=6))
def test_seasons_are_told_the_same_however_the_bills_are_cut(stream: Stream, cuts: set[int]) -> None:
    whole = feed(make_bank(stream.meters), stream.rows).flags
    parts = feed(make_bank(stream.meters), stream.rows, sorted(c for c in cuts if c < len(stream.rows))).flags
    assert [(f.id, f.status, f.at, f.kind, f.evidence) for f in whole] == [
        (f.id, f.status, f.at, f.kind, f.evidence) for f in parts
    ]
