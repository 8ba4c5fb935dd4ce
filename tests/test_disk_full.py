"""A full disk, through the real processes: nothing is acknowledged, it is said, and it passes by itself.

A limit on the size of files stands in for the disk (``prlimit``, which needs no root): what would
make a file grow is refused, and the limit can be lifted while the processes run.
"""

from __future__ import annotations

import json
import resource
import signal
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from connectors.embedded_broker import BrokerProcess
from tests.faults.fixtures import SEED
from tests.faults.load import KINDS, make_load
from tests.faults.outcome import outcome
from tests.faults.publisher import Publisher
from tests.faults.site import Site
from tests.services.mosquitto import Mosquitto
from tests.services.process import LOOPBACK, wait_until

ROOM = 96 << 10  # bytes that the files may still grow by


def limit(site: Site, data: Path) -> None:
    """The log may grow by no more than ``ROOM``; who is started anew inherits it.

    By the file, not by its write-ahead log, which is larger: that is used again from its beginning as
    long as the file can take up what is in it.
    """
    size = (data / "log.db").stat().st_size
    for pid in pids(site):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + ROOM, hard))


def lift(site: Site) -> None:
    """There is room again."""
    for pid in pids(site):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def pids(site: Site) -> list[int]:
    assert site.supervisor is not None
    # the supervisor first: what it starts meanwhile has its limit
    return [site.supervisor.pid, *site.children().values()]


def not_ready(port: int) -> str:
    """Why ingest does not do its work; empty where it does."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/ready", timeout=2):
            return ""
    except urllib.error.HTTPError as error:
        with closing(error):
            return str(json.loads(error.read())["reason"])


def test_a_full_disk_holds_readings_with_the_broker_and_passes(tmp_path: Path) -> None:
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's own: a write fails instead
    load = make_load(SEED, hours=10)
    with Mosquitto() if Mosquitto.missing() is None else BrokerProcess() as broker:
        more = '[log]\ndurability = "normal"\n[history]\nkeep_days = 0\n'
        site = Site(tmp_path / "site", broker.url, load.write_registry(tmp_path), "", more, True)
        publisher = Publisher(broker.url, load.messages, rate=400)
        publisher.allow(0.2)
        try:
            site.launch_all()
            ingest = site["ingest"]
            publisher.start()
            wait_until(lambda: ingest.metrics()["forestall_messages_in_total"] > 50, "the load to flow", 60)
            publisher.allow(0.25)
            limit(site, site.settings.data_dir)
            publisher.allow(0.7)
            wait_until(
                lambda: not_ready(ingest.port).startswith("nothing is acknowledged"), "it to be full", 60
            )

            told = ingest.metrics()
            assert told["forestall_log_up"] == 0
            assert told["forestall_mqtt_unacknowledged"] > 0
            confirmed, held = publisher.confirmed, told["forestall_messages_in_total"]
            # the broker goes on taking what meters send …
            wait_until(lambda: publisher.confirmed > confirmed + 400, "the broker to hold more", 60)
            after = ingest.metrics()
            # … and keeps it: after many attempts nothing has been acknowledged
            wait_until(lambda: ingest.metrics()["forestall_log_retries_total"] > 4, "attempts", 60, 0.2)
            assert after["forestall_messages_in_total"] <= held + 100
            assert after["forestall_mqtt_unacknowledged"] > 0
            reason = not_ready(ingest.port)
            assert "log.db" in reason

            lift(site)
            wait_until(lambda: not_ready(ingest.port) == "", "ingest to go on", 60, 0.1)
            assert ingest.metrics()["forestall_log_up"] == 1
            publisher.allow(1)
            publisher.rate = 0
            wait_until(lambda: publisher.done, "the load to be published", 120)
            site.settle(deadline_s=120)
            log = ingest.log.read_text(errors="replace")
            site.stop_all()
        finally:
            publisher.stop()
            site.close()
    assert log.count("nothing is acknowledged until it is back") <= 2, log[-3000:]
    assert "the log takes records again" in log
    found = outcome(site)
    assert found.readings == publisher.readings == load.readings
    assert found.letters == []
    assert {flag["kind"] for flag in found.flags.values()} >= KINDS
    assert len({ticket["dedup_key"] for ticket in found.tickets}) == len(found.tickets) > 0
