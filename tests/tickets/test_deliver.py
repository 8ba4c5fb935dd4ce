"""The deliverer: at least once, in order, patient, no storm, and the same id at every attempt."""

from __future__ import annotations

import asyncio

import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from streams.deliver import DeliverConfig, Deliverer, LogDesk, wanted_by
from streams.messages import TICKETS
from streams.ports import Gone, Rejected
from streams.trade.rules import Rules
from tests.tickets.fakes import FakeDesk, FakeLog, away, fill
from tests.tickets.tools import DAY, HOUR, MINUTE, SECOND, Turned, golden

RULES = Rules()
EVEN = DeliverConfig(jitter=0.0)


def rounds(deliverer: Deliverer, times: int = 1) -> list[int]:
    async def run() -> list[int]:
        return [await deliverer.round("webhook") for _ in range(times)]

    return asyncio.run(run())


def test_everything_arrives_once_and_in_order(store: Store, clock: Turned) -> None:
    fill(store, clock, 40, events=3)
    desk = FakeDesk()
    deliverer = Deliverer(store, [desk], clock, EVEN)
    assert sum(rounds(deliverer, 8)) == 120
    assert len(desk.got) == len(set(desk.got)) == 120
    for ticket in store.tickets():
        mine = [event for event in desk.got if event.startswith(ticket.id)]
        assert mine == [f"{ticket.id}.{n}" for n in (1, 2, 3)]
        read = store.ticket(ticket.id)
        assert read is not None
        assert read.external_refs == {"webhook": f"remote-{ticket.id}"}
    assert store.counts().outbox_pending == 0
    assert deliverer.figures == {"webhook": (120, 0)}


def test_thousands_of_events_of_one_ticket_go_by_runs_in_their_order(store: Store, clock: Turned) -> None:
    """The number that the first has got is known to the second, though both were claimed together."""
    fill(store, clock, 1, events=100)
    desk = FakeDesk()
    assert sum(rounds(Deliverer(store, [desk], clock, EVEN), 4)) == 100
    (ticket,) = store.tickets()
    assert desk.got == [f"{ticket.id}.{n}" for n in range(1, 101)]
    assert desk.most == 1
    assert desk.known == ["", *[f"remote-{ticket.id}"] * 99]
    assert store.counts().outbox_pending == 0


def test_what_follows_an_event_that_did_not_arrive_is_not_tried(store: Store, clock: Turned) -> None:
    fill(store, clock, 2, events=5)
    desk = FakeDesk()
    desk.faults = [None, None, None, away()]  # the second of either ticket's
    deliverer = Deliverer(store, [desk], clock, DeliverConfig(jitter=0.0, parallel=1))
    rounds(deliverer)
    assert desk.tried == 4
    assert {item.attempts for item in store.outbox_claim("webhook", 9, clock.now_ns(), 0)} <= {1}
    clock.advance(MINUTE)
    rounds(deliverer, 3)
    for ticket in store.tickets():
        assert [e for e in desk.got if e.startswith(ticket.id)] == [f"{ticket.id}.{n}" for n in range(1, 6)]


def test_a_long_run_gives_others_their_turn(store: Store, clock: Turned) -> None:
    fill(store, clock, 1, events=10)
    desk = FakeDesk()
    deliverer = Deliverer(store, [desk], clock, DeliverConfig(run_s=0.0))
    assert rounds(deliverer) == [10]
    assert (len(desk.got), store.counts().outbox_pending) == (1, 9)
    # what was given back was no attempt
    assert {item.attempts for item in store.outbox_claim("webhook", 9, clock.now_ns(), SECOND)} == {1}


def test_no_more_at_a_time_than_allowed(store: Store, clock: Turned) -> None:
    fill(store, clock, 30)
    desk = FakeDesk()
    rounds(Deliverer(store, [desk], clock, DeliverConfig(batch=30, parallel=4)))
    assert desk.most == 4


def test_a_desk_that_is_away_for_an_hour_sees_no_storm_and_gets_everything(
    store: Store, clock: Turned
) -> None:
    fill(store, clock, 200)
    desk = FakeDesk()
    desk.faults = [away()] * 100_000
    deliverer = Deliverer(store, [desk], clock, EVEN)
    end = clock.now_ns() + HOUR
    while clock.now_ns() < end:
        rounds(deliverer)
        clock.advance(SECOND * 5)
    # eight at first, then one a look, at most two a minute
    assert 60 < desk.tried < 60 * 2 + 20
    desk.faults.clear()
    tried = desk.tried
    for _ in range(30):
        clock.advance(SECOND * 5)
        rounds(deliverer)
    assert len(desk.got) == len(set(desk.got)) == 200
    assert desk.tried - tried == 200
    assert store.counts().outbox_pending == 0


def test_retries_wait_longer_each_time_up_to_a_ceiling() -> None:
    config = DeliverConfig(first_s=2, ceiling_s=60, jitter=0.25)
    waits = [config.pause(n, 0.5, config.ceiling_s) for n in range(1, 9)]
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert config.pause(10_000, 0.5, config.ceiling_s) == 60
    assert config.pause(3, 0.0, 60) == 6
    assert config.pause(3, 0.999999, 60) == pytest.approx(10, abs=1e-3)


def test_it_waits_as_long_as_it_is_asked_to(store: Store, clock: Turned) -> None:
    fill(store, clock, 1)
    desk = FakeDesk()
    desk.faults = [away(600)]
    deliverer = Deliverer(store, [desk], clock, EVEN)
    rounds(deliverer)
    clock.advance(599 * SECOND)
    assert rounds(deliverer) == [0]
    clock.advance(SECOND)
    assert rounds(deliverer) == [1]
    assert len(desk.got) == 1


def test_one_bad_event_holds_up_nobody_else(store: Store, clock: Turned) -> None:
    fill(store, clock, 20)
    desk = FakeDesk()
    desk.faults = [away()]
    deliverer = Deliverer(store, [desk], clock, EVEN)
    rounds(deliverer, 3)
    assert len(desk.got) == 19
    assert store.counts().outbox_pending == 1
    clock.advance(2 * SECOND)
    rounds(deliverer)
    assert len(desk.got) == 20


def test_what_is_refused_becomes_a_dead_letter_and_the_next_goes(store: Store, clock: Turned) -> None:
    fill(store, clock, 1, events=2)
    desk = FakeDesk()
    desk.faults = [Rejected("fake:desk", "HTTP 422: no such customer")]
    deliverer = Deliverer(store, [desk], clock, EVEN)
    rounds(deliverer, 2)
    (dead,) = store.dead_deliveries()
    assert dead.reason == "HTTP 422: no such customer"
    assert [event.rsplit(".", 1)[1] for event in desk.got] == ["2"]


def test_before_a_repetition_the_other_side_is_asked(store: Store, clock: Turned) -> None:
    (ticket,) = store.apply_flags([golden()], clock.now_ns(), RULES)
    desk = FakeDesk()
    desk.faults = [away()]
    desk.found = {f"{ticket.id}.1": "HD-5"}
    deliverer = Deliverer(store, [desk], clock, EVEN)
    rounds(deliverer)
    assert desk.tried == 1  # a first attempt asks nobody
    clock.advance(MINUTE)
    rounds(deliverer)
    assert desk.tried == 1
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "HD-5"}


def test_a_desk_that_wants_no_more_is_left_alone_until_it_is_set_up_again(
    store: Store, clock: Turned
) -> None:
    fill(store, clock, 12)
    desk = FakeDesk()
    desk.faults = [Gone("fake:desk", "HTTP 410")] * 12
    deliverer = Deliverer(store, [desk], clock, DeliverConfig(batch=12, parallel=1))
    rounds(deliverer, 3)
    assert desk.tried == 1
    assert store.counts().outbox_pending == 12
    assert [d.name for d in store.desks_disabled()] == ["webhook"]
    # also after a restart
    again = Deliverer(store, [desk], clock, EVEN)
    asyncio.run(again.refresh())
    assert rounds(again) == [0]
    # a new address is a new desk
    desk.endpoint = "fake:new"
    desk.faults = []
    asyncio.run(again.refresh())
    assert rounds(again) == [12]
    assert len(desk.got) == 12


def test_too_old_is_given_up_and_said(store: Store, clock: Turned, caplog: pytest.LogCaptureFixture) -> None:
    fill(store, clock, 2)
    clock.advance(8 * DAY)
    deliverer = Deliverer(store, [FakeDesk("another")], clock, EVEN)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(deliverer.run(stop))
        while (await asyncio.to_thread(store.counts)).dead < 2:
            await asyncio.sleep(0.02)
        stop.set()
        await task

    asyncio.run(asyncio.wait_for(run(), 20))
    assert "2 ticket events became dead letters: not delivered within 7 days" in caplog.text


def test_a_slow_desk_holds_up_no_other_and_a_stop_is_quick(store_url: str, clock: Turned) -> None:
    upgrade(store_url)
    slow, quick = FakeDesk("slow"), FakeDesk("quick")
    store = Store(store_url, wanted_by([slow, quick]))
    fill(store, clock, 5)

    async def run() -> float:
        never = asyncio.Event()
        slow.pace = never.wait
        deliverer = Deliverer(store, [slow, quick], clock, DeliverConfig(poll_s=0.05, grace_s=0.2))
        stop = asyncio.Event()
        task = asyncio.create_task(deliverer.run(stop))
        while len(quick.got) < 5:
            await asyncio.sleep(0.01)
        fill(store, clock, 5, events=2)
        deliverer.nudge()
        while len(quick.got) < 10:
            await asyncio.sleep(0.01)
        start = asyncio.get_running_loop().time()
        stop.set()
        await task
        return asyncio.get_running_loop().time() - start

    assert asyncio.run(asyncio.wait_for(run(), 20)) < 2
    assert slow.closed
    assert quick.closed
    # what was under way comes again, as a second attempt
    clock.advance(DeliverConfig().lease_s.__int__() * SECOND)
    again = store.outbox_claim("slow", 9, clock.now_ns(), SECOND)
    assert {item.attempts for item in again if item.event.id.endswith(".1")} == {2}
    store.close()


def test_a_desks_mistake_stops_neither_it_nor_others(store_url: str, clock: Turned) -> None:
    upgrade(store_url)
    wrong, good = FakeDesk("wrong"), FakeDesk("good")
    store = Store(store_url, wanted_by([wrong, good]))
    fill(store, clock, 3)
    broken = True

    async def pace() -> None:
        if broken:
            raise RuntimeError("a mistake of ours")

    wrong.pace = pace

    async def run() -> None:
        nonlocal broken
        config = DeliverConfig(poll_s=0.02, first_s=0.02, probe_s=0.1, lease_s=1)
        stop = asyncio.Event()
        task = asyncio.create_task(Deliverer(store, [wrong, good], clock, config).run(stop))
        while len(good.got) < 3 or wrong.tried < 3:
            await asyncio.sleep(0.01)
            clock.advance(SECOND)
        broken = False
        while len(wrong.got) < 3:
            await asyncio.sleep(0.01)
            clock.advance(SECOND)
        stop.set()
        await task

    asyncio.run(asyncio.wait_for(run(), 20))
    store.close()


def test_names_and_figures_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="expected desks of different names"):
        Deliverer(None, [FakeDesk(), FakeDesk()], Turned())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="need 0 < parallel <= batch"):
        DeliverConfig(batch=4, parallel=8)
    with pytest.raises(ValueError, match="need 0 < first_s <= ceiling_s < give_up_s"):
        DeliverConfig(ceiling_s=1)


def test_the_topic_is_one_of_the_desks(store_url: str, clock: Turned) -> None:
    upgrade(store_url)
    log = FakeLog()
    desk = LogDesk(log, "/forestall/test")
    store = Store(store_url, wanted_by([desk]))
    (ticket,) = store.apply_flags([golden()], clock.now_ns(), RULES)
    deliverer = Deliverer(store, [desk], clock)
    assert asyncio.run(deliverer.round(TICKETS)) == 1
    ((topic, key, value),) = log.records
    assert (topic, key) == ("tickets.v1", ticket.id.encode())
    assert value is not None
    assert b'"type":"forestall.ticket.opened.v1"' in value
    store.close()
