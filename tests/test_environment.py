"""Misspelt variables of the environment: told by check-config, with the name that was meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.programs.environment import TOOLS, unknown, variable
from streams.programs.explain_config import keys

ROOT = Path(__file__).parents[1]


def check(tmp_path: Path, **environment: str) -> tuple[int, str]:
    config = tmp_path / "forestall.toml"
    config.write_text("partitions = 2\n")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("FORESTALL_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "check-config", "--config", str(config)],
        env={**bare, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_check_config_refuses_a_misspelt_variable_and_names_the_nearest(tmp_path: Path) -> None:
    code, told = check(tmp_path, FORESTALL_MQTT_URL="mqtt://broker:1883", FORESTALL_PARTITONS="8")
    assert code == 2
    assert "FORESTALL_MQTT_URL: " in told
    assert "did you mean FORESTALL_MQTT__URL?" in told
    assert "did you mean FORESTALL_PARTITIONS?" in told
    # with what else is wrong
    code, told = check(tmp_path, FORESTALL_MQTT__URLL="x", FORESTALL_PARTITIONS="0")
    assert code == 2
    assert "partitions: " in told
    assert "FORESTALL_MQTT__URLL: " in told


def test_check_config_takes_what_is_known(tmp_path: Path) -> None:
    code, told = check(tmp_path, FORESTALL_ROUNDS="3", FORESTALL_MQTT__URL="mqtt://broker:1883")
    assert (code, "mqtt://broker:1883" in told) == (0, True)


def test_check_config_refuses_a_shared_group_on_our_own_broker(tmp_path: Path) -> None:
    code, told = check(tmp_path, FORESTALL_MQTT__SHARED_GROUP="ingest")
    assert code == 2
    assert "mqtt: expected url beside shared_group" in told


def test_every_key_is_known() -> None:
    assert unknown({variable(key): "1" for key, *_ in keys()}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORESTALL_DETECTORS__SPIKE__EXCESS", "3"),
        ("FORESTALL_MQTT", '{"url": "mqtt://b:1"}'),
        ("FORESTALL_DESKS__WEBHOOK", "{}"),
        ("forestall_partitions", "2"),
        ("FORESTALL_CHILD", "1"),
        # of a Kubernetes service of that name
        ("FORESTALL_SERVICE_HOST", "10.0.0.7"),
        ("FORESTALL_SERVICE_PORT_HTTP", "80"),
        ("FORESTALL_WEB_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("FORESTALL_PORT", "tcp://10.0.0.7:8080"),
        ("SOMETHING_ELSE", ""),
    ],
)
def test_what_is_left_alone(name: str, value: str) -> None:
    assert unknown({name: value}) == []


def test_what_nothing_resembles_is_told_all_the_same() -> None:
    (told,) = unknown({"FORESTALL_QQQQQQ": "1"})
    assert told.startswith("FORESTALL_QQQQQQ: expected")
    assert "check-config --keys" in told
    assert unknown({"FORESTALL_PORT": "8080"}) != []


def test_what_our_own_tools_go_by_is_known() -> None:
    """Whatever the Makefile, the scripts, the tests and CI read is no mistake."""
    places = [ROOT / "Makefile", ROOT / ".ci/run", ROOT / "docker-compose.yml"]
    places += [*(ROOT / "scripts").rglob("*.sh"), *(ROOT / "tests/services").glob("*.py")]
    places += [ROOT / "tests" / name for name in ("conftest.py", "faults/fixtures.py", "test_web_browser.py")]
    places += [ROOT / "tests/streams_of_readings.py", *(ROOT / "benchmarks").glob("*.py")]
    found = {
        name
        for place in places
        for name in re.findall(r"FORESTALL_[A-Z_]*[A-Z]\b", place.read_text(encoding="utf-8"))
    }
    assert len(found) > 15
    assert unknown(dict.fromkeys(found, "1")) == []
    assert found >= TOOLS - {"FORESTALL_CHILD"}
