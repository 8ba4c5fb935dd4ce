"""Who came near a line at midnight is looked at again at 8:00 and 16:00: what is told then, what is not touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import Habit, Intervals
from streams.messages import Flag
from streams.programs import compose
from streams.state.bank import Bank, Outcome
from streams.state.checkpoint import Ledger, restore
from tests.streams_of_readings import DAY, HOUR, Stream, as_columns, examples, feed, instant, make_bank
from tests.test_habit_days import BEGIN, flat, home, household

LEAK = 49 * DAY + 2 * HOUR  # since the first reading


def leaking(litres: float = 3.5) -> NDArray[np.float64]:
    """Use of a water home where so many litres an hour run from two in the night of day 49 on. [m3]"""
    use = home().ravel()
    use[LEAK // HOUR :] += litres / 1000
    return use.reshape(-1, 24)


def bank_of(stream: Stream, **given: Any) -> Bank:
    return make_bank(stream.meters, (Intervals(), Habit(**{"heads": compose.heads(), **given})))


def told(stream: Stream, **given: Any) -> list[Flag]:
    return [f for f in feed(bank_of(stream, **given), stream.rows).flags if f.kind in Habit.kinds]


def hours_of(flag: Flag) -> tuple[float, float, float]:
    """When it could be known, and its episode's first and last instant, in hours since the first reading."""
    at, start, end = (((instant(text or "") - BEGIN) / HOUR) for text in (flag.at, flag.start, flag.end))
    return at, start, end


def test_a_leak_is_told_in_the_morning_and_not_at_the_next_midnight() -> None:
    use = leaking()
    stream = household(use)
    (raised, cleared), (later, _) = told(stream), told(stream, suspect=0)
    mark = 51 * 24 + 8
    assert (raised.kind, raised.status, cleared.status) == ("leak", "raised", "cleared")
    assert hours_of(raised) == (mark + 1, mark - 24, mark)  # an instant is past once there is a later one
    assert hours_of(later)[0] == 52 * 24 + 1
    assert raised.observed == pytest.approx(use.ravel()[mark - 24 : mark].sum(), rel=1e-4)
    assert raised.expected == later.expected == pytest.approx(use[17:45].sum() / 28, rel=0.02)
    evidence = raised.evidence
    assert evidence["weight"] > evidence["threshold"] == later.evidence["threshold"]
    assert raised.score == pytest.approx(-np.log10(evidence["false_per_1000_days"]), abs=1e-4)
    assert evidence["day_mean"] == pytest.approx(raised.observed, rel=1e-6)
    assert evidence["daily_use"] == pytest.approx(use[37:51].sum(1).tolist(), rel=1e-2)
    assert len(evidence["because"]) == 5
    assert evidence["area_move"] == 1  # there are no neighbours
    assert evidence["parameters"]["suspect"] == Habit().suspect


def test_lost_use_is_missed_in_the_morning_too() -> None:
    use = flat(5)
    use[48, 9:] *= 0.5
    use[49:] *= 0.5
    stream = household(use, "electricity", "kW.h")
    (raised,), (later,) = told(stream), told(stream, suspect=0)
    assert raised.kind == later.kind == "low_usage"
    assert hours_of(raised)[0] == 51 * 24 + 9
    assert hours_of(later)[0] == 52 * 24 + 1


def test_what_the_next_midnight_sees_is_the_same() -> None:
    """All that is known of the meter, after a flag raised at a mark; but for that flag, and who is looked at."""
    stream = household(leaking())
    stream.rows[:] = [row for row in stream.rows if row.time <= BEGIN + 53 * DAY]
    with_marks, without = bank_of(stream), bank_of(stream, suspect=0)
    assert [f.kind for f in feed(with_marks, stream.rows).flags] == ["leak"]
    assert [f.kind for f in feed(without, stream.rows).flags] == ["leak"]
    for name in ("hours", "profile", "book"):
        one, other = (bank.state.of("habit", name)[0] for bank in (with_marks, without))
        np.testing.assert_array_equal(one, other, err_msg=name)
    one, other = (bank.state.of("habit", "habit")[0] for bank in (with_marks, without))
    for name in set(one.dtype.names) - {"near", "looked"}:
        assert one[name] == other[name], name


def late(hours: range, at: int) -> Stream:
    """The leaking home beside a clock; what it used in these hours comes as a bundle, at that one."""
    stream = household(leaking())
    clock = msgspec.structs.replace(stream.meters[0], meter_id="clock", area="elsewhere", meter_class="shop")
    rows = [row.but(received=row.time) for row in stream.rows]
    rows = [
        row.but(received=BEGIN + at * HOUR) if (row.time - BEGIN) // HOUR in hours else row for row in rows
    ]
    rows += [row.but(meter="clock", received=row.time) for row in household(home()).rows]
    return Stream([*stream.meters, clock], sorted(rows, key=lambda row: (row.received, row.time, row.meter)))


def test_a_mark_waits_for_the_meter_as_midnight_does() -> None:
    mark = 51 * 24 + 8
    at, start, end = hours_of(told(late(range(mark - 2, mark + 4), mark + 4))[0])
    assert (at, start, end) == (mark + 4, mark - 24, mark)


def test_of_two_marks_that_pass_at_once_the_first_tells() -> None:
    mark = 51 * 24 + 8
    at, start, end = hours_of(told(late(range(mark - 2, mark + 11), mark + 11))[0])
    assert (at, start, end) == (mark + 11, mark - 24, mark)


def test_after_midnight_the_day_is_judged_and_the_marks_before_it_are_not() -> None:
    mark = 51 * 24 + 8
    (flag, _) = told(late(range(mark - 2, mark + 18), mark + 18))
    assert hours_of(flag)[:2] == (mark + 18, 51 * 24)


def street() -> Stream:
    """Twelve homes that are neighbours; three leak, each a little more than the one before."""
    meters, rows = [], []
    for k in range(12):
        use = home(k).ravel()
        if k < 3:
            use[LEAK // HOUR + 3 * k :] += (3 + k / 2) / 1000
        one = household(use.reshape(-1, 24)[:56])
        meters.append(msgspec.structs.replace(one.meters[0], meter_id=f"m{k}"))
        rows += [row.but(meter=f"m{k}") for row in one.rows]
    return Stream(meters, sorted(rows, key=lambda row: (row.time, row.meter)))


STREET = street()
FIRST = next(i for i, row in enumerate(STREET.rows) if row.time > BEGIN + 49 * DAY)


def whole() -> list[Flag]:
    flags = feed(bank_of(STREET), STREET.rows).flags
    marks = [f for f in flags if f.status == "raised" and instant(f.end or "") % DAY in (8 * HOUR, 16 * HOUR)]
    assert len(marks) >= 2  # or nothing here is tried
    return flags


def disturbed(cuts: Sequence[int]) -> list[Flag]:
    """The street's flags, with a checkpoint and a restart at each cut."""
    bank, ledger = bank_of(STREET), Ledger(0, 1)
    kept: dict[bytes, bytes] = {}
    flags: list[Flag] = []
    for first, last in zip([0, *cuts], [*cuts, len(STREET.rows)], strict=True):
        outcome = Outcome()
        bank.update(as_columns(STREET.rows[first:last]), outcome)
        flags += outcome.flags
        draft = ledger.draft(bank, last)
        kept |= dict([*draft.records, draft.marker])
        ledger.complete(draft)
        bank, ledger = restore(bank.config, 0, kept)
    return flags


@examples(4)
@given(st.lists(st.integers(FIRST, len(STREET.rows) - 1), min_size=1, max_size=12, unique=True).map(sorted))
def test_flags_are_the_same_however_often_it_is_stopped(cuts: list[int]) -> None:
    assert disturbed(cuts) == whole()


def test_readings_up_to_an_instant_give_the_flags_up_to_it() -> None:
    flags = whole()
    moments = {instant(f.at) + late for f in flags for late in (-1, 0)}
    for end in sorted(moments):
        own = feed(bank_of(STREET), [row for row in STREET.rows if row.time <= end]).flags
        assert own == [f for f in flags if instant(f.at) <= end]
