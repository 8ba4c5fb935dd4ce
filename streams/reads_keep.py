"""Reads by day and place, brought into the database every minute: what reports are made of.

The rows are part of the partitions' state, which counts them from the log alone; they are told as absolute values.
A worker that was killed may tell of less for as long as it reads again, and then tells the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from detectors.batch import DAY
from streams.clock import Clock
from streams.messages import DayCounts
from streams.ports import PortError, Rejected
from streams.state.bank import Bank

log = logging.getLogger(__name__)

EVERY_S = 60.0
MOST = 5_000  # rows told of at a time, the rest a little later
SOON_S = 1.0
STORED = 1_100  # days behind the newest, and behind today, that the database keeps: three years


class ReadsStore(Protocol):
    """Where the table is kept."""

    def keep_reads(self, partition: int, counts: Sequence[DayCounts], first: int, last: int) -> None:
        """Put the newest counts in the place of what was known; forget days before ``first`` and after ``last``."""


class ReadsKeep:
    """Tells the store of the rows that have changed. ``banks``: partitions that are surely ours now, by number."""

    def __init__(self, store: ReadsStore, banks: Callable[[], Mapping[int, Bank]], clock: Clock) -> None:
        self._store = store
        self._banks = banks
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled; a database that is away costs nothing but the time."""
        while True:
            try:
                more = await self.tell()
            except PortError as error:
                log.warning("the counted reads stay as they were: %s", error)
                more = False
            await asyncio.sleep(SOON_S if more else EVERY_S)

    async def tell(self) -> bool:
        """Tell of what has changed, at most 5,000 rows a partition. True: there is more.

        Raises Unavailable, and, when the other partitions have been told, Rejected; what was not told is told
        the next time.
        """
        more = False
        refused: Rejected | None = None
        for number, bank in list(self._banks().items()):
            if self._banks().get(number) is not bank:
                continue  # another worker's by now: that tells more than we know
            snapshot = bank.reads.untold(MOST)
            if not len(snapshot.rows):
                continue
            rows = [
                DayCounts(day, *place, *counts) for day, place, counts in bank.reads.named(snapshot.cells)
            ]
            # Nothing goes by readings alone: one with a wrong year would take all days with it.
            today = self._clock.now_ns() // DAY
            newest = bank.reads.newest
            first, last = min(newest, today) - STORED, max(newest, today) + 1
            try:
                await asyncio.to_thread(self._store.keep_reads, number, rows, first, last)
            except Rejected as error:
                refused = refused or error
                continue
            bank.reads.told(snapshot)
            more = more or len(rows) == MOST
        if refused is not None:
            raise refused
        return more
