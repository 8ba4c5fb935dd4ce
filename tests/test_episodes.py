"""Episodes: what detectors find of a meter becomes flags, one id from the first to the last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.registry import Meter
from streams.state.episodes import Episode, Episodes, Found, flag_id, iso
from tests.streams_of_readings import NS, examples, instant


def found(kind: str, verb: int, at: int, detector: str = "one", score: float = 1.0) -> Found:
    return Found(
        0, detector, kind, verb, at * NS, at * NS, at * NS, score, 2.0, 1.0, {"x": 1, "since_ns": NS}
    )


RAISE, UPDATE, CLEAR = 1, 2, 3
METER = Meter(meter_id="m", unit="m3", area="a", service_point_id="sp", commodity="gas")


def test_an_episode_has_one_id_and_the_kind_that_explains_most() -> None:
    episodes = Episodes()
    first = episodes.take(found("spike", RAISE, 5), METER, "")
    second = episodes.take(found("high_usage", RAISE, 9, "two", 3.0), METER, "")
    third = episodes.take(found("spike", RAISE, 11, "one", 2.0), METER, "")
    assert first is not None
    assert second is not None
    assert third is not None
    assert {first.id, second.id, third.id} == {flag_id("m", "", "usage_high", 5 * NS)}
    assert [(f.kind, f.status, f.score) for f in (first, second, third)] == [
        ("spike", "raised", 1.0), ("high_usage", "updated", 3.0), ("high_usage", "updated", 3.0),
    ]  # fmt: skip
    assert third.evidence == {"detector": "one", "x": 1, "since": "1970-01-01T00:00:01Z", "seen_as": "spike"}
    assert (third.start, third.at, third.end) == (first.start, "1970-01-01T00:00:11Z", "1970-01-01T00:00:11Z")
    assert (third.service_point_id, third.area, third.commodity, third.unit) == ("sp", "a", "gas", "m3")
    # It is over when both say so.
    assert episodes.take(found("spike", CLEAR, 12), METER, "") is None
    last = episodes.take(found("high_usage", CLEAR, 13, "two"), METER, "")
    assert last
    assert (last.id, last.status, last.kind) == (first.id, "cleared", "high_usage")
    assert episodes.open == {}


def test_a_limit_names_what_a_rate_began() -> None:
    episodes = Episodes()
    kinds = []
    for kind, verb, detector in (
        ("rate", RAISE, "rate"), ("pressure_high", RAISE, "limits"), ("rate", RAISE, "rate"),
        ("pressure_high", CLEAR, "limits"), ("rate", CLEAR, "rate"),
    ):  # fmt: skip
        flag = episodes.take(found(kind, verb, 5, detector), METER, "")
        kinds.append(flag and (flag.status, flag.kind))
    high = "pressure_high"
    assert kinds == [("raised", "rate"), ("updated", high), ("updated", high), None, ("cleared", high)]


@pytest.mark.parametrize(("first", "then", "name"), [
    ("gap", "clock_drift", "clock_drift"), ("clock_drift", "gap", "clock_drift"),
    ("clock_drift", "silent", "silent"), ("pressure_high", "frozen", "pressure_high"),
    ("frozen", "rate", "frozen"), ("pressure_high", "pressure_low", "pressure_low"), ("limit", "rate", "limit"),
    ("voltage_low", "outage", "outage"), ("transformer_outage", "outage", "transformer_outage"),
])  # fmt: skip
def test_the_kind_that_explains_more_names_the_episode(first: str, then: str, name: str) -> None:
    episodes = Episodes()
    episodes.take(found(first, RAISE, 5, "one"), METER, "")
    flag = episodes.take(found(then, RAISE, 6, "two"), METER, "")
    assert flag
    assert flag.kind == name


def test_no_event_of_an_episode_is_older_than_the_one_before() -> None:
    """A watermark at 9 raises what a reading of 7, which comes later, ends."""
    episodes = Episodes()
    events = [
        episodes.take(found("gap", verb, at), METER, "") for verb, at in ((RAISE, 9), (UPDATE, 8), (CLEAR, 7))
    ]
    assert [(f.status, instant(f.at) // NS) for f in events if f] == [
        ("raised", 9), ("updated", 9), ("cleared", 9),
    ]  # fmt: skip


def test_families_and_registers_have_episodes_of_their_own() -> None:
    episodes = Episodes()
    high, low = (
        episodes.take(found("spike", RAISE, 5), METER, ""),
        episodes.take(found("low_usage", RAISE, 5), METER, ""),
    )
    assert high is not None
    assert low is not None
    assert high.id != low.id
    assert flag_id("m", "night", "usage_high", 5 * NS) != high.id


def test_what_was_never_raised_is_neither_updated_nor_cleared() -> None:
    episodes = Episodes()
    assert episodes.take(found("misread", UPDATE, 5), METER, "") is None
    assert episodes.take(found("misread", CLEAR, 5), METER, "") is None
    episodes.take(found("rollback", RAISE, 6), METER, "")
    assert episodes.take(found("rollback", CLEAR, 7, "another"), METER, "") is None
    updated = episodes.take(found("misread", UPDATE, 8), METER, "")
    assert updated
    assert (updated.kind, updated.status) == ("misread", "updated")


def test_what_goes_takes_its_episodes_along() -> None:
    kept = Episode(1, "leak", "b", 0, "leak", 1.0, ["one", "two"])
    episodes = Episodes([Episode(0, "leak", "a", 0, "leak", 1.0, ["one"]), kept])
    episodes.keep({"two"})
    assert list(episodes.open) == [(1, "leak")]
    assert kept.active == ["two"]
    episodes.forget(1)
    assert episodes.open == {}


@examples(100)
@given(st.integers(instant("1990-01-01"), instant("2099-12-31")))
def test_instants_are_told_to_the_microsecond(time: int) -> None:
    text = iso(time)
    assert text.endswith("Z")
    assert instant(text[:-1].partition(".")[0]) == time // NS * NS
    fraction = text[:-1].partition(".")[2]
    assert int(fraction or 0) == time % NS // 1000
