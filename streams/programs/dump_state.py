"""``forestall dump``: the state as the last checkpoints have it, and its sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import msgspec

from streams.ports import Log
from streams.programs import compose
from streams.settings import Settings
from streams.state.bank import Bank
from streams.state.checkpoint import restore
from streams.state.dump import canonical


async def banks(settings: Settings, durable: Log) -> list[Bank]:
    """The banks of all partitions, read from the changelog."""
    config = compose.bank_config(settings)
    out = []
    for partition in range(settings.partitions):
        table: dict[bytes, bytes] = {}
        async for _, key, value in durable.read(f"{settings.app}-state-changelog", partition):
            if key is None:
                continue
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value
        out.append(restore(config, partition, table)[0])
    return out


def merged(all_banks: list[Bank]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The canonical dump of several partitions, by channel."""
    lines = [line for bank in all_banks for line in canonical(bank)]
    yield from sorted(lines, key=lambda line: line[0])


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a state."""

    readings: int
    usage: float
    meters: int


def totals(all_banks: list[Bank]) -> Totals:
    """Distinct readings taken in, all that was used (mixed units), meters."""
    readings, usage, meters = 0, 0.0, 0
    for bank in all_banks:
        pulse = bank.state.of("intervals", "pulse")[: len(bank)]
        readings += int(pulse["count"].sum())
        usage += float(pulse["usage"].sum())
        meters += len(bank.slots)
    return Totals(readings, usage, meters)


async def dump_state(settings: Settings, out: TextIO) -> None:
    """Write the canonical dump, a JSON object a line."""
    durable = compose.open_log(settings)
    try:
        out.writelines(
            msgspec.json.encode({"channel": channel, **told}, order="deterministic").decode() + "\n"
            for channel, told in merged(await banks(settings, durable))
        )
    finally:
        await durable.close()
