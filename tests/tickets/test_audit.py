"""The audit log: one chain however many write, nothing to be changed, and what was changed is found."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from connectors.store import Store
from connectors.store import audit as log
from connectors.store.audit import LogFilter
from connectors.store.engine import connect, writing
from streams.ports import Rejected
from streams.trade.chain import history_digest
from streams.trade.roles import Actor, Role
from tests.tickets.tools import DAY, NOON, flag

WANG = Actor("王芳", Role.OPERATOR)
LEE = Actor("lee", Role.AUDITOR)


def fill(store: Store, count: int) -> None:
    for number in range(count):
        store.audit(
            NOON + number, WANG, "ticket.moved", f"ticket/FS-{number}", "查表", {"to": ("closed",), "n": 1.5}
        )


@contextmanager
def unguarded(store: Store) -> Iterator[Connection]:
    """As somebody who owns the database can write: without triggers."""
    engine = connect(store._engine.url.render_as_string(hide_password=False))
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        else:
            for name in ("audit_no_update", "audit_no_delete", "audit_no_replace"):
                connection.execute(text(f"DROP TRIGGER {name}"))
        yield connection
    engine.dispose()


def test_lines_are_numbered_chained_and_found_again(store: Store) -> None:
    fill(store, 5)
    store.audit(NOON, LEE, "audit.read", "audit/log")
    found = store.audit_log()
    assert [line.seq for line in found] == [6, 5, 4, 3, 2, 1]
    assert found[1].details == {"to": ["closed"], "n": 1.5}
    assert (found[0].actor, found[0].role) == ("lee", "auditor")
    assert [line.seq for line in store.audit_log(wanted=LogFilter(object="ticket/FS-2"))] == [3]
    assert [line.seq for line in store.audit_log(2, LogFilter(actor="王芳"), before=4)] == [3, 2]
    assert [line.seq for line in store.audit_log(wanted=LogFilter(action="audit.read"))] == [6]
    # all of a beginning, and of a span of time whose end is excluded
    assert len(store.audit_log(wanted=LogFilter(action="ticket.", object="ticket/"))) == 5
    assert store.audit_log(wanted=LogFilter(action="ticket")) == []
    assert store.audit_log(wanted=LogFilter(object="ticket/%")) == []
    span = LogFilter(start_ns=NOON + 1, end_ns=NOON + 3)
    assert [line.seq for line in store.audit_log(wanted=span)] == [3, 2]
    checked = store.verify_audit()
    assert (checked.rows, checked.seq, checked.faults) == (6, 6, ())
    assert checked.head == found[0].digest
    assert store.verify_audit(3, found[3].digest).faults == ()


def test_what_is_undone_leaves_no_line(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(RuntimeError), writing(store._engine) as connection:
        log.add(connection, NOON, WANG, "ticket.moved", "ticket/FS-9")
        raise RuntimeError
    fill(store, 1)
    assert [line.seq for line in store.audit_log()] == [2, 1]
    assert store.verify_audit().faults == ()


def test_many_writers_make_one_chain(store: Store) -> None:
    url = store._engine.url.render_as_string(hide_password=False)

    def write(number: int) -> None:
        own = Store(url)
        for line in range(25):
            own.audit(NOON, Actor(f"user-{number}", Role.OPERATOR), "ticket.noted", f"ticket/{line}")
        own.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    checked = store.verify_audit()
    assert (checked.rows, checked.seq, checked.faults) == (200, 200, ())
    for number in range(8):
        lines = store.audit_log(500, LogFilter(actor=f"user-{number}"))
        assert [line.object for line in reversed(lines)] == [f"ticket/{n}" for n in range(25)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody' WHERE seq = 2",
        "UPDATE audit SET reason = reason",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
    ],
)
def test_the_database_refuses_to_change_a_line(store: Store, statement: str) -> None:
    dialect = store._engine.dialect.name
    if dialect == ("postgresql" if "REPLACE" in statement else "sqlite") and (
        "REPLACE" in statement or "TRUNCATE" in statement
    ):
        pytest.skip(f"{dialect} has no such statement")
    fill(store, 3)
    with pytest.raises((DBAPIError, Rejected), match="added only"), writing(store._engine) as connection:
        connection.execute(text(statement))
    assert store.verify_audit().rows == 3
    assert store.verify_audit().faults == ()


@pytest.mark.parametrize(
    ("statements", "seqs"),
    [
        (["UPDATE audit SET actor = 'nobody' WHERE seq = 4"], [4]),
        (["UPDATE audit SET reason = '' WHERE seq = 1"], [1]),
        (["UPDATE audit SET at_ns = at_ns + 1 WHERE seq = 10"], [10]),
        (["UPDATE audit SET details = '{}' WHERE seq = 5"], [5]),
        (["UPDATE audit SET digest = 'x' WHERE seq = 4"], [4, 5]),
        (["DELETE FROM audit WHERE seq = 4"], [4]),
        (["DELETE FROM audit WHERE seq IN (1, 2)"], [1]),
        (
            ["DELETE FROM audit WHERE seq BETWEEN 3 AND 5", "UPDATE audit SET role = 'admin' WHERE seq = 8"],
            [3, 8],
        ),
        (
            [
                "UPDATE audit SET seq = 100 WHERE seq = 4",
                "UPDATE audit SET seq = 4 WHERE seq = 5",
                "UPDATE audit SET seq = 5 WHERE seq = 100",
            ],
            [4, 5, 6],
        ),
    ],
)
def test_what_was_changed_taken_away_or_moved_is_found(
    store: Store, statements: list[str], seqs: list[int]
) -> None:
    fill(store, 10)
    with unguarded(store) as connection:
        for statement in statements:
            connection.execute(text(statement))
    found = store.verify_audit().faults
    assert [fault.seq for fault in found] == seqs
    assert all(fault.chain == "audit" for fault in found)


def test_rows_that_are_missing_at_the_end_are_found_by_who_noted_the_head(store: Store) -> None:
    fill(store, 10)
    noted = store.verify_audit()
    with unguarded(store) as connection:
        connection.execute(text("DELETE FROM audit WHERE seq > 8"))
    assert store.verify_audit().faults == ()
    missing = store.verify_audit(noted.seq, noted.head).faults
    assert [(fault.seq, fault.what) for fault in missing] == [(9, "rows 9 to 10 are missing at the end")]
    # written anew by somebody who knows how: it is not the row that was noted down
    fill(store, 2)
    assert [fault.seq for fault in store.verify_audit(noted.seq, noted.head).faults] == [10]


def test_old_lines_go_and_the_chain_still_holds(store: Store) -> None:
    for day in range(10):
        store.audit(NOON + day * DAY, WANG, "ticket.moved", f"ticket/FS-{day}")
    now = NOON + 20 * DAY

    def prune(before_ns: int) -> int:
        with writing(store._engine) as connection:
            return log.prune(connection, now, before_ns)

    assert prune(NOON) == 0
    assert prune(NOON + 4 * DAY) == 4
    checked = store.verify_audit()
    assert (checked.rows, checked.seq, checked.faults) == (7, 11, ())
    assert store.audit_log(1)[0].details["rows"] == 4
    assert prune(NOON + 7 * DAY) == 3
    fill(store, 3)
    assert store.verify_audit().faults == ()
    # beyond what is over nothing goes
    with pytest.raises((DBAPIError, Rejected), match="added only"), writing(store._engine) as connection:
        connection.execute(text("DELETE FROM audit WHERE seq <= 8"))
    with unguarded(store) as connection:
        connection.execute(text("DELETE FROM audit WHERE seq = 8"))
    assert [fault.seq for fault in store.verify_audit().faults] == [1]


def test_a_line_of_a_ticket_s_history_that_was_changed_is_found(store: Store) -> None:
    from streams.trade.rules import Rules

    ticket = store.apply_flags([flag(), flag("spike", id="flag-2")], NOON, Rules())[0]
    chained(store)
    assert store.verify_audit().faults == ()
    with writing(store._engine) as connection:
        connection.execute(text("UPDATE ticket_history SET note = 'x' WHERE seq = 1"))
    found = store.verify_audit().faults
    assert [(fault.chain, fault.seq) for fault in found] == [(f"ticket/{ticket.id}", 1)]
    with writing(store._engine) as connection:
        connection.execute(text("UPDATE ticket_history SET note = '' WHERE seq = 1"))
        connection.execute(text("DELETE FROM ticket_history WHERE seq = 2"))
    assert [fault.what for fault in store.verify_audit().faults] == ["lines 2 to 2 are missing at the end"]


def chained(store: Store) -> None:
    """Give all lines of history their digests, where they have none."""
    from connectors.store.rows import entry_of

    with writing(store._engine) as connection:
        before, ticket = "", ""
        for row in (
            connection.execute(text("SELECT * FROM ticket_history ORDER BY ticket_id, seq")).mappings().all()
        ):
            before = before if row["ticket_id"] == ticket else ""
            ticket = row["ticket_id"]
            before = history_digest(before, ticket, entry_of(row))
            connection.execute(
                text("UPDATE ticket_history SET digest = :digest WHERE ticket_id = :id AND seq = :seq"),
                {"digest": before, "id": ticket, "seq": row["seq"]},
            )
