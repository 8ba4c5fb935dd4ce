"""What the high/low check finds in the bills of homes that heat with gas: no set at hand has such bills.

    python -m benchmarks.heated_bills [--homes 60] [--seeds 4]

Homes by degree days (``tests.weather``: hot water, heating from a temperature of one's own, weeks away, months
that are mild or cold for all), four years of a mild and a cold climate, read every one, two or three months. Bills
as they are give the false flags; then one bill of each home, of the last two years, is multiplied.
"""

from __future__ import annotations

import argparse

import numpy as np

from detectors import HighLow, Intervals
from streams.messages import Kind
from streams.registry import Meter
from tests.streams_of_readings import DAY, Row, feed, instant, make_bank
from tests.weather import bills_of, heated_home, year_of

BEGIN = instant("2018-01-01")
DAYS, KNOWN = 1500, 400  # in all, and before those that count
CLIMATES = {"mild": (11.0, 9.5), "cold": (6.0, 14.0)}
FACTORS = (9.13, 5.0, 3.0, 0.3, 0.0)
Bills = list[tuple[int, float]]


def raised(homes: list[Bills]) -> list[tuple[int, int, str]]:
    """Home, day and kind of each flag that is raised."""
    names = {f"h{number}": number for number in range(len(homes))}
    meters = [Meter(meter_id=name, commodity="gas", unit="m3", kind="interval") for name in names]
    rows = [
        Row(name, BEGIN + day * DAY, amount, kind=Kind.INTERVAL)
        for name, number in names.items()
        for day, amount in homes[number]
    ]
    rows.sort(key=lambda row: (row.time, row.meter))
    flags = feed(make_bank(meters, (Intervals(), HighLow())), rows).flags
    return [
        (names[f.meter_id], (instant(f.at) - BEGIN) // DAY, f.kind)
        for f in flags
        if f.status == "raised" and f.family in ("usage_high", "usage_low")
    ]


def measure(climate: tuple[float, float], months: int, homes: int, seed: int) -> tuple[list[int], int]:
    """False flags high and low and what is found of each factor; and the bills that count."""
    air = year_of(DAYS, 100 + seed, *climate)
    rng = np.random.default_rng(seed)
    clean = [
        bills_of(heated_home(air, 1000 * seed + n), months, int(rng.integers(4, 26)), n) for n in range(homes)
    ]
    settled = [flag for flag in raised(clean) if flag[1] > KNOWN]
    counts = [sum((kind == "high_usage") == high for *_, kind in settled) for high in (True, False)]
    for factor in FACTORS:
        wrong, at = [list(bills) for bills in clean], set()
        for number, bills in enumerate(wrong):
            k = int(rng.integers(len(bills) * 3 // 5, len(bills)))
            bills[k] = (bills[k][0], bills[k][1] * factor)
            at.add((number, bills[k][0]))
        kinds = {"high_usage"} if factor > 1 else {"low_usage", "zero_usage"}
        counts.append(len(at & {(n, day) for n, day, kind in raised(wrong) if kind in kinds}))
    return counts, sum(day > KNOWN for bills in clean for day, _ in bills)


def main() -> None:
    """Print a line for each climate and spacing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--homes", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    given = parser.parse_args()
    print("| climate, months | false high | low | " + " | ".join(f"x{f:g}" for f in FACTORS) + " |")
    for name, climate in CLIMATES.items():
        for months in (1, 2, 3):
            found, bills = np.zeros(2 + len(FACTORS)), 0
            for seed in range(given.seeds):
                counts, judged = measure(climate, months, given.homes, seed)
                found, bills = found + counts, bills + judged
            false = found[:2] / bills * 1000
            shares = found[2:] / given.homes / given.seeds
            cells = [f"{rate:.2f}" for rate in (*false, *shares)]
            print(f"| {name}, {months} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
