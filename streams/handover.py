"""One meter's state as bytes, for its move to another partition."""

from __future__ import annotations

import msgspec
import numpy as np

from streams.bank import Bank
from streams.checkpoint import FORMAT, ArrayRecord, CheckpointError, columns_of, describe, load
from streams.episodes import Episode
from streams.registry import Meter


class _Channel(msgspec.Struct, frozen=True, array_like=True):
    channel: str
    arrays: list[ArrayRecord]
    episodes: list[Episode]


class _State(msgspec.Struct, frozen=True, array_like=True):
    format: int
    channels: list[_Channel]


_decoder = msgspec.msgpack.Decoder(_State)


def release(bank: Bank, meter_id: str) -> bytes:
    """Take a meter out of the bank and return its state; its slots stay empty."""
    channels = []
    for slot in bank.slots_of(meter_id):
        arrays = [
            ArrayRecord(name, column.name, describe(column.dtype), column.width, array[slot : slot + 1].tobytes())
            for part in ("hot", "cold")
            for name, column, array in columns_of(bank, part)
        ]
        episodes = [e for e in bank.open_episodes() if e.slot == slot]
        channels.append(_Channel(bank.channels[slot], arrays, episodes))
    bank.vacate(meter_id)
    return msgspec.msgpack.encode(_State(FORMAT, channels))


def install(bank: Bank, meter: Meter, raw: bytes) -> None:
    """Put a meter that comes from another partition into the bank, with its state.

    The caller registers it afterwards: its registry row may have changed.

    Raises CheckpointError where ``raw`` is not such a state.
    """
    try:
        state = _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise CheckpointError(f"expected the state of meter {meter.meter_id}, got {error}") from error
    for channel in state.channels:
        slot = bank.slots.get(channel.channel)
        if slot is None:
            slot = bank.add(channel.channel, meter)
        targets = {
            (name, column.name): array for part in ("hot", "cold") for name, column, array in columns_of(bank, part)
        }
        for stored in channel.arrays:
            target = targets.get((stored.detector, stored.column))
            if target is not None:
                load(stored, 1, target[slot : slot + 1])
        for episode in channel.episodes:
            bank.episodes.open[slot, episode.family] = msgspec.structs.replace(episode, slot=slot)
    bank.touch(np.array(bank.slots_of(meter.meter_id), np.int64))
