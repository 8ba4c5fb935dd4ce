"""Wall-clock time as an argument: the system's clock, and one that can be set.

Lead times, due dates, leases and backoff hang on the wall clock; event time never
does. What needs it takes a ``Clock``, so that tests and the demo can move it.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Protocol

_WIDTH = 8  # bytes: one int64


class Clock(Protocol):
    """Tells the wall-clock time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()


class FileClock:
    """A clock that is set by hand, shared by all processes that open the same file.

    The file holds one int64 in the machine's byte order: nanoseconds since 1970 UTC.
    It is mapped into memory, so that reading costs no system call; an aligned store of
    eight bytes is not torn on the machines that we run on (x86-64, arm64).

    path : the file, made beforehand by ``create``
    Raises FileNotFoundError if it is not there, ValueError if its size is not 8 bytes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        with self._path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size != _WIDTH:
                raise ValueError(
                    f"{self._path}: expected a clock file of {_WIDTH} bytes, got {size}; make it with "
                    "FileClock.create"
                )
            self._map = mmap.mmap(file.fileno(), _WIDTH)
        self._cell = memoryview(self._map).cast("q")

    @classmethod
    def create(cls, path: str | os.PathLike[str], now_ns: int) -> FileClock:
        """Make the file (or set the one that is there) and open it."""
        place = Path(path)
        if place.exists():
            clock = cls(place)
            clock.set(now_ns)
            return clock
        # complete before it has its name: another process never maps half a file
        fresh = place.with_name(f"{place.name}.{os.getpid()}")
        fresh.write_bytes(struct.pack("=q", now_ns))
        fresh.replace(place)
        return cls(place)

    def now_ns(self) -> int:
        return self._cell[0]

    def set(self, now_ns: int) -> None:
        """Put the clock to a time, for every process."""
        self._cell[0] = now_ns

    def advance(self, by_ns: int) -> None:
        """Move the clock on by so many nanoseconds. One process at a time should do so."""
        if by_ns < 0:
            raise ValueError(f"expected a step of at least 0 ns, got {by_ns}; use set() to put it back")
        self._cell[0] += by_ns

    def close(self) -> None:
        """Let go of the file; the clock cannot be read afterwards."""
        self._cell.release()
        self._map.close()
