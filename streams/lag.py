"""How far behind the log's end a worker is, looked up now and then."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from streams.in_order import InOrder
from streams.keeper import Keeper
from streams.messages import READINGS
from streams.ports import Log, PortError

log = logging.getLogger(__name__)

EVERY_S = 2.0


class Lag:
    """Of the partitions that are this worker's: what is not detected on yet, and what is not in the store yet.

    orders : topic → its order in the agent that takes it, of flags, complaints, verdicts
    """

    def __init__(self, durable: Log, keeper: Keeper, orders: Mapping[str, InOrder]) -> None:
        self._log = durable
        self._keeper = keeper
        self._orders = orders
        self.messages = 0  # of readings.v1, not taken into the state
        self.behind = dict.fromkeys(orders, 0)  # of the other topics, not in the store
        self._clear = time.monotonic()  # when it was last seen with nothing to detect on

    @property
    def seconds(self) -> float:
        """How long it has not been up to date with readings. [s]"""
        return 0.0 if self.messages == 0 else time.monotonic() - self._clear

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look()
            except PortError as error:
                log.warning("lag unknown: %s", error)
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        behind = 0
        for number, kept in list(self._keeper.kept.items()):
            end = await self._log.end(READINGS, number)
            behind += max(0, end - max(kept.partition.next_offset, 0))
        for topic, order in self._orders.items():
            self.behind[topic] = await order.behind()
        before, self.messages = self.messages, behind
        if behind == 0 or behind < before:
            self._clear = time.monotonic()
