"""MQTT in: readings off a broker, acknowledged when the caller has them safe.

config = MqttConfig("mqtt://127.0.0.1:1883", client_id="ingest-1")
async with MqttSource(config, ["meters/#"]) as source:
    while True:
        batch = await source.take(max_messages=1000, linger_s=0.05)
        ...                                   # write the messages to a durable log
        source.ack([token for _, token in batch])
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from connectors.mqtt_config import Backoff, Limits, MqttConfig, Protocol, Tls
from connectors.mqtt_frames import Delivery
from connectors.mqtt_inbox import Inbox, Window
from connectors.mqtt_link import Link
from connectors.mqtt_state import State
from streams.ports import Unavailable

__all__ = [
    "Backoff",
    "Delivery",
    "Limits",
    "MqttConfig",
    "MqttSource",
    "MqttStats",
    "Protocol",
    "State",
    "Tls",
]


@dataclass(frozen=True, slots=True)
class MqttStats:
    """A source's state and what it has counted since it was started.

    state           : stopped, connecting, connected (and subscribed), waiting (to try again)
    protocol        : 5 or 3.1.1, empty before the first connection
    last_error      : why the last connection failed or ended, or a filter was refused
    attempts        : connections tried
    connections     : connections that the broker accepted
    received        : messages that came, of any kind, again or not
    received_bytes  : their size on the wire. [bytes]
    queued          : messages that wait for ``take``
    unacknowledged  : messages of this connection that were not acknowledged yet, queued ones too
    acknowledged    : receipts sent
    stale           : tokens refused because their connection is gone (the broker sends those messages again)
    paused          : reading has stopped because too much is under way
    pauses          : how often it has
    replies         : messages that were published
    replies_dropped : messages that were not, for want of a connection
    """

    state: State
    protocol: str
    last_error: str
    attempts: int
    connections: int
    received: int
    received_bytes: int
    queued: int
    unacknowledged: int
    acknowledged: int
    stale: int
    paused: bool
    pauses: int
    replies: int
    replies_dropped: int


class MqttSource:
    """Messages of a broker, at least once and in the order in which they came.

    It subscribes with QoS 1 and a persistent session, and connects again for ever. The
    network has a thread of its own, so the session lives on while the event loop is busy.

    Parameters
    ----------
    config : MqttConfig
    filters : sequence of str
        Topic filters as MQTT writes them; the shared group is put in front of them here.

    """

    def __init__(self, config: MqttConfig, filters: Sequence[str]) -> None:
        self.config = config
        self._inbox = Inbox(config.limits.queued_bytes)
        self._link = Link(config, filters, self._inbox)
        self._window = Window()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to connect; returns at once. Call it once."""
        self._link.start()

    async def close(self) -> None:
        """Send the receipts that are due, disconnect (the broker keeps the session) and end the thread.

        A waiting ``take`` raises RuntimeError. Takes four seconds at most.
        """
        self._inbox.close()
        await asyncio.to_thread(self._link.stop)

    async def connected(self, timeout_s: float = 30.0) -> None:
        """Wait until the subscriptions stand; Unavailable with the last error after ``timeout_s``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._link.counters.state != "connected":
            if loop.time() > end:
                raise Unavailable(self.config.url, self._link.counters.last_error or "no answer yet")
            await asyncio.sleep(0.02)

    async def take(self, max_messages: int, linger_s: float) -> list[Delivery]:
        """Return the next messages with their tokens, oldest first, at least one.

        Waits for the first message as long as it takes, then up to ``linger_s`` seconds
        for ``max_messages`` of them. Cancelling loses nothing. Every token that is
        returned must be given to ``ack``, whatever was in the message: what is not
        acknowledged holds up everything after it.
        """
        # taken and not acknowledged: they use up the broker's window as well
        held = self._link.unacknowledged - self._inbox.queued
        enough = min(max_messages, self._inbox.queued + max(1, self._window.room(self._link.unacknowledged)))
        batch = await self._inbox.take(max_messages, linger_s, enough)
        if linger_s and len(batch) < enough:
            self._window.waited(held + len(batch))
        self._link.room()
        return batch

    def ack(self, tokens: Sequence[int]) -> None:
        """Acknowledge messages that are safe (any thread).

        Receipts go out in the order in which the messages came. Tokens of a connection that is
        gone are passed over: the broker sends those messages again, marked ``redelivered``.
        """
        if tokens:
            self._link.acknowledge(tokens)

    def reply(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 (a Sparkplug rebirth request); any thread, never waits.

        While there is no connection it is dropped and counted.
        """
        self._link.publish(topic, payload)

    @property
    def stats(self) -> MqttStats:
        """The state and the counters as they are now."""
        seen = self._link.counters
        return MqttStats(
            state=seen.state,
            protocol=seen.protocol,
            last_error=seen.last_error,
            attempts=seen.attempts,
            connections=seen.connections,
            received=seen.received,
            received_bytes=seen.received_bytes,
            queued=self._inbox.queued,
            unacknowledged=self._link.unacknowledged,
            acknowledged=seen.acknowledged,
            stale=seen.stale,
            paused=seen.paused,
            pauses=seen.pauses,
            replies=seen.replies,
            replies_dropped=seen.replies_dropped,
        )
