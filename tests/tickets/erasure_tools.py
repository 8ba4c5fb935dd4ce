"""A person whose words are known, in complaints, tickets and their copies, and a look at all that the store has."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables_trade import metadata
from streams.trade.lifecycle import Move, move
from streams.trade.linking import Linking
from streams.trade.roles import Actor, Role
from streams.trade.sla import Targets
from streams.trade.tickets import State
from streams.trade.working_time import Calendar
from tests.tickets.complaint_tools import filled
from tests.tickets.tools import DAY, NOON

ADMIN = Actor("admin", Role.ADMIN)


TARGETS = Targets(Calendar("UTC"))


#: strings that stand for a person and nothing else
CANARY = {
    "name": "欧阳金丝雀",
    "phone": "13987650042",
    "email": "canary-bird@example.org",
    "address": "广东省深圳市南山区金丝雀路42号",
    "matter": "金丝雀投诉正文：燃气费翻倍",
    "demand": "金丝雀诉求：退费",
}


def everything(store: Store, without: tuple[str, ...] = ()) -> str:
    """All rows of all tables, as text."""
    with reading(store._engine) as connection:
        rows = {
            name: [[str(cell) for cell in row] for row in connection.execute(select(table))]
            for name, table in metadata.tables.items()
            if name not in without
        }
    return json.dumps(rows, ensure_ascii=False)


def complain(store: Store, number: int = 1, at_ns: int = NOON, **fields: Any) -> str:
    given = filled(at_ns, reference=f"ref-{number}", **{**CANARY, **fields})
    taken, new = store.take_complaint(given.complaint, given.person, Linking(), at_ns)
    assert new
    return taken.ticket_id


def do(store: Store, ticket_id: str, to: State, **wish: Any) -> None:
    store.change(
        ticket_id,
        lambda book, ticket: move(book, ticket, Move(to, "王芳", **wish), TARGETS, NOON + DAY),
        NOON + DAY,
    )


def closed(store: Store, number: int = 1, **fields: Any) -> str:
    """A complaint whose ticket was worked on, with notes that quote it, and closed."""
    ticket_id = complain(store, number, **fields)
    do(store, ticket_id, State.INVESTIGATING, note=f"回电 {CANARY['phone']}，用户{CANARY['name']}在家")
    do(store, ticket_id, State.IMPLEMENTED, note="已上门", resolution="explanation", responsibility="company")
    do(
        store,
        ticket_id,
        State.CLOSED,
        verdict="confirmed",
        archive_class="billing",
        no_callback=f"{CANARY['name']}不便接听",
        note="办结",
    )
    return ticket_id
