"""How a meter's first readings are taken when they are estimated, corrected, or both: every short series there is."""

from __future__ import annotations

import math
from itertools import product

import pytest

from detectors import Estimates, Intervals
from detectors.batch import REPLACED, SENTINEL, TRUE_UP
from streams.messages import Mark
from streams.registry import Meter
from tests.streams_of_readings import DAY, Row, Stream, feed, instant, make_bank
from tests.twins import Tap, assert_same, named, validated

START = instant("2024-01-01")

#: Later than the reading before or at its time once more; value; estimated.
STEPS = list(product((True, False), (1.0, 2.0, 40.0), (True, False)))


def series(kind: str, length: int) -> Stream:
    """A meter for each way in which ``length`` readings can follow a first one, estimated or not."""
    meters, rows = [], []
    for number, (guess, steps) in enumerate(product((True, False), product(STEPS, repeat=length))):
        name = f"m{number}"
        meters.append(Meter(meter_id=name, kind=kind, interval_s=86400 if number % 2 else None))
        day = 0
        for later, value, guessed in ((False, 1.5, guess), *steps, (True, 41.0, False), (True, 42.0, False)):
            day += later
            rows.append(Row(name, START + day * DAY, value, marks=int(Mark.ESTIMATED) * guessed))
    rows.sort(key=lambda row: row.time)
    return Stream(meters, rows)


@pytest.mark.parametrize("kind", ["register", "interval", "gauge"])
def test_every_short_series_is_taken_as_the_obvious_loop_takes_it(kind: str) -> None:
    stream = series(kind, 3)
    tap = Tap()
    flags = feed(make_bank(stream.meters, (Intervals(), tap)), stream.rows).flags
    taken, checks = validated(stream)
    for ours, twin, row in zip(tap.rows, taken, stream.rows, strict=True):
        assert ours[:2] == (twin.reading.time, twin.status), row
        assert ours[2] == pytest.approx(twin.usage, nan_ok=True), row
        assert ours[7] == pytest.approx(twin.back), row
        noted = TRUE_UP * twin.true_up + SENTINEL * twin.sentinel + REPLACED * twin.replaced
        assert ours[8] == noted, row
        if not math.isnan(twin.usage):
            assert ours[3] == twin.span, row
    assert_same(flags, [line for name, check in checks.items() for line in named(check.lines, name)])


def told(rows: list[tuple[int, float, bool]], kind: str = "register") -> tuple[list[float], list[str]]:
    """What was used at each of a meter's (day, value, estimated), and the kinds of flag raised."""
    tap = Tap()
    bank = make_bank([Meter(meter_id="m", kind=kind)], (Intervals(), tap, Estimates()))
    flags = feed(bank, [Row("m", START + d * DAY, v, marks=4 if guess else 0) for d, v, guess in rows]).flags
    return [row[2] for row in tap.rows], [flag.kind for flag in flags if flag.status == "raised"]


def test_an_estimate_corrected_by_a_read_is_a_read() -> None:
    """The first was guessed as 90 and read as 100 afterwards: two later guesses are trued up from the 100."""
    used, kinds = told([(0, 90, True), (0, 100, False), (1, 130, True), (2, 160, True), (3, 106, False)])
    assert used[2:] == [30, 30, 6]
    assert kinds == ["true_up"]


def test_a_correction_that_is_not_believed_makes_no_guess_a_read() -> None:
    """50 is below the read of 100: the guess of 130 stands, and is trued up by the next read."""
    used, kinds = told([(0, 100, False), (1, 130, True), (1, 50, False), (2, 103, False)])
    assert math.isnan(used[2])
    assert used[3] == 3
    assert kinds == ["true_up"]
