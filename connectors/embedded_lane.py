"""The readings' way through the embedded broker: past amqtt, not through it.

amqtt 0.12 acknowledges a message before anything else has it, forgets what a subscriber has not
acknowledged after five seconds or when its connection ends, and takes some 160 µs for each. So
PUBLISH and its acknowledgements are cut out of the stream before amqtt reads it, kept in one
``Outbox`` a session until they are acknowledged, and sent again to a client that comes back.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from amqtt.adapters import ReaderAdapter

from connectors.mqtt_frames import Delivery, FrameSplitter, packets

_READ = 1 << 16
_BURST = 1 << 18  # bytes that are sent in one piece
_LARGEST = (1 << 28) - 1  # of any MQTT packet
_DUP = 0x08
_CONNECT, _PUBACK, _PUBREL, _PUBCOMP = 0x10, 0x40, 0x62, 0x7002_0000


class Outbox:
    """What one session has still to get and what it has not acknowledged, in order.

    window : messages that may be unacknowledged at once
    limit  : it is full when more than this waits. [bytes]
    """

    def __init__(self, window: int, limit: int) -> None:
        self._window = window
        self._limit = limit
        self._waiting: deque[tuple[int, bytes, bytes]] = deque()  # first byte, topic, payload
        self._sent: dict[int, tuple[int, bytes, bytes]] = {}  # by packet id, oldest first
        self._last_id = 0
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of topic and payload that are not acknowledged yet."""
        return self._size

    @property
    def full(self) -> bool:
        return self._size > self._limit

    def add(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Queue a message with QoS 0 or 1."""
        name = topic.encode()
        self._waiting.append((0x30 | qos << 1 | retain, name, payload))
        self._size += len(name) + len(payload)

    def next(self) -> bytes:
        """The next packets to send, about 256 KiB; empty: none waits or the window is full."""
        parts: list[bytes] = []
        room = _BURST
        while self._waiting and room > 0:
            first, topic, payload = self._waiting[0]
            packet_id = 0
            if first & 6:
                if len(self._sent) >= self._window:
                    break
                packet_id = self._free_id()
                self._sent[packet_id] = self._waiting[0]
            else:
                self._size -= len(topic) + len(payload)
            self._waiting.popleft()
            parts += _publish(first, topic, packet_id, payload)
            room -= len(payload)
        return b"".join(parts)

    def again(self) -> Iterator[bytes]:
        """What was sent on an earlier connection and not acknowledged, marked as sent before."""
        for packet_id, (first, topic, payload) in list(self._sent.items()):
            if packet_id in self._sent:
                yield b"".join(_publish(first | _DUP, topic, packet_id, payload))

    def acknowledged(self, packet_id: int) -> None:
        """Forget a message that has arrived; an unknown one is passed over."""
        done = self._sent.pop(packet_id, None)
        if done is not None:
            self._size -= len(done[1]) + len(done[2])

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._sent:
                return self._last_id


def _publish(first: int, topic: bytes, packet_id: int, payload: bytes) -> tuple[bytes, ...]:
    """Encode a PUBLISH (MQTT 3.1.1, 3.3)."""
    identifier = struct.pack(">H", packet_id) if packet_id else b""
    length = 2 + len(topic) + len(identifier) + len(payload)
    head = bytearray([first])
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head), struct.pack(">H", len(topic)), topic, identifier, payload


#: Takes one message: topic, payload, retain. Waits while its receivers have no room.
Route = Callable[[str, bytes, bool], Coroutine[Any, Any, None]]


class Lane(ReaderAdapter):  # type: ignore[misc]
    """What amqtt reads of a connection: all packets but PUBLISH, PUBACK and PUBREL.

    write : sends to the same connection
    """

    def __init__(self, reader: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._write = write
        self._splitter = FrameSplitter(version5=False, max_packet=_LARGEST)
        self._control = b""
        self._messages: deque[Delivery] = deque()
        self._receipts: list[int] = []
        self.route: Route | None = None  # set when a session is attached
        self.acknowledged: Callable[[int], None] | None = None

    async def read(self, n: int = -1) -> bytes:
        """Give amqtt ``n`` bytes, fewer at the end of the stream. Raises MalformedStream."""
        while len(self._control) < n:
            if not await self._more():
                n = len(self._control)
        data, self._control = self._control[:n], self._control[n:]
        return data

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    async def protocol_level(self) -> int | None:
        """Wait for CONNECT and return its protocol level (4: 3.1.1, 5: 5); None: something else came."""
        while not self._control:
            if self._messages or not await self._more():
                return None
        packet, body = next(packets(self._control))
        name = 2 + int.from_bytes(body[:2], "big")
        return body[name] if packet[0] == _CONNECT and len(body) > name else None

    async def _more(self) -> bool:
        # amqtt may give up waiting at any await (it has a timeout): nothing that was
        # read may be lost by it, so every step leaves its rest in the object
        if not self._messages or self.route is None:
            data = await self._reader.read(_READ)
            if not data:
                return False
            out: list[Delivery] = []
            control = self._splitter.feed(data, time.time_ns(), 0, out)
            self._messages.extend(out)
            self._sort(control)
        await self._deliver()
        return True

    def _sort(self, control: bytes) -> None:
        for packet, body in packets(control):
            if packet[0] == _PUBACK and self.acknowledged is not None:
                self.acknowledged(int.from_bytes(body[:2], "big"))
            elif packet[0] == _PUBREL:
                self._receipts.append(_PUBCOMP | int.from_bytes(body[:2], "big"))
            else:
                self._control += packet

    async def _deliver(self) -> None:
        if self.route is None:
            return
        try:
            while self._messages:
                message, receipt = self._messages[0]
                await self.route(message.topic, message.payload, message.retained)
                self._messages.popleft()
                if receipt & 0xFFFF_FFFF:
                    self._receipts.append(receipt & 0xFFFF_FFFF)
        finally:
            # what was routed is acknowledged, even if the next one has to wait
            if self._receipts:
                self._write(struct.pack(f">{len(self._receipts)}I", *self._receipts))
                self._receipts.clear()
