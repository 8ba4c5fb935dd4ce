"""What the MQTT tests share: brokers to choose from, a publisher that resends, a way to collect."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Self

from connectors.mqtt import Backoff, Delivery, MqttConfig, MqttSource
from tests.services.process import wait_until

Message = tuple[str, bytes, bool]  # topic, payload, retain

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
        self._port = port
        self._client_id = client_id.encode()
        self._bridge_s = bridge_s
        self._lock = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._sent: dict[int, Message] = {}  # by packet id, oldest first
        self._confirmed: deque[tuple[float, Message]] = deque()
        self._last_id = 0
        self._closed = False
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(lambda: self.connections > 0, "the publisher's connection")

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish one message; returns at once."""
        with self._lock:
            self._waiting.append((topic, payload, retain))

    def send_all(self, payloads: Sequence[bytes], topic: str = "meters/m1") -> None:
        with self._lock:
            self._waiting.extend((topic, payload, False) for payload in payloads)

    @property
    def unconfirmed(self) -> int:
        with self._lock:
            return len(self._waiting) + len(self._sent)

    def all_confirmed(self, deadline_s: float = 60.0) -> None:
        """Wait until the broker has confirmed everything."""
        wait_until(lambda: not self.unconfirmed, "a confirmation of every message", deadline_s)

    def close(self) -> None:
        self._closed = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._closed:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=5) as sock:
                    self._talk(sock)
            except OSError:
                time.sleep(0.05)  # the broker is away

    def _talk(self, sock: socket.socket) -> None:
        body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(self._client_id)) + self._client_id
        sock.sendall(b"\x10" + bytes([len(body)]) + body)
        if sock.recv(4) != b"\x20\x02\0\0":
            raise ConnectionError("the broker did not let the publisher in")
        with self._lock:
            again = [message for _, message in self._confirmed] + list(self._sent.values())
            self._confirmed.clear()
            self._sent.clear()
            self._waiting.extendleft(reversed(again))
        self.connections += 1
        rest = b""
        while not self._closed:
            packets = self._next()
            if packets:
                sock.sendall(packets)
            if not select.select([sock], [], [], 0.0 if packets else 0.005)[0]:
                continue
            data = sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker closed the connection")
            rest += data
            whole = len(rest) // 4 * 4
            self._confirm([struct.unpack_from(">H", rest, at + 2)[0] for at in range(0, whole, 4)])
            rest = rest[whole:]
        sock.sendall(b"\xe0\0")

    def _next(self) -> bytes:
        parts: list[bytes] = []
        with self._lock:
            while self._waiting and len(self._sent) < 500 and len(parts) < 100:
                topic, payload, retain = message = self._waiting.popleft()
                self._last_id = self._last_id % 65_535 + 1
                self._sent[self._last_id] = message
                name = topic.encode()
                parts.append(
                    bytes([0x32 | retain])
                    + length_of(4 + len(name) + len(payload))
                    + struct.pack(">H", len(name))
                    + name
                    + struct.pack(">H", self._last_id)
                    + payload
                )
        return b"".join(parts)

    def _confirm(self, ids: Sequence[int]) -> None:
        now = time.monotonic()
        with self._lock:
            for packet_id in ids:
                self._confirmed.append((now, self._sent.pop(packet_id)))
            while self._confirmed and now - self._confirmed[0][0] > self._bridge_s:
                self._confirmed.popleft()


def length_of(size: int) -> bytes:
    """A remaining length as MQTT writes it."""
    out = bytearray()
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


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
