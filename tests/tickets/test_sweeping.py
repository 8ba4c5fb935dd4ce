"""What is old goes by itself, a kind at a time, and the log says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from connectors.store import Store
from connectors.store.audit import LogFilter
from connectors.store.engine import writing
from connectors.store.retention import Keep
from streams.messages import Flag
from streams.sweeping import Sweeper
from streams.trade.judged import BarMove
from streams.trade.mutes import Mute, MuteKind
from streams.trade.rules import Rules
from tests.tickets.erasure_tools import ADMIN, CANARY, closed, complain, everything
from tests.tickets.tools import DAY, NOON, Turned, flag

pytestmark = pytest.mark.usefixtures("places")


def test_what_is_over_goes_and_nothing_else(store: Store) -> None:
    old = closed(store)
    complain(store, 2, service_point="point-2", phone="13700000000")  # open: stays
    complain(store, 3, service_point="point-3", phone="13600000000", at_ns=NOON + 300 * DAY)
    keep = Keep(people=100, complaints=200, tickets=300, audit=400)
    assert store.due_to_go(keep, NOON + 50 * DAY) == {}
    assert store.sweep(keep, NOON + 50 * DAY) == {}

    # names first; the complaint keeps the pseudonym
    assert store.due_to_go(keep, NOON + 150 * DAY) == {"people": 1}
    assert store.sweep(keep, NOON + 150 * DAY) == {"people": 1}
    assert store.sweep(keep, NOON + 150 * DAY) == {}
    assert CANARY["phone"] not in everything(store, without=("ticket_history", "outbox"))
    assert store.count_people() == {"kept": 2, "erased": 1}
    assert store.sweep(keep, NOON + 250 * DAY) == {"complaints": 1}
    assert store.ticket(old) is not None
    assert store.sweep(keep, NOON + 350 * DAY) == {"tickets": 1}
    assert store.ticket(old) is None
    assert old not in everything(store, without=("audit",))
    assert len(store.tickets()) == 2
    taken = {
        line.details["kind"]: line.details["count"]
        for line in store.audit_log(wanted=LogFilter(action="retention.swept"))
    }
    assert taken == {"people": 1, "complaints": 1, "tickets": 1}
    assert store.verify_audit().faults == ()
    rows = store.verify_audit().rows
    assert store.sweep(Keep(audit=1), NOON + 800 * DAY) == {"audit": rows}
    assert [line.action for line in store.audit_log()] == ["audit.pruned"]
    assert store.verify_audit().faults == ()


def test_flags_below_a_bar_go_and_those_that_wait_for_a_mute_become_tickets_first(store: Store) -> None:
    def low(name: str, status: str = "raised", **fields: Any) -> Flag:
        return flag(id=name, meter_id=name, service_point_id=name, status=status, score=0.5, **fields)

    rules, keep = Rules(), Keep(muted=90)
    raised = BarMove(kind="high_usage", bar=1.2, before=1.0, at_ns=NOON, by="admin", why="")
    store.move_bar(raised, lambda _connection: None)
    store.apply_flags([low("cleared"), low("silent"), low("heard")], NOON, rules)
    quiet = Mute(
        id="m", kind=MuteKind.SNOOZE, place="meter/quiet", start_ns=NOON, end_ns=NOON + 10 * DAY, reason="known",
        by="admin", created_ns=NOON,
    )  # fmt: skip
    store.put_mute(quiet, ADMIN, NOON)
    store.apply_flags([flag(id="quiet", meter_id="quiet", service_point_id="quiet")], NOON, rules)
    store.apply_flags([low("cleared", "cleared", at="2026-06-03T00:00:00Z")], NOON + DAY, rules)
    store.apply_flags([low("heard", "updated", at="2026-08-01T00:00:00Z")], NOON + 60 * DAY, rules)
    ended = {one.flag_id: one.until_ns for one in store.muted_flags(9, waiting=False) if one.outcome}
    assert ended == {"cleared": NOON + DAY}

    assert store.sweep(keep, NOON + 90 * DAY) == {}
    # of one that its detector still speaks of the row stays; the mute's end is not what takes a flag away
    assert store.sweep(keep, NOON + 120 * DAY) == {"muted_flags": 2, "mutes": 1}
    assert {one.flag_id for one in store.muted_flags(9)} == {"heard", "quiet"}
    (opened,) = store.reconsider(NOON + 120 * DAY, rules)
    assert opened.meter_id == "quiet"
    assert store.sweep(keep, NOON + 240 * DAY) == {"muted_flags": 2}
    # what had gone and is spoken of again waits again
    store.apply_flags([low("silent", "updated", at="2026-12-01T00:00:00Z")], NOON + 240 * DAY, rules)
    (again,) = store.muted_flags(9)
    assert (again.flag_id, again.since_ns, again.outcome) == ("silent", NOON + 240 * DAY, "")


def test_sweeping_is_done_in_small_steps(store: Store) -> None:
    for number in range(7):
        complain(store, number, service_point=f"point-{number}")
    store.erase_point("point-0", ADMIN, "用户书面申请删除", NOON, also_open=True)
    with writing(store._engine) as connection:
        connection.execute(text("DELETE FROM complaints"))
    assert store.sweep(Keep(people=1), NOON + 9 * DAY, at_a_time=2) == {"people": 6}
    counts = [line.details["count"] for line in store.audit_log(wanted=LogFilter(action="retention.swept"))]
    assert counts == [2, 2, 2]


def test_it_is_swept_by_the_clock(store: Store) -> None:
    closed(store)
    clock = Turned(NOON + 400 * DAY)

    async def run() -> None:
        stop = asyncio.Event()
        sweeper = Sweeper(lambda now: store.sweep(Keep(people=365), now), clock, every_s=0.01)
        sweeping = asyncio.create_task(sweeper.run(stop))
        while store.count_people()["kept"]:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(sweeping, 5)

    asyncio.run(asyncio.wait_for(run(), 20))
