"""The outbox of the embedded broker: what was not acknowledged is not forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.embedded_lane import Outbox
from connectors.mqtt_frames import Delivery, FrameSplitter
from tests.mqtt_tools import numbers


def decode(wire: bytes) -> list[Delivery]:
    out: list[Delivery] = []
    assert FrameSplitter(version5=False).feed(wire, 0, 0, out) == b""
    return out


@given(st.lists(st.sampled_from(["add", "next", "ack", "again"]), max_size=80), st.integers(1, 8))
def test_the_outbox_forgets_nothing_before_it_is_acknowledged(steps: list[str], window: int) -> None:
    box = Outbox(window, 1 << 20)
    added = 0
    out: dict[int, bytes] = {}  # by packet id
    arrived: list[bytes] = []
    for step in [*steps, *["next", "ack"] * 81]:
        if step == "add":
            box.add("t", b"%d" % added, 1, retain=False)
            added += 1
        elif step == "next":
            for message, receipt in decode(box.next()):
                assert not message.redelivered
                assert receipt & 0xFFFF not in out
                out[receipt & 0xFFFF] = message.payload
            assert len(out) <= window
        elif step == "ack" and out:
            packet_id = next(iter(out))
            arrived.append(out.pop(packet_id))
            box.acknowledged(packet_id)
            box.acknowledged(packet_id)
        elif step == "again":
            sent = decode(b"".join(box.again()))
            assert [(receipt & 0xFFFF, message.payload) for message, receipt in sent] == list(out.items())
            assert all(message.redelivered for message, _ in sent)
    assert arrived == numbers(added)
    assert box.size == 0


def test_qos_0_is_sent_once_and_takes_no_room_afterwards() -> None:
    box = Outbox(window=1, limit=10)
    box.add("t", b"x" * 20, 0, retain=False)
    assert box.full
    [(message, receipt)] = decode(box.next())
    assert (message.payload, receipt & 0xFFFF) == (b"x" * 20, 0)
    assert not box.full
    assert list(box.again()) == []


def test_a_large_message_and_the_retain_flag_survive_the_encoding() -> None:
    box = Outbox(window=10, limit=1 << 30)
    box.add("größe", b"y" * 3_000_000, 1, retain=True)
    out: list[Delivery] = []
    FrameSplitter(version5=False, max_packet=1 << 24).feed(box.next(), 0, 0, out)
    [(message, _)] = out
    assert (message.topic, len(message.payload), message.retained) == ("größe", 3_000_000, True)
