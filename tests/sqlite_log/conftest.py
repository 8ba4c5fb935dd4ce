"""Logs to test with."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sqlite_log import log_url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where this test's log lies."""
    return tmp_path / "log.db"


@pytest.fixture
def url(path: Path) -> str:
    """The URL of a log for one test, quick rather than durable."""
    return log_url(path, durability="off")
