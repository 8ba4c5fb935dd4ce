"""The long files come first, and what belongs together goes to one worker."""

from __future__ import annotations

from pathlib import Path

from tests.sharing import LONG, UNITS, unit

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
