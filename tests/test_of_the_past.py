"""What is marked as history, or retained, teaches and raises nothing; what a meter gives back is no rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from detectors import Habit, Intervals, Steps
from streams.messages import Flag, Mark
from streams.programs import compose
from tests.streams_of_readings import HOUR, Row, Stream, feed, make_bank
from tests.test_habit_days import BEGIN, flat, home, household


def judged(stream: Stream, rows: Sequence[Row] | None = None) -> list[Flag]:
    bank = make_bank(stream.meters, (Intervals(), Habit(heads=compose.heads()), Steps()))
    return feed(bank, stream.rows if rows is None else rows).flags


def kinds(flags: Sequence[Flag]) -> list[str]:
    return [f.kind for f in flags if f.status == "raised"]


def marked(rows: Sequence[Row], first: int, last: int, mark: Mark) -> list[Row]:
    """The hours first … last − 1, from the first day on, marked."""
    begin, end = BEGIN + first * HOUR, BEGIN + last * HOUR
    return [row.but(marks=int(mark)) if begin < row.time <= end else row for row in rows]


@pytest.mark.parametrize("mark", [Mark.RETAINED, Mark.HISTORICAL])
def test_one_reading_of_the_past_makes_no_spike_of_its_day(mark: Mark) -> None:
    use = flat()
    use[50, 12] = 500.0
    stream = household(use, "electricity", "kW.h")
    assert kinds(judged(stream)) == ["spike"]
    hour = 50 * 24 + 12
    assert judged(stream, marked(stream.rows, hour, hour + 1, mark)) == []
    # Another hour of the day that is of the past takes nothing from one that is not.
    assert kinds(judged(stream, marked(stream.rows, hour + 2, hour + 3, mark))) == ["spike"]


def test_days_of_the_past_are_no_unit() -> None:
    use = np.tile(flat().mean(0), (70, 1))
    use[50:54] *= 10
    stream = household(use, "electricity", "kW.h")
    assert "unit_error" in kinds(judged(stream))
    told = judged(stream, marked(stream.rows, 50 * 24, 54 * 24, Mark.HISTORICAL))
    assert [f.kind for f in told if f.kind in ("unit_error", "spike")] == []


def test_days_at_rest_of_the_past_are_not_stuck_but_what_lasts_is() -> None:
    use = home()
    use[46:52] = 0
    stream = household(use)
    assert kinds(judged(stream)) == ["stuck"]
    assert judged(stream, marked(stream.rows, 46 * 24, 52 * 24, Mark.HISTORICAL)) == []
    assert kinds(judged(stream, marked(stream.rows, 46 * 24, 48 * 24, Mark.HISTORICAL))) == ["stuck"]


def test_what_a_meter_gives_back_is_no_rest() -> None:
    """Four sunny days of feeding in by a meter that counts both ways; one that stands still is stuck all the same."""
    use = flat()
    use[50:54] *= -1
    stream = household(use, "electricity", "kW.h")
    both = Stream([replace(stream.meters[0], direction="both")], stream.rows)
    assert [kind for kind in kinds(judged(both)) if kind in ("stuck", "low_usage")] == []
    use[50:54] = 0
    still = household(use, "electricity", "kW.h")
    assert "stuck" in kinds(judged(Stream(both.meters, still.rows)))
