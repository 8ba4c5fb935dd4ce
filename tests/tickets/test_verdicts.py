"""What people say flags were: words into the book, into the store, and figures out of them."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import select

from connectors.store import Store
from connectors.store.engine import reading
from connectors.store.tables_trade import verdicts
from detectors import CATALOGUE
from streams.trade.book import Book
from streams.trade.judged import DETECTOR_OF, detector_of, wilson
from streams.trade.lifecycle import Move, Refused, move
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.tickets import State, Ticket, Verdict
from streams.trade.verdicts import judge, precision
from streams.trade.work import merge
from tests.tickets.tools import DAY, HOUR, NOON, flag


def open_with(store: Store, *ids: str, **fields: Any) -> Ticket:
    """One ticket with these flags."""
    for number, one in enumerate(ids):
        store.apply_flags([flag("spike", id=one, **fields)], NOON + number * HOUR, Rules())
    (ticket,) = store.tickets("open")
    return ticket


def say(
    store: Store, ticket: Ticket, verdict: str, reason: str = "", *flags: str, by: str = "wang"
) -> Ticket:
    return store.change(
        ticket.id, lambda book, found: judge(book, found, verdict, reason, by, NOON + DAY, flags), NOON + DAY
    )


def words(store: Store) -> dict[str, tuple[str, str, str]]:
    with reading(store._engine) as connection:
        found = connection.execute(select(verdicts).order_by(verdicts.c.flag_id)).mappings()
        return {row["flag_id"]: (row["verdict"], row["reason"], row["by"]) for row in found}


def test_a_word_about_a_ticket_is_one_about_each_flag(store: Store) -> None:
    ticket = open_with(store, "a", "b", evidence={"detector": "spike"})
    after = say(store, ticket, "confirmed")
    assert (after.verdict, after.verdict_reason) == ("confirmed", "")
    assert words(store) == {"a": ("confirmed", "", "wang"), "b": ("confirmed", "", "wang")}
    assert (after.history[-1].action, after.history[-1].note) == ("judged", "confirmed")
    with reading(store._engine) as connection:
        rows = list(connection.execute(select(verdicts).order_by(verdicts.c.flag_id)).mappings())
    assert [row["raised_ns"] for row in rows] == [NOON, NOON + HOUR]
    assert {(row["detector"], row["kind"], row["area"], row["score"]) for row in rows} == {
        ("spike", "spike", "area-1", 1.5)
    }


def test_a_flag_of_a_merged_ticket_counts_from_when_it_first_had_one(store: Store) -> None:
    into = open_with(store, "a")
    for n, kind in enumerate(("stuck", "misread"), 1):
        store.apply_flags([flag(kind, id=kind, meter_id=kind)], NOON + n * 40 * DAY, Rules())
    other = {one.lead_flag_id: one for one in store.tickets("open")}
    chain = (other["stuck"].id, other["misread"].id, into.id)
    for gone, stays in pairwise(chain):
        verb = partial(take_over, into=stays)
        store.change(gone, verb, NOON + 90 * DAY, also=(stays,))
    # what is told of it on its new ticket is not when it came
    store.apply_flags(
        [flag("stuck", "updated", id="stuck", meter_id="stuck", at="2026-09-01T00:00:00Z")],
        NOON + 91 * DAY,
        Rules(),
    )
    say(store, into, "confirmed")
    with reading(store._engine) as connection:
        rows = connection.execute(select(verdicts.c.flag_id, verdicts.c.raised_ns))
        found = {row.flag_id: (row.raised_ns - NOON) // DAY for row in rows}
    assert found == {"a": 0, "stuck": 40, "misread": 80}


def take_over(book: Book, ticket: Ticket, into: str) -> Ticket:
    return merge(book, ticket, book.tickets[into], "li", NOON + 90 * DAY)


def test_the_newest_word_counts_and_all_are_in_the_history(store: Store) -> None:
    ticket = open_with(store, "a", "b")
    say(store, ticket, "confirmed")
    say(store, ticket, "false_alarm", "data_error", "b", by="li")
    assert words(store) == {"a": ("confirmed", "", "wang"), "b": ("false_alarm", "data_error", "li")}
    after = say(store, ticket, "explained")
    assert words(store) == {"a": ("explained", "", "wang"), "b": ("explained", "", "wang")}
    notes = [line.note for line in after.history if line.action == "judged"]
    assert notes == ["confirmed", "false_alarm: data_error", "explained"]
    assert say(store, ticket, "explained").version == after.version  # the same word again


def test_a_word_about_some_flags_leaves_the_tickets_verdict(store: Store) -> None:
    ticket = open_with(store, "a", "b")
    assert say(store, ticket, "confirmed", "", "a").verdict == ""
    assert words(store) == {"a": ("confirmed", "", "wang")}


def test_closing_carries_the_verdict_to_flags_that_nobody_has_judged_alone(store: Store) -> None:
    ticket = open_with(store, "a", "b")
    say(store, ticket, "confirmed", "", "a")
    wish = Move(to=State.FALSE_ALARM, actor="zhao", note="unrecorded_work")
    after = store.change(ticket.id, lambda b, t: move(b, t, wish, Targets(), NOON + DAY), NOON + DAY)
    assert (after.verdict, after.verdict_reason) == ("false_alarm", "unrecorded_work")
    assert words(store) == {"a": ("confirmed", "", "wang"), "b": ("false_alarm", "unrecorded_work", "zhao")}


def test_drills_never_count(store: Store) -> None:
    ticket = open_with(store, "a", evidence={"drill": True})
    assert say(store, ticket, "confirmed").verdict == "confirmed"
    assert words(store) == {}


@pytest.mark.parametrize(
    ("verdict", "reason", "flags", "sentence"),
    [
        ("meter_fault", "", (), "expected one of confirmed, false_alarm, explained"),
        ("false_alarm", " ", (), "expected the reason of the false alarm"),
        ("confirmed", "", ("z",), "expected flags of FS-"),
    ],
)
def test_what_is_no_verdict_is_refused(
    store: Store, verdict: str, reason: str, flags: tuple[str, ...], sentence: str
) -> None:
    ticket = open_with(store, "a")
    with pytest.raises(Refused, match=sentence):
        say(store, ticket, verdict, reason, *flags)
    assert words(store) == {}


def test_a_merged_ticket_is_not_judged(store: Store) -> None:
    ticket = open_with(store, "a")
    merged = replace(ticket, state=State.MERGED, merged_into="FS-OTHER")
    with pytest.raises(Refused, match="judge FS-OTHER"):
        judge(Book(), merged, "confirmed", "", "wang", NOON)


def test_every_kind_that_a_detector_raises_has_its_detector() -> None:
    makers: dict[str, set[str]] = {}
    for detector in CATALOGUE:
        for kind in detector().kinds:
            makers.setdefault(kind, set()).add(detector().name)
    assert DETECTOR_OF.keys() == makers.keys()
    assert {kind for kind, name in DETECTOR_OF.items() if name not in makers[kind]} == set()


def test_what_the_evidence_says_goes_before_the_kind() -> None:
    assert detector_of("spike", "usage_high", {"detector": "spike"}) == "spike"
    assert detector_of("spike", "usage_high", {"detector": 7}) == "habit"
    assert detector_of("process_silent", "operations", {}) == "self_watch"
    assert detector_of("residual", "scada", {}) == "unknown"


@given(st.integers(0, 400), st.integers(0, 400))
def test_wilsons_bounds_solve_their_equation(good: int, bad: int) -> None:
    of = good + bad
    low, high = wilson(good, of)
    assert 0.0 <= low <= (good / of if of else 0.0) <= high <= 1.0 or of == 0
    for bound in (low, high):
        if 0.0 < bound < 1.0:
            # the bounds are where the share is z standard errors of the bound away
            assert math.isclose(
                abs(good / of - bound), 1.959964 * math.sqrt(bound * (1 - bound) / of), rel_tol=1e-4
            )


def test_wilson_as_published() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: method 3
    for good, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(good, of)
        assert (round(found[0], 4), round(found[1], 4)) == (low, high)


@given(st.lists(st.sampled_from(Verdict), max_size=200))
def test_precision_is_the_loop(said: list[Verdict]) -> None:
    right = sum(1 for one in said if one in ("confirmed", "explained"))
    found = precision(
        *(said.count(one) for one in (Verdict.CONFIRMED, Verdict.EXPLAINED, Verdict.FALSE_ALARM))
    )
    assert found.judged == len(said)
    if said:
        assert found.precision == right / len(said)
        assert found.strict == said.count(Verdict.CONFIRMED) / len(said)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.precision <= found.high
    else:
        assert (found.precision, found.low, found.high, found.strict) == (None, None, None, None)
