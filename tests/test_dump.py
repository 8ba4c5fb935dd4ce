"""The canonical dump: what is known, whatever way it was come to know."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.registry import Meter
from streams.state.bank import Outcome
from streams.state.dump import canonical
from tests.banks import dumped
from tests.streams_of_readings import DAY, HOUR, Row, feed, instant, make_bank

START = instant("2024-01-01")


def rows(count: int = 40) -> list[Row]:
    return [
        Row(name, START + i * HOUR, float(i * (n + 1)), digest=bytes([n, i]) * 8)
        for i in range(count)
        for n, name in enumerate(("a", "b"))
    ]


def test_it_is_ordered_by_channel_and_names_registers() -> None:
    bank = make_bank([Meter(meter_id="b", kind="register"), Meter(meter_id="a#1", kind="register")])
    feed(bank, [*rows(2), Row("a#1", START, 1.0, sparse={"register": "night"})])
    lines = dict(canonical(bank))
    assert list(lines) == ["a", "a#1", "a#1#night", "b"]
    assert lines["a#1#night"]["meter"]["meter_id"] == "a#1"
    assert lines["a"]["meter"] == {"meter_id": "a", "known": False}


def test_slots_repetitions_and_refused_readings_do_not_show() -> None:
    meters = [Meter(meter_id="a", kind="register"), Meter(meter_id="b", kind="register")]
    plain, other = make_bank(meters), make_bank([Meter(meter_id="z"), *reversed(meters)])
    feed(plain, rows())
    other.vacate("z")
    twice = [row for row in rows() for _ in range(2)]
    bad = [Row("a", START + 39 * HOUR, float("nan")), Row("b", START + 39 * HOUR, 78.0)]
    feed(other, [*twice, *bad])
    assert dumped(other) == dumped(plain)


def test_what_is_known_does_show() -> None:
    bank = make_bank([Meter(meter_id="a", kind="register")])
    feed(bank, rows())
    before = dumped(bank)
    bank.register([Meter(meter_id="a", kind="register", tariff="night")], Outcome())
    assert dumped(bank) != before
    before = dumped(bank)
    flags = feed(bank, [Row("a", START + 40 * HOUR, 3.0)]).flags
    line = dict(canonical(bank))["a"]
    assert dumped(bank) != before
    assert [episode["id"] for episode in line["episodes"]] == [flags[0].id]
    assert line["episodes"][0]["active"] == ["intervals"]
    assert line["ready"] == {d.name: d.name == "intervals" for d in bank.detectors}


def test_it_is_plain_data_in_which_not_known_is_null() -> None:
    """A day that nobody saw is NaN in the ring and null in the dump."""
    bank = make_bank([Meter(meter_id="m", kind="interval", interval_s=86400)])
    feed(bank, [Row("m", START + i * DAY, 1.0) for i in (1, 2, 5)])
    assert np.isnan(bank.state.of("high_low", "daily")[0]).any()
    told = msgspec.json.decode(dumped(bank))
    assert None in told[0][1]["state"]["high_low.daily"]
