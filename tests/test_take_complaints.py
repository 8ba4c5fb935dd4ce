"""Complaints by the topic, through a real worker, on both logs: each on its ticket once, whatever happens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.store import Store
from streams.messages import COMPLAINTS, DEAD_LETTERS, FLAGS, DeadLetter
from streams.ports import Log
from streams.programs.compose import open_log, prepare_log
from streams.settings import Settings
from streams.take_complaints import redacted
from streams.trade.complaints import ComplaintFilter, Outcome
from tests.conftest import Servers, require
from tests.faults.site import Site
from tests.services.kafka import Kafka
from tests.services.postgres import Postgres
from tests.services.process import wait_until
from tests.tickets.complaint_tools import form
from tests.tickets.tools import flag

REGISTRY = "meter_id,service_point_id,commodity,unit,kind,area\nmeter-1,point-1,gas,m3,register,area-1\n"


async def _append(settings: Settings, topic: str, messages: list[bytes]) -> None:
    log: Log = open_log(settings)
    try:
        await prepare_log(settings, log)
        for n, message in enumerate(messages):
            await log.append(topic, message, partition=n % settings.partitions)
    finally:
        await log.close()


async def _letters(settings: Settings) -> list[DeadLetter]:
    log = open_log(settings)
    found = []
    try:
        for partition in range(settings.partitions):
            async for _, _, value in log.read(DEAD_LETTERS, partition):
                found.append(msgspec.json.decode(value or b"", type=DeadLetter))
    finally:
        await log.close()
    return found


def body(**fields: Any) -> bytes:
    return json.dumps(form(**fields), ensure_ascii=False).encode()


@pytest.mark.parametrize("size", ["embedded", "cluster"])
def test_complaints_of_the_topic_reach_their_tickets(size: str, tmp_path: Path, servers: Servers) -> None:
    registry = tmp_path / "meters.csv"
    registry.write_text(REGISTRY, encoding="utf-8")
    if size == "embedded":
        _through_a_worker(Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, running_clock=True))
        return
    for service in (Kafka, Postgres):
        require(service)
    url = servers.get(Postgres).new_database().replace("postgresql+psycopg:", "postgresql:")
    with Kafka() as kafka:
        top = f'broker = "{kafka.url}"\nstore = "{url}"'
        _through_a_worker(Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, top, running_clock=True))


def _through_a_worker(site: Site) -> None:
    settings = site.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # what the detectors would have written
    raised = msgspec.json.encode(flag("spike"))
    asyncio.run(_append(settings, FLAGS, [raised]))
    store = Store(settings.store_url)
    try:
        site.start("worker")
        wait_until(lambda: len(store.tickets()) == 1, "the flag to be on a ticket", 30.0)
        (ticket,) = store.tickets()
        now = ticket.opened_ns + 10_000_000  # forms count in milliseconds
        good = [body(at_ns=now - n * 10**9, reference=str(n)) for n in range(7)]
        bad = [
            b"\xff not JSON, of \xe7\x8e\x8b\xe5\xb0\x8f\xe6\x98\x8e",
            b"[1, 2]",
            json.dumps(
                {"name": "王小明", "phone": "13800001234", "matter": "王小明家", "taken_by": "a7"}
            ).encode(),
        ]
        # each of them twice: a sender that had no answer
        asyncio.run(_append(settings, COMPLAINTS, [*good, *bad, *good]))

        def count() -> int:
            return len(store.complaints(ComplaintFilter(), 100))

        wait_until(lambda: count() == 7, "the complaints to be taken", 30.0)
        site.kill("worker")
        asyncio.run(
            _append(
                settings, COMPLAINTS, [body(at_ns=now, reference="after", subject="gas_leak", matter="漏气")]
            )
        )
        site.start("worker")
        wait_until(lambda: count() == 8, "the complaint of the time without a worker", 60.0)
        wait_until(
            lambda: sum(one.source.startswith(COMPLAINTS) for one in asyncio.run(_letters(settings))) >= 3,
            "the dead letters",
            30.0,
        )
        told = site["worker"].metrics()
        assert told["forestall_complaints_taken_total"] >= 1
    finally:
        store.close()
        site.close()
    kept = store.complaints(ComplaintFilter(), 100)
    linked = [one for one in kept if one.ticket_id == ticket.id]
    assert len(linked) == 7
    assert {one.outcome for one in linked} == {Outcome.KNOWN, Outcome.JOINED}
    # the only one that was made after the ticket had opened
    assert [one.reference for one in linked if one.outcome is Outcome.KNOWN] == ["0"]
    whole = store.ticket(ticket.id)
    assert whole is not None
    assert sorted(whole.complaint_ids) == sorted(one.id for one in linked)
    assert sum(line.action == "complained" for line in whole.history) == 7
    (leak,) = [one for one in store.tickets() if one.family == "leak"]
    assert (leak.priority, leak.urgency) == ("P1", "emergency")
    store.close()
    letters = {
        one.source: one for one in asyncio.run(_letters(settings)) if one.source.startswith(COMPLAINTS)
    }
    assert len(letters) == 3
    for letter in letters.values():
        assert "expected" in letter.reason
        for secret in ("王小明", "13800001234"):
            assert secret not in letter.raw.decode() + letter.reason
    assert "王小明" not in site["worker"].log.read_text(encoding="utf-8")


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"[]", b'{"name": 1}', b'{"x": {"y": "z"}}', b"[" * 9999])
def test_a_dead_letter_keeps_no_name(raw: bytes) -> None:
    shown = redacted(raw)
    assert b"z" not in shown
    assert shown == b"" or json.loads(shown)
    told = json.loads(redacted(body(email="wang@example.test", address="幸福里", surprise="王小明")))
    assert told["reference"] == "12345-001"
    assert {told[name] for name in ("name", "phone", "email", "address", "matter", "surprise")} == {"…"}
