"""The backends of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sqlite_log import log_url
from tests.services.kafka import Kafka
from tests.transport_suite.backend import Backend


@pytest.fixture(params=["sqlite", "kafka"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each broker in turn."""
    if request.param == "sqlite":
        return Backend("sqlite", log_url(tmp_path / "log.db"))
    kafka: Kafka = request.getfixturevalue("kafka")
    return Backend("kafka", kafka.url)


@pytest.fixture
def embedded(tmp_path: Path) -> Backend:
    """The embedded log alone, for what Kafka does not do or does otherwise."""
    return Backend("sqlite", log_url(tmp_path / "log.db"))
