"""kill -9 of each process at random moments under load: nothing is lost, nothing doubled."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fixtures import SEED, Backend, Reference
from tests.faults.outcome import compare, outcome
from tests.faults.proof import LogWatch, Proof, kill_in_mid_work
from tests.faults.publisher import Publisher
from tests.faults.site import ROLES
from tests.services.process import wait_until

pytest_plugins = ["tests.faults.fixtures"]
pytestmark = pytest.mark.soak

SEGMENT_S = 4.0  # of load for each kill


def test_kill_at_random_moments(
    backend: Backend,
    reference: Callable[[int], Reference],
    rounds: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Every process is killed in every round, in mid-work; the end is that of an uninterrupted run."""
    rng = random.Random(SEED)
    wanted = reference(10 if rounds < 5 else 2)
    messages = wanted.load.messages
    site = backend.site(tmp_path / "site", wanted.load)
    victims = [role for _ in range(rounds) for role in rng.sample(ROLES, len(ROLES))]
    proofs: list[Proof] = []
    publisher = Publisher(backend.mqtt.url, messages, rate=len(messages) / len(victims) / SEGMENT_S)
    publisher.allow(0)
    try:
        site.start()
        publisher.start()
        with LogWatch(site) as log:
            for number, victim in enumerate(victims):
                publisher.allow((number + 1) / len(victims))
                moment = round((number + rng.uniform(0.1, 0.6)) / len(victims) * len(messages))
                wait_until(lambda at=moment: publisher.confirmed >= at, "the load to go on", 60)  # type: ignore[misc]
                proofs.append(kill_in_mid_work(site, victim, publisher, log))
                site.start(victim)
                site.alive()
        publisher.allow(1)
        wait_until(lambda: publisher.done, "the load to be published", 120)
        site.settle()
        site.stop()
    finally:
        publisher.stop()
        site.close()
    for proof in proofs:
        print(proof)
    record_property("kills", [str(proof) for proof in proofs])
    assert len(proofs) == len(ROLES) * rounds
    compare(outcome(site), wanted.outcome, publisher.readings)


def test_kill_of_forestall_run(
    backend: Backend, reference: Callable[[int], Reference], tmp_path: Path
) -> None:
    """Nobody is left to stop the others: they end by themselves, and the next `forestall run` goes on."""
    wanted = reference(10)
    messages = wanted.load.messages
    site = backend.site(tmp_path / "site", wanted.load)
    publisher = Publisher(backend.mqtt.url, messages, rate=len(messages) / 8)
    try:
        supervisor = site.launch_all()
        left = site.children()
        publisher.start()
        wait_until(lambda: publisher.confirmed > len(messages) // 3, "the load to be under way", 60)
        supervisor.kill()
        supervisor.wait()
        # At once: the old ones still have the ports, the log and the MQTT session.
        site.launch_all()
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in left.values()), "the old ones to end", 15
        )
        wait_until(lambda: publisher.done, "the load to be published", 120)
        site.settle()
        site.stop_all()
    finally:
        publisher.stop()
        site.close()
    compare(outcome(site), wanted.outcome, publisher.readings)
