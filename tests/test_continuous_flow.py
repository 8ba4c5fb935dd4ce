"""Flow that does not stop: the obvious loop, and homes that rest often, seldom, or out of sight."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given

from detectors import ContinuousFlow
from streams.messages import Flag
from streams.registry import Meter
from tests.naive.continuous_flow import continuous_flow
from tests.streams_of_readings import DAY, HOUR, Row, Stream, examples, instant, streams
from tests.twins import assert_same, of_each_meter, run

START = instant("2024-03-01")
HOME = Meter(meter_id="h", commodity="water", unit="L", kind="register", digits=7, interval_s=3600)

#: Litres an hour of a day: at rest 16 hours of 24, and 9.
OFTEN = [0.0] * 6 + [20.0, 40, 15, 5] + [0.0] * 7 + [30.0, 25, 20, 10] + [0.0] * 3
SELDOM = [0.0] * 9 + [20.0, 40, 15, 5, 10, 15, 10, 10, 5, 5, 10, 15, 30, 25, 20]
NEVER = [0.0] * 3 + [10.0] * 21


@examples(25)
@given(streams(days=60, spacings=(HOUR // 2, HOUR, 2 * HOUR), kinds=("interval", "register")))
def test_continuous_flow_is_that_of_the_obvious_loop(stream: Stream) -> None:
    rule = ContinuousFlow(enough=2, times=2, most=100)  # so that these short streams have something to tell
    flags = [f for f in run(stream, rule) if f.kind == "continuous_flow"]
    assert_same(
        flags,
        of_each_meter(stream, lambda taken, limit: continuous_flow(taken, limit, 36, 2, 72, 100, 2), "quiet"),
    )


def told(
    amounts: Sequence[float], hidden: Sequence[int] = (), rule: ContinuousFlow | None = None
) -> list[Flag]:
    """Flags of a home with these amounts an hour, as of the obvious loop; hours in ``hidden`` have no reading."""
    total, rows = 0.0, [Row("h", START, 0.0)]
    for hour, amount in enumerate(amounts, 1):
        total += amount
        if hour not in hidden:
            rows.append(Row("h", START + hour * HOUR, total))
    stream, rule = Stream([HOME], rows), rule or ContinuousFlow()
    flags = run(stream, rule)
    sizes = rule.hours / rule.budget**0.38, rule.enough / rule.budget**0.4
    calm, times = rule.calm / max(rule.budget, 1.0) ** 1.2, rule.times / rule.budget**0.5
    assert_same(
        flags,
        of_each_meter(
            stream,
            lambda taken, limit: continuous_flow(taken, limit, *sizes, calm, rule.most, times),
            "quiet",
        ),
    )
    return flags


def leaking(day: Sequence[float], flow: float) -> list[float]:
    return [use + flow for use in day]


def hours_until(flags: Sequence[Flag], days: int) -> int:
    """Hours from the leak's begin to the first flag."""
    return (instant(flags[0].at) - START - days * DAY) // HOUR


def test_a_home_that_rests_often_is_told_after_a_day_and_a_half() -> None:
    flags = told(OFTEN * 42 + leaking(OFTEN, 6) * 6 + OFTEN * 9)
    assert [(f.status, f.kind) for f in flags] == [
        ("raised", "continuous_flow"),
        ("cleared", "continuous_flow"),
    ]
    assert hours_until(flags, 42) == 36
    assert hours_until(flags[1:], 42 + 6) == 3 * 24  # without the like of it
    seen = flags[0].evidence
    assert seen["least_flow_per_hour"] == 6.0
    assert seen["limit_per_hour"] == 6.0  # three times Q: it rests more often from that
    assert seen["hours"] == 36.0
    assert seen["usual_quiet_share"] == pytest.approx(17 / 24 * 0.8, abs=0.05)


def test_a_home_that_seldom_rests_is_told_later_and_a_day_of_guests_never() -> None:
    assert hours_until(told(SELDOM * 42 + leaking(SELDOM, 2) * 14), 42) >= 60
    guests = [max(use, 3.0) for use in SELDOM]
    assert told(SELDOM * 42 + guests * 2 + SELDOM * 3) == []
    assert told(NEVER * 42 + leaking(NEVER, 3) * 20) == []  # nothing new for such a one


def test_a_larger_flow_is_told_sooner_where_a_home_seldom_rests() -> None:
    large, small = (told(SELDOM * 42 + leaking(SELDOM, flow) * 14) for flow in (16.0, 2.0))
    assert hours_until(large, 42) == 32  # 36 with the evening before
    assert large[0].evidence["limit_per_hour"] == 6.0  # three times Q
    assert hours_until(small, 42) >= 60
    # A base flow that never rests: what comes on top of it is told, the base is not.
    base = [use + 3.0 for use in OFTEN]
    assert told(base * 60) == []
    assert hours_until(told(base * 42 + leaking(base, 6) * 6), 42) == 36


def test_where_flow_goes_on_for_a_day_now_and_then_another_day_of_it_is_none() -> None:
    day = [0.0] * 6 + [3.0] * 12 + [0.0] * 6
    every, some = day * 8, day * 6 + [3.0] * 26 + [0.0] * 22  # a run of 26 h every eighth day
    hours = [hours_until(told(week * 8 + [3.0] * 24 * 8), 64) for week in (some, every)]
    # Four times 5 h and the mean run: (6 · 12² + 26²) / (6 · 12 + 26) = 15.7 h, the newest count for more; 12 h.
    assert hours == [pytest.approx(4 * (15.7 + 5), abs=2), 4 * (12 + 5)]
    # No run that is part of an open episode is one of its own.
    leaks = leaking(every, 3)
    flags = told(every * 8 + leaks * 3 + every + leaks)
    assert [f.status for f in flags] == ["raised", "cleared", "raised"]
    assert hours_until(flags[2:], 64 + 32) == 4 * (12 + 5)


def test_three_times_q_is_told_where_less_goes_on_for_days() -> None:
    days = [0.0] * 8 + [5.0] * 16
    often = (days * 5 + [5.0] * 48) * 7  # what flows for two days and nights is 5 L/h
    more, same = (told(often + [flow] * 24 * 12) for flow in (6.0, 5.0))
    assert hours_until(more, 49) == 36
    assert more[0].evidence["limit_per_hour"] == 6.0
    assert same == []


@pytest.mark.parametrize("flow", [2.0, 2.5, 2.9])
def test_a_register_of_whole_litres_does_not_hide_a_leak_at_the_limit(flow: float) -> None:
    total, amounts = 0.0, [*OFTEN * 42, *leaking(OFTEN, flow) * 6]
    rows = [Row("h", START, 0.0)]
    for hour, amount in enumerate(amounts, 1):
        total += amount
        rows.append(Row("h", START + hour * HOUR, float(int(total + 1e-9))))
    assert hours_until(run(Stream([HOME], rows), ContinuousFlow()), 42) <= 60


@pytest.mark.parametrize("flow", [2, 4, 8, 16])
@pytest.mark.parametrize("kind", ["register", "interval"])
def test_a_leak_at_a_limit_is_told_in_cubic_metres_as_in_litres(kind: str, flow: int) -> None:
    def flags(unit: str, size: float) -> list[Flag]:
        home = msgspec.structs.replace(HOME, unit=unit, kind=kind, digits=None)
        total, rows = 54_321_000.0, [Row("h", START, 54_321_000.0 / size if kind == "register" else 0.0)]
        for hour, amount in enumerate([*SELDOM * 42, *leaking(SELDOM, flow) * 14], 1):
            total += amount
            rows.append(Row("h", START + hour * HOUR, (total if kind == "register" else amount) / size))
        return run(Stream([home], rows), ContinuousFlow())

    litres, cubic = flags("L", 1.0), flags("m3", 1000.0)
    assert [(f.status, f.at, f.start) for f in cubic] == [(f.status, f.at, f.start) for f in litres]
    assert len(cubic) == 1
    assert cubic[0].evidence["limit_per_hour"] * 1000 == pytest.approx(litres[0].evidence["limit_per_hour"])


@pytest.mark.parametrize("rest", [10, 12])
def test_a_leak_of_a_young_meter_stays_open_until_it_stops(rest: int) -> None:
    day = [0.0] * rest + [20.0] * (24 - rest)
    flags = told(day * 15 + leaking(day, 3) * 120 + day * 6)
    assert [f.status for f in flags] == ["raised", "cleared"]
    assert hours_until(flags[1:], 15 + 120) == 3 * 24
    # What was open is no habit: the next leak is told as soon as that of another home.
    again = told(day * 15 + leaking(day, 3) * 120 + day * 20 + leaking(day, 3) * 12)
    assert [f.status for f in again] == ["raised", "cleared", "raised"]


def test_a_leak_that_comes_and_goes_is_one_episode() -> None:
    drips = leaking(OFTEN, 6) * 4 + OFTEN
    flags = told(OFTEN * 42 + drips * 4 + OFTEN * 9)
    assert [f.status for f in flags] == ["raised", "cleared"]
    # Shorter calm, more episodes.
    assert len(told(OFTEN * 42 + drips * 4 + OFTEN * 9, rule=ContinuousFlow(calm=12))) == 8


def test_hours_without_a_reading_count_by_a_third_where_the_register_shows_flow() -> None:
    hidden = range(42 * 24 + 10, 42 * 24 + 30)
    assert hours_until(told(OFTEN * 42 + leaking(OFTEN, 6) * 6, hidden), 42) == 51  # 9, a third of 21, 20
    # and end the run where it shows rest
    rested = leaking(OFTEN, 6)[:10] + [0.0] * 20 + leaking(OFTEN, 6)[6:] + leaking(OFTEN, 6) * 3
    assert hours_until(told(OFTEN * 42 + rested, hidden), 42) == 30 + 36


@pytest.mark.parametrize(
    ("hole", "used", "after"),
    [(5, 1.0, 34 + 5), (12, 1.0, 34 + 12), (5, 0.9, 20 + 5 + 40), (13, 1.0, 20 + 13 + 40)],
)
def test_a_short_hole_with_half_of_the_level_neither_lengthens_a_run_nor_ends_it(
    hole: int, used: float, after: int
) -> None:
    rests = [0.0] * 10 + [5.0] * 2 + [0.0] * 10 + [5.0] * 2
    amounts = rests * 42 + [2.5] * 20 + [used] * hole + [2.5] * 90
    hidden = range(42 * 24 + 21, 42 * 24 + 20 + hole)
    assert hours_until(told(amounts, hidden), 42) == after  # 36, of which two are of the evening before


@pytest.mark.parametrize(("budget", "hole"), [(2.0, 48), (3.0, 40), (5.0, 20), (5.0, 48)])
def test_a_hole_in_which_the_register_went_on_does_not_end_an_episode(budget: float, hole: int) -> None:
    amounts = OFTEN * 42 + [10.0] * 80 + [0.0, 0.0] + [10.0] * 400 + OFTEN * 12
    hidden = range(42 * 24 + 83, 42 * 24 + 82 + hole)  # just after two hours of rest
    flags, seen = (told(amounts, hours, ContinuousFlow(budget=budget)) for hours in (hidden, ()))
    assert [(f.status, f.at) for f in flags] == [(f.status, f.at) for f in seen]
    assert [f.status for f in flags] == ["raised", "cleared"]
    assert [f.evidence["quiet_hours"] for f in flags] == [f.evidence["quiet_hours"] for f in seen]


@pytest.mark.parametrize(("budget", "hole"), [(1.5, 60), (5.0, 49)])
def test_a_hole_of_more_than_two_days_ends_it_where_it_outlasts_the_calm(budget: float, hole: int) -> None:
    amounts = OFTEN * 42 + [10.0] * 400 + OFTEN * 12
    hidden = range(42 * 24 + 81, 42 * 24 + 80 + hole)
    flags = told(amounts, hidden, ContinuousFlow(budget=budget))
    assert [f.status for f in flags] == ["raised", "cleared"] * 2


def test_a_hole_in_which_the_register_stood_still_does() -> None:
    rested = [10.0] * 80 + [0.0] * 100 + [10.0] * 80
    flags = told(OFTEN * 42 + rested, range(42 * 24 + 81, 42 * 24 + 180))
    assert [f.status for f in flags] == ["raised", "cleared", "raised"]


def test_a_meter_that_is_read_daily_from_then_on_is_open_for_ten_days() -> None:
    days = 42 + 4
    daily = [hour for hour in range(days * 24, (days + 30) * 24) if hour % 24]
    flags = told(OFTEN * 42 + leaking(OFTEN, 6) * 34, daily)
    assert [f.status for f in flags] == ["raised", "cleared"]
    assert hours_until(flags[1:], days) == pytest.approx(10 * 24, abs=24)


def test_a_larger_budget_tells_sooner_and_days_tell_nothing() -> None:
    assert hours_until(told(OFTEN * 42 + leaking(OFTEN, 6) * 6, rule=ContinuousFlow(budget=5)), 42) < 24
    daily = [hour for hour in range(60 * 24) if hour % 24]
    assert told(leaking(OFTEN, 6) * 60, daily) == []


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="need budget"):
        ContinuousFlow(budget=0)
    for name in ("calm", "past_days"):
        with pytest.raises(ValueError, match=name):
            ContinuousFlow(**{name: 0})
    with pytest.raises(ValueError, match="times, spare"):
        ContinuousFlow(times=-1)
