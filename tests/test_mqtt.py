"""MQTT in: the same promises on Mosquitto with both versions of MQTT and on the broker we bring along."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from connectors.embedded_broker import BrokerProcess
from connectors.mqtt import Backoff, Limits, MqttSource
from connectors.mqtt import Protocol as Version
from tests.conftest import require
from tests.mqtt_tools import Publisher, collect, config, numbers, payloads, receive, until
from tests.services.mosquitto import Mosquitto
from tests.services.process import wait_until

TOPIC = "meters/m1"


class Server(Protocol):
    """What both brokers can do."""

    port: int

    @property
    def url(self) -> str: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class Broker:
    """A running broker and the version of MQTT that the test speaks."""

    server: Server
    version: Version
    keeps: bool  # what it holds outlives a kill, but for the last second

    def store(self, client_id: str) -> None:
        """Let the broker write down that it has this client's session."""
        if isinstance(self.server, Mosquitto):
            os.kill(self.server.pid, signal.SIGUSR1)
            database = self.server.dir / "mosquitto.db"
            wait_until(
                lambda: database.exists() and client_id.encode() in database.read_bytes(),
                "the session on disk",
            )

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> int:
        return self.server.port


@pytest.fixture(params=["mosquitto-5", "mosquitto-3.1.1", "embedded"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    kind, _, version = request.param.partition("-")
    if kind == "mosquitto":
        require(Mosquitto)
        with Mosquitto() as mosquitto:
            yield Broker(mosquitto, version, keeps=True)
    else:
        with BrokerProcess() as embedded:
            yield Broker(embedded, "auto", keeps=False)


def source(broker: Broker, client_id: str = "ingest", **more: object) -> MqttSource:
    return MqttSource(config(broker.url, client_id, protocol=broker.version, **more), ["meters/#"])


def test_fifty_thousand_messages_arrive_in_order_and_are_acknowledged(broker: Broker) -> None:
    count = 50_000

    async def run() -> None:
        async with source(broker) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(numbers(count))
                got = await receive(reader, count)
                publisher.all_confirmed()
            assert payloads(got) == numbers(count)
            assert {message.topic for message, _ in got} == {TOPIC}
            assert not any(message.retained or message.redelivered for message, _ in got)
            await until(lambda: reader.stats.acknowledged == count, "a receipt for every message")
            assert reader.stats.unacknowledged == 0
        # nothing is left for the next one
        async with source(broker) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send(TOPIC, b"after")
                assert payloads(await receive(reader, 1)) == [b"after"]

    asyncio.run(run())


def test_what_is_not_acknowledged_comes_again_marked_as_redelivered(broker: Broker) -> None:
    async def run() -> None:
        with Publisher(broker.port) as publisher:
            async with source(broker) as first:
                await first.connected()
                publisher.send_all(numbers(100))
                taken = await first.take(100, 1.0)
                while len(taken) < 100:
                    taken += await first.take(100, 1.0)
                first.ack([token for _, token in taken[:40]])
            async with source(broker) as second:
                again = await receive(second, 60)
                assert payloads(again) == numbers(60, first=40)
                assert all(message.redelivered for message, _ in again)
                # a token of the first connection says nothing to the second
                second.ack([token for _, token in taken])

    asyncio.run(run())


def test_tokens_of_a_connection_that_is_gone_are_not_acknowledged(broker: Broker) -> None:
    async def run() -> None:
        async with source(broker) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(numbers(50))
                old = await reader.take(50, 2.0)
                while len(old) < 50:
                    old += await reader.take(50, 2.0)
                publisher.all_confirmed()
            # a client of the same name ends the connection and leaves the session as it is
            async with source(broker) as twin:
                await twin.connected()
                await until(lambda: bool(reader.stats.last_error), "the loss of the connection")
            await until(
                lambda: reader.stats.connections > 1 and reader.stats.unacknowledged == 50, "all again"
            )
            reader.ack([token for _, token in old])
            assert (reader.stats.stale, reader.stats.acknowledged) == (50, 0)
            new: set[bytes] = set()
            while reader.stats.unacknowledged:
                batch = await receive(reader, 1)
                assert all(message.redelivered for message, _ in batch)
                new.update(payloads(batch))
            assert new == set(numbers(50))

    asyncio.run(run())


@pytest.mark.soak
def test_a_killed_broker_costs_no_message_that_the_publisher_can_bridge(broker: Broker, rounds: int) -> None:
    each = 3000

    async def run() -> None:
        with Publisher(broker.port) as publisher:
            async with source(broker) as reader:
                await reader.connected()
                broker.store("ingest")
                seen: set[bytes] = set()
                total = 0
                for number in range(max(rounds, 2)):
                    publisher.send_all(numbers(each, first=total))
                    total += each
                    # in mid-work: some have arrived, not all
                    got = await collect(reader, lambda got: len(got) >= each // 10)
                    seen.update(payloads(got))
                    assert len(seen) < total, "the broker was to be killed under load"
                    broker.server.kill()
                    await until(lambda: reader.stats.state == "waiting", "the loss of the connection")
                    broker.server.start()
                    await until(lambda n=number: reader.stats.connections >= n + 2, "a new connection")  # type: ignore[misc]
                    await until(lambda n=number: publisher.connections >= n + 2, "the publisher's return")  # type: ignore[misc]
                    got = await collect(
                        reader,
                        lambda got, want=total: len(seen.union(payloads(got))) >= want,  # type: ignore[misc]
                    )
                    seen.update(payloads(got))
                assert seen == set(numbers(total))

    asyncio.run(run())


CONSUMER = """
import asyncio, sys
from connectors.mqtt import MqttSource
from tests.mqtt_tools import config

async def main(url, version, path):
    async with MqttSource(config(url, "victim", protocol=version), ["meters/#"]) as source:
        with open(path, "ab", buffering=0) as log:
            while True:
                batch = await source.take(200, 0.01)
                log.write(b"".join(message.payload + b"\\n" for message, _ in batch))
                source.ack([token for _, token in batch])

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.soak
def test_a_killed_reader_loses_nothing_that_it_had_not_written(
    broker: Broker, tmp_path: Path, rounds: int
) -> None:
    """The reader writes, then acknowledges, and is killed in between, again and again."""
    count = 30_000
    written = tmp_path / "written"

    def lines() -> list[bytes]:
        # the last write may have been cut by the kill: it was not acknowledged
        return written.read_bytes().split(b"\n")[:-1] if written.exists() else []

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", CONSUMER, broker.url, broker.version, str(written)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        )

    def wait_for(more: int, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 60
        while len(set(lines())) < more:
            assert process.poll() is None, "the reader ended by itself"
            assert time.monotonic() < end, f"{len(set(lines()))} of {count} messages were written in 60 s"
            time.sleep(0.01)

    # the session must exist before anything is published
    reader = start()
    with Publisher(broker.port) as publisher:
        publisher.send("meters/first", b"0")
        end = time.monotonic() + 20
        while not lines():
            assert time.monotonic() < end
            publisher.send("meters/first", b"0")
            time.sleep(0.2)
        publisher.send_all(numbers(count))
        for number in range(max(rounds, 3)):
            wait_for(min(count - 1, (number + 1) * 500), reader)
            reader.send_signal(signal.SIGKILL)
            reader.wait()
            reader = start()
        wait_for(count, reader)
        reader.kill()
        reader.wait()
    assert set(lines()) == set(numbers(count))


def test_it_connects_again_with_growing_waits_and_a_low_ceiling(broker: Broker) -> None:
    async def run() -> None:
        backoff = Backoff(min_s=0.05, max_s=0.4)
        async with source(broker, backoff=backoff) as reader:
            await reader.connected()
            broker.server.stop()
            await until(lambda: reader.stats.state == "waiting", "the loss of the connection")
            assert reader.stats.last_error
            before, began = reader.stats.attempts, time.monotonic()
            await until(lambda: reader.stats.attempts >= before + 8, "eight attempts")
            took = time.monotonic() - began
            # 8 waits between half and all of 0.05, 0.1, 0.2, 0.4, 0.4 …: at least 1.1 s, at most 2.5 s
            assert 1.0 < took < 4.0
            assert "refused" in reader.stats.last_error.lower()
            broker.server.start()
            await reader.connected(10)
            with Publisher(broker.port) as publisher:
                publisher.send(TOPIC, b"back")
                assert payloads(await receive(reader, 1)) == [b"back"]

    asyncio.run(run())


def test_a_source_that_starts_before_its_broker_finds_it(broker: Broker) -> None:
    async def run() -> None:
        broker.server.stop()
        async with source(broker) as reader:
            await until(lambda: reader.stats.attempts >= 3, "three attempts")
            broker.server.start()
            await reader.connected()

    asyncio.run(run())


def test_a_retained_message_is_recognised(broker: Broker) -> None:
    async def run() -> None:
        async with source(broker, "another") as first:
            await first.connected()  # the embedded broker takes nothing while nobody reads
        with Publisher(broker.port) as publisher:
            publisher.send("meters/kept", b"old", retain=True)
            publisher.all_confirmed()
            async with source(broker) as reader:
                old = await receive(reader, 1)
                publisher.send("meters/kept", b"new", retain=True)
                new = await receive(reader, 1)
        assert [(message.payload, message.retained) for message, _ in old + new] == [
            (b"old", True),
            (b"new", False),
        ]

    asyncio.run(run())


def resident() -> int:
    """Memory of this process that is not swapped out. [bytes]"""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_slow_consumer_slows_the_broker_and_memory_stays_flat(broker: Broker) -> None:
    """80 MB wait while nothing is taken; we hold no more than the limit, and nothing is lost."""
    count, size, limit = 2000, 40_000, 50

    async def run() -> None:
        async with source(broker, limits=Limits(receive_maximum=limit, queued_bytes=4 << 20)) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send(TOPIC, b"warm up")
                await receive(reader, 1)
                sent = [b"%d " % number + b"x" * size for number in range(count)]
                before = resident()
                publisher.send_all(sent)
                publisher.all_confirmed()
                held = reader.stats
                assert resident() - before < 30 << 20
                # one piece of 64 KiB may come on top; Mosquitto 2.0.11 sends a few more than
                # MQTT 5 allows it, so there our own brake counts, at twice the limit
                most = limit * (2 if broker.version == "5" else 1) + 2
                assert held.queued <= most
                assert held.received_bytes <= (most + 1) * (size + 100)
                got: list[bytes] = []
                while len(got) < count:
                    batch = await reader.take(limit, 0.05)
                    assert len(batch) <= limit
                    assert reader.stats.unacknowledged <= most + limit
                    got += payloads(batch)
                    reader.ack([token for _, token in batch])
                assert got == sent
                assert reader.stats.connections == 1

    asyncio.run(run())


def test_the_session_outlives_a_pause_longer_than_the_keepalive(broker: Broker) -> None:
    async def run() -> None:
        limits = Limits(receive_maximum=5)
        async with source(broker, limits=limits, keepalive_s=2) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                publisher.send_all(numbers(100))
                publisher.all_confirmed()
                await until(lambda: reader.stats.queued >= 5, "the first messages")
                # the broker ends a session that is silent for 1.5 times 2 s
                await asyncio.sleep(6)
                assert payloads(await receive(reader, 100)) == numbers(100)
            assert reader.stats.connections == 1

    asyncio.run(run())


def test_ten_megabytes_arrive_whole_and_more_than_the_limit_as_a_beginning(broker: Broker) -> None:
    async def run() -> None:
        limits = Limits(max_packet=12 << 20)
        async with source(broker, limits=limits) as reader:
            await reader.connected()
            with Publisher(broker.port) as publisher:
                large, too_large = b"a" * (10 << 20), b"b" * (14 << 20)
                for payload in (b"before", large, too_large, b"after"):
                    publisher.send(TOPIC, payload)
                got = [message for message, _ in await receive(reader, 4)]
            assert got[0].payload == b"before"
            assert got[1].payload == large
            assert got[1].full_size == 0
            assert got[2].payload == too_large[: 1 << 16]
            assert got[2].full_size == 14 << 20
            assert got[3].payload == b"after"
            await until(lambda: reader.stats.unacknowledged == 0, "a receipt for every message")
            assert reader.stats.connections == 1

    asyncio.run(run())


def test_what_is_published_by_reply_arrives(broker: Broker) -> None:
    async def run() -> None:
        async with source(broker) as reader, source(broker, "other") as other:
            await reader.connected()
            await other.connected()
            reader.reply("meters/rebirth", b"please")
            got = await receive(other, 1)
            assert [(message.topic, message.payload) for message, _ in got] == [("meters/rebirth", b"please")]
            broker.server.stop()
            await until(lambda: reader.stats.state == "waiting", "the loss of the connection")
            reader.reply("meters/rebirth", b"nobody there")
            assert reader.stats.replies_dropped == 1

    asyncio.run(run())
