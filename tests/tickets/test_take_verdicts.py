"""verdicts.v1 through the real worker: words in the store once each, dead letters for the rest, kills between."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from connectors.migrations import upgrade
from connectors.store import Store
from streams.messages import COMPLAINTS, DEAD_LETTERS, VERDICTS, DeadLetter
from streams.programs import compose
from streams.trade.complaints import ComplaintFilter
from streams.trade.rules import Rules
from tests.conftest import require
from tests.faults.load import NOW_NS
from tests.faults.site import Site
from tests.services.kafka import Kafka
from tests.services.process import wait_until
from tests.tickets.complaint_tools import form
from tests.tickets.tools import NOON, flag


@pytest.fixture(params=["embedded", "kafka"])
def site(request: pytest.FixtureRequest, tmp_path: Path, store_url: str) -> Iterator[Site]:
    """A worker's configuration on both logs; of Apache Kafka with PostgreSQL alone."""
    registry = tmp_path / "meters.csv"
    registry.write_text("meter_id,commodity,unit,kind\n")
    top = f"store = {json.dumps(store_url.replace('+psycopg', ''))}"
    with contextlib.ExitStack() as stack:
        if request.param == "kafka":
            if store_url.startswith("sqlite"):
                pytest.skip("the large size has PostgreSQL")
            require(Kafka)
            top += f'\nbroker = "{stack.enter_context(Kafka()).url}"'
        made = Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, top, "[history]\nkeep_days = 0\n")
        stack.callback(made.close)
        yield made


def behind(site: Site) -> tuple[float, float]:
    """Complaints and verdicts that the worker has not in the store yet, as its metrics say."""
    told = site["worker"].metrics()
    return told["forestall_lag_complaints"], told["forestall_lag_verdicts"]


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """Somebody else holds the database."""
    with store._engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE tickets, complaints, flags_seen IN EXCLUSIVE MODE"))
            yield
            connection.rollback()
        else:
            raw: Any = connection.connection.driver_connection
            raw.execute("BEGIN IMMEDIATE")
            yield
            raw.execute("ROLLBACK")


def send(site: Site, *messages: Any, topic: str = VERDICTS) -> None:
    """Write to the topic, all to one partition."""

    async def work() -> None:
        log = compose.open_log(site.settings)
        await compose.prepare_log(site.settings, log)
        for message in messages:
            raw = message if isinstance(message, bytes) else json.dumps(message).encode()
            await log.append(topic, raw, key=b"p")
        await log.close()

    asyncio.run(work())


def letters(site: Site) -> list[DeadLetter]:
    async def work() -> list[DeadLetter]:
        log = compose.open_log(site.settings)
        found = [
            msgspec.json.decode(value, type=DeadLetter)
            for partition in range(3)
            async for _, _, value in log.read(DEAD_LETTERS, partition)
            if value is not None
        ]
        await log.close()
        return found

    return asyncio.run(work())


def notes(store: Store, ticket: str) -> list[str]:
    found = store.ticket(ticket)
    assert found is not None
    return [f"{line.actor} {line.note}" for line in found.history if line.action == "judged"]


def test_words_of_other_systems_arrive_once_each(site: Site, store_url: str) -> None:
    upgrade(store_url)
    store = Store(store_url)
    store.apply_flags([flag("spike", id="f1"), flag("spike", id="f2", meter_id="m2")], NOON, Rules())
    [ticket] = store.tickets("open")
    words: list[Any] = [
        {"verdict": "confirmed", "by": "crm", "ticket_id": ticket.id},
        {"verdict": "false_alarm", "by": "crm", "flag_ids": ["f2"], "reason": "换表未登记", "more": 1},
        b"{not json",
        {"verdict": "meter_fault", "by": "crm", "ticket_id": ticket.id},
        {"verdict": "false_alarm", "by": "crm", "ticket_id": ticket.id},
        {"verdict": "confirmed", "by": "crm"},
        {"verdict": "confirmed", "by": "crm", "ticket_id": "FS-NOBODY"},
        {"verdict": "confirmed", "by": "crm", "flag_ids": ["f9"]},
        {"verdict": "confirmed", "by": "crm\0", "ticket_id": "\0"},
        {"verdict": "explained", "by": "crm", "ticket_id": ticket.id},
    ]
    send(site, *words)
    site.start("worker")
    expected = ["crm confirmed", "crm false_alarm: 换表未登记", "crm explained"]
    wait_until(lambda: notes(store, ticket.id) == expected, "the words", 90)
    wait_until(lambda: len(letters(site)) == 7, "the dead letters", 30)
    reasons = " | ".join(letter.reason for letter in letters(site))
    for said in ("JSON", "meter_fault", "reason of the false alarm", "got neither", "FS-NOBODY", "f9"):
        assert said in reasons

    # a kill after all was committed: nothing of it is read again
    wait_until(lambda: behind(site) == (0, 0), "the lag to be told", 30)
    site.kill("worker")
    with store._engine.begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM flags_seen WHERE status = 'verdict'")).scalar()
    assert count == 3
    send(site, words[0], words[1])
    site.start("worker")
    expected += ["crm confirmed", "crm false_alarm: 换表未登记"]
    wait_until(lambda: notes(store, ticket.id) == expected, "the new words", 90)
    wait_until(lambda: behind(site) == (0, 0), "the lag to be told", 30)
    assert site["worker"].metrics()["forestall_verdicts_taken_total"] == 2

    # while the store takes nothing they wait, and the metrics say how many
    complaints = [json.dumps(form(reference=str(n), at_ns=NOW_NS)).encode() for n in range(3)]
    with locked(store):
        send(site, words[0], words[1])
        send(site, *complaints, topic=COMPLAINTS)
        wait_until(lambda: behind(site) == (3, 2), "what waits to be counted", 30)
    wait_until(lambda: behind(site) == (0, 0), "what waited to be taken", 60)
    assert len(store.complaints(ComplaintFilter(), 10)) == 3
    store.close()


def test_a_message_that_comes_again_changes_nothing(store: Store) -> None:
    store.apply_flags([flag("spike", id="f1")], NOON, Rules())
    [ticket] = store.tickets("open")
    from streams.trade.verdicts import judge

    def say(key: str, verdict: str) -> bool:
        return store.take_verdict(
            key, [ticket.id], lambda b, t: judge(b, t, verdict, "why", "crm", NOON), NOON
        )

    assert [say("a", "confirmed"), say("b", "false_alarm"), say("a", "confirmed")] == [True, True, False]
    assert notes(store, ticket.id) == ["crm confirmed: why", "crm false_alarm: why"]
    with pytest.raises(KeyError):
        store.take_verdict(
            "c", [ticket.id, "FS-X"], lambda b, t: judge(b, t, "explained", "", "crm", NOON), NOON
        )
    assert len(notes(store, ticket.id)) == 2  # all or none
