"""The store, the same on SQLite and on PostgreSQL: whole transactions, one open ticket, no doubles."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from connectors.migrations import upgrade
from connectors.store import Store, rows
from connectors.store.engine import connect, writing
from connectors.store.tables import tickets as tickets_table
from streams.dispatch import Dispatcher, tidy
from streams.messages import Flag
from streams.ports import Rejected
from streams.trade.book import Book
from streams.trade.lifecycle import Move, Refused, move
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.tickets import State, Ticket
from streams.trade.work import finish_step
from tests.services.postgres import Postgres
from tests.tickets.tools import (
    HOUR,
    MINUTE,
    NOON,
    MemoryStore,
    Turned,
    flag,
    flag_events,
    golden,
    open_by_key,
)

RULES = Rules()
RUNS = itertools.count()


def test_a_ticket_comes_back_as_it_went_in(store: Store) -> None:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    read = store.ticket(ticket.id)
    assert read is not None
    assert replace(read, history=(), steps=()) == replace(ticket, evidence=read.evidence)
    assert read.evidence == {**ticket.evidence}
    assert [(line.seq, line.action, line.flag_id) for line in read.history] == [(1, "opened", "golden")]
    assert [(step.seq, step.check) for step in read.steps] == list(enumerate(ticket.checks, 1))
    (episode,) = store.episodes(ticket.id)
    assert episode.estimate == ticket.estimate
    assert store.ticket("FS-NONE") is None


def test_a_replay_changes_nothing(store: Store) -> None:
    events = [
        golden(),
        golden(status="updated", at="2012-07-10T00:00:00Z", score=6.0),
        golden(status="cleared", at="2012-08-10T00:00:00Z"),
        flag("silent", id="s"),
    ]
    store.apply_flags(events, NOON, RULES)
    before = [store.ticket(t.id) for t in store.tickets()], store.counts()
    assert store.apply_flags(events, NOON + HOUR, RULES) == []
    for one in events:
        assert store.apply_flags([one], NOON + HOUR, RULES) == []
    assert ([store.ticket(t.id) for t in store.tickets()], store.counts()) == before


def test_tickets_newest_first_by_state_and_page(store: Store) -> None:
    for n in range(5):
        store.apply_flags([flag("spike", id=f"f{n}", service_point_id=f"p{n}")], NOON + n * MINUTE, RULES)
    found = store.tickets()
    assert [t.service_point_id for t in found] == ["p4", "p3", "p2", "p1", "p0"]
    store.change(found[0].id, lambda b, t: _move(b, t, State.FALSE_ALARM, note="planned"), NOON + HOUR)
    assert [t.service_point_id for t in store.tickets("open", limit=2)] == ["p3", "p2"]
    assert [t.service_point_id for t in store.tickets(State.FALSE_ALARM)] == ["p4"]
    last = store.tickets(limit=2)[-1]
    assert [t.service_point_id for t in store.tickets(limit=2, before=(last.opened_ns, last.id))] == [
        "p2",
        "p1",
    ]
    assert [t.id for t in store.tickets(service_point="p1")] == [found[3].id]


def test_staff_move_a_ticket_and_every_move_is_told(store: Store) -> None:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    moved = store.change(ticket.id, lambda b, t: _move(b, t, State.ASSIGNED), NOON + HOUR)
    assert (moved.state, moved.first_owner) == (State.ASSIGNED, "wang")
    assert [line.action for line in moved.history] == ["opened", "moved"]
    checked = store.change(
        ticket.id, lambda b, t: finish_step(b, t, 1, "not misread", "negative", "wang", NOON), NOON + HOUR
    )
    assert [step.result for step in checked.steps] == ["not misread", "", "", "", ""]
    assert store.counts().outbox_pending == 2
    with pytest.raises(Refused):
        store.change(ticket.id, lambda b, t: _move(b, t, State.ARCHIVED), NOON + HOUR)
    assert store.ticket(ticket.id) == checked
    with pytest.raises(KeyError, match="expected the id of a ticket"):
        store.change("FS-NONE", lambda b, t: t, NOON)


def test_reopening_is_refused_while_another_is_open(store: Store) -> None:
    (first,) = store.apply_flags([golden()], NOON, RULES)
    store.change(first.id, lambda b, t: _move(b, t, State.FALSE_ALARM, note="x"), NOON)
    (second,) = store.apply_flags([golden(id="again", at="2012-10-10T00:00:00Z")], NOON, RULES)
    with pytest.raises(Refused, match=second.id):
        store.change(first.id, lambda b, t: _move(b, t, State.REOPENED), NOON)


def test_the_database_itself_refuses_a_second_open_ticket(store: Store, store_url: str) -> None:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    engine = connect(store_url)
    other = rows.ticket_row(replace(ticket, id="FS-OTHER", dedup_key="other"))
    with pytest.raises(Rejected) as caught, writing(engine) as connection:
        connection.execute(tickets_table.insert(), other)
    assert isinstance(caught.value.__cause__, IntegrityError)
    with writing(engine) as connection:
        connection.execute(tickets_table.insert(), other | {"state": "closed", "open": False})
    engine.dispose()


def test_all_of_a_batch_or_nothing(store: Store) -> None:
    class Faulty:
        def apply(self, book: Book, one: Flag, now_ns: int) -> None:
            if one.id == "bad":
                raise RuntimeError("a mistake")
            RULES.apply(book, one, now_ns)

    with pytest.raises(RuntimeError):
        store.apply_flags([golden(), flag(id="bad")], NOON, Faulty())
    assert store.tickets() == []
    assert store.counts().outbox_pending == 0
    assert len(store.apply_flags([golden(), flag(id="bad")], NOON, RULES)) == 2


def test_what_a_payload_may_put_into_an_id(store: Store) -> None:
    clock = Turned()
    nasty = [
        "nul\0inside",
        "\ud800lone",
        "x" * 5000,
        "'; DROP TABLE tickets; --",
        "表\u0085计",
        "%s %(a)s :b",
    ]
    flags = [
        flag(id=f"{n}-{text}", meter_id=text, service_point_id=text, evidence={text: [text, {"deep": text}]})
        for n, text in enumerate(nasty)
    ]
    flags.append(flag(id="nan", score=float("nan"), observed=float("inf"), evidence={"x": float("nan")}))
    dispatcher = Dispatcher(store, RULES, clock)

    handled = asyncio.run(dispatcher.handle_all(flags))
    assert handled.rejected == []
    assert len(handled.tickets) == len(flags)
    assert asyncio.run(dispatcher.handle_all(flags)).tickets == []
    assert len(store.tickets()) == len(flags)
    again = tidy(flags[2])
    assert len(again.meter_id) == 256
    assert again.meter_id != tidy(replace(flags[2], meter_id="x" * 5001)).meter_id


def test_what_is_no_flag_comes_back_with_the_reason(store: Store) -> None:
    handled = asyncio.run(
        Dispatcher(store, RULES, Turned()).handle_all([golden(), golden(status="lost"), golden(id="")])
    )
    assert [ticket.service_point_id for ticket in handled.tickets] == ["wei"]
    assert [reason for _, reason in handled.rejected] == [
        "expected status raised, updated or cleared, got 'lost'",
        "expected a flag with id, got an empty one",
    ]


def test_a_refused_batch_is_halved_until_the_culprit_is_found(store: Store) -> None:
    class Picky:
        """The store, with a database that takes everything but one flag."""

        def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]:
            if any(one.id == "f5" for one in flags):
                raise Rejected("database", "does not like it")
            return store.apply_flags(flags, now_ns, rules)

    flags = [flag(id=f"f{n}", service_point_id=f"p{n}") for n in range(9)]
    handled = asyncio.run(Dispatcher(Picky(), RULES, Turned()).handle_all(flags))
    assert [(bad.id, reason) for bad, reason in handled.rejected] == [("f5", "does not like it")]
    assert len(store.tickets()) == 8


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flag_events(), st.integers(1, 40))
def test_both_databases_agree_with_the_obvious_store(store: Store, events: list[Flag], cut: int) -> None:
    """However the flags are cut into transactions."""
    run = f"run-{next(RUNS)}-"  # the examples share a database
    events = [replace(e, id=run + e.id, service_point_id=run + e.service_point_id) for e in events]
    obvious = MemoryStore()
    obvious.take(*events)
    for start in range(0, len(events), cut):
        store.apply_flags(events[start : start + cut], NOON, RULES)
    mine = [t for t in store.tickets(limit=10_000) if t.service_point_id.startswith(run)]
    assert {t.id: t for t in mine} == obvious.tickets
    assert all(len(ids) == 1 for ids in open_by_key(mine).values())
    for start in range(0, len(events), cut):
        assert store.apply_flags(events[start : start + cut], NOON + HOUR, RULES) == []


def test_writers_at_once_open_one_ticket_each(store: Store, store_url: str) -> None:
    """Four writers, the same points and families, different flags, in different orders."""
    writers, points = 4, 12
    barrier = threading.Barrier(writers)

    def write(writer: int) -> None:
        own = Store(store_url, lambda event: ["webhook"])
        order = list(range(points))
        if writer % 2:
            order.reverse()
        barrier.wait()
        for part in range(0, points, 4):
            flags = [
                flag(kind, id=f"{kind}-{writer}-{point}", service_point_id=f"p{point}")
                for point in order[part : part + 4]
                for kind in ("spike", "tamper")
            ]
            own.apply_flags(flags, NOON + writer, RULES)
        own.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    found = store.tickets(limit=1000)
    assert len(found) == points * 2
    assert all(len(ids) == 1 for ids in open_by_key(found).values())
    assert sum(len(t.flag_ids) for t in found) == points * 2 * writers
    assert all(len(t.related) == 1 for t in found)
    for ticket in found:
        full = store.ticket(ticket.id)
        assert full is not None
        assert [line.seq for line in full.history] == list(range(1, ticket.version + 1))


def test_a_writer_that_takes_no_lock_is_joined(postgres: Postgres) -> None:
    """Another program inserts the open ticket between our look and our write: the flag joins it."""
    url = postgres.new_database()
    upgrade(url)
    store, engine = Store(url), connect(url)
    (theirs,) = MemoryStore().take(golden(id="theirs"))
    tries = []

    class Crossed:
        def apply(self, book: Book, one: Flag, now_ns: int) -> None:
            tries.append(len(book.tickets))
            if len(tries) == 1:
                with writing(engine) as connection:
                    connection.execute(tickets_table.insert(), rows.ticket_row(theirs))
            RULES.apply(book, one, now_ns)

    (joined,) = store.apply_flags([golden(id="ours")], NOON, Crossed())
    assert tries == [0, 1]
    assert joined.id == theirs.id
    assert joined.flag_ids == ("theirs", "ours")
    assert len(store.tickets()) == 1
    store.close()
    engine.dispose()


def test_old_protections_go_and_no_second_ticket_comes(store: Store) -> None:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    assert store.prune(NOON) == 0
    assert store.prune(NOON + 1) == 1  # the event seen; the outbox keeps what was not delivered
    store.change(ticket.id, lambda b, t: _move(b, t, State.FALSE_ALARM, note="x"), NOON)
    store.apply_flags([golden()], NOON + HOUR, RULES)
    assert [t.id for t in store.tickets()] == [ticket.id]
    assert store.counts().open == 0


def test_counts_and_signs_of_life(store: Store) -> None:
    assert store.counts().outbox_oldest_ns is None
    store.apply_flags([golden(), flag("silent", id="s")], NOON, RULES)
    counts = store.counts()
    assert (counts.tickets, counts.open, counts.outbox_pending, counts.outbox_oldest_ns, counts.dead) == (
        {"new": 2},
        2,
        2,
        NOON,
        0,
    )
    store.heartbeat("worker@a:1", {"lag_s": 0.5}, NOON)
    store.heartbeat("worker@a:1", {"lag_s": 1.5, "counts": {"late": 3}}, NOON + MINUTE)
    store.heartbeat("ingest@a:2", {}, NOON)
    ingest, worker = store.heartbeats()
    assert (worker.process, worker.since_ns, worker.at_ns) == ("worker@a:1", NOON, NOON + MINUTE)
    assert worker.figures == {"lag_s": 1.5, "counts": {"late": 3}}
    store.forget(ingest.process)
    assert [beat.process for beat in store.heartbeats()] == ["worker@a:1"]


def test_where_it_is_without_its_password() -> None:
    store = Store("postgresql://forestall:secret@db.example:5432/tickets")
    assert store.endpoint == "postgresql+psycopg://forestall:***@db.example:5432/tickets"
    for wrong in ("mysql://a/b", "sqlite://", "sqlite:///:memory:", "no url"):
        with pytest.raises(ValueError, match="expected sqlite:///FILE"):
            Store(wrong)


@pytest.mark.bench
@pytest.mark.parametrize("batch", [100, 500])
def test_five_hundred_flags_a_second(store: Store, batch: int) -> None:
    flags = [golden(id=f"f{n}", service_point_id=f"p{n}", meter_id=f"m{n}") for n in range(2000)]
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(flags), batch):
        store.apply_flags(flags[first : first + batch], NOON, RULES)
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    print(f"{len(flags) / wall:.0f} flags/s, {used / len(flags) * 1e6:.0f} µs of own CPU a flag")
    assert len(flags) / wall >= 500


def _move(book: Book, ticket: Ticket, to: State, note: str = "") -> Ticket:
    return move(book, ticket, Move(to=to, actor="wang", note=note), Targets(), NOON + HOUR)
