"""How pytest-xdist's workers share the tests: file by file, the long ones first.

xdist's own order is that of the files with the most tests. The longest files have few: they came last, all to
one worker, while the others had nothing left to do.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

#: What one worker takes as a whole, by what its files begin with: file → unit.
UNITS = {
    # Sites of several processes that are killed and cut off: two of them at a time are late on two cores, and the
    # undisturbed run that all are compared with is made once a worker.
    "tests/test_kill.py": "disturbed sites",
    "tests/test_outages.py": "disturbed sites",
    "tests/test_rebalance.py": "disturbed sites",
    # one running site, in which each file has meters of its own
    "tests/stories/": "stories",
}

#: What takes longest, the longest first: by CPU and waiting of each by itself (``pytest FILE --durations=5``).
LONG = (
    "disturbed sites",
    "tests/test_demo.py",
    "tests/transport_suite/test_kill.py",
    "stories",
    "tests/tickets/test_trade_properties.py",
    "tests/test_kafka_log.py",
    "tests/test_contract.py",
    "tests/test_habit.py",
    "tests/test_detection_bench.py",
    "tests/test_web_desks.py",
    "tests/test_web_work.py",
    "tests/test_web_people_page.py",
    "tests/test_garbage.py",
    "tests/test_disk_full.py",
    "tests/test_web_browser.py",
    "tests/test_golden_variants.py",
    "tests/test_checkpoint.py",
    "tests/test_habit_days.py",
    "tests/test_kafka_client.py",
    "tests/tickets/test_year.py",
    "tests/test_warm_up.py",
    "tests/test_hooks_process.py",
)


def unit(nodeid: str) -> str:
    """What a test is handed out with: its file, or the unit that its file is of."""
    file = nodeid.partition("::")[0]
    return next((name for start, name in UNITS.items() if file.startswith(start)), file)


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]
    """A worker takes one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def remove_node(self, node: Any) -> str | None:
        """Hand out the rest of what a dead worker had, not the test that it died of: the next would die of it too."""
        left = [
            (tests, test)
            for tests in self.assigned_work[node].values()
            for test, done in tests.items()
            if not done
        ]
        if not left:
            super().remove_node(node)
            return None
        tests, fatal = left[0]
        tests[fatal] = True
        super().remove_node(node)
        return str(fatal)


#: all kernels into the cache beside their modules
COMPILE = """
from streams.programs import compose
from streams.programs.warm_up import warm_up
from streams.settings import load

warm_up(compose.bank_config(load()))
"""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile before there are workers: in a fresh clone each would do the same, and what they start, late."""
    if session.config.getoption("numprocesses", None):
        subprocess.run([sys.executable, "-c", COMPILE], check=True, timeout=900)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    """Take the place of xdist's own for ``--dist loadfile``."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the order is that of the collection
    return LongestFirst(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long files first, in each worker alike; a run without workers goes by name, as ever."""
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: rank.get(unit(item.nodeid), len(rank)))
