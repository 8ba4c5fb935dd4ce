"""The log on a real Apache Kafka: durable, in order, once; patient, but not for ever."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from connectors.kafka_log import KafkaLog
from streams.ports import Log, Rejected, Unavailable
from tests.conftest import require
from tests.services.kafka import Kafka
from tests.services.process import free_port

_numbers = itertools.count()


@pytest.fixture
def topic() -> str:
    """A name that no other test uses."""
    return f"log-{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="module")
def mortal() -> Iterator[Kafka]:
    """A broker that is there to be killed: others may be reading from the session's."""
    require(Kafka)
    with Kafka() as broker:
        yield broker


@pytest.fixture
def own(mortal: Kafka) -> Kafka:
    """The same, running; each test has a topic of its own."""
    return mortal.start()


async def everything(log: KafkaLog, topic: str, partition: int, start: int = 0) -> list[bytes | None]:
    return [value async for _, _, value in log.read(topic, partition, start)]


async def insist(log: KafkaLog, topic: str, value: bytes, partition: int) -> tuple[int, int]:
    """Append until it works: the offset, and how often it was unavailable."""
    for refused in itertools.count():
        try:
            return await log.append(topic, value, partition=partition), refused
        except Unavailable:
            await asyncio.sleep(0.05)
    raise AssertionError


# -- what the port promises


def test_it_is_a_log() -> None:
    async def check() -> None:
        log: Log = KafkaLog("kafka://127.0.0.1:1")
        await log.close()  # never connected

    asyncio.run(check())


def test_records_come_back_with_offset_key_and_value(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 3)
            assert await log.end(topic, 1) == 0
            assert [record async for record in log.read(topic, 1)] == []
            assert [await log.append(topic, b"%d" % i, partition=1) for i in range(3)] == [0, 1, 2]
            assert await log.append(topic, None, key=b"gone", partition=1) == 3
            assert await log.append(topic, b"", key=b"empty", partition=1) == 4
            assert await log.end(topic, 1) == 5
            assert await log.end(topic, 0) == 0
            assert [record async for record in log.read(topic, 1, 2)] == [
                (2, None, b"2"),
                (3, b"gone", None),
                (4, b"empty", b""),
            ]
            assert await everything(log, topic, 1, 5) == []
            with pytest.raises(ValueError, match="key or a value"):
                await log.append(topic, None)

    asyncio.run(check())


def test_a_reader_stops_at_the_end_as_it_was_and_may_stop_early(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 1)
            await asyncio.gather(*(log.append(topic, b"%d" % i, partition=0) for i in range(100)))
            seen = 0
            async for _ in log.read(topic, 0):
                if not seen:
                    await log.append(topic, b"late", partition=0)
                seen += 1
            assert seen == 100
            async for offset, _, value in log.read(topic, 0, 42):
                assert (offset, value) == (42, b"42")
                break

    asyncio.run(check())


def test_without_a_partition_the_key_decides_as_in_kafkas_own_clients(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        # murmur2 as the Java client's own tests state it
        java = {b"21": -973932308, b"foobar": -790332482, b"abc": 479470107}
        expected = {key: (hashed & 0x7FFFFFFF) % 8 for key, hashed in java.items()}
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 8)
            for key, partition in expected.items():
                before = await log.end(topic, partition)
                await log.append(topic, b"x", key=key)
                assert await log.end(topic, partition) == before + 1
            await log.append(topic, b"anywhere")
            assert sum([await log.end(topic, p) for p in range(8)]) == 4

    asyncio.run(check())


def test_concurrent_appends_keep_the_order_of_their_calls(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 2)
            values = [b"%d" % i + b"." * (i % 7 * 20_000) for i in range(400)]  # batches fill up in between
            offsets = await asyncio.gather(
                *(log.append(topic, v, partition=i % 2) for i, v in enumerate(values))
            )
            assert offsets == [i // 2 for i in range(400)]
            assert await everything(log, topic, 0) == values[::2]
            assert await everything(log, topic, 1) == values[1::2]

    asyncio.run(check())


def test_the_same_record_twice_at_once_is_two_records(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 1)
            assert sorted(
                await asyncio.gather(*(log.append(topic, b"x", partition=0) for _ in range(3)))
            ) == [0, 1, 2]

    asyncio.run(check())


def test_a_reader_gets_past_what_is_no_record(kafka: Kafka, topic: str) -> None:
    """A transaction of somebody else ends in a control record: it has an offset, and nobody ever gets it."""

    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 1)
            producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic)
            await producer.start()
            async with producer.transaction():
                await producer.send(topic, b"theirs", partition=0)
            await producer.stop()
            assert await log.end(topic, 0) == 2
            assert await everything(log, topic, 0) == [b"theirs"]
            await log.append(topic, b"ours", partition=0)
            assert await everything(log, topic, 0) == [b"theirs", b"ours"]

    asyncio.run(check())


def test_large_records_pass_and_too_large_ones_are_rejected(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 1)
            large = os.urandom(8 << 20)
            await log.append(topic, large, partition=0)
            with pytest.raises(Rejected, match="larger"):
                await log.append(topic, bytes(17 << 20), partition=0)
            await log.append(topic, b"after", partition=0)
            assert await everything(log, topic, 0) == [large, b"after"]

    asyncio.run(check())


def test_a_topics_own_limit_rejects_the_large_record_alone(kafka: Kafka, topic: str) -> None:
    """The broker refuses a whole batch: the small records in it are not to blame."""

    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(topic, 1, settings={"max.message.bytes": "2000"})
            values = [b"%d" % i + bytes(3000 if i == 5 else 100) for i in range(10)]
            results = await asyncio.gather(
                *(insist(log, topic, value, 0) for value in values), return_exceptions=True
            )
            assert [i for i, result in enumerate(results) if isinstance(result, Rejected)] == [5]
            assert not any(isinstance(result, BaseException) for result in results[:5] + results[6:])
            stored = await everything(log, topic, 0)
            assert sorted(stored, key=str) == sorted(values[:5] + values[6:], key=str)
            await log.append(topic, b"after", partition=0)

    asyncio.run(check())


# -- topics


def test_topics_are_created_with_our_settings_and_never_changed(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url) as log:
            await asyncio.gather(*(log.ensure_topic(topic, 3, compact=True) for _ in range(4)))
            await log.ensure_topic(topic, 3)
            with pytest.raises(Rejected, match="expected 4 partitions, it exists with 3"):
                await log.ensure_topic(topic, 4)
            with pytest.raises(Rejected, match=r"nonsense"):
                await log.ensure_topic(topic + "-b", 1, settings={"retention.ms": "nonsense"})
            with pytest.raises(Rejected, match=r"[Nn]ame|InvalidTopic"):
                await log.ensure_topic("no spaces here", 1)
        async with KafkaLog(kafka.url, replication=3) as log:
            with pytest.raises(Rejected, match=r"[Rr]eplication"):
                await log.ensure_topic(topic + "-c", 1)
        found = await configs(kafka, topic)
        assert found["cleanup.policy"] == "compact"
        assert found["max.message.bytes"] == str(16 << 20)
        assert found["min.insync.replicas"] == "1"

    asyncio.run(check())


async def configs(kafka: Kafka, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        answer = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer[0].resources[0][4]}


def test_a_topic_or_partition_that_there_is_not(kafka: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(kafka.url, patience_s=1.0) as log:
            with pytest.raises(Unavailable, match=topic):
                await log.append(topic, b"x", partition=0)
            with pytest.raises(Unavailable, match=topic):
                await log.end(topic, 0)
            await log.ensure_topic(topic, 2)
            with pytest.raises(Rejected, match="the topic has 2 partitions"):
                await log.append(topic, b"x", partition=2)
            with pytest.raises(Unavailable, match="partition 2"):
                await log.end(topic, 2)
            with pytest.raises(Unavailable, match="partition 2"):
                await everything(log, topic, 2)
            assert await log.append(topic, b"x", partition=1) == 0

    asyncio.run(check())


# -- a broker that goes away


def test_nobody_there_is_told_within_its_patience() -> None:
    async def check() -> None:
        async with KafkaLog(f"kafka://127.0.0.1:{free_port()}", patience_s=0.5) as log:
            for attempt in (
                log.append("t", b"x"),
                log.end("t", 0),
                log.ensure_topic("t", 1),
                everything(log, "t", 0),
            ):
                started = time.monotonic()
                with pytest.raises(Unavailable, match=r"127\.0\.0\.1.*unavailable"):
                    await attempt
                assert time.monotonic() - started < 3

    asyncio.run(check())


def test_a_killed_broker_loses_doubles_and_reorders_nothing(own: Kafka, topic: str) -> None:
    """Appends go on through two kills; each call is repeated until it works."""

    async def writer(
        log: KafkaLog, partition: int, stop: asyncio.Event
    ) -> tuple[list[bytes], list[int], int]:
        sent, offsets, refused = [], [], 0
        for number in itertools.count():
            if stop.is_set():
                break
            sent.append(b"%d" % number + b"." * (number % 5 * 500))
            offset, times = await insist(log, topic, sent[-1], partition)
            offsets.append(offset)
            refused += times
        return sent, offsets, refused

    async def check() -> None:
        async with KafkaLog(own.url, patience_s=1.0) as log:
            await log.ensure_topic(topic, 2)
            stop = asyncio.Event()
            writers = [asyncio.create_task(writer(log, partition, stop)) for partition in (0, 1)]
            for _ in range(2):
                before = await log.end(topic, 0)
                while await log.end(topic, 0) < before + 50:
                    await asyncio.sleep(0.01)
                own.kill()
                await asyncio.sleep(1.5)  # longer than its patience
                await asyncio.to_thread(own.start)
                for writing in writers:
                    assert not writing.done()
                while not await reached(log, topic, before + 100):
                    await asyncio.sleep(0.05)
            stop.set()
            for partition, (sent, offsets, refused) in enumerate(await asyncio.gather(*writers)):
                assert refused > 0
                assert offsets == list(range(len(sent)))
                assert await everything(log, topic, partition) == sent

    asyncio.run(check())


async def reached(log: KafkaLog, topic: str, offset: int) -> bool:
    try:
        return await log.end(topic, 0) >= offset
    except Unavailable:
        return False


def test_an_append_given_up_is_taken_up_again_by_the_same_call(own: Kafka, topic: str) -> None:
    async def check() -> None:
        async with KafkaLog(own.url, patience_s=0.5) as log:
            await log.ensure_topic(topic, 1)
            await log.append(topic, b"0", partition=0)
            own.kill()
            for _ in range(3):
                with pytest.raises(Unavailable, match="no acknowledgement"):
                    await log.append(topic, b"1", partition=0)
            cancelled = asyncio.create_task(log.append(topic, b"2", partition=0))
            await asyncio.sleep(0.1)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await asyncio.to_thread(own.start)
            assert (await insist(log, topic, b"2", 0))[0] == 2
            assert (await insist(log, topic, b"1", 0))[0] == 1
            assert (await insist(log, topic, b"1", 0))[0] == 3  # said once more, after that it was answered
            assert await everything(log, topic, 0) == [b"0", b"1", b"2", b"1"]

    asyncio.run(check())


def test_memory_is_bounded_while_the_broker_is_away_and_closing_does_not_hang(own: Kafka, topic: str) -> None:
    async def check() -> None:
        log = KafkaLog(own.url, patience_s=0.3)
        await log.ensure_topic(topic, 1)
        await log.append(topic, b"0", partition=0)
        own.kill()
        block = bytes(400_000)
        results = await asyncio.gather(
            *(log.append(topic, b"%d" % i + block, partition=0) for i in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, Unavailable) for result in results)
        assert waiting_bytes(log) < 4 << 20
        started = time.monotonic()
        await log.close()
        assert time.monotonic() - started < 3

    asyncio.run(check())


def waiting_bytes(log: KafkaLog) -> int:
    assert log._producer is not None
    accumulator = log._producer._message_accumulator
    batches = [batch for queued in accumulator._batches.values() for batch in queued]
    return sum(batch._builder.size() for batch in [*batches, *accumulator._pending_batches])
