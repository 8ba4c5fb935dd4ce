"""The utility of the stories: its processes are started once, for compiling the detectors takes longest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.documents.tools import fonts
from tests.stories.site import Utility


@pytest.fixture(scope="session")
def utility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Utility]:
    """A utility with all its processes running."""
    fonts()
    with Utility(tmp_path_factory.mktemp("utility")) as made:
        yield made
