"""Detectors beside their obvious twins in ``tests.naive``: a stream goes through both, and their flags are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Intervals
from detectors.base import Column, Detector, State
from detectors.batch import Batch, Records
from streams.messages import Flag, Kind, Mark, Quality
from streams.registry import Meter
from streams.state.bank import STEP
from streams.state.constants import Sizes, constants
from streams.state.sentinels import error_codes
from tests import naive
from tests.naive.high_low import Days, judge_days, periods
from tests.naive.intervals import Intervals as NaiveIntervals
from tests.streams_of_readings import NS, Row, Stream, feed, instant, make_bank

AHEAD = 900 * NS
STATUS = ("ok", "first", "duplicate", "late", "correction", "bad", "ahead", "suspect", "level")


class Tap:
    """Stands behind ``Intervals`` and keeps what that made of each row."""

    name = "tap"
    version = 1
    kinds: tuple[str, ...] = ()
    evidence: Mapping[str, tuple[str, ...]] = {}
    columns: tuple[Column, ...] = ()

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, float, int, int, bool, int, float, int]] = []

    def update(self, state: State, batch: Batch, out: Records) -> int:
        self.rows += [
            (int(batch.time[i]), STATUS[batch.status[i]], float(batch.usage[i]), int(batch.span[i]),
             int(batch.usual[i]), bool(batch.live[i]), int(batch.since[i]), float(batch.back[i]),
             int(batch.note[i]))
            for i in range(len(batch))
        ]  # fmt: skip
        return 0

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        return 0

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        return {}

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ones(len(slots), np.bool_)

    def parameters(self) -> dict[str, float]:
        return {}


# --- the twins' side -----------------------------------------------------------------------------


def sizes(meter: Meter) -> dict[str, float]:
    """A meter's constants in the precision in which they are kept."""
    told = constants(meter, Sizes())
    return {name: naive.single(told[name]) for name in ("capacity", "quiet", "floor")}


#: Events of readings as the twins name them; streams use these words alone (tests/test_shut_off.py has all).
EVENTS = {
    ("valve", "closed"): "closed",
    ("valve", "open"): "open",
    ("tamper", "true"): "tampered",
    ("tamper", "false"): "untampered",
    ("event", "power_outage"): "outage",
    ("event", "power_restored"): "restored",
}


def words_of(note: Mapping[str, str]) -> set[str]:
    return {EVENTS[item] for item in note.items() if item in EVENTS}


def reading(row: Row, meter: Meter) -> naive.Reading:
    note = row.sparse.get("attributes", {})
    return naive.Reading(
        time=row.time,
        local=naive.local(meter.tz, row.time),
        value=row.value,
        kind={Kind.REGISTER: "register", Kind.INTERVAL: "interval", Kind.GAUGE: "gauge"}.get(
            Kind(row.kind), meter.kind
        ),
        bad=row.quality == Quality.BAD,
        may=not row.marks & (Mark.RETAINED | Mark.HISTORICAL),
        limit=row.received + AHEAD if row.received else None,
        came=row.received,
        serial=row.sparse.get("serial", ""),
        guess=bool(row.marks & Mark.ESTIMATED),
        period=max(row.time - row.sparse.get("period_start_ns", row.time), 0),
        events=frozenset(words_of(note)),
        code=("", "weak", "sure")[int(error_codes(np.array([row.value]))[0])],
        stop=float(note["stop_read"]) if "stop_read" in note else None,
        start=float(note["start_read"]) if "start_read" in note else None,
    )


def validated(stream: Stream) -> tuple[list[naive.Taken], dict[str, NaiveIntervals]]:
    """What validation makes of each row, in log order."""
    known = {m.meter_id: m for m in stream.meters}
    checks = {
        m.meter_id: NaiveIntervals(
            round((m.interval_s or 0) * NS),
            sizes(m)["capacity"],
            sizes(m)["floor"],
            m.direction in ("export", "both"),
        )
        for m in stream.meters
    }
    return [checks[row.meter].take(reading(row, known[row.meter])) for row in stream.rows], checks


def by_meter(stream: Stream, taken: Sequence[naive.Taken]) -> dict[str, list[naive.Taken]]:
    parts: dict[str, list[naive.Taken]] = {m.meter_id: [] for m in stream.meters}
    for row, one in zip(stream.rows, taken, strict=True):
        parts[row.meter].append(one)
    return parts


def named(lines: Iterable[naive.Line], meter: str) -> list[naive.Line]:
    for line in lines:
        line.meter = meter
    return list(lines)


def of_each_meter(
    stream: Stream, twin: Callable[[Iterable[naive.Taken], float], list[naive.Line]], size: str
) -> list[naive.Line]:
    parts = by_meter(stream, validated(stream)[0])
    return [
        line for m in stream.meters for line in named(twin(parts[m.meter_id], sizes(m)[size]), m.meter_id)
    ]


def high_low(stream: Stream) -> list[naive.Line]:
    """The whole partition: periods at their reads, days when the watermark enters a new hour."""
    taken, _ = validated(stream)
    days = {m.meter_id: Days(m.meter_id, m.tz, sizes(m)["floor"], _cohort(m)) for m in stream.meters}
    lines: list[naive.Line] = []
    newest = advanced = None
    for row, one in zip(stream.rows, taken, strict=True):
        believed = one.reading.limit is None or row.time <= one.reading.limit
        if believed and (newest is None or row.time > newest):
            if newest is None or advanced is None:
                advanced = row.time
            elif (row.time - 1) // STEP != (newest - 1) // STEP:
                lines += judge_days(list(days.values()), advanced, row.time)
                advanced = row.time
            newest = row.time
        days[row.meter].take(one)
    for m in stream.meters:
        part = by_meter(stream, taken)[m.meter_id]
        lines += named(periods(part, sizes(m)["floor"]), m.meter_id)
    return lines


def _cohort(m: Meter) -> tuple[str, ...]:
    return m.home_area, m.commodity, m.meter_class, m.unit


# --- comparison ----------------------------------------------------------------------------------


def told(flag: Flag) -> dict[str, Any]:
    numbers = {
        name: cell
        for name, cell in flag.evidence.items()
        if isinstance(cell, int | float) and name != "version"
    }
    return {
        "what": (flag.meter_id, flag.status, flag.kind, instant(flag.at), instant(flag.start)),
        "observed": flag.observed,
        "expected": flag.expected,
        **numbers,
    }


def expected(line: naive.Line) -> dict[str, Any]:
    return {
        # Flags tell instants to the microsecond; the streams here have whole seconds.
        "what": (line.meter, line.status, line.kind, line.at // NS * NS, line.start // NS * NS),
        "observed": None if math.isnan(line.observed) else round(line.observed, 6),
        "expected": None if math.isnan(line.expected) else round(line.expected, 6),
        **line.evidence,
    }


def assert_same(flags: Iterable[Flag], lines: Iterable[naive.Line]) -> None:
    def order(cell: dict[str, Any]) -> Any:
        return cell["what"][0], cell["what"][3], cell["what"][2], cell["what"][1]

    ours, twins = sorted(map(told, flags), key=order), sorted(map(expected, lines), key=order)
    assert [one["what"] for one in ours] == [one["what"] for one in twins]
    for one, twin in zip(ours, twins, strict=True):
        assert one.keys() == twin.keys(), one["what"]
        assert [name for name in one if one[name] is None] == [name for name in one if twin[name] is None]
        numbers = {name: cell for name, cell in twin.items() if name != "what" and cell is not None}
        assert {name: one[name] for name in numbers} == pytest.approx(numbers, rel=1e-4, abs=1e-5), one[
            "what"
        ]


def run(stream: Stream, *detectors: Detector) -> list[Flag]:
    bank = make_bank(stream.meters, (Intervals(), *detectors))
    return feed(bank, stream.rows).flags
