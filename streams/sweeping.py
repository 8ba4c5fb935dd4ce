"""Takes what was kept long enough out of the store, now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from streams.clock import Clock
from streams.ports import PortError

log = logging.getLogger(__name__)

EVERY_S = 6 * 3600.0


class Sweeper:
    """Sweeps soon after the start and every six hours.

    sweep : takes what is over at that instant, and says how much, by kind; it blocks
    """

    def __init__(
        self, sweep: Callable[[int], dict[str, int]], clock: Clock, every_s: float = EVERY_S
    ) -> None:
        self._sweep = sweep
        self._clock = clock
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        while not stop.is_set():
            try:
                done = await asyncio.to_thread(self._sweep, self._clock.now_ns())
            except PortError as error:
                log.warning("retention: %s; trying again later", error)
            else:
                if done:
                    told = ", ".join(f"{count} {kind}" for kind, count in done.items())
                    log.info("retention: taken out %s", told)
            try:
                await asyncio.wait_for(stop.wait(), self._every_s)
            except TimeoutError:
                continue
