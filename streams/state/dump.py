"""The canonical dump: what is known of each meter, however the program came to know it.

By channel, without offsets, slots and counters of what happened to the stream (duplicates,
redeliveries), so that a run that was killed and one that was not give the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from streams.state.bank import Bank
from streams.state.slots import BETWEEN


def _plain(cell: Any) -> Any:
    if isinstance(cell, np.ndarray):
        return [_plain(c) for c in cell]
    if isinstance(cell, np.void):
        return {name: _plain(cell[name]) for name in cell.dtype.names or ()}
    return cell.item()


def canonical(bank: Bank) -> Iterator[tuple[str, dict[str, Any]]]:
    """Channel → registry row, state and open episodes, in order of channel."""
    episodes: dict[int, list[dict[str, Any]]] = {}
    for episode in bank.open_episodes():
        told = msgspec.to_builtins(episode, str_keys=True)
        names = episode.__struct_fields__
        row = dict(zip(names, told, strict=True)) if isinstance(told, list) else told
        row.pop("slot")
        row["active"] = sorted(row["active"])
        episodes.setdefault(episode.slot, []).append(row)
    for channel in sorted(bank.slots):
        slot = bank.slots[channel]
        state: dict[str, Any] = {}
        for detector in bank.config.detectors:
            for column in detector.columns:
                cell = _plain(bank.state.of(detector.name, column.name)[slot])
                if isinstance(cell, dict):
                    cell = {name: value for name, value in cell.items() if name not in column.counters}
                state[f"{detector.name}.{column.name}"] = cell
        ready = {d.name: bool(d.ready(bank.state, np.array([slot]))[0]) for d in bank.config.detectors}
        yield (
            channel.replace(BETWEEN, "#"),
            {
                "meter": msgspec.to_builtins(bank.meter(slot)),
                "state": state,
                "ready": ready,
                "episodes": sorted(episodes.get(slot, []), key=lambda e: str(e["family"])),
            },
        )
