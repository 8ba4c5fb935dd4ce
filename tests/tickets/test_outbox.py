"""The outbox on both databases: leases, order, results, dead letters."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from connectors.store import Store
from streams.trade.deliveries import OutboxItem, Outcome
from streams.trade.rules import Rules
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, SECOND, flag, golden

RULES = Rules()
LEASE = 60 * SECOND


def fill(store: Store, tickets: int, events: int = 1) -> None:
    """So many tickets with so many events each."""
    for n in range(events):
        flags = [flag("spike", id=f"{t}-{n}", service_point_id=f"p{t:03d}") for t in range(tickets)]
        store.apply_flags(flags, NOON + n, RULES)


def claim(store: Store, now_ns: int = NOON + MINUTE, limit: int = 100) -> list[OutboxItem]:
    return store.outbox_claim("webhook", limit, now_ns, LEASE)


def done(item: OutboxItem, remote_id: str = "") -> Outcome:
    return Outcome(item=item, verdict="done", remote_id=remote_id)


def test_what_is_claimed_is_nobody_elses_until_the_lease_ends(store: Store) -> None:
    fill(store, 3)
    first = claim(store)
    assert [item.attempts for item in first] == [1, 1, 1]
    assert claim(store) == []
    assert claim(store, NOON + MINUTE + LEASE - 1) == []
    again = claim(store, NOON + MINUTE + LEASE)
    assert [item.event.id for item in again] == [item.event.id for item in first]
    assert [item.attempts for item in again] == [2, 2, 2]
    assert {item.lease for item in again} != {item.lease for item in first}


def settle(store: Store, *outcomes: Outcome) -> None:
    store.outbox_settle(outcomes, NOON + MINUTE)


def numbers(items: list[OutboxItem]) -> dict[str, list[int]]:
    """Of each ticket, the numbers of its events in the order in which they were handed out."""
    found: dict[str, list[int]] = {}
    for item in items:
        found.setdefault(item.event.ticket_id, []).append(int(item.event.id.rpartition(".")[2]))
    return found


def test_the_events_of_a_ticket_go_in_their_order(store: Store) -> None:
    fill(store, 2, events=3)
    items = claim(store)
    assert list(numbers(items).values()) == [[1, 2, 3]] * 2
    assert claim(store) == []
    settle(store, *(done(item) for item in items))
    assert store.counts().outbox_pending == 0


def test_an_event_that_waits_holds_up_its_own_ticket_only(store: Store) -> None:
    fill(store, 2, events=2)
    slow, quick, after_slow, after_quick = claim(store)
    retry = Outcome(item=slow, verdict="retry", due_ns=NOON + HOUR, reason="busy")
    given_back = [Outcome(item=item, verdict="release") for item in (after_slow, after_quick)]
    settle(store, retry, done(quick), *given_back)
    (next_,) = claim(store)
    assert (next_.event.id, next_.attempts) == (after_quick.event.id, 1)
    settle(store, done(next_))
    assert claim(store) == []
    assert [item.event.id for item in claim(store, NOON + HOUR)] == [slow.event.id, after_slow.event.id]


def test_what_another_has_in_hand_holds_up_what_follows_it(store: Store) -> None:
    fill(store, 1, events=5)
    first = claim(store, limit=2)
    assert claim(store) == []
    settle(store, done(first[0]))
    assert claim(store) == []
    settle(store, done(first[1]))
    assert list(numbers(claim(store)).values()) == [[3, 4, 5]]


def test_a_ticket_that_thousands_of_flags_join_leaves_room_for_others(store: Store) -> None:
    """Two long runs stand in front: whoever is behind them is not kept waiting until they are through."""
    flood = [flag("spike", id=f"{p}-{n}", service_point_id=p) for n in range(60) for p in ("a", "b")]
    store.apply_flags(flood, NOON, RULES)
    fill(store, 5)
    found = numbers(claim(store, limit=20))
    assert sorted(len(run) for run in found.values())[:5] == [1] * 5
    assert sum(len(run) for run in found.values()) == 20
    assert all(run == list(range(1, len(run) + 1)) for run in found.values())
    assert len(claim(store, limit=20)) == 0
    # more wait than there is room for: one of each
    store.apply_flags(
        [flag("tamper", id=f"t{n}", service_point_id=f"q{n:03d}") for n in range(40)], NOON, RULES
    )
    assert set(map(len, numbers(claim(store, limit=20)).values())) == {1}


def test_an_emergency_waits_for_what_its_ticket_told_before(store: Store) -> None:
    """A water leak's ticket becomes a gas leak's: the newer event is the graver, and comes second."""
    water = flag("leak", id="water", commodity="water")
    store.apply_flags([water, flag("leak", id="gas")], NOON, RULES)
    (first,) = claim(store)
    assert first.event.type == "opened"
    settle(store, done(first))
    (second,) = claim(store)
    assert (second.event.type, second.event.urgency) == ("joined", "emergency")


def test_an_emergency_is_not_left_out_where_there_is_no_room_for_one_of_each(store: Store) -> None:
    """It has two events, so that a look is full without being of as many tickets; then one more look finds too many."""
    fill(store, 40)
    store.apply_flags([flag("leak", id=f"gas{n}", service_point_id="p999") for n in range(2)], NOON, RULES)
    items = claim(store, limit=8)
    assert [item.event.urgency for item in items] == ["emergency", *["normal"] * 7]
    oldest = {ticket.id for ticket in store.tickets("open") if ticket.service_point_id < "p007"}
    assert {item.event.ticket_id for item in items[1:]} == oldest


def test_what_follows_an_emergency_on_its_ticket_does_not_pass_it_by(store: Store) -> None:
    """A dead letter of before the emergency is revived behind it."""
    store.apply_flags([flag("leak", id="w", commodity="water")], NOON, RULES)
    (opened,) = claim(store)
    settle(store, Outcome(item=opened, verdict="dead", reason="HTTP 422"))
    more = [flag("leak", id="w2", commodity="water"), flag("leak", id="gas")]
    store.apply_flags(more, NOON, RULES)
    (dead,) = store.dead_deliveries()
    assert store.revive(dead.number, NOON)
    order = []
    while items := claim(store):
        order += [item.number for item in items]
        settle(store, *(done(item) for item in items))
    assert len(order) == 3
    assert order == sorted(order)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_to_claim_is_no_more_work_the_more_events_of_one_ticket_wait(store: Store) -> None:
    """By the steps of SQLite's virtual machine; twenty times as many where each event that waits is looked at."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    @event.listens_for(store._engine, "connect")
    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(count, 10)

    store._engine.dispose()
    steps = []
    for start, end in ((0, 100), (100, 2000)):
        joined = [flag("spike", id=f"f{n}", at=f"{n}") for n in range(start, end)]
        store.apply_flags(joined, NOON, RULES)
        counted = 0
        items = claim(store, limit=32)
        steps.append(counted)
        assert len(items) == 32
        settle(store, *(Outcome(item=item, verdict="release") for item in items))
    assert steps[1] < 3 * steps[0]


def test_emergencies_overtake_other_tickets(store: Store) -> None:
    fill(store, 3)
    store.apply_flags([flag("leak", id="gas", service_point_id="p999")], NOON + 1, RULES)
    assert [item.event.urgency for item in claim(store, limit=2)] == ["emergency", "normal"]


def test_numbers_of_the_other_side_come_back(store: Store) -> None:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    (item,) = claim(store)
    assert item.remote_id == ""
    store.outbox_settle([done(item, "HD-17")], NOON + MINUTE)
    read = store.ticket(ticket.id)
    assert read is not None
    assert read.external_refs == {"webhook": "HD-17"}
    store.apply_flags([golden(id="again", at="2012-10-10T00:00:00Z")], NOON, RULES)
    (later,) = claim(store)
    assert later.remote_id == "HD-17"


def test_a_late_result_does_not_disturb_who_has_it_now(store: Store) -> None:
    fill(store, 1)
    (mine,) = claim(store)
    (theirs,) = claim(store, NOON + MINUTE + LEASE)
    late = NOON + MINUTE + LEASE
    store.outbox_settle([Outcome(item=mine, verdict="retry", due_ns=0, reason="slow")], late)
    store.outbox_settle([Outcome(item=mine, verdict="dead", reason="no")], late)
    store.outbox_settle([Outcome(item=mine, verdict="release")], late)
    assert claim(store, late) == []
    assert store.dead_deliveries() == []
    # but that it has arrived is true whoever says it
    store.outbox_settle([done(mine)], late)
    store.outbox_settle([Outcome(item=theirs, verdict="retry", due_ns=0, reason="x")], late)
    assert store.counts().outbox_pending == 0


def test_released_events_were_not_tried(store: Store) -> None:
    fill(store, 2)
    items = claim(store)
    store.outbox_settle([Outcome(item=item, verdict="release") for item in items], NOON + MINUTE)
    assert [item.attempts for item in claim(store)] == [1, 1]


def test_a_dead_letter_lets_the_next_event_go_and_can_be_revived(store: Store) -> None:
    fill(store, 1, events=2)
    (item,) = claim(store, limit=1)
    store.outbox_settle([Outcome(item=item, verdict="dead", reason="HTTP 422")], NOON + MINUTE)
    (next_,) = claim(store)
    assert next_.event.id != item.event.id
    (dead,) = store.dead_deliveries()
    assert (dead.event, dead.reason, dead.attempts, dead.desk) == (item.event, "HTTP 422", 1, "webhook")
    assert store.counts().dead == 1
    assert store.revive(dead.number, NOON + HOUR)
    assert not store.revive(dead.number, NOON + HOUR)
    store.outbox_settle([done(next_)], NOON + HOUR)
    (back,) = claim(store, NOON + HOUR)
    assert (back.event, back.attempts) == (item.event, 2)
    assert store.dead_deliveries() == []


def test_what_is_too_old_is_given_up_also_of_desks_that_are_no_more(store: Store) -> None:
    fill(store, 3)
    (held, *_) = claim(store, limit=1)
    store.outbox_settle(
        [Outcome(item=held, verdict="retry", due_ns=NOON + DAY, reason="HTTP 503")], NOON + MINUTE
    )
    claim(store, NOON + DAY - LEASE, limit=1)
    assert store.outbox_expire(NOON, "too old", NOON + DAY) == 0
    assert store.outbox_expire(NOON + 1, "too old", NOON + DAY - LEASE) == 2  # one is being delivered
    assert store.outbox_expire(NOON + 1, "too old", NOON + DAY + 1) == 1
    assert {dead.reason for dead in store.dead_deliveries()} == {
        "too old; last error: HTTP 503",
        "too old; last error: none",
    }


def test_a_desk_that_answers_again_gets_what_waited(store: Store) -> None:
    fill(store, 2)
    items = claim(store)
    retries = [Outcome(item=i, verdict="retry", due_ns=NOON + HOUR, reason="away") for i in items]
    store.outbox_settle(retries, NOON + MINUTE)
    assert claim(store) == []
    assert store.outbox_wake("other", NOON + MINUTE) == 0
    assert store.outbox_wake("webhook", NOON + MINUTE) == 2
    assert len(claim(store)) == 2
    assert store.outbox_wake("webhook", NOON + MINUTE) == 0  # leased, not waiting


def test_a_desk_switched_off_is_remembered(store: Store) -> None:
    store.desk_disable("webhook", "https://a.example/hook", "HTTP 410", NOON)
    store.desk_disable("webhook", "https://a.example/hook", "HTTP 410 again", NOON + 1)
    (desk,) = store.desks_disabled()
    assert (desk.name, desk.endpoint, desk.reason) == ("webhook", "https://a.example/hook", "HTTP 410 again")
    store.desk_enable("webhook")
    assert store.desks_disabled() == []


def test_each_desk_has_a_row_of_its_own(store_url: str, store: Store) -> None:
    both = Store(
        store_url, lambda event: ["webhook", "email"] if event.urgency == "emergency" else ["webhook"]
    )
    both.apply_flags([golden(), flag("leak", id="gas")], NOON, RULES)
    assert {desk: n for desk, (n, _) in store.outbox_oldest().items()} == {"webhook": 2, "email": 1}
    assert len(claim(store)) == 2
    assert [i.event.urgency for i in store.outbox_claim("email", 9, NOON + 1, LEASE)] == ["emergency"]
    both.close()


def test_many_deliverers_never_share_an_event(store: Store, store_url: str) -> None:
    fill(store, 60, events=2)
    barrier = threading.Barrier(4)
    taken: list[OutboxItem] = []

    def work(_: int) -> None:
        own = Store(store_url)
        barrier.wait()
        while items := own.outbox_claim("webhook", 5, NOON + MINUTE, LEASE):
            taken.extend(items)
            own.outbox_settle([done(item) for item in items], NOON + MINUTE)
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    # whoever looked while the last rows were locked has gone; the rest is still there to claim
    while items := claim(store):
        taken.extend(items)
        store.outbox_settle([done(item) for item in items], NOON + MINUTE)
    ids = [item.event.id for item in taken]
    assert len(ids) == len(set(ids)) == 120
    for ticket in {item.event.ticket_id for item in taken}:
        assert ids.index(f"{ticket}.1") < ids.index(f"{ticket}.2")
