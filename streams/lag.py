"""How far behind the log's end a worker is, looked up now and then."""

from __future__ import annotations

import asyncio
import logging
import time

from streams.keeper import Keeper
from streams.messages import FLAGS, READINGS
from streams.open_tickets import TicketOpener
from streams.ports import Log, PortError

log = logging.getLogger(__name__)

EVERY_S = 2.0


class Lag:
    """Of the partitions that are this worker's: what is not detected on yet, and what is not on tickets yet."""

    def __init__(self, durable: Log, keeper: Keeper, opener: TicketOpener) -> None:
        self._log = durable
        self._keeper = keeper
        self._opener = opener
        self.messages = 0  # of readings.v1, not taken into the state
        self.flags = 0  # of flags.v1, not on tickets
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
        behind = flags = 0
        for number, kept in list(self._keeper.kept.items()):
            end = await self._log.end(READINGS, number)
            behind += max(0, end - max(kept.partition.next_offset, 0))
        # the consumer is there to be asked once it has given us partitions
        for number, done in self._opener.positions().items() if self._keeper.kept else ():
            flags += max(0, await self._log.end(FLAGS, number) - done)
        before, self.messages, self.flags = self.messages, behind, flags
        if behind == 0 or behind < before:
            self._clear = time.monotonic()
