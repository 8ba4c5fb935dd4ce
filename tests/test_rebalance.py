"""Several workers on Kafka, and an MQTT broker that is killed: the same comparison."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import require
from tests.faults.fixtures import SEED, Backend, Reference
from tests.faults.outcome import compare, outcome
from tests.faults.proof import LogWatch, kill_in_mid_work
from tests.faults.publisher import Publisher
from tests.services.mosquitto import Mosquitto
from tests.services.process import wait_until

pytest_plugins = ["tests.faults.fixtures"]
pytestmark = pytest.mark.soak

STEP_S = 4.0  # of load for each thing that happens
BRIDGE_S = 4.0  # Mosquitto writes what it holds every two seconds; a busy machine may be late
STORED = 20  # messages that it takes in while nobody reads, before and after it is killed


def test_workers_come_and_go(
    backend: Backend, reference: Callable[[int], Reference], rounds: int, tmp_path: Path
) -> None:
    """Of two workers one is killed and one is added, in mid-work, as often as there are rounds."""
    if backend.name == "embedded":
        pytest.skip("one process consumes the embedded log: several workers need Kafka")
    rng = random.Random(SEED + 1)
    wanted = reference(10)
    messages = wanted.load.messages
    site = backend.site(tmp_path / "site", wanted.load, more="[history]\nkeep_days = 0\n")
    steps = 2 * rounds
    publisher = Publisher(backend.mqtt.url, messages, rate=len(messages) / steps / STEP_S)
    publisher.allow(0)
    proofs = []
    try:
        site.start("ingest", "worker-1", "worker-2", "web")
        wait_until(
            lambda: all(_partitions(site[w].metrics()) for w in ("worker-1", "worker-2")), "both to share", 60
        )
        publisher.start()
        names = ["worker-1", "worker-2"]
        with LogWatch(site) as log:
            for number in range(rounds):
                victim = names.pop(rng.randrange(2))
                for step, act in enumerate(("kill", "add")):
                    place = 2 * number + step
                    publisher.allow((place + 1) / steps)
                    moment = round((place + rng.uniform(0.1, 0.5)) / steps * len(messages))
                    wait_until(lambda at=moment: publisher.confirmed >= at, "the load to go on", 60)  # type: ignore[misc]
                    if act == "kill":
                        proofs.append(kill_in_mid_work(site, victim, publisher, log))
                    else:
                        names.append(f"worker-{number + 3}")
                        site.start(names[-1])
        publisher.allow(1)
        wait_until(lambda: publisher.done, "the load to be published", 120)
        site.settle()
        site.stop()
    finally:
        publisher.stop()
        site.close()
    for proof in proofs:
        print(proof)
    compare(outcome(site), wanted.outcome, publisher.readings)


def _partitions(metrics: dict[str, float]) -> bool:
    return "forestall_lag_messages" in metrics


def test_mqtt_broker_is_killed(
    backend: Backend, reference: Callable[[int], Reference], rounds: int, tmp_path: Path
) -> None:
    """Mosquitto is killed under load and comes back; the publisher sends again what may have gone with it.

    In every other round ingest is killed just before and comes back later: what Mosquitto then has
    confirmed has reached nobody. What it had not written is gone, and the publisher's to bridge; what
    it has, and what comes before ingest is back, is in the session that it has restored.
    """
    require(Mosquitto)
    assert isinstance(backend.mqtt, Mosquitto)
    rng = random.Random(SEED + 2)
    wanted = reference(10)
    messages = wanted.load.messages
    site = backend.site(tmp_path / "site", wanted.load)
    publisher = Publisher(
        backend.mqtt.url, messages, rate=len(messages) / (rounds + 1) / STEP_S, bridge_s=BRIDGE_S
    )
    try:
        site.start()
        publisher.start()
        for number in range(rounds):
            moment = round((number + rng.uniform(0.4, 0.9)) / (rounds + 1) * len(messages))
            alone = number % 2 == 0
            if alone:
                wait_until(lambda at=moment: publisher.confirmed >= at - STORED, "the load to go on", 60)  # type: ignore[misc]
                site.kill("ingest")
            wait_until(lambda at=moment: publisher.confirmed >= at, "the load to go on", 60)  # type: ignore[misc]
            before = publisher.connections
            backend.mqtt.kill()
            backend.mqtt.start()
            wait_until(lambda n=before: publisher.connections > n, "the publisher to be back", 30)  # type: ignore[misc]
            if alone:
                wait_until(lambda at=moment: publisher.confirmed >= at + STORED, "new messages", 60)  # type: ignore[misc]
                site.launch("ingest")
        publisher.rate = 0
        wait_until(lambda: publisher.done, "the load to be published", 120)
        site.settle()
        site.stop()
    finally:
        publisher.stop()
        site.close()
    print(f"{publisher.again} messages were sent again over {publisher.connections} connections")
    assert publisher.again > 0
    compare(outcome(site), wanted.outcome, publisher.readings)
