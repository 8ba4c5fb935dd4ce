"""The household of 15 → 137 m³ a month under other names, sizes and dates, over real MQTT and processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from connectors.embedded_broker import BrokerProcess
from tests.faults.fixtures import Backend
from tests.faults.load import Load, Message
from tests.faults.outcome import Outcome, outcome
from tests.faults.publisher import Publisher
from tests.services.mosquitto import Mosquitto
from tests.services.process import wait_until

pytest_plugins = ["tests.faults.fixtures"]

HEADER = "meter_id,commodity,unit,kind,interval_s,area,class\n"
#: The two reads of the case, as days after the first and m³.
READS = ((0, 0.0), (366, 176.0), (427, 449.0))
#: Its twin: in the last period it uses a fifth more a day than before.
TWIN = ((0, 0.0), (366, 176.0), (427, 176.0 + 1.2 * 176 / 366 * 61))
EXCESS = 273 - 176 / 366 * 61
SCALES = (0.3, 0.5, 1.0, 1.7, 3.0)
#: First reads: other years, a leap day within, summer in place of spring.
STARTS = (
    datetime(2011, 4, 10, tzinfo=UTC),
    datetime(2015, 12, 31, tzinfo=UTC),
    datetime(2019, 2, 28, 23, 30, tzinfo=UTC),
    datetime(2020, 7, 4, 12, tzinfo=UTC),
    datetime(2022, 10, 30, 1, tzinfo=UTC),
)


class Household:
    """One household that must be flagged, and its twin that must not."""

    def __init__(self, number: int, scale: float, start: datetime) -> None:
        self.name = f"户-{number:02}-x{scale:g}"
        self.twin = f"twin-{number:02}"
        self.scale = scale
        self.start = start

    def registry(self) -> str:
        return "".join(f"{name},gas,m3,register,,b-{name},residential\n" for name in (self.name, self.twin))

    def messages(self) -> Iterator[tuple[datetime, Message]]:
        for name, reads in ((self.name, READS), (self.twin, TWIN)):
            for day, value in reads:
                time = self.start + timedelta(days=day)
                yield time, _message(name, time, round(value * self.scale, 3))


def _message(name: str, time: datetime, value: float) -> Message:
    ms = round(time.timestamp() * 1000)
    body = {"meter_id": name, "time": ms, "value": value}
    return Message(f"forestall/readings/manual/{name}", msgspec.json.encode(body), ((name, ms),))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All households, by time, into one product."""
    households = [Household(i, s, at) for i, (s, at) in enumerate(zip(SCALES, STARTS, strict=True))]
    timed = sorted((pair for h in households for pair in h.messages()), key=lambda pair: pair[0])
    load = Load(HEADER + "".join(h.registry() for h in households), [message for _, message in timed])
    return _run(tmp_path_factory.mktemp("variants"), load)


def _run(directory: Path, load: Load) -> Outcome:
    with Mosquitto() if Mosquitto.missing() is None else BrokerProcess() as broker:
        site = Backend("embedded", broker, None, None).site(directory, load)
        try:
            site.start()
            publisher = Publisher(broker.url, load.messages).start()
            wait_until(lambda: publisher.done, "all to be published", 60)
            site.settle()
            site.stop()
        finally:
            site.close()
    told = outcome(site)
    assert told.readings == load.readings
    assert not told.letters
    return told


@pytest.mark.parametrize("number", range(len(SCALES)))
def test_the_household_gets_its_ticket(found: Outcome, number: int) -> None:
    """Flagged at the last read, with an excess that is as much larger or smaller as the household."""
    household = Household(number, SCALES[number], STARTS[number])
    # Whose reads end before the others' is silent as well: that is another ticket.
    tickets = [t for t in found.tickets if t["meter_id"] == household.name and t["family"] != "data"]
    assert len(tickets) == 1
    (ticket,) = tickets
    assert ticket["family"] == "usage_high"
    assert ticket["category"] == "metering_billing"
    assert ticket["event_at"] == (household.start + timedelta(days=427)).strftime("%Y-%m-%dT%H:%M:%SZ")
    estimate = ticket["estimate"]
    assert estimate["unit"] == "m3"
    assert estimate["excess"] == pytest.approx(EXCESS * household.scale, abs=0.05)
    assert estimate["billed"] == pytest.approx(273 * household.scale, abs=0.05)


@pytest.mark.parametrize("number", range(len(SCALES)))
def test_the_twin_gets_none(found: Outcome, number: int) -> None:
    """A fifth more is nobody's complaint."""
    assert not [t for t in found.tickets if t["meter_id"] == f"twin-{number:02}" and t["family"] != "data"]
    own = [f for f in found.flags.values() if f["meter_id"] == f"twin-{number:02}"]
    assert [f for f in own if f["family"] != "data"] == []
