"""What is known of a meter before it speaks: the registry's row, and where its readings go."""

from __future__ import annotations

import hashlib

import msgspec

COMMODITIES = ("gas", "water", "electricity", "heat", "scada")
KINDS = ("register", "interval", "gauge")


class Meter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of METERS.csv. Empty strings and None mean *not stated*."""

    meter_id: str
    commodity: str = ""
    unit: str = ""
    kind: str = ""
    interval_s: float | None = None
    area: str = ""
    meter_class: str = ""  # the column ``class``
    service_point_id: str = ""
    serial: str = ""
    digits: int | None = None
    multiplier: float = 1.0
    native_unit: str = ""
    stamp: str = "end"  # or start
    tz: str = ""
    concentrator: str = ""
    transformer: str = ""
    line: str = ""
    route: str = ""
    balance_role: str = ""  # inflow, outflow, storage
    q_max: float | None = None
    limit_hh: float | None = None
    limit_h: float | None = None
    limit_l: float | None = None
    limit_ll: float | None = None
    deadband: float | None = None
    delay_s: float | None = None
    direction: str = ""  # import, export, both
    bill_day: int | None = None
    tariff: str = ""
    contract: str = ""  # active, vacant, terminated
    valve_order: str = ""  # closed: staff have closed it, so that nothing may flow; open
    i_max: float | None = None  # of an electricity meter [A]
    phases: int | None = None
    sentinels: str = ""  # values that stand for an error, as this meter sends them: "65535 -1"
    known: bool = True  # False: it spoke before the registry named it

    @property
    def home_area(self) -> str:
        """The area whose partition holds this meter: a meter of unknown area is its own."""
        return self.area or self.meter_id

    @property
    def place(self) -> dict[str, str | int]:
        """Where it hangs and how it is billed, as far as the registry states it."""
        told = (
            ("class", self.meter_class),
            ("concentrator", self.concentrator),
            ("transformer", self.transformer),
            ("line", self.line),
            ("route", self.route),
            ("tz", self.tz),
            ("bill_day", self.bill_day),
            ("tariff", self.tariff),
        )
        return {name: value for name, value in told if value}

    @property
    def point(self) -> str:
        """The service point that tickets are opened for."""
        return self.service_point_id or self.meter_id


def partition_of(area: str, partitions: int) -> int:
    """The partition that an area's readings go to.

    A stable hash (BLAKE2b, 8 bytes), the same in every process and version.
    """
    digest = hashlib.blake2b(area.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions
