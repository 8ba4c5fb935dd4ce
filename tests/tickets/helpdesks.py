"""What the tests of the helpdesks share: desks set up for their servers, and a store whose events go to one."""

from __future__ import annotations

import asyncio
from typing import Any

from connectors.desks.http import LONG
from connectors.desks.tmf621 import Tmf621, Tmf621Config
from connectors.desks.zammad import Zammad, ZammadConfig
from connectors.store import Store
from streams.deliver import DeliverConfig, Deliverer
from streams.ports import Desk
from streams.trade.deliveries import TicketEvent
from streams.trade.lifecycle import Move, move
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.tickets import HistoryEntry, State, Ticket
from streams.trade.wording import announce
from tests.tickets import tmf621_server, zammad_server
from tests.tickets.tmf621_server import Tmf621Server
from tests.tickets.tools import NOON, SECOND, MemoryStore, Turned, golden
from tests.tickets.zammad_server import ZammadServer

PRIVATE = LONG.__class__(allow_private=True, timeout_s=5.0, most=LONG.most)
EVEN = DeliverConfig(jitter=0.0)


def zammad(server: ZammadServer, **more: Any) -> Zammad:
    given: dict[str, Any] = {
        "url": server.url,
        "token": zammad_server.TOKEN,
        "customer": "meters@utility.example",
        "call": PRIVATE,
        "name": "webhook",  # the desk that the store of these tests tells
    }
    return Zammad(ZammadConfig(**(given | more)), now_ns=lambda: NOON)


def tmf621(server: Tmf621Server, **more: Any) -> Tmf621:
    given: dict[str, Any] = {
        "url": server.api,
        "token": tmf621_server.TOKEN,
        "call": PRIVATE,
        "name": "webhook",
    }
    return Tmf621(Tmf621Config(**(given | more)))


def opened(**fields: Any) -> TicketEvent:
    """The event of a ticket that has just been opened."""
    store = MemoryStore()
    store.take(golden(**fields))
    return store.events[0]


def told(ticket: Ticket, sequence: int) -> TicketEvent:
    """The event of a later line of history, with the ticket as it stands."""
    return announce(ticket, HistoryEntry(seq=sequence, at_ns=NOON, actor="wang", action="moved"))


def case() -> Ticket:
    """The household's ticket."""
    (ticket,) = MemoryStore().take(golden())
    return ticket


def work(store: Store, ticket: Ticket, *states: State, now_ns: int = NOON, **facts: Any) -> None:
    """Let a person bring a ticket through states."""
    for state in states:
        wish = Move(to=state, actor="wang", **facts)
        store.change(ticket.id, lambda book, t, wish=wish: move(book, t, wish, Targets(), now_ns), now_ns)  # type: ignore[misc]


def golden_in(store: Store, clock: Turned) -> Ticket:
    (ticket,) = store.apply_flags([golden()], clock.now_ns(), Rules())
    return ticket


def deliver_all(store: Store, desk: Desk, clock: Turned, *, step_s: int = 5, rounds: int = 200) -> Deliverer:
    """Rounds until nothing waits."""
    deliverer = Deliverer(store, [desk], clock, EVEN)

    async def run() -> None:
        try:
            for _ in range(rounds):
                await deliverer.round(desk.name)
                if not store.counts().outbox_pending:
                    break
                clock.advance(step_s * SECOND)
        finally:
            await desk.close()

    asyncio.run(run())
    return deliverer
