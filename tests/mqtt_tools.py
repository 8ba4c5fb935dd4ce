"""What the MQTT tests share: brokers to choose from, a publisher that resends, a way to collect."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt import Backoff, Delivery, MqttConfig, MqttSource
from tests.services.process import wait_until

FAST = Backoff(min_s=0.05, max_s=0.5)


def config(url: str, client_id: str = "ingest", **more: Any) -> MqttConfig:
    """A configuration that connects again quickly."""
    more.setdefault("backoff", FAST)
    return MqttConfig(url, client_id, **more)


class Publisher:
    """Publishes with QoS 1 and does what a broker that is killed needs of a publisher.

    A broker confirms messages before they are safe (Mosquitto writes its store every
    second here, amqtt never). So after each new connection everything goes out again
    that was not confirmed, or was confirmed less than ``bridge_s`` seconds ago.
    """

    def __init__(self, port: int, client_id: str = "publisher", *, bridge_s: float = 5.0) -> None:
        self._bridge_s = bridge_s
        self._lock = threading.Lock()
        self._open: dict[int, tuple[str, bytes]] = {}  # by packet id, not confirmed
        self._confirmed: list[tuple[float, str, bytes]] = []
        self._first = True
        self.connections = 0
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.max_inflight_messages_set(500)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self.connections > 0, "the publisher's connection")

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> MQTTMessageInfo:
        """Publish one message; returns at once."""
        with self._lock:
            info = self._client.publish(topic, payload, qos=1, retain=retain)
            self._open[info.mid] = (topic, payload)
        return info

    def send_all(self, payloads: Sequence[bytes], topic: str = "meters/m1") -> None:
        for payload in payloads:
            self.send(topic, payload)

    def all_confirmed(self, deadline_s: float = 60.0) -> None:
        """Wait until the broker has confirmed everything."""
        wait_until(lambda: not self._open, "a confirmation of every message", deadline_s)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, _reason: ReasonCode, _properties: Properties
    ) -> None:
        with self._lock:
            message = self._open.pop(mid, None)
            now = time.monotonic()
            self._confirmed = [entry for entry in self._confirmed if now - entry[0] < self._bridge_s]
            if message is not None:
                self._confirmed.append((now, *message))

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, _reason: ReasonCode, _properties: Any
    ) -> None:
        # what was not confirmed paho sends again by itself
        self.connections += 1
        with self._lock:
            again, self._confirmed = self._confirmed, []
            for _, topic, payload in again:
                info = client.publish(topic, payload, qos=1)
                assert info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
                self._open[info.mid] = (topic, payload)


async def collect(
    source: MqttSource, enough: Callable[[list[Delivery]], bool], deadline_s: float = 60.0
) -> list[Delivery]:
    """Take and acknowledge until ``enough`` holds of all that came; TimeoutError with the last state."""
    got: list[Delivery] = []
    try:
        async with asyncio.timeout(deadline_s):
            while not enough(got):
                batch = await source.take(1000, 0.02)
                got += batch
                source.ack([token for _, token in batch])
    except TimeoutError:
        raise TimeoutError(f"{len(got)} messages came within {deadline_s:g} s; {source.stats}") from None
    return got


async def receive(source: MqttSource, count: int, deadline_s: float = 60.0) -> list[Delivery]:
    """Take and acknowledge ``count`` messages."""
    return await collect(source, lambda got: len(got) >= count, deadline_s)


async def until(condition: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
    """Wait in the event loop for a condition."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(f"expected {what} within {deadline_s:g} s, it did not come") from None


def payloads(batch: Sequence[Delivery]) -> list[bytes]:
    return [message.payload for message, _ in batch]


def numbers(count: int, first: int = 0) -> list[bytes]:
    """Payloads that can be told apart."""
    return [b"%d" % number for number in range(first, first + count)]
