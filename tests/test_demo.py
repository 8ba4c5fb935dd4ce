"""The demo to its end, and an orderly stop under load, as a user would type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.fixtures import Backend, Reference
from tests.faults.outcome import compare, outcome
from tests.faults.proof import LogWatch
from tests.faults.publisher import Publisher
from tests.services.process import wait_until

pytest_plugins = ["tests.faults.fixtures"]

STOP_S = 10.0


def test_demo_to_its_end(tmp_path: Path) -> None:
    """All that was sent is in the state; the golden ticket is open with its excess."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "demo", "--once", "--json", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    with resources.as_file(resources.files("streams.programs") / "demo_data" / "readings.parquet") as path:
        packaged = pd.read_parquet(path)
    assert told["readings_sent"] == told["readings_detected"] == len(packaged) + 3
    # all packaged meters send intervals; the household's register goes from 0 to 449
    assert told["usage_detected"] == pytest.approx(packaged["value"].sum() + 449.0, rel=1e-9)
    golden = [t for t in told["tickets"] if t["meter_id"] == "wei"]
    assert len(golden) == 1
    assert golden[0]["excess"] == 243.7
    assert golden[0]["unit"] == "m3"
    assert golden[0]["category"] == "metering_billing"
    assert told["flags"] >= len(told["tickets"]) > 1
    assert not list(tmp_path.glob("forestall-demo-*")), "the demo leaves nothing behind"


def test_stop_under_load(backend: Backend, reference: Callable[[int], Reference], tmp_path: Path) -> None:
    """SIGTERM in mid-work: all gone within 10 s with exit 0, and a later start goes on from there."""
    wanted = reference(10)
    messages = wanted.load.messages
    site = backend.site(tmp_path / "site", wanted.load)
    publisher = Publisher(backend.mqtt.url, messages, rate=len(messages) / 8)
    try:
        site.launch_all()
        publisher.start()
        with LogWatch(site) as log:
            wait_until(lambda: publisher.confirmed > len(messages) // 3, "the load to be under way", 60)
            start = log.end()
            wait_until(lambda: log.end() > start, "the log to grow", 30)
        assert not publisher.done
        took = site.stop_all()
        print(f"all had stopped after {took:.1f} s")
        assert took < STOP_S
        site.launch_all()
        wait_until(lambda: publisher.done, "the load to be published", 120)
        site.settle()
        site.stop_all()
    finally:
        publisher.stop()
        site.close()
    compare(outcome(site), wanted.outcome, publisher.readings)
