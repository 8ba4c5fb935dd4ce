"""The registry's row → the numbers that detectors use of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from detectors.batch import (
    ACTIVE,
    CONSUMER,
    ENERGY,
    FLOW,
    INFLOW,
    MONEY,
    OUTFLOW,
    PART,
    POWER,
    PRESSURE,
    SHUT,
    STORAGE,
    TEMPERATURE,
    TERMINATED,
    VACANT,
    VOLTAGE,
    VOLUME,
)
from streams.messages import NS, Kind
from streams.registry import COMMODITIES, Meter
from streams.units import convert, factor, quantity

KIND_CODES = {"register": int(Kind.REGISTER), "interval": int(Kind.INTERVAL), "gauge": int(Kind.GAUGE)}
LIMITS = ("limit_hh", "limit_h", "limit_l", "limit_ll", "deadband")
ROLES = {"": CONSUMER, "inflow": INFLOW, "outflow": OUTFLOW, "storage": STORAGE}
CONTRACTS = {"vacant": VACANT, "terminated": TERMINATED}
#: units of a prepaid balance
CURRENCIES = frozenset(
    (
        "CNY",
        "RMB",
        "元",
        "¥",
        "HKD",
        "TWD",
        "JPY",
        "KRW",
        "INR",
        "USD",
        "$",
        "EUR",
        "€",
        "GBP",
        "£",
        "CHF",
        "AUD",
        "CAD",
    )
)
#: quantity → its code, and the unit in which the detectors that ask for it count
QUANTITIES = {
    "voltage": (VOLTAGE, "V"),
    "pressure": (PRESSURE, ""),
    "volume": (VOLUME, "m3"),
    "volume flow": (FLOW, "m3/h"),
    "energy": (ENERGY, "kW.h"),
    "power": (POWER, "kW"),
    "temperature": (TEMPERATURE, "K"),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is small enough to leave alone, by commodity, each in its own unit.

    quiet  flow below this counts as rest; this much and more is a leak when it never stops
    floor  use of less than this a day is not worth a person's time
    """

    water_quiet_l_h: float = 2.0
    gas_quiet_m3_h: float = 0.02
    water_floor_m3_d: float = 0.05
    gas_floor_m3_d: float = 0.1
    electricity_floor_kwh_d: float = 1.0
    heat_floor_kwh_d: float = 2.0
    gas_start_m3_h: float = 0.005  # what a household's gas meter begins to count at: start flow of a G4
    #: Values that stand for an error beside the usual ones, as they are sent: −1, 65535, …
    sentinels: tuple[float, ...] = ()
    volts: float = 220.0  # between a phase and neutral, for the most that an electricity meter is made for
    gas_kwh_m3: float = 11.0  # gross calorific value, for gas billed in energy. [kWh/m³]
    #: Classes whose boilers run through winter nights: gas that never stops says nothing there.
    heated_by_night: tuple[str, ...] = ("commercial", "industrial")

    def quiet(self, meter: Meter) -> float:
        """Flow below which a meter rests, in its unit an hour; 0: the rule does not apply."""
        unit = meter.unit
        if meter.commodity == "water":
            return self._in(self.water_quiet_l_h, "L", unit)
        if meter.commodity == "gas" and meter.meter_class not in self.heated_by_night:
            return self._gas(self.gas_quiet_m3_h, unit)
        return 0.0

    def start(self, meter: Meter) -> float:
        """Flow that a gas meter begins to count at, in its unit an hour; 0: it is no gas meter."""
        return self._gas(self.gas_start_m3_h, meter.unit) if meter.commodity == "gas" else 0.0

    def electric_limit(self, meter: Meter) -> float:
        """Imax · U · phases of an electricity meter, in its unit an hour; 0: not stated."""
        if meter.commodity != "electricity" or not meter.i_max:
            return 0.0
        return self._in(meter.i_max * self.volts * (meter.phases or 1) / 1000, "kW.h", meter.unit)

    def floor(self, commodity: str, unit: str) -> float:
        """Least daily use that matters, in the meter's unit; 0 where the commodity is not known."""
        if commodity == "water":
            return self._in(self.water_floor_m3_d, "m3", unit)
        if commodity == "gas":
            return self._gas(self.gas_floor_m3_d, unit)
        if commodity == "electricity":
            return self._in(self.electricity_floor_kwh_d, "kW.h", unit)
        if commodity == "heat":
            return self._in(self.heat_floor_kwh_d, "kW.h", unit)
        return 0.0

    def _gas(self, volume: float, unit: str) -> float:
        return self._in(volume, "m3", unit) or self._in(volume * self.gas_kwh_m3, "kW.h", unit)

    def _in(self, amount: float, of: str, unit: str) -> float:
        try:
            return amount * factor(of, unit)
        except ValueError:
            return 0.0  # another quantity: the size says nothing of it


def constants(meter: Meter, sizes: Sizes) -> dict[str, float]:
    """Fields of ``detectors.batch.METER`` but for area, cohort and offset, which the bank knows."""
    return {
        "interval": round(meter.interval_s * NS) if meter.interval_s else 0,
        "capacity": float(10**meter.digits) * meter.multiplier if meter.digits else 0.0,
        "quiet": sizes.quiet(meter),
        "floor": sizes.floor(meter.commodity, meter.unit),
        "kind": KIND_CODES.get(meter.kind, 0),
        "q_max": meter.q_max or sizes.electric_limit(meter),
        "concentrator": _hash(meter.concentrator),
        "signed": int(meter.direction in ("export", "both")),
        "role": ROLES.get(meter.balance_role, PART),
        "commodity": COMMODITIES.index(meter.commodity) + 1 if meter.commodity in COMMODITIES else 0,
        "start": sizes.start(meter),
        **_measured(meter.unit),
        **{name: _stated(getattr(meter, name)) for name in LIMITS},
        "multiplier": meter.multiplier,
        "delay": _stated(meter.delay_s),
        "contract": CONTRACTS.get(meter.contract, ACTIVE),
        "valve": SHUT if meter.valve_order == "closed" else 0,
        # a register beside the main one is billed with it, or not at all
        "bill_day": (meter.bill_day or 0) if meter.balance_role in ROLES else 0,
    }


def _hash(name: str) -> int:
    """A name as a number that hangs on nothing else; 0: no name."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1 if name else 0


def _stated(number: float | None) -> float:
    return math.nan if number is None else number


def _measured(unit: str) -> dict[str, float]:
    """What a unit measures, and its size in the unit that the detectors count in."""
    try:
        code, base = QUANTITIES.get(quantity(unit), (0, ""))
    except ValueError:
        # a gauge may be in a unit that nothing here converts
        code, base = MONEY if unit in CURRENCIES else 0, ""
    zero = convert(0.0, unit, base) if base else 0.0
    return {"quantity": code, "base": convert(1.0, unit, base) - zero if base else 1.0, "zero": zero}
