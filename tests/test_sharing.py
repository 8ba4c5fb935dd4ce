"""The long files come first, and what belongs together goes to one worker."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.sharing import LONG, UNITS, LongestFirst, unit

ROOT = Path(__file__).parents[1]


def test_what_is_named_is_there() -> None:
    files = [name for name in LONG if name not in UNITS.values()]
    assert [name for name in (*UNITS, *files) if not (ROOT / name).exists()] == []
    assert len(set(LONG)) == len(LONG)
    assert set(UNITS.values()) <= set(LONG)


def test_a_file_is_a_unit_unless_it_belongs_to_one() -> None:
    assert unit("tests/test_kill.py::test_a[x]") == unit("tests/test_outages.py::test_b")
    assert unit("tests/stories/test_gas.py::test_a") == unit("tests/stories/test_golden.py::test_b")
    assert unit("tests/test_units.py::test_a[b::c]") == "tests/test_units.py"
    assert unit("tests/transport_suite/test_kill.py::test_a") == "tests/transport_suite/test_kill.py"


class Worker:
    """What the scheduler asks of a worker: the numbers of the tests that it is given."""

    gateway = SimpleNamespace(id="gw")
    shutting_down = False

    def __init__(self) -> None:
        self.given: list[int] = []

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given += numbers

    def shutdown(self) -> None:
        self.shutting_down = True


def test_a_test_that_ends_its_worker_is_not_given_to_the_next() -> None:
    config: Any = SimpleNamespace(
        getvalue={"tx": ["2*popen"]}.get, option=SimpleNamespace(loadscopereorder=False)
    )
    tests = [
        *(f"tests/test_kill.py::test_{n}" for n in range(3)),
        *(f"tests/test_units.py::test_{n}" for n in range(3)),
        *(f"tests/test_outages.py::test_{n}" for n in range(3)),
    ]
    scheduler = LongestFirst(config)
    one, other, third = Worker(), Worker(), Worker()
    for worker in (one, other):
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    assert (one.given, other.given) == ([0, 1, 2, 6, 7, 8], [3, 4, 5])
    scheduler.mark_test_complete(one, 0)
    assert scheduler.remove_node(one) == tests[1]
    scheduler.add_node(third)
    scheduler.add_node_collection(third, tests)
    scheduler.schedule()
    assert third.given == [2, 6, 7, 8]
    assert scheduler.remove_node(other) == tests[3]
