"""What the writer does beside writing: checkpoints, retention, keeping within the size bound."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator

from connectors.sqlite_log.failures import LogFull
from connectors.sqlite_log.locks import WriteTurn
from connectors.sqlite_log.options import Options
from connectors.sqlite_log.retention import HIGH, LOW, Retention, Writing, used_bytes
from connectors.sqlite_log.schema import BUSY_S
from connectors.sqlite_log.stats import Stats

__all__ = ["Chores"]

#: bytes that this process writes before it moves the WAL into the database
WAL_BYTES = 32 * 2**20
WAL_IDLE_BYTES = 2**20

#: what a step of retention may add to the WAL
CHORE_BYTES = 4 * 2**20

#: at RESERVE of retention_size other processes are refused, so that the consuming one,
#: whose reading makes room again, can write its results; that one is refused at FULL
RESERVE, FULL = 0.90, 0.98

TICK_S = 1.0  # an idle writer looks for chores so often
ROOM_S = 0.2  # where no room could be made, it is tried again so often


class Chores:
    """Everything here runs in the writer's thread, in short transactions between its own.

    options   : the log
    turn      : its turn among the processes
    stats     : where checkpoints are counted
    connected : returns the writer's connection
    writing   : lends that connection within a transaction
    """

    def __init__(
        self,
        options: Options,
        turn: WriteTurn,
        stats: Stats,
        connected: Callable[[], sqlite3.Connection],
        writing: Writing,
    ) -> None:
        self.consuming = False  # this process consumes the log
        self._options = options
        self._turn = turn
        self._stats = stats
        self._connected = connected
        self._retention = Retention(options, writing)
        self._sweep: Iterator[None] | None = None
        self._sweep_due = time.monotonic() + min(TICK_S, self._retention.interval_s)
        self._wal = 0  # bytes written since the last checkpoint
        self._checkpoint_due = 0.0
        self._tight = False  # little of retention_size is left
        self._tight_due = 0.0
        self._hopeless_until = 0.0  # no room can be made before this, unless a group reads on

    def patience(self) -> float:
        """How long the writer may wait for work. [s]"""
        if self._sweep is not None:
            return 0.0
        if self._tight:
            return ROOM_S
        return max(0.0, min(TICK_S, self._sweep_due - time.monotonic()))

    def wrote(self, size: int) -> None:
        """Note that the writer has added about ``size`` bytes to the WAL."""
        self._wal += size

    def groups_moved(self) -> None:
        """Note that a group has read on, or is gone: room may be made again."""
        self._hopeless_until = 0.0

    def keep(self, idle: bool) -> None:
        """Do a little of what is due."""
        now = time.monotonic()
        bound = self._options.retention_size
        if self._wal >= (WAL_IDLE_BYTES if idle else WAL_BYTES) and now >= self._checkpoint_due:
            self._checkpoint()
        if self._sweep is not None:
            self._wal += CHORE_BYTES
            if next(self._sweep, self) is self:
                self._sweep = None
        elif self._tight and bound is not None and now >= self._tight_due:
            # room is needed now, whoever has swept last and when
            self._tight_due = now + ROOM_S
            self._tight = False
            self._sweep = self._retention.make_room(int(bound * LOW))
        elif now >= self._sweep_due:
            self._sweep_due = now + self._retention.interval_s
            now_ms = time.time_ns() // 1_000_000
            if self._retention.claim(now_ms):
                self._sweep = self._retention.sweep(now_ms)

    def failed(self) -> None:
        """After a failure begin anew, in a while."""
        self._sweep = None
        self._sweep_due = time.monotonic() + TICK_S
        # what is in the WAL may find room in the database's free pages
        self._wal = WAL_BYTES
        self._checkpoint_due = time.monotonic() + TICK_S

    def too_much(self, before: int, used: int) -> bool:
        """Tell whether growing from ``before`` to ``used`` bytes passes this process's share of the bound."""
        bound = self._options.retention_size
        if bound is None:
            return False
        self._tight = used > bound * HIGH
        return before < used > self._limit(bound)

    def make_room(self, size: int) -> None:
        """Let go of what may go, so that ``size`` bytes fit."""
        bound = self._options.retention_size
        if bound is None or time.monotonic() < self._hopeless_until:
            return
        for _ in self._retention.make_room(int(min(bound * LOW, self._limit(bound) - 1.1 * size))):
            self._wal += CHORE_BYTES
        if used_bytes(self._connected()) > bound * HIGH:
            self._hopeless_until = time.monotonic() + ROOM_S

    def refusal(self) -> LogFull:
        """Return what a sender hears where there is no room, naming who holds it."""
        return LogFull(
            self._options.endpoint,
            f"retention_size={self._options.retention_size} is reached and these have not read what would "
            f"have to go: {', '.join(self._retention.holders()) or 'none; compacted topics fill it'}; "
            "start them, forget the group if it is gone, or raise retention_size",
        )

    def _limit(self, bound: int) -> float:
        """Bytes of the file that this process may fill."""
        return bound * (FULL if self.consuming else RESERVE)

    def _checkpoint(self) -> None:
        """Move the WAL into the database, with writers locked out (see ``schema.open_writer``)."""
        with self._turn:
            connection = self._connected()
            # a reader in the middle of something keeps the WAL from starting anew: try again later
            connection.execute("PRAGMA busy_timeout=20")
            try:
                busy = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
            finally:
                connection.execute(f"PRAGMA busy_timeout={int(BUSY_S * 1000)}")
        self._wal = WAL_BYTES - CHORE_BYTES if busy else 0
        self._stats.checkpoints += 1
