"""Complaints whose place is found later, and where their own tickets go then."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from streams.trade.complaints import Outcome, Site
from streams.trade.lifecycle import Refused
from streams.trade.tickets import State
from streams.trade.work import merge
from tests.tickets.complaint_tools import SITE, MemoryDesk, complaint, moved
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, flag


def test_a_complaint_from_nowhere_is_kept_and_found_its_place_later() -> None:
    desk = MemoryDesk()
    (known,) = desk.flags(flag("spike"))
    lost = desk.complain(complaint(NOON + HOUR), Site())
    own = desk.tickets[lost.ticket_id]
    assert (lost.service_point_id, own.service_point_id) == ("", f"complaint/{lost.id}")
    assert lost.miss
    found = desk.assign(lost, SITE, NOON + 2 * HOUR)
    assert (found.ticket_id, found.outcome, found.lead_time_s) == (known.id, Outcome.KNOWN, 3600)
    assert not found.miss
    assert (desk.tickets[own.id].state, desk.tickets[own.id].merged_into) == (State.MERGED, known.id)
    with pytest.raises(Refused, match="without a service point"):
        desk.assign(found, SITE)


def test_its_own_ticket_moves_to_a_place_where_nothing_was_known() -> None:
    desk = MemoryDesk()
    lost = desk.complain(complaint(), Site())
    with pytest.raises(Refused, match="that is known"):
        desk.assign(lost, Site())
    found = desk.assign(lost, SITE)
    assert (found.outcome, found.miss, found.service_point_id) == (Outcome.OPENED, True, "point-1")
    desk.flags(flag("spike"), now_ns=NOON + DAY)
    (ticket,) = desk.tickets.values()
    assert (ticket.service_point_id, ticket.flag_ids) == ("point-1", ("flag-1",))
    assert desk.events[1].type == "located"


def test_its_place_is_found_when_the_work_there_is_over() -> None:
    desk = MemoryDesk()
    (known,) = desk.flags(flag("spike"))
    lost = desk.complain(complaint(NOON + MINUTE), Site())
    moved(desk, known, State.FALSE_ALARM, now_ns=NOON + HOUR)
    found = desk.assign(lost, SITE, NOON + DAY)
    assert (found.ticket_id, found.outcome, found.lead_time_s) == (known.id, Outcome.KNOWN, 60)
    # it was made before the end of the work, and doubts nothing
    assert desk.tickets[known.id].state is State.FALSE_ALARM
    own = desk.tickets[lost.ticket_id]
    assert (own.state, own.merged_into) == (State.MERGED, known.id)


def test_what_was_done_for_it_before_its_place_was_found_stands() -> None:
    desk = MemoryDesk()
    lost = desk.complain(complaint(NOON + HOUR), Site())
    own = moved(
        desk, desk.tickets[lost.ticket_id], State.WAITING_CUSTOMER, State.IMPLEMENTED, now_ns=NOON + HOUR
    )
    (known,) = desk.flags(flag("spike"))
    found = desk.assign(lost, SITE, NOON + 2 * HOUR)
    assert found.ticket_id == known.id
    left, first = desk.tickets[own.id], desk.tickets[known.id]
    assert (left.state, left.complaint_ids, left.related) == (State.IMPLEMENTED, (), (known.id,))
    assert (first.complaint_ids, first.related) == ((lost.id,), (own.id,))
    assert desk.events[-2].type == "passed_on"


def test_a_case_of_another_place_does_not_move_with_a_complaint() -> None:
    desk = MemoryDesk()
    (other,) = desk.flags(flag("spike", service_point_id="point-9"))
    lost = desk.complain(complaint(NOON + HOUR), Site())
    merge(desk.book, desk.tickets[lost.ticket_id], desk.tickets[other.id], "ann", NOON + HOUR)
    for site in (SITE, replace(SITE, service_point_id="point-9")):
        found = desk.assign(desk.complaints[lost.id], site, NOON + 2 * HOUR)
        assert (found.ticket_id, found.service_point_id) == (other.id, site.service_point_id)
        assert desk.tickets[other.id].service_point_id == "point-9"
        assert desk.tickets[other.id].complaint_ids == (lost.id,)
        desk.complaints[lost.id] = replace(found, service_point_id="")
