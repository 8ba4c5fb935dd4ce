"""Error codes that devices send as values, and readings that were estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given

from detectors import Estimates, Intervals, Sentinels
from detectors.base import FINDING, ROOM
from detectors.batch import BAD, SURE, TRUE_UP, WEAK, Batch
from streams.messages import Flag, Mark
from streams.programs import compose
from streams.registry import Meter
from streams.settings import load
from streams.state.constants import Sizes
from streams.state.intake import place, prepare
from streams.state.outcome import Outcome
from streams.state.sentinels import error_codes
from tests.naive.marks import estimates, sentinels
from tests.streams_of_readings import (
    DAY,
    HOUR,
    NS,
    Row,
    Stream,
    as_columns,
    examples,
    feed,
    instant,
    make_bank,
    streams,
)  # fmt: skip
from tests.twins import assert_same, by_meter, named, of_each_meter, run, validated

START = instant("2024-01-01")


@examples(40)
@given(streams(days=40, spacings=(HOUR, 6 * HOUR, DAY), kinds=("register", "interval", "gauge")))
def test_error_codes_are_those_of_the_obvious_loop(stream: Stream) -> None:
    # A clock ahead would have the same episode: it is of the same family.
    stream = Stream(stream.meters, [row for row in stream.rows if row.time <= row.received + 900 * NS])
    flags = [f for f in run(stream, Sentinels()) if f.kind == "sentinel"]
    parts = by_meter(stream, validated(stream)[0])
    assert_same(flags, [line for name, part in parts.items() for line in named(sentinels(part), name)])


@examples(40)
@given(streams(days=90, spacings=(6 * HOUR, DAY, 3 * DAY), kinds=("register", "interval")))
def test_estimates_are_those_of_the_obvious_loop(stream: Stream) -> None:
    # A falling meter would have the same episode: it is of the same family.
    steady = {m.meter_id for m in stream.meters if rises(stream, m.meter_id)}
    stream = Stream(
        [m for m in stream.meters if m.meter_id in steady], [r for r in stream.rows if r.meter in steady]
    )
    assume(stream.rows)
    flags = [f for f in run(stream, Estimates()) if f.kind in Estimates.kinds]
    assert_same(flags, of_each_meter(stream, estimates, "floor"))


def rises(stream: Stream, meter: str) -> bool:
    flags = run(Stream(stream.meters, [row for row in stream.rows if row.meter == meter]))
    return not any(f.family == "register" for f in flags)


# --- by hand ---------------------------------------------------------------------------------------


def meter(kind: str = "register", hours: float = 24, **more: Any) -> Meter:
    return Meter(meter_id="m", kind=kind, interval_s=hours * 3600, unit="m3", commodity="water", **more)


def rows(values: Sequence[float], hours: float = 24, guessed: Sequence[int] | range = ()) -> list[Row]:
    step = round(hours * HOUR)
    return [
        Row("m", START + i * step, value, marks=int(Mark.ESTIMATED) if i in guessed else 0)
        for i, value in enumerate(values)
    ]


def taken(sent: Sequence[Row], who: Meter) -> Batch:
    bank = make_bank([who], [Intervals()])
    columns = as_columns(sent)
    batch = prepare(bank, columns, place(bank, columns, Outcome()), 0, Outcome())
    bank.detectors[0].update(bank.state, batch, np.empty(ROOM * len(batch), FINDING))
    return batch


def said(flags: Sequence[Flag]) -> list[tuple[str, str, int]]:
    return [(f.kind, f.status, (instant(f.at) - START) // HOUR) for f in flags]


def play(sent: Sequence[Row], who: Meter, **config: Any) -> list[tuple[str, str, int]]:
    return said(feed(make_bank([who], (Intervals(), Sentinels(), Estimates()), **config), sent).flags)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (16777.215, SURE), (16777215.0, SURE), (4294967.295, SURE), (2147483.647, SURE), (214748364.7, SURE),
        (float(np.float32(16777.215)), SURE), (65.535, WEAK), (6553.5, WEAK), (65535.0, 0), (-1.0, 0), (0.0, 0),
        (65534.0, 0), (float("nan"), 0), (float("inf"), 0), (16777.216, 0),
    ],
)  # fmt: skip
def test_codes_are_all_ones(value: float, code: int) -> None:
    assert error_codes(np.array([value])).tolist() == [code]


def test_more_codes_can_be_listed() -> None:
    assert error_codes(np.array([-1.0, 65535.0, 3.0]), (-1.0, 65535.0)).tolist() == [SURE, SURE, 0]
    sent = rows([0.01, 0.02, -1.0, -1.0, 0.02], 1)
    listed = Sizes(sentinels=(-1.0,))
    assert play(sent, meter("interval", 1), sizes=listed) == [
        ("sentinel", "raised", 2),
        ("sentinel", "cleared", 4),
    ]
    assert play(sent, meter("interval", 1))[0] == ("rollback", "raised", 2)


def test_codes_come_from_the_configuration_and_from_the_meters_row() -> None:
    """−1 for all, 65535 for one meter: the other one counts it."""
    config = compose.bank_config(load(worker={"sentinels": [-1]}))
    odd, plain = meter("interval", 1, sentinels="65535 9999"), meter("interval", 1)
    bank = make_bank([odd, msgspec.structs.replace(plain, meter_id="n")], sizes=config.sizes)
    values = [1.0, 1.0, 65535.0, 1.0, -1.0, 1.0]
    sent = [row.but(meter=name) for row in rows(values, 1) for name in ("m", "n")]
    flags = [f for f in feed(bank, sent).flags if f.kind == "sentinel" and f.status == "raised"]
    assert [(f.meter_id, f.evidence["value_sent"]) for f in flags] == [("m", 65535), ("m", -1), ("n", -1)]
    # Gone when the registry says so.
    bank.register([plain], Outcome())
    again = [row.but(time=row.time + DAY) for row in rows(values, 1)]
    assert [f.observed for f in feed(bank, again).flags if f.kind == "sentinel"] == [-1, 1]


@pytest.mark.parametrize("kind", ["register", "interval", "gauge"])
def test_an_error_code_is_raised_once_and_feeds_nothing(kind: str) -> None:
    values = [10.0, 10.5, 16777.215, 16777.215, 11.0, 11.5]
    assert play(rows(values, 1), meter(kind, 1)) == [("sentinel", "raised", 2), ("sentinel", "cleared", 4)]
    batch = taken(rows(values, 1), meter(kind, 1))
    assert batch.status[2:4].tolist() == [BAD, BAD]
    assert np.isnan(batch.usage[2:4]).all()


def test_a_register_counts_through_an_error_code() -> None:
    values = [16776.9, 16777.0, 16777.215, 16777.4, 16777.5]
    assert play(rows(values, 1), meter("register", 1)) == []
    batch = taken(rows(values, 1), meter("register", 1))
    assert batch.usage[1:].sum() == pytest.approx(0.6)


def test_an_interval_as_large_as_the_ones_before_is_no_code() -> None:
    assert play(rows([60.0, 61.0, 65.535, 62.0], 1), meter("interval", 1)) == []
    assert play(rows([0.2, 0.3, 65.535, 0.3], 1), meter("interval", 1))[0] == ("sentinel", "raised", 2)


def test_a_meter_may_begin_with_a_plausible_code_only() -> None:
    assert play(rows([65.535, 65.6], 1), meter("register", 1)) == []
    assert play(rows([16777.215, 10.0, 10.5], 1), meter("register", 1))[0] == ("sentinel", "raised", 0)


def test_what_is_estimated_counts_until_there_is_a_read() -> None:
    values = [100.0, 101.0, 102.0, 103.0, 104.0, 106.0, 107.0]
    batch = taken(rows(values, guessed=(2, 3, 4)), meter())
    assert batch.usage[1:].tolist() == [1, 1, 1, 1, 5, 1]
    assert batch.back.tolist() == [0, 0, 0, 0, 0, 3, 0]
    assert batch.span[5] == 4 * DAY
    assert (batch.note == TRUE_UP).tolist() == [False] * 5 + [True, False]
    assert batch.usage[1:].sum() - batch.back.sum() == values[-1] - values[0]


def test_a_read_below_the_estimates_is_no_rollback() -> None:
    values = [100.0, 101.0, 105.0, 110.0, 102.0, 103.0]
    assert play(rows(values, guessed=(2, 3)), meter()) == [
        ("true_up", "raised", 96),
        ("true_up", "cleared", 96),
    ]
    batch = taken(rows(values, guessed=(2, 3)), meter())
    assert (batch.usage[4], batch.back[4], batch.span[4]) == (1, 9, 3 * DAY)
    # Below the actual read before them it is one.
    values[4:] = [90.0, 91.0]
    assert play(rows(values, guessed=(2, 3)), meter())[0] == ("rollback", "raised", 96)


def test_a_daily_meter_may_be_estimated_for_three_days() -> None:
    values = [100.0 + i for i in range(12)]
    assert play(rows(values, guessed=range(2, 5)), meter()) == []
    assert play(rows(values, guessed=range(2, 8)), meter()) == [
        ("estimated_run", "raised", 5 * 24), ("estimated_run", "cleared", 8 * 24),
    ]  # fmt: skip


def test_a_monthly_meter_may_be_estimated_twice() -> None:
    values = [100.0 + 30 * i for i in range(8)]
    who = meter(hours=24 * 30)
    assert play(rows(values, 24 * 30, range(2, 4)), who) == []
    assert play(rows(values, 24 * 30, range(2, 6)), who)[0] == ("estimated_run", "raised", 4 * 30 * 24)


def test_a_long_run_that_was_wrong_ends_as_a_true_up() -> None:
    values = [100.0 + i for i in range(8)] + [150.0, 151.0]
    flags = feed(make_bank([meter()], (Intervals(), Estimates())), rows(values, guessed=range(2, 8))).flags
    assert [(f.kind, f.status) for f in flags] == [
        ("estimated_run", "raised"), ("true_up", "updated"), ("true_up", "cleared"),
    ]  # fmt: skip
    assert flags[1].evidence["estimated_amount"] == 7
    assert flags[1].evidence["actual_amount"] == 49
    assert flags[1].evidence["days_since_actual"] == 7
