"""The data-quality table of a running worker, brought up to date every minute.

The counts themselves are part of the partitions' state: nothing is lost that is not told, and
what was told twice says the same. Meters that were never anything but in order have no row.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streams.clock import Clock
from streams.messages import Counts
from streams.ports import PortError
from streams.state.bank import Bank
from streams.state.quality import FIELDS
from streams.state.slots import BETWEEN

log = logging.getLogger(__name__)

EVERY_S = 60.0
MOST = 5_000  # meters told of at a time, the rest a little later
SOON_S = 1.0

#: One number for a meter's counts, other after each change of them: a weight for each.
_WEIGHTS = np.array([0x9E3779B97F4A7C15 * (2 * k + 1) % 2**64 for k in range(len(FIELDS))], np.uint64)


class QualityStore(Protocol):
    """Where the table is kept."""

    def keep_quality(self, counts: Sequence[Counts], now_ns: int) -> None:
        """Put the newest counts in the place of what was known."""


class QualityKeep:
    """Tells the store of what has changed. ``banks``: those of the partitions that are ours now."""

    def __init__(self, store: QualityStore, banks: Callable[[], list[Bank]], clock: Clock) -> None:
        self._store = store
        self._banks = banks
        self._clock = clock
        self._told: weakref.WeakKeyDictionary[Bank, NDArray[np.uint64]] = weakref.WeakKeyDictionary()

    async def run(self) -> None:
        """Until cancelled; a database that is away costs nothing but the time."""
        while True:
            try:
                more = await self.tell()
            except PortError as error:
                log.warning("the data-quality table stays as it was: %s", error)
                more = False
            await asyncio.sleep(SOON_S if more else EVERY_S)

    async def tell(self) -> bool:
        """Tell of all areas, and of the meters whose counts have changed. True: there are more of these.

        Raises Unavailable or Rejected; what was not told is told the next time.
        """
        more = False
        for bank in self._banks():
            rows, slots, now = self._changed(bank)
            if not rows:
                continue
            more = more or len(slots) == MOST
            await asyncio.to_thread(self._store.keep_quality, rows, self._clock.now_ns())
            self._told[bank][slots] = now
        return more

    def _changed(self, bank: Bank) -> tuple[list[Counts], NDArray[np.int64], NDArray[np.uint64]]:
        """Rows of areas and changed meters; those meters' slots, and what their counts now come to."""
        used = len(bank)
        pulse = bank.state.of("intervals", "pulse")[:used]
        table = np.stack([pulse[field].astype(np.int64) for field in FIELDS.values()], axis=1)
        come_to = (table.astype(np.uint64) * _WEIGHTS).sum(axis=1, dtype=np.uint64)
        told = self._told.get(bank)
        if told is None or len(told) < used:
            grown = np.zeros(max(2 * used, 512), np.uint64)
            if told is not None:
                grown[: len(told)] = told
            told = self._told[bank] = grown
        slots = np.flatnonzero(come_to != told[:used])[:MOST]
        rows = []
        for slot in slots.tolist():
            name, _, register = bank.channels[slot].partition(BETWEEN)
            if name:
                counts = dict(zip(FIELDS, table[slot].tolist(), strict=True))
                area = bank.meter(slot).home_area
                rows.append(Counts(area, name, register, int(pulse["count"][slot]), **counts))
        return [*_areas(bank, pulse["count"], table), *rows], slots, come_to[slots]


def _areas(bank: Bank, readings: NDArray[np.int64], table: NDArray[np.int64]) -> list[Counts]:
    """Sums by area, of areas that have any reading. An area of one meter without a name of its own is none."""
    place = bank.state.meters["area"][: len(readings)]
    sums = np.stack(
        [np.bincount(place, cells, len(bank.areas)) for cells in (readings, *table.T)], axis=1
    ).astype(np.int64)
    return [
        Counts(area, "", "", *sums[index].tolist())
        for area, index in bank.areas.items()
        if sums[index].any() and area not in bank.slots
    ]
