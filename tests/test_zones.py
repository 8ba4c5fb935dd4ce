"""Local time of whole columns, against the standard library's one at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.zones import offset_at, offsets, transitions
from tests.streams_of_readings import NS, examples, instant

#: Summer time, half hours, midnight changes, a day left out, none at all, Ramadan, an abolished one.
ZONES = (
    "UTC", "", "Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Shanghai",
    "Africa/Casablanca", "America/Sao_Paulo", "Asia/Kathmandu", "Europe/Dublin", "America/Asuncion",
)  # fmt: skip
FIRST, LAST = instant("1990-01-01"), instant("2099-12-31")


def slowly(zone: str, time_ns: int) -> int:
    """Offset of one instant. [s]"""
    moment = datetime.fromtimestamp(time_ns // NS, ZoneInfo(zone or "UTC"))
    return int((moment.utcoffset() or timedelta()).total_seconds())


@pytest.mark.parametrize("zone", ZONES)
def test_each_side_of_every_change_is_right(zone: str) -> None:
    instants, _ = transitions(zone)
    changes = [int(change) for change in instants[1:] if change <= LAST]
    assert changes == sorted(changes)
    assert all(change % (60 * NS) == 0 for change in changes)
    for change in changes[:: max(1, len(changes) // 60)]:
        for moment in (change - NS, change - 1, change, change + NS):
            assert offset_at(zone, moment) == slowly(zone, moment), (zone, moment)


@examples(200)
@given(st.sampled_from(ZONES), st.lists(st.integers(FIRST, LAST), min_size=1, max_size=20))
def test_a_column_is_as_its_cells(zone: str, times: list[int]) -> None:
    column = np.array(times, np.int64)
    before = column.copy()
    assert (offsets(zone, column) // NS).tolist() == [slowly(zone, time) for time in times]
    assert offsets(zone, column).dtype == np.int64
    np.testing.assert_array_equal(column, before)


def test_a_zone_that_changes_at_midnight() -> None:
    """Havana's Sunday has 23 hours, and begins at one."""
    change = instant("2024-03-10T05:00:00")
    local = np.array([change - NS, change], np.int64)
    there = local + offsets("America/Havana", local)
    assert [datetime.fromtimestamp(int(t) // NS, UTC).isoformat() for t in there] == [
        "2024-03-09T23:59:59+00:00", "2024-03-10T01:00:00+00:00",
    ]  # fmt: skip


def test_before_everything_the_first_offset_holds() -> None:
    assert offset_at("Europe/Madrid", int(np.iinfo(np.int64).min)) == 3600


@pytest.mark.parametrize("name", ["Europe/Atlantis", "../etc/passwd", "/etc/localtime", "Europe", "\0"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone of the IANA database"):
        transitions(name)
