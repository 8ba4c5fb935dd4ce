"""What is known of a service point: its meter, where it hangs, when it is billed.

Pseudonymous: names, addresses and telephone numbers are elsewhere (``people``).
"""

from __future__ import annotations

import unicodedata

import msgspec


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One meter's place, from the registry. Empty strings and None mean *not stated*."""

    meter_id: str
    service_point_id: str
    commodity: str = ""
    unit: str = ""
    kind: str = ""  # register, interval, gauge: of readings that do not say it
    multiplier: float = 1.0  # of its readings
    area: str = ""
    meter_class: str = ""
    serial: str = ""
    tz: str = ""
    route: str = ""
    concentrator: str = ""
    transformer: str = ""
    line: str = ""
    bill_day: int | None = None  # of the month
    tariff: str = ""

    def places(self) -> tuple[str, ...]:
        """Everything that an outage or a mute may be about and that holds this meter, as ``scope/name``."""
        named = (
            ("meter", self.meter_id),
            ("service_point", self.service_point_id),
            ("area", self.area),
            ("line", self.line),
            ("transformer", self.transformer),
            ("concentrator", self.concentrator),
        )
        return tuple(f"{scope}/{name}" for scope, name in named if name)


def folded(alias: str) -> str:
    """An alias as it is kept and compared: compatible forms as one, small letters, no blanks."""
    return "".join(unicodedata.normalize("NFKC", alias).casefold().split())
