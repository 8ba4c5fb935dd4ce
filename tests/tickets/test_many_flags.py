"""Thousands of flags that join the one ticket of an area: each as much work as the first, none lost."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import event, select, update

from connectors.store import Store
from connectors.store.engine import reading, writing
from connectors.store.tables import tickets
from connectors.store.tables_trade import verdicts
from streams.messages import Flag
from streams.trade.lifecycle import Refused
from streams.trade.rules import Rules
from streams.trade.tickets import NAMED, Ticket
from streams.trade.verdicts import judge
from streams.trade.wording import public
from tests.tickets.tools import MINUTE, NOON, flag

RULES = Rules()
MEMBERS = 500  # so that the ticket's list of meters is full from the beginning


def area(**fields: Any) -> Flag:
    """The area's own flag."""
    evidence = {"members": [f"m{n:05}" for n in range(MEMBERS)], "members_silent": MEMBERS}
    given = {
        "id": "area",
        "meter_id": "m00000",
        "service_point_id": "p",
        "area": "north",
        "evidence": evidence,
    }
    return flag("area_silent", family="data", **(given | fields))


def gap(n: int) -> Flag:
    """A meter's own gap, in an area whose meters are on no concentrator."""
    return flag("gap", id=f"f{n:05}", meter_id=f"m{n:05}", service_point_id=f"p{n:05}", area="north")


def join(store: Store, first: int, last: int) -> Ticket:
    """These gaps, a transaction each ten."""
    for start in range(first, last, 10):
        store.apply_flags([gap(n) for n in range(start, min(start + 10, last))], NOON, RULES)
    (ticket,) = store.tickets("open")
    return ticket


class Work:
    """What the database is given and, by SQLite, how many steps of its virtual machine it takes."""

    def __init__(self, store: Store) -> None:
        self.bytes = self.steps = 0
        event.listen(store._engine, "before_cursor_execute", self._given)
        event.listen(store._engine, "connect", self._watched)
        store._engine.dispose()

    def _given(self, _c: object, _cursor: object, _sql: str, parameters: object, *_: object) -> None:
        self.bytes += len(repr(parameters))

    def _watched(self, connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self.steps += 10
        return 0

    def of(self, store: Store, *flags: Flag) -> tuple[int, int]:
        """Bytes and steps of one transaction."""
        self.bytes = self.steps = 0
        store.apply_flags(flags, NOON, RULES)
        return self.bytes, self.steps


def test_a_join_is_no_more_work_the_more_have_joined(store: Store) -> None:
    """Bytes written and steps taken, for a flag alone and with news of the area, after 100 and after 900 joins."""
    work = Work(store)
    store.apply_flags([area()], NOON, RULES)
    join(store, 1, 101)
    few = (
        work.of(store, gap(2000)),
        work.of(store, gap(2001), area(status="updated", at="2026-06-01T01:00:00Z")),
    )
    ticket = join(store, 101, 901)
    many = (
        work.of(store, gap(2002)),
        work.of(store, gap(2003), area(status="updated", at="2026-06-01T02:00:00Z")),
    )
    assert ticket.flags == 903
    for (bytes_few, steps_few), (bytes_many, steps_many) in zip(few, many, strict=True):
        assert bytes_many < 1.1 * bytes_few
        assert steps_many <= 1.3 * steps_few
    assert few[0][0] > 1000  # it was counted


def test_all_flags_of_a_long_list_are_the_tickets(store: Store) -> None:
    store.apply_flags([area()], NOON, RULES)
    ticket = join(store, 1, 121)
    assert (ticket.flags, ticket.flag_ids) == (121, tuple(f"f{n:05}" for n in range(71, 121)))
    assert {one.flag_id for one in store.episodes(ticket.id)} == {
        "area",
        *(f"f{n:05}" for n in range(1, 121)),
    }
    assert (public(ticket)["flags"], len(public(ticket)["flag_ids"])) == (121, NAMED)

    def words() -> dict[str, str]:
        with reading(store._engine) as connection:
            found = connection.execute(select(verdicts.c.flag_id, verdicts.c.verdict)).all()
        return {str(row.flag_id): str(row.verdict) for row in found}

    def say(word: str, reason: str, *flags: str) -> None:
        store.change(
            ticket.id,
            lambda book, one: judge(book, one, word, reason, "wang", NOON + MINUTE, flags),
            NOON + MINUTE,
        )

    # one that the ticket does not name itself
    say("false_alarm", "own_habit", "f00003")
    assert words() == {"f00003": "false_alarm"}
    with pytest.raises(Refused, match="expected flags of"):
        say("false_alarm", "own_habit", "f00121")
    say("confirmed", "")
    assert len(words()) == 121
    assert set(words().values()) == {"confirmed"}


def test_a_ticket_of_before_that_names_all_its_flags_reads_on(store: Store) -> None:
    store.apply_flags([area()], NOON, RULES)
    ticket = join(store, 1, 81)
    everything = ["area", *(f"f{n:05}" for n in range(1, 81))]
    with writing(store._engine) as connection:
        details = connection.execute(select(tickets.c.details)).scalar_one()
        del details["flags"]
        connection.execute(update(tickets).values(details={**details, "flag_ids": everything}))
    read = store.ticket(ticket.id)
    assert read is not None
    assert (read.flags, list(read.flag_ids)) == (81, everything)
    assert public(read)["flag_ids"] == tuple(everything[-NAMED:])
    assert (join(store, 81, 82).flags, len(join(store, 82, 83).flag_ids)) == (82, NAMED)


def test_what_is_merged_brings_the_number_of_its_flags(store: Store) -> None:
    for n in range(70):
        store.apply_flags(
            [flag("gap", id=f"g{n}", meter_id="m00007", service_point_id="p7", area="north")], NOON, RULES
        )
    (single,) = store.tickets("open")
    assert (single.flags, len(single.flag_ids)) == (70, NAMED)
    store.apply_flags([area()], NOON, RULES)
    (whole,) = store.tickets("open")
    assert (whole.group, whole.flags) == ("area/north", 71)
    assert whole.flag_ids == tuple(f"g{n}" for n in range(20, 70))
    assert len(store.episodes(whole.id)) == 71
