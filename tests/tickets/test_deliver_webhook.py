"""Deliverer and webhook against a real receiver: down, busy, slow, and a kill in mid-work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from connectors.desks.webhook import Webhook, WebhookConfig
from connectors.store import Store
from streams.deliver import DeliverConfig, Deliverer
from streams.trade.rules import Rules
from tests.services.process import wait_until
from tests.tickets.fakes import fill
from tests.tickets.receiver import SECRET, Answer, Receiver
from tests.tickets.tools import SECOND, Turned, golden


def webhook(receiver: Receiver, **more: Any) -> Webhook:
    return Webhook(
        WebhookConfig(name="webhook", url=receiver.url, secrets=(SECRET,), allow_private=True, **more)
    )


def test_down_slow_busy_and_back_against_a_real_receiver(
    store: Store, clock: Turned, receiver: Receiver
) -> None:
    """500, 429 with a wait, a dropped server, a slow answer: everything arrives, with one id each."""
    fill(store, clock, 6, events=2)
    let_go = threading.Event()

    def hold() -> None:
        let_go.wait(10)

    receiver.answers = [
        Answer(500),
        Answer(429, b"", (("retry-after", "30"),)),
        Answer(503),
        Answer(200, before=hold),
    ]

    async def run() -> None:
        desk = webhook(receiver, timeout_s=0.5)
        deliverer = Deliverer(store, [desk], clock, DeliverConfig(parallel=2))
        for step in range(200):
            if step == 20:
                receiver.stop()
            if step == 40:
                receiver.start()
            await deliverer.round("webhook")
            clock.advance(5 * SECOND)
            if not store.counts().outbox_pending:
                break
        await desk.close()

    asyncio.run(run())
    let_go.set()
    assert store.counts().outbox_pending == 0
    assert all(got.verified for got in receiver.got)
    assert len(set(receiver.ids)) == 12
    answered: dict[str, list[str]] = {}
    for event in receiver.ids:
        answered.setdefault(event.rsplit(".", 1)[0], []).append(event)
    for ticket, events in answered.items():
        # repeated perhaps, never overtaken
        assert sorted(events, key=lambda e: int(e.rsplit(".", 1)[1])) == events
        assert {f"{ticket}.1", f"{ticket}.2"} == set(events)


KILLED = """
import asyncio, sys, time
from connectors.desks.webhook import Webhook, WebhookConfig
from connectors.store import Store
from streams.clock import SystemClock
from streams.deliver import DeliverConfig, Deliverer

store = Store(sys.argv[1])
desk = Webhook(WebhookConfig(name="webhook", url=sys.argv[2], secrets=(sys.argv[3],), allow_private=True))
config = DeliverConfig(lease_s=1.0, poll_s=0.02)
asyncio.run(Deliverer(store, [desk], SystemClock(), config).run(asyncio.Event()))
"""


def test_killed_in_the_middle_it_delivers_again_with_the_same_id(
    store: Store, store_url: str, receiver: Receiver
) -> None:
    """SIGKILL while the receiver holds the answer back; the next process delivers the same event."""
    (ticket,) = store.apply_flags([golden()], time.time_ns(), Rules())
    arrived, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        let_go.wait(30)

    receiver.answers = [Answer(200, b'{"id": "HD-1"}', before=hold)]
    receiver.default = Answer(200, b'{"id": "HD-1"}')
    command = [sys.executable, "-c", KILLED, store_url, receiver.url, SECRET]
    first = subprocess.Popen(command)
    try:
        assert arrived.wait(30)
        assert store.counts().outbox_pending == 1  # in mid-work
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    let_go.set()
    second = subprocess.Popen(command)
    try:
        wait_until(lambda: store.counts().outbox_pending == 0, "the delivery of the second process")
    finally:
        second.kill()
        second.wait()
    assert receiver.ids == [f"{ticket.id}.1"] * 2
    assert receiver.got[0].body == receiver.got[1].body
    assert all(got.verified for got in receiver.got)
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "HD-1"}
