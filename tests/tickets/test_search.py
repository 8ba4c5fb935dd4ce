"""Finding tickets, against a list that is looked through by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.store import Store
from connectors.store.search import Wanted
from streams.trade.roles import LOCAL
from streams.trade.rules import Rules
from streams.trade.tickets import Ticket
from tests.tickets.tools import NOON, SECOND, flag

KINDS = ("high_usage", "silent", "continuous_flow", "voltage_low")


def fill(store: Store) -> list[Ticket]:
    for n in range(40):
        one = flag(
            KINDS[n % 4],
            id=f"f{n}",
            meter_id=f"M{n:03d}",
            service_point_id=f"SP_{n // 4:02d}%x",
            area=f"area-{n % 3}",
            evidence={"drill": True} if n % 7 == 0 else {},
        )
        store.apply_flags([one], NOON + n * SECOND, Rules())
    return store.tickets(limit=1000)


def fits(ticket: Ticket, name: str, value: Any) -> bool:
    fields = {"department": "owner_department", "service_point": "service_point_id"}
    if name == "text":
        return any(part.startswith(value) for part in (ticket.id, ticket.meter_id, ticket.service_point_id))
    if name == "state":
        return ticket.open if value == "open" else ticket.state == value
    if name == "opened_from_ns":
        return bool(ticket.opened_ns >= value)
    if name == "opened_to_ns":
        return bool(ticket.opened_ns < value)
    if name == "overdue_ns":
        return ticket.due_ns is not None and ticket.due_ns < value
    found: Any = getattr(ticket, fields.get(name, name))
    return bool(found == value)


WANTED = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["open", "new", "closed"]),
        "priority": st.sampled_from(["P1", "P3", "P4"]),
        "category": st.sampled_from(["safety", "metering_billing"]),
        "department": st.sampled_from(["marketing", "operations"]),
        "kind": st.sampled_from(KINDS),
        "area": st.sampled_from(["area-0", "area-9"]),
        "text": st.sampled_from(
            ["M", "M00", "M017", "SP_01%", "SP%", "FS-", "DRILL-", "zzz", "M017\U0001f600"]
        ),
        "drill": st.booleans(),
        "opened_from_ns": st.integers(NOON, NOON + 40 * SECOND),
        "opened_to_ns": st.integers(NOON, NOON + 40 * SECOND),
        "overdue_ns": st.sampled_from([NOON, NOON + 400 * SECOND, NOON + 10**17]),
    },
)


@pytest.fixture
def every(store: Store) -> list[Ticket]:
    return fill(store)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=WANTED)
def test_what_is_found_is_what_fits(store: Store, every: list[Ticket], conditions: dict[str, Any]) -> None:
    found = store.tickets(limit=1000, wanted=Wanted(**conditions))
    by_hand = [one for one in every if all(fits(one, *pair) for pair in conditions.items())]
    assert [one.id for one in found] == [one.id for one in by_hand]


def test_pages_meet_without_gap_or_overlap(store: Store, every: list[Ticket]) -> None:
    seen: list[str] = []
    before = None
    while page := store.tickets("open", 7, before=before, wanted=Wanted(drill=False)):
        seen += [one.id for one in page]
        before = (page[-1].opened_ns, page[-1].id)
    assert seen == [one.id for one in every if not one.drill]


def test_an_alias_finds_its_point(store: Store, every: list[Ticket]) -> None:
    store.put_alias("幸福里 3 号", "SP_02%x", LOCAL, NOON)
    found = store.tickets(wanted=Wanted(text="幸福里3号"))
    assert {one.service_point_id for one in found} == {"SP_02%x"}
    assert len(every) == 40
