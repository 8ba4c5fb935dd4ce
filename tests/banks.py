"""What is known of meters as text, by which two banks are compared."""

from __future__ import annotations

import msgspec

from streams.state.bank import Bank
from streams.state.dump import canonical


def dumped(bank: Bank) -> bytes:
    """All of it; as text NaN equals NaN."""
    return msgspec.json.encode(list(canonical(bank)), order="deterministic")


def line(bank: Bank, meter: str) -> bytes:
    """Of one meter and its registers."""
    told = {channel: cell for channel, cell in canonical(bank) if channel.partition("#")[0] == meter}
    return msgspec.json.encode(told, order="deterministic")
