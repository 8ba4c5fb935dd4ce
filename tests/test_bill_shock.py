"""The bill that is coming, by hand: use by billing period, projected to the bill day."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import numpy as np
import pytest

from detectors import BillShock, HighLow, Intervals
from streams.messages import Flag, Mark, Quality
from streams.registry import Meter
from streams.state.bank import Outcome
from tests.bill_tools import METER, START, days, usual_until
from tests.streams_of_readings import HOUR, Row, feed, instant, make_bank


def flags_of(rows: list[Row], meter: Meter = METER, rule: BillShock | None = None) -> list[Flag]:
    found = feed(make_bank([meter], (Intervals(), rule or BillShock())), rows).flags
    return [flag for flag in found if flag.kind == "bill_shock"]


def said(flags: list[Flag]) -> list[tuple[str, str]]:
    return [(f.status, f.at[:10]) for f in flags]


def test_ten_times_the_use_is_told_when_it_will_shock_and_ends_on_the_bill_day() -> None:
    """0.5 a day; 5 a day from the bill day on. After 7 days 35 + 24 · 0.5 = 47 against 15.5; told a day later.

    Of a reading at midnight the day has ended when the next one comes.
    """
    flags = flags_of(days([*usual_until("2023-07-10"), *[5.0] * 20, *[0.5] * 40]))
    assert said(flags) == [("raised", "2023-07-19"), ("cleared", "2023-08-11")]
    raised, cleared = flags
    assert (raised.kind, raised.family, raised.start, raised.end) == (
        "bill_shock", "usage_high", "2023-07-10T00:00:00Z", "2023-07-18T00:00:00Z",
    )  # fmt: skip
    told = raised.evidence
    assert (told["period_from"], told["period_to"], told["period_days"]) == ("2023-07-10", "2023-08-10", 31)
    assert (told["billed_amount"], told["billed_days"]) == (40.0, 8.0)
    assert raised.observed == told["projected_amount"] == pytest.approx(40 + 23 * 0.5)
    assert raised.expected == pytest.approx(15.5)
    assert told["ratio"] == pytest.approx(51.5 / 15.5, rel=1e-5)
    assert [(p["start"][:10], p["end"][:10], p["days"], p["amount"]) for p in told["periods"]] == [
        ("2023-01-10", "2023-02-10", 31.0, 15.5),
        ("2023-02-10", "2023-03-10", 28.0, 14.0),
        ("2023-03-10", "2023-04-10", 31.0, 15.5),
        ("2023-04-10", "2023-05-10", 30.0, 15.0),
        ("2023-05-10", "2023-06-10", 31.0, 15.5),
        ("2023-06-10", "2023-07-10", 30.0, 15.0),
    ]
    assert (told["version"], told["parameters"]["ratio"]) == (1, 2.0)
    # the whole period: 20 days of 5 and 11 of 0.5
    assert cleared.observed == pytest.approx(105.5)
    assert cleared.id == raised.id


def test_it_is_told_once_a_period_and_again_in_the_next() -> None:
    rule = BillShock(least_days=3)
    flags = flags_of(days([*usual_until("2023-06-10"), *[9.0] * 45, *[0.5] * 30]), rule=rule)
    assert said(flags) == [
        ("raised", "2023-06-15"), ("cleared", "2023-07-11"), ("raised", "2023-07-15"), ("cleared", "2023-08-11"),
    ]  # fmt: skip
    assert len({f.id for f in flags}) == 2


def test_it_ends_before_the_bill_day_when_the_rest_of_the_period_makes_up_for_it() -> None:
    """21 in three days, then nothing: 31 · 0.5 · 1.5 = 23.25 is not reached any more with 4 days left."""
    rule = BillShock(least_days=3)
    flags = flags_of(days([*usual_until("2023-07-10"), 7.0, 7.0, 7.0, *[0.0] * 28, *[0.5] * 9]), rule=rule)
    assert said(flags) == [("raised", "2023-07-15"), ("cleared", "2023-08-07")]


def test_a_bill_day_that_a_month_does_not_have_is_its_last() -> None:
    meter = msgspec.structs.replace(METER, bill_day=31, tz="Europe/Madrid")
    local = START - HOUR  # midnight there
    flags = flags_of(days([*usual_until("2023-06-30"), *[5.0] * 20, *[0.5] * 30], start=local), meter)
    # The day ends there an hour after this meter's stamps, in summer: the reading after moves the clock.
    raised = flags[0]
    assert (raised.start, raised.evidence["period_from"], raised.evidence["period_to"]) == (
        "2023-06-29T22:00:00Z", "2023-06-30", "2023-07-31",
    )  # fmt: skip
    periods = raised.evidence["periods"]
    assert [p["start"][:16] for p in periods] == [
        "2022-12-30T23:00", "2023-01-30T23:00", "2023-02-27T23:00", "2023-03-30T22:00", "2023-04-29T22:00",
        "2023-05-30T22:00",
    ]  # fmt: skip
    assert [a["end"] for a in periods[:-1]] == [b["start"] for b in periods[1:]]


def test_what_comes_every_summer_is_no_shock() -> None:
    """A pool is filled each July: told in the first year, and not in the second."""
    year = [*[0.5] * 190, *[5.0] * 10, *[0.5] * 165]
    assert said(flags_of(days(year))) == [("raised", "2023-07-19"), ("cleared", "2023-08-11")]
    twice = flags_of(days(year + year))
    assert said(twice) == said(flags_of(days(year)))
    # More than twice that is one again.
    (_, _, raised, _) = flags_of(days(year + [2.5 * x if x == 5.0 else x for x in year]))
    assert raised.evidence["use_a_day_last_year"] == pytest.approx((10 * 5 + 21 * 0.5) / 31)
    assert raised.evidence["use_a_day_before"] == pytest.approx(0.5)
    assert len(raised.evidence["periods"]) == 7


@pytest.mark.parametrize(("neighbours", "told"), [(9, 0), (3, 4)])
def test_what_all_the_neighbours_use_more_of_is_no_shock(neighbours: int, told: int) -> None:
    meters = [msgspec.structs.replace(METER, meter_id=f"m{i}") for i in range(neighbours + 1)]
    amounts = [*usual_until("2023-07-10"), *[2.0] * 31, *[0.5] * 5]
    rows = sorted((row for m in meters for row in days(amounts, m.meter_id)), key=lambda r: r.time)
    flags = feed(make_bank(meters, (Intervals(), BillShock())), rows).flags
    assert len([f for f in flags if f.status == "raised"]) == told
    # One that uses five times as much again is told all the same.
    more = [row.but(value=10.0) if row.meter == "m0" and row.value == 2.0 else row for row in rows]
    (one, *rest) = [
        f for f in feed(make_bank(meters, (Intervals(), BillShock())), more).flags if f.meter_id == "m0"
    ]
    assert one.evidence["area_move"] == pytest.approx(1 if told else 4, rel=0.1)
    assert [f.status for f in rest] == ["cleared"]


def test_a_misread_that_the_next_reading_takes_back_is_none() -> None:
    meter = msgspec.structs.replace(METER, kind="register")
    reads = np.cumsum(usual_until("2023-07-20") + [0.5] * 30).tolist()
    reads[-22] += 900
    assert flags_of(days(reads), meter) == []


def test_bad_readings_say_nothing_and_estimates_are_not_judged_by() -> None:
    rows = days([*usual_until("2023-07-10"), *[5.0] * 25, *[0.5] * 20])
    since = instant("2023-07-10")

    def like(**change: int) -> list[Row]:
        return [row.but(**change) if row.time > since and row.value == 5.0 else row for row in rows]

    assert flags_of(like(quality=Quality.BAD)) == []
    assert flags_of(like(marks=int(Mark.ESTIMATED))) == []
    assert flags_of(rows) != []
    assert flags_of([row.but(marks=int(Mark.HISTORICAL)) for row in rows]) == []
    # Nor are periods compared with that were estimated.
    rows = [row.but(marks=int(Mark.ESTIMATED)) if row.time <= since else row for row in rows]
    assert flags_of(rows) == []


def test_a_few_days_without_readings_are_taken_as_usual() -> None:
    rows = days([*usual_until("2023-07-10"), *[5.0] * 20, *[0.5] * 20])
    hole = [row for row in rows if not instant("2023-07-12") < row.time <= instant("2023-07-15")]
    (raised, _) = flags_of(hole)
    told = raised.evidence
    assert (told["billed_days"], told["billed_amount"]) == (8.0, 40.0)
    assert raised.observed == pytest.approx(40 + 23 * 0.5)


HOLES = {
    "within a period": ("2023-06-15", "2023-06-25"),
    "up to its end": ("2023-06-30", "2023-07-10"),
    "over its end": ("2023-07-02", "2023-07-12"),
}


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize("hours", [1, 24])
def test_ten_days_that_come_late_count_as_read(hours: int, hole: tuple[str, str]) -> None:
    """A concentrator that was away sends them in a row, after the first reading since."""
    meter = msgspec.structs.replace(METER, interval_s=hours * 3600)
    rows = [
        Row("m", row.time - later * HOUR, row.value * hours / 24)
        for row in days([*usual_until("2023-07-10", 0.75), *[6.0] * 25])
        for later in range(24 - hours, -1, -hours)
    ]
    begin, end = (instant(day) for day in hole)
    away = [row for row in rows if begin < row.time <= end]
    after = next(i for i, row in enumerate(rows) if row.time > end)
    late = [*rows[: after - len(away)], rows[after], *away, *rows[after + 1 :]]
    (told,) = flags_of(late, meter)
    last = told.evidence["periods"][-1]
    assert (last["start"][:10], last["days"], last["amount"]) == ("2023-06-10", 30.0, 22.5)
    assert told.evidence["billed_amount"] == 6 * told.evidence["billed_days"]
    guessed = [*late[: after - len(away) + 1], *(row.but(marks=int(Mark.ESTIMATED)) for row in away)]
    told = flags_of([*guessed, *late[after + 1 :]], meter)[0]
    assert "2023-06-10" not in {p["start"][:10] for p in told.evidence["periods"]}


def test_a_period_that_came_late_as_a_whole_begins_where_the_meter_is() -> None:
    meter = msgspec.structs.replace(METER, tz="Asia/Shanghai")
    begin, end = instant("2023-06-09T16:00:00"), instant("2023-07-09T16:00:00")
    rows = days([*usual_until("2023-07-10"), *[5.0] * 25], start=START - 8 * HOUR)
    away = [row for row in rows if begin < row.time <= end]
    after = next(i for i, row in enumerate(rows) if row.time > end)
    (told,) = flags_of([*rows[: after - 30], rows[after], *away, *rows[after + 1 :]], meter)
    last = told.evidence["periods"][-1]
    assert last == {
        "start": "2023-06-09T16:00:00Z", "end": "2023-07-09T16:00:00Z", "days": 30.0, "amount": 15.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "raised"), [((), []), (("2023-07-21",), ["2023-07-22"]), (("2023-07-23",), ["2023-07-24"])]
)
def test_a_last_word_does_not_confirm_itself(more: tuple[str, ...], raised: list[str]) -> None:
    """Others move the clock; the meter's own next read is the second day beyond the line."""
    clock = msgspec.structs.replace(METER, meter_id="clock", area="b", bill_day=None)
    usual = usual_until("2023-07-20")
    rows = days([*usual[:-1], 900.0]) + [Row("m", instant(day), 0.5) for day in more]
    rows = sorted(rows + days([*usual, *[0.5] * 9], "clock"), key=lambda row: row.time)
    flags = feed(make_bank([METER, clock], (Intervals(), BillShock())), rows).flags
    assert [flag.at[:10] for flag in flags if flag.kind == "bill_shock"] == raised


@pytest.mark.parametrize(
    "meter",
    [
        msgspec.structs.replace(METER, bill_day=None),
        msgspec.structs.replace(METER, kind="gauge"),
    ],
)
def test_who_is_not_judged(meter: Meter) -> None:
    assert flags_of(days([*usual_until("2023-07-10"), *[5.0] * 20, *[0.5] * 20]), meter) == []


def test_a_meter_read_by_the_week_or_known_for_two_periods_is_not_judged() -> None:
    rows = days([*usual_until("2023-07-10"), *[5.0] * 31])
    weekly = [row.but(value=7 * row.value) for row in rows[6::7]]
    assert flags_of(weekly, msgspec.structs.replace(METER, interval_s=7 * 86400)) == []
    young = [row for row in rows if row.time > instant("2023-05-01")]
    assert flags_of(young) == []


def test_less_than_matters_is_no_shock() -> None:
    """A flat that uses 5 L a day, and then 40: 1.1 m³ more in the month, below 50 L a day."""
    assert flags_of(days([*usual_until("2023-07-10", 0.005), *[0.04] * 31])) == []


def test_a_bill_day_that_changes_ends_the_flag_and_begins_a_period() -> None:
    bank = make_bank([METER], (Intervals(), BillShock()))
    rows = days([*usual_until("2023-07-10"), *[5.0] * 12, *[0.5] * 60])
    cut = next(i for i, row in enumerate(rows) if row.time > instant("2023-07-20"))
    first = feed(bank, rows[:cut]).flags
    assert [f.status for f in first] == ["raised"]
    bank.register([msgspec.structs.replace(METER, bill_day=25)], Outcome())
    later = feed(bank, rows[cut:]).flags
    # By the new bill day the running period is that of 25 June: another one, of which little is known.
    assert said(later) == [("cleared", "2023-07-21")]
    gone = make_bank([METER], (Intervals(), BillShock()))
    feed(gone, rows[:cut])
    gone.register([msgspec.structs.replace(METER, bill_day=None)], Outcome())
    assert said(feed(gone, rows[cut:]).flags) == [("cleared", "2023-07-21")]


def test_a_flag_whose_period_is_gone_ends_without_figures() -> None:
    """The bill day moves on between two readings of a day: the flag's period is then none that is known."""
    meter = msgspec.structs.replace(METER, interval_s=21600)
    rows = [
        Row("m", row.time - later * HOUR, row.value / 4)
        for row in days([*usual_until("2023-07-10"), *[5.0] * 12, *[0.5] * 9])
        for later in (18, 12, 6, 0)
    ]
    cut = next(i for i, row in enumerate(rows) if row.time > instant("2023-07-20T07:00:00"))
    bank = make_bank([meter], (Intervals(), BillShock()))
    assert [f.status for f in feed(bank, rows[:cut]).flags] == ["raised"]
    bank.register([msgspec.structs.replace(meter, bill_day=25)], Outcome())
    (cleared,) = feed(bank, rows[cut:]).flags
    assert (cleared.status, cleared.observed, cleared.expected) == ("cleared", None, None)
    assert cleared.evidence.keys() == {"detector", "version", "parameters"}
    assert b"NaN" not in msgspec.json.encode(cleared)


def test_it_joins_an_episode_of_its_family_and_gives_it_its_name() -> None:
    """High use is told first, after a week; that it will shock names it. The last of both to end ends it."""
    bank = make_bank([METER], (Intervals(), HighLow(), BillShock()))
    found = feed(bank, days([*usual_until("2023-07-10"), *[5.0] * 25, *[0.5] * 60])).flags
    flags = [flag for flag in found if flag.family == "usage_high"]
    assert [(f.status, f.kind, f.evidence["detector"], f.evidence.get("seen_as")) for f in flags] == [
        ("raised", "high_usage", "high_low", None),
        ("updated", "bill_shock", "bill_shock", None),
        ("cleared", "bill_shock", "high_low", "high_usage"),
    ]
    assert len({f.id for f in flags}) == 1


def test_a_register_beside_the_main_one_is_not_billed_by_itself() -> None:
    rows = [row.but(sparse={"register": "night"}) for row in days([*usual_until("2023-07-10"), *[5.0] * 20])]
    assert flags_of(rows) == []


def test_its_state_is_small() -> None:
    assert sum(column.dtype.itemsize * max(column.width, 1) for column in BillShock().columns) == 168


def test_the_days_of_a_period_are_told_as_dates() -> None:
    (raised, _) = flags_of(days([*usual_until("2023-07-10"), *[5.0] * 20, *[0.5] * 20]))
    first = date.fromisoformat(raised.evidence["period_from"])
    assert first + timedelta(days=raised.evidence["period_days"]) == date.fromisoformat(
        raised.evidence["period_to"]
    )
