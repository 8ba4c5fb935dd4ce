"""The store's table of meters, kept as the registry has them: who complains is found by it.

The worker knows every meter of its partitions from the log; what has changed since it last told
the store is told within half a second, or, with so many meters that looking takes long, within a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

from streams.ports import PortError
from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.slots import BETWEEN
from streams.trade.points import Point

log = logging.getLogger(__name__)

EVERY_S = 60.0  # the longest wait between two looks
MOST = 5_000  # meters told of at a time, the rest a little later
SOON_S = 0.5
_SHARE = 0.01  # of the time is spent on looking


class PlaceStore(Protocol):
    """Where the table is kept."""

    def keep_points(self, told: Sequence[Point]) -> None:
        """Put what the registry says now in the place of what was known of these meters."""


class PlaceKeep:
    """Tells the store of meters that are new or have changed. ``banks``: those of the partitions that are ours now."""

    def __init__(self, store: PlaceStore, banks: Callable[[], list[Bank]]) -> None:
        self._store = store
        self._banks = banks
        self._looking_s = 0.0  # how long the last look took
        self._told: weakref.WeakKeyDictionary[Bank, list[tuple[str, bytes]]] = weakref.WeakKeyDictionary()

    async def run(self) -> None:
        """Until cancelled; a database that is away costs nothing but the time."""
        while True:
            try:
                more = await self.tell()
            except PortError as error:
                log.warning("the table of meters stays as it was: %s", error)
                more = False
            await asyncio.sleep(SOON_S if more else min(EVERY_S, max(SOON_S, self._looking_s / _SHARE)))

    async def tell(self) -> bool:
        """Tell of what has changed. True: there is more. Raises Unavailable or Rejected."""
        more = False
        self._looking_s = 0.0
        for bank in self._banks():
            told = self._told.setdefault(bank, [])
            begun = time.perf_counter()
            slots = _changed(bank, told)
            self._looking_s += time.perf_counter() - begun
            if slots:
                more = more or len(slots) == MOST
                fresh = [_said(bank, slot) for slot in slots]
                points = [point_of(bank.meter(slot)) for slot in slots if _main(bank, slot)]
                await asyncio.to_thread(self._store.keep_points, points)
                for slot, said in zip(slots, fresh, strict=True):
                    told[slot] = said
        return more


def point_of(meter: Meter) -> Point:
    """A registry row as the store keeps it."""
    return Point(
        meter_id=meter.meter_id,
        service_point_id=meter.point,
        commodity=meter.commodity,
        unit=meter.unit,
        kind=meter.kind,
        multiplier=meter.multiplier,
        area=meter.area,
        meter_class=meter.meter_class,
        serial=meter.serial,
        tz=meter.tz,
        route=meter.route,
        concentrator=meter.concentrator,
        transformer=meter.transformer,
        line=meter.line,
        bill_day=meter.bill_day,
        tariff=meter.tariff,
    )


def _said(bank: Bank, slot: int) -> tuple[str, bytes]:
    """What a slot says of its meter, to be compared. Rows are shared by meters of one kind."""
    return bank.channels[slot], bank.rows[slot]


def _main(bank: Bank, slot: int) -> bool:
    """Whether a slot is a meter's own and not one of its further registers."""
    return bool(bank.channels[slot]) and BETWEEN not in bank.channels[slot]


def _changed(bank: Bank, told: list[tuple[str, bytes]]) -> list[int]:
    """Slots whose row or name is another than was told, the first ``MOST``."""
    told.extend([("", b"")] * (len(bank) - len(told)))
    found = []
    for slot in range(len(bank)):
        if _main(bank, slot) and told[slot] != _said(bank, slot):
            found.append(slot)
            if len(found) == MOST:
                break
    return found
