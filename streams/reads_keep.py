"""Reads by day and place, brought into the database every minute: what reports are made of.

The rows are part of the partitions' state, which counts them from the log alone; they are told as absolute values.
A worker that was killed may tell of less for as long as it reads again, and then tells the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from streams.messages import DayCounts
from streams.ports import PortError
from streams.state.bank import Bank

log = logging.getLogger(__name__)

EVERY_S = 60.0
MOST = 5_000  # rows told of at a time, the rest a little later
SOON_S = 1.0
STORED = 1_100  # days behind the newest that the database keeps: three years


class ReadsStore(Protocol):
    """Where the table is kept."""

    def keep_reads(self, partition: int, counts: Sequence[DayCounts], before: int) -> None:
        """Put the newest counts in the place of what was known; forget the days before ``before``."""


class ReadsKeep:
    """Tells the store of the rows that have changed. ``banks``: partitions that are ours now, by number."""

    def __init__(self, store: ReadsStore, banks: Callable[[], Mapping[int, Bank]]) -> None:
        self._store = store
        self._banks = banks

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

        Raises Unavailable or Rejected; what was not told is told the next time.
        """
        more = False
        for number, bank in self._banks().items():
            snapshot = bank.reads.untold(MOST)
            if not len(snapshot.rows):
                continue
            rows = [
                DayCounts(day, *place, *counts) for day, place, counts in bank.reads.named(snapshot.cells)
            ]
            before = bank.reads.newest - STORED
            await asyncio.to_thread(self._store.keep_reads, number, rows, before)
            bank.reads.told(snapshot)
            more = more or len(rows) == MOST
        return more
