"""The wall clock that processes share."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.clock import FileClock, SystemClock
from tests.tickets.tools import HOUR, NOON


def test_it_is_set_and_advanced(tmp_path: Path) -> None:
    clock = FileClock.create(tmp_path / "clock", NOON)
    assert clock.now_ns() == NOON
    clock.advance(HOUR)
    assert clock.now_ns() == NOON + HOUR
    clock.set(NOON - HOUR)
    assert clock.now_ns() == NOON - HOUR
    assert (tmp_path / "clock").stat().st_size == 8
    with pytest.raises(ValueError, match="at least 0"):
        clock.advance(-1)
    clock.close()


def test_all_that_open_the_file_see_one_time(tmp_path: Path) -> None:
    place = tmp_path / "clock"
    mine, other = FileClock.create(place, NOON), FileClock(place)
    mine.set(NOON + 1)
    assert other.now_ns() == NOON + 1
    again = FileClock.create(place, NOON + 2)  # creating it anew sets it, for those too that have it open
    assert mine.now_ns() == NOON + 2
    for clock in (mine, other, again):
        clock.close()


def test_another_process_sees_it_and_may_set_it(tmp_path: Path) -> None:
    place = tmp_path / "clock"
    clock = FileClock.create(place, NOON)
    program = (
        "import sys; from streams.clock import FileClock; c = FileClock(sys.argv[1]); "
        "print(c.now_ns()); c.advance(7)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(place)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == NOON
    assert clock.now_ns() == NOON + 7
    clock.close()


def test_a_file_that_is_no_clock_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "clock"
    with pytest.raises(FileNotFoundError):
        FileClock(place)
    place.write_bytes(b"12345")
    with pytest.raises(ValueError, match="expected a clock file of 8 bytes, got 5"):
        FileClock(place)


def test_the_systems_clock_is_the_systems() -> None:
    assert abs(SystemClock().now_ns() - time.time_ns()) < 60 * 10**9
