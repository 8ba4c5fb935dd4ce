"""The bill that is coming, by any log: as the obvious loop says, however it is cut, wherever it ends."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detectors import BillShock, HighLow, Intervals
from detectors.bill_periods import first_of, period_of
from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.checkpoint import Ledger, restore
from tests import naive
from tests.banks import dumped
from tests.naive.bill_shock import Bills, first_day, number_of
from tests.streams_of_readings import DAY, HOUR, Stream, examples, feed, instant, make_bank, streams
from tests.twins import assert_same, run, sizes, validated


@examples(200)
@given(st.integers(-5000, 60_000), st.integers(1, 31))
def test_the_calendar_is_the_gregorian_one(day: int, bill_day: int) -> None:
    number = number_of(day, bill_day)
    assert period_of(day, bill_day) == number
    assert first_of(number, bill_day) == first_day(number, bill_day) <= day
    assert first_of(number + 1, bill_day) == first_day(number + 1, bill_day) > day


@examples(25)
@given(streams(days=150, spacings=(6 * HOUR, DAY), kinds=("register", "interval")), st.data())
def test_bills_are_projected_as_the_obvious_loop_does(stream: Stream, data: st.DataObject) -> None:
    rule = BillShock(ratio=1.5, back=1.2, least_days=2, least_periods=1, confirm=data.draw(st.integers(1, 3)))
    meters = [
        msgspec.structs.replace(meter, area=meter.meter_id, bill_day=data.draw(st.integers(1, 31)))
        for meter in stream.meters
    ]
    stream = Stream(meters, stream.rows)
    assert_same((f for f in run(stream, rule) if f.kind == "bill_shock"), twins(stream, rule))


def twins(stream: Stream, rule: BillShock) -> list[naive.Line]:
    meters = {
        m.meter_id: Bills(m.meter_id, m.tz, sizes(m)["floor"], m.bill_day or 0, rule) for m in stream.meters
    }
    lines: list[naive.Line] = []
    newest = advanced = None
    for row, one in zip(stream.rows, validated(stream)[0], strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is None or advanced is None:
                advanced = row.time
            elif (row.time - 1) // HOUR != (newest - 1) // HOUR:
                lines += [line for meter in meters.values() for line in meter.judge(advanced, row.time)]
                advanced = row.time
            newest = row.time
        meters[row.meter].take(one)
    return lines


@st.composite
def billed(draw: st.DrawFn) -> Stream:
    """Meters of one area with bill days of their own, in the order of time."""
    stream = draw(streams(days=150, spacings=(6 * HOUR, DAY), kinds=("register", "interval"), most_rows=900))
    meters = [msgspec.structs.replace(m, bill_day=draw(st.integers(1, 31))) for m in stream.meters]
    rows = sorted((row.but(received=0) for row in stream.rows), key=lambda row: (row.time, row.meter))
    return Stream(meters, rows)


def some(meters: Iterable[Meter]) -> Bank:
    soon = BillShock(ratio=1.2, back=1.1, least_days=2, least_periods=1, confirm=1)
    return make_bank(meters, (Intervals(), HighLow(), soon))


@examples(15)
@given(billed(), st.data())
def test_however_the_log_is_cut_it_says_the_same(stream: Stream, data: st.DataObject) -> None:
    whole = some(stream.meters)
    flags = feed(whole, stream.rows).flags
    cuts = data.draw(st.lists(st.integers(0, len(stream.rows)), max_size=12), label="cuts")
    for places in (cuts, range(len(stream.rows))):
        parts = some(stream.meters)
        assert feed(parts, stream.rows, places).flags == flags
        assert dumped(parts) == dumped(whole)
    cut = data.draw(st.integers(0, len(stream.rows)), label="snapshot")
    bank = some(stream.meters)
    before = feed(bank, stream.rows[:cut]).flags
    draft = Ledger(0, 1).draft(bank, cut)
    again, _ = restore(bank.config, 0, dict([*draft.records, draft.marker]))
    assert before + feed(again, stream.rows[cut:]).flags == flags
    assert dumped(again) == dumped(whole)


@examples(15)
@given(billed(), st.data())
def test_an_input_that_ends_anywhere_says_what_was_known_by_then(stream: Stream, data: st.DataObject) -> None:
    flags = feed(some(stream.meters), stream.rows).flags
    decided = sorted({instant(flag.at) + late for flag in flags for late in (-1, 0)})
    ends = st.sampled_from([row.time for row in stream.rows])
    for end in data.draw(
        st.lists(ends | st.sampled_from(decided) if decided else ends, min_size=1, max_size=4)
    ):
        known = feed(some(stream.meters), [row for row in stream.rows if row.time <= end]).flags
        assert known == [flag for flag in flags if instant(flag.at) <= end]
