"""The self-watch: what is wrong with us is one ticket to operations, noted when it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.store import Store
from streams.selfwatch import SelfWatch
from streams.trade.deliveries import DisabledDesk, Heartbeat
from streams.trade.rules import Rules
from streams.trade.tickets import Category, Ticket
from streams.watch import View, WatchConfig, judge, succeeded
from tests.tickets.tools import MINUTE, NOON, SECOND, Turned, golden

CONFIG = WatchConfig()
NONE: frozenset[tuple[str, str]] = frozenset()


def beat(process: str, at_ns: int = NOON, since_ns: int = NOON - 60 * MINUTE, **figures: Any) -> Heartbeat:
    return Heartbeat(process=process, since_ns=since_ns, at_ns=at_ns, figures=figures)


def kinds(view: View, earlier: View | None = None, open_: frozenset[tuple[str, str]] = NONE) -> list[str]:
    return [f"{f.kind} {f.subject}" for f in judge(view, earlier, open_, CONFIG)]


def test_nothing_known_is_nothing_wrong() -> None:
    assert kinds(View(now_ns=NOON)) == []


def test_no_reading_at_all() -> None:
    def view(age_s: int, **more: Any) -> View:
        one = beat("ingest@a:1", last_reading_ns=NOON - age_s * SECOND)
        return View(now_ns=NOON, heartbeats=[one, *more.get("others", [])])

    assert kinds(view(899)) == []
    assert kinds(view(901)) == ["no_readings all"]
    # one that gets some is enough
    other = beat("ingest@b:1", last_reading_ns=NOON - SECOND)
    assert kinds(view(901, others=[other])) == []
    # it is over at half the limit, not at a second less
    open_ = frozenset({("no_readings", "all")})
    assert kinds(view(500), open_=open_) == ["no_readings all"]
    assert kinds(view(400), open_=open_) == []


def test_never_a_reading_since_the_start() -> None:
    fresh = beat("ingest@a:1", since_ns=NOON - MINUTE, last_reading_ns=0)
    assert kinds(View(now_ns=NOON, heartbeats=[fresh])) == []
    old = beat("ingest@a:1", since_ns=NOON - 16 * MINUTE, last_reading_ns=0)
    assert kinds(View(now_ns=NOON, heartbeats=[old])) == ["no_readings all"]


def test_a_worker_that_lags() -> None:
    view = View(
        now_ns=NOON, heartbeats=[beat("worker@a:1", lag_s=301.0, lag=9), beat("worker@a:2", lag_s=1.0)]
    )
    (found,) = judge(view, None, NONE, CONFIG)
    assert (found.kind, found.subject, found.observed) == ("worker_lag", "worker@a", 301.0)
    assert found.evidence == {"process": "worker@a:1", "records": 9}


def test_a_process_that_is_silent_and_one_that_was_replaced() -> None:
    dead = beat("worker@a:1", NOON - 3 * MINUTE)
    assert kinds(View(now_ns=NOON, heartbeats=[dead])) == ["process_silent worker@a"]
    # one that was there all the time does not take its place
    other = beat("worker@a:2")
    assert kinds(View(now_ns=NOON, heartbeats=[dead, other])) == ["process_silent worker@a"]
    # one that started after its last sign of life does, but only one's
    heir = beat("worker@a:3", since_ns=NOON - 2 * MINUTE)
    view = View(now_ns=NOON, heartbeats=[dead, other, heir])
    assert kinds(view) == []
    assert succeeded(view, CONFIG) == ["worker@a:1"]
    second = beat("worker@a:4", NOON - 4 * MINUTE)
    both = View(now_ns=NOON, heartbeats=[dead, second, other, heir])
    assert kinds(both) == ["process_silent worker@a"]
    elsewhere = beat("worker@b:9", since_ns=NOON - MINUTE)
    assert kinds(View(now_ns=NOON, heartbeats=[dead, elsewhere])) == ["process_silent worker@a"]


def test_an_outbox_that_grows_old_and_a_desk_switched_off() -> None:
    waiting = {"webhook": (40, NOON - 16 * MINUTE), "email": (1, NOON - MINUTE)}
    off = DisabledDesk(name="crm", endpoint="https://crm.example/", reason="HTTP 410", disabled_ns=NOON)
    view = View(now_ns=NOON, outbox=waiting, disabled=[off])
    assert kinds(view) == ["outbox_stuck webhook", "desk_disabled crm"]


def test_dead_letters_that_surge() -> None:
    def view(now_ns: int, ingest: int, worker: int, dead: int = 0) -> View:
        beats = [
            beat("ingest@a:1", now_ns, dead_letters=ingest),
            beat("worker@a:2", now_ns, dead_letters=worker),
        ]
        return View(now_ns=now_ns, heartbeats=beats, dead=dead)

    earlier = view(NOON, 5000, 10)
    assert kinds(view(NOON + MINUTE, 5000, 10)) == []  # how many there are says nothing
    assert kinds(view(NOON + MINUTE, 5060, 40), earlier) == []
    assert kinds(view(NOON + MINUTE, 5060, 60), earlier) == ["dead_letters input"]
    assert kinds(view(NOON + MINUTE, 120, 10), earlier) == ["dead_letters input"]  # restarted, and 120 since
    assert kinds(view(NOON + MINUTE, 5000, 10, dead=101), earlier) == ["dead_letters outbox"]


def test_a_wrong_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="need limits > 0"):
        WatchConfig(silent_s=0)
    with pytest.raises(ValueError, match="calm"):
        WatchConfig(calm=2)


def tick(watch: SelfWatch) -> list[Ticket]:
    return asyncio.run(watch.tick())


def test_one_ticket_for_one_condition_over_restarts(store: Store, clock: Turned) -> None:
    store.heartbeat("ingest@a:1", {"last_reading_ns": clock.now_ns()}, clock.now_ns())
    watch = SelfWatch(store, Rules(), clock)
    assert tick(watch) == []
    clock.advance(16 * MINUTE)
    store.heartbeat("ingest@a:1", {"last_reading_ns": NOON}, clock.now_ns())
    (ticket,) = tick(watch)
    assert (ticket.family, ticket.kind, ticket.priority) == ("operations", "no_readings", "P2")
    assert (ticket.category, ticket.owner_department) == (Category.INSTALL_REPAIR, "operations")
    assert ticket.service_point_id == "forestall/no_readings/all"
    assert ticket.evidence["observed"] == 960.0
    assert tick(watch) == []
    # another process, which knows nothing of the first
    again = SelfWatch(store, Rules(), clock)
    assert tick(again) == []
    store.heartbeat("ingest@a:1", {"last_reading_ns": clock.now_ns()}, clock.now_ns())
    (over,) = tick(again)
    assert over.open
    read = store.ticket(ticket.id)
    assert read is not None
    assert [line.action for line in read.history] == ["opened", "cleared"]
    # it comes back while the ticket is still open: the same ticket
    clock.advance(16 * MINUTE)
    store.heartbeat("ingest@a:1", {"last_reading_ns": NOON + 16 * MINUTE}, clock.now_ns())
    # (beside the outbox, which nobody empties here)
    back, stuck = sorted(tick(again), key=lambda t: t.kind)
    assert stuck.kind == "outbox_stuck"
    assert back.id == ticket.id
    assert len(back.flag_ids) == 2
    assert store.counts().open == 2


def test_conditions_have_tickets_of_their_own(store: Store, clock: Turned) -> None:
    store.heartbeat("worker@a:1", {"lag_s": 900.0}, NOON + 16 * MINUTE)
    store.heartbeat("ingest@a:2", {}, NOON)
    store.apply_flags([golden()], NOON, Rules())
    clock.advance(16 * MINUTE)
    tick(SelfWatch(store, Rules(), clock))
    mine = [t for t in store.tickets() if t.family == "operations"]
    assert {t.kind for t in mine} == {"worker_lag", "process_silent", "outbox_stuck"}
    assert all(t.related == () for t in mine)


def test_a_replaced_process_is_forgotten(store: Store, clock: Turned) -> None:
    store.heartbeat("worker@a:1", {}, NOON)
    store.heartbeat("worker@a:2", {}, NOON + SECOND)
    clock.advance(5 * MINUTE)
    store.heartbeat("worker@a:2", {}, clock.now_ns())
    assert tick(SelfWatch(store, Rules(), clock)) == []
    assert [b.process for b in store.heartbeats()] == ["worker@a:2"]


def test_it_looks_until_it_is_stopped(store: Store, clock: Turned) -> None:
    store.heartbeat("worker@a:1", {}, NOON)
    clock.advance(5 * MINUTE)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(SelfWatch(store, Rules(), clock, WatchConfig(every_s=0.02)).run(stop))
        while not await asyncio.to_thread(store.tickets):
            await asyncio.sleep(0.01)
        stop.set()
        await task

    asyncio.run(asyncio.wait_for(run(), 20))
