"""Fixtures that all tests share: real servers, started when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.services.kafka import Kafka
from tests.services.mosquitto import Mosquitto
from tests.services.postgres import Postgres
from tests.services.process import Service
from tests.sharing import pytest_collection_modifyitems, pytest_sessionstart, pytest_xdist_make_scheduler

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# their asserts tell both sides, as those of the tests do
pytest.register_assert_rewrite("tests.twins", "tests.scada_streams")

__all__ = ["pytest_collection_modifyitems", "pytest_sessionstart", "pytest_xdist_make_scheduler"]  # hooks

NO_SKIP = "FORESTALL_NO_SKIP"

S = TypeVar("S", bound=Service)


def require(service: type[Service]) -> None:
    """Skip the test, saying how to get the server, where it cannot run.

    With FORESTALL_NO_SKIP=1 a missing server is a failure, unless it is one that may be
    absent (``optional``).
    """
    reason = service.missing()
    if reason is None:
        return
    if os.environ.get(NO_SKIP, "") not in ("", "0") and not service.optional:
        pytest.fail(f"{reason} ({NO_SKIP} is set: nothing may be left out)", pytrace=False)
    pytest.skip(reason)


class Servers:
    """The session's servers, one of a class, started when first asked for."""

    def __init__(self) -> None:
        self._made: dict[type[Service], Service] = {}

    def get(self, kind: type[S]) -> S:
        """Return the server of this class, running; skips or fails where it is missing."""
        require(kind)
        if kind not in self._made:
            self._made[kind] = kind()
        found = self._made[kind]
        assert isinstance(found, kind)
        # an earlier test may have killed it
        return found.start()

    def close(self) -> None:
        """Stop them all and remove their data."""
        for service in self._made.values():
            service.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The servers that tests may share."""
    made = Servers()
    yield made
    made.close()


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A Mosquitto of this test's own, without retained messages or sessions of others."""
    require(Mosquitto)
    with Mosquitto() as broker:
        yield broker


@pytest.fixture(scope="module")
def browser(servers: Servers) -> Iterator[Browser]:
    """A connection to the session's browser: its event loop runs in the test's thread, of this file's tests alone."""
    from tests.browser_tools import chromium  # here: most tests need no Playwright

    with chromium(servers) as connected:
        yield connected


@pytest.fixture
def postgres(servers: Servers) -> Postgres:
    """The session's PostgreSQL; ``new_database()`` gives an empty database."""
    return servers.get(Postgres)


@pytest.fixture
def kafka(servers: Servers) -> Kafka:
    """The session's Apache Kafka; topics and groups need names of their own."""
    return servers.get(Kafka)


@pytest.fixture
def rounds() -> int:
    """How often a test that kills something does so: FORESTALL_ROUNDS, 1 unless set."""
    return int(os.environ.get("FORESTALL_ROUNDS", "1"))
