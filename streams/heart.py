"""Heartbeats: each process says, every few seconds, that it lives and what it has done."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

from streams.clock import Clock
from streams.ports import PortError

log = logging.getLogger(__name__)

EVERY_S = 2.0


class HeartbeatStore(Protocol):
    """Where heartbeats are kept."""

    def heartbeat(self, process: str, figures: dict[str, Any], now_ns: int) -> None:
        """Keep the newest of a process."""

    def forget(self, process: str) -> None:
        """A process has stopped in order."""


class Heart:
    """Beats for one process until cancelled; a database that is away costs it nothing."""

    def __init__(
        self, store: HeartbeatStore, role: str, figures: Callable[[], dict[str, Any]], clock: Clock
    ) -> None:
        self._store = store
        self._role = role
        self._figures = figures
        self._clock = clock
        self.name = f"{role}@{socket.gethostname()}:{os.getpid()}"

    async def run(self) -> None:
        """Beat until cancelled, then take leave."""
        try:
            while True:
                figures = {"role": self._role, **self._figures()}
                try:
                    await asyncio.to_thread(self._store.heartbeat, self.name, figures, self._clock.now_ns())
                except PortError as error:
                    log.warning("no heartbeat: %s", error)
                await asyncio.sleep(EVERY_S)
        finally:
            try:
                await asyncio.wait_for(asyncio.to_thread(self._store.forget, self.name), 2.0)
            except (PortError, TimeoutError) as error:
                log.warning("no farewell: %s", error)
