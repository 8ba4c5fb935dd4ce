"""Fixtures of the fault tests: the two sizes, the load, and the uninterrupted run of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from connectors.embedded_broker import BrokerProcess
from tests.conftest import Servers, require
from tests.faults.load import KINDS, Load, make_load
from tests.faults.outcome import Outcome, outcome
from tests.faults.publisher import Publisher
from tests.faults.site import Site
from tests.services.kafka import Kafka
from tests.services.mosquitto import Mosquitto
from tests.services.postgres import Postgres
from tests.services.process import wait_until

SEED = int(os.environ.get("FORESTALL_SEED", "20120410"))
#: How long something stays away: 60 by `make soak`.
AWAY_S = float(os.environ.get("FORESTALL_AWAY_S", "8"))


class Broker(Protocol):
    """An MQTT broker."""

    @property
    def url(self) -> str:
        """Where it is."""


@dataclass(slots=True)
class Backend:
    """What the processes stand on."""

    name: str
    mqtt: Broker
    kafka: Kafka | None
    postgres: Postgres | None

    def site(
        self, directory: Path, load: Load, *, top: str = "", more: str = "", wall_clock: bool = False
    ) -> Site:
        """A configuration for this size, with a database of its own."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.kafka is not None:
            top += f'\nbroker = "{self.kafka.url}"'
        if self.postgres is not None:
            url = self.postgres.new_database().replace("postgresql+psycopg:", "postgresql:")
            top += f'\nstore = "{url}"'
        return Site(directory, self.mqtt.url, load.write_registry(directory), top, more, wall_clock)


@pytest.fixture(params=["embedded", "cluster"])
def backend(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Backend]:
    """SQLite and one machine; Apache Kafka, PostgreSQL and Mosquitto. A broker of its own for each test."""
    if request.param == "embedded":
        with Mosquitto() if Mosquitto.missing() is None else BrokerProcess() as broker:
            yield Backend("embedded", broker, None, None)
        return
    for service in (Mosquitto, Kafka, Postgres):
        require(service)
    # Topics have fixed names, so each test needs a cluster of its own.
    with Mosquitto() as broker, Kafka() as kafka:
        yield Backend("cluster", broker, kafka, servers.get(Postgres))


@dataclass(frozen=True, slots=True)
class Reference:
    """A load and what an uninterrupted run makes of it."""

    load: Load
    outcome: Outcome


def uninterrupted(directory: Path, load: Load) -> Outcome:
    """Publish everything to the embedded size and disturb nothing."""
    with Mosquitto() if Mosquitto.missing() is None else BrokerProcess() as broker:
        site = Backend("embedded", broker, None, None).site(directory, load)
        try:
            site.start()
            publisher = Publisher(broker.url, load.messages).start()
            wait_until(lambda: publisher.done, "the load to be published", 120)
            site.settle()
            site.stop()
        finally:
            site.close()
        return outcome(site)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Reference]:
    """The load for so many kills, and what an uninterrupted run makes of it; each is run once.

    The uninterrupted run is of the embedded size for both: the cluster must come to the same.
    """
    made: dict[int, Reference] = {}

    def get(hours: int = 10) -> Reference:
        if hours not in made:
            load = make_load(SEED, hours=hours)
            found = uninterrupted(tmp_path_factory.mktemp("reference"), load)
            kinds = {flag["kind"] for flag in found.flags.values()}
            assert kinds >= KINDS, f"the load must raise flags of {sorted(KINDS)}, got {sorted(kinds)}"
            assert found.readings == load.readings
            assert found.tickets
            live = [flag for flag in found.flags.values() if flag["status"] == "raised"]
            assert all(flag["evidence"]["raw_messages"] for flag in live), "flags must name their messages"
            assert not found.letters
            made[hours] = Reference(load, found)
        return made[hours]

    return get
