"""One ticket budget: every detector that weighs takes its lines from it, unless it is given its own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from detectors import ContinuousFlow, Habit, HighLow, Intervals
from detectors.base import Detector
from streams.messages import Kind
from streams.programs import compose
from streams.programs.explain_config import explain
from streams.registry import Meter
from streams.settings import load
from streams.trade.working_time import Calendar
from tests.streams_of_readings import DAY, HOUR, Row, Stream, feed, instant, make_bank

BUDGETS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
START = instant("2024-01-01")


def made(budget: float, **own: dict[str, float]) -> dict[str, Detector]:
    """The detectors of a configuration with that budget."""
    settings = load(detection={"budget": budget}, detectors=own)
    return {detector.name: detector for detector in compose.detectors(settings)}


def budgets(detectors: dict[str, Detector]) -> dict[str, float]:
    return {name: d.parameters()["budget"] for name, d in detectors.items() if "budget" in d.parameters()}


def test_one_setting_moves_all_of_them_and_the_default_is_one() -> None:
    assert load().detection.budget == 1.0
    usual = {
        Habit.name: Habit().budget,
        ContinuousFlow.name: ContinuousFlow().budget,
        HighLow.name: HighLow().budget,
    }
    assert budgets(made(1.0)) == usual
    assert budgets(made(3.0)) == {name: pytest.approx(3 * budget) for name, budget in usual.items()}


def test_a_detector_may_have_a_budget_of_its_own() -> None:
    told = budgets(made(3.0, habit={"budget": 0.5}))
    assert (told["habit"], told["continuous_flow"]) == (0.5, 3.0)


@pytest.mark.parametrize("budget", [0, -1, 101, float("nan")])
def test_a_budget_out_of_range_is_refused(budget: float) -> None:
    with pytest.raises(Exception, match=r"detection\.budget"):
        load(detection={"budget": budget})


def test_check_config_tells_the_budget_and_who_has_another() -> None:
    told = explain(load(detection={"budget": 2}, detectors={"habit": {"budget": 0.5}}), Calendar("UTC"))
    assert "2 per 1,000 meter-days; by their own budget: habit 0.5" in told
    assert "1 per 1,000 meter-days\n" in explain(load(), Calendar("UTC"))


# --- a larger budget never finds less ----------------------------------------------------------


def hourly(use: np.ndarray[Any, Any], commodity: str, unit: str) -> Stream:
    meter = Meter(meter_id="m", commodity=commodity, unit=unit, kind="interval", interval_s=3600.0)
    return Stream([meter], [Row("m", START + (i + 1) * HOUR, x) for i, x in enumerate(use.ravel().tolist())])


def home(seed: int) -> np.ndarray[Any, Any]:
    """70 days of a home's water. [m³/h]"""
    rng = np.random.default_rng(seed)
    use = np.where(rng.random((70, 24)) < 0.4, rng.gamma(2.0, 0.01, (70, 24)), 0.0)
    use[:, :6] = 0.0
    return use


def faulty(kind: str, size: float, seed: int) -> Stream:
    """A fault of a kind and size from day 48 on."""
    use = home(seed)
    if kind == "spike":
        use[50, 13:16] += size * use.sum() / 70
        return hourly(use, "water", "m3")
    if kind == "leak":
        use[48:] += size / 1000
        return hourly(use, "water", "m3")
    use = (
        0.2 + 0.5 * np.abs(np.sin(np.arange(24) / 4)) + np.random.default_rng(seed).gamma(2.0, 0.1, (70, 24))
    )
    use[48:] *= size
    return hourly(use, "electricity", "kW.h")


def bill_of(times: float) -> Stream:
    meter = Meter(meter_id="m", commodity="water", unit="m3", kind="interval")
    amounts = [40.0, 44.0, 38.0, 41.0, 43.0, 40.0, 40.0 * times]
    rows = [Row("m", START + i * 61 * DAY, x, kind=Kind.INTERVAL) for i, x in enumerate(amounts)]
    return Stream([meter], rows)


STREAMS = [
    *((f"{kind} {size}", faulty(kind, size, 3))
      for kind, sizes in (("spike", (2, 4, 10)), ("leak", (2.5, 5)), ("loss", (0.3, 0.6, 0.8))) for size in sizes),
    *((f"bill x{times}", bill_of(times)) for times in (2.5, 3.5, 6.0, 0.2)),
]  # fmt: skip


def first_flag(stream: Stream, budget: float) -> float:
    """When the fault is first told. [ns], infinite where it never is"""
    own = made(budget)
    chosen = (Intervals(), own["habit"], own["high_low"], own["continuous_flow"])
    flags = feed(make_bank(stream.meters, chosen), stream.rows).flags
    return min((instant(f.at) for f in flags if f.status == "raised"), default=np.inf)


@pytest.mark.parametrize(("name", "stream"), STREAMS, ids=[name for name, _ in STREAMS])
def test_a_larger_budget_finds_a_fault_no_later(name: str, stream: Stream) -> None:
    told = [first_flag(stream, budget) for budget in BUDGETS]
    assert all(later <= sooner for sooner, later in pairwise(told)), (name, told)


def test_and_it_finds_more_of_them() -> None:
    found = [sum(first_flag(stream, budget) < np.inf for _, stream in STREAMS) for budget in BUDGETS]
    assert found[0] < found[-1]
