"""What fails as a whole is one ticket; what is muted waits; what comes back reopens."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.store import Store
from streams.messages import Flag
from streams.trade.book import Book
from streams.trade.lifecycle import Move, Refused, move, record
from streams.trade.linking import Linking
from streams.trade.mutes import MuteKind
from streams.trade.roles import Actor, Role
from streams.trade.routing import Routing
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.staff import Finding, Staff
from streams.trade.tend import Tend
from streams.trade.tickets import LARGE, Origin, Purpose, State, Ticket
from streams.trade.work import merge
from tests.tickets.complaint_tools import filled
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, Turned, flag, golden

RULES = Rules(targets=Targets(watch_days=30))
WANG = Actor("wang", Role.OPERATOR)


def silent(n: int, **fields: Any) -> Flag:
    given: dict[str, Any] = {"place": {"concentrator": "C12"}, "score": 1.2}
    return flag("silent", id=f"s{n}", meter_id=f"m{n}", service_point_id=f"p{n}", **(given | fields))


def concentrator(**fields: Any) -> Flag:
    evidence = {"members": [f"m{n}" for n in range(200)], "members_silent": 500}
    given = {"id": "c", "meter_id": "m0", "service_point_id": "p0", "place": {"concentrator": "C12"}}
    return flag("concentrator_silent", family="data", evidence=evidence, **(given | fields))


def staff(store: Store, clock: Turned, rules: Rules = RULES) -> Staff:
    return Staff(store, rules, clock)


def take(store: Store, *flags: Flag, now_ns: int = NOON, rules: Rules = RULES) -> list[Ticket]:
    return store.apply_flags(flags, now_ns, rules)


def test_a_silent_concentrator_with_500_meters_is_one_ticket(store: Store) -> None:
    singles = take(store, *(silent(n) for n in range(3)))
    assert len(singles) == 3
    (whole, *merged) = sorted(take(store, concentrator()), key=lambda t: not t.group)
    assert (whole.group, whole.service_point_id, whole.meter_count, len(whole.meters)) == (
        "concentrator/C12",
        "concentrator/C12",
        500,
        200,
    )
    assert whole.priority == "P2"
    assert {t.state for t in merged} == {State.MERGED}
    assert {t.merged_into for t in merged} == {whole.id}
    # those that come later join it
    (again,) = take(store, *(silent(n) for n in range(300, 340)))
    assert again.id == whole.id
    assert set(again.flag_ids) == {"c", *(f"s{n}" for n in (0, 1, 2, *range(300, 340)))}
    assert (again.kind, len(store.tickets("open"))) == ("concentrator_silent", 1)
    # the end of a merged one is a line of the whole's history
    (told,) = take(store, silent(1, status="cleared", at="2026-06-01T01:00:00Z"))
    assert told.id == whole.id


def test_a_silent_area_is_one_ticket_with_its_meters_but_those_of_a_concentrator(store: Store) -> None:
    (own,) = take(store, silent(27, area="north"))  # hangs on a concentrator: falls silent with that
    singles = take(store, *(silent(n, area="north", place={}) for n in (1, 2, 90)))
    (elsewhere,) = take(store, silent(24, area="south", place={}))
    assert len({t.id for t in singles}) == 3
    evidence = {"members": [f"m{n}" for n in range(20)], "members_silent": 80}
    given: dict[str, Any] = {"id": "a", "family": "data", "meter_id": "m0", "area": "north", "place": {}}
    take(store, flag("area_silent", evidence=evidence, **given))
    (whole,) = (t for t in store.tickets("open") if t.group)
    assert (whole.group, whole.service_point_id, whole.meter_count, whole.priority) == (
        "area/north", "area/north", 80, "P2",
    )  # fmt: skip
    # merged: those that it lists, and one that it does not
    assert {merged.merged_into for t in singles if (merged := store.ticket(t.id))} == {whole.id}
    assert {t.id for t in store.tickets("open")} == {whole.id, own.id, elsewhere.id}
    # those that come later join it
    (again,) = take(store, silent(91, area="north", place={}))
    assert again.id == whole.id
    (apart,) = take(store, silent(8, area="north", place={"concentrator": "C13"}))
    assert apart.id != whole.id


def test_a_single_meters_flag_that_turns_into_the_wholes_brings_all_together(store: Store) -> None:
    """The detector tells of an area on the flag that one of its meters has already: by its kind alone."""
    take(store, *(silent(n, area="north", place={}) for n in range(3)))
    evidence = {"members": ["m0", "m1"], "members_silent": 80}
    given: dict[str, Any] = {"family": "data", "area": "north", "place": {}, "evidence": evidence}
    mended = flag("area_silent", "updated", id="s0", meter_id="m0", service_point_id="p0", **given)
    take(store, mended, silent(9, area="north", place={}))
    (whole,) = store.tickets("open")
    assert (whole.group, whole.kind, whole.meter_count, whole.priority) == (
        "area/north",
        "area_silent",
        80,
        "P2",
    )
    assert (sorted(whole.flag_ids), whole.flags) == (["s0", "s1", "s2", "s9"], 4)
    assert {one.flag_id for one in store.episodes(whole.id)} == set(whole.flag_ids)
    assert {t.merged_into for t in store.tickets() if t.id != whole.id} == {whole.id}
    # its next word is about the whole's ticket, and opens nothing
    take(store, replace(mended, at="2026-06-02T00:00:00Z"))
    ended = replace(mended, status="cleared", at="2026-06-03T00:00:00Z")
    assert [t.id for t in take(store, ended)] == [whole.id]
    assert len(store.tickets()) == 4
    assert store.verify_audit().faults == ()


def test_a_held_bill_keeps_its_ticket_when_its_flag_turns_into_the_wholes(store: Store) -> None:
    (own,) = take(store, silent(0, area="north", place={}))
    store.change(
        own.id, lambda book, one: record(book, replace(one, bill_hold=True), NOON, "bill_held", "wang"), NOON
    )
    given: dict[str, Any] = {"family": "data", "area": "north", "place": {}}
    take(store, flag("area_silent", "updated", id="s0", meter_id="m0", service_point_id="p0", **given))
    (still,) = store.tickets("open")
    assert (still.id, still.group, still.kind, still.flag_ids) == (own.id, "", "area_silent", ("s0",))


def test_outages_of_a_line_are_one_ticket_from_the_second_on(store: Store) -> None:
    def outage(n: int, line: str = "L7", kind: str = "outage", **fields: Any) -> Flag:
        given = {"id": f"o{n}", "meter_id": f"m{n}", "service_point_id": f"p{n}", "place": {"line": line}}
        return flag(kind, family="supply", **(given | fields))

    first = take(store, *(outage(n) for n in range(3)), outage(9, "L8"))
    assert len(first) == 4
    again = outage(0, kind="repeated_outage", id="again")
    (line, *merged) = sorted(take(store, again), key=lambda t: not t.group)
    assert (line.group, line.service_point_id, line.escalated) == ("line/L7", "line/L7", True)
    assert line.priority == "P2"  # no less than that of a single one
    assert {(t.meter_id, t.state) for t in merged} == {(f"m{n}", State.MERGED) for n in range(3)}
    (joined,) = take(store, outage(1, id="o1-again"))
    assert joined.id == line.id
    assert sorted(t.service_point_id for t in store.tickets("open")) == ["line/L7", "p9"]
    (told,) = take(store, outage(2, status="cleared", at="2026-06-01T01:00:00Z"))
    assert told.id == line.id


def test_another_family_at_a_member_stays_by_itself(store: Store) -> None:
    (leak,) = take(store, flag("continuous_flow", id="l", meter_id="m1", service_point_id="p1"))
    changed = take(store, concentrator())
    assert [t.id for t in changed if t.state is State.MERGED] == []
    found = store.ticket(leak.id)
    assert found is not None
    assert found.open


def test_the_second_interruption_of_a_line_escalates(store: Store) -> None:
    def out(n: int, stage: str) -> Flag:
        return flag(
            "repeated_outage",
            id=f"o{n}",
            family="supply",
            commodity="electricity",
            place={"line": "L1"},
            evidence={"outages_of_line": n, "window_days": 365, "stage": stage},
        )

    (two,) = take(store, out(2, "warning"))
    assert (two.group, two.escalated) == ("line/L1", True)
    assert "line_study" in two.checks
    (three,) = take(store, out(3, "study"))
    assert three.id == two.id
    assert three.evidence["stage"] == "study"


@pytest.mark.parametrize(
    ("kind", "place", "about", "waits"),
    [
        ("snooze", "meter/meter-1", (), True),
        ("snooze", "meter/meter-1", ("spike",), False),
        ("snooze", "meter/meter-1", ("high_usage",), True),
        ("snooze", "meter/other", (), False),
        ("snooze", "service_point/point-1", (), True),
        ("vacancy", "service_point/point-1", (), False),
        ("planned_outage", "line/L1", (), False),
        ("planned_outage", "line/L1", ("high_usage",), True),
        ("snooze", "area/area-1", (), True),
    ],
)
def test_what_a_mute_is_about(
    store: Store, clock: Turned, kind: str, place: str, about: tuple[str, ...], waits: bool
) -> None:
    staff(store, clock).quiet(WANG, kind, place, about, NOON, NOON + DAY, "known")
    changed = take(store, flag(place={"line": "L1"}), now_ns=NOON + HOUR)
    assert (changed == []) == waits
    muted = store.muted_flags()
    assert [m.flag_id for m in muted] == (["flag-1"] if waits else [])
    if waits:
        assert muted[0].why == f"{kind}: known"


def test_a_planned_outage_mutes_what_it_causes(store: Store, clock: Turned) -> None:
    quiet = staff(store, clock).quiet(
        WANG, "planned_outage", "transformer/T7", (), NOON, NOON + 4 * HOUR, "works"
    )
    assert quiet.kind is MuteKind.PLANNED_OUTAGE
    place = {"transformer": "T7"}
    assert take(store, flag("outage", id="o", family="supply", commodity="electricity", place=place)) == []
    assert take(store, replace(silent(1), place=place)) == []
    (leak,) = take(store, flag("continuous_flow", id="l", place=place))
    assert leak.urgency == "emergency"


def test_an_emergency_never_waits(store: Store, clock: Turned) -> None:
    staff(store, clock).quiet(
        WANG, "snooze", "meter/meter-1", ("continuous_flow",), NOON, NOON + DAY, "fitter is there"
    )
    (ticket,) = take(store, flag("continuous_flow", id="l"))
    assert ticket.priority == "P1"


def test_after_the_end_it_becomes_a_ticket_unless_it_has_ended(store: Store, clock: Turned) -> None:
    staff(store, clock).quiet(WANG, "snooze", "area/area-1", (), NOON, NOON + DAY, "known")
    over = flag(id="over", meter_id="m2", service_point_id="p2")
    assert take(store, flag(), over) == []
    assert take(store, replace(over, status="cleared", at="2026-06-01T05:00:00Z")) == []
    tend = Tend(store, RULES, clock)
    clock.advance(DAY - MINUTE)
    tend.tick()
    assert store.tickets() == []
    clock.advance(2 * MINUTE)
    tend.tick()
    (ticket,) = store.tickets()
    assert (ticket.flag_ids, ticket.opened_ns) == (("flag-1",), clock.now)
    assert {m.flag_id: m.outcome for m in store.muted_flags(waiting=False)} == {
        "flag-1": "opened",
        "over": "cleared",
    }
    tend.tick()
    assert len(store.tickets()) == 1
    # what comes of it later finds its ticket
    (same,) = take(
        store, flag(status="updated", observed=20.0, at="2026-06-03T00:00:00Z"), now_ns=clock.now
    ) or [ticket]
    assert same.id == ticket.id


def test_ending_a_mute_early_lets_go_at_once(store: Store, clock: Turned) -> None:
    desk = staff(store, clock)
    mute = desk.quiet(WANG, "snooze", "meter/meter-1", (), NOON, NOON + 30 * DAY, "known")
    assert take(store, flag()) == []
    desk.end_quiet(WANG, mute.id, "not known after all")
    Tend(store, RULES, clock).tick()
    assert len(store.tickets()) == 1
    assert store.verify_audit().rows == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("snooze", "house/1", (), NOON, NOON + DAY, "x"), "a place such as"),
        (("quiet", "meter/1", (), NOON, NOON + DAY, "x"), "one of planned_outage"),
        (("snooze", "meter/1", ("noise",), NOON, NOON + DAY, "x"), "kinds of flags"),
        (("snooze", "meter/1", (), NOON, NOON, "x"), "an end after the start"),
        (("snooze", "meter/1", (), NOON, NOON + 400 * DAY, "x"), "within a year"),
        (("snooze", "meter/1", (), NOON, NOON + DAY, "  "), "the reason"),
    ],
)
def test_a_mute_that_cannot_be(store: Store, clock: Turned, given: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        staff(store, clock).quiet(WANG, *given)
    assert store.mutes(0) == []


def close(store: Store, ticket: Ticket, now_ns: int) -> Ticket:
    closing = Move(
        to=State.CLOSED, actor="wang", verdict="confirmed", archive_class="metering", no_callback="moved"
    )
    for wish in (
        Move(to=State.INVESTIGATING, actor="wang"),
        Move(to=State.IMPLEMENTED, actor="wang"),
        closing,
    ):
        ticket = store.change(ticket.id, partial(_moved, wish=wish, now_ns=now_ns), now_ns)
    return ticket


def _moved(book: Book, ticket: Ticket, wish: Move, now_ns: int) -> Ticket:
    return move(book, ticket, wish, RULES.targets, now_ns)


def test_a_relapse_within_the_watch_reopens(store: Store) -> None:
    (ticket,) = take(store, golden())
    closed = close(store, ticket, NOON + DAY)
    assert closed.watch_until_ns == NOON + 31 * DAY
    (again,) = take(store, golden(id="again", at="2012-07-01T00:00:00Z"), now_ns=NOON + 20 * DAY)
    assert (again.id, again.state, again.watch_until_ns) == (ticket.id, State.REOPENED, None)
    full = store.ticket(ticket.id)
    assert full is not None
    assert full.history[-1].action == "relapsed"
    closed = close(store, again, NOON + 21 * DAY)
    (other,) = take(store, golden(id="third", at="2012-09-01T00:00:00Z"), now_ns=NOON + 60 * DAY)
    assert other.id != ticket.id


def test_of_a_large_customer_a_person_hears_first(store: Store, clock: Turned) -> None:
    (ticket,) = take(store, golden(place={"class": "industrial"}))
    assert (ticket.impact, ticket.priority) == (LARGE, "P3")  # 243.7 m³ is little to it
    assert store.counts().outbox_pending == 0
    desk = staff(store, clock)
    desk.move(WANG, ticket.id, Move(to=State.INVESTIGATING, actor="wang"))
    told = store.outbox_claim("webhook", 10, NOON, HOUR)
    assert [item.event.type for item in told] == ["opened", "moved"]
    store.outbox_settle([], NOON)


def test_a_drill_and_a_finding_by_hand(store: Store, clock: Turned) -> None:
    desk = staff(store, clock)
    drill = desk.open(
        WANG, Finding("m9", "continuous_flow", commodity="gas", drill=True, note="spring drill")
    )
    assert drill.id.startswith("DRILL-")
    assert (drill.drill, drill.priority, drill.origin) == (True, "P1", Origin.MANUAL)
    real = desk.open(WANG, Finding("m9", "continuous_flow", commodity="gas", note="smell of gas"))
    assert (real.drill, real.related) == (False, ())
    (joined,) = take(store, flag("continuous_flow", id="l", meter_id="m9", service_point_id="m9"))
    assert joined.id == real.id
    with pytest.raises(Refused, match="a kind of flag"):
        desk.open(WANG, Finding("m9", "smell"))


def test_a_bill_shock_is_there_to_be_explained() -> None:
    place = Routing().place(flag("bill_shock"), None, NOON)
    assert place.purpose is Purpose.EXPLAIN


def test_a_complaint_goes_with_its_ticket_into_the_whole(store: Store) -> None:
    (single,) = take(store, silent(0))
    linking = Linking()
    taken, _ = store.take_complaint(
        *filled(NOON, service_point="p0", subject="missed_reading"), linking, NOON
    )
    assert taken.ticket_id == single.id
    take(store, concentrator())
    whole = next(t for t in store.tickets("open") if t.group)
    kept = store.complaint(taken.id)
    assert kept is not None
    assert (kept.ticket_id, whole.complaint_ids) == (whole.id, (taken.id,))


def test_flags_go_with_the_ticket_of_a_complaint_that_finds_its_place(store: Store) -> None:
    linking = Linking()
    lost, _ = store.take_complaint(*filled(NOON, service_point="somewhere"), linking, NOON)
    (single,) = take(store, flag("spike", id="one", service_point_id="point-2"))
    store.change(
        single.id,
        lambda b, t: merge(b, t, b.tickets[lost.ticket_id], "ann", NOON),
        NOON,
        also=[lost.ticket_id],
    )
    (there,) = take(store, flag("spike", id="two"))
    store.assign_complaint(lost.id, "point-1", Actor("ann", Role.COMPLAINTS), linking, NOON)
    assert {one.flag_id for one in store.episodes(there.id)} == {"one", "two"}
    (told,) = take(store, flag("spike", "cleared", id="one", service_point_id="point-2"))
    assert told.id == there.id


def test_work_that_is_done_stays_by_itself_when_the_whole_fails(store: Store) -> None:
    (single,) = take(store, silent(0))
    for state in (State.INVESTIGATING, State.IMPLEMENTED):
        wish = Move(to=state, actor="ann")
        store.change(single.id, lambda b, t, w=wish: move(b, t, w, Targets(), NOON), NOON)  # type: ignore[misc]
    take(store, concentrator())
    kept = store.ticket(single.id)
    assert kept is not None
    assert kept.state is State.IMPLEMENTED


def test_flags_go_along_when_a_whole_is_first_heard_of_by_an_update(store: Store) -> None:
    (single,) = take(store, silent(0))
    take(store, silent(0, status="updated", at="2026-06-01T01:00:00Z"), concentrator(status="updated"))
    (whole,) = store.tickets("open")
    assert (whole.group, whole.id != single.id) == ("concentrator/C12", True)
    assert {one.flag_id for one in store.episodes(whole.id)} == {"c", "s0"}
