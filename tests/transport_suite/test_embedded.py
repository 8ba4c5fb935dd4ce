"""What only the embedded log has: one consumer, no exactly_once, and no record that Faust loses."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.exceptions import ImproperlyConfigured, ProducerSendError
from faust.types import TP, EventT
from yarl import URL

from connectors.sqlite_log import ConsumerTaken, LogFull, Partition, SqliteLog, log_url
from tests.sqlite_log.test_processes import child, lines_until
from tests.transport_suite.backend import Backend, collect, numbered, running, send, until


def test_exactly_once_is_refused_at_start(embedded: Backend) -> None:
    async def scenario() -> None:
        app = embedded.app(processing_guarantee="exactly_once")
        with pytest.raises(ImproperlyConfigured, match="exactly_once' needs Kafka's transactions"):
            async with running(app):
                pass

    asyncio.run(scenario())


def test_a_bad_url_is_refused_at_start(tmp_path: Path) -> None:
    async def scenario(url: str, message: str) -> None:
        app = Backend("sqlite", url).app()
        with pytest.raises(ImproperlyConfigured, match=message):
            async with running(app):
                pass

    asyncio.run(scenario("sqlite:///a.db?durability=maybe", "durability: expected one of"))
    asyncio.run(scenario(f"sqlite:///{tmp_path}/a,b.db", "cuts the URL"))


def test_a_path_with_a_comma_may_be_given_as_a_url(tmp_path: Path) -> None:
    async def scenario() -> None:
        url = log_url(tmp_path / "a,b;c d.db")
        backend = Backend("sqlite", url)
        topic = await backend.declare("t", partitions=1)
        app = backend.app(broker=URL(url))
        seen = collect(app, topic)
        async with running(app):
            await send(app, topic, numbered(3))
            await until(lambda: len(seen) == 3, "3 events")
        assert (tmp_path / "a,b;c d.db").exists()

    asyncio.run(scenario())


def test_a_second_consuming_process_is_refused(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("t")
        with child("consume", embedded.url) as first:
            lines_until(first, "ready")
            app = embedded.app()
            collect(app, topic)
            with pytest.raises(ConsumerTaken, match=f"process {first.pid}"):
                async with running(app):
                    pass
            await app.stop()
        again = embedded.app()
        seen = collect(again, topic)
        async with running(again):
            await send(again, topic, numbered(3))
            await until(lambda: len(seen) == 3, "3 events")

    asyncio.run(scenario())


def test_what_other_processes_write_arrives_soon(embedded: Backend) -> None:
    async def scenario() -> None:
        async with SqliteLog(embedded.url) as log:
            await log.ensure_topic("t", 4)
        app = embedded.app()
        waits: list[float] = []

        def ack(event: EventT[bytes]) -> bool:
            waits.append(time.time() - event.message.timestamp)
            return True

        seen = collect(app, "t", ack=ack)
        async with running(app):
            with child("now_and_then", embedded.url, "c", "3") as other:
                lines_until(other, "ready")
                await until(lambda: len(seen) >= 60, "60 events")
        assert [event.message.offset for event in seen] == list(range(len(seen)))
        # the timestamp is that of writing; looking takes 50 ms at most, and 5 ms where there is a load
        assert statistics.median(waits) < 0.1

    asyncio.run(scenario())


def test_a_topic_that_appears_later_is_read(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = embedded.name("later")
        app = embedded.app()
        seen = collect(app, topic)
        async with running(app):
            with pytest.raises(ProducerSendError, match="no topic"):
                await app.producer.send(topic, None, b"x", 0, None, None)
            await embedded.declare("later", partitions=2)
            await send(app, topic, numbered(10))
            await until(lambda: len(seen) == 10, "10 events")
            assert {tp for tp in app.consumer.assignment() if tp.topic == topic} == {
                TP(topic, 0),
                TP(topic, 1),
            }
            assert app.assignor.assigned_actives() >= {TP(topic, 0), TP(topic, 1)}

    asyncio.run(scenario())


def test_pausing_loses_nothing_even_without_a_seek(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("pause", partitions=2)
        app = embedded.app(stream_buffer_maxsize=16)
        seen = collect(app, topic)
        tp = TP(topic, 0)
        async with running(app):
            sending = asyncio.create_task(send(app, topic, numbered(4000), partition=lambda n: n % 2))
            for count in range(200, 3600, 200):
                await until(lambda count=count: len(seen) > count, "progress")  # type: ignore[misc]
                app.consumer.pause_partitions([tp])
                await asyncio.sleep(0)
                app.consumer.resume_partitions([tp])
            await sending
            await until(lambda: len(seen) >= 4000, "4000 events")
        assert all([o for o, _ in events] == list(range(2000)) for events in seen.by_partition().values())

    asyncio.run(scenario())


def test_a_seek_under_load_needs_no_second_try(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("seek", partitions=1)
        app = embedded.app(stream_buffer_maxsize=16)
        seen = collect(app, topic)
        tp = TP(topic, 0)
        async with running(app):
            sending = asyncio.create_task(send(app, topic, numbered(4000), partition=lambda _: 0))
            for back in range(10):
                mark = len(seen)
                await until(lambda mark=mark: len(seen) > mark + 250, "progress")  # type: ignore[misc]
                mark = len(seen)
                await app.consumer.seek(tp, 10 * back)
                await until(
                    lambda mark=mark, back=back: any(e.message.offset == 10 * back for e in seen[mark:]),  # type: ignore[misc]
                    f"offset {10 * back} again",
                    3,
                )
            await sending
            await until(lambda: seen[-1].message.offset == 3999, "the end")
        offsets = [event.message.offset for event in seen]
        # the only steps that are not +1 are the ten seeks
        assert sum(1 for a, b in itertools.pairwise(offsets) if b != a + 1) == 10

    asyncio.run(scenario())


def test_one_unacknowledged_record_is_not_passed(embedded: Backend) -> None:
    """Faust's own reckoning passes it, where nothing is committed yet or it stands alone."""

    async def scenario() -> None:
        topic = await embedded.declare("one", partitions=2)
        app = embedded.app()
        # partition 0: the very first is held; partition 1: the first is committed, the second held
        seen = collect(app, topic, ack=lambda event: event.message.offset != event.message.partition)
        async with running(app):
            await send(app, topic, [b"x"], partition=lambda _: 1)
            await until(lambda: len(seen) == 1, "1 event")
            await app.consumer.commit()
            await send(app, topic, numbered(40), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 41, "41 events")
            await app.consumer.commit()
        async with SqliteLog(embedded.url) as log:
            committed = log.committed(embedded.name("app"))
        assert committed == {(topic, 0): None, (topic, 1): 1}

    asyncio.run(scenario())


def test_the_record_behind_a_gap_counts(embedded: Backend) -> None:
    """Where retention or compaction has left a hole, what stands behind it must be acknowledged itself."""

    async def scenario() -> None:
        topic = await embedded.declare("hole", partitions=1, **{"cleanup.policy": "compact"})
        async with SqliteLog(embedded.url) as log:
            await log.append(topic, b"0", key=b"a")
            for n in range(1, 10):
                await log.append(topic, b"%d" % n, key=b"b")
            await log.append(topic, b"10", key=b"c")
        app = embedded.app()
        held: list[EventT[bytes]] = []

        def ack(event: EventT[bytes]) -> bool:
            if event.value == b"9":
                held.append(event)
                return False
            return True

        seen = collect(app, topic, ack=ack)
        async with running(app):
            await until(lambda: len(seen) == 3, "3 events")
            assert [(e.message.offset, e.value) for e in seen] == [(0, b"0"), (9, b"9"), (10, b"10")]
            await app.consumer.commit()
            async with SqliteLog(embedded.url) as log:
                # 1 … 8 do not exist; 9 is not done
                assert log.committed(embedded.name("app")) == {(topic, 0): 9}
                held[0].ack()
                await app.consumer.commit()
                assert log.committed(embedded.name("app")) == {(topic, 0): 11}

    asyncio.run(scenario())


def test_the_lag_of_a_group_is_known(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("lag", partitions=1)
        app = embedded.app()
        seen = collect(app, topic, ack=lambda event: event.message.offset < 3)
        async with running(app), SqliteLog(embedded.url) as log:
            await send(app, topic, numbered(10))
            await until(lambda: len(seen) == 10, "10 events")
            await app.consumer.commit()
            assert log.lag() == {embedded.name("app"): {(topic, 0): 7}}

    asyncio.run(scenario())


def test_a_full_disk_fails_sends_and_keeps_the_app_alive(
    embedded: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("full", partitions=1)
        app = embedded.app()
        seen = collect(app, topic)
        async with running(app), SqliteLog(embedded.url) as log:

            async def limit(pages: int) -> None:
                def change(connection: sqlite3.Connection) -> None:
                    connection.execute(f"PRAGMA max_page_count={pages}")

                await log._engine.call(change, asyncio.get_running_loop())

            await limit(150)
            written = 0
            with pytest.raises(LogFull):
                while True:
                    await app.producer.send_and_wait(topic, None, os.urandom(100_000), 0, None, None)
                    written += 1
            await until(lambda: len(seen) == written, "what was written")
            await limit(1_000_000)
            await app.producer.send_and_wait(topic, None, b"again", 0, None, None)
            await until(lambda: seen.values()[-1] == b"again", "the next one")
            assert not app.should_stop

    with caplog.at_level(logging.CRITICAL, logger="faust"):
        asyncio.run(scenario())


def test_a_table_that_cannot_be_written_ends_the_app_and_loses_nothing(
    embedded: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """Faust only logs that a table's change was lost; committing past it would lose it for good."""

    def make(topic: str) -> tuple[faust.App, Any, list[int]]:
        app = embedded.app(broker_commit_interval=0.1)
        table = app.Table("state", key_type=bytes, value_type=bytes, partitions=1)
        done: list[int] = []

        async def store(stream: Any) -> None:
            async for event in stream.events():
                table[event.value] = os.urandom(50_000)
                done.append(event.message.offset)

        app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name="store")(store)
        return app, table, done

    async def limit(log: SqliteLog, pages: int) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")

        await log._engine.call(change, asyncio.get_running_loop())

    async def scenario() -> None:
        topic = await embedded.declare("values", partitions=1)
        async with SqliteLog(embedded.url) as log:
            for value in numbered(100):
                await log.append(topic, value)
            await limit(log, 150)
            app, _, _ = make(topic)
            async with running(app):
                await until(lambda: app.crash_reason is not None or app.should_stop, "the app to end")
            assert (log.committed(embedded.name("app"))[Partition(topic, 0)] or 0) < 100
            await limit(log, 1_000_000)
            again, table, _ = make(topic)
            async with running(again):
                await until(lambda: len(table) == 100, "all values")

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(scenario())


def test_committing_waits_out_a_log_that_is_unavailable(embedded: Backend) -> None:
    async def scenario() -> None:
        topic = await embedded.declare("busy", partitions=1)
        app = embedded.app(broker_commit_interval=3600.0)
        seen = collect(app, topic)
        async with running(app), SqliteLog(embedded.url) as log:
            await send(app, topic, numbered(5))
            await until(lambda: len(seen) == 5, "5 events")

            async def commit() -> Any:
                return await app.consumer.commit()

            def fail(connection: sqlite3.Connection) -> None:
                connection.execute("PRAGMA query_only=1")

            def mend(connection: sqlite3.Connection) -> None:
                connection.execute("PRAGMA query_only=0")

            await log._engine.call(fail, asyncio.get_running_loop())
            committing = asyncio.create_task(commit())
            await asyncio.wait([committing], timeout=0.5)
            await log._engine.call(mend, asyncio.get_running_loop())
            assert await asyncio.wait_for(committing, 10)
            assert log.committed(embedded.name("app")) == {(topic, 0): 5}

    asyncio.run(scenario())
