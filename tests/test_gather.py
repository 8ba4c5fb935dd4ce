"""What is gathered of messages: rows to the homes of their meters, marks, digests, dead letters."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.columns import NO_DIGEST
from streams.gather import MOST_ROWS, digest
from streams.messages import DEAD_LETTERS, READINGS, Mark, RawMessage
from tests.ingest_tools import (
    NOW,
    START,
    columns,
    delivered,
    gathered,
    letters,
    made,
    message,
    rows_of,
)
from tests.memory_log import MemoryLog
from tests.streams_of_readings import HOUR, NS, examples


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
    first, second = part.source_of(0), part.source_of(1)
    assert (part.digests[:16], first.unique, second.unique) == (NO_DIGEST, False, True)
    assert first.digest == digest(message([["a", START, 1, int(Mark.ARRIVAL_TIME)]]))
    assert second.digest == part.digests[16:] == digest(message([["a", START, 1]]))


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
        assert {name: one.digest for name, one in found.items()} == {
            "bad": f"sha-256-128:{hashlib.sha256(b'bad' + bytes(1) + bad.payload).hexdigest()[:32]}",
            "mixed": f"sha-256-128:{digest(mixed).hex()}",
        }
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
        assert one.digest == ""  # not all of it is here
        assert other.digest == f"sha-256-128:{digest(long).hex()}"
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
        digests = [part.digests for part in parts]
        assert len(set(digests)) == 3
        assert digests[0] == digest(big)
        assert [columns(raw).digests for _, raw in again.parts] == digests
        assert {part.source_of(0).digest for part in parts} == {digest(big)}  # one message all the same
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
