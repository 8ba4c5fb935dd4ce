"""Cutting the stream: what comes out depends on the bytes, not on how they arrived."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.mqtt_frames import Delivery, FrameSplitter, MalformedStream, packets
from streams.messages import RawMessage
from tests.mqtt_tools import length_of

LIMIT = 1 << 18
KEEP = 1 << 16


@dataclass(frozen=True)
class Publish:
    """A PUBLISH packet, and what must become of it."""

    topic: str
    payload: bytes
    qos: int = 1
    packet_id: int = 1
    retained: bool = False
    again: bool = False
    properties: bytes = b""

    def encode(self, version5: bool) -> bytes:
        topic = self.topic.encode()
        body = struct.pack(">H", len(topic)) + topic
        if self.qos:
            body += struct.pack(">H", self.packet_id)
        if version5:
            body += length_of(len(self.properties)) + self.properties
        body += self.payload
        return bytes([0x30 | self.again << 3 | self.qos << 1 | self.retained]) + length_of(len(body)) + body

    def expected(self, sequence: int, version5: bool) -> Delivery:
        packet = self.encode(version5)
        head = 2 + len(self.topic.encode()) + 4 + len(self.properties) + len(self.payload)
        large = len(packet) - len(length_of(head)) - 1 > LIMIT
        message = RawMessage(
            topic=self.topic,
            payload=self.payload[:KEEP] if large else self.payload,
            received_ns=7,
            retained=self.retained,
            redelivered=self.again,
            full_size=len(self.payload) if large else 0,
        )
        answer = {0: 0, 1: 0x4002_0000, 2: 0x5002_0000}[self.qos] | (self.packet_id if self.qos else 0)
        return message, sequence << 32 | answer


CONTROL = [
    b"\xd0\x00",
    b"\x90\x03\x00\x01\x01",
    b"\x20\x02\x00\x00",
    b"\x40\x02\x12\x34",
    b"\x90\x80\x01" + b"\1" * 128,
]

publishes = st.builds(
    Publish,
    topic=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50),
    payload=st.binary(max_size=300) | st.just(b"x" * LIMIT) | st.just(b"y" * (LIMIT + 100_000)),
    qos=st.integers(0, 2),
    packet_id=st.integers(1, 65_535),
    retained=st.booleans(),
    again=st.booleans(),
    properties=st.binary(max_size=5) | st.just(b"p" * 200),
)
streams = st.lists(publishes | st.sampled_from(CONTROL), max_size=12)


def feed(splitter: FrameSplitter, pieces: Sequence[bytes]) -> tuple[list[Delivery], bytes]:
    out: list[Delivery] = []
    control = b""
    for piece in pieces:
        control += splitter.feed(piece, 7, 5 + len(out), out)
    return out, control


@given(streams, st.lists(st.integers(0, 1 << 20), max_size=20), st.booleans())
@example([Publish("t", b"y" * (LIMIT + 100_000)), Publish("t", b"after")], [300_000, 362_160], False)
def test_cutting_the_stream_anywhere_changes_nothing(
    stream: list[Publish | bytes], cuts: list[int], version5: bool
) -> None:
    wire = b"".join(item if isinstance(item, bytes) else item.encode(version5) for item in stream)
    places = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    pieces = [wire[a:b] for a, b in pairwise(places)]
    splitter = FrameSplitter(version5=version5, max_packet=LIMIT, keep=KEEP)
    messages, control = feed(splitter, pieces)
    sent = [item for item in stream if isinstance(item, Publish)]
    assert messages == [item.expected(5 + number, version5) for number, item in enumerate(sent)]
    others = [item for item in stream if isinstance(item, bytes)]
    assert control == b"".join(others)
    assert [packet for packet, _ in packets(control)] == others
    assert splitter.consumed == len(wire)


@given(streams, st.booleans())
def test_one_byte_at_a_time_is_the_same_as_all_at_once(stream: list[Publish | bytes], version5: bool) -> None:
    small = [item for item in stream if isinstance(item, bytes) or len(item.payload) < 1000]
    wire = b"".join(item if isinstance(item, bytes) else item.encode(version5) for item in small)
    bytewise = feed(FrameSplitter(version5=version5), [wire[at : at + 1] for at in range(len(wire))])
    assert bytewise == feed(FrameSplitter(version5=version5), [wire])


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x32\x01\x00", "shorter than its own topic"),
        (b"\x32\x04\x00\x09ab", "shorter than its own topic"),
        (b"\x32\x04\x00\x02ab\xd0\x00", "shorter than its own topic"),  # the packet id is missing
        (b"\x36\x05\x00\x01a\x00\x01", "QoS 0, 1 or 2, got 3"),
        (b"\x32\xff\xff\xff\xff\x01", "at most four bytes"),
    ],
)
def test_what_is_not_mqtt_ends_the_connection_with_a_reason(wire: bytes, reason: str) -> None:
    with pytest.raises(MalformedStream, match=reason):
        feed(FrameSplitter(version5=False), [wire])


@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_give_messages_or_a_reason(wire: bytes, version5: bool) -> None:
    with contextlib.suppress(MalformedStream):
        feed(FrameSplitter(version5=version5), [wire])


def test_a_topic_that_is_no_text_is_escaped_and_delivered() -> None:
    wire = b"\x32\x07\x00\x02a\xff\x00\x01x"
    [(message, _)], _ = feed(FrameSplitter(version5=False), [wire])
    assert (message.topic, message.payload) == (r"a\xff", b"x")


def test_limits_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="need max_packet >= 262144"):
        FrameSplitter(version5=True, max_packet=1000)
