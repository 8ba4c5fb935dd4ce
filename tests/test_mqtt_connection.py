"""MQTT in: getting in, being refused, sharing, and brokers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from connectors.embedded_broker import EmbeddedBroker
from connectors.mqtt import Limits, MqttSource, Tls
from connectors.mqtt_config import Backoff
from connectors.mqtt_paho import Paho
from connectors.mqtt_socket import FrameSocket
from streams.ports import Unavailable
from tests.conftest import require
from tests.mqtt_tools import Publisher, config, numbers, payloads, receive, until
from tests.services.mosquitto import Mosquitto
from tests.services.process import free_port

VERSIONS = ["5", "3.1.1"]


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a broker's certificate for 127.0.0.1 and a client's, whose key has the password ``open``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; the package of that name has it")
    place = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")
    for name in ("ca", "other"):
        openssl(
            place, "req", "-x509", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-subj", f"/CN=test {name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key")
    openssl(
        place, "req", "-x509", *key, "-nodes", *signed, "-keyout", "broker.key", "-out", "broker.pem",
        "-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1",
        "-addext", "basicConstraints=CA:FALSE",
    )  # fmt: skip
    openssl(
        place, "req", "-x509", *key, *signed, "-passout", "pass:open", "-keyout", "client.key",
        "-out", "client.pem", "-subj", "/CN=ingest", "-addext", "basicConstraints=CA:FALSE",
    )  # fmt: skip
    return place


@pytest.fixture
def tls_broker(certificates: Path) -> Iterator[Mosquitto]:
    """A Mosquitto that speaks TLS only and wants a client certificate."""
    require(Mosquitto)
    lines = [
        f"cafile {certificates}/ca.pem",
        f"certfile {certificates}/broker.pem",
        f"keyfile {certificates}/broker.key",
        "require_certificate true",
        "use_identity_as_username true",
    ]
    with Mosquitto(lines=lines) as broker:
        yield broker


def tls_url(broker: Mosquitto) -> str:
    return f"mqtts://127.0.0.1:{broker.port}"


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_with_ca_client_certificate_and_encrypted_key(
    tls_broker: Mosquitto, certificates: Path, version: str
) -> None:
    tls = Tls(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key", "open")

    async def run() -> None:
        reading = config(tls_url(tls_broker), "reader", tls=tls, protocol=version)
        writing = config(tls_url(tls_broker), "writer", tls=tls, protocol=version)
        async with MqttSource(reading, ["meters/#"]) as reader, MqttSource(writing, ["none"]) as writer:
            await reader.connected()
            await writer.connected()
            sent = [b"%d " % number + b"x" * 1000 for number in range(2000)]
            for payload in sent:
                writer.reply("meters/m1", payload)
            # many TLS records: what is decrypted but not read must not be forgotten
            assert payloads(await receive(reader, len(sent))) == sent
            writer.reply("meters/m1", b"y" * (10 << 20))
            assert [len(payload) for payload in payloads(await receive(reader, 1))] == [10 << 20]

    asyncio.run(run())


def test_a_broker_that_the_ca_did_not_sign_is_refused(tls_broker: Mosquitto, certificates: Path) -> None:
    tls = Tls(certificates / "other.pem", certificates / "client.pem", certificates / "client.key", "open")

    async def run() -> None:
        async with MqttSource(config(tls_url(tls_broker), tls=tls), ["#"]) as reader:
            await until(lambda: reader.stats.attempts >= 2, "a second attempt")
            assert "certificate verify failed" in reader.stats.last_error
            assert reader.stats.connections == 0

    asyncio.run(run())


def test_without_a_client_certificate_the_broker_refuses_and_the_state_says_so(
    tls_broker: Mosquitto, certificates: Path
) -> None:
    async def run() -> None:
        tls = Tls(certificates / "ca.pem")
        async with MqttSource(config(tls_url(tls_broker), tls=tls), ["#"]) as reader:
            await until(lambda: reader.stats.attempts >= 2, "a second attempt")
            assert "certificate required" in reader.stats.last_error

    asyncio.run(run())


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_key_that_does_not_open_is_an_error_before_any_connection(
    certificates: Path, password: str | None
) -> None:
    tls = Tls(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key", password)
    with pytest.raises(ValueError, match=r"could not open the key .*client\.key"):
        MqttSource(config("mqtts://127.0.0.1", tls=tls), ["#"])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto that knows one user."""
    require(Mosquitto)
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "ingest", "right"], check=True)
    passwords.chmod(0o600)
    with Mosquitto(anonymous=False, lines=[f"password_file {passwords}"]) as broker:
        yield broker


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_password_is_said_clearly_and_tried_again(guarded: Mosquitto, version: str) -> None:
    async def run() -> None:
        wrong = config(guarded.url, username="ingest", password="wrong", protocol=version)
        async with MqttSource(wrong, ["#"]) as reader:
            with pytest.raises(
                Unavailable, match=r"Not authorized.*user 'ingest'.*check the username and password"
            ):
                await reader.connected(1.5)
            assert reader.stats.attempts >= 3
            assert reader.stats.connections == 0
            assert "wrong" not in reader.stats.last_error
        right = config(guarded.url, username="ingest", password="right", protocol=version)
        async with MqttSource(right, ["#"]) as reader:
            await reader.connected()
        assert "right" not in repr(right)

    asyncio.run(run())


@pytest.mark.parametrize("version", VERSIONS)
def test_two_instances_of_a_shared_group_get_each_message_once(mosquitto: Mosquitto, version: str) -> None:
    count = 10_000

    async def run() -> None:
        def instance(number: int) -> MqttSource:
            chosen = config(mosquitto.url, f"ingest-{number}", shared_group="ingest", protocol=version)
            return MqttSource(chosen, ["meters/#"])

        got: list[list[bytes]] = [[], []]

        async def work(reader: MqttSource, into: list[bytes]) -> None:
            while True:
                batch = await reader.take(500, 0.01)
                into += payloads(batch)
                reader.ack([token for _, token in batch])

        async with instance(1) as one, instance(2) as two:
            await one.connected()
            await two.connected()
            tasks = [asyncio.create_task(work(one, got[0])), asyncio.create_task(work(two, got[1]))]
            with Publisher(mosquitto.port) as publisher:
                publisher.send_all(numbers(count))
                await until(lambda: len(got[0]) + len(got[1]) >= count, "every message", 60)
            for task in tasks:
                task.cancel()
        assert sorted(got[0] + got[1]) == sorted(numbers(count))
        assert min(len(got[0]), len(got[1])) > count // 10, "both have work"

    asyncio.run(run())


def test_a_second_client_of_the_same_name_is_called_by_its_name(mosquitto: Mosquitto) -> None:
    async def run() -> None:
        chosen = config(mosquitto.url, "twin", protocol="5", backoff=Backoff(1.0, 1.0))
        async with MqttSource(chosen, ["#"]) as one:
            await one.connected()
            async with MqttSource(chosen, ["#"]):
                await until(lambda: "use the client_id 'twin'?" in one.stats.last_error, "the reason")

    asyncio.run(run())


def test_what_an_older_subscription_holds_back_with_qos_2_arrives_too(mosquitto: Mosquitto) -> None:
    """A session may have been made by another program, with QoS 2: its messages must not jam ours."""
    subscribed = threading.Event()
    old = Client(CallbackAPIVersion.VERSION2, client_id="ingest", clean_session=False)
    old.on_subscribe = lambda *_: subscribed.set()
    old.connect("127.0.0.1", mosquitto.port)
    old.subscribe("meters/#", 2)
    old.loop_start()
    assert subscribed.wait(10)
    old.disconnect()
    old.loop_stop()
    writer = Client(CallbackAPIVersion.VERSION2)
    writer.connect("127.0.0.1", mosquitto.port)
    writer.loop_start()
    for payload in numbers(50):
        writer.publish("meters/m1", payload, qos=2).wait_for_publish(10)
    writer.disconnect()
    writer.loop_stop()

    async def run() -> None:
        async with MqttSource(config(mosquitto.url, protocol="3.1.1"), ["meters/#"]) as reader:
            assert payloads(await receive(reader, 50)) == numbers(50)
            await until(lambda: reader.stats.unacknowledged == 0, "a receipt for every message")
        async with MqttSource(config(mosquitto.url, protocol="3.1.1"), ["meters/#"]) as reader:
            await reader.connected()
            with Publisher(mosquitto.port) as publisher:
                publisher.send("meters/m1", b"after")
                assert payloads(await receive(reader, 1)) == [b"after"]

    asyncio.run(run())


def test_it_connects_again_while_nobody_takes(mosquitto: Mosquitto) -> None:
    """A full hand-over must not keep the answer to CONNECT from being read."""

    async def run() -> None:
        limits = Limits(receive_maximum=10)
        async with MqttSource(config(mosquitto.url, protocol="3.1.1", limits=limits), ["meters/#"]) as reader:
            await reader.connected()
            with Publisher(mosquitto.port) as publisher:
                publisher.send_all(numbers(500))
                await until(lambda: reader.stats.paused, "a full hand-over")
                mosquitto.stop()
                mosquitto.start()
                await until(lambda: reader.stats.connections == 2, "a new connection")
                seen: set[bytes] = set()
                while len(seen) < 500:
                    seen.update(payloads(await receive(reader, 1)))
            assert seen == set(numbers(500))

    asyncio.run(run())


@contextlib.contextmanager
def fake_broker(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> Iterator[str]:
    """A server that says to each connection what ``talk`` writes, and keeps it open."""
    port = free_port()
    ready, done = threading.Event(), threading.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk(reader, writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(connected, "127.0.0.1", port):
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    ready.wait()
    try:
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        done.set()
        thread.join()


def test_a_broker_that_never_answers_is_given_up_and_tried_again() -> None:
    async def run() -> None:
        with fake_broker(lambda _reader, _writer: None) as url:
            async with MqttSource(config(url, connect_timeout_s=0.3), ["#"]) as reader:
                await until(lambda: reader.stats.attempts >= 3, "a third attempt")
                assert reader.stats.last_error == "the broker did not answer CONNECT within 0.3 s"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x20\x03\x00\x00\x00" + b"\x32\x02\x00\x09", "shorter than its own topic"),
        (b"\x20\x03\x00\x00\x00" + b"\x32\xff\xff\xff\xff\xff", "at most four bytes"),
        (b"\x20\x03\x00\x00\x00" + b"\xf0\x00", "lost"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the broker"),
    ],
    ids=["short publish", "long length", "unknown packet", "not a broker"],
)
def test_garbage_ends_the_connection_with_a_reason_and_not_the_source(said: bytes, reason: str) -> None:
    async def run() -> None:
        with fake_broker(lambda _reader, writer: writer.write(said)) as url:
            async with MqttSource(config(url, protocol="5", connect_timeout_s=0.5), ["#"]) as reader:
                await until(lambda: reader.stats.attempts >= 3, "a third attempt")
                assert reason in reader.stats.last_error
                assert reader.stats.state != "stopped"

    asyncio.run(run())


def test_mqtt_5_is_tried_first_and_3_1_1_where_there_is_no_5(mosquitto: Mosquitto) -> None:
    async def version(url: str) -> str:
        async with MqttSource(config(url), ["meters/#"]) as reader:
            await reader.connected()
            return reader.stats.protocol

    assert asyncio.run(version(mosquitto.url)) == "5"
    with EmbeddedBroker() as broker:
        assert asyncio.run(version(broker.url)) == "3.1.1"


def test_a_filter_that_is_refused_is_named() -> None:
    async def run() -> None:
        with EmbeddedBroker() as broker:
            shared = config(broker.url, shared_group="ingest")
            async with MqttSource(shared, ["meters/#"]) as reader:
                await until(lambda: bool(reader.stats.last_error), "the refusal")
                assert "refused to let us read $share/ingest/meters/#" in reader.stats.last_error
                assert reader.stats.state != "connected"

    asyncio.run(run())


def test_close_is_quick_whatever_the_connection_does() -> None:
    async def run(url: str) -> float:
        reader = MqttSource(config(url), ["#"])
        reader.start()
        waiting = asyncio.create_task(reader.take(1, 0))
        await until(lambda: reader.stats.attempts >= 1, "an attempt")
        began = asyncio.get_running_loop().time()
        await reader.close()
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
        assert reader.stats.state == "stopped"
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(run(f"mqtt://127.0.0.1:{free_port()}")) < 2
    with fake_broker(lambda _reader, _writer: None) as url:
        assert asyncio.run(run(url)) < 2


def test_paho_still_makes_its_socket_where_we_put_ours() -> None:
    """If this fails, paho-mqtt has changed: look at connectors/mqtt_paho.py before raising its version."""
    made = inspect.signature(Client._create_socket)
    assert list(made.parameters) == ["self"]
    assert "self._create_socket()" in inspect.getsource(Client.reconnect)
    assert isinstance(inspect.getattr_static(Paho, "_create_socket"), type(lambda: 0))
    for name in ("recv", "send", "close", "fileno", "setblocking", "pending"):
        assert hasattr(FrameSocket, name)


def test_a_paho_that_makes_its_socket_elsewhere_is_refused_in_plain_words(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Paho, "_create_socket")

    async def run() -> None:
        async with MqttSource(config(mosquitto.url), ["#"]) as reader:
            await until(lambda: "install the version that is locked" in reader.stats.last_error, "the reason")

    asyncio.run(run())
