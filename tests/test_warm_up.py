"""All kernels are compiled by the warm-up: what comes after it compiles nothing more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numba

from streams.programs.compiling import told

# A process of its own: in this one other tests have used the kernels.
SCRIPT = """
import pkgutil
import sys
from importlib import import_module

import detectors
from streams.programs import compose
from streams.programs.warm_up import warm_up
from streams.registry import Meter
from streams.settings import load
from tests.streams_of_readings import HOUR, Row, feed, instant, make_bank


def compiled():
    modules = [import_module(f"detectors.{found.name}") for found in pkgutil.iter_modules(detectors.__path__)]
    kernels = {id(cell): cell for module in modules for cell in vars(module).values() if hasattr(cell, "overloads")}
    return {f"{kernel.py_func.__name__}{signature}" for kernel in kernels.values() for signature in kernel.overloads}


if "cold" not in sys.argv:
    warm_up(compose.bank_config(load()))
before = compiled()
start = instant("2024-01-01")
kinds = (("register", "gas", "m3"), ("interval", "electricity", "kW.h"), ("gauge", "electricity", "V"))
meters = [
    Meter(meter_id=kind, kind=kind, interval_s=3600.0, commodity=commodity, unit=unit, area="a", tz="Europe/Madrid")
    for kind, commodity, unit in kinds
]
bank = make_bank(meters)
feed(bank, [Row(m.meter_id, start + i * HOUR, float(i % 50)) for i in range(24 * 4) for m in meters])
bank.census()
billed = Meter(meter_id="b", kind="interval", interval_s=86400.0, commodity="water", unit="m3", bill_day=10)
rows = [Row("b", start + (i + 1) * 24 * HOUR, 5.0 if i > 190 else 0.5) for i in range(210)]
told = {flag.kind for flag in feed(make_bank([billed]), rows).flags}
if "bill_shock" not in told:
    sys.exit(f"expected a flag of the bill that will shock, got {told}")
print(len(compiled() - before))
"""


def left_to_compile(*arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_nothing_is_left_to_be_compiled() -> None:
    assert left_to_compile() == 0
    assert left_to_compile("cold") > 10


def test_what_is_compiled_is_told_while_it_is() -> None:
    lines: list[str] = []
    seconds = iter(range(0, 1000, 6))

    def told_of(*kernels: Callable[[int], int]) -> list[str]:
        lines.clear()
        with told(lines.append, lambda: float(next(seconds))):
            for each in kernels:
                each(1)
        return lines

    one, two, three = (numba.njit(lambda x, n=n: x + n) for n in range(3))
    first, *later = told_of(one, two, three)
    assert first.startswith("compiling the detectors, once for this version: ")
    assert later[:-1] == ["compiling the detectors: 2 pieces so far"]
    assert later[-1] == "compiled the detectors in 18 s; the next start finds them"
    assert told_of(one, two, three) == []
