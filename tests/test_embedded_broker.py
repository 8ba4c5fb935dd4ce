"""The broker we bring along: what amqtt alone would lose, who may come in, how it ends."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.protocol.handler import ProtocolHandler
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from connectors import embedded_amqtt
from connectors.embedded_broker import BrokerProcess, EmbeddedBroker
from connectors.mqtt import MqttSource
from streams.ports import Rejected
from tests.mqtt_tools import Publisher, config, numbers, payloads, receive, until
from tests.services.process import accepts, wait_until


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def source(broker: EmbeddedBroker | BrokerProcess, client_id: str = "ingest", **more: Any) -> MqttSource:
    return MqttSource(config(broker.url, client_id, protocol="3.1.1", **more), ["meters/#"])


def client(name: str = "client", **more: Any) -> Client:
    return Client(CallbackAPIVersion.VERSION2, client_id=name, **more)


# -- what must not be lost -------------------------------------------------------------


def test_a_publisher_that_leaves_at_once_has_sent_everything(broker: EmbeddedBroker) -> None:
    async def run() -> None:
        async with source(broker) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(numbers(5000))
                publisher.all_confirmed()
            assert payloads(await receive(reader, 5000)) == numbers(5000)

    asyncio.run(run())


def test_a_reader_that_takes_its_time_gets_each_message_once(broker: EmbeddedBroker) -> None:
    """By itself amqtt forgets a message after five seconds without an acknowledgement."""

    async def run() -> None:
        async with source(broker) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(numbers(100))
                publisher.all_confirmed()
            taken = await reader.take(100, 1.0)
            await asyncio.sleep(6)
            reader.ack([token for _, token in taken])
            if len(taken) < 100:
                taken += await receive(reader, 100 - len(taken))
            assert payloads(taken) == numbers(100)
        async with source(broker) as reader:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.take(1, 0), 0.5)

    asyncio.run(run())


def test_what_comes_while_the_reader_is_away_waits_for_it(broker: EmbeddedBroker) -> None:
    async def run() -> None:
        async with source(broker) as reader:
            await reader.connected()
        with Publisher(broker.port) as publisher:
            publisher.send_all(numbers(3000))
            publisher.all_confirmed()
        async with source(broker) as reader:
            got = await receive(reader, 3000)
        assert payloads(got) == numbers(3000)
        assert not any(message.retained for message, _ in got), "amqtt marks such messages as retained"

    asyncio.run(run())


def test_after_a_restart_publishers_wait_for_the_reader() -> None:
    """They come back sooner than ingest; a message that is confirmed must have somebody who gets it."""

    async def run() -> None:
        with BrokerProcess() as broker, Publisher(broker.port) as publisher:
            publisher.send_all(numbers(200))
            await asyncio.sleep(0.3)
            assert publisher.unconfirmed == 200
            async with source(broker) as reader:
                assert payloads(await receive(reader, 200)) == numbers(200)
            publisher.all_confirmed()

    asyncio.run(run())


def test_a_session_that_is_taken_over_goes_on(broker: EmbeddedBroker) -> None:
    """The new connection is there before the broker has seen the end of the old one, again and again."""
    each, rounds = 150, 20

    async def run() -> None:
        seen: set[bytes] = set()
        current = source(broker)
        current.start()
        await current.connected()
        with Publisher(broker.port) as publisher:
            for number in range(rounds):
                publisher.send_all(numbers(each, first=each * number))
                heir = source(broker)
                heir.start()
                while not heir.stats.connections:
                    await asyncio.sleep(0.001 * (number % 4))
                # both are here for a moment, and throw each other out
                seen.update(payloads(await receive(heir, 1)))
                await current.close()
                current = heir
            while len(seen) < each * rounds:
                seen.update(payloads(await receive(current, 1)))
        await current.close()
        assert seen == set(numbers(each * rounds))

    asyncio.run(run())


def test_of_three_connections_of_a_session_the_newest_has_it_and_the_others_end(
    broker: EmbeddedBroker,
) -> None:
    """None is left open and forgotten, waiting for messages that go elsewhere."""

    def connect() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", broker.port), timeout=10)
        sock.sendall(b"\x10\x0d\0\4MQTT\4\0\0\0\0\1x")
        assert sock.recv(4)[:2] == b"\x20\x02"
        return sock

    for _ in range(10):
        first = connect()
        first.sendall(b"\x82\x06\0\1\0\1#\1")
        assert first.recv(5) == b"\x90\x03\0\1\1"
        second = connect()
        third = connect()
        for older in (first, second):
            assert older.recv(1) == b""
            older.close()
        with Publisher(broker.port) as publisher:
            publisher.send("m", b"y")
            publisher.all_confirmed()
        packet = third.recv(100)
        assert packet[-1:] == b"y"
        third.sendall(b"\x40\x02" + packet[5:7])
        third.sendall(b"\xe0\0")
        third.close()


def test_a_session_that_is_full_holds_publishers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_amqtt, "_LIMIT", 100_000)
    sent = [b"%d " % number + b"x" * 1000 for number in range(1000)]

    async def run() -> None:
        with EmbeddedBroker() as broker:
            async with source(broker) as reader:
                await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(sent)
                await until(lambda: publisher.unconfirmed < 950, "the first confirmations")
                await asyncio.sleep(0.5)
                assert publisher.unconfirmed > 850
                async with source(broker) as reader:
                    assert payloads(await receive(reader, 1000)) == sent
                publisher.all_confirmed()

    asyncio.run(run())


def test_a_broker_with_a_small_window_does_not_make_every_batch_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_amqtt, "_WINDOW", 20)

    async def run() -> None:
        with EmbeddedBroker() as broker:
            async with source(broker) as reader:
                await reader.connected()
                with Publisher(broker.port) as publisher:
                    publisher.send_all(numbers(1000))
                    publisher.all_confirmed()
                loop = asyncio.get_running_loop()
                began, got = loop.time(), 0
                while got < 1000:
                    batch = await reader.take(500, 1.0)
                    got += len(batch)
                    reader.ack([token for _, token in batch])
                # fifty windows: with a second of waiting for each it would be 50 s
                assert loop.time() - began < 15

    asyncio.run(run())


# -- what brokers do -------------------------------------------------------------------


def test_every_subscriber_gets_a_message_and_who_unsubscribes_none(broker: EmbeddedBroker) -> None:
    got: list[tuple[str, str, int]] = []
    events = threading.Semaphore(0)
    readers = [client("one"), client("two")]
    for number, reader in enumerate(readers):

        def on_message(_client: Client, _data: object, message: MQTTMessage, number: int = number) -> None:
            got.append((f"{number}", message.topic, message.qos))
            events.release()

        reader.on_message = on_message
        reader.on_subscribe = lambda *_: events.release()
        reader.on_unsubscribe = lambda *_: events.release()
        reader.connect("127.0.0.1", broker.port)
        reader.subscribe("a/+", number)
        reader.loop_start()
        assert events.acquire(timeout=10)
    keeper = client("keeper", clean_session=False)
    keeper.on_subscribe = lambda *_: events.release()
    keeper.connect("127.0.0.1", broker.port)
    keeper.subscribe("never", 1)
    keeper.loop_start()
    assert events.acquire(timeout=10)
    for qos in (0, 1, 2):
        keeper.publish("a/b", b"x", qos=qos).wait_for_publish(10)
    for _ in range(6):
        assert events.acquire(timeout=10)
    readers[0].unsubscribe("a/+")
    assert events.acquire(timeout=10)
    keeper.publish("a/b", b"y", qos=1).wait_for_publish(10)
    assert events.acquire(timeout=10)
    assert sorted(got) == [("0", "a/b", 0)] * 3 + [("1", "a/b", 1)] * 4
    for each in (*readers, keeper):
        each.disconnect()
        each.loop_stop()


def test_mqtt_5_is_refused_with_its_own_reason(broker: EmbeddedBroker) -> None:
    said: list[str] = []
    heard = threading.Event()
    modern = client("modern", protocol=MQTTProtocolVersion.MQTTv5)

    def on_connect(
        _client: Client, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        said.append(str(reason))
        heard.set()

    modern.on_connect = on_connect
    modern.connect("127.0.0.1", broker.port)
    modern.loop_start()
    assert heard.wait(10)
    modern.disconnect()
    modern.loop_stop()
    assert said[0] == "Unsupported protocol version"


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x32\x07\x00\x01a\x00\x01xy", b"\x10\xff\xff\xff\xff\xff"]
)
def test_what_is_no_mqtt_client_is_shown_the_door(broker: EmbeddedBroker, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", broker.port), timeout=15) as sock:
        sock.sendall(noise)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    asyncio.run(_still_works(broker))


async def _still_works(broker: EmbeddedBroker) -> None:
    async with source(broker) as reader:
        await reader.connected()
        with Publisher(broker.port) as publisher:
            publisher.send("meters/m1", b"fine")
            assert payloads(await receive(reader, 1)) == [b"fine"]


# -- start and end ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EmbeddedBroker, BrokerProcess])
def test_a_port_that_is_taken_is_said_clearly(kind: type[EmbeddedBroker | BrokerProcess]) -> None:
    with EmbeddedBroker() as first, pytest.raises(Rejected, match=r"cannot listen there.*another broker"):
        kind(first.port).start()


@pytest.mark.parametrize("kind", [EmbeddedBroker, BrokerProcess])
def test_it_only_listens_to_this_machine(kind: type[EmbeddedBroker | BrokerProcess]) -> None:
    with pytest.raises((ValueError, Rejected), match=r"expected a loopback address, got '0\.0\.0\.0'"):
        kind(0, "0.0.0.0").start()


def test_it_ends_in_good_order_when_what_it_holds_is_acknowledged() -> None:
    async def run() -> None:
        broker = BrokerProcess().start()
        async with source(broker) as reader:
            await reader.connected()
            publisher = Publisher(broker.port)
            publisher.send_all(numbers(2000))
            publisher.all_confirmed()
            publisher.close()
            stopping = asyncio.create_task(asyncio.to_thread(broker.stop))
            assert payloads(await receive(reader, 2000)) == numbers(2000)
            await asyncio.wait_for(stopping, 4)  # sooner than its patience of five seconds

    asyncio.run(run())


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom connectors.embedded_broker import BrokerProcess\n"
        "b = BrokerProcess().start()\nprint(b.port, b.pid, flush=True)\ntime.sleep(600)\n"
    )
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        port, _ = (int(word) for word in parent.stdout.readline().split())
        assert accepts(port)
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not accepts(port), "the end of the orphan", 15)


def test_the_command_says_its_port_and_ends_on_sigterm() -> None:
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-m", "connectors.embedded_broker", "--port", "0"],
        stdout=subprocess.PIPE, text=True, cwd=root,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert accepts(json.loads(process.stdout.readline())["port"])
        process.terminate()
        assert process.wait(10) == 0


def test_a_killed_process_comes_back_on_its_port() -> None:
    with BrokerProcess() as broker:
        port = broker.port
        broker.kill()
        assert not broker.running
        broker.start()
        assert broker.port == port
        assert accepts(port)


def test_amqtt_still_has_what_is_built_on() -> None:
    """If this fails, amqtt has changed: look at connectors/embedded_amqtt.py before raising its version."""
    wanted = {
        Broker: {
            "_initialize_client_session": ["reader", "writer", "remote_address", "remote_port"],
            "_handle_disconnect": ["client_session", "handler", "disconnect_waiter"],
            "_retain_broadcast_message": ["broadcast", "qos", "target_session"],
            "_publish_retained_messages_for_subscription": ["subscription", "session"],
            "external_connected": ["reader", "writer", "listener_name"],
        },
        ProtocolHandler: {"_retry_deliveries": [], "attach": ["session", "reader", "writer"]},
    }
    for owner, methods in wanted.items():
        for name, parameters in methods.items():
            assert list(inspect.signature(getattr(owner, name)).parameters) == ["self", *parameters], name
    assert "_retry_deliveries()" in inspect.getsource(ProtocolHandler.start)
    assert issubclass(BrokerProtocolHandler, ProtocolHandler)


def test_it_takes_thousands_of_messages_a_second() -> None:
    """A floor far below what a quiet machine does (about 80,000), so that a loaded one passes."""

    async def run() -> float:
        with BrokerProcess() as broker:
            async with source(broker) as reader:
                await reader.connected()
                with Publisher(broker.port) as publisher:
                    began = time.perf_counter()
                    publisher.send_all(numbers(20_000))
                    await receive(reader, 20_000)
                    return 20_000 / (time.perf_counter() - began)

    assert asyncio.run(run()) > 2000
