"""Reads by day and place: counted on their own days, the same however the log is cut or read again."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import default
from detectors.base import BLOCK
from streams.columns import encode
from streams.messages import Quality
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig, Outcome
from streams.state.partition import Partition
from streams.state.quality import by_meter
from streams.state.reads import EARLIER, KEPT, LEAP
from tests.streams_of_readings import (
    DAY,
    HOUR,
    NS,
    Row,
    Stream,
    as_columns,
    examples,
    feed,
    instant,
    make_bank,
    streams,
)

START = instant("2024-03-01")
NAMES = ("readings", "missing", "late", "duplicates", "corrections", "bad", "ahead")
CONFIG = BankConfig(default())
Told = dict[tuple[int, tuple[str, str, str]], tuple[int, ...]]


def told(*banks: Bank) -> Told:
    """All rows, none twice."""
    rows = [((day, place), counts) for bank in banks for day, place, counts in bank.reads.rows()]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def day(text: str) -> int:
    return instant(text) // DAY


def totals(bank: Bank) -> dict[str, int]:
    found: Counter[str] = Counter()
    for counts in told(bank).values():
        found.update(dict(zip(NAMES, counts, strict=True)))
    return {name: found[name] for name in NAMES}


def meters(*names: str, tz: str = "") -> list[Meter]:
    return [
        Meter(meter_id=n, kind="interval", interval_s=3600, unit="m3", area="north", route="R1", tz=tz)
        for n in names
    ]


@given(streams(), st.data())
@examples(25)
def test_sums_over_days_are_the_totals_and_no_cut_changes_a_row(stream: Stream, data: st.DataObject) -> None:
    bank = make_bank(stream.meters, default())
    feed(bank, stream.rows)
    counted = list(by_meter(bank))
    assert totals(bank) == {name: sum(getattr(one, name) for one in counted) for name in NAMES}
    cuts = data.draw(st.lists(st.integers(0, len(stream.rows)), max_size=6))
    other = make_bank(stream.meters, default())
    feed(other, stream.rows, cuts)
    assert told(other) == told(bank)


@given(streams(), st.data())
@examples(15)
def test_a_kill_at_any_message_counts_nothing_twice(stream: Stream, data: st.DataObject) -> None:
    """The state of the last checkpoint and the log from there on; messages that come again are left alone."""
    cuts = data.draw(st.lists(st.integers(0, len(stream.rows)), min_size=2, max_size=6, unique=True))
    places = sorted({0, len(stream.rows), *cuts})
    rows = [r.but(digest=n.to_bytes(16, "big")) for n, r in enumerate(stream.rows, 1)]
    log = [encode(as_columns(rows[first:last])) for first, last in pairwise(places)]
    whole, broken = Partition(CONFIG, 0), Partition(CONFIG, 0)
    table: dict[bytes, bytes] = {}
    for one in (whole, broken):
        one.bank.register(stream.meters, Outcome())
    kills = data.draw(st.sets(st.integers(0, len(log) - 1), max_size=3))
    for offset, message in enumerate(log):
        for one in (whole, broken):
            one.handle(message)
            one.next_offset = offset + 1
        if data.draw(st.booleans()):
            draft = broken.draft()
            assert draft is not None
            table.update([*draft.records, draft.marker])
            for key in broken.ledger.complete(draft):
                table.pop(key, None)
            if data.draw(st.booleans()):
                broken.bank.reads.told(broken.bank.reads.untold(1000))
        if offset in kills and broken.ledger.marker:
            broken = Partition(CONFIG, 0, dict(table))
            for again in log[broken.next_offset : offset + 1]:
                broken.handle(again)
            broken.next_offset = offset + 1
    for message in log:  # delivered once more, as they were
        broken.handle(message)
    assert told(broken.bank) == told(whole.bank)


def test_each_reading_counts_on_its_day_where_its_meter_is() -> None:
    """Half an hour before midnight in Shanghai is not yet the first of April, in UTC it is the afternoon."""
    bank = make_bank(meters("m", tz="Asia/Shanghai"), default())
    feed(bank, [Row("m", instant(f"2024-03-31T{hour:02}:30:00"), 1.0) for hour in range(12, 20)])
    assert {at: counts[0] for (at, _), counts in told(bank).items()} == {
        day("2024-03-31"): 4,
        day("2024-04-01"): 4,
    }


def test_what_is_missing_counts_when_it_was_due_and_no_longer_once_it_has_come() -> None:
    bank = make_bank(meters("m"), default())
    hours = [*range(-30, -5), *range(3, 10)]  # around the midnight between February and March
    feed(bank, [Row("m", START + n * HOUR, 1.0) for n in hours])
    missing = {at: counts[1] for (at, _), counts in told(bank).items()}
    assert missing == {day("2024-02-28"): 0, day("2024-02-29"): 5, day("2024-03-01"): 3}
    feed(bank, [Row("m", START + n * HOUR, 1.0) for n in (-4, -3, 1)])  # late, each on its own day
    counts = {at: (row[1], row[2]) for (at, _), row in told(bank).items()}
    assert counts == {day("2024-02-28"): (0, 0), day("2024-02-29"): (3, 2), day("2024-03-01"): (2, 1)}


def test_a_long_gap_is_spread_over_its_days() -> None:
    bank = make_bank(meters("m"), default())
    feed(bank, [Row("m", START + n * HOUR, 1.0) for n in (*range(5), 24 * 40)])
    missing = {at: counts[1] for (at, _), counts in told(bank).items()}
    first = day("2024-03-01")
    assert missing == {first: 19, **{first + n: 24 for n in range(1, 40)}, first + 40: 0}


@given(streams(), st.integers(0, 900), st.data())
@examples(15)
def test_of_whatever_age_a_reading_is_nothing_is_lost(stream: Stream, ago: int, data: st.DataObject) -> None:
    """Meters whose old history is imported after that of the others: years lie between newest and newest."""
    old = data.draw(st.sets(st.sampled_from([m.meter_id for m in stream.meters])))
    rows = [r.but(time=r.time - ago * DAY, received=0) if r.meter in old else r for r in stream.rows]
    rows.sort(key=lambda r: r.meter in old)
    bank, other = make_bank(stream.meters, default()), make_bank(stream.meters, default())
    feed(bank, rows)
    assert totals(bank) == {name: sum(getattr(one, name) for one in by_meter(bank)) for name in NAMES}
    feed(other, rows, data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    assert told(other) == told(bank)


def test_what_is_missing_of_old_history_counts_without_a_day() -> None:
    bank = make_bank(meters("m", "old"), default())
    feed(bank, [Row("m", START + 900 * DAY, 1.0)])
    feed(bank, [Row("old", START + n * HOUR, 1.0) for n in (0, 1, 2, 6, 7)])
    assert {at: counts[:2] for (at, _), counts in told(bank).items()} == {
        EARLIER: (5, 3),
        day("2024-03-01") + 900: (1, 0),
    }


def test_a_wrong_year_in_a_file_ends_no_day() -> None:
    """A file with a stamp of 2100 among readings that come as they are made."""
    bank = make_bank(meters("m", "n"), default())
    feed(bank, [Row("m", (at := START + n * HOUR), 1.0, received=at) for n in range(24)])
    feed(bank, [Row("n", START, 1.0), Row("n", instant("2100-01-18"), 1.0)])
    feed(bank, [Row("m", (at := START + n * HOUR), 1.0, received=at) for n in range(24, 48)])
    feed(bank, [Row("n", START + n * DAY, 1.0) for n in (LEAP + 1, LEAP + 2)])
    first = day("2024-03-01")
    assert bank.reads.newest == first + LEAP + 1
    readings = {at: counts[0] for (at, _), counts in told(bank).items()}
    assert readings[first] == 25
    assert readings[first + 1] == 24
    assert {at for at in readings if at > first + 1} <= {first + LEAP + 1}


@given(st.lists(st.integers(0, 60), max_size=5), st.booleans())
@examples(20)
def test_a_wrong_year_before_anything_has_arrived_is_given_up(cuts: list[int], tell: bool) -> None:
    """The file comes first; with the first reading whose arrival is known its days count again."""
    bank = make_bank(meters("m", "n"), default())
    rows = [
        *[Row("n", START + n * HOUR, 1.0) for n in range(24)],
        *[Row("n", instant(f"2100-01-{at}"), 1.0) for at in (18, 19)],
        *[Row("m", (at := START + n * HOUR), 1.0, received=at) for n in range(24, 48)],
    ]
    for first, last in pairwise(sorted({0, len(rows), *(min(c, len(rows)) for c in cuts)})):
        feed(bank, rows[first:last])
        if tell:
            bank.reads.told(bank.reads.untold(1000))
    first = day("2024-03-01")
    assert bank.reads.newest == first + 1
    readings = {at: counts[0] for (at, _), counts in told(bank).items()}
    assert readings == {first: 24, first + 1: 24, EARLIER: 2}
    assert totals(bank) == {name: sum(getattr(one, name) for one in by_meter(bank)) for name in NAMES}


def test_a_place_is_what_the_registry_said_when_the_reading_came() -> None:
    bank = make_bank(meters("a", "b", "c"), default())
    feed(bank, [Row(name, START, 1.0) for name in "abcd"])
    bank.register([msgspec.structs.replace(meters("a")[0], route="R2", concentrator="C1")], Outcome())
    feed(bank, [Row(name, START + HOUR, 1.0) for name in "abcd"])
    readings = {place: counts[0] for (_, place), counts in told(bank).items()}
    assert readings == {("north", "R1", ""): 5, ("north", "R2", "C1"): 1, ("", "", ""): 2}


def test_a_stamp_that_nobody_believes_moves_no_day() -> None:
    bank = make_bank(meters("m"), default())
    feed(bank, [Row("m", START, 1.0), Row("m", START + 900 * DAY, 1.0, received=START + HOUR)])
    bad = [Row("m", START + n * DAY, 1.0, quality=Quality.BAD) for n in (1, 5000)]
    feed(bank, [*bad, Row("m", START + HOUR, 1.0)])
    assert bank.reads.newest == day("2024-03-01")
    by_day = {at - day("2024-03-01"): counts for (at, _), counts in told(bank).items()}
    assert by_day == {0: (2, 0, 0, 0, 0, 0, 1), 1: (0, 0, 0, 0, 0, 2, 0)}


def test_days_beyond_those_kept_are_one_and_what_is_told_of_them_may_go() -> None:
    bank = make_bank(meters("m", "n"), default())
    feed(bank, [Row("m", (at := START + n * DAY), 1.0, received=at) for n in range(0, 1600, 2)])
    assert len(told(bank)) == 1600 - 1  # half of the days with the missing ones alone
    before = totals(bank)
    feed(bank, [Row("n", START + n * DAY, 1.0) for n in range(0, 1600, 2)])
    earlier = told(bank)[EARLIER, ("north", "R1", "")]
    newest = day("2024-03-01") + 1598
    assert bank.reads.newest == newest
    assert earlier[0] == len([n for n in range(0, 1600, 2) if n <= 1598 - KEPT])
    assert totals(bank)["readings"] == before["readings"] + 800
    whole = told(bank)
    while len((snapshot := bank.reads.untold(700)).rows):
        bank.reads.told(snapshot)
    left = told(bank)
    kept = {key for key in whole if key[0] == EARLIER or key[0] > newest - KEPT}
    assert kept <= left.keys()
    assert left.items() <= whole.items()
    assert len(left) < KEPT + 1 + BLOCK
    feed(bank, [Row("m", START + n * DAY + HOUR, 1.0) for n in (0, 1598)])  # they are found where they were
    assert len(told(bank)) == len(left)


def test_places_have_a_bound_and_beyond_it_less_of_them_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two concentrators, then a route, then an area; and all the same after a restart at any reading."""
    monkeypatch.setattr("streams.state.reads.NAMED", (2, 3, 4))
    one = meters("m")[0]
    many = [
        msgspec.structs.replace(
            one, meter_id=f"m{n}", area=f"a{n // 4}", route=f"r{n // 2}", concentrator=f"c{n}"
        )
        for n in range(12)
    ]
    rows = [Row(m.meter_id, START + n * HOUR, 1.0) for n in range(2) for m in many]
    found = []
    for kill in (-1, 3, 7, 15):
        part = Partition(CONFIG, 0)
        part.bank.register(many, Outcome())
        coarse = 0
        for offset, row in enumerate(rows):
            outcome, _ = part.handle(encode(as_columns([row])))
            coarse += outcome.counts.get("reads_without_place", 0)
            part.next_offset = offset + 1
            if offset == kill:
                draft = part.draft()
                assert draft is not None
                part = Partition(CONFIG, 0, dict([*draft.records, draft.marker]))
        found.append(({place: counts[0] for (_, place), counts in told(part.bank).items()}, coarse))
    assert found[0] == (
        {
            ("a0", "r0", "c0"): 2,
            ("a0", "r0", "c1"): 2,
            ("a0", "r1", ""): 4,
            ("a1", "", ""): 8,
            ("", "", ""): 8,
        },
        20,
    )
    assert all(one == found[0] for one in found)


def test_what_changes_while_it_is_told_is_told_again() -> None:
    bank = make_bank(meters("m"), default())
    feed(bank, [Row("m", START, 1.0), Row("m", START + DAY, 1.0)])
    snapshot = bank.reads.untold(10)
    feed(bank, [Row("m", START + DAY + HOUR, 1.0)])
    bank.reads.told(snapshot)
    again = bank.reads.untold(10)
    assert [row[0] for row in bank.reads.named(again.cells)] == [day("2024-03-02")]
    bank.reads.told(again)
    assert not len(bank.reads.untold(10).rows)


@given(
    st.lists(st.tuples(st.integers(0, 60 * 24), st.sampled_from("abc")), min_size=1, unique=True),
    st.sampled_from(["", "Europe/Madrid", "Asia/Kolkata"]),
)
@examples(40)
def test_readings_by_local_date(sent: list[tuple[int, str]], zone: str) -> None:
    """In any order, over the end of March with its change of clocks; dates by the standard library."""
    bank = make_bank(meters(*"abc", tz=zone), default())
    first = instant("2024-03-01")
    feed(bank, [Row(name, first + hour * HOUR, 1.0) for hour, name in sent])
    found = {at: counts[0] for (at, _), counts in told(bank).items() if counts[0]}
    dates = Counter(
        datetime.fromtimestamp(first // NS + 3600 * hour, ZoneInfo(zone or "UTC")).date().toordinal()
        - 719_163
        for hour, _ in sent
    )
    duplicates = sum(counts[3] for counts in told(bank).values())
    assert sum(found.values()) == len(sent) - duplicates
    if not duplicates:  # beyond 256 hours an older one counts as seen
        assert found == dict(dates)
