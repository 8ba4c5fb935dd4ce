"""Stores on both databases, and the other side of the desks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from tests.services.postgres import Postgres
from tests.tickets.receiver import Receiver
from tests.tickets.tools import Turned, sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with its tables, that tells every event to one desk."""
    upgrade(store_url)
    made = Store(store_url, lambda event: ["webhook"])
    yield made
    made.close()


@pytest.fixture
def clock() -> Turned:
    """A clock that stands at noon until it is turned."""
    return Turned()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP server that checks signatures."""
    with Receiver() as made:
        yield made
