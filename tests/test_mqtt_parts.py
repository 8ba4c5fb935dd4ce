"""MQTT in, piece by piece: receipts in order, the hand-over, the broker's window, the configuration."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mqtt import Backoff, Delivery, Limits, MqttConfig, MqttSource, Tls
from connectors.mqtt_config import Waits
from connectors.mqtt_frames import PUBACK, FrameSplitter
from connectors.mqtt_inbox import Inbox, Window
from connectors.mqtt_socket import FrameSocket, Receipts
from streams.messages import RawMessage

# -- receipts --------------------------------------------------------------------------


class Line:
    """A connection without a broker: what is written to it can be read."""

    def __init__(self, first: int) -> None:
        ours, self._theirs = socket.socketpair()
        ours.setblocking(False)
        self._theirs.setblocking(False)
        self.sock = FrameSocket(ours, FrameSplitter(version5=False))
        self.receipts = Receipts(self.sock, first)

    def ids(self) -> list[int]:
        """Packet ids of the PUBACKs that were sent."""
        try:
            data = self._theirs.recv(1 << 20)
        except BlockingIOError:
            return []
        assert all(data[at : at + 2] == b"\x40\x02" for at in range(0, len(data), 4))
        return [int.from_bytes(data[at + 2 : at + 4], "big") for at in range(0, len(data), 4)]

    def close(self) -> None:
        self.sock.close()
        self._theirs.close()


def token(number: int, packet_id: int | None = None) -> int:
    return number << 32 | PUBACK | (number if packet_id is None else packet_id)


@given(st.permutations(range(1, 31)), st.lists(st.integers(1, 10), max_size=10), st.sets(st.integers(1, 30)))
def test_receipts_leave_in_the_order_of_arrival_once_each(
    order: list[int], sizes: list[int], without: set[int]
) -> None:
    """Whatever is acknowledged when: what is sent is a beginning of what arrived, QoS 0 left out."""
    line = Line(first=1)
    done: set[int] = set()
    sent: list[int] = []
    tokens = [number << 32 if number in without else token(number) for number in order]
    at = 0
    for size in [*sizes, 30]:
        batch = tokens[at : at + size]
        at += size
        line.receipts.acknowledge(batch)
        line.receipts.acknowledge(batch)  # twice is as good as once
        done.update(each >> 32 for each in batch)
        sent += line.ids()
        first_open = min(set(range(1, 32)) - done)
        assert sent == [number for number in range(1, first_open) if number not in without]
    assert line.receipts.next == 31
    line.close()


def test_receipts_of_an_older_connection_are_not_sent() -> None:
    line = Line(first=100)
    assert line.receipts.acknowledge([token(98), token(99), token(100), token(101)]) == (2, 2)
    assert line.receipts.acknowledge([token(3)]) == (0, 1)
    assert line.ids() == [100, 101]
    line.close()


def test_what_the_network_does_not_take_is_sent_later_whole() -> None:
    line = Line(first=1)
    count = 200_000
    line.receipts.acknowledge([token(number, number % 65_536) for number in range(1, count + 1)])
    assert line.sock.unsent > 0
    line.sock.send(b"\xc0\x00")  # a ping of paho's must not cut a receipt in two
    received = bytearray()
    while line.sock.unsent or len(received) < 4 * count + 2:
        received += line._theirs.recv(1 << 20)
        line.sock.flush()
    assert bytes(received[-2:]) == b"\xc0\x00"
    ids = [int.from_bytes(received[at + 2 : at + 4], "big") for at in range(0, 4 * count, 4)]
    assert ids == [number % 65_536 for number in range(1, count + 1)]
    line.close()


# -- hand-over -------------------------------------------------------------------------


def burst(first: int, count: int) -> list[Delivery]:
    return [(RawMessage(topic="t", payload=b"x", received_ns=n), n) for n in range(first, first + count)]


def numbers(batch: list[Delivery]) -> list[int]:
    return [number for _, number in batch]


def test_a_batch_is_cut_from_bursts_in_order() -> None:
    async def run() -> None:
        inbox = Inbox(1 << 20)
        inbox.put(burst(0, 5), 50)
        inbox.put(burst(5, 5), 50)
        assert numbers(await inbox.take(3, 0, 3)) == [0, 1, 2]
        assert numbers(await inbox.take(4, 0, 4)) == [3, 4, 5, 6]
        assert (inbox.queued, inbox.queued_bytes) == (3, 50)
        assert numbers(await inbox.take(100, 0, 100)) == [7, 8, 9]
        assert (inbox.queued, inbox.queued_bytes) == (0, 0)

    asyncio.run(run())


def test_a_full_batch_ends_the_wait_early_and_a_late_one_does_not_lengthen_it() -> None:
    async def run() -> None:
        inbox = Inbox(1 << 20)
        loop = asyncio.get_running_loop()
        threading.Timer(0.05, inbox.put, (burst(0, 2), 20)).start()
        threading.Timer(0.10, inbox.put, (burst(2, 8), 80)).start()
        began = loop.time()
        assert numbers(await inbox.take(10, 30.0, 10)) == list(range(10))
        assert loop.time() - began < 10
        inbox.put(burst(10, 1), 10)
        began = loop.time()
        assert numbers(await inbox.take(10, 0.1, 10)) == [10]
        assert 0.05 < loop.time() - began < 5

    asyncio.run(run())


def test_many_bytes_end_the_wait_as_well() -> None:
    async def run() -> None:
        inbox = Inbox(1000)
        threading.Timer(0.05, inbox.put, (burst(0, 2), 2000)).start()
        assert len(await asyncio.wait_for(inbox.take(10, 30.0, 10), 10)) == 2

    asyncio.run(run())


def test_a_take_that_is_cancelled_loses_nothing() -> None:
    async def run() -> None:
        inbox = Inbox(1 << 20)
        for number in range(50):
            waiting = asyncio.create_task(inbox.take(100, 1.0, 100))
            await asyncio.sleep(0)
            inbox.put(burst(number, 1), 10)
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert numbers(await inbox.take(100, 0, 100)) == list(range(50))

    asyncio.run(run())


def test_only_one_task_may_take() -> None:
    async def run() -> None:
        inbox = Inbox(1 << 20)
        first = asyncio.create_task(inbox.take(1, 0, 1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="only one task"):
            await inbox.take(1, 0, 1)
        inbox.close()
        with pytest.raises(RuntimeError, match="closed"):
            await first
        with pytest.raises(ValueError, match="need max_messages >= 1"):
            await inbox.take(0, 0, 1)

    asyncio.run(run())


def test_the_brokers_window_is_learnt_and_forgotten() -> None:
    window = Window()
    for _ in range(2):
        window.waited(20)
        assert window.room(20) > 1000
    window.waited(20)
    assert [window.room(out) for out in (0, 5, 20)] == [20, 15, 0]
    assert window.room(21) > 1000, "more than that came: it was no limit"
    for _ in range(10):
        window.waited(3)
    assert window.room(3) > 1000, "a quiet evening is no limit"


# -- configuration ---------------------------------------------------------------------

GOOD: dict[str, Any] = {"url": "mqtt://broker", "client_id": "ingest-1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "broker:1883"}, "expected mqtt://host:port or mqtts://host:port"),
        ({"url": "http://broker"}, "expected mqtt://host:port"),
        ({"url": "mqtt://broker/meters"}, "expected mqtt://host:port"),
        ({"url": "mqtt://broker:99999"}, "expected a port between 1 and 65535"),
        ({"url": "mqtt://ann:secret@broker"}, "set username and password"),
        ({"client_id": ""}, "client id is needed"),
        ({"password": "secret"}, "needs a username"),
        ({"tls": Tls()}, "write mqtts://"),
        ({"protocol": "3.1"}, "expected the MQTT protocol auto, 5 or 3.1.1, got '3.1'"),
        ({"shared_group": "a/b"}, "without / + #"),
        ({"keepalive_s": 0}, "need 1 <= keepalive_s"),
        ({"session_expiry_s": 0}, "need 0 < session_expiry_s"),
        ({"connect_timeout_s": 0}, "need connect_timeout_s > 0"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        MqttConfig(**{**GOOD, **change})
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_ports_and_hosts_are_read_from_the_url() -> None:
    seen = [
        (chosen.host, chosen.port, chosen.encrypted)
        for chosen in (
            MqttConfig(url, "x")
            for url in ("mqtt://a", "mqtts://a", "mqtt://a:7", "mqtts://[::1]:8/", "mqtt://10.0.0.1")
        )
    ]
    assert seen == [
        ("a", 1883, False),
        ("a", 8883, True),
        ("a", 7, False),
        ("::1", 8, True),
        ("10.0.0.1", 1883, False),
    ]


def test_limits_and_files_are_checked_when_they_are_named(tmp_path: Path) -> None:
    for wrong in (
        {"receive_maximum": 0},
        {"receive_maximum": 70_000},
        {"queued_bytes": 1},
        {"max_packet": 1},
    ):
        with pytest.raises(ValueError, match="need "):
            Limits(**wrong)
    with pytest.raises(ValueError, match="need 0 < min_s <= max_s"):
        Backoff(2.0, 1.0)
    with pytest.raises(ValueError, match="there is none at"):
        Tls(ca=tmp_path / "missing.pem")
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(ValueError, match="needs its certificate"):
        Tls(key=tmp_path / "key.pem")
    with pytest.raises(ValueError, match="expected certificates in PEM"):
        Tls(ca=tmp_path / "key.pem").context()
    with pytest.raises(ValueError, match="at least one topic filter"):
        MqttSource(MqttConfig(**GOOD), [])
    with pytest.raises(ValueError, match="a list of"):
        MqttSource(MqttConfig(**GOOD), "meters/#")


@given(st.integers(1, 5000), st.integers(0, 1 << 32))
def test_the_backoff_doubles_with_jitter_up_to_its_ceiling(failures: int, seed: int) -> None:
    delay = Backoff(0.25, 10.0).delay(failures, random.Random(seed))
    full = min(10.0, 0.25 * 2 ** min(failures - 1, 10))
    assert full / 2 <= delay <= full


def test_a_broker_that_fails_again_and_again_is_found_as_fast_each_time() -> None:
    waits = Waits(Backoff(0.25, 10.0))
    away = [waits.after(0.0) for _ in range(8)]
    assert away[-1] >= 5.0, "a broker that is away is asked ever more rarely"
    assert waits.after(3.0) >= 5.0, "which one short connection does not change"
    assert waits.after(10.1) <= 0.25
    assert all(waits.after(3.0) <= 0.25 for _ in range(50)), "connections that held: each is a first failure"


def test_two_clients_of_one_name_slow_down() -> None:
    """Each lives until the other has waited: neither may come back at once for ever."""
    clients = [Waits(Backoff(0.25, 10.0)) for _ in range(2)]
    now, turns, wait = 0.0, 0, clients[0].after(0.0)
    while now < 600.0:
        now += wait
        turns += 1
        wait = clients[turns % 2].after(wait)
    assert turns < 600 / 2
