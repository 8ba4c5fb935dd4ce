"""Meters and concentrators that fall silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Intervals, Silence, Transformer
from streams.messages import Flag, Mark
from streams.registry import Meter
from streams.state.bank import STEP, Bank, Outcome
from tests.naive.silence import Heard, look_around
from tests.streams_of_readings import DAY, HOUR, NS, Row, Stream, examples, feed, instant, make_bank, streams
from tests.twins import assert_same, run, validated

START = instant("2024-01-01")


def twin(stream: Stream) -> list[Any]:
    taken, _ = validated(stream)
    heard = {
        m.meter_id: Heard(m.meter_id, m.concentrator, m.home_area, bool(m.interval_s)) for m in stream.meters
    }
    lines = []
    newest = None
    for row, one in zip(stream.rows, taken, strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is not None and (row.time - 1) // STEP != (newest - 1) // STEP:
                lines += look_around(list(heard.values()), row.time)
            newest = row.time
        lines += heard[row.meter].hear(one)
    return lines


@examples(25)
@given(
    streams(
        days=30, spacings=(HOUR // 2, HOUR, 2 * HOUR, 6 * HOUR, DAY), kinds=("register", "interval", "gauge")
    )
)
def test_silence_is_that_of_the_obvious_loop(stream: Stream) -> None:
    # A clock ahead would have the same episode: it is of the same family.
    stream = Stream(stream.meters, [row for row in stream.rows if row.time <= row.received + 900 * NS])
    flags = [f for f in run(stream, Silence()) if f.kind in Silence.kinds]
    assert_same(flags, twin(stream))


@st.composite
def concentrators(draw: st.DrawFn) -> Stream:
    """Two concentrators, an area without one, and meters of their own; all, some or single ones fall silent."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    meters, rows = [], []
    sizes = {"A": draw(st.integers(4, 9)), "B": 6, "area": draw(st.integers(4, 9)), "": 2}
    hours = 24 * 8
    for name, count in sizes.items():
        cuts = [(int(rng.integers(20, hours - 30)), int(rng.integers(3, 40))) for _ in range(2)]
        for number in range(count):
            meter = f"{name or 'own'}{number}"
            place: dict[str, Any] = {"area": "north"} if name == "area" else {"concentrator": name}
            meters.append(Meter(meter_id=meter, kind="interval", interval_s=3600, **place))
            own = np.ones(hours, np.bool_)
            for first, length in cuts:
                if rng.random() < 0.8:
                    own[first + int(rng.integers(0, 4)) : first + length + int(rng.integers(0, 4))] = False
            if rng.random() < 0.3:
                own[int(rng.integers(0, hours)) :][: int(rng.integers(3, 100))] = False
            rows += [Row(meter, START + int(i) * HOUR, 1.0) for i in np.flatnonzero(own)]
    rows.sort(key=lambda row: (row.time, row.meter))
    return Stream(meters, rows)


@examples(60)
@given(concentrators())
def test_concentrators_are_those_of_the_obvious_loop(stream: Stream) -> None:
    assert_same(run(stream, Silence()), twin(stream))


# --- by hand ---------------------------------------------------------------------------------------


def said(flags: Sequence[Flag]) -> list[tuple[str, str, str, float]]:
    return [(f.meter_id, f.kind, f.status, (instant(f.at) - START) / HOUR) for f in flags]


def play(meters: Sequence[Meter], rows: Sequence[Row], **config: Any) -> list[Flag]:
    bank = make_bank(meters, (Intervals(), Silence()), **config)
    return feed(bank, sorted(rows, key=lambda row: row.time)).flags


def hourly(meter: str, hours: Sequence[int] | range, **more: Any) -> list[Row]:
    return [Row(meter, START + hour * HOUR, 1.0, **more) for hour in hours]


def known(*names: str, **more: Any) -> list[Meter]:
    return [Meter(meter_id=name, kind="interval", **{"interval_s": 3600.0, **more}) for name in names]


def test_a_meter_whose_clock_is_ahead_is_not_silent() -> None:
    """From 20:00 on its stamps are two hours ahead, for five days; then it is right, and then it says nothing."""
    rows = [
        Row(f"c{i}", START + h * HOUR, 1.0, received=START + h * HOUR) for h in range(300) for i in (0, 1)
    ]
    for hour in range(200):
        ahead = 2 * HOUR if 20 <= hour < 140 else 0
        rows.append(Row("m", START + hour * HOUR + ahead, 1.0, received=START + hour * HOUR))
    rows.sort(key=lambda row: row.received)
    bank = make_bank(known("c0", "c1", "m"), (Intervals(), Silence()))
    flags = feed(bank, rows).flags
    assert said(flags) == [
        ("m", "clock_drift", "raised", 20), ("m", "clock_drift", "cleared", 140),
        ("m", "gap", "raised", 206), ("m", "silent", "updated", 272),
    ]  # fmt: skip


def test_a_gap_ends_when_a_wrong_clock_speaks() -> None:
    rows = [Row("c", START + h * HOUR, 1.0, received=START + h * HOUR) for h in range(60)]
    rows += [Row("m", START + h * HOUR, 1.0, received=START + h * HOUR) for h in range(10)]
    rows += [Row("m", START + (h + 5) * HOUR, 1.0, received=START + h * HOUR) for h in range(30, 60)]
    rows.sort(key=lambda row: row.received)
    flags = feed(make_bank(known("c", "m"), (Intervals(), Silence())), rows).flags
    assert said(flags) == [("m", "gap", "raised", 16), ("m", "clock_drift", "updated", 30)]


def test_what_comes_late_ends_a_gap_no_earlier_than_it_began() -> None:
    rows = hourly("clock", range(60)) + hourly("m", range(20))
    rows.sort(key=lambda row: row.time)
    bank = make_bank(known("clock", "m"), (Intervals(), Silence()))
    flags = feed(bank, [*rows, *hourly("m", range(20, 60))]).flags
    assert said(flags) == [("m", "gap", "raised", 26), ("m", "gap", "cleared", 26)]


def test_meters_of_a_dark_transformer_have_no_flags_of_their_own() -> None:
    """Seven of ten are without supply for 30 hours; one of them stays silent after it."""
    meters = [m for i in range(10) for m in known(f"t{i}", transformer="T")] + known("clock")
    rows = hourly("clock", range(200))
    for i in range(10):
        out = range(100, 100) if i > 6 else range(100, 200) if i == 0 else range(100, 130)
        rows += hourly(f"t{i}", [hour for hour in range(200) if hour not in out])
    bank = make_bank(meters, (Intervals(), Silence(), Transformer()))
    flags = feed(bank, sorted(rows, key=lambda row: (row.time, row.meter))).flags
    assert [(f.kind, f.status) for f in flags if f.kind == "transformer_outage"] == [
        ("transformer_outage", "raised"), ("transformer_outage", "cleared"),
    ]  # fmt: skip
    single = [(f.meter_id, f.kind, f.status) for f in flags if f.kind != "transformer_outage"]
    assert single[0] == ("t0", "gap", "raised") or single[0] == ("t0", "silent", "raised")
    assert {name for name, _, _ in single} == {"t0"}


def test_a_meter_is_silent_when_six_hours_are_missing() -> None:
    rows = hourly("clock", range(200)) + hourly("m", [*range(20), *range(120, 200)])
    flags = play(known("clock", "m"), rows)
    assert said(flags) == [
        ("m", "gap", "raised", 26), ("m", "silent", "updated", 92), ("m", "silent", "cleared", 120),
    ]  # fmt: skip
    assert flags[0].start == "2024-01-01T19:00:00Z"
    assert flags[0].evidence["last_reading"] == "2024-01-01T19:00:00Z"
    assert flags[0].evidence["missing_readings"] == 6
    assert flags[0].observed is None


@pytest.mark.parametrize("missing", [5, 6])
def test_five_hours_are_no_gap(missing: int) -> None:
    rows = hourly("clock", range(100)) + hourly("m", [*range(20), *range(20 + missing, 100)])
    assert len(play(known("clock", "m"), rows)) == (2 if missing == 6 else 0)


def test_a_meter_alone_is_missed_at_its_next_word_or_the_clock() -> None:
    rows = hourly("m", [*range(20), 40, 41])
    assert said(play(known("m"), rows)) == [("m", "gap", "raised", 40), ("m", "gap", "cleared", 40)]
    bank = make_bank(known("m"), (Intervals(), Silence()))
    feed(bank, rows[:20])
    outcome = Outcome()
    for hour in range(20, 30):
        bank.tick(START + hour * HOUR, outcome)
    assert said(outcome.flags) == [("m", "gap", "raised", 26)]


def test_a_watermark_that_is_kept_back_is_overtaken_by_the_reading() -> None:
    rows = hourly("m", [*range(20), 30, 31, 32])
    flags = play(known("m"), rows, lateness_ns=100 * HOUR)
    assert said(flags) == [("m", "gap", "raised", 30), ("m", "gap", "cleared", 30)]


@pytest.mark.parametrize("stated", [True, False])
def test_a_daily_meter_may_miss_two(stated: bool) -> None:
    meters = [*known("clock"), *known("m", interval_s=86400.0 if stated else None)]
    rows = hourly("clock", range(24 * 40)) + hourly(
        "m", [24 * day for day in range(40) if day not in (10, 11)]
    )
    assert play(meters, rows) == []
    rows = [row for row in rows if row.meter == "clock" or not 20 * DAY <= row.time - START < 24 * DAY]
    assert [(f.kind, f.status) for f in play(meters, rows)] == (
        [("gap", "raised"), ("gap", "cleared")] if stated else []
    )  # whose spacing nobody has stated is allowed its longest hole


def test_who_sends_a_day_at_once_is_flagged_once() -> None:
    """The readings come in a bundle each night, none is missing."""
    rows = []
    for day in range(14):
        for hour in range(24):
            rows.append((day * 24 + hour, "clock", day * 24 + hour))
            rows.append((day * 24 + 24, "m", day * 24 + hour))
    rows.sort(key=lambda row: row[0])
    bank = make_bank(known("clock", "m"), (Intervals(), Silence()))
    flags = feed(bank, [Row(name, START + hour * HOUR, 1.0) for _, name, hour in rows]).flags
    assert [f.status for f in flags] == ["raised", "cleared"]


def test_history_falls_silent_unheard() -> None:
    marks = int(Mark.HISTORICAL)
    rows = hourly("clock", range(100)) + hourly("m", range(20), marks=marks)
    assert play(known("clock", "m"), rows) == []


def house(count: int, dead: int = 0, **place: Any) -> tuple[list[Meter], list[Row]]:
    """A concentrator with so many meters, silent from hour 50 to 80; some of them since hour 5."""
    names = [f"m{i}" for i in range(count)]
    rows = hourly("clock", range(120))
    for i, name in enumerate(names):
        rows += hourly(name, range(5) if i < dead else [*range(50), *range(80, 120)])
    return [*known("clock"), *known(*names, **(place or {"concentrator": "C"}))], rows


def test_a_concentrator_is_one_flag() -> None:
    meters, rows = house(20)
    flags = play(meters, rows)
    assert [(f.kind, f.status, (instant(f.at) - START) // HOUR) for f in flags] == [
        ("concentrator_silent", "raised", 56), ("concentrator_silent", "cleared", 80),
    ]  # fmt: skip
    evidence = flags[0].evidence
    assert evidence["concentrator_members"] == evidence["members_silent"] == 20


def test_who_was_silent_before_is_no_part_of_it() -> None:
    meters, rows = house(12, dead=6)
    flags = play(meters, rows)
    assert [f.kind for f in flags if f.status == "raised"] == [*["gap"] * 6, "concentrator_silent"]


def test_four_meters_are_no_concentrator() -> None:
    meters, rows = house(4)
    assert sorted(f.kind for f in play(meters, rows) if f.status == "raised") == ["gap"] * 4


def test_an_area_without_concentrators_is_one_flag() -> None:
    meters, rows = house(20, area="north")
    flags = play(meters, rows)
    assert [(f.kind, f.status, (instant(f.at) - START) // HOUR) for f in flags] == [
        ("area_silent", "raised", 56), ("area_silent", "cleared", 80),
    ]  # fmt: skip
    assert (flags[0].area, flags[0].evidence["area_members"], len(flags[0].evidence["members"])) == (
        "north",
        20,
        20,
    )
    # half of them are single meters; so are four, and meters of no stated area
    for count, area in ((20, "north"), (4, "north"), (20, "")):
        meters, rows = house(count, area=area)
        still = {f"m{i}" for i in range(count // 2)} if count == 20 and area else set()
        rows += [row for name in still for row in hourly(name, range(50, 80))]
        found = play(meters, rows)
        assert [f.kind for f in found if f.status == "raised"] == ["gap"] * (count - len(still))


def test_meters_of_a_concentrator_are_not_their_area() -> None:
    """One concentrator of two in an area, and no others: the area as a whole has not failed."""
    meters, rows = house(8, area="north", concentrator="C")
    other = [f"o{i}" for i in range(8)]
    rows += [row for name in other for row in hourly(name, range(120))]
    flags = play([*meters, *known(*other, area="north", concentrator="D")], rows)
    assert [f.kind for f in flags if f.status == "raised"] == ["concentrator_silent"]


def test_when_everything_stops_each_area_is_one_flag_at_the_first_word_after_it() -> None:
    names = {area: [f"{area}{i}" for i in range(8)] for area in ("north", "south")}
    meters = [meter for area, own in names.items() for meter in known(*own, area=area)]
    rows = [
        row for own in names.values() for name in own for row in hourly(name, [*range(50), *range(80, 120)])
    ]
    flags = play(meters, rows)
    assert sorted((f.area, f.kind, f.status, (instant(f.at) - START) // HOUR) for f in flags) == [
        (area, "area_silent", status, 80) for area in names for status in ("cleared", "raised")
    ]
    # a running worker is told by its clock
    bank = make_bank(meters, (Intervals(), Silence()))
    feed(bank, sorted((row for row in rows if row.time < START + 50 * HOUR), key=lambda row: row.time))
    outcome = Outcome()
    for hour in range(50, 60):
        bank.tick(START + hour * HOUR, outcome)
    assert sorted((f.area, f.kind, f.status, (instant(f.at) - START) // HOUR) for f in outcome.flags) == [
        (area, "area_silent", "raised", 56) for area in names
    ]


def test_a_member_flagged_before_becomes_part_of_it() -> None:
    meters, rows = house(9)
    rows = [row for row in rows if not (row.meter == "m3" and 46 <= (row.time - START) // HOUR < 50)]
    flags = play(meters, rows)
    assert [(f.meter_id == "m3", f.kind, f.status, (instant(f.at) - START) // HOUR) for f in flags] == [
        (True, "gap", "raised", 52), (True, "gap", "cleared", 56), (False, "concentrator_silent", "raised", 56),
        (False, "concentrator_silent", "cleared", 80),
    ]  # fmt: skip
    assert flags[1].evidence["reason"] == "part of concentrator_silent"
    assert flags[2].evidence["members_silent"] == 9


def test_silence_is_cut_anywhere() -> None:
    meters, rows = house(9)
    rows.sort(key=lambda row: row.time)

    def flags(cuts: Sequence[int]) -> list[Flag]:
        bank: Bank = make_bank(meters, (Intervals(), Silence()))
        return feed(bank, rows, cuts).flags

    assert flags(range(len(rows))) == flags([])
