"""``forestall import`` as a utility uses it: a file of old reads, twice, with rows that cannot be; live ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.outcome import Outcome, outcome
from tests.faults.site import Site

REGISTRY = """meter_id,commodity,unit,kind,interval_s,area
wei,gas,m3,register,,area-1
li,gas,m3,register,,area-1
"""
READS = """meter_id,time,value
wei,2011-04-10T00:00:00Z,0
wei,2012-04-10T00:00:00Z,176
li,2012-04-10T00:00:00Z,12
wei,2042-06-10T00:00:00Z,180
li,2012-05-10,13
"""


def imported(site: Site, *words: str) -> str:
    """What the command says."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "import", *words, "--config", str(site.config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def taken(site: Site) -> Outcome:
    """What the worker has come to, when it has read all."""
    site.start("worker")
    try:
        site.settle()
        site.stop()
    finally:
        site.close()
    return outcome(site)


def test_history_is_learnt_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "meters.csv").write_text(REGISTRY)
    reads = tmp_path / "reads.csv"
    reads.write_text(READS)
    site = Site(tmp_path / "site", "mqtt://127.0.0.1:1", tmp_path / "meters.csv")
    assert "3 readings imported, 2 rows made dead letters" in imported(site, str(reads))
    first = taken(site)
    assert (first.readings, first.flags) == (3, {})
    told = sorted(letter["reason"] for letter in first.letters)
    assert "reads.csv:5: time: expected a time up to 2024-07-01T00:15:00Z" in told[0]
    assert "reads.csv:6: time: expected a time with a zone" in told[1]
    assert all(f'"{meter}"' in first.dump for meter in ("wei", "li"))
    # the same file again changes nothing, and as live reads the new ones are judged
    imported(site, str(reads))
    again = taken(site)
    assert (again.readings, again.usage) == (first.readings, first.usage)
    reads.write_text("meter_id,time,value\nwei,10.06.2012,449\n")
    words = ("--live", "--tz", "Asia/Shanghai", "--time-format", "%d.%m.%Y")
    assert "1 readings imported" in imported(site, str(reads), *words)
    live = taken(site)
    assert (live.readings, live.usage - first.usage) == (4, 273.0)
    assert live.kinds["high_usage"] == 1
