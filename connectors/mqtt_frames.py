"""Cuts the bytes that a broker sends into packets: PUBLISH for us, everything else for paho.

The wire format is that of MQTT 3.1.1 and MQTT 5.0, section 2 (fixed header) and 3.3
(PUBLISH). A PUBLISH costs about 1 µs here; paho, which reads every packet in three
system calls and wraps it in an object with a lock, takes about twenty times that
(benchmarks/mqtt_receive.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from streams.messages import RawMessage

#: A message and its receipt: ``sequence << 32 | first four bytes of the answer it is owed``.
Delivery = tuple[RawMessage, int]

PUBACK = 0x4002_0000  # with the packet id in the low 16 bits: the whole PUBACK packet
PUBREC = 0x5002_0000  # the answer to QoS 2; paho then handles PUBREL and PUBCOMP
_PUBLISH = 3
_VARINT_LIMIT = 21  # a remaining length has at most four bytes of seven bits
_MAX_CACHED_TOPICS = 50_000
#: An oversized PUBLISH is looked at when this much of it is there: topic (up to 64 KiB),
#: properties, and the part of the payload that is kept.
_HEAD = 1 << 18


class MalformedStream(Exception):
    """The broker sent bytes that are not MQTT: the connection is of no more use."""


class FrameSplitter:
    """Takes the stream in any pieces; what comes out does not depend on where it was cut.

    Parameters
    ----------
    version5 : bool
        Whether PUBLISH has MQTT 5 properties (they are skipped).
    max_packet : int
        A PUBLISH up to this size, topic included, is delivered whole. [bytes]
    keep : int
        Of the payload of a larger one the first so many bytes are delivered, with
        ``RawMessage.full_size`` set, and the rest is read and dropped: a message
        that is too large becomes a dead letter, not an endless reconnection. [bytes]

    """

    def __init__(self, *, version5: bool, max_packet: int = 1 << 24, keep: int = 1 << 16) -> None:
        if max_packet < _HEAD or not 0 <= keep <= _HEAD // 2:
            raise ValueError(
                f"need max_packet >= {_HEAD} and 0 <= keep <= {_HEAD // 2} bytes, got {max_packet} and {keep}"
            )
        self._version5 = version5
        self._max_packet = max_packet
        self._keep = keep
        self._parts: list[bytes] = []  # an unfinished packet
        self._have = 0  # bytes in _parts
        self._need = 2  # do not look again before so many bytes are there
        self._skip = 0  # rest of an oversized payload
        self._topics: dict[bytes, str] = {}
        self.consumed = 0  # bytes of the packets that were finished

    def feed(self, data: bytes, received_ns: int, sequence: int, out: list[Delivery]) -> bytes:
        """Append what ``data`` completes to ``out``; return the packets that are paho's.

        The first delivery gets the number ``sequence``, the next one more.
        Raises MalformedStream.
        """
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return b""
            data = b"".join(self._parts)
            self._parts.clear()
        elif len(data) < self._need:
            if data:
                self._parts.append(data)
                self._have = len(data)
            return b""
        try:
            return self._split(data, received_ns, sequence << 32, out)
        except IndexError:
            raise MalformedStream("expected a whole PUBLISH, got one shorter than its own topic") from None

    def _split(self, data: bytes, received_ns: int, number: int, out: list[Delivery]) -> bytes:
        # One long loop on purpose: this runs for every message, and a call costs as
        # much as half of the work that is done here.
        control = b""
        version5 = self._version5
        limit = self._max_packet
        topics = self._topics
        append = out.append
        pos, end, need = 0, len(data), 2
        while end - pos >= 2:
            first = data[pos]
            length = data[pos + 1]
            start = pos + 2
            if length >= 0x80:
                length, start = _long_length(data, start, end, length)
                if start < 0:
                    need = end - pos + 1
                    break
            stop = start + length
            if first >> 4 != _PUBLISH:
                if stop > end:
                    need = stop - pos
                    break
                control += data[pos:stop]
                pos = stop
                continue
            if stop > end and length <= limit:
                need = stop - pos
                break
            if length > limit and end - start < _HEAD:
                need = start - pos + _HEAD
                break
            body = start + 2 + (data[start] << 8 | data[start + 1])
            raw_topic = data[start + 2 : body]
            qos = first & 6
            if qos == 2:
                receipt = number | PUBACK | data[body] << 8 | data[body + 1]
                body += 2
            elif qos == 0:
                receipt = number
            elif qos == 4:
                receipt = number | PUBREC | data[body] << 8 | data[body + 1]
                body += 2
            else:
                raise MalformedStream(f"expected QoS 0, 1 or 2, got 3 on {raw_topic[:100]!r}")
            if version5:
                size = data[body]
                body += 1
                if size:
                    if size >= 0x80:
                        size, body = _long_length(data, body, end, size)
                        if body < 0:
                            raise IndexError
                    body += size
            if body > stop:
                raise IndexError
            topic = topics.get(raw_topic) or self._topic(raw_topic)
            number += 1 << 32
            if length > limit:
                # never more than _HEAD bytes of the packet: what is kept must not depend on how much came
                head = data[body : min(body + self._keep, start + _HEAD)]
                append((_beginning(topic, head, first, stop - body, received_ns), receipt))
                self._skip = max(0, stop - end)
            elif first & 9:
                append(
                    (
                        RawMessage(
                            topic=topic,
                            payload=data[body:stop],
                            received_ns=received_ns,
                            retained=bool(first & 1),
                            redelivered=bool(first & 8),
                        ),
                        receipt,
                    )
                )
            else:
                append((RawMessage(topic=topic, payload=data[body:stop], received_ns=received_ns), receipt))
            pos = stop
        self._need = need
        self.consumed += pos
        if pos < end:
            self._parts.append(data[pos:] if pos else data)
            self._have = end - pos
        return control

    def _topic(self, raw: bytes) -> str:
        """Decode a topic; one that is not UTF-8 is escaped: no dialect wants it, it becomes a dead letter."""
        topic = raw.decode("utf-8", "backslashreplace")
        if len(self._topics) >= _MAX_CACHED_TOPICS:
            self._topics.clear()
        self._topics[raw] = topic
        return topic


def _long_length(data: bytes, start: int, end: int, value: int) -> tuple[int, int]:
    """Decode the rest of a variable byte integer (MQTT 5, 1.5.5): value and end; end -1: not all is here."""
    value &= 0x7F
    shift = 7
    while start < end:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
        if shift > _VARINT_LIMIT:
            raise MalformedStream("expected a length of at most four bytes, got five: this is not MQTT")
    return value, -1


def _beginning(topic: str, head: bytes, first: int, full_size: int, received_ns: int) -> RawMessage:
    return RawMessage(
        topic=topic,
        payload=head,
        received_ns=received_ns,
        retained=bool(first & 1),
        redelivered=bool(first & 8),
        full_size=full_size,
    )


def packets(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk over whole packets, as ``feed`` returns them: each with its part after the fixed header."""
    pos = 0
    while pos < len(data):
        length, start = data[pos + 1], pos + 2
        if length >= 0x80:
            length, start = _long_length(data, start, len(data), length)
        yield data[pos : start + length], data[start : start + length]
        pos = start + length
