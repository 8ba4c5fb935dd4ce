"""Jumps put into real readings: where they may be, what they change, what is made of the flags."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.score import DAY, nanoseconds
from benchmarks.sets import Set
from benchmarks.units import BEFORE, BETWEEN, FACTORS, LASTS, jumps, measure, multiplied, table

DAYS = 400
START = pd.Timestamp("2024-01-01", tz="UTC")
FAULT = (START + pd.Timedelta(days=200), START + pd.Timedelta(days=204))


def hourly(names: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    times = START + pd.to_timedelta(np.arange(1, DAYS * 24 + 1), "h")
    course = np.tile([0.2] * 7 + [0.5] * 17, DAYS) * (1 + 0.1 * np.sin(np.arange(DAYS * 24)))
    return pd.concat([pd.DataFrame({"meter_id": name, "time": times, "value": course}) for name in names])


def faults() -> pd.DataFrame:
    return pd.DataFrame({"meter_id": ["a"], "type": ["leak"], "start": [FAULT[0]], "end": [FAULT[1]]})


def test_jumps_keep_away_from_faults_and_from_each_other() -> None:
    begun, ended = (mark.value for mark in FAULT)
    met = 0
    for seed in range(20):
        put = jumps(hourly(), faults(), np.random.default_rng(seed))
        for name in ("a", "b"):
            own = [jump for jump in put if jump.meter_id == name]
            assert all(jump.end - jump.start == LASTS * DAY for jump in own)
            gaps = [later.start - jump.end for jump, later in pairwise(own)]
            assert min(gaps) >= (BETWEEN - 1) * DAY  # from an hour of the day to another
            near = [jump for jump in own if begun < jump.end + DAY and ended > jump.start - BEFORE * DAY]
            met += len(near) if name == "b" else 0
            assert name == "b" or near == []
    assert met > 0  # the same days of the meter without a fault are used


def test_a_register_counts_so_many_times_as_much_and_never_falls() -> None:
    amounts = hourly(("a",))
    put = jumps(amounts, faults(), np.random.default_rng(1))
    counted = amounts.assign(value=1000 + np.cumsum(amounts["value"]))
    shown = multiplied(counted, True, put)["value"].to_numpy()
    changed = multiplied(amounts, False, put)["value"].to_numpy()
    assert np.allclose(np.diff(shown), changed[1:])
    at = nanoseconds(amounts["time"])
    inside = np.zeros(len(at), bool)
    for jump in put:
        own = (at > jump.start) & (at <= jump.end)
        assert np.allclose(changed[own], amounts["value"].to_numpy()[own] * jump.factor)
        inside |= own
    assert np.array_equal(changed[~inside], amounts["value"].to_numpy()[~inside])


def test_steady_meters_are_told_of_with_their_factor_and_not_as_they_are(tmp_path: Path) -> None:
    hourly().to_parquet(tmp_path / "readings.parquet", index=False)
    faults().to_csv(tmp_path / "truth.csv", index=False)
    (tmp_path / "meters.csv").write_text(
        "meter_id,unit,kind,interval_s\na,kW.h,interval,3600\nb,kW.h,interval,3600\n"
    )
    found, flags = measure(Set("small", tmp_path), 1, tmp_path)
    assert flags == []
    assert len(found) >= 6
    assert found["right"].all()
    assert found["after"].max() <= 9.1
    assert table(found).count("1/1") + table(found).count("2/2") >= 6
    assert set(found["factor"]) <= set(FACTORS)
