"""Tables: what comes back from a changelog."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import faust
from faust.types import TP

from connectors.sqlite_log import SqliteLog
from tests.transport_suite.backend import Backend, numbered, running, send, until

MB = 2**20


def with_table(backend: Backend, topic: str, **settings: Any) -> tuple[faust.App, Any, list[bytes]]:
    """An app whose agent keeps the newest value of each key in a table; an empty value deletes."""
    app = backend.app(**settings)
    table = app.Table("state", key_type=bytes, value_type=bytes, partitions=4)
    done: list[bytes] = []

    async def store(stream: Any) -> None:
        async for event in stream.events():
            if event.value:
                table[event.key] = event.value
            else:
                table.pop(event.key, None)
            done.append(event.value)

    app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name="store")(store)
    return app, table, done


def key(number: int) -> bytes:
    return b"meter-%d" % (number % 100)


def test_a_table_comes_back_with_its_deletions(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("values")
        app, table, done = with_table(backend, topic)
        async with running(app):
            await send(app, topic, numbered(500), key=key)
            await send(app, topic, [b""] * 50, key=key)  # deletes the first 50 meters
            await until(lambda: len(done) == 550, "550 events")
            before = dict(table)
        assert before == {key(n): b"%d" % (400 + n) for n in range(50, 100)}
        again, table, _ = with_table(backend, topic)
        async with running(again):
            assert dict(table) == before

    asyncio.run(scenario())


def test_an_empty_table_comes_back_empty(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("nothing")
        for _ in range(2):
            app, table, _done = with_table(backend, topic)
            async with running(app):
                assert dict(table) == {}

    asyncio.run(scenario())


def test_a_table_whose_last_record_is_a_deletion_comes_back(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("gone")
        app, table, done = with_table(backend, topic)
        async with running(app):
            await send(app, topic, [b"1", b""], key=lambda _: b"only")
            await until(lambda: len(done) == 2, "2 events")
        again, table, done = with_table(backend, topic)
        async with running(again):
            assert dict(table) == {}
            await send(again, topic, [b"2"], key=lambda _: b"only")
            await until(lambda: len(done) == 1, "a new event")
        third, table, _ = with_table(backend, topic)
        async with running(third):
            assert dict(table) == {b"only": b"2"}

    asyncio.run(scenario())


def test_large_blocks_sent_to_the_changelog_come_back(backend: Backend) -> None:
    """The worker's checkpoints: records sent straight to the changelog topic, acks gathered."""

    async def scenario() -> None:
        topic = await backend.declare("readings")
        blocks = {(p, b"%d/block/%d" % (p, b)): os.urandom(MB) for p in range(4) for b in range(4)}
        dropped = {(p, b"%d/old" % p): b"x" for p in range(4)}

        def make() -> tuple[faust.App, Any]:
            app = backend.app()
            table = app.Table(
                "blocks",
                key_type=bytes,
                value_type=bytes,
                partitions=4,
                extra_topic_configs={"max.message.bytes": str(8 * MB)},
            )

            async def nothing(stream: Any) -> None:
                async for _ in stream.noack().events():
                    pass

            app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name="nothing")(nothing)
            return app, table

        app, table = make()
        async with running(app):
            changelog = table.changelog_topic.get_topic_name()

            async def write(records: dict[tuple[int, bytes], bytes | None]) -> None:
                sent = [
                    await app.producer.send(changelog, name, value, partition, None, None)
                    for (partition, name), value in records.items()
                ]
                await asyncio.gather(*sent)

            await write({**dropped})
            for _ in range(3):  # the newest of each counts
                await write({name: os.urandom(1000) for name in blocks})
            await write({**blocks})
            await write(dict.fromkeys(dropped))
        again, table = make()
        recovered: list[bool] = []

        async def on_recover() -> None:
            recovered.append(dict(table.data.data) == {name: value for (_, name), value in blocks.items()})

        table.on_recover(on_recover)
        async with running(again):
            assert recovered == [True]

    asyncio.run(scenario())


def test_a_changelog_keeps_only_what_counts(embedded: Backend) -> None:
    """Compaction at once: Kafka does the same later."""

    async def scenario() -> None:
        topic = await embedded.declare("values")
        app, table, done = with_table(embedded, topic)
        async with running(app):
            for _ in range(5):
                await send(app, topic, numbered(100), key=key)
            await until(lambda: len(done) == 500, "500 events")
        changelog = table.changelog_topic.get_topic_name()
        async with SqliteLog(embedded.url) as log:
            records = [[record async for record in log.read(changelog, p)] for p in range(4)]
            assert sum(map(len, records)) == 100
            assert sum([await log.end(changelog, p) for p in range(4)]) == 500
        second, table, _ = with_table(embedded, topic)
        async with running(second):
            assert len(table) == 100
            tps = [TP(changelog, p) for p in range(4)]
            earliest = await second.consumer.earliest_offsets(*tps)
            assert all(offset > 0 for offset in earliest.values())

    asyncio.run(scenario())
