"""The web process serves at once: what it shows may be missing, but who asks is told so."""

from __future__ import annotations

import fcntl
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require
from tests.faults.site import Site
from tests.services.postgres import Postgres
from tests.services.process import LOOPBACK, accepts, wait_until


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: str
    text: str


def get(port: int, path: str) -> Answer:
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", headers={"Accept": "text/html, */*"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Answer(answer.status, "", answer.read().decode())
    except urllib.error.HTTPError as error:
        with closing(error):
            return Answer(error.code, error.headers.get("Retry-After", ""), error.read().decode())


@pytest.fixture(params=["sqlite", "postgresql"])
def waiting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A database whose tables cannot be made yet, and what lets them be made."""
    if request.param == "sqlite":
        with _locked(tmp_path / "tickets.db") as (url, let_go):
            yield url, let_go
        return
    require(Postgres)
    with Postgres() as server:
        url = server.new_database()
        server.stop()
        yield url.replace("+psycopg", ""), lambda: void(server.start())


def void(_value: object) -> None:
    """Nothing of it is needed."""


@contextmanager
def _locked(path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A process that upgrades and does not come to its end."""
    with path.with_name(f"{path.name}.upgrade.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield f"sqlite:///{path}", lambda: fcntl.flock(lock, fcntl.LOCK_UN)


def test_it_serves_before_the_database_is_there(
    tmp_path: Path, waiting: tuple[str, Callable[[], None]]
) -> None:
    url, let_go = waiting
    registry = tmp_path / "meters.csv"
    registry.write_text("meter_id,commodity,unit,kind\n")
    site = Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, f"store = {json.dumps(url)}")
    web = site.launch("web")
    try:
        wait_until(lambda: accepts(web.port), "the pages to be served", 30)

        assert get(web.port, "/health").status == 200
        ready = get(web.port, "/ready")
        assert ready.status == 503
        assert "the ticket database is not there yet" in json.loads(ready.text)["reason"]
        for path in ("/api/tickets", "/api/status", "/api/tickets/FS-1"):
            refused = get(web.port, path)
            assert refused.status == 503, (path, refused)
            assert int(refused.retry_after) > 0
            assert "not there yet" in refused.text
        # what does not come out of that database is answered
        assert get(web.port, "/api/readings").status == 200
        page = get(web.port, "/")
        assert page.status == 200
        assert "The ticket database is not there yet" in page.text
        assert "forestall_store_up 0" in get(web.port, "/metrics").text

        let_go()
        wait_until(lambda: get(web.port, "/ready").status == 200, "the database to be taken up", 30, 0.2)
        assert json.loads(get(web.port, "/api/tickets").text) == {"items": [], "next": None}
        assert "The ticket database is not there yet" not in get(web.port, "/").text
        # only now there is a place for its own signs of life
        wait_until(lambda: '"role":"web"' in get(web.port, "/api/status").text, "a sign of life", 20, 0.2)
        site.stop("web")
    finally:
        let_go()
        site.close()
