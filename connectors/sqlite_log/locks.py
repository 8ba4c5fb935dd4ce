"""Locks between processes: whose turn it is to write, and who consumes.

POSIX record locks, on files of their own: the kernel lets go of them when a process ends,
however it ends, and a forked child does not inherit them. A process must open each of
these files once, because closing any descriptor of a file drops the process's locks on it.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from connectors.sqlite_log.failures import ConsumerTaken
from streams.ports import Unavailable

__all__ = ["ConsumerLock", "WriteTurn"]

POLL_S = 0.0005  # how often a waiting writer looks; waits last a transaction, a few ms
POLITE_S = 0.0012  # how long a writer stays away when others wait: more than POLL_S


class LockFile:
    """A file whose bytes are locks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def try_lock(self, byte: int) -> bool:
        """Take a byte if nobody has it."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(self, byte: int) -> None:
        """Let go of a byte."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def read(self) -> str:
        """The file's text."""
        return os.pread(self._fd, 256, 0).decode(errors="replace").strip()

    def write(self, text: str) -> None:
        """Replace the file's text."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self._fd)


class WriteTurn:
    """Lets processes write in turn.

    SQLite's own lock is taken by whoever asks at the right instant, so a process that
    writes without a pause starves the others. Here a writer that finds the door (byte 1)
    shut takes the place in front of it (byte 0) and waits there. Who leaves looks at that
    place: if somebody stands there, it stays away for longer than they look, and queues
    for the place the next time.
    """

    PLACE, DOOR = 0, 1

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._file = LockFile(path.with_name(path.name + ".lock"))
        self._path = path
        self._timeout_s = timeout_s
        self._away_until: float | None = None  # None: nobody waited when we left

    def __enter__(self) -> None:
        """Wait for the turn; Unavailable if it does not come in time."""
        if self._away_until is None and self._file.try_lock(self.DOOR):
            return
        now = time.monotonic()
        if self._away_until is not None and now < self._away_until:
            time.sleep(min(self._away_until - now, POLITE_S))
        end = now + self._timeout_s
        self._wait(self.PLACE, end)
        try:
            self._wait(self.DOOR, end)
        finally:
            self._file.unlock(self.PLACE)

    def __exit__(self, *error: object) -> None:
        """Let the next one write."""
        self._file.unlock(self.DOOR)
        if self._file.try_lock(self.PLACE):
            self._file.unlock(self.PLACE)
            self._away_until = None
        else:
            self._away_until = time.monotonic() + POLITE_S

    def _wait(self, byte: int, end: float) -> None:
        while not self._file.try_lock(byte):
            if time.monotonic() > end:
                raise Unavailable(
                    f"the log {self._path}", f"another process has been writing for {self._timeout_s:g} s"
                )
            time.sleep(POLL_S)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ConsumerLock:
    """Held by the one process that consumes a log, for as long as it does."""

    def __init__(self, path: Path, patience_s: float = 2.0) -> None:
        """Take the lock of the log ``path``.

        patience_s : how long to wait for a process that is just ending. [s]

        Raises ConsumerTaken, naming the other process.
        """
        self._file = LockFile(path.with_name(path.name + ".consumer.lock"))
        end = time.monotonic() + patience_s
        while not self._file.try_lock(0):
            if time.monotonic() > end:
                owner = self._file.read() or "another process"
                self._file.close()
                raise ConsumerTaken(path, owner)
            time.sleep(0.05)
        self._file.write(f"process {os.getpid()}\n")

    def close(self) -> None:
        """Let another process consume."""
        self._file.write("")
        self._file.close()
