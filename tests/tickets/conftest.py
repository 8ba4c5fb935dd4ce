"""Stores on both databases, and the other side of the desks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from streams.trade.points import Point
from tests.services.postgres import Postgres
from tests.tickets.complaint_tools import home, put_points
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


@pytest.fixture
def money_store(store_url: str) -> Iterator[Store]:
    """A store with the household of the golden case and two neighbours, by the days of their bills."""
    upgrade(store_url)
    made = Store(store_url, lambda _event: ["webhook"])
    made.keep_points(
        [
            Point(
                meter_id="wei", service_point_id="wei", commodity="gas", unit="m3", area="block-1",
                tz="Asia/Shanghai", tariff="gas-residential", bill_day=31,
            ),
            Point(meter_id="m-1", service_point_id="sp-1", commodity="gas", area="block-1", bill_day=30),
            Point(meter_id="m-2", service_point_id="sp-2", commodity="gas", area="block-1", bill_day=15),
        ]
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def places(store: Store) -> None:
    """What the registry says of the places where complaints of ``erasure_tools`` come from."""
    put_points(store, *(home(f"meter-{n}", f"point-{n}") for n in (*range(7), 9)))
