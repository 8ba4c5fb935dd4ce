"""``forestall dead-letters`` as it is typed: what was given up, and putting it back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from streams.trade.deliveries import Outcome
from tests.tickets.fakes import fill
from tests.tickets.tools import SECOND, Turned, sqlite_url


def typed(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (place / "forestall.toml").write_text(f'store = "{sqlite_url(place)}"\n')
    command = [
        sys.executable,
        "-m",
        "streams.cli",
        "dead-letters",
        *words,
        "--config",
        str(place / "forestall.toml"),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def store(tmp_path: Path, clock: Turned) -> Store:
    """Three deliveries to each of two desks that have refused them."""
    upgrade(sqlite_url(tmp_path))
    made = Store(sqlite_url(tmp_path), lambda event: ["zammad", "webhook"])
    fill(made, clock, 3)
    for desk in ("zammad", "webhook"):
        items = made.outbox_claim(desk, 10, clock.now_ns(), SECOND)
        dead = [Outcome(item=item, verdict="dead", reason=f"HTTP 422: {desk}\nsays no") for item in items]
        made.outbox_settle(dead, clock.now_ns())
    return made


def test_they_are_listed_and_put_back(store: Store, tmp_path: Path) -> None:
    shown = typed(tmp_path, "list").stdout.splitlines()
    assert len(shown) == 6
    assert "HTTP 422: webhook says no" in shown[0]
    lines = [
        json.loads(line) for line in typed(tmp_path, "list", "--json", "--desk", "zammad").stdout.splitlines()
    ]
    assert [line["desk"] for line in lines] == ["zammad"] * 3
    assert lines[0]["data"]["ticket"]["id"] == lines[0]["ticket"]
    assert len(typed(tmp_path, "list", "--desk", "zammad", "--limit", "2").stdout.splitlines()) == 2
    one = str(lines[0]["number"])
    assert typed(tmp_path, "revive", one).stdout == "1 of 1 put back\n"
    assert store.outbox_oldest()["zammad"][0] == 1
    assert typed(tmp_path, "revive", "--all", "--desk", "zammad").stdout == "2 of 2 put back\n"
    assert typed(tmp_path, "revive", "--all").stdout == "3 of 3 put back\n"
    assert typed(tmp_path, "list").stdout == "no dead letters\n"
    assert {desk: count for desk, (count, _) in store.outbox_oldest().items()} == {"webhook": 3, "zammad": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("revive",), "expected numbers of dead letters, or --all"),
        (("revive", "1", "--all"), "expected numbers of dead letters, or --all"),
        (("revive", "1", "--desk", "zammad"), "expected --desk beside --all only"),
        (("revive", "1", "999"), "got 999"),
    ],
)
def test_what_cannot_be_done_is_said(store: Store, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = typed(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
