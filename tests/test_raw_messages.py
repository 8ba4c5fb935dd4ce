"""Which raw messages a flag names: the same however the log is cut, after a restart, after a move."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.payloads.mapping import Mapped
from connectors.payloads.mapping_file import mappings_in
from connectors.payloads.native import Native
from connectors.payloads.router import Router
from streams.columns import Registry, encode_control
from streams.gather import Gather, digest
from streams.messages import Flag, Kind, Quality, RawMessage, Status, written_digest
from streams.registry import Meter
from streams.roster import Roster
from streams.state.bank import Bank, BankConfig, Outcome
from streams.state.checkpoint import Ledger, restore
from streams.state.handover import install, release
from streams.state.partition import Partition
from streams.trade.raw_messages import LISTED, MOST, gathered, listed, messages_of
from tests.memory_log import MemoryLog
from tests.streams_of_readings import (
    DAY,
    HOUR,
    MINUTE,
    NS,
    Row,
    Stream,
    as_columns,
    examples,
    feed,
    instant,
    make_bank,
    shipped,
    streams,
)
from tests.tickets.tools import MemoryStore, golden

DOCUMENTS = Path(__file__).parents[1] / "docs" / "documents.md"
(UNTIMED,) = mappings_in(
    '{"mapping":[{"name":"m","topic":"m/{meter_id}","meter_id":"{meter_id}","values":[{"value":"$.v"}]}]}',
    "m.json",
)
START = instant("2024-01-01")
WEI = Meter(meter_id="wei", commodity="gas", unit="m3", kind="register", meter_class="residential")
READS = (("2011-04-10", 0.0), ("2012-04-10", 176.0), ("2012-06-10", 449.0))


def named(number: int) -> bytes:
    """The digest of a message of that number."""
    return hashlib.sha256(b"%d" % number).digest()[:16]


def signed(stream: Stream) -> list[Row]:
    """Its readings, each in a message, received at a second of its own; of every seventh no digest is known."""
    return [
        replace(row, digest=named(n) if n % 7 else b"", received=row.received or row.time + n * NS)
        for n, row in enumerate(stream.rows)
    ]


def told(flag: Flag) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = flag.evidence.get("raw_messages", [])
    return found


def golden_rows(with_digest: bool = True) -> list[Row]:
    return [
        Row("wei", instant(day), value, Kind.REGISTER, received=instant(day) + n * NS, digest=named(n))
        if with_digest
        else Row("wei", instant(day), value, Kind.REGISTER)
        for n, (day, value) in enumerate(READS)
    ]


def test_a_read_that_is_flagged_names_its_message_and_the_one_of_the_read_before() -> None:
    (flag,) = [f for f in feed(make_bank([WEI]), golden_rows()).flags if f.family == "usage_high"]
    assert told(flag) == [
        {
            "role": "decided",
            "digest": f"sha-256-128:{named(2).hex()}",
            "received": "2012-06-10T00:00:02Z",
            "topic": "t",
        },
        {"role": "before", "digest": f"sha-256-128:{named(1).hex()}", "received": "2012-04-10T00:00:01Z"},
    ]


def test_readings_of_files_have_no_message() -> None:
    bank = make_bank([WEI])
    flags = feed(bank, golden_rows(with_digest=False)).flags
    assert flags
    assert not [flag for flag in flags if "raw_messages" in flag.evidence]
    assert not bank.state.of("raw_messages", "last").any()


def test_after_a_read_from_a_file_no_older_message_is_named() -> None:
    rows = golden_rows()
    rows[1] = rows[1].but(digest=b"")
    (flag,) = [f for f in feed(make_bank([WEI]), rows).flags if f.family == "usage_high"]
    assert [one["role"] for one in told(flag)] == ["decided"]


def test_nor_is_it_after_a_restart() -> None:
    rows = golden_rows()
    bank = make_bank([WEI])
    feed(bank, rows[:1])
    draft = Ledger(0, 1).draft(bank, 1)
    again, _ = restore(bank.config, 0, dict([*draft.records, draft.marker]))
    feed(again, [rows[1].but(digest=b"")])
    (flag,) = [f for f in feed(again, rows[2:]).flags if f.family == "usage_high"]
    assert [one["role"] for one in told(flag)] == ["decided"]


def test_the_read_before_is_found_in_the_middle_of_a_batch() -> None:
    meter = Meter(meter_id="r", commodity="water", unit="m3", kind="register")
    times = [*(n * HOUR for n in range(6)), 5 * HOUR + 10 * MINUTE, 5 * HOUR + 20 * MINUTE]
    rows = [
        Row("r", START + time, 20.0 if n == 7 else 100.0 + n, received=START + time, digest=named(n))
        for n, time in enumerate(times)
    ]
    (flag,) = [f for f in feed(make_bank([meter]), rows).flags if f.kind == "rollback"]
    assert [one["digest"] for one in told(flag)] == [written_digest(named(n)) for n in (7, 6)]


#: Rows that become nobody's newest reading.
ASIDE = {
    "an error code": Row("r", START + 2 * HOUR, 16_777.215),
    "a bad one": Row("r", START + 2 * HOUR, 103.0, quality=Quality.BAD),
    "a late one": Row("r", START + HOUR // 2, 100.5),
    "one ahead": Row("r", START + 9 * HOUR, 109.0, received=START + 2 * HOUR),
    "the same again": Row("r", START + HOUR, 101.0),
    "a correction that is not believed": Row("r", START + HOUR, 50.0),
}


@pytest.mark.parametrize("cuts", [[], [1, 2, 3]], ids=["one batch", "each by itself"])
@pytest.mark.parametrize("aside", ASIDE.values(), ids=ASIDE)
def test_the_message_before_is_that_of_the_read_it_counts_from(aside: Row, cuts: list[int]) -> None:
    """A good read, a row that nothing counts from, a register that falls: the evidence has the good one's value."""
    meter = Meter(meter_id="r", commodity="water", unit="m3", kind="register")
    read, fallen = Row("r", START + HOUR, 101.0), Row("r", START + 3 * HOUR, 20.0)
    first = Row("r", START, 100.0)
    rows = [
        replace(row, digest=named(n), received=row.received or START + 3 * HOUR)
        for n, row in enumerate((first, read, aside, fallen))
    ]
    bank = make_bank([meter])
    (flag,) = [f for f in feed(bank, rows, cuts).flags if f.kind == "rollback"]
    assert flag.evidence["register_before"] == 101.0
    assert [one["digest"] for one in told(flag)] == [written_digest(named(n)) for n in (3, 1)]


@pytest.mark.parametrize("cuts", [[], [1, 2, 3]], ids=["one batch", "each by itself"])
def test_a_correction_takes_the_place_of_what_it_corrects(cuts: list[int]) -> None:
    meter = Meter(meter_id="r", commodity="water", unit="m3", kind="register")
    reads = ((0, 100.0), (1, 101.0), (1, 102.0), (3, 20.0))
    rows = [
        Row("r", START + hour * HOUR, value, digest=named(n), received=START + 3 * HOUR)
        for n, (hour, value) in enumerate(reads)
    ]
    (flag,) = [f for f in feed(make_bank([meter]), rows, cuts).flags if f.kind == "rollback"]
    assert flag.evidence["register_before"] == 102.0
    assert [one["digest"] for one in told(flag)] == [written_digest(named(n)) for n in (3, 2)]


def test_a_meter_that_has_sent_only_errors_since_falls_silent_by_its_newest_reading() -> None:
    meter = Meter(meter_id="s", commodity="water", unit="m3", kind="interval", interval_s=3600)
    rows = [
        Row("s", START + n * HOUR, 0.25, digest=named(n), received=START + n * HOUR) for n in range(24 * 40)
    ]
    newest = len(rows) - 1
    rows += [
        rows[-1].but(time=rows[-1].time + n * HOUR, quality=Quality.BAD, digest=named(newest + n))
        for n in range(1, 5)
    ]
    bank = make_bank([meter])
    feed(bank, rows)
    outcome = Outcome()
    bank.tick(rows[-1].time + 30 * DAY, outcome)
    (flag,) = [f for f in outcome.flags if f.kind == "silent"]
    assert [(one["role"], one["digest"]) for one in told(flag)] == [("last", written_digest(named(newest)))]


def test_a_meter_costs_what_the_documentation_says() -> None:
    cells = make_bank([WEI]).state.of("raw_messages", "last")
    assert cells[:1].nbytes == 24
    assert "Kept are 24 bytes a meter" in DOCUMENTS.read_text(encoding="utf-8")


def test_two_reads_of_one_message_are_one_message() -> None:
    rows = [replace(row, digest=named(7), received=START) for row in golden_rows()]
    columns = as_columns(rows)
    columns.digests = bytes(len(columns.digests))  # else the second row is the first come again
    outcome = Outcome()
    make_bank([WEI]).update(columns, outcome)
    (flag,) = [f for f in outcome.flags if f.family == "usage_high"]
    assert [(one["role"], one["digest"]) for one in told(flag)] == [("decided", written_digest(named(7)))]


def test_a_meter_that_falls_silent_names_its_last_message() -> None:
    meter = Meter(meter_id="s", commodity="water", unit="m3", kind="interval", interval_s=3600)
    bank = make_bank([meter])
    count = 24 * 40
    rows = [
        Row("s", START + n * HOUR, 0.25, digest=named(n), received=START + n * HOUR) for n in range(count)
    ]
    feed(bank, rows)
    outcome = Outcome()
    bank.tick(START + count * HOUR + 30 * DAY, outcome)
    (flag,) = [f for f in outcome.flags if f.kind == "silent"]
    assert [(one["role"], one["digest"]) for one in told(flag)] == [
        ("last", written_digest(named(count - 1)))
    ]
    assert "topic" not in told(flag)[0]


@examples(12)
@given(streams(days=40), st.lists(st.integers(0, 1500), max_size=12), st.integers(0, 1500))
def test_however_the_log_is_cut_and_after_a_restart_a_flag_names_the_same_messages(
    stream: Stream, cuts: list[int], stop: int
) -> None:
    rows = signed(stream)
    whole = feed(make_bank(stream.meters), rows).flags
    assert feed(make_bank(stream.meters), rows, [c for c in cuts if c < len(rows)]).flags == whole
    stop = min(stop, len(rows))
    bank = make_bank(stream.meters)
    first = feed(bank, rows[:stop]).flags if stop else []
    draft = Ledger(0, 1).draft(bank, 1)
    again, _ = restore(bank.config, 0, dict([*draft.records, draft.marker]))
    assert first + (feed(again, rows[stop:]).flags if stop < len(rows) else []) == whole
    numbers = {written_digest(named(n)): row for n, row in enumerate(rows)}
    for flag in whole:
        for one in told(flag):
            row = numbers[one["digest"]]
            if one["role"] != "decided":
                assert row.meter == flag.meter_id


def test_the_last_message_goes_with_its_meter_to_another_partition() -> None:
    here, there = make_bank([WEI]), Bank(BankConfig(shipped()))
    rows = golden_rows()
    feed(here, rows[:2])
    install(there, release(here, "wei"))
    assert not here.state.of("raw_messages", "last").any()
    (flag,) = [f for f in feed(there, rows[2:]).flags if f.family == "usage_high"]
    assert [one["digest"] for one in told(flag)] == [written_digest(named(n)) for n in (2, 1)]


@pytest.mark.parametrize("payload", [b'{"meter_id":"wei","value":449}', b"\x00\xff\n", b"", b"\n\n"])
@pytest.mark.parametrize("topic", ["forestall/readings/wei", "用户/表 1"])
def test_the_digest_is_what_the_documentation_computes(payload: bytes, topic: str, tmp_path: Path) -> None:
    """docs/documents.md, word for word."""
    (tmp_path / "payload.bin").write_bytes(payload)
    command = "{ printf '%s\\0' \"$TOPIC\"; cat payload.bin; } | sha256sum | cut -c1-32"
    assert command in DOCUMENTS.read_text(encoding="utf-8")
    there = {"TOPIC": topic, "PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=there, capture_output=True, check=True)
    message = RawMessage(topic=topic, payload=payload, received_ns=0)
    assert written_digest(digest(message)) == f"sha-256-128:{done.stdout.decode().strip()}"


def through_the_log(deliveries: list[list[RawMessage]]) -> tuple[list[bytes], list[Flag]]:
    """Messages, gathered so many at a time; what the log then has, and the flags of a partition that reads it."""

    async def gather() -> list[bytes]:
        roster = Roster(MemoryLog(1), 1)
        await roster.load()
        ingest = Gather(Router([Native(), Mapped(UNTIMED)]), roster)
        return [
            raw for some in deliveries for out in ingest([(one, 0) for one in some]) for _, raw in out.parts
        ]

    log = asyncio.run(gather())
    return log, replayed(log)


def replayed(log: list[bytes]) -> list[Flag]:
    partition = Partition(BankConfig(shipped()), 0)
    partition.handle(encode_control(Registry([WEI])))
    return [flag for raw in log for flag in partition.handle(raw)[0].flags]


def test_from_payload_to_flag_however_ingest_gathers_and_whenever_the_log_is_read_again() -> None:
    messages = [
        RawMessage(
            topic="forestall/readings/wei",
            payload=b'{"meter_id":"wei","time":"%sT00:00:00Z","value":%d}' % (day.encode(), value),
            received_ns=instant("2026-11-22") + n,
        )
        for n, (day, value) in enumerate(READS)
    ]
    log, flags = through_the_log([messages])
    (flag,) = [f for f in flags if f.family == "usage_high"]
    wanted = [
        hashlib.sha256(one.topic.encode() + b"\0" + one.payload).hexdigest()[:32]
        for one in (messages[2], messages[1])
    ]
    assert [one["digest"] for one in told(flag)] == [f"sha-256-128:{digest}" for digest in wanted]
    json = msgspec.json.encode(flags)
    assert msgspec.json.encode(replayed(log)) == json
    assert msgspec.json.encode(through_the_log([[one] for one in messages])[1]) == json
    # the broker delivers the last again: the flag is that of the first time
    again = msgspec.structs.replace(messages[2], received_ns=instant("2026-11-23"), redelivered=True)
    assert msgspec.json.encode(through_the_log([messages, [again]])[1]) == json


def test_a_message_without_a_time_of_its_own_is_named_too() -> None:
    """It is not known again when it comes again, but it has a digest."""
    messages = [
        RawMessage(topic="m/wei", payload=b'{"v":%d}' % value, received_ns=instant(day))
        for day, value in READS
    ]
    (flag,) = [f for f in through_the_log([messages])[1] if f.family == "usage_high"]
    assert [one["digest"] for one in told(flag)] == [written_digest(digest(messages[n])) for n in (2, 1)]


# -- over the events of an episode -------------------------------------------------------------------


def event(status: str, number: int) -> Flag:
    """One of the golden flag's events, on a day of that number."""
    flag, at = golden(), f"2024-01-{number:02}T00:00:00Z"
    entry = {"role": "decided", "digest": written_digest(named(number)), "received": at, "topic": "t"}
    return msgspec.structs.replace(
        flag, status=status, at=at, evidence={**flag.evidence, "raw_messages": [entry]}
    )


def test_a_ticket_keeps_the_message_that_raised_it_and_the_newest() -> None:
    store = MemoryStore()
    events = [event(Status.RAISED, 1), *(event(Status.UPDATED, n) for n in range(2, 29))]
    events.append(event(Status.CLEARED, 29))
    store.take(*events)
    (episode,) = store.episodes.values()
    kept = list(messages_of(episode.evidence))
    assert len(kept) == MOST
    assert [(one.status, one.digest) for one in kept[:2]] == [
        ("raised", named(1).hex()),
        ("updated", named(2).hex()),
    ]
    assert [one.digest for one in kept[2:]] == [named(n).hex() for n in range(29 - MOST + 3, 30)]
    assert kept[-1].status == "cleared"
    assert episode.evidence["periods"]  # all else is what was last said of the episode
    store.take(*events)  # the worker tells it all again
    assert list(store.episodes.values()) == [episode]


def test_a_ticket_of_many_flags_lists_some_of_their_messages_and_counts_the_others() -> None:
    store = MemoryStore()
    flags = [msgspec.structs.replace(event(Status.RAISED, 1), id=f"flag-{n}") for n in range(LISTED + 5)]
    store.take(*flags)
    found, more = listed(store.episodes.values())
    assert (len(found), more) == (LISTED, 5)
    assert listed(list(store.episodes.values())[:3]) == (found[:3], 0)


def test_a_message_that_is_told_again_is_kept_once_and_nonsense_is_left_aside() -> None:
    flag = event(Status.RAISED, 1)
    once = gathered(flag, {})
    assert gathered(flag, once.evidence) == once
    assert list(messages_of({"raw_messages": "x"})) == []
    assert [one.digest for one in messages_of({"raw_messages": [1, {"digest": "abc"}]})] == ["abc"]
