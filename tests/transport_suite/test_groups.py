"""Groups: committing, coming back, acknowledging, pausing, seeking, stopping."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import faust
from faust.types import TP, EventT

from tests.transport_suite.backend import Backend, collect, committed, numbered, running, send, until


def in_order(values: list[bytes | None]) -> list[bytes]:
    return sorted((value for value in values if value is not None), key=int)


def committed_offset(app: faust.App, tp: TP) -> int | None:
    """Return what Faust takes to be committed."""
    consumer: Any = app.consumer
    offset: int | None = consumer._committed_offset[tp]
    return offset


def test_a_group_continues_where_it_was(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("resume")
        app = backend.app()
        seen = collect(app, topic)
        async with running(app):
            await send(app, topic, numbered(400), partition=lambda n: n % 4)
            await until(lambda: len(seen) == 400, "400 events")
        again = backend.app()
        more = collect(again, topic)
        async with running(again):
            await send(again, topic, numbered(40, 400), partition=lambda n: n % 4)
            await until(lambda: len(more) >= 40, "40 more events")
        assert in_order(more.values()) == numbered(40, 400)

    asyncio.run(scenario())


def test_what_is_not_acknowledged_comes_again(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("unacked", partitions=2)
        app = backend.app()
        seen = collect(app, topic, ack=lambda event: event.message.offset < 30)
        async with running(app):
            await send(app, topic, numbered(200), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 200, "200 events")
        again = backend.app()
        more = collect(again, topic)
        async with running(again):
            await until(lambda: len(more) >= 140, "140 events again")
        assert all([o for o, _ in events] == list(range(30, 100)) for events in more.by_partition().values())

    asyncio.run(scenario())


def test_an_acknowledgement_out_of_order_commits_nothing_before_it(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("order", partitions=1)
        app = backend.app()
        held: list[EventT[bytes]] = []

        def ack(event: EventT[bytes]) -> bool:
            # 0 … 9 at once, 10 … 14 held back, the rest at once
            if 10 <= event.message.offset < 15:
                held.append(event)
                return False
            return True

        seen = collect(app, topic, ack=ack)
        async with running(app):
            await send(app, topic, numbered(10), partition=lambda _: 0)
            await until(lambda: len(seen) == 10, "10 events")
            await app.consumer.commit()
            await send(app, topic, numbered(40, 10), partition=lambda _: 0)
            await until(lambda: len(seen) == 50, "50 events")
            await app.consumer.commit()
            assert committed_offset(app, TP(topic, 0)) == 10
            for event in held:
                event.ack()
            await app.consumer.commit()
            assert committed_offset(app, TP(topic, 0)) == 50
            assert await committed(app, topic) == {TP(topic, 0): 50}

    asyncio.run(scenario())


def test_two_apps_see_everything_each(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("both")
        one, two = backend.app("one"), backend.app("two")
        seen_one, seen_two = collect(one, topic), collect(two, topic)
        async with running(one, two):
            await send(one, topic, numbered(200), partition=lambda n: n % 4)
            await send(two, topic, numbered(200, 200), partition=lambda n: n % 4)
            await until(lambda: len(seen_one) == len(seen_two) == 400, "400 events each")
        assert in_order(seen_one.values()) == numbered(400)
        assert seen_one.by_partition() == seen_two.by_partition()

    asyncio.run(scenario())


def test_a_stream_of_one_app_feeds_another(backend: Backend) -> None:
    async def scenario() -> None:
        readings, flags = await backend.declare("in"), await backend.declare("out", partitions=3)
        first, second = backend.app("first"), backend.app("second")
        out = first.topic(flags, key_type=bytes, value_type=bytes)

        async def forward(stream: Any) -> None:
            async for event in stream.events():
                await out.send(key=event.value, value=b"flag " + event.value)

        first.agent(first.topic(readings, key_type=bytes, value_type=bytes), name="forward")(forward)
        seen = collect(second, flags)
        async with running(first, second):
            await send(first, readings, numbered(100), partition=lambda n: n % 4)
            await until(lambda: len(seen) == 100, "100 flags")
        assert {e.key for e in seen} == set(numbered(100))

    asyncio.run(scenario())


def test_an_exception_in_an_agent_stops_nothing_else(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("raise", partitions=2)
        app = backend.app()
        seen: list[bytes] = []

        async def fragile(stream: Any) -> None:
            async for event in stream.events():
                if event.value == b"50":
                    raise ValueError("expected a number below 50")
                seen.append(event.value)

        app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name="fragile")(fragile)
        async with running(app):
            await send(app, topic, numbered(100), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 99, "all but the one")
        assert sorted(seen, key=int) == [v for v in numbered(100) if v != b"50"]

    asyncio.run(scenario())


def test_a_paused_partition_waits_and_the_others_do_not(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("pause", partitions=2)
        app = backend.app()
        seen = collect(app, topic)
        tp = TP(topic, 0)
        async with running(app):
            await send(app, topic, numbered(20), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 20, "20 events")
            app.consumer.pause_partitions([tp])
            await send(app, topic, numbered(20, 20), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 30, "the other partition's events")
            assert len(seen.by_partition()[0]) == 10
            await app.consumer.seek_wait({tp: 10})
            app.consumer.resume_partitions([tp])
            await until(lambda: len(seen) == 40, "the paused partition's events")
        assert all([o for o, _ in events] == list(range(20)) for events in seen.by_partition().values())

    asyncio.run(scenario())


def test_a_partition_is_read_again_after_a_seek(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("rewind", partitions=2)
        app = backend.app()
        seen = collect(app, topic)
        tp = TP(topic, 0)
        async with running(app):
            await send(app, topic, numbered(200), partition=lambda n: n % 2)
            await until(lambda: len(seen) == 200, "200 events")
            assert await app.consumer.position(tp) == 100
            del seen[:]
            app.consumer.pause_partitions([tp])
            await app.consumer.seek_wait({tp: 40})
            app.consumer.resume_partitions([tp])
            await until(lambda: len(seen) >= 60, "60 events again")
            await send(app, topic, [b"new"], partition=lambda _: 0)
            await until(lambda: len(seen) >= 61, "a new one behind them")
        assert [offset for offset, _ in seen.by_partition()[0]] == list(range(40, 101))

    asyncio.run(scenario())


def test_a_rewind_under_load_brings_everything_again(backend: Backend) -> None:
    """The worker's way out of a gap: pause, seek, resume, until the wanted offset comes."""

    async def scenario() -> None:
        topic = await backend.declare("gap", partitions=1)
        app = backend.app(stream_buffer_maxsize=64)
        seen = collect(app, topic)
        tp = TP(topic, 0)
        async with running(app):
            sending = asyncio.create_task(send(app, topic, numbered(3000), partition=lambda _: 0))
            await until(lambda: len(seen) > 500, "500 events")
            mark = len(seen)
            for _ in range(50):
                app.consumer.pause_partitions([tp])
                await asyncio.sleep(0.05)
                await app.consumer.seek_wait({tp: 100})
                app.consumer.resume_partitions([tp])
                try:
                    await until(lambda: any(e.message.offset == 100 for e in seen[mark:]), "offset 100", 1.0)
                except TimeoutError:
                    continue
                break
            await sending
            await until(lambda: seen[-1].message.offset == 2999, "the end")
        offsets = [event.message.offset for event in seen[mark:]]
        again = offsets[offsets.index(100) :]
        assert again == list(range(100, 3000))

    asyncio.run(scenario())


def test_it_stops_under_load_in_time(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("busy")
        app = backend.app()
        handled = 0

        async def slow(stream: Any) -> None:
            nonlocal handled
            async for _ in stream.noack().events():
                handled += 1
                await asyncio.sleep(0.001)

        app.agent(app.topic(topic, key_type=bytes, value_type=bytes), name="slow")(slow)
        async with running(app):
            await send(app, topic, [bytes(2000)] * 8000, partition=lambda n: n % 4)
            await until(lambda: handled > 50, "work")
            assert handled < 8000
            began = time.monotonic()
            await app.stop()
        assert time.monotonic() - began < 10

    asyncio.run(scenario())


def test_a_timer_runs(backend: Backend) -> None:
    async def scenario() -> None:
        topic = await backend.declare("timer", partitions=1)
        app = backend.app()
        seen = collect(app, topic)

        async def tick() -> None:
            await app.producer.send(topic, None, b"tick", 0, None, None)

        app.timer(interval=0.1)(tick)
        async with running(app):
            await until(lambda: len(seen) >= 5, "5 ticks")

    asyncio.run(scenario())


def test_an_agent_answers(backend: Backend) -> None:
    """Requests and replies go through topics that Faust declares by itself."""

    async def scenario() -> None:
        app = backend.app(reply_create_topic=True)
        topic = await backend.declare("ask", partitions=2)

        async def double(stream: Any) -> Any:
            async for value in stream:
                yield value * 2

        agent = app.agent(app.topic(topic, value_type=bytes), name="double")(double)
        async with running(app):
            assert await asyncio.wait_for(agent.ask(value=b"ab", key=b"k"), 20) == str(b"abab")

    asyncio.run(scenario())
