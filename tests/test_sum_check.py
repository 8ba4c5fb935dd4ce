"""The sum check: what a meter's intervals add up to, and what its register has counted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Intervals, SumCheck
from streams.messages import Flag, Kind
from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.checkpoint import Ledger, restore
from streams.state.handover import install, release
from tests.naive.intervals import Intervals as NaiveIntervals
from tests.naive.sum_check import sum_check
from tests.streams_of_readings import (
    DAY,
    HOUR,
    NS,
    Row,
    _series,
    accidents,
    examples,
    feed,
    instant,
    make_bank,
)
from tests.twins import assert_same, named, reading, sizes

START = instant("2024-01-01")
METER = Meter(meter_id="m", kind="interval", interval_s=3600, commodity="electricity", unit="kW.h")


def bank_of(meter: Meter = METER) -> Bank:
    return make_bank([meter], (Intervals(), SumCheck()))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Meter, list[Row]]:
    """A meter that sends both, of the same amounts, each with accidents of its own."""
    spacing = draw(st.sampled_from((HOUR, 6 * HOUR, DAY)))
    stated = draw(st.sampled_from((None, spacing / NS)))
    meter = msgspec.structs.replace(METER, interval_s=stated, digits=draw(st.sampled_from((None, 4))))
    seed = draw(st.integers(0, 10_000))
    count = min(60 * DAY // spacing, 500)
    rows: list[Row] = []
    for kind in ("interval", "register"):
        mine = msgspec.structs.replace(meter, kind=kind)
        most = draw(st.sampled_from((3, 8)))
        series = _series(mine, START, spacing, count, seed, draw(accidents(most)))
        if kind == "interval":
            # For a while the intervals tell of more than the register.
            first, length = draw(st.integers(0, count)), draw(st.integers(0, count))
            more_by = draw(st.sampled_from((0.0, 0.5, 4.0)))
            series = [
                row.but(value=row.value + more_by * (first <= i < first + length))
                for i, row in enumerate(series)
            ]
        for row in series:
            more = {"register": "total"} if kind == "register" else {}
            own = Kind.REGISTER if kind == "register" else Kind.INTERVAL
            rows.append(row.but(kind=int(own), sparse={**row.sparse, **more}))
    rows.sort(key=lambda row: row.received)
    return meter, rows


@examples(60)
@given(pairs())
def test_sums_are_held_against_registers_as_the_obvious_loop_does(drawn: tuple[Meter, list[Row]]) -> None:
    meter, rows = drawn
    flags = [f for f in feed(bank_of(meter), rows).flags if f.kind == "sum_mismatch"]
    size, step = sizes(meter), round((meter.interval_s or 0) * NS)
    checks = {
        side: NaiveIntervals(step, size["capacity"], size["floor"]) for side in ("interval", "register")
    }
    taken = []
    for row in rows:
        side = "register" if "register" in row.sparse else "interval"
        taken.append((side, checks[side].take(reading(row, meter))))
    # A rollback or a misread of the register is of the same family, and comes first.
    assume_alone = {f.kind for f in feed(bank_of(meter), rows).flags if "register" in f.evidence}
    if assume_alone <= {"sum_mismatch"}:
        assert_same(flags, named(sum_check(taken), "m"))


# --- by hand ---------------------------------------------------------------------------------------


def both(
    amounts: Sequence[float], counted: Sequence[float] | None = None, unit: str = "", first: float = 500.0
) -> list[Row]:
    """Hourly amounts, and a register that counts ``counted`` (or the same), each hour one after the other."""
    rows: list[Row] = []
    total = first
    for i, (amount, step) in enumerate(zip(amounts, counted or amounts, strict=True)):
        total += step
        at = START + i * HOUR
        rows.append(Row("m", at, amount, kind=int(Kind.INTERVAL)))
        rows.append(Row("m", at, total, kind=int(Kind.REGISTER), unit=unit, sparse={"register": "1.8.0"}))
    return rows


def said(flags: list[Flag]) -> list[tuple[str, str, float]]:
    return [(f.kind, f.status, (instant(f.at) - START) / HOUR) for f in flags]


def test_what_agrees_says_nothing() -> None:
    amounts = np.random.default_rng(1).uniform(0, 3, 24 * 30).round(3).tolist()
    assert feed(bank_of(), both(amounts)).flags == []
    # The register shows whole kWh: it is off by one at either end.
    rows = [row.but(value=float(int(row.value))) if row.sparse else row for row in both(amounts)]
    assert feed(bank_of(), rows).flags == []


def test_an_interval_channel_of_another_pulse_weight() -> None:
    """Half of what the register counts from hour 30 on: told at the day's comparison, cleared after two that agree.

    Of the last hours that differ two are in the day to hour 121: as much as is let pass.
    The register is known from its first reading on, which comes after the interval of hour 0: days begin at hour 1.
    """
    amounts = [1.0] * 240
    counted = [2.0 if 30 <= i < 100 else 1.0 for i in range(240)]
    flags = feed(bank_of(), both(amounts, counted)).flags
    assert said(flags) == [
        ("sum_mismatch", "raised", 49),
        ("sum_mismatch", "updated", 73),
        ("sum_mismatch", "updated", 97),
        ("sum_mismatch", "cleared", 145),
    ]
    first = flags[0]
    assert (first.family, first.evidence["register"]) == ("register", "1.8.0")
    assert (first.observed, first.expected, first.evidence["let_pass"]) == (24, 44, 2)


def test_two_times_the_multiplier_is_let_pass() -> None:
    """Two units off a day at 30 a unit: 60 pass, 61 do not."""
    meter = msgspec.structs.replace(METER, multiplier=30.0)
    for extra, kinds in ((2.0, []), (2.1, ["sum_mismatch"])):
        counted = [1.0] * 50
        counted[30] += extra
        flags = feed(bank_of(meter), both([1.0] * 50, counted)).flags
        assert [f.kind for f in flags if f.status == "raised"] == kinds


def test_units_may_differ() -> None:
    amounts = [1.0] * 100
    rows = both(amounts, [1000.0] * 100, unit="W.h")
    assert feed(bank_of(), rows).flags == []


def test_a_hole_waits_for_what_comes_late_and_then_begins_anew() -> None:
    rows = both([3.0] * 24 * 20)
    lost = [row for row in rows if row.sparse or not START + 30 * HOUR <= row.time < START + 40 * HOUR]
    assert feed(bank_of(), lost).flags == []
    # They come late, but one of them with another amount: then the comparison is made, and says so.
    late = [row for row in rows if not row.sparse and START + 30 * HOUR <= row.time < START + 40 * HOUR]
    late[0] = late[0].but(value=30.0)
    place = next(i for i, row in enumerate(lost) if row.time == START + 90 * HOUR)
    flags = feed(bank_of(), [*lost[:place], *late, *lost[place:]]).flags
    assert said(flags)[:1] == [("sum_mismatch", "raised", 90)]


def test_a_new_register_begins_anew() -> None:
    rows = both([1.0] * 60)
    rows = [
        row.but(
            value=row.value - 480 * (row.time >= START + 30 * HOUR),
            sparse={**row.sparse, "serial": "b" if row.time >= START + 30 * HOUR else "a"},
        )
        if row.sparse
        else row
        for row in rows
    ]
    assert {f.kind for f in feed(bank_of(), rows).flags} == {"meter_swap"}


def test_of_several_registers_none_is_compared() -> None:
    rows = both([1.0] * 60, [2.0] * 60)
    more = [row.but(sparse={"register": "1.8.2"}) for row in rows if row.sparse]
    rows = sorted([*rows, *more], key=lambda row: row.time)
    assert feed(bank_of(), rows).flags == []


@pytest.mark.parametrize("how", ["recovery", "move"])
def test_it_goes_on_after(how: str) -> None:
    """A checkpoint or a move to another partition in the middle changes nothing."""
    counted = [2.0 if i >= 30 else 1.0 for i in range(100)]
    rows = both([1.0] * 100, counted)
    whole = feed(bank_of(), rows).flags
    assert whole
    bank = bank_of()
    before = feed(bank, rows[:81]).flags
    if how == "recovery":
        draft = Ledger(0, 1).draft(bank, 1)
        again, _ = restore(bank.config, 0, dict([*draft.records, draft.marker]))
    else:
        again = make_bank([], (Intervals(), SumCheck()))
        install(again, release(bank, "m"))
    assert before + feed(again, rows[81:]).flags == whole
