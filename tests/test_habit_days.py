"""Days of which anybody can say what they are: what the habit makes of each, and when it says so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Habit, Intervals
from detectors.base import CLEAR
from detectors.closing import _decide
from detectors.features import NAMES
from detectors.habit import HABIT
from detectors.heads import shares
from streams.messages import Flag
from streams.programs import compose
from streams.registry import Meter
from tests.habit_tools import mute, trees, watch
from tests.naive.habit import leaf
from tests.streams_of_readings import (
    DAY,
    HOUR,
    Row,
    Stream,
    feed,
    instant,
    make_bank,
)

BEGIN = instant("2024-01-01")
DAYS = 70


def home(seed: int = 1) -> NDArray[np.float64]:
    """Use of a water home by day and hour [m³]: none by night, breakfast and dinner, about .35 a day."""
    shape = np.zeros(24)
    shape[[6, 7, 8, 12, 17, 18, 19, 20, 21]] = (3, 5, 2, 2, 2, 4, 5, 3, 2)
    even = np.random.default_rng(seed).uniform(0.7, 1.3, (DAYS, 24))
    use: NDArray[np.float64] = even * 0.35 * shape / shape.sum()
    return use


def flat(seed: int = 0) -> NDArray[np.float64]:
    """Electricity of a household [kWh]: a base that never rests, mornings and evenings, about 12 a day."""
    rng = np.random.default_rng(seed)
    shape = np.full(24, 0.25)
    shape[6:9], shape[17:22] = 0.7, 1.2
    use: NDArray[np.float64] = shape * rng.uniform(0.6, 1.4, (DAYS, 24)) * rng.uniform(0.8, 1.2, (DAYS, 1))
    return use


def household(use: NDArray[np.float64], commodity: str = "water", unit: str = "m3") -> Stream:
    """A meter that sends what each hour used."""
    meter = Meter(
        meter_id="home", commodity=commodity, unit=unit, kind="interval", interval_s=3600.0, area="a",
        meter_class="residential",
    )  # fmt: skip
    rows = [Row("home", BEGIN + (i + 1) * HOUR, x) for i, x in enumerate(use.ravel().tolist())]
    return Stream([meter], rows)


def judged(stream: Stream, **given: Any) -> list[Flag]:
    """Flags of the heads that ship."""
    bank = make_bank(stream.meters, (Intervals(), Habit(**{"heads": compose.heads(), **given})))
    return [f for f in feed(bank, stream.rows).flags if f.kind in Habit.kinds]


def days_of(flags: list[Flag], kind: str, status: str) -> list[float]:
    """When such flags came, in days since the first."""
    return [(instant(f.at) - BEGIN) / DAY for f in flags if (f.kind, f.status) == (kind, status)]


def raised(flags: list[Flag]) -> list[str]:
    return [f.kind for f in flags if f.status == "raised"]


@pytest.mark.parametrize("seed", range(3))
def test_a_steady_meter_raises_nothing(seed: int) -> None:
    assert judged(household(home(seed))) == []
    assert judged(household(flat(seed), "electricity", "kW.h")) == []


def burst() -> NDArray[np.float64]:
    """Ten days' use within eight hours of day 50."""
    use = home()
    use[50, 10:18] += 10 * 0.35 / 8
    return use


def test_ten_days_use_in_eight_hours_is_a_spike_at_the_close_of_the_day() -> None:
    use = burst()
    flags = judged(household(use))
    assert raised(flags) == ["spike"]
    assert days_of(flags, "spike", "raised") == [pytest.approx(51, abs=1 / 24 + 1e-9)]
    assert 51 < days_of(flags, "spike", "cleared")[0] <= 51 + 14
    flag = flags[0]
    assert instant(flag.start) == BEGIN + 50 * DAY
    assert flag.observed == pytest.approx(use[50].sum(), rel=1e-4)
    assert flag.expected == pytest.approx(use[16:44].sum() / 28, rel=1e-2)
    assert flag.evidence["daily_use"] == pytest.approx(use[37:51].sum(1).tolist(), rel=1e-2)
    assert flag.evidence["weight"] > flag.evidence["threshold"]
    assert flag.score == pytest.approx(-np.log10(flag.evidence["false_per_1000_days"]), abs=1e-4)
    assert flag.evidence["area_move"] == 1  # there are no neighbours


def street(moved: range) -> Stream:
    """Twenty neighbours; those that are named use three times as much on the evening of day 50."""
    meters, rows = [], []
    for k in range(20):
        use = flat(k)[:53].copy()
        use[50, 17:23] *= 3 if k in moved else 1
        one = household(use, "electricity", "kW.h")
        meters.append(msgspec.structs.replace(one.meters[0], meter_id=f"m{k}"))
        rows += [row.but(meter=f"m{k}") for row in one.rows]
    return Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))


@pytest.mark.parametrize(("moved", "alone", "together"), [(range(3, 4), 1, 1), (range(8), 4, 0)])
def test_an_evening_on_which_many_have_a_feast_is_no_fault_of_each(
    moved: range, alone: int, together: int
) -> None:
    assert len(raised(judged(street(moved), crowd=0))) == alone
    assert len(raised(judged(street(moved)))) == together


@pytest.mark.parametrize("litres", [3, 5, 10])
def test_flow_that_never_stops_is_a_leak(litres: int) -> None:
    use = home()
    use[48:] += litres / 1000
    flags = judged(household(use))
    assert raised(flags) == ["leak"]
    assert 49 < days_of(flags, "leak", "raised")[0] <= 48 + 7


def lasting(days: int) -> list[Flag]:
    """Flags of a home whose toilet runs for so many days from day 48 on, in a hundred days."""
    use = np.concatenate([home(), home(1)])[:100]
    use[48 : 48 + days] += 10 / 1000
    return [f for f in judged(household(use)) if f.family == "leak"]


def test_a_leak_does_not_clear_itself_by_becoming_the_habit() -> None:
    flags = lasting(24)
    assert [f.status for f in flags] == ["raised", "cleared"]
    assert 48 + 24 < days_of(flags, "leak", "cleared")[0] <= 48 + 24 + 7
    assert "new_habit" not in flags[1].evidence


@pytest.mark.parametrize("homes", [1, 12])
def test_a_leak_that_ends_as_the_cold_comes_is_not_held_open_by_the_cold(homes: int) -> None:
    """A leak of two weeks; as it ends all neighbours begin to heat. Who has none cannot tell the two apart."""
    meters, rows = [], []
    for k in range(homes):
        use = np.concatenate([flat(k), flat(100 + k)])[:90]
        use[62:] *= 3
        if k == 0:
            use[48:62] += 0.4
        one = household(use, "gas", "kW.h")
        meters.append(msgspec.structs.replace(one.meters[0], meter_id=f"m{k}"))
        rows += [row.but(meter=f"m{k}") for row in one.rows]
    stream = Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))
    flags = [f for f in judged(stream) if f.family == "leak" and f.meter_id == "m0"]
    assert [f.status for f in flags] == ["raised", "cleared"]
    begin, end = (instant(f.at) - BEGIN for f in flags)
    assert begin < 62 * DAY
    if homes > 1:
        assert 62 * DAY < end <= (62 + 14) * DAY
    else:
        assert end >= begin + 28 * DAY > (62 + 14) * DAY


def test_what_lasts_is_taken_for_usual_in_the_end_and_said_to_be() -> None:
    flags = lasting(52)
    assert [f.status for f in flags] == ["raised", "cleared"]
    assert 49 + 28 <= days_of(flags, "leak", "cleared")[0] <= 49 + 28 + 14
    assert flags[1].evidence["new_habit"] is True
    use = np.concatenate([home(), home(1)])[:100]
    use[48:] += 10 / 1000
    sooner = [f for f in judged(household(use), hold=0) if f.family == "leak"]
    assert days_of(sooner, "leak", "cleared")[0] < 49 + 28


def test_a_stuck_meter_is_told_and_clears_when_it_counts_again() -> None:
    use = home()
    use[46:58] = 0
    flags = judged(household(use))
    assert raised(flags) == ["stuck"]
    assert 47 < days_of(flags, "stuck", "raised")[0] < 50  # three days
    assert 59 < days_of(flags, "stuck", "cleared")[0] <= 62


def days_to_clear(weights: list[float]) -> int:
    """After how many days of such weights an open flag is cleared; the line is 2, the margin 1, calm 2 days."""
    row, calm = np.zeros(1, HABIT), np.zeros(4, np.uint8)
    row["open"] = 1
    for day, weight in enumerate(weights, 1):
        if _decide(row[0], calm, 0, weight, 2.0, 1.0, 2, False, True) == CLEAR:
            return day
    return 0


def test_a_flag_that_hovers_below_the_line_ends_too() -> None:
    assert days_to_clear([0.5, 0.5]) == 2
    assert days_to_clear([1.5] * 20) == 10
    assert days_to_clear([1.5] * 9 + [2.5] + [1.5] * 9) == 0
    assert days_to_clear([0.5, 1.5, 1.5, 1.5, 1.5, 1.5]) == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_the_use_is_low_within_two_weeks(seed: int) -> None:
    use = flat(seed)
    use[48:] *= 0.2
    flags = judged(household(use, "electricity", "kW.h"))
    assert raised(flags) == ["low_usage"]
    assert 49 < days_of(flags, "low_usage", "raised")[0] <= 48 + 14


def test_litres_say_the_same_as_cubic_metres() -> None:
    use = burst()
    use[46:49] = 0
    cubic, litres = judged(household(use)), judged(household(use * 1000, unit="L"))
    assert sorted(raised(cubic)) == ["spike", "stuck"]
    assert [(f.kind, f.status, f.at) for f in cubic] == [(f.kind, f.status, f.at) for f in litres]
    for one, other in zip(cubic, litres, strict=True):
        assert other.evidence["weight"] == pytest.approx(one.evidence["weight"], abs=0.05)
        assert other.observed == pytest.approx(1000 * (one.observed or 0), rel=1e-4, abs=1e-3)


def test_a_gross_day_is_raised_though_the_trees_say_nothing() -> None:
    use = flat()
    highest, little = use[8:50].sum(1).max(), 0.05 * use[16:44].sum() / 28
    for times, told in ((3.5, []), (4.5, ["spike"])):
        use[50] *= times * highest / use[50].sum()
        stream = household(use, "electricity", "kW.h")
        flags = judged(stream, heads=mute())
        assert raised(flags) == told
    assert days_of(flags, "spike", "raised") == [pytest.approx(51, abs=1 / 24 + 1e-9)]
    beyond = np.log((4.5 * highest + little) / (highest + little) / 4)  # 5 % of the usual is added to both
    assert flags[0].evidence["weight"] - flags[0].evidence["threshold"] == pytest.approx(beyond, abs=0.02)
    assert raised(judged(stream, heads=mute(), gross=5.0)) == []


def test_what_is_not_worth_a_day_is_not_gross() -> None:
    """Five times the highest day, of a meter that uses a tenth of what matters."""
    use = flat() / 200
    use[50] *= 10
    assert judged(household(use, "electricity", "kW.h"), heads=mute()) == []


def test_a_flag_names_what_moved_it_and_the_shares_add_up() -> None:
    stream = household(burst())
    seen, flags = watch(stream, compose.heads())
    flag, heads = flags[0], compose.heads()
    row = seen["home", instant(flag.start) // DAY]
    share = np.zeros(len(NAMES))
    shares(
        row, heads.first[0], heads.first[1], heads.root, heads.feature, heads.cut, heads.missing, heads.left,
        heads.right, heads.value, share,
    )  # fmt: skip
    roots = heads.value[heads.root[heads.first[0] : heads.first[1]]].sum()
    told = trees()["heads"][0]["trees"]
    assert roots == pytest.approx(sum(tree[0][5] for tree in told), abs=1e-4)
    weight = sum(leaf(tree, dict(enumerate(row.tolist()))) for tree in told)
    assert share.sum() == pytest.approx(weight - roots, abs=1e-4)
    because = flag.evidence["because"]
    assert len(because) == 5
    places = [NAMES.index(one["feature"]) for one in because]
    assert set(places) == set(np.argsort(-np.abs(share))[:5].tolist())
    for one, place in zip(because, places, strict=True):
        assert one["weight"] == pytest.approx(share[place], rel=1e-3)
        assert one["value"] == pytest.approx(float(row[place]), rel=1e-3)
    rest = np.delete(share, places).sum()
    assert sum(one["weight"] for one in because) + rest == pytest.approx(weight - roots, abs=1e-2)


def test_the_weight_of_a_flag_is_that_of_its_trees() -> None:
    use = flat(1)
    use[48:] *= 0.4
    seen, flags = watch(household(use, "electricity", "kW.h"), compose.heads())
    told = trees()["heads"][Habit.kinds.index("low_usage")]["trees"]
    row = seen["home", instant(flags[0].start) // DAY]
    weight = sum(leaf(tree, dict(enumerate(row.tolist()))) for tree in told)
    assert flags[0].evidence["weight"] == pytest.approx(weight, abs=1e-4)


# --- what is not waited for ----------------------------------------------------------------------


def gushing(times: float, taken_back: bool = False) -> list[Flag]:
    """A flat whose meter tells of an hour of so many times the highest, at 10 in the morning of day 50."""
    use = flat()
    use[50, 10] = times * use[8:50].max()
    stream = household(use, "electricity", "kW.h")
    if taken_back:
        place = 50 * 24 + 11
        stream.rows[place] = stream.rows[place].but(value=-float(use[50, 10]))
    return judged(stream)


def test_a_gross_hour_is_told_at_the_next_reading_and_not_when_the_day_has_closed() -> None:
    flags = gushing(50)
    assert [(f.kind, f.status) for f in flags] == [("spike", "raised"), ("spike", "cleared")]
    flag = flags[0]
    assert (instant(flag.at) - BEGIN) / HOUR == 50 * 24 + 12
    assert (instant(flag.start) - BEGIN) / HOUR == 50 * 24 + 10
    assert flag.observed == pytest.approx(50 * (flag.expected or 0), rel=1e-2)
    assert flag.evidence["hour_use"] == pytest.approx(flag.observed)
    assert flag.evidence["weight"] > flag.evidence["threshold"]
    assert "because" not in flag.evidence


def test_an_hour_that_is_taken_back_is_a_misread_and_no_spike() -> None:
    assert gushing(50, taken_back=True) == []


def test_an_hour_that_is_high_waits_for_its_day() -> None:
    (flag, _) = gushing(6)
    assert days_of([flag], "spike", "raised") == [pytest.approx(51, abs=1 / 24 + 1e-9)]
