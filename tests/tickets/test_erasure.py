"""Everything of a service point given out, or erased wherever it was copied to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connectors.history_sqlite import HistoryReader, SqliteHistory
from connectors.sqlite_history.pseudonyms import part
from connectors.store import Store
from connectors.store.audit import LogFilter
from connectors.store.engine import reading, writing
from connectors.store.erasure import GONE, StillOpen
from streams.messages import NS, Kind
from streams.trade.complaints import ComplaintFilter
from streams.trade.deliveries import Outcome
from streams.trade.linking import Linking
from streams.trade.mutes import Mute, MuteKind
from streams.trade.tickets import State
from tests.tickets.erasure_tools import ADMIN, CANARY, closed, complain, do, everything
from tests.tickets.tools import DAY, HOUR, NOON
from tests.web_tools import columns
from tests.web_tools import flag as web_flag

pytestmark = pytest.mark.usefixtures("places")


def test_what_came_with_a_complaint_is_in_its_two_tables_only(store: Store) -> None:
    complain(store)
    elsewhere = everything(store, without=("people", "complaints"))
    assert not [word for word in CANARY.values() if word in elsewhere]
    with reading(store._engine) as connection:
        rows = str(connection.execute(text("SELECT * FROM complaints")).all())
    assert not [word for name in ("name", "phone", "email", "address") if (word := CANARY[name]) in rows]


def test_the_export_is_whole_and_on_record(store: Store) -> None:
    ticket_id = closed(store)
    complain(store, 2, service_point="point-2", phone="13700000000")
    told = store.export_point("point-1", ADMIN, "用户书面申请查阅", NOON)
    body = json.dumps(told, ensure_ascii=False)
    assert all(word in body for word in CANARY.values())
    assert [row["id"] for row in told["tickets"]] == [ticket_id]
    assert len(told["history"]) >= 4
    assert "13700000000" not in body
    (line,) = store.audit_log(wanted=LogFilter(action="people.exported"))
    assert (line.object, line.reason) == ("service_point/point-1", "用户书面申请查阅")
    assert line.details["complaints"] == 1


def test_erased_everywhere_and_the_chains_hold(store: Store) -> None:
    ticket_id = closed(store)
    kept = complain(
        store,
        2,
        service_point="point-2",
        name="另一人",
        phone="13700000000",
        email="",
        address="",
        matter="别的事",
        demand="",
    )
    before = store.ticket(ticket_id)
    assert before is not None
    assert CANARY["phone"] in everything(store)  # in the notes and their copies
    done = store.erase_point("point-1", ADMIN, "用户书面申请删除", NOON + 2 * DAY)
    assert (done.people, done.complaints, done.tickets) == (1, 1, 1)
    assert done.lines >= 3
    after = everything(store)
    assert not [word for word in CANARY.values() if word in after]
    assert "13700000000" in after
    # what is counted stays
    left = store.ticket(ticket_id)
    assert left is not None
    for name in (
        "state",
        "verdict",
        "lead_time_s",
        "category",
        "opened_ns",
        "closed_ns",
        "complaint_ids",
        "version",
    ):
        assert getattr(left, name) == getattr(before, name), name
    assert [(e.action, e.after) for e in left.history] == [(e.action, e.after) for e in before.history]
    assert left.history[-1].note == GONE
    assert store.ticket(kept) is not None
    assert store.verify_audit().faults == ()
    (line,) = store.audit_log(wanted=LogFilter(action="people.erased"))
    assert line.details["meters"] == list(done.meters)
    again = store.erase_point("point-1", ADMIN, "再次核对", NOON + 3 * DAY)
    assert (again.people, again.deliveries) == (0, 0)
    assert store.verify_audit().faults == ()
    # an erased line is still guarded
    with writing(store._engine) as connection:
        connection.execute(
            text("UPDATE ticket_history SET note = 'x' WHERE ticket_id = :id AND seq = 2"), {"id": ticket_id}
        )
    assert [(f.chain, f.seq) for f in store.verify_audit().faults] == [(f"ticket/{ticket_id}", 2)]


def test_while_somebody_works_on_it_nothing_is_erased_unasked(store: Store) -> None:
    ticket_id = complain(store)
    with pytest.raises(StillOpen, match=ticket_id):
        store.erase_point("point-1", ADMIN, "用户书面申请删除", NOON)
    assert CANARY["phone"] in everything(store)
    assert store.audit_log(wanted=LogFilter(action="people.erased")) == []
    store.erase_point("point-1", ADMIN, "用户书面申请删除", NOON, also_open=True)
    after = everything(store)
    assert not [word for word in CANARY.values() if word in after]
    # copies that have not gone out yet are rewritten, and still tell of the ticket
    waiting = store.outbox_claim("webhook", 10, NOON, 60 * NS)
    assert {item.event.ticket_id for item in waiting} == {ticket_id}
    assert all(item.event.data["text"]["zh"]["title"] for item in waiting)


def test_who_was_taken_down_without_a_place_is_moved_to_it(store: Store) -> None:
    complain(store, service_point="不知道在哪里")
    (one,) = store.find_people(CANARY["phone"], ADMIN, NOON)
    assert one.service_point_id == ""
    with reading(store._engine) as connection:
        complaint_id = connection.execute(text("SELECT id FROM complaints")).scalar_one()
    store.assign_complaint(complaint_id, "point-9", ADMIN, Linking(), NOON)
    (moved,) = store.find_people(CANARY["phone"], ADMIN, NOON)
    assert moved.service_point_id == "point-9"
    store.erase_point("point-9", ADMIN, "用户书面申请删除", NOON, also_open=True)
    assert not [word for word in CANARY.values() if word in everything(store)]


@pytest.mark.parametrize(
    ("ways", "left_in"),
    [
        ((State.INVESTIGATING,), State.MERGED),
        ((State.WAITING_CUSTOMER, State.IMPLEMENTED), State.IMPLEMENTED),  # what was done there stands
    ],
)
def test_what_was_written_before_the_place_was_known_goes_too(
    store: Store, ways: tuple[State, ...], left_in: State
) -> None:
    first = complain(store)
    own = complain(store, 2, at_ns=NOON + HOUR, service_point="不知道在哪里")
    said = "called Mrs Wang Xiaoming at flat 201"
    for to in ways:
        do(store, own, to, note=said, resolution="explanation", responsibility="company")
    (lost,) = store.complaints(ComplaintFilter(linked=False), 9)
    found = store.assign_complaint(lost.id, "point-1", ADMIN, Linking(), NOON + DAY)
    assert found.ticket_id == first != own
    standing = store.ticket(own)
    assert standing is not None
    assert (standing.state, standing.service_point_id) == (left_in, f"complaint/{lost.id}")
    claimed = store.outbox_claim("webhook", 50, NOON + 2 * DAY, 60 * NS)
    assert {own} < {item.event.ticket_id for item in claimed}
    # the first of its events has arrived; the others wait
    first_told = {item.event.ticket_id: item for item in reversed(claimed)}
    for item in claimed:
        came = item is first_told[item.event.ticket_id]
        store.outbox_settle([Outcome(item=item, verdict="done" if came else "release")], NOON + 2 * DAY)
    assert everything(store).count(said) > 1

    held = store.held_at("point-1", ADMIN, NOON + DAY)
    told = store.export_point("point-1", ADMIN, "用户书面申请查阅", NOON + DAY)
    assert {row["id"] for row in told["tickets"]} == {first, own}
    assert held.counts["tickets"] == 2
    assert said in json.dumps(told)
    assert (own in held.open_tickets) == standing.open
    store.erase_point("point-1", ADMIN, "用户书面申请删除", NOON + DAY, also_open=True)
    after = everything(store)
    assert [word for word in (said, *CANARY.values()) if word in after] == []
    assert store.verify_audit().faults == ()


def test_who_has_no_place_yet_is_served_alone(store: Store) -> None:
    complain(store, service_point="不知道在哪里")
    more: dict[str, Any] = {
        "service_point": "nowhere",
        "phone": "13700000000",
        "name": "另一人",
        "matter": "别的事",
    }
    kept = complain(store, 2, **more, email="", address="", demand="")
    elsewhere = complain(store, 3, service_point="point-2")  # the same number, where the place is known
    first, second = (
        one for phone in (CANARY["phone"], more["phone"]) for one in store.find_people(phone, ADMIN, NOON)
        if not one.service_point_id
    )  # fmt: skip
    alone = f"person/{first.person_id}"
    held = store.held_at(alone, ADMIN, NOON)
    (own,) = held.open_tickets
    assert (held.people, held.meters) == ((first,), ())
    assert {name: count for name, count in held.counts.items() if name in ("tickets", "complaints", "meters")} == {
        "tickets": 1, "complaints": 1, "meters": 0,
    }  # fmt: skip
    told = store.export_point(alone, ADMIN, "用户书面申请查阅", NOON)
    assert [one["phone"] for one in told["people"]] == [CANARY["phone"]]
    assert [row["id"] for row in told["tickets"]] == [own]
    assert more["phone"] not in json.dumps(told, ensure_ascii=False)
    with pytest.raises(StillOpen, match=own):
        store.erase_point(alone, ADMIN, "用户书面申请删除", NOON)
    done = store.erase_point(alone, ADMIN, "用户书面申请删除", NOON, also_open=True)
    assert (done.people, done.complaints, done.tickets, done.meters) == (1, 1, 1, ())
    assert [line.object for line in store.audit_log(3)] == [alone] * 3
    # nobody else was touched
    assert [one.service_point_id for one in store.find_people(CANARY["phone"], ADMIN, NOON)] == ["point-2"]
    assert [one.person_id for one in store.find_people(more["phone"], ADMIN, NOON)] == [second.person_id]
    contents = [one.content for one in store.complaints(ComplaintFilter(), 9)]
    assert sorted(contents) == sorted(["", more["matter"], CANARY["matter"]])
    assert store.ticket(kept) is not None
    assert store.ticket(elsewhere) is not None
    # a name that is only the beginning is nobody's, and who has a place is served there
    (placed,) = store.find_people(CANARY["phone"], ADMIN, NOON)
    for name in ("person/", f"person/{placed.person_id}"):
        nobody = store.held_at(name, ADMIN, NOON)
        assert (nobody.people, set(nobody.counts.values())) == ((), {0})
    assert store.verify_audit().faults == ()


def test_when_people_are_away_is_told_and_why_is_erased(store: Store) -> None:
    for number, place in enumerate(
        ("service_point/point-1", "meter/meter-1", "service_point/point-2", "area/area-1")
    ):
        away = Mute(
            id=f"M-{number}", kind=MuteKind.VACANCY, place=place, start_ns=NOON, end_ns=NOON + 10 * DAY,
            reason=f"{CANARY['name']}一家外出", by="admin", created_ns=NOON,
        )  # fmt: skip
        store.put_mute(away, ADMIN, NOON)
    assert store.held_at("point-1", ADMIN, NOON).counts["mutes"] == 2
    told = store.export_point("point-1", ADMIN, "用户书面申请查阅", NOON)
    assert {row["id"] for row in told["mutes"]} == {"M-0", "M-1"}
    store.erase_point("point-1", ADMIN, "用户书面申请删除", NOON)
    reasons = {one.id: one.reason for one in store.mutes(NOON)}
    assert [reasons[f"M-{number}"] == GONE for number in range(4)] == [True, True, False, False]
    # when stays: the flags of those days wait all the same
    assert store.held_at("point-1", ADMIN, NOON).counts["mutes"] == 2


def test_readings_are_parted_from_their_meter_while_more_come_in(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    assert part(path, ["m-1"]) == 0

    async def run() -> None:
        history, reader = SqliteHistory(path, now_ns=lambda: NOON), HistoryReader(path)
        for meter in ("m-1", "m-2"):
            await history.write(
                columns([(meter, NOON + i * NS, float(i), Kind.INTERVAL, "m3") for i in range(5)])
            )
            await history.write_flags([web_flag(meter, "spike", "2026-06-01T12:30:00Z")])
        assert await asyncio.to_thread(part, path, ["m-1", "unknown"]) == 1
        assert await reader.series("m-1") == []
        assert await reader.flags(10, "m-1") == []
        assert len(await reader.flags(10, "m-2")) == 1
        # the process that writes goes on, under the meter's own name
        await history.write(columns([("m-1", NOON + 60 * NS, 7.0, Kind.INTERVAL, "m3")]))
        (series,) = await reader.series("m-1")
        assert series.value.tolist() == [7.0]
        assert len((await reader.series("m-2"))[0]) == 5
        await history.close()
        await reader.close()

    asyncio.run(run())
    with sqlite3.connect(path) as db:
        names = {name for (name,) in db.execute("SELECT meter FROM series")}
    assert len(names) == 3
    assert {"m-1", "m-2"} < names
    assert all(name.startswith("erased-") for name in names - {"m-1", "m-2"})
