"""Verdicts, precision and bars by the API of the real web process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from streams.trade.rules import Rules
from tests.faults.site import Site
from tests.services.process import LOOPBACK, wait_until
from tests.tickets.tools import DAY, NOON, flag

TOKENS = {"operator": "o" * 20, "admin": "a" * 20, "auditor": "u" * 20}


class Asked:
    """A web process, and what it answers."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, path: str, body: Any = None, role: str = "admin") -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self._port}/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKENS[role]}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with closing(error):
                return error.code, json.loads(error.read())


@pytest.fixture
def asked(tmp_path: Path, store_url: str) -> Iterator[tuple[Asked, Store]]:
    registry = tmp_path / "meters.csv"
    registry.write_text("meter_id,commodity,unit,kind\n")
    url = store_url.replace("+psycopg", "")
    users = "\n".join(
        f'[[web.users]]\nname = "{role}-1"\nrole = "{role}"\ntokens = ["{token}"]'
        for role, token in TOKENS.items()
    )
    more = f'store = {json.dumps(url)}\n[tickets]\ntime_zone = "Asia/Shanghai"\n{users}'
    upgrade(store_url)
    store = Store(store_url)
    site = Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, more)
    web = site.launch("web")
    try:
        site.await_ready("web")
        ask = Asked(web.port)
        wait_until(lambda: ask("bars")[0] == 200, "the store", 60)
        yield ask, store
    finally:
        site.close()
        store.close()


def test_from_verdicts_to_a_bar_and_back(asked: tuple[Asked, Store]) -> None:
    ask, store = asked
    flags = [
        flag(
            "spike",
            id=f"f{n}",
            service_point_id=f"p{n}",
            score=1.05 if n < 25 else 1.5,
            evidence={"detector": "habit"},
        )
        for n in range(50)
    ]
    store.apply_flags(flags, NOON, Rules())
    found = {ticket.lead_flag_id: ticket.id for ticket in store.tickets(limit=100)}

    status, told = ask(f"tickets/{found['f0']}/verdict", {"verdict": "false_alarm"}, "operator")
    assert (status, told["expected"]) == (409, "the reason of the false alarm")
    body = {"verdict": "false_alarm", "reason": "rule_too_strict"}
    assert ask(f"tickets/{found['f0']}/verdict", body, "auditor")[0] == 403
    assert ask("tickets/FS-NOBODY/verdict", body, "operator")[0] == 404
    assert ask(f"tickets/{found['f0']}/verdict", {**body, "flag_ids": ["other"]}, "operator")[0] == 409
    for n in range(50):
        said = body if n < 25 else {"verdict": "confirmed" if n % 2 else "explained"}
        status, ticket = ask(f"tickets/{found[f'f{n}']}/verdict", said, "operator")
        assert (status, ticket["verdict"]) == (200, said["verdict"])
    assert (ticket["history"][-1]["action"], ticket["history"][-1]["actor"]) == ("judged", "operator-1")

    status, told = ask("precision?by=detector,month")
    [line] = told["items"]
    assert (line["detector"], line["month"], line["judged"], line["false_alarms"]) == (
        "habit",
        "2026-06",
        50,
        25,
    )
    assert (line["precision"], line["strict"]) == (0.5, 0.26)
    assert 0.36 < line["low"] < 0.37
    assert ask("precision?by=moon")[0] == 422
    assert ask("precision?start=2026-07-01T00:00:00Z")[1]["total"] is None

    status, bars = ask("bars")
    [spike] = bars["items"]
    assert (bars["mode"], spike["bar"], spike["held_back"]) == ("propose", 1.0, 0)
    assert (spike["proposed"]["bar"], spike["proposed"]["why"]) == (1.1, "below_target")
    assert ask("bars/spike", {"reason": "as proposed"}, "operator")[0] == 403
    assert ask("bars/leak", {"bar": 1.2, "reason": "x"})[0] == 409
    assert ask("bars/spike", {"bar": 2.1, "reason": "x"})[0] == 422
    assert ask("bars/spike", {"reason": " "})[0] == 422
    status, moved = ask("bars/spike", {"reason": "as proposed"})
    assert (status, moved["bar"], moved["by"], moved["figures"]["judged"]) == (200, 1.1, "admin-1", 50)
    assert store.bars() == {"spike": 1.1}

    store.apply_flags([flag("spike", id="new", service_point_id="q", score=1.05)], NOON + DAY, Rules())
    assert store.tickets(service_point="q") == []
    assert ask("bars")[1]["items"][0]["held_back"] == 1
    store.apply_flags(
        [flag("spike", "updated", id="new", service_point_id="q", score=1.1)], NOON + 2 * DAY, Rules()
    )
    assert len(store.tickets(service_point="q")) == 1
    assert ask("bars")[1]["items"][0]["held_back"] == 0

    status, back = ask("bars/spike/revert", {"reason": "real cases were missed"})
    assert (status, back["bar"], back["before"]) == (200, 1.0, 1.1)
    assert store.bars() == {"spike": 1.0}
    assert [move["bar"] for move in ask("bars")[1]["moves"]] == [1.0, 1.1]
    assert ask("bars/high_usage/revert", {"reason": "x"})[0] == 409
