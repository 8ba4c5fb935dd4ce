"""Complaints in the store, the same on SQLite and PostgreSQL: once each, with their ticket, under one lock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables import outbox
from connectors.store.tables_trade import complaints, people
from streams.trade.complaints import Complaint, ComplaintFilter, Outcome
from streams.trade.lifecycle import Refused
from streams.trade.linking import Linking
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from tests.tickets.complaint_tools import filled, home, put_points
from tests.tickets.tools import DAY, HOUR, NOON, flag, open_by_key

ANN = Actor("ann", Role.COMPLAINTS)
LINKING, RULES = Linking(), Rules()


def take(store: Store, at_ns: int = NOON, **fields: Any) -> tuple[Complaint, bool]:
    return store.take_complaint(*filled(at_ns, **fields), LINKING, at_ns)


def test_a_complaint_comes_back_as_it_was_taken(store: Store) -> None:
    put_points(store, home())
    attachments = [
        {"name": "表照片.jpg", "media_type": "image/jpeg", "sha256": "AB" * 32, "url": "https://files.test/1"}
    ]
    taken, new = take(store, demand="退费", attachments=attachments, impact="vip", stage="use")
    assert new
    assert store.complaint(taken.id) == taken
    assert (taken.service_point_id, taken.meter_id, taken.area) == ("point-1", "meter-1", "area-1")
    assert taken.attachments[0].sha256 == "ab" * 32
    ticket = store.ticket(taken.ticket_id)
    assert ticket is not None
    assert ticket.complaint_ids == (taken.id,)
    assert [line.action for line in ticket.history] == ["opened"]
    assert len(ticket.steps) == len(ticket.checks) > 0
    assert store.complaint("CP-NONE") is None


def test_who_complains_is_kept_in_one_place(store: Store) -> None:
    put_points(store, home())
    taken, _ = take(store, email="wang@example.test", address="幸福里 3 栋")
    again, _ = take(store, NOON + HOUR, reference="two", email="wang@example.test", address="幸福里 3 栋")
    other, _ = take(store, NOON + HOUR, reference="three", name="李雷", phone="13900005678")
    assert taken.person_id == again.person_id != other.person_id
    with reading(store._engine) as connection:
        rows = connection.execute(select(people)).mappings().all()
        kept = str(connection.execute(select(complaints)).all()) + str(
            connection.execute(select(outbox)).all()
        )
    assert sorted(row["name"] for row in rows) == ["李雷", "王小明"]
    ticket = store.ticket(taken.ticket_id)
    for said in ("王小明", "13800001234", "wang@example.test", "幸福里"):
        assert said not in kept + str(ticket)
    assert taken.person_id in kept


def test_the_same_reference_again_is_the_same_complaint(store: Store) -> None:
    first, new = take(store)
    again, repeated = take(store, NOON + DAY, matter="说法不同", service_point="elsewhere")
    assert (new, repeated) == (True, False)
    assert again == first
    assert len(store.tickets()) == 1
    assert store.counts().outbox_pending == 1
    with reading(store._engine) as connection:
        assert connection.execute(select(func.count()).select_from(people)).scalar() == 1


@pytest.mark.parametrize("named", ["meter-1", "point-1", "幸福里 3 栋 201", "幸福里3栋201", "old-account"])
def test_a_service_point_by_any_of_its_names(store: Store, named: str) -> None:
    put_points(store, home())
    store.put_alias("幸福里３栋 201", "point-1", ANN, NOON)
    store.put_alias("OLD-account", "point-1", ANN, NOON)
    (ticket,) = store.apply_flags([flag("spike")], NOON, RULES)
    taken, _ = take(store, NOON + HOUR, service_point=named)
    assert (taken.ticket_id, taken.outcome, taken.lead_time_s) == (ticket.id, Outcome.KNOWN, 3600.0)


def test_an_address_that_is_an_alias_is_enough(store: Store) -> None:
    put_points(store, home())
    store.put_alias("幸福里3栋201", "point-1", ANN, NOON)
    taken, _ = take(store, service_point="", address="幸福里 3栋 201")
    assert taken.service_point_id == "point-1"


def test_what_the_registry_does_not_know_a_ticket_may(store: Store) -> None:
    (ticket,) = store.apply_flags([flag("spike", service_point_id="", meter_id="m-9")], NOON, RULES)
    taken, _ = take(store, NOON + HOUR, service_point="m-9")
    assert taken.ticket_id == ticket.id
    assert take(store, reference="two", service_point="forestall/worker_lag/x")[0].service_point_id == ""


def test_a_complaint_from_nowhere_is_linked_later(store: Store) -> None:
    put_points(store, home())
    (known,) = store.apply_flags([flag("spike")], NOON, RULES)
    lost, _ = take(store, NOON + HOUR, service_point="不知道")
    assert lost.service_point_id == ""
    unlinked = ComplaintFilter(linked=False)
    assert [one.id for one in store.complaints(unlinked, 10)] == [lost.id]
    with pytest.raises(Refused, match="known"):
        store.assign_complaint(lost.id, "nowhere", ANN, LINKING, NOON + DAY)
    found = store.assign_complaint(lost.id, "meter-1", ANN, LINKING, NOON + DAY)
    assert (found.ticket_id, found.lead_time_s) == (known.id, 3600.0)
    own = store.ticket(lost.ticket_id)
    assert own is not None
    assert (own.state, own.merged_into) == ("merged", known.id)
    assert store.complaints(unlinked, 10) == []
    assert store.complaint(lost.id) == found
    with pytest.raises(KeyError):
        store.assign_complaint("CP-NONE", "meter-1", ANN, LINKING, NOON)


def test_a_group_is_found_by_where_the_meter_hangs(store: Store) -> None:
    put_points(store, home(concentrator="C12"), home("meter-2", "point-2", concentrator="C13"))
    (group,) = store.apply_flags(
        [flag("concentrator_silent", service_point_id="concentrator/C12", meter_id="C12")], NOON, RULES
    )
    wanted = {"subject": "no_supply", "matter": "停电"}
    assert take(store, NOON + HOUR, **wanted)[0].ticket_id == group.id
    other, _ = take(store, NOON + HOUR, **wanted, service_point="point-2", reference="two")
    assert other.outcome is Outcome.OPENED


def test_complaints_by_what_is_asked_for_and_page_by_page(store: Store) -> None:
    put_points(store, home())
    for n in range(6):
        subject = "high_bill" if n % 2 else "staff_attitude"
        take(store, NOON + n * HOUR, reference=str(n), subject=subject, channel="app" if n < 3 else "letter")
    every = store.complaints(ComplaintFilter(), 10)
    assert [one.reference for one in every] == ["5", "4", "3", "2", "1", "0"]
    page = store.complaints(ComplaintFilter(), 4)
    rest = store.complaints(ComplaintFilter(), 4, (page[-1].at_ns, page[-1].id))
    assert [*page, *rest] == every
    metering = store.complaints(ComplaintFilter(category="metering_billing", channel="app"), 10)
    assert [one.reference for one in metering] == ["1"]
    missed = store.complaints(ComplaintFilter(miss=True), 10)
    assert (
        [one.reference for one in missed] == [one.reference for one in every if one.miss] == ["5", "3", "1"]
    )
    assert [one.reference for one in store.complaints(ComplaintFilter(miss=False), 10)] == ["4", "2", "0"]
    within = store.complaints_between(NOON + HOUR, NOON + 3 * HOUR)
    assert [one.reference for one in within] == ["1", "2"]
    assert [one.miss for one in within] == [True, False]


@pytest.mark.parametrize("same", [True, False])
def test_writers_of_one_point_at_once(store: Store, same: bool) -> None:
    """Sixteen threads with flags and complaints of one service point: one ticket, nothing lost, nothing twice."""
    put_points(store, home())
    start = threading.Barrier(16)

    def work(n: int) -> str:
        start.wait()
        if n % 4 == 3:
            return store.apply_flags([flag("spike", id=f"f{n}")], NOON, RULES)[0].id
        reference = "one" if same else str(n)
        return take(store, NOON + n * HOUR, reference=reference)[0].ticket_id

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(work, range(16)))
    (ticket,) = store.tickets()
    assert ids == {ticket.id}
    assert all(len(found) == 1 for found in open_by_key(store.tickets()).values())
    assert len(ticket.flag_ids) == 4
    assert len(ticket.complaint_ids) == (1 if same else 12)
    kept = store.complaints(ComplaintFilter(), 100)
    assert sorted(one.id for one in kept) == sorted(ticket.complaint_ids)
    whole = store.ticket(ticket.id)
    assert whole is not None
    assert [line.seq for line in whole.history] == list(range(1, ticket.version + 1))
