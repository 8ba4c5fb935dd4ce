"""Who holds a claimed event: as long as it is being delivered its owner, soon after its death another."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from connectors.store import Store
from streams.clock import SystemClock
from streams.deliver import DeliverConfig, Deliverer
from streams.ports import Unavailable
from streams.trade.deliveries import OutboxItem, Outcome
from streams.trade.rules import Rules
from tests.services.process import wait_until
from tests.tickets.fakes import FakeDesk, fill
from tests.tickets.receiver import SECRET, Answer, Receiver
from tests.tickets.tools import NOON, SECOND, Turned, golden

LEASE_S = 1.0

DELIVERER = """
import asyncio, sys
from connectors.desks.webhook import Webhook, WebhookConfig
from connectors.store import Store
from streams.clock import SystemClock
from streams.deliver import DeliverConfig, Deliverer

store = Store(sys.argv[1])
desk = Webhook(WebhookConfig(name="webhook", url=sys.argv[2], secrets=(sys.argv[3],), allow_private=True))
config = DeliverConfig(lease_s=float(sys.argv[4]), poll_s=0.05)
asyncio.run(Deliverer(store, [desk], SystemClock(), config).run(asyncio.Event()))
"""


def deliverer(store_url: str, receiver: Receiver, lease_s: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DELIVERER, store_url, receiver.url, SECRET, str(lease_s)])


def test_a_living_owners_slow_send_is_never_doubled(store: Store, store_url: str, receiver: Receiver) -> None:
    """One of two processes waits for the receiver for three leases; the other works on beside it."""
    store.apply_flags([golden()], time.time_ns(), Rules())
    arrived = threading.Event()

    def hold() -> None:
        arrived.set()
        threading.Event().wait(3.5 * LEASE_S)

    receiver.answers = [Answer(200, before=hold)]
    both = [deliverer(store_url, receiver, LEASE_S)]
    try:
        assert arrived.wait(30)
        both.append(deliverer(store_url, receiver, LEASE_S))
        store.apply_flags([golden(id="b", service_point_id="b")], time.time_ns(), Rules())
        wait_until(lambda: store.counts().outbox_pending == 0, "both to be delivered", 30)
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert len(receiver.ids) == len(set(receiver.ids)) == 2


def test_what_a_killed_owner_had_is_delivered_within_its_lease(
    store: Store, store_url: str, receiver: Receiver
) -> None:
    """Killed after its lease has been renewed: with the product's own figures, in fifteen seconds."""
    lease_s = DeliverConfig().lease_s
    assert lease_s <= 15
    (ticket,) = store.apply_flags([golden()], time.time_ns(), Rules())
    arrived, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        let_go.wait(60)

    receiver.answers = [Answer(200, before=hold)]
    first = deliverer(store_url, receiver, lease_s)
    try:
        assert arrived.wait(30)
    finally:
        first.kill()
        first.wait()
    killed = time.monotonic()
    second = deliverer(store_url, receiver, lease_s)
    try:
        wait_until(lambda: store.counts().outbox_pending == 0, "the delivery by the other", lease_s + 5)
    finally:
        let_go.set()
        second.kill()
        second.wait()
    assert time.monotonic() - killed < lease_s + 5
    assert receiver.ids == [f"{ticket.id}.1"] * 2


def test_a_lease_is_renewed_by_who_has_it_and_nobody_else(store: Store) -> None:
    fill(store, Turned(), 3)
    mine = store.outbox_claim("webhook", 2, NOON, 10 * SECOND)
    assert store.outbox_renew(mine, NOON + 20 * SECOND) == 2
    assert len(store.outbox_claim("webhook", 9, NOON + 19 * SECOND, SECOND)) == 1
    theirs = store.outbox_claim("webhook", 9, NOON + 20 * SECOND, 10 * SECOND)
    assert len(theirs) == 3
    assert store.outbox_renew(mine, NOON + 99 * SECOND) == 0
    store.outbox_settle([Outcome(item=theirs[0], verdict="done")], NOON)
    retry = Outcome(item=theirs[1], verdict="retry", due_ns=NOON + 30 * SECOND, reason="busy")
    store.outbox_settle([retry], NOON)
    assert store.outbox_renew(theirs, NOON + 60 * SECOND) == 1
    # the retry's own time is not put off
    assert len(store.outbox_claim("webhook", 9, NOON + 30 * SECOND, SECOND)) == 1


class Deaf(Store):
    """A database that takes everything but renewals."""

    def outbox_renew(self, items: Sequence[OutboxItem], until_ns: int) -> int:
        raise Unavailable("the database", "it does not answer")


def test_who_cannot_renew_begins_nothing_more(
    store: Store, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(store, Turned(), 3)
    deaf, desk = Deaf(store_url), FakeDesk()

    async def slow() -> None:
        await asyncio.sleep(0.6)

    desk.pace = slow
    config = DeliverConfig(parallel=1, lease_s=0.5)
    assert asyncio.run(Deliverer(deaf, [desk], SystemClock(), config).round("webhook")) == 3
    assert desk.tried == 1
    assert "lease of 3 ticket events not renewed" in caplog.text
    # what was not begun was given back, and does not count as an attempt
    assert store.counts().outbox_pending == 2
    assert {i.attempts for i in store.outbox_claim("webhook", 9, time.time_ns(), SECOND)} == {1}
    deaf.close()
