"""Interruptions of supply, outages of a line, transformers whose meters fall silent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors import Interruptions, Intervals, Transformer
from streams.messages import Flag
from streams.registry import Meter
from streams.state.bank import Outcome
from tests.naive import supply
from tests.scada_streams import START, alone, assert_agree, drive, gauges, samples
from tests.streams_of_readings import (
    DAY,
    HOUR,
    MINUTE,
    NS,
    Row,
    Stream,
    as_columns,
    examples,
    feed,
    make_bank,
)

LINE = "10kV-7"


def volts(name: str, line: str = LINE, spacing: int = MINUTE) -> Meter:
    return Meter(
        meter_id=name, commodity="electricity", unit="V", kind="gauge", interval_s=spacing / NS, line=line
    )


def interruptions(meters: Sequence[Meter], rows: Sequence[Row]) -> list[Flag]:
    ordered = sorted(rows, key=lambda row: (row.time, row.meter))
    return feed(make_bank(meters, (Intervals(), Interruptions())), ordered).flags


# -- interruptions -----------------------------------------------------------------------------------


@examples(60)
@given(gauges(voltage=True, lines=("", "a", "b"), points=4, most=2400))
def test_interruptions_are_those_of_the_obvious_loop(stream: Stream) -> None:
    flags = feed(make_bank(stream.meters, (Intervals(), Interruptions())), stream.rows).flags
    twin = supply.Interruptions({m.meter_id: supply.Supply(m.meter_id, m.line) for m in stream.meters})
    drive(stream, twin.take, twin.advance)
    assert_agree(alone(flags, "interruptions"), twin.lines)


def gone(name: str, minute: int, minutes: int) -> list[Row]:
    """An hour of supply that is gone for some minutes."""
    values = [221.0] * minute + [0.0] * minutes + [221.0] * (60 - minute - minutes)
    return samples(name, values)


def test_a_minute_is_no_interruption_and_more_is() -> None:
    assert interruptions([volts("p")], gone("p", 30, 2)) == []  # 0 V at :30 and :31, back at :32
    flags = interruptions([volts("p")], gone("p", 30, 3))
    assert [(f.status, f.kind, f.at, f.start) for f in flags] == [
        ("raised", "outage", "2024-03-01T00:32:00Z", "2024-03-01T00:30:00Z"),
        ("cleared", "outage", "2024-03-01T00:33:00Z", "2024-03-01T00:30:00Z"),
    ]
    assert flags[0].evidence["minutes_without"] == 2.0
    assert flags[0].evidence["outages_of_line"] == 1.0


def test_the_worked_example_of_a_line() -> None:
    """Three outages of one line in a year, each seen by three meters, and a fourth one 366 days after the second."""
    meters = [volts(f"p{i}") for i in range(3)]
    rows: list[Row] = []
    days = (0, 100, 200, 466)
    for day in days:
        for i, meter in enumerate(meters):
            # each sees it a little later than the one before, the last for longer
            rows += [
                row.but(time=row.time + day * DAY) for row in gone(meter.meter_id, 20 + 2 * i, 10 + 5 * i)
            ]
    flags = interruptions(meters, rows)
    raised = [f for f in flags if f.status == "raised"]
    assert len(raised) == 12
    assert [f.status for f in flags].count("cleared") == 12
    counted = [f for f in raised if f.meter_id == "p0"]
    assert [(f.kind, f.evidence.get("stage"), f.evidence["outages_of_line"]) for f in counted] == [
        ("outage", None, 1.0),
        ("repeated_outage", "warning", 2.0),
        ("repeated_outage", "study", 3.0),
        ("repeated_outage", "warning", 2.0),  # of the last 365 days: this one and that of day 200
    ]
    assert [f.score for f in counted] == [1.0, 2.0, 3.0, 2.0]
    # however many meters see it, it counts once
    assert {f.kind for f in raised if f.meter_id != "p0"} == {"outage"}


def test_a_meter_without_a_line_is_a_line_of_its_own() -> None:
    meters = [volts("p", ""), volts("q", "")]
    rows = [
        row.but(time=row.time + d * DAY)
        for d, name in ((0, "p"), (1, "q"), (2, "p"))
        for row in gone(name, 20, 9)
    ]
    kinds = [(f.meter_id, f.kind) for f in interruptions(meters, rows) if f.status == "raised"]
    assert kinds == [("p", "outage"), ("q", "outage"), ("p", "repeated_outage")]


def test_the_last_word_before_the_silence_was_no_voltage() -> None:
    """A meter without supply says 0 V once, and nothing more: the watermark proves the minute."""
    rows = [*samples("p", [221.0] * 50 + [0.0]), Row("q", START + HOUR + NS, 221.0)]
    flags = interruptions([volts("p"), volts("q")], rows)
    assert [(f.meter_id, f.kind, f.at, f.start) for f in flags] == [
        ("p", "outage", "2024-03-01T01:00:01Z", "2024-03-01T00:50:00Z")
    ]


def energy(name: str = "m") -> Meter:
    return Meter(
        meter_id=name, commodity="electricity", unit="kW.h", kind="register", interval_s=900, line=LINE
    )


def counts(events: dict[int, dict[str, str]], minutes: int = 240, rest: range = range(0)) -> list[Row]:
    """A quarter-hourly register that counts, but for the minutes of ``rest``; events come as further readings."""
    rows, total = [], 100.0
    for minute in range(minutes):
        total += 0.0 if minute in rest else 0.0625
        if minute in events or (minute % 15 == 0 and minute not in rest):
            note = {"attributes": events[minute]} if minute in events else {}
            rows.append(Row("m", START + minute * MINUTE, total, sparse=note))
    return rows


def test_an_outage_that_a_meter_tells_of_counts_though_it_measures_no_voltage() -> None:
    """A last gasp at 00:50, nothing until 02:00: told at the next hour; the next use ends it."""
    rows = counts({50: {"event": "last_gasp"}}, rest=range(50, 130))
    clock = [Row("q", START + i * MINUTE, 221.0) for i in range(240)]
    flags = interruptions([energy(), volts("q")], rows + clock)
    assert [(f.meter_id, f.kind, f.status, f.at, f.start) for f in flags] == [
        ("m", "outage", "raised", "2024-03-01T01:01:00Z", "2024-03-01T00:50:00Z"),
        ("m", "outage", "cleared", "2024-03-01T02:15:00Z", "2024-03-01T00:50:00Z"),
    ]
    assert flags[0].observed is None
    assert flags[0].evidence["outages_of_line"] == 1.0


def test_events_of_a_line_escalate_as_voltages_do() -> None:
    """Ten minutes on three days, told by its meter alone, each at its end; a minute counts nowhere."""
    out, back = {"outage": "true"}, {"outage": "false"}
    rows = [
        row.but(time=row.time + day * DAY, value=row.value + 50.0 * day)
        for day in range(3)
        for row in counts({65: out, 75: back}, minutes=115, rest=range(65, 75))
    ]
    flags = interruptions([energy()], rows)
    assert [(f.kind, f.evidence.get("stage")) for f in flags if f.status == "raised"] == [
        ("outage", None),
        ("repeated_outage", "warning"),
        ("repeated_outage", "study"),
    ]
    assert interruptions([energy()], counts({65: out, 66: back}, minutes=115, rest=range(65, 66))) == []


# -- transformers ------------------------------------------------------------------------------------


@st.composite
def districts(draw: st.DrawFn) -> Stream:
    """Transformers whose meters fall silent, together or not; some are read once a day in one go."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    meters, rows = [], []
    hours = 24 * 12
    for name, count in (("T1", draw(st.integers(3, 8))), ("T2", 4), ("T3", 2), ("", 2)):
        cuts = [(int(rng.integers(50, hours - 10)), int(rng.integers(2, 60))) for _ in range(2)]
        bulk = rng.random() < 0.2
        for number in range(count):
            meter = f"{name or 'x'}-{number}"
            spacing = int(rng.choice([MINUTE * 30, HOUR])) if not bulk else HOUR
            meters.append(
                Meter(meter_id=meter, kind="interval", unit="kW.h", commodity="electricity", area="district",
                      transformer=name, interval_s=spacing / NS if rng.random() < 0.5 else None)
            )  # fmt: skip
            mine = [cut for cut in cuts if rng.random() < 0.7]
            if rng.random() < 0.2:
                mine.append((int(rng.integers(2, hours)), 1000))
            for i in range(hours * HOUR // spacing):
                moment = START + i * spacing
                if not any(a * HOUR <= moment - START < (a + length) * HOUR for a, length in mine):
                    told = moment if not bulk else START + ((moment - START) // DAY + 1) * DAY + HOUR
                    rows.append(Row(meter, moment, 0.25, received=told))
    rows.sort(key=lambda row: (row.received, row.time, row.meter))
    return Stream(meters, rows)


@examples(40)
@given(districts())
def test_transformers_are_those_of_the_obvious_loop(stream: Stream) -> None:
    flags = feed(make_bank(stream.meters, (Intervals(), Transformer())), stream.rows).flags
    heard = {m.meter_id: supply.Heard(m.meter_id, m.transformer) for m in stream.meters}
    twin = supply.Transformers(list(heard.values()))
    drive(stream, lambda meter, t: heard[meter].take(t), lambda now: twin.advance(now, 48))
    assert_agree(alone(flags, "transformer"), twin.lines)


def hourly(name: str, hours: range) -> list[Row]:
    return [Row(name, START + i * HOUR, 0.5) for i in hours]


def homes(count: int, transformer: str = "T1") -> list[Meter]:
    return [
        Meter(meter_id=f"{transformer}-{i}", kind="interval", unit="kW.h", interval_s=3600, area="d",
              transformer=transformer)
        for i in range(count)
    ]  # fmt: skip


def test_the_worked_example_of_a_transformer() -> None:
    """Of ten meters, read by the hour, seven say nothing after 72:00; they come back at 80:00."""
    meters = [*homes(10), *homes(5, "T2")]
    rows = []
    for i, meter in enumerate(meters):
        rows += hourly(meter.meter_id, range(100) if i >= 7 else range(73))
        rows += hourly(meter.meter_id, range(80, 100)) if i < 7 else []
    rows.sort(key=lambda row: (row.time, row.meter))
    flags = feed(make_bank(meters, (Intervals(), Transformer())), rows).flags
    assert [(f.status, f.kind, f.at, f.start) for f in flags] == [
        # three spacings after 72:00, at the next hour that the others' readings enter
        ("raised", "transformer_outage", "2024-03-04T04:00:00Z", "2024-03-04T00:00:00Z"),
        ("cleared", "transformer_outage", "2024-03-04T09:00:00Z", "2024-03-04T00:00:00Z"),
    ]
    evidence = flags[0].evidence
    assert evidence["meters"] == [f"T1-{i}" for i in range(7)]
    assert (evidence["silent_meters"], evidence["living_meters"], evidence["silent_share"]) == (7, 10, 0.7)
    assert flags[0].score == round(0.7 / 0.6, 4)


def test_a_feed_that_stops_is_no_outage_of_every_transformer() -> None:
    meters = [*homes(5), *homes(5, "T2")]
    rows = sorted((r for m in meters for r in hourly(m.meter_id, range(72))), key=lambda row: row.time)
    bank, outcome = make_bank(meters, (Intervals(), Transformer())), Outcome()
    bank.update(as_columns(rows), outcome)
    for hour in range(72, 100):
        bank.tick(START + hour * HOUR, outcome)
    assert outcome.flags == []


def test_meters_that_are_read_once_a_day_are_silent_by_habit() -> None:
    meters = [*homes(5), Meter(meter_id="clock", kind="interval", interval_s=3600, area="d")]
    rows = [row for meter in meters[:5] for row in hourly(meter.meter_id, range(240))]
    rows = [row.but(received=START + (row.time - START) // DAY * DAY + DAY) for row in rows]
    rows += [row.but(received=row.time) for row in hourly("clock", range(240))]
    rows.sort(key=lambda row: row.received)
    assert feed(make_bank(meters, (Intervals(), Transformer())), rows).flags == []
