"""The hand-over of messages from the network thread to the event loop, a burst at a time."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from connectors.mqtt_frames import Delivery


class Window:
    """Learns how many unacknowledged messages the broker allows, so that nobody lingers for more.

    MQTT 3.1.1 has no word for that limit, and brokers of both versions may have one of
    their own (Mosquitto ``max_inflight_messages`` 20, EMQX ``max_inflight`` 32). When the wait for a
    full batch was in vain three times with the same number of messages out, that number
    is taken for the limit, until more than that come.
    """

    _ENOUGH = 3
    _LEAST = 10  # fewer at a time are a quiet evening, not a limit

    def __init__(self) -> None:
        self._limit = 0
        self._last = 0
        self._times = 0

    def room(self, out: int) -> int:
        """How many more the broker may send while ``out`` are unacknowledged; a large number if unknown."""
        if out > self._limit:
            self._limit = 0
        return self._limit - out if self._limit else 1 << 16

    def waited(self, out: int) -> None:
        """A wait has ended with ``out`` messages unacknowledged and the batch not full."""
        self._times = self._times + 1 if out == self._last else 1
        self._last = out
        if self._times >= self._ENOUGH and out >= self._LEAST:
            self._limit = out


class Inbox:
    """Bursts in from one thread, batches out in one event loop.

    Each side writes its own counters only, so no lock is needed: what waits is the
    difference. The loop is woken once for the first message and once for a full batch,
    never for each message.

    enough_bytes : a waiting ``take`` is content with so much payload. [bytes]
    """

    def __init__(self, enough_bytes: int) -> None:
        self._enough_bytes = enough_bytes
        self._bursts: deque[tuple[list[Delivery], int]] = deque()
        self._put = 0
        self._put_bytes = 0
        self._taken = 0
        self._taken_bytes = 0
        self._wanted: float = math.inf  # wake the taker when _put reaches this
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taking = False
        self._closed = False

    @property
    def queued(self) -> int:
        """Messages that wait to be taken."""
        return self._put - self._taken

    @property
    def queued_bytes(self) -> int:
        """Their size on the wire. [bytes]"""
        return self._put_bytes - self._taken_bytes

    def put(self, burst: list[Delivery], size: int) -> None:
        """Hand over a burst (network thread)."""
        self._bursts.append((burst, size))
        self._put_bytes += size
        self._put += len(burst)
        if self._put >= self._wanted or (
            self.queued_bytes >= self._enough_bytes and self._wanted != math.inf
        ):
            self._wanted = math.inf
            self._call(self._wake)

    def close(self) -> None:
        """Let a waiting ``take`` end with RuntimeError (any thread)."""
        self._closed = True
        self._call(self._wake)

    async def take(self, max_messages: int, linger_s: float, enough: int) -> list[Delivery]:
        """Wait for a message, then up to ``linger_s`` for ``enough``; return at most ``max_messages``."""
        if max_messages < 1 or linger_s < 0:
            raise ValueError(f"need max_messages >= 1 and linger_s >= 0, got {max_messages} and {linger_s}")
        enough = min(enough, max_messages)
        if self._taking:
            raise RuntimeError("take() is already waiting: only one task may take messages")
        self._taking = True
        try:
            if not self.queued:
                await self._until(1, None)
            if linger_s and self.queued < enough and self.queued_bytes < self._enough_bytes:
                await self._until(enough, linger_s)
        finally:
            self._taking = False
        return self._pop(max_messages)

    async def _until(self, messages: int, timeout_s: float | None) -> None:
        if self._closed:
            raise RuntimeError("the MQTT source is closed")
        self._loop = asyncio.get_running_loop()
        self._waiter = self._loop.create_future()
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._wake)
        self._wanted = self._taken + messages
        try:
            # what came between the caller's look and the line above has woken nobody
            if self._put < self._wanted:
                await self._waiter
        finally:
            self._wanted = math.inf
            self._waiter = None
            if timer is not None:
                timer.cancel()
        if self._closed:
            raise RuntimeError("the MQTT source is closed")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _call(self, what: object) -> None:
        assert callable(what)
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            # the loop is closed: nobody waits any more
            self._loop = None

    def _pop(self, max_messages: int) -> list[Delivery]:
        out: list[Delivery] = []
        bursts = self._bursts
        while bursts and len(out) < max_messages:
            burst, size = bursts[0]
            room = max_messages - len(out)
            if len(burst) <= room:
                out += burst
                bursts.popleft()
                self._taken_bytes += size
            else:
                out += burst[:room]
                bursts[0] = (burst[room:], size)  # its bytes count until all of it is taken
        self._taken += len(out)
        return out
