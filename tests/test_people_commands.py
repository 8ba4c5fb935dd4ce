"""``forestall audit`` and ``forestall people``, as somebody types them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.engine import writing
from streams.cli import app
from streams.trade.linking import Linking
from tests.tickets.complaint_tools import filled, home, put_points
from tests.tickets.tools import NOON

WHY = "用户书面申请查阅"


class Console:
    """A console with a configuration and a store behind it."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "forestall.toml"
        self.config.write_text(f'data_dir = "{directory}"\n')
        url = f"sqlite:///{directory / 'tickets.db'}"
        upgrade(url)
        self.store = Store(url)
        put_points(self.store, home())
        given = filled(NOON)
        self.store.take_complaint(given.complaint, given.person, Linking(), NOON)

    def run(self, *words: str, code: int = 0) -> str:
        """What it says; ``code`` is how it is to end."""
        done = CliRunner().invoke(app, [*words, "--config", str(self.config)], env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    made = Console(tmp_path)
    yield made
    made.store.close()


def test_the_log_is_shown_and_checked(console: Console) -> None:
    assert "the chains hold" in console.run("audit", "verify")
    told = console.run("audit", "show")
    assert "call-centre (complaints) complaint.taken complaint/CP-" in told
    assert "audit.verified" in told
    with writing(console.store._engine) as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE seq = 1"))
    told = console.run("audit", "verify", code=1)
    assert "THE CHAIN DOES NOT HOLD" in told
    assert "audit, 1: it was changed" in told


def test_export_and_erase(console: Console) -> None:
    told = json.loads(console.run("people", "export", "point-1", "--reason", WHY))
    assert told["people"][0]["phone"] == "13800001234"
    assert "13800001234" in console.run("people", "export", "point-1", "--reason", WHY)
    refused = console.run("people", "export", "point-1", "--reason", "打13800001234", code=2)
    assert "got a telephone number" in refused
    assert "expected no open ticket" in console.run("people", "erase", "point-1", "--reason", WHY, code=2)
    assert "erased at point-1: 1 people" in console.run(
        "people", "erase", "point-1", "--reason", WHY, "--also-open"
    )
    assert "13800001234" not in console.run("people", "export", "point-1", "--reason", WHY)
    assert "the chains hold" in console.run("audit", "verify")


def test_what_would_go_is_counted_before_it_goes(console: Console) -> None:
    assert "would be taken out: nothing" in console.run("people", "sweep")
    with writing(console.store._engine) as connection:
        connection.execute(text("UPDATE people SET updated_ns = 0"))
        connection.execute(text("DELETE FROM complaints"))
    assert "would be taken out: 1 people" in console.run("people", "sweep")
    assert "taken out: 1 people" in console.run("people", "sweep", "--really")
    assert "would be taken out: nothing" in console.run("people", "sweep")


def test_names_are_sealed_with_a_key_of_the_environment(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "expected people.keys" in console.run("people", "reseal", code=2)
    monkeypatch.setenv("FORESTALL_PEOPLE__KEYS", json.dumps(["short"]))
    assert "32 bytes in base64" in console.run("people", "reseal", code=2)
    assert "32 bytes in base64" in console.run("check-config", code=2)
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv("FORESTALL_PEOPLE__KEYS", json.dumps([key]))
    assert "sealed anew: 1" in console.run("people", "reseal")
    with writing(console.store._engine) as connection:
        assert str(connection.execute(text("SELECT phone FROM people")).scalar_one()).startswith("sealed:1:")
    assert "13800001234" in console.run("people", "export", "point-1", "--reason", WHY)
    monkeypatch.delenv("FORESTALL_PEOPLE__KEYS")
    assert "among people.keys" in console.run("people", "export", "point-1", "--reason", WHY, code=2)
