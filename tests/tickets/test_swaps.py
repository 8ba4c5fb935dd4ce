"""The first read of a meter whose swap staff have recorded opens nothing; any other fall of a register does."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.store import Store
from streams.messages import Flag
from streams.trade.lifecycle import Move, move
from streams.trade.rules import Rules
from streams.trade.tickets import State, Swap, Ticket
from streams.trade.work import record_swap
from tests.tickets.tools import DAY, HOUR, NOON, golden

RULES = Rules()
SWAP = Swap(
    old_serial="A1",
    new_serial="B2",
    stop_read=450.2,
    start_read=0.3,
    unit="m³",
    at="2026-06-01T10:00:00+08:00",
)


def read(kind: str = "meter_swap", **fields: Any) -> Flag:
    """What the first read of another device looks like."""
    at = {"at": "2026-06-02T00:00:00Z", "start": "2026-06-02T00:00:00Z", "end": "2026-06-02T00:00:00Z"}
    return golden(
        **{
            "id": "swap",
            "kind": kind,
            "family": "register",
            "observed": 0.4,
            "expected": 449.0,
            **at,
            **fields,
        }
    )


@pytest.fixture
def swapped(store: Store) -> Ticket:
    (ticket,) = store.apply_flags([golden()], NOON, RULES)
    return store.change(
        ticket.id, lambda book, found: record_swap(book, found, SWAP, "wang", NOON + HOUR), NOON + HOUR
    )


def finish(store: Store, ticket: Ticket) -> None:
    for wish in (
        Move(to=State.INVESTIGATING, actor="wang"),
        Move(to=State.IMPLEMENTED, actor="wang"),
        Move(to=State.CLOSED, actor="wang", verdict="confirmed", archive_class="metering", satisfied=True),
    ):
        store.change(
            ticket.id,
            lambda book, found, wish=wish: move(book, found, wish, RULES.targets, NOON + 2 * HOUR),  # type: ignore[misc]
            NOON + 2 * HOUR,
        )


@pytest.mark.parametrize("kind", ["meter_swap", "rollback"])
@pytest.mark.parametrize("closed", [False, True])
def test_the_first_read_of_the_new_meter_is_a_line_of_history(
    store: Store, swapped: Ticket, kind: str, closed: bool
) -> None:
    if closed:
        finish(store, swapped)
    store.apply_flags([read(kind), read(kind, status="cleared")], NOON + DAY, RULES)
    (ticket,) = store.tickets()
    found = store.ticket(ticket.id)
    assert found is not None
    assert found.state is (State.CLOSED if closed else State.NEW)
    assert found.swap is not None
    assert found.swap.seen_at == "2026-06-02T00:00:00Z"
    assert [line.action for line in found.history][-2:] == ["swap_seen", "cleared"]
    assert found.history[-2].note == "B2 0.4 m3"
    assert found.flag_ids == ("golden", "swap")
    assert (found.kind, found.lead_flag_id) == ("high_usage", "golden")


@pytest.mark.parametrize(("at", "opens"), [("2026-06-02T00:00:00Z", False), ("2026-05-31T00:00:00Z", True)])
def test_an_interval_meter_says_no_read_only_that_it_is_another(
    store: Store, swapped: Ticket, at: str, opens: bool
) -> None:
    told = {"detector": "intervals", "interval_before": 0.5, "interval_now": 0.1}
    store.apply_flags([read(observed=0.1, expected=0.5, evidence=told, at=at)], NOON + DAY, RULES)
    assert len(store.tickets()) == (2 if opens else 1)
    found = store.ticket(swapped.id)
    assert found is not None
    if not opens:
        assert found.history[-1].note == "B2"


@pytest.mark.parametrize(
    "other",
    [
        {"at": "2026-06-01T01:00:00Z"},  # before the swap
        {"observed": 0.2},  # below the start read
        {"expected": 451.0},  # the old device had counted past its stop read
        {"unit": "L"},
        {"kind": "misread"},
        {"service_point_id": "elsewhere"},
        {"evidence": {"drill": True}},
    ],
)
def test_what_does_not_fit_the_record_is_a_case(store: Store, swapped: Ticket, other: dict[str, Any]) -> None:
    store.apply_flags([read(**other)], NOON + DAY, RULES)
    assert len(store.tickets()) == 2


def test_one_swap_explains_one_fall(store: Store, swapped: Ticket) -> None:
    store.apply_flags([read()], NOON + DAY, RULES)
    again = read(id="again", at="2026-06-09T00:00:00Z")
    store.apply_flags([again], NOON + 2 * DAY, RULES)
    assert len(store.tickets()) == 2
