"""Records: order, offsets, partitions of keys, contents."""

from __future__ import annotations

import asyncio
import os

import pytest
from aiokafka.partitioner import murmur2 as kafka_murmur2
from faust.exceptions import ProducerSendError
from faust.types import TP

from tests.transport_suite.backend import Backend, collect, numbered, running, send, until

MB = 2**20


def test_a_partition_keeps_its_order_and_its_offsets_have_no_holes(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("readings", partitions=4)
        app = backend.app()
        seen = collect(app, topic)
        async with running(app):
            sent = await send(app, topic, numbered(2000), partition=lambda n: n % 4)
            await until(lambda: len(seen) >= 2000, "2000 events")
        assert {(m.partition, m.offset) for m in sent} == {(p, o) for p in range(4) for o in range(500)}
        for partition, events in seen.by_partition().items():
            assert events == [(o, b"%d" % (4 * o + partition)) for o in range(500)]

    asyncio.run(scenario())


def test_a_key_goes_to_the_partition_that_kafka_gives_it(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("keys", partitions=7)
        app = backend.app()
        seen = collect(app, topic)
        keys = [b"", b"\x00", b"w-17", b"abc", "台区-3".encode(), *(os.urandom(n) for n in range(1, 40))]
        async with running(app):
            sent = await send(app, topic, [b"x"] * len(keys), key=lambda n: keys[n])
            await until(lambda: len(seen) == len(keys), "all events")
            for key, metadata in zip(keys, sent, strict=True):
                expected = (kafka_murmur2(key) & 0x7FFFFFFF) % 7
                assert metadata.partition == expected
                assert metadata.topic_partition == TP(topic, expected)
                assert app.producer.key_partition(topic, key) == TP(topic, expected)
        assert {(event.key, event.message.partition) for event in seen} == {
            (key, metadata.partition) for key, metadata in zip(keys, sent, strict=True)
        }

    asyncio.run(scenario())


def test_contents_arrive_as_they_were_sent(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("contents", partitions=1)
        app = backend.app()
        seen = collect(app, topic)
        headers = [("trace", b"\x00\xff"), ("empty", b"")]
        async with running(app):
            send_ = app.producer.send_and_wait
            await send_(topic, None, b"no key", 0, None, None)
            await send_(topic, b"", b"", 0, None, None)
            await send_(topic, b"deleted", None, 0, None, None)
            await send_(topic, b"k", b"headers", 0, None, headers)
            await send_(topic, b"k", b"map", 0, None, {"a": b"1"})
            await send_(topic, b"k", b"time", 0, 1_700_000_000.125, None)
            await until(lambda: len(seen) == 6, "6 events")
        assert [(e.key, e.value) for e in seen[:3]] == [(None, b"no key"), (b"", b""), (b"deleted", None)]
        assert [list(e.message.headers or ()) for e in seen[:4]] == [[], [], [], headers]
        assert dict(seen[4].headers) == {"a": b"1"}
        assert seen[5].message.timestamp == 1_700_000_000.125
        assert all(abs(e.message.timestamp - seen[0].message.timestamp) < 60 for e in seen[:5])
        assert all(e.message.generation_id == app.consumer_generation_id for e in seen)

    asyncio.run(scenario())


def test_large_records_pass_between_small_ones(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("large", partitions=2, **{"max.message.bytes": str(16 * MB)})
        app = backend.app()
        seen = collect(app, topic)
        values = [b"a", os.urandom(MB), b"b", os.urandom(4 * MB), b"c", os.urandom(4 * MB), b"d"]
        async with running(app):
            await send(app, topic, values, partition=lambda n: n % 2)
            await until(lambda: len(seen) == len(values), "all records")
        assert seen.by_partition() == {
            0: list(enumerate(values[0::2])),
            1: list(enumerate(values[1::2])),
        }

    asyncio.run(scenario())


def test_a_record_beyond_the_request_size_is_refused(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("refused", partitions=1)
        app = backend.app(producer_max_request_size=MB)
        seen = collect(app, topic)
        async with running(app):
            with pytest.raises(ProducerSendError):
                await app.producer.send(topic, b"k", bytes(MB + 1), 0, None, None)
            await app.producer.send_and_wait(topic, b"k", b"small", 0, None, None)
            await until(lambda: seen.values() == [b"small"], "the small one alone")

    asyncio.run(scenario())


def test_many_partitions(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("wide", partitions=64)
        app = backend.app()
        seen = collect(app, topic)
        async with running(app):
            await send(app, topic, numbered(1280), partition=lambda n: n % 64)
            await until(lambda: len(seen) == 1280, "1280 events")
        found = seen.by_partition()
        assert found.keys() == set(range(64))
        assert all([offset for offset, _ in events] == list(range(20)) for events in found.values())

    asyncio.run(scenario())


def test_concurrent_senders_keep_the_order_of_their_calls(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("order", partitions=2)
        app = backend.app()
        seen = collect(app, topic)
        async with running(app):
            # the topic's metadata is fetched with the first send; what follows is in order
            await app.producer.send_and_wait(topic, None, b"first", 0, None, None)

            async def sender(name: int) -> None:
                for number in range(100):
                    await app.producer.send(topic, None, b"%d/%d" % (name, number), name % 2, None, None)

            await asyncio.gather(*(sender(name) for name in range(8)))
            await app.producer.flush()
            # and many at once, none waited for in between
            await asyncio.gather(
                *(app.producer.send_and_wait(topic, None, b"8/%d" % n, 1, None, None) for n in range(300))
            )
            await until(lambda: len(seen) == 1101, "1101 events")
        values = [value for value in seen.values() if value and b"/" in value]
        for name in range(9):
            mine = [int(value.split(b"/")[1]) for value in values if value.startswith(b"%d/" % name)]
            assert mine == sorted(mine)
            assert len(mine) == (300 if name == 8 else 100)

    asyncio.run(scenario())


def test_flush_waits_for_everything_that_was_sent(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("flush", partitions=1)
        app = backend.app()
        seen = collect(app, topic)
        async with running(app):
            sent = [await app.producer.send(topic, None, v, 0, None, None) for v in numbered(500)]
            await app.producer.flush()
            assert all(asyncio.ensure_future(future).done() for future in sent)
            assert (await app.consumer.highwaters(TP(topic, 0)))[TP(topic, 0)] == 500
            assert (await app.consumer.earliest_offsets(TP(topic, 0)))[TP(topic, 0)] == 0
            await until(lambda: len(seen) == 500, "500 events")

    asyncio.run(scenario())
