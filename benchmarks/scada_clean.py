"""``python -m benchmarks.scada_clean``: flags of the rules for points, supply and districts where nothing is wrong.

A synthetic clean run of 60 days (seed 0), so whatever is raised is false: 40 pressures every 5 min (daily wave of
±20 kPa about 300, autocorrelated noise, limits at ±60 and ±80), 60 voltages every 10 min (220 V ± 4 V by the hour,
noise of 1.5 V), and 10 water districts with a transformer's worth of meters each: 20 homes read hourly, 1 % of their
readings lost, and the inflow, which is their sum, a loss of 100 L/h and 2 % of noise. Printed: flags by kind, and by
1,000 days of one meter of those that the rule concerns. Real plants are less regular: a floor, not a promise.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from connectors.reading_files import read_files
from streams.messages import NS, Flag
from streams.programs import compose
from streams.programs.replay import Replay
from streams.registry import Meter
from streams.settings import Settings
from streams.state.bank import BankConfig

DAYS, HOUR = 60, 3600
START = 1_704_067_200  # 2024-01-01, a Monday [s]
RULES = (
    "intervals", "limits", "rate", "frozen", "voltage", "interruptions", "transformer", "balance", "night_minimum"
)  # fmt: skip
Series = tuple[NDArray[np.int64], NDArray[np.float64]]  # times [s], values; each of shape (n,)


def wander(rng: np.random.Generator, n: int, sigma: float, keep: float) -> NDArray[np.float64]:
    """Autocorrelated noise of this deviation, shape (n,)."""
    out = rng.normal(0, sigma * np.sqrt(1 - keep**2), n)
    for i in range(1, n):
        out[i] += keep * out[i - 1]
    return out


def plant(seed: int) -> tuple[list[Meter], dict[str, Series]]:
    """The meters, and what each sends."""
    rng = np.random.default_rng(seed)
    meters: list[Meter] = []
    sent: dict[str, Series] = {}

    def add(meter: Meter, step: int, value: NDArray[np.float64], lost: float = 0.0) -> None:
        times = START + step * np.arange(1, len(value) + 1)
        kept = rng.random(len(value)) >= lost
        meters.append(meter)
        sent[meter.meter_id] = times[kept], value[kept]

    def clock(step: int) -> NDArray[np.float64]:
        return (step * np.arange(1, DAYS * 86400 // step + 1) % 86400) / HOUR

    for i in range(40):
        hour = clock(300)
        value = 300 + 20 * np.sin((hour - 9) / 24 * 2 * np.pi) + wander(rng, len(hour), 6, 0.9)
        limits: dict[str, Any] = {"limit_hh": 380.0, "limit_h": 360.0, "limit_l": 240.0, "limit_ll": 220.0}
        add(
            Meter(
                meter_id=f"p{i}",
                commodity="scada",
                unit="kPa",
                kind="gauge",
                interval_s=300.0,
                area="p",
                **limits,
            ),
            300,
            value,
        )
    for i in range(60):
        hour = clock(600)
        value = 220 - 4 * np.sin((hour - 13) / 24 * 2 * np.pi) + wander(rng, len(hour), 1.5, 0.7)
        place: dict[str, Any] = {"area": f"v{i % 6}", "line": f"l{i % 6}"}
        add(
            Meter(
                meter_id=f"v{i}", commodity="electricity", unit="V", kind="gauge", interval_s=600.0, **place
            ),
            600,
            np.round(value, 1),
        )
    for d in range(10):
        hour = clock(HOUR)
        wave = 0.2 + np.exp(-(((hour - 8) / 2) ** 2)) + np.exp(-(((hour - 19) / 3) ** 2))
        total = np.full(len(hour), 100.0)
        for i in range(20):
            use = np.round(rng.gamma(0.8, 15, len(hour)) * wave)
            total += use
            home = Meter(
                meter_id=f"d{d}h{i}",
                commodity="water",
                unit="L",
                kind="interval",
                interval_s=3600.0,
                area=f"d{d}",
                transformer=f"t{d}",
            )
            add(home, HOUR, use, lost=0.01)
        inflow = Meter(
            meter_id=f"d{d}in",
            commodity="water",
            unit="L",
            kind="interval",
            interval_s=3600.0,
            area=f"d{d}",
            balance_role="inflow",
        )
        add(inflow, HOUR, total * (1 + rng.normal(0, 0.02, len(hour))))
    return meters, sent


def flags_of(meters: list[Meter], sent: dict[str, Series], folder: Path) -> list[Flag]:
    """What the rules say of it."""
    path = folder / "clean.parquet"
    names = [name for name, (times, _) in sent.items() for _ in range(len(times))]
    times = pa.array(np.concatenate([times for times, _ in sent.values()]) * NS, pa.timestamp("ns", "UTC"))
    values = np.concatenate([values for _, values in sent.values()])
    pq.write_table(pa.table({"meter_id": names, "time": times, "value": values}), path)
    settings = Settings()
    rules = tuple(rule for rule in compose.detectors(settings) if rule.name in RULES)
    replay = Replay(settings, {meter.meter_id: meter for meter in meters}, BankConfig(rules))
    return [flag for chunk in read_files([path]) for flag in replay.take(chunk)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    meters, sent = plant(parser.parse_args().seed)
    with tempfile.TemporaryDirectory() as folder:
        flags = flags_of(meters, sent, Path(folder))
    raised = Counter(flag.kind for flag in flags if flag.status == "raised")
    count = {"pressure": 40, "voltage": 60, "home": 200, "district": 10}
    concerned = {
        ("pressure",): ("pressure_low", "pressure_high"),
        ("pressure", "voltage"): ("rate", "frozen"),
        ("voltage",): ("voltage_low", "voltage_high", "outage", "repeated_outage"),
        ("home",): ("transformer_outage",),
        ("district",): ("balance", "night_minimum"),
    }
    print(f"{sum(len(t) for t, _ in sent.values()):,} readings of {len(meters)} meters over {DAYS} days")
    for who, kinds in concerned.items():
        exposure = sum(count[one] for one in who) * DAYS
        for kind in kinds:
            print(f"{kind:20} {raised.pop(kind, 0):4} flags, {exposure:6} days of one meter")
    print(f"others: {dict(raised)}")


if __name__ == "__main__":
    main()
