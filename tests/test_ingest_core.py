"""Ingest between its ports: what is gathered, when it is acknowledged, what a log that fails does to it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Intervals
from streams.columns import NO_DIGEST, Columns, Tick, decode
from streams.gather import MOST_ROWS, Delivery, Gather, Gathered, digest
from streams.ingest import Ingest
from streams.messages import DEAD_LETTERS, READINGS, REGISTRY, DeadLetter, Kind, Mark, RawMessage, Reject
from streams.ports import Decoded, Rejected
from streams.roster import Roster
from streams.state.bank import BankConfig
from streams.state.partition import Partition
from tests.memory_log import MemoryLog
from tests.streams_of_readings import HOUR, NS, examples, instant

START = instant("2024-01-01")
NOW = instant("2024-02-01")


class Plain:
    """A dialect: JSON rows [meter, time, value, marks?]; anything that is no such row is rejected."""

    def __init__(self) -> None:
        self.births = 0

    def decode(self, message: RawMessage) -> tuple[str, Decoded]:
        out = Decoded()
        if message.topic == "birth":
            self.births += 1
            out.replies.append(("rebirth", b"please"))
            return "plain", out
        try:
            rows = json.loads(message.payload)
        except ValueError as error:
            out.rejects.append(Reject(f"expected JSON, got {error}", message.payload))
            return "plain", out
        for row in rows:
            if isinstance(row, list) and len(row) >= 3:
                marks = row[3] if len(row) > 3 else 0
                out.rows.add(row[0], row[1], float(row[2]), Kind.INTERVAL, marks=marks)
            else:
                out.rejects.append(Reject(f"expected [meter, time, value], got {row!r}", repr(row).encode()))
        return "plain", out

    def snapshot(self) -> bytes:
        return str(self.births).encode() if self.births else b""


class Inbox:
    """Messages to take, and what became of them."""

    def __init__(self, batches: Sequence[Sequence[Delivery]] = ()) -> None:
        self.batches = [list(batch) for batch in batches]
        self.acked: list[int] = []
        self.replies: list[tuple[str, bytes]] = []
        self.empty = asyncio.Event()

    async def take(self, max_messages: int, linger_s: float) -> list[Delivery]:
        if not self.batches:
            self.empty.set()
            await asyncio.Event().wait()
        return self.batches.pop(0)

    def ack(self, tokens: Sequence[int]) -> None:
        self.acked += tokens

    def reply(self, topic: str, payload: bytes) -> None:
        self.replies.append((topic, payload))


class Still:
    """A clock that stands still."""

    def now_ns(self) -> int:
        return NOW


def message(
    rows: Sequence[object], topic: str = "t", retained: bool = False, received: int = NOW
) -> RawMessage:
    return RawMessage(topic=topic, payload=json.dumps(rows).encode(), received_ns=received, retained=retained)


def delivered(*messages: RawMessage) -> list[Delivery]:
    return [(one, 100 + number) for number, one in enumerate(messages)]


async def made(log: MemoryLog, inbox: Inbox | None = None) -> tuple[Ingest, Gather, Roster, Inbox]:
    roster = Roster(log, log.partitions)
    await roster.load()
    gather = Gather(Plain(), roster)
    box = inbox or Inbox()
    return Ingest(box, gather, log, roster, Still()), gather, roster, box


async def gathered(*messages: RawMessage, partitions: int = 4) -> list[Gathered]:
    _, gather, _, _ = await made(MemoryLog(partitions))
    return gather(delivered(*messages))


def columns(raw: bytes) -> Columns:
    part = decode(raw)
    assert isinstance(part, Columns)
    return part


def rows_of(part: Columns) -> list[tuple[str, int, float]]:
    return [
        (part.meters[part.meter[i]], int(part.time_ns[i]), float(part.value[i])) for i in range(len(part))
    ]


def letters(log: MemoryLog) -> list[DeadLetter]:
    raw = [value for p in range(log.partitions) for value in log.values(DEAD_LETTERS, p)]
    return [msgspec.json.decode(value, type=DeadLetter) for value in raw]


# --- gather -----------------------------------------------------------------------------------------


@examples(40)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 50), st.integers(0, 9)), max_size=12),
        max_size=8,
    ),
    st.integers(1, 5),
)
def test_every_reading_goes_to_the_home_of_its_meter_in_order(
    payloads: list[list[tuple[str, int, int]]], partitions: int
) -> None:
    async def play() -> None:
        _, gather, roster, _ = await made(MemoryLog(partitions))
        rows = [[[m, START + t * HOUR, v] for m, t, v in payload] for payload in payloads]
        sent = delivered(*(message(one, topic=f"t/{i}") for i, one in enumerate(rows)))
        (out,) = gather(sent)
        assert out.tokens == [token for _, token in sent]
        assert out.readings == sum(map(len, payloads))
        assert len({partition for partition, _ in out.parts}) == len(out.parts)
        for partition, raw in out.parts:
            part = columns(raw)
            own = [
                (m, START + t * HOUR, float(v))
                for one in payloads
                for m, t, v in one
                if roster.home(m) == partition
            ]
            assert rows_of(part) == own
            for row in range(len(part)):
                source = part.source_of(row)
                number = int(source.topic.partition("/")[2])
                assert list(rows_of(part)[row]) in rows[number]
                assert source.digest == digest(sent[number][0])
                assert (source.adapter, source.received_ns, source.sequence) == ("plain", NOW, -1)
        assert sum(len(columns(raw)) for _, raw in out.parts) == out.readings

    asyncio.run(play())


def test_what_the_broker_kept_is_marked() -> None:
    (out,) = asyncio.run(
        gathered(
            message([["a", START, 1, int(Mark.ESTIMATED)]], retained=True),
            message([["a", START + HOUR, 2]]),
            partitions=1,
        )
    )
    assert columns(out.parts[0][1]).marks.tolist() == [Mark.RETAINED | Mark.ESTIMATED, 0]


def test_a_message_whose_times_are_those_of_arrival_is_not_recognised_again() -> None:
    """Two equal payloads are two readings then, not one sent twice."""
    (out,) = asyncio.run(
        gathered(message([["a", START, 1, int(Mark.ARRIVAL_TIME)]]), message([["a", START, 1]]), partitions=1)
    )
    part = columns(out.parts[0][1])
    assert part.source_of(0).digest == NO_DIGEST
    assert part.source_of(1).digest == digest(message([["a", START, 1]]))


def test_topic_and_payload_make_the_digest() -> None:
    one = message([1], topic="a")
    assert digest(one) == digest(message([1], topic="a", retained=True, received=5))
    assert len({digest(m) for m in (one, message([1], topic="b"), message([2], topic="a"))}) == 3
    assert digest(RawMessage(topic="a", payload=b"b", received_ns=0)) != digest(
        RawMessage(topic="ab", payload=b"", received_ns=0)
    )


def test_bad_parts_are_dead_letters_and_good_ones_are_taken() -> None:
    async def play() -> None:
        log = MemoryLog(2)
        ingest, gather, _, box = await made(log)
        bad = RawMessage(topic="bad", payload=b"\xff{", received_ns=NOW)
        mixed = message([["a", START, 1], "nonsense", ["b", START, 2]], topic="mixed")
        for out in gather(delivered(bad, mixed)):
            await ingest.write(out, asyncio.Event())
        taken = [row for p in range(2) for raw in log.values(READINGS, p) for row in rows_of(columns(raw))]
        assert sorted(taken) == [("a", START, 1.0), ("b", START, 2.0)]
        found = {letter.source: letter for letter in letters(log)}
        assert found["bad"].reason.startswith("expected JSON, got")
        assert (found["bad"].raw, found["bad"].size, found["bad"].truncated) == (b"\xff{", 2, False)
        assert found["mixed"].reason == "expected [meter, time, value], got 'nonsense'"
        assert found["mixed"].raw == b"'nonsense'"
        assert all((one.adapter, one.received_ns) == ("plain", NOW) for one in found.values())
        assert box.acked == [100, 101]
        assert ingest.stats.dead_letters == 2

    asyncio.run(play())


def test_a_payload_that_was_cut_is_not_read_but_told_with_its_size() -> None:
    async def play() -> None:
        log = MemoryLog(1)
        ingest, gather, _, box = await made(log)
        cut = RawMessage(topic="big", payload=b"[" * 100_000, received_ns=NOW, full_size=40_000_000)
        long = RawMessage(topic="long", payload=b"x" * 100_000, received_ns=NOW)
        for out in gather(delivered(cut, long)):
            await ingest.write(out, asyncio.Event())
        one, other = letters(log)
        assert "40000000 bytes" in one.reason
        assert (one.size, one.truncated, len(one.raw)) == (40_000_000, True, 64 * 1024)
        assert (other.size, other.truncated, len(other.raw)) == (100_000, True, 64 * 1024)
        raw = json.loads(log.values(DEAD_LETTERS, 0)[0])["raw"]
        assert base64.b64decode(raw) == b"[" * (64 * 1024)
        assert box.acked == [100, 101]

    asyncio.run(play())


def test_a_message_of_many_readings_is_cut_into_pieces_that_are_known_again() -> None:
    async def play() -> None:
        big = message([[f"m{i % 7}", START + i * NS, i] for i in range(2 * MOST_ROWS + 5)], topic="big")
        (one,), (again,) = await gathered(big, partitions=1), await gathered(big, partitions=1)
        parts = [columns(raw) for _, raw in one.parts]
        assert [len(part) for part in parts] == [MOST_ROWS, MOST_ROWS, 5]
        assert [row[2] for part in parts for row in rows_of(part)] == list(range(2 * MOST_ROWS + 5))
        digests = [part.source_of(0).digest for part in parts]
        assert len(set(digests)) == 3
        assert digests[0] == digest(big)
        assert [columns(raw).source_of(0).digest for _, raw in again.parts] == digests
        assert parts[2].meters == sorted(parts[2].meters, key=parts[2].meters.index)
        assert set(parts[2].meters) == {row[0] for row in rows_of(parts[2])}

    asyncio.run(play())


def test_many_messages_become_several_batches_and_no_token_is_forgotten() -> None:
    each = MOST_ROWS // 4
    sent = [
        message([["m", START + (n * each + i) * NS, 1] for i in range(each)], topic=f"t{n}")
        for n in range(10)
    ]
    batches = asyncio.run(gathered(*sent, partitions=1))
    assert len(batches) == 3
    assert [token for out in batches for token in out.tokens] == list(range(100, 110))
    assert sum(out.readings for out in batches) == 10 * each
    assert all(out.readings <= MOST_ROWS + each for out in batches)


# --- write ------------------------------------------------------------------------------------------


def test_nothing_is_acknowledged_before_all_of_it_is_durable() -> None:
    async def play() -> None:
        log = MemoryLog(3)
        ingest, gather, _, box = await made(log)
        (out,) = gather(
            delivered(message([[m, START, 1] for m in "abcdefgh"]), message("x"), message([], "birth"))
        )
        log.gate = asyncio.Event()
        writing = asyncio.create_task(ingest.write(out, asyncio.Event()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.appends == len(out.parts) + len(out.letters) + 1
        assert (box.acked, box.replies, ingest.stats.messages) == ([], [], 0)
        log.gate.set()
        await writing
        assert box.acked == [100, 101, 102]
        assert box.replies == [("rebirth", b"please")]
        assert log.values(REGISTRY, 0) == [b"1"]
        stats = ingest.stats
        assert (stats.messages, stats.readings, stats.batches, stats.dead_letters) == (
            3,
            8,
            len(out.parts),
            1,
        )
        assert stats.last_reading_ns == NOW

    asyncio.run(play())


def test_a_log_that_is_away_is_tried_again_and_only_what_failed() -> None:
    async def play() -> None:
        log = MemoryLog(4, lambda number: number in (1, 3))
        ingest, gather, _, box = await made(log)
        (out,) = gather(delivered(message([[m, START, 1] for m in "abcdefgh"])))
        assert len(out.parts) == 3
        await ingest.write(out, asyncio.Event())
        assert box.acked == [100]
        assert ingest.stats.retries == 2
        assert ingest.stats.log_error == ""
        assert sorted(len(values) for values in log.readings()) == [0, 1, 1, 1]

    asyncio.run(play())


def test_who_is_stopped_while_the_log_is_away_acknowledges_nothing() -> None:
    async def play() -> None:
        log = MemoryLog(2, lambda number: True)
        ingest, gather, _, box = await made(log)
        stop = asyncio.Event()
        (out,) = gather(delivered(message([["a", START, 1]]), message([], "birth")))
        writing = asyncio.create_task(ingest.write(out, stop))
        while not ingest.stats.retries:
            await asyncio.sleep(0)
        assert "append 0 was to fail" in ingest.stats.log_error or "append 1" in ingest.stats.log_error
        stop.set()
        await writing
        assert (box.acked, box.replies, ingest.stats.readings) == ([], [], 0)

    asyncio.run(play())


def test_a_log_that_refuses_stops_the_process_and_nothing_is_acknowledged() -> None:
    class Refusing(MemoryLog):
        async def append(self, *arguments: object, **more: object) -> int:
            raise Rejected("memory", "too large")

    async def play() -> None:
        ingest, gather, _, box = await made(Refusing(1))
        (out,) = gather(delivered(message([["a", START, 1]])))
        with pytest.raises(Rejected, match="too large"):
            await ingest.write(out, asyncio.Event())
        assert box.acked == []

    asyncio.run(play())


# --- run --------------------------------------------------------------------------------------------


async def run(log: MemoryLog, batches: Sequence[Sequence[Delivery]]) -> Inbox:
    """All batches through a running ingest, then an orderly stop."""
    box = Inbox(batches)
    ingest, _, _, _ = await made(log, box)
    stop = asyncio.Event()
    running = asyncio.create_task(ingest.run(stop, 100, 0.0))
    await asyncio.wait_for(box.empty.wait(), 20)
    # Who is stopped while the log is away leaves the rest to be delivered again: wait until it is back.
    async with asyncio.timeout(20):
        while len(box.acked) < sum(map(len, batches)):
            await asyncio.sleep(0.001)
    stop.set()
    await asyncio.wait_for(running, 20)
    return box


def spoken(log: MemoryLog) -> Counter[str]:
    """Readings of each meter as the workers count them."""
    counts: Counter[str] = Counter()
    for number, values in enumerate(log.readings()):
        partition = Partition(BankConfig((Intervals(),)), number)
        for raw in values:
            outcome, _ = partition.handle(raw)
            assert not outcome.rejects
        pulse = partition.bank.state.of("intervals", "pulse")
        counts.update({name: int(pulse["count"][slot]) for name, slot in partition.bank.slots.items()})
    return counts


@examples(25)
@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), min_size=1, max_size=8),
    st.sets(st.integers(0, 25), max_size=3),
    st.booleans(),
)
def test_what_was_acknowledged_is_in_the_log_once_and_in_order(
    batches: list[list[str]], fails: set[int], forgets: bool
) -> None:
    """Appends fail, unwritten or written and not confirmed; each meter's readings stay in order."""

    async def play() -> None:
        log = MemoryLog(2, lambda number: number in fails, forgets)
        seen: Counter[str] = Counter()
        sent: list[list[Delivery]] = []
        token = 0
        for batch in batches:
            one: list[Delivery] = []
            for name in batch:
                one.append((message([[name, START + seen[name] * HOUR, 1.0]], topic=name), token))
                seen[name] += 1
                token += 1
            sent.append(one)
        box = await run(log, sent)
        assert box.acked == list(range(token))
        assert spoken(log) == seen
        for values in log.readings():
            first = dict.fromkeys(values)  # what was written twice is taken once
            times: dict[str, list[int]] = {}
            for raw in first:
                for name, time, _ in rows_of(columns(raw)):
                    times.setdefault(name, []).append(time)
            assert all(order == sorted(order) for order in times.values())

    asyncio.run(play())


def test_a_stop_while_nothing_comes_is_at_once() -> None:
    async def play() -> None:
        assert (await run(MemoryLog(1), [])).acked == []

    asyncio.run(play())


def test_a_message_delivered_again_is_counted_once() -> None:
    async def play() -> None:
        log = MemoryLog(2)
        one = message([["a", START, 1], ["b", START, 1]])
        arrival = message([["c", START, 1, int(Mark.ARRIVAL_TIME)]])
        await run(log, [delivered(one, arrival), delivered(one, one)])
        assert spoken(log) == {"a": 1, "b": 1, "c": 1}

    asyncio.run(play())


def test_the_clock_is_written_into_every_partition() -> None:
    async def play() -> None:
        log = MemoryLog(3, lambda number: number == 1)
        ingest, _, _, _ = await made(log)
        stop = asyncio.Event()
        ticking = asyncio.create_task(ingest.tick(stop, 0.001))
        while ingest.stats.ticks < 2:
            await asyncio.sleep(0.001)
        stop.set()
        await ticking
        for values in log.readings():
            assert len(values) >= 2
            assert {decode(raw) for raw in values} == {Tick(NOW)}

    asyncio.run(play())


def test_codes_stay_small_and_right_as_meters_come() -> None:
    """Each batch's dictionary holds its own meters, however many have been seen before."""

    async def play() -> None:
        _, gather, _, _ = await made(MemoryLog(1))
        for n in range(20):
            names = [f"m{n * 400 + int(i)}" for i in np.random.default_rng(n).integers(0, 500, 300)]
            (out,) = gather(delivered(message([[name, START, n] for name in names])))
            part = columns(out.parts[0][1])
            assert [part.meters[code] for code in part.meter.tolist()] == names
            assert len(part.meters) == len(set(names))

    asyncio.run(play())
