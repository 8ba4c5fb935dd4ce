"""The tariff file and the limit of credits in the configuration: told by check-config, faults by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streams.settings import ConfigError, load

EXAMPLE = Path(__file__).parents[1] / "deploy" / "tariffs" / "example.toml"


def check(place: Path, tickets: str) -> subprocess.CompletedProcess[str]:
    config = place / "forestall.toml"
    config.write_text(f"[tickets]\n{tickets}", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "check-config", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[1],
    )


def test_check_config_names_prices_and_limits(tmp_path: Path) -> None:
    done = check(tmp_path, f'tariffs = "{EXAMPLE}"\ncredit_limit = {{CNY = 500, HKD = 800.50}}\n')
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  prices")]
    assert "gas-commercial, gas-residential, power-residential, water-residential" in line
    assert "two persons decide on credits above 500 CNY, 800.5 HKD" in line


def test_check_config_names_the_fault_of_a_tariff_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(
        EXAMPLE.read_text(encoding="utf-8").replace("price = 2.63", "price = -2.63"), encoding="utf-8"
    )
    done = check(tmp_path, f'tariffs = "{bad}"\n')
    assert done.returncode != 0
    assert "tickets.tariffs: " in done.stderr
    assert (
        "tariff[0] (gas-residential).tiers[0].price: expected a price of 0 or more, got -2.63" in done.stderr
    )


@pytest.mark.parametrize("limit", ["yuan = 500", "CNY = -1", 'CNY = "nan"'])
def test_a_limit_that_is_none(tmp_path: Path, limit: str) -> None:
    config = tmp_path / "forestall.toml"
    config.write_text(f"[tickets]\ncredit_limit = {{{limit}}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="credit_limit"):
        load(config)
